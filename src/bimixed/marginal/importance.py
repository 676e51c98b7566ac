"""Independent draws from a marginal posterior of few parameters, by Pareto-smoothed importance sampling.

The proposal is a Student t at the mode, with the posterior's curvature there; its weights are smoothed as by
Vehtari, Simpson, Gelman, Yao and Gabry (2024), whose k tells whether they can be trusted, and resampled
systematically to plain draws.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.likelihood.optimize import difference_hessian
from bimixed.marginal.posterior import MarginalPosterior

FREEDOM = 7.0
"""Degrees of freedom of the proposal: heavier tails than the posterior's."""
NOTHING = 700.0
"""Log-weights this far below the largest are nothing."""
WIDEST = 2.0
"""Largest sd of the proposal along any direction, logarithms of sds having no curvature far out."""


@dataclass(frozen=True)
class Peak:
    """The mode of a posterior and its surroundings.

    Attributes
    ----------
    z : (m,) array
    root : (m, m) array
        A square root of the covariance that the curvature gives.
    """

    z: Array
    root: Array


@dataclass(frozen=True)
class WeightedDraws:
    """Proposals with their smoothed weights.

    Attributes
    ----------
    z : (draws, m) array
    log_weights : (draws,) array
        Their exponentials add up to 1.
    pareto_k : float
        Trust the draws up to 0.7.
    """

    z: Array
    log_weights: Array
    pareto_k: float

    @property
    def ess(self) -> float:
        """Independent draws that would be worth as much, 1/Σ w²."""
        return float(np.exp(-np.logaddexp.reduce(2.0 * self.log_weights)))

    def resample(self, rng: np.random.Generator) -> NDArray[np.intp]:
        """Places of as many equally weighted draws, systematically (Kitagawa 1996), in random order."""
        n = len(self.log_weights)
        edges = np.cumsum(np.exp(self.log_weights))
        places = np.searchsorted(edges / edges[-1], (np.arange(n) + rng.random()) / n)
        return rng.permutation(places)


def find_peak(posterior: MarginalPosterior, start: Array) -> Peak:
    """The mode next to ``start``, and the posterior's curvature there."""
    from scipy import optimize

    def downhill(z: Array) -> tuple[float, Array]:
        try:
            value, slope = posterior(z)
        except np.linalg.LinAlgError:
            return 1e100, np.zeros(len(z))
        return -value, -slope

    found = optimize.minimize(downhill, start, jac=True, method="BFGS", options={"gtol": 1e-5})
    curvature = difference_hessian(lambda z: downhill(z)[1], found.x)
    values, vectors = np.linalg.eigh(curvature)
    sd = np.minimum(1.0 / np.sqrt(np.maximum(values, 1e-12)), WIDEST)
    return Peak(found.x, vectors * sd)


def importance(
    posterior: MarginalPosterior, peak: Peak, draws: int, rng: np.random.Generator
) -> WeightedDraws:
    """Proposals around the peak, weighted by the posterior."""
    from arviz_stats.base import array_stats

    m = len(peak.z)
    unit = rng.standard_normal((draws, m)) / np.sqrt(rng.chisquare(FREEDOM, draws) / FREEDOM)[:, None]
    z = peak.z + unit @ peak.root.T
    log_proposal = -0.5 * (FREEDOM + m) * np.log1p(np.sum(unit**2, axis=1) / FREEDOM)
    raw = _log_densities(posterior, z) - log_proposal
    raw = np.maximum(raw, raw.max() - NOTHING)
    log_weights, k = array_stats.psislw(-raw)  # it takes log-likelihoods left out, whose weights are inverse
    return WeightedDraws(z, np.asarray(log_weights), float(k))


def _log_densities(posterior: MarginalPosterior, z: Array) -> Array:
    out = np.full(len(z), -np.inf)
    for i, one in enumerate(z):
        try:
            point, _, _ = posterior.point(one)
        except np.linalg.LinAlgError:  # so far out that the density has no digits: none there
            continue
        out[i] = point.log_density + posterior.coordinates.log_prior(one)[0]
    return out
