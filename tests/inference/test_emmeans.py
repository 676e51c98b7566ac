"""Marginal means and contrasts against emmeans (reference file), by hand, and by draws.

Tolerances: means, standard errors and estimates 1e-6 relative; Kenward-Roger's df 1e-5, Satterthwaite's 1e-4
(its reference is numerical); p-values of Tukey's range 1e-4.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats as st
from lme4_fits import REFERENCE, data_set, fitted
from scipy import integrate

import bimixed as bm
from bimixed.inference.multiplicity import adjusted_p, critical_values

CASES = {fit["id"]: fit for fit in REFERENCE["fits"] if fit["kind"] == "emmeans"}


@pytest.mark.parametrize("case_id", CASES)
def test_against_emmeans(case_id):
    case = CASES[case_id]
    fit = fitted(case["model"])
    factors, _, by = case["spec"].removeprefix("~").replace(" ", "").partition("|")
    found = bm.emmeans(fit, factors.split("*"), by=by or None, ddf=case["ddf"].lower())
    wanted = pd.DataFrame(case["means"])
    shown = list(found.levels)
    table = found.table.astype(dict.fromkeys(shown, str)).set_index(shown)
    wanted = wanted.astype(dict.fromkeys(shown, str)).set_index(shown)
    table = table.loc[wanted.index]
    df_tolerance = 1e-5 if case["ddf"].lower().startswith("k") else 1e-4
    np.testing.assert_allclose(table["estimate"], wanted["emmean"], rtol=1e-6)
    np.testing.assert_allclose(table["std_error"], wanted["SE"], rtol=1e-6)
    np.testing.assert_allclose(table["df"], wanted["df"], rtol=df_tolerance)
    np.testing.assert_allclose(table["lower"], wanted["lower.CL"], rtol=1e-5)
    np.testing.assert_allclose(table["upper"], wanted["upper.CL"], rtol=1e-5)
    pairs = found.contrasts("pairwise", case["pairs_adjust"])
    np.testing.assert_allclose(pairs["estimate"], case["pairs"]["estimate"], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(pairs["std_error"], case["pairs"]["SE"], rtol=1e-6)
    np.testing.assert_allclose(pairs["df"], case["pairs"]["df"], rtol=df_tolerance)
    np.testing.assert_allclose(pairs["p_value"], case["pairs"]["p.value"], rtol=1e-3, atol=1e-5)


MORE = json.loads((Path(__file__).parents[1] / "reference" / "emmeans.json").read_text())
FORMULAS = {
    "main": ("rat_pup", "weight ~ sex + treatment + litsize + (1 | litter)"),
    "inter": ("rat_pup", "weight ~ sex * treatment + litsize + (1 | litter)"),
    "slope": ("Orthodont", "distance ~ age * Sex + (age | Subject)"),
    "curve": ("Orthodont", "distance ~ poly(age, 2) * Sex + (1 | Subject)"),
}


@cache
def model(name, method="reml"):
    data, formula = FORMULAS[name]
    return bm.ModelSpec(formula, data_set(data)).fit(method)


def compare(found, wanted, estimate="estimate", p_tolerance=1e-6):
    wanted = pd.DataFrame(wanted)
    np.testing.assert_allclose(found["estimate"], wanted[estimate].astype(float), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found["std_error"], wanted["SE"].astype(float), rtol=1e-5)
    np.testing.assert_allclose(found["df"], wanted["df"].astype(float), rtol=1e-5)
    # limits: in units of the standard error, as far as the critical value is known
    error = wanted["SE"].astype(float).max() * max(p_tolerance * 30, 1e-5)
    np.testing.assert_allclose(found["lower"], wanted["lower.CL"].astype(float), atol=error)
    np.testing.assert_allclose(found["upper"], wanted["upper.CL"].astype(float), atol=error)
    if "p.value" in wanted:
        np.testing.assert_allclose(found["p_value"], wanted["p.value"], rtol=1e-4, atol=p_tolerance)


@pytest.mark.parametrize(
    ("key", "name", "method", "adjust"),
    [
        ("dunnett", "main", "trt.vs.ctrl", "auto"),
        ("mvt", "main", "pairwise", "mvt"),
        ("holm", "inter", "pairwise", "holm"),
        ("bonferroni", "inter", "revpairwise", "bonferroni"),
        ("sidak", "inter", "consec", "sidak"),
        ("eff", "inter", "eff", "auto"),
        ("poly", "inter", "poly", "auto"),
    ],
)
def test_contrasts_and_adjustments(key, name, method, adjust):
    """emmeans integrates the multivariate t by random points, to 1e-3 or better; so do we."""
    found = bm.emmeans(model(name), "treatment").contrasts(method, adjust)
    assert found["contrast"].tolist() == [row["contrast"] for row in MORE[key]]
    compare(found, MORE[key], p_tolerance=1e-3 if key in ("dunnett", "mvt") else 1e-8)


def test_contrasts_within_and_across_factors():
    by = bm.emmeans(model("inter"), "treatment", by="sex").contrasts()
    assert by[["sex", "contrast"]].to_numpy().tolist() == [
        [row["sex"], row["contrast"]] for row in MORE["by"]
    ]
    compare(by, MORE["by"], p_tolerance=1e-5)
    both = bm.emmeans(model("inter"), ["sex", "treatment"]).contrasts()
    assert both["contrast"].tolist() == [row["contrast"] for row in MORE["both"]]
    compare(both, MORE["both"], p_tolerance=1e-5)


def test_covariates_at_values_and_slopes():
    at = bm.emmeans(model("slope"), ["Sex", "age"], at={"age": [8, 14]})
    assert at.table[["Sex", "age"]].to_numpy().tolist() == [[r["Sex"], r["age"]] for r in MORE["at"]]
    compare(at.table, MORE["at"], "emmean")
    slopes = bm.emtrends(model("slope"), "Sex", var="age")
    compare(slopes.table, MORE["trend"], "age.trend")
    compare(slopes.contrasts(), MORE["trend_pairs"])
    # a parabola: the derivative at 12
    at_12 = bm.emtrends(model("curve"), "Sex", var="age", at={"age": 12})
    near = [
        model("curve").predict(pd.DataFrame({"age": 12 + h, "Sex": ["Female", "Male"]}), random="none")
        for h in (-1e-3, 1e-3)
    ]
    exact = (near[1]["estimate"] - near[0]["estimate"]) / 2e-3
    np.testing.assert_allclose(at_12.table["estimate"], exact, rtol=1e-8)
    # emmeans differences forwards, by a thousandth of the range
    np.testing.assert_allclose(
        at_12.table["estimate"], [row["age.trend"] for row in MORE["trend_curve"]], rtol=1e-3
    )


def test_cells_without_rows_have_no_mean():
    table = data_set("rat_pup")
    table = table[~((table["sex"] == "Male") & (table["treatment"] == "High"))]
    fit = bm.ModelSpec("weight ~ sex * treatment + (1 | litter)", table).fit()
    found = bm.emmeans(fit, ["sex", "treatment"])
    compare(found.table, MORE["holes"], "emmean")
    assert found.table["estimate"].isna().sum() == 1
    averaged = bm.emmeans(fit, "treatment").table
    assert averaged["estimate"].isna().tolist() == [False, True, False]
    pairs = found.contrasts()
    assert pairs["estimate"].isna().sum() == 5
    assert np.isfinite(pairs["p_value"]).sum() == 10


def test_means_are_those_of_predictions():
    """By hand: predictions of the fixed part at the grid, averaged."""
    fit = model("inter")
    table = data_set("rat_pup")
    grid = pd.MultiIndex.from_product(
        [table["sex"].cat.categories, table["treatment"].cat.categories], names=["sex", "treatment"]
    ).to_frame(index=False)
    grid["litsize"] = table["litsize"].mean()
    predicted = grid.assign(p=fit.predict(grid, random="none")["estimate"])
    by_hand = predicted.groupby("treatment")["p"].mean()
    np.testing.assert_allclose(bm.emmeans(fit, "treatment").table["estimate"], by_hand, rtol=1e-12)


def test_custom_contrasts_and_polynomials():
    means = bm.emmeans(model("main"), "treatment")
    table = means.contrasts({"high and low": [-1, 0.5, 0.5]})
    by_hand = means.table["estimate"].to_numpy() @ [-1, 0.5, 0.5]
    assert table["estimate"].tolist() == pytest.approx([by_hand])
    low = means.contrasts("trt.vs.ctrl", reference="Low")
    assert low["contrast"].tolist() == ["Control - Low", "High - Low"]


@pytest.mark.parametrize("method", ["pairwise", "consec"])
def test_interaction_contrasts(method):
    means = bm.emmeans(model("inter"), ["sex", "treatment"])
    found = means.contrasts(method, interaction=True)
    wanted = MORE["interaction" if method == "pairwise" else "interaction_consec"]
    compare(found, wanted)
    names = [f"{r[f'sex_{method}']} : {r[f'treatment_{method}']}" for r in wanted]
    assert found["contrast"].tolist() == names
    with pytest.raises(bm.DataError, match="two factors or more"):
        bm.emmeans(model("inter"), "sex").contrasts(interaction=True)
    with pytest.raises(bm.DataError, match="takes the name of a method"):
        means.contrasts({"a": [1, -1, 0, 0, 0, 0]}, interaction=True)


def test_coefficients_by_level():
    """In any order, others 0; a plain sequence is in the order of the table."""
    means = bm.emmeans(model("inter"), ["sex", "treatment"])
    by_place = means.contrasts({"d": [1, 0, 0, 0, 0, -1]})
    first, last = means.levels.iloc[0].tolist(), means.levels.iloc[-1].tolist()
    for coefficients in (
        {" ".join(last): -1, " ".join(first): 1},
        {tuple(last): -1, tuple(first): 1},
        pd.Series({" ".join(last): -1.0, " ".join(first): 1.0}),
        pd.Series([1, 0, 0, 0, 0, -1]),
    ):
        pd.testing.assert_frame_equal(means.contrasts({"d": coefficients}), by_place)
    with pytest.raises(bm.DataError, match="has 'Male'; the means are of 'Female Control'"):
        means.contrasts({"d": {"Male": 1}})


def test_notes_and_names():
    growth = bm.load_dataset("orthodont")
    fit = bm.ModelSpec("np.log(distance) ~ age * Sex + (1 | Subject)", growth).fit()
    told = str(bm.emmeans(fit, "Sex"))
    assert "'age' interacts with 'Sex'" in told and "At age = 11" in told
    assert "In units of np.log(distance)" in told
    pups = bm.load_dataset("rat_pup")
    beside = bm.ModelSpec("weight ~ treatment * sex + litsize + (1 | litter)", pups).fit()
    found = str(bm.emmeans(beside, "sex", by="litsize", at={"litsize": [10, 14]}))
    assert (
        "'treatment' interacts with 'sex': results are others at other levels or values of it (name" in found
    )
    three = bm.ModelSpec("weight ~ sex * (treatment + litsize) + (1 | litter)", pups).fit()
    assert "'litsize', 'treatment' interact with 'sex'" in str(bm.emmeans(three, "sex"))
    assert "Averaged with equal weights over 'age'" in str(bm.emmeans(fit, "Sex", at={"age": [8, 14]}))
    assert "At" not in str(bm.emmeans(fit, ["Sex", "age"], at={"age": [8, 14]}))
    table = bm.emmeans(fit, "Sex").contrasts()
    assert table.columns.name == "Kenward-Roger, tukey" and table.attrs["adjust"] == "tukey"
    made = bm.ModelSpec("distance ~ C(age) + Sex + (1 | Subject)", growth).fit()
    pd.testing.assert_frame_equal(bm.emmeans(made, "C(age)").table, bm.emmeans(made, "age").table)


def test_contrasts_that_are_0():
    """A mean that differs by an interaction with a centred covariate only: 0, without a test."""
    table = data_set("rat_pup")
    fit = bm.ModelSpec("weight ~ sex + scale(litsize):treatment + (1 | litter)", table).fit()
    for ddf in ("kenward-roger", "satterthwaite"):
        found = bm.emmeans(fit, "treatment", ddf=ddf).contrasts()
        assert (found[["estimate", "std_error"]] == 0.0).all(axis=None)
        assert found["p_value"].isna().all()


@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_empty_cells_beside_a_large_covariate(scale):
    table = data_set("rat_pup")
    table = table[~((table["sex"] == "Male") & (table["treatment"] == "High"))]
    table = table.assign(litsize=table["litsize"] * scale)
    fit = bm.ModelSpec("weight ~ sex * treatment + litsize + (1 | litter)", table).fit()
    assert bm.emmeans(fit, ["sex", "treatment"]).table["estimate"].isna().sum() == 1


@pytest.mark.parametrize(
    ("df", "family", "level"),
    [(2.0, 10, 0.99), (1.3, 20, 0.95), (1.0, 20, 0.95), (5.0, 20, 0.999), (9.0, 2, 0.5)],
)
def test_tukey_limits_of_few_degrees_of_freedom(df, family, level):
    from scipy.stats import studentized_range

    limit = critical_values(np.array([df]), "tukey", family, None, level)[0]
    assert studentized_range.cdf(np.sqrt(2.0) * limit, family, df) == pytest.approx(level, abs=1e-6)


def test_degrees_of_freedom_by_method():
    assert bm.emmeans(model("main"), "sex").ddf == "kenward-roger"
    assert bm.emmeans(model("main", "ml"), "sex").ddf == "satterthwaite"
    normal = bm.emmeans(model("main"), "sex", ddf="normal").table
    assert np.isinf(normal["df"]).all()
    with pytest.raises(bm.UnavailableError, match="derived for REML"):
        bm.emmeans(model("main", "ml"), "sex", ddf="kenward-roger")


def test_draws_have_posteriors_of_means_and_contrasts():
    spec = bm.ModelSpec("distance ~ age * Sex + (age | Subject)", bm.load_dataset("orthodont"))
    nuts, reml = spec.fit("nuts", random_seed=1, progress=False), spec.fit()
    found, theirs = bm.emmeans(nuts, "Sex"), bm.emmeans(reml, "Sex")
    beta = nuts.posterior["posterior"]["fixef"].to_numpy().reshape(-1, 4)
    assert found.ddf == "posterior"
    # the same means; posterior sds count the variances' uncertainty, and priors pull a little
    np.testing.assert_allclose(found.table["estimate"], theirs.table["estimate"], atol=0.15)
    np.testing.assert_allclose(found.table["std_error"], theirs.table["std_error"], rtol=0.15)
    contrast = found.contrasts().iloc[0]
    drawn = beta @ (found.L[0] - found.L[1])
    assert contrast["estimate"] == pytest.approx(drawn.mean())
    assert contrast["prob_positive"] == pytest.approx((drawn > 0).mean())
    assert contrast["lower"] == pytest.approx(np.quantile(drawn, 0.025))
    np.testing.assert_allclose(found.contrast_draws("revpairwise")["Male - Female"], -drawn)
    np.testing.assert_allclose(found.draws["Male"], beta @ found.L[1])
    by = bm.emmeans(nuts, "Sex", by="age", at={"age": [8, 14]})
    assert by.draws.columns.names == ["Sex", "age"]
    np.testing.assert_allclose(by.draws.mean(), by.table["estimate"])
    later = by.contrast_draws()[14.0, "Female - Male"]
    np.testing.assert_allclose(later, by.draws["Female", 14.0] - by.draws["Male", 14.0])
    slopes = bm.emtrends(nuts, "Sex", var="age").contrasts().iloc[0]
    assert slopes["estimate"] == pytest.approx(-0.305, abs=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": "litsize"}, "'litsize' is a covariate.*at=\\{'litsize': \\[.*emtrends"),
        ({"factor": "litter"}, "'litter' is no column of the fixed part; its factors are 'sex', 'treatment'"),
        ({"factor": "sex", "by": "sex"}, "named twice"),
        ({"factor": "sex", "at": {"treatment": "none"}}, "no level 'none'; it has 'Control'"),
        ({"factor": "sex", "level": 95}, "level is 95"),
        ({"factor": "sex", "ddf": "lme4"}, "ddf is 'lme4'; choose one of"),
        ({"factor": "~ treatment | sex"}, r"name the columns: emmeans\(fit, 'treatment', by='sex'\)\."),
        (
            {"factor": "pairwise ~ treatment"},
            r"name the columns: emmeans\(fit, 'treatment'\)\.contrasts\('pairwise'\)\.",
        ),
    ],
)
def test_requests_that_make_no_sense(arguments, message):
    with pytest.raises(bm.DataError, match=message):
        bm.emmeans(model("main"), **arguments)


def test_contrasts_that_make_no_sense():
    means = bm.emmeans(model("main"), "treatment")
    with pytest.raises(bm.DataError, match="adjust='tukey' is about all pairwise"):
        means.contrasts("eff", "tukey")
    with pytest.raises(bm.DataError, match="adjust is 'scheffe'; choose"):
        means.contrasts(adjust="scheffe")
    with pytest.raises(bm.UnavailableError, match="have no draws; fit by 'nuts'"):
        means.draws
    with pytest.raises(bm.DataError, match="method is 'all'; choose"):
        means.contrasts("all")
    with pytest.raises(
        bm.DataError, match=r"\[1.0, -1.0\]; give 3 numbers, not all 0, for 'Control', 'High', 'Low'"
    ):
        means.contrasts({"a": [1, -1]})
    with pytest.raises(bm.DataError, match="reference is 'none'; the means are of"):
        means.contrasts("trt.vs.ctrl", reference="none")
    with pytest.raises(bm.DataError, match="'treatment' is a factor and has no slope"):
        bm.emtrends(model("main"), "sex", var="treatment")
    with pytest.raises(bm.DataError, match="one mean only"):
        bm.emtrends(model("main"), None, var="litsize").contrasts()
    arrays = bm.ModelSpec.from_arrays(np.arange(12.0) % 5, np.ones((12, 1)), np.arange(12) % 3).fit()
    with pytest.raises(bm.DataError, match="given as arrays"):
        bm.emmeans(arrays, "x")


def test_the_false_discovery_rate_is_benjamini_and_hochbergs():
    rng = np.random.default_rng(1)
    t, df = rng.normal(scale=2, size=12), np.full(12, 9.0)
    expected = st.false_discovery_control(2 * st.t.sf(np.abs(t), df))
    np.testing.assert_allclose(adjusted_p(t, df, "fdr", 0, None), expected, rtol=1e-10)
    limits = critical_values(df, "fdr", 0, None, 0.95)  # emmeans' too are Bonferroni's
    np.testing.assert_allclose(limits, st.t.isf(0.025 / 12, 9))
    means = bm.emmeans(model("inter"), "treatment")
    largest = [means.contrasts(adjust=how)["p_value"].max() for how in ("fdr", "none")]
    assert largest[0] == pytest.approx(largest[1])


def test_the_multivariate_t_of_balanced_pairs_is_tukeys():
    """Differences of 4 independent means: of rank 3, where Tukey's range is exact."""
    from bimixed.inference.contrasts import contrast_rows

    _, C = contrast_rows("pairwise", list("abcd"), None)
    statistic, df = np.array([1.0, 2.0, 3.0]), np.full(3, 11.0)
    by_mvt = adjusted_p(statistic, df, "mvt", 4, C @ C.T / 2)
    np.testing.assert_allclose(by_mvt, adjusted_p(statistic, df, "tukey", 4, None), atol=1e-4)


def test_a_multivariate_t_of_independent_comparisons():
    """P(all |T_i| ≤ c) of 3 uncorrelated t with a common χ, by integrating over it."""
    df, c = 7.0, 2.5

    def given(s):
        return (2 * st.norm.cdf(c * s) - 1) ** 3 * st.chi2.pdf(df * s**2, df) * 2 * df * s

    wanted = 1 - integrate.quad(given, 0, 10)[0]
    found = adjusted_p(np.array([c]), np.array([df]), "mvt", 3, np.eye(3))
    assert found[0] == pytest.approx(wanted, abs=1e-4)
    limit = critical_values(np.array([df]), "mvt", 3, np.eye(3), 1 - wanted)
    assert limit[0] == pytest.approx(c, abs=1e-3)
