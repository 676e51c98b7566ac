"""Are ranks uniform? Exact p-values and simultaneous bands for their ECDF and their histogram.

Ranks that are uniform on 0, …, C − 1 have counts of n in C cells that are multinomial, and counts of all
below a cell that are binomial. A band keeps each count within the same binomial tail probability, chosen
such that all of them hold together with the probability wanted (Säilynoja, Bürkner and Vehtari 2022). That
joint probability is computed, not simulated: multinomial counts are independent Poisson ones given
their sum, whose running total is a Markov chain.
"""

from functools import cache

import numpy as np
from scipy import stats

Array = np.ndarray
LEVEL = 0.99
NOTHING = 1e-25


def chance_inside(n: int, shares: Array, running: Array | None = None, own: Array | None = None) -> float:
    """Probability that multinomial counts stay where they may.

    Parameters
    ----------
    n : int
    shares : (C,) array
        Probabilities of the cells.
    running : (C − 1, n + 1) bool array, optional
        Whether the first i cells together may have this count.
    own : (C, n + 1) bool array, optional
        Whether a cell may.
    """
    counts = np.arange(n + 1)
    law = np.zeros(n + 1)
    law[0] = 1.0
    for i, share in enumerate(shares):
        step = stats.poisson.pmf(counts, n * share)
        step = step[: np.flatnonzero(step > NOTHING)[-1] + 1]
        if own is not None:
            step = step * own[i, : len(step)]
        law = np.convolve(law, step)[: n + 1]
        if running is not None and i < len(running):
            law = law * running[i]
    return float(min(law[n] / stats.poisson.pmf(n, n), 1.0))


def tails(n: int, share: float) -> Array:
    """Twice the smaller tail probability of every binomial count, (n + 1,)."""
    counts = np.arange(n + 1)
    law = stats.binom(n, share)
    return np.minimum(2.0 * np.minimum(law.cdf(counts), law.sf(counts - 1)), 1.0)


@cache
def running_tails(n: int, cells: int) -> Array:
    """Of the first 1, …, C − 1 cells together, (C − 1, n + 1)."""
    return np.array([tails(n, i / cells) for i in range(1, cells)])


@cache
def own_tails(n: int, cells: int) -> Array:
    """Of each cell, (C, n + 1)."""
    return np.tile(tails(n, 1.0 / cells), (cells, 1))


def ecdf_p(ranks: Array, cells: int) -> float:
    """p-value of uniform ranks by the largest departure of their ECDF."""
    n = len(ranks)
    below = np.cumsum(np.bincount(ranks, minlength=cells))[:-1]
    all_tails = running_tails(n, cells)
    least = all_tails[np.arange(cells - 1), below].min()
    return 1.0 - chance_inside(n, np.full(cells, 1.0 / cells), running=all_tails > least)


def binned(ranks: Array, cells: int, bins: int) -> Array:
    """Bars of the histogram, (bins,)."""
    return np.bincount(ranks.astype(np.int64) * bins // cells, minlength=bins)


def histogram_p(ranks: Array, cells: int, bins: int) -> float:
    """p-value of uniform ranks by the most unusual bar of their histogram."""
    n = len(ranks)
    counts = binned(ranks, cells, bins)
    all_tails = own_tails(n, bins)
    least = all_tails[np.arange(bins), counts].min()
    return 1.0 - chance_inside(n, np.full(bins, 1.0 / bins), own=all_tails > least)


@cache
def critical_tail(n: int, cells: int, level: float = LEVEL, histogram: bool = False) -> float:
    """The largest tail probability whose band holds with this probability.

    A curve or a bar leaves the band where its own p-value is at most 1 − level.
    """
    all_tails = own_tails(n, cells) if histogram else running_tails(n, cells)
    low, high = (1.0 - level) / (2.0 * cells), 1.0 - level
    while high / low > 1.0 + 1e-6:
        middle = float(np.sqrt(low * high))
        allowed = {"own" if histogram else "running": all_tails > middle}
        inside = chance_inside(n, np.full(cells, 1.0 / cells), **allowed)
        low, high = (middle, high) if inside >= level else (low, middle)
    return low


def ecdf_band(n: int, cells: int, level: float = LEVEL) -> tuple[Array, Array]:
    """Least and largest counts of the first 1, …, C − 1 cells together, inside the band."""
    allowed = running_tails(n, cells) > critical_tail(n, cells, level)
    return allowed.argmax(axis=1), n - allowed[:, ::-1].argmax(axis=1)


def histogram_band(n: int, bins: int, level: float = LEVEL) -> tuple[int, int]:
    """Least and largest bar inside the band."""
    allowed = np.flatnonzero(tails(n, 1.0 / bins) > critical_tail(n, bins, level, True))
    return int(allowed[0]), int(allowed[-1])


def power(n: int, cells: int, shift: float = 0.0, spread: float = 1.0) -> float:
    """Chance that the ECDF leaves its band where posteriors are normal, but shifted or too wide.

    Parameters
    ----------
    n, cells : int
    shift : float
        Of the mean, in true posterior sds.
    spread : float
        Sd, in true ones.
    """
    edges = stats.norm.ppf(np.arange(cells + 1) / cells)
    shares = np.diff(stats.norm.cdf(shift + spread * edges))
    return 1.0 - chance_inside(n, shares, running=running_tails(n, cells) > critical_tail(n, cells))


def found_from(n: int, cells: int, what: str, chance: float = 0.9) -> float:
    """The smallest shift (in sds), or excess of the spread, that leaves the band with this chance."""
    low, high = 0.0, 1.0
    while high - low > 1e-3:
        middle = 0.5 * (low + high)
        error = {"shift": middle} if what == "shift" else {"spread": 1.0 + middle}
        low, high = (low, middle) if power(n, cells, **error) >= chance else (middle, high)
    return high
