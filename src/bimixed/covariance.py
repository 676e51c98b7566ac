"""Covariance of random effects: θ ↔ Λ ↔ (sd, corr), shared by both backends.

Notation. The K coefficients of one grouping factor have covariance σ²TT', with T the K × K lower
triangular *relative* Cholesky factor. Where a factor collects several terms, ``(1 | g) + (0 + x | g)``,
T is block-diagonal with one block per term; an uncorrelated term ``(x || g)`` has a diagonal block.
θ lists the free entries of T: by term, and within a term down its columns (lme4's order; Bates,
Mächler, Bolker and Walker 2015, section 2.2).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class CovarianceTemplate:
    """Which entries of one factor's T are free.

    Attributes
    ----------
    blocks : tuple of (int, bool)
        For each term of the factor: number of coefficients, and whether they are correlated.
    fixed : bool
        Whether the effects have no distribution (absorbed fixed effects): T is then the identity and
        θ has no entries.
    """

    blocks: tuple[tuple[int, bool], ...]
    fixed: bool = False

    @property
    def size(self) -> int:
        """K, the number of coefficients of the factor."""
        return sum(k for k, _ in self.blocks)

    @cached_property
    def positions(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns in T of the entries of θ."""
        rows: list[int] = []
        cols: list[int] = []
        start = 0
        for k, correlated in () if self.fixed else self.blocks:
            for j in range(k):
                last = k if correlated else j + 1
                rows.extend(range(start + j, start + last))
                cols.extend([start + j] * (last - j))
            start += k
        return np.array(rows, dtype=np.intp), np.array(cols, dtype=np.intp)

    @property
    def ridge(self) -> float:
        """What the distribution of the effects adds to their cross-products in units of T."""
        return 0.0 if self.fixed else 1.0

    @property
    def n_theta(self) -> int:
        """Number of free entries of T."""
        return len(self.positions[0])

    @cached_property
    def is_diagonal(self) -> NDArray[np.bool_]:
        """For each entry of θ whether it stands on T's diagonal, where it may not be negative."""
        rows, cols = self.positions
        return rows == cols

    def factor(self, theta: Array) -> Array:
        """θ → T, shape (K, K)."""
        if self.fixed:
            return np.eye(self.size)
        T = np.zeros((self.size, self.size))
        T[self.positions] = theta
        return T

    def theta(self, T: Array) -> Array:
        """T → θ."""
        return T[self.positions]

    def sub_blocks(self) -> list[slice]:
        """Index ranges of coefficients that are free to be correlated, one per block of T."""
        ranges, start = [], 0
        for k, correlated in () if self.fixed else self.blocks:
            steps = [k] if correlated else [1] * k
            for step in steps:
                ranges.append(slice(start, start + step))
                start += step
        return ranges

    def correlated_pairs(self) -> list[tuple[int, int]]:
        """Pairs (i, j), i < j, of coefficients whose correlation is a parameter."""
        return [
            (i, j)
            for block in self.sub_blocks()
            for i in range(block.start, block.stop)
            for j in range(i + 1, block.stop)
        ]


def symmetric_root(cov: Array) -> Array:
    """R with RR' = cov for one or many positive semidefinite matrices (..., K, K)."""
    values, vectors = np.linalg.eigh(cov)
    return np.asarray(vectors * np.sqrt(np.clip(values, 0.0, None))[..., None, :])


def lower_factor(H: Array) -> Array:
    """Lower triangular T with TT' = H and a non-negative diagonal, H positive *semi*definite.

    A QR factorization of the symmetric square root: exact for singular H, where ``cholesky`` fails.
    """
    return lower_root(symmetric_root(H))


def lower_root(half: Array) -> Array:
    """Lower triangular T with TT' = half·half' and a non-negative diagonal."""
    T = np.linalg.qr(half.T, mode="r").T
    signs = np.where(np.diag(T) < 0, -1.0, 1.0)
    return np.asarray(np.tril(T * signs))


def correlation(cov: Array) -> Array:
    """Covariance → correlation; NaN off the diagonal where a variance is 0 or NaN."""
    sd = np.sqrt(np.diag(cov))
    with np.errstate(invalid="ignore", divide="ignore"):
        corr = cov / np.outer(sd, sd)
    np.fill_diagonal(corr, 1.0)
    corr[~np.isnan(corr)] = np.clip(corr[~np.isnan(corr)], -1.0, 1.0)
    return corr


def null_directions(cov: Array, scale: Array, tolerance: float = 1e-4) -> list[Array]:
    """Directions of coefficients without variance, each of unit length.

    Parameters
    ----------
    cov : (K, K) array
        Covariance (or σ-relative covariance) of the coefficients.
    scale : (K,) array
        Typical size of each coefficient's covariate, so that coefficients are compared by what they
        add to the response.
    tolerance : float
        A direction counts as null where its scaled sd is below this share of σ (cov relative to σ²).
    """
    values, vectors = np.linalg.eigh(cov * np.outer(scale, scale))
    found = []
    for value, vector in zip(values, vectors.T, strict=True):
        if np.sqrt(max(value, 0.0)) < tolerance:
            direction = vector / scale
            found.append(direction / np.linalg.norm(direction))
    return found
