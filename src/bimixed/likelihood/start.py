"""Where the search begins: variances by moments.

With e the least-squares residuals, E[D Z_a'ee'Z_a D] is linear in the variances of all coefficients and in
σ², for any weights D; what the fixed effects took of e is left aside. D = (I + Z'WZ/10)⁻¹ by level keeps
large levels from deciding everything. Solving these is a method of moments like MINQUE (Rao 1971), good
enough to begin with. Covariates are of mean square 1 and uncorrelated.
"""

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from bimixed import dense
from bimixed.covariance import Array
from bimixed.crossproducts import ChainFactor, CrossProducts

SMALLEST, LARGEST = 0.01, 100.0
"""Relative variances, in units of the covariates, that the search starts between."""
PRIOR = 0.1
"""Relative variance that the weights suppose."""


def moment_start(cp: CrossProducts) -> list[Array]:
    """Relative factors T by place."""
    left, right = _Equations(cp).system()
    size = np.sqrt(np.maximum(np.diag(left), 1e-300))
    found = _solve(left / size[:, None] / size, right / size) / size
    sigma2 = found[-1] if found[-1] > 0 else cp.RR[-1, -1] / cp.n
    factors, start = [], 0
    for template in cp.templates:
        H = template.factor(found[start : start + template.n_theta] / sigma2)
        start += template.n_theta
        T = np.zeros_like(H)
        for block in template.sub_blocks():
            T[block, block] = _bounded_factor(H[block, block])
        factors.append(T)
    return factors


class _Equations:
    """Left and right sides of the moment equations; unknowns are the entries of H by place, then σ²."""

    def __init__(self, cp: CrossProducts):
        self.cp = cp = _without_absorbed(cp)
        templates = cp.templates
        starts = np.cumsum([0, *(t.n_theta for t in templates)])
        self.here = [slice(starts[j], starts[j + 1]) for j in range(len(templates))]
        self.diagonal = [starts[j] + np.flatnonzero(t.is_diagonal) for j, t in enumerate(templates)]
        """Unknowns that are variances, by coefficient."""
        self.left = np.zeros((starts[-1] + 1, starts[-1] + 1))
        self.right = np.zeros(starts[-1] + 1)

    def system(self) -> tuple[Array, Array]:
        cp = self.cp
        self.left[-1, -1], self.right[-1] = cp.n, cp.RR[-1, -1]
        D = [self._chain(f) for f in cp.chain]
        if cp.trailing:
            self._trailing(D)
        for j, f in enumerate(cp.chain):
            for i, (parent, N) in enumerate(zip(f.parents, f.N, strict=True)):
                other = cp.chain[j + 1 + i]
                own, its = self.diagonal[f.place], self.diagonal[other.place]
                squares = N * N
                self.left[np.ix_(own, its)] += (D[j][:, :, None] * squares).sum(axis=0)
                self.left[np.ix_(its, own)] += (D[j + 1 + i][parent][:, None, :] * squares).sum(axis=0).T
        return self.left, self.right

    def _chain(self, f: ChainFactor) -> Array:
        """Equations of a chain factor by itself; returns the squared weights (L, K)."""
        A, here, own = f.A, self.here[f.place], self.diagonal[f.place]
        rows, cols = f.template.positions
        K = A.shape[-1]
        D = _inverse(np.eye(K) + PRIOR * A)
        Y = D @ A
        z = (D @ f.ZR[:, :, -1:])[:, :, 0]
        flat = Y.reshape(len(Y), -1)
        products = dense.gram(flat).reshape(K, K, K, K)  # [r, a, c, b]
        both = products[rows[:, None], rows, cols[:, None], cols]
        mirrored = products[rows[:, None], cols, cols[:, None], rows]
        self.left[here, here] += both + mirrored * (rows != cols)
        self.left[here, -1] += np.einsum("lab,lbc->ac", Y, D)[rows, cols]
        self.right[here] += dense.gram(z)[rows, cols]
        self.left[-1, own] += A.sum(axis=0).diagonal()
        return np.diagonal(D, axis1=1, axis2=2) ** 2

    def _trailing(self, chain_weights: list[Array]) -> None:
        """Equations of the trailing factors' variances, and their couplings."""
        cp, size = self.cp, len(self.right)
        unknown = np.zeros(len(cp.ZR), dtype=np.intp)
        for t in cp.trailing:
            unknown[t.columns] = np.tile(self.diagonal[t.place], t.n_levels)
            off = np.setdiff1d(np.arange(self.here[t.place].start, self.here[t.place].stop), unknown)
            self.left[off, off] = 1.0  # covariances of trailing factors start at 0
        S = sp.coo_array(cp.S)
        row, column = S.coords
        squares = S.data**2
        diagonal = cp.S.diagonal()
        weight = 1.0 / (1.0 + PRIOR * diagonal) ** 2
        cell = unknown[row] * size + unknown[column]
        self.left += np.bincount(cell, weight[row] * squares, minlength=size**2).reshape(size, size)
        self.left[:, -1] += np.bincount(unknown, weight * diagonal, minlength=size)
        self.left[-1] += np.bincount(unknown, diagonal, minlength=size)
        self.right += np.bincount(unknown, weight * cp.ZR[:, -1] ** 2, minlength=size)
        for f, D in zip(cp.chain, chain_weights, strict=True):
            its = unknown[f.pairs.columns]
            for a, mine in enumerate(self.diagonal[f.place]):
                squares = f.C[:, a] ** 2
                self.left[mine] += np.bincount(its, D[f.pairs.rows, a] * squares, minlength=size)
                self.left[:, mine] += np.bincount(its, weight[f.pairs.columns] * squares, minlength=size)


def _without_absorbed(cp: CrossProducts) -> CrossProducts:
    """The random effects alone, with the same residuals."""
    if cp.bare is None:
        return cp
    of_chain = {f.place: f.ZR[:, :, -1:] for f in cp.chain}
    of_trailing = {t.place: cp.ZR[t.columns, -1:] for t in cp.trailing}
    sizes = {f.place: (f.n_levels, f.template.size) for f in cp.chain}
    sizes |= {t.place: (t.n_levels, t.template.size) for t in cp.trailing}
    right = {place: ZR.reshape(*sizes[place], 1) for place, ZR in {**of_chain, **of_trailing}.items()}
    parts = [right[t.place].reshape(-1, 1) for t in cp.bare.trailing]
    return replace(
        cp.bare,
        chain=tuple(replace(f, ZR=right[f.place]) for f in cp.bare.chain),
        ZR=np.concatenate(parts) if parts else cp.bare.ZR,
        RR=cp.RR[-1:, -1:],
    )


def _solve(left: Array, right: Array) -> Array:
    """The rows are scaled; those of variances that can't be told apart make the system singular."""
    try:
        found = np.linalg.solve(left, right)
    except np.linalg.LinAlgError:
        found = np.full(len(right), np.inf)
    if np.abs(found).max() < 1e8 * np.abs(right).max():
        return found
    return np.linalg.lstsq(left, right, rcond=1e-10)[0]


def _bounded_factor(lower: Array) -> Array:
    """T with TT' = H, its eigenvalues brought within bounds; H by its lower triangle."""
    if len(lower) == 1:
        return np.sqrt(np.clip(lower, SMALLEST, LARGEST))
    values, vectors = np.linalg.eigh(lower)
    half = vectors * np.sqrt(np.clip(values, SMALLEST, LARGEST))
    return np.linalg.cholesky(half @ half.T)


def _inverse(D: Array) -> Array:
    return 1.0 / D if D.shape[-1] == 1 else np.linalg.inv(D)
