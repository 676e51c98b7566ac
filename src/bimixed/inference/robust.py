"""Covariance of the fixed effects that holds though the variances within clusters are others than modelled.

With C = (X'V⁻¹X)⁻¹ of the fitted model and e the residuals y − Xβ̂ of cluster g

    C (Σ_g X_g'V_g⁻¹A_g e_g e_g'A_g'V_g⁻¹X_g) C

(Liang and Zeger 1986). A_g = I is CR0, CR1 multiplies by m/(m − 1) for m clusters, CR1S by m(n − 1)/((m − 1)
(n − p)), and CR2 makes the estimate unbiased where the model holds (Bell and McCaffrey 2002; Pustejovsky and
Tipton 2018, working model and weights those of the fit): A_g = D_g'B_g^(−½)D_g with V_g = D_g'D_g and
B_g = D_g(V_g − X_gCX_g')D_g', the root that of Moore and Penrose. Clusters hold every random effect's level
as a whole, so that V is block-diagonal. CR0 and CR1 need p numbers of each row, CR2 the matrices of one
cluster at a time. Rows carry the roots of their weights but for A_g, which depends on them, and fixed effects
stand in the orthogonal basis.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bimixed import dense
from bimixed.covariance import Array
from bimixed.exceptions import DataError, UnavailableError
from bimixed.inference.groups import Groups, contains_all, groups_of
from bimixed.inference.row_projections import RowProjections, row_projections
from bimixed.results import MixedModelResult
from bimixed.results.tables import check_level

Ints = NDArray[np.intp]
KINDS = ("CR0", "CR1", "CR1S", "CR2")
NO_VARIANCE = 1e-12
"""Share of the largest eigenvalue of B_g below which one counts as 0."""


@dataclass(frozen=True)
class Clusters:
    """A fit by clusters, fixed effects scaled so that their covariance given V is the identity.

    Attributes
    ----------
    rows : RowProjections
    groups : Groups
    """

    rows: RowProjections
    groups: Groups

    @property
    def n(self) -> int:
        return len(self.groups.labels)

    @cached_property
    def Q(self) -> Array:
        """Scaled fixed-effects columns, (p, n)."""
        return self.rows.scaled(self.rows.Q)

    @cached_property
    def to_beta(self) -> Array:
        """From scaled fixed effects to those of the data, (p, p)."""
        return self.rows.cp.basis.linear(dense.solve_lower(self.rows.at.root, np.eye(self.rows.cp.p)).T)

    def scores(self) -> Array:
        """X_g'V_g⁻¹e_g, (m, p)."""
        return self.groups.sums(self.Q.T * self.rows.score[:, None])

    @cached_property
    def adjusted(self) -> tuple[Array, Array, Array]:
        """By cluster X_g'V_g⁻¹A_g e_g, and with t = A_g'V_g⁻¹X_g c for each coefficient c X_g't and t'V_g t.

        Returns
        -------
        (m, p), (m, p, p), (m, p) arrays
            The second has coefficients last.
        """
        m, p = self.n, self.rows.cp.p
        scores, links, squares = np.empty((m, p)), np.empty((m, p, p)), np.empty((m, p))
        for g, members in enumerate(self.groups.rows()):
            X, e, V = self._block(members)
            L = np.linalg.cholesky(V)
            unexplained = L.T @ L
            half = L.T @ X
            values, vectors = np.linalg.eigh(unexplained @ unexplained.T - half @ half.T)
            inverse_root = np.where(values > NO_VARIANCE * values[-1], values, np.inf) ** -0.5
            inner = np.linalg.solve(L, X)
            turned = vectors @ (inverse_root[:, None] * (vectors.T @ inner))  # B^(−½) L⁻¹X
            scores[g] = turned.T @ (L.T @ e)
            t = L @ turned @ self.to_beta.T
            links[g], squares[g] = X.T @ t, np.sum((L.T @ t) ** 2, axis=0)
        return scores, links, squares

    def _block(self, members: Ints) -> tuple[Array, Array, Array]:
        """X_g (·, p), e_g and V_g in units of σ², of rows without weights.

        Without weights V_g is the identity but for the columns of Z_g: where these and X_g are fewer than the
        rows, all three stand in a basis of them.
        """
        X, e, root = self.Q[:, members].T, self.rows.marginal[members], self.rows.preparation.fixed.root
        half = np.hstack([X[:, :0], *self._halves(members)])
        if root is None and half.shape[1] + X.shape[1] < len(members):
            basis = np.linalg.qr(np.hstack([half, X]))[0]
            X, e, half = basis.T @ X, basis.T @ e, basis.T @ half
        V = np.eye(len(half)) + half @ half.T
        if root is None:
            return X, e, V
        own = root[members]
        return X / own[:, None], e / own, V / np.outer(own, own)

    def _halves(self, members: Ints) -> Iterator[Array]:
        """Z_g T of the levels of each factor."""
        for Z, T in zip(self.rows.matrices.values(), self.rows.full[0].factorization.T, strict=True):
            own, K = Z[members], len(T)
            levels = np.unique(own.indices // K)
            columns = (levels[:, None] * K + np.arange(K)).ravel()
            by_level = own[:, columns].toarray().reshape(len(members), len(levels), K)
            yield (by_level @ T).reshape(len(members), -1)

    def df(self) -> Array:
        """Satterthwaite's degrees of freedom under the fitted model, (p,): CR2 as a quadratic form in y."""
        _, links, squares = self.adjusted
        own = np.einsum("mqp,mqp->mp", links, links)
        mean = (squares - own).sum(axis=0)
        across = np.einsum("mqp,mrp->pqr", links, links)
        variance = (squares**2 - 2.0 * squares * own).sum(axis=0) + np.einsum("pqr,pqr->p", across, across)
        return np.asarray(mean**2 / variance)

    def cov(self, kind: str) -> Array:
        """Covariance of β̂, (p, p)."""
        m, n, p = self.n, self.rows.cp.n, self.rows.cp.p
        factors = {"CR1": m / (m - 1), "CR1S": m * (n - 1) / ((m - 1) * (n - p))}
        scores = self.adjusted[0] if kind == "CR2" else self.scores()
        half = dense.product(scores, self.to_beta.T)
        return factors.get(kind, 1.0) * dense.gram(half)


def vcov_robust(fit: MixedModelResult, cluster: Any, kind: str) -> pd.DataFrame:
    """See :meth:`MixedModelResult.vcov_robust`."""
    table = fit.vcov
    known = table.notna().to_numpy()
    table.iloc[fit.design.kept, fit.design.kept] = _clusters(fit, cluster, kind).cov(kind)
    return table.where(known)


def coef_table_robust(fit: MixedModelResult, cluster: Any, kind: str, level: float) -> pd.DataFrame:
    """See :meth:`MixedModelResult.coef_table_robust`."""
    from scipy.special import stdtr, stdtrit

    check_level(level)
    clusters = _clusters(fit, cluster, kind)
    kept = fit.design.kept
    variance, df = np.full((2, len(fit.design.names)), np.nan)
    variance[kept] = np.diag(clusters.cov(kind))
    df[kept] = clusters.df() if kind == "CR2" else clusters.n - 1
    table = fit.fixef
    known = table["std_error"].notna()
    table["std_error"] = np.sqrt(variance)
    statistic = table["estimate"] / table["std_error"]
    half = stdtrit(df, 0.5 + level / 2.0) * table["std_error"]
    table = table.assign(
        df=df,
        statistic=statistic,
        p_value=2.0 * stdtr(df, -statistic.abs()),
        lower=table["estimate"] - half,
        upper=table["estimate"] + half,
    )
    table.loc[~known, table.columns != "estimate"] = np.nan
    return table


def _clusters(fit: MixedModelResult, cluster: Any, kind: str) -> Clusters:
    if kind not in KINDS:
        raise DataError(f"kind is {kind!r}; choose one of {', '.join(KINDS)}.")
    rows = row_projections(fit, "A robust covariance", "draws have none, their model is the likelihood.")
    if not rows.cp.p:
        raise UnavailableError("The model has no fixed effects that could have a covariance.")
    if rows.cp.basis.absorbed is not None:
        raise UnavailableError(
            "A fixed factor of many levels links the clusters, and its coefficients have too few rows each "
            "for a robust covariance. Make it a group of random effects, (1 | factor)."
        )
    groups = _coarsest(fit, rows) if cluster is None else groups_of(fit, cluster, "cluster")
    cut = contains_all(rows, groups)
    if cut is not None:
        raise DataError(
            f"Levels of {cut!r} have rows in several clusters of {groups.name!r}, which are not independent "
            "then. Cluster by a group or column that holds each of them as a whole."
        )
    if len(groups.labels) < 2:
        raise DataError(f"cluster {groups.name!r} has one value; a robust covariance needs many clusters.")
    return Clusters(rows, groups)


def _coarsest(fit: MixedModelResult, rows: RowProjections) -> Groups:
    """The group that holds the levels of all others."""
    for factor in sorted(fit.design.factors, key=lambda f: f.n_levels):
        if factor.is_mixed:
            continue
        groups = groups_of(fit, factor.key, "cluster")
        if contains_all(rows, groups) is None:
            return groups
    raise DataError(
        "No group of the model holds the levels of all others (they are crossed). Name a column of the data "
        "that does as cluster=."
    )
