"""Approximate minimum degree on a quotient graph (Amestoy, Davis and Duff 1996).

An eliminated node p becomes an *element*, whose list L_p holds the nodes its elimination has made
neighbours of each other. A node i that isn't eliminated keeps two lists: elements E_i and original
neighbours A_i that no element covers. Its neighbours are A_i and the union of the L_e, e in E_i, and the
number of columns in that union is bounded from above by

    d_i = min(columns left, old d_i + |L_p \\ i|, |A_i \\ i| + |L_p \\ i| + sum over e of |L_e \\ L_p|).

All degrees count columns: a node has a weight, the number of its columns. Nodes with equal lists are
merged and eliminated together; nodes left with L_p as their only neighbours go with p at once.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.intp]


class Quotient(NamedTuple):
    """The quotient graph and its degree lists; every array is by node unless said otherwise.

    Attributes
    ----------
    lists : (room,)
        All lists, one after the other with gaps: of a node E_i and then A_i, of an element L_e.
    start, length, elements
        Where a list starts, its length, and how many of its entries are elements.
    weight
        Columns of a node, 0 once it is merged or eliminated.
    size
        Columns in L_e, 0 for what isn't a living element.
    degree
        The bound d_i.
    head : (columns + 1,)
        First node of each degree, −1 for none.
    following, preceding
        Links within a degree's list, and within a bucket of nodes with the same hash.
    mark, seen, tag
        Time stamps: is in L_p; has ``outside``; is in the list that is compared.
    outside
        |L_e \\ L_p|.
    hash, bucket
    member, last_member
        Chain of the nodes merged into one.
    """

    lists: Ints
    start: Ints
    length: Ints
    elements: Ints
    weight: Ints
    size: Ints
    degree: Ints
    head: Ints
    following: Ints
    preceding: Ints
    mark: Ints
    seen: Ints
    tag: Ints
    outside: Ints
    hash: Ints
    bucket: Ints
    member: Ints
    last_member: Ints


@numba.njit(cache=True, nogil=True)
def peel(starts: Ints, neighbours: Ints, order: Ints, removed: NDArray[np.bool_]) -> int:
    """Eliminate nodes with at most one neighbour left, again and again; no fill arises.

    Fills the head of ``order`` and ``removed``, and returns how many were peeled: all, of a forest.
    """
    n = len(starts) - 1
    degree = np.empty(n, np.intp)
    waiting = 0
    for i in range(n):
        degree[i] = starts[i + 1] - starts[i]
        if degree[i] <= 1:
            order[waiting] = i
            waiting += 1
    done = 0
    while done < waiting:
        p = order[done]
        done += 1
        removed[p] = True
        for q in range(starts[p], starts[p + 1]):
            i = neighbours[q]
            if not removed[i]:
                degree[i] -= 1
                if degree[i] == 1:
                    order[waiting] = i
                    waiting += 1
    return done


def minimum_degree(
    starts: Ints,
    neighbours: Ints,
    sizes: Ints,
    order: Ints,
    done: int,
    left_out: NDArray[np.bool_],
    stop: float,
) -> int:
    """Order the nodes that aren't left out until the rest is nearly a clique.

    Writes to ``order`` from ``done`` on and returns how many nodes are ordered then. Stops when the
    smallest degree is at least ``stop`` times the other columns left.
    """
    n = len(sizes)
    row = np.repeat(np.arange(n), np.diff(starts))
    kept = ~(left_out[row] | left_out[neighbours])
    row, neighbours = row[kept], neighbours[kept]
    length = np.bincount(row, minlength=n)
    degree = np.bincount(row, weights=sizes[neighbours], minlength=n).astype(np.intp)
    lists = np.empty(2 * len(neighbours) + n + 1, dtype=np.intp)
    lists[: len(neighbours)] = neighbours
    weight = np.where(left_out, 0, sizes)
    left = int(weight.sum())
    g = Quotient(
        lists=lists,
        start=np.cumsum(length) - length,
        length=length,
        elements=np.zeros(n, dtype=np.intp),
        weight=weight,
        size=np.zeros(n, dtype=np.intp),
        degree=degree,
        head=np.full(left + 1, -1),
        following=np.full(n, -1),
        preceding=np.full(n, -1),
        mark=np.zeros(n, dtype=np.intp),
        seen=np.zeros(n, dtype=np.intp),
        tag=np.full(n, -1),
        outside=np.zeros(n, dtype=np.intp),
        hash=np.zeros(n, dtype=np.intp),
        bucket=np.full(n, -1),
        member=np.full(n, -1),
        last_member=np.arange(n),
    )
    return int(_eliminate(g, order, done, len(neighbours), left, stop))


@numba.njit(cache=True, nogil=True)
def _eliminate(g: Quotient, order: Ints, done: int, free: int, left: int, stop: float) -> int:
    """Eliminate nodes of least degree; ``free`` is the end of the lists, ``left`` the columns in them."""
    for i in range(len(g.weight) - 1, -1, -1):
        if g.weight[i] > 0:
            _link(g, i)
    lowest, now = 0, 0
    while left > 0:
        while g.head[lowest] < 0:
            lowest += 1
        p = g.head[lowest]
        if lowest >= stop * (left - g.weight[p]):
            break
        now += 1
        _unlink(g, p)
        left -= g.weight[p]
        g.weight[p] = 0
        done = _emit(g, p, order, done)
        free = _form_element(g, p, free, now)
        _measure_outside(g, p, now)
        before = g.size[p]
        done = _update_nodes(g, p, now, order, done)
        left -= before - g.size[p]
        _merge_alike(g, p)
        free, least = _finish_element(g, p, left)
        lowest = min(lowest, least)
    return done


@numba.njit(cache=True, nogil=True)
def _link(g: Quotient, i: int) -> None:
    """Put node i at the head of its degree's list."""
    first = g.head[g.degree[i]]
    g.following[i], g.preceding[i] = first, -1
    if first >= 0:
        g.preceding[first] = i
    g.head[g.degree[i]] = i


