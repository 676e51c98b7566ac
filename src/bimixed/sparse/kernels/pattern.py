"""Elimination tree, column counts and the pattern of the factor, all on the graph of the nodes.

Position k in an order stands for node ``order[k]``; ``place`` is the inverse of ``order``.
"""

import numba
import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.intp]
Rows = NDArray[np.int32]


@numba.njit(cache=True, nogil=True)
def elimination_tree(starts: Ints, neighbours: Ints, order: Ints, place: Ints) -> Ints:
    """Parent of each position, −1 at a root (Liu 1990, with path compression)."""
    n = len(order)
    parent, ancestor = np.full(n, -1, np.intp), np.full(n, -1, np.intp)
    for i in range(n):
        for q in range(starts[order[i]], starts[order[i] + 1]):
            j = place[neighbours[q]]
            while j != -1 and j < i:
                above = ancestor[j]
                ancestor[j] = i
                if above == -1:
                    parent[j] = i
                j = above
    return parent


@numba.njit(cache=True, nogil=True)
def postorder(parent: Ints) -> Ints:
    """Positions so that each comes right after the subtrees of its children."""
    n = len(parent)
    child, sibling = np.full(n, -1, np.intp), np.full(n, -1, np.intp)
    for j in range(n - 1, -1, -1):
        if parent[j] >= 0:
            sibling[j] = child[parent[j]]
            child[parent[j]] = j
    post = np.empty(n, np.intp)
    done = 0
    for root in range(n):
        if parent[root] >= 0:
            continue
        j = root
        while j >= 0:
            while child[j] >= 0:  # down to the first leaf; each link is used once
                down = child[j]
                child[j] = sibling[down]
                j = down
            post[done] = j
            done += 1
            j = parent[j]
    return post


@numba.njit(cache=True, nogil=True)
def column_counts(
    starts: Ints, neighbours: Ints, order: Ints, place: Ints, parent: Ints, post: Ints, sizes: Ints
) -> Ints:
    """Columns in each position's column of the factor, its own included (Gilbert, Ng, Peyton 1994).

    The columns j with L_ij nonzero form a subtree with root i. Position j is in it when the sum over
    the subtree below j of (+1 at its leaves, −1 where two of its branches meet, −1 above i) is one.
    Here position i counts ``sizes[i]``.
    """
    n = len(order)
    first, counts = np.full(n, -1, np.intp), np.zeros(n, np.intp)
    for r in range(n):
        j = post[r]
        if first[j] == -1:
            counts[j] = sizes[j]
        while j != -1 and first[j] == -1:
            first[j] = r
            j = parent[j]
    ancestor = np.arange(n)
    latest, last_leaf = np.full(n, -1, np.intp), np.full(n, -1, np.intp)
    for r in range(n):
        j = post[r]
        if parent[j] >= 0:
            counts[parent[j]] -= sizes[j]
        for q in range(starts[order[j]], starts[order[j] + 1]):
            i = place[neighbours[q]]
            if i <= j or first[j] <= latest[i]:
                continue
            latest[i] = first[j]
            counts[j] += sizes[i]
            if last_leaf[i] >= 0:
                counts[_root(ancestor, last_leaf[i])] -= sizes[i]
            last_leaf[i] = j
        if parent[j] >= 0:
            ancestor[j] = parent[j]
    for r in range(n):
        j = post[r]
        if parent[j] >= 0:
            counts[parent[j]] += counts[j]
    return counts


@numba.njit(cache=True, nogil=True)
def _root(ancestor: Ints, j: int) -> int:
    root = j
    while ancestor[root] != root:
        root = ancestor[root]
    while j != root:
        above = ancestor[j]
        ancestor[j] = root
        j = above
    return root


@numba.njit(cache=True, nogil=True)
def fill_rows(
    starts: Ints,
    neighbours: Ints,
    order: Ints,
    place: Ints,
    parent: Ints,
    first: Ints,
    n_positions: int,
    climb: bool,
    column_starts: Ints,
    rows: Rows,
) -> None:
    """Rows of the lower triangle's columns, sorted, diagonal first.

    Goes through the rows: row i has a nonzero at its earlier neighbours and, with ``climb`` (the factor
    instead of the matrix), at their ancestors before i. Only the first ``n_positions`` have columns here.
    Position k owns columns ``first[k]`` to ``first[k + 1]``.
    """
    filled = np.zeros(n_positions, np.intp)
    mark = np.full(n_positions, -1, np.intp)
    for i in range(n_positions):
        for b in range(first[i], first[i + 1]):
            for a in range(b, first[i + 1]):
                rows[column_starts[b] + a - b] = a
    for i in range(len(order)):
        for q in range(starts[order[i]], starts[order[i] + 1]):
            j = place[neighbours[q]]
            while j != -1 and j < min(i, n_positions) and mark[j] != i:
                mark[j] = i
                for b in range(first[j], first[j + 1]):
                    put = column_starts[b] + first[j + 1] - b + filled[j]
                    for a in range(first[i], first[i + 1]):
                        rows[put + a - first[i]] = a
                filled[j] += first[i + 1] - first[i]
                if not climb:
                    break
                j = parent[j]


@numba.njit(cache=True, nogil=True)
def places_within(
    starts: Ints, rows: Rows, outer_starts: Ints, outer_rows: Rows, n_columns: int, places: Ints
) -> None:
    """Where each entry of a pattern stands in one that contains it; both have sorted columns."""
    for j in range(n_columns):
        r = outer_starts[j]
        for q in range(starts[j], starts[j + 1]):
            while outer_rows[r] != rows[q]:
                r += 1
            places[q] = r
