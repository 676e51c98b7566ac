"""Influence of rows and of groups on the fixed effects, without refitting.

Leaving out rows S is the same as a parameter of its own for each of them, so that with P as in
`row_projections`

    β̂ − β̂_(S) = (X'V⁻¹X)⁻¹ X'V⁻¹E_S (P_SS)⁻¹ (P y)_S,   r²_(S) = r² − (P y)_S'(P_SS)⁻¹(P y)_S

is exact for given θ (E_S: columns of the identity). P_SS = I − K with K = A_S M⁻¹ A_S' of Henderson's
equations, A_S = [X_S Z_S]; where S has more rows than A_S has columns, the same is written in these. Groups
that hold every random effect's level as a whole need no P_SS: their parts of X'V⁻¹X and X'V⁻¹y are
subtracted.
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed import dense
from bimixed.covariance import Array
from bimixed.crossproducts import prepare
from bimixed.design import Design, LevelRows, MixedRows, RandomRows, rows_needed
from bimixed.exceptions import FitError
from bimixed.inference.row_projections import RowProjections
from bimixed.likelihood.optimize import newton_step
from bimixed.likelihood.points import At

Ints = NDArray[np.intp]

NOTHING_LEFT = 1e-10
"""Share of a direction's information below which the other rows don't determine it."""
SHORTENED = 5
"""How often a step that makes the criterion worse is halved."""


@dataclass(frozen=True)
class Left:
    """What is left of the fixed effects' information, scaled to the identity with all rows.

    Attributes
    ----------
    change : (p,) array
        Estimates less those without the rows.
    cov : (p, p) array
        Covariance of the estimates without the rows, in units of σ².
    r2 : float
        Residual sum of squares in the metric of V.
    """

    change: Array
    cov: Array
    r2: float


def r2_of(rows: RowProjections) -> float:
    """r² of all rows."""
    return rows.cp.df(rows.at.problem.reml) * rows.at.sigma2


class WholeLevels:
    """Groups that no random effect reaches out of."""

    def __init__(self, rows: RowProjections):
        self.Q, self.VQ = rows.scaled(rows.Q), rows.scaled(rows.VQ)
        self.score, self.marginal, self.r2 = rows.score, rows.marginal, r2_of(rows)

    def __call__(self, members: Ints) -> Left | None:
        own = self.Q[:, members] @ self.VQ[:, members].T
        values, vectors = np.linalg.eigh(np.eye(len(own)) - 0.5 * (own + own.T))
        if values[0] < NOTHING_LEFT:
            return None
        a = self.Q[:, members] @ self.score[members]
        cov = (vectors / values) @ vectors.T
        own_squares = float(self.marginal[members] @ self.score[members])
        return Left(cov @ a, cov, self.r2 - own_squares - float(a @ cov @ a))


class AnyRows:
    """Rows whose levels other rows may have, too: by rows or by the columns that they touch, the fewer."""

    def __init__(self, rows: RowProjections):
        self.rows = rows
        self.fact, B = rows.full[0].factorization, rows.full[0].B
        self.VQ, self.r2 = rows.scaled(rows.VQ), r2_of(rows)
        of_effects = {place: -own[:, :, :-1].reshape(-1, rows.cp.p) for place, own in enumerate(B)}
        self.columns = {place: rows.scaled(own) for place, own in of_effects.items()}
        self.fixed = rows.scaled(np.eye(rows.cp.p))

    def __call__(self, members: Ints) -> Left | None:
        Z = {place: M[members] for place, M in self.rows.matrices.items()}
        touched = {place: np.unique(M.indices) for place, M in Z.items()}
        if len(members) <= self.rows.cp.p + sum(map(len, touched.values())):
            return self._by_rows(members, Z)
        return self._by_columns(members, Z, touched)

    def _by_rows(self, members: Ints, Z: dict[int, sp.csr_array]) -> Left | None:
        score, half = self.rows.score[members], self.VQ[:, members]
        K = dense.gram(half) + self._unknown({place: M.T.toarray() for place, M in Z.items()})
        try:
            root = dense.cholesky(np.eye(len(score)) - K)
        except np.linalg.LinAlgError:
            return None
        if np.diag(root).min() ** 2 < NOTHING_LEFT:
            return None
        direct, spread = dense.solve_lower(root, score), dense.solve_lower(root, half.T)
        cov = np.eye(len(half)) + dense.gram(spread)
        return Left(spread.T @ direct, cov, self.r2 - float(direct @ direct))

    def _by_columns(self, members: Ints, Z: dict[int, sp.csr_array], touched: dict[int, Ints]) -> Left | None:
        """(I − A G A')⁻¹ = I + A G (I − D G)⁻¹A' with D = A'A and G the columns' own part of M⁻¹."""
        from scipy.linalg import lu_factor, lu_solve
        from scipy.linalg.lapack import dgecon

        score, p = self.rows.score[members], self.rows.cp.p
        own = [M[:, touched[place]] for place, M in Z.items()]
        A = sp.csr_array(sp.hstack([sp.csr_array(self.rows.Q[members]), *own]))
        half = np.hstack([self.fixed, *(self.columns[place][:, cols] for place, cols in touched.items())])
        G = dense.gram(half)
        G[p:, p:] += self._unknown(_unit_columns(touched, {place: M.shape[1] for place, M in Z.items()}))
        D, a = (A.T @ A).toarray(), A.T @ score
        M = np.eye(len(D)) - dense.product(D, G)
        with dense.threads_for(len(M)):
            norm, factor = np.abs(M).sum(axis=0).max(), lu_factor(M, check_finite=False)
            if dgecon(factor[0], norm)[0] < NOTHING_LEFT:
                return None
            found = lu_solve(factor, np.column_stack([a, D @ half.T]), check_finite=False)
        direct, spread = found[:, 0], half @ found[:, 1:]
        cov = np.eye(p) + 0.5 * (spread + spread.T)
        return Left(half @ direct, cov, self.r2 - float(score @ score) - float(a @ (G @ direct)))

    def _unknown(self, Zt: dict[int, Array]) -> Array:
        """z'Pz of columns z with each other, P the covariance of the effects given the fixed ones."""
        cp = self.fact.cp
        width = next(iter(Zt.values())).shape[1]
        chain = [Zt[f.place].reshape(f.n_levels, f.template.size, width) for f in cp.chain]
        trailing = np.zeros((cp.width, width))
        for t in cp.trailing:
            trailing[t.columns] = Zt[t.place]
        return self.fact.solve(chain, trailing).quadratic


def _unit_columns(touched: dict[int, Ints], sizes: dict[int, int]) -> dict[int, Array]:
    """Columns of the identity for the touched effects, by place."""
    width, start, units = sum(map(len, touched.values())), 0, {}
    for place, effects in touched.items():
        units[place] = np.zeros((sizes[place], width))
        units[place][effects, start + np.arange(len(effects))] = 1.0
        start += len(effects)
    return units


class Stepped:
    """Without the rows after one Newton step of θ, with the average information of the others.

    Parameters
    ----------
    rows : RowProjections
    given : callable
        The same for given θ, which finds what the other rows don't determine.
    beta : (p,) array
        Estimates with all rows.
    """

    def __init__(self, rows: RowProjections, given: WholeLevels | AnyRows, beta: Array):
        self.rows, self.given, self.beta = rows, given, beta

    def __call__(self, members: Ints) -> Left | None:
        rows, design = self.rows, self.rows.preparation.design
        if self.given(members) is None:
            return None
        keep = np.setdiff1d(np.arange(design.n), members)
        at = self._after_a_step(replace(_subset(design, keep), y=rows.response[keep], offset=None))
        if at is None:
            return None
        cp = at.problem.cp
        to_scaled = dense.product(rows.at.root.T, rows.cp.basis.R)
        change = to_scaled @ (self.beta - cp.basis.coefficients(at.gamma, at.modes))
        root = to_scaled @ cp.basis.linear(dense.solve_lower(at.root, np.eye(cp.p)).T)
        scale = cp.weight_scale / rows.cp.weight_scale
        return Left(change, root @ root.T / scale, scale * at.sigma2 * cp.df(at.problem.reml))

    def _after_a_step(self, design: Design) -> At | None:
        old = self.rows.at.problem
        try:
            cp = prepare(design).with_response(design.y)
        except FitError:  # the rows left are too few, or fitted exactly
            return None
        problem = replace(old, cp=cp)
        x = problem.coordinates(self.rows.at.theta) * np.sqrt(cp.weight_scale / old.cp.weight_scale)
        at = problem(x)
        if not isinstance(at, At):
            return None
        step, _ = newton_step(at.gradient, at.hessian())
        for _ in range(SHORTENED):
            there = problem(problem.mirror(x + step))
            if isinstance(there, At) and there.value <= at.value:
                return there
            step = 0.5 * step
        return at


def _subset(design: Design, keep: Ints) -> Design:
    """Some rows of a design, for its cross-products; levels without rows stay."""
    factors = tuple(replace(f, rows=_rows(f.rows, keep)) for f in design.factors)
    weights = None if design.weights is None else design.weights[keep]
    return replace(design, y=design.y[keep], X=design.X[keep], factors=factors, weights=weights)


def _rows(rows: RandomRows, keep: Ints) -> RandomRows:
    if isinstance(rows, MixedRows):
        return replace(rows, Z=rows.Z[keep])
    if not isinstance(rows, LevelRows):
        raise rows_needed("Deletion of rows")
    return replace(rows, codes=rows.codes[keep], values=rows.values[keep])
