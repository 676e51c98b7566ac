"""Likelihood-ratio tests: lme4's, the reference distributions by simulation, and requests that make no sense.

Tolerances against lme4 are those of its printed log-likelihoods (1e-7, so 4e-7 in a statistic).
"""

import numpy as np
import pandas as pd
import pytest
from lme4_fits import REFERENCE, fitted
from scipy import stats

import bimixed as bm
from bimixed.design import wide
from bimixed.inference.chi_square import ChiSquare
from bimixed.inference.nesting import random_nesting

TESTS = {fit["id"]: fit for fit in REFERENCE["fits"] if fit["kind"] == "lrt"}
AT_ZERO = {
    "sleepstudy/LRT_full_uncorr_ri": [1, 0],
    "sleepstudy/LRT_days_fixed": [0],
    "sleepstudy/LRT_quad": [0],
    "Orthodont/LRT_slope": [1],
    "sleepstudy/LRT_REML_re": [1, 0],
}
"""Variances that each step adds; R gives the p-value of χ²(df) for all."""


@pytest.fixture(scope="module")
def sleepstudy():
    return bm.load_dataset("sleepstudy")


def fit_of(formula, data, method="reml", **more):
    return bm.ModelSpec(formula, data, **more).fit(method)


@pytest.mark.parametrize("name", TESTS)
def test_lme4(name):
    reference, zeros = TESTS[name], AT_ZERO[name]
    method = reference["models"][0].rsplit(":", 1)[1].lower()
    test = bm.lrtest(*reversed([fitted(model) for model in reference["models"]]))
    table = test.table
    assert test.method == method
    assert table["n_parameters"].tolist() == reference["npar"]
    for ours, theirs in (("loglik", "logLik"), ("deviance", "deviance"), ("aic", "AIC"), ("bic", "BIC")):
        np.testing.assert_allclose(table[ours], reference[theirs], rtol=0, atol=4e-7)
    np.testing.assert_allclose(table["chisq"][1:], reference["chisq"][1:], rtol=0, atol=1e-6)
    assert table["df"][1:].tolist() == reference["df"][1:]
    steps = zip(table[1:].itertuples(), reference["p"][1:], zeros, strict=True)
    for row, p, at_zero in steps:
        if at_zero == 0:
            assert row.p_value == pytest.approx(p, rel=2e-6)
            assert row.reference == f"χ²({row.df:.0f})"
        else:
            less = stats.chi2.sf(row.chisq, row.df - 1) if row.df > 1 else 0.0
            assert row.p_value == pytest.approx(0.5 * (less + p), rel=2e-6)
            assert row.reference == f"½χ²({row.df - 1:.0f}) + ½χ²({row.df:.0f})"


def test_every_reference_is_there():
    assert set(TESTS) == set(AT_ZERO)


def test_reml_fits_with_other_fixed_parts_are_refitted(sleepstudy):
    formulas = ["Reaction ~ 1 + (Days | Subject)", "Reaction ~ Days + (Days | Subject)"]
    by_reml = bm.lrtest(*[fit_of(f, sleepstudy) for f in formulas])
    by_ml = bm.lrtest(*[fit_of(f, sleepstudy, "ml") for f in formulas])
    mixed = bm.lrtest(fit_of(formulas[0], sleepstudy), fit_of(formulas[1], sleepstudy, "ml"))
    assert by_reml.method == mixed.method == "ml"
    pd.testing.assert_frame_equal(by_reml.table, by_ml.table, rtol=1e-9)
    pd.testing.assert_frame_equal(mixed.table, by_ml.table, rtol=1e-9)
    assert "refitted" in str(by_reml) and "refitted" in str(mixed) and "refitted" not in str(by_ml)


