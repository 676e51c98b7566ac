"""What is said of random slopes far from 0, of levels with as many rows as coefficients, and of zeros."""

import numpy as np
import pandas as pd
import pytest

import bimixed as bm


def panel(seed=0, ids=40):
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"id": np.repeat(np.arange(ids), 8), "year": np.tile(np.arange(2006, 2014), ids)})
    slope = 1.0 + 0.5 * rng.normal(size=ids)[data["id"]]
    data["y"] = (
        2 * rng.normal(size=ids)[data["id"]] + slope * (data["year"] - 2010) + rng.normal(size=len(data))
    )
    return data


def test_uncorrelated_slopes_far_from_zero_are_noticed_and_explained():
    spec = bm.ModelSpec("y ~ year + (year || id)", panel())
    assert any("another origin is another model" in notice for notice in spec.noticed)
    fit = spec.fit()
    assert fit.diagnostics.singular
    assert any("Centre the covariate, I(year" in message for message in fit.diagnostics.messages)
    centred = bm.ModelSpec("y ~ I(year - 2010) + (I(year - 2010) || id)", panel())
    assert not any("origin" in notice for notice in centred.noticed)
    assert centred.fit().loglik > fit.loglik + 10


def test_correlated_slopes_far_from_zero_say_where_their_intercept_is():
    notices = bm.ModelSpec("y ~ year + (year | id)", panel()).noticed
    assert any("are those at year = 0" in notice for notice in notices)
    assert not bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).noticed


@pytest.mark.parametrize(
    "formula", ["y ~ 1 + (C(h) | g)", "y ~ x + (0 + C(h) | g)", "y ~ x + (h + I(h**2) | t)"]
)
def test_as_many_rows_as_coefficients_in_every_level_are_refused(formula):
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"g": np.repeat(np.arange(12), 10), "h": np.tile(np.arange(10), 12)})
    data["t"] = np.repeat(np.arange(40), 3)
    if formula.endswith("t)"):
        data["h"] = np.tile(np.arange(3), 40)
    data["x"], data["y"] = rng.normal(size=(2, 120))
    with pytest.raises(bm.DataError, match="can't be told apart"):
        bm.ModelSpec(formula, data)


def test_other_covariates_in_other_levels_are_no_reason_to_refuse():
    """Three rows per level and three coefficients, but covariates of their own: weakly, H and σ² differ."""
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"g": np.repeat(np.arange(60), 3)})
    data["x"], data["z"], data["y"] = rng.normal(size=(3, 180))
    with pytest.warns(bm.IdentificationWarning, match="hardly"):
        bm.ModelSpec("y ~ x + (x + z | g)", data)


def test_variances_that_are_all_zero_are_zero_and_one_message():
    rng = np.random.default_rng(3)
    n = 240
    data = pd.DataFrame(
        {"g": rng.integers(0, 20, n), "h": np.tile(np.arange(12), 20), "x": rng.normal(size=n)}
    )
    e = rng.normal(size=n)
    for _ in range(2):  # less variation between the levels of h than chance gives
        for column in (np.ones(n), data["x"].to_numpy()):
            total = np.bincount(data["h"], column * e) / np.bincount(data["h"], column * column)
            e = e - column * total[data["h"]]
    data["y"] = data["x"] + rng.normal(size=20)[data["g"]] + e
    fit = bm.ModelSpec("y ~ x + (x | h) + (1 | g)", data).fit()
    assert (fit.random_cov["h"].to_numpy() == 0.0).all()
    assert (fit.ranef["h"].to_numpy() == 0.0).all()
    messages = [message for message in fit.diagnostics.messages if "levels of h" in message]
    assert len(messages) == 1 and "'Intercept' and 'x'" in messages[0]


def test_a_correlation_of_one_is_no_variance_of_zero_whatever_the_units():
    """Levels of an exact line: intercept and slope vary together, in seconds and in milliseconds."""
    rng = np.random.default_rng(0)
    g, s = np.repeat(np.arange(30), 6), rng.uniform(2, 9, 180)
    b = rng.normal(size=30)
    y = 300 + 20 * b[g] + 8 * b[g] * s + 10 * rng.normal(size=180)
    for unit in (1e-5, 1.0, 1e3):
        fit = bm.ModelSpec("y ~ s + (s | g)", pd.DataFrame({"y": y, "s": s * unit, "g": g})).fit("ml")
        assert fit.diagnostics.singular
        (message,) = fit.diagnostics.messages
        assert "combination" in message and "Intercept" in message and "·s" in message


def test_a_slope_that_the_intercept_hides_is_told_to_be_centred():
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(30), 10)
    x = rng.normal(size=300) + 2.46e6
    y = rng.normal(size=30)[g] * (x - 2.46e6) + rng.normal(size=300)
    with pytest.warns(bm.IdentificationWarning, match="centre it"):
        bm.ModelSpec("y ~ x + C(g) + (x | g)", pd.DataFrame({"y": y, "x": x, "g": g})).fit()
