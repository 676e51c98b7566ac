"""The dense trailing part: its factorization and triangular solves."""

import numba
import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array

Ints = NDArray[np.int64]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def factor_trailing(trailing: Ints, size: Ints, T: Array, M: Array, half: Array) -> float:
    """M = LL' of Λ'SΛ + I from S, and half = L⁻¹Λ'ZR from ZR; returns log |M|."""
    q = len(M)
    for i in range(q):
        for j in range(i + 1, q):
            M[i, j] = M[j, i]
    scale_rows(trailing, size, T, M, True)
    for i in range(q):  # the columns: M is symmetric, so that its rows were ΛS
        for j in range(i):
            M[i, j], M[j, i] = M[j, i], M[i, j]
    scale_rows(trailing, size, T, M, True)
    for i in range(q):
        M[i, i] += 1.0
    scale_rows(trailing, size, T, half, True)
    log_det, column = 0.0, np.empty(q)
    for k in range(q):  # by rows of the upper factor, whose numbers stand one after the other
        for i in range(k):
            column[i] = M[i, k]
        subtract_rows(M, k, k, q - k, column, M, 0, k, k)
        pivot = max(M[k, k], 1.0)  # M ⪰ I: rounding can't take a pivot below 1
        log_det += np.log(pivot)
        over = 1.0 / np.sqrt(pivot)
        for i in range(k + 1, q):
            M[k, i] *= over
        M[k, k] = np.sqrt(pivot)
    for i in range(q):
        for j in range(i):
            M[i, j] = M[j, i]
    solve_lower(M, half)
    return log_det


@numba.njit(cache=True, nogil=True, error_model="numpy")
def subtract_rows(
    X: Array, i: int, x: int, n: int, a: Array, Y: Array, first: int, last: int, y: int
) -> None:
    """X[i, x:x + n] −= Σ over j from first to last of a[j] · Y[j, y:y + n].

    Four rows at a time, so that X is read and written a quarter as often; no slices, whose making takes long.
    """
    j = first
    while j + 4 <= last:
        a0, a1, a2, a3 = a[j], a[j + 1], a[j + 2], a[j + 3]
        for t in range(n):
            X[i, x + t] -= (a0 * Y[j, y + t] + a1 * Y[j + 1, y + t]) + (
                a2 * Y[j + 2, y + t] + a3 * Y[j + 3, y + t]
            )
        j += 4
    while j < last:
        for t in range(n):
            X[i, x + t] -= a[j] * Y[j, y + t]
        j += 1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def scale_rows(trailing: Ints, size: Ints, T: Array, X: Array, transpose: bool) -> None:
    """X = Λ'X or ΛX in place, X (q, ·)."""
    for f in range(len(trailing)):
        place, start = trailing[f, 0], trailing[f, 1]
        K = size[place]
        column = np.zeros(K)
        for level in range(trailing[f, 2]):
            at = start + level * K
            if K == 1:
                for t in range(X.shape[1]):
                    X[at, t] *= T[place, 0, 0]
                continue
            for t in range(X.shape[1]):
                for a in range(K):
                    column[a] = X[at + a, t]
                for a in range(K):
                    total = 0.0
                    for b in range(K):
                        total += (T[place, b, a] if transpose else T[place, a, b]) * column[b]
                    X[at + a, t] = total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def solve_lower(L: Array, X: Array) -> None:
    """X = L⁻¹X in place."""
    for i in range(len(L)):
        for j in range(i):
            for t in range(X.shape[1]):
                X[i, t] -= L[i, j] * X[j, t]
        for t in range(X.shape[1]):
            X[i, t] /= L[i, i]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def solve_upper(L: Array, X: Array) -> None:
    """X = L'⁻¹X in place."""
    for i in range(len(L) - 1, -1, -1):
        for t in range(X.shape[1]):
            X[i, t] /= L[i, i]
        for j in range(i):
            for t in range(X.shape[1]):
                X[j, t] -= L[i, j] * X[i, t]