@numba.njit(cache=True, nogil=True)
def _unlink(g: Quotient, i: int) -> None:
    before, after = g.preceding[i], g.following[i]
    if before >= 0:
        g.following[before] = after
    else:
        g.head[g.degree[i]] = after
    if after >= 0:
        g.preceding[after] = before


@numba.njit(cache=True, nogil=True)
def _emit(g: Quotient, i: int, order: Ints, done: int) -> int:
    """Write node i and those merged into it to the order."""
    while i >= 0:
        order[done] = i
        done += 1
        i = g.member[i]
    return done


@numba.njit(cache=True, nogil=True)
def _pack(g: Quotient, p: int) -> int:
    """Close the gaps between the lists that are still needed, p's among them."""
    packed = np.empty(len(g.lists), np.intp)
    free = 0
    for i in range(len(g.start)):
        if g.weight[i] > 0 or g.size[i] > 0 or i == p:
            first = g.start[i]
            g.start[i] = free
            for q in range(first, first + g.length[i]):
                packed[free] = g.lists[q]
                free += 1
    for q in range(free):
        g.lists[q] = packed[q]
    return free


@numba.njit(cache=True, nogil=True)
def _form_element(g: Quotient, p: int, free: int, now: int) -> int:
    """L_p: union of A_p and the L_e, e in E_p, which it absorbs. Taken out of the degree lists."""
    need = g.length[p]
    for q in range(g.start[p], g.start[p] + g.elements[p]):
        if g.size[g.lists[q]] > 0:
            need += g.length[g.lists[q]]
    if free + need > len(g.lists):
        free = _pack(g, p)
    first, own = free, g.start[p]
    total = 0
    for q in range(own, own + g.elements[p] + 1):
        if q < own + g.elements[p]:  # the variables of an element
            e = g.lists[q]
            if g.size[e] == 0:
                continue
            begin, end = g.start[e], g.start[e] + g.length[e]
            g.size[e] = 0
        else:  # the node's own neighbours, which no element covers
            begin, end = own + g.elements[p], own + g.length[p]
        for r in range(begin, end):
            i = g.lists[r]
            if g.weight[i] > 0 and g.mark[i] != now:
                g.mark[i] = now
                g.lists[free] = i
                free += 1
                total += g.weight[i]
                _unlink(g, i)
    g.start[p], g.length[p], g.elements[p] = first, free - first, 0
    g.size[p] = total
    return free


