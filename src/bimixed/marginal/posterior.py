"""The posterior of the variance parameters with β and b integrated out, on the cross-products of REML."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts
from bimixed.design import Design
from bimixed.likelihood.coordinates import Coordinates as Covariates
from bimixed.likelihood.setup import set_up
from bimixed.marginal.density import FixefPrior, MarginalPoint, marginal
from bimixed.marginal.scales import Coordinates
from bimixed.priors import Priors

INTEGRABLE = ("normal", "flat")
"""Priors of fixed effects that can be integrated out."""


def fixef_prior(design: Design, priors: Priors) -> FixefPrior | None:
    """The priors of the fixed effects, or None where one of them can't be integrated out."""
    chosen = [priors[design.names[j]] for j in design.kept]
    if any(prior.family not in INTEGRABLE for prior in chosen):
        return None
    mean = [prior.parameters.get("mu", 0.0) for prior in chosen]
    sd = [prior.parameters.get("sigma", np.inf) for prior in chosen]
    return FixefPrior(np.array(mean), np.array(sd))


def stand_in(design: Design, priors: Priors) -> FixefPrior:
    """Normal priors with the location and scale of those that can't be integrated out."""
    mean, sd = [], []
    for j in design.kept:
        prior = priors[design.names[j]]
        mean.append(prior.parameters.get("mu", 0.0))
        sd.append(prior.parameters.get("sigma", np.inf if prior.family == "flat" else 1.0))
    return FixefPrior(np.array(mean), np.array(sd))


def resolution(cp: CrossProducts, covariates: Covariates, sigma: float) -> list[Array]:
    """Sds that the data can just tell from 0, by place (K,).

    The information about a variance τ² at 0, with levels' sums of squares a and nothing else to estimate, is
    ½ Σ a²/σ⁴; its standard error there is that of τ² = c².
    """
    squares: dict[int, Array] = {f.place: np.einsum("lkk->lk", f.A) for f in cp.chain}
    if cp.trailing:
        diagonal = np.asarray(cp.S.diagonal())
        squares |= {t.place: diagonal[t.columns].reshape(t.n_levels, -1) for t in cp.trailing}
    unit2 = sigma**2 / cp.weight_scale
    out = []
    for place, M in enumerate(covariates.M):
        information = 0.5 * np.sum(squares[place] ** 2, axis=0) / unit2**2
        own = np.where(information > 0.0, information, 1.0) ** -0.25
        out.append(own * np.abs(np.diag(M)))
    return out


@dataclass(frozen=True)
class MarginalPosterior:
    """log p(z | y) up to a constant, z the unbounded coordinates.

    Attributes
    ----------
    cp : CrossProducts
    covariates : Covariates
        In which the cross-products are.
    coordinates : Coordinates
    fixef : FixefPrior
    """

    cp: CrossProducts
    covariates: Covariates
    coordinates: Coordinates
    fixef: FixefPrior

    @staticmethod
    def of(
        design: Design, priors: Priors, fixef: FixefPrior, sigma: float | None = None
    ) -> "MarginalPosterior":
        """Of a model.

        Parameters
        ----------
        design : Design
        priors : Priors
        fixef : FixefPrior
        sigma : float, optional
            Residual sd, roughly, which the coordinates are suited to; default logarithms of all sds.
        """
        setup = set_up(design, False)
        cp = setup.cross_products(design)
        turns = None if sigma is None else resolution(cp, setup.coordinates, sigma)
        return MarginalPosterior(cp, setup.coordinates, Coordinates.of(design, priors, turns), fixef)

    def point(self, z: Array) -> tuple[MarginalPoint, list[Array], float]:
        """The density of the response, absolute factors by place, and σ."""
        sigma = float(self.coordinates.sigma.value(z[-1])[0])
        factors = self.coordinates.factors(z)
        return self._at(factors, sigma), factors, sigma

    def log_density(self, z: Array) -> float:
        """Log-density alone."""
        return self.point(z)[0].log_density + self.coordinates.log_prior(z)[0]

    def __call__(self, z: Array, jacobians: bool = True) -> tuple[float, Array]:
        """Log-density and slope; without Jacobians that of sds, partial correlations and σ.

        Raises
        ------
        numpy.linalg.LinAlgError
            Where rounding has left nothing of what should be positive.
        """
        factors, sigma = self.coordinates.factors(z), float(self.coordinates.sigma.value(z[-1])[0])
        value, slopes, sigma_slope = self.log_likelihood(factors, sigma)
        prior, prior_slope = self.coordinates.log_prior(z, jacobians)
        return value + prior, self.coordinates.pull_back(z, slopes, sigma_slope) + prior_slope

    def log_likelihood(self, factors: Sequence[Array], sigma: float) -> tuple[float, list[Array], float]:
        """log p(y | covariances, σ) and its slopes.

        Parameters
        ----------
        factors : sequence of (K, K) arrays
            Lower triangular factors of the covariances of the random coefficients, by place.
        sigma : float

        Returns
        -------
        float
        list of (K, K) arrays
            In the factors.
        float
            In σ.
        """
        point = self._at(factors, sigma)
        unit2 = point.sigma2
        slopes, trace = [], 0.0
        for place, (own, L) in enumerate(zip(point.H_slopes, factors, strict=True)):
            inverse = np.linalg.inv(self.covariates.M[place])
            G = inverse.T @ own @ inverse  # in H of b, units of σ²
            slopes.append(2.0 * G @ L / unit2)
            trace += float(np.sum(G * (L @ L.T))) / unit2
        sigma_slope = 2.0 * (unit2 * point.sigma2_slope - trace) / sigma
        return point.log_density, slopes, sigma_slope

    def _at(self, factors: Sequence[Array], sigma: float) -> MarginalPoint:
        unit = sigma / np.sqrt(self.cp.weight_scale)
        T = self.covariates.own_factors([L / unit for L in factors])
        return marginal(self.cp, T, unit**2, self.fixef)
