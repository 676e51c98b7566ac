"""Crossed designs whose trailing part is large keep less in memory; the numbers are the same."""

import numpy as np
import pandas as pd
import pytest

import bimixed as bm
from bimixed import schur
from bimixed.likelihood import problem, trailing


def ratings(slope=False):
    rng = np.random.default_rng(1)
    n, users, items = 6000, 300, 120
    data = pd.DataFrame(
        {"user": rng.integers(0, users, n), "item": rng.integers(0, items, n), "x": rng.normal(size=n)}
    )
    data["y"] = (
        rng.normal(size=users)[data["user"]] + rng.normal(size=items)[data["item"]] + rng.normal(size=n)
    )
    if slope:
        data["y"] += rng.normal(size=items)[data["item"]] * data["x"]
    return data


@pytest.mark.parametrize("formula", ["y ~ x + (1 | user) + (1 | item)", "y ~ x + (1 | user) + (x | item)"])
def test_what_isn_t_kept_is_made_again(monkeypatch, formula):
    """The same operations, so that all but the order of sums agrees."""
    data = ratings("(x" in formula)
    usual = bm.ModelSpec(formula, data).fit()
    monkeypatch.setattr(problem, "HEAVY", 1)
    monkeypatch.setattr(schur, "DENSE_WIDTH", 0)
    monkeypatch.setattr(schur, "KEPT_DENSE", 0)
    light = bm.ModelSpec(formula, data).fit()
    assert not isinstance(light.refitter.problem.cp.S, np.ndarray)
    assert isinstance(
        light.refitter.problem(light.refitter.problem.coordinates(light.refitter.theta)), problem.LightAt
    )
    assert light.loglik == pytest.approx(usual.loglik, rel=1e-12)
    pd.testing.assert_frame_equal(light.fixef, usual.fixef, rtol=1e-8)
    for key in usual.ranef:
        np.testing.assert_allclose(light.ranef[key], usual.ranef[key], atol=1e-8)
        np.testing.assert_allclose(light.ranef_sd[key], usual.ranef_sd[key], rtol=1e-8)
    pd.testing.assert_frame_equal(light.anova("kenward-roger"), usual.anova("kenward-roger"), rtol=1e-6)


def test_profiles_of_a_light_search(monkeypatch):
    data = ratings().head(1500)
    fit = bm.ModelSpec("y ~ x + (1 | user) + (1 | item)", data).fit()
    usual = bm.profile(fit, ["x", "sd_item[Intercept]"], progress=False).conf_int()
    monkeypatch.setattr(problem, "HEAVY", 1)
    light = bm.profile(fit, ["x", "sd_item[Intercept]"], progress=False).conf_int()
    pd.testing.assert_frame_equal(light, usual, rtol=1e-6)


def test_a_variance_of_0_keeps_what_it_needs(monkeypatch):
    data = ratings()
    data["y"] = np.random.default_rng(5).normal(size=len(data)) + data["x"]
    usual = bm.ModelSpec("y ~ x + (1 | user) + (1 | item)", data).fit()
    monkeypatch.setattr(problem, "HEAVY", 1)
    light = bm.ModelSpec("y ~ x + (1 | user) + (1 | item)", data).fit()
    assert light.loglik == pytest.approx(usual.loglik, abs=1e-8)


def test_mirrored_in_place():
    lower = np.tril(np.random.default_rng(0).normal(size=(1300, 1300)))
    whole = lower + np.tril(lower, -1).T
    trailing.mirror(lower)
    np.testing.assert_array_equal(lower, whole)
    trailing.mirror(lower)
    np.testing.assert_array_equal(lower, whole)
