"""Compiled loops over many levels, for designs where numpy's temporaries take most of the time.

Only large designs come here, because loading compiled code takes longer than a small fit; compiled code is
kept on disk. The formulas are those of the numpy functions that call these, level by level.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array

Indices = NDArray[np.intp]


@numba.njit(cache=True, nogil=True)
def _inverse_factor(D: Array, G: Array) -> float:
    """G lower triangular with G D G' = I, in place of the Cholesky factor; returns log |D|."""
    K = D.shape[0]
    log_det = 0.0
    for j in range(K):
        for i in range(j, K):
            total = D[i, j]
            for k in range(j):
                total -= D[i, k] * D[j, k]
            if i == j:
                pivot = np.sqrt(max(total, 1.0))  # D ⪰ I: rounding can't take a pivot below 1
                D[j, j] = pivot
                log_det += 2.0 * np.log(pivot)
            else:
                D[i, j] = total / pivot
    for j in range(K):
        G[j, j] = 1.0 / D[j, j]
        for i in range(j + 1, K):
            total = 0.0
            for k in range(j, i):
                total -= D[i, k] * G[k, j]
            G[i, j] = total / D[i, i]
    return log_det


@numba.njit(cache=True, nogil=True)
def eliminate_levels(  # noqa: PLR0912
    A: Array, ZR: Array, T: Array, inverse: Array, regular: bool, W: Array, half: Array, N: Array, E: Array
) -> float:
    """See :func:`bimixed.likelihood.one_factor.eliminate`; fills W, half, N and E, returns log |WV|."""
    L, K, r = ZR.shape
    D, G, V, AT = np.zeros((K, K)), np.zeros((K, K)), np.zeros((K, K)), np.zeros((K, K))
    H_inverse = inverse.T @ inverse
    log_det = 0.0
    for level in range(L):
        Al = A[level]
        for a in range(K):
            for b in range(K):
                total = 0.0
                for c in range(b, K):
                    total += Al[a, c] * T[c, b]
                AT[a, b] = total
        for a in range(K):
            for b in range(a + 1):
                total = 1.0 if a == b else 0.0
                for c in range(a, K):
                    total += T[c, a] * AT[c, b]
                D[a, b] = total
        log_det += _inverse_factor(D, G)
        for a in range(K):
            for b in range(K):
                total = 0.0
                for c in range(min(a, b) + 1):
                    total += T[a, c] * G[b, c]
                W[level, a, b] = total
        for a in range(K):
            for s in range(r):
                total = 0.0
                for b in range(K):
                    total += W[level, b, a] * ZR[level, b, s]
                half[level, a, s] = total
        if regular:
            for a in range(K):
                for b in range(K):
                    total = 0.0
                    for c in range(b + 1):
                        total += inverse[c, a] * G[b, c]
                    V[a, b] = total
            for a in range(K):
                for b in range(K):
                    total = H_inverse[a, b]
                    for c in range(K):
                        total -= V[a, c] * V[b, c]
                    N[level, a, b] = total
                for s in range(r):
                    total = 0.0
                    for b in range(K):
                        total += V[a, b] * half[level, b, s]
                    E[level, a, s] = total
        else:
            _plain_scores(Al, ZR[level], W[level], half[level], V, N[level], E[level])
    return log_det


@numba.njit(cache=True, nogil=True)
def _plain_scores(A: Array, ZR: Array, W: Array, half: Array, rest: Array, N: Array, E: Array) -> None:
    """N = (I − AWW')A and E = ZR − AW half of one level, where T can't be divided out."""
    K, r = ZR.shape
    for a in range(K):
        for b in range(K):
            total = 1.0 if a == b else 0.0
            for c in range(K):
                for d in range(K):
                    total -= A[a, c] * W[c, d] * W[b, d]
            rest[a, b] = total
    for a in range(K):
        for b in range(K):
            total = 0.0
            for c in range(K):
                total += rest[a, c] * A[c, b]
            N[a, b] = total
        for s in range(r):
            total = ZR[a, s]
            for c in range(K):
                for d in range(K):
                    total -= A[a, c] * W[c, d] * half[d, s]
            E[a, s] = total
