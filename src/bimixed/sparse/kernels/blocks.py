"""Loops over the blocks of a matrix's lower triangle; the pattern is closed under blocks."""

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.intp]
Rows = NDArray[np.int32]


@numba.njit(cache=True, nogil=True)
def scale_single(starts: Ints, rows: Rows, values: Array, scale: Array, out: Array) -> None:
    """Multiply each entry by the scales of its row and its column."""
    for j in range(len(starts) - 1):
        for p in range(starts[j], starts[j + 1]):
            out[p] = scale[j] * scale[rows[p]] * values[p]


@numba.njit(cache=True, nogil=True)
def scale_by_blocks(
    first: Ints,
    node: Ints,
    starts: Ints,
    rows: Rows,
    values: Array,
    kinds: Ints,
    factors: Array,
    out: Array,
) -> None:
    """F_I S_IJ F_J' for each block; ``factors`` (n_kinds, K, K) are padded to the largest K."""
    size = factors.shape[1]
    block, half = np.zeros((size, size)), np.zeros((size, size))
    for J in range(len(first) - 1):
        begin, K = first[J], first[J + 1] - first[J]
        F = factors[kinds[J]]
        length = starts[begin + 1] - starts[begin]
        at = 0  # rows of the first column that are done
        while at < length:
            row = rows[starts[begin] + at]
            I = node[row]  # noqa: E741
            n_rows = first[I + 1] - first[I]
            for b in range(K):
                # the columns of one node end with the same rows; the first b of the diagonal block are absent
                place = starts[begin + b] + at - b
                for a in range(b if at == 0 else 0, n_rows):
                    block[a, b] = values[place + a]
                    if at == 0:
                        block[b, a] = block[a, b]
            _sandwich(factors[kinds[I]], block, F, n_rows, K, half)
            for b in range(K):
                place = starts[begin + b] + at - b
                for a in range(b if at == 0 else 0, n_rows):
                    out[place + a] = block[a, b]
            at += n_rows


@numba.njit(cache=True, nogil=True)
def _sandwich(left: Array, block: Array, right: Array, n_rows: int, n_columns: int, half: Array) -> None:
    """Replace the block by left · block · right'."""
    for a in range(n_rows):
        for b in range(n_columns):
            total = 0.0
            for c in range(n_columns):
                total += block[a, c] * right[b, c]
            half[a, b] = total
    for a in range(n_rows):
        for b in range(n_columns):
            total = 0.0
            for c in range(n_rows):
                total += left[a, c] * half[c, b]
            block[a, b] = total


@numba.njit(cache=True, nogil=True)
def gather_lower(
    order: Ints,
    place: Ints,
    starts: Ints,
    rows: Rows,
    S_starts: Ints,
    S_rows: Rows,
    S_values: Array,
    out: Array,
) -> int:
    """Values of a matrix in the old order on a pattern in the new one; the first column with more, or −1."""
    column = np.zeros(len(order))
    mark = np.full(len(order), -1, np.intp)
    for j in range(len(order)):
        for p in range(starts[j], starts[j + 1]):
            column[rows[p]] = 0.0
            mark[rows[p]] = j
        for p in range(S_starts[order[j]], S_starts[order[j] + 1]):
            i = place[S_rows[p]]
            if i < j:
                continue
            if mark[i] != j:
                return j
            column[i] += S_values[p]
        for p in range(starts[j], starts[j + 1]):
            out[p] = column[rows[p]]
    return -1
