"""Normal scores, standardised effects and means in bins, against simulation and dense formulas."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bimixed as bm
from bimixed.inference import residual_checks as checks


def test_bands_hold_order_statistics():
    """Each order statistic of 30 normal values lies in its band in 95 % of 4,000 samples, within 4 errors."""
    values = np.sort(np.random.default_rng(1).normal(size=(4000, 30)), axis=1)
    found = checks.normal_scores(values[0])
    inside = ((values > found.lower) & (values < found.upper)).mean(axis=0)
    assert np.abs(inside - 0.95).max() < 4 * np.sqrt(0.05 * 0.95 / 4000)
    np.testing.assert_allclose(found.theoretical, values.mean(axis=0), atol=0.07)
    np.testing.assert_allclose(found.theoretical, -found.theoretical[::-1], atol=1e-12)
    np.testing.assert_allclose(
        found.lower, stats.norm.ppf(stats.beta.ppf(0.025, np.arange(1, 31), np.arange(30, 0, -1)))
    )


def test_scores_are_in_order():
    values = np.array([3.0, -1.0, 2.0])
    found = checks.normal_scores(values)
    assert found.order.tolist() == [1, 2, 0]
    assert found.sample.tolist() == [-1.0, 2.0, 3.0]


def test_estimated_effects_have_these_sds():
    """Given the variances, b̂ = ΣZ'V⁻¹(y − Xβ) varies as ΣZ'V⁻¹ZΣ says, β known."""
    data = bm.load_dataset("sleepstudy").iloc[: 10 * 12 + 4]  # the last subject has four rows
    data = data.assign(Subject=data["Subject"].astype(str))
    fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", data).fit()
    found = checks.standardized_effects(fit, "Subject")
    Sigma = fit.random_cov["Subject"].to_numpy()
    for level, (_, rows) in enumerate(data.groupby("Subject")):
        Z = np.column_stack([np.ones(len(rows)), rows["Days"]])
        V = Z @ Sigma @ Z.T + fit.sigma**2 * np.eye(len(rows))
        variance = Sigma @ Z.T @ np.linalg.solve(V, Z) @ Sigma
        expected = fit.ranef["Subject"].iloc[level] / np.sqrt(np.diag(variance))
        np.testing.assert_allclose(found[level], expected, rtol=1e-8)


def test_effects_of_draws_have_these_sds_at_posterior_means(radon_spec, radon_reml):
    """V from the posterior means of sds, correlation and σ, by a dense formula; near REML's scores."""
    drawn = radon_spec.fit("importance", draws=2000, random_seed=1, progress=False)
    found = checks.standardized_effects(drawn, "county")
    assert np.isfinite(found).all()
    data = radon_spec.design.frame.table
    sd = drawn.varcorr["sd"].to_numpy()[:2]
    Sigma = drawn.random_corr["county"].to_numpy() * np.outer(sd, sd)
    codes = radon_spec.design.factor("county").codes
    for level in (0, 7, 40):
        Z = np.column_stack([np.ones(len(data)), data["floor"]])[codes == level]
        V = Z @ Sigma @ Z.T + drawn.sigma**2 * np.eye(len(Z))
        variance = Sigma @ Z.T @ np.linalg.solve(V, Z) @ Sigma
        expected = drawn.ranef["county"].iloc[level] / np.sqrt(np.diag(variance))
        np.testing.assert_allclose(found[level], expected, rtol=1e-8)
    reml = checks.standardized_effects(radon_reml, "county")
    assert np.abs(found[:, 0] - reml[:, 0]).max() < 0.5
    assert np.corrcoef(found[:, 0], reml[:, 0])[0, 1] > 0.99


def test_effects_of_draws_with_weights_and_two_groups():
    """Weights are scaled inside; variances given all effects' covariance."""
    rng = np.random.default_rng(2)
    g, h, w = np.repeat(np.arange(10), 6), np.tile(np.arange(6), 10), rng.uniform(0.2, 4, 60)
    y = rng.normal(size=10)[g] + rng.normal(size=6)[h] + rng.normal(size=60) / np.sqrt(w)
    data = pd.DataFrame({"g": g, "h": h, "w": w, "y": y})
    fit = bm.ModelSpec("y ~ 1 + (1 | g) + (1 | h)", data, weights="w")
    fit = fit.fit("importance", draws=1000, random_seed=1, progress=False)
    found = checks.standardized_effects(fit, "g")
    s_g, s_h, s = fit.varcorr["sd"]
    Zg, Zh = np.eye(10)[g], np.eye(6)[h]
    V = s_g**2 * Zg @ Zg.T + s_h**2 * Zh @ Zh.T + np.diag(s**2 / w)
    variance = np.diag(s_g**4 * Zg.T @ np.linalg.solve(V, Zg))
    np.testing.assert_allclose(found[:, 0], fit.ranef["g"]["Intercept"] / np.sqrt(variance), rtol=1e-8)


def test_effects_without_variance_have_none():
    fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2")).fit()
    assert np.isnan(checks.standardized_effects(fit, "Batch")).all()


def test_weights_count():
    rng = np.random.default_rng(1)
    g, w = np.repeat(np.arange(8), 6), rng.uniform(0.2, 4, 48)
    data = pd.DataFrame({"g": g, "w": w, "y": rng.normal(size=8)[g] + rng.normal(size=48) / np.sqrt(w)})
    fit = bm.ModelSpec("y ~ 1 + (1 | g)", data, weights="w").fit()
    found = checks.standardized_residuals(fit)
    np.testing.assert_allclose(found, np.sqrt(w) * fit.resid / fit.sigma)


def test_means_of_bins():
    x = np.arange(100.0)
    found = checks.binned_means(x, 2 * x, bins=10)
    assert len(found.x) == 10
    np.testing.assert_allclose(found.y, 2 * found.x)
    sizes = np.histogram(x, np.append(found.x - 5, 101))[0]
    assert sizes.min() >= 9
    np.testing.assert_allclose(
        found.std_error[1:-1], (2 * np.arange(10.0)).std(ddof=1) / np.sqrt(10), rtol=0.2
    )


def test_equal_values_are_in_one_bin():
    found = checks.binned_means(np.ones(50), np.arange(50.0))
    assert found.x.tolist() == [1.0]
    assert found.y.tolist() == [24.5]
    one = checks.binned_means(np.array([1.0]), np.array([3.0]))
    assert (one.y.tolist(), one.std_error.tolist()) == ([3.0], [0.0])
    two = checks.binned_means(np.repeat([0.0, 1.0], 30), np.repeat([5.0, 7.0], 30))
    assert two.y.tolist() == pytest.approx([5.0, 7.0])
