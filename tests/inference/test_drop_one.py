"""Terms left out one by one: the same as fits of the formulas without them."""

import numpy as np
import pandas as pd
import pytest

import bimixed as bm


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"x": rng.normal(size=120), "g": rng.integers(0, 15, 120).astype(str)})
    table["f"], table["h"] = rng.choice(["a", "b", "c"], 120), rng.choice(["u", "v"], 120)
    table["y"] = table["x"] + (table["f"] == "b") + rng.normal(size=15)[table["g"].astype(int)]
    table["y"] += rng.normal(size=120)
    return table


def fit_of(formula, data, method="ml"):
    return bm.ModelSpec(f"y ~ {formula} + (1 | g)", data).fit(method)


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize(
    ("formula", "without"),
    [
        ("x + f + h", {"x": "f + h", "f": "x + h", "h": "x + f"}),
        ("x + f * h", {"x": "f * h", "f:h": "x + f + h"}),
        ("poly(x, 2) + f:h", {"poly(x, 2)": "f:h", "f:h": "poly(x, 2)"}),
        ("x + x:f", {"x:f": "x"}),
        ("I(x > 0) + np.exp(x)", {"I(x > 0)": "np.exp(x)", "np.exp(x)": "I(x > 0)"}),
        ("0 + f + x", {"x": "0 + f"}),
    ],
)
def test_against_formulas_without_the_term(data, formula, without, method):
    whole = fit_of(formula, data)
    table = bm.drop1(fit_of(formula, data, method)).table
    assert table.index.tolist() == ["<none>", *without]
    assert table.loc["<none>", "loglik"] == pytest.approx(whole.loglik, abs=1e-9)
    for name, rest in without.items():
        small = fit_of(rest, data)
        assert table.loc[name, "loglik"] == pytest.approx(small.loglik, abs=1e-8)
        wanted = bm.lrtest(small, whole).table.iloc[1]
        columns = ["chisq", "df", "p_value"]
        np.testing.assert_allclose(table.loc[name, columns].astype(float), wanted[columns].astype(float))
        assert table.loc[name, "aic"] == pytest.approx(small.aic, abs=1e-7)
        assert table.loc[name, "reference"] == wanted["reference"]


def test_notes(data):
    test = bm.drop1(fit_of("0 + f + x", data, "reml"))
    assert "refitted by ML" in str(test) and "f carries the intercept" in str(test)
    assert "χ²(1)" in test._repr_html_()
    assert "collinear" in str(bm.drop1(fit_of("x + f + I(2 * x)", data)))


def test_arrays(data):
    X = np.column_stack([np.ones(120), data["x"], data["h"] == "u"]).astype(float)
    fit = bm.ModelSpec.from_arrays(data["y"], X, data["g"], fixef_names=["Intercept", "x", "u"]).fit("ml")
    table = bm.drop1(fit).table
    assert table.index.tolist() == ["<none>", "x", "u"]
    assert table.loc["u", "loglik"] == pytest.approx(fit_of("x", data).loglik, abs=1e-8)


def test_nothing_to_leave_out(data):
    with pytest.raises(bm.UnavailableError, match="no fixed term"):
        bm.drop1(fit_of("1", data))
    with pytest.raises(bm.UnavailableError, match="fit first"):
        bm.drop1(data)
