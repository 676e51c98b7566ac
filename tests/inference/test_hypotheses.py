"""Hypotheses as text and as matrices: what is read, and what is refused with its place."""

import numpy as np
import pandas as pd
import pytest

import bimixed as bm
from bimixed.inference.hypotheses import rows_of

NAMES = ("Intercept", "x", "x:z", "f[T.a-b]", "f[T.a-b]:x", "poly(x, 2)[1]", "I(x**2)", "log(y)", "z2")


@pytest.mark.parametrize(
    ("text", "coefficients", "value"),
    [
        ("x", {"x": 1}, 0),
        ("x = 0", {"x": 1}, 0),
        ("x:z=1.5", {"x:z": 1}, 1.5),
        ("x - 2*x:z = x:z + 3", {"x": 1, "x:z": -3}, 3),
        ("f[T.a-b] - f[T.a-b]:x", {"f[T.a-b]": 1, "f[T.a-b]:x": -1}, 0),
        ("poly(x, 2)[1] = 0", {"poly(x, 2)[1]": 1}, 0),
        ("(x + I(x**2)) / 2 = -1e-1", {"x": 0.5, "I(x**2)": 0.5}, -0.1),
        ("2 * (x - 1) * 3 = 0", {"x": 6}, 6),
        ("- log(y) = + .5", {"log(y)": -1}, 0.5),
        ("`x:z` = `x`", {"x:z": 1, "x": -1}, 0),
        ("z2*z2 - z2*z2 = 0", None, 0),
        ("Intercept = 3", {"Intercept": 1}, 3),
    ],
)
def test_text(text, coefficients, value):
    if coefficients is None:
        with pytest.raises(bm.FormulaError, match="isn't linear"):
            rows_of(NAMES, text)
        return
    L, values, labels = rows_of(NAMES, text)
    assert dict(zip(NAMES, L[0], strict=True)) == {name: coefficients.get(name, 0.0) for name in NAMES}
    assert values == pytest.approx([value])
    assert labels == [text]


def test_several():
    L, values, labels = rows_of(NAMES, "x = 1, poly(x, 2)[1] = 2,")
    assert L.shape == (2, len(NAMES))
    assert values.tolist() == [1.0, 2.0]
    assert labels == ["x = 1", "poly(x, 2)[1] = 2"]
    assert rows_of(NAMES, ["x = 1", "z2 = 0"])[2] == ["x = 1", "z2 = 0"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y = 0", "'y' is no coefficient; there are"),
        ("xx = 0", "'xx' is no coefficient"),
        ("poly(x, 2) = 0", "did you mean 'poly\\(x, 2\\)\\[1\\]'|is no coefficient"),
        ("x = 0 z2 = 0", "Expected ',' or the end"),
        ("x / z2", "Division is by numbers"),
        ("(x + z2 = 0", "bracket isn't closed"),
        ("1 = 1", "no coefficient in it"),
        ("x - x = 0", "no coefficient in it"),
        ("x = ", "missing"),
        ("", "missing"),
    ],
)
def test_text_that_makes_no_sense(text, message):
    with pytest.raises(bm.FormulaError, match=message) as error:
        rows_of(NAMES, text)
    assert "^" in str(error.value)


@pytest.fixture(scope="module")
def fit():
    return bm.ModelSpec(
        "Reaction ~ Days + I(Days**2) + (Days | Subject)", bm.load_dataset("sleepstudy")
    ).fit()


def test_matrices_and_frames_say_the_same(fit):
    by_text = fit.test("Days = 0, I(Days**2) = 0")
    by_matrix = fit.test(np.eye(3)[1:])
    by_frame = fit.test(pd.DataFrame({"Days": [1, 0], "I(Days**2)": [0, 1]}, index=["a", "b"]))
    for other in (by_matrix, by_frame):
        assert (other.F, other.den_df) == pytest.approx((by_text.F, by_text.den_df))
    assert list(by_frame.table.index) == ["a", "b"]
    with pytest.raises(bm.DataError, match="shape \\(1, 2\\); give rows of 3"):
        fit.test([[1, 0]])
    with pytest.raises(bm.DataError, match="no coefficients: 'days'"):
        fit.test(pd.DataFrame({"days": [1]}))
    with pytest.raises(bm.DataError, match="text such as"):
        fit.test({"Days": 0})


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger", "residual", "normal"])
def test_one_hypothesis_is_the_square_of_its_t(fit, ddf):
    found, table = fit.test("Days = 1", ddf), fit.coef_table(ddf)
    row = found.table.iloc[0]
    assert pytest.approx(row["statistic"] ** 2, rel=1e-9) == found.F
    assert found.p_value == pytest.approx(row["p_value"], rel=1e-6)
    assert found.den_df == pytest.approx(table.loc["Days", "df"], rel=1e-9)
    assert row["estimate"] == pytest.approx(table.loc["Days", "estimate"])
    assert row["value"] == 1.0
    assert found.ddf == ddf
    assert table.attrs["ddf"] == ddf


def test_rows_that_follow_from_others_count_once_and_contradictions_are_told(fit):
    assert fit.test("Days = 0, 2*Days = 0").num_df == 1
    with pytest.raises(bm.DataError, match="Row 2 of the hypothesis contradicts"):
        fit.test("Days = 0, 2*Days = 1")


def test_a_dropped_column_can_not_be_tested():
    spec = bm.ModelSpec("Reaction ~ Days + I(2 * Days) + (1 | Subject)", bm.load_dataset("sleepstudy"))
    fit = spec.fit()
    with pytest.raises(bm.DataError, match="dropped because earlier columns"):
        fit.test("I(2 * Days) = 0")
    assert fit.coef_table().loc["I(2 * Days)"].isna().all()
    assert np.isnan(fit.anova().loc["I(2 * Days)", "F"])


def test_draws_give_the_posterior_of_combinations(radon_nuts):
    found = radon_nuts.test("floor - log_uranium = 1")
    beta = radon_nuts.posterior["posterior"]["fixef"]
    drawn = (beta.sel(coefficient="floor") - beta.sel(coefficient="log_uranium") - 1).to_numpy()
    row = found.table.iloc[0]
    assert row["estimate"] == pytest.approx(drawn.mean() + row["value"])
    assert row["upper"] == pytest.approx(np.quantile(drawn, 0.975) + row["value"])
    assert row["prob_positive"] == pytest.approx((drawn > 0).mean())
    assert np.isnan(found.p_value)
    assert str(found).startswith("Posterior of linear combinations")
    with pytest.raises(bm.UnavailableError, match="F tests of terms belong to likelihood fits"):
        radon_nuts.anova()


def test_the_approximation_is_named_beside_every_p_value(fit):
    assert "by Satterthwaite's degrees of freedom" in str(fit.test("Days = 0"))
    assert "by Satterthwaite's degrees of freedom" in str(fit)
    assert fit.anova("residual").attrs["ddf"] == "residual"
