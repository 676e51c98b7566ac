"""New data through exactly the encoding of the fitted data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bimixed import dense
from bimixed.covariance import Array
from bimixed.design import expressions, matrices
from bimixed.design import frame as frames
from bimixed.design.components import ComponentEncoder
from bimixed.design.grouping import Grouping
from bimixed.design.matrices import EncodedPart, Part
from bimixed.design.rows import LevelRows, RandomRows
from bimixed.design.weights import positive_weights
from bimixed.exceptions import DataError

CHECKED = 500
"""Fitted rows that are encoded again to see whether functions remember what they need."""


@dataclass(frozen=True)
class NewRows:
    """Rows in the encoding of the fitted data.

    Attributes
    ----------
    X : (m, p) array or csr_array
        All columns of the fixed part, dropped ones included.
    offset : (m,) array
    weights : (m,) array or None
    random : mapping
        By key of the factor: the levels of each row and its values on them.
    index : pandas.Index
    """

    X: Array | sp.csr_array
    offset: Array
    weights: Array | None
    random: Mapping[str, RandomRows]
    index: pd.Index


class Encoding(Protocol):
    """What a design remembers to encode new data."""

    def encode(self, new_data: Any, keys: tuple[str, ...]) -> NewRows:
        """Encode new rows; of the random part only these keys."""
        ...


def require_row_wise(part: EncodedPart, table: pd.DataFrame, context: Mapping[str, Any]) -> None:
    """Refuse a part that comes out differently when only some of its rows are encoded.

    Raises
    ------
    DataError
    """
    if not matrices.has_python(part.part):
        return
    rows = np.arange(len(table))[1::2][:CHECKED]
    some = table.iloc[rows].reset_index(drop=True)
    try:
        again = matrices.encode_part(part, some, context)
        same = np.allclose(
            dense.filled(again), dense.filled(part.values[rows]), rtol=1e-9, atol=1e-12, equal_nan=True
        )
    except DataError:
        same = False
    if not same:
        raise DataError(
            f"{part.place}, '{part.part.text.removeprefix('1 + ')}', can't be encoded for new data: "
            "a function in it looks at the other rows (a mean, a rank, a lag) or at data beside the "
            "table, and would give something else for new ones. Use center(x) or scale(x), which "
            "remember, or make it a column of both tables."
        )


@dataclass(frozen=True)
class TermsEncoder:
    """The terms of one grouping factor: its levels, and the parts that stand left of its bars."""

    grouping: Grouping
    parts: tuple[str, ...]


@dataclass(frozen=True)
class FormulaEncoding:
    """Encoding of a model that was given as a formula.

    Attributes
    ----------
    parts : mapping
        Materialised parts of the formula by name: ``fixed``, offsets, and those of the terms.
    factors : mapping
        Encoder of each random factor, by key.
    columns : tuple of str
        Columns that the fit used.
    context : mapping
    weights_column, offset_column : str or None
    has_offset_array : bool
        Whether the fit's offset was an array, which new data can't have.
    table : pandas.DataFrame
        The fitted rows.
    labels : tuple of str
        Of ``columns`` those that were given as labels beside the data.
    """

    parts: Mapping[str, EncodedPart]
    factors: Mapping[str, TermsEncoder | ComponentEncoder]
    columns: tuple[str, ...]
    context: Mapping[str, Any]
    weights_column: str | None
    offset_column: str | None
    has_offset_array: bool
    table: pd.DataFrame
    labels: tuple[str, ...] = ()

    def encode(self, new_data: Any, keys: tuple[str, ...]) -> NewRows:
        """Encode new rows as the fitted ones were; of the random part only ``keys``.

        Raises
        ------
        DataError
            If a column is missing or a value can't be used.
        """
        self._require_row_wise(keys)
        available = frames.column_names(new_data)
        wanted = self.wanted_columns(available, keys)
        frames.require_columns(available, wanted, frames.index_names(new_data))
        table = frames.to_pandas(new_data, wanted)
        for name in table.columns:
            if table[name].isna().any():
                rows = table.index[table[name].isna()][:5].tolist()
                population = " For a group whose label is unknown predict with random='none'."
                raise DataError(
                    f"Column {name!r} of the new data ({wanted[name]}) is missing in rows {rows}. "
                    f"Fill or drop these rows.{population if wanted[name].startswith('group ') else ''}"
                )
        if len(table) == 0:
            raise DataError("The new data have no rows; give at least one.")
        index = table.index
        table = frames.plain_columns(table).set_axis(pd.RangeIndex(len(table)), axis=0)
        return NewRows(
            X=self._part("fixed", table, index),
            offset=self._offset(table, index),
            weights=self._weights(table),
            random={key: self._rows(key, table, index) for key in keys},
            index=index,
        )

    def _require_row_wise(self, keys: tuple[str, ...]) -> None:
        """Refuse parts that come out differently when only some of the fitted rows are encoded.

        A function that looks at the whole column (a mean, a rank) remembers nothing, and would silently
        give other columns for new rows.
        """
        for name, part in self.parts.items():
            own = name.startswith(("fixed", "offset")) or any(
                isinstance(encoder := self.factors[key], TermsEncoder) and name in encoder.parts
                for key in keys
            )
            if own:
                require_row_wise(part, self.table, self.context)

    def _part_names(self, keys: tuple[str, ...]) -> list[str]:
        """Parts that new rows need."""
        names = ["fixed", *(k for k in self.parts if k.startswith("offset"))]
        for key in keys:
            encoder = self.factors[key]
            names += encoder.parts if isinstance(encoder, TermsEncoder) else ()
        return names

    def wanted_columns(self, available: list[str], keys: tuple[str, ...]) -> dict[str, str]:
        """Columns that new rows need → where each is used; of the random part those of ``keys``."""
        parts: dict[str, Part] = {}
        groups: dict[str, str] = {}
        for key in keys:
            encoder = self.factors[key]
            grouping: Grouping | None = encoder.grouping
            if isinstance(encoder, ComponentEncoder):
                parts[f"component {key}"] = encoder.part
            if grouping is not None:
                groups |= dict.fromkeys(grouping.columns, key)
        for name in self._part_names(keys):
            parts[name] = self.parts[name].part
        known = sorted({*available, *self.columns})
        wanted = matrices.required_columns(parts, known, self.context)
        for atom, key in groups.items():
            for column in expressions.columns_of_atom(atom, list(self.columns)):
                given = ", whose labels were given beside the data: add them to the new data as a column"
                wanted.setdefault(
                    column,
                    f"group {key}{given if column in self.labels else ''}; not needed with random='none'",
                )
        if self.offset_column is not None:
            wanted.setdefault(self.offset_column, "offset")
        if self.weights_column in available:
            wanted.setdefault(str(self.weights_column), "weights")
        return wanted

    def response_columns(self, available: list[str]) -> list[str]:
        """Columns that the response is made from."""
        known = sorted({*available, *self.columns})
        return list(matrices.required_columns({"response": self.parts["response"].part}, known, self.context))

    def response(self, table: pd.DataFrame) -> Array:
        """The response of rows that have its columns, (m,).

        Raises
        ------
        DataError
            If a value can't be used.
        """
        index = table.index
        table = frames.plain_columns(table).set_axis(pd.RangeIndex(len(table)), axis=0)
        return np.asarray(self._part("response", table, index)[:, 0])

    def _part(self, name: str, table: pd.DataFrame, index: pd.Index) -> Any:
        values = matrices.encode_part(self.parts[name], table, self.context)
        matrices.require_finite(self.parts[name], values, index)
        return values

    def _rows(self, key: str, table: pd.DataFrame, index: pd.Index) -> RandomRows:
        encoder = self.factors[key]
        if isinstance(encoder, ComponentEncoder):
            return encoder.encode(table, self.context, index)
        grouping = encoder.grouping
        return LevelRows(
            codes=grouping.codes(table, self.context),
            values=np.hstack([self._part(name, table, index) for name in encoder.parts]),
            n_levels=len(grouping.levels),
            labels=grouping.labels(table, self.context),
        )

    def _offset(self, table: pd.DataFrame, index: pd.Index) -> Array:
        if self.has_offset_array:
            raise DataError(
                "The offset of the fit was given as an array, which new data don't carry; "
                "make it a column and name it, or write offset(column) in the formula."
            )
        offset = np.zeros(len(table))
        for name in self.parts:
            if name.startswith("offset"):
                offset += self._part(name, table, index)[:, 0]
        if self.offset_column is not None:
            offset += _numbers(table, self.offset_column, "offset")
            if not np.isfinite(offset).all():
                raise DataError(
                    f"The offset column {self.offset_column!r} of the new data isn't finite in row "
                    f"{index[int(np.argmin(np.isfinite(offset)))]!r}; leave such rows out."
                )
        return offset

    def _weights(self, table: pd.DataFrame) -> Array | None:
        if self.weights_column is not None and self.weights_column in table.columns:
            return positive_weights(_numbers(table, self.weights_column, "weights"), table.index)
        return None


def _numbers(table: pd.DataFrame, name: str, what: str) -> Array:
    try:
        return table[name].to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"The {what} column {name!r} of the new data holds {table[name].dtype}, not numbers; convert it: "
            f"pd.to_numeric(data[{name!r}])."
        ) from error
