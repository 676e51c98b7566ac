"""Where rows come from: Parquet files, DuckDB, Arrow, polars, Dask, or frames one after the other.

All but Dask and frames are read through DuckDB, which takes the columns that are used and nothing else.
"""

import glob
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bimixed.arguments import check_count, check_seed
from bimixed.design.frame import column_names, to_pandas
from bimixed.exceptions import DataError
from bimixed.streaming import orders
from bimixed.streaming.frame_sources import DaskSource, FramesSource
from bimixed.streaming.reading import (
    QueryPiece,
    connection,
    duckdb_module,
    is_complete,
    parquet,
    quoted,
    sql_text,
    unreadable,
)

ENOUGH = 100
"""First rows that no further file is opened for."""


@dataclass(frozen=True)
class ParquetSource:
    """Parquet files of one table; made by :func:`scan_parquet`."""

    files: tuple[str, ...]

    @property
    def description(self) -> str:
        size = sum(os.path.getsize(file) for file in self.files) / 2**20
        return f"{len(self.files)} Parquet file{'s' if len(self.files) > 1 else ''} ({size:,.0f} MB)"

    @property
    def columns(self) -> list[str]:
        return list(self.schema)

    @cached_property
    def schema(self) -> dict[str, str]:
        """Type of each column, the same in every file; read once.

        Raises
        ------
        DataError
            Naming the first file that differs, and how.
        """
        first = self._schema_of(self.files[0])
        for file in self.files[1:]:
            other = self._schema_of(file)
            if other == first:
                continue
            for name in first:
                if name not in other:
                    raise DataError(
                        f"{file} has no column {name!r}, which {self.files[0]} has; it was written with "
                        "another schema. "
                        "Leave it out or write it again."
                    )
                if first[name] != other[name]:
                    raise DataError(
                        f"Column {name!r} is {other[name]} in {file} and {first[name]} in {self.files[0]}; "
                        "write it "
                        "again with one type."
                    )
        return first

    def _schema_of(self, file: str) -> dict[str, str]:
        rows = QueryPiece(self, file, "", 0, "").rows(f"DESCRIBE SELECT * FROM {parquet(file)}")
        return {str(row[0]): str(row[1]) for row in rows}

    def query(self, sql: str, name: str) -> Any:
        """Run a query on files."""
        duckdb = duckdb_module()
        try:
            return connection().sql(sql)
        except duckdb.Error as error:
            raise unreadable(name, error) from error

    def pieces(self) -> list[QueryPiece]:
        """One for each file."""
        made = []
        for file in self.files:
            about = os.stat(file)
            identity = f"{os.path.abspath(file)} {about.st_size} {about.st_mtime_ns}"
            made.append(QueryPiece(self, file, identity, about.st_size, parquet(file)))
        return made

    def whole(self) -> QueryPiece:
        """All files as one."""
        listed = ", ".join(sql_text(file) for file in self.files)
        size = sum(os.path.getsize(file) for file in self.files)
        return QueryPiece(self, self.description, "", size, f"read_parquet([{listed}])")

    def head(self, columns: Sequence[str], n: int) -> pd.DataFrame:
        """Complete rows of the first files that have any."""
        found: list[pd.DataFrame] = []
        for piece in self.pieces():
            found.append(_complete(piece, columns, self.schema, n - sum(map(len, found))))
            if sum(map(len, found)) >= min(n, ENOUGH):
                break
        return pd.concat([own for own in found if len(own)] or found[:1], ignore_index=True)

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
        return _sample(self, n, random_seed)


