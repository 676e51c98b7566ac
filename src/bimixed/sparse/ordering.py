"""The order of the nodes, and where its sparse part ends.

Three kinds of nodes: those of trees that hang on the rest are eliminated first, as that makes no fill;
then the others by approximate minimum degree; hubs, which touch very many, go straight to the core, since
their lists would be walked again with each neighbour that goes. Minimum degree stops where the rest is
nearly a clique.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.intp]

CLIQUE = 0.8
"""Minimum degree ends once every node left neighbours this share of the columns left."""
HUB_LEAST, HUB_ROOTS, HUB_MEANS = 40, 4.0, 10.0
"""A hub has more neighbours than the first, the second times √nodes, and the third times the mean."""
SPARSE_COST = 2.0
"""Nanoseconds for each squared column count, in factorization and selected inverse together.

Measured on one core of a shared server: 1.4 on a 300 × 300 grid, whose columns come in wide groups, and
3.5 to 4 on random graphs with 20,000 nodes of 2 and 4 neighbours. Between 1 and 4 the time hardly changes,
as the counts jump where the filled part begins.
"""
CORE_COST = 0.03
"""Nanoseconds for each cubed column of the core: dpotrf, dpotri and the mirror image.

Measured there with one BLAS thread: 0.033 for 1,000 columns, 0.025 for 4,500.
"""


@dataclass(frozen=True)
class NodeOrder:
    """Order of the nodes.

    Attributes
    ----------
    order, place : (n,) int arrays
        New position → node and back.
    parent : (n,) int array
        Elimination tree by position; of use for the sparse part only.
    counts : (n,) int array
        Columns in the factor's column of each position, its own included; the same.
    n_sparse : int
        Nodes before the core.
    """

    order: Ints
    place: Ints
    parent: Ints
    counts: Ints
    n_sparse: int


def order_nodes(starts: Ints, neighbours: Ints, sizes: Ints) -> NodeOrder:
    """Order the nodes of a graph and choose the core.

    Parameters
    ----------
    starts, neighbours : int arrays
        Both directions of each edge, no loops, as of a CSR matrix.
    sizes : (n,) int array
        Columns of each node.
    """
    from bimixed.sparse.kernels import pattern

    order, n_ordered = _eliminate(starts, neighbours, sizes)
    place = inverse_order(order)
    parent = pattern.elimination_tree(starts, neighbours, order, place)
    post = pattern.postorder(parent)
    counts = pattern.column_counts(starts, neighbours, order, place, parent, post, sizes[order])
    n_sparse = _cheapest_cut(sizes[order], counts, n_ordered)
    # the sparse part's subtrees one after the other: neighbours in the tree are neighbours in memory
    moved = np.concatenate([post[post < n_sparse], np.arange(n_sparse, len(order))])
    back = inverse_order(moved)
    order = order[moved]
    above = parent[moved]
    return NodeOrder(
        order,
        inverse_order(order),
        np.where(above < 0, -1, back[above]),
        counts[moved],
        n_sparse,
    )


def inverse_order(order: Ints) -> Ints:
    """Place of each entry of a permutation."""
    place = np.empty(len(order), dtype=np.intp)
    place[order] = np.arange(len(order))
    return place


def _eliminate(starts: Ints, neighbours: Ints, sizes: Ints) -> tuple[Ints, int]:
    """All nodes in order, and how many of them minimum degree has placed."""
    from bimixed.sparse.kernels import minimum_degree

    n = len(sizes)
    order = np.empty(n, dtype=np.intp)
    left_out = np.zeros(n, dtype=np.bool_)
    done = minimum_degree.peel(starts, neighbours, order, left_out)
    if done < n:
        alive = ~left_out
        degree = np.diff(starts)
        n_alive = int(alive.sum())
        bound = max(HUB_LEAST, HUB_ROOTS * n_alive**0.5, HUB_MEANS * float(degree[alive].mean()))
        left_out |= degree > bound
        done = minimum_degree.minimum_degree(starts, neighbours, sizes, order, done, left_out, CLIQUE)
    in_core = np.ones(n, dtype=np.bool_)
    in_core[order[:done]] = False
    order[done:] = np.flatnonzero(in_core)
    return order, done


def _cheapest_cut(sizes: Ints, counts: Ints, n_ordered: int) -> int:
    """Number of nodes to eliminate sparsely, at least predicted cost; sizes and counts in new order."""
    q = float(sizes.sum())
    before = np.concatenate([[0.0], np.cumsum(sizes[:n_ordered], dtype=float)])
    work = np.concatenate([[0.0], np.cumsum(square_counts(sizes[:n_ordered], counts[:n_ordered]))])
    return int(np.argmin(SPARSE_COST * work + CORE_COST * (q - before) ** 3))


def square_counts(sizes: Ints, counts: Ints) -> NDArray[np.float64]:
    """Sum over a node's columns of their squared counts: c² + (c − 1)² + … , as many as it has."""
    K, c = sizes.astype(float), counts.astype(float)
    return np.asarray(K * c * c - c * K * (K - 1.0) + (K - 1.0) * K * (2.0 * K - 1.0) / 6.0)
