"""Of very many random effects not all draws are kept; everything else is as with all of them."""

import numpy as np
import pytest

import bimixed as bm
from bimixed.marginal import ready


@pytest.mark.parametrize("method", ["nuts", "importance"])
def test_some_draws_of_effects(monkeypatch, method):
    """Variance parameters are drawn before effects, by the same seeds: they are the same numbers."""
    spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
    how = {"random_seed": 1, "progress": False, "draws": 250 if method == "nuts" else 1000}
    every = spec.fit(method, **how)
    monkeypatch.setattr(ready, "LARGEST", 200 * 36)
    some = spec.fit(method, **how)
    own = some.uncertainty
    np.testing.assert_array_equal(own.sigma, every.uncertainty.sigma)
    np.testing.assert_array_equal(own.random_cov["Subject"], every.uncertainty.random_cov["Subject"])
    assert len(own.with_ranef) == len(own.ranef["Subject"]) == 200
    assert some.posterior["posterior_ranef"]["ranef_Subject"].sizes["draw"] * 4 == (
        200 if method == "nuts" else 800
    )
    assert "ranef_Subject" not in some.posterior["posterior"]
    assert "200 of 1000 draws kept" in str(some)
    # means of 200 draws of nearly independent effects: 5 standard errors
    sd = every.ranef_sd["Subject"]
    assert ((some.ranef["Subject"] - every.ranef["Subject"]).abs() < 5.0 * sd / np.sqrt(150)).all(axis=None)
    np.testing.assert_allclose(some.ranef_sd["Subject"], sd, rtol=0.3)
    kept = own.complete
    np.testing.assert_array_equal(kept.sigma, own.sigma[own.with_ranef])
    np.testing.assert_array_equal(own.at(np.arange(1000)[::-1]).complete.sigma, kept.sigma[::-1])
    new = bm.load_dataset("sleepstudy").head(12)
    one, other = (f.predict(new, interval="prediction", random_seed=1) for f in (some, every))
    np.testing.assert_allclose(one["lower"], other["lower"], atol=25.0)
    assert (
        some.predict_draws(new, random_seed=1).shape[1] == 12
        or some.predict_draws(new, random_seed=1).shape[0] == 12
    )
    assert some.posterior_predictive(n=100, random_seed=1)["posterior_predictive"]["y"].sizes["row"] == 180
    assert some.rank_levels("Subject", coefficient="Days").shape[0] == 18
    assert bm.compare(spec.fit(), some).ranef["Subject"].shape[0] == 36


def test_effects_belong_to_their_draws(monkeypatch):
    """Correlation between the intercept β and the mean of the effects over draws is strongly negative."""
    spec = bm.ModelSpec("Reaction ~ 1 + (1 | Subject)", bm.load_dataset("sleepstudy"))
    monkeypatch.setattr(ready, "LARGEST", 400 * 18)
    fit = spec.fit("nuts", random_seed=2, draws=400, progress=False)
    kept = fit.uncertainty.complete
    assert np.corrcoef(kept.beta[:, 0], kept.ranef["Subject"].mean(axis=(1, 2)))[0, 1] < -0.9
    joined = fit.posterior["posterior_ranef"]["ranef_Subject"].to_numpy().reshape(400, 18)
    np.testing.assert_array_equal(joined, kept.ranef["Subject"][:, :, 0])


@pytest.mark.parametrize("method", ["nuts", "importance"])
def test_saved(monkeypatch, tmp_path, method):
    spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
    monkeypatch.setattr(ready, "LARGEST", 200 * 36)
    fit = spec.fit(method, random_seed=1, progress=False, draws=250 if method == "nuts" else 1000)
    fit.save(tmp_path / "fit.bimixed")
    again = bm.load(tmp_path / "fit.bimixed")
    np.testing.assert_array_equal(again.uncertainty.with_ranef, fit.uncertainty.with_ranef)
    np.testing.assert_array_equal(again.uncertainty.ranef["Subject"], fit.uncertainty.ranef["Subject"])
    frame = bm.load_dataset("sleepstudy").head(3)
    for name in ("predict_draws", "predict"):
        np.testing.assert_array_equal(
            getattr(again, name)(frame, random_seed=1), getattr(fit, name)(frame, random_seed=1)
        )
    effects, sigma = fit.posterior["posterior_ranef"], fit.posterior["posterior"]["sigma"]
    together = sigma.sel(draw=effects["draw"]).to_numpy().ravel()  # draws keep their numbers
    np.testing.assert_array_equal(together, fit.uncertainty.complete.sigma)


@pytest.mark.parametrize("draws", [1009, 998])
def test_no_fewer_than_promised_of_any_number(monkeypatch, draws):
    """Numbers with few divisors too."""
    spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
    monkeypatch.setattr(ready, "LARGEST", 300 * 36)
    fit = spec.fit("importance", random_seed=1, progress=False, draws=draws)
    assert len(fit.uncertainty.with_ranef) == 300
    assert np.diff(fit.uncertainty.with_ranef).max() <= 4
    assert f"Random effects: 300 of {draws}" in str(fit)
