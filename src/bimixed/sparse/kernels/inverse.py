"""The selected inverse: entries of Z = M⁻¹ on the pattern of L (Takahashi 1973, Erisman, Tinney 1975).

ZL = L'⁻¹ is upper triangular, so that for i > j

    Z_ij = −(sum over k > j of Z_ik L_kj) / L_jj,    Z_jj = (1/L_jj − sum over k > j of Z_kj L_kj) / L_jj,

and all entries of Z in it are in the pattern or in the core, which comes complete. The last column goes
first. Columns of one group, which have the same rows T below it, are taken together: Z_TT is gathered
once for Z_TT L_T,group, and what is left are sums within the group. Storage is that of ``numeric``.
"""

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.intp]
Rows = NDArray[np.int32]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def invert_columns(groups: Ints, starts: Ints, rows: Rows, L: Array, core: Array, Z: Array) -> None:
    """Fill Z, given the core's inverse."""
    n_sparse = len(starts) - 1
    room = 1
    for g in range(len(groups) - 1):
        last = groups[g + 1] - 1
        room = max(room, (groups[g + 1] - groups[g]) * (starts[last + 1] - starts[last]))
    X_room, total_room = np.empty(room), np.empty(room)
    local = np.zeros(n_sparse + len(core), np.intp)
    for g in range(len(groups) - 2, -1, -1):
        begin, end = groups[g], groups[g + 1]
        width, m = end - begin, starts[end] - starts[end - 1] - 1
        # row 0 stands for all rows outside T: zero in X, never read from the total
        X = X_room[: width * (m + 1)].reshape(m + 1, width)
        total = total_room[: width * (m + 1)].reshape(m + 1, width)
        for b in range(width):
            X[0, b] = total[0, b] = 0.0
        tail = rows[starts[end] - m : starts[end]]
        border = m
        for t in range(m):
            local[tail[t]] = t + 1
            for b in range(width):
                X[t + 1, b] = L[starts[begin + b + 1] - m + t]
                total[t + 1, b] = 0.0
        while border > 0 and tail[border - 1] >= n_sparse:
            border -= 1
        if width == 1:
            _multiply_one(starts, rows, Z, core, tail, border, local, X[:, 0], total[:, 0])
        else:
            _multiply(starts, rows, Z, core, tail, border, local, X, total)
        for t in range(m):
            local[tail[t]] = 0
        for j in range(end - 1, begin - 1, -1):
            _finish_column(starts, L, Z, total, begin, end, j)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _multiply(
    starts: Ints,
    rows: Rows,
    Z: Array,
    core: Array,
    tail: Rows,
    border: int,
    local: Ints,
    X: Array,
    total: Array,
) -> None:
    """total = Z_TT X, reading each entry of Z's lower triangle once.

    Entries of ``tail``, T, from ``border`` on are the core's.
    """
    m, width, n_sparse = len(tail), X.shape[1], len(starts) - 1
    for t in range(m):
        k = tail[t]
        x, own = X[t + 1], total[t + 1]
        in_core = t >= border
        line = core[k - n_sparse] if in_core else Z
        low = 0 if in_core else starts[k]
        last = 0 if in_core else starts[k + 1]
        z = line[k - n_sparse] if in_core else line[low]
        for b in range(width):
            own[b] += z * x[b]
        if not in_core and (m - t - 1) * 16 >= last - low:
            for r in range(low + 1, last):
                i, z = local[rows[r]], Z[r]
                for b in range(width):
                    total[i, b] += z * x[b]
                    own[b] += z * X[i, b]
            continue
        for i in range(t + 2, m + 1):
            if in_core:
                z = line[tail[i - 1] - n_sparse]
            else:
                low = _find(rows, tail[i - 1], low, last)
                z = Z[low]
            for b in range(width):
                total[i, b] += z * x[b]
                own[b] += z * X[i, b]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _multiply_one(
    starts: Ints,
    rows: Rows,
    Z: Array,
    core: Array,
    tail: Rows,
    border: int,
    local: Ints,
    X: Array,
    total: Array,
) -> None:
    """The same for a single column."""
    m, n_sparse = len(tail), len(starts) - 1
    for t in range(border):
        k, x = tail[t], X[t + 1]
        low, last = starts[k], starts[k + 1]
        own = Z[low] * x
        if (m - t - 1) * 16 >= last - low:
            for r in range(low + 1, last):
                i, z = local[rows[r]], Z[r]
                total[i] += z * x
                own += z * X[i]
        else:
            for i in range(t + 2, m + 1):
                low = _find(rows, tail[i - 1], low, last)
                total[i] += Z[low] * x
                own += Z[low] * X[i]
        total[t + 1] += own
    for t in range(border, m):
        line, x = core[tail[t] - n_sparse], X[t + 1]
        own = line[tail[t] - n_sparse] * x
        for i in range(t + 2, m + 1):
            z = line[tail[i - 1] - n_sparse]
            total[i] += z * x
            own += z * X[i]
        total[t + 1] += own


@numba.njit(cache=True, nogil=True)
def _find(rows: Rows, row: int, low: int, high: int) -> int:
    """Place of a row in a sorted stretch that has it."""
    while low < high:
        middle = (low + high) // 2
        if rows[middle] < row:
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _finish_column(starts: Ints, L: Array, Z: Array, total: Array, begin: int, end: int, j: int) -> None:
    """Column j of the group begin to end, later ones being done; ``total`` is Z_TT L_T,group."""
    at, m = starts[j], len(total) - 1
    own_tail = starts[j + 1] - m
    pivot = L[at]
    for t in range(m):
        Z[own_tail + t] = total[t + 1, j - begin]
    for k in range(j + 1, end):
        v, tail = L[at + k - j], starts[k + 1] - m
        for t in range(m):
            Z[own_tail + t] += v * Z[tail + t]
    for i in range(j + 1, end):
        # column i of Z below i, then its rows within the group up to i
        inner = _dot(Z, starts[i], L, at + i - j, starts[i + 1] - starts[i])
        for k in range(j + 1, i):
            inner += Z[starts[k] + i - k] * L[at + k - j]
        Z[at + i - j] = -inner / pivot
    for t in range(m):
        Z[own_tail + t] /= -pivot
    below = starts[j + 1] - at - 1
    Z[at] = (1.0 / pivot - _dot(Z, at + 1, L, at + 1, below)) / pivot


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _dot(a: Array, i: int, b: Array, j: int, n: int) -> float:
    """Inner product of n entries from a[i] and b[j] on, in four sums that don't wait for each other."""
    s0 = s1 = s2 = s3 = 0.0
    t = 0
    while t + 4 <= n:
        s0 += a[i + t] * b[j + t]
        s1 += a[i + t + 1] * b[j + t + 1]
        s2 += a[i + t + 2] * b[j + t + 2]
        s3 += a[i + t + 3] * b[j + t + 3]
        t += 4
    while t < n:
        s0 += a[i + t] * b[j + t]
        t += 1
    return (s0 + s1) + (s2 + s3)


@numba.njit(cache=True, nogil=True)
def mirror(M: Array) -> None:
    """Copy the upper triangle to the lower one, a tile at a time."""
    n, tile = len(M), 64
    for top in range(0, n, tile):
        for side in range(0, top + 1, tile):
            for i in range(top, min(top + tile, n)):
                for j in range(side, min(side + tile, i)):
                    M[i, j] = M[j, i]
