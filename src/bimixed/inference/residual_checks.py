"""What pictures of residuals and random effects show: normal scores with bands, and means along a line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array, lower_factor
from bimixed.design import LevelRows
from bimixed.design.encoding import FormulaEncoding
from bimixed.design.frame import column_names, index_names, require_columns, to_pandas
from bimixed.exceptions import DataError
from bimixed.inference.random_effects import covariances
from bimixed.likelihood.fit import given_start
from bimixed.likelihood.problem import At, make_problem
from bimixed.likelihood.setup import set_up
from bimixed.results import MixedModelResult
from bimixed.results.rows import check_weights, linear_predictor, prediction_rows
from bimixed.results.uncertainty import Draws

BAND = 0.95
"""Level of the bands of normal scores."""


@dataclass(frozen=True)
class NormalScores:
    """Ordered values beside the quantiles that normal ones would have, (m,) each.

    Attributes
    ----------
    order : (m,) int array
        Places of the values, from the least on.
    theoretical, sample : arrays
        Quantiles of the standard normal distribution, and the values.
    lower, upper : arrays
        95 % limits of each order statistic of m independent standard normal values, by themselves.
    """

    order: NDArray[np.intp]
    theoretical: Array
    sample: Array
    lower: Array
    upper: Array


def normal_scores(values: Array) -> NormalScores:
    """Normal scores at (i − 3/8)/(m + 1/4) (Blom 1958).

    Order statistics of uniform values are Beta(i, m + 1 − i).
    """
    from scipy.special import betaincinv, ndtri

    m = len(values)
    order = np.argsort(values, kind="stable")
    i = np.arange(1, m + 1)
    tail = 0.5 * (1.0 - BAND)
    return NormalScores(
        order=order,
        theoretical=ndtri((i - 0.375) / (m + 0.25)),
        sample=values[order],
        lower=ndtri(betaincinv(i, m + 1 - i, tail)),
        upper=ndtri(betaincinv(i, m + 1 - i, 1.0 - tail)),
    )


@dataclass(frozen=True)
class Residuals:
    """What rows look like to a fit.

    Attributes
    ----------
    fitted, standardized : (m,) arrays
        Fitted values, and residuals given the random effects over their sd.
    codes : mapping, group → (m,) int array
        Level of each row, -1 where it has none of the fit's; of groups whose rows belong to one level.
    """

    fitted: Array
    standardized: Array
    codes: Mapping[str, NDArray[np.intp]]


def residuals_of(fit: MixedModelResult, data: Any = None) -> Residuals:
    """Of the rows used, or of complete rows of others; new levels have an effect of 0.

    Raises
    ------
    UnavailableError
        Of a model of sums without other rows.
    DataError
        Where the rows lack a column, or none of them is complete.
    """
    if data is None:
        codes = {f.key: f.codes for f in fit.design.factors if not f.is_mixed}
        return Residuals(fit.fitted.to_numpy(), standardized_residuals(fit), codes)
    encoding = fit.design.encoding
    if not isinstance(encoding, FormulaEncoding):
        raise DataError("data= is for models given as a formula; the arrays of this one are in the fit.")
    available = column_names(data)
    keys = tuple(f.key for f in fit.design.factors)
    wanted = {**encoding.wanted_columns(available, keys)}
    wanted |= dict.fromkeys(encoding.response_columns(available), "the response")
    if fit.design.weights_column is not None:
        wanted.setdefault(fit.design.weights_column, "weights")
    require_columns(available, wanted, index_names(data))
    table = to_pandas(data, wanted).dropna()
    if len(table) == 0:
        raise DataError(f"No row of data= has all of {', '.join(wanted)}.")
    rows = prediction_rows(fit.design, table, "all", "population")
    check_weights(fit.design, rows)
    fitted = linear_predictor(rows, fit.estimates.beta, fit.estimates.usable_ranef)
    root = 1.0 if rows.rows.weights is None else np.sqrt(rows.rows.weights)
    e = root * (encoding.response(table) - fitted) / fit.sigma
    known = ~np.isnan(e)
    codes = {key: own.codes[known] for key, own in rows.rows.random.items() if isinstance(own, LevelRows)}
    return Residuals(fitted[known], e[known], codes)


def standardized_residuals(fit: MixedModelResult) -> Array:
    """Residuals given the random effects over their sd, √w e/σ (n,)."""
    root = 1.0 if fit.design.weights is None else np.sqrt(fit.design.weights)
    return np.asarray(root * fit.resid.to_numpy() / fit.sigma)


def standardized_effects(fit: MixedModelResult, group: str) -> Array:
    """Estimated random effects over the sds that they would have as estimates, (L, K).

    Var(b̂) = Σ − Var(b | y), given the fixed effects and the variances: shrunken effects vary less than
    effects do, those of levels with few rows least. NaN where a level's estimate can't vary. Draws have
    posterior means for estimates, and their variances are at the posterior means of sds and correlations.
    """
    key = fit.design.factor(group).key
    if isinstance(fit.uncertainty, Draws):
        total = fit.estimates.random_sd[key] ** 2
        given = _variances_at_means(fit, key)
    else:
        total = np.diag(fit.estimates.usable_cov[key])
        given = np.einsum("lkk->lk", covariances(fit, group, True))
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.where(total - given > 1e-9 * total, total - given, np.nan)
    return np.asarray(fit.estimates.ranef[key] / np.sqrt(variance))


def _variances_at_means(fit: MixedModelResult, key: str) -> Array:
    """Variances of effects given y, the fixed effects, and sds, correlations and σ at their means, (L, K)."""
    design, estimates = fit.design, fit.estimates
    setup = set_up(design, False)
    problem = make_problem(setup.cross_products(design), False, setup.unidentified)
    theta = []
    for factor in design.factors:
        sd, corr = estimates.random_sd[factor.key], np.nan_to_num(estimates.random_corr[factor.key])
        np.fill_diagonal(corr, 1.0)
        theta.append(factor.template.theta(lower_factor(corr * np.outer(sd, sd)) / estimates.sigma))
    x = problem.coordinates(given_start(problem, setup.coordinates, np.concatenate(theta)))
    at = problem(x)
    place = [factor.key for factor in design.factors].index(key)
    shape = estimates.ranef[key].shape
    if not isinstance(at, At):
        return np.full(shape, np.nan)
    cov = setup.coordinates.covariance(place, at.conditional(place))
    scale = estimates.sigma**2 / problem.cp.weight_scale
    return np.asarray(scale * np.einsum("lkk->lk", cov))


@dataclass(frozen=True)
class Means:
    """Means of y in bins of x with equally many rows, and their standard errors."""

    x: Array
    y: Array
    std_error: Array


def binned_means(x: Array, y: Array, bins: int = 20) -> Means:
    """Means of y in at most ``bins`` bins of x with about equally many rows; equal x are in one bin."""
    inner = np.linspace(0.0, 1.0, max(1, min(bins, len(x) // 5)) + 1)[1:-1]
    places = np.searchsorted(np.unique(np.quantile(x, inner)) if len(inner) else [], x)
    parts = [np.flatnonzero(places == place) for place in np.unique(places)]
    return Means(
        x=np.array([x[p].mean() for p in parts]),
        y=np.array([y[p].mean() for p in parts]),
        std_error=np.array([y[p].std(ddof=min(1, len(p) - 1)) / np.sqrt(len(p)) for p in parts]),
    )
