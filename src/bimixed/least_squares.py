"""Least squares of the fixed part: as it is, with coefficients of each level, of level means."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.design import Design, RandomFactor
from bimixed.design.fixed import independent_columns
from bimixed.likelihood.small import sum_by

ALIASED = 1e-9
"""Share of a column that the levels' own columns leave of it, below which they determine it."""
SINGULAR = 1e-10
"""Eigenvalue of a level's columns, scaled to length 1, below which its rows can't tell them apart."""


@dataclass(frozen=True)
class LeastSquares:
    """Coefficients with their standard errors, NaN where there is no estimate.

    Attributes
    ----------
    beta, std_errors : arrays of one shape
    df : int
        Residual degrees of freedom.
    rmse : float
        √(SSE/df), NaN without degrees of freedom.
    """

    beta: Array
    std_errors: Array
    df: int
    rmse: float


def least_squares(design: Design) -> LeastSquares:
    """The fixed part without any random effect."""
    X, y, root = _weighted(design)
    return _of_columns(X * root[:, None], y * root)


def of_level_means(design: Design, factor: RandomFactor) -> LeastSquares:
    """Means of the levels on the means of their columns; each counts alike."""
    X, y, root = _weighted(design)
    weights, L = root**2, factor.n_levels
    total = sum_by(factor.codes, weights[:, None], L)
    means = sum_by(factor.codes, np.column_stack([X, y]) * weights[:, None], L) / total
    return _of_columns(means[:, :-1], means[:, -1])


def of_levels(
    design: Design, factor: RandomFactor, own: list[int], rest: Array | None = None
) -> LeastSquares:
    """Coefficients of each level, (L, K'), of the factor's columns ``own``, by the level's rows alone.

    ``rest`` is the response less what other columns say; the residual variance is one for all levels.
    """
    _, y, root = _weighted(design)
    levels = Levels(factor, own, root)
    target = (y if rest is None else rest) * root
    beta = levels.solve(target[:, None])[:, :, 0]
    sse = float(np.sum((target - levels.times(beta[:, :, None])[:, 0]) ** 2))
    df = design.n - levels.rank
    rmse = float(np.sqrt(sse / df)) if df > 0 else np.nan
    with np.errstate(invalid="ignore"):
        errors = rmse * np.sqrt(np.einsum("lkk->lk", levels.inverse))
    known = levels.known[:, None]
    return LeastSquares(np.where(known, beta, np.nan), np.where(known, errors, np.nan), df, rmse)


def with_levels(design: Design, factor: RandomFactor, own: list[int]) -> tuple[LeastSquares, LeastSquares]:
    """The fixed part beside coefficients of each level: those of X, (p,), and of the first level, (K',).

    Columns of X that the levels' own determine have no estimate.
    """
    X, y, root = _weighted(design)
    X, y = X * root[:, None], y * root
    levels = Levels(factor, own, root)
    both = np.column_stack([X, y])
    left = both - levels.times(levels.solve(both))
    size = np.linalg.norm(X, axis=0)
    gone = np.linalg.norm(left[:, :-1], axis=0) <= ALIASED * size
    left[:, :-1][:, gone] = 0.0
    rest = _of_columns(left[:, :-1], left[:, -1], levels.rank)
    beta = np.nan_to_num(rest.beta)
    first = levels.solve(both)[0]
    kept = np.flatnonzero(~np.isnan(rest.beta))
    cov = np.linalg.pinv(left[:, kept].T @ left[:, kept], hermitian=True)
    moved = first[:, kept]
    variance = np.diag(levels.inverse[0]) + np.einsum("kp,pq,kq->k", moved, cov, moved)
    estimate = first[:, -1] - first[:, :-1] @ beta
    unknown = not levels.known[0]
    own_fit = LeastSquares(
        np.full(len(own), np.nan) if unknown else estimate,
        np.full(len(own), np.nan) if unknown else rest.rmse * np.sqrt(variance),
        rest.df,
        rest.rmse,
    )
    return _without_aliased(rest, left[:, :-1], gone), own_fit


