"""What users of statsmodels write, and what they get."""

import re

import numpy as np
import pandas as pd
import pytest

import bimixed as bm


@pytest.fixture(scope="module")
def sleep():
    return bm.load_dataset("sleepstudy")


@pytest.fixture(scope="module")
def fit(sleep):
    return bm.ModelSpec.from_groups("Reaction ~ Days", sleep, groups="Subject", re_formula="~Days").fit()


@pytest.fixture(scope="module")
def growth():
    data = bm.load_dataset("orthodont").assign(c=lambda d: d["age"] - 11)
    return bm.ModelSpec("distance ~ c * Sex + (c | Subject)", data).fit()


# --- levels ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [
        lambda fit: fit.conf_int(0.05),
        lambda fit: fit.coef_table("normal", 0.05),
        lambda fit: fit.predict(interval="prediction", level=0.05),
        lambda fit: fit.test("Days = 0", level=0.05),
        lambda fit: fit.ranef_table("Subject", 0.05),
        lambda fit: fit.tidy(conf_int=True, conf_level=0.05),
        lambda fit: bm.table(fit, level=0.05),
    ],
)
def test_a_level_that_is_an_alpha_is_refused(fit, ask):
    with pytest.raises(bm.DataError, match=r"level=0\.05 is an interval of 5 %.*write (conf_)?level=0\.95"):
        ask(fit)


def test_half_is_a_level(fit):
    limits = fit.conf_int(0.5).loc["Days"]
    assert limits["lower"] < fit.fixef.loc["Days", "estimate"] < limits["upper"]


# --- hypotheses --------------------------------------------------------------------------------


def test_rows_of_a_matrix_are_called_by_what_they_say(growth):
    L = np.array([[0, 1, 0, 0], [1, 0, -2, 0.5]])
    found = growth.test(L)
    assert found.hypotheses == ("c = 0", "Intercept - 2*Sex[T.Male] + 0.5*c:Sex[T.Male] = 0")
    again = growth.test(list(found.hypotheses))
    assert again.F == pytest.approx(found.F, rel=1e-10)
    assert growth.test(pd.DataFrame({"c": [-1.0]})).hypotheses == ("-c = 0",)
    assert growth.test(pd.DataFrame({"c": [1.0]}, index=["slope"])).hypotheses == ("slope",)


@pytest.mark.parametrize(
    ("text", "same", "labels"),
    [
        ("(Days = 0), (Intercept = 200)", "Days = 0, Intercept = 200", ("Days = 0", "Intercept = 200")),
        ("((Days + Intercept) = 1)", "Days + Intercept = 1", ("(Days + Intercept) = 1",)),
        ("((Days = 1))", "Days = 1", ("Days = 1",)),
        ("(Days - 1) * 2 = 0", "Days = 1", ("(Days - 1) * 2 = 0",)),
        ("Days = Intercept = 0", "Days = 0, Intercept = 0", ("Days = Intercept", "Intercept = 0")),
        ("Days == 10 = Intercept / 25", "Days = 10, Intercept = 250", ("Days = 10", "10 = Intercept / 25")),
    ],
)
def test_brackets_and_chains_as_patsy_reads_them(fit, text, same, labels):
    """patsy 1.0's linear_constraint: 'a = b = 0' is a = b and b = 0."""
    found = fit.test(text)
    assert found.hypotheses == labels
    assert found.F == pytest.approx(fit.test(same).F, rel=1e-9)


@pytest.mark.parametrize("text", ["(Days = 0", "(Days = 0) + 1", "((Days = 0), Days = 1", "Days = = 0", "0 = 0"])
def test_what_cant_be_read_is_still_underlined(fit, text):
    with pytest.raises(bm.FormulaError, match=r"\^"):
        fit.test(text)


def test_tests_print_no_minus_zero_and_no_p_of_zero(fit):
    text = str(fit.test("Days = 0"))
    assert "-0.0" not in text
    assert "<0.0001" in text
    assert not np.signbit(fit.test("Days = 0").table["value"]).any()


def test_a_factor_is_no_coefficient(growth):
    with pytest.raises(bm.FormulaError, match=r"'Sex' is no coefficient.*Sex\[T\.Male\].*fit\.anova\(\)"):
        growth.test("Sex = 0")
    with pytest.raises(bm.FormulaError, match=r"bm\.rlrt\("):
        growth.test("sd_Subject[c] = 0")
