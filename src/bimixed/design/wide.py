"""Columns of a fixed factor with very many levels: found in a sparse matrix, and kept sparse."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from bimixed import dense
from bimixed.covariance import Array
from bimixed.design.fixed import RANK_TOLERANCE, first_independent, independent_columns
from bimixed.design.rows import sparse_values

Ints = NDArray[np.intp]

LARGE = 5_000_000
"""Numbers in a matrix that may as well be dense."""
SAMPLED = 20_000
"""Rows that levels are counted on."""
FEWEST = 100
"""Columns that make a factor wide."""
RARE = 0.2
"""Share of rows that a column of it has values in at most."""


def looks_wide(terms: Any, table: pd.DataFrame) -> bool:
    """Whether terms of a fixed part make so many columns that most of a dense matrix would be zeros.

    Levels are counted on rows spread over the table; a factor that is missed makes a dense matrix, no more.

    Parameters
    ----------
    terms : formulaic's terms
    table : pandas.DataFrame
    """
    n = len(table)
    if n * n < LARGE:
        return False
    sample = table.iloc[:: max(1, n // SAMPLED)]
    counts: dict[str, int] = {}
    for term in terms:
        columns = 1
        for factor in term.factors:
            name = factor.expr.removeprefix("C(").split(",")[0].rstrip(")").strip()
            if name in sample.columns and name not in counts:
                plain = is_numeric_dtype(sample[name]) and not is_bool_dtype(sample[name])
                categorical = factor.expr.startswith("C(") or not plain
                counts[name] = sample[name].nunique() if categorical else 1
            columns *= counts.get(name, 1)
        if is_wide(n, columns):
            return True
    return False


def is_wide(n: int, columns: int) -> bool:
    """Whether so many columns for n rows are worth a sparse matrix."""
    return columns >= FEWEST and n * columns >= LARGE


@dataclass(frozen=True)
class Projection:
    """Least squares on wide columns, which are orthogonal.

    Attributes
    ----------
    codes : (n,) int array
        Column of each row.
    values : (n,) array
        Its weighted value, 0 where the row has none.
    squares : (L,) array
        Sums of squares of the columns.
    """

    codes: Ints
    values: Array
    squares: Array

    def __call__(self, M: Array) -> tuple[Array, Array]:
        """What is left of weighted columns (n, r), and their coefficients (L, r)."""
        coefficients = np.zeros((len(self.squares), M.shape[1]))
        for _ in range(2):  # the second time removes what rounding left of large means
            step = np.empty_like(coefficients)
            for k in range(M.shape[1]):
                sums = np.bincount(self.codes, self.values * M[:, k], minlength=len(self.squares))
                step[:, k] = sums / self.squares
            M = M - self.values[:, None] * step[self.codes]
            coefficients += step
        return M, coefficients

    def taken(self, Z: sp.csr_array) -> Array:
        """Sum of squares that the columns take of each column of Z, weighted likewise."""
        X = sparse_values(self.codes, self.values[:, None], len(self.squares))
        products = sp.coo_array(Z.T @ X)
        row, column = products.coords
        return np.bincount(row, products.data**2 / self.squares[column], minlength=Z.shape[1])


@dataclass(frozen=True)
class WideColumns:
    """Independent columns of X of which each row has one at most.

    Attributes
    ----------
    columns : (L,) int array
        Their places in X, ascending.
    codes : (n,) int array
        Which of them each row has.
    values : (n,) array
        With what value; 0 for none.
    """

    columns: Ints
    codes: Ints
    values: Array

    @property
    def n_columns(self) -> int:
        return len(self.columns)

    def projection(self, root: Array | None = None) -> Projection:
        """On these columns; root (n,) has the roots of weights."""
        values = self.values if root is None else self.values * root
        squares = np.bincount(self.codes, values * values, minlength=self.n_columns)
        return Projection(self.codes, values, squares)


def split_columns(X: Array | sp.csr_array) -> tuple[Array | sp.csr_array, Ints, WideColumns | None]:
    """Independent columns of X, ascending, and the wide ones among them.

    Of dependent columns the earlier is kept, as :func:`independent_columns` does. Only a sparse X has wide
    columns.

    Returns
    -------
    X : (n, p) array or csr_array
        The same, dense where it has no wide columns.
    kept : (rank,) int array
    wide : WideColumns or None
    """
    found = np.arange(0) if isinstance(X, np.ndarray) else _disjoint_columns(sp.csc_array(X))
    if isinstance(X, np.ndarray) or len(found) < FEWEST:
        X = dense.filled(X)
        return X, independent_columns(X), None
    wide = wide_columns(X, found)
    others = np.setdiff1d(np.arange(X.shape[1]), found)
    dropped = _dependent(X[:, others].toarray(), wide, others)
    kept = np.setdiff1d(np.arange(X.shape[1]), dropped)
    if np.isin(dropped, found).any():
        wide = wide_columns(X, np.setdiff1d(found, dropped))
    return X, kept, wide


def _disjoint_columns(X: sp.csc_array) -> Ints:
    """Rare columns, none of which has a value in a row where another has one."""
    X.eliminate_zeros()
    counts = np.diff(X.indptr)
    taken = np.zeros(X.shape[0], dtype=bool)
    found = []
    for j in np.flatnonzero((counts > 0) & (counts <= RARE * X.shape[0])):
        rows = X.indices[X.indptr[j] : X.indptr[j + 1]]
        if not taken[rows].any():
            taken[rows] = True
            found.append(int(j))
    return np.array(found, dtype=np.intp)


def wide_columns(X: sp.csr_array, columns: Ints) -> WideColumns:
    """Columns of X, of which each row has one at most."""
    part = sp.csr_array(X[:, columns])
    part.eliminate_zeros()
    codes, values = np.zeros(X.shape[0], dtype=np.intp), np.zeros(X.shape[0])
    rows = np.repeat(np.arange(X.shape[0]), np.diff(part.indptr))
    codes[rows], values[rows] = part.indices, part.data
    return WideColumns(columns, codes, values)


def _dependent(others: Array, wide: WideColumns, places: Ints) -> Ints:
    """Columns to drop: those that earlier ones determine, wide or not.

    What the wide columns leave of the others shows how many depend; the vectors that X maps to 0, reduced
    from the last column on, show which ones come last.
    """
    lengths = np.linalg.norm(others, axis=0)
    unit = np.where(lengths > 0.0, lengths, 1.0)
    left, C = wide.projection()(others / unit)
    left[:, np.linalg.norm(left, axis=0) <= RANK_TOLERANCE] = 0.0
    kept = first_independent(dense.triangular_factor(left)) if left.size else np.arange(0)
    bad = np.setdiff1d(np.arange(len(places)), kept)
    if len(bad) == 0:
        return bad
    order = np.argsort(np.concatenate([places, wide.columns]))
    combination = np.zeros((len(places), len(bad)))
    combination[bad, np.arange(len(bad))] = 1.0
    if len(kept):
        combination[kept] = -scipy.linalg.lstsq(left[:, kept], left[:, bad])[0]
    null = np.concatenate([combination, -C @ combination])[order]
    return np.sort(np.concatenate([places, wide.columns])[order][_last_pivots(null)])


def _last_pivots(null: Array) -> Ints:
    """The last rows in which combinations of the columns of ``null`` don't vanish, one for each column."""
    null = null / np.abs(null).max(axis=0)
    pivots = []
    for row in range(len(null) - 1, -1, -1):
        if null.shape[1] == 0:
            break
        k = int(np.argmax(np.abs(null[row])))
        if abs(null[row, k]) <= RANK_TOLERANCE:
            continue
        pivots.append(row)
        pivot = null[:, k] / null[row, k]
        null = np.delete(null, k, axis=1)
        null = null - pivot[:, None] * null[row]
    return np.array(pivots, dtype=np.intp)
