"""A likelihood fit at parameters that are known already: all of a result, without a search."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.exceptions import FitError
from bimixed.likelihood.fit import Refitter, assemble
from bimixed.likelihood.optimize import OptimizerReport
from bimixed.likelihood.problem import At, make_problem
from bimixed.likelihood.setup import set_up
from bimixed.likelihood.variances import VarianceUncertainty
from bimixed.results import Diagnostics, MixedModelResult
from bimixed.results.uncertainty import NormalApproximation


@dataclass(frozen=True)
class Optimum:
    """What a search found, in the coordinates of the design.

    Attributes
    ----------
    theta : (m,) array
    interior : (m,) bool array
        Entries that are estimated and not at their bound.
    confounded : mapping
        Place of the factor → coefficients whose variances these data can't tell apart.
    optimizer : str
        Its name, for refits.
    """

    theta: Array
    interior: NDArray[np.bool_]
    confounded: Mapping[int, list[int]]
    optimizer: str

    @classmethod
    def of(cls, fit: MixedModelResult) -> "Optimum":
        """That of a likelihood fit."""
        assert isinstance(fit.uncertainty, NormalApproximation)
        variances, refitter = fit.uncertainty.variance_scales, fit.refitter
        assert isinstance(variances, VarianceUncertainty) and isinstance(refitter, Refitter)
        known = refitter.setup.unidentified
        found = {
            place: [k for k in own if k not in known.get(place, [])]
            for place, own in variances.unidentified.items()
        }
        confounded = {place: own for place, own in found.items() if own}
        return cls(refitter.theta, variances.free, confounded, refitter.optimizer)


def at_optimum(design: Design, reml: bool, optimum: Optimum, diagnostics: Diagnostics) -> MixedModelResult:
    """The result of a fit whose search arrived there.

    Raises
    ------
    FitError
        If the criterion can't be computed there.
    """
    setup = set_up(design, reml)
    cp = setup.cross_products(design)
    problem = make_problem(cp, reml, setup.unidentified)
    if optimum.theta.shape != problem.free.shape:
        raise FitError(f"theta has shape {optimum.theta.shape}; the model's is {problem.free.shape}.")
    x = problem.coordinates(optimum.theta)
    here = problem(x)
    if not isinstance(here, At):
        raise FitError("The criterion can't be computed at these parameters; fit the model again.")
    at_bound = ~optimum.interior[problem.free]
    report = OptimizerReport(x, here.value, at_bound, 0.0, True, 0, np.inf, here)
    confounded = {place: list(own) for place, own in optimum.confounded.items()}
    result = assemble(design, setup, problem, report, here, confounded, diagnostics)
    return replace(result, refitter=Refitter(setup, problem, optimum.optimizer, optimum.theta))
