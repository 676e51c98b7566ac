"""Progress of a pass, by bytes where they are known and by rows."""

import sys
import time
from typing import Self

PATIENCE = 3.0
"""Seconds after which progress is shown unasked."""
PAUSE = 0.5


class PassProgress:
    """A line that tells how much of a pass is done.

    Parameters
    ----------
    shown : bool or None
        None: after a few seconds, on a terminal.
    what : str
    size : int
        Bytes in all, 0 where unknown.
    n_pieces : int
    """

    def __init__(self, shown: bool | None, what: str, size: int, n_pieces: int):
        self.shown, self.what, self.size, self.n_pieces = shown, what, size, n_pieces
        self.began = self.last = time.monotonic()
        self.n_rows = self.bytes = self.pieces = 0
        self.within = self.kept = 0
        self.has_line = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.has_line or self.shown:
            self._tell()
            print(file=sys.stderr)

    def rows(self, more: int) -> None:
        """Rows of a piece that isn't finished."""
        self.within += more
        self._maybe()

    def done(self, size: int, rows: int, was_kept: bool = False) -> None:
        """A piece is finished, in this run or an earlier one."""
        self.pieces += 1
        self.kept += was_kept
        self.bytes += size
        self.n_rows, self.within = self.n_rows + rows, 0
        self._maybe()

    def _maybe(self) -> None:
        now = time.monotonic()
        asked = self.shown or (self.shown is None and now - self.began > PATIENCE and sys.stderr.isatty())
        if asked and now - self.last > PAUSE:
            self._tell()
            self.last = now

    def _tell(self) -> None:
        share = f" ({self.bytes / self.size:.0%} of {self.size / 2**20:,.0f} MB)" if self.size else ""
        seconds = time.monotonic() - self.began
        rows = f"{self.n_rows + self.within:,} rows{share}"
        kept = f", {self.kept} from the checkpoint" if self.kept else ""
        text = f"{self.what}: {rows}, piece {self.pieces}/{self.n_pieces}{kept}, {seconds:.0f} s"
        print(f"\r{text:<78}", end="", file=sys.stderr, flush=True)
        self.has_line = True
