"""The one thing that differs between backends: where uncertainty comes from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array, symmetric_root
from bimixed.results.normal import quantile
from bimixed.results.records import (
    Interval,
    JointOf,
    LinearVariance,
    SmallSampleOf,
    VarianceParameters,
    VarianceScalesOf,
)
from bimixed.results.rows import PredictionRows, random_part


class Uncertainty(Protocol):
    """What tables and predictions ask of a backend's uncertainty."""

    def variance_parameters(self) -> VarianceParameters:
        """Sds, correlations and sigma with standard errors (or posterior sds)."""
        ...

    def covariance_parameters(self) -> VarianceParameters:
        """Variances, covariances and the residual variance with standard errors (or posterior sds)."""
        ...

    def variance_interval(self, level: float) -> Interval:
        """Limits of the variance parameters, in the same order."""
        ...

    def prediction_interval(
        self,
        rows: PredictionRows,
        estimate: Array,
        kind: str,
        level: float,
        random_seed: int | None,
    ) -> Interval:
        """Limits for the expected ("confidence") or a new ("prediction") response, (m,) each.

        ``estimate`` is the point prediction, (m,).
        """
        ...


@dataclass(frozen=True)
class NormalApproximation:
    """Normal theory given the estimated variance parameters (likelihood fits).

    Attributes
    ----------
    beta, std_errors : (p,) arrays
        Fixed effects.
    sigma : float
    random_cov : mapping, group → (K, K) array
        Of covariances that fit equally well one of them.
    variance_scales : callable
        Estimates of sds and correlations with standard errors on the log and Fisher-z scales.
    linear_variance : LinearVariance
    joint : JointOf
    small_sample : SmallSampleOf
    """

    beta: Array
    std_errors: Array
    sigma: float
    random_cov: Mapping[str, Array]
    variance_scales: VarianceScalesOf
    linear_variance: LinearVariance
    joint: JointOf
    small_sample: SmallSampleOf

    def variance_parameters(self) -> VarianceParameters:
        scales = self.variance_scales()
        is_sd = np.array([kind == "sd" for kind in scales.kinds])
        slope = np.where(is_sd, scales.values, 1.0 - scales.values**2)
        return VarianceParameters(scales.names, scales.values, scales.transformed_se * slope)

    def covariance_parameters(self) -> VarianceParameters:
        return self.variance_scales.entries()

    def variance_interval(self, level: float) -> Interval:
        scales = self.variance_scales()
        half = quantile(0.5 + level / 2.0) * scales.transformed_se
        is_sd = np.array([kind == "sd" for kind in scales.kinds])
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(is_sd, np.log(np.abs(scales.values)), np.arctanh(scales.values))
            lower = np.where(is_sd, np.exp(z - half), np.tanh(z - half))
            upper = np.where(is_sd, np.exp(z + half), np.tanh(z + half))
        return Interval(lower, upper)

    def prediction_interval(
        self,
        rows: PredictionRows,
        estimate: Array,
        kind: str,
        level: float,
        random_seed: int | None,
    ) -> Interval:
        half = quantile(0.5 + level / 2.0) * self.prediction_sd(rows, kind)
        return Interval(estimate - half, estimate + half)

    def prediction_sd(self, rows: PredictionRows, kind: str) -> Array:
        """Sd of prediction errors of the expected ("confidence") or a new ("prediction") response, (m,)."""
        estimable = ~np.isnan(self.beta)
        variance = self.linear_variance(rows.rows.X[:, estimable], rows.known)
        for key, unseen in rows.sampled.items():
            variance = variance + unseen.variance(self.random_cov[key])
        if kind == "prediction":
            weights = 1.0 if rows.rows.weights is None else rows.rows.weights
            variance = variance + self.sigma**2 / weights
        sd = np.sqrt(variance)
        return sd if rows.no_limits is None else np.where(rows.no_limits, np.nan, sd)


