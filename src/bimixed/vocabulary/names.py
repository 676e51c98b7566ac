"""Attributes and functions of other packages, and the line that says the same here."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

RESULT_NAMES = {
    "params": "fixef['estimate']",
    "fe_params": "fixef['estimate']",
    "bse": "fixef['std_error']",
    "bse_fe": "fixef['std_error']",
    "pvalues": "coef_table()['p_value']",
    "tvalues": "coef_table()['statistic']",
    "random_effects": "ranef",
    "random_effects_cov": "ranef_cov('g')",
    "cov_re": "random_cov",
    "vcomp": "varcorr",
    "scale": "sigma ** 2",
    "llf": "loglik",
    "fittedvalues": "fitted",
    "residuals": "resid",
    "converged": "diagnostics.converged",
    "idata": "posterior",
    "cov_params": "vcov",
    "logLik": "loglik",
    "VarCorr": "varcorr",
    "confint": "conf_int()",
    "isSingular": "diagnostics.singular",
    "AIC": "aic",
    "BIC": "bic",
    "cAIC": "caic",
    **dict.fromkeys(("rsquared", "r_squared", "r2_nakagawa"), "r2()"),
    **dict.fromkeys(("hatvalues", "hat_matrix_diag"), "leverage['leverage']"),
    **dict.fromkeys(("cooks_distance", "cooksd"), "influence()['cooks_distance']"),
    **dict.fromkeys(("get_influence", "dfbeta", "dfbetas"), "influence()"),
    **dict.fromkeys(("vcovCR", "vcov_cluster", "get_robustcov_results"), "vcov_robust()"),
    **dict.fromkeys(("predictInterval", "posterior_epred", "posterior_linpred"), "predict_draws()"),
    **dict.fromkeys(("REsim", "condVar"), "ranef_table(group)"),
    "expectedRank": "rank_levels(group, 'Intercept')",
    "wald_test_terms": "anova('normal')",
    **dict.fromkeys(("bse_re", "bse_vc"), "variance_table()"),
    "zvalues": "coef_table('normal')['statistic']",
    "get_prediction": "predict(new_data, random='none', interval='confidence')",
    "get_distribution": "simulate(1000, random_seed=1)",
    "model": "spec",
    "df_resid": "coef_table('residual')['df']",
    "df_modelwc": "df_model",
    "pseudo_rsquared": "r2()",
    "summary2": "summary()",
    "hist": "diagnostics",
    "outlier_test": "influence()",
    "to_csv": "tidy(['fixed', 'ran_pars']).to_csv(path)",
    "ngrps": "ngroups",
    "df_residual": "glance()['df_residual']",
    "is_singular": "diagnostics.singular",
}
"""Attributes of other packages' results → ours."""
_RESULT_SENTENCES = {
    "t_test_pairwise": "write bm.emmeans(fit, 'factor').contrasts()",
    "profile_re": "write bm.profile(fit, 'sd_g[Intercept]')",
    "k_fe": "write len(fit.fixef)",
    **dict.fromkeys(
        ("k_re", "k_re2", "k_vc"), "write len(fit.varcorr) - 1, variances without the residual's"
    ),
    "reml": "write fit.method == 'reml'",
    "cov_re_unscaled": "write fit.random_cov['g'] / fit.sigma ** 2",
    "resid_pearson": "write fit.resid / fit.sigma (with weights times their roots)",
    "use_t": "fit.coef_table().attrs['ddf'] says which tests there are",
    "deviance": "write -2 * fit.loglik",
    **dict.fromkeys(
        ("t_test", "f_test", "wald_test", "contest", "hypothesis"), "write fit.test('x = 0, z = 1')"
    ),
    "getME": "write fit.theta, fit.design.X, fit.design.y, or what is asked for by its name: print(dir(fit))",
    "REMLcrit": "write -2 * fit.loglik of a REML fit",
    "update": "write fit.spec.update('. ~ . + x').fit()",
    **dict.fromkeys(("emmeans", "ls_means", "lsmeans"), "write bm.emmeans(fit, 'f')"),
    "emtrends": "write bm.emtrends(fit, 'f', var='x')",
    **dict.fromkeys(
        ("rstudent", "rstandard"),
        "write fit.residuals_scaled(), or fit.resid / fit.sigma (with weights times their roots)",
    ),
    "weights": "write fit.design.weights",
    **{name: f"write bm.{name}(fit)" for name in ("ranova", "drop1", "step", "rlrt")},
    "vif": "they are the diagonal of the inverse of the correlations of slopes, from fit.vcov",
    "waic": "write fit.loo(), of draws",
    "to_dataframe": "write fit.tidy(['fixed', 'ran_pars']); of draws arviz.extract(fit.posterior, "
    "var_names='fixef').to_dataframe()",
    **dict.fromkeys(("plot_trace", "trace"), "write arviz.plot_trace_dist(fit.posterior)"),
    "plot_predictions": "write bm.plots.means(bm.emmeans(fit, 'a', by='b'))",
    "rhat": "write fit.diagnostics.rhat_max, or arviz.rhat(fit.posterior)",
    "ess": "write fit.diagnostics.ess_bulk_min, or arviz.ess(fit.posterior)",
    "hdi": "write arviz.hdi(fit.posterior['posterior']['fixef'])",
    "profile": "write bm.profile(fit), or fit.conf_int(method='profile')",
    **dict.fromkeys(("prior_check", "powerscale_sensitivity", "psense"), "write bm.prior_check(fit)"),
    **dict.fromkeys(("posterior_predict", "sample_posterior_predictive"), "write fit.posterior_predictive()"),
    **dict.fromkeys(("bootstrap", "bootMer"), "write bm.bootstrap(fit, n=1000, random_seed=1)"),
    **dict.fromkeys(("lrtest", "compare_lr_test"), "write bm.lrtest(small, large)"),
    "plot": "bm.compare(fit, other).plot() draws two fits, fit.fitted and fit.resid are Series to plot",
}
_SPEC_SENTENCES = {
    **dict.fromkeys(("exog", "exog_fe"), "write spec.design.X"),
    "endog": "write spec.design.y",
    **dict.fromkeys(("exog_names", "param_names"), "write spec.fixed"),
    "endog_names": "write spec.formula",
    "exog_re": "write spec.random for the terms, spec.design.factors for their columns",
    "exog_vc": "write spec.random for the terms, spec.design.factors for their columns",
    "n_groups": "write {f.key: f.n_levels for f in spec.design.factors}",
    "group_labels": "write spec.design.factor('g').levels",
    "k_fe": "write len(spec.fixed)",
    "data": "write spec.recipe['data']",
    **dict.fromkeys(
        ("loglike", "score", "hessian"),
        "spec.fit().loglik is the maximum, and bm.profile(fit) the log-likelihood along each parameter",
    ),
    "fit_regularized": "there is no lasso here; priors=... and fit('nuts') shrink fixed effects",
    **dict.fromkeys(("prior_predictive", "sample_prior_predictive"), "write spec.sample_prior()"),
    "plot_priors": "write bm.plots.prior(spec)",
    "build": "leave it out: a specification is ready; print(spec) shows how it was read",
    "set_priors": "write spec.update(priors={'x': bm.Prior('normal', mu=0, sigma=1)})",
    **dict.fromkeys(("graph", "backend"), "write pymc.model_to_graphviz(spec.to_pymc())"),
    "from_formula": "write ModelSpec.from_groups('y ~ x', data, groups='g'), or ModelSpec('y ~ x + (1 | g)', "
    "data)",
}


