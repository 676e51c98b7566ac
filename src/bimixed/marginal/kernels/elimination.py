"""Elimination of the random effects and back, level by level: chains, and a dense trailing part.

The algebra is that of :mod:`bimixed.likelihood.factorization`. Names are those used there: G is the
inverse Cholesky factor of T'AT + I, and couplings N and C become GT'N and GT'C in place.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.marginal.kernels.trailing import factor_trailing, subtract_rows

Ints = NDArray[np.int64]

A_AT, ZR_AT, STARTS_AT, COLUMNS_AT, C_AT = 0, 1, 2, 3, 4
LARGE = 1e150
"""Products of pivots are put into their logarithm from here on, before they overflow."""
PARENTS_AT, N_AT, MAPS_AT = 0, 1, 2


class Structure(NamedTuple):
    """What the elimination needs of the cross-products, flattened.

    ``at[j]`` has the first places of chain factor j in ``A``, ``chain_ZR``, ``pair_starts``,
    ``pair_columns`` and ``C``; ``to[j, k]`` those of what joins it with a later factor k in ``parents``,
    ``N`` and ``maps``.

    Attributes
    ----------
    size : (F,) int array
        Coefficients, by place in the design.
    chain : (J, 2) int array
        Place and levels, in the order of elimination.
    trailing : (·, 3) int array
        Place, first column and levels.
    at : (J, 5) int array
    to : (J, J, 3) int array
    parents, maps, pair_starts, pair_columns : int arrays
    A, chain_ZR, N : arrays
        By level: (K, K), (K, p + 1) and (K, K') each.
    C : array
        By factor, (K, pairs).
    S : (q, q) array
    ZR : (q, p + 1) array
    RR : (p + 1, p + 1) array
    """

    size: Ints
    chain: Ints
    trailing: Ints
    at: Ints
    to: Ints
    parents: Ints
    maps: Ints
    pair_starts: Ints
    pair_columns: Ints
    A: Array
    chain_ZR: Array
    N: Array
    C: Array
    S: Array
    ZR: Array
    RR: Array


class Work(NamedTuple):
    """What one elimination fills, in the places of what it is made from.

    Attributes
    ----------
    G, half, N, C : arrays
        G, GT'Z'WR, GT'N and GT'C, in the places of A, chain_ZR, N and C.
    M : (q, q) array
        Lower Cholesky factor of Λ'SΛ + I.
    half_trailing : (q, p + 1) array
        M⁻¹Λ'Z'WR of the trailing part.
    """

    G: Array
    half: Array
    N: Array
    C: Array
    M: Array
    half_trailing: Array


@numba.njit(cache=True, nogil=True, error_model="numpy")
def start_work(s: Structure) -> Work:
    """Copies of what is eliminated in place."""
    return Work(s.A.copy(), s.chain_ZR.copy(), s.N.copy(), s.C.copy(), s.S.copy(), s.ZR.copy())


@numba.njit(cache=True, nogil=True, error_model="numpy")
def levels_of(x: Array, at: int, L: int, m: int, n: int) -> Array:
    """A stretch of a flat array as (L, m, n)."""
    return x[at : at + L * m * n].reshape((L, m, n))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def coupling_of(s: Structure, C: Array, j: int) -> Array:
    """The couplings of factor j with trailing columns, (K, pairs)."""
    L, K = s.chain[j, 1], s.size[s.chain[j, 0]]
    n_pairs, at = s.pair_starts[s.at[j, STARTS_AT] + L], s.at[j, C_AT]
    return C[at : at + K * n_pairs].reshape((K, n_pairs))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def pairs_of(s: Structure, j: int) -> tuple[Ints, Ints]:
    """First pair of each level of factor j, (L + 1,), and the pairs' trailing columns."""
    L, at = s.chain[j, 1], s.at[j, STARTS_AT]
    starts = s.pair_starts[at : at + L + 1]
    return starts, s.pair_columns[s.at[j, COLUMNS_AT] : s.at[j, COLUMNS_AT] + starts[L]]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def own_factor(s: Structure, T: Array, j: int) -> Array:
    """T of chain factor j, (K, K)."""
    K = s.size[s.chain[j, 0]]
    return T[s.chain[j, 0], :K, :K].copy()


@numba.njit(cache=True, nogil=True, error_model="numpy")
def eliminate(s: Structure, T: Array) -> tuple[Work, Array, float]:
    """The work, R'V⁻¹R and log |WV|, not finite where it fails."""
    work = start_work(s)
    J, r = len(s.chain), s.RR.shape[0]
    log_det = 0.0
    for j in range(J):
        L, K = s.chain[j, 1], s.size[s.chain[j, 0]]
        G, W = levels_of(work.G, s.at[j, A_AT], L, K, K), np.empty((L, K, K))
        half = levels_of(work.half, s.at[j, ZR_AT], L, K, r)
        log_det += _eliminate_levels(own_factor(s, T, j), G, W)
        _multiply(W, half)
        for k in range(j + 1, J):
            _multiply(W, levels_of(work.N, s.to[j, k, N_AT], L, K, s.size[s.chain[k, 0]]))
        if len(s.S):
            starts, columns = pairs_of(s, j)
            C = coupling_of(s, work.C, j)
            _multiply_pairs(W, starts, C)
            _update_trailing(starts, columns, C, half, work.M, work.half_trailing)
        for k in range(j + 1, J):
            _update_parents(s, work, j, k, half)
    if len(s.S):
        log_det += factor_trailing(s.trailing, s.size, T, work.M, work.half_trailing)
    RVR = s.RR.copy()
    _subtract_squares(work.half.reshape((-1, r)), RVR)
    _subtract_squares(work.half_trailing, RVR)
    return work, RVR, log_det


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _subtract_squares(half: Array, out: Array) -> None:
    """out −= half'half."""
    n, r = half.shape
    for a in range(r):
        for b in range(a + 1):
            s0 = s1 = s2 = s3 = 0.0  # four sums at a time: one would wait for itself
            for i in range(0, n - 3, 4):
                s0 += half[i, a] * half[i, b]
                s1 += half[i + 1, a] * half[i + 1, b]
                s2 += half[i + 2, a] * half[i + 2, b]
                s3 += half[i + 3, a] * half[i + 3, b]
            for i in range(n - n % 4, n):
                s0 += half[i, a] * half[i, b]
            out[a, b] -= (s0 + s1) + (s2 + s3)
            if b < a:
                out[b, a] = out[a, b]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _eliminate_levels(T: Array, A: Array, W: Array) -> float:
    """G in place of A, and W = GT', by level; returns log |D|."""
    L, K = A.shape[0], A.shape[1]
    if K == 1:
        return _eliminate_scalars(T[0, 0], A.reshape(-1), W.reshape(-1))
    D, G = np.zeros((K, K)), np.zeros((K, K))
    log_det, product = 0.0, 1.0
    for level in range(L):
        if product > LARGE:
            log_det += np.log(product)
            product = 1.0
        for a in range(K):
            for b in range(K):
                total = 0.0
                for c in range(b, K):
                    total += A[level, a, c] * T[c, b]
                W[level, a, b] = total
        for a in range(K):
            for b in range(a + 1):
                total = 1.0 if a == b else 0.0
                for c in range(a, K):
                    total += T[c, a] * W[level, c, b]
                D[a, b] = total
        product *= _inverse_factor(D, G)
        for a in range(K):
            for b in range(K):
                total = 0.0
                for c in range(min(a, b) + 1):
                    total += G[a, c] * T[b, c]
                W[level, a, b] = total
                A[level, a, b] = G[a, b]
    return log_det + np.log(product)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _eliminate_scalars(t: float, A: Array, W: Array) -> float:
    """The same for one coefficient."""
    log_det, t2 = 0.0, t * t
    for level in range(len(A)):
        W[level] = max(1.0 + A[level] * t2, 1.0)
    a = b = c = d = 1.0  # four products at a time: one would wait for itself
    for level in range(0, len(A) - 3, 4):
        a, b, c, d = a * W[level], b * W[level + 1], c * W[level + 2], d * W[level + 3]
        if max(a, b, c, d) > LARGE:
            log_det += np.log(a) + np.log(b) + np.log(c) + np.log(d)
            a = b = c = d = 1.0
    log_det += np.log(a) + np.log(b) + np.log(c) + np.log(d)
    for level in range(len(A) - len(A) % 4, len(A)):
        log_det += np.log(W[level])
    for level in range(len(A)):
        A[level] = 1.0 / np.sqrt(W[level])
        W[level] = A[level] * t
    return log_det


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _inverse_factor(D: Array, G: Array) -> float:
    """G lower triangular with G D G' = I, in place of D's Cholesky factor; returns |D|."""
    K = len(D)
    product = 1.0
    for j in range(K):
        for i in range(j, K):
            total = D[i, j]
            for k in range(j):
                total -= D[i, k] * D[j, k]
            if i == j:
                total = max(total, 1.0)  # D ⪰ I: rounding can't take a pivot below 1
                product *= total
                D[j, j] = np.sqrt(total)
            else:
                D[i, j] = total / D[j, j]
    for j in range(K):
        G[j, j] = 1.0 / D[j, j]
        for i in range(j + 1, K):
            total = 0.0
            for k in range(j, i):
                total -= D[i, k] * G[k, j]
            G[i, j] = total / D[i, i]
    return product


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _multiply(W: Array, X: Array) -> None:
    """X = W X by level, in place."""
    L, K, m = X.shape
    if K == 1:
        x, w = X.reshape(-1), W.reshape(-1)
        if m == 1:
            for level in range(L):
                x[level] *= w[level]
            return
        for i in range(m):
            for level in range(L):
                x[level * m + i] *= w[level]
        return
    column = np.empty(K)
    for level in range(L):
        for i in range(m):
            for a in range(K):
                column[a] = X[level, a, i]
            for a in range(K):
                total = 0.0
                for b in range(K):
                    total += W[level, a, b] * column[b]
                X[level, a, i] = total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _multiply_pairs(W: Array, starts: Ints, C: Array) -> None:
    """C = W C, each pair (column of C) with its level's W, in place."""
    L, K = W.shape[0], W.shape[1]
    column = np.empty(K)
    for level in range(L):
        for pair in range(starts[level], starts[level + 1]):
            for a in range(K):
                column[a] = C[a, pair]
            for a in range(K):
                total = 0.0
                for b in range(K):
                    total += W[level, a, b] * column[b]
                C[a, pair] = total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _update_parents(s: Structure, work: Work, j: int, k: int, half: Array) -> None:
    """What eliminating factor j takes off factor k, in whose levels its own are nested."""
    r, (L, K) = s.RR.shape[0], (s.chain[j, 1], s.size[s.chain[j, 0]])
    Lk, Kk = s.chain[k, 1], s.size[s.chain[k, 0]]
    parents = s.parents[s.to[j, k, PARENTS_AT] : s.to[j, k, PARENTS_AT] + L]
    N = levels_of(work.N, s.to[j, k, N_AT], L, K, Kk)
    _subtract(parents, N, N, levels_of(work.G, s.at[k, A_AT], Lk, Kk, Kk))
    _subtract(parents, N, half, levels_of(work.half, s.at[k, ZR_AT], Lk, Kk, r))
    for m in range(k + 1, len(s.chain)):
        Km = s.size[s.chain[m, 0]]
        other = levels_of(work.N, s.to[j, m, N_AT], L, K, Km)
        _subtract(parents, N, other, levels_of(work.N, s.to[k, m, N_AT], Lk, Kk, Km))
    if len(s.S):
        starts = pairs_of(s, j)[0]
        maps = s.maps[s.to[j, k, MAPS_AT] : s.to[j, k, MAPS_AT] + starts[L]]
        _subtract_pairs(starts, maps, N, coupling_of(s, work.C, j), coupling_of(s, work.C, k))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _subtract(parents: Ints, X: Array, Y: Array, out: Array) -> None:
    """out −= X'Y at each level's parent."""
    L, K, m = X.shape
    n = Y.shape[2]
    if K == 1:
        for a in range(m):
            for b in range(n):
                to, total = parents[0], 0.0
                for level in range(L):  # one parent's levels mostly follow each other
                    if parents[level] != to:
                        out[to, a, b] -= total
                        to, total = parents[level], 0.0
                    total += X[level, 0, a] * Y[level, 0, b]
                out[to, a, b] -= total
        return
    for level in range(L):
        to = parents[level]
        for a in range(m):
            for b in range(n):
                total = 0.0
                for c in range(K):
                    total += X[level, c, a] * Y[level, c, b]
                out[to, a, b] -= total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _subtract_pairs(starts: Ints, maps: Ints, N: Array, C: Array, out: Array) -> None:
    """out −= N'C at the parents' pairs."""
    L, K, m = N.shape
    for level in range(L):
        for pair in range(starts[level], starts[level + 1]):
            for a in range(m):
                total = 0.0
                for c in range(K):
                    total += N[level, c, a] * C[c, pair]
                out[a, maps[pair]] -= total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def is_full(starts: Ints, q: int) -> bool:
    """Whether every level occurs with every trailing column."""
    L = len(starts) - 1
    return bool(starts[L] == L * q)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _update_trailing(starts: Ints, columns: Ints, C: Array, half: Array, S: Array, ZR: Array) -> None:
    """What eliminating a factor takes off the lower triangle of S, and off ZR."""
    (L, K, r), q = half.shape, len(S)
    full = is_full(starts, q)
    for a in range(K):
        if full:
            whole, column = C[a].reshape((L, q)), np.empty(L)
            for i in range(q):
                for level in range(L):
                    column[level] = whole[level, i]
                subtract_rows(S, i, 0, i + 1, column, whole, 0, L, 0)
        for level in range(L):
            first = starts[level]
            for pair in range(first, starts[level + 1]):
                i, value = columns[pair], C[a, pair]
                for t in range(r):
                    ZR[i, t] -= value * half[level, a, t]
                if not full:
                    for other in range(first, pair + 1):
                        S[i, columns[other]] -= value * C[a, other]
