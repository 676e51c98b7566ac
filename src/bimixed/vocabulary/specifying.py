"""Arguments of other packages' models."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from bimixed.exceptions import ArgumentError, DataError
from bimixed.vocabulary.advice import advice, refuse_unknown

SPECIFICATION = (
    "formula",
    "data",
    "priors",
    "weights",
    "offset",
    "na_action",
    "checkpoint",
    "progress",
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
    if isinstance(data, str | os.PathLike):
        raise DataError(_path_translated(os.fspath(data)))
    if isinstance(data, list | tuple) and data and all(isinstance(own, str | os.PathLike) for own in data):
        raise DataError("data is a list of paths: give what reads them, bm.scan_parquet([...]).")
    if isinstance(data, list | tuple) and not data:
        raise DataError("data is an empty list; give a table, or a list of frames of one.")
    groups = {name: unknown[name] for name in ("groups", "re_formula", "vc_formula") if name in unknown}
    if groups and isinstance(formula, str):
        raise ArgumentError(_groups_translated(formula, groups))
    known = (*SPECIFICATION, *(("groups", "re_formula", "vc_formula") if where == "from_groups" else ()))
    for name, value in unknown.items():
        raise ArgumentError(advice(name, value, _SPECIFICATION, known, where))
    if formula == "" or data is None:
        raise ArgumentError(
            f"{where} needs a formula and data: {where}('y ~ x"
            + (" + (1 | g)', data)." if where == "ModelSpec" else "', data, groups='g').")
        )


def _path_translated(path: str) -> str:
    """What to do with a path given as data."""
    if path.lower().endswith((".parquet", ".parq", "/", "*")) or os.path.isdir(path):
        return f"data is the path {path!r}: give what reads it, bm.scan_parquet({path!r})."
    return (
        f"data is a str, {path!r}; give a table, such as pandas.read_csv({path!r}), or bm.scan_parquet(...) "
        "of "
        "Parquet files."
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


def refuse_foreign_arrays(unknown: Iterable[str]) -> None:
    """The same for arrays."""
    for name in unknown:
        raise ArgumentError(advice(name, None, {**_SPECIFICATION, **_ARRAYS}, ARRAYS, "from_arrays"))


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


_SPECIFICATION = {
    "family": "Responses are Gaussian here: leave it out. For counts and yes/no data use bambi; for long "
    "tails spec.to_pymc(likelihood=False) takes a pm.StudentT of your own.",
    "link": "The link is the identity: leave it out; transform in the formula: 'log(y) ~ x'.",
    "dropna": "Write ModelSpec(formula, data, na_action='drop'), the default.",
    "missing": "Write ModelSpec(formula, data, na_action='drop') (the default), or 'raise'.",
    "na_rm": "Write ModelSpec(formula, data, na_action='drop'), the default.",
    "subset": "Select the rows first: ModelSpec(formula, data[data['x'] > 0]).",
    "categorical": "Write C() around the columns in the formula, 'y ~ C(x)', or make them categories: "
    "data.astype({{'x': 'category'}}).",
    "noncentered": "It is an argument of fit: spec.fit('nuts', form='hierarchical', parameterization="
    "'noncentered') for True, 'centered' for False (given: {value}).",
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
_ARRAYS = {
    **dict.fromkeys(
        ("missing", "na_action", "dropna", "na_rm"),
        "Leave it out: rows with a missing value are left out and counted, print(spec) says how many.",
    ),
    "formula": "Formulas go to ModelSpec(formula, data), or from_groups(formula, data, groups='g').",
    "subset": "Select the rows of every array first.",
    "re_formula": "Write exog_re=, the columns of the random coefficients.",
    "vc_formula": "Write exog_vc={{'name': {{label: matrix}}}}.",
}
