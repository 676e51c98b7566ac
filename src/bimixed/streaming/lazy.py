"""Predictions of a source that are made when they are asked for."""

import html
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bimixed.exceptions import BimixedError, BimixedWarning, warn
from bimixed.streaming.blocks import blocks
from bimixed.streaming.frame_sources import DaskSource
from bimixed.streaming.parquet_files import refuse_own_file, written
from bimixed.streaming.parquet_source import ParquetSource
from bimixed.streaming.predictors import Predictor, Said, augmented_of, predictions_of
from bimixed.streaming.progress import PassProgress
from bimixed.streaming.protocols import Source
from bimixed.streaming.sources import scan_parquet


@dataclass
class Tally:
    """What a pass has counted.

    Attributes
    ----------
    rows, incomplete, without : int
        Rows; those that miss a value; others that have no estimate.
    missing : dict
        Column → missing values.
    """

    rows: int = 0
    incomplete: int = 0
    without: int = 0
    missing: dict[str, int] = field(default_factory=dict)

    def add(self, said: Said) -> None:
        """Count a block."""
        self.rows += len(said.table)
        self.incomplete += said.n_incomplete
        self.without += said.n_without
        for column, count in said.missing.items():
            self.missing[column] = self.missing.get(column, 0) + count

    @property
    def notes(self) -> tuple[str, ...]:
        """In words."""
        found = []
        if self.incomplete:
            told = ", ".join(f"{name} {count:,}" for name, count in self.missing.items())
            found.append(
                f"{self.incomplete:,} of {self.rows:,} rows have NaN, because a value is missing ({told})."
            )
        if self.without:
            found.append(f"{self.without:,} of {self.rows:,} rows have no estimate and are NaN.")
        return tuple(found)


class LazyPredictions:
    """What a fit says about the rows of a source, made chunk by chunk when it is asked for.

    Made by :meth:`bimixed.MixedModelResult.predict` and :meth:`bimixed.MixedModelResult.augment` of a source.
    Iterating gives pandas frames in the order of the source's rows, numbered through from 0; every time the
    source is read anew.

    Attributes
    ----------
    columns : list of str
    notes : tuple of str
        Of the last pass: how many rows have no estimate, and why.

    Examples
    --------
    >>> import bimixed as bm
    >>> data = bm.load_dataset("sleepstudy")
    >>> fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", data).fit()
    >>> predicted = fit.predict([data[:100], data[100:]], keep=["Subject"])
    >>> predicted.columns
    ['Subject', 'estimate']
    >>> predicted.collect().shape
    (180, 2)
    """

    def __init__(self, source: Source, predictor: Predictor, what: str):
        self._source, self._predictor, self._what = source, predictor, what
        self._tally: Tally | None = None

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return [*self._predictor.copied, *self._predictor.says]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the last whole pass found odd; empty before one."""
        return () if self._tally is None else self._tally.notes

    def __iter__(self) -> Iterator[pd.DataFrame]:
        tally, told = Tally(), set[str]()
        pieces = self._source.pieces()
        with PassProgress(None, "predicting", sum(p.size for p in pieces), len(pieces)) as progress:
            for i, piece in enumerate(pieces):
                before = tally.rows
                frames = piece.frames(self._predictor.reads)
                for j, block in enumerate(blocks(frames, self._predictor.rows)):
                    said = self._said(block, (i, j), f"{piece.name}, rows from {tally.rows - before}", told)
                    first = tally.rows
                    tally.add(said)
                    progress.rows(len(block))
                    yield said.table.set_axis(pd.RangeIndex(first, tally.rows), axis=0)
                progress.done(piece.size, tally.rows - before)
        self._tally = tally
        for note in tally.notes:
            warn(note, BimixedWarning)

    def _said(self, block: pd.DataFrame, place: tuple[int, int], where: str, told: set[str]) -> Said:
        """Of a block; what is warned of is told once for all of them."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                said = self._predictor(block, place)
            except BimixedError as error:
                raise type(error)(f"{where}: {error}") from error
        for own in caught:
            text = str(own.message)
            kind = re.sub(r"\d+", "#", text)
            if kind not in told:
                told.add(kind)
                ours = own.category if issubclass(own.category, BimixedWarning) else BimixedWarning
                warn(f"{where}: {text}", ours)
        return said

    def collect(self) -> pd.DataFrame:
        """All of it in memory.

        Returns
        -------
        pandas.DataFrame
            A row for each of the source, numbered from 0.
        """
        parts = list(self)
        if not parts:
            return pd.DataFrame({name: np.zeros(0) for name in self.columns})
        return pd.concat(parts)

    def to_parquet(self, path: str | os.PathLike[str]) -> ParquetSource:
        """Write it to a Parquet file, chunk by chunk.

        Parameters
        ----------
        path : str or path
            A file; an older one is replaced when the new one is complete.

        Returns
        -------
        ParquetSource
            ``bm.scan_parquet(path)``.

        Raises
        ------
        DataError
            Where the file can't be written, or is one of those that are read.
        UnavailableError
            Without pyarrow.
        """
        refuse_own_file(self._source, path)
        written(self, self._source, self._predictor.copied, self._predictor.says, path)
        return scan_parquet(path)

    def __repr__(self) -> str:
        lines = [
            f"{self._what} of {self._source.description}, made when asked for: iterate over frames, "
            ".to_parquet(path) or .collect()",
            f"columns: {', '.join(self.columns)}",
        ]
        return "\n".join([*lines, *self.notes])

    def _repr_html_(self) -> str:
        lines = "".join(f"<p>{html.escape(line)}</p>" for line in repr(self).split("\n"))
        return f'<div class="bimixed">{lines}</div>'


def predictions(
    fit: Any, source: Any, how: Mapping[str, Any], random_seed: int | None, keep: Sequence[str], path: Any
) -> Any:
    """Predictions of a source: lazy, those of a Dask DataFrame as another one, or in files.

    Raises
    ------
    DataError
        Where a column isn't there.
    """
    return _given(source, predictions_of(fit, source.columns, keep, how, random_seed), "Predictions", path)


def augmented(fit: Any, source: Any, prefix: str, path: Any) -> Any:
    """The rows of a source with fitted values and residuals, likewise.

    Raises
    ------
    DataError
        Where a column isn't there, or has the name of a new one.
    """
    return _given(source, augmented_of(fit, source.columns, prefix), "Fitted values", path)


def _given(source: Any, predictor: Predictor, what: str, path: str | os.PathLike[str] | None) -> Any:
    if isinstance(source, DaskSource):
        from bimixed.streaming.dask_predictions import predicted, to_folder

        frame = predicted(source, predictor)
        return frame if path is None else to_folder(frame, predictor.says[0], path)
    lazy = LazyPredictions(source, predictor, what)
    return lazy if path is None else lazy.to_parquet(path)
