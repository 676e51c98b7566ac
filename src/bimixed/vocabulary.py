"""Arguments of other packages, answered with the line that says the same here."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from bimixed.exceptions import ArgumentError

SPECIFICATION = (
    "formula",
    "data",
    "priors",
    "weights",
    "offset",
    "na_action",
    "context",
)
ARRAYS = (
    "endog",
    "exog",
    "groups",
    "exog_re",
    "exog_vc",
    "fixef_names",
    "re_names",
    "weights",
    "offset",
    "priors",
)
FIT = (
    "method",
    "optimizer",
    "start",
    "draws",
    "tune",
    "chains",
    "random_seed",
    "form",
    "parameterization",
    "sampler",
    "target_accept",
    "cores",
    "progress",
)
PREDICT = ("new_data", "random", "new_levels", "interval", "level", "random_seed", "variances", "n")
EMMEANS = ("fit", "factor", "by", "at", "ddf", "level")
CONTRASTS = ("method", "adjust", "reference", "interaction")
SIMULATE = ("fixef", "random_cov", "sigma", "n", "random_seed")


def refuse_foreign_specification(
    formula: Any,
    data: Any,
    unknown: Mapping[str, Any],
    positional: tuple[Any, ...] = (),
    where: str = "ModelSpec",
) -> None:
    """Explain arguments that belong to statsmodels, bambi or lme4, and ones in the wrong place.

    Raises
    ------
    ArgumentError
        With the line translated.
    """
    if positional:
        raise ArgumentError(
            f"{where} takes {'formula, data, groups' if where == 'from_groups' else 'formula, data'} in this "
            "order, everything else by name, such as weights='w' or re_formula='~ x'."
        )
    if isinstance(data, str) and not isinstance(formula, str):
        raise ArgumentError("The formula comes first, then the data: ModelSpec('y ~ x + (1 | g)', data).")
    groups = {name: unknown[name] for name in ("groups", "re_formula", "vc_formula") if name in unknown}
    if groups and isinstance(formula, str):
        raise ArgumentError(_groups_translated(formula, groups))
    known = (*SPECIFICATION, *(("groups", "re_formula", "vc_formula") if where == "from_groups" else ()))
    for name, value in unknown.items():
        raise ArgumentError(_advice(name, value, _SPECIFICATION, known, where))
    if formula == "" or data is None:
        raise ArgumentError(
            f"{where} needs a formula and data: {where}('y ~ x"
            + (" + (1 | g)', data)." if where == "ModelSpec" else "', data, groups='g').")
        )


def refuse_missing_groups(formula: Any, groups: Any, others: Mapping[str, Any]) -> None:
    """Explain a call of from_groups without groups."""
    if groups is not None:
        return
    if isinstance(formula, str) and "|" in formula:
        raise ArgumentError(
            "from_groups needs groups. The formula has its random effects in bars already: write "
            f"ModelSpec({formula!r}, data)."
        )
    given = "".join(f", {name}={value!r}" for name, value in others.items() if value is not None)
    raise ArgumentError(
        "from_groups needs groups, a column's name or a label for each row: write "
        f"ModelSpec.from_groups({formula!r}, data, groups='g'{given})."
    )


def refuse_unknown(where: str, unknown: Iterable[str], known: tuple[str, ...]) -> None:
    """Explain arguments that a function doesn't have.

    Raises
    ------
    ArgumentError
    """
    for name in unknown:
        raise ArgumentError(_advice(name, None, _OTHERS, known, where))


def refuse_foreign_arrays(unknown: Iterable[str]) -> None:
    """The same for arrays."""
    for name in unknown:
        raise ArgumentError(_advice(name, None, _SPECIFICATION, ARRAYS, "from_arrays"))


def refuse_foreign_fit(positional: tuple[Any, ...], unknown: Mapping[str, Any]) -> None:
    """Explain arguments of other packages' fit."""
    if positional:
        raise ArgumentError(
            "fit takes the method only, everything else by name: spec.fit('nuts', draws=1000). "
            "Data belong to ModelSpec(formula, data)."
        )
    for name, value in unknown.items():
        raise ArgumentError(_advice(name, value, _FIT, FIT, "fit"))


