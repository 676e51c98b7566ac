"""Compiled loops over the pairs of levels and trailing columns.

All of them go column by column of the trailing part, so that one row of its matrix is at work at a time. A
pair's level is ``rows[pair]``, its partners are the pairs from ``row_starts[level]`` on.
"""

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.intp]
Rows = NDArray[np.int32]


@numba.njit(cache=True, nogil=True)
def subtract_gram(
    column_starts: Ints, by_column: Ints, rows: Ints, row_starts: Ints, columns: Ints, C: Array, S: Array
) -> None:
    """S −= Σ over levels of C'C, lower triangle of a dense S."""
    K = C.shape[1]
    for i in range(len(column_starts) - 1):
        for q in range(column_starts[i], column_starts[i + 1]):
            pair = by_column[q]
            for other in range(row_starts[rows[pair]], pair + 1):
                total = 0.0
                for a in range(K):
                    total += C[pair, a] * C[other, a]
                S[i, columns[other]] -= total


@numba.njit(cache=True, nogil=True)
def weighted_inner(
    column_starts: Ints,
    by_column: Ints,
    rows: Ints,
    row_starts: Ints,
    columns: Ints,
    C: Array,
    weight: Array,
    P: Array,
) -> float:
    """Σ over levels of weight · C P C' for single coefficients; the lower triangle of P is read."""
    total = 0.0
    for i in range(len(column_starts) - 1):
        for q in range(column_starts[i], column_starts[i + 1]):
            pair = by_column[q]
            level = rows[pair]
            part = 0.0
            for other in range(row_starts[level], pair):
                part += C[other, 0] * P[i, columns[other]]
            total += weight[level] * C[pair, 0] * (2.0 * part + C[pair, 0] * P[i, i])
    return total


@numba.njit(cache=True, nogil=True)
def product_at_pairs(
    column_starts: Ints,
    by_column: Ints,
    rows: Ints,
    row_starts: Ints,
    columns: Ints,
    C: Array,
    P: Array,
    out: Array,
) -> None:
    """(C P) at the pairs; P is full and symmetric."""
    K = C.shape[1]
    for i in range(len(column_starts) - 1):
        for q in range(column_starts[i], column_starts[i + 1]):
            pair = by_column[q]
            level = rows[pair]
            for a in range(K):
                out[pair, a] = 0.0
            for other in range(row_starts[level], row_starts[level + 1]):
                value = P[i, columns[other]]
                for a in range(K):
                    out[pair, a] += C[other, a] * value


@numba.njit(cache=True, nogil=True)
def gram_on_pattern(
    column_starts: Ints,
    by_column: Ints,
    rows: Ints,
    row_starts: Ints,
    positions: Ints,
    order: Ints,
    starts: Ints,
    pattern: Rows,
    C: Array,
    out: Array,
) -> None:
    """out −= Σ over levels of C'C on a sparse lower pattern; ``positions``: the pairs' columns there."""
    K = C.shape[1]
    total = np.zeros(len(order))
    for j in range(len(order)):
        for q in range(column_starts[order[j]], column_starts[order[j] + 1]):
            pair = by_column[q]
            level = rows[pair]
            for other in range(row_starts[level], row_starts[level + 1]):
                if positions[other] >= j:
                    product = 0.0
                    for a in range(K):
                        product += C[pair, a] * C[other, a]
                    total[positions[other]] += product
        for k in range(starts[j], starts[j + 1]):
            out[k] -= total[pattern[k]]
            total[pattern[k]] = 0.0


@numba.njit(cache=True, nogil=True)
def product_on_pattern(
    column_starts: Ints,
    by_column: Ints,
    rows: Ints,
    row_starts: Ints,
    positions: Ints,
    order: Ints,
    starts: Ints,
    pattern: Rows,
    P: Array,
    C: Array,
    out: Array,
) -> None:
    """(C P) at the pairs, P on a sparse lower pattern that holds all partners; out starts at 0."""
    K = C.shape[1]
    column = np.zeros(len(order))
    for j in range(len(order)):
        if column_starts[order[j]] == column_starts[order[j] + 1]:
            continue
        for k in range(starts[j], starts[j + 1]):
            column[pattern[k]] = P[k]
        for q in range(column_starts[order[j]], column_starts[order[j] + 1]):
            pair = by_column[q]
            level = rows[pair]
            for other in range(row_starts[level], row_starts[level + 1]):
                position = positions[other]
                if position < j:
                    continue
                value = column[position]
                for a in range(K):
                    out[pair, a] += C[other, a] * value
                if position > j:
                    for a in range(K):
                        out[other, a] += C[pair, a] * value
        for k in range(starts[j], starts[j + 1]):
            column[pattern[k]] = 0.0


@numba.njit(cache=True, nogil=True)
def subtract_gram_by_level(row_starts: Ints, columns: Ints, C: Array, S: Array) -> None:
    """As ``subtract_gram``, level by level: faster where S fits into the cache."""
    K = C.shape[1]
    for level in range(len(row_starts) - 1):
        for pair in range(row_starts[level], row_starts[level + 1]):
            i = columns[pair]
            for other in range(row_starts[level], pair + 1):
                total = 0.0
                for a in range(K):
                    total += C[pair, a] * C[other, a]
                S[i, columns[other]] -= total


@numba.njit(cache=True, nogil=True)
def weighted_inner_by_level(row_starts: Ints, columns: Ints, C: Array, weight: Array, P: Array) -> float:
    """As ``weighted_inner``, level by level."""
    total = 0.0
    for level in range(len(row_starts) - 1):
        inner = 0.0
        for pair in range(row_starts[level], row_starts[level + 1]):
            i = columns[pair]
            part = 0.0
            for other in range(row_starts[level], pair):
                part += C[other, 0] * P[i, columns[other]]
            inner += C[pair, 0] * (2.0 * part + C[pair, 0] * P[i, i])
        total += weight[level] * inner
    return total


@numba.njit(cache=True, nogil=True)
def product_at_pairs_by_level(row_starts: Ints, columns: Ints, C: Array, P: Array, out: Array) -> None:
    """As ``product_at_pairs``, level by level."""
    K = C.shape[1]
    for level in range(len(row_starts) - 1):
        for pair in range(row_starts[level], row_starts[level + 1]):
            i = columns[pair]
            for a in range(K):
                out[pair, a] = 0.0
            for other in range(row_starts[level], row_starts[level + 1]):
                value = P[i, columns[other]]
                for a in range(K):
                    out[pair, a] += C[other, a] * value
