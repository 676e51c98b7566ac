"""Fixed effects given the variance parameters."""

from typing import NamedTuple

import numba
import numpy as np

from bimixed.covariance import Array


class Fixed(NamedTuple):
    """The prior of the fixed effects in the coordinates γ of the cross-products.

    Attributes
    ----------
    half : (p, p) array
        Root of the precision of γ: S^(−1/2)R⁻¹.
    away : (p,) array
        S^(−1/2)(m − β_ols).
    numbers : (2,) array
        n − p, which stands before log σ², and the constant.
    """

    half: Array
    away: Array
    numbers: Array


class Given(NamedTuple):
    """γ's distribution given the variance parameters: normal, with mean γ̃ and covariance σ²C⁻¹.

    Attributes
    ----------
    root : (p, p) array
        Lower Cholesky factor of C.
    over_pivots : (p,) array
        Inverse of its diagonal.
    gamma : (p,) array
        γ̃.
    residual : float
        (y − Xβ̃)'V⁻¹(y − Xβ̃).
    twice : float
        −2 log of the density, less log |WV| and what doesn't depend on anything.
    shrunk : float
        tr C⁻¹S⁻¹.
    """

    root: Array
    over_pivots: Array
    gamma: Array
    residual: float
    twice: float
    shrunk: float


@numba.njit(cache=True, nogil=True, error_model="numpy")
def given_variances(f: Fixed, RVR: Array, sigma2: float) -> Given:
    """Least squares with the prior; see :func:`bimixed.marginal.density.marginal`."""
    p = len(f.away)
    root, gamma, over = np.zeros((p, p)), np.zeros(p), np.zeros(p)
    twice = f.numbers[0] * np.log(sigma2)
    for i in range(p):
        right = RVR[i, p]
        for k in range(p):
            right += sigma2 * f.half[k, i] * f.away[k]
        for j in range(i + 1):
            total = RVR[i, j]
            for k in range(p):
                total += sigma2 * f.half[k, i] * f.half[k, j]
            for k in range(j):
                total -= root[i, k] * root[j, k]
            root[i, j] = np.sqrt(total) if i == j else total * over[j]
            if i == j:
                over[i] = 1.0 / root[i, i]
        for j in range(i):
            right -= root[i, j] * gamma[j]
        gamma[i] = right * over[i]
        twice += 2.0 * np.log(root[i, i])
    for i in range(p - 1, -1, -1):
        gamma[i] *= over[i]
        for j in range(i):
            gamma[j] -= root[i, j] * gamma[i]
    residual, shrunk = RVR[p, p], 0.0
    column = np.zeros(p)
    for i in range(p):
        residual -= 2.0 * gamma[i] * RVR[i, p]
        left = -f.away[i]
        for j in range(p):
            residual += gamma[i] * RVR[i, j] * gamma[j]
            left += f.half[i, j] * gamma[j]
            total = f.half[i, j]
            for k in range(j):
                total -= root[j, k] * column[k]
            column[j] = total * over[j]
            shrunk += column[j] ** 2
        twice += left * left
    return Given(root, over, gamma, residual, twice + residual / sigma2, shrunk)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def draw_gamma(given: Given, sigma: float, normal: Array, out: Array) -> None:
    """γ from standard normal numbers (p,)."""
    p = len(given.gamma)
    for i in range(p - 1, -1, -1):
        total = normal[i]
        for j in range(i + 1, p):
            total -= given.root[j, i] * out[j]
        out[i] = total * given.over_pivots[i]
    for i in range(p):
        out[i] = given.gamma[i] + sigma * out[i]
