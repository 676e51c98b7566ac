"""One grouping factor: its levels, the level of each row, and the values of its coefficients."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed.covariance import Array, CovarianceTemplate


@dataclass(frozen=True)
class Grouping:
    """Levels of one column, or of several columns combined.

    Attributes
    ----------
    columns : tuple of str
    column_levels : tuple of pandas.Index
        Sorted levels of each column (categories in their own order).
    levels : pandas.Index
        The combined levels that occur, named ``x:y`` where there are several columns.
    combined : (L,) int array
        Mixed-radix number of each combined level, ascending.
    """

    columns: tuple[str, ...]
    column_levels: tuple[pd.Index, ...]
    levels: pd.Index
    combined: NDArray[np.int64]

    @property
    def key(self) -> str:
        return ":".join(self.columns)

    def codes(self, table: pd.DataFrame) -> NDArray[np.intp]:
        """Level of each row of new data, -1 where it was never seen."""
        number = np.zeros(len(table), dtype=np.int64)
        unseen = np.zeros(len(table), dtype=bool)
        for name, levels in zip(self.columns, self.column_levels, strict=True):
            codes = levels.get_indexer(pd.Index(table[name].to_numpy()))
            unseen |= codes < 0
            number = number * len(levels) + codes
        place = np.searchsorted(self.combined, number)
        place = np.minimum(place, len(self.combined) - 1)
        unseen |= self.combined[place] != number
        return np.where(unseen, -1, place).astype(np.intp)

    def labels(self, table: pd.DataFrame) -> NDArray[np.object_]:
        """Label of each row of new data, ``x:y`` for combined columns."""
        columns = [table[name].astype(str).to_numpy(dtype=object) for name in self.columns]
        joined = columns[0]
        for column in columns[1:]:
            joined = joined + ":" + column
        return np.asarray(joined, dtype=object)


def make_grouping(columns: tuple[str, ...], table: pd.DataFrame) -> tuple[Grouping, NDArray[np.intp]]:
    """Levels of the groups of complete rows, and the level of each row."""
    column_levels = []
    number = np.zeros(len(table), dtype=np.int64)
    for name in columns:
        codes, levels = _factorize(table[name])
        column_levels.append(levels)
        number = number * len(levels) + codes
    if len(columns) == 1:
        grouping = Grouping(columns, tuple(column_levels), column_levels[0], np.arange(len(column_levels[0])))
        return grouping, number.astype(np.intp)
    combined, codes = np.unique(number, return_inverse=True)
    names = _combined_names(combined, column_levels)
    return Grouping(columns, tuple(column_levels), names, combined), codes.astype(np.intp)


def _factorize(column: pd.Series) -> tuple[NDArray[np.intp], pd.Index]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
        return column.cat.codes.to_numpy().astype(np.intp), column.cat.categories
    codes, levels = pd.factorize(column, sort=True)
    return codes, pd.Index(levels)


def _combined_names(combined: NDArray[np.int64], levels: Sequence[pd.Index]) -> pd.Index:
    parts = []
    for column in reversed(levels):
        combined, codes = np.divmod(combined, len(column))
        parts.append(column.astype(str).to_numpy(dtype=object)[codes])
    joined = parts[-1]
    for part in reversed(parts[:-1]):
        joined = joined + ":" + part
    return pd.Index(joined)


@dataclass(frozen=True)
class RandomFactor:
    """All random-effects terms of one grouping factor.

    Attributes
    ----------
    grouping : Grouping
    codes : (n,) int array
        Level of each row.
    values : (n, K) array
        Value of each coefficient's covariate; 1 for intercepts.
    names : tuple of str
        The K coefficients.
    template : CovarianceTemplate
        Which of them are correlated.
    sources : tuple of str
        The terms as written.
    """

    grouping: Grouping
    codes: NDArray[np.intp]
    values: Array
    names: tuple[str, ...]
    template: CovarianceTemplate
    sources: tuple[str, ...]

    @property
    def key(self) -> str:
        return self.grouping.key

    @property
    def levels(self) -> pd.Index:
        return self.grouping.levels

    @property
    def n_levels(self) -> int:
        return len(self.grouping.levels)

    @property
    def n_coefficients(self) -> int:
        return len(self.names)

    def scales(self) -> Array:
        """Root mean square of each coefficient's covariate, shape (K,)."""
        return np.sqrt(np.mean(self.values**2, axis=0))

    def matrix(self) -> sp.csr_array:
        """Sparse Z, shape (n, levels × coefficients), coefficients of a level side by side."""
        return sparse_values(self.codes, self.values, self.n_levels)


def sparse_values(codes: NDArray[np.intp], values: Array, n_levels: int) -> sp.csr_array:
    """Rows of values placed at the columns of each row's level; rows of level -1 stay empty."""
    n, K = values.shape
    known = codes >= 0
    indptr = np.concatenate([[0], np.cumsum(known * K)])
    columns = (codes[known, None] * K + np.arange(K)).ravel()
    return sp.csr_array((values[known].ravel(), columns, indptr), shape=(n, n_levels * K))
