"""Blocked elimination of the random effects: determinant, solves, and the selected inverse.

``factorize(cross_products, factors)`` eliminates the chain factors level by level and the trailing
ones as one dense matrix; nothing of size n × n, or of the number of effects squared beyond the
trailing part, is ever formed. Notation stands at the head of :mod:`bimixed.likelihood`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from bimixed.covariance import Array
from bimixed.crossproducts import ChainFactor, CrossProducts, TrailingFactor
from bimixed.likelihood.small import inverse_factor, sum_by

DENSE_SHARE = 0.1
"""Couplings filled beyond this share are multiplied as dense matrices, which is faster there."""
CHUNK = 4_000_000
"""Numbers in the largest temporary of a product that is only needed at some places."""
INVERTIBLE = 1e2
"""Largest norm of T⁻¹ with which Z'V⁻¹Z = H⁻¹ − H⁻¹PH⁻¹ is accurate; it costs the norm's square."""


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
    S : (q, q) array
        Z'V⁻¹Z of the trailing factors in the metric of the chain alone.
    chol : (q, q) array
        Lower Cholesky factor of T'ST + I.
    log_det : float
        log |WV|.
    """

    cp: CrossProducts
    T: list[Array]
    steps: tuple[ChainStep, ...]
    S: Array
    chol: Array
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
                trailing = trailing - _coupling(step, self.width).T @ flat
        B_trailing, half_trailing = self._solve_trailing(trailing)
        forward = [h.reshape(-1, h.shape[2]) for h in halves]
        B: list[Array] = [np.empty(0)] * len(self.steps)
        for j in reversed(range(len(self.steps))):
            step, half = self.steps[j], halves[j]
            if self.width:
                half = half - (_coupling(step, self.width) @ B_trailing).reshape(half.shape)
            for i, (parent, N) in enumerate(zip(step.factor.parents, step.scaled_couplings.N, strict=True)):
                half = half - N @ B[j + 1 + i][parent]
            B[j] = step.unscaled(half)
        return Solution(B, B_trailing, [*forward, half_trailing])

    @property
    def width(self) -> int:
        """Columns of the trailing part."""
        return len(self.S)

    def _solve_trailing(self, right: Array) -> tuple[Array, Array]:
        """P times the right side, and the half of it whose square is the reduction."""
        if self.width == 0:
            return right, right
        scaled = scale_trailing(self.cp.trailing, self.T, right, transpose=True)
        half = scipy.linalg.solve_triangular(self.chol, scaled, lower=True, check_finite=False)
        solved = scipy.linalg.solve_triangular(self.chol, half, lower=True, trans=1, check_finite=False)
        return scale_trailing(self.cp.trailing, self.T, solved), half


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
        return np.asarray(sum(half.T @ half for half in self.halves))

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
    S, width, log_det = cp.S, len(cp.S), 0.0
    steps = []
    for j, factor in enumerate(cp.chain):
        Tj = T[factor.place]
        D = Tj.T @ A[j] @ Tj
        D[:, range(len(Tj)), range(len(Tj))] += 1.0
        G, log_dets = inverse_factor(D)
        log_det += float(log_dets.sum())
        half_N = [G @ (Tj.T @ n) for n in N[j]]
        half_C = np.einsum("pab,pb->pa", G[factor.rows], C[j] @ Tj)
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
                update = np.einsum("pba,pb->pa", half_N[i][factor.rows], half_C)
                C[k] = C[k] - sum_by(factor.maps[i], update, len(C[k]))
        if width:
            S = S - gram(factor, half_C, width)
    chol, trailing_log_det = _factor_trailing(cp.trailing, T, S)
    return Factorization(cp, T, tuple(steps), S, chol, log_det + trailing_log_det)