def result_hint(name: str) -> str:
    """What to write for an attribute that a result doesn't have; "" where nothing is known."""
    if name in RESULT_NAMES:
        return f"write fit.{RESULT_NAMES[name]}"
    return _RESULT_SENTENCES.get(name, "")


def spec_hint(name: str, of_results: Iterable[str] = ()) -> str:
    """The same for a specification; names of results belong to its fit."""
    if name in _SPEC_SENTENCES:
        return _SPEC_SENTENCES[name]
    hint = f"write fit.{name}" if name in of_results else result_hint(name)
    return f"fit first, fit = spec.fit(); {hint}" if hint else ""


_AS_TEXT = "write str(fit.summary()) for the text, bm.table(fit).to_latex() or .to_markdown() for a paper"
_OBJECTS: Mapping[str, Mapping[str, str]] = {
    "Summary": {
        "tables": "write fit.coef_table() and fit.varcorr",
        **dict.fromkeys(("as_text", "as_latex", "to_latex", "to_markdown"), _AS_TEXT),
        **dict.fromkeys(("as_html", "to_html"), "write fit.to_html(path) for a page"),
        **dict.fromkeys(("as_csv", "to_csv"), "write fit.tidy(['fixed', 'ran_pars']).to_csv(path)"),
    },
    "HypothesisTest": {
        "pvalue": "write test.p_value",
        **dict.fromkeys(("fvalue", "statistic"), "write test.F"),
        **dict.fromkeys(("tvalue", "effect", "sd", "conf_int"), "write test.table"),
        "df_denom": "write test.den_df",
        "df_num": "write test.num_df",
        "summary": "write print(test), or test.table",
    },
    "LikelihoodRatioTest": {
        **dict.fromkeys(("pvalue", "p"), "write test.p_value"),
        **dict.fromkeys(("statistic", "chisq", "lr"), "write test.table['chisq']"),
    },
    "Bootstrap": dict.fromkeys(("draws", "t", "samples"), "write boot.replicates"),
    "MarginalMeans": {
        **dict.fromkeys(("pairs", "contrast"), "write means.contrasts()"),
        "test": "write means.contrasts(), or means.table: estimate / std_error is t on df",
        **dict.fromkeys(
            ("confint", "conf_int"), "write means.table; emmeans(..., level=0.9) for other limits"
        ),
        "plot": "write bm.plots.means(means)",
        **dict.fromkeys(("summary", "to_dataframe", "summary_frame"), "write means.table"),
        "cld": "letters aren't made; write means.contrasts()",
    },
    "ResultTable": {
        "to_csv": "write bm.table(...).table.to_csv(path)",
        "to_html": "write bm.table(...).table.to_html(path)",
        **dict.fromkeys(("to_frame", "to_pandas", "tables"), "write bm.table(...).table"),
        **dict.fromkeys(("as_latex", "as_text"), "write .to_latex() or .to_markdown()"),
    },
}
"""Class → attributes of other packages' objects → ours."""


class Hinting:
    """Answers attributes that an object doesn't have; a base of printed objects."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Only asked for names that the object doesn't have."""
            kind = type(self).__name__
            hint = _OBJECTS.get(kind, {}).get(name, "")
            raise AttributeError(
                f"{kind!r} object has no attribute {name!r}{'; ' if hint else ''}{hint}", name=name, obj=self
            )
