"""What long work tells on standard error."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

PATIENCE, EVERY = 2.0, 0.5
"""Seconds until anything is shown, and between lines."""


class Progress:
    """A line on standard error that is written over: nothing for quick work, nothing where it isn't wanted.

    Parameters
    ----------
    total : int
    what : str
    wanted : bool
    """

    def __init__(self, total: int, what: str, wanted: bool):
        self.total, self.what, self.wanted = total, what, wanted
        self.began = time.perf_counter()
        self.shown = 0.0

    def __enter__(self) -> "Progress":
        return self

    def update(self, done: int) -> None:
        """Tell that so many are done."""
        now = time.perf_counter()
        if not self.wanted or now - self.began < PATIENCE or now - self.shown < EVERY:
            return
        self.shown = now
        left = (now - self.began) / done * (self.total - done)
        print(
            f"\r{self.what}: {done} of {self.total}, {left:.0f} s left ", end="", file=sys.stderr, flush=True
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.shown:
            print(file=sys.stderr)


@contextmanager
def told_if_long(text: str, wanted: bool) -> Iterator[None]:
    """Say on standard error what takes so long, once it has taken long."""

    def tell() -> None:
        print(text, file=sys.stderr, flush=True)

    timer = threading.Timer(PATIENCE, tell)
    timer.daemon = True
    if wanted:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
