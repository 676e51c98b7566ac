"""Parquet files of one table, and frames of an iterator that are written to such files first."""

import os
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pandas as pd

from bimixed.design.frame import column_names, to_pandas
from bimixed.exceptions import DataError
from bimixed.streaming import orders
from bimixed.streaming.reading import (
    QueryPiece,
    connection,
    duckdb_module,
    first_complete,
    first_rows,
    parquet,
    quoted,
    random_rows,
    sql_path,
    sql_text,
    unreadable,
)

ENOUGH = 100
"""First rows that no further file is opened for."""
NOTHING = "__HIVE_DEFAULT_PARTITION__"
"""What a folder is called whose rows have nothing in its column."""
NULL = '"NULL"'
"""DuckDB's type of a column that a file has nothing in."""
WHOLE = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
)
FRACTIONS = ("FLOAT", "DOUBLE", "DECIMAL")
"""Beginnings of types of numbers that aren't whole."""


TIMES = frozenset({"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"})


def _is_number(kind: str) -> bool:
    return kind in WHOLE or kind.startswith(FRACTIONS)


def _have_one_kind(kinds: Collection[str]) -> bool:
    """Whether columns of these types are one: numbers, or times without a zone."""
    return all(map(_is_number, kinds)) or TIMES.issuperset(kinds)


