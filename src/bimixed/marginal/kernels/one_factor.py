"""One grouping factor: its levels are independent given the variance parameters, so that one pass does it."""

from typing import NamedTuple

import numba
import numpy as np

from bimixed.covariance import Array
from bimixed.marginal.kernels.elimination import LARGE
from bimixed.marginal.kernels.given import Given


class OneFactor(NamedTuple):
    """Cross-products of one factor.

    Attributes
    ----------
    A : (L, K, K) array
    ZR : (L, K, p + 1) array
    RR : (p + 1, p + 1) array
    """

    A: Array
    ZR: Array
    RR: Array


class LevelWork(NamedTuple):
    """G of each level, and GT'Z'WR.

    Attributes
    ----------
    G : (L, K, K) array
        Inverse Cholesky factor of T'AT + I.
    half : (L, K, p + 1) array
    """

    G: Array
    half: Array


@numba.njit(cache=True, nogil=True, error_model="numpy")
def eliminate(s: OneFactor, factors: Array) -> tuple[LevelWork, Array, float]:  # noqa: PLR0912
    """The work, R'V⁻¹R and log |WV|."""
    L, K, r = s.ZR.shape
    T = factors[0]
    G, half, RVR = np.empty((L, K, K)), np.empty((L, K, r)), s.RR.copy()
    D, AT = np.zeros((K, K)), np.zeros((K, K))
    product, log_det = 1.0, 0.0
    for level in range(L):
        A, ZR, own, mine = s.A[level], s.ZR[level], G[level], half[level]
        for a in range(K):
            for b in range(K):
                total = 0.0
                for c in range(b, K):
                    total += A[a, c] * T[c, b]
                AT[a, b] = total
                own[a, b] = 0.0
        for j in range(K):
            for i in range(j, K):
                total = 1.0 if i == j else 0.0
                for c in range(i, K):
                    total += T[c, i] * AT[c, j]
                for k in range(j):
                    total -= D[i, k] * D[j, k]
                if i == j:
                    total = max(total, 1.0)  # D ⪰ I: rounding can't take a pivot below 1
                    product *= total
                    D[j, j] = 1.0 / np.sqrt(total)
                else:
                    D[i, j] = total * D[j, j]
        if product > LARGE:
            log_det += np.log(product)
            product = 1.0
        for j in range(K):
            own[j, j] = D[j, j]
            for i in range(j + 1, K):
                total = 0.0
                for k in range(j, i):
                    total -= D[i, k] * own[k, j]
                own[i, j] = total * D[i, i]
        for t in range(r):
            for a in range(K):
                total = 0.0
                for b in range(a, K):
                    total += T[b, a] * ZR[b, t]
                AT[0, a] = total
            for a in range(K):
                total = 0.0
                for b in range(a + 1):
                    total += own[a, b] * AT[0, b]
                mine[a, t] = total
        for a in range(K):
            for t in range(r):
                for u in range(t + 1):
                    RVR[t, u] -= mine[a, t] * mine[a, u]
    for t in range(r):
        for u in range(t):
            RVR[u, t] = RVR[t, u]
    return LevelWork(G, half), RVR, log_det + np.log(product)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_scores(  # noqa: PLR0912
    s: OneFactor, work: LevelWork, given: Given, sigma: float, out: Array
) -> None:
    """out += Σ over levels of I − G'G − u_x C⁻¹u_x' − u_e u_e'/σ² with u = G' half, by place."""
    L, K, r = work.half.shape
    x, total = np.zeros((K, r)), np.zeros((K, K))
    for level in range(L):
        G, half = work.G[level], work.half[level]
        for a in range(K):
            e = 0.0
            for t in range(r):
                u = 0.0
                for b in range(a, K):
                    u += G[b, a] * half[b, t]
                x[a, t] = u
            e = x[a, r - 1]
            for i in range(r - 1):
                u = x[a, i]
                e -= u * given.gamma[i]
                for k in range(i):
                    u -= given.root[i, k] * x[a, k]
                x[a, i] = u * given.over_pivots[i]
            x[a, r - 1] = e / sigma
        for a in range(K):
            for b in range(a + 1):
                part = 1.0 if a == b else 0.0
                for c in range(a, K):
                    part -= G[c, a] * G[c, b]
                for t in range(r):
                    part -= x[a, t] * x[b, t]
                total[a, b] += part
    for a in range(K):
        for b in range(a + 1):
            out[0, a, b] += total[a, b]
            if b < a:
                out[0, b, a] += total[a, b]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def draw(factors: Array, work: LevelWork, gamma: Array, sigma: float, normal: Array, b: Array) -> None:
    """b given γ, from standard normal numbers (effects,)."""
    L, K, r = work.half.shape
    T, column = factors[0], np.zeros(K)
    for level in range(L):
        at = level * K
        for a in range(K):
            column[a] = work.half[level, a, r - 1] + sigma * normal[at + a]
            for i in range(r - 1):
                column[a] -= work.half[level, a, i] * gamma[i]
        for a in range(K):
            total = 0.0
            for c in range(a, K):
                total += work.G[level, c, a] * column[c]
            column[a] = total
        for a in range(K):
            total = 0.0
            for c in range(a + 1):
                total += T[a, c] * column[c]
            b[at + a] = total
