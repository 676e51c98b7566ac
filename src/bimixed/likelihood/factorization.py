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
from bimixed.likelihood.small import inverse_and_log_det, sum_by

DENSE_SHARE = 0.1
"""Couplings filled beyond this share are multiplied as dense matrices, which is faster there."""
CHUNK = 4_000_000
"""Numbers in the largest temporary of a product that is only needed at some places."""
INVERTIBLE = 1e3
"""Largest norm of T⁻¹ with which the inverse of the trailing part gives accurate derivatives."""


@dataclass(frozen=True)
class ChainStep:
    """A chain factor at the moment it is eliminated: its cross-products given those before it.

    A (L, K, K), N (to each later chain factor), C (pairs, K), Phi (L, K, K).
    """

    factor: ChainFactor
    A: Array
    N: list[Array]
    C: Array
    Phi: Array


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

    def solve(self, chain: Sequence[Array], trailing: Array) -> tuple[list[Array], Array]:
        """P times a right side in the space of the random effects.

        Parameters
        ----------
        chain : list of (L, K, r) arrays, by chain factor
        trailing : (q, r) array

        Returns
        -------
        list of (L, K, r) arrays, (q, r) array
            For the right side Z'WR: the predictors B.
        """
        chain, trailing = list(chain), trailing.copy()
        for j, step in enumerate(self.steps):
            F = step.Phi @ chain[j]
            for i, (parent, N) in enumerate(zip(step.factor.parents, step.N, strict=True)):
                k = j + 1 + i
                update = np.swapaxes(N, 1, 2) @ F
                chain[k] = chain[k] - sum_by(parent, update, self.steps[k].factor.n_levels)
            if self.width:
                trailing -= _coupling(step, self.width).T @ F.reshape(-1, F.shape[2])
        B_trailing = self._solve_trailing(trailing)
        B: list[Array] = [np.empty(0)] * len(self.steps)
        for j in reversed(range(len(self.steps))):
            step = self.steps[j]
            right = chain[j]
            if self.width:
                right = right - (_coupling(step, self.width) @ B_trailing).reshape(right.shape)
            for i, (parent, N) in enumerate(zip(step.factor.parents, step.N, strict=True)):
                right = right - N @ B[j + 1 + i][parent]
            B[j] = step.Phi @ right
        return B, B_trailing

    @property
    def width(self) -> int:
        """Columns of the trailing part."""
        return len(self.S)

    def _solve_trailing(self, right: Array) -> Array:
        if self.width == 0:
            return right
        scaled = scale_trailing(self.cp.trailing, self.T, right, transpose=True)
        solved = scipy.linalg.cho_solve((self.chol, True), scaled, check_finite=False)
        return scale_trailing(self.cp.trailing, self.T, solved)


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
        D_inverse, step_log_det = inverse_and_log_det(D)
        log_det += step_log_det
        Phi = Tj @ D_inverse @ Tj.T
        step = ChainStep(factor, A[j], N[j], C[j], Phi)
        steps.append(step)
        PhiC = np.einsum("pab,pb->pa", Phi[factor.rows], C[j])
        for i, parent in enumerate(factor.parents):
            k = j + 1 + i
            levels = cp.chain[k].n_levels
            NPhi = np.swapaxes(N[j][i], 1, 2) @ Phi
            A[k] = A[k] - sum_by(parent, NPhi @ N[j][i], levels)
            for m in range(i + 1, len(factor.parents)):
                N[k][m - i - 1] = N[k][m - i - 1] - sum_by(parent, NPhi @ N[j][m], levels)
            if width:
                update = np.einsum("pba,pb->pa", N[j][i][factor.rows], PhiC)
                C[k] = C[k] - sum_by(factor.maps[i], update, len(C[k]))
        if width:
            S = S - gram(factor, C[j], PhiC, width)
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
    """C as a sparse matrix, (L·K, q)."""
    return coupling_matrix(step.factor, step.C, width)


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


def gram(factor: ChainFactor, left: Array, right: Array, width: int) -> Array:
    """Sum over levels of left'right, two sets of values on the factor's pairs; (width, width)."""
    a = coupling_matrix(factor, left, width)
    b = coupling_matrix(factor, right, width)
    if a.nnz > DENSE_SHARE * a.shape[0] * width:
        return a.toarray().T @ b.toarray()
    return sp.csr_array(a.T @ b).toarray()


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