@numba.njit(cache=True, nogil=True)
def _measure_outside(g: Quotient, p: int, now: int) -> None:
    """|L_e \\ L_p| of every element next to a node of L_p."""
    for q in range(g.start[p], g.start[p] + g.length[p]):
        i = g.lists[q]
        for r in range(g.start[i], g.start[i] + g.elements[i]):
            e = g.lists[r]
            if g.size[e] == 0:
                continue
            if g.seen[e] != now:
                g.seen[e] = now
                g.outside[e] = g.size[e]
            g.outside[e] -= g.weight[i]


@numba.njit(cache=True, nogil=True)
def _update_nodes(g: Quotient, p: int, now: int, order: Ints, done: int) -> int:
    """Shorten the lists of the nodes in L_p, add p to them, and eliminate those that have nothing else.

    Leaves min(old degree, what is outside L_p) in ``degree``.
    """
    n = len(g.start)
    for q in range(g.start[p], g.start[p] + g.length[p]):
        i = g.lists[q]
        begin, end = g.start[i], g.start[i] + g.length[i]
        put, outside, mix = begin, 0, 0
        for r in range(begin, begin + g.elements[i]):
            e = g.lists[r]
            if g.size[e] == 0:
                continue
            if g.outside[e] == 0:  # L_p covers it
                g.size[e] = 0
                continue
            outside += g.outside[e]
            mix += e
            g.lists[put] = e
            put += 1
        n_elements = put - begin
        for r in range(begin + g.elements[i], end):
            v = g.lists[r]
            if g.weight[v] > 0 and g.mark[v] != now:
                outside += g.weight[v]
                mix += v
                g.lists[put] = v
                put += 1
        if outside == 0:
            g.size[p] -= g.weight[i]
            g.weight[i] = 0
            done = _emit(g, i, order, done)
            continue
        # p itself or an element it absorbed was dropped above, so that there is room for p
        g.lists[put] = g.lists[begin + n_elements]
        g.lists[begin + n_elements] = p
        g.elements[i], g.length[i] = n_elements + 1, put + 1 - begin
        g.degree[i] = min(g.degree[i], outside)
        g.hash[i] = mix % n
    return done


@numba.njit(cache=True, nogil=True)
def _merge_alike(g: Quotient, p: int) -> None:
    """Merge nodes of L_p that have the same lists: they have the same neighbours for ever."""
    begin, end = g.start[p], g.start[p] + g.length[p]
    for q in range(begin, end):
        i = g.lists[q]
        if g.weight[i] > 0:
            g.following[i] = g.bucket[g.hash[i]]
            g.bucket[g.hash[i]] = i
    for q in range(begin, end):
        i = g.lists[q]
        if g.weight[i] == 0:
            continue
        h = g.hash[i]
        i = g.bucket[h]
        g.bucket[h] = -1
        while i >= 0 and g.following[i] >= 0:
            if g.weight[i] > 0:
                _merge_into(g, i)
            i = g.following[i]


@numba.njit(cache=True, nogil=True)
def _merge_into(g: Quotient, i: int) -> None:
    """Merge into node i those behind it in its bucket that have the same lists."""
    begin, length = g.start[i], g.length[i]
    for r in range(begin, begin + length):
        g.tag[g.lists[r]] = i
    j = g.following[i]
    while j >= 0:
        same = g.weight[j] > 0 and g.length[j] == length and g.elements[j] == g.elements[i]
        r, end = g.start[j], g.start[j] + g.length[j]
        while same and r < end:
            same = g.tag[g.lists[r]] == i
            r += 1
        if same:
            g.weight[i] += g.weight[j]
            g.weight[j] = 0
            g.member[g.last_member[i]] = j
            g.last_member[i] = g.last_member[j]
        j = g.following[j]
    for r in range(begin, begin + length):
        g.tag[g.lists[r]] = -1


@numba.njit(cache=True, nogil=True)
def _finish_element(g: Quotient, p: int, left: int) -> tuple[int, int]:
    """Drop dead nodes from L_p and put the others into the degree lists; the new end and least degree."""
    put = g.start[p]
    least = len(g.head) - 1
    for q in range(g.start[p], g.start[p] + g.length[p]):
        i = g.lists[q]
        if g.weight[i] > 0:
            g.lists[put] = i
            put += 1
            bound = g.degree[i] + g.size[p] - g.weight[i]
            g.degree[i] = min(bound, left - g.weight[i])
            least = min(least, g.degree[i])
            _link(g, i)
    g.length[p] = put - g.start[p]
    return put, least
