"""Responses drawn from a fitted model: from its normal distributions, or from its own effects and residuals.

A response depends on its own seed alone, so that it is the same however many are drawn together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import SeedSequence

from bimixed.covariance import Array, symmetric_root
from bimixed.design import Design
from bimixed.exceptions import FitError
from bimixed.results import MixedModelResult


@dataclass(frozen=True)
class Parametric:
    """Random effects and residuals from normal distributions.

    Attributes
    ----------
    design : Design
    mean : (n,) array
        Xβ and offset.
    roots : tuple of (K, K) arrays
        R with RR' the covariance of a level's coefficients, by factor.
    sds : (n,) array
        Of the residuals.
    """

    design: Design
    mean: Array
    roots: tuple[Array, ...]
    sds: Array

    @staticmethod
    def of(fit: MixedModelResult) -> "Parametric":
        """From the estimates.

        Raises
        ------
        FitError
            If a variance isn't identified.
        """
        roots = tuple(symmetric_root(cov) for cov in _covariances(fit))
        return Parametric(fit.design, _mean(fit), roots, fit.sigma * _shares(fit.design))

    def __call__(self, seeds: Sequence[SeedSequence]) -> Array:
        """A response for each seed, (n, R)."""
        rngs = [np.random.default_rng(seed) for seed in seeds]
        y = np.repeat(self.mean[:, None], len(seeds), axis=1)
        for f, root in zip(self.design.factors, self.roots, strict=True):
            z = np.stack([rng.standard_normal((f.n_levels, f.n_coefficients)) for rng in rngs], axis=-1)
            y += f.rows.times(np.einsum("ab,lbr->lar", root, z))
        noise = np.column_stack([rng.standard_normal(self.design.n) for rng in rngs])
        return y + self.sds[:, None] * noise


@dataclass(frozen=True)
class Residual:
    """Effects and residuals drawn with replacement from those of the fit, rescaled.

    Predicted effects vary less than the effects they predict: they are centred and turned such that their
    covariance over the levels is the estimated one, and residuals such that their mean square is σ̂²
    (Carpenter, Goldstein and Rasbash 2003). Coefficients that the model has uncorrelated are drawn
    independently.

    Attributes
    ----------
    design : Design
    mean : (n,) array
    effects : tuple of tuples of (L, k) arrays
        Of each factor the blocks of coefficients that may be correlated.
    residuals : (n,) array
        Of weight 1.
    shares : (n,) array
        Roots of 1/weights.
    """

    design: Design
    mean: Array
    effects: tuple[tuple[Array, ...], ...]
    residuals: Array
    shares: Array

    @staticmethod
    def of(fit: MixedModelResult) -> "Residual":
        """From the estimates.

        Raises
        ------
        FitError
            If a variance isn't identified.
        """
        design, effects = fit.design, []
        for f, cov in zip(design.factors, _covariances(fit), strict=True):
            own = fit.estimates.usable_ranef[f.key]
            effects.append(tuple(_rescaled(own[:, b], cov[b, b]) for b in f.template.sub_blocks()))
        shares = _shares(design)
        residuals = fit.resid.to_numpy() / shares
        residuals = residuals - residuals.mean()
        residuals = residuals * fit.sigma / np.sqrt(np.mean(residuals**2))
        return Residual(design, _mean(fit), tuple(effects), residuals, shares)

    def __call__(self, seeds: Sequence[SeedSequence]) -> Array:
        """A response for each seed, (n, R)."""
        rngs = [np.random.default_rng(seed) for seed in seeds]
        y = np.repeat(self.mean[:, None], len(seeds), axis=1)
        for f, blocks in zip(self.design.factors, self.effects, strict=True):
            drawn = [
                np.column_stack([own[rng.integers(f.n_levels, size=f.n_levels)] for own in blocks])
                for rng in rngs
            ]
            y += f.rows.times(np.stack(drawn, axis=-1))
        n = self.design.n
        noise = np.column_stack([self.residuals[rng.integers(n, size=n)] for rng in rngs])
        return y + self.shares[:, None] * noise


def _mean(fit: MixedModelResult) -> Array:
    design = fit.design
    mean = np.asarray(design.X_kept @ fit.estimates.beta[design.kept])
    return mean if design.offset is None else mean + design.offset


def _shares(design: Design) -> Array:
    return np.ones(design.n) if design.weights is None else 1.0 / np.sqrt(design.weights)


def _covariances(fit: MixedModelResult) -> list[Array]:
    found = []
    for f in fit.design.factors:
        cov = fit.estimates.usable_cov[f.key]
        if np.isnan(cov).any():
            raise FitError(
                f"The (co)variances of {f.key!r} are not identified (NaN), so that nothing can be drawn from "
                "them. Leave out what is confounded; fit.diagnostics tells which."
            )
        found.append(cov)
    return found


def _rescaled(effects: Array, cov: Array) -> Array:
    """Effects (L, k) centred, with the covariance ``cov`` over the levels.

    Coefficients are taken in units of their sds. Directions in which the predicted effects don't vary have no
    estimated variance either, as a rule; they stay at 0.
    """
    sd = np.sqrt(np.diag(cov))
    unit = np.where(sd > 0.0, sd, 1.0)
    scaled = (effects - effects.mean(axis=0)) / unit
    values, vectors = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    used = values > 1e-12 * max(float(values[-1]), 1e-300)
    inverse = vectors[:, used] / np.sqrt(values[used]) @ vectors[:, used].T
    wanted, turned = np.linalg.eigh(cov / np.outer(unit, unit))
    root = turned * np.sqrt(np.clip(wanted, 0.0, None)) @ turned.T
    return np.asarray(scaled @ inverse @ root * unit)
