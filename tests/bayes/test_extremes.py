"""Points without a density, and interrupts where random effects are drawn one by one."""

import warnings

import numpy as np
import pandas as pd
import pytest

import bimixed as bm
from bimixed.marginal import ready

P = bm.Prior


@pytest.fixture
def by_numpy(monkeypatch):
    monkeypatch.setattr(ready, "is_compiled", lambda cp: False)


def crossed(rows=400):
    rng = np.random.default_rng(1)
    data = pd.DataFrame(
        {"g": rng.integers(0, 4, rows), "h": rng.integers(0, 12, rows), "x": rng.normal(size=rows)}
    )
    data["y"] = rng.normal(size=rows) + 0.5 * rng.normal(size=12)[data["h"]]
    return data


@pytest.mark.parametrize("seed", range(4))
def test_points_without_a_density_are_passed_by(by_numpy, seed):
    """Four levels with correlated slopes: correlations run to 1, where 1 − tanh² has no digits."""
    spec = bm.ModelSpec("y ~ x + (x | g) + (1 | h)", crossed(), priors={"corr_g": P("lkj", eta=0.5)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.exceptions.ConvergenceWarning)
        fit = spec.fit("nuts", form="marginal", random_seed=seed, draws=20, tune=60, chains=2, progress=False)
    assert np.isfinite(fit.fixef).all(axis=None)


def test_a_density_far_out_is_none_and_no_error(by_numpy):
    spec = bm.ModelSpec("y ~ x + (x | g) + (1 | h)", crossed())
    from bimixed.posteriors import Request

    found = Request(spec.design, spec.priors).ready()
    assert found.compiled is None
    for w in (np.full(5, 1e4), np.full(5, -1e4), np.array([0, 0, 60.0, 0, 0])):
        value, slope = found(w)
        assert not np.isnan(value)
        assert np.isfinite(slope).all()


def test_an_interrupt_keeps_whole_draws(by_numpy, monkeypatch):
    """One more than 75 draws of each of four chains is dropped; chains stay apart, statistics are cut."""
    spec = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff"))
    how = {"draws": 100, "tune": 100, "random_seed": 1, "form": "marginal", "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.exceptions.ConvergenceWarning)
        whole = spec.fit("nuts", **how).posterior
        monkeypatch.setattr(ready, "each", lambda f, items, **kwargs: [f(item) for item in items[:301]])
        part = spec.fit("nuts", **how)
    assert any("Interrupted: 75 of 100" in message for message in part.diagnostics.messages)
    assert part.posterior["sample_stats"].sizes["draw"] == 75
    np.testing.assert_array_equal(
        part.posterior["posterior"]["sigma"], whole["posterior"]["sigma"].isel(draw=slice(0, 75))
    )


def test_importance_sampling_tells_of_uncentred_slopes():
    data = bm.load_dataset("sleepstudy").assign(D=lambda d: d["Days"] + 30)
    spec = bm.ModelSpec("Reaction ~ D + (D | Subject)", data)
    with pytest.warns(bm.exceptions.ConvergenceWarning, match="covariate of the random slope 'D'"):
        assert not spec.fit("importance", random_seed=1, progress=False).diagnostics.ok
