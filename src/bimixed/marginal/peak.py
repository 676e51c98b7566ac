"""The mode of a marginal posterior, and how wide it is there."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bimixed.covariance import Array
from bimixed.likelihood.optimize import difference_hessian

WIDEST = 2.0
"""Largest sd along any direction, logarithms of sds having no curvature far out."""
NO_DENSITY = (np.linalg.LinAlgError, ValueError, OverflowError, FloatingPointError, ZeroDivisionError)
"""What arithmetic raises so far out that a density has no digits."""
NOWHERE = 1e100
"""Minus the log-density where there is none."""


@dataclass(frozen=True)
class Peak:
    """The mode of a posterior and its surroundings.

    Attributes
    ----------
    z : (m,) array
    root : (m, m) array
        A square root of the covariance that the curvature gives.
    """

    z: Array
    root: Array


def find_peak(posterior: Callable[[Array], tuple[float, Array]], start: Array) -> Peak:
    """The mode next to ``start``, and the posterior's curvature there.

    Parameters
    ----------
    posterior : callable
        z → log-density and slope.
    start : (m,) array
    """
    from scipy import optimize

    def downhill(z: Array) -> tuple[float, Array]:
        try:
            value, slope = posterior(z)
        except NO_DENSITY:
            value = -np.inf
        return (-value, -slope) if np.isfinite(value) else (NOWHERE, np.zeros(len(z)))

    found = optimize.minimize(downhill, start, jac=True, method="BFGS", options={"gtol": 1e-5})
    curvature = difference_hessian(lambda z: downhill(z)[1], found.x)
    values, vectors = np.linalg.eigh(curvature)
    sd = np.minimum(1.0 / np.sqrt(np.maximum(values, 1e-12)), WIDEST)
    return Peak(found.x, vectors * sd)
