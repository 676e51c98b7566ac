"""Values on A's pattern against dense matrices."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_matrices import GRAPHS, graph, grid, problem

from bimixed.sparse import analyse, diagonal_blocks, scale_blocks, to_lower_pattern


def on_pattern(a, M):
    """Entries of a dense matrix in the old order."""
    new = M[np.ix_(a.order, a.order)]
    return new[a.A_rows, np.repeat(np.arange(a.n_columns), np.diff(a.A_starts))]


@given(make=st.sampled_from(GRAPHS), share=st.sampled_from([None, 0.5]), seed=st.integers(0, 999))
@settings(max_examples=50, deadline=None)
def test_to_lower_pattern_reads_either_format(make, share, seed):
    a, M, _, _ = problem(make, seed, share)
    for read in (sp.csr_array, sp.csc_array, sp.coo_array):
        np.testing.assert_array_equal(to_lower_pattern(a, read(M)), on_pattern(a, M))


def test_missing_entries_are_zeros_and_those_outside_are_refused():
    a, M, _, _ = problem(grid, 1)
    thin = np.diag(np.diag(M))
    np.testing.assert_array_equal(to_lower_pattern(a, sp.csr_array(thin)), on_pattern(a, thin))
    thin[0, -1] = thin[-1, 0] = 1.0
    with pytest.raises(ValueError, match="outside"):
        to_lower_pattern(a, sp.csr_array(thin))
    with pytest.raises(ValueError, match="doesn't fit"):
        to_lower_pattern(a, sp.csr_array((3, 3)))


@given(make=st.sampled_from(GRAPHS), mixed=st.booleans(), seed=st.integers(0, 999))
@settings(max_examples=50, deadline=None)
def test_scaled_blocks_are_those_of_the_dense_product(make, mixed, seed):
    a, M, _, sizes = problem(make, seed, None, mixed)
    rng = np.random.default_rng(seed)
    factors = [rng.standard_normal((K, K)) for K in (1, 2, 3, 1, 2, 3)]
    kinds = sizes - 1 + 3 * rng.integers(2, size=len(sizes))
    F = scipy.linalg.block_diag(*[factors[k] for k in kinds])
    scaled = scale_blocks(a, on_pattern(a, M), factors, kinds)
    expected = on_pattern(a, F @ M @ F.T)
    np.testing.assert_allclose(scaled, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


def test_a_factor_of_another_size_is_refused():
    a, M, _, sizes = problem(grid, 1)
    with pytest.raises(ValueError, match="size"):
        scale_blocks(a, on_pattern(a, M), [np.eye(2)], np.zeros(len(sizes), dtype=int))


def test_single_columns_with_singles_among_larger_factors():
    a = analyse(graph([0], [1], 2), np.array([1, 1]))
    factors = [np.array([[2.0]]), np.eye(3), np.array([[5.0]])]
    scaled = scale_blocks(a, np.array([1.0, 1.0, 1.0]), factors, np.array([0, 2]))
    np.testing.assert_array_equal(np.sort(scaled), [4.0, 10.0, 25.0])


def test_diagonal_blocks_of_consecutive_nodes():
    rng = np.random.default_rng(1)
    sizes = np.array([1] * 5 + [3] * 6 + [2] * 4)
    pattern = graph(rng.integers(15, size=20), rng.integers(15, size=20), 15)
    a = analyse(pattern, sizes)
    M = scipy.linalg.block_diag(*[b @ b.T for b in (rng.standard_normal((K, K)) for K in sizes)])
    values = on_pattern(a, M)
    for start, levels, K in ((0, 5, 1), (5, 6, 3), (23, 4, 2), (8, 2, 3), (0, 0, 2)):
        blocks = diagonal_blocks(a, values, start, levels, K)
        assert blocks.shape == (levels, K, K)
        for level in range(levels):
            at = slice(start + level * K, start + (level + 1) * K)
            np.testing.assert_array_equal(blocks[level], M[at, at])
