"""Names that a formula may use beside columns: the caller's variables."""

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

PASSED_BY = ("explained", "drawn")
"""Functions that wrap others, which nobody calls by these names."""
OPERATORS = ("C", "I", "Q")
"""Names that keep their meaning in formulas whatever the caller calls so."""


def caller_names(*texts: Any, columns: Iterable[str] = ()) -> dict[str, Any]:
    """Variables of the first frame outside this package that the texts mention.

    Only those, and none that the data have as columns, so that a specification keeps no other data of
    the caller alive.
    """
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("bimixed."):
        frame = frame.f_back
    if frame is None:
        return {}
    words = {word for text in texts for word in re.findall(r"[^\W\d]\w*", str(text))}
    found: dict[str, Any] = {}
    for word in words.difference(OPERATORS, columns):
        for scope in (frame.f_locals, frame.f_globals):
            if word in scope:
                if word != "np" or scope[word] is not np:  # which formulaic has
                    found[word] = scope[word]
                break
    return found


def called_name() -> str:
    """Name of the function or property of this package that was called from outside; empty from within."""
    frame, name = inspect.currentframe(), ""
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in ("bimixed", "functools"):
        own = frame.f_code.co_name
        if frame.f_globals["__name__"] != "functools" and own not in PASSED_BY and own[0] not in "_<":
            name = own
        frame = frame.f_back
    return name


def shallow(data: Any) -> Any:
    """The same columns in a table of its own, so that columns set later by the caller are not seen."""
    if isinstance(data, pd.DataFrame):
        return data.copy(deep=False)
    if isinstance(data, Mapping):
        return {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in data.items()}
    return data
