"""R-hat and effective sample sizes of many scalars at once.

Rank-normalised split R-hat, and bulk and tail ESS, by the definitions of Vehtari, Gelman, Simpson, Carpenter
and Bürkner (2021), sections 3 and 4, with Geyer's (1992) initial monotone sequence. ArviZ computes the same
numbers scalar by scalar, which takes longer than sampling where there are thousands of random effects: here
scalars go in blocks, and autocovariances are only computed as far as the sequence reaches.
"""

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array

BLOCK = 64
"""Scalars at one time: their draws stay in the processor's cache."""
TAILS = (0.05, 0.95)
"""Quantiles whose effective sample size is the tail's."""


@dataclass(frozen=True)
class Efficiency:
    """Of each scalar, (scalars,) arrays.

    Attributes
    ----------
    rhat, bulk, tail : arrays
        R-hat is NaN of a single chain.
    """

    rhat: Array
    bulk: Array
    tail: Array


def efficiency(draws: Array) -> Efficiency:
    """Of draws (chain, draw, scalar)."""
    from concurrent.futures import ThreadPoolExecutor

    blocks = [draws[:, :, i : i + BLOCK] for i in range(0, draws.shape[2], BLOCK)]
    with ThreadPoolExecutor(min(len(blocks), os.cpu_count() or 1)) as pool:
        parts = list(pool.map(_of_block, blocks))
    return Efficiency(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _of_block(draws: Array) -> tuple[Array, Array, Array]:
    chains, n, scalars = draws.shape
    x = np.ascontiguousarray(draws.transpose(2, 0, 1))
    half = n // 2
    split = x if n == 2 * half else np.concatenate([x[:, :, :half], x[:, :, n - half :]], axis=2)
    split = split.reshape(scalars, 2 * chains, half)
    flat = split.reshape(scalars, -1)
    order = np.argsort(flat, axis=1)
    ordered = np.take_along_axis(flat, order, axis=1)
    z = _normal_scores(ordered, order).reshape(split.shape)
    rhat = np.full(scalars, np.nan)
    if chains > 1:
        # distances from the median in the order of values: a falling and a rising run, which merge in no time
        folded = np.abs(ordered - np.median(ordered, axis=1)[:, None])
        within = np.argsort(folded, axis=1, kind="stable")
        scores = _normal_scores(
            np.take_along_axis(folded, within, axis=1), np.take_along_axis(order, within, axis=1)
        )
        rhat = np.maximum(_rhat(z), _rhat(scores.reshape(split.shape)))
    whole = ordered if n == 2 * half else x.reshape(scalars, -1)
    limits = np.quantile(whole, TAILS, axis=1)
    tails = [_ess((split <= limit[:, None, None]).astype(np.float64)) for limit in limits]
    return rhat, _ess(z), np.minimum(*tails)


def _normal_scores(ordered: Array, order: NDArray[np.intp]) -> Array:
    """Φ⁻¹((rank − 3/8)/(S + 1/4)) at the places from which the ordered values came, (scalars, S)."""
    from scipy.special import ndtri

    S = ordered.shape[1]
    scores = np.broadcast_to(ndtri((np.arange(1, S + 1) - 0.375) / (S + 0.25)), ordered.shape)
    tied = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
    if len(tied):
        scores = scores.copy()
    for i in tied:  # equal values share their mean rank
        _, place, count = np.unique(ordered[i], return_inverse=True, return_counts=True)
        last = np.cumsum(count)
        scores[i] = ndtri((last - (count - 1) / 2.0 - 0.375) / (S + 0.25))[place]
    out = np.empty_like(ordered)
    np.put_along_axis(out, order, scores, axis=1)
    return out


def _rhat(x: Array) -> Array:
    n = x.shape[2]
    between = n * x.mean(axis=2).var(axis=1, ddof=1)
    within = x.var(axis=2, ddof=1).mean(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sqrt((between / within + n - 1) / n))


def _ess(x: Array) -> Array:
    """Effective draws of (scalars, chains, draws)."""
    scalars, chains, n = x.shape
    means = x.mean(axis=2)
    centred = x - means[:, :, None]
    share = 1.0 / (chains * n)
    own = np.einsum("bcn,bcn->b", centred, centred) * share
    within = own * n / (n - 1.0)
    total = own + (means.var(axis=1, ddof=1) if chains > 1 else 0.0)
    moving = total > 0.0
    total = np.where(moving, total, 1.0)

    def correlation(rows: NDArray[np.intp], lag: int) -> Array:
        here = centred[rows]
        products = np.einsum("bcn,bcn->b", here[:, :, : n - lag], here[:, :, lag:])
        return np.asarray(1.0 - (within[rows] - products * share) / total[rows])

    everything = np.arange(scalars)
    even, pair = np.ones(scalars), 1.0 + correlation(everything, 1)
    tau, smallest = np.full(scalars, -1.0), pair.copy()
    active = np.flatnonzero(pair > 0.0)
    lag = 1
    while len(active) and lag < n - 3:
        tau[active] += 2.0 * smallest[active]
        even[active] = correlation(active, lag + 1)
        pair = even[active] + correlation(active, lag + 2)
        smallest[active] = np.minimum(smallest[active], pair)
        active = active[pair > 0.0]
        lag += 2
    tau += np.maximum(even, 0.0)
    size = chains * n
    return np.where(moving, size / np.maximum(tau, 1.0 / np.log10(size)), size)
