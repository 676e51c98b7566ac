"""Degrees of freedom, adjusted standard errors and p-values against lmerTest and pbkrtest.

Tolerances. Satterthwaite's df 1e-4 relative (the reference's own precision is 1e-6, and near a boundary its
numerical Hessian loses some); Kenward-Roger's df, F and standard errors 1e-5 relative; p-values accordingly.
"""

import numpy as np
import pandas as pd
import pytest
from lme4_fits import FITS, REFERENCE, fitted

import bimixed as bm

REML = [i for i, fit in FITS.items() if fit.get("tests", {}).get("satterthwaite")]
KENWARD = [i for i, fit in FITS.items() if fit.get("tests", {}).get("kenward_roger")]


@pytest.mark.parametrize("fit_id", REML)
def test_satterthwaite(fit_id):
    wanted = FITS[fit_id]["tests"]["satterthwaite"]
    table = fitted(fit_id).coef_table("satterthwaite").dropna()
    np.testing.assert_allclose(table["df"], wanted["df"], rtol=1e-4)
    np.testing.assert_allclose(table["statistic"], wanted["t"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(table["p_value"], wanted["p"], rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("fit_id", KENWARD)
def test_kenward_roger(fit_id):
    wanted = FITS[fit_id]["tests"]["kenward_roger"]
    table = fitted(fit_id).coef_table("kenward-roger").dropna()
    np.testing.assert_allclose(table["df"], wanted["df"], rtol=1e-5)
    np.testing.assert_allclose(table["std_error"], wanted["se_adjusted"], rtol=1e-5)
    np.testing.assert_allclose(table["statistic"] ** 2, wanted["F"], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("method", ["satterthwaite", "kenward-roger"])
@pytest.mark.parametrize("fit_id", REML)
def test_anova_of_type_3(fit_id, method):
    wanted = FITS[fit_id]["tests"].get(f"anova_type3_{method.replace('-', '_')}")
    if not wanted or not wanted["term"]:
        pytest.skip("no reference")
    table = fitted(fit_id).anova(method, type=3)
    assert len(table) == len(wanted["term"])
    for name, column, tolerance in (("num_df", "num_df", 0), ("den_df", "den_df", 1e-4), ("F", "F", 1e-5)):
        expected = np.array(wanted[column], dtype=float)
        np.testing.assert_allclose(table[name], expected, rtol=tolerance, err_msg=name)


COMPARED = {fit["id"]: fit for fit in REFERENCE["fits"] if fit["kind"] == "KRmodcomp"}


SMALL = {
    "sleepstudy/KR_days": ["Intercept"],
    "sleepstudy/KR_quad_both": ["Intercept"],
    "rat_pup/KR_treatment": ["Intercept", "sex[T.Male]", "litsize"],
    "Orthodont/KR_age_sex": ["Intercept", "age", "Sex[T.Female]", "Sex[T.Male]"],
}
"""Coefficients of the small models."""


@pytest.mark.parametrize("test_id", COMPARED)
def test_joint_hypotheses_against_pbkrtest(test_id):
    wanted = COMPARED[test_id]
    fit = fitted(wanted["large"])
    own = [name for name in fit.design.names if name not in SMALL[test_id]]
    found = fit.test([f"`{name}` = 0" for name in own], "kenward-roger")
    assert found.num_df == wanted["Ftest"]["ndf"]
    assert found.den_df == pytest.approx(wanted["Ftest"]["ddf"], rel=1e-5)
    assert pytest.approx(wanted["Ftest"]["stat"], rel=1e-5) == found.F
    assert found.p_value == pytest.approx(wanted["Ftest"]["p"], rel=1e-3)
    by_satterthwaite = fit.test([f"`{name}` = 0" for name in own])
    assert by_satterthwaite.den_df == pytest.approx(wanted["SATmodcomp"]["ddf"], rel=1e-4)
    assert pytest.approx(wanted["SATmodcomp"]["statistic"], rel=1e-5) == by_satterthwaite.F
    assert by_satterthwaite.p_value == pytest.approx(wanted["SATmodcomp"]["p.value"], rel=1e-3)


def test_a_published_type_3_test():
    """rat_pup, sex × treatment: F = 46.99 for sex; columns of treatment coding dropped give 31.67."""
    fit = fitted("rat_pup/inter:REML")
    assert fit.anova().loc["sex", "F"] == pytest.approx(46.99, abs=0.005)
    (name,) = [name for name in fit.design.names if name.startswith("sex[") and ":" not in name]
    assert pytest.approx(31.67, abs=0.005) == fit.test(f"{name} = 0").F


@pytest.mark.parametrize("groups", [3, 4, 6])
def test_kenward_roger_between_few_groups(groups):
    """Balanced: the F test of means of groups, whose mean isn't finite with 2 degrees of freedom or fewer."""
    rng = np.random.default_rng(groups)
    g = np.repeat(np.arange(groups), 5)
    table = pd.DataFrame(
        {"g": g.astype(str), "z": rng.normal(size=groups)[g], "y": rng.normal(size=len(g)) + g}
    )
    table["h"] = np.array(["a", "b", "c"])[g % 3]
    means = table.groupby("g", sort=False)[["y"]].mean()
    for rhs, q in (("z", 1), ("h", 2)):
        if groups - q - 1 < 1:
            continue
        fit = bm.ModelSpec(f"y ~ {rhs} + (1 | g)", table).fit()
        X = fit.spec.design.X[::5]
        _, rss, *_ = np.linalg.lstsq(X, means["y"])
        rss, df = rss.item(), groups - X.shape[1]
        without = ((means["y"] - means["y"].mean()) ** 2).sum()
        found = fit.anova("kenward-roger").loc[rhs]
        assert found["den_df"] == pytest.approx(df, rel=1e-6)
        assert found["F"] == pytest.approx((without - rss) / q / (rss / df), rel=1e-5)  # θ is known to 1e-6
        assert 0.0 < found["p_value"] < 1.0
