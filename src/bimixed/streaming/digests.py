"""Short texts that change with what they stand for: numbers, functions, what functions use."""

import functools
import hashlib
import importlib.metadata
import pickle
import secrets
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

PLAIN = (
    str,
    bytes,
    int,
    float,
    complex,
    type(None),
    np.generic,
    np.ndarray,
    pd.Series,
    pd.Index,
    pd.DataFrame,
)


def digest(value: Any) -> str:
    """A hash of a value that a formula uses.

    Of functions written in Python, their code, defaults, and the variables that they see; of modules and
    classes of libraries the name and version, of others the content. What nothing is known of has another
    hash each time.
    """
    return hashlib.sha256(repr(_told(value, frozenset())).encode()).hexdigest()


def _told(value: Any, above: frozenset[int]) -> Any:
    if isinstance(value, PLAIN):
        return _pickled(value)
    if id(value) in above:
        return "again"
    above = above | {id(value)}
    if isinstance(value, types.ModuleType | type) and _of_library(value):
        return _named(value)
    if isinstance(value, types.ModuleType):
        file = getattr(value, "__file__", None)
        return ("module", value.__name__, hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else "")
    if isinstance(value, types.CodeType):
        constants = [_told(c, above) if isinstance(c, types.CodeType) else repr(c) for c in value.co_consts]
        return (value.co_code, constants, value.co_names, value.co_varnames)
    if isinstance(value, types.FunctionType):
        return _of_function(value, above)
    if isinstance(value, types.MethodType):
        return ("method", _told(value.__func__, above), _told(value.__self__, above))
    if isinstance(value, functools.partial):
        return ("partial", *(_told(own, above) for own in (value.func, value.args, value.keywords)))
    if hasattr(value, "__wrapped__"):
        return ("wrapped", _told(value.__wrapped__, above))
    return _of_object(value, above)


def _of_object(value: Any, above: frozenset[int]) -> Any:
    """Of containers, classes and instances: what they consist of."""
    if isinstance(value, Mapping):
        return ("mapping", sorted((repr(key), _told(own, above)) for key, own in value.items()))
    if isinstance(value, list | tuple):
        return (type(value).__name__, [_told(own, above) for own in value])
    if isinstance(value, set | frozenset):
        return ("set", sorted(repr(_told(own, above)) for own in value))
    if isinstance(value, type):
        members = {name: own for name, own in vars(value).items() if name not in ("__dict__", "__weakref__")}
        return (
            "class",
            value.__qualname__,
            _told(members, above),
            [_told(own, above) for own in value.__bases__],
        )
    if isinstance(value, property | staticmethod | classmethod):
        inner = value.fget if isinstance(value, property) else value.__func__
        return (type(value).__name__, _told(inner, above))
    own = getattr(value, "__dict__", None)
    if own:
        return ("instance", _told(type(value), above), _told(dict(own), above))
    return _pickled(value) if _of_library(type(value)) else ("instance", _told(type(value), above))


def _of_function(value: types.FunctionType, above: frozenset[int]) -> Any:
    cells = [_told(cell.cell_contents, above) for cell in value.__closure__ or ()]
    seen = {name: value.__globals__[name] for name in _names(value.__code__) if name in value.__globals__}
    outside = [(name, _told(own, above)) for name, own in sorted(seen.items())]
    given = _told((value.__defaults__, value.__kwdefaults__), above)
    return ("function", _told(value.__code__, above), cells, outside, given)


def _pickled(value: Any) -> str:
    try:
        return hashlib.sha256(pickle.dumps(value, protocol=4)).hexdigest()
    except (pickle.PicklingError, TypeError, AttributeError):
        return secrets.token_hex(16)


def _named(value: Any) -> tuple[str, ...]:
    top = sys.modules.get(_module(value).split(".")[0])
    name = "" if isinstance(value, types.ModuleType) else value.__qualname__
    return ("library", _module(value), name, str(getattr(top, "__version__", "")))


def _module(value: Any) -> str:
    return value.__name__ if isinstance(value, types.ModuleType) else str(value.__module__)


def _of_library(value: Any) -> bool:
    """Whether a module or class is Python's own or of an installed distribution."""
    top = _module(value).split(".")[0]
    return top != "__main__" and (top in sys.stdlib_module_names or top in _installed())


@functools.cache
def _installed() -> frozenset[str]:
    return frozenset(importlib.metadata.packages_distributions())


def _names(code: types.CodeType) -> set[str]:
    """Names that code and what is defined in it look up."""
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return set(code.co_names).union(*(_names(c) for c in inner))
