"""Names and coefficients of contrasts."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.exceptions import DataError

Coefficients = Sequence[float] | Mapping[Any, float]
"""One for each mean, or by level."""
SAME = {"tukey": "pairwise", "dunnett": "trt.vs.ctrl"}
"""Other names of methods."""
METHODS = ("pairwise", "revpairwise", "trt.vs.ctrl", "consec", "eff", "poly")


def contrast_rows(
    method: str | Mapping[str, Coefficients], labels: Sequence[str], reference: Any
) -> tuple[list[str], Array]:
    """Names and coefficients, (contrasts, means).

    Raises
    ------
    DataError
        If there is no such method or reference, or coefficients don't suit the means.
    """
    k, unit = len(labels), np.eye(len(labels))
    if reference is not None and method != "trt.vs.ctrl":
        raise DataError("reference is of method='trt.vs.ctrl' only; leave it out, or take that method.")
    if isinstance(method, Mapping):
        return _custom(method, labels)
    if method not in METHODS:
        raise DataError(f"method is {method!r}; choose one of {', '.join(map(repr, METHODS))}, or a mapping.")
    if k < 2:
        raise DataError("There is one mean only, so that there is nothing to compare; name another factor.")
    if method in ("pairwise", "revpairwise"):
        pairs = [(i, j) for i in range(k) for j in range(i + 1, k)]
        if method == "revpairwise":
            pairs = [(j, i) for j in range(k) for i in range(j)]
        return _differences(pairs, labels)
    if method == "trt.vs.ctrl":
        control = _place(reference, labels)
        return _differences([(i, control) for i in range(k) if i != control], labels)
    if method == "consec":
        return _differences([(i + 1, i) for i in range(k - 1)], labels)
    if method == "eff":
        return [f"{label} effect" for label in labels], unit - 1.0 / k
    return _polynomials(k)


def _differences(pairs: Sequence[tuple[int, int]], labels: Sequence[str]) -> tuple[list[str], Array]:
    C = np.zeros((len(pairs), len(labels)))
    for row, (i, j) in enumerate(pairs):
        C[row, i], C[row, j] = 1.0, -1.0
    return [f"{labels[i]} - {labels[j]}" for i, j in pairs], C


def _place(reference: Any, labels: Sequence[str]) -> int:
    if reference is None:
        return 0
    text = " ".join(map(str, reference)) if isinstance(reference, tuple) else str(reference)
    if text not in labels:
        raise DataError(f"reference is {reference!r}; the means are of {', '.join(map(repr, labels))}.")
    return list(labels).index(text)


def interaction_rows(
    method: str | Mapping[str, Coefficients], levels: Mapping[str, Sequence[Any]], reference: Any
) -> tuple[list[str], Array]:
    """Products of each factor's contrasts; the first factor is the fastest of the means.

    Raises
    ------
    DataError
        For custom coefficients, a single factor or a reference of one of them.
    """
    if not isinstance(method, str) or reference is not None:
        raise DataError(
            "interaction=True takes the name of a method, with the first level as reference; write custom "
            "products of contrasts as one row of coefficients."
        )
    if len(levels) < 2:
        raise DataError("An interaction is of two factors or more; name them: emmeans(fit, ['a', 'b']).")
    names: list[str] = [""]
    C: Any = np.ones((1, 1))
    for own in levels.values():
        more, rows = contrast_rows(method, [str(level) for level in own], None)
        names = [f"{a} : {b}" if a else b for b in more for a in names]
        C = np.kron(rows, C)
    return names, C


def _polynomials(k: int) -> tuple[list[str], Array]:
    """Orthogonal polynomials of equally spaced levels, in the smallest whole numbers."""
    named = ["linear", "quadratic", "cubic", "quartic"]
    rows: list[list[Fraction]] = [[Fraction(1)] * k]
    for degree in range(1, k):
        row = [Fraction(2 * i - k + 1) ** degree for i in range(k)]
        for other in rows:
            share = Fraction(sum(a * b for a, b in zip(row, other, strict=True))) / sum(b * b for b in other)
            row = [a - share * b for a, b in zip(row, other, strict=True)]
        whole = math.lcm(*(value.denominator for value in row))
        divisor = math.gcd(*(int(value * whole) for value in row))
        rows.append([value * Fraction(whole, divisor) for value in row])
    names = [named[i] if i < len(named) else f"degree {i + 1}" for i in range(k - 1)]
    return names, np.array(rows[1:], dtype=np.float64)


def _custom(given: Mapping[str, Coefficients], labels: Sequence[str]) -> tuple[list[str], Array]:
    rows = []
    for name, coefficients in given.items():
        wanted = f"give {len(labels)} numbers, not all 0, for {', '.join(map(repr, labels))}."
        ordered = _in_order(name, coefficients, labels)
        try:
            row = np.asarray(ordered, dtype=float)
        except (TypeError, ValueError) as error:
            raise DataError(f"The contrast {name!r} is {coefficients!r}; {wanted}") from error
        if row.shape != (len(labels),) or not np.isfinite(row).all() or not row.any():
            raise DataError(f"The contrast {name!r} is {row.tolist()}; {wanted}")
        rows.append(row)
    if not rows:
        raise DataError("The mapping of contrasts is empty; give names and coefficients.")
    return list(given), np.array(rows)


def _in_order(name: str, coefficients: Coefficients, labels: Sequence[str]) -> Any:
    """Coefficients by level in the order of the means; a Series with a plain index is in order."""
    if isinstance(coefficients, pd.Series):
        if isinstance(coefficients.index, pd.RangeIndex) and len(coefficients) == len(labels):
            return coefficients
        coefficients = coefficients.to_dict()
    if not isinstance(coefficients, Mapping):
        return coefficients
    row = dict.fromkeys(labels, 0.0)
    for level, value in coefficients.items():
        label = " ".join(map(str, level)) if isinstance(level, tuple) else str(level)
        if label not in row:
            raise DataError(
                f"The contrast {name!r} has {level!r}; the means are of {', '.join(map(repr, labels))}."
            )
        row[label] = value
    return list(row.values())
