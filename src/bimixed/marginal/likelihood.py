"""The likelihood of fixed effects and variance parameters, random effects integrated out."""

import numpy as np

from bimixed.covariance import Array, lower_factor
from bimixed.design import Design
from bimixed.likelihood.factorization import factorize
from bimixed.likelihood.setup import set_up
from bimixed.results.uncertainty import Draws


def log_likelihoods(design: Design, draws: Draws) -> Array:
    """log p(y | β, H, σ) of each draw, (draws,).

    With r = y − Xβ and V in units of σ², −2 log p = n log 2πσ² + log|V| + r'V⁻¹r/σ², from the cross-products
    of REML: r = e − Qγ with γ = R(β − β_ols).
    """
    setup = set_up(design, False)
    cp = setup.cross_products(design)
    beta = draws.beta[:, design.kept]
    values = np.empty(len(draws.sigma))
    for i, sigma in enumerate(draws.sigma):
        sigma2 = sigma**2 / cp.weight_scale
        covs = [draws.random_cov[f.key][i] for f in design.factors]
        fact = factorize(cp, setup.coordinates.own_factors([lower_factor(cov / sigma2) for cov in covs]))
        v = np.append(cp.basis.R @ (cp.basis.beta_ols - beta[i]), 1.0)[:, None]
        explained = fact.solve([f.ZR @ v for f in cp.chain], cp.ZR @ v).quadratic
        left = float((v.T @ cp.RR @ v - explained)[0, 0])
        values[i] = -0.5 * (cp.n * np.log(2.0 * np.pi * sigma2) + fact.log_det + left / sigma2)
    return values
