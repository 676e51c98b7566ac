"""Many small symmetric matrices at once: in closed form for 1 × 1 and 2 × 2, else by LAPACK."""

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array

LARGE = 200_000
"""Numbers in the largest array of a step from which compiled loops are worth loading."""


def is_large(size: int) -> bool:
    """Whether a step on so many numbers goes to compiled loops; by the size of the problem alone."""
    return size >= LARGE


def inverse_factor(D: Array) -> tuple[Array, Array]:
    """Inverse Cholesky factors of D (..., K, K) ⪰ I, and the log-determinants (...).

    Lower triangular G with G D G' = I. As D ⪰ I the norm of G is at most 1, so that products with it
    lose no digits.
    """
    K = D.shape[-1]
    if K == 1:
        return 1.0 / np.sqrt(D), np.log(D[..., 0, 0])
    if K == 2:
        a, b, c = D[..., 0, 0], D[..., 1, 0], D[..., 1, 1]
        ratio = b / a
        pivot = np.maximum(c - b * ratio, 1.0)  # rounding can't take it below what D ⪰ I gives
        G = np.zeros_like(D)
        G[..., 0, 0] = 1.0 / np.sqrt(a)
        G[..., 1, 1] = 1.0 / np.sqrt(pivot)
        G[..., 1, 0] = -ratio * G[..., 1, 1]
        return G, np.log(a * pivot)
    chol = np.linalg.cholesky(D)
    log_dets = 2.0 * np.log(np.diagonal(chol, axis1=-2, axis2=-1)).sum(axis=-1)
    return np.tril(np.linalg.inv(chol)), log_dets


def sum_by(parent: NDArray[np.intp], values: Array, n: int) -> Array:
    """Sum values (m, ...) over the rows that share a parent, shape (n, ...)."""
    flat = values.reshape(len(values), -1)
    out = np.empty((n, flat.shape[1]))
    for j in range(flat.shape[1]):
        out[:, j] = np.bincount(parent, flat[:, j], minlength=n)
    return out.reshape(n, *values.shape[1:])


def at_rows(M: Array, rows: NDArray[np.intp], values: Array) -> Array:
    """M[rows] times values, (pairs, K) from M (L, K', K) and values (pairs, K)."""
    if M.shape[1:] == (1, 1):
        return M[rows, 0] * values
    return np.einsum("pab,pb->pa", M[rows], values)
