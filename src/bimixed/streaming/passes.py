"""Passes over a source: categories, complete rows, sums; piece by piece, remembered, interrupted at will."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bimixed.exceptions import DataError
from bimixed.moments import Moments, add_up
from bimixed.streaming import dask_pass
from bimixed.streaming.categories import Categories
from bimixed.streaming.checkpoint import Checkpoint
from bimixed.streaming.counting import Counts, add_counts, counts_of
from bimixed.streaming.encoder import RowEncoder
from bimixed.streaming.frame_sources import DaskSource
from bimixed.streaming.parquet_source import ParquetSource
from bimixed.streaming.progress import PassProgress
from bimixed.streaming.protocols import Source
from bimixed.streaming.reading import QueryPiece, UnreadableError, is_complete, quoted
from bimixed.streaming.sql import CellQuery

AT_ONCE = 64
"""Sums that are held before they are added."""

Sums = tuple[Moments | None, Counts]


@dataclass(frozen=True)
class Passes:
    """What is read from a source.

    Attributes
    ----------
    source : Source
    checkpoint : path or None
    progress : bool or None
    """

    source: Source
    checkpoint: str | os.PathLike[str] | None
    progress: bool | None

    def __post_init__(self) -> None:
        if self.checkpoint is not None and type(self.source) is not ParquetSource:
            raise DataError(
                f"checkpoint= keeps the sums of each Parquet file, which shows whether it has changed; data "
                f"that come as {self.source.description} don't. Leave it out, or give bm.scan_parquet(...)."
            )

    def categories(
        self, categories: Categories, columns: Sequence[str], most: int
    ) -> dict[tuple[str, ...], pd.DataFrame]:
        """The values of each set of columns in complete rows, sorted.

        Raises
        ------
        DataError
            Where there are too many.
        """
        pieces = self.source.pieces()
        if all(isinstance(piece, QueryPiece) for piece in pieces):
            found = {own: _distinct(self.source, own, columns, most) for own in categories.sets}
        elif isinstance(self.source, DaskSource):
            found = dask_pass.categories(self.source, categories.sets, columns)
        else:
            found = _collected((f for p in pieces for f in p.frames(columns)), categories.sets)
        for own, values in list(found.items()):
            if len(values) > most and categories.labels[own]:
                chunks = (chunk for piece in pieces for chunk in piece.frames(columns))
                found[own] = values = categories.of_labels(own, chunks, most)  # noqa: PLW2901
            if len(values) > most:
                raise DataError(
                    f"{' and '.join(map(repr, own))} has more than {most} categories, too many columns for "
                    "cross-products that add up. Make it a random effect, (1 | factor), or leave it out."
                )
        return {own: _sorted(own, values) for own, values in found.items()}

    def complete_rows(self, encoder: RowEncoder) -> Iterator[pd.DataFrame]:
        """Complete rows, chunk by chunk."""
        for piece in self.source.pieces():
            for chunk in piece.frames(encoder.columns):
                table, _ = encoder.complete(chunk)
                if len(table):
                    yield table

    def sums(self, encoder: RowEncoder) -> tuple[Moments, Counts]:
        """Cross-products and counts of all rows.

        Raises
        ------
        DataError
            Naming the file or column that can't be used; the pieces done before are in the checkpoint.
        """
        if isinstance(self.source, DaskSource):
            return _whole(dask_pass.sums(self.source, encoder, partition_sums, added))
        own = CellQuery.of(encoder, getattr(self.source, "schema", {}))
        pieces = self.source.pieces()
        is_one = getattr(self.source, "is_one", True)
        if own is not None and self.checkpoint is None and not self.progress and is_one:
            pieces = [self.source.whole()]  # type: ignore[attr-defined]
        done = Checkpoint.of(self.checkpoint, encoder)
        found: list[Sums] = []
        size = sum(piece.size for piece in pieces)
        with PassProgress(self.progress, "adding up", size, len(pieces)) as told, done.interrupted(told):
            for piece in pieces:
                sums = kept = done.read(piece)
                if sums is None:
                    sums = self._sums_of(piece, own, encoder, told)
                    done.write(piece, sums)
                found.append(sums)
                told.done(piece.size, sums[1].rows, kept is not None)
                if len(found) >= AT_ONCE:
                    found = [added(found)]
        return _whole(added(found))

    def _sums_of(self, piece: Any, own: CellQuery | None, encoder: RowEncoder, told: PassProgress) -> Sums:
        """By one query where there is one, else chunk by chunk."""
        if own is None:
            return piece_sums(piece, encoder, told.rows)
        try:
            return own.sums(piece)
        except UnreadableError:
            for part in self.source.pieces():  # which of the files it is
                own.sums(part)
            raise


def piece_sums(piece: Any, encoder: RowEncoder, tell: Callable[[int], None] | None = None) -> Sums:
    """Sums of one piece, chunk by chunk."""
    found: list[Sums] = []
    first = 0
    for chunk in piece.frames(encoder.columns):
        try:
            found.append(chunk_sums(chunk, encoder, first))
        except DataError as error:
            raise DataError(f"{piece.name}: {error}") from error
        first += len(chunk)
        if tell is not None:
            tell(len(chunk))
        if len(found) >= AT_ONCE:
            found = [added(found)]
    return added(found)


def chunk_sums(chunk: pd.DataFrame, encoder: RowEncoder, first: int = 0) -> Sums:
    """Sums of the complete rows of a frame, whose rows are numbered from ``first`` on."""
    table, missing = encoder.complete(chunk, first)
    offset = encoder.offset_of(table) if encoder.has_offset and len(table) else None
    weights = encoder.weights_of(table) if len(table) else None
    counts = counts_of(table, len(chunk), missing, offset, weights)
    return (encoder.moments(table) if len(table) else None), counts


def partition_sums(chunk: pd.DataFrame, encoder: RowEncoder, number: int) -> Sums:
    """Sums of a partition, which errors name."""
    try:
        return chunk_sums(chunk, encoder)
    except DataError as error:
        raise DataError(f"partition {number}: {error}") from error


def added(parts: Sequence[Sums]) -> Sums:
    """The sum of sums; parts without complete rows have no cross-products."""
    moments = [own for own, _ in parts if own is not None]
    counts = add_counts([own for _, own in parts])
    if not moments:
        return None, counts
    return (moments[0] if len(moments) == 1 else add_up(moments)), counts


def _whole(sums: Sums) -> tuple[Moments, Counts]:
    moments, counts = sums
    if moments is None:
        told = ", ".join(f"{name} ({count} missing)" for name, count in counts.missing.items())
        raise DataError(f"No rows are left: every row misses a value in one of these columns: {told}.")
    return moments, counts


def _sorted(own: tuple[str, ...], values: pd.DataFrame) -> pd.DataFrame:
    try:
        return values.sort_values(list(own), ignore_index=True)
    except TypeError as error:
        raise DataError(
            f"{' and '.join(map(repr, own))} mixes labels of different types, so that 1 and '1' would be two "
            "levels. Convert the column."
        ) from error


def _distinct(source: Any, own: tuple[str, ...], columns: Sequence[str], most: int) -> pd.DataFrame:
    """By one query."""
    whole = source.whole()
    chosen = ", ".join(map(quoted, own))
    where = is_complete(columns, source.schema)
    sql = f"SELECT DISTINCT {chosen} FROM {whole.clause} WHERE {where} LIMIT {most + 1}"
    return whole.table(sql)


def _collected(
    chunks: Iterator[pd.DataFrame], sets: Sequence[tuple[str, ...]]
) -> dict[tuple[str, ...], pd.DataFrame]:
    found: dict[tuple[str, ...], pd.DataFrame] = {}
    for chunk in chunks:
        complete = chunk[~chunk.isna().to_numpy().any(axis=1)]
        for own in sets:
            values = complete[list(own)].drop_duplicates()
            before = [found[own]] if own in found else []
            found[own] = pd.concat([*before, values], ignore_index=True).drop_duplicates(ignore_index=True)
    return found
