"""Columns of every type that a formula's data may have survive the file."""

import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from bimixed.exceptions import DataError
from bimixed.saving.archive import Reader, Writer
from bimixed.saving.columns import pack_column, pack_index, unpack_column, unpack_index

COLUMNS = {
    "float": pd.Series([1.5, np.nan, -0.0, 1e-300]),
    "float32": pd.Series([1.5, np.nan], dtype="float32"),
    "int8": pd.Series([1, -2], dtype="int8"),
    "large": pd.Series([2**63], dtype="uint64"),
    "bool": pd.Series([True, False]),
    "text": pd.Series(["ä", "b", None, "ä"], dtype="str"),
    "string": pd.Series(["a", pd.NA, ""], dtype="string"),
    "objects": pd.Series(["a", "b"], dtype=object),
    "mixed": pd.Series(["1", 1, 1.0, True, None], dtype=object),
    "Int64": pd.Series([1, pd.NA, 2**60 + 1], dtype="Int64"),
    "Float32": pd.Series([0.5, pd.NA], dtype="Float32"),
    "boolean": pd.Series([True, pd.NA, False], dtype="boolean"),
    "category": pd.Series(pd.Categorical(["b", None, "a"], ["c", "b", "a"], ordered=True)),
    "numbers as labels": pd.Series(pd.Categorical([308, 310])),
    "cut": pd.Series(pd.cut([1, 5, 9], [0, 3, 6])),
    "dates": pd.Series(pd.to_datetime(["2020-01-01", None])),
    "zoned": pd.Series(pd.to_datetime(["2020-07-01 12:00", None])).dt.tz_localize("Europe/Berlin"),
    "durations": pd.Series(pd.to_timedelta(["1h", None])),
}


def again(pack, unpack, value):
    """Through the document's text and arrays."""
    writer = Writer()
    record = json.loads(json.dumps(pack(writer, value, "column 'x'")))
    return unpack(Reader({}, writer.arrays), record)


@pytest.mark.parametrize("name", COLUMNS)
def test_columns(name):
    got = again(pack_column, unpack_column, COLUMNS[name])
    pd.testing.assert_series_equal(got, COLUMNS[name], check_exact=True)
    if name == "mixed":
        assert [type(v) for v in got] == [type(v) for v in COLUMNS[name]]


def test_columns_of_arrow_become_nullable_ones():
    pa = pytest.importorskip("pyarrow")
    column = pd.Series([1, None, 3], dtype=pd.ArrowDtype(pa.int32()))
    got = again(pack_column, unpack_column, column)
    assert str(got.dtype) == "Int32"
    assert got.tolist() == [1, pd.NA, 3]


def test_decimals_become_floats():
    got = again(pack_column, unpack_column, pd.Series([Decimal("1.5"), None], dtype=object))
    assert got.tolist() == [1.5, None]


INDEXES = {
    "range": pd.RangeIndex(3, 9, 2, name="row"),
    "labels": pd.Index(["a", "b"], name="id"),
    "numbers": pd.Index([3, 1, 1]),
    "multi": pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", None]),
    "dates": pd.DatetimeIndex(["2020-01-01", "2021-01-01"], name="day"),
    "days": pd.date_range("2020-01-01", periods=3, freq="2D", name="day"),
    "hours": pd.timedelta_range("1h", periods=3, freq="h"),
    "category": pd.CategoricalIndex(["a", "b"], ["b", "a"]),
    "intervals": pd.interval_range(0, 3, name="class"),
}


@pytest.mark.parametrize("name", INDEXES)
def test_indexes(name):
    got = again(pack_index, unpack_index, INDEXES[name])
    pd.testing.assert_index_equal(got, INDEXES[name])
    assert getattr(got, "freq", None) == getattr(INDEXES[name], "freq", None)


def test_other_objects_are_refused_by_name():
    for values in ([{1: 2}], [(1, 2)], [pd.Timestamp("2020-01-01").date()]):
        with pytest.raises(DataError, match="can't hold column 'x', which has objects of type"):
            pack_column(Writer(), pd.Series(values, dtype=object), "column 'x'")