def _without_aliased(found: LeastSquares, left: Array, gone: NDArray[np.bool_]) -> LeastSquares:
    """No estimate of coefficients that could be exchanged for others beside the levels' own."""
    kept = ~np.isnan(found.beta)
    dropped = np.flatnonzero(~kept & ~gone)
    if not len(dropped):
        return found
    size = np.linalg.norm(left, axis=0)
    share = np.linalg.lstsq(left[:, kept] / size[kept], left[:, dropped] / size[dropped])[0]
    aliased = np.flatnonzero(kept)[np.abs(share).max(axis=1) > ALIASED]
    beta, errors = found.beta.copy(), found.std_errors.copy()
    beta[aliased], errors[aliased] = np.nan, np.nan
    return replace(found, beta=beta, std_errors=errors)


def root_of_weights(design: Design) -> Array:
    """(n,), 1 without weights."""
    return np.ones(design.n) if design.weights is None else np.sqrt(design.weights)


def _weighted(design: Design) -> tuple[Array, Array, Array]:
    """X dense, the response less the offset, and roots of the weights."""
    X = np.zeros((design.n, len(design.names)))
    X[:, design.kept] = np.asarray(design.X_kept)
    y = design.y if design.offset is None else design.y - design.offset
    return X, y, root_of_weights(design)


def _of_columns(X: Array, y: Array, taken: int = 0) -> LeastSquares:
    """On the independent ones of the columns; ``taken`` degrees of freedom are gone already."""
    p = X.shape[1]
    used = np.flatnonzero(np.any(X != 0.0, axis=0))
    kept = used[independent_columns(X[:, used])] if len(used) else used
    beta, errors = np.full(p, np.nan), np.full(p, np.nan)
    own = X[:, kept]
    size = np.linalg.norm(own, axis=0)
    coefficients = np.linalg.lstsq(own / size, y)[0] / size
    df = len(y) - len(kept) - taken
    sse = float(np.sum((y - own @ coefficients) ** 2))
    rmse = float(np.sqrt(sse / df)) if df > 0 else np.nan
    R = np.linalg.qr(own / size, mode="r")
    root = np.linalg.inv(R) if len(kept) else R
    beta[kept] = coefficients
    errors[kept] = rmse * np.linalg.norm(root, axis=1) / size
    return LeastSquares(beta, errors, df, rmse)


class Levels:
    """Columns of each level, which are 0 in the rows of all others.

    Parameters
    ----------
    factor : RandomFactor
    own : list of int
        Coefficients of the factor.
    root : (n,) array
        Roots of the weights.
    """

    def __init__(self, factor: RandomFactor, own: list[int], root: Array):
        self.codes, self.L = factor.codes, factor.n_levels
        self.Z = factor.values[:, own] * root[:, None]
        A = sum_by(self.codes, self.Z[:, :, None] * self.Z[:, None, :], self.L)
        size = np.sqrt(np.einsum("lkk->lk", A))
        size = np.where(size > 0.0, size, 1.0)
        values, vectors = np.linalg.eigh(A / (size[:, :, None] * size[:, None, :]))
        steep = values > SINGULAR
        inverse = np.where(steep, 1.0 / np.where(steep, values, 1.0), 0.0)
        self.inverse = np.einsum("lak,lk,lbk->lab", vectors, inverse, vectors)
        self.inverse /= size[:, :, None] * size[:, None, :]
        self.known = steep.all(axis=1)
        self.rank = int(steep.sum())

    def solve(self, right: Array) -> Array:
        """Coefficients of each level, (L, K, r), of right sides (n, r)."""
        return np.asarray(self.inverse @ sum_by(self.codes, self.Z[:, :, None] * right[:, None, :], self.L))

    def times(self, coefficients: Array) -> Array:
        """(n, r), of coefficients (L, K, r)."""
        return np.einsum("nk,nkr->nr", self.Z, coefficients[self.codes])
