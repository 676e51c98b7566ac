"""Back through the elimination: solutions, draws, and what the slopes need of the inverse."""

import numba
import numpy as np

from bimixed.covariance import Array
from bimixed.marginal.kernels.elimination import (
    A_AT,
    MAPS_AT,
    N_AT,
    PARENTS_AT,
    ZR_AT,
    Ints,
    Structure,
    Work,
    coupling_of,
    is_full,
    levels_of,
    own_factor,
    pairs_of,
)
from bimixed.marginal.kernels.given import Given
from bimixed.marginal.kernels.one_factor import inner, standardize, width_of
from bimixed.marginal.kernels.trailing import scale_rows, solve_upper, subtract_rows


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_scores(s: Structure, T: Array, work: Work, given: Given, sigma: float, out: Array) -> None:
    """out += Σ over levels of I − M⁻¹ − u_x C⁻¹u_x' − u_e u_e'/σ², by place."""
    trailing = work.half_trailing.copy()
    solve_upper(work.M, trailing)
    effects_trailing = trailing.copy()
    scale_rows(s.trailing, s.size, T, effects_trailing, False)
    u, effects = work.half.copy(), np.zeros(len(work.half))
    substitute(s, T, work, u, effects_trailing, effects)
    add_variances(s, T, work, out)
    subtract_scores(s, u, trailing, given, sigma, out)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def draw(s: Structure, T: Array, work: Work, gamma: Array, sigma: float, normal: Array, b: Array) -> None:
    """b given γ, from standard normal numbers (effects,): chain_ZR's order, then the trailing part."""
    r = len(gamma) + 1
    chain = len(work.half) // r
    u, trailing = np.empty(chain), np.empty((len(work.half_trailing), 1))
    for a in range(chain):
        u[a] = work.half[a * r + r - 1] + sigma * normal[a]
        for i in range(r - 1):
            u[a] -= work.half[a * r + i] * gamma[i]
    for a in range(len(trailing)):
        trailing[a, 0] = work.half_trailing[a, r - 1] + sigma * normal[chain + a]
        for i in range(r - 1):
            trailing[a, 0] -= work.half_trailing[a, i] * gamma[i]
    solve_upper(work.M, trailing)
    scale_rows(s.trailing, s.size, T, trailing, False)
    effects = np.zeros(chain)
    substitute(s, T, work, u, trailing, effects)
    b[:chain] = effects
    b[chain:] = trailing[:, 0]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def substitute(s: Structure, T: Array, work: Work, u: Array, trailing: Array, effects: Array) -> None:
    """From right sides, halfway (u), to solutions in scaled coordinates (u, in place) and in b (effects).

    ``u`` and ``effects`` are in chain_ZR's places with any number r of columns for p + 1; ``trailing`` (q, r)
    has the trailing part's effects in b.
    """
    r, J, columns = trailing.shape[1], len(s.chain), s.RR.shape[0]
    for j in range(J - 1, -1, -1):
        L, K = s.chain[j, 1], s.size[s.chain[j, 0]]
        own = levels_of(u, s.at[j, ZR_AT] // columns * r, L, K, r)
        for k in range(j + 1, J):
            Lk, Kk = s.chain[k, 1], s.size[s.chain[k, 0]]
            parents = s.parents[s.to[j, k, PARENTS_AT] : s.to[j, k, PARENTS_AT] + L]
            N = levels_of(work.N, s.to[j, k, N_AT], L, K, Kk)
            _less_parents(parents, N, levels_of(effects, s.at[k, ZR_AT] // columns * r, Lk, Kk, r), own)
        if len(s.S):
            starts, at = pairs_of(s, j)
            _less_trailing(starts, at, coupling_of(s, work.C, j), trailing, own)
        G = levels_of(work.G, s.at[j, A_AT], L, K, K)
        _finish(G, own_factor(s, T, j), own, levels_of(effects, s.at[j, ZR_AT] // columns * r, L, K, r))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _less_parents(parents: Ints, N: Array, theirs: Array, u: Array) -> None:
    (L, K, m), r = N.shape, u.shape[2]
    if K == 1 and m == 1:
        for t in range(r):
            for level in range(L):
                u[level, 0, t] -= N[level, 0, 0] * theirs[parents[level], 0, t]
        return
    for level in range(L):
        parent = parents[level]
        for a in range(K):
            for b in range(m):
                for t in range(r):
                    u[level, a, t] -= N[level, a, b] * theirs[parent, b, t]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _less_trailing(starts: Ints, columns: Ints, C: Array, trailing: Array, u: Array) -> None:
    L, K, r = u.shape
    for level in range(L):
        for pair in range(starts[level], starts[level + 1]):
            for a in range(K):
                for t in range(r):
                    u[level, a, t] -= C[a, pair] * trailing[columns[pair], t]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _finish(G: Array, T: Array, u: Array, effects: Array) -> None:
    """u = G'u and effects = T u."""
    L, K, r = u.shape
    if K == 1:
        x, e, g, factor = u.reshape(-1), effects.reshape(-1), G.reshape(-1), T[0, 0]
        for t in range(r):
            for level in range(L):
                x[level * r + t] *= g[level]
        for i in range(L * r):
            e[i] = factor * x[i]
        return
    for level in range(L):
        for t in range(r):
            for a in range(K):
                total = 0.0
                for b in range(a, K):
                    total += G[level, b, a] * u[level, b, t]
                u[level, a, t] = total
            for a in range(K):
                total = 0.0
                for b in range(a + 1):
                    total += T[a, b] * u[level, b, t]
                effects[level, a, t] = total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def subtract_scores(s: Structure, u: Array, trailing: Array, given: Given, sigma: float, out: Array) -> None:
    """out −= Σ over levels of u_x C⁻¹u_x' + u_e u_e'/σ², by place, in scaled coordinates."""
    r = len(given.gamma) + 1
    for j in range(len(s.chain)):
        place, L = s.chain[j, 0], s.chain[j, 1]
        _scores(levels_of(u, s.at[j, ZR_AT], L, s.size[place], r), given, sigma, out[place])
    for f in range(len(s.trailing)):
        place, start, L = s.trailing[f]
        K = s.size[place]
        own = trailing[start : start + L * K].reshape((L, K, r))
        _scores(own, given, sigma, out[place])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _scores(u: Array, given: Given, sigma: float, out: Array) -> None:
    L, K, r = u.shape
    if L == 0:
        return
    width = width_of(L)
    x = np.zeros((K, r, width))
    for first in range(0, L, width):
        n = min(width, L - first)
        for a in range(K):
            for t in range(r):
                for i in range(n):
                    x[a, t, i] = u[first + i, a, t]
                for i in range(n, width):
                    x[a, t, i] = 0.0
            standardize(x[a], given, sigma)
            for b in range(a + 1):
                total = 0.0
                for t in range(r):
                    total += inner(x[a, t], x[b, t])
                out[a, b] -= total
                if b < a:
                    out[b, a] -= total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_variances(s: Structure, T: Array, work: Work, out: Array) -> None:
    """out += Σ over levels of I less their blocks of (Λ'Z'WZΛ + I)⁻¹, by place."""
    q, J = len(s.S), len(s.chain)
    P = np.zeros((q, q))
    if q:
        inverse_of_square(work.M, P)
        for f in range(len(s.trailing)):
            place, start = s.trailing[f, 0], s.trailing[f, 1]
            K = s.size[place]
            for level in range(s.trailing[f, 2]):
                at = start + level * K
                for a in range(K):
                    out[place, a, a] += 1.0
                    for b in range(K):
                        out[place, a, b] -= P[at + a, at + b]
        if J:
            scale_rows(s.trailing, s.size, T, P, False)
            P = P.T.copy()
            scale_rows(s.trailing, s.size, T, P, False)
    own, N, C = np.zeros(len(work.G)), np.zeros(len(work.N)), np.zeros(len(work.C))
    for j in range(J - 1, -1, -1):
        _variances_of(s, T, work, j, P, own, N, C, out[s.chain[j, 0]])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _variances_of(
    s: Structure, T: Array, work: Work, j: int, P: Array, own: Array, N: Array, C: Array, out: Array
) -> None:
    """One factor; own, N and C get the inverse's blocks in b, in the places of A, N and C."""
    J, L, K = len(s.chain), s.chain[j, 1], s.size[s.chain[j, 0]]
    G, Tj = levels_of(work.G, s.at[j, A_AT], L, K, K), own_factor(s, T, j)
    blocks = np.zeros((L, K, K))  # first h P h', h = [GT'N, GT'C]
    widest = T.shape[1]
    YN = np.zeros((J, L, widest, K))  # P h' with each parent
    Y = np.zeros((K, len(s.pair_columns)))  # and at the pairs
    if len(s.S):
        starts, columns = pairs_of(s, j)
        Y = np.zeros((K, starts[L]))
        _inverse_times_pairs(starts, columns, coupling_of(s, work.C, j), P, Y)
    for k in range(j + 1, J):
        _inverse_times_parents(s, work, j, k, own, N, C, YN, Y)
    for k in range(j + 1, J):
        Kk = s.size[s.chain[k, 0]]
        _add_products(levels_of(work.N, s.to[j, k, N_AT], L, K, Kk), YN[k], blocks)
    if len(s.S):
        _add_pair_products(starts, coupling_of(s, work.C, j), Y, blocks)
    _conditional_to_marginal(G, blocks, out)
    if j == 0:
        return
    TG = _keep_own(Tj, G, blocks, levels_of(own, s.at[j, A_AT], L, K, K))
    for k in range(j + 1, J):
        _keep_parents(TG, YN[k], levels_of(N, s.to[j, k, N_AT], L, K, s.size[s.chain[k, 0]]))
    if len(s.S):
        _keep_pairs(TG, starts, Y, coupling_of(s, C, j))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def inverse_of_square(L: Array, out: Array) -> None:
    """(LL')⁻¹ of a lower triangular L; out starts at 0."""
    q = len(L)
    X, column = np.zeros((q, q)), np.empty(q)
    for i in range(q):
        subtract_rows(X, i, 0, i, L[i], X, 0, i, 0)
        X[i, i] = 1.0
        for j in range(i + 1):
            X[i, j] /= L[i, i]
    for a in range(q):
        for i in range(a, q):
            column[i] = -X[i, a]
        subtract_rows(out, a, 0, a + 1, column, X, a, q, 0)
    for a in range(q):
        for b in range(a):
            out[b, a] = out[a, b]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _inverse_times_pairs(starts: Ints, columns: Ints, C: Array, P: Array, Y: Array) -> None:
    """Y = C P at the pairs."""
    L, q = len(starts) - 1, len(P)
    row = np.empty(q)
    for a in range(len(C)):
        if is_full(starts, q):
            for level in range(L):
                for i in range(q):
                    row[i] = -C[a, level * q + i]
                subtract_rows(Y, a, level * q, q, row, P, 0, q, 0)
            continue
        for level in range(L):
            first, last = starts[level], starts[level + 1]
            for pair in range(first, last):
                line, total = P[columns[pair]], 0.0
                for other in range(first, last):
                    total += line[columns[other]] * C[a, other]
                Y[a, pair] = total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _inverse_times_parents(
    s: Structure, work: Work, j: int, k: int, own: Array, N: Array, C: Array, YN: Array, Y: Array
) -> None:
    """What the inverse's blocks of factor k add to P h'."""
    J, L, K = len(s.chain), s.chain[j, 1], s.size[s.chain[j, 0]]
    Lk, Kk = s.chain[k, 1], s.size[s.chain[k, 0]]
    parents = s.parents[s.to[j, k, PARENTS_AT] : s.to[j, k, PARENTS_AT] + L]
    h = levels_of(work.N, s.to[j, k, N_AT], L, K, Kk)
    _add_inverse(parents, levels_of(own, s.at[k, A_AT], Lk, Kk, Kk), h, YN[k], False)
    for m in range(k + 1, J):
        Km = s.size[s.chain[m, 0]]
        between = levels_of(N, s.to[k, m, N_AT], Lk, Kk, Km)
        _add_inverse(parents, between, levels_of(work.N, s.to[j, m, N_AT], L, K, Km), YN[k], False)
        _add_inverse(parents, between, h, YN[m], True)
    if len(s.S):
        starts = pairs_of(s, j)[0]
        maps = s.maps[s.to[j, k, MAPS_AT] : s.to[j, k, MAPS_AT] + starts[L]]
        _add_pairs(starts, maps, coupling_of(s, C, k), coupling_of(s, work.C, j), h, YN[k], Y)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_inverse(parents: Ints, P: Array, h: Array, Y: Array, transpose: bool) -> None:
    """Y += P h' or P'h' with each level's parent."""
    (L, K, m), n = h.shape, P.shape[1] if not transpose else P.shape[2]
    if K == 1 and m == 1 and n == 1:
        for level in range(L):
            Y[level, 0, 0] += P[parents[level], 0, 0] * h[level, 0, 0]
        return
    for level in range(L):
        parent = parents[level]
        for b in range(n):
            for a in range(K):
                total = 0.0
                for c in range(m):
                    value = P[parent, c, b] if transpose else P[parent, b, c]
                    total += value * h[level, a, c]
                Y[level, b, a] += total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_pairs(starts: Ints, maps: Ints, P: Array, C: Array, h: Array, YN: Array, Y: Array) -> None:
    """The blocks between parents and trailing columns, P (K', pairs of the parents)."""
    L, K, m = h.shape
    for level in range(L):
        for pair in range(starts[level], starts[level + 1]):
            for b in range(m):
                value = P[b, maps[pair]]
                for a in range(K):
                    YN[level, b, a] += value * C[a, pair]
                    Y[a, pair] += value * h[level, a, b]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_products(h: Array, Y: Array, out: Array) -> None:
    """out += h Y by level."""
    L, K, m = h.shape
    if K == 1 and m == 1:
        for level in range(L):
            out[level, 0, 0] += h[level, 0, 0] * Y[level, 0, 0]
        return
    for level in range(L):
        for a in range(K):
            for b in range(K):
                for c in range(m):
                    out[level, a, b] += h[level, a, c] * Y[level, c, b]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_pair_products(starts: Ints, C: Array, Y: Array, out: Array) -> None:
    """out += C Y' by level."""
    K = len(C)
    for level in range(len(out)):
        for a in range(K):
            for b in range(K):
                total = 0.0
                for pair in range(starts[level], starts[level + 1]):
                    total += C[a, pair] * Y[b, pair]
                out[level, a, b] += total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _conditional_to_marginal(G: Array, blocks: Array, out: Array) -> None:
    """blocks = G'(I + blocks)G; out += I less them."""
    L, K = G.shape[0], G.shape[1]
    if K == 1:
        total, x, g = 0.0, blocks.reshape(-1), G.reshape(-1)
        for level in range(L):
            x[level] = (1.0 + x[level]) * g[level] * g[level]
            total += 1.0 - x[level]
        out[0, 0] += total
        return
    half = np.empty((K, K))
    for level in range(L):
        for a in range(K):
            for b in range(K):
                total = G[level, a, b]
                for c in range(b, K):
                    total += blocks[level, a, c] * G[level, c, b]
                half[a, b] = total
        for a in range(K):
            for b in range(K):
                total = 0.0
                for c in range(a, K):
                    total += G[level, c, a] * half[c, b]
                blocks[level, a, b] = total
                out[a, b] += (1.0 if a == b else 0.0) - total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _keep_own(T: Array, G: Array, blocks: Array, own: Array) -> Array:
    """own = T blocks T'; returns TG' by level."""
    L, K = G.shape[0], G.shape[1]
    TG = np.zeros((L, K, K))
    for level in range(L):
        for a in range(K):
            for b in range(K):
                for c in range(a + 1):
                    TG[level, a, b] += T[a, c] * G[level, b, c]
                    for d in range(b + 1):
                        own[level, a, b] += T[a, c] * blocks[level, c, d] * T[b, d]
    return TG


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _keep_parents(TG: Array, Y: Array, out: Array) -> None:
    """out = −TG'(h P)."""
    L, K, m = out.shape
    for level in range(L):
        for a in range(K):
            for b in range(m):
                total = 0.0
                for c in range(K):
                    total += TG[level, a, c] * Y[level, b, c]
                out[level, a, b] = -total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _keep_pairs(TG: Array, starts: Ints, Y: Array, out: Array) -> None:
    """The same at the pairs."""
    K = len(Y)
    for level in range(len(TG)):
        for pair in range(starts[level], starts[level + 1]):
            for a in range(K):
                total = 0.0
                for c in range(K):
                    total += TG[level, a, c] * Y[c, pair]
                out[a, pair] = -total
