"""Rows in frames: of a list, of a function that gives an iterator, of a Dask DataFrame."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bimixed.design.frame import column_names, to_pandas
from bimixed.exceptions import BimixedError, DataError


@dataclass(frozen=True)
class FramesSource:
    """Frames one after the other: a list of them, or a function that gives an iterator of them."""

    make: Callable[[], Iterable[Any]]
    description: str = "frames"

    @property
    def columns(self) -> list[str]:
        return column_names(next(iter(self.make())))

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
        return pd.concat(found, ignore_index=True).head(n)


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
