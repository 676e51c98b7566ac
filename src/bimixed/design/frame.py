"""Tables of any kind → the pandas columns a formula needs, and which rows can be used."""

import difflib
import importlib.util
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bimixed.exceptions import DataError


@dataclass(frozen=True)
class Frame:
    """The used rows of the caller's table.

    Attributes
    ----------
    table : pandas.DataFrame
        Columns of the formula, complete rows only, with a fresh RangeIndex.
    index : pandas.Index
        Index of the used rows in the caller's table.
    kept : (n_total,) bool array
        Which rows of the caller's table are used.
    missing : dict
        Column → number of missing values, where there are any.
    known : mapping
        Columns of the table that have been looked up; their index may be another.
    """

    table: pd.DataFrame
    index: pd.Index
    kept: NDArray[np.bool_]
    missing: Mapping[str, int] = field(default_factory=dict)
    known: Mapping[str, pd.Series] = field(default_factory=dict, repr=False)

    @cached_property
    def cells(self) -> "Cells":
        """The table's columns, each looked up once."""
        return Cells(self.table, dict(self.known))

    @property
    def n_dropped(self) -> int:
        """Rows left out because a value is missing."""
        return int(len(self.kept) - self.kept.sum())


class Cells:
    """A table whose columns are looked up once: pandas takes a while for each."""

    def __init__(self, table: pd.DataFrame, known: dict[str, pd.Series]):
        self._table, self._known = table, known
        self.columns = frozenset(known) if known else frozenset(table.columns)

    def __getitem__(self, name: str) -> pd.Series:
        if name not in self._known:
            self._known[name] = self._table[name]
        return self._known[name]

    def __len__(self) -> int:
        return len(self._table)


def shown_label(label: Any) -> str:
    """A label as its user would write it."""
    return repr(label.item() if isinstance(label, np.generic) else label)


def column_names(data: Any) -> list[str]:
    """Names of the columns of any supported table."""
    if isinstance(data, Mapping):
        return [str(name) for name in data]
    if isinstance(data, pd.DataFrame):
        return [str(name) for name in data.columns]
    return list(_narwhals(data).columns)


def to_pandas(data: Any, columns: Iterable[str]) -> pd.DataFrame:
    """The named columns of any supported table, as a pandas frame; it may be the one given."""
    columns = list(columns)
    if isinstance(data, pd.DataFrame):
        _refuse_duplicates(data, columns)
        if columns == list(data.columns):
            return data
        # not data[columns], which copies
        return pd.DataFrame({name: data[name] for name in columns}, index=data.index, copy=False)
    if isinstance(data, Mapping):
        return _from_mapping(data, columns)
    table = _narwhals(data).select(columns)
    if importlib.util.find_spec("pyarrow") is None:  # which narwhals needs for to_pandas
        return pd.DataFrame({name: table[name].to_numpy() for name in columns})
    return table.to_pandas()


def _from_mapping(data: Mapping[str, Any], columns: list[str]) -> pd.DataFrame:
    indexes = [data[name].index for name in columns if isinstance(data[name], pd.Series)]
    if any(not index.equals(indexes[0]) for index in indexes):
        raise DataError(
            "The columns of the data are Series with different indexes, which don't say which values belong "
            "to one row. Put them into a DataFrame first, or give arrays (.to_numpy())."
        )
    scalars = [name for name in columns if np.ndim(data[name]) == 0]
    if scalars:
        raise DataError(
            f"Column {scalars[0]!r} of the data is a single value; give a list with one value per row."
        )
    lengths = {name: np.size(data[name]) for name in columns}
    if len(set(lengths.values())) > 1:
        raise DataError(
            f"The columns of the data have different lengths: {lengths}. Give every column one value per row."
        )
    table = pd.DataFrame({name: _column_values(data[name]) for name in columns})
    return table.set_axis(indexes[0], axis=0) if indexes else table


def _column_values(values: Any) -> Any:
    return values.array if isinstance(values, pd.Series) else values


def require_aligned(values: Any, name: str, index: pd.Index) -> None:
    """Refuse a Series whose index says that its values belong to other rows.

    Raises
    ------
    DataError
    """
    if isinstance(values, pd.Series | pd.DataFrame) and not values.index.equals(index):
        raise DataError(
            f"{name} is a {type(values).__name__} whose index is not that of the data. Give it with the same "
            "index in the same order, or its values alone (.to_numpy()) if they are in the order of the rows."
        )


