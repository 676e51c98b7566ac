"""What may not change a fit: order and labels of rows, groups and categories, units, kind of table.

Deviances agree to 1e-7 and estimates to 1e-5 of their standard error: rounding differs with the order
of summation, and the optimiser stops where a Newton step promises less than 1e-6 of the deviance.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bimixed as bm

FORMULAS = [
    "y ~ x + f + (1 | g)",
    "y ~ x * f + (x | g)",
    "y ~ x + (x || g) + (1 | h)",
    "y ~ f + (f | g)",
    "y ~ x + b + (1 | g/h)",
    "y ~ poly(x, 2) + (0 + x | h) + (1 | b:g)",
    "log(z) ~ x + offset(z) + (1 | g:h)",
]
seeds = st.integers(0, 10**6)
formulas = st.sampled_from(FORMULAS)


def table(seed):
    rng = np.random.default_rng(seed)
    n = 120
    data = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "z": rng.uniform(1, 3, n),
            "f": rng.choice(["u", "v", "w"], n),
            "g": rng.integers(0, 9, n),
            "h": rng.choice(list("pqrst"), n),
            "b": rng.random(n) > 0.4,
        }
    )
    data["y"] = data["x"] + rng.normal(size=9)[data["g"]] * (1 + data["x"]) + rng.normal(size=n)
    return data


def fit(formula, data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BimixedWarning)
        return bm.ModelSpec(formula, data).fit("ml")


def same(first, second):
    assert second.loglik == pytest.approx(first.loglik, abs=1e-7)
    assert first.fixef.index.equals(second.fixef.index)
    scale = first.fixef["std_error"]
    difference = first.fixef["estimate"] - second.fixef["estimate"]
    assert (difference.abs() < 1e-4 * scale).all()
    np.testing.assert_allclose(second.fixef["std_error"], scale, rtol=1e-3)


@settings(max_examples=12, deadline=None)
@given(formula=formulas, seed=seeds)
def test_the_order_of_rows_changes_nothing(formula, seed):
    data = table(seed)
    shuffled = data.sample(frac=1.0, random_state=seed)
    first, second = fit(formula, data), fit(formula, shuffled)
    same(first, second)
    assert second.fitted.index.equals(shuffled.index)
    np.testing.assert_allclose(second.fitted.sort_index(), first.fitted, atol=1e-4)


@settings(max_examples=12, deadline=None)
@given(formula=formulas, seed=seeds)
def test_labels_of_groups_change_nothing_but_their_names(formula, seed):
    data = table(seed)
    labels = np.random.default_rng(seed).permutation([f"school {i}" for i in range(9)])
    renamed = data.assign(g=labels[data["g"]])
    first, second = fit(formula, data), fit(formula, renamed)
    same(first, second)
    if "g" in first.ranef:
        there = second.ranef["g"].loc[labels]
        np.testing.assert_allclose(there.to_numpy(), first.ranef["g"].to_numpy(), atol=1e-4)


@settings(max_examples=12, deadline=None)
@given(formula=formulas, seed=seeds)
def test_categories_in_order_and_unused_ones_change_nothing(formula, seed):
    """With the same first category: that one is the reference."""
    data = table(seed)
    f = pd.Categorical(data["f"], categories=["u", "unused", "v", "w", "nobody"])
    g = pd.Categorical(data["g"], categories=[*range(20, 10, -1), *range(9)[::-1]])
    second = fit(formula, data.assign(f=f, g=g))
    first = fit(formula, data)
    same(first, second)
    if "g" in first.ranef:
        assert second.ranef["g"].index.tolist() == list(range(9))[::-1]
        np.testing.assert_allclose(
            second.ranef["g"].loc[list(range(9))].to_numpy(), first.ranef["g"].to_numpy(), atol=1e-4
        )


def test_another_reference_is_the_same_model():
    data = table(3)
    first = fit("y ~ f + (1 | g)", data)
    second = fit("y ~ f + (1 | g)", data.assign(f=pd.Categorical(data["f"], categories=["w", "u", "v"])))
    assert second.fixef.index.tolist() == ["Intercept", "f[T.u]", "f[T.v]"]
    assert second.loglik == pytest.approx(first.loglik, abs=1e-8)
    np.testing.assert_allclose(second.fitted, first.fitted, atol=1e-6)


@settings(max_examples=12, deadline=None)
@given(formula=formulas, seed=seeds)
def test_the_index_changes_nothing_and_comes_back(formula, seed):
    data = table(seed)
    first = fit(formula, data)
    index = pd.MultiIndex.from_arrays([["a"] * 120, np.arange(120) // 7])
    for other in (pd.Index([0] * 120), index, pd.date_range("2026-01-01", periods=120)):
        second = fit(formula, data.set_axis(other, axis=0))
        assert second.loglik == first.loglik
        assert second.resid.index.equals(other)
        np.testing.assert_array_equal(second.resid.to_numpy(), first.resid.to_numpy())


@settings(max_examples=12, deadline=None)
@given(seed=seeds, power=st.integers(-8, 8), formula=st.sampled_from(FORMULAS[:3]))
def test_units_of_a_covariate_change_nothing_but_its_coefficients(seed, power, formula):
    data = table(seed)
    unit = 10.0**power
    first, second = fit(formula, data), fit(formula, data.assign(x=data["x"] / unit))
    assert second.loglik == pytest.approx(first.loglik, abs=1e-6)
    names = [name for name in first.fixef.index if "x" in name]
    ratio = second.fixef.loc[names] / first.fixef.loc[names]
    np.testing.assert_allclose(ratio["std_error"] / unit, 1.0, rtol=1e-3)
    np.testing.assert_allclose(second.fitted, first.fitted, atol=1e-3)


@settings(max_examples=8, deadline=None)
@given(formula=formulas, seed=seeds, kind=st.sampled_from(["polars", "pyarrow", "arrow", "dict", "object"]))
def test_the_kind_of_table_changes_nothing(formula, seed, kind):
    data = table(seed)
    first = fit(formula, data)
    if kind == "polars":
        other = pytest.importorskip("polars").from_pandas(data)
    elif kind == "pyarrow":
        other = pytest.importorskip("pyarrow").Table.from_pandas(data)
    elif kind == "arrow":
        pytest.importorskip("pyarrow")
        other = data.convert_dtypes(dtype_backend="pyarrow")
    elif kind == "dict":
        other = {name: data[name].tolist() for name in data}
    else:
        other = data.astype(object)
    second = fit(formula, other)
    assert second.loglik == first.loglik
    pd.testing.assert_frame_equal(second.fixef, first.fixef)
    pd.testing.assert_series_equal(second.fitted, first.fitted)
    pd.testing.assert_frame_equal(second.predict(other), first.predict(data))
