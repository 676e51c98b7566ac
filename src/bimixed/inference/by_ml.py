"""REML fits again by maximum likelihood."""

from dataclasses import replace
from typing import Any

from bimixed.exceptions import UnavailableError
from bimixed.likelihood.fit import Refitter, fit_likelihood
from bimixed.results import MixedModelResult


def by_ml(fit: MixedModelResult) -> MixedModelResult:
    """The same model by maximum likelihood; an ML fit as it is."""
    if fit.method == "ml":
        return fit
    optimizer = engine(fit, "a fit by maximum likelihood").optimizer
    return replace(fit_likelihood(fit.design, reml=False, optimizer=optimizer), spec=fit.spec)


def engine(fit: Any, what: str) -> Refitter:
    """What a likelihood fit keeps of its engine.

    Raises
    ------
    UnavailableError
        For draws, or for what is no result.
    """
    if not isinstance(fit, MixedModelResult):
        raise UnavailableError(
            f"{what} takes results of likelihood fits, not a {type(fit).__name__}; fit first: "
            "fit = bm.ModelSpec(formula, data).fit('reml')."
        )
    if not isinstance(fit.refitter, Refitter):
        raise UnavailableError(
            f"{what} belongs to a maximised likelihood; draws from a posterior have none. Fit by "
            "spec.fit('reml') or spec.fit('ml'); posteriors are compared by loo()."
        )
    return fit.refitter
