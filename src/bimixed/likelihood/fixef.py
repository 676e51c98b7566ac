"""Covariance of the fixed effects at the optimum, absorbed ones included."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bimixed import dense
from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts
from bimixed.fixed_basis import Absorbed
from bimixed.likelihood.identification import undetermined_fixef
from bimixed.likelihood.points import At

CHUNK = 4_000_000
"""Numbers in the largest temporary."""


@dataclass(frozen=True)
class FixefCovariance:
    """σ̂²(X'V⁻¹X)⁻¹, all of it only when it is asked for.

    With γ the coefficients in the orthogonal basis, β of the basis is linear in γ, and absorbed effects are
    linear in γ plus what is unknown of them when γ is known.

    Attributes
    ----------
    n_columns : int
        Columns of X.
    kept : (rank,) int array
        Those that are independent; the others have NaN.
    at : At
    unidentified : mapping
        Place of the factor → coefficients whose variance isn't identified.
    """

    n_columns: int
    kept: NDArray[np.intp]
    at: At
    unidentified: Mapping[int, list[int]]

    @property
    def _cp(self) -> CrossProducts:
        return self.at.problem.cp

    @cached_property
    def _half(self) -> Array:
        """(rank, p) whose product with its transpose is what γ gives of the covariance."""
        cp = self._cp
        root = dense.solve_lower(self.at.root, np.eye(cp.p)).T
        own = cp.basis.linear(root)
        absorbed = cp.basis.absorbed
        if absorbed is None:
            return own
        half = np.empty((cp.rank, cp.p))
        half[absorbed.others] = own
        of_basis = self.at.full()[0].B[absorbed.place][:, 0, :-1]
        half[absorbed.columns] = -(of_basis @ root + absorbed.C @ own)
        return half

    @cached_property
    def _undetermined(self) -> NDArray[np.bool_]:
        return undetermined_fixef(self._cp, self.unidentified)

    def std_errors(self) -> Array:
        """(n_columns,)"""
        variance = np.einsum("jp,jp->j", self._half, self._half)
        absorbed = self._cp.basis.absorbed
        if absorbed is not None:
            variance[absorbed.columns] += self.at.absorbed_variance
        out = np.full(self.n_columns, np.nan)
        out[self.kept] = np.where(self._undetermined, np.nan, np.sqrt(self.at.sigma2 * variance))
        return out

    def __call__(self) -> Array:
        """(n_columns, n_columns)"""
        cov = self._half @ self._half.T
        absorbed = self._cp.basis.absorbed
        if absorbed is not None:
            cov[np.ix_(absorbed.columns, absorbed.columns)] += self._given_others(absorbed)
        cov = self.at.sigma2 * cov
        cov[self._undetermined], cov[:, self._undetermined] = np.nan, np.nan
        out = np.full((self.n_columns, self.n_columns), np.nan)
        out[np.ix_(self.kept, self.kept)] = cov
        return out

    def _given_others(self, absorbed: Absorbed) -> Array:
        """Covariance of the absorbed effects when the others are known, (L, L), some columns at a time."""
        cp, fact = self._cp, self.at.full()[0].factorization
        L = len(absorbed.columns)
        out = np.empty((L, L))
        size = cp.width + sum(f.n_levels * f.template.size for f in cp.chain)
        step = max(1, CHUNK // size)
        for first in range(0, L, step):
            last = min(first + step, L)
            unit = np.zeros((L, 1, last - first))
            unit[np.arange(first, last), 0, np.arange(last - first)] = 1.0
            chain = [
                unit if f.place == absorbed.place else np.zeros((f.n_levels, f.template.size, last - first))
                for f in cp.chain
            ]
            trailing = np.zeros((cp.width, last - first))
            for t in cp.trailing:
                if t.place == absorbed.place:
                    trailing[t.columns] = unit[:, 0]
            solution = fact.solve(chain, trailing)
            for f, block in zip(cp.chain, solution.chain, strict=True):
                if f.place == absorbed.place:
                    out[:, first:last] = block[:, 0]
            for t in cp.trailing:
                if t.place == absorbed.place:
                    out[:, first:last] = solution.trailing[t.columns]
        return 0.5 * (out + out.T)
