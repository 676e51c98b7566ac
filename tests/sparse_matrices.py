"""Random positive definite matrices whose blocks follow a graph of nodes, and analyses with a chosen core."""

import contextlib

import numpy as np
import pytest
import scipy.sparse as sp

from bimixed.sparse import analyse, ordering


def graph(i, j, n):
    """Symmetric pattern with these edges; loops are dropped."""
    i, j = np.asarray(i, dtype=np.intp), np.asarray(j, dtype=np.intp)
    off = i != j
    i, j = i[off], j[off]
    ones = np.ones(2 * len(i))
    both = sp.coo_array((ones, (np.r_[i, j], np.r_[j, i])), shape=(n, n)).tocsr()
    both.sum_duplicates()
    return both


def forest(rng, n=40):
    """Several trees."""
    child = np.arange(1, n)
    keep = rng.random(n - 1) < 0.9
    return graph(child[keep], (rng.random(n - 1) * child).astype(int)[keep], n)


def grid(rng=None, side=7):
    """Neighbours on a square lattice."""
    places = np.arange(side * side).reshape(side, side)
    i = np.r_[places[1:].ravel(), places[:, 1:].ravel()]
    return graph(i, np.r_[places[:-1].ravel(), places[:, :-1].ravel()], side * side)


def sparse_random(rng, n=60):
    """As many edges as nodes."""
    return graph(rng.integers(n, size=n), rng.integers(n, size=n), n)


def filling(rng, n=50):
    """Fills in to a large core."""
    return graph(rng.integers(n, size=3 * n), rng.integers(n, size=3 * n), n)


def hubs(rng, n=120):
    """Two nodes that touch nearly all others, which are otherwise sparse."""
    i = np.arange(2, n)
    edges = [np.zeros(n - 2), np.ones(n - 2), rng.integers(n, size=n)]
    return graph(np.concatenate(edges), np.concatenate([i, i, rng.integers(n, size=n)]), n)


def complete(rng, n=20):
    """Every node touches every other."""
    return graph(*np.triu_indices(n, 1), n)


def diagonal(rng, n=30):
    """No edges."""
    return graph([], [], n)


def blocks(rng, n=40):
    """Cliques of five."""
    i, j = np.triu_indices(n, 1)
    same = i // 5 == j // 5
    return graph(i[same], j[same], n)


def fringe(rng, n=80, clique=50):
    """A clique and nodes that touch three of it: short columns next to long ones."""
    i, j = np.triu_indices(clique, 1)
    outer = np.repeat(np.arange(clique, n), 3)
    return graph(np.r_[i, outer], np.r_[j, rng.integers(clique, size=len(outer))], n)


def single(rng):
    """One node."""
    return graph([], [], 1)


GRAPHS = [forest, grid, sparse_random, filling, hubs, complete, diagonal, blocks, fringe, single]


def columns_of(pattern, sizes):
    """Expand a pattern of nodes to columns, the diagonal included; dense."""
    full = pattern.toarray() != 0
    np.fill_diagonal(full, True)
    return np.repeat(np.repeat(full, sizes, axis=0), sizes, axis=1)


def positive_definite(pattern, sizes, rng):
    """A dominant diagonal: condition below 1e3 or so."""
    closed = columns_of(pattern, sizes)
    M = np.where(closed, rng.uniform(-1, 1, closed.shape), 0.0)
    M = np.tril(M, -1) + np.tril(M, -1).T
    M[np.diag_indices_from(M)] = np.abs(M).sum(axis=0) + rng.uniform(0.1, 1, len(M))
    return M


@contextlib.contextmanager
def core_share(share):
    """Analyses inside leave this share of the nodes to the core; None for the usual choice."""
    with pytest.MonkeyPatch.context() as patch:
        if share is not None:
            patch.setattr(ordering, "CLIQUE", 2.0)  # order all nodes
            patch.setattr(ordering, "_cheapest_cut", lambda _, __, n: round(n * (1.0 - share)))
        yield


def problem(make, seed, share=None, mixed=True):
    """An analysis and a dense matrix in the old order."""
    rng = np.random.default_rng(seed)
    pattern = make(rng)
    n = pattern.shape[0]
    sizes = rng.integers(1, 4, n) if mixed else np.ones(n, dtype=int)
    with core_share(share):
        analysis = analyse(pattern, sizes)
    return analysis, positive_definite(pattern, sizes, rng), pattern, sizes
