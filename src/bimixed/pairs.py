"""Couplings of a factor's levels with trailing columns: a sparse matrix whose pattern stays the same."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed import dense
from bimixed.covariance import Array
from bimixed.sparse import Analysis

Ints = NDArray[np.intp]

COMPILED, COMPILED_SIZE = 500_000, 5_000_000
"""Products of pairs, or numbers of the dense matrix, from which compiled loops are worth loading."""
DENSE_SHARE = 0.25
"""Couplings filled beyond this share are multiplied as dense matrices, which is faster there."""
DENSE_SIZE = 20_000_000
"""Numbers in the largest such matrix."""
IN_CACHE = 250
"""Trailing columns up to which a dense matrix of them stays in the processor's cache."""
CHUNK = 4_000_000
"""Numbers in the largest temporary of a product that is only needed at some places."""


@dataclass(frozen=True)
class Pairs:
    """Which levels occur together with which trailing columns, sorted by level, then column.

    Attributes
    ----------
    rows, columns : (pairs,) int arrays
    n_rows, n_columns : int
    """

    rows: Ints
    columns: Ints
    n_rows: int
    n_columns: int

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def row_starts(self) -> Ints:
        """First pair of each level, (L + 1,)."""
        return _starts(self.rows, self.n_rows)

    @cached_property
    def column_starts(self) -> Ints:
        """First of each column's pairs in ``by_column``, (q + 1,)."""
        return _starts(self.columns, self.n_columns)

    @cached_property
    def by_column(self) -> Ints:
        """The pairs sorted by column, then level."""
        return np.argsort(self.columns, kind="stable").astype(np.intp)

    @cached_property
    def is_full(self) -> bool:
        """Whether products are made of dense matrices."""
        size = self.n_rows * self.n_columns
        return len(self) > DENSE_SHARE * size and size <= DENSE_SIZE

    @cached_property
    def is_large(self) -> bool:
        """Whether products go to compiled loops."""
        if self.is_full:
            return False
        products = float(np.sum(np.diff(self.row_starts).astype(float) ** 2))
        return products >= COMPILED or self.n_rows * self.n_columns >= COMPILED_SIZE

    def positions(self, analysis: Analysis) -> Ints:
        """The pairs' columns in the order of a sparse factorization."""
        return np.asarray(analysis.place[self.columns])

    @property
    def _lists(self) -> tuple[Ints, Ints, Ints, Ints]:
        return self.column_starts, self.by_column, self.rows, self.row_starts

    def matrix(self, values: Array) -> sp.csr_array:
        """Values (pairs, K) as a sparse matrix (L·K, q)."""
        L, K = self.n_rows, values.shape[1]
        if K == 1:
            return sp.csr_array((values[:, 0], self.columns, self.row_starts), shape=(L, self.n_columns))
        per_row = np.diff(self.row_starts)
        within = np.arange(len(self)) - self.row_starts[self.rows]
        indptr = np.concatenate([[0], np.cumsum(np.repeat(per_row, K))])
        data = np.empty(len(self) * K)
        columns = np.empty(len(self) * K, dtype=np.intp)
        for a in range(K):
            place = indptr[self.rows * K + a] + within
            data[place], columns[place] = values[:, a], self.columns
        return sp.csr_array((data, columns, indptr), shape=(L * K, self.n_columns))

    def operator(self, values: Array) -> "Coupling":
        """The same, to be multiplied several times: a dense matrix where it is full."""
        matrix = self.matrix(values)
        return Coupling(matrix.toarray() if self.is_full else matrix)

    def by_level(self, products: Array) -> Array:
        """Sum of (pairs, K, M) over the pairs of each level, (L, K, M)."""
        _, K, M = products.shape
        out = np.empty((self.n_rows, K, M))
        for a in range(K):
            for b in range(M):
                out[:, a, b] = np.bincount(self.rows, products[:, a, b], minlength=self.n_rows)
        return out

    def subtract_gram(self, values: Array, S: Array) -> None:
        """S −= Σ over levels of values'values, at least its lower triangle; S is (q, q)."""
        if self.is_large:
            from bimixed import pair_kernels

            values = np.ascontiguousarray(values)
            if self.n_columns <= IN_CACHE:
                pair_kernels.subtract_gram_by_level(self.row_starts, self.columns, values, S)
            else:
                pair_kernels.subtract_gram(*self._lists, self.columns, values, S)
            return
        matrix = self.matrix(values)
        if self.is_full:
            S -= dense.gram(matrix.toarray())
        else:
            S -= sp.csr_array(matrix.T @ matrix).toarray()

    def subtract_gram_on(self, analysis: Analysis, values: Array, S: Array) -> None:
        """The same for S on the pattern of a sparse factorization."""
        from bimixed import pair_kernels

        pair_kernels.gram_on_pattern(
            *self._lists,
            self.positions(analysis),
            analysis.order,
            analysis.A_starts,
            analysis.A_rows,
            np.ascontiguousarray(values),
            S,
        )

    def weighted_inner(self, values: Array, weights: Array, P: Array) -> float:
        """Σ over levels of weight · values P values' for single coefficients; P's lower triangle is read."""
        if self.is_large:
            from bimixed import pair_kernels

            values = np.ascontiguousarray(values)
            if self.n_columns <= IN_CACHE:
                return float(
                    pair_kernels.weighted_inner_by_level(self.row_starts, self.columns, values, weights, P)
                )
            return float(pair_kernels.weighted_inner(*self._lists, self.columns, values, weights, P))
        if self.is_full:
            full = self.matrix(values).toarray()
            whole = dense.symmetric(np.tril(P))
            return float(np.sum(weights[:, None] * full * dense.product(full, whole)))
        gram = np.zeros_like(P)
        self.subtract_gram(np.sqrt(weights)[self.rows, None] * values, gram)
        return -float(2.0 * np.sum(np.tril(gram) * P) - np.diag(gram) @ np.diag(P))

    def product(self, values: Array, P: Array) -> Array:
        """(values P) at the pairs only, (pairs, K); P is (q, q), full and symmetric.

        Without compiled loops the full product is made a stretch of levels at a time, so that memory stays
        bounded.
        """
        out = np.empty_like(values)
        if self.is_large:
            from bimixed import pair_kernels

            values, P = np.ascontiguousarray(values), np.ascontiguousarray(P)
            if self.n_columns <= IN_CACHE:
                pair_kernels.product_at_pairs_by_level(self.row_starts, self.columns, values, P, out)
            else:
                pair_kernels.product_at_pairs(*self._lists, self.columns, values, P, out)
            return out
        if self.is_full:
            for a in range(values.shape[1]):
                full = dense.product(self.matrix(values[:, a : a + 1]).toarray(), P)
                out[:, a] = full[self.rows, self.columns]
            return out
        starts, step = self.row_starts, max(1, CHUNK // max(self.n_columns, 1))
        for a in range(values.shape[1]):
            matrix = self.matrix(values[:, a : a + 1])
            for first in range(0, self.n_rows, step):
                last = min(first + step, self.n_rows)
                here = slice(starts[first], starts[last])
                part = matrix[first:last]
                full = part @ P
                out[here, a] = full[self.rows[here] - first, self.columns[here]]
        return out

    def product_on(self, analysis: Analysis, values: Array, P: Array) -> Array:
        """The same for P on the pattern of a sparse factorization."""
        from bimixed import pair_kernels

        out = np.zeros_like(values)
        pair_kernels.product_on_pattern(
            *self._lists,
            self.positions(analysis),
            analysis.order,
            analysis.A_starts,
            analysis.A_rows,
            P,
            np.ascontiguousarray(values),
            out,
        )
        return out


@dataclass(frozen=True)
class Coupling:
    """A matrix (L·K, q), dense or sparse."""

    matrix: Array | sp.csr_array

    def rows(self, rows: Ints) -> "Coupling":
        """Some of its rows."""
        return Coupling(self.matrix[rows])

    def times(self, right: Array) -> Array:
        """Times (q, r)."""
        if isinstance(self.matrix, np.ndarray):
            return dense.product(self.matrix, right)
        return np.asarray(self.matrix @ right)

    def transposed_times(self, right: Array) -> Array:
        """Its transpose times (L·K, r)."""
        if isinstance(self.matrix, np.ndarray):
            return dense.product(self.matrix.T, right)
        return np.asarray(self.matrix.T @ right)


def _starts(of: Ints, n: int) -> Ints:
    return np.concatenate([[0], np.cumsum(np.bincount(of, minlength=n))]).astype(np.intp)