def with_columns(table: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """The table with further columns, one value per row."""
    for name, values in columns.items():
        if len(values) != len(table):
            raise DataError(
                f"{name} has {len(values)} values for {len(table)} rows; give one for each row of the data."
            )
        table = table.assign(**{name: values.array if isinstance(values, pd.Series) else values})
    return table


def _narwhals(data: Any) -> nw.DataFrame[Any]:
    if type(data).__name__ == "RecordBatch" and hasattr(data, "schema"):  # of pyarrow's readers
        import pyarrow

        data = pyarrow.Table.from_batches([data])
    try:
        return nw.from_native(data, eager_only=True)
    except TypeError as error:
        raise DataError(
            f"data is a {type(data).__name__}; give a pandas, polars or pyarrow table, or a dict of columns. "
            f"{_first_step(data)}"
        ) from error


def _first_step(data: Any) -> str:
    if isinstance(data, str | os.PathLike):
        return "Read the file first: pandas.read_csv(path)."
    if hasattr(data, "collect"):
        return "Collect it first: data.collect()."
    return "pandas.DataFrame(data, columns=[...]) makes one of an array."


def _refuse_duplicates(data: pd.DataFrame, columns: list[str]) -> None:
    if data.columns.is_unique:
        return
    counts = data.columns.value_counts()
    twice = [name for name in columns if counts.get(name, 0) > 1]
    if twice:
        raise DataError(f"Column {twice[0]!r} stands more than once in the data; rename one of them.")


def index_names(data: Any) -> list[str]:
    """Names of a pandas table's index."""
    return (
        [str(name) for name in data.index.names if name is not None] if isinstance(data, pd.DataFrame) else []
    )


def require_columns(available: list[str], wanted: Mapping[str, str], index: Iterable[str] = ()) -> None:
    """Raise for the first wanted column that isn't there.

    Parameters
    ----------
    available : list of str
    wanted : mapping
        Name of the column → where it is used, such as ``"group of (1 | county)"``.
    index : list of str
        Names of the index, for a hint.
    """
    for name, place in wanted.items():
        if name in available:
            continue
        if name in index:
            raise DataError(
                f"{name!r} ({place}) is the index of the data and no column; use data.reset_index()."
            )
        close = difflib.get_close_matches(name, available, n=3, cutoff=0.6)
        hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else ""
        shown = ", ".join(available[:12]) + (", …" if len(available) > 12 else "")
        raise DataError(
            f"No column {name!r} in the data ({place}). {hint} The data have: {shown}.".replace("  ", " ")
        )


def complete_rows(table: pd.DataFrame, extra: Mapping[str, NDArray[Any]], na_action: str) -> Frame:
    """Drop rows where any column is missing, or refuse to.

    Parameters
    ----------
    table : pandas.DataFrame
        All columns that the formula uses.
    extra : mapping
        Arrays given beside the table (weights, offset): name → values.
    na_action : {"drop", "raise"}
    """
    if na_action not in ("drop", "raise"):
        raise DataError(f"na_action is {na_action!r}; it can be 'drop' or 'raise'.")
    if len(table) == 0:
        raise DataError("The data have no rows; give at least as many as there are coefficients.")
    columns = {str(name): column for name, column in table.items()}
    missing = {name: _missing(column) for name, column in columns.items()}
    missing |= {name: pd.isna(values) for name, values in extra.items()}
    for name, mask in missing.items():
        if mask.all():
            raise DataError(
                f"Every value of {name!r} is missing, so no row can be used. "
                "Leave the column out of the formula or fill it."
            )
    dropped = np.zeros(len(table), dtype=bool)
    for mask in missing.values():
        dropped |= mask
    counts = {name: int(mask.sum()) for name, mask in missing.items() if mask.any()}
    told = ", ".join(f"{name} ({count} missing)" for name, count in counts.items())
    if dropped.all():
        raise DataError(
            f"No rows are left: every row misses a value in one of these columns: {told}. "
            "Fill values or leave columns out of the formula."
        )
    if na_action == "raise" and dropped.any():
        raise DataError(
            f"Missing values in {int(dropped.sum())} of {len(dropped)} rows: {told}. "
            "Fill or drop them; a specification with na_action='drop' leaves them out."
        )
    kept = ~dropped
    index = table.index
    if dropped.any():
        table, index = table[kept], index[kept]
        columns = {str(name): column for name, column in table.items()}
    plain = plain_columns(table, columns)
    columns, table = columns if plain is table else {}, plain
    own = table.index
    if not (isinstance(own, pd.RangeIndex) and own.start == 0 and own.step == 1):
        table = table.set_axis(pd.RangeIndex(len(table)), axis=0)
    return Frame(table, index, kept, counts, columns)


def _missing(column: pd.Series) -> NDArray[np.bool_]:
    kind = column.dtype.kind
    if kind in "iub" and isinstance(column.dtype, np.dtype):
        return np.zeros(len(column), dtype=bool)
    if kind == "f" and isinstance(column.dtype, np.dtype):
        return np.isnan(column.to_numpy())
    return column.isna().to_numpy()


def plain_columns(table: pd.DataFrame, columns: Mapping[str, pd.Series] | None = None) -> pd.DataFrame:
    """Columns as formulaic reads them: nullable and arrow ones as numpy, no unused categories."""
    converted = {}
    for name, column in (columns or dict(table.items())).items():
        dtype = column.dtype
        if isinstance(dtype, np.dtype) and dtype.kind in "iufb":
            continue
        if isinstance(dtype, pd.CategoricalDtype):
            used = table[name].cat.remove_unused_categories()
            if len(used.cat.categories) < len(dtype.categories):
                converted[name] = used
            continue
        if pd.api.types.is_object_dtype(dtype):
            converted[name] = _inferred(table[name])
            continue
        if not pd.api.types.is_extension_array_dtype(dtype):
            continue
        if pd.api.types.is_bool_dtype(dtype):
            converted[name] = table[name].astype(bool)
        elif pd.api.types.is_numeric_dtype(dtype):
            whole = "uint64" if pd.api.types.is_unsigned_integer_dtype(dtype) else "int64"
            converted[name] = table[name].astype(whole if pd.api.types.is_integer_dtype(dtype) else "float64")
        elif pd.api.types.is_string_dtype(dtype) and dtype != "str":
            converted[name] = table[name].astype("str")
    return table.assign(**converted) if converted else table


def _inferred(column: pd.Series) -> pd.Series:
    """A column of Python objects as the numbers or booleans that it holds, else as it is."""
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind in ("floating", "mixed-integer-float", "decimal"):
        return column.astype("float64")
    if kind in ("integer", "boolean"):
        return column.astype("int64" if kind == "integer" else "bool")
    return column
