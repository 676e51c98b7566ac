"""What stands before and after the elimination: coordinates → relative factors, scores → slopes."""

from typing import NamedTuple

import numba
import numpy as np

from bimixed.covariance import Array
from bimixed.marginal.kernels.given import Fixed, Given
from bimixed.marginal.kernels.parameters import (
    Parameters,
    absolute_factors,
    factor_slopes,
    log_prior,
    own_factors,
    pull_back,
    scale_value,
)

FAILED = -1e300
"""Log-density where rounding has left nothing of what should be positive."""


class Here(NamedTuple):
    """The model at one point.

    Attributes
    ----------
    z, by_z : (m,) arrays
        Coordinates, and the slope of the log-prior.
    log_prior : float
    factors, T, scores : (F, K, K) arrays
        Absolute factors of b, relative factors of the cross-products' coordinates, and zeros.
    unit : float
        Residual sd of the cross-products.
    """

    z: Array
    by_z: Array
    log_prior: float
    factors: Array
    T: Array
    scores: Array
    unit: float


@numba.njit(cache=True, nogil=True, error_model="numpy")
def at_coordinates(p: Parameters, z: Array) -> Here:
    """The model at z."""
    F, K, m = len(p.size), p.M_inverse.shape[1], len(z)
    by_z = np.zeros(m)
    value = log_prior(p, z, by_z)
    unit = scale_value(p.family[m - 1], p.prior[m - 1], z[m - 1])[0] * p.unit[0]
    factors, T, scores = np.zeros((F, K, K)), np.zeros((F, K, K)), np.zeros((F, K, K))
    absolute_factors(p, z, factors)
    own_factors(p, factors, unit, T)
    return Here(z, by_z, value, factors, T, scores, unit)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def at_whitened(p: Parameters, w: Array) -> Here:
    """The model at z = centre + root w."""
    z = p.centre.copy()
    for i in range(len(w)):
        for j in range(len(w)):
            z[i] += p.root[i, j] * w[j]
    return at_coordinates(p, z)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def whitened_slope(p: Parameters, f: Fixed, here: Here, given: Given, slope: Array) -> None:
    """The slope in w, from the scores Σ I − M⁻¹ − u_x C⁻¹u_x' − u_e u_e'/σ²."""
    m = len(here.z)
    slopes = np.zeros(here.T.shape)
    factor_slopes(p, here.T, here.scores, here.unit, slopes)
    pull_back(p, here.z, here.factors, slopes, here.by_z)
    sigma2 = here.unit**2
    by_log_unit = -(f.numbers[0] + given.shrunk * sigma2 - given.residual / sigma2)
    for g in range(len(p.size)):
        for a in range(p.size[g]):
            by_log_unit += here.scores[g, a, a]
    sigma, rate = scale_value(p.family[m - 1], p.prior[m - 1], here.z[m - 1])
    here.by_z[m - 1] += by_log_unit * rate / sigma
    for i in range(m):
        slope[i] = 0.0
        for j in range(m):
            slope[i] += p.root[j, i] * here.by_z[j]
