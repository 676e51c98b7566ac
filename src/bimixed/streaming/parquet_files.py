"""Frames into one Parquet file, a row group each; whole or not at all."""

import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from bimixed.exceptions import DataError, UnavailableError
from bimixed.streaming.orders import plain_labels
from bimixed.streaming.reading import OTHERS, QueryPiece


def refuse_own_file(source: Any, path: str | os.PathLike[str]) -> None:
    """Refuse to write over what is read.

    Raises
    ------
    DataError
    """
    own = Path(path).resolve()
    if any(Path(file).resolve() == own for file in getattr(source, "files", ())):
        raise DataError(f"{path} is one of the files that are read; write to another one.")


def written(
    frames: Iterable[pd.DataFrame],
    source: Any,
    copied: Sequence[str],
    says: Sequence[str],
    path: str | os.PathLike[str],
) -> None:
    """Write frames beside the place and move the file there.

    Parameters
    ----------
    frames : iterable of DataFrame
    source : Source
        Whose types columns have that are copied from it.
    copied, says : sequence of str
        Columns of the source, and new ones, which are floats.
    path : str or path

    Raises
    ------
    DataError
        Where the file can't be written, or a column changes its type.
    UnavailableError
        Without pyarrow.
    """
    pa = _pyarrow()
    import pyarrow.parquet as pq

    target = Path(path)
    if target.suffix.lower() in OTHERS:
        raise DataError(
            f"{target}: predictions are written as Parquet; give a name such as 'predictions.parquet'."
        )
    if target.is_dir() or not target.parent.is_dir():
        what = "is a folder" if target.is_dir() else f"is in the folder {target.parent}, which isn't there"
        raise DataError(f"{target} {what}; give a file's name, such as 'predictions.parquet'.")
    schema = _schema(source, copied, says)
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with pq.ParquetWriter(beside, schema) as file:
            for frame in frames:
                file.write_table(_table(pa, frame, schema))
        beside.replace(target)
    except OSError as error:
        raise DataError(
            f"{target} can't be written: {error}. Make room, or give a path that can be written to; nothing "
            "is left there."
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def _table(pa: Any, frame: pd.DataFrame, schema: Any) -> Any:
    frame = frame.assign(
        **{
            str(name): plain_labels(frame[name])
            for name in frame
            if isinstance(frame[name].dtype, pd.CategoricalDtype)
        }
    )
    with _types_kept(pa):
        return pa.Table.from_pandas(frame, schema=schema, preserve_index=False)


@contextmanager
def _types_kept(pa: Any) -> Iterator[None]:
    """Arrow's errors for columns of several types as ours."""
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"Columns of the source that are copied change their type on the way: {error}. Convert them to "
            "one type, or leave them out."
        ) from error


def _schema(source: Any, copied: Sequence[str], says: Sequence[str]) -> Any:
    """Types of the file's columns: the source's own of those copied."""
    pa = _pyarrow()
    fields = []
    if copied:
        fields = [_plain_field(pa, own) for own in _source_schema(source, copied)]
    return pa.schema([*fields, *((name, pa.float64()) for name in says)])


def _source_schema(source: Any, columns: Sequence[str]) -> Any:
    whole = source.whole() if hasattr(source, "whole") else None
    if isinstance(whole, QueryPiece):
        return whole.arrow_schema(columns)
    pa = _pyarrow()
    with _types_kept(pa):
        return pa.Schema.from_pandas(source.head(columns, 10_000), preserve_index=False)


def _plain_field(pa: Any, field: Any) -> Any:
    """Labels in place of a dictionary, whose size changes on the way; text where nothing is known."""
    kind = field.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.field(field.name, pa.string() if pa.types.is_null(kind) else kind)


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise UnavailableError(
            "Parquet files are written by pyarrow: python -m pip install 'bimixed[scale]' (or pyarrow)."
        ) from error
    return pyarrow
