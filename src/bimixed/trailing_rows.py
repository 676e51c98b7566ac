"""Rows of the trailing factors: their products with each other, with a chain factor, and with columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.design import RandomFactor, sparse_values
from bimixed.pairs import Pairs

Ints = NDArray[np.intp]

DENSE_TABLE = 4
"""Tables of levels by columns with up to this many cells for each row of the data are made in full."""


def by_level(codes: Ints, L: int, left: Array, right: Array) -> Array:
    """Sum over the rows of each level of the outer products left ⊗ right, (L, K, K')."""
    K, M = left.shape[1], right.shape[1]
    if K * M <= 16:
        out = np.empty((L, K, M))
        for a in range(K):
            for b in range(M):
                if right is left and b < a:
                    out[:, a, b] = out[:, b, a]
                else:
                    out[:, a, b] = np.bincount(codes, left[:, a] * right[:, b], minlength=L)
        return out
    Z = sparse_values(codes, left, L)
    return np.ascontiguousarray((Z.T @ right).reshape(L, K, M))


@dataclass(frozen=True)
class TrailingRows:
    """The trailing factors side by side, weighted.

    Attributes
    ----------
    factors : tuple of RandomFactor
        In the order of their columns.
    root : (n,) array or None
        Root of the weights.
    n : int
    """

    factors: tuple[RandomFactor, ...]
    root: Array | None
    n: int

    @cached_property
    def starts(self) -> list[int]:
        """First column of each factor, and where the last one ends."""
        return [0, *np.cumsum([f.n_levels * f.n_coefficients for f in self.factors]).tolist()]

    @property
    def width(self) -> int:
        """q."""
        return self.starts[-1]

    @cached_property
    def Z(self) -> sp.csc_array:
        """The weighted design, (n, q)."""
        Z = sp.hstack([f.matrix() for f in self.factors], format="csc")
        return sp.csc_array(Z if self.root is None else sp.diags_array(self.root) @ Z)

    @cached_property
    def _values(self) -> list[Array] | None:
        """Weighted values of each factor, or None where rows of one combine levels."""
        if any(f.is_mixed for f in self.factors):
            return None
        return [f.values if self.root is None else f.values * self.root[:, None] for f in self.factors]

    def times(self, right: Array) -> Array:
        """Z'right, (q, r) from (n, r)."""
        if self._values is None:
            return np.asarray(self.Z.T @ right)
        parts = [
            by_level(f.codes, f.n_levels, values, right).reshape(-1, right.shape[1])
            for f, values in zip(self.factors, self._values, strict=True)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, right.shape[1]))

    def gram(self) -> Array | sp.csr_array:
        """Z'Z: dense where the table is small, else sparse."""
        if self._values is None or self.width**2 > DENSE_TABLE * self.n:
            return sp.csr_array(self.Z.T @ self.Z)
        S = np.empty((self.width, self.width))
        for f, values, start in zip(self.factors, self._values, self.starts, strict=False):
            rows = self._table(f.codes, values, f.n_levels)
            S[start : start + f.n_levels * f.n_coefficients] = rows.reshape(-1, self.width)
        return S

    def _table(self, codes: Ints, left: Array, L: int) -> Array:
        """left'Z by level, (L, K, q), in full."""
        out = np.empty((L, left.shape[1], self.width))
        for f, values, start in zip(self.factors, self._values or [], self.starts, strict=False):
            joint = codes * f.n_levels + f.codes
            K = f.n_coefficients
            for a in range(left.shape[1]):
                for b in range(K):
                    sums = np.bincount(joint, left[:, a] * values[:, b], minlength=L * f.n_levels)
                    here = slice(start + b, start + f.n_levels * K, K)
                    out[:, a, here] = sums.reshape(L, f.n_levels)
        return out

    def couple(self, codes: Ints, values: Array, L: int) -> tuple[Pairs, Array]:
        """Levels of a chain factor and trailing columns that share rows, and their products (pairs, K)."""
        if self._values is not None and L * self.width <= DENSE_TABLE * self.n:
            present = np.empty((L, self.width), dtype=bool)
            for f, start in zip(self.factors, self.starts, strict=False):
                counts = np.bincount(codes * f.n_levels + f.codes, minlength=L * f.n_levels)
                shared = np.repeat(counts.reshape(L, -1) > 0, f.n_coefficients, axis=1)
                present[:, start : start + shared.shape[1]] = shared
            rows, columns = np.nonzero(present)
            table = self._table(codes, values, L)
            return Pairs(rows, columns, L, self.width), np.ascontiguousarray(table[rows, :, columns])
        return self._couple_sparsely(codes, values, L)

    def _couple_sparsely(self, codes: Ints, values: Array, L: int) -> tuple[Pairs, Array]:
        Z = self.Z
        # the pattern by ones: products of values drop entries that happen to be zero
        present = sp.csc_array((np.ones(Z.nnz), Z.indices, Z.indptr), shape=Z.shape)
        occurs = sp.csr_array(sparse_values(codes, np.ones((len(codes), 1)), L).T @ present)
        occurs.sort_indices()
        rows = np.repeat(np.arange(L), np.diff(occurs.indptr)).astype(np.intp)
        pairs = Pairs(rows, occurs.indices.astype(np.intp), L, self.width)
        C = np.zeros((len(rows), values.shape[1]))
        for a, column in enumerate(values.T):
            product = sp.csr_array(sparse_values(codes, column[:, None], L).T @ Z)
            product.sort_indices()
            if product.nnz == len(rows):
                C[:, a] = product.data
            else:
                here = np.repeat(np.arange(L), np.diff(product.indptr))
                C[pair_map(here, product.indices.astype(np.intp), pairs), a] = product.data
        return pairs, C


def no_pairs(L: int, K: int) -> tuple[Pairs, Array]:
    """Couplings with nothing."""
    empty = np.zeros(0, np.intp)
    return Pairs(empty, empty, L, 0), np.zeros((0, K))


def pair_map(r: Ints, c: Ints, pairs: Pairs) -> Ints:
    """Positions of the pairs (r, c) among those given."""
    width = np.int64(max(pairs.n_columns, 1))
    return np.searchsorted(pairs.rows * width + pairs.columns, r * width + c).astype(np.intp)


def trailing_rows(factors: Sequence[RandomFactor], root: Array | None, n: int) -> TrailingRows | None:
    """The rows of these factors, or None where there are none."""
    return TrailingRows(tuple(factors), root, n) if factors else None
