"""Names and coefficients of contrasts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bimixed.covariance import Array
from bimixed.exceptions import DataError

METHODS = ("pairwise", "revpairwise", "trt.vs.ctrl", "consec", "eff", "poly")


def contrast_rows(
    method: str | Mapping[str, Sequence[float]], labels: Sequence[str], reference: Any
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


def _polynomials(k: int) -> tuple[list[str], Array]:
    """Orthogonal polynomials of equally spaced levels, rows of length 1."""
    named = ["linear", "quadratic", "cubic", "quartic"]
    Q, R = np.linalg.qr(np.vander(np.arange(k) - (k - 1) / 2.0, increasing=True))
    C = (Q * np.sign(np.diag(R))).T[1:]
    return [named[i] if i < len(named) else f"degree {i + 1}" for i in range(k - 1)], C


def _custom(given: Mapping[str, Sequence[float]], labels: Sequence[str]) -> tuple[list[str], Array]:
    rows = []
    for name, coefficients in given.items():
        wanted = f"give {len(labels)} numbers, not all 0, for {', '.join(map(repr, labels))}."
        try:
            row = np.asarray(coefficients, dtype=float)
        except (TypeError, ValueError) as error:
            raise DataError(f"The contrast {name!r} is {coefficients!r}; {wanted}") from error
        if row.shape != (len(labels),) or not np.isfinite(row).all() or not row.any():
            raise DataError(f"The contrast {name!r} is {row.tolist()}; {wanted}")
        rows.append(row)
    if not rows:
        raise DataError("The mapping of contrasts is empty; give names and coefficients.")
    return list(given), np.array(rows)
