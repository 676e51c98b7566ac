"""Limits of predictions that count the estimation of the variances, by a bootstrap of their errors."""

import warnings
from dataclasses import replace

import numpy as np

from bimixed.arguments import check_count, check_seed
from bimixed.covariance import Array, symmetric_root
from bimixed.exceptions import BimixedWarning, ConvergenceWarning, FitError, UnavailableError, warn
from bimixed.inference.identified import check_identified
from bimixed.results import MixedModelResult
from bimixed.results.records import Interval, Refitter
from bimixed.results.rows import PredictionRows, linear_predictor, prediction_rows
from bimixed.results.uncertainty import NormalApproximation

FEWEST = 39
"""Replicates of which the most extreme is a limit of level 0.95."""


def bootstrap_limits(
    fit: MixedModelResult,
    rows: PredictionRows,
    kind: str,
    level: float,
    n: int,
    random_seed: int | None,
) -> Interval:
    """Limits ŷ ± q·s, with q the quantile of |error|/s* in data that the fit makes.

    Each replicate draws random effects, responses and what is to be predicted from the estimates, refits, and
    predicts; its error is divided by its own standard error given the variances (Chatterjee, Lahiri and Li
    2008). The errors are symmetric, since estimates of variances don't change with the sign of y − Xβ.

    Raises
    ------
    UnavailableError
        For draws, and where a variance isn't identified.
    FitError
        If ``n`` or ``random_seed`` is impossible, or most replicates can't be fitted.
    """
    check_count("n", n, FEWEST)
    check_seed(random_seed)
    uncertainty, refitter = fit.uncertainty, fit.refitter
    if not isinstance(uncertainty, NormalApproximation) or refitter is None:
        raise UnavailableError(
            "Draws count the uncertainty of the variances as they are; leave variances='bootstrap' out."
        )
    check_identified(fit.estimates.usable_cov, "no data can be drawn; leave these random effects out")
    rng = np.random.default_rng(random_seed)
    scaled = []
    for _ in range(n):
        y, wanted = _data(fit, rows, kind, rng)
        found = _scaled_errors(fit, refitter, rows, kind, y, wanted)
        if found is not None:
            scaled.append(found)
    if 2 * len(scaled) < n:
        raise FitError(
            f"{n - len(scaled)} of {n} replicates can't be fitted; simplify the random effects, or take "
            "variances='fixed'."
        )
    if len(scaled) < n:
        warn(f"{n - len(scaled)} of {n} replicates can't be fitted and don't count.", ConvergenceWarning)
    sd = uncertainty.prediction_sd(rows, kind)
    half = np.where(np.isnan(sd), np.nan, 0.0)
    uncertain = sd > 0.0
    with np.errstate(invalid="ignore"):
        factor = np.quantile(np.array(scaled)[:, uncertain], level, axis=0)
    half[uncertain] = np.where(np.isnan(factor), np.inf, factor) * sd[uncertain]
    if np.isinf(half).any():
        warn(
            f"{int(np.isinf(half).sum())} limits are infinite: too many replicates estimate a variance as 0, "
            "and with it no uncertainty of these rows at all. Take draws (method='nuts') for so few groups.",
            ConvergenceWarning,
        )
    estimate = linear_predictor(rows, fit.estimates.beta, fit.estimates.usable_ranef)
    return Interval(estimate - half, estimate + half)


def _data(
    fit: MixedModelResult, rows: PredictionRows, kind: str, rng: np.random.Generator
) -> tuple[Array, Array]:
    """A response of the rows used, and what it leaves to be predicted, of the same random effects."""
    design, cov = fit.design, fit.estimates.usable_cov
    roots = {f.key: symmetric_root(cov[f.key]) for f in design.factors}
    b = {f.key: rng.standard_normal((f.n_levels, f.n_coefficients)) @ roots[f.key].T for f in design.factors}
    used = prediction_rows(design, None, "all", "error")
    beta = fit.estimates.beta
    y = linear_predictor(used, beta, b) + _sds(fit, used) * rng.standard_normal(design.n)
    wanted = linear_predictor(rows, beta, b)
    for key, unseen in rows.sampled.items():
        new = rng.standard_normal((len(unseen.labels), len(roots[key]))) @ roots[key].T
        wanted = wanted + unseen.times(new[:, :, None])[:, 0]
    if kind == "prediction":
        wanted = wanted + _sds(fit, rows) * rng.standard_normal(len(wanted))
    return y, wanted


def _sds(fit: MixedModelResult, rows: PredictionRows) -> Array | float:
    return fit.sigma if rows.rows.weights is None else fit.sigma / np.sqrt(rows.rows.weights)


def _scaled_errors(
    fit: MixedModelResult, refitter: Refitter, rows: PredictionRows, kind: str, y: Array, wanted: Array
) -> Array | None:
    """|error| over its standard error given the refit's variances; None where there is no fit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BimixedWarning)
        try:
            found: MixedModelResult = refitter.one(replace(fit.design, y=y))
        except FitError:
            return None
    uncertainty = found.uncertainty
    assert isinstance(uncertainty, NormalApproximation)
    predicted = linear_predictor(rows, found.estimates.beta, found.estimates.usable_ranef)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.abs(wanted - predicted) / uncertainty.prediction_sd(rows, kind)
