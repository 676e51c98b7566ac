"""Exact finite-sample null distribution of the (restricted) likelihood ratio of one variance component.

With one random effect per level, the profiled likelihood depends on the response through independent normal
variables w_s alone: with μ the eigenvalues of Z'P₀Z, P₀ the projection off X (weights taken in), and ξ those
of Z'Z,

    LR = sup over λ ≥ 0 of  df · log( Σw² / (Σ w_s²/(1 + λμ_s) + Σ_rest w²) ) − Σ log(1 + λ·)

with df = n − p and μ in the last sum for REML, df = n and ξ for ML (Crainiceanu and Ruppert 2004).
Nothing in it depends on β, σ or the data.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts

Indices = NDArray[np.intp]

LARGEST = 4_000
"""Rows of a matrix whose eigenvalues are computed."""
GRID = 10.0 ** np.linspace(-4.0, 7.0, 111)
"""λ times the mean of the eigenvalues."""
SECTIONS = 22
"""Golden sections of the bracket around the best of the grid, 1e-5 of whose width they leave."""
NUMBERS = 4_000_000
"""In the largest array."""


@dataclass(frozen=True)
class Spectrum:
    """What the null distribution depends on.

    Attributes
    ----------
    mu, counts : (k,) arrays
        Distinct positive eigenvalues of Z'P₀Z, and how often each occurs.
    xi, xi_counts : (l,) arrays
        Those of the sum of logarithms.
    rest : int
        Squared normals beside these, n − p − Σ counts.
    df : int
    """

    mu: Array
    counts: Array
    xi: Array
    xi_counts: Array
    rest: int
    df: int

    @staticmethod
    def of(cp: CrossProducts, reml: bool) -> "Spectrum | None":
        """Of a model with one random coefficient; None where there are too many levels for it."""
        found = _matrices(cp)
        if found is None:
            return None
        ZZ, ZQ = found
        eigenvalues = _projected(ZZ, ZQ)
        if eigenvalues is None:
            return None
        mu, counts = _distinct(eigenvalues)
        xi, xi_counts = mu, counts
        if not reml:
            xi, xi_counts = _distinct(ZZ if ZZ.ndim == 1 else scipy.linalg.eigvalsh(ZZ))
        return Spectrum(mu, counts, xi, xi_counts, cp.n - cp.p - int(counts.sum()), cp.df(reml))

    def simulate(self, n: int, rng: np.random.Generator, tell: Callable[[int], None]) -> Array:
        """Likelihood ratios of n responses without the variance, (n,)."""
        step = max(1, NUMBERS // max(len(self.mu), len(GRID)))
        parts = []
        for first in range(0, n, step):
            size = min(step, n - first)
            w2 = rng.chisquare(self.counts, size=(size, len(self.counts)))
            rest = rng.chisquare(self.rest, size=size) if self.rest else np.zeros(size)
            parts.append(self._largest(w2, rest))
            tell(first + size)
        return np.concatenate(parts)

    def _largest(self, w2: Array, rest: Array) -> Array:
        """The ratio at its best λ for each row of squared normals."""
        total = w2.sum(axis=1) + rest
        grid = GRID / np.average(self.xi, weights=self.xi_counts)
        left = w2 @ (1.0 / (1.0 + np.outer(self.mu, grid))) + rest[:, None]
        values = self.df * (np.log(total)[:, None] - np.log(left)) - self._log_det(grid)
        best = values.argmax(axis=1)
        step = np.log(grid[1] / grid[0])
        lower, upper = np.log(grid[best]) - step, np.log(grid[best]) + step
        golden = 0.5 * (np.sqrt(5.0) - 1.0)

        def at(log_lambda: Array) -> Array:
            lam = np.exp(log_lambda)
            left = np.sum(w2 / (1.0 + lam[:, None] * self.mu), axis=1) + rest
            return self.df * (np.log(total) - np.log(left)) - self._log_det(lam)

        found = values.max(axis=1)
        for _ in range(SECTIONS):
            width = golden * (upper - lower)
            low, high = at(upper - width), at(lower + width)
            found = np.maximum(found, np.maximum(low, high))
            right = high > low
            lower, upper = np.where(right, upper - width, lower), np.where(right, upper, lower + width)
        return np.maximum(found, 0.0)

    def _log_det(self, lam: Array) -> Array:
        return np.asarray(np.log1p(np.multiply.outer(lam, self.xi)) @ self.xi_counts)


def _matrices(cp: CrossProducts) -> tuple[Array, Array] | None:
    """Z'WZ, its diagonal alone where it is diagonal, and Z'WQ; None where fixed effects are absorbed."""
    if cp.basis.absorbed is not None:
        return None
    if cp.chain:
        (f,) = cp.chain
        return f.A[:, 0, 0], f.ZR[:, 0, :-1]
    if cp.width > LARGEST:
        return None
    return cp.S if isinstance(cp.S, np.ndarray) else cp.S.toarray(), cp.ZR[:, :-1]


def _projected(ZZ: Array, ZQ: Array) -> Array | None:
    """Eigenvalues of ZZ − ZQ ZQ'.

    Where ZZ is diagonal, levels with equal entries are turned such that all but as many as there are fixed
    effects have nothing to do with these: their eigenvalue is the entry itself.
    """
    if ZZ.ndim == 2:
        return np.asarray(scipy.linalg.eigvalsh(ZZ - ZQ @ ZQ.T))
    alone, diagonal, linked = [], [], []
    for value, rows in _equal(ZZ):
        half = np.linalg.qr(ZQ[rows], mode="r") if len(rows) > ZQ.shape[1] else ZQ[rows]
        linked.append(half)
        diagonal += [value] * len(half)
        alone += [value] * (len(rows) - len(half))
    if len(diagonal) > LARGEST:
        return None
    U = np.concatenate(linked)
    return np.concatenate([alone, scipy.linalg.eigvalsh(np.diag(diagonal) - U @ U.T)])


def _equal(values: Array) -> Iterator[tuple[float, Indices]]:
    distinct, where = np.unique(values, return_inverse=True)
    order = np.argsort(where, kind="stable")
    borders = np.searchsorted(where[order], np.arange(len(distinct) + 1))
    for k, value in enumerate(distinct):
        yield float(value), order[borders[k] : borders[k + 1]]


def _distinct(eigenvalues: Array) -> tuple[Array, Array]:
    """Those that aren't 0, with how often each occurs, up to rounding."""
    values = np.sort(eigenvalues)
    values = values[values > 1e-10 * values[-1]]
    new = np.append(True, np.diff(values) > 1e-10 * values[-1])
    starts = np.flatnonzero(new)
    return values[starts], np.diff(np.append(starts, len(values))).astype(float)
