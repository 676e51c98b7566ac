"""What a source of rows is, and a part of one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import pandas as pd


class Piece(Protocol):
    """A part of a source that is read by itself.

    Attributes
    ----------
    name : str
        For errors and progress.
    identity : str
        Changes with the content, so that sums of an earlier run can be told to be of it.
    size : int
        Bytes, roughly; 0 where unknown.
    """

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> str: ...

    @property
    def size(self) -> int: ...

    def frames(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """The rows of these columns, a chunk at a time."""
        ...


class Source(Protocol):
    """A table that is not in memory."""

    @property
    def description(self) -> str:
        """What it is, for people to read."""
        ...

    @property
    def columns(self) -> list[str]: ...

    def pieces(self) -> list[Any]:
        """Its parts; together they are all rows."""
        ...

    def head(self, columns: Sequence[str], n: int) -> pd.DataFrame:
        """Some rows, complete ones where the source can tell."""
        ...

    def orders(self, columns: Sequence[str]) -> Mapping[str, pd.Index]:
        """Categories in their own order, of columns where ``head`` doesn't show it."""
        ...
