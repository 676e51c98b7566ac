"""Scaled residuals are uniform under the model, exact probabilities for many draws, and tell wrong models."""

import numpy as np
import pandas as pd
import pytest
from dense_rows import DenseRows
from drawn import dyestuff, importance_fit
from scipy.stats import kstest, norm

import bimixed as bm


def made(seed=1, levels=500, each=4, noise="normal"):
    """Rows of the model, or with errors that are not."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({"g": np.repeat(np.arange(levels), each), "x": rng.normal(size=levels * each)})
    e = rng.normal(size=len(rows)) if noise == "normal" else 2.0 * rng.exponential(size=len(rows)) ** 2
    rows["w"] = rng.uniform(0.2, 5.0, len(rows))
    rows["y"] = rows["x"] + rng.normal(size=levels)[rows["g"]] + e / np.sqrt(rows["w"])
    return rows


@pytest.mark.parametrize("random", ["new", "conditional"])
def test_they_are_the_models_probabilities(random):
    fit = bm.ModelSpec("y ~ x + (x | g)", made(levels=30), weights="w").fit()
    dense = DenseRows(fit)
    if random == "new":
        mean, sd = fit.predict(random="none")["estimate"], fit.sigma * np.sqrt(np.diag(dense.V))
    else:
        mean, sd = fit.fitted, fit.sigma / np.sqrt(dense.weights)
    p = norm.cdf(fit.design.y, mean, sd)
    found = fit.residuals_scaled(4000, random_seed=2, random=random)
    # the Monte Carlo standard error is at most 0.008
    np.testing.assert_array_less(np.abs(found - p), 5 * np.sqrt(p * (1 - p) / 4000) + 1 / 4000)
    assert found.index.equals(fit.fitted.index)


@pytest.mark.parametrize("random", ["new", "conditional"])
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_uniform_under_the_model_only(random, method):
    right = bm.ModelSpec("y ~ x + (1 | g)", made(), weights="w").fit(method)
    # 2,000 values: a distance of 0.05 has p ≈ 1e-4 were they independent, which those of one level aren't
    distance = kstest(right.residuals_scaled(200, 1, random), "uniform").statistic
    assert distance < 0.05
    wrong = bm.ModelSpec("y ~ x + (1 | g)", made(noise="skewed"), weights="w").fit(method)
    assert kstest(wrong.residuals_scaled(200, 1, random), "uniform").statistic > 0.1


def test_forgotten_weights_are_seen():
    rows = made()
    forgot = bm.ModelSpec("y ~ x + (1 | g)", rows).fit().residuals_scaled(300, 1, "conditional")
    used = bm.ModelSpec("y ~ x + (1 | g)", rows, weights="w").fit().residuals_scaled(300, 1, "conditional")
    heavy = rows["w"] > 3
    assert (used[heavy] - 0.5).abs().mean() == pytest.approx((used[~heavy] - 0.5).abs().mean(), abs=0.03)
    assert (forgot[heavy] - 0.5).abs().mean() < (forgot[~heavy] - 0.5).abs().mean() - 0.05


@pytest.mark.parametrize("random", ["new", "conditional"])
def test_draws(random):
    fit = importance_fit(dyestuff(), 2000)
    draws, y = fit.uncertainty, fit.design.y
    batch = fit.design.factors[0].codes
    if random == "new":
        mean = draws.beta[:, [0]] + np.zeros(30)
        sd = np.sqrt(draws.random_cov["Batch"][:, 0, 0] + draws.sigma**2)[:, None]
    else:
        mean, sd = draws.beta[:, [0]] + draws.ranef["Batch"][:, batch, 0], draws.sigma[:, None]
    p = norm.cdf(y, mean, sd).mean(axis=0)
    found = fit.residuals_scaled(2000, random_seed=2, random=random)
    np.testing.assert_array_less(np.abs(found - p), 5 * np.sqrt(p * (1 - p) / 2000) + 1 / 2000)
    few = fit.residuals_scaled(10_000, random_seed=2, random=random)  # as many as there are
    pd.testing.assert_series_equal(found, few)


def test_the_same_seed_gives_the_same_and_another_gives_others():
    fit = dyestuff().fit()
    one, again, other = (fit.residuals_scaled(50, random_seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_series_equal(one, again)
    assert (one != other).all()
    assert one.between(0, 1).all()


def test_offsets_and_crossed_groups_of_which_rows_combine_levels():
    rng = np.random.default_rng(1)
    members = rng.dirichlet(np.ones(4), size=60)
    y = members @ np.array([3.0, -2.0, 1.0, 0.0]) + 0.3 * rng.normal(size=60)
    exog = np.ones((60, 1))
    fit = bm.ModelSpec.from_arrays(y + 7, exog, exog_vc={"m": {0: members}}, offset=np.full(60, 7.0)).fit()
    sd = fit.sigma * np.sqrt(np.diag(DenseRows(fit).V))
    p = norm.cdf(y, fit.fixef["estimate"].iloc[0], sd)
    found = fit.residuals_scaled(2000, random_seed=1)
    np.testing.assert_array_less(np.abs(found - p), 5 * np.sqrt(p * (1 - p) / 2000) + 1 / 2000)


def test_bad_requests():
    fit = dyestuff().fit()
    with pytest.raises(bm.DataError, match="new, conditional"):
        fit.residuals_scaled(random="none")
    with pytest.raises(bm.FitError, match="n is 0"):
        fit.residuals_scaled(0)
    with pytest.raises(bm.FitError, match="random_seed"):
        fit.residuals_scaled(random_seed="one")
    with pytest.warns(bm.IdentificationWarning):
        unknown = bm.ModelSpec("Yield ~ C(Batch) + (1 | Batch)", bm.load_dataset("dyestuff")).fit()
    with pytest.raises(bm.UnavailableError, match="random='conditional'"):
        unknown.residuals_scaled()
    assert unknown.residuals_scaled(random="conditional").between(0, 1).all()
