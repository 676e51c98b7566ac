"""The arrays that both engines work on, and the same encoding for new data."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.design import frame as frames
from bimixed.design import matrices
from bimixed.design.matrices import EncodedPart, Part
from bimixed.design.random_effects import RandomFactor
from bimixed.design.weights import positive_weights
from bimixed.exceptions import DataError
from bimixed.formula import Formula


@dataclass(frozen=True)
class NewRows:
    """New data in the encoding of the fitted data.

    Attributes
    ----------
    X : (m, p) array
        All columns of the fixed part, dropped ones included.
    offset : (m,) array
    weights : (m,) array or None
    codes : dict of (m,) int array
        By group key; -1 marks a level never seen.
    values : dict of (m, K) array
    labels : dict of (m,) object array
        Labels of the groups, to tell new levels apart.
    index : pandas.Index
    """

    X: Array
    offset: Array
    weights: Array | None
    codes: Mapping[str, NDArray[np.intp]]
    values: Mapping[str, Array]
    labels: Mapping[str, NDArray[np.object_]]
    index: pd.Index


@dataclass(frozen=True)
class Design:
    """The model's arrays.

    Attributes
    ----------
    formula : Formula
    y : (n,) array
        Response, offset not subtracted.
    X : (n, p) array
        Fixed-effects columns, collinear ones included.
    names : tuple of str
        Names of the columns of X.
    kept : (rank,) int array
        The independent columns of X; the others have no estimate.
    factors : tuple of RandomFactor
        One per grouping factor, in the order of the formula.
    weights : (n,) array or None
        Precision weights, Var(e_i) = sigma²/w_i.
    offset : (n,) array or None
    frame : Frame
        The used rows.
    """

    formula: Formula
    y: Array
    X: Array
    names: tuple[str, ...]
    kept: NDArray[np.intp]
    factors: tuple[RandomFactor, ...]
    weights: Array | None
    offset: Array | None
    frame: frames.Frame
    parts: Mapping[str, EncodedPart]
    context: Mapping[str, Any]
    weights_column: str | None = None
    offset_column: str | None = None
    has_offset_array: bool = False

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
        return tuple(n for j, n in enumerate(self.names) if j not in set(self.kept.tolist()))

    @cached_property
    def X_kept(self) -> Array:
        """The independent columns of X, shape (n, rank)."""
        return self.X if len(self.kept) == self.X.shape[1] else self.X[:, self.kept]

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

    def encode(self, new_data: Any, groups: tuple[str, ...]) -> NewRows:
        """Encode new rows as the fitted ones were; of the random part only ``groups``.

        Raises
        ------
        DataError
            If a column is missing or a value can't be used.
        """
        available = frames.column_names(new_data)
        factors = [f for f in self.factors if f.key in groups]
        wanted = self._wanted_columns(available, [f.key for f in factors])
        frames.require_columns(available, wanted)
        table = frames.to_pandas(new_data, wanted)
        for name in table.columns:
            if table[name].isna().any():
                rows = table.index[table[name].isna()][:5].tolist()
                raise DataError(
                    f"Column {name!r} of the new data ({wanted[name]}) is missing in rows {rows}. "
                    "Fill or drop these rows; for a group whose label is unknown "
                    "predict with random='none'."
                )
        index = table.index
        table = frames.plain_columns(table).set_axis(pd.RangeIndex(len(table)), axis=0)
        return NewRows(
            X=self._encode("fixed", table, index),
            offset=self._new_offset(table, index),
            weights=self._new_weights(table),
            codes={f.key: f.grouping.codes(table) for f in factors},
            values={f.key: self._factor_values(f, table, index) for f in factors},
            labels={f.key: f.grouping.labels(table) for f in factors},
            index=index,
        )

    def training_rows(self) -> NewRows:
        """The fitted rows in the shape of new ones."""
        return NewRows(
            X=self.X,
            offset=np.zeros(self.n) if self.offset is None else self.offset,
            weights=self.weights,
            codes={f.key: f.codes for f in self.factors},
            values={f.key: f.values for f in self.factors},
            labels={f.key: f.levels.astype(str).to_numpy(dtype=object)[f.codes] for f in self.factors},
            index=self.index,
        )

    def _wanted_columns(self, available: list[str], groups: list[str]) -> dict[str, str]:
        names = ["fixed", *(k for k in self.parts if k.startswith("offset"))]
        names += [k for k in self.parts if k.startswith("random") and _group_of(k) in groups]
        parts = {name: Part(str(self.parts[name].spec.formula), self.parts[name].place) for name in names}
        trained = list(self.frame.table.columns)
        wanted = matrices.required_columns(parts, sorted({*available, *trained}), self.context)
        for key in groups:
            for column in self.factor(key).grouping.columns:
                wanted.setdefault(column, f"group {key}; not needed with random='none'")
        if self.offset_column is not None:
            wanted.setdefault(self.offset_column, "offset")
        if self.weights_column in available:
            wanted.setdefault(str(self.weights_column), "weights")
        return wanted

    def _encode(self, name: str, table: pd.DataFrame, index: pd.Index) -> Array:
        values = matrices.encode_part(self.parts[name], table, self.context)
        matrices.require_finite(self.parts[name], values, index)
        return values

    def _factor_values(self, factor: RandomFactor, table: pd.DataFrame, index: pd.Index) -> Array:
        names = [k for k in self.parts if k.startswith("random") and _group_of(k) == factor.key]
        return np.hstack([self._encode(name, table, index) for name in names])

    def _new_offset(self, table: pd.DataFrame, index: pd.Index) -> Array:
        if self.has_offset_array:
            raise DataError(
                "The offset of the fit was given as an array, which new data don't carry; "
                "make it a column and name it, or write offset(column) in the formula."
            )
        offset = np.zeros(len(table))
        for name in self.parts:
            if name.startswith("offset"):
                offset += self._encode(name, table, index)[:, 0]
        if self.offset_column is not None:
            offset += table[self.offset_column].to_numpy(dtype=float)
        return offset

    def _new_weights(self, table: pd.DataFrame) -> Array | None:
        if self.weights_column is not None and self.weights_column in table.columns:
            return positive_weights(table[self.weights_column].to_numpy(dtype=float), table.index)
        return None


def _group_of(part_name: str) -> str:
    return part_name.split("\x00", 2)[2]
