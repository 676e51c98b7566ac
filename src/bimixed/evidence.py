"""Figures behind the verdicts on a difference: skewness, mass at a boundary, the prior's weight."""

from dataclasses import dataclass

import numpy as np

from bimixed.covariance import Array
from bimixed.overlaps import Marginal
from bimixed.priors import Prior
from bimixed.results import MixedModelResult
from bimixed.results.uncertainty import Draws

NEAR = 0.1
"""Of σ: an sd below this share of it is next to none."""


@dataclass(frozen=True)
class Evidence:
    """What the draws of one parameter look like.

    Attributes
    ----------
    draws : (n,) array
    sigma : float
        Residual sd.
    prior : Prior or None
    """

    draws: Array
    sigma: float
    prior: Prior | None

    @staticmethod
    def of(result: MixedModelResult) -> "dict[str, Evidence]":
        """By parameter; none for likelihood fits."""
        if not isinstance(result.uncertainty, Draws):
            return {}
        priors = None if result.spec is None else result.spec.priors
        names, values = result.uncertainty.variance_draws()
        columns = dict(zip(result.design.names, result.uncertainty.beta.T, strict=True))
        columns |= dict(zip(names, values.T, strict=True))
        sigma = float(result.sigma)
        return {
            name: Evidence(own, sigma, priors[name] if priors is not None and name in priors else None)
            for name, own in columns.items()
            if not np.isnan(own).any()
        }

    @property
    def mean(self) -> float:
        return float(self.draws.mean())

    @property
    def sd(self) -> float:
        return float(self.draws.std(ddof=1))

    @property
    def skewness(self) -> float:
        """Third moment over the sd's third power."""
        return float(np.mean(((self.draws - self.mean) / self.draws.std()) ** 3))

    def mode(self) -> float:
        """Where a kernel estimate of the density of an sd is largest."""
        own = Marginal.of_draws(self.draws, low=0.0)
        grid = np.linspace(max(own.low, 0.0), own.high, 512)
        return float(grid[np.argmax(own.density(grid))])

    def of_skewness(self) -> str:
        """For an sd whose mean lies above the estimate."""
        return f"skewness {self.skewness:.1f}, mode near {self.mode():.3g}, mean {self.mean:.3g}"

    def of_boundary(self) -> str:
        """For an sd estimated as 0."""
        near = float(np.mean(self.draws < NEAR * self.sigma))
        return f"{near:.0%} of the posterior lies below {NEAR:g}·sigma"

    def of_correlation(self) -> str:
        """For a correlation."""
        low, high = np.quantile(self.draws, [0.025, 0.975])
        return f"95 % of the posterior lies between {low:.2f} and {high:.2f}"

    def weight(self) -> float:
        """Of the prior's location against the likelihood: its precision over the posterior's, 0 if flat."""
        if self.prior is None or "mu" not in self.prior.parameters:
            return 0.0
        own = self.prior.parameters
        if self.prior.family == "student_t":
            z = (self.mean - own["mu"]) / own["sigma"]
            return float(min(self.sd**2 / own["sigma"] ** 2 * (own["nu"] + 1.0) / (own["nu"] + z**2), 1.0))
        return float(min(self.sd**2 / own["sigma"] ** 2, 1.0))

    def pull(self, estimate: float) -> float:
        """By how many posterior sds the prior moves the mean from an estimate without it."""
        if self.prior is None or "mu" not in self.prior.parameters:
            return 0.0
        return self.weight() * (self.prior.parameters["mu"] - estimate) / self.sd

    def of_prior(self, estimate: float) -> str:
        """For a fixed effect."""
        if self.prior is None or self.prior.family == "flat":
            return "its prior is flat"
        moved = f"{self.pull(estimate):+.2f} sds"
        return f"its prior has {self.weight():.1%} of the weight, which moves it by {moved}"
