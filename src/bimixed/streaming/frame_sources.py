"""Rows in frames: of a list, of a function that gives an iterator, of a Dask DataFrame."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.design.frame import column_names, to_pandas
from bimixed.exceptions import BimixedError, DataError
from bimixed.streaming.orders import Kinds, categories_of, kinds_of, shared, without_categories

Drawn = tuple[pd.DataFrame, Array]
"""Rows, and a uniform number of each: those with the smallest numbers are a sample."""
TOGETHER = 8
"""Samples of partitions that are joined at a time."""


def drawn(parts: Sequence[Drawn], n: int) -> Drawn:
    """The ``n`` rows with the smallest numbers, in their order."""
    rows = parts[0][0] if len(parts) == 1 else pd.concat([part for part, _ in parts])
    numbers = np.concatenate([own for _, own in parts])
    if len(rows) <= n:
        return rows, numbers
    places = np.sort(np.argpartition(numbers, n)[:n])
    return rows.iloc[places], numbers[places]


def drawn_of(rows: pd.DataFrame, n: int, seed: tuple[int, int]) -> Drawn:
    """A sample of one partition."""
    return drawn([(rows, np.random.default_rng(seed).random(len(rows)))], n)


@dataclass(frozen=True)
class FramesSource:
    """Frames one after the other: a list of them, or a function that gives an iterator of them."""

    make: Callable[[], Iterable[Any]]
    description: str = "frames"

    @cached_property
    def columns(self) -> list[str]:
        frames = self.make()
        if isinstance(frames, Iterator) and frames is self.make():
            raise DataError(
                "The function gives the same iterator each time, which can be gone through once only. Make "
                "it anew in the function, as in lambda: (pd.read_csv(file) for file in files), or give the "
                "iterator itself."
            )
        first = next(iter(frames), None)
        if first is None:
            raise DataError(f"The {self.description} are none at all; there is nothing to model.")
        return column_names(first)

    def pieces(self) -> list["FramesPiece"]:
        """The whole."""
        return [FramesPiece(self.make, self.description)]

    def head(self, columns: Sequence[str], n: int) -> pd.DataFrame:
        """Rows of the first frames."""
        found: list[pd.DataFrame] = []
        for frame in self.make():
            found.append(to_pandas(frame, columns))
            if sum(map(len, found)) >= n:
                break
        known = self.orders(columns)
        rows = pd.concat(found, ignore_index=True).head(n)
        return without_categories(rows, known)

    def sample(self, n: int, random_seed: int = 0) -> pd.DataFrame:
        """Rows drawn at random, all columns, in their order; the same however they are cut into frames."""
        columns, rng = self.columns, np.random.default_rng(random_seed)
        kept: list[Drawn] = []
        for piece in self.pieces():
            for frame in piece.frames(columns):
                kept = [drawn([*kept, (frame, rng.random(len(frame)))], n)]
        return kept[0][0].reset_index(drop=True)

    def orders(self, columns: Sequence[str]) -> dict[str, pd.Index]:
        """Categories that all frames have alike, as ``pandas.concat`` keeps them."""
        found: Kinds | None = None
        for frame in self.make():
            here = column_names(frame)
            found = shared(found, kinds_of(to_pandas(frame, [name for name in columns if name in here])))
            if not found:
                return {}
        return categories_of(found)


@dataclass(frozen=True)
class FramesPiece:
    """Frames one after the other."""

    make: Callable[[], Iterable[Any]]
    name: str
    identity: str = ""
    size: int = 0

    def frames(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """The rows of these columns, a chunk at a time."""
        for i, frame in enumerate(self.make()):
            missing = [name for name in columns if name not in column_names(frame)]
            if missing:
                raise DataError(
                    f"Frame {i} of the {self.name} has no column {missing[0]!r}, which the first one has."
                )
            yield to_pandas(frame, columns)


def asked_of_dask(compute: Callable[[], Any]) -> Any:
    """What Dask computes.

    Raises
    ------
    DataError
        Where it stops; errors of ours as they are.
    """
    try:
        return compute()
    except BimixedError:
        raise
    except Exception as error:
        raise DataError(f"Dask stopped: {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class DaskSource:
    """A Dask DataFrame; sums are made where its partitions are."""

    frame: Any

    @property
    def description(self) -> str:
        return f"Dask DataFrame ({self.frame.npartitions} partitions)"

    @property
    def columns(self) -> list[str]:
        return [str(name) for name in self.frame.columns]

    def pieces(self) -> list["DaskPiece"]:
        """One for each partition."""
        return [DaskPiece(self.frame, i) for i in range(self.frame.npartitions)]

    def head(self, columns: Sequence[str], n: int) -> pd.DataFrame:
        """Rows of the first partitions that have any."""
        return asked_of_dask(lambda: self.frame[list(columns)].head(n, npartitions=-1))

    def sample(self, n: int, random_seed: int = 0) -> pd.DataFrame:
        """Rows drawn at random, all columns, in their order and on their index."""
        from dask import delayed

        parts = self.frame.to_delayed()
        level = [delayed(drawn_of)(part, n, (random_seed, i)) for i, part in enumerate(parts)]
        while len(level) > 1:
            level = [delayed(drawn)(level[i : i + TOGETHER], n) for i in range(0, len(level), TOGETHER)]
        return asked_of_dask(level[0].compute)[0]

    def orders(self, columns: Sequence[str]) -> dict[str, pd.Index]:
        """None that the first rows don't show."""
        return {}


@dataclass(frozen=True)
class DaskPiece:
    """One partition."""

    frame: Any
    number: int
    identity: str = ""
    size: int = 0

    @property
    def name(self) -> str:
        return f"partition {self.number}"

    def frames(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """The partition."""
        yield asked_of_dask(self.frame[list(columns)].get_partition(self.number).compute)
