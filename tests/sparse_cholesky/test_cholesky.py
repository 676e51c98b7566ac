"""Factor, solves and selected inverse against dense numpy, 1e-10 relative; conditions are below 1e4."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_matrices import GRAPHS, diagonal, filling, grid, problem

from bimixed.sparse import factorize, to_lower_pattern

CASES = given(
    make=st.sampled_from(GRAPHS),
    share=st.sampled_from([None, 0.0, 0.2, 0.5, 0.9, 1.0]),
    mixed=st.booleans(),
    seed=st.integers(0, 9999),
)


def close(ours, theirs):
    np.testing.assert_allclose(
        ours, theirs, rtol=1e-10, atol=1e-10 * max(np.abs(theirs).max(initial=0), 1e-300)
    )


def factorized(make, seed, share=None, mixed=True):
    a, M, _, _ = problem(make, seed, share, mixed)
    return a, M, factorize(a, to_lower_pattern(a, sp.csr_array(M)))


def dense_factor(fact):
    a = fact.analysis
    L = np.zeros((a.n_columns, a.n_columns))
    L[a.L_rows, np.repeat(np.arange(a.n_sparse), np.diff(a.L_starts))] = fact.values
    L[a.n_sparse :, a.n_sparse :] = fact.core
    return L


@CASES
@settings(max_examples=80, deadline=None)
def test_factor_is_that_of_numpy(make, share, mixed, seed):
    a, M, fact = factorized(make, seed, share, mixed)
    close(dense_factor(fact), np.linalg.cholesky(M[np.ix_(a.order, a.order)]))
    close(fact.log_det, np.linalg.slogdet(M)[1])


@CASES
@settings(max_examples=80, deadline=None)
def test_solves_are_those_of_numpy(make, share, mixed, seed):
    a, M, fact = factorized(make, seed, share, mixed)
    right = np.random.default_rng(seed).standard_normal((a.n_columns, 1 + seed % 3))
    kept = right.copy()
    close(fact.solve(right), np.linalg.solve(M, right))
    half = fact.half(right)
    close(half, np.linalg.solve(dense_factor(fact), right[a.order]))
    close(half.T @ half, right.T @ np.linalg.solve(M, right))
    back = fact.back(half)
    close(back[a.order], np.linalg.solve(dense_factor(fact).T, half))
    np.testing.assert_array_equal(right, kept)


@CASES
@settings(max_examples=80, deadline=None)
def test_selected_inverse_is_that_of_numpy(make, share, mixed, seed):
    a, M, fact = factorized(make, seed, share, mixed)
    inverse = np.linalg.inv(M)
    selected = fact.selected_inverse()
    new = inverse[np.ix_(a.order, a.order)]
    columns = np.repeat(np.arange(a.n_sparse), np.diff(a.L_starts))
    close(selected.values, new[a.L_rows, columns])
    close(selected.core, new[a.n_sparse :, a.n_sparse :])
    close(selected.diagonal(), np.diag(inverse))
    columns = np.repeat(np.arange(a.n_columns), np.diff(a.A_starts))
    close(selected.at_pattern(), new[a.A_rows, columns])


@pytest.mark.parametrize("make", [grid, filling])
def test_every_cut_is_valid(make):
    for share in np.linspace(0, 1, 26):
        a, M, fact = factorized(make, 7, share)
        close(fact.log_det, np.linalg.slogdet(M)[1])
        close(fact.selected_inverse().diagonal(), np.diag(np.linalg.inv(M)))
        close(fact.solve(M), np.eye(a.n_columns))


def test_no_right_sides():
    a, _, fact = factorized(grid, 1)
    assert fact.solve(np.zeros((a.n_columns, 0))).shape == (a.n_columns, 0)


@pytest.mark.parametrize("make", GRAPHS)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("value", [-1.0, 0.0, np.nan, np.inf])
def test_a_matrix_that_is_not_positive_definite_is_refused(make, share, value):
    a, M, _, _ = problem(make, 2, share)
    spot = len(M) // 2
    M[spot, spot] = value
    values = to_lower_pattern(a, sp.csr_array(M))
    with pytest.raises(np.linalg.LinAlgError):
        factorize(a, values)


def test_the_error_names_the_old_column():
    for share in (0.0, 1.0):
        a, M, _, _ = problem(diagonal, 2, share, mixed=False)
        M[11, 11] = -1.0
        with pytest.raises(np.linalg.LinAlgError, match="column 11"):
            factorize(a, to_lower_pattern(a, sp.csr_array(M)))


def test_values_of_another_pattern_are_refused():
    a, _, _, _ = problem(grid, 1)
    with pytest.raises(ValueError, match="entries"):
        factorize(a, np.zeros(3))


def test_factorization_is_deterministic():
    first, second = (factorized(filling, 3, 0.3)[2] for _ in range(2))
    np.testing.assert_array_equal(first.values, second.values)
    one, two = first.selected_inverse(), second.selected_inverse()
    np.testing.assert_array_equal(one.values, two.values)