def test_restricted_likelihoods_of_one_space_in_two_codings(sleepstudy):
    large = fit_of("Reaction ~ Days + (Days | Subject)", sleepstudy)
    plain = bm.lrtest(fit_of("Reaction ~ Days + (1 | Subject)", sleepstudy), large)
    recoded = bm.lrtest(fit_of("Reaction ~ I(Days * 60 - 7) + (1 | Subject)", sleepstudy), large)
    assert recoded.method == "reml"
    assert recoded.table["chisq"].iloc[1] == pytest.approx(plain.table["chisq"].iloc[1], abs=1e-8)


def test_a_wide_factor_in_the_same_space_and_in_a_larger_one(monkeypatch):
    monkeypatch.setattr(wide, "LARGE", 1000)
    rng = np.random.default_rng(2)
    item = np.repeat(np.arange(450), 4)
    data = pd.DataFrame({"item": item.astype(str), "g": rng.integers(0, 30, 1800).astype(str)})
    data["x"] = rng.normal(size=1800)
    data["y"] = rng.normal(size=1800) + rng.normal(size=450)[item] + 0.1 * data["x"]
    base, more = (fit_of(f"y ~ {f} + (1 | g)", data, "ml") for f in ("item", "item + x"))
    assert base.design.wide is not None
    table = bm.lrtest(base, more).table
    assert table["df"].iloc[1] == 1
    assert table["chisq"].iloc[1] == pytest.approx(2 * (more.loglik - base.loglik), abs=1e-9)
    outside = fit_of("y ~ x + I(x ** 2) + (1 | g)", data, "ml")
    with pytest.raises(bm.DataError, match=r"not nested.*I\(x"):
        bm.lrtest(outside, more)


def test_names_and_print(sleepstudy):
    fits = [fit_of(f"Reaction ~ Days + ({f} | Subject)", sleepstudy) for f in ("1", "Days")]
    test = bm.lrtest(*fits, names=["one", "two"])
    assert test.table.index.tolist() == ["one", "two"]
    assert "½χ²(1) + ½χ²(2)" in str(test) and "½χ²(1) + ½χ²(2)" in test._repr_html_()
    assert str(test).startswith("Likelihood-ratio test by REML")


@pytest.mark.parametrize(
    ("small", "large", "outside", "at_zero"),
    [
        ("(1 | g)", "(x | g)", (), 1),
        ("(1 | g)", "(x || g)", (), 1),
        ("(x || g)", "(x | g)", (), 0),
        ("(x || g)", "(x + z | g)", (), 1),
        ("(1 | g)", "(x + z | g)", (), 2),
        ("(1 | g)", "(1 | g) + (1 | h)", (), 1),
        ("(1 | g)", "(1 | h)", ("g[Intercept]",), 0),
        ("(x | g)", "(x || g)", ("g[Intercept,x]",), 0),
        ("(1 | g)", "(0 + C(f) | g)", (), 2),  # one variance of three
        ("(1 | g) + (1 | g:f)", "(0 + C(f) | g)", (), 0),  # equal variances and covariances: inside
        ("(I(2 * x + 3) | g)", "(x | g)", (), 0),
        ("(I(2 * x + 3) || g)", "(x || g)", ("g[I(2 * x + 3)]",), 0),
    ],
)
def test_which_random_parts_are_nested(small, large, outside, at_zero):
    rng = np.random.default_rng(1)
    n = 120
    data = pd.DataFrame({name: rng.integers(0, k, n) for name, k in (("g", 10), ("h", 8), ("f", 3))})
    data["x"], data["z"], data["w"] = rng.normal(size=n), rng.normal(size=n), rng.uniform(1, 2, n)
    data["y"] = rng.normal(size=n)
    one, two = (bm.ModelSpec(f"y ~ 1 + {part}", data, weights="w").design for part in (small, large))
    found = random_nesting(one, two)
    assert set(outside) <= set(found.outside) and bool(outside) == bool(found.outside)
    assert found.at_zero == at_zero


