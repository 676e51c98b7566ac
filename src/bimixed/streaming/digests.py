"""Short texts that change with what they stand for: numbers, functions, what functions use."""

import hashlib
import pickle
import types
from typing import Any


def digest(value: Any) -> str:
    """A hash of a value that a formula uses.

    Of functions written in Python, their code, defaults, and the variables that they see; of modules the name
    and version.
    """
    return hashlib.sha256(repr(_told(value, frozenset())).encode()).hexdigest()


def _told(value: Any, above: frozenset[int]) -> Any:
    if id(value) in above:
        return "again"
    above = above | {id(value)}
    if isinstance(value, types.ModuleType):
        return ("module", value.__name__, str(getattr(value, "__version__", "")))
    if isinstance(value, types.CodeType):
        constants = [_told(c, above) if isinstance(c, types.CodeType) else repr(c) for c in value.co_consts]
        return (value.co_code, constants, value.co_names, value.co_varnames)
    if isinstance(value, types.FunctionType):
        cells = [_told(cell.cell_contents, above) for cell in value.__closure__ or ()]
        seen = {name: value.__globals__[name] for name in _names(value.__code__) if name in value.__globals__}
        outside = [(name, _told(own, above)) for name, own in sorted(seen.items())]
        given = _told((value.__defaults__, value.__kwdefaults__), above)
        return ("function", _told(value.__code__, above), cells, outside, given)
    if isinstance(value, types.MethodType):
        return ("method", _told(value.__func__, above), _told(value.__self__, above))
    try:
        return hashlib.sha256(pickle.dumps(value, protocol=4)).hexdigest()
    except (pickle.PicklingError, TypeError, AttributeError):
        return f"{type(value).__module__}.{type(value).__qualname__}"


def _names(code: types.CodeType) -> set[str]:
    """Names that code and what is defined in it look up."""
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return set(code.co_names).union(*(_names(c) for c in inner))
