import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bimixed.covariance import CovarianceTemplate, correlation, lower_factor, null_directions


def test_theta_runs_down_the_columns_of_each_block():
    template = CovarianceTemplate(((3, True), (2, False), (1, True)))
    T = template.factor(np.arange(1.0, 10.0))
    expected = np.zeros((6, 6))
    expected[:3, :3] = [[1, 0, 0], [2, 4, 0], [3, 5, 6]]
    expected[3, 3], expected[4, 4], expected[5, 5] = 7, 8, 9
    np.testing.assert_array_equal(T, expected)
    np.testing.assert_array_equal(template.theta(T), np.arange(1.0, 10.0))
    assert template.is_diagonal.tolist() == [True, False, False, True, False, True] + [True] * 3
    assert template.correlated_pairs() == [(0, 1), (0, 2), (1, 2)]


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(0, 5))
def test_lower_factor_of_semidefinite_matrices(seed, K, rank):
    A = np.random.default_rng(seed).normal(size=(K, min(rank, K)))
    T = lower_factor(A @ A.T)
    np.testing.assert_allclose(T @ T.T, A @ A.T, atol=1e-7)
    assert np.allclose(T, np.tril(T))
    assert (np.diag(T) >= 0).all()


def test_null_directions():
    cov = np.array([[4.0, -2.0], [-2.0, 1.0]])
    (direction,) = null_directions(cov, np.ones(2))
    np.testing.assert_allclose(abs(direction @ [1, 2]) / np.sqrt(5), 1.0)
    np.testing.assert_allclose(cov @ direction, 0.0, atol=1e-12)
    assert null_directions(np.eye(2), np.ones(2)) == []


def test_correlation_is_nan_where_a_variance_is_zero():
    corr = correlation(np.diag([1.0, 0.0]))
    assert np.isnan(corr[0, 1])
    assert corr[0, 0] == 1.0
