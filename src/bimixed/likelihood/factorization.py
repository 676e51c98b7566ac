"""Blocked elimination of the random effects: determinant and solves.

``factorize(cross_products, factors)`` eliminates the chain factors level by level, then the trailing
ones; nothing of size n × n is ever formed. Notation stands at the head of :mod:`bimixed.likelihood`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bimixed import dense
from bimixed.covariance import Array
from bimixed.crossproducts import ChainFactor, CrossProducts
from bimixed.likelihood.small import at_rows, inverse_factor, sum_by
from bimixed.likelihood.trailing import DenseTrailing, SparseTrailing, Trailing
from bimixed.pairs import Coupling


@dataclass(frozen=True)
class Couplings:
    """Cross-products of a chain factor with those after it.

    Attributes
    ----------
    N : list of (L, K, K') arrays
        With each later chain factor, at the parent's level.
    C : (pairs, K) array
        With the trailing columns, at the factor's pairs.
    """

    N: list[Array]
    C: Array


@dataclass(frozen=True)
class ChainStep:
    """A chain factor at the moment it is eliminated, given the factors before it.

    Everything in scaled coordinates: with G the inverse Cholesky factor of D = T'AT + I, a coupling N
    enters as GT'N, whose rows are well scaled whatever T is, and Φ = (GT')'(GT').

    Attributes
    ----------
    A : (L, K, K) array
        Cross-products of each level.
    G : (L, K, K) array
    T : (K, K) array
    scaled_couplings, couplings : Couplings
        GT'N and GT'C, and N and C themselves.
    """

    factor: ChainFactor
    A: Array
    G: Array
    T: Array
    scaled_couplings: "Couplings"
    couplings: "Couplings"

    @cached_property
    def coupling(self) -> Coupling:
        """GT'C as a matrix, (L·K, q)."""
        return self.factor.pairs.operator(self.scaled_couplings.C)

    def scaled(self, right: Array) -> Array:
        """GT' times (L, K, r)."""
        return self.G @ (self.T.T @ right)

    def unscaled(self, half: Array) -> Array:
        """TG' times (L, K, r)."""
        return self.T @ (np.swapaxes(self.G, 1, 2) @ half)


@dataclass(frozen=True)
class Factorization:
    """Everything about one θ that doesn't depend on fixed effects or response.

    Attributes
    ----------
    cp : CrossProducts
    T : list of (K, K) arrays
        Relative Cholesky factors, in the design's order of factors.
    steps : tuple of ChainStep
    trailing : Trailing or None
    log_det : float
        log |WV|.
    """

    cp: CrossProducts
    T: list[Array]
    steps: tuple[ChainStep, ...]
    trailing: Trailing | None
    log_det: float

    def solve(self, chain: Sequence[Array], trailing: Array) -> "Solution":
        """P times a right side in the space of the random effects.

        Parameters
        ----------
        chain : list of (L, K, r) arrays, by chain factor
        trailing : (q, r) array

        Returns
        -------
        Solution
            For the right side Z'WR: the predictors B, and as quadratic R'WR − R'V⁻¹R.
        """
        chain = list(chain)
        halves: list[Array] = []
        for j, step in enumerate(self.steps):
            half = step.scaled(chain[j])
            halves.append(half)
            for i, (parent, N) in enumerate(zip(step.factor.parents, step.scaled_couplings.N, strict=True)):
                k = j + 1 + i
                update = np.swapaxes(N, 1, 2) @ half
                chain[k] = chain[k] - sum_by(parent, update, self.steps[k].factor.n_levels)
            if self.width:
                flat = half.reshape(-1, half.shape[2])
                trailing = trailing - step.coupling.transposed_times(flat)
        B_trailing, half_trailing = trailing, trailing
        if self.trailing is not None:
            B_trailing, half_trailing = self.trailing.solve(trailing)
        forward = [h.reshape(-1, h.shape[2]) for h in halves]
        return Solution(self._back(halves, B_trailing), B_trailing, [*forward, half_trailing])

    def sample(self, chain: Sequence[Array], trailing: Array) -> tuple[list[Array], Array]:
        """Draws of the random effects given y, β and θ less their mean, in units of σ: covariance P.

        Parameters
        ----------
        chain : list of (L, K, r) arrays, by chain factor
        trailing : (q, r) array
            Independent standard normal numbers.

        Returns
        -------
        list of (L, K, r) arrays
            By chain factor.
        (q, r) array
            Of the trailing factors.
        """
        drawn = trailing if self.trailing is None else self.trailing.back(trailing)
        return self._back(list(chain), drawn), drawn

    def _back(self, halves: Sequence[Array], B_trailing: Array) -> list[Array]:
        """Back substitution through the chain."""
        B: list[Array] = [np.empty(0)] * len(self.steps)
        for j in reversed(range(len(self.steps))):
            step, half = self.steps[j], halves[j]
            if self.width:
                half = half - step.coupling.times(B_trailing).reshape(half.shape)
            for i, (parent, N) in enumerate(zip(step.factor.parents, step.scaled_couplings.N, strict=True)):
                half = half - N @ B[j + 1 + i][parent]
            B[j] = step.unscaled(half)
        return B

    @cached_property
    def across(self) -> list[Array]:
        """P of the chain factors' effects with all of a dense trailing part, (L·K, q) each."""
        if not isinstance(self.trailing, DenseTrailing):
            raise AssertionError("the trailing part isn't dense")
        found: list[Array] = [np.empty(0)] * len(self.steps)
        for j in reversed(range(len(self.steps))):
            step = self.steps[j]
            half = step.coupling.times(self.trailing.P).reshape(*step.A.shape[:2], self.width)
            for i, (parent, N) in enumerate(zip(step.factor.parents, step.scaled_couplings.N, strict=True)):
                later = found[j + 1 + i].reshape(-1, N.shape[2], self.width)
                half = half + N @ later[parent]
            found[j] = -step.unscaled(half).reshape(-1, self.width)
        return found

    @property
    def width(self) -> int:
        """Columns of the trailing part."""
        return self.cp.width


