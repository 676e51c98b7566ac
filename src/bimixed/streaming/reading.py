"""Queries of DuckDB on files and relations, and their errors."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bimixed.exceptions import DataError, UnavailableError

INTEGERS: dict[str, Any] = {
    "int8": pd.Int8Dtype(),
    "int16": pd.Int16Dtype(),
    "int32": pd.Int32Dtype(),
    "int64": pd.Int64Dtype(),
    "uint8": pd.UInt8Dtype(),
    "uint16": pd.UInt16Dtype(),
    "uint32": pd.UInt32Dtype(),
    "uint64": pd.UInt64Dtype(),
}
"""Arrow's integers as pandas' that can be missing."""
OTHERS = (".csv", ".tsv", ".txt", ".gz", ".json", ".jsonl", ".feather", ".arrow", ".xlsx", ".db", ".duckdb")
"""Ends of names of files that aren't Parquet."""
ROWS = 1_000_000
"""Rows of a chunk."""


def duckdb_module() -> Any:
    """DuckDB.

    Raises
    ------
    UnavailableError
        If it isn't installed.
    """
    try:
        import duckdb
    except ImportError as error:
        raise UnavailableError(
            "Data that stay in files are read by DuckDB: python -m pip install 'bimixed[scale]' (or duckdb)."
        ) from error
    return duckdb


def quoted(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def is_complete(columns: Sequence[str], schema: Mapping[str, str]) -> str:
    """The condition that a row has every column."""
    tests = [f"{quoted(name)} IS NOT NULL" for name in columns]
    tests += [f"NOT isnan({quoted(name)})" for name in columns if schema.get(name) in ("DOUBLE", "FLOAT")]
    return " AND ".join(tests)


@dataclass(frozen=True)
class QueryPiece:
    """Rows of one FROM clause.

    Attributes
    ----------
    source : DuckDBSource or ParquetSource
    name, identity : str
    size : int
    clause : str
        What stands after FROM.
    """

    source: Any
    name: str
    identity: str
    size: int
    clause: str

    def rows(self, sql: str) -> list[Any]:
        """All rows that a query gives, tuples.

        Raises
        ------
        DataError
            Naming the piece, where it can't be read.
        """
        return list(self._read(sql, "fetchall"))

    def table(self, sql: str) -> pd.DataFrame:
        """The table that a query gives.

        Raises
        ------
        DataError
            Naming the piece, where it can't be read.
        """
        table = self._read(sql, "df")
        days = [name for name, kind in self.source.schema.items() if kind == "DATE" and name in table]
        return table.assign(**{name: table[name].dt.date for name in days})

    def arrow_schema(self, columns: Sequence[str]) -> Any:
        """Arrow's types of these columns."""
        chosen = ", ".join(map(quoted, columns))
        return self._read(f"SELECT {chosen} FROM {self.clause} LIMIT 0", "to_arrow_table").schema

    def _read(self, sql: str, how: str) -> Any:
        result = self.source.query(sql, self.name)
        try:
            return getattr(result, how)()
        except (duckdb_module().Error, RuntimeError) as error:
            raise self._as_ours(error) from error

    def frames(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """The rows of these columns, a chunk at a time."""
        self.source.require_alike(columns)
        chosen = ", ".join(map(quoted, columns))
        _require_pyarrow()
        result = self.source.query(f"SELECT {chosen} FROM {self.clause}", self.name)
        try:
            for batch in result.to_arrow_reader(ROWS):
                yield batch.to_pandas(types_mapper=_integers)
        except (duckdb_module().Error, RuntimeError, OSError) as error:
            raise self._as_ours(error) from error

    def _as_ours(self, error: Exception) -> BaseException:
        """DuckDB's error as ours; a query that was interrupted is Python's interrupt."""
        if "interrupted" in str(error).lower():
            return KeyboardInterrupt()
        return unreadable(self.name, error, hasattr(self.source, "files"))


def first_rows(piece: QueryPiece, n: int) -> pd.DataFrame:
    """Rows with all columns."""
    return piece.table(f"SELECT * FROM {piece.clause} LIMIT {int(n)}")


def first_complete(
    piece: QueryPiece, columns: Sequence[str], schema: Mapping[str, str], n: int
) -> pd.DataFrame:
    """First rows that have all of these columns."""
    chosen = ", ".join(map(quoted, columns))
    where = is_complete(columns, schema)
    return piece.table(f"SELECT {chosen} FROM {piece.clause} WHERE {where} LIMIT {int(n)}")


def random_rows(piece: QueryPiece, n: int, random_seed: int) -> pd.DataFrame:
    """Rows drawn at random, all columns."""
    seed = int(random_seed) % 2**31
    return piece.table(
        f"SELECT * FROM {piece.clause} USING SAMPLE reservoir({int(n)} ROWS) REPEATABLE ({seed})"
    )


def _integers(kind: Any) -> Any:
    """Integers as such where some are missing: as floats, labels beyond 2^53 would be one, and 1 be 1.0."""
    return INTEGERS.get(str(kind))


def _require_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise UnavailableError(
            "This model's rows are read through pyarrow: python -m pip install 'bimixed[scale]' (or pyarrow)."
        ) from error


class UnreadableError(DataError):
    """Rows that can't be read."""


def unreadable(name: str, error: Exception, resumes: bool = False) -> UnreadableError:
    """DuckDB's error as ours; with the advice that pieces done are kept, where they can be."""
    text = re.sub(r"\s+", " ", str(error)).strip()
    column = re.search(r'column "?([^"\s:]+)"?', text)
    where = f", column {column.group(1)!r}" if column else ""
    advice = ": with checkpoint= the parts that were read before aren't read again" if resumes else ""
    return UnreadableError(
        f"{name}{where} can't be read: {text.rstrip('.')}. Mend or replace it and run again{advice}."
    )


_connections: dict[int, Any] = {}


def connection() -> Any:
    """A connection of this process."""
    own = os.getpid()
    if own not in _connections:
        _connections[own] = duckdb_module().connect()
    return _connections[own].cursor()


def sql_text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def sql_path(path: str) -> str:
    """A file's name, which DuckDB would take for a pattern where it has *, ? or [."""
    return sql_text("".join(f"[{c}]" if c in "*?[" else c for c in path))


def parquet(path: str, how: str = "") -> str:
    return f"read_parquet({sql_path(path)}{how})"
