"""The table of many refits: estimates of each response, and how its search ended."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.design import Design, RandomFactor
from bimixed.exceptions import DataError
from bimixed.results.records import Estimates, Refits

BOUNDARY = 1e-4
"""A direction of random effects whose sd is below this share of sigma counts as without variance."""
ROUNDING = 1e-15
"""Share of the largest variance, or of the covariates' largest mean product, that is lost in the smallest."""

Bools = NDArray[np.bool_]


def refits_table(design: Design, refits: Refits, weight_scale: float, estimates: Estimates) -> pd.DataFrame:
    """Estimates of many responses, a row each.

    Parameters
    ----------
    design : Design
    refits : Refits
    weight_scale : float
        Geometric mean of the weights.
    estimates : Estimates
        Of the first fit; covariances that are NaN there are not identified, in the refits neither.

    Raises
    ------
    DataError
        If a coefficient has the name of another column.
    """
    kept = dict(zip(design.kept.tolist(), refits.beta.T, strict=True))
    missing = np.full(len(refits.loglik), np.nan)
    fixed = {name: kept.get(j, missing) for j, name in enumerate(design.names)}
    random: dict[str, Array] = {}
    singular = np.zeros(len(refits.loglik), dtype=bool)
    random_cov, usable_cov = estimates.random_cov, estimates.usable_cov
    for place, f in enumerate(design.factors):
        told = ~np.isnan(random_cov[f.key])
        random |= _sds_and_correlations(f, np.where(told, refits.random_cov[place], np.nan))
        identified = ~np.isnan(np.diag(usable_cov[f.key]))
        cov = np.where(identified[:, None] & identified, refits.random_cov[place], np.nan)
        singular |= _singular(_sizes(design, f), f, identified, cov / refits.sigma2[:, None, None])
    reports = {"loglik": refits.loglik, "converged": refits.converged, "singular": singular}
    random["sigma"] = np.sqrt(refits.sigma2 * weight_scale)
    for name in fixed:
        if name in reports or name in random:
            raise DataError(
                f"The coefficient {name!r} has the name of another column of the table of refits; rename "
                "the column of the data, or use fit.refit(y) for each response."
            )
    return pd.DataFrame({**reports, **fixed, **random})


def without_estimates(table: pd.DataFrame, unfitted: Bools) -> pd.DataFrame:
    """The table of refits with NaN, and not converged, for responses that have no fit."""
    reports = ["converged", "singular"]
    blank = table.copy()
    blank.loc[unfitted, table.columns.difference(reports)] = np.nan
    blank.loc[unfitted, reports] = False
    return blank


def _sds_and_correlations(f: RandomFactor, cov: Array) -> dict[str, Array]:
    sd = np.sqrt(np.einsum("rkk->rk", cov))
    columns = {f"sd_{f.key}[{name}]": sd[:, k] for k, name in enumerate(f.names)}
    for i, j in f.template.correlated_pairs():
        product = sd[:, i] * sd[:, j]
        corr = np.where(product > 0, cov[:, i, j] / np.where(product > 0, product, 1.0), np.nan)
        columns[f"corr_{f.key}[{f.names[i]},{f.names[j]}]"] = np.clip(corr, -1.0, 1.0)
    return columns


def _sizes(design: Design, f: RandomFactor) -> Array:
    """Mean products of the covariates of a row, (K, K), with weights of geometric mean 1."""
    weights = np.ones(design.n)
    if design.weights is not None:
        weights = design.weights / np.exp(np.mean(np.log(design.weights)))
    if f.is_mixed:
        squares = np.asarray(f.matrix().power(2).sum(axis=1)).ravel()
        return np.array([[np.mean(weights * squares)]])
    return np.asarray(f.values.T @ (weights[:, None] * f.values) / design.n)


def _singular(sizes: Array, f: RandomFactor, identified: Bools, H: Array) -> Bools:
    """Which relative covariances (R, K, K) have a direction without variance.

    With sizes = R'R, the eigenvalues of R H R' are the variances of what a level adds to a row, in
    coordinates of uncorrelated covariates.
    """
    found = np.zeros(len(H), dtype=bool)
    known = ~np.isnan(np.where(identified[:, None] & identified, H, 0.0)).any(axis=(1, 2))
    for block in f.template.sub_blocks():
        used = np.array([k for k in range(block.start, block.stop) if identified[k]], dtype=np.intp)
        if not len(used) or not known.any():
            continue
        unit = np.sqrt(np.diag(sizes)[used])
        unit = np.where(unit > 0.0, unit, 1.0)
        values, vectors = np.linalg.eigh(sizes[np.ix_(used, used)] / np.outer(unit, unit))
        # covariates that determine each other have no such coordinates
        regular = values[0] > ROUNDING * len(used)
        root = np.sqrt(values)[:, None] * vectors.T * unit if regular else np.diag(unit)
        own = H[known][:, used[:, None], used]
        least = np.linalg.eigvalsh(root @ own @ root.T)[:, 0]
        largest = np.einsum("k,rkk->r", unit**2, own)
        found[known] |= least < np.maximum(BOUNDARY**2, ROUNDING * largest)
    return found
