"""Variance parameters without bounds: factors, priors, slopes, as in :mod:`bimixed.marginal.scales`."""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array

Ints = NDArray[np.int64]

FAMILIES = ("half_normal", "half_student_t", "exponential", "gamma", "uniform", "flat")
HALF_NORMAL, HALF_STUDENT_T, EXPONENTIAL, GAMMA, UNIFORM, FLAT = range(6)
NOT_ZERO = 1e-8
"""As in :mod:`bimixed.marginal.scales`."""
PLACE, ROW, SIZE, START = 0, 1, 2, 3


class Parameters(NamedTuple):
    """The coordinates of a model.

    Attributes
    ----------
    size : (F,) int array
        Coefficients, by place of the factor.
    blocks : (B, 4) int array
        Place of the factor, first row there, coefficients d, and first coordinate: d of sds, then the
        partial correlations by rows.
    family : (m,) int array
        Of each coordinate's prior among ``FAMILIES``; −1 for correlations.
    prior : (m, 4) array
        Two parameters, the constant of the log-density, and c of c sinh z or 0; for correlations power,
        nothing and constant.
    M_inverse : (F, K, K) array
        From b to the coordinates of the cross-products, by place.
    unit : (1,) array
        Residual sd of the cross-products per σ.
    centre, root : (m,), (m, m) arrays
        z = centre + root w: what is sampled is w.
    """

    size: Ints
    blocks: Ints
    family: Ints
    prior: Array
    M_inverse: Array
    unit: Array
    centre: Array
    root: Array


@numba.njit(cache=True, nogil=True, error_model="numpy")
def scale_value(family: int, prior: Array, z: float) -> tuple[float, float]:
    """The parameter at z, and its derivative; of either sign where it turns."""
    turn = prior[3]
    if turn > 0.0:
        x = turn * np.sinh(z)
        if abs(x) < NOT_ZERO * turn:
            x = NOT_ZERO * turn if x >= 0.0 else -NOT_ZERO * turn
        return x, turn * np.cosh(z)
    if family != UNIFORM:
        x = np.exp(z)
        return x, x
    width, share = prior[1] - prior[0], 1.0 / (1.0 + np.exp(-z))
    return prior[0] + width * share, width * share * (1.0 - share)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def log_scale_prior(family: int, prior: Array, z: float) -> tuple[float, float]:
    """Log-density in z, and its slope."""
    a, b, constant = prior[0], prior[1], prior[2]
    if family == UNIFORM:
        return constant - np.log1p(np.exp(-abs(z))) * 2.0 - abs(z), -np.tanh(0.5 * z)
    x, rate = scale_value(family, prior, z)
    value, slope = constant + np.log(rate), (1.0 if prior[3] == 0.0 else np.tanh(z))
    if family == HALF_NORMAL:
        t = x / a
        return value - 0.5 * t * t, slope - t / a * rate
    if family == HALF_STUDENT_T:
        t = x / b
        return value - 0.5 * (a + 1.0) * np.log1p(t * t / a), slope - (a + 1.0) * t / (a + t * t) / b * rate
    if family == EXPONENTIAL:
        return value - a * abs(x), slope - (a * rate if x >= 0.0 else -a * rate)
    if family == GAMMA:
        return value + (a - 1.0) * z - b * x, slope + (a - 1.0) - b * x
    return value, slope


@numba.njit(cache=True, nogil=True, error_model="numpy")
def log_prior(p: Parameters, z: Array, slope: Array) -> float:
    """Log-density of the priors in z; its slope is added."""
    value = 0.0
    for i in range(len(z)):
        if p.family[i] >= 0:
            v, d = log_scale_prior(p.family[i], p.prior[i], z[i])
        else:
            t = np.tanh(z[i])
            # log(1 − tanh²) without its cancellation
            log_rest = -2.0 * (abs(z[i]) + np.log1p(np.exp(-2.0 * abs(z[i]))) - np.log(2.0))
            v, d = p.prior[i, 2] + p.prior[i, 0] * log_rest, -2.0 * p.prior[i, 0] * t
        value += v
        slope[i] += d
    return value


@numba.njit(cache=True, nogil=True, error_model="numpy")
def absolute_factors(p: Parameters, z: Array, out: Array) -> None:
    """Lower Cholesky factors of the covariances of b, by place (F, K, K)."""
    for n in range(len(p.blocks)):
        place, row, d, start = p.blocks[n]
        at = start + d
        for i in range(d):
            sd = scale_value(p.family[start + i], p.prior[start + i], z[start + i])[0]
            left = 1.0
            for j in range(i):
                out[place, row + i, row + j] = sd * np.tanh(z[at]) * left
                left /= np.cosh(z[at])
                at += 1
            out[place, row + i, row + i] = sd * left


@numba.njit(cache=True, nogil=True, error_model="numpy")
def own_factors(p: Parameters, factors: Array, unit: float, out: Array) -> None:
    """Relative factors in the coordinates of the cross-products."""
    K = factors.shape[1]
    for f in range(len(factors)):
        for a in range(K):
            for b in range(a + 1):
                total = 0.0
                for c in range(b, a + 1):
                    total += p.M_inverse[f, a, c] * factors[f, c, b]
                out[f, a, b] = total / unit


@numba.njit(cache=True, nogil=True, error_model="numpy")
def factor_slopes(p: Parameters, T: Array, scores: Array, unit: float, out: Array) -> None:
    """∂/∂(factors of b) = −M'⁻¹T'⁻¹ scores / unit, by place."""
    K = T.shape[1]
    x = np.zeros((K, K))
    for f in range(len(p.size)):
        k = p.size[f]
        for b in range(k):
            for a in range(k - 1, -1, -1):
                total = scores[f, a, b]
                for c in range(a + 1, k):
                    total -= T[f, c, a] * x[c, b]
                x[a, b] = total / T[f, a, a]
            for a in range(k):
                total = 0.0
                for c in range(a, k):
                    total += p.M_inverse[f, c, a] * x[c, b]
                out[f, a, b] = -total / unit


@numba.njit(cache=True, nogil=True, error_model="numpy")
def pull_back(p: Parameters, z: Array, factors: Array, slopes: Array, out: Array) -> None:
    """Slopes in z, added to out, from those in the factors."""
    for n in range(len(p.blocks)):
        place, row, d, start = p.blocks[n]
        L, D = factors[place], slopes[place]
        at = start + d
        for i in range(d):
            sd, rate = scale_value(p.family[start + i], p.prior[start + i], z[start + i])
            total = 0.0
            for j in range(i + 1):
                total += D[row + i, row + j] * L[row + i, row + j]
            out[start + i] += rate * total / sd
            left = sd
            for j in range(i):
                t, shrink = np.tanh(z[at]), 1.0 / np.cosh(z[at])
                # ∂L_ij/∂z = left (1 − t²), ∂L_ik/∂z = −t L_ik for later k
                total = D[row + i, row + j] * left * shrink * shrink
                for k in range(j + 1, i + 1):
                    total -= t * D[row + i, row + k] * L[row + i, row + k]
                out[at] += total
                left *= shrink
                at += 1
