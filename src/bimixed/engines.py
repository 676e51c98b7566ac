"""Which engine a fit goes to, and that it gets its own arguments only."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.exceptions import FitError
from bimixed.likelihood.fit import fit_likelihood
from bimixed.likelihood.optimize import METHODS as OPTIMIZERS
from bimixed.marginal.left_out import LeftOut
from bimixed.priors import Priors
from bimixed.results import MixedModelResult

METHODS = ("reml", "ml", "nuts", "importance")
FOREIGN_OPTIMIZERS = (
    *("bfgs", "lbfgs", "lbfgsb", "cg", "ncg", "powell", "newton", "nm", "neldermead", "basinhopping"),
    *("minimize", "bobyqa", "nloptwrap", "nlminb", "tnc", "slsqp", "trustconstr", "cobyla"),
)
"""Names of optimisers, which statsmodels' ``method`` and lme4's ``optimizer`` take, in small letters."""
ONLY = {
    "optimizer": ("reml", "ml"),
    "start": ("reml", "ml"),
    "draws": ("nuts", "importance"),
    **dict.fromkeys(("tune", "chains", "form", "parameterization", "sampler", "target_accept"), ("nuts",)),
}
"""Arguments that have a meaning for some methods only."""


def fit_design(
    design: Design,
    priors: Callable[[], Priors],
    method: object,
    arguments: Mapping[str, Any],
    defaults: Mapping[str, Any],
) -> MixedModelResult:
    """Fit by the engine of this method.

    Parameters
    ----------
    design : Design
    priors : callable
        Gives the priors where they are needed.
    method : str
    arguments, defaults : mapping
        Arguments of ``ModelSpec.fit`` as given and by default.

    Raises
    ------
    FitError
        For an unknown method, or an argument of another engine.
    """
    name = known_method(method)
    _refuse_other_engines(name, arguments, defaults)
    given = _told(arguments, defaults)
    if name in ("nuts", "importance"):
        from bimixed.posteriors import fit_posterior

        settled = priors()
        found = fit_posterior(design, settled, name, arguments)
        return replace(found, left_out=LeftOut(design, settled), arguments=given)
    found = fit_likelihood(
        design,
        reml=name == "reml",
        optimizer=_known_optimizer(arguments["optimizer"]),
        start=_start(design, arguments["start"]),
        progress=bool(arguments["progress"]),
    )
    return replace(found, arguments=given)


def _told(arguments: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What changes the estimates and isn't a default, to tell how a fit was made."""
    given = {name: value for name, value in arguments.items() if name not in ("start", "progress", "cores")}
    return {name: value for name, value in given.items() if value != defaults[name]}


def _known_optimizer(given: object) -> str:
    """A name of an optimiser.

    Raises
    ------
    FitError
        With the name that may be meant.
    """
    if isinstance(given, str) and given in OPTIMIZERS:
        return given
    plain = {_letters(name): name for name in OPTIMIZERS}
    letters = _letters(str(given))
    if letters in FOREIGN_OPTIMIZERS and not any(name.startswith(letters) for name in plain):
        raise FitError(
            f"Unknown optimizer {given!r}: leave optimizer out (the default is Newton's method), or choose "
            f"one of {', '.join(OPTIMIZERS)}."
        )
    close = difflib.get_close_matches(letters, plain, n=1)
    hint = f". Did you mean {plain[close[0]]!r}? Choose" if close else "; choose"
    raise FitError(f"Unknown optimizer {given!r}{hint} one of {', '.join(OPTIMIZERS)}.")


def _letters(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


def _start(design: Design, given: Any) -> Array | None:
    """θ of all groups, one after the other, from what was given as ``start``."""
    if given is None:
        return None
    if isinstance(given, MixedModelResult):
        raise FitError("start is a result; give its theta: spec.fit(start=fit.theta).")
    if not isinstance(given, Mapping):
        return _theta("start", given)
    keys = [f.key for f in design.factors]
    for key in [*keys, *given]:
        if key not in given or key not in keys:
            what = f"misses {key!r}" if key in keys else f"has {key!r}, which is no group of the model"
            raise FitError(
                f"start {what}; give theta for each of {', '.join(keys)}, as result.theta does, or leave "
                "start out."
            )
    parts = []
    for f in design.factors:
        part = np.atleast_1d(_theta(f"start[{f.key!r}]", given[f.key]))
        if part.shape != (f.template.n_theta,):
            raise FitError(
                f"start[{f.key!r}] has shape {part.shape}; give {f.template.n_theta} values of theta, the "
                f"lower triangle of the relative factor of {', '.join(f.names)} as in result.theta."
            )
        parts.append(part)
    return np.concatenate(parts)


def _theta(name: str, given: Any) -> Array:
    try:
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FitError(
            f"{name} is a {type(given).__name__} that can't be read as numbers; give values of theta "
            "such as result.theta, or leave start out."
        ) from error


def pymc_model(design: Design, priors: Priors, form: str, parameterization: str, likelihood: bool) -> Any:
    """The posterior as a PyMC model."""
    from bimixed import posteriors

    return posteriors.pymc_model(design, priors, form, parameterization, likelihood)


def known_method(method: object) -> str:
    """The method in lower case.

    Raises
    ------
    FitError
    """
    names = method if isinstance(method, list | tuple) else [method]
    foreign = [name for name in names if isinstance(name, str) and _letters(name) in FOREIGN_OPTIMIZERS]
    if foreign:
        raise FitError(
            f"method is {method!r}; here it is one of {', '.join(METHODS)}. statsmodels' method= is the "
            "optimiser: leave it out, or write spec.fit('reml', optimizer='L-BFGS-B')."
        )
    if not isinstance(method, str):
        raise FitError(
            f"method is a {type(method).__name__}; it is one of {', '.join(METHODS)}. "
            "Data belong to ModelSpec(formula, data)."
        )
    if method.lower() not in METHODS:
        raise FitError(f"Unknown method {method!r}; choose one of {', '.join(METHODS)}.")
    return method.lower()


def _refuse_other_engines(method: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Arguments of the other engine would change nothing; say so."""
    for name, value in given.items():
        theirs = ONLY.get(name, METHODS)
        if method in theirs:
            continue
        if value is not defaults[name] and value != defaults[name]:
            raise FitError(
                f"{name}= has no meaning for method={method!r} (only for {' and '.join(theirs)}); "
                f"leave it out, or write spec.fit({theirs[0]!r}, {name}={_short(value)})."
            )


def _short(value: Any) -> str:
    return repr(value) if isinstance(value, str | int | float) else "..."
