"""One grouping factor or variance component: its levels, its rows, the covariance of its coefficients."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bimixed.covariance import Array, CovarianceTemplate
from bimixed.design.rows import Ints, LevelRows, MixedRows, RandomRows, SummedRows, rows_needed


@dataclass(frozen=True)
class RandomFactor:
    """All random-effects terms of one grouping factor, or one variance component.

    Attributes
    ----------
    key : str
        Name in tables, draws and priors.
    levels : pandas.Index
    rows : LevelRows, MixedRows or SummedRows
        Which levels each row belongs to. Mixed rows have one coefficient.
    names : tuple of str
        The K coefficients.
    template : CovarianceTemplate
        Which of them are correlated.
    sources : tuple of str
        The terms as written.
    group : str
        The grouping columns, ``a:b`` where there are several; "" for given matrices.
    is_component : bool
        Whether it was specified as a variance component.
    """

    key: str
    levels: pd.Index
    rows: RandomRows
    names: tuple[str, ...]
    template: CovarianceTemplate
    sources: tuple[str, ...]
    group: str = ""
    is_component: bool = False

    @property
    def n_levels(self) -> int:
        return len(self.levels)

    @property
    def n_coefficients(self) -> int:
        return len(self.names)

    @property
    def level_rows(self) -> LevelRows:
        """The rows, where each belongs to one level."""
        if isinstance(self.rows, SummedRows):
            raise rows_needed(f"The covariates of {self.key!r} by row")
        if not isinstance(self.rows, LevelRows):
            raise TypeError(f"rows of {self.key!r} combine levels")
        return self.rows

    @property
    def is_mixed(self) -> bool:
        """Whether rows combine several levels."""
        return isinstance(self.rows, MixedRows)

    @property
    def codes(self) -> Ints:
        """Level of each row, where rows don't combine levels."""
        return self.level_rows.codes

    @property
    def values(self) -> Array:
        """Covariates (n, K), where rows don't combine levels."""
        return self.level_rows.values

    @property
    def is_intercept(self) -> bool:
        """Whether the only coefficient is 1 in every row."""
        if isinstance(self.rows, SummedRows):
            return self.names == ("Intercept",)
        return not self.is_mixed and self.n_coefficients == 1 and bool(np.all(self.values == 1.0))

    @property
    def has_rows(self) -> bool:
        """Whether the rows are there, and not only sums over them."""
        return not isinstance(self.rows, SummedRows)

    @property
    def like_values(self) -> Array:
        """A matrix whose columns have the same mean products as the covariates, (·, K)."""
        return self.rows.like_values if isinstance(self.rows, SummedRows) else self.values

    @property
    def mean_and_sd(self) -> tuple[Array, Array]:
        """Of each covariate over the rows, (K,) each."""
        if isinstance(self.rows, SummedRows):
            return self.rows.mean, self.rows.sd
        return self.values.mean(axis=0), self.values.std(axis=0)

    def scales(self) -> Array:
        """Root mean square of what a unit of each coefficient adds to a row, (K,)."""
        if isinstance(self.rows, SummedRows):
            return np.sqrt(np.mean(self.rows.like_values**2, axis=0))
        if isinstance(self.rows, MixedRows):
            squares = np.asarray(self.rows.Z.power(2).sum(axis=1)).ravel()
            return np.sqrt(np.mean(squares, keepdims=True))
        return np.sqrt(np.mean(self.values**2, axis=0))

    def matrix(self) -> sp.csr_array:
        """Sparse Z, shape (n, levels × coefficients), coefficients of a level side by side."""
        return self.rows.matrix()

    def level_counts(self) -> Ints:
        """Number of rows in which each level takes part, (L,)."""
        if isinstance(self.rows, SummedRows):
            return self.rows.counts
        if isinstance(self.rows, MixedRows):
            return np.bincount(self.rows.Z.indices, minlength=self.n_levels)
        takes_part = self.values.any(axis=1)
        return np.bincount(self.codes[takes_part], minlength=self.n_levels)


def component_rows(Z: sp.csr_array) -> RandomRows:
    """The simplest rows for a sparse design: one level each where no row has several values."""
    Z = sp.csr_array(Z)
    Z.eliminate_zeros()
    counts = np.diff(Z.indptr)
    if counts.max(initial=0) > 1:
        Z.sort_indices()
        return MixedRows(Z)
    # a row without any value has the value 0 on a level that it may as well belong to
    filled = counts == 1
    codes = np.zeros(Z.shape[0], dtype=np.intp)
    values = np.zeros((Z.shape[0], 1))
    codes[filled] = Z.indices
    values[filled, 0] = Z.data
    return LevelRows(codes, values, Z.shape[1])
