"""The blocks of Z'V⁻¹Z and of P = H − H Z'V⁻¹Z H that derivatives and conditional sds need.

A backward pass over the factorization (Takahashi, Fagan and Chen 1973, for blocks): the trailing
part's P is dense, and each chain factor's follows from those after it, at the places where its
coupling isn't zero and nowhere else.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from bimixed.covariance import Array
from bimixed.crossproducts import TrailingFactor
from bimixed.likelihood.factorization import (
    INVERTIBLE,
    ChainStep,
    Factorization,
    product_at_pairs,
    scale_trailing,
)


@dataclass(frozen=True)
class SelectedInverse:
    """Blocks by place of the factor in the design.

    Attributes
    ----------
    gamma : dict of (K, K) arrays
        Sum over levels of the diagonal blocks of Z'V⁻¹Z: the derivative of log |V| in H.
    P : dict of (L, K, K) arrays
        Covariance of each level's effects given y, β and θ, in units of σ².
    """

    gamma: dict[int, Array]
    P: dict[int, Array]


@dataclass(frozen=True)
class _Later:
    """P between one chain factor and those after it: parents (L, K, K'), trailing (pairs, K)."""

    diagonal: Array
    parents: list[Array]
    pairs: Array


def selected_inverse(fact: Factorization) -> SelectedInverse:
    """Walk back through the elimination."""
    gamma: dict[int, Array] = {}
    P: dict[int, Array] = {}
    P_trailing = _trailing_covariance(fact)
    for f in fact.cp.trailing:
        gamma[f.place] = _trailing_gamma(fact, f, P_trailing)
        P[f.place] = _diagonal_blocks(P_trailing, f)
    later: dict[int, _Later] = {}
    for j in reversed(range(len(fact.steps))):
        step = fact.steps[j]
        t_parents, t_pairs = _coupled_with_later(fact, j, later, P_trailing)
        quad = _quadratic(step, t_parents, t_pairs)
        # (I + A H)⁻¹ = I − AΦ turns both into the blocks of Z'V⁻¹Z and of P
        shrink = np.eye(step.A.shape[1]) - step.A @ step.Phi
        blocks = shrink @ (step.A - quad @ np.swapaxes(shrink, 1, 2))
        place = step.factor.place
        gamma[place] = blocks.sum(axis=0)
        P[place] = step.Phi + step.Phi @ quad @ step.Phi
        if j > 0:
            later[j] = _Later(
                P[place],
                [-step.Phi @ t for t in t_parents],
                -np.einsum("pab,pb->pa", step.Phi[step.factor.rows], t_pairs),
            )
    return SelectedInverse(gamma, P)


def _coupled_with_later(
    fact: Factorization, j: int, later: dict[int, _Later], P_trailing: Array
) -> tuple[list[Array], Array]:
    """(coupling of step j to all later effects) · P of those, where that coupling isn't zero."""
    step = fact.steps[j]
    factor = step.factor
    n_later = len(factor.parents)
    t_parents = []
    t_pairs = product_at_pairs(factor, step.C, P_trailing) if fact.width else np.zeros_like(step.C)
    for i in range(n_later):
        parent = factor.parents[i]
        state = later[j + 1 + i]
        t = step.N[i] @ state.diagonal[parent]
        for m in range(n_later):
            if m < i:  # P between the two is stored with the earlier one
                between = later[j + 1 + m].parents[i - m - 1][factor.parents[m]]
                t = t + step.N[m] @ between
            elif m > i:
                between = state.parents[m - i - 1][parent]
                t = t + step.N[m] @ np.swapaxes(between, 1, 2)
        if fact.width:
            P_pairs = state.pairs[factor.maps[i]]  # (pairs, K') at this factor's pairs
            products = step.C[:, :, None] * P_pairs[:, None, :]
            t = t + _sum_pairs(step, products)
            t_pairs = t_pairs + np.einsum("pab,pb->pa", step.N[i][factor.rows], P_pairs)
        t_parents.append(t)
    return t_parents, t_pairs


def _quadratic(step: ChainStep, t_parents: list[Array], t_pairs: Array) -> Array:
    """coupling · P · coupling' by level, (L, K, K)."""
    quad = np.zeros_like(step.A)
    for t, N in zip(t_parents, step.N, strict=True):
        quad += t @ np.swapaxes(N, 1, 2)
    if len(step.C):
        quad += _sum_pairs(step, t_pairs[:, :, None] * step.C[:, None, :])
    return quad


def _sum_pairs(step: ChainStep, products: Array) -> Array:
    """Sum over the pairs of each level."""
    L, (_, K, M) = step.factor.n_levels, products.shape
    out = np.empty((L, K, M))
    for a in range(K):
        for b in range(M):
            out[:, a, b] = np.bincount(step.factor.rows, products[:, a, b], minlength=L)
    return out


def _trailing_covariance(fact: Factorization) -> Array:
    """P of the trailing effects, Λ (Λ'SΛ + I)⁻¹ Λ'."""
    if not fact.width:
        return np.zeros((0, 0))
    inverse, info = scipy.linalg.lapack.dpotri(fact.chol, lower=1)
    if info != 0:
        raise np.linalg.LinAlgError(f"dpotri failed with {info}")
    inverse = np.tril(inverse)
    inverse += np.tril(inverse, -1).T
    half = scale_trailing(fact.cp.trailing, fact.T, inverse)
    return scale_trailing(fact.cp.trailing, fact.T, np.ascontiguousarray(half.T))


def _diagonal_blocks(M: Array, f: TrailingFactor) -> Array:
    K, L = f.template.size, f.n_levels
    rows = f.start + np.arange(L)[:, None] * K + np.arange(K)
    return M[rows[:, :, None], rows[:, None, :]]


def _trailing_gamma(fact: Factorization, f: TrailingFactor, P_trailing: Array) -> Array:
    """Sum of the diagonal blocks of Z'V⁻¹Z of one trailing factor."""
    T = fact.T[f.place]
    P = _diagonal_blocks(P_trailing, f)
    try:
        T_inverse = np.linalg.inv(T)
    except np.linalg.LinAlgError:
        T_inverse = np.full_like(T, np.inf)
    if np.linalg.norm(T_inverse) < INVERTIBLE:
        # P = H − H U H, so U = H⁻¹ − H⁻¹ P H⁻¹
        scaled = T_inverse @ P @ T_inverse.T
        return T_inverse.T @ (f.n_levels * np.eye(len(T)) - scaled.sum(axis=0)) @ T_inverse
    rows = fact.S[f.columns]
    U = _diagonal_blocks(fact.S, f).sum(axis=0)
    PS = (rows @ P_trailing).reshape(f.n_levels, len(T), -1)
    return U - np.einsum("lac,lbc->ab", PS, rows.reshape(f.n_levels, len(T), -1))
