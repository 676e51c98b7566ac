"""Predictions: values, the three treatments of new levels, and variances against brute force."""

import numpy as np
import pandas as pd
import pytest
from henderson import mixed_model_variance
from scipy.special import ndtri

import bimixed as bm


def data(n=150):
    rng = np.random.default_rng(4)
    table = pd.DataFrame(
        {
            "a": rng.integers(0, 6, n),
            "b": rng.integers(0, 3, n),
            "i": rng.integers(0, 8, n),
            "x": rng.normal(size=n),
            "w": rng.uniform(0.5, 2.0, n),
            "o": rng.normal(size=n),
        }
    )
    table["y"] = (
        table["o"]
        + 2 * table["x"]
        + rng.normal(size=6)[table["a"]]
        + (rng.normal(size=(6, 3)))[table["a"], table["b"]]
        + rng.normal(size=8)[table["i"]]
        + 0.7 * rng.normal(size=8)[table["i"]] * table["x"]
        + rng.normal(size=n)
    )
    return table


def fit(formula="y ~ x + (1 | a/b) + (x | i)"):
    return bm.ModelSpec(formula, data(), weights="w", offset="o").fit()


@pytest.mark.parametrize(
    "formula", ["y ~ x + (1 | a/b) + (x | i)", "y ~ x + (x | i)", "y ~ x + (1 | a) + (1 | i)"]
)
@pytest.mark.parametrize("interval", ["confidence", "prediction"])
def test_interval_against_the_mixed_model_equations(formula, interval):
    result = fit(formula)
    C, X, Z = mixed_model_variance(result)
    rows = np.hstack([X, Z])
    variance = np.einsum("ij,jk,ik->i", rows, C, rows)
    if interval == "prediction":
        variance = variance + result.sigma**2 / result.design.weights
    table = result.predict(interval=interval, level=0.9)
    half = ndtri(0.95) * np.sqrt(variance)
    np.testing.assert_allclose(table["estimate"], result.fitted)
    np.testing.assert_allclose(table["upper"] - table["estimate"], half, rtol=1e-8)
    np.testing.assert_allclose(table["estimate"] - table["lower"], half, rtol=1e-8)


def test_random_chooses_whose_effects_count():
    result = fit()
    X, offset = result.design.X, result.design.offset
    base = X @ result.fixef["estimate"] + offset
    np.testing.assert_allclose(result.predict(random="none")["estimate"], base)
    some = result.predict(random=["a"])["estimate"]
    effects = result.ranef["a"]["Intercept"].loc[data()["a"]].to_numpy()
    np.testing.assert_allclose(some, base + effects)
    C, X, Z = mixed_model_variance(result)
    Z[:, 6:] = 0.0
    rows = np.hstack([X, Z])
    table = result.predict(random=["a"], interval="confidence")
    half = (table["upper"] - table["lower"]) / 2 / ndtri(0.975)
    np.testing.assert_allclose(half**2, np.einsum("ij,jk,ik->i", rows, C, rows), rtol=1e-8)
    with pytest.raises(bm.DataError, match="no group"):
        result.predict(random=["zzz"])


def test_new_levels():
    result = fit("y ~ x + (x | i)")
    new = data().head(4).assign(i=[0, 77, 77, 78])
    with pytest.raises(bm.DataError, match="77, 78"):
        result.predict(new)
    population = result.predict(new, new_levels="population", interval="confidence")
    sample = result.predict(new, new_levels="sample", interval="confidence")
    np.testing.assert_allclose(population["estimate"], sample["estimate"])
    base = result.predict(new, random="none", interval="confidence")
    np.testing.assert_allclose(population.iloc[1:], base.iloc[1:])
    # a new level adds z'Σz to the variance
    z = np.column_stack([np.ones(3), new["x"].iloc[1:]])
    extra = np.einsum("ij,jk,ik->i", z, result.random_cov["i"].to_numpy(), z)
    var = lambda t: ((t["upper"] - t["lower"]) / 2 / ndtri(0.975)) ** 2  # noqa: E731
    np.testing.assert_allclose(var(sample).iloc[1:] - var(population).iloc[1:], extra, rtol=1e-7)
    np.testing.assert_allclose(var(sample).iloc[0], var(population).iloc[0])


def test_new_frame_with_the_index_of_the_new_data():
    result = fit()
    new = data().head(3).set_axis(["p", "q", "r"], axis=0)
    before = new.copy(deep=True)
    table = result.predict(new)
    assert table.index.tolist() == ["p", "q", "r"]
    np.testing.assert_allclose(table["estimate"], result.fitted.iloc[:3])
    pd.testing.assert_frame_equal(new, before)


def test_weights_of_new_rows_count():
    result = fit()
    new = result.predict(data(), interval="prediction")
    pd.testing.assert_frame_equal(new, result.predict(interval="prediction"))
    with pytest.raises(bm.DataError, match="column of weights"):
        result.predict(data().drop(columns="w"), interval="prediction")
    assert len(result.predict(data().drop(columns="w"), interval="confidence")) == 150


def test_wrong_requests():
    result = fit()
    with pytest.raises(bm.DataError, match="interval"):
        result.predict(interval="wald")
    with pytest.raises(bm.DataError, match="new_levels"):
        result.predict(new_levels="ignore")
    with pytest.raises(bm.BimixedError, match="level"):
        result.predict(interval="confidence", level=95)
    with pytest.raises(bm.DataError, match="No column 'x'"):
        result.predict(data().drop(columns="x"))
    array = bm.ModelSpec("y ~ x + (1 | a)", data(), offset=data()["o"].to_numpy()).fit()
    with pytest.raises(bm.DataError, match="array"):
        array.predict(data().head())
    assert len(array.predict()) == 150
