"""Dense matrix products, factorizations and solves, all from one library.

numpy and SciPy each bring a BLAS with threads of its own. While the threads of one still wait for work,
calls of the other take a hundred times as long, so whatever is large enough for threads goes to SciPy's
here; small matrices stay with numpy, whose calls cost less and start no threads at that size.

Threads of a factorization wait for each other again and again. On two idle cores they take half off its time;
beside one busy process they make it ten to fifty times as long. They are used for large matrices on machines
with many cores alone.
"""

import os
import threading
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SMALL_PRODUCT = 200_000
"""Multiplications of a matrix product up to which no BLAS starts threads."""
NARROW = 1_000
"""Products with so few numbers on the right are made in stretches of rows, each a small product."""
WIDEST, MIDDLING_WORK = 16_384, 50_000_000
"""So are wider ones, up to this many multiplications altogether."""
SMALL_VECTOR = 8_000
"""Entries of a matrix times a vector up to which none does."""
ONCE_IS_ENOUGH = 100.0
"""Norm of a Cholesky factor's inverse up to which one orthonormalisation leaves an error of 1e-12."""
SMALL = 32
"""Rows of a matrix to factorize up to which none does."""
LARGE, MANY_CORES = 1_500, 4
"""Rows, and cores, from which a factorization has threads."""


@cache
def _libraries() -> Any:
    import scipy.linalg.lapack  # noqa: F401 (what isn't loaded isn't found)
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