@dataclass(frozen=True)
class Solution:
    """P times a right side, right.

    Attributes
    ----------
    chain : list of (L, K, r) arrays
        By chain factor.
    trailing : (q, r) array
    halves : list of (·, r) arrays
        Their squares add up to right'·P·right.
    """

    chain: list[Array]
    trailing: Array
    halves: list[Array]

    @property
    def quadratic(self) -> Array:
        """right'·P·right, (r, r)."""
        return np.asarray(sum(dense.gram(half) for half in self.halves))

    @property
    def squares(self) -> Array:
        """The diagonal of that, (r,)."""
        return np.asarray(sum(np.einsum("qr,qr->r", half, half) for half in self.halves))


def factorize(cp: CrossProducts, T: Sequence[Array]) -> Factorization:
    """Eliminate all random effects.

    Parameters
    ----------
    cp : CrossProducts
    T : sequence of (K, K) arrays
        Lower triangular relative factors by place in the design; may be singular.
    """
    T = list(T)
    A = [f.A for f in cp.chain]
    N = [list(f.N) for f in cp.chain]
    C = [f.C for f in cp.chain]
    width, log_det = cp.width, 0.0
    S = cp.dense_S() if cp.analysis is None else np.array(cp.S_lower)
    steps = []
    for j, factor in enumerate(cp.chain):
        Tj = T[factor.place]
        D = Tj.T @ A[j] @ Tj
        D[:, range(len(Tj)), range(len(Tj))] += factor.template.ridge
        if factor.template.fixed and not (D > 0.0).all():
            raise np.linalg.LinAlgError("rounding left nothing of an absorbed column")
        G, log_dets = inverse_factor(D)
        log_det += float(log_dets.sum())
        half_N = [G @ (Tj.T @ n) for n in N[j]]
        half_C = at_rows(G, factor.pairs.rows, dense.product(C[j], Tj))
        scaled, plain = Couplings(half_N, half_C), Couplings(N[j], C[j])
        steps.append(ChainStep(factor, A[j], G, Tj, scaled, plain))
        for i, parent in enumerate(factor.parents):
            k = j + 1 + i
            levels = cp.chain[k].n_levels
            transposed = np.swapaxes(half_N[i], 1, 2)
            A[k] = A[k] - sum_by(parent, transposed @ half_N[i], levels)
            for m in range(i + 1, len(factor.parents)):
                N[k][m - i - 1] = N[k][m - i - 1] - sum_by(parent, transposed @ half_N[m], levels)
            if width:
                update = at_rows(np.swapaxes(half_N[i], 1, 2), factor.pairs.rows, half_C)
                C[k] = C[k] - sum_by(factor.maps[i], update, len(C[k]))
        if cp.analysis is not None:
            factor.pairs.subtract_gram_on(cp.analysis, half_C, S)
        elif width:
            factor.pairs.subtract_gram(half_C, S)
    trailing = _trailing(cp, T, S)
    log_det += 0.0 if trailing is None else trailing.log_det
    return Factorization(cp, T, tuple(steps), trailing, log_det)


def _trailing(cp: CrossProducts, T: list[Array], S: Array) -> Trailing | None:
    if not cp.trailing:
        return None
    if cp.analysis is not None:
        return SparseTrailing.of(cp, cp.analysis, T, S)
    return DenseTrailing.of(cp, T, S)
