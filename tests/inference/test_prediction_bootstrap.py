"""Limits of predictions that count the estimation of the variances."""

import numpy as np
import pandas as pd
import pytest
from drawn import dyestuff, importance_fit
from scipy.stats import t

import bimixed as bm


def few(groups=6, each=3, sd=100.0):
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"g": np.repeat(np.arange(groups), each)})
    data["y"] = sd * rng.normal(size=groups)[data["g"]] + rng.normal(size=len(data))
    return data


def halves(table):
    return ((table["upper"] - table["lower"]) / 2).to_numpy()


def test_a_new_group_has_students_t():
    """Groups so different that their means are known: the error over its standard error is t on 5 df.

    The Monte Carlo error of a quantile q is √(0.9·0.1/n)/(2 f(q)) with the density f of t; four of them.
    """
    fit = bm.ModelSpec("y ~ 1 + (1 | g)", few()).fit()
    new = pd.DataFrame({"g": [99]})
    how = {"new_levels": "sample", "interval": "confidence", "level": 0.9}
    fixed = fit.predict(new, **how)
    found = fit.predict(new, **how, variances="bootstrap", n=500, random_seed=1)
    np.testing.assert_allclose(found["estimate"], fixed["estimate"])
    ratio = halves(found)[0] / halves(fixed)[0] * 1.6448536269514722
    expected = t.ppf(0.95, 5)
    assert abs(ratio - expected) < 4 * np.sqrt(0.09 / 500) / (2 * t.pdf(expected, 5))
    assert ratio > 1.645 * 1.1


def test_known_groups_and_new_responses():
    """Within-group residuals have 194 df: known levels hardly change, by 4 Monte Carlo errors of 5 %."""
    rng = np.random.default_rng(2)
    data = few(40, 6, 3.0).assign(
        x=rng.normal(size=240), w=rng.uniform(0.5, 2.0, 240), o=rng.normal(size=240)
    )
    data["y"] += data["o"] + data["x"]
    fit = bm.ModelSpec("y ~ x + (1 | g)", data, weights="w", offset="o").fit()
    for interval in ("confidence", "prediction"):
        rows = data.iloc[[0, 50, 100]]
        fixed = fit.predict(rows, interval=interval)
        found = fit.predict(rows, interval=interval, variances="bootstrap", n=300, random_seed=1)
        np.testing.assert_allclose(found["estimate"], fixed["estimate"])
        np.testing.assert_allclose(halves(found), halves(fixed), rtol=0.2)
        np.testing.assert_allclose(found["upper"] - found["estimate"], found["estimate"] - found["lower"])


def test_the_seed_decides():
    fit = dyestuff().fit()
    how = {"interval": "prediction", "variances": "bootstrap", "n": 40}
    one = fit.predict(**how, random_seed=1)
    pd.testing.assert_frame_equal(one, fit.predict(**how, random_seed=1))
    assert not one.equals(fit.predict(**how, random_seed=2))


def test_wrong_requests():
    fit, draws = dyestuff().fit(), importance_fit(dyestuff(), 500)
    with pytest.raises(bm.DataError, match="'fixed' or 'bootstrap'"):
        fit.predict(interval="confidence", variances="estimated")
    with pytest.raises(bm.FitError, match="n is 5"):
        fit.predict(interval="confidence", variances="bootstrap", n=5)
    with pytest.raises(bm.UnavailableError, match="leave variances='bootstrap' out"):
        draws.predict(interval="confidence", variances="bootstrap")
    data = few().assign(h=lambda d: d["g"])
    with pytest.warns(bm.IdentificationWarning):
        confounded = bm.ModelSpec("y ~ 1 + (1 | g) + (1 | h)", data).fit()
    with pytest.raises(bm.UnavailableError, match="not identified"):
        confounded.predict(interval="confidence", variances="bootstrap")
