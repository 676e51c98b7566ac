"""Categories in their own order, where a source knows one that its reader doesn't tell."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from bimixed.streaming.reading import unreadable

Kinds = Mapping[str, pd.CategoricalDtype]


def of_parquet(files: Sequence[str], columns: Sequence[str]) -> dict[str, pd.Index]:
    """Of columns that all files have as the same categories, by pandas or as polars' Enum; needs pyarrow.

    Polars' Categorical has no order to keep.

    Raises
    ------
    DataError
        Naming the file that can't be read.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return {}
    found: Kinds | None = None
    for file in files:
        try:
            with parquet.ParquetFile(file) as own:
                if own.metadata.num_rows == 0:
                    continue
                names = [name for name in columns if _is_ordered(own.schema_arrow, name)]
                batch = next(own.iter_batches(batch_size=1, columns=names)) if names else None
        except (pyarrow.ArrowException, OSError) as error:
            raise unreadable(file, error, resumes=True) from error
        here = {} if batch is None else {name: _kind(batch.column(name)) for name in names}
        found = shared(found, here)
        if not found:
            return {}
    return categories_of(found)


def of_arrow(data: Any, columns: Sequence[str]) -> dict[str, pd.Index]:
    """Of the dictionary columns of an Arrow dataset."""
    names = [name for name in columns if _is_ordered(data.schema, name)]
    table = data.head(1, columns=names) if names else None
    if table is None or len(table) == 0:
        return {}
    return categories_of({name: _kind(table.column(name).chunk(0)) for name in names})


def of_polars(data: Any, columns: Sequence[str]) -> dict[str, pd.Index]:
    """Of the Enum columns of a LazyFrame."""
    kinds = data.collect_schema()
    enums = {name: kinds[name] for name in columns if type(kinds[name]).__name__ == "Enum"}
    return {name: pd.Index(kind.categories.to_list()) for name, kind in enums.items()}


def of_frame(table: pd.DataFrame) -> dict[str, pd.Index]:
    """Of the categorical columns of a frame."""
    return categories_of(kinds_of(table))


def kinds_of(table: pd.DataFrame) -> Kinds:
    """Types of the categorical columns of a frame."""
    return {str(name): own.dtype for name, own in table.items() if isinstance(own.dtype, pd.CategoricalDtype)}


def categories_of(kinds: Kinds | None) -> dict[str, pd.Index]:
    """Their categories, in order."""
    return {name: kind.categories for name, kind in (kinds or {}).items()}


def shared(one: Kinds | None, other: Kinds) -> Kinds:
    """Types of columns that are the same in two frames, as ``pandas.concat`` keeps them; others are labels.

    Unordered categories are the same in any order; that of the first counts.
    """
    if one is None:
        return dict(other)
    return {name: kind for name, kind in one.items() if name in other and kind == other[name]}


def without_categories(table: pd.DataFrame, known: Collection[str]) -> pd.DataFrame:
    """Labels in place of the categories of columns that have no order known."""
    plain = [
        name for name in table if name not in known and isinstance(table[name].dtype, pd.CategoricalDtype)
    ]
    return table.assign(**{str(name): plain_labels(table[name]) for name in plain}) if plain else table


def plain_labels(column: pd.Series) -> pd.Series:
    """Labels without their categories."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return column
    return column.astype(column.cat.categories.dtype)


def _is_ordered(schema: Any, name: str) -> bool:
    if name not in schema.names:  # of the folder's name
        return False
    field = schema.field(name)
    if not hasattr(field.type, "dictionary") and not str(field.type).startswith("dictionary"):
        return False
    return not any(key.startswith(b"_PL_CATEGORICAL") for key in field.metadata or {})


def _kind(column: Any) -> pd.CategoricalDtype:
    return pd.CategoricalDtype(column.dictionary.to_pandas(), ordered=column.type.ordered)
