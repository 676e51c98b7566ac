"""Covariances that no row shows: which entries, effects and new rows depend on them."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.design import LevelRows

NOTHING = 1e-5
"""Share of a direction, or of what it can do to an effect, below which it is rounding."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Undetermined:
    """Covariances of one group's coefficients that give every response the same distribution.

    They are Σ + Σ_i t_i M D_i M' with Z_l M D_i M' Z_l' = 0 for every level l.

    Attributes
    ----------
    M : (K, K) array
        Lower triangular, b = M b̃: coordinates whose covariates are of size 1 and uncorrelated.
    sizes : (K,) array
        Root mean square of each covariate.
    directions : (m, K, K) array
        D_i, an orthonormal basis.
    products : (L, K, K) array
        M'Z_l'Z_l M of each level.
    """

    M: Array
    sizes: Array
    directions: Array
    products: Array

    @property
    def dimension(self) -> int:
        """Covariance parameters that the likelihood doesn't depend on."""
        return len(self.directions)

    @property
    def entries(self) -> Bools:
        """Variances and covariances that have no estimate, (K, K)."""
        moves = self.M @ self.directions @ self.M.T * np.outer(self.sizes, self.sizes)
        largest = np.abs(moves).max(axis=(1, 2), keepdims=True)
        return np.asarray((np.abs(moves) > NOTHING * largest).any(axis=0))

    @property
    def effects(self) -> Bools:
        """Conditional expectations that depend on what isn't determined, (L, K).

        They are Σ Z_l' V⁻¹(y − Xβ), of which V isn't concerned: ‖Z_l M D_i M' e_k‖ tells.
        """
        moved = self.directions @ self.M.T  # (m, K, coefficient)
        squares = np.einsum("iak,ibk->kab", moved, moved)
        K = len(self.M)
        reach = self.products.reshape(-1, K * K) @ squares.reshape(K, K * K).T
        possible = np.outer(np.einsum("lkk->l", self.products), np.einsum("ka,ka->k", self.M, self.M))
        return np.asarray(reach > NOTHING**2 * possible)

    @property
    def spreads(self) -> Bools:
        """Conditional variances that depend on it, (L, K); without rows they are the variance itself."""
        return np.asarray(self.effects | np.diag(self.entries))

    def combinations(self, Z: sp.csr_array) -> Bools:
        """Which linear combinations of effects, (m, L·K), or their variances depend on it, (m,)."""
        entries, K = Z.tocoo(), len(self.M)
        row, column = entries.coords
        pairs, which = np.unique(np.column_stack([row, column // K]), axis=0, return_inverse=True)
        values = np.zeros((len(pairs), K))
        values[which.ravel(), column % K] = entries.data
        found = np.zeros(Z.shape[0], dtype=bool)
        rows = LevelRows(pairs[:, 1], values, len(self.products))
        found[pairs[self.rows(rows) | self.row_spreads(rows), 0]] = True
        return found

    def rows(self, rows: LevelRows) -> Bools:
        """Rows of known levels whose expectation depends on it, (m,)."""
        found = np.zeros(len(rows.codes), dtype=bool)
        values = rows.values @ self.M
        sizes = np.einsum("mk,mk->m", values, values)
        known = rows.codes >= 0
        own = self.products[rows.codes[known]]
        possible = sizes[known] * np.einsum("mkk->m", own)
        for D in self.directions:
            moved = values @ D
            reach = np.einsum("ma,mab,mb->m", moved[known], own, moved[known])
            found[known] |= reach > NOTHING**2 * possible
        return found

    def row_spreads(self, rows: LevelRows) -> Bools:
        """Rows whose variance over levels, z'Σz, depends on it, (m,); that of the model's rows never does."""
        values = rows.values @ self.M
        sizes = np.einsum("mk,mk->m", values, values)
        moves = np.abs(np.einsum("mk,dkj,mj->dm", values, self.directions, values))
        return np.asarray((moves > NOTHING * sizes).any(axis=0))
