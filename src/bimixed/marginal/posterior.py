"""The posterior of the variance parameters with β and b integrated out, on the cross-products of REML."""

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
    def of(design: Design, priors: Priors, fixef: FixefPrior) -> "MarginalPosterior":
        setup = set_up(design, False)
        cp = setup.preparation.with_response(design.y)
        return MarginalPosterior(cp, setup.coordinates, Coordinates.of(design, priors), fixef)

    def point(self, z: Array) -> tuple[MarginalPoint, list[Array], float]:
        """The density of the response, absolute factors by place, and σ."""
        sigma = self.coordinates.sigma.value(z[-1])[0]
        unit = sigma / np.sqrt(self.cp.weight_scale)
        factors = self.coordinates.factors(z)
        T = self.covariates.own_factors([L / unit for L in factors])
        return marginal(self.cp, T, unit**2, self.fixef), factors, sigma

    def __call__(self, z: Array, jacobians: bool = True) -> tuple[float, Array]:
        """Log-density and slope; without Jacobians that of sds, partial correlations and σ.

        Raises
        ------
        numpy.linalg.LinAlgError
            Where rounding has left nothing of what should be positive.
        """
        point, factors, sigma = self.point(z)
        unit2 = point.sigma2
        slopes, trace = [], 0.0
        for place, (own, L) in enumerate(zip(point.H_slopes, factors, strict=True)):
            inverse = np.linalg.inv(self.covariates.M[place])
            G = inverse.T @ own @ inverse  # in H of b, units of σ²
            slopes.append(2.0 * G @ L / unit2)
            trace += float(np.sum(G * (L @ L.T))) / unit2
        sigma_slope = 2.0 * (unit2 * point.sigma2_slope - trace) / sigma
        prior, prior_slope = self.coordinates.log_prior(z, jacobians)
        slope = self.coordinates.pull_back(z, slopes, sigma_slope)
        return point.log_density + prior, slope + prior_slope
