"""What is done where pieces of work arrive: in a Python of our own, or on a worker of others.

:mod:`bimixed.inference.processes` starts the first, :mod:`bimixed.inference.pools` has the second.
"""

import os
import pickle
import signal
import sys
import threading
from typing import Any

from bimixed._version import __version__
from bimixed.dense import threads_for
from bimixed.exceptions import FitError


def main() -> None:
    """Read a task from standard input, then its pieces; answer each with (True, result) or (False, error)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the process that started this one
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the task prints goes to standard error
    questions = sys.stdin.buffer
    task = pickle.load(questions)
    while True:
        try:
            piece = pickle.load(questions)
        except EOFError:
            return
        pickle.dump(_answer(task, piece), answers)
        answers.flush()


def _answer(task: Any, piece: Any) -> tuple[bool, Any]:
    try:
        return True, task(piece)
    except Exception as error:  # raised again where the answer arrives
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return False, RuntimeError(f"{type(error).__name__}: {error}")
        return False, error


class SentTask:
    """A task as it travels to workers of others. Each thread has a copy, since fits aren't made to be shared.

    Copies live as long as this object does: Dask's workers and threads keep it from piece to piece.

    Parameters
    ----------
    pickled : bytes
    version : str
        That of the sender.
    """

    def __init__(self, pickled: bytes, version: str):
        self.pickled, self.version = pickled, version
        self._own = threading.local()

    def __reduce__(self) -> tuple[type["SentTask"], tuple[bytes, str]]:
        return SentTask, (self.pickled, self.version)

    def __call__(self, piece: bytes) -> tuple[bool, Any]:
        """(True, result) or (False, error) of a pickled piece."""
        if self.version != __version__:
            return False, FitError(
                f"A worker has bimixed {__version__}, and this process {self.version}; install the same one "
                "on the workers."
            )
        if not hasattr(self._own, "task"):
            self._own.task = pickle.loads(self.pickled)
        with threads_for(0):
            return _answer(self._own.task, pickle.loads(piece))


def answer(sent: SentTask, piece: bytes, place: int) -> tuple[int, bool, Any]:
    """What a worker of others is asked for; the place of the piece comes back with it."""
    return place, *sent(piece)
