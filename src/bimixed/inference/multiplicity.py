"""p-values and limits of several comparisons at a time."""

import numpy as np

from bimixed.covariance import Array
from bimixed.exceptions import DataError
from bimixed.results.student import t_quantile, two_sided_t

ADJUSTMENTS = ("tukey", "dunnett", "mvt", "holm", "bonferroni", "sidak", "fdr", "none")
SINGULAR = 1e-10
"""Share of the largest eigenvalue below which a correlation has no direction."""
LOG2_POINTS = 15
MOST = 10_000
"""Comparisons for which Bonferroni's quantile bounds the search."""


def adjusted_p(statistic: Array, df: Array, adjust: str, family: int, correlation: Array | None) -> Array:
    """p-values adjusted for all k comparisons.

    Parameters
    ----------
    statistic, df : (k,) arrays
    adjust : str
        One of ``ADJUSTMENTS``.
    family : int
        Means compared, of Tukey's studentized range.
    correlation : (k, k) array or None
        Of the comparisons, for "dunnett" and "mvt".
    """
    raw, k = two_sided_t(statistic, df), len(statistic)
    match adjust:
        case "none":
            return raw
        case "bonferroni":
            return np.minimum(1.0, k * raw)
        case "sidak":
            return -np.expm1(k * np.log1p(-raw))
        case "holm":
            order = np.argsort(raw)
            stepped = np.maximum.accumulate(np.minimum(1.0, raw[order] * (k - np.arange(k))))
            return stepped[np.argsort(order)]
        case "fdr":
            order = np.argsort(raw)[::-1]
            stepped = np.minimum.accumulate(raw[order] * k / np.arange(k, 0, -1))
            return stepped[np.argsort(order)]
        case "tukey":
            from scipy.stats import studentized_range

            return np.array(
                [
                    studentized_range.sf(np.sqrt(2.0) * abs(t), family, min(v, 1e5))
                    for t, v in zip(statistic, df, strict=True)
                ]
            )
    assert correlation is not None
    largest = LargestT(correlation)
    return np.array([1.0 - largest.within(abs(t), v) for t, v in zip(statistic, df, strict=True)])


def critical_values(df: Array, adjust: str, family: int, correlation: Array | None, level: float) -> Array:
    """Limits are estimate ± these times the standard error, (k,); Holm's and fdr have those of Bonferroni."""
    k, tail = len(df), 1.0 - level
    match adjust:
        case "none":
            return t_quantile(1.0 - tail / 2.0, df)
        case "bonferroni" | "holm" | "fdr":
            return t_quantile(1.0 - tail / (2.0 * k), df)
        case "sidak":
            return t_quantile(0.5 + 0.5 * level ** (1.0 / k), df)
        case "tukey":
            found = {v: _studentized_quantile(level, family, min(v, 1e5)) for v in set(df)}
            return np.array([found[v] for v in df]) / np.sqrt(2.0)
    assert correlation is not None
    largest = LargestT(correlation)
    found = {v: largest.quantile(level, v) for v in set(df)}
    return np.array([found[v] for v in df])


def _studentized_quantile(level: float, family: int, df: float) -> float:
    """Between the t quantiles of one comparison and of Bonferroni's probability.

    In logarithms the tail is close to a straight line, so that SciPy's own search, which isn't in logarithms,
    takes several times as many integrals.
    """
    from scipy.optimize import brentq
    from scipy.stats import studentized_range

    tail, pairs = 1.0 - level, family * (family - 1) / 2
    low, high = (np.sqrt(2.0) * float(t_quantile(1.0 - t / 2.0, np.array(df))) for t in (tail, tail / pairs))
    if pairs == 1:
        return low

    def excess(log_q: float) -> float:
        return float(np.log(max(studentized_range.sf(np.exp(log_q), family, df), 1e-300) / tail))

    return float(np.exp(brentq(excess, np.log(low), np.log(1.01 * high), xtol=1e-8)))


class LargestT:
    """The largest of several |T_i| with a common denominator, of any correlation, singular ones included.

    T = R Au with u uniform on the sphere of the rank's dimension r and R²/r an F variable (Deák 1980), so
    that P(max |T_i| ≤ c) is the mean over u of F's distribution at c² / (r max (Au)²): a smooth
    function, whose mean over 2¹⁵ quasi-random directions is known to 1e-4 or better. The same
    numbers every time.
    """

    def __init__(self, correlation: Array):
        from scipy.special import ndtri
        from scipy.stats import qmc

        values, vectors = np.linalg.eigh(correlation)
        used = values > SINGULAR * values.max()
        root = vectors[:, used] * np.sqrt(values[used])
        self.rank = int(used.sum())
        points = qmc.Sobol(self.rank, scramble=True, rng=np.random.default_rng(0)).random_base2(LOG2_POINTS)
        directions = ndtri(np.clip(points, 1e-15, 1.0 - 1e-15))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        self.squares = np.max((directions @ root.T) ** 2, axis=1)

    def within(self, c: float, df: float) -> float:
        """P(all |T_i| ≤ c)."""
        from scipy.special import chdtr, fdtr

        at = c**2 / self.squares
        if np.isinf(df):
            return float(np.mean(chdtr(self.rank, at)))
        return float(np.mean(fdtr(self.rank, df, at / self.rank)))

    def quantile(self, level: float, df: float) -> float:
        """The c for which that is ``level``."""
        from scipy.optimize import brentq

        low = float(t_quantile(0.5 + level / 2.0, np.array(df)))
        high = float(t_quantile(1.0 - (1.0 - level) / (2.0 * MOST), np.array(df)))
        return float(brentq(lambda c: self.within(c, df) - level, 0.99 * low, high, xtol=1e-8))


def check_adjust(adjust: str) -> None:
    if adjust not in ADJUSTMENTS:
        raise DataError(f"adjust is {adjust!r}; choose one of {', '.join(map(repr, ADJUSTMENTS))}.")
