"""The prior of each single number of a model: density, quantiles, and how far out a value lies.

A correlation of an LKJ(η) matrix of size d is 2·Beta(a, a) − 1 with a = η − 1 + d/2 (Lewandowski, Kurowicka
and Joe 2009).
"""

from dataclasses import dataclass
from functools import cached_property
from math import exp, lgamma, pi, sqrt
from typing import Any

import numpy as np

from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.priors import Prior, Priors, sd_name

POINTS = 4000
"""Quantiles by which a tail is measured, to a quarter of a thousandth."""


@dataclass(frozen=True)
class Marginal:
    """The prior of one number.

    Attributes
    ----------
    name : str
        As in ``conf_int``: correlations are ``corr_<group>[<a>,<b>]``.
    key : str
        Of the prior in ``spec.priors``.
    prior : Prior
    size : int
        Of the correlation matrix, where it is a correlation.
    """

    name: str
    key: str
    prior: Prior
    size: int = 0

    @property
    def is_variance(self) -> bool:
        """Whether it is an sd, a correlation or sigma."""
        return self.name.startswith(("sd_", "corr_")) or self.name == "sigma"

    @property
    def is_flat(self) -> bool:
        return self.prior.family == "flat"

    @cached_property
    def distribution(self) -> Any:
        """In scipy's terms; a flat prior has none."""
        from scipy import stats

        p = self.prior.parameters
        match self.prior.family:
            case "normal":
                return stats.norm(p["mu"], p["sigma"])
            case "student_t":
                return stats.t(p["nu"], p["mu"], p["sigma"])
            case "half_normal":
                return stats.halfnorm(scale=p["sigma"])
            case "half_student_t":
                return HalfStudentT(p["nu"], p["sigma"])
            case "exponential":
                return stats.expon(scale=1.0 / p["rate"])
            case "gamma":
                return stats.gamma(p["alpha"], scale=1.0 / p["beta"])
            case "uniform":
                return stats.uniform(p["lower"], p["upper"] - p["lower"])
            case "lkj":
                a = p["eta"] - 1.0 + self.size / 2.0
                return stats.beta(a, a, loc=-1.0, scale=2.0)
        raise AssertionError(f"{self.prior.family} is no distribution of one number")

    @property
    def sd(self) -> float:
        """Infinite where the tails are too heavy for one, and for flat priors."""
        return np.inf if self.is_flat else float(self.distribution.std())

    def log_density(self, x: Array) -> Array:
        return np.zeros(len(x)) if self.is_flat else np.asarray(self.distribution.logpdf(x))

    def quantile_of(self, x: float) -> float:
        """Probability below x; NaN for flat priors."""
        return np.nan if self.is_flat else float(self.distribution.cdf(x))

    def tail(self, lower: float, upper: float) -> float:
        """Probability of values no more plausible than the most plausible one in an interval (Box 1980).

        1 where the interval has the prior's mode, 0 where it is outside the prior's range; NaN for flat
        priors and an unknown interval.
        """
        if self.is_flat or np.isnan(lower) or np.isnan(upper):
            return np.nan
        x, density = self._quantiles
        inside = density[(x >= lower) & (x <= upper)]
        ends = self.distribution.pdf(np.array([lower, upper]))
        return float(np.mean(density <= (1.0 + 1e-9) * max(ends.max(), inside.max(initial=0.0))))

    @cached_property
    def _quantiles(self) -> tuple[Array, Array]:
        x = self.distribution.ppf((np.arange(POINTS) + 0.5) / POINTS)
        return x, self.distribution.pdf(x)


@dataclass(frozen=True)
class HalfStudentT:
    """Absolute value of a Student t variable, in the part of scipy's terms that is needed here."""

    nu: float
    sigma: float

    @cached_property
    def _whole(self) -> Any:
        from scipy import stats

        return stats.t(self.nu, 0.0, self.sigma)

    def pdf(self, x: Array) -> Array:
        return np.where(np.asarray(x) < 0.0, 0.0, 2.0 * self._whole.pdf(x))

    def logpdf(self, x: Array) -> Array:
        return np.where(np.asarray(x) < 0.0, -np.inf, np.log(2.0) + self._whole.logpdf(x))

    def cdf(self, x: Array) -> Array:
        return np.maximum(2.0 * self._whole.cdf(x) - 1.0, 0.0)

    def ppf(self, q: Array) -> Array:
        return np.asarray(self._whole.ppf(0.5 + 0.5 * np.asarray(q)))

    def std(self) -> float:
        nu = self.nu
        if nu <= 2.0:
            return np.inf
        mean = 2.0 * sqrt(nu / pi) * exp(lgamma(0.5 * (nu + 1.0)) - lgamma(0.5 * nu)) / (nu - 1.0)
        return self.sigma * sqrt(nu / (nu - 2.0) - mean**2)


def marginals(design: Design, priors: Priors) -> list[Marginal]:
    """Every fixed effect, sd and correlation, and sigma last."""
    found = [Marginal(design.names[j], design.names[j], priors[design.names[j]]) for j in design.kept]
    for f in design.factors:
        for name in f.names:
            full = sd_name(f.key, name)
            found.append(Marginal(full, full, priors[full]))
        for block in f.template.sub_blocks():
            names, key = f.names[block], f"corr_{f.key}"
            found += [
                Marginal(f"{key}[{a},{b}]", key, priors[key], len(names))
                for i, a in enumerate(names)
                for b in names[i + 1 :]
            ]
    return [*found, Marginal("sigma", "sigma", priors["sigma"])]