@dataclass(frozen=True, repr=False)
class ParquetSource:
    """Parquet files of one table; made by :func:`scan_parquet`.

    Attributes
    ----------
    files : tuple of str
    """

    files: tuple[str, ...]

    def __repr__(self) -> str:
        return f"{self.description}: {', '.join(self.columns)}"

    @property
    def description(self) -> str:
        size = sum(os.path.getsize(file) for file in self.files) / 2**20
        return f"{len(self.files)} Parquet file{'s' if len(self.files) > 1 else ''} ({size:,.0f} MB)"

    @property
    def columns(self) -> list[str]:
        return list(self.schema)

    @cached_property
    def _schemas(self) -> list[dict[str, str]]:
        """Types of each file's columns, read once."""
        return [self._described(file) for file in self.files]

    @cached_property
    def _texts(self) -> tuple[str, ...]:
        """Columns of folders' names (``year=2024``) that are text, because some of them aren't numbers."""
        kinds: dict[str, set[str]] = {}
        for file in self.files if any("=" in file for file in self.files) else ():
            for name, kind in self._types_of(self.name_of(file), parquet(file)).items():
                if f"{os.sep}{name}=" in file and f"{os.sep}{name}={NOTHING}" not in file:
                    kinds.setdefault(name, set()).add(kind)
        return tuple(name for name, own in kinds.items() if len(own) > 1 and not all(map(_is_number, own)))

    def _how(self, file: str) -> str:
        """Options that a file is read with."""
        texts = [f"{quoted(name)}: VARCHAR" for name in self._texts if f"{os.sep}{name}=" in file]
        return f", hive_types = {{{', '.join(texts)}}}" if texts else ""

    def _described(self, file: str) -> dict[str, str]:
        found = self._types_of(self.name_of(file), parquet(file, self._how(file)))
        return {name: NULL if f"{os.sep}{name}={NOTHING}" in file else kind for name, kind in found.items()}

    def _types_of(self, name: str, clause: str) -> dict[str, str]:
        rows = QueryPiece(self, name, "", 0, clause).rows(f"DESCRIBE SELECT * FROM {clause}")
        return {str(row[0]): str(row[1]) for row in rows}

    @cached_property
    def schema(self) -> dict[str, str]:
        """Type of each column that holds what every file has of it."""
        kinds: dict[str, dict[str, None]] = {}
        for own in self._schemas:
            for name, kind in own.items():
                kinds.setdefault(name, {})[kind] = None
        return {name: _together([kind for kind in own if kind != NULL]) for name, own in kinds.items()}

    @cached_property
    def _is_alike(self) -> bool:
        return all(own == self._schemas[0] for own in self._schemas[1:])

    def require_alike(self, columns: Iterable[str]) -> None:
        """Refuse columns that files don't share.

        Numbers of several types are one column, and so is one that some files have nothing in.

        Raises
        ------
        DataError
            Naming the column, the first file that differs, and how.
        """
        if self._is_alike:
            return
        for name in dict.fromkeys(columns):
            if name in self._accepted:
                continue
            for file, own in zip(self.files, self._schemas, strict=True):
                if name not in own:
                    has = next(f for f, other in zip(self.files, self._schemas, strict=True) if name in other)
                    raise DataError(
                        f"{self.name_of(file)} has no column {name!r}, which {self.name_of(has)} has; it was "
                        "written with another schema. Leave it out, or write it again."
                    )
            known = self._types(name)
            together = self.schema[name]
            if known and not (known.keys() == {together} or _have_one_kind({*known, together})):
                pairs = list(zip(self.files, self._schemas, strict=True))
                kinds = {own[name]: self.name_of(file) for file, own in reversed(pairs)}  # the first of each
                (kind, where), (other, at) = list({**known, **kinds}.items())[:2]
                raise DataError(
                    f"Column {name!r} is {other} in {at} and {kind} in {where}; write it again with one type."
                )
            self._accepted.add(name)

    @cached_property
    def _accepted(self) -> set[str]:
        """Columns that were found to be alike."""
        return set()

    def _types(self, name: str) -> dict[str, str]:
        """Types of a column, each with the first file that has it; files with nothing in it don't count."""
        found: dict[str, str] = {}
        by_type: dict[str, list[str]] = {}
        for file, own in zip(self.files, self._schemas, strict=True):
            by_type.setdefault(own[name], []).append(file)
        by_type.pop(NULL, None)
        is_one = _have_one_kind(by_type) or len(by_type) == 1
        for kind, files in by_type.items():
            used = files if is_one else [file for file in files if self._has_any(file, name)]
            if used:
                found[kind] = self.name_of(used[0])
        return found

    def _has_any(self, file: str, name: str) -> bool:
        piece = QueryPiece(self, self.name_of(file), "", 0, parquet(file, self._how(file)))
        return bool(piece.rows(f"SELECT count({quoted(name)}) FROM {piece.clause}")[0][0])

    def name_of(self, file: str) -> str:
        """What a file is called in errors."""
        return file

    def query(self, sql: str, name: str) -> Any:
        """Run a query on files."""
        duckdb = duckdb_module()
        try:
            return connection().sql(sql)
        except duckdb.Error as error:
            raise unreadable(name, error, resumes=True) from error

    def pieces(self) -> list[QueryPiece]:
        """One for each file."""
        made = []
        for file, own in zip(self.files, self._schemas, strict=True):
            about = os.stat(file)
            identity = f"{os.path.abspath(file)} {about.st_size} {about.st_mtime_ns}"
            made.append(
                QueryPiece(self, self.name_of(file), identity, about.st_size, self._clause(file, own))
            )
        return made

    def _clause(self, file: str, own: Mapping[str, str]) -> str:
        """A file's rows, columns in the type that they have together."""
        cast = [
            f"CAST({quoted(name)} AS {self.schema[name]}) AS {quoted(name)}"
            for name, kind in own.items()
            if kind != self.schema[name]
        ]
        plain = parquet(file, self._how(file))
        return f"(SELECT * REPLACE ({', '.join(cast)}) FROM {plain})" if cast else plain

    def whole(self) -> QueryPiece:
        """All files as one."""
        size = sum(os.path.getsize(file) for file in self.files)
        return QueryPiece(self, self.description, "", size, self._whole_clause)

    @cached_property
    def _whole_clause(self) -> str:
        hows = {self._how(file) for file in self.files}
        if len(hows) == 1:
            how = hows.pop() + ("" if self._is_alike else ", union_by_name = true")
            listed = f"read_parquet([{', '.join(map(sql_path, self.files))}]{how})"
            if self._is_alike or self._types_of(self.description, listed) == self.schema:
                return listed
        own = zip(self.files, self._schemas, strict=True)
        selects = [f"SELECT * FROM {self._clause(file, schema)}" for file, schema in own]
        return f"({' UNION ALL BY NAME '.join(selects)})"

    @property
    def is_one(self) -> bool:
        """Whether DuckDB reads all files as one table."""
        return self._whole_clause.startswith("read_parquet")

    def head(self, columns: Sequence[str] | None = None, n: int = 5) -> pd.DataFrame:
        """First rows: all columns, or those given of rows that have all of them.

        Parameters
        ----------
        columns : sequence of str, optional
        n : int
        """
        take, enough = first_rows, n
        if columns is not None:
            self.require_alike(columns)
            take, enough = partial(first_complete, columns=columns, schema=self.schema), min(n, ENOUGH)
        found: list[pd.DataFrame] = []
        for piece in self.pieces():
            found.append(take(piece, n=n - sum(map(len, found))))
            if sum(map(len, found)) >= enough:
                break
        rows = pd.concat([own for own in found if len(own)] or found[:1], ignore_index=True)
        return rows.reindex(columns=self.columns) if columns is None else rows

    def orders(self, columns: Sequence[str]) -> dict[str, pd.Index]:
        """Categories as pandas wrote them, where pyarrow is installed; else labels are sorted."""
        return orders.of_parquet(self.files, columns)

    def sample(self, n: int, random_seed: int = 0) -> pd.DataFrame:
        """Rows drawn at random, all columns.

        Parameters
        ----------
        n : int
        random_seed : int
        """
        return random_rows(self.whole(), n, random_seed)