@dataclass(frozen=True, repr=False)
class Draws:
    """Draws from the posterior, chains joined.

    Attributes
    ----------
    beta : (draws, p) array
    random_cov : mapping, group → (draws, K, K) array
    sigma : (draws,) array
    ranef : mapping, group → (draws, L, K) array
    pairs : mapping, group → list of (i, j)
        Coefficients whose correlation is a parameter.
    names : mapping, group → tuple of str
        The K coefficients.
    with_ranef : int array or None
        Which draws have random effects, where these are so many that not all draws of them are kept.
    """

    beta: Array
    random_cov: Mapping[str, Array]
    sigma: Array
    ranef: Mapping[str, Array]
    pairs: Mapping[str, list[tuple[int, int]]]
    names: Mapping[str, tuple[str, ...]]
    with_ranef: NDArray[np.intp] | None = None

    @property
    def complete(self) -> "Draws":
        """The draws that have random effects."""
        if self.with_ranef is None:
            return self
        own = self.with_ranef
        return replace(
            self,
            beta=self.beta[own],
            random_cov={key: cov[own] for key, cov in self.random_cov.items()},
            sigma=self.sigma[own],
            with_ranef=None,
        )

    def fixef_interval(self, level: float) -> Interval:
        return equal_tails(self.beta, level)

    def variance_parameters(self) -> VarianceParameters:
        names, values = self.variance_draws()
        return VarianceParameters(names, values.mean(axis=0), values.std(axis=0, ddof=1))

    def covariance_parameters(self) -> VarianceParameters:
        names: list[str] = []
        columns: list[Array] = []
        for key, cov in self.random_cov.items():
            own = self.names[key]
            names += [f"var_{key}[{name}]" for name in own]
            columns += list(np.diagonal(cov, axis1=1, axis2=2).T)
            names += [f"cov_{key}[{own[i]},{own[j]}]" for i, j in self.pairs[key]]
            columns += [cov[:, i, j] for i, j in self.pairs[key]]
        values = np.column_stack([*columns, self.sigma**2])
        return VarianceParameters((*names, "var_residual"), values.mean(axis=0), values.std(axis=0, ddof=1))

    def variance_interval(self, level: float) -> Interval:
        return equal_tails(self.variance_draws()[1], level)

    def variance_draws(self) -> tuple[tuple[str, ...], Array]:
        """Names and draws (draws, m) of sds, correlations and sigma."""
        names: list[str] = []
        columns: list[Array] = []
        for key, cov in self.random_cov.items():
            sd = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
            for k, name in enumerate(self.names[key]):
                names.append(f"sd_{key}[{name}]")
                columns.append(sd[:, k])
            for i, j in self.pairs[key]:
                names.append(f"corr_{key}[{self.names[key][i]},{self.names[key][j]}]")
                columns.append(cov[:, i, j] / (sd[:, i] * sd[:, j]))
        return (*names, "sigma"), np.column_stack([*columns, self.sigma])

    def prediction_interval(
        self,
        rows: PredictionRows,
        estimate: Array,
        kind: str,
        level: float,
        random_seed: int | None,
    ) -> Interval:
        rng = np.random.default_rng(random_seed)
        drawn = self.responses if kind == "prediction" else self.linear_predictor
        return equal_tails(drawn(rows, rng), level)

    def responses(self, rows: PredictionRows, rng: np.random.Generator) -> Array:
        """Draws of new responses, (draws, m)."""
        mu = self.linear_predictor(rows, rng)
        return mu + self.complete.residual_sds(rows) * rng.standard_normal(mu.shape)

    def log_densities(self, rows: PredictionRows, y: Array) -> Array:
        """Log-density of each response given random effects, (draws, m); levels are known ones."""
        mu, sd = self.linear_predictor(rows, np.random.default_rng(0)), self.complete.residual_sds(rows)
        return np.asarray(-0.5 * ((y - mu) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2.0 * np.pi))

    def at(self, places: NDArray[np.intp]) -> "Draws":
        """These draws alone, in this order."""
        own, known = places, None
        if self.with_ranef is not None:
            has = np.isin(places, self.with_ranef)
            known, own = np.flatnonzero(has), np.searchsorted(self.with_ranef, places[has])
        return replace(
            self,
            beta=self.beta[places],
            random_cov={key: cov[places] for key, cov in self.random_cov.items()},
            sigma=self.sigma[places],
            ranef={key: effects[own] for key, effects in self.ranef.items()},
            with_ranef=known,
        )

    def residual_sds(self, rows: PredictionRows) -> Array:
        """Draws of the residual sd of each row, (draws, m), or (draws, 1) without weights."""
        sd = self.sigma[:, None]
        return sd if rows.rows.weights is None else sd / np.sqrt(rows.rows.weights)

    def linear_predictor(self, rows: PredictionRows, rng: np.random.Generator) -> Array:
        """Draws of Xβ + Zb + offset, (draws, m); new levels drawn where they are sampled."""
        if self.with_ranef is not None:
            return self.complete.linear_predictor(rows, rng)
        estimable = ~np.isnan(self.beta).any(axis=0)
        mu = self.beta[:, estimable] @ rows.rows.X[:, estimable].T + rows.rows.offset
        if rows.groups:
            effects = {key: np.moveaxis(self.ranef[key], 0, -1) for key in rows.groups}
            mu = mu + random_part(rows, effects).T
        for key, unseen in rows.sampled.items():
            cov = self.random_cov[key]
            root = symmetric_root(cov)
            noise = rng.standard_normal((len(cov), len(unseen.labels), cov.shape[1]))
            mu += unseen.times(np.einsum("dab,dlb->lad", root, noise)).T
        for without in (rows.unknown, rows.no_limits):
            if without is not None:
                mu[:, without] = np.nan
        return mu


def equal_tails(draws: Array, level: float) -> Interval:
    """Quantiles that leave equal probability on both sides; draws are (draws, ...)."""
    tail = (1.0 - level) / 2.0
    lower, upper = np.quantile(draws, [tail, 1.0 - tail], axis=0)
    return Interval(lower, upper)
