"""One grouping factor: its levels are independent given the variance parameters.

Levels stand last, side by side in stretches, so that each line of the innermost loops is done for several of
them by one instruction of the processor.
"""

from typing import NamedTuple

import numba
import numpy as np

from bimixed.covariance import Array
from bimixed.marginal.kernels.elimination import LARGE
from bimixed.marginal.kernels.given import Given

WIDTH = 96
"""Levels of a stretch at most; its arrays stay in the nearest cache."""
STEP = 8
"""Widths are multiples of this."""


class OneFactor(NamedTuple):
    """Cross-products of one factor, in C stretches of W levels; the last ones are filled up with zeros.

    Attributes
    ----------
    A : (C, K, K, W) array
    ZR : (C, K, p + 1, W) array
    RR : (p + 1, p + 1) array
    """

    A: Array
    ZR: Array
    RR: Array


class LevelWork(NamedTuple):
    """G of each level, and GT'Z'WR.

    Attributes
    ----------
    G : (C, K, K, W) array
        Inverse Cholesky factor of T'AT + I.
    half : (C, K, p + 1, W) array
    """

    G: Array
    half: Array


@numba.njit(cache=True, nogil=True)
def width_of(L: int) -> int:
    """Levels of a stretch where there are L."""
    stretches = -(-L // WIDTH)
    return -(-L // (stretches * STEP)) * STEP


def in_stretches(levels: Array) -> Array:
    """(L, m, n) → (C, m, n, W)."""
    L, m, n = levels.shape
    width = width_of.py_func(L)
    stretches = -(-L // width)
    filled = np.zeros((stretches * width, m, n))
    filled[:L] = levels
    return np.ascontiguousarray(filled.reshape(stretches, width, m, n).transpose(0, 2, 3, 1))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def eliminate(s: OneFactor, factors: Array) -> tuple[LevelWork, Array, float]:
    """The work, R'V⁻¹R and log |WV|."""
    C, K, r, W = s.ZR.shape
    T = factors[0]
    G, half, RVR = np.zeros((C, K, K, W)), np.empty((C, K, r, W)), s.RR.copy()
    D, product = np.empty((2, K, K, W)), np.ones(W)
    log_det = 0.0
    for c in range(C):
        _inner_matrix(s.A[c], T, D[0], D[1])
        _inverse_factor(D[1], G[c], product)
        for n in range(W):
            if product[n] > LARGE:
                log_det += np.log(product[n])
                product[n] = 1.0
        _halfway(G[c], T, s.ZR[c], D[0, 0], half[c])
        for a in range(K):
            for t in range(r):
                for u in range(t + 1):
                    RVR[t, u] -= inner(half[c, a, t], half[c, a, u])
    for t in range(r):
        for u in range(t):
            RVR[u, t] = RVR[t, u]
    total = 1.0
    for n in range(W):
        total *= product[n]
        if total > LARGE:
            log_det += np.log(total)
            total = 1.0
    return LevelWork(G, half), RVR, log_det + np.log(total)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def inner(x: Array, y: Array) -> float:
    """x'y of a length that STEP divides."""
    a = b = c = d = e = f = g = h = 0.0
    for n in range(0, len(x), STEP):
        a += x[n] * y[n]
        b += x[n + 1] * y[n + 1]
        c += x[n + 2] * y[n + 2]
        d += x[n + 3] * y[n + 3]
        e += x[n + 4] * y[n + 4]
        f += x[n + 5] * y[n + 5]
        g += x[n + 6] * y[n + 6]
        h += x[n + 7] * y[n + 7]
    return ((a + e) + (b + f)) + ((c + g) + (d + h))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _inner_matrix(A: Array, T: Array, AT: Array, D: Array) -> None:
    """Lower triangle of D = T'AT + I, through AT."""
    K, W = A.shape[1:]
    for a in range(K):
        for b in range(K):
            t = T[b, b]
            for n in range(W):
                AT[a, b, n] = A[a, b, n] * t
            for c in range(b + 1, K):
                t = T[c, b]
                for n in range(W):
                    AT[a, b, n] += A[a, c, n] * t
    for j in range(K):
        for i in range(j, K):
            one, t = 1.0 if i == j else 0.0, T[i, i]
            for n in range(W):
                D[i, j, n] = one + t * AT[i, j, n]
            for c in range(i + 1, K):
                t = T[c, i]
                for n in range(W):
                    D[i, j, n] += t * AT[c, j, n]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _inverse_factor(D: Array, G: Array, product: Array) -> None:
    """G lower triangular with G D G' = I, through D's Cholesky factor; product is multiplied by |D|."""
    K, _, W = D.shape
    for j in range(K):
        for i in range(j, K):
            for k in range(j):
                for n in range(W):
                    D[i, j, n] -= D[i, k, n] * D[j, k, n]
            if i > j:
                for n in range(W):
                    D[i, j, n] *= G[j, j, n]
                continue
            for n in range(W):
                pivot = max(D[j, j, n], 1.0)  # D ⪰ I: rounding can't take a pivot below 1
                product[n] *= pivot
                G[j, j, n] = 1.0 / np.sqrt(pivot)
    for j in range(K):
        for i in range(j + 1, K):
            for k in range(j, i):
                for n in range(W):
                    G[i, j, n] -= D[i, k, n] * G[k, j, n]
            for n in range(W):
                G[i, j, n] *= G[i, i, n]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _halfway(G: Array, T: Array, ZR: Array, column: Array, half: Array) -> None:
    """half = GT'ZR; ``column`` is for numbers in between, (K, W)."""
    K, r, W = half.shape
    for t in range(r):
        for a in range(K):
            x = T[a, a]
            for n in range(W):
                column[a, n] = x * ZR[a, t, n]
            for b in range(a + 1, K):
                x = T[b, a]
                for n in range(W):
                    column[a, n] += x * ZR[b, t, n]
        for a in range(K):
            for n in range(W):
                half[a, t, n] = G[a, a, n] * column[a, n]
            for b in range(a):
                for n in range(W):
                    half[a, t, n] += G[a, b, n] * column[b, n]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_scores(s: OneFactor, work: LevelWork, given: Given, sigma: float, out: Array) -> None:
    """out += Σ over levels of I − G'G − u_x C⁻¹u_x' − u_e u_e'/σ² with u = G' half, by place."""
    C, K, r, W = work.half.shape
    x, total = np.empty((K, r, W)), np.zeros((K, K))
    for c in range(C):
        G = work.G[c]
        for a in range(K):
            for t in range(r):
                _column_product(G, work.half[c], a, t, x)
            standardize(x[a], given, sigma)
        for a in range(K):
            for b in range(a + 1):
                part = float(W) if a == b else 0.0
                for i in range(a, K):
                    part -= inner(G[i, a], G[i, b])
                for t in range(r):
                    part -= inner(x[a, t], x[b, t])
                total[a, b] += part
    for a in range(K):
        for b in range(a + 1):
            out[0, a, b] += total[a, b]
            if b < a:
                out[0, b, a] += total[a, b]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _column_product(G: Array, half: Array, a: int, t: int, x: Array) -> None:
    """x[a, t] = Σ_b G[b, a] half[b, t]."""
    K, _, W = half.shape
    for n in range(W):
        x[a, t, n] = G[a, a, n] * half[a, t, n]
    for b in range(a + 1, K):
        for n in range(W):
            x[a, t, n] += G[b, a, n] * half[b, t, n]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def standardize(x: Array, given: Given, sigma: float) -> None:
    """(u_x, u_y) → u_x times a root of C⁻¹, and u_e/σ with u_e = u_y − u_x γ̃, x (p + 1, W), in place."""
    r, W = x.shape
    for i in range(r - 1):
        g = given.gamma[i]
        for n in range(W):
            x[r - 1, n] -= x[i, n] * g
    over = 1.0 / sigma
    for n in range(W):
        x[r - 1, n] *= over
    for i in range(r - 1):
        for k in range(i):
            g = given.root[i, k]
            for n in range(W):
                x[i, n] -= g * x[k, n]
        over = given.over_pivots[i]
        for n in range(W):
            x[i, n] *= over


@numba.njit(cache=True, nogil=True, error_model="numpy")
def draw(factors: Array, work: LevelWork, gamma: Array, sigma: float, normal: Array, b: Array) -> None:
    """b given γ, from standard normal numbers; (effects,) each, of which those of the filling are missing."""
    _, K, r, W = work.half.shape
    T, column = factors[0], np.zeros(K)
    for level in range(len(b) // K):
        c, n, at = level // W, level % W, level * K
        for a in range(K):
            column[a] = work.half[c, a, r - 1, n] + sigma * normal[at + a]
            for i in range(r - 1):
                column[a] -= work.half[c, a, i, n] * gamma[i]
        for a in range(K):
            total = 0.0
            for i in range(a, K):
                total += work.G[c, i, a, n] * column[i]
            column[a] = total
        for a in range(K):
            total = 0.0
            for i in range(a + 1):
                total += T[a, i] * column[i]
            b[at + a] = total
