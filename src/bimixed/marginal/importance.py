"""Independent draws from a marginal posterior of few parameters, by Pareto-smoothed importance sampling.

The proposal is a Student t, first at the mode with the posterior's curvature there, then with the mean and
covariance of trials of itself (adaptive importance sampling: Oh and Berger 1992). The weights of the draws
that are kept are smoothed as by Vehtari, Simpson, Gelman, Yao and Gabry (2024), whose k tells whether they
can be trusted, and resampled systematically to plain draws.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.marginal.ready import ReadyPosterior
from bimixed.marginal.scales import Coordinates

FREEDOM = 5.0
"""Degrees of freedom of the proposal: heavier tails than the posterior's."""
WIDE_SHARE, WIDER = 0.15, 2.5
"""Share of draws from the wider one, and how much wider it is."""
NOTHING = 700.0
"""Log-weights this far below the largest are nothing."""
FEWEST = 100
"""Draws below which an interrupted run is worth nothing."""
PILOT, ROUNDS, GOOD = 400, 5, 0.4
"""Draws of a trial of the proposal, most trials, and the Pareto k with which one is good enough."""
NEAR = 8.0
"""Sds from 0 up to which the images of a turning coordinate overlap."""


@dataclass(frozen=True)
class WeightedDraws:
    """Proposals with their smoothed weights.

    Attributes
    ----------
    z : (draws, m) array
        Sds being positive.
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


@dataclass(frozen=True)
class Proposal:
    """Two Student t of one shape, the second wider, folded onto positive sds.

    The wider one reaches long low flanks, towards an sd of 0 above all, where few draws of the first would
    have all the weight (Hesterberg 1995).

    Attributes
    ----------
    centre : (m,) array
    root : (m, m) array
        A square root of its scale matrix.
    coordinates : Coordinates
    """

    centre: Array
    root: Array
    coordinates: Coordinates

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """(n, m), sds being positive."""
        m = len(self.centre)
        unit = rng.standard_normal((n, m)) / np.sqrt(rng.chisquare(FREEDOM, n) / FREEDOM)[:, None]
        unit[rng.random(n) < WIDE_SHARE] *= WIDER
        return self.coordinates.upright(self.centre + unit @ self.root.T)

    def log_density(self, z: Array) -> Array:
        """Up to a constant, all images counted, (n,)."""
        m, spread = len(self.centre), np.linalg.norm(self.root, axis=1)
        images = [np.ones(m)]
        for place, turned in zip(self.coordinates.turning, self.coordinates.images, strict=True):
            if abs(self.centre[place]) < NEAR * spread[place]:
                images += [image * turned for image in images]
        inverse = np.linalg.inv(self.root)
        parts = []
        for image in images:
            square = np.sum(((z * image - self.centre) @ inverse.T) ** 2, axis=1) / FREEDOM
            for share, scale in ((1.0 - WIDE_SHARE, 1.0), (WIDE_SHARE, WIDER)):
                level = np.log(share) - m * np.log(scale)
                parts.append(level - 0.5 * (FREEDOM + m) * np.log1p(square / scale**2))
        return np.asarray(np.logaddexp.reduce(parts, axis=0)) - np.linalg.slogdet(self.root)[1]

    def fitted(self, drawn: WeightedDraws) -> "Proposal":
        """That with the mean and covariance of weighted draws."""
        weights = np.exp(drawn.log_weights)
        mean = weights @ drawn.z
        left = (drawn.z - mean) * np.sqrt(weights)[:, None]
        share = 0.1  # keeps the matrix regular where few draws have all the weight
        cov = (1.0 - share) * left.T @ left + share * self.root @ self.root.T
        return Proposal(mean, np.linalg.cholesky(cov), self.coordinates)


def importance(
    ready: ReadyPosterior,
    draws: int,
    rng: np.random.Generator,
    cores: int | None = None,
    progress: bool = False,
) -> WeightedDraws:
    """Proposals weighted by the posterior; an interrupt keeps those that are done.

    The first proposal is the mode's; trials move it until its weights are even.

    Parameters
    ----------
    ready : ReadyPosterior
    draws : int
    rng : numpy.random.Generator
    cores : int, optional
        Threads where a density takes long; changes no number.
    progress : bool
    """
    coordinates = ready.posterior.coordinates
    proposal = Proposal(coordinates.upright(ready.peak.z[None])[0], ready.peak.root, coordinates)
    for _ in range(ROUNDS):
        z = proposal.draw(PILOT, rng)
        density = ready.log_densities(z, "trial of a proposal", cores, progress)
        if len(density) < len(z):
            raise KeyboardInterrupt
        trial = _weigh(proposal, z, density)
        if trial.pareto_k <= GOOD and trial.ess > 0.5 * PILOT:
            break
        proposal = proposal.fitted(trial)
    z = proposal.draw(draws, rng)
    density = ready.log_densities(z, "importance sampling", cores, progress)
    if len(density) < min(FEWEST, draws):
        raise KeyboardInterrupt
    return _weigh(proposal, z[: len(density)], density)


def _weigh(proposal: Proposal, z: Array, density: Array) -> WeightedDraws:
    from arviz_stats.base import array_stats

    raw = density - proposal.log_density(z)
    raw = np.maximum(raw, raw.max() - NOTHING)
    log_weights, k = array_stats.psislw(-raw)  # it takes log-likelihoods left out, whose weights are inverse
    return WeightedDraws(z, np.asarray(log_weights), float(k))
