"""Figures behind the verdicts on a difference: skewness, mass at a boundary, the prior's weight."""

from dataclasses import dataclass

import numpy as np

from bimixed.covariance import Array
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

    def of_skewness(self, estimate: float) -> str:
        """For an sd whose mean lies above the estimate."""
        below = float(np.mean(self.draws < estimate))
        median = float(np.median(self.draws))
        place = f"{below:.0%} of the posterior lie below the other estimate"
        return f"skewness {self.skewness:.1f}, median {median:.3g}, mean {self.mean:.3g}; {place}"

    def of_boundary(self) -> str:
        """For an sd estimated as 0."""
        near = float(np.mean(self.draws < NEAR * self.sigma))
        return f"{near:.0%} of the posterior lies below {NEAR:g}·sigma"

    def of_correlation(self) -> str:
        """For a correlation."""
        low, high = np.quantile(self.draws, [0.025, 0.975])
        return f"95 % of the posterior lies between {low:.2f} and {high:.2f}"

    def weights(self, std_error: float) -> tuple[float, float]:
        """Of the prior's location against the likelihood, 0 for a flat one: at the least and at the most.

        Its precision over the posterior's, by the other fit's standard error (which takes the variances as
        known), and by the posterior's sd (which counts them).
        """
        if self.prior is None or "mu" not in self.prior.parameters:
            return 0.0, 0.0
        own = self.prior.parameters
        precision = own["sigma"] ** -2
        if self.prior.family == "student_t":
            z = (self.mean - own["mu"]) / own["sigma"]
            precision *= (own["nu"] + 1.0) / (own["nu"] + z**2)
        by_posterior = min(precision * self.sd**2, 1.0)
        by_likelihood = precision / (precision + std_error**-2) if std_error > 0.0 else by_posterior
        return min(by_likelihood, by_posterior), max(by_likelihood, by_posterior)

    def pulls(self, estimate: float, std_error: float) -> tuple[float, float]:
        """Posterior sds by which the prior moves the mean from an estimate without it, by either weight."""
        if self.prior is None or "mu" not in self.prior.parameters:
            return 0.0, 0.0
        whole = (self.prior.parameters["mu"] - estimate) / self.sd
        least, most = self.weights(std_error)
        return least * whole, most * whole

    def of_prior(self, estimate: float, std_error: float) -> str:
        """For a fixed effect."""
        if self.prior is None or self.prior.family == "flat":
            return "its prior is flat"
        low, high = self.weights(std_error)
        moved = " to ".join(f"{pull:+.2f}" for pull in self.pulls(estimate, std_error))
        return f"its prior has {low:.1%} to {high:.1%} of the weight, which moves it by {moved} sds"