def refuse_foreign_predict(unknown: Mapping[str, Any]) -> None:
    """Explain arguments of other packages' predict."""
    for name, value in unknown.items():
        raise ArgumentError(_advice(name, value, _PREDICT, PREDICT, "predict"))


def refuse_foreign_means(where: str, unknown: Mapping[str, Any]) -> None:
    """Explain arguments of R's emmeans."""
    known = {"emmeans": EMMEANS, "emtrends": (*EMMEANS, "var"), "contrasts": CONTRASTS}[where]
    for name, value in unknown.items():
        raise ArgumentError(_advice(name, value, _MEANS, known, where))


def refuse_foreign_refit(where: str, known: str, unknown: Mapping[str, Any]) -> None:
    """Explain arguments of functions that simulate or bootstrap, and what belongs to a specification."""
    for name, value in unknown.items():
        raise ArgumentError(_advice(name, value, _REFIT, (known,), where))


def refuse_foreign_compare(results: tuple[Any, ...], unknown: Mapping[str, Any]) -> None:
    """Explain a comparison of anything but results, one after the other."""
    if unknown:
        given = ", ".join(f"{name}=" for name in unknown)
        raise ArgumentError(
            f"compare has no {given}. It takes two results or more, one after the other: bm.compare(a, b), "
            "or bm.compare(a, b, names=['first', 'second'])."
        )
    if len(results) < 2:
        kinds = [
            f"a {type(one).__name__}" if isinstance(one, list | tuple | dict) else "one" for one in results
        ]
        what = kinds[0] if kinds else "none"
        raise ArgumentError(
            f"compare takes two results or more, one after the other, not {what}: bm.compare(a, b), or "
            "bm.compare(*results) for a list."
        )


def refuse_incomplete_simulation(fixef: Any, random_cov: Any, sigma: Any, unknown: Mapping[str, Any]) -> None:
    """Explain a simulation without its parameters; a result has them."""
    refuse_unknown("simulate", unknown, SIMULATE)
    missing = [
        name
        for name, value in (("fixef", fixef), ("random_cov", random_cov), ("sigma", sigma))
        if value is None
    ]
    if missing:
        raise ArgumentError(
            f"simulate needs {' and '.join(missing)}. Give numbers, or those of a fit: "
            "spec.simulate(fit.fixef, fit.random_cov, fit.sigma, n=1000, random_seed=1)."
        )


def _groups_translated(formula: str, given: Mapping[str, Any]) -> str:
    """The call as from_groups, and as a formula with bars where that is short."""
    call = {"groups": "g", **given}
    arguments = "".join(f", {name}={_shown(name, value)}" for name, value in call.items())
    line = f"ModelSpec.from_groups({formula!r}, data{arguments})"
    message = f"{' and '.join(given)} belong to from_groups: write {line}"
    groups = given.get("groups")
    if "|" in formula:
        return (
            f"The formula has its random effects in bars already, so leave {' and '.join(given)} out; or "
            f"take the bars out and write ModelSpec.from_groups(formula, data{arguments})."
        )
    if isinstance(groups, str) and given.get("vc_formula") is None:
        lhs = str(given.get("re_formula") or "1").strip().removeprefix("~").strip()
        group = groups if groups.isidentifier() else f"`{groups}`"
        message += f", or, the same: ModelSpec('{formula} + ({lhs} | {group})', data)"
    return message + "."


def _shown(name: str, value: Any) -> str:
    return repr(value) if value is None or isinstance(value, str | Mapping) else name


def _advice(
    name: str, value: Any, translations: Mapping[str, str], known: tuple[str, ...], where: str
) -> str:
    if name in translations:
        return f"{where} has no {name}=. {translations[name].format(value=value)}"
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {close[0]}=?" if close else ""
    return f"{where} has no argument {name}=.{hint} It takes {', '.join(known)}."


