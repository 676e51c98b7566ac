"""Arguments of other packages' fit, and of functions that fit again."""

from collections.abc import Mapping
from typing import Any

from bimixed.exceptions import ArgumentError
from bimixed.vocabulary.advice import advice

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


def refuse_foreign_fit(positional: tuple[Any, ...], unknown: Mapping[str, Any]) -> None:
    """Explain arguments of other packages' fit."""
    if positional:
        raise ArgumentError(
            "fit takes the method only, everything else by name: spec.fit('nuts', draws=1000). "
            "Data belong to ModelSpec(formula, data)."
        )
    for name, value in unknown.items():
        raise ArgumentError(advice(name, value, _FIT, FIT, "fit"))


def refuse_foreign_refit(where: str, known: str, unknown: Mapping[str, Any]) -> None:
    """Explain arguments of functions that simulate or bootstrap, and what belongs to a specification."""
    for name, value in unknown.items():
        raise ArgumentError(advice(name, value, _REFIT, (known,), where))


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
    **dict.fromkeys(
        ("cov_type", "cov_kwds", "cov_struct"),
        "Leave it out: fit.vcov is the covariance of the fixed effects under the model. Cluster-robust ones "
        "are asked of the fit: fit.vcov_robust(), fit.coef_table_robust().",
    ),
    **dict.fromkeys(
        ("weights", "offset"), "It belongs to the specification: ModelSpec(formula, data, {name}=...).fit()."
    ),
    "missing": "It belongs to the specification: ModelSpec(formula, data, na_action='drop'), the default.",
    "progressbar": "Write spec.fit('nuts', progress={value}).",
    "do_cg": "Leave it out.",
    "free": "Structured covariances are written in the formula: (x || g) for uncorrelated coefficients.",
    "adapt_delta": "Write spec.fit('nuts', target_accept={value}).",
    "control": "For an optimiser write spec.fit('reml', optimizer='L-BFGS-B'), or leave it out: the default "
    "is Newton's method. For Stan's adapt_delta write spec.fit('nuts', target_accept=0.99).",
    "idata_kwargs": "Leave it out: result.loo() computes the densities that it needs.",
    "formula": "The formula belongs to the specification: ModelSpec(formula, data).fit().",
    "data": "Data belong to the specification: ModelSpec(formula, data).fit().",
    "priors": "Priors belong to the specification: ModelSpec(formula, data, priors=...).fit('nuts').",
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
