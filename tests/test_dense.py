"""Products, factorizations and solves of every size and layout against numpy's.

Tolerance 1e-12 relative for matrices of condition up to 1e3.
"""

import os

import numpy as np
import pytest

from bimixed import dense

SIZES = [0, 1, 3, 28, 32, 33, 57, 100, 255, 256, 300, 400, 401]


def spd(n, seed=0):
    rng = np.random.default_rng(seed)
    M = rng.normal(size=(n, n)) / np.sqrt(max(n, 1))
    return M @ M.T + 0.1 * np.eye(n)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_cholesky_inverse_and_solves(n, order):
    M = np.array(spd(n), order=order)
    lower_only = np.array(np.tril(M) + np.triu(np.full((n, n), np.nan), 1), order=order)
    L = dense.cholesky(lower_only)
    np.testing.assert_allclose(L @ L.T, M, atol=1e-12)
    np.testing.assert_array_equal(np.triu(L, 1), 0.0)
    inverse = dense.inverse_of(L)
    np.testing.assert_array_equal(np.triu(inverse, 1), 0.0)
    np.testing.assert_allclose(dense.symmetric(inverse) @ M, np.eye(n), atol=1e-11)
    for width in (1, 5, 40):
        right = np.random.default_rng(1).normal(size=(n, width))
        np.testing.assert_allclose(L @ dense.solve_lower(L, right), right, atol=1e-12)
        np.testing.assert_allclose(L.T @ dense.solve_lower(L, right, transpose=True), right, atol=1e-12)
        np.testing.assert_allclose(L.T @ dense.solve_upper(L.T, right), right, atol=1e-12)
        np.testing.assert_allclose(M @ dense.solve_with(L, right), right, atol=1e-11)
    vector = np.arange(n, dtype=float)
    np.testing.assert_allclose(L @ dense.solve_lower(L, vector), vector, atol=1e-10)


@pytest.mark.parametrize("n", [5, 60, 300])
def test_an_indefinite_matrix_is_refused(n):
    M = spd(n)
    M[-1, -1] = -1.0
    with pytest.raises(np.linalg.LinAlgError):
        dense.cholesky(M)


@pytest.mark.parametrize("shape", [(3, 4, 2), (200, 300, 50), (1000, 400, 7), (20_000, 3, 3), (3, 20_000, 2)])
@pytest.mark.parametrize("orders", ["CC", "CF", "FC", "FF"])
def test_products(shape, orders):
    m, k, n = shape
    rng = np.random.default_rng(2)
    left = np.array(rng.normal(size=(m, k)), order=orders[0])
    right = np.array(rng.normal(size=(k, n)), order=orders[1])
    np.testing.assert_allclose(dense.product(left, right), left @ right, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(dense.product(left, right[:, 0]), left @ right[:, 0], rtol=1e-10, atol=1e-10)
    if k < 1000:
        np.testing.assert_allclose(dense.gram(left), left.T @ left, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("n, p", [(10, 3), (5000, 2), (5000, 60), (400, 300)])
@pytest.mark.parametrize("hard", [False, True])
def test_orthonormal(n, p, hard):
    """Orthonormal to 1e-12 even where two columns differ by 1e-6 of their length or lie far from 0."""
    X = np.random.default_rng(3).normal(size=(n, p))
    X[:, 0] = 1.0
    if hard:
        X[:, 1:] += 1e4
        X[:, -1] = X[:, 0] + 1e-6 * X[:, -1]
    Q, R = dense.orthonormal(X)
    np.testing.assert_allclose(Q.T @ Q, np.eye(p), atol=1e-12)
    np.testing.assert_allclose(Q @ R, X, rtol=1e-12, atol=1e-12 * np.abs(X).max())
    np.testing.assert_array_equal(np.tril(R, -1), 0.0)


def test_nothing_times_anything():
    assert dense.product(np.ones((3, 0)), np.ones((0, 2))).tolist() == [[0.0, 0.0]] * 3
    assert dense.product(np.ones((3, 9000)), np.ones((9000, 0))).shape == (3, 0)
    assert dense.gram(np.ones((9000, 0))).shape == (0, 0)
    assert dense.product(np.ones((0, 5)), np.ones(5)).shape == (0,)


def blas_threads():
    from threadpoolctl import ThreadpoolController

    return [library["num_threads"] for library in ThreadpoolController().select(user_api="blas").info()]


def test_threads_that_overlap_give_the_threads_of_blas_back():
    """The first to enter leaves first, as workers of a pool do."""
    np.linalg.cholesky(spd(3))
    dense.cholesky(spd(100))
    with dense.threads_for(0):
        pass
    before = blas_threads()
    first, second = dense.threads_for(100), dense.threads_for(100)
    first.__enter__()
    second.__enter__()
    assert set(blas_threads()) == {1}
    first.__exit__(None, None, None)
    assert set(blas_threads()) == {1}
    second.__exit__(None, None, None)
    assert blas_threads() == before
    assert max(before) > 1 or os.cpu_count() == 1
