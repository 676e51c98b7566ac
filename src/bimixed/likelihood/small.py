"""Many small symmetric matrices at once: in closed form for 1 × 1 and 2 × 2, else by LAPACK."""

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array


def inverse_and_log_det(D: Array) -> tuple[Array, float]:
    """Inverses of positive definite D (L, K, K), and the sum of their log-determinants."""
    K = D.shape[-1]
    if K == 1:
        return 1.0 / D, float(np.sum(np.log(D)))
    if K == 2:
        a, b, c = D[:, 0, 0], D[:, 1, 0], D[:, 1, 1]
        # det = a·(c − b²/a): the pivots of a Cholesky factorization, which D ⪰ I keeps positive
        pivot = c - b * (b / a)
        inverse = np.empty_like(D)
        inverse[:, 1, 1] = 1.0 / pivot
        inverse[:, 0, 1] = inverse[:, 1, 0] = -(b / a) / pivot
        inverse[:, 0, 0] = 1.0 / a + (b / a) ** 2 / pivot
        return inverse, float(np.sum(np.log(a)) + np.sum(np.log(pivot)))
    L = np.linalg.cholesky(D)
    log_det = 2.0 * float(np.sum(np.log(np.diagonal(L, axis1=1, axis2=2))))
    half = np.linalg.inv(L)
    return np.swapaxes(half, 1, 2) @ half, log_det


def sum_by(parent: NDArray[np.intp], values: Array, n: int) -> Array:
    """Sum values (m, ...) over the rows that share a parent, shape (n, ...)."""
    flat = values.reshape(len(values), -1)
    out = np.empty((n, flat.shape[1]))
    for j in range(flat.shape[1]):
        out[:, j] = np.bincount(parent, flat[:, j], minlength=n)
    return out.reshape(n, *values.shape[1:])
