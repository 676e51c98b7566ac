"""The standard normal distribution; SciPy's special functions load with the first use."""

import numpy as np

from bimixed.covariance import Array


def quantile(p: float) -> float:
    """Φ⁻¹(p)."""
    from scipy.special import ndtri

    return float(ndtri(p))


def two_sided_p(statistic: Array) -> Array:
    """2 Φ(−|z|), by the lower tail so that small values keep their digits."""
    from scipy.special import ndtr

    return np.asarray(2.0 * ndtr(-np.abs(statistic)))


def coverage(zeta: float) -> float:
    """Probability within ±|ζ|."""
    from scipy.special import ndtr

    return float(1.0 - 2.0 * ndtr(-abs(zeta)))