def _factor_trailing(trailing: Sequence[TrailingFactor], T: Sequence[Array], S: Array) -> tuple[Array, float]:
    if not trailing:
        return np.zeros((0, 0)), 0.0
    M = scale_trailing(trailing, T, S, transpose=True)
    M = scale_trailing(trailing, T, M.T, transpose=True)
    M[np.diag_indices_from(M)] += 1.0
    chol = scipy.linalg.cholesky(M, lower=True, overwrite_a=True, check_finite=False)
    return chol, 2.0 * float(np.sum(np.log(np.diag(chol))))


def scale_trailing(
    trailing: Sequence[TrailingFactor], T: Sequence[Array], M: Array, transpose: bool = False
) -> Array:
    """Λ M, or Λ' M, with Λ the block-diagonal factor of the trailing effects; M is (q, r)."""
    out = np.empty_like(M)
    for f in trailing:
        Tf = T[f.place].T if transpose else T[f.place]
        block = M[f.columns]
        if f.template.size == 1:
            out[f.columns] = Tf[0, 0] * block
        else:
            by_level = block.reshape(f.n_levels, f.template.size, -1)
            out[f.columns] = (Tf @ by_level).reshape(block.shape)
    return out


def _coupling(step: ChainStep, width: int) -> sp.csr_array:
    """GT'C as a sparse matrix, (L·K, q)."""
    return coupling_matrix(step.factor, step.scaled_couplings.C, width)


def coupling_matrix(factor: ChainFactor, values: Array, width: int) -> sp.csr_array:
    """Values of pairs (pairs, K) as a sparse matrix (L·K, width)."""
    L, K = factor.n_levels, values.shape[1]
    per_row = np.bincount(factor.rows, minlength=L)
    if K == 1:
        indptr = np.concatenate([[0], np.cumsum(per_row)])
        return sp.csr_array((values[:, 0], factor.columns, indptr), shape=(L, width))
    starts = np.concatenate([[0], np.cumsum(per_row)])[:-1]
    within = np.arange(len(factor.rows)) - starts[factor.rows]
    indptr = np.concatenate([[0], np.cumsum(np.repeat(per_row, K))])
    data = np.empty(len(factor.rows) * K)
    columns = np.empty(len(factor.rows) * K, dtype=np.intp)
    for a in range(K):
        place = indptr[factor.rows * K + a] + within
        data[place], columns[place] = values[:, a], factor.columns
    return sp.csr_array((data, columns, indptr), shape=(L * K, width))


def gram(factor: ChainFactor, values: Array, width: int) -> Array:
    """Sum over levels of the coupling's square, values on the factor's pairs; (width, width)."""
    a = coupling_matrix(factor, values, width)
    if a.nnz > DENSE_SHARE * a.shape[0] * width:
        dense = a.toarray()
        return dense.T @ dense
    return sp.csr_array(a.T @ a).toarray()


def product_at_pairs(factor: ChainFactor, values: Array, M: Array) -> Array:
    """(coupling · M) at the factor's pairs only, (pairs, K); M is (width, width).

    The full product is made a stretch of levels at a time, so that memory stays bounded.
    """
    width, K = len(M), values.shape[1]
    out = np.empty_like(values)
    starts = np.concatenate([[0], np.cumsum(np.bincount(factor.rows, minlength=factor.n_levels))])
    step = max(1, CHUNK // max(width, 1))
    for a in range(K):
        sparse = sp.csr_array((values[:, a], factor.columns, starts), shape=(factor.n_levels, width))
        dense_is_faster = sparse.nnz > DENSE_SHARE * factor.n_levels * width
        for first in range(0, factor.n_levels, step):
            last = min(first + step, factor.n_levels)
            here = slice(starts[first], starts[last])
            part = sparse[first:last]
            full = part.toarray() @ M if dense_is_faster else part @ M
            out[here, a] = full[factor.rows[here] - first, factor.columns[here]]
    return out


def inverse_if_regular(T: Array) -> Array | None:
    """T⁻¹, or None where T is (nearly) singular and the formulas that need it lose too many digits."""
    try:
        inverse = np.linalg.inv(T)
    except np.linalg.LinAlgError:
        return None
    return inverse if np.linalg.norm(inverse) < INVERTIBLE else None
