"""Influence of rows and of groups on the fixed effects, without refitting.

Leaving out rows S is the same as a parameter of its own for each of them, so that with P as in
`row_projections`

    β̂ − β̂_(S) = (X'V⁻¹X)⁻¹ X'V⁻¹E_S (P_SS)⁻¹ (P y)_S,   r²_(S) = r² − (P y)_S'(P_SS)⁻¹(P y)_S

is exact for given θ (E_S: columns of the identity). P_SS = I − K with K = A_S M⁻¹ A_S' of Henderson's
equations, A_S = [X_S Z_S]; where S has more rows than A_S has columns, the same is written in these. Groups
that hold every random effect's level as a whole need no P_SS: their parts of X'V⁻¹X and X'V⁻¹y are
subtracted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed import dense
from bimixed.covariance import Array
from bimixed.exceptions import UnavailableError
from bimixed.inference.groups import Groups, contains_all, groups_of
from bimixed.inference.row_projections import RowProjections, row_projections
from bimixed.results import MixedModelResult

Ints = NDArray[np.intp]

NOTHING_LEFT = 1e-10
"""Share of a direction's information below which the other rows don't determine it."""
INSTEAD = (
    "for draws look at loo(), whose pareto_k tells which rows or groups (unit=) the posterior depends on."
)


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


def leverage(fit: MixedModelResult) -> pd.DataFrame:
    """See :attr:`MixedModelResult.leverage`."""
    whole, fixed = row_projections(fit, "leverage", INSTEAD).leverages
    columns = {"leverage": whole, "fixed": fixed, "random": whole - fixed}
    return pd.DataFrame(columns, index=fit.design.index)


def influence(fit: MixedModelResult, group: Any) -> pd.DataFrame:
    """See :meth:`MixedModelResult.influence`."""
    rows = row_projections(fit, "influence", INSTEAD)
    if not rows.cp.p:
        raise UnavailableError(
            "The model has no fixed effects whose change could be measured; fit.leverage tells how much each "
            "row decides its own fitted value."
        )
    if group is None:
        return _by_row(fit, rows)
    return _by_group(fit, rows, groups_of(fit, group, "group"))


def _by_row(fit: MixedModelResult, rows: RowProjections) -> pd.DataFrame:
    h, _ = rows.leverages
    half = rows.scaled(rows.VQ)
    gap = np.where(1.0 - h > NOTHING_LEFT, 1.0 - h, np.nan)
    change = half * (rows.score / gap)
    r2 = _r2(rows) - rows.score**2 / gap
    to_beta = _to_beta(rows)
    more = dense.product(to_beta, half) ** 2 / gap
    variance = np.einsum("jp,jp->j", to_beta, to_beta)[:, None] + more
    return _table(fit, rows, fit.design.index, change.T, variance.T, r2, np.ones(len(h)), h)


def _by_group(fit: MixedModelResult, rows: RowProjections, groups: Groups) -> pd.DataFrame:
    m, p = len(groups.labels), rows.cp.p
    change, variance, r2 = np.full((m, p), np.nan), np.full((m, p), np.nan), np.full(m, np.nan)
    to_beta = _to_beta(rows)
    without = _without(rows, groups)
    for g, members in enumerate(groups.rows()):
        left = without(members)
        if left is None:
            continue
        change[g], r2[g] = left.change, left.r2
        variance[g] = np.einsum("jp,pq,jq->j", to_beta, left.cov, to_beta)
    h = groups.sums(rows.leverages[0]) / groups.sizes
    table = _table(fit, rows, groups.labels, change, variance, r2, groups.sizes, h)
    table.insert(0, "n_rows", groups.sizes)
    return table


def _table(
    fit: MixedModelResult,
    rows: RowProjections,
    index: pd.Index,
    change: Array,
    variance: Array,
    r2: Array,
    counts: NDArray[Any],
    h: Array,
) -> pd.DataFrame:
    """Distances and changes, (m, p), on the scale of the data."""
    df = rows.cp.df(rows.at.problem.reml) - counts
    sigma2 = np.where(df > 0, r2, np.nan) / np.where(df > 0, df, 1)
    cook = np.einsum("mp,mp->m", change, change) / (rows.at.sigma2 * rows.cp.p)
    dfbeta = dense.product(change, _to_beta(rows).T)
    std_error = np.sqrt(sigma2[:, None] * variance)
    columns = {
        "cooks_distance": cook,
        "leverage": h,
        "sigma": np.sqrt(sigma2 * rows.cp.weight_scale),
    }
    names, known = _names(fit)
    columns |= {f"dfbeta[{name}]": dfbeta[:, j] for j, name in enumerate(names)}
    scaled = np.where(known, dfbeta / std_error, np.nan)
    columns |= {f"dfbetas[{name}]": scaled[:, j] for j, name in enumerate(names)}
    return pd.DataFrame(columns, index=index)


def _names(fit: MixedModelResult) -> tuple[list[str], NDArray[np.bool_]]:
    """Coefficients of the orthogonal basis, and which of them have a standard error."""
    places = fit.design.narrow
    return [fit.design.names[j] for j in places], np.isfinite(fit.estimates.std_errors[places])


def _to_beta(rows: RowProjections) -> Array:
    """From scaled fixed effects to those of the data, (p, p); times its transpose it is their covariance."""
    return rows.cp.basis.linear(dense.solve_lower(rows.at.root, np.eye(rows.cp.p)).T)


def _r2(rows: RowProjections) -> float:
    return rows.cp.df(rows.at.problem.reml) * rows.at.sigma2


def _without(rows: RowProjections, groups: Groups) -> Callable[[Ints], Left | None]:
    """How to leave out the rows of a group: None is given for what the others don't determine."""
    if rows.cp.basis.absorbed is None and contains_all(rows, groups) is None:
        return _WholeLevels(rows)
    return _AnyRows(rows)


class _WholeLevels:
    """Groups that no random effect reaches out of."""

    def __init__(self, rows: RowProjections):
        self.Q, self.VQ = rows.scaled(rows.Q), rows.scaled(rows.VQ)
        self.score, self.marginal, self.r2 = rows.score, rows.marginal, _r2(rows)

    def __call__(self, members: Ints) -> Left | None:
        own = self.Q[:, members] @ self.VQ[:, members].T
        values, vectors = np.linalg.eigh(np.eye(len(own)) - 0.5 * (own + own.T))
        if values[0] < NOTHING_LEFT:
            return None
        a = self.Q[:, members] @ self.score[members]
        cov = (vectors / values) @ vectors.T
        own_squares = float(self.marginal[members] @ self.score[members])
        return Left(cov @ a, cov, self.r2 - own_squares - float(a @ cov @ a))


class _AnyRows:
    """Rows whose levels other rows may have, too: by rows or by the columns that they touch, the fewer."""

    def __init__(self, rows: RowProjections):
        self.rows = rows
        self.fact, B = rows.full[0].factorization, rows.full[0].B
        self.VQ, self.r2 = rows.scaled(rows.VQ), _r2(rows)
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
