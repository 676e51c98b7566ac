"""Order, core and patterns against elimination of a dense boolean matrix."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_matrices import GRAPHS, columns_of, complete, core_share, diagonal, forest, graph, grid, problem

from bimixed.sparse import analyse


def filled(pattern):
    """Lower triangle of the factor's pattern by eliminating one column after the other."""
    L = np.tril(pattern)
    for j in range(len(L)):
        below = np.flatnonzero(L[j + 1 :, j]) + j + 1
        L[np.ix_(below, below)] = True
    return np.tril(L)


def as_dense(starts, rows, q):
    out = np.zeros((q, len(starts) - 1), dtype=bool)
    out[rows, np.repeat(np.arange(len(starts) - 1), np.diff(starts))] = True
    return out


@given(make=st.sampled_from(GRAPHS), share=st.sampled_from([None, 0.0, 0.3, 1.0]), seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_patterns_are_those_of_elimination(make, share, seed):
    a, _, pattern, sizes = problem(make, seed, share)
    q = sizes.sum()
    closed = columns_of(pattern, sizes)[np.ix_(a.order, a.order)]
    np.testing.assert_array_equal(as_dense(a.A_starts, a.A_rows, q), np.tril(closed))
    L = filled(closed)[:, : a.n_sparse]
    np.testing.assert_array_equal(as_dense(a.L_starts, a.L_rows, q), L)
    assert a.nnz == L.sum() + a.n_core * (a.n_core + 1) // 2
    assert a.flops == (L.sum(axis=0) ** 2).sum()
    for starts, rows in ((a.A_starts, a.A_rows), (a.L_starts, a.L_rows)):
        for j in range(len(starts) - 1):
            column = rows[starts[j] : starts[j + 1]]
            assert column[0] == j and (np.diff(column) > 0).all()


@pytest.mark.parametrize("make", GRAPHS)
def test_orders_are_permutations_that_keep_nodes_together(make):
    a, _, _, sizes = problem(make, 1)
    q = sizes.sum()
    np.testing.assert_array_equal(np.sort(a.order), np.arange(q))
    np.testing.assert_array_equal(a.order[a.place], np.arange(q))
    old_first = np.concatenate([[0], np.cumsum(sizes)])
    for position, node in enumerate(a.node_order):
        columns = a.order[a.first[position] : a.first[position + 1]]
        np.testing.assert_array_equal(columns, np.arange(old_first[node], old_first[node + 1]))
    assert a.n_sparse in a.first


def test_a_forest_has_no_fill():
    rng = np.random.default_rng(1)
    pattern = forest(rng, 3000)
    with core_share(0.0):
        a = analyse(pattern, np.ones(3000, dtype=int))
    assert a.nnz == 3000 + pattern.nnz // 2


def test_what_is_dense_goes_to_the_core():
    assert analyse(complete(None), np.full(20, 2)).n_sparse == 0


def test_large_sparse_patterns_leave_a_small_core():
    assert analyse(diagonal(None, 5000), np.ones(5000, dtype=int)).n_core < 50
    assert analyse(forest(np.random.default_rng(1), 5000), np.ones(5000, dtype=int)).n_core < 50


def test_fill_of_a_grid_is_near_that_of_superlu():
    pattern = grid(side=60)
    n = pattern.shape[0]
    with core_share(0.0):
        a = analyse(pattern, np.ones(n, dtype=int))
    assert a.n_sparse == n
    laplacian = sp.csc_array(5.0 * sp.eye_array(n) - pattern)
    options = {"SymmetricMode": True}
    theirs = scipy.sparse.linalg.splu(
        laplacian, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options
    )
    assert a.nnz < 1.1 * theirs.L.nnz


def test_lists_are_packed_when_the_room_is_used_up():
    rng = np.random.default_rng(2)
    n = 400
    pattern = graph(rng.integers(n, size=1500), rng.integers(n, size=1500), n)
    with core_share(0.0):
        a = analyse(pattern, np.ones(n, dtype=int))
    np.testing.assert_array_equal(np.sort(a.order), np.arange(n))
    assert a.nnz > 4 * pattern.nnz


def test_analysis_is_deterministic():
    first, second = (problem(GRAPHS[3], 5)[0] for _ in range(2))
    np.testing.assert_array_equal(first.order, second.order)
    np.testing.assert_array_equal(first.L_rows, second.L_rows)


def test_wrong_patterns_are_refused():
    lower = sp.csr_array(np.tril(np.ones((3, 3))))
    with pytest.raises(ValueError, match="both triangles"):
        analyse(lower, np.ones(3, dtype=int))
    with pytest.raises(ValueError, match="doesn't fit 2 nodes"):
        analyse(sp.eye_array(3, format="csr"), np.ones(2, dtype=int))
    with pytest.raises(ValueError, match="at least one column"):
        analyse(sp.eye_array(2, format="csr"), np.array([1, 0]))


def test_no_nodes():
    a = analyse(sp.csr_array((0, 0)), np.zeros(0, dtype=int))
    assert (a.n_columns, a.n_core, a.nnz) == (0, 0, 0)


def test_import_loads_no_numba():
    code = "import sys, bimixed.sparse; raise SystemExit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
