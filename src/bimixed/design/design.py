"""The arrays that both engines work on."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.design import frame as frames
from bimixed.design.encoding import Encoding, NewRows
from bimixed.design.fixed import independent_columns
from bimixed.design.random_effects import RandomFactor
from bimixed.design.wide import WideColumns, wide_columns
from bimixed.exceptions import DataError
from bimixed.formula import Formula

INESTIMABLE = 1e-6
"""Share of a combination along what the data can't tell from 0 beyond which it has no estimate."""
ROUNDING = 1e-10
"""Shares below this are 0."""


@dataclass(frozen=True)
class Design:
    """The model's arrays.

    Attributes
    ----------
    formula : Formula
    y : (n,) array
        Response, offset not subtracted.
    X : (n, p) array or csr_array
        Fixed-effects columns, collinear ones included; sparse where a factor with many levels is among
        them.
    names : tuple of str
        Names of the columns of X.
    kept : (rank,) int array
        The independent columns of X; the others have no estimate.
    factors : tuple of RandomFactor
        One per grouping factor or variance component, in the order of the formula.
    weights : (n,) array or None
        Precision weights, Var(e_i) = sigma²/w_i.
    offset : (n,) array or None
    frame : Frame
        The used rows.
    encoding : Encoding
        How new data are encoded.
    weights_column : str or None
    wide : WideColumns or None
        Columns of such a factor, all of them kept.
    """

    formula: Formula
    y: Array
    X: Array | sp.csr_array
    names: tuple[str, ...]
    kept: NDArray[np.intp]
    factors: tuple[RandomFactor, ...]
    weights: Array | None
    offset: Array | None
    frame: frames.Frame
    encoding: Encoding
    weights_column: str | None = None
    wide: WideColumns | None = None

    @property
    def n(self) -> int:
        return len(self.y)

    @property
    def index(self) -> pd.Index:
        """Index of the used rows in the caller's data."""
        return self.frame.index

    @property
    def dropped(self) -> tuple[str, ...]:
        """Fixed-effects columns left out because earlier ones determine them."""
        kept = set(self.kept.tolist())
        return tuple(n for j, n in enumerate(self.names) if j not in kept)

    @cached_property
    def X_kept(self) -> Array | sp.csr_array:
        """The independent columns of X, shape (n, rank)."""
        return self.X if len(self.kept) == self.X.shape[1] else self.X[:, self.kept]

    @property
    def has_rows(self) -> bool:
        """Whether the rows are there, and not only sums over them."""
        return True

    def is_of_rows_of(self, other: "Design") -> bool:
        """Whether both have the same rows and responses; where one has sums alone, as these tell."""
        if self.n != other.n:
            return False
        if self.has_rows and other.has_rows:
            return bool(np.array_equal(self.y, other.y))
        return bool(np.allclose(self.response_scale, other.response_scale, rtol=1e-9, atol=0.0))

    @property
    def has_weights(self) -> bool:
        return self.weights is not None

    @property
    def has_offset(self) -> bool:
        return self.offset is not None

    @property
    def mean_offset(self) -> float:
        """What the offset adds on the average of the rows."""
        return 0.0 if self.offset is None else float(np.mean(self.offset))

    @property
    def mean_inverse_weight(self) -> float:
        """Mean of 1/w; 1 without weights."""
        return 1.0 if self.weights is None else float(np.mean(1.0 / self.weights))

    @property
    def mean_weight(self) -> float:
        return 1.0 if self.weights is None else float(np.mean(self.weights))

    @property
    def response_scale(self) -> tuple[float, float]:
        """Mean and sd of the response, offset taken off."""
        y = self.y if self.offset is None else self.y - self.offset
        return float(np.mean(y)), float(np.std(y))

    def column_mean(self, name: str) -> float:
        """Mean of a column of the data that the formula uses."""
        return float(self.frame.table[name].mean())

    def column_range(self, name: str) -> float:
        """Its largest value less its smallest."""
        column = self.frame.table[name]
        return float(column.max() - column.min())

    @property
    def like_X(self) -> Array | sp.csr_array:
        """A matrix with as many columns as X whose columns have the same mean products, (·, p)."""
        return self.X

    @property
    def like_ones(self) -> Array:
        """The column of ones beside ``like_X``."""
        return np.ones(self.n)

    @property
    def like_precision(self) -> float:
        """What is left of a combination of these columns that is 0."""
        return 1e-8

    @property
    def like_centred_X(self) -> Array:
        """``like_X`` of columns less their means."""
        X = self.X if isinstance(self.X, np.ndarray) else self.X.toarray()
        return np.asarray(X - X.mean(axis=0))

    @property
    def column_sds(self) -> Array:
        """Standard deviations of the columns of X."""
        if isinstance(self.X, np.ndarray):
            return np.asarray(self.X.std(axis=0))
        mean = np.asarray(self.X.sum(axis=0)) / self.n
        squares = np.asarray(self.X.power(2).sum(axis=0)) / self.n
        return np.sqrt(np.maximum(squares - mean**2, 0.0))

    @cached_property
    def column_sizes(self) -> Array:
        """Root mean squares of the columns of X, 1 for those of zeros."""
        X = self.like_X
        squares = np.square(X) if isinstance(X, np.ndarray) else X.power(2)
        sizes = np.sqrt(np.asarray(squares.sum(axis=0), dtype=np.float64) / max(X.shape[0], 1))
        return np.where(sizes > 0.0, sizes, 1.0)

    @cached_property
    def null_space(self) -> Array:
        """Combinations of the columns of X that are 0 in every row, (dropped, p)."""
        kept = set(self.kept.tolist())
        dropped = [j for j in range(len(self.names)) if j not in kept]
        out = np.zeros((len(dropped), len(self.names)))
        if not dropped:
            return out
        like = self.like_X
        X = like if isinstance(like, np.ndarray) else like.toarray()
        sizes = self.column_sizes
        share, *_ = np.linalg.lstsq(X[:, self.kept] / sizes[self.kept], X[:, dropped] / sizes[dropped])
        share[np.abs(share) < ROUNDING] = 0.0
        out[:, self.kept] = -share.T
        out[np.arange(len(dropped)), dropped] = 1.0
        return out / sizes

    def estimable(self, L: Array) -> NDArray[np.bool_]:
        """Which rows of coefficients have the same Lβ for every β that fits as well, (k,).

        L must cancel against each combination of columns that is 0 in every row, in whatever units.
        """
        null = self.null_space
        left, size = np.abs(L @ null.T), np.abs(L) @ np.abs(null.T)
        return np.asarray((left <= INESTIMABLE * size).all(axis=1))

    @cached_property
    def narrow(self) -> NDArray[np.intp]:
        """Columns of X that are kept and not wide."""
        return self.kept if self.wide is None else np.setdiff1d(self.kept, self.wide.columns)

    @cached_property
    def X_narrow(self) -> Array:
        """These columns, dense."""
        if isinstance(self.X, np.ndarray):
            return self.X if len(self.narrow) == self.X.shape[1] else self.X[:, self.narrow]
        return np.ascontiguousarray(self.X[:, self.narrow].toarray())

    def with_columns(self, columns: NDArray[np.intp]) -> "Design":
        """The same model with these columns of X alone, in this order."""
        X = np.ascontiguousarray(np.asarray(self.X)[:, columns])
        names = tuple(self.names[j] for j in columns)
        return replace(self, X=X, names=names, kept=independent_columns(X))

    def without_fixed(self) -> "Design":
        """The same random effects without any fixed effect."""
        none = np.arange(0)
        return replace(self, X=np.zeros((self.n, 0)), names=(), kept=none, wide=None)

    def with_narrow(self, column: int) -> "Design":
        """The same model with one of the wide columns among the others."""
        if self.wide is None or isinstance(self.X, np.ndarray):
            return self
        left = np.setdiff1d(self.wide.columns, [column])
        return replace(self, wide=wide_columns(self.X, left))

    @cached_property
    def Z(self) -> dict[str, sp.csr_array]:
        """Sparse random-effects design by group, each (n, levels × coefficients)."""
        return {factor.key: factor.matrix() for factor in self.factors}

    def factor(self, key: str) -> RandomFactor:
        """The grouping factor of this key.

        Raises
        ------
        DataError
            If the model has no such group.
        """
        for factor in self.factors:
            if factor.key == key:
                return factor
        known = ", ".join(repr(f.key) for f in self.factors)
        raise DataError(f"The model has no group {key!r}; its groups are {known}.")

    def encode(self, new_data: object, keys: tuple[str, ...]) -> NewRows:
        """Encode new rows as the fitted ones were; of the random part only ``keys``.

        Raises
        ------
        DataError
            If a column is missing or a value can't be used.
        """
        return self.encoding.encode(new_data, keys)

    def training_rows(self) -> NewRows:
        """The fitted rows in the shape of new ones."""
        return NewRows(
            X=self.X,
            offset=np.zeros(self.n) if self.offset is None else self.offset,
            weights=self.weights,
            random={f.key: f.rows for f in self.factors},
            index=self.index,
        )