class _OneThread:
    """Within it BLAS has one thread, in whatever thread of ours it is called.

    The limit is that of the whole process. Threads of ours that overlap share one, which the first to enter
    sets and the last to leave takes back: each taking back its own would leave another's limit for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._within = 0
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._within == 0:
                self._limit = _libraries().limit(limits=1)
            self._within += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._within -= 1
            if self._within == 0:
                self._limit.restore_original_limits()


_ONE_THREAD = _OneThread()


def threads_for(rows: int) -> AbstractContextManager[Any]:
    """The threads that a factorization of so many rows has; others may be done within, too."""
    if rows >= LARGE and (os.cpu_count() or 1) >= MANY_CORES:
        return nullcontext()
    return _ONE_THREAD


def _oriented(M: Array) -> tuple[Array, bool]:
    """The same numbers by columns, and whether that is the transpose of M."""
    if M.flags.f_contiguous:
        return M, False
    return np.ascontiguousarray(M).T, True


def _in_stretches(rows: int, width: int) -> bool:
    """Whether a product is made in stretches of rows that start no threads."""
    return width <= NARROW or (width <= WIDEST and rows * width <= MIDDLING_WORK)


def filled(M: Any) -> Array:
    """A dense or sparse matrix as a dense one."""
    return M if isinstance(M, np.ndarray) else np.asarray(M.toarray())


def product(left: Array, right: Array) -> Array:
    """left @ right for matrices (m, k) and (k, n), or a vector (k,) on the right."""
    if right.ndim == 1:
        if left.size <= SMALL_VECTOR or left.size == 0:
            return np.asarray(left @ right)
        from scipy.linalg.blas import dgemv

        a, transposed = _oriented(left)
        return np.asarray(dgemv(1.0, a, right, trans=int(transposed)))
    m, k = left.shape
    if left.size * right.shape[1] == 0:
        return np.zeros((m, right.shape[1]))
    if m * k * right.shape[1] <= SMALL_PRODUCT and k <= SMALL_VECTOR:
        return np.asarray(left @ right)
    if _in_stretches(m, k * right.shape[1]):
        out = np.empty((m, right.shape[1]))
        step = min(SMALL_VECTOR, SMALL_PRODUCT // (k * right.shape[1]))
        for i in range(0, m, step):
            np.matmul(left[i : i + step], right, out=out[i : i + step])
        return out
    from scipy.linalg.blas import dgemm

    # (left right)' = right' left', so that the answer comes out by rows
    a, a_transposed = _oriented(left)
    b, b_transposed = _oriented(right)
    return np.asarray(dgemm(1.0, b, a, trans_a=not b_transposed, trans_b=not a_transposed)).T


def gram(M: Array) -> Array:
    """M'M, (k, k), symmetric."""
    if M.size == 0:
        return np.zeros((M.shape[1], M.shape[1]))
    if M.shape[0] * M.shape[1] ** 2 <= SMALL_PRODUCT and len(M) <= SMALL_VECTOR:
        return np.asarray(M.T @ M)
    if _in_stretches(len(M), M.shape[1] ** 2):
        step = min(SMALL_VECTOR, SMALL_PRODUCT // M.shape[1] ** 2)
        return np.asarray(sum(M[i : i + step].T @ M[i : i + step] for i in range(0, len(M), step)))
    from scipy.linalg.blas import dsyrk

    a, transposed = _oriented(M)
    lower = np.asarray(dsyrk(1.0, a, trans=int(not transposed), lower=1))
    return lower + np.tril(lower, -1).T


def cholesky(M: Array, overwrite: bool = False) -> Array:
    """Lower Cholesky factor of a symmetric matrix, whose lower triangle is read; zeros above.

    Raises
    ------
    numpy.linalg.LinAlgError
    """
    if len(M) <= SMALL:
        return np.linalg.cholesky(M)
    by_rows = not M.flags.f_contiguous  # then the lower triangle is the upper one of what LAPACK sees
    with threads_for(len(M)):
        found, info = _lapack().dpotrf(M.T if by_rows else M, lower=not by_rows, overwrite_a=overwrite)
    if info != 0:
        raise np.linalg.LinAlgError(f"not positive definite at row {info}")
    return np.asarray(found.T if by_rows else found)


def inverse_of(chol: Array) -> Array:
    """Lower triangle of (LL')⁻¹ from L; zeros above."""
    if len(chol) == 0:
        return chol.copy()
    by_rows = not chol.flags.f_contiguous
    with threads_for(len(chol)):
        found, info = _lapack().dpotri(chol.T if by_rows else chol, lower=not by_rows)
    if info != 0:
        raise np.linalg.LinAlgError(f"singular at row {info}")
    return np.asarray(found.T if by_rows else found)


def symmetric(lower: Array) -> Array:
    """The symmetric matrix of a lower triangle with zeros above."""
    return lower + np.tril(lower, -1).T


def solve_lower(L: Array, right: Array, transpose: bool = False) -> Array:
    """L⁻¹ right or L⁻ᵀ right for one or several columns."""
    if L.size * (1 if right.ndim == 1 else right.shape[1]) == 0:
        return np.zeros(right.shape)
    if len(L) <= SMALL:
        return np.asarray(np.linalg.solve(L.T if transpose else L, right))
    by_rows = not L.flags.f_contiguous
    with threads_for(len(L)):
        found, info = _lapack().dtrtrs(
            L.T if by_rows else L, right, lower=not by_rows, trans=int(transpose != by_rows)
        )
    if info != 0:
        raise np.linalg.LinAlgError(f"singular at row {info}")
    return np.asarray(found)


def solve_upper(R: Array, right: Array) -> Array:
    """R⁻¹ right."""
    return solve_lower(R.T, right, transpose=True)


def solve_with(chol: Array, right: Array) -> Array:
    """(LL')⁻¹ right."""
    return solve_lower(chol, solve_lower(chol, right), transpose=True)


def orthonormal(X: Array) -> tuple[Array, Array]:
    """X = QR with Q'Q = I and R upper triangular.

    By Cholesky factorizations of the Gram matrix, twice (Yamamoto, Nakatsukasa, Yanagisawa and Fukaya
    2015), which is as accurate as Householder's method for columns that are not nearly dependent, and by
    that one otherwise.
    """
    n, p = X.shape
    if p == 0:
        return np.zeros((n, 0)), np.zeros((0, 0))
    if n * p * p <= SMALL_PRODUCT:
        return np.linalg.qr(X)
    lengths = np.sqrt(np.einsum("np,np->p", X, X))
    if not lengths.all():
        return _householder(X)
    Q, R = X / lengths, np.diag(lengths)
    for _ in range(2):
        try:
            half = cholesky(gram(Q))
        except np.linalg.LinAlgError:
            return _householder(X)
        if np.diag(half).min() < 1e-5:
            return _householder(X)
        inverse = solve_lower(half, np.eye(p), transpose=True)
        Q = product(Q, inverse)
        R = product(half.T, R)
        if np.linalg.norm(inverse) < ONCE_IS_ENOUGH:
            break
    return Q, np.triu(R)


def triangular_factor(X: Array) -> Array:
    """R alone of X = QR."""
    n, p = X.shape
    if n * p * p <= SMALL_PRODUCT:
        return np.linalg.qr(X, mode="r")
    return orthonormal(X)[1]


def _householder(X: Array) -> tuple[Array, Array]:
    from scipy.linalg import qr

    with threads_for(X.shape[1]):
        Q, R = qr(X, mode="economic", check_finite=False)
    return np.ascontiguousarray(Q), R


def _lapack() -> Any:
    from scipy.linalg import lapack

    return lapack
