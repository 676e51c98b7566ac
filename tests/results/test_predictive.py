"""Responses drawn from a posterior: their distribution, and what ArviZ makes of the tree."""

from dataclasses import replace

import arviz
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray
from scipy import stats

import bimixed as bm
from bimixed.bayes.fit import flatten

matplotlib.use("agg")


@pytest.fixture(scope="module")
def tree(radon_nuts):
    return radon_nuts.posterior_predictive(n=1000, random_seed=2)


def test_groups_and_the_draws_they_belong_to(tree, radon_nuts):
    assert set(tree.children) == {"posterior", "posterior_predictive", "log_likelihood", "observed_data"}
    assert dict(tree["posterior_predictive"].sizes) == {"chain": 4, "draw": 250, "row": 919}
    np.testing.assert_array_equal(tree["observed_data"]["y"], radon_nuts.design.y)
    kept = np.linspace(0, 999, 250).round().astype(int)
    sigma = radon_nuts.posterior["posterior"]["sigma"].to_numpy()[:, kept]
    np.testing.assert_array_equal(tree["posterior"]["sigma"], sigma)
    assert tree.identical(radon_nuts.posterior_predictive(n=1000, random_seed=2))
    every = radon_nuts.posterior_predictive(n=10**6, random_seed=2)
    assert every["posterior_predictive"].sizes["draw"] == 1000


def test_densities_and_responses_by_hand(tree, radon_nuts):
    """Row by row from the draws in the tree; standardised responses are standard normal."""
    posterior, data = tree["posterior"], bm.load_dataset("radon")
    X = data[["floor", "log_uranium"]].assign(Intercept=1.0)
    beta = posterior["fixef"].sel(coefficient=list(X)).to_numpy()
    b = posterior["ranef_county"].sel(county=data["county"].to_numpy()).to_numpy()
    mu = beta @ X.to_numpy().T + b[..., 0] + b[..., 1] * data["floor"].to_numpy()
    sigma = posterior["sigma"].to_numpy()[..., None]
    expected = stats.norm.logpdf(radon_nuts.design.y, mu, sigma)
    np.testing.assert_allclose(tree["log_likelihood"]["y"], expected, rtol=1e-9)
    z = (tree["posterior_predictive"]["y"].to_numpy() - mu) / sigma
    assert stats.kstest(z[:, ::10].ravel(), "norm").pvalue > 1e-3
    assert np.abs(z.mean(axis=(0, 1))).max() < 5 / np.sqrt(1000)


def test_weights_and_offset_count():
    """On draws from the prior, as if they were a posterior's."""
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": np.repeat(np.arange(6), 5), "w": rng.uniform(0.2, 5, 30)})
    offset = 10 * rng.normal(size=30)
    spec = bm.ModelSpec("y ~ 1 + (1 | g)", data.assign(y=rng.normal(size=30)), weights="w", offset=offset)
    prior = xarray.DataTree.from_dict({"posterior": spec.sample_prior(1000, 1)["prior"].to_dataset()})
    fit = replace(spec.fit("ml"), uncertainty=flatten(spec.design, prior), posterior=prior)
    tree = fit.posterior_predictive(random_seed=1)
    mu = prior["posterior"]["fixef"].to_numpy() + prior["posterior"]["ranef_g"].to_numpy()[:, :, data["g"], 0]
    sd = prior["posterior"]["sigma"].to_numpy()[..., None] / np.sqrt(data["w"].to_numpy())
    z = (tree["posterior_predictive"]["y"].to_numpy() - mu - offset) / sd
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-3
    density = stats.norm.logpdf(spec.design.y, mu + offset, sd)
    np.testing.assert_allclose(tree["log_likelihood"]["y"], density, rtol=1e-9)


def test_arviz_checks_take_the_tree(tree):
    pit = arviz.loo_pit(tree)["y"]
    assert pit.sizes["row"] == 919
    assert 0.0 < float(pit.mean()) < 1.0
    arviz.plot_ppc_dist(tree)
    arviz.plot_loo_pit(tree)
    plt.close("all")


def test_wrong_requests(radon_reml, radon_nuts):
    with pytest.raises(bm.UnavailableError, match="needs draws"):
        radon_reml.posterior_predictive()
    with pytest.raises(bm.FitError, match="n is 0"):
        radon_nuts.posterior_predictive(n=0)
    with pytest.raises(bm.FitError, match="random_seed"):
        radon_nuts.posterior_predictive(random_seed=1.5)
