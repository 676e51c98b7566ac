"""Where the search for the mode of a marginal posterior begins: at the REML fit, off its boundary."""

from collections.abc import Sequence

import numpy as np

from bimixed.covariance import Array
from bimixed.marginal.posterior import MarginalPosterior
from bimixed.marginal.scales import Block, Scale

LEAST = 0.1
"""Smallest sd to start from, as a share of what would move rows by one residual sd."""
SHRINK = 0.1
"""Share by which correlations are moved towards 0."""
INSIDE = 1e-3
"""Share of a uniform prior's width that a start keeps from its bounds."""


def start_at(posterior: MarginalPosterior, covariances: Sequence[Array], sigma: float) -> Array:
    """Coordinates of estimated variances.

    Parameters
    ----------
    posterior : MarginalPosterior
    covariances : sequence of (K, K) arrays
        Of the random coefficients, by place; NaN where unknown.
    sigma : float

    Returns
    -------
    (m,) array
    """
    coordinates = posterior.coordinates
    z = np.zeros(coordinates.size)
    for block in coordinates.blocks:
        least = LEAST * sigma / posterior.covariates.sizes[block.place][block.rows]
        _set_block(z, block, covariances[block.place][block.rows, block.rows], least)
    z[-1] = _inside(coordinates.sigma, sigma)
    return z


def _set_block(z: Array, block: Block, cov: Array, least: Array) -> None:
    sd = np.sqrt(np.diag(cov))
    known = np.isfinite(sd) & (sd > least)
    corr = np.eye(block.size)
    both = np.outer(known, known) & np.isfinite(cov)
    with np.errstate(invalid="ignore", divide="ignore"):
        corr[both] = (cov / np.outer(sd, sd))[both]
    corr = (1.0 - SHRINK) * corr + SHRINK * np.eye(block.size)
    for k, scale in enumerate(block.scales):
        z[block.start + k] = _inside(scale, float(sd[k] if known[k] else least[k]))
    L = np.linalg.cholesky(corr)
    for n, (i, j) in enumerate(block.pairs):
        left = np.sqrt(1.0 - np.sum(L[i, :j] ** 2))
        z[block.start + block.size + n] = np.arctanh(np.clip(L[i, j] / left, -0.99, 0.99))


def _inside(scale: Scale, x: float) -> float:
    """The coordinate of a value, or of one next to it that the prior allows."""
    if scale.prior.family == "uniform":
        lower, upper = scale.prior.parameters["lower"], scale.prior.parameters["upper"]
        gap = INSIDE * (upper - lower)
        x = float(np.clip(x, lower + gap, upper - gap))
    return scale.coordinate(x)
