"""Columns and indexes ↔ plain arrays: every dtype that a formula's data may have, without pickle."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from bimixed.exceptions import DataError
from bimixed.saving.archive import Reader, Writer

Record = dict[str, Any]


def pack_frame(writer: Writer, table: pd.DataFrame) -> Record:
    """A table with its index."""
    return {
        "index": pack_index(writer, table.index),
        "columns": {str(name): pack_column(writer, table[name], f"column {name!r}") for name in table},
    }


def unpack_frame(reader: Reader, record: Record) -> pd.DataFrame:
    """The table of a record."""
    index = unpack_index(reader, record["index"])
    columns = {name: unpack_column(reader, own) for name, own in record["columns"].items()}
    return pd.DataFrame({name: column.array for name, column in columns.items()}, index=index, copy=False)


def pack_index(writer: Writer, index: pd.Index, name: str = "the index") -> Record:
    """An index of any kind."""
    names = [_plain_name(own) for own in index.names]
    if isinstance(index, pd.RangeIndex):
        return {"kind": "range", "bounds": [index.start, index.stop, index.step], "names": names}
    if isinstance(index, pd.MultiIndex):
        levels = [
            pack_column(writer, index.get_level_values(i).to_series(), name) for i in range(index.nlevels)
        ]
        return {"kind": "multi", "levels": levels, "names": names}
    if isinstance(index, pd.IntervalIndex):
        ends = [pack_index(writer, end, name) for end in (index.left, index.right)]
        return {"kind": "interval", "ends": ends, "closed": index.closed, "names": names}
    values = pack_column(writer, index.to_series(), name)
    return {"kind": "plain", "values": values, "names": names, "freq": getattr(index, "freqstr", None)}


def unpack_index(reader: Reader, record: Record) -> pd.Index:
    """The index of a record."""
    kind, names = record["kind"], record["names"]
    if kind == "range":
        return pd.RangeIndex(*record["bounds"], name=names[0])
    if kind == "multi":
        levels = [unpack_column(reader, level).array for level in record["levels"]]
        return pd.MultiIndex.from_arrays(levels, names=names)
    if kind == "interval":
        left, right = (unpack_index(reader, end) for end in record["ends"])
        return pd.IntervalIndex.from_arrays(left, right, record["closed"], name=names[0])
    if kind != "plain":
        raise ValueError(f"an index of kind {kind!r}")
    index = pd.Index(unpack_column(reader, record["values"]).array, name=names[0])
    if isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex):
        index.freq = record["freq"]
    return index


def _plain_name(name: Any) -> str | int | None:
    return name if name is None or isinstance(name, str | int) else str(name)


def pack_column(writer: Writer, column: pd.Series, name: str) -> Record:
    """One column.

    Raises
    ------
    DataError
        Where it holds objects that are neither text nor numbers.
    """
    dtype = column.dtype
    if isinstance(dtype, pd.ArrowDtype):
        if dtype.kind not in "biufOU":
            raise DataError(
                f"A file can't hold {name}, whose type is {dtype}; convert it first, dates by "
                "pd.to_datetime(data['t'].astype(str)), or to text."
            )
        return pack_column(writer, column.convert_dtypes(dtype_backend="numpy_nullable"), name)
    if isinstance(dtype, pd.CategoricalDtype):
        return {
            "kind": "category",
            "codes": writer.put(column.cat.codes.to_numpy()),
            "categories": pack_index(writer, dtype.categories, name),
            "ordered": bool(dtype.ordered),
        }
    if isinstance(dtype, pd.DatetimeTZDtype):
        plain = column.dt.tz_convert("UTC").dt.tz_localize(None)
        return {"kind": "zoned", "values": writer.put(plain.to_numpy()), "dtype": str(dtype)}
    if isinstance(dtype, np.dtype) and dtype.kind in "biufcMm":
        return {"kind": "plain", "values": writer.put(column.to_numpy())}
    if isinstance(dtype, pd.IntervalDtype):
        codes, categories = pd.factorize(column)
        return {
            "kind": "coded",
            "codes": writer.put(codes),
            "values": pack_index(writer, pd.Index(categories), name),
        }
    if pd.api.types.is_extension_array_dtype(dtype) and pd.api.types.is_any_real_numeric_dtype(dtype):
        return _pack_nullable(writer, column)
    if pd.api.types.is_extension_array_dtype(dtype) and pd.api.types.is_bool_dtype(dtype):
        return _pack_nullable(writer, column)
    if pd.api.types.is_object_dtype(dtype) or pd.api.types.is_string_dtype(dtype):
        return _pack_objects(writer, column, name)
    raise DataError(f"A file can't hold {name}, whose type is {dtype}; convert it, for instance to text.")


def _pack_nullable(writer: Writer, column: pd.Series) -> Record:
    missing = column.isna().to_numpy()
    plain = column.dtype.numpy_dtype
    values = column.to_numpy(dtype=plain, na_value=np.zeros(1, plain)[0])
    return {
        "kind": "nullable",
        "values": writer.put(values),
        "missing": writer.put(missing),
        "dtype": str(column.dtype),
    }


def _pack_objects(writer: Writer, column: pd.Series, name: str) -> Record:
    """Text and Python's numbers, each different value once."""
    values = [None if missing else value for value, missing in zip(column, column.isna(), strict=True)]
    place: dict[tuple[type, Any], int] = {}
    codes = [-1 if v is None else place.setdefault((type(v), v), len(place)) for v in _plain(values, name)]
    dtype = "object" if pd.api.types.is_object_dtype(column.dtype) else str(column.dtype)
    return {
        "kind": "objects",
        "codes": writer.put(np.asarray(codes, dtype=np.int64)),
        "values": [value for _, value in place],
        "dtype": dtype,
    }


def _plain(values: list[Any], name: str) -> list[Any]:
    """Values as Python's own text, numbers and booleans."""
    plain = []
    for given in values:
        value = given.item() if isinstance(given, np.generic) else given
        value = float(value) if isinstance(value, Decimal) else value
        value = str(value) if isinstance(value, str) else value
        if value is not None and type(value) not in (str, int, float, bool):
            raise DataError(
                f"A file can't hold {name}, which has objects of type {type(given).__name__}; convert it to "
                "text, numbers or pandas' dates."
            )
        plain.append(value)
    return plain


def unpack_column(reader: Reader, record: Mapping[str, Any]) -> pd.Series:
    """The column of a record, with a fresh index."""
    kind = record["kind"]
    if kind == "plain":
        return pd.Series(reader.get(record["values"]))
    if kind == "category":
        categories = unpack_index(reader, record["categories"])
        codes = reader.get(record["codes"])
        return pd.Series(pd.Categorical.from_codes(codes, categories, ordered=record["ordered"]))
    if kind == "coded":
        values = unpack_index(reader, record["values"])
        return pd.Series(values.take(reader.get(record["codes"]), allow_fill=True, fill_value=np.nan))
    if kind == "zoned":
        plain = pd.Series(reader.get(record["values"])).dt.tz_localize("UTC")
        return plain.astype(record["dtype"])
    if kind == "nullable":
        column = pd.Series(reader.get(record["values"])).astype(record["dtype"])
        return column.mask(reader.get(record["missing"]))
    if kind == "objects":
        found = np.empty(len(record["values"]) + 1, dtype=object)
        found[:-1], found[-1] = record["values"], None  # code −1
        return pd.Series(found[reader.get(record["codes"])], dtype=record["dtype"])
    raise ValueError(f"a column of kind {kind!r}")