def _together(kinds: Sequence[str]) -> str:
    """The type that holds numbers or times of several types; text for what isn't one column."""
    if len(kinds) <= 1:
        return kinds[0] if kinds else "INTEGER"
    if TIMES.issuperset(kinds):
        return "TIMESTAMP_NS" if "TIMESTAMP_NS" in kinds else "TIMESTAMP"
    if not all(map(_is_number, kinds)):
        return "VARCHAR"
    if any(kind not in WHOLE for kind in kinds) or (
        "UBIGINT" in kinds and not all(k[0] == "U" for k in kinds)
    ):
        return "DOUBLE"
    return "UBIGINT" if "UBIGINT" in kinds else "BIGINT"


class _Spool:
    """A folder that goes when nothing uses it any more."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="bimixed-")


@dataclass(frozen=True, repr=False)
class SpooledSource(ParquetSource):
    """Frames of an iterator, which comes once only, written to Parquet files."""

    spool: _Spool = field(default_factory=_Spool)
    known: Mapping[str, pd.Index] = field(default_factory=dict)

    @property
    def description(self) -> str:
        return f"{len(self.files)} frames of an iterator"

    def name_of(self, file: str) -> str:
        """Its number."""
        return f"frame {self.files.index(file)}"

    def orders(self, columns: Sequence[str]) -> dict[str, pd.Index]:
        """Categories that all frames have alike."""
        return {name: order for name, order in self.known.items() if name in columns}


def spooled(frames: Iterable[Any]) -> SpooledSource:
    """Frames of an iterator in temporary Parquet files, since they are needed more than once.

    Raises
    ------
    DataError
        For an iterator without frames, and where the disk is full.
    """
    duckdb, spool, files = duckdb_module(), _Spool(), []
    known: orders.Kinds | None = None
    connection = duckdb.connect()
    for i, frame in enumerate(frames):
        table = to_pandas(frame, column_names(frame))
        known = orders.shared(known, orders.kinds_of(table))
        path = str(Path(spool.folder.name) / f"{i:06}.parquet")
        try:
            connection.register("frame", table)
            connection.execute(f"COPY frame TO {sql_text(path)} (FORMAT parquet)")
        except (duckdb.Error, OSError) as error:
            raise DataError(
                f"The frames couldn't be written to {spool.folder.name}: {error}. Set TMPDIR to a folder "
                "with more room, or give "
                "a function that makes the iterator anew, which needs no copy."
            ) from error
        files.append(path)
    if not files:
        raise DataError("The iterator gave no frames.")
    return SpooledSource(tuple(files), spool, orders.categories_of(known))
