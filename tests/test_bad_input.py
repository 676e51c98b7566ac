"""What beginners get wrong: each gets an error or warning of ours with place, cause and remedy."""

import numpy as np
import pandas as pd
import pytest

import bimixed as bm


def table():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "y": rng.normal(size=20),
            "x": rng.normal(size=20),
            "g": np.repeat(list("abcd"), 5),
            "one": "only",
            "id": np.arange(20),
            "empty": np.nan,
            "text": list("pq") * 10,
        }
    )


def infinite(column):
    data = table()
    data.loc[3, column] = np.inf
    return data


def missing(last):
    data = table()
    data.loc[:9, "x"] = np.nan
    data.loc[10:last, "g"] = None
    return data


ERRORS = {
    "missing column": ("y ~ xx + (1 | g)", table, {}, bm.DataError, ["'xx'", "fixed part", "'x'"]),
    "missing response": ("yy ~ x + (1 | g)", table, {}, bm.DataError, ["'yy'", "response", "'y'"]),
    "unknown group": ("y ~ x + (1 | gg)", table, {}, bm.DataError, ["'gg'", "(1 | gg)", "'g'"]),
    "single-level group": (
        "y ~ x + (1 | one)", table, {}, bm.DataError, ["'one'", "single level", "Remove the term"],
    ),
    "as many levels as rows": (
        "y ~ x + (1 | id)", table, {}, bm.DataError, ["'id'", "as many levels", "coarser"],
    ),
    "all-missing column": (
        "y ~ empty + (1 | g)", table, {}, bm.DataError, ["'empty'", "missing", "Leave the column"],
    ),
    "infinite response": (
        "y ~ x + (1 | g)", lambda: infinite("y"), {}, bm.DataError, ["'y'", "inf", "3", "drop"],
    ),
    "infinite predictor": (
        "y ~ x + (1 | g)", lambda: infinite("x"), {}, bm.DataError, ["'x'", "inf", "3", "drop"],
    ),
    "text response": (
        "text ~ x + (1 | g)", table, {}, bm.DataError, ["'text'", "not numeric", "convert"],
    ),
    "no rows left": (
        "y ~ x + (1 | g)", lambda: missing(19), {}, bm.DataError, ["No rows", "x (10 missing)", "Fill"],
    ),
    "no rows at all": ("y ~ x + (1 | g)", lambda: table().head(0), {}, bm.DataError, ["no rows"]),
    "missing rows refused": (
        "y ~ x + (1 | g)", lambda: missing(12), {"na_action": "raise"}, bm.DataError,
        ["13 of 20 rows", "drop"],
    ),
    "negative weights": (
        "y ~ x + (1 | g)", table, {"weights": np.r_[-1.0, np.ones(19)]}, bm.DataError,
        ["negative", "[0]", "positive"],
    ),
    "zero weights": (
        "y ~ x + (1 | g)", table, {"weights": np.r_[np.ones(19), 0.0]}, bm.DataError,
        ["zero", "[19]", "leave rows out"],
    ),
    "short weights": (
        "y ~ x + (1 | g)", table, {"weights": np.ones(3)}, bm.DataError, ["(3,)", "20 rows"],
    ),
    "unclosed bar": ("y ~ x + (1 | g", table, {}, bm.FormulaError, ["never closed", "add ')'"]),
    "bar without parentheses": ("y ~ x + 1 | g", table, {}, bm.FormulaError, ["put parentheses"]),
    "no random effects": ("y ~ x", table, {}, bm.FormulaError, ["no random-effects", "Add one"]),
    "coefficient twice": (
        "y ~ x + (1 | g) + (x | g)", table, {}, bm.FormulaError, ["'Intercept'", "two terms"],
    ),
    "constant response": (
        "y ~ x + (1 | g)", lambda: table().assign(y=3.0), {}, bm.DataError, ["'y'", "constant"],
    ),
    "logarithm of negative numbers": (
        "log(y) ~ x + (1 | g)", table, {}, bm.DataError, ["log(y)", "nan", "logarithm"],
    ),
    "fixed factor with one level": (
        "y ~ one + (1 | g)", table, {}, bm.DataError, ["'one'", "fixed part", "single level", "Leave it"],
    ),
    "unknown function": (
        "y ~ lgo(x) + (1 | g)", table, {}, bm.FormulaError, ["fixed part", "lgo", "Check"],
    ),
    "formulaic's syntax": ("y ~ x z + (1 | g)", table, {}, bm.FormulaError, ["fixed part", "operator"]),
    "columns of different lengths": (
        "y ~ x + (1 | g)", lambda: {"y": [1, 2], "x": [1], "g": [1, 2]}, {}, bm.DataError, ["lengths"],
    ),
    "dates": (
        "y ~ day + (1 | g)", lambda: table().assign(day=pd.Timestamp("2026-01-01")), {}, bm.DataError,
        ["'day' holds dates,", "(data['day'] - data['day'].min()).dt.days"],
    ),
    "durations": (
        "y ~ d + (1 | g)", lambda: table().assign(d=pd.Timedelta(hours=1)), {}, bm.DataError,
        ["'d' holds durations,", "data['d'].dt.days"],
    ),
    "complex numbers": (
        "y ~ z + (1 | g)", lambda: table().assign(z=1j), {}, bm.DataError,
        ["'z' holds complex numbers", "slope. Make real numbers of them: numpy.real(data['z'])"],
    ),
    "no table": ("y ~ x + (1 | g)", lambda: 3, {}, bm.DataError, ["int", "pandas"]),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_errors_name_place_cause_and_remedy(case):
    formula, make, kwargs, error, words = ERRORS[case]
    with pytest.raises(error) as caught:
        bm.ModelSpec(formula, make(), **kwargs)
    for word in words:
        assert word in str(caught.value)
    assert isinstance(caught.value, bm.BimixedError)


def test_more_coefficients_than_rows_can_tell_apart_is_warned_of():
    with pytest.warns(bm.IdentificationWarning, match=r"\(x \| pair\) has 10 levels × 2"):
        bm.ModelSpec("y ~ x + (x | pair)", table().assign(pair=np.repeat(np.arange(10), 2)))


def test_constant_group_is_told_once_per_term():
    with pytest.raises(bm.DataError, match="at least two"):
        bm.ModelSpec("y ~ x + (1 | g) + (1 | one)", table())


def test_fits_that_make_no_sense():
    data = table()
    spec = bm.ModelSpec("y ~ x + (1 | g)", data)
    with pytest.raises(bm.FitError, match="Unknown method 'lme4'"):
        spec.fit(method="lme4")
    with pytest.raises(bm.FitError, match="Data belong to ModelSpec"):
        spec.fit(data)
    assert spec.fit(method="REML").method == "reml"
    with pytest.raises(bm.FitError, match="Unknown optimizer"):
        spec.fit(optimizer="bobyqa")
    with pytest.raises(bm.FitError, match="start"):
        spec.fit(start=[1.0, 2.0, 3.0])
    exact = bm.ModelSpec("y ~ x + (1 | g)", data.assign(y=2 * data["x"] + 1))
    with pytest.raises(bm.FitError, match="exactly"):
        exact.fit()
    many = bm.ModelSpec("y ~ C(id) + (1 | g)", data)
    with pytest.raises(bm.FitError, match="20 fixed coefficients for 20 rows"):
        many.fit()


@pytest.mark.parametrize(
    ("priors", "words"),
    [
        ({"z": bm.Prior("normal", mu=0, sigma=1)}, "names nothing"),
        ({"sd_h": bm.Prior("half_normal", sigma=1)}, "Did you mean 'sd_g'"),
        ({"x": bm.Prior("lkj", eta=1)}, "doesn't suit 'x'"),
        ({"sigma": bm.Prior("normal", mu=0, sigma=1)}, "doesn't suit 'sigma'"),
        ({"sd": bm.Prior("uniform", lower=-1, upper=1)}, "can't go below 0"),
        ({"x": 3}, "bimixed.Prior"),
    ],
)
def test_wrong_priors(priors, words):
    with pytest.raises(bm.PriorError, match=words):
        bm.ModelSpec("y ~ x + (1 | g)", table(), priors=priors)


@pytest.mark.parametrize(
    ("family", "parameters", "words"),
    [
        ("norml", {}, "Unknown prior"),
        ("normal", {"mu": 0}, "takes mu, sigma"),
        ("normal", {"mu": 0, "sigma": -1}, "positive"),
        ("uniform", {"lower": 2, "upper": 1}, "lower < upper"),
        ("normal", {"mu": "a", "sigma": 1}, "number"),
    ],
)
def test_impossible_priors(family, parameters, words):
    with pytest.raises(bm.PriorError, match=words):
        bm.Prior(family, **parameters)


def test_unknown_dataset():
    with pytest.raises(bm.DataError, match="Did you mean 'radon'"):
        bm.load_dataset("radom")
