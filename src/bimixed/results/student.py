"""Student's t and the F distribution, infinite degrees of freedom included; SciPy loads with use."""

import numpy as np

from bimixed.covariance import Array


def t_quantile(p: float, df: Array) -> Array:
    """Quantiles, one for each df; NaN where df is."""
    from scipy.special import ndtri, stdtrit

    df = np.asarray(df, dtype=float)
    return np.where(np.isinf(df), ndtri(p), stdtrit(np.where(np.isinf(df), 1.0, df), p))


def two_sided_t(statistic: Array, df: Array) -> Array:
    """P(|T| > |t|), by the lower tail so that small values keep their digits."""
    from scipy.special import ndtr, stdtr

    df, below = np.asarray(df, dtype=float), -np.abs(statistic)
    return 2.0 * np.where(np.isinf(df), ndtr(below), stdtr(np.where(np.isinf(df), 1.0, df), below))


def f_tail(statistic: float, num_df: float, den_df: float) -> float:
    """P(F > statistic)."""
    from scipy.special import chdtrc, fdtrc

    if np.isinf(den_df):
        return float(chdtrc(num_df, num_df * statistic))
    return float(fdtrc(num_df, den_df, statistic))
