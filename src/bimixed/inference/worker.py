"""A Python of its own that works through pieces sent to it; :mod:`bimixed.inference.processes` starts it."""

import os
import pickle
import signal
import sys
from typing import Any


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
