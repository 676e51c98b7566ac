"""Attributes and functions of other packages, and the line that says the same here."""

from collections.abc import Iterable

RESULT_NAMES = {
    "params": "fixef['estimate']",
    "fe_params": "fixef['estimate']",
    "bse": "fixef['std_error']",
    "bse_fe": "fixef['std_error']",
    "pvalues": "coef_table()['p_value']",
    "tvalues": "coef_table()['statistic']",
    "random_effects": "ranef",
    "random_effects_cov": "ranef_sd",
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
    "expectedRank": "rank_levels(group)",
}
"""Attributes of other packages' results → ours."""
_RESULT_SENTENCES = {
    "deviance": "write -2 * fit.loglik",
    **dict.fromkeys(("t_test", "f_test", "wald_test"), "write fit.test('x = 0, z = 1')"),
    "profile": "write bm.profile(fit), or fit.conf_int(method='profile')",
    **dict.fromkeys(("prior_check", "powerscale_sensitivity"), "write bm.prior_check(fit)"),
    **dict.fromkeys(("posterior_predict", "sample_posterior_predictive"), "write fit.posterior_predictive()"),
    **dict.fromkeys(("bootstrap", "bootMer"), "write bm.bootstrap(fit, n=1000, random_seed=1)"),
    **dict.fromkeys(("lrtest", "compare_lr_test"), "write bm.lrtest(small, large)"),
    "plot": "bm.compare(fit, other).plot() draws two fits, fit.fitted and fit.resid are Series to plot",
}
_SPEC_SENTENCES = {
    **dict.fromkeys(("prior_predictive", "sample_prior_predictive"), "write spec.sample_prior()"),
    "plot_priors": "write bm.plots.prior(spec)",
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


MODULE_NAMES = {
    **dict.fromkeys(("lmer", "fit"), "ModelSpec('y ~ x + (1 | g)', data).fit()"),
    "mixedlm": "ModelSpec.from_groups('y ~ x', data, groups='g').fit()",
    "MixedLM": "ModelSpec.from_arrays(endog, exog, groups).fit()",
    "Model": "ModelSpec('y ~ x + (1 | g)', data).fit('nuts')",
    "from_formula": "ModelSpec.from_groups('y ~ x', data, groups='g')",
    "simulate": "spec.simulate(fit.fixef, fit.random_cov, fit.sigma, n=1000, random_seed=1)",
    "bootMer": "bm.bootstrap(fit, n=1000, random_seed=1)",
    **dict.fromkeys(("exactRLRT", "exactLRT"), "bm.rlrt(fit, 'group[coefficient]')"),
    **dict.fromkeys(("stepwise", "buildmer", "stepcAIC"), "bm.step(fit)"),
    **dict.fromkeys(
        ("PBmodcomp", "pbmodcomp", "KRmodcomp"),
        "fit.test('x = 0', ddf='kenward-roger'), bm.lrtest(small, large), or bm.rlrt(fit, term)",
    ),
    "anova": "bm.lrtest(small, large), or fit.anova() for the terms of one fit",
}
"""Functions of other packages → ours."""