@dataclass(frozen=True)
class DuckDBSource:
    """A relation of DuckDB, or what DuckDB can read: an Arrow dataset, a polars LazyFrame."""

    relation: Any
    description: str
    connection: Any = field(default=None, repr=False)
    find_orders: Any = field(default=None, repr=False)

    @property
    def columns(self) -> list[str]:
        return list(self.relation.columns)

    @property
    def schema(self) -> dict[str, str]:
        """Type of each column."""
        return {
            name: str(kind) for name, kind in zip(self.relation.columns, self.relation.types, strict=True)
        }

    def query(self, sql: str, name: str) -> Any:
        """Run a query in which the relation is called ``bimixed_source``."""
        duckdb = duckdb_module()
        try:
            return self.relation.query("bimixed_source", sql)
        except duckdb.Error as error:
            raise unreadable(name, error) from error

    def pieces(self) -> list[QueryPiece]:
        """The whole."""
        return [self.whole()]

    def whole(self) -> QueryPiece:
        """The whole."""
        return QueryPiece(self, self.description, "", 0, "bimixed_source")

    def head(self, columns: Sequence[str], n: int) -> pd.DataFrame:
        """Complete rows."""
        return _complete(self.whole(), columns, self.schema, n)

    def orders(self, columns: Sequence[str]) -> dict[str, pd.Index]:
        """Categories of what DuckDB reads as text: Arrow's dictionaries, polars' Enum."""
        return {} if self.find_orders is None else dict(self.find_orders(columns))

    def sample(self, n: int, random_seed: int = 0) -> pd.DataFrame:
        """Rows drawn at random, all columns."""
        return _sample(self, n, random_seed)


def _complete(piece: QueryPiece, columns: Sequence[str], schema: Mapping[str, str], n: int) -> pd.DataFrame:
    """The first complete rows of a piece."""
    chosen = ", ".join(map(quoted, columns))
    where = is_complete(columns, schema)
    return piece.table(f"SELECT {chosen} FROM {piece.clause} WHERE {where} LIMIT {n}")


def _sample(source: Any, n: int, random_seed: int) -> pd.DataFrame:
    whole = source.whole()
    seed = int(random_seed) % 2**31
    sql = f"SELECT * FROM {whole.clause} USING SAMPLE reservoir({int(n)} ROWS) REPEATABLE ({seed})"
    return whole.table(sql)


def scan_parquet(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> ParquetSource:
    """Parquet files as the data of a model, which are read when it is made, in pieces.

    Parameters
    ----------
    paths : path, pattern, or list of them
        A file, a folder (all ``.parquet`` files below it), or a pattern such as ``"data/*.parquet"``.

    Returns
    -------
    ParquetSource
        For ``bm.ModelSpec(formula, source)`` and ``fit.predict(source)``; ``sample(n)`` draws rows.

    Raises
    ------
    DataError
        Where there is no such file.
    UnavailableError
        Without DuckDB.

    Examples
    --------
    >>> import bimixed as bm
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> bm.load_dataset("sleepstudy").to_parquet(f"{folder}/sleepstudy.parquet")
    >>> spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.scan_parquet(folder), progress=False)
    >>> round(spec.fit().loglik, 3)
    -871.814
    """
    duckdb_module()
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    files: list[str] = []
    for one in [os.fspath(path) for path in given]:
        if os.path.isdir(one):
            found = sorted(str(path) for path in Path(one).rglob("*.parquet"))
        else:
            found = sorted(glob.glob(one, recursive=True)) or ([one] if os.path.exists(one) else [])
        if not found:
            raise DataError(
                f"There is no Parquet file {one!r}; give a file, a folder or a pattern such as "
                "'data/*.parquet'."
            )
        files += found
    return ParquetSource(tuple(dict.fromkeys(files)))


def scan_duckdb(connection: Any, query: str) -> DuckDBSource:
    """A query of DuckDB as the data of a model.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection or path
        An open connection, or the file of a database, which is opened to be read.
    query : str
        SQL, or the name of a table.

    Returns
    -------
    DuckDBSource

    Raises
    ------
    DataError
        Where DuckDB can't make sense of it.
    """
    duckdb = duckdb_module()
    try:
        if isinstance(connection, str | os.PathLike):
            connection = duckdb.connect(os.fspath(connection), read_only=True)
        words = query.strip().split()
        relation = connection.table(query) if len(words) == 1 else connection.sql(query)
    except duckdb.Error as error:
        raise DataError(f"DuckDB can't run {query!r}: {error}") from error
    return DuckDBSource(relation, f"DuckDB query {_short(query)}", connection)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) < 60 else text[:57] + "…")


