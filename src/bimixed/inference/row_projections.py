"""What the estimated variances make of each row: its part of V⁻¹X, its residuals, its leverage.

Rows carry the roots of their weights here, so that V = I + Z H Z' in units of σ², and fixed effects stand in
the orthogonal basis Q of `fixed_basis`. With P = V⁻¹ − V⁻¹Q(Q'V⁻¹Q)⁻¹Q'V⁻¹, fitted values are y − P y, and
leverages the diagonal of I − P. Given θ all of it comes from the effects of the columns of Q, B = H Z'V⁻¹Q
(n × p numbers), and the elimination.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from bimixed import dense
from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts, Preparation
from bimixed.design import RandomFactor
from bimixed.exceptions import UnavailableError
from bimixed.likelihood.fit import Refitter
from bimixed.likelihood.objective import Evaluation, Gradient
from bimixed.likelihood.points import At
from bimixed.likelihood.predictors import quadratic_forms
from bimixed.results import MixedModelResult


@dataclass(frozen=True)
class RowProjections:
    """Rows of a likelihood fit in the metric of V.

    Attributes
    ----------
    preparation : Preparation
    at : At
        The criterion at the estimates.
    response : (n,) array
        That of the fit, offset taken off.
    """

    preparation: Preparation
    at: At
    response: Array

    @property
    def cp(self) -> CrossProducts:
        return self.at.problem.cp

    @property
    def factors(self) -> tuple[RandomFactor, ...]:
        """Those of the elimination, in its coordinates; last absorbed fixed effects."""
        return self.preparation.factors

    @cached_property
    def full(self) -> tuple[Evaluation, Gradient]:
        return self.at.full()

    @cached_property
    def matrices(self) -> dict[int, sp.csr_array]:
        """Weighted Z by place of the factor, (n, L·K)."""
        root = self.preparation.fixed.root
        Z = {place: factor.matrix() for place, factor in enumerate(self.factors)}
        if root is None:
            return Z
        scale = sp.diags_array(root)
        return {place: sp.csr_array(scale @ own) for place, own in Z.items()}

    @property
    def Q(self) -> Array:
        """Weighted fixed-effects columns, orthonormal, (n, p)."""
        return self.preparation.fixed.Q

    @cached_property
    def VQ(self) -> Array:
        """V⁻¹Q, (n, p)."""
        B = self.full[0].B
        return self.Q - sum(self.times(place, B[place][:, :, :-1]) for place in range(len(B)))

    def times(self, place: int, effects: Array) -> Array:
        """Weighted Z b for effects (L, K) or (L, K, r): (n,) or (n, r)."""
        root = self.preparation.fixed.root
        out = self.factors[place].rows.times(effects)
        return out if root is None else (out.T * root).T

    @cached_property
    def score(self) -> Array:
        """P y = V⁻¹(y − Xβ̂): residuals given the random effects, with the roots of the weights, (n,)."""
        modes = self.full[0].ranef
        return self.marginal - sum(self.times(place, modes[place]) for place in range(len(modes)))

    @cached_property
    def marginal(self) -> Array:
        """y − Xβ̂, with the roots of the weights, absorbed columns taken off, (n,)."""
        _, e = self.preparation.fixed.response(self.response)
        return e - dense.product(self.Q, self.at.gamma) if self.cp.p else e

    def scaled(self, columns: Array) -> Array:
        """L⁻¹ columns' with LL' = Q'V⁻¹Q, (p, m) for (m, p)."""
        return dense.solve_lower(self.at.root, columns.T)

    @cached_property
    def leverages(self) -> tuple[Array, Array]:
        """Diagonals of I − P and of its fixed part X(X'V⁻¹X)⁻¹X'V⁻¹, (n,) each.

        ŷ is linear in the estimates of fixed and random effects, whose parts add up; the fixed part is
        found from three quadratic forms, those of the whole row, its fixed and its random part.
        """
        absorbed = self.cp.basis.absorbed
        fact, Z = self.full[0].factorization, self.matrices
        unknown = quadratic_forms(fact, Z)
        of_fixed, of_random, only_fixed = np.zeros(len(unknown)), unknown, self.Q
        if absorbed is not None:
            own = {absorbed.place: Z[absorbed.place]}
            of_fixed = quadratic_forms(fact, own)
            of_random = quadratic_forms(fact, {place: M for place, M in Z.items() if place not in own})
            only_fixed = self.Q - self.times(absorbed.place, self.full[0].B[absorbed.place][:, :, :-1])

        def squares(columns: Array) -> Array:
            half = self.scaled(columns)
            return np.einsum("pn,pn->n", half, half)

        whole = squares(self.VQ) + unknown
        fixed = squares(only_fixed) + of_fixed
        # what is left of VQ without the fixed part's own is that of the random part alone
        random = squares(self.VQ - only_fixed) + of_random
        return whole, 0.5 * (whole + fixed - random)


def row_projections(fit: MixedModelResult, name: str, instead: str) -> RowProjections:
    """Of a likelihood fit.

    Raises
    ------
    UnavailableError
        For draws, naming what asked for them and what to do instead.
    """
    refitter = fit.refitter
    if not isinstance(refitter, Refitter):
        raise UnavailableError(f"{name} is for likelihood fits, fit with method='reml' or 'ml'; {instead}")
    problem = refitter.problem
    at = problem(problem.coordinates(refitter.theta))
    if not isinstance(at, At):
        raise AssertionError("the criterion can be computed at its optimum")
    y = fit.design.y if fit.design.offset is None else fit.design.y - fit.design.offset
    return RowProjections(refitter.setup.preparation, at, y)
