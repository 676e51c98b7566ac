"""Short texts that change with what they stand for: numbers, functions, what functions use."""

import functools
import hashlib
import importlib.metadata
import pickle
import secrets
import sys
import types
from collections.abc import Iterator, Mapping
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


UNTOLD = (
    "__dict__",
    "__weakref__",
    "__module__",
    "__doc__",
    "__firstlineno__",
    "__static_attributes__",
    "__dataclass_fields__",
)
"""Members of a class that say nothing of what it does."""


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
        seen = {name: own for name, own in vars(value).items() if not name.startswith("__")}
        return ("module", value.__name__, _members(seen, above))
    if isinstance(value, types.CodeType):
        constants = [_told(own, above) for own in value.co_consts]
        return (value.co_code, constants, value.co_names, value.co_varnames)
    if isinstance(value, types.FunctionType):
        return _of_function(value, above)
    if isinstance(value, types.MethodType):
        return ("method", _told(value.__func__, above), _told(value.__self__, above))
    if isinstance(value, functools.partial):
        return ("partial", *(_told(own, above) for own in (value.func, value.args, value.keywords)))
    if isinstance(value, functools._lru_cache_wrapper):
        return ("wrapped", _told(value.__wrapped__, above))
    return _of_object(value, above)


def _of_object(value: Any, above: frozenset[int]) -> Any:
    """Of containers, classes and instances: what they consist of."""
    kind = type(value)
    if kind is dict:
        return ("dict", [(_told(key, above), _told(own, above)) for key, own in value.items()])
    if kind in (list, tuple):
        return (kind.__name__, [_told(own, above) for own in value])
    if kind in (set, frozenset):
        return (kind.__name__, sorted(repr(_told(own, above)) for own in value))
    if isinstance(value, type):
        return ("class", value.__qualname__, _members(vars(value), above), _told(value.__bases__, above))
    if isinstance(value, property):
        return ("property", _told((value.fget, value.fset), above))
    if isinstance(value, staticmethod | classmethod):
        return (kind.__name__, _told(value.__func__, above))
    try:
        made = value.__reduce_ex__(4)
    except Exception:  # whatever keeps it from being pickled
        return secrets.token_hex(16)
    if isinstance(made, str):
        return ("name", kind.__module__, made)
    parts = [list(own) if isinstance(own, Iterator) else own for own in made]
    return ("instance", _told(kind, above), [_told(own, above) for own in parts])


def _members(seen: Mapping[str, Any], above: frozenset[int]) -> Any:
    """What a class or module of the user defines; of other things the type."""
    told = (
        type,
        types.FunctionType,
        staticmethod,
        classmethod,
        property,
        functools.partial,
        dict,
        list,
        tuple,
    )
    return [
        (
            name,
            _told(own, above) if isinstance(own, (*told, set, frozenset, *PLAIN)) else type(own).__qualname__,
        )
        for name, own in sorted(seen.items())
        if name not in UNTOLD and not name.startswith("_abc_")
    ]


def _of_function(value: types.FunctionType, above: frozenset[int]) -> Any:
    known = getattr(sys.modules.get(str(value.__module__)), value.__name__, None)
    if known is value and _of_library(value):
        return _named(value)
    cells = [_told(cell.cell_contents, above) for cell in value.__closure__ or ()]
    seen = {name: value.__globals__[name] for name in _names(value.__code__) if name in value.__globals__}
    outside = [(name, _told(own, above)) for name, own in sorted(seen.items())]
    given = _told((value.__defaults__, value.__kwdefaults__, vars(value)), above)
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