def as_source(data: Any) -> Any:
    """A source of what is given as data, or None where it is a table in memory."""
    if data is None or isinstance(data, pd.DataFrame | Mapping | str | bytes | os.PathLike):
        return None
    if isinstance(data, ParquetSource | DuckDBSource | DaskSource | FramesSource):
        return data
    module = type(data).__module__.split(".")[0]
    kind = type(data).__name__
    if module in ("duckdb", "_duckdb"):
        if hasattr(data, "columns") and hasattr(data, "query"):
            return DuckDBSource(data, "DuckDB relation")
        raise DataError(
            f"data is a {kind} of DuckDB; give a relation, con.sql('select ...'), or bm.scan_duckdb(con, "
            "query)."
        )
    if module == "pyarrow" and kind.endswith(("Dataset", "Scanner")):
        find = (lambda columns: orders.of_arrow(data, columns)) if kind.endswith("Dataset") else None
        return _registered(data, "Arrow dataset", find)
    if module == "polars" and kind == "LazyFrame":
        return _registered(data, "polars LazyFrame", lambda columns: orders.of_polars(data, columns))
    if module.startswith("dask") and hasattr(data, "npartitions"):
        return DaskSource(data)
    if kind == "RecordBatchReader" or isinstance(data, Iterator):
        return spooled(data)
    if callable(data):
        return FramesSource(data)
    if isinstance(data, list | tuple) and data and all(hasattr(one, "columns") for one in data):
        return FramesSource(lambda: iter(data), f"{len(data)} frames")
    return None


def sample_rows(source: Any, n: int = 10_000, random_seed: int | None = 0) -> pd.DataFrame:
    """Rows of a source, drawn at random without replacement, in memory.

    For what needs rows of a model that was made from sums: ``fit.augment(rows)``, ``bm.plots.residuals(fit,
    data=rows)``, or a model of these rows alone.

    Parameters
    ----------
    source : source
        Everything that :class:`ModelSpec` reads chunk by chunk.
    n : int
        Rows; all of them where there are fewer.
    random_seed : int, optional
        The same seed gives the same rows; None others each time.

    Returns
    -------
    pandas.DataFrame
        All columns.

    Raises
    ------
    DataError
        Where it isn't a source.
    FitError
        If ``n`` or ``random_seed`` is impossible.

    Examples
    --------
    >>> import bimixed as bm
    >>> data = bm.load_dataset("sleepstudy")
    >>> bm.sample_rows([data[:90], data[90:]], 20, random_seed=1).shape
    (20, 3)
    """
    check_count("n", n)
    check_seed(random_seed)
    found = as_source(source)
    if found is None:
        raise DataError(
            f"sample_rows takes a source, such as bm.scan_parquet(...), not a {type(source).__name__}; of a "
            "table in memory take its own, data.sample(n)."
        )
    if random_seed is None:
        random_seed = int(np.random.SeedSequence().generate_state(1)[0])
    return found.sample(int(n), int(random_seed))


def _registered(data: Any, description: str, find_orders: Any) -> DuckDBSource:
    connection = duckdb_module().connect()
    connection.register("given", data)
    return DuckDBSource(connection.table("given"), description, connection, find_orders)


class _Spool:
    """A folder that goes when nothing uses it any more."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="bimixed-")


@dataclass(frozen=True)
class SpooledSource(ParquetSource):
    """Frames of an iterator, which comes once only, written to Parquet files."""

    spool: _Spool = field(default_factory=_Spool, repr=False)
    known: Mapping[str, pd.Index] = field(default_factory=dict, repr=False)

    @property
    def schema(self) -> dict[str, str]:
        """Type of each column that holds what every frame has of it."""
        rows = self.whole().rows(f"DESCRIBE SELECT * FROM {self.whole().clause}")
        return {str(row[0]): str(row[1]) for row in rows}

    def pieces(self) -> list[QueryPiece]:
        """The whole: a piece alone might have other types."""
        return [self.whole()]

    def whole(self) -> QueryPiece:
        """All frames as one."""
        listed = ", ".join(sql_text(file) for file in self.files)
        size = sum(os.path.getsize(file) for file in self.files)
        clause = f"read_parquet([{listed}], union_by_name = true)"
        return QueryPiece(self, self.description, "", size, clause)

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
    known: dict[str, pd.Index] | None = None
    connection = duckdb.connect()
    for i, frame in enumerate(frames):
        table = to_pandas(frame, column_names(frame))
        known = orders.shared(known, orders.of_frame(table))
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
    return SpooledSource(tuple(files), spool, known or {})
