"""Where rows come from: Parquet files, DuckDB, Arrow, polars, Dask, or frames one after the other.

All but Dask and frames are read through DuckDB, which takes the columns that are used and nothing else.
"""

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bimixed.arguments import check_count, check_seed
from bimixed.exceptions import DataError
from bimixed.streaming import orders
from bimixed.streaming.frame_sources import DaskSource, FramesSource
from bimixed.streaming.parquet_source import ParquetSource, spooled
from bimixed.streaming.reading import (
    OTHERS,
    QueryPiece,
    duckdb_module,
    first_complete,
    first_rows,
    random_rows,
    unreadable,
)


@dataclass(frozen=True, repr=False)
class DuckDBSource:
    """A relation of DuckDB, or what DuckDB can read: an Arrow dataset, a polars LazyFrame."""

    relation: Any
    description: str
    connection: Any = None
    find_orders: Any = None

    def __repr__(self) -> str:
        return f"{self.description}: {', '.join(self.columns)}"

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

    def head(self, columns: Sequence[str] | None = None, n: int = 5) -> pd.DataFrame:
        """First rows: all columns, or those given of rows that have all of them."""
        if columns is None:
            return first_rows(self.whole(), n)
        return first_complete(self.whole(), columns, self.schema, n)

    def require_alike(self, columns: Iterable[str]) -> None:
        """Columns of a relation are of one type."""

    def orders(self, columns: Sequence[str]) -> dict[str, pd.Index]:
        """Categories of what DuckDB reads as text: Arrow's dictionaries, polars' Enum."""
        return {} if self.find_orders is None else dict(self.find_orders(columns))

    def sample(self, n: int, random_seed: int = 0) -> pd.DataFrame:
        """Rows drawn at random, all columns."""
        return random_rows(self.whole(), n, random_seed)


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
    given = list(paths) if isinstance(paths, list | tuple | set) else [paths]
    files: list[str] = []
    for path in given:
        if not isinstance(path, str | os.PathLike):
            raise DataError(f"scan_parquet takes paths, not a {type(path).__name__}.")
        one = os.fspath(path).removeprefix("file://")
        if "://" in one:
            raise DataError(
                f"{one!r} is a remote address, which scan_parquet doesn't read. DuckDB does: "
                f"bm.scan_duckdb(duckdb.connect(), \"SELECT * FROM read_parquet('{one}')\")."
            )
        if os.path.isdir(one):
            found = sorted(str(path) for path in Path(one).rglob("*.parquet"))
        else:
            found = sorted(glob.glob(one, recursive=True)) or ([one] if os.path.exists(one) else [])
        other = [path for path in found if Path(path).suffix.lower() in OTHERS]
        if other:
            raise DataError(
                f"{other[0]} isn't a Parquet file. DuckDB reads others: "
                f"bm.scan_duckdb(duckdb.connect(), \"SELECT * FROM '{one}'\")."
            )
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
        return FramesSource(data, "frames of a function")
    if isinstance(data, list | tuple) and data and all(hasattr(one, "columns") for one in data):
        return FramesSource(lambda: iter(data), f"{len(data)} frame{'s' if len(data) > 1 else ''}")
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
    try:
        connection.register("given", data)
        table = connection.table("given")
    except Exception as error:  # of whatever library the data are
        raise DataError(f"The {description} can't be read: {error}") from error
    return DuckDBSource(table, description, connection, find_orders)
