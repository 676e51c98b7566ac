"""Intraclass correlations and R²: which part of the variance is whose.

The variance of a row, averaged over the rows, is that of the fixed part (the variance of Xβ between the rows,
with n − 1), of the random effects (the mean of z'Σz, Σ their covariance) and of the residual (the mean of
σ²/w). Nakagawa, Johnson and Schielzeth (2017); slopes by Johnson (2014).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.design import Design, MixedRows, RandomFactor
from bimixed.results import MixedModelResult
from bimixed.results.tables import check_level
from bimixed.results.uncertainty import Draws, equal_tails

CHUNK = 4_000_000
"""Numbers in the largest temporary."""


@dataclass(frozen=True)
class Variances:
    """Parts of the variance of a row, averages over the rows; (draws,) each, one for estimates.

    Attributes
    ----------
    fixed : (draws,) array
    random : mapping, group → (draws,) array
    residual : (draws,) array
    """

    fixed: Array
    random: Mapping[str, Array]
    residual: Array

    @property
    def all_random(self) -> Array:
        """Of all groups."""
        return np.asarray(sum(self.random.values(), np.zeros(len(self.fixed))))

    @property
    def total(self) -> Array:
        return self.fixed + self.all_random + self.residual


def variances(fit: MixedModelResult) -> Variances:
    """Of estimates, or of each draw."""
    design = fit.design
    if isinstance(fit.uncertainty, Draws):
        beta, cov, sigma = fit.uncertainty.beta, fit.uncertainty.random_cov, fit.uncertainty.sigma
    else:
        beta, sigma = fit.estimates.beta[None], np.array([fit.sigma])
        cov = {key: own[None] for key, own in fit.estimates.usable_cov.items()}
    per_weight = design.mean_inverse_weight
    return Variances(
        fixed=_fixed_variance(design, beta[:, design.kept]),
        random={f.key: _random_variance(f, cov[f.key]) for f in design.factors},
        residual=sigma**2 * per_weight,
    )


def icc(fit: MixedModelResult, by_group: bool, level: float) -> pd.DataFrame:
    """Intraclass correlations; see :meth:`MixedModelResult.icc`."""
    v = variances(fit)
    given_fixed = v.all_random + v.residual
    if by_group:
        shares = {key: own / given_fixed for key, own in v.random.items()}
        return _table(fit, shares, "group", level)
    shares = {"adjusted": v.all_random / given_fixed, "unadjusted": v.all_random / v.total}
    return _table(fit, shares, "icc", level)


def r2(fit: MixedModelResult, level: float) -> pd.DataFrame:
    """Nakagawa's R²; see :meth:`MixedModelResult.r2`."""
    v = variances(fit)
    shares = {"conditional": (v.fixed + v.all_random) / v.total, "marginal": v.fixed / v.total}
    return _table(fit, shares, "r2", level)


def _table(fit: MixedModelResult, shares: Mapping[str, Array], name: str, level: float) -> pd.DataFrame:
    check_level(level)
    values = np.column_stack(list(shares.values()))
    table = pd.DataFrame({"estimate": values.mean(axis=0)}, index=pd.Index(list(shares), name=name))
    if not isinstance(fit.uncertainty, Draws):
        return table
    limits = equal_tails(values, level)
    return table.assign(lower=limits.lower, upper=limits.upper)


def _fixed_variance(design: Design, beta: Array) -> Array:
    """Variance of Xβ between the rows, (draws,), for (draws, rank) coefficients."""
    n = design.n
    if not beta.shape[1]:
        return np.zeros(len(beta))
    if design.wide is None:
        centred = design.like_centred_X[:, design.kept]
        half = np.linalg.qr(centred, mode="r") if len(beta) > 1 else centred
        return np.asarray(np.sum((half @ beta.T) ** 2, axis=0) * (n / len(centred)) / (n - 1))
    X = design.X_kept
    step = max(1, CHUNK // n)
    parts = [np.var(X @ beta[i : i + step].T, axis=0, ddof=1) for i in range(0, len(beta), step)]
    return np.concatenate(parts)


def _random_variance(factor: RandomFactor, cov: Array) -> Array:
    """Mean of z'Σz over the rows, (draws,), for (draws, K, K) covariances."""
    if isinstance(factor.rows, MixedRows):
        return np.asarray(cov[:, 0, 0] * (factor.rows.Z.power(2).sum() / factor.rows.Z.shape[0]))
    values = factor.like_values
    return np.asarray(np.einsum("dab,ab->d", cov, values.T @ values / len(values)))
