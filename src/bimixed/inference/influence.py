"""Influence of rows and of groups on the fixed effects, as tables."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bimixed import dense
from bimixed.covariance import Array
from bimixed.exceptions import DataError, UnavailableError
from bimixed.inference.deletion import NOTHING_LEFT, AnyRows, Left, Stepped, WholeLevels, r2_of
from bimixed.inference.groups import Groups, contains_all, groups_of
from bimixed.inference.row_projections import RowProjections, row_projections
from bimixed.results import MixedModelResult

Ints = NDArray[np.intp]

VARIANCES = ("fixed", "newton")
INSTEAD = (
    "for draws look at loo(), whose pareto_k tells which rows or groups (unit=) the posterior depends on."
)


def leverage(fit: MixedModelResult) -> pd.DataFrame:
    """See :attr:`MixedModelResult.leverage`."""
    whole, fixed = row_projections(fit, "leverage", INSTEAD).leverages
    columns = {"leverage": whole, "fixed": fixed, "random": whole - fixed}
    return pd.DataFrame(columns, index=fit.design.index)


def influence(fit: MixedModelResult, group: Any, variances: str) -> pd.DataFrame:
    """See :meth:`MixedModelResult.influence`."""
    if variances not in VARIANCES:
        raise DataError(f"variances is {variances!r}; choose one of {', '.join(VARIANCES)}.")
    if group is None and variances != "fixed":
        raise DataError(
            f"variances={variances!r} is for groups: a row changes them little. Name a group, or leave it "
            "out."
        )
    rows = row_projections(fit, "influence", INSTEAD)
    if not rows.cp.p:
        raise UnavailableError(
            "The model has no fixed effects whose change could be measured; fit.leverage tells how much each "
            "row decides its own fitted value."
        )
    if group is None:
        return _by_row(fit, rows)
    return _by_group(fit, rows, groups_of(fit, group, "group"), variances)


def _by_row(fit: MixedModelResult, rows: RowProjections) -> pd.DataFrame:
    h, _ = rows.leverages
    half = rows.scaled(rows.VQ)
    gap = np.where(1.0 - h > NOTHING_LEFT, 1.0 - h, np.nan)
    change = half * (rows.score / gap)
    r2 = r2_of(rows) - rows.score**2 / gap
    to_beta = _to_beta(rows)
    more = dense.product(to_beta, half) ** 2 / gap
    variance = np.einsum("jp,jp->j", to_beta, to_beta)[:, None] + more
    return _table(fit, rows, fit.design.index, change.T, variance.T, r2, np.ones(len(h)), h)


def _by_group(fit: MixedModelResult, rows: RowProjections, groups: Groups, variances: str) -> pd.DataFrame:
    m, p = len(groups.labels), rows.cp.p
    change, variance, r2 = np.full((m, p), np.nan), np.full((m, p), np.nan), np.full(m, np.nan)
    to_beta = _to_beta(rows)
    without = _without(fit, rows, groups, variances)
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


def _without(
    fit: MixedModelResult, rows: RowProjections, groups: Groups, variances: str
) -> Callable[[Ints], Left | None]:
    """How to leave out the rows of a group: None is given for what the others don't determine."""
    absorbed = rows.cp.basis.absorbed is not None
    whole = not absorbed and contains_all(rows, groups) is None
    given = WholeLevels(rows) if whole else AnyRows(rows)
    if variances == "fixed":
        return given
    if absorbed:
        raise UnavailableError(
            "With a fixed factor of very many levels, influence() has the variances fixed: leave out "
            "variances=."
        )
    return Stepped(rows, given, fit.estimates.beta[fit.design.kept])
