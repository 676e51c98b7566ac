"""Transformations that remember something of all rows: found out, and made in a pass or refused."""

import ast
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.design import expressions, matrices
from bimixed.design.matrices import EncodedPart
from bimixed.exceptions import DataError

SCALING = ("scale", "center", "standardize")
SPLINES = ("bs", "cr", "cc", "cs")


def states_of(parts: Mapping[str, EncodedPart]) -> dict[str, dict[str, Any]]:
    """What the transformations of a model remember, by their text."""
    found: dict[str, dict[str, Any]] = {}
    for part in parts.values():
        found |= dict(getattr(part.spec, "transform_state", None) or {})
    return found


def depend_on_data(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Transformations whose memory differs between two tables, or is of all rows by what is written."""
    return [name for name in one if _looks_at_all(name, one[name]) or not _equal(one[name], other.get(name))]


def _looks_at_all(text: str, state: Any) -> bool:
    """Whether a call leaves to the rows what it could be given: first rows can be alike by chance."""
    call = ast.parse(text, mode="eval").body
    name = _called(call)
    if not isinstance(call, ast.Call):
        return False
    if name == "center":
        return True
    if name in SCALING:
        return any(_is_computed(call, what) for what in _computed(name))
    if name in SPLINES:
        given = {word.arg for word in call.keywords}
        ends = {state.get("lower_bound"), state.get("upper_bound")}
        has_knots = "knots" in given or {*state.get("knots", [])} <= ends
        return not ({"lower_bound", "upper_bound"} <= given and has_knots) or "constraints" in given
    return False


def _computed(name: str) -> tuple[str, ...]:
    """What a scaling computes from the rows: argument names, in their order after the data."""
    return {"center": (), "standardize": ("center", "rescale")}.get(name, ("center", "scale"))


def _argument(call: ast.Call, what: str) -> ast.expr | None:
    place = _computed(_called(call)).index(what) + 1
    named = [word.value for word in call.keywords if word.arg == what]
    return call.args[place] if len(call.args) > place else next(iter(named), None)


def _is_computed(call: ast.Call, what: str) -> bool:
    own = _argument(call, what)
    return own is None or (isinstance(own, ast.Constant) and own.value is True)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple | np.ndarray) or isinstance(other, list | tuple | np.ndarray):
        return np.shape(one) == np.shape(other) and bool(np.all(np.asarray(one) == np.asarray(other)))
    return bool(one == other) or (one is None and other is None)


def argument_of(text: str, place: str) -> str:
    """What is scaled or centred.

    Raises
    ------
    DataError
        For every other transformation that looks at all rows.
    """
    call = ast.parse(text, mode="eval").body
    name = _called(call)
    if not isinstance(call, ast.Call) or name not in SCALING or not call.args:
        advice = "write a power as I(x**2), on a covariate that you centre by a number, I((x - 5) / 2)"
        if name in SPLINES:
            advice = f"give its knots and bounds: {name}(x, knots=[...], lower_bound=..., upper_bound=...)"
        raise DataError(
            f"{text} ({place}) is made from all rows at once, which a source doesn't give: {advice}."
        )
    if {_called(node) for node in ast.walk(call.args[0])} & {*SCALING, *SPLINES, "poly", "lag", "hashed"}:
        raise DataError(
            f"{text} ({place}) has a transformation of all rows inside another; write one of them with "
            "numbers."
        )
    given = [_argument(call, what) for what in _computed(name)]
    if any(isinstance(node, ast.Call | ast.Attribute) for own in given if own for node in ast.walk(own)):
        raise DataError(
            f"{text} ({place}) computes what it takes off or divides by, from all rows at once, which a "
            "source doesn't give: write it as a number, or leave it out."
        )
    return ast.unparse(call.args[0])


def remembered(parts: Mapping[str, EncodedPart]) -> dict[str, dict[str, Any]]:
    """What ``scale`` and ``center`` remember of all rows, as plain numbers."""
    found = {}
    for name, state in states_of(parts).items():
        if _called(ast.parse(name, mode="eval").body) in SCALING:
            found[name] = {key: None if own is None else float(own) for key, own in state.items()}
    return found


def remember(parts: Mapping[str, EncodedPart], kept: Mapping[str, Mapping[str, Any]]) -> None:
    """Put that back; parts are changed in place."""
    for part in parts.values():
        state = getattr(part.spec, "transform_state", None) or {}
        for name, own in kept.items():
            if name in state:
                state[name].update(own)


def encoded_again(
    parts: Mapping[str, EncodedPart], table: pd.DataFrame, context: Mapping[str, Any]
) -> dict[str, EncodedPart]:
    """Parts with the values that these rows have now that other means are remembered."""
    return {
        name: replace(part, values=matrices.encode_part(part, table, context)) for name, part in parts.items()
    }


def _called(node: ast.AST) -> str:
    """Name of the function that an expression calls; empty for others."""
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def settle(
    parts: Mapping[str, EncodedPart],
    names: list[str],
    rows: Callable[[], Iterator[pd.DataFrame]],
    context: Mapping[str, Any],
) -> None:
    """Put means and sds of all rows into what ``scale`` and ``center`` remember.

    Parameters
    ----------
    parts : mapping
        Changed in place: their states are dicts of their own.
    names : list of str
        The transformations concerned.
    rows : callable
        Gives the complete rows, chunk by chunk.
    context : mapping

    Raises
    ------
    DataError
        For other transformations.
    """
    places = {
        name: part.place
        for part in parts.values()
        for name in (getattr(part.spec, "transform_state", None) or {})
    }
    arguments = {name: argument_of(name, places[name]) for name in names}
    sums = {text: _Sums() for text in arguments.values()}
    for table in rows():
        for text, own in sums.items():
            values = np.asarray(expressions.evaluate_expression(text, table, context, {}), dtype=np.float64)
            own.add(values)
    for part in parts.values():
        state = getattr(part.spec, "transform_state", None) or {}
        for name in names:
            if name in state:
                _fill(state[name], sums[arguments[name]], name)


class _Sums:
    """Mean and squares about it, added up chunk by chunk (Chan, Golub and LeVeque 1983)."""

    def __init__(self) -> None:
        self.n, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, values: Array) -> None:
        m = len(values)
        if m == 0:
            return
        mean = math.fsum(values) / m
        off = mean - self.mean
        total = self.n + m
        self.squares += float(np.sum((values - mean) ** 2)) + off**2 * self.n * m / total
        self.mean += off * m / total
        self.n = total


def _fill(state: dict[str, Any], sums: _Sums, text: str) -> None:
    """Mean and sd in place of those of the first rows; numbers that were given stay."""
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    centre, scale = _computed(_called(call)) or ("", "")
    if state.get("center") is not None and (not centre or _is_computed(call, centre)):
        state["center"] = np.float64(sums.mean)
    if state.get("scale") is not None and scale and _is_computed(call, scale):
        about = 0.0 if state.get("center") is None else float(state["center"])
        squares = sums.squares + sums.n * (sums.mean - about) ** 2
        state["scale"] = np.float64(math.sqrt(squares / (sums.n - state.get("ddof", 1))))
