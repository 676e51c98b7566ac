"""Cholesky factorization, triangular solves and the selected inverse of the sparse columns.

Columns are stored one after the other, rows sorted, diagonal first. Rows from ``n_sparse`` on belong to
the dense core, whose lower triangle is given by columns: ``core[j, i]`` is row i of column j.
"""

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.intp]
Rows = NDArray[np.int32]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def factor_columns(groups: Ints, starts: Ints, rows: Rows, values: Array, core: Array) -> int:
    """Turn the matrix's values into the factor's, in place, and subtract their squares from the core.

    Left-looking: column j is the matrix's column less multiples of earlier ones. Those that reach row j
    wait in a list at j. Columns of one group have the same rows below it and are taken together.
    Returns the first column whose pivot isn't positive, or −1.
    """
    n_sparse, n_groups = len(starts) - 1, len(groups) - 1
    n = n_sparse + len(core)
    waiting = np.full(n, -1, np.intp)
    following = np.full(n_groups, -1, np.intp)
    left = np.zeros(n_groups, np.intp)
    column = np.zeros(n)
    for g in range(n_groups):
        for j in range(groups[g], groups[g + 1]):
            begin, end = starts[j], starts[j + 1]
            for p in range(begin, end):
                column[rows[p]] = values[p]
            _subtract_waiting(groups, starts, rows, values, waiting, following, left, j, column, 0)
            _subtract(starts, rows, values, groups[g], j, end - begin, column, 0)
            pivot = column[j]
            if not (pivot > 0.0 and pivot < np.inf):
                return j
            root = np.sqrt(pivot)
            values[begin] = root
            for p in range(begin + 1, end):
                values[p] = column[rows[p]] / root
        last = groups[g + 1] - 1
        left[g] = starts[last + 1] - starts[last]
        _advance(groups, starts, rows, waiting, following, left, g)
    for j in range(n_sparse, n):
        _subtract_waiting(
            groups, starts, rows, values, waiting, following, left, j, core[j - n_sparse], n_sparse
        )
    return -1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _subtract_waiting(
    groups: Ints,
    starts: Ints,
    rows: Rows,
    values: Array,
    waiting: Ints,
    following: Ints,
    left: Ints,
    j: int,
    column: Array,
    shift: int,
) -> None:
    """Subtract from column j all groups that wait there, and send them on to their next row."""
    g = waiting[j]
    while g >= 0:
        after = following[g]
        _subtract(starts, rows, values, groups[g], groups[g + 1], left[g], column, shift)
        _advance(groups, starts, rows, waiting, following, left, g)
        g = after


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _advance(
    groups: Ints, starts: Ints, rows: Rows, waiting: Ints, following: Ints, left: Ints, g: int
) -> None:
    left[g] -= 1
    if left[g] > 0:
        row = rows[starts[groups[g + 1]] - left[g]]
        following[g] = waiting[row]
        waiting[row] = g


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _subtract(
    starts: Ints, rows: Rows, values: Array, begin: int, end: int, left: int, column: Array, shift: int
) -> None:
    """Subtract columns begin to end, each times its entry in the row of which ``left`` rows are left."""
    k = begin
    while k + 4 <= end:
        p0, p1 = starts[k + 1] - left, starts[k + 2] - left
        p2, p3 = starts[k + 3] - left, starts[k + 4] - left
        v0, v1, v2, v3 = values[p0], values[p1], values[p2], values[p3]
        for t in range(left):
            pair = v0 * values[p0 + t] + v1 * values[p1 + t]
            column[rows[p0 + t] - shift] -= pair + (v2 * values[p2 + t] + v3 * values[p3 + t])
        k += 4
    while k < end:
        p0 = starts[k + 1] - left
        v0 = values[p0]
        for t in range(left):
            column[rows[p0 + t] - shift] -= v0 * values[p0 + t]
        k += 1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def forward(starts: Ints, rows: Rows, values: Array, x: Array) -> None:
    """Solve with the sparse columns of L, in place; rows of the core are reduced."""
    for j in range(len(starts) - 1):
        pivot = values[starts[j]]
        for c in range(x.shape[1]):
            x[j, c] /= pivot
        for p in range(starts[j] + 1, starts[j + 1]):
            i, v = rows[p], values[p]
            for c in range(x.shape[1]):
                x[i, c] -= v * x[j, c]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def backward(starts: Ints, rows: Rows, values: Array, x: Array) -> None:
    """Solve with L' in place, given the rows of the core."""
    for j in range(len(starts) - 2, -1, -1):
        for p in range(starts[j] + 1, starts[j + 1]):
            i, v = rows[p], values[p]
            for c in range(x.shape[1]):
                x[j, c] -= v * x[i, c]
        pivot = values[starts[j]]
        for c in range(x.shape[1]):
            x[j, c] /= pivot
