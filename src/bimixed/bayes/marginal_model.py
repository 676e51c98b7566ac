"""The marginal posterior as a PyMC model: variance parameters as in the hierarchical one, and one potential.

The potential is log p(y | variance parameters), fixed and random effects integrated out. Its value and slopes
come from numpy, so that any PyMC sampler takes it, but none that compiles to JAX.
"""

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from bimixed.bayes.model import correlation_factor, prior_vector
from bimixed.design import Design
from bimixed.marginal.posterior import MarginalPosterior
from bimixed.priors import Priors, safe_name, sd_name


def build_marginal_model(design: Design, priors: Priors, posterior: MarginalPosterior) -> pm.Model:
    """Variables ``sd_<group>``, ``corr_<group>`` and ``sigma``, dims and priors as in the hierarchical model.

    Parameters
    ----------
    design : Design
    priors : Priors
    posterior : MarginalPosterior
    """
    with pm.Model() as model:
        entries: list[Any] = []
        for factor in design.factors:
            key = safe_name(factor.key)
            within = f"{key}_coefficient"
            model.add_coord(within, list(factor.names))
            of_sds = [priors[sd_name(factor.key, name)] for name in factor.names]
            sd = prior_vector(f"sd_{key}", of_sds, factor.names, within, positive=True)
            L = correlation_factor(model, factor, key, priors)
            entries += [
                np.float64(0.0) if i < j or L[i][j] is None else sd[i] * L[i][j]
                for i in range(len(L))
                for j in range(len(L))
            ]
        sigma = prior_vector("sigma", [priors["sigma"]], None, None, positive=True)
        value, _, _ = MarginalDensity(posterior)(pt.stack(entries), sigma)
        pm.Potential("y", value)
    return model


class MarginalDensity(Op):
    """log p(y | L, σ), with its slopes as further outputs.

    Parameters
    ----------
    posterior : MarginalPosterior
    """

    __props__ = ()
    itypes = [pt.dvector, pt.dscalar]  # noqa: RUF012
    otypes = [pt.dscalar, pt.dvector, pt.dscalar]  # noqa: RUF012

    def __init__(self, posterior: MarginalPosterior):
        self.posterior = posterior
        self.sizes = list(posterior.coordinates.sizes)

    def make_node(self, entries: Any, sigma: Any) -> Apply:
        inputs = [pt.as_tensor_variable(entries), pt.as_tensor_variable(sigma)]
        return Apply(self, inputs, [kind() for kind in self.otypes])

    def perform(self, node: Apply, inputs: Any, outputs: Any) -> None:
        entries, sigma = inputs
        factors, at = [], 0
        for K in self.sizes:
            factors.append(np.asarray(entries[at : at + K * K]).reshape(K, K))
            at += K * K
        value, slopes, sigma_slope = self.posterior.log_likelihood(factors, float(sigma))
        flat = [np.ravel(slope) for slope in slopes]
        outputs[0][0] = np.asarray(value)
        outputs[1][0] = np.concatenate(flat) if flat else np.zeros(0)
        outputs[2][0] = np.asarray(sigma_slope)

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        """Slopes times what comes from the value."""
        return [cotangents[0] * outputs[1], cotangents[0] * outputs[2]]