_SPECIFICATION = {
    "family": "Responses are Gaussian here: leave it out. For counts and yes/no data use bambi.",
    "link": "The link is the identity: leave it out; transform in the formula: 'log(y) ~ x'.",
    "dropna": "Write ModelSpec(formula, data, na_action='drop'), the default.",
    "missing": "Write ModelSpec(formula, data, na_action='drop') (the default), or 'raise'.",
    "na_rm": "Write ModelSpec(formula, data, na_action='drop'), the default.",
    "subset": "Select the rows first: ModelSpec(formula, data[data['x'] > 0]).",
    "categorical": "Write C() around the columns in the formula, 'y ~ C(x)', or make them categories: "
    "data.astype({{'x': 'category'}}).",
    "noncentered": "It is an argument of fit: spec.fit('nuts', parameterization='noncentered').",
    "auto_scale": "Default priors are always scaled by the data; print(spec.priors) shows them.",
    "center_predictors": "Nothing is centred behind your back; write center(x) in the formula.",
    "potentials": "Build the PyMC model with spec.to_pymc() and add the potential there.",
    "extra_namespace": "Write ModelSpec(formula, data, context={{'name': value}}).",
    "eval_env": "Write ModelSpec(formula, data, context={{'name': value}}).",
    "use_sqrt": "Leave it out: covariances are always estimated by their Cholesky factor.",
    "use_sparse": "Leave it out: designs of random effects are always sparse.",
    "REML": "It is an argument of fit: spec.fit('reml'), or spec.fit('ml').",
    "reml": "It is an argument of fit: spec.fit('reml'), or spec.fit('ml').",
    "control": "Options of the optimiser are arguments of fit: spec.fit('reml', optimizer='L-BFGS-B').",
    "endog": "Arrays go to ModelSpec.from_arrays(endog, exog, groups, exog_re=..., exog_vc=...).",
    "exog": "Arrays go to ModelSpec.from_arrays(endog, exog, groups, exog_re=..., exog_vc=...).",
    "exog_re": "Arrays go to ModelSpec.from_arrays(endog, exog, groups, exog_re=..., exog_vc=...).",
    "exog_vc": "Arrays go to ModelSpec.from_arrays(endog, exog, groups, exog_re=..., exog_vc=...).",
    "random": "Write the random effects with bars, 'y ~ x + (1 + x | g)', or use ModelSpec.from_groups.",
    "group": "Write ModelSpec('y ~ x + (1 | g)', data), or ModelSpec.from_groups('y ~ x', data, groups='g').",
    "contrasts": "Write contrasts in the formula: C(f, Sum), C(f, contr.treatment('level')).",
    "prior": "Write ModelSpec(formula, data, priors={{'x': bm.Prior('normal', mu=0, sigma=1)}}).",
    "method": "It is an argument of fit: ModelSpec(formula, data).fit(method='reml').",
}
_OTHERS = {
    "seed": "Write random_seed=.",
    "nsim": "Write n=.",
    "alpha": "Write level=0.95 for alpha=0.05.",
    "weights": "Weights and offset are arguments of ModelSpec; make a new specification.",
    "offset": "Weights and offset are arguments of ModelSpec; make a new specification.",
}
_MEANS = {
    "specs": "Name the factors: bm.emmeans(fit, 'treatment', by='sex').",
    "ref": "Write reference={value!r}, the level.",
    "type": "Means are in the units of the formula's response; transform the estimate and the limits.",
    "weights": "Cells have equal weights; for others take a custom contrast, {{'mean': [0.2, 0.8]}}.",
    "vcov": "For cluster-robust standard errors see fit.coef_table_robust() and fit.vcov_robust().",
    "cov_reduce": "Covariates are at their means; choose values by at={{'x': [10, 60]}}.",
    "mode": "Write ddf='kenward-roger' or 'satterthwaite'.",
    "lmer_df": "Write ddf='kenward-roger' or 'satterthwaite'.",
    "simple": "Write by=: emmeans(fit, 'a', by='b').contrasts() are the simple effects of a.",
    "infer": "Leave it out: the table always has limits and tests.",
}
_FIT = {
    "reml": "Write spec.fit('reml') for reml=True, spec.fit('ml') for reml=False (given: {value}).",
    "REML": "Write spec.fit('reml') for REML=TRUE, spec.fit('ml') for REML=FALSE (given: {value}).",
    "inference_method": "Write spec.fit('nuts'); sampler='nutpie' or 'pymc' chooses who samples.",
    "nuts_sampler": "Write spec.fit('nuts', sampler='nutpie').",
    "samples": "Write spec.fit('nuts', draws={value}).",
    "iter": "Write spec.fit('nuts', draws=1000, tune=1000).",
    "warmup": "Write spec.fit('nuts', tune={value}).",
    "seed": "Write spec.fit('nuts', random_seed={value}).",
    "start_params": "Write spec.fit('reml', start=result.theta).",
    "maxiter": "Leave it out: the optimiser stops when a Newton step promises nothing.",
    "full_output": "Leave it out: result.diagnostics has the report.",
    **dict.fromkeys(
        ("disp", "verbose"),
        "Leave it out for a quiet fit: likelihood fits print nothing by default, and progress=True shows the "
        "search (for 'nuts' progress=False is quiet).",
    ),
    "cov_type": "Leave it out: fit.vcov is the covariance of the fixed effects under the model; no other is "
    "available in this version.",
    "progressbar": "Write spec.fit('nuts', progress={value}).",
    "do_cg": "Leave it out.",
    "free": "Structured covariances are written in the formula: '||' for uncorrelated coefficients.",
    "adapt_delta": "Write spec.fit('nuts', target_accept={value}).",
    "control": "For an optimiser write spec.fit('reml', optimizer='L-BFGS-B'), or leave it out: the default "
    "is Newton's method. For Stan's adapt_delta write spec.fit('nuts', target_accept=0.99).",
    "idata_kwargs": "Leave it out: result.loo() computes the densities that it needs.",
    "formula": "The formula belongs to the specification: ModelSpec(formula, data).fit().",
    "data": "Data belong to the specification: ModelSpec(formula, data).fit().",
    "priors": "Priors belong to the specification: ModelSpec(formula, data, priors=...).fit('nuts').",
}
_PREDICT = {
    "exog": "Write fit.predict(new_data), with new_data a table of the formula's columns.",
    "data": "Write fit.predict(new_data).",
    "newdata": "Write fit.predict(new_data).",
    "re_form": "Write fit.predict(new_data, random='none') for the population (re.form = NA), "
    "random='all' (the default) for the groups.",
    "re_formula": "Write fit.predict(new_data, random='none') for the population, 'all' for the groups.",
    "include_group_specific": "Write fit.predict(new_data, random='all') for True, random='none' for False "
    "(given: {value}).",
    "allow_new_levels": "Write fit.predict(new_data, new_levels='population'), or 'sample' to count a new "
    "level's variance in intervals.",
    "sample_new_groups": "Write fit.predict(new_data, new_levels='sample').",
    "kind": "Write interval='confidence' for the mean and interval='prediction' for a new response.",
    **dict.fromkeys(
        ("se_fit", "se"),
        "Write fit.predict(new_data, interval='confidence'): of likelihood fits the limits of level=0.95 are "
        "1.96 standard errors from the estimate.",
    ),
    "alpha": "Write fit.predict(new_data, interval='confidence', level=1 - alpha) (alpha given: {value}).",
}
_SIMULATED = "Responses are given, and spec.simulate makes them: write fit.refit_many(spec.simulate("
_NEW_SPEC = "A refit keeps all but the response; write"
_REFIT = {
    **dict.fromkeys(
        ("random_seed", "seed"),
        _SIMULATED + "fit.fixef, fit.random_cov, fit.sigma, n=1000, random_seed={value})).",
    ),
    **dict.fromkeys(
        ("n", "nsim", "n_sim", "n_boot"),
        _SIMULATED + "fit.fixef, fit.random_cov, fit.sigma, n={value}, random_seed=1)).",
    ),
    **dict.fromkeys(("data", "new_data", "newdata"), f"{_NEW_SPEC} spec.update(data=...).fit()."),
    "formula": f"{_NEW_SPEC} spec.update({{value!r}}).fit().",
    **dict.fromkeys(
        ("weights", "offset"), f"{_NEW_SPEC} a new ModelSpec, of which weights and offset are arguments."
    ),
    "method": f"{_NEW_SPEC} fit.spec.fit({{value!r}}).refit_many(ys) for another method.",
    **dict.fromkeys(
        ("start", "optimizer"), "Leave it out: a refit starts where the fit ended, and uses its optimiser."
    ),
    **dict.fromkeys(
        ("workers", "cores", "progress"), "Leave it out: responses are fitted together, on one core."
    ),
}

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
