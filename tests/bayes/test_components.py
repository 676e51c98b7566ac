"""A general variance component sampled: the posterior around the restricted likelihood."""

import numpy as np
import pytest
import scipy.sparse as sp

import bimixed as bm


@pytest.fixture(scope="module")
def fits():
    """Patients seen by one to three of thirty nurses."""
    rng = np.random.default_rng(8)
    n, q = 400, 30
    Z = np.zeros((n, q))
    for row in Z:
        members = rng.choice(q, rng.integers(1, 4), replace=False)
        row[members] = 1.0 / len(members)
    x = rng.normal(size=n)
    y = 2.0 + x + Z @ (1.5 * rng.normal(size=q)) + 0.5 * rng.normal(size=n)
    spec = bm.ModelSpec.from_arrays(y, np.column_stack([np.ones(n), x]), exog_vc={"nurse": sp.csr_array(Z)})
    return spec.fit(), spec.fit("nuts", random_seed=1, progress=False)


def test_posterior_and_restricted_likelihood_agree(fits):
    """Within the Monte Carlo error of 4000 draws and the posterior's skewness.

    With 30 levels the posterior mean of the sd lies about 4 % above the REML estimate (a χ² with 29
    degrees of freedom); 8 % is the tolerance.
    """
    reml, nuts = fits
    assert nuts.diagnostics.ok, nuts.diagnostics.messages
    np.testing.assert_allclose(nuts.fixef["estimate"], reml.fixef["estimate"], atol=0.1)
    np.testing.assert_allclose(nuts.varcorr["sd"], reml.varcorr["sd"], rtol=0.08)
    effects = nuts.ranef["nurse"]["nurse"] - reml.ranef["nurse"]["nurse"]
    assert np.abs(effects - effects.mean()).max() < 0.1


def test_prediction_of_draws_has_the_component(fits):
    reml, nuts = fits
    new = {"exog": np.array([[1.0, 0.5]]), "exog_vc": {"nurse": np.eye(1, 30)}}
    by_reml, by_nuts = (fit.predict(new, interval="prediction") for fit in (reml, nuts))
    np.testing.assert_allclose(by_nuts, by_reml, atol=0.15)


def test_comparison_leaves_shrinkage_of_mixed_rows_out(fits):
    comparison = bm.compare(*fits)
    assert comparison.shrinkage["nurse"]["own_reml"].isna().all()
    assert len(comparison.ranef["nurse"]) == 30
    assert "nurse" in str(comparison)