def test_the_mixture_is_the_distribution_of_many_levels():
    rng = np.random.default_rng(5)
    g, x = np.repeat(np.arange(100), 4), np.tile(np.arange(4.0) - 1.5, 100)
    data = pd.DataFrame({"g": g, "x": x, "y": rng.normal(size=400)})
    small, large = (fit_of(f"y ~ x + {r}", data, "ml") for r in ("(1 | g)", "(1 | g) + (0 + x | g)"))
    ys = small.spec.simulate([0.0, 0.0], {"g": 1.0}, 1.0, n=600, random_seed=3)
    chisq = 2 * (large.refit_many(ys)["loglik"] - small.refit_many(ys)["loglik"])
    p = [ChiSquare(1, 1).p_value(s) for s in chisq]
    for level in (0.05, 0.1, 0.3):  # 3.5 Monte Carlo standard errors
        assert abs(np.mean(np.array(p) <= level) - level) < 3.5 * np.sqrt(level * (1 - level) / 600)
    assert abs(np.mean(chisq < 1e-6) - 0.5) < 0.08  # not yet a half with 100 levels


class TestErrors:
    def test_one_model(self, sleepstudy):
        with pytest.raises(bm.DataError, match="two models or more"):
            bm.lrtest(fit_of("Reaction ~ Days + (1 | Subject)", sleepstudy))

    def test_rows_responses_weights_and_offsets(self, sleepstudy):
        base = fit_of("Reaction ~ Days + (1 | Subject)", sleepstudy)
        formula = "Reaction ~ Days + (Days | Subject)"
        with pytest.raises(bm.DataError, match=r"180 and 170 rows.*dropna"):
            bm.lrtest(base, fit_of(formula, sleepstudy[10:]))
        with pytest.raises(bm.DataError, match="different responses"):
            bm.lrtest(base, fit_of("log(Reaction) ~ Days + (Days | Subject)", sleepstudy))
        w = np.linspace(1, 2, 180)
        with pytest.raises(bm.DataError, match="different weights"):
            bm.lrtest(base, fit_of(formula, sleepstudy, weights=w))
        with pytest.raises(bm.DataError, match="different offset"):
            bm.lrtest(base, fit_of(formula, sleepstudy, offset=w))

    def test_models_that_are_not_nested(self, sleepstudy):
        base = fit_of("Reaction ~ Days + (1 | Subject)", sleepstudy, "ml")
        with pytest.raises(bm.DataError, match="same number of parameters"):
            bm.lrtest(base, fit_of("Reaction ~ I(Days ** 2) + (1 | Subject)", sleepstudy, "ml"))
        with pytest.raises(bm.DataError, match=r"not nested.*Days.*larger model's fixed effects"):
            bm.lrtest(base, fit_of("Reaction ~ I(Days ** 2) + (Days | Subject)", sleepstudy, "ml"))
        with pytest.raises(bm.DataError, match=r"no such \(co\)variance as Subject\[Intercept\]"):
            bm.lrtest(base, fit_of("Reaction ~ Days + (0 + C(Days > 4):Days | Subject)", sleepstudy, "ml"))

    def test_restricted_likelihoods_of_different_fixed_parts(self, sleepstudy):
        fits = [fit_of(f"Reaction ~ {f} + (1 | Subject)", sleepstudy) for f in ("1", "Days")]
        with pytest.raises(bm.FitError, match=r"restricted likelihoods.*method='ml'"):
            bm.lrtest(*fits, method="reml")
        with pytest.raises(bm.FitError, match="by ML"):
            bm.lrtest(fits[0], fit_of("Reaction ~ Days + (Days | Subject)", sleepstudy, "ml"), method="reml")
        with pytest.raises(bm.DataError, match="choose 'auto'"):
            bm.lrtest(*fits, method="wald")

    def test_draws_and_what_is_no_result(self, sleepstudy):
        spec = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", sleepstudy)
        draws = spec.fit("importance", draws=1000, random_seed=1)
        with pytest.raises(bm.UnavailableError, match=r"loo\(\)"):
            bm.lrtest(spec.fit(), draws)
        with pytest.raises(bm.UnavailableError, match="fit first"):
            bm.lrtest(spec.fit(), spec)
