"""Errors and warnings of bimixed: one root each, then by the stage that raises them.

Every message names the place (column, term or position in the formula), the cause, and what to do.
"""

import threading
import warnings
from pathlib import Path
from typing import Any

_PACKAGE = str(Path(__file__).parent)


class BimixedError(Exception):
    """Root of every error that bimixed raises on purpose."""


class FormulaError(BimixedError, ValueError):
    """The formula can't be read; the message shows the place."""

    @classmethod
    def at(cls, formula: str, position: int, message: str, length: int = 1) -> "FormulaError":
        """An error that underlines ``length`` characters of the formula from ``position``."""
        return cls(f"{message}\n\n    {formula}\n    {' ' * position}{'^' * max(length, 1)}")


class ArgumentError(BimixedError, TypeError):
    """An argument that a function doesn't have; the message says how to write it here."""


class DataError(BimixedError, ValueError):
    """The data don't fit the formula: a column is missing, constant, infinite, …"""


class PriorError(BimixedError, ValueError):
    """A prior is unknown, has wrong parameters, or names nothing in the model."""


class FitError(BimixedError, RuntimeError):
    """The model can't be fitted to these data, or the request doesn't make sense for the fit."""


class WorkerError(FitError):
    """Workers stopped before all of their work was done.

    Attributes
    ----------
    partial : object
        The result of what was done (a ``Bootstrap``, say, ``interrupted``); None where nothing was.
    """

    partial: Any = None


class UnavailableError(BimixedError, RuntimeError):
    """The quantity does not exist for this kind of result; the message names what to use."""


class BimixedWarning(UserWarning):
    """Root of every warning that bimixed gives."""


class IdentificationWarning(BimixedWarning):
    """The data can't tell some parameters of the model apart."""


class ConvergenceWarning(BimixedWarning):
    """The optimiser or the sampler may not have arrived."""


def warn(message: str, category: type[BimixedWarning]) -> None:
    """Give a warning that points at the caller's own line."""
    warnings.warn(message, category, skip_file_prefixes=(_PACKAGE,))


class _Quiet:
    """Within it our warnings aren't given, in any thread.

    Filters are those of the whole process. Threads that overlap share one, which the first to enter sets and
    the last to leave takes back: each taking back its own would leave another's for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._within = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._within == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore", BimixedWarning)
            self._within += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._within -= 1
            if self._within == 0:
                self._filters.__exit__(None, None, None)


without_warnings = _Quiet()
"""``with without_warnings: ...`` where a report on all of the work stands for them."""
