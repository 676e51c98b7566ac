"""Transformations that remember something of all rows: found out, and made in a pass or refused."""

import ast
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.design import expressions
from bimixed.design.matrices import EncodedPart
from bimixed.exceptions import DataError

SCALING = ("scale", "center", "standardize")


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
    tree = ast.parse(text, mode="eval").body
    name = tree.func.id if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) else ""
    if name not in SCALING or not tree.args:  # type: ignore[attr-defined]
        advice = "write a power as I(x**2), on a covariate that you centre by a number, I((x - 5) / 2)"
        if name in ("bs", "cr", "cc", "cs"):
            advice = (
                f"give its knots: {name}(x, knots=[...], lower_bound=..., upper_bound=...)"
                if name == "bs"
                else f"give its knots and bounds: {name}(x, knots=[...], lower_bound=..., upper_bound=...)"
            )
        raise DataError(
            f"{text} ({place}) is made from all rows at once, which a source doesn't give: {advice}."
        )
    argument = ast.unparse(tree.args[0])  # type: ignore[attr-defined]
    inside = {
        node.func.id
        for node in ast.walk(tree.args[0])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }  # type: ignore[attr-defined]
    if inside & {*SCALING, "bs", "cr", "cc", "cs", "poly", "lag", "hashed"}:
        raise DataError(
            f"{text} ({place}) has a transformation of all rows inside another; write one of them with "
            "numbers."
        )
    return argument


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
