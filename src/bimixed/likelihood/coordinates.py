"""Coordinates for the random coefficients in which the covariates of a level are uncorrelated.

A random intercept beside a covariate far from 0 (a calendar year) has a covariance that is all but
singular, though the model is the same as with the covariate centred. The likelihood is therefore computed
for b̃ with b = M b̃, whose covariates Z M have mean square 1 and, where they may be correlated, no mean
product. M is lower triangular with a positive diagonal, so that T = M T̃ is too, and θ̃ is 0 where θ is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bimixed import dense
from bimixed.covariance import Array, CovarianceTemplate
from bimixed.design import Design, MixedRows, RandomFactor, RandomRows, SummedRows

COLLINEAR = 1e-12
"""Share of a covariate beside the others of its block below which it is taken to be determined by them."""


@dataclass(frozen=True)
class Coordinates:
    """b = M b̃, by place of the factor.

    Attributes
    ----------
    M : tuple of (K, K) arrays
        Lower triangular.
    sizes : tuple of (K,) arrays
        Weighted root mean square of each covariate.
    independence : tuple of (K,) arrays
        Share of each covariate that the later ones of its block don't determine, 1 for a lone one.
    """

    M: tuple[Array, ...]
    sizes: tuple[Array, ...]
    independence: tuple[Array, ...]

    def design(self, design: Design) -> Design:
        """The same model for b̃."""
        factors = tuple(
            replace(factor, rows=transformed(factor.rows, M))
            for factor, M in zip(design.factors, self.M, strict=True)
        )
        return replace(design, factors=factors)

    def factors(self, T: Sequence[Array]) -> list[Array]:
        """Relative factors T of b, by place, from those of b̃; those of absorbed effects are left out."""
        return [M @ own for M, own in zip(self.M, T, strict=False)]

    def covariance(self, place: int, cov: Array) -> Array:
        """Covariances (..., K, K) of b from those of b̃."""
        return self.M[place] @ cov @ self.M[place].T

    def effects(self, place: int, effects: Array) -> Array:
        """b from b̃, (..., K)."""
        return effects @ self.M[place].T

    def own_factors(self, T: Sequence[Array]) -> list[Array]:
        """Relative factors of b̃, by place, from those of b; those of absorbed effects stay."""
        own = [np.tril(np.linalg.solve(M, other)) for M, other in zip(self.M, T, strict=False)]
        return [*own, *T[len(own) :]]


def coordinates(design: Design, root: Array | None, left_out: Mapping[int, Sequence[int]]) -> Coordinates:
    """Coordinates that suit the covariates of a design.

    Parameters
    ----------
    design : Design
    root : (n,) array or None
        Roots of the weights.
    left_out : mapping
        Place of the factor → coefficients that stay by themselves.
    """
    made = [_of_factor(f, root, left_out.get(place, [])) for place, f in enumerate(design.factors)]
    return Coordinates(
        tuple(M for M, _, _ in made), tuple(size for _, size, _ in made), tuple(share for _, _, share in made)
    )


def transformed(rows: RandomRows, M: Array) -> RandomRows:
    """Rows of b̃ from rows of b."""
    if np.array_equal(M, np.eye(len(M))) or isinstance(rows, SummedRows):
        return rows
    if isinstance(rows, MixedRows):
        unseen = None if rows.unseen is None else rows.unseen * M[0, 0]
        return replace(rows, Z=rows.Z * M[0, 0], unseen=unseen)
    return replace(rows, values=dense.product(rows.values, M))


def _of_factor(factor: RandomFactor, root: Array | None, alone: Sequence[int]) -> tuple[Array, Array, Array]:
    if factor.is_intercept and root is None:
        return np.eye(1), np.ones(1), np.ones(1)
    if isinstance(factor.rows, MixedRows):
        squares = np.asarray(factor.rows.Z.power(2).sum(axis=1)).ravel()
        sizes = np.sqrt(np.mean(squares if root is None else squares * root**2, keepdims=True))
        return np.diag(1.0 / np.where(sizes > 0.0, sizes, 1.0)), sizes, np.ones(1)
    values = factor.values if root is None else factor.values * root[:, None]
    return of_values(values, len(values), factor.template, alone)


def of_values(
    values: Array, n: int, template: CovarianceTemplate, alone: Sequence[int]
) -> tuple[Array, Array, Array]:
    """M, sizes and independence of weighted covariates.

    Parameters
    ----------
    values : (·, K) array
        These, or any columns with the same products.
    n : int
        Rows that the products are sums over.
    template : CovarianceTemplate
    alone : sequence of int
        Coefficients that stay by themselves.
    """
    K = template.size
    sizes = np.sqrt(np.einsum("nk,nk->k", values, values) / n)
    unit = np.where(sizes > 0.0, sizes, 1.0)
    M, independence = np.diag(1.0 / unit), np.ones(K)
    for block in template.sub_blocks():
        used = np.array([k for k in range(block.start, block.stop) if k not in alone], dtype=np.intp)
        if len(used) < 2:
            continue
        R = _reversed_root(values[:, used] / unit[used]) / np.sqrt(n)
        independence[used] = np.abs(np.diag(R))
        if independence[used].min() > COLLINEAR:
            M[np.ix_(used, used)] = np.linalg.inv(R) / unit[used][:, None]
    return M, sizes, independence


def _reversed_root(values: Array) -> Array:
    """R lower triangular with a positive diagonal, values'values = R'R."""
    backwards = np.ascontiguousarray(values[:, ::-1])
    R = dense.triangular_factor(backwards)[::-1, ::-1]
    return R * np.where(np.diag(R) < 0.0, -1.0, 1.0)[:, None]
