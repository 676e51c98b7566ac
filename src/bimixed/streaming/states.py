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
    """Transformations whose memory differs between two tables."""
    return [name for name in one if not _equal(one[name], other.get(name))]


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
                _fill(state[name], sums[arguments[name]])


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


def _fill(state: dict[str, Any], sums: _Sums) -> None:
    centre = state.get("center")
    if centre is not None:
        state["center"] = np.float64(sums.mean)
    if state.get("scale") is not None:
        squares = sums.squares if centre is not None else sums.squares + sums.n * sums.mean**2
        state["scale"] = np.float64(math.sqrt(squares / (sums.n - state.get("ddof", 1))))
