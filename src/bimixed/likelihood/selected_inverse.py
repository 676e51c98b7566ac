"""The blocks of Z'V⁻¹Z and of P = H − H Z'V⁻¹Z H that derivatives and conditional sds need.

A backward pass over the factorization (Takahashi, Fagan and Chen 1973, for blocks): the trailing
part's P comes first, and each chain factor's follows from those after it, at the places where its
coupling isn't zero and nowhere else.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bimixed.covariance import Array
from bimixed.likelihood.factorization import ChainStep, Couplings, Factorization
from bimixed.likelihood.small import at_rows
from bimixed.likelihood.trailing import inverse_if_regular


@dataclass(frozen=True)
class SelectedInverse:
    """Blocks by place of the factor in the design; each made when it is asked for.

    Attributes
    ----------
    factorization : Factorization
    gamma : dict of (K, K) arrays
        Sum over levels of the diagonal blocks of Z'V⁻¹Z: the derivative of log |V| in H.
    P : dict of (L, K, K) arrays
        Covariance of each level's effects given y, β and θ, in units of σ².
    """

    factorization: Factorization

    @cached_property
    def gamma(self) -> dict[int, Array]:
        """By place, (K, K) each."""
        traces = _gamma_by_traces(self.factorization)
        return self._blocks[0] if traces is None else traces

    @property
    def P(self) -> dict[int, Array]:
        """By place, (L, K, K) each."""
        return self._blocks[1]

    @cached_property
    def _blocks(self) -> tuple[dict[int, Array], dict[int, Array]]:
        return _walk_back(self.factorization)


@dataclass(frozen=True)
class _Later:
    """P between one chain factor and those after it: parents (L, K, K'), trailing (pairs, K)."""

    diagonal: Array
    parents: list[Array]
    pairs: Array


def _gamma_by_traces(fact: Factorization) -> dict[int, Array] | None:
    """Γ where one factor of single coefficients is eliminated before crossed ones; else None.

    Its sum over levels needs no level's own P: with c = GT'C the scaled couplings,
    Σ_l G_l²(1 + c_l P c_l') = Σ_l G_l² + Σ_l G_l² c_l P c_l', one pass over the pairs more.
    """
    trailing = fact.trailing
    single = len(fact.steps) == 1 and all(len(T) == 1 for T in fact.T)
    if trailing is None or not single or any(inverse_if_regular(T) is None for T in fact.T):
        return None
    (step,) = fact.steps
    gamma = {f.place: trailing.gamma(f) for f in fact.cp.trailing}
    G, t = step.G[:, 0, 0], step.T[0, 0]
    inside = float(np.sum(G * G)) + trailing.weighted_inner(step.factor.pairs, step.scaled_couplings.C, G * G)
    gamma[step.factor.place] = np.array([[(step.factor.n_levels - inside) / t**2]])
    return gamma


def _walk_back(fact: Factorization) -> tuple[dict[int, Array], dict[int, Array]]:
    """Γ and P of every factor."""
    gamma: dict[int, Array] = {}
    P: dict[int, Array] = {}
    if fact.trailing is not None:
        for f in fact.cp.trailing:
            gamma[f.place] = fact.trailing.gamma(f)
            P[f.place] = fact.trailing.blocks(f)
    later: dict[int, _Later] = {}
    for j in reversed(range(len(fact.steps))):
        step = fact.steps[j]
        scaled = step.scaled_couplings
        t_parents, t_pairs = _coupled_with_later(fact, j, scaled, later)
        quad = _quadratic(step, scaled, t_parents, t_pairs)
        place = step.factor.place
        W = step.T @ np.swapaxes(step.G, 1, 2)
        P[place] = W @ (np.eye(W.shape[1]) + quad) @ np.swapaxes(W, 1, 2)
        gamma[place] = _chain_gamma(fact, j, quad, later)
        if j > 0:
            later[j] = _Later(
                P[place],
                [-W @ t for t in t_parents],
                -at_rows(W, step.factor.pairs.rows, t_pairs),
            )
    return gamma, P


def _chain_gamma(fact: Factorization, j: int, quad: Array, later: dict[int, _Later]) -> Array:
    """Sum of the diagonal blocks of Z'V⁻¹Z; quad is that of the scaled couplings."""
    step = fact.steps[j]
    eye = np.eye(step.A.shape[1])
    T_inverse = inverse_if_regular(step.T)
    if T_inverse is not None:
        # H⁻¹ − H⁻¹PH⁻¹ with P = TG'(I + quad)GT'
        inside = np.swapaxes(step.G, 1, 2) @ (eye + quad) @ step.G
        blocks = step.factor.n_levels * eye - inside.sum(axis=0)
        return T_inverse.T @ blocks @ T_inverse
    # a singular T can't be divided out: (I + AH)⁻¹[A − quad of the plain couplings (I + HA)⁻¹]
    plain = step.couplings
    quad = _quadratic(step, plain, *_coupled_with_later(fact, j, plain, later))
    shrink = eye - step.A @ step.unscaled(step.scaled(np.broadcast_to(eye, step.A.shape)))
    return (shrink @ (step.A - quad @ np.swapaxes(shrink, 1, 2))).sum(axis=0)


def _coupled_with_later(
    fact: Factorization, j: int, couplings: Couplings, later: dict[int, _Later]
) -> tuple[list[Array], Array]:
    """(coupling of step j to all later effects) · P of those, where it isn't zero."""
    step = fact.steps[j]
    factor = step.factor
    n_later = len(factor.parents)
    t_parents = []
    t_pairs = np.zeros_like(couplings.C)
    if fact.trailing is not None:
        t_pairs = fact.trailing.product(factor.pairs, couplings.C)
    for i in range(n_later):
        parent = factor.parents[i]
        state = later[j + 1 + i]
        t = couplings.N[i] @ state.diagonal[parent]
        for m in range(n_later):
            if m < i:  # P between the two is stored with the earlier one
                between = later[j + 1 + m].parents[i - m - 1][factor.parents[m]]
                t = t + couplings.N[m] @ between
            elif m > i:
                between = state.parents[m - i - 1][parent]
                t = t + couplings.N[m] @ np.swapaxes(between, 1, 2)
        if fact.width:
            P_pairs = state.pairs[factor.maps[i]]  # (pairs, K') at this factor's pairs
            products = couplings.C[:, :, None] * P_pairs[:, None, :]
            t = t + factor.pairs.by_level(products)
            t_pairs = t_pairs + at_rows(couplings.N[i], factor.pairs.rows, P_pairs)
        t_parents.append(t)
    return t_parents, t_pairs


def _quadratic(step: ChainStep, couplings: Couplings, t_parents: list[Array], t_pairs: Array) -> Array:
    """coupling · P · its transpose by level, (L, K, K)."""
    quad = np.zeros_like(step.A)
    for t, N in zip(t_parents, couplings.N, strict=True):
        quad += t @ np.swapaxes(N, 1, 2)
    if len(couplings.C):
        quad += step.factor.pairs.by_level(t_pairs[:, :, None] * couplings.C[:, None, :])
    return quad
