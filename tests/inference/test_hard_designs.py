"""Tests of fixed effects where units, aliasing or few groups make formulas fail that are right on paper."""

import numpy as np
import pandas as pd
import pytest

import bimixed as bm
from bimixed.inference.nesting import random_nesting


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    n = 240
    data = pd.DataFrame({"g": rng.integers(0, 12, n).astype(str), "u": rng.uniform(size=n)})
    data["a"] = rng.choice(["p", "q", "r"], n)
    data["b"] = rng.choice(["s", "t"], n)
    data["y"] = rng.normal(size=12)[data["g"].astype(int)] + 3.0 * data["u"] + rng.normal(size=n)
    data["k"] = rng.integers(0, 8, n).astype(str)
    return data


def balanced(groups, seed, rows=6):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), rows)
    x = np.tile(np.linspace(-1, 1, rows), groups)
    y = rng.normal(0, 2, groups)[g] + rng.normal(0, 2, groups)[g] * x + rng.normal(size=len(g))
    return pd.DataFrame({"g": g.astype(str), "x": x, "y": y, "h": np.where(g % 2, "u", "v")})


@pytest.mark.parametrize("groups", [4, 5, 8])
def test_kenward_roger_is_hotellings_test(groups):
    """Both means of a balanced random slope: exact, also where the F distribution has no mean (4 groups)."""
    data = balanced(groups, 4)
    fit = bm.ModelSpec("y ~ x + (x | g)", data).fit()
    assert not fit.diagnostics.singular
    own = np.array([np.polyfit(part["x"], part["y"], 1) for _, part in data.groupby("g")])
    S = np.cov(own.T)
    T2 = groups * own.mean(axis=0) @ np.linalg.solve(S, own.mean(axis=0))
    found = fit.test("Intercept = 0, x = 0", "kenward-roger")
    assert found.den_df == pytest.approx(groups - 2, rel=1e-4)
    assert pytest.approx(T2 * (groups - 2) / (2 * (groups - 1)), rel=1e-4) == found.F  # as θ is known


def test_kenward_roger_with_two_degrees_of_freedom_whatever_the_rounding():
    """Four groups in two arms: t² of the groups' means and df 2, for every seed."""
    for seed in range(40):
        data = balanced(4, seed)
        fit = bm.ModelSpec("y ~ h + (1 | g)", data).fit()
        if fit.diagnostics.singular:
            continue
        means = data.groupby(["h", "g"])["y"].mean()
        difference = means["v"].mean() - means["u"].mean()
        t = difference / np.sqrt((means["v"].var() + means["u"].var()) / 2)
        row = fit.coef_table("kenward-roger").loc["h[T.v]"]
        assert row["df"] == pytest.approx(2.0, rel=1e-5)
        assert pytest.approx(t**2, rel=1e-4) == fit.test("h[T.v] = 0", "kenward-roger").F


@pytest.mark.filterwarnings("ignore::bimixed.BimixedWarning")
def test_too_few_groups_for_a_kenward_roger_test():
    fit = bm.ModelSpec("y ~ x + (x | g)", balanced(2, 3, rows=9)).fit()
    with pytest.raises(bm.DataError, match="No F distribution has the moments"):
        fit.test("Intercept = 0, x = 0", "kenward-roger")


@pytest.mark.filterwarnings("ignore::bimixed.IdentificationWarning")
def test_a_covariance_that_no_group_can_tell():
    """Each group has one level of a, so that nothing is known of the correlation of its levels."""
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(12), 8)
    data = pd.DataFrame({"g": g.astype(str), "a": np.where(g % 2, "u", "v")})
    data["y"] = rng.normal(size=12)[g] + rng.normal(size=len(g))
    apart = bm.ModelSpec("y ~ a + (0 + a || g)", data).fit()
    for ddf in ("kenward-roger", "satterthwaite"):
        wanted = apart.coef_table(ddf)
        for formula in ("y ~ a + (0 + a | g)", "y ~ a + (1 + a | g)"):
            found = bm.ModelSpec(formula, data).fit().coef_table(ddf)
            np.testing.assert_allclose(found, wanted, rtol=1e-4)
    assert np.isfinite(bm.emmeans(bm.ModelSpec("y ~ a + (0 + a | g)", data).fit(), "a").table["df"]).all()


@pytest.mark.filterwarnings("ignore::bimixed.BimixedWarning")
def test_variances_of_which_only_the_sum_is_known():
    data = balanced(12, 2).assign(g2=lambda d: "z" + d["g"])
    once = bm.ModelSpec("y ~ h + (1 | g)", data).fit()
    twice = bm.ModelSpec("y ~ h + (1 | g) + (1 | g2)", data).fit()
    for ddf in ("kenward-roger", "satterthwaite"):
        assert twice.test("h[T.v] = 0", ddf).den_df == pytest.approx(
            once.test("h[T.v] = 0", ddf).den_df, rel=1e-3
        )


FAR = [(1e7, 10.0), (1.7e9, 1000.0)]


@pytest.mark.parametrize(("at", "unit"), FAR)
def test_likelihood_ratios_of_covariates_far_from_0(table, at, unit):
    """REML's likelihoods of different fixed parts aren't compared: t isn't the constant, however far."""
    data = table.assign(t=at + unit * table["u"])
    small, near, far = (bm.ModelSpec(f"y ~ {x} + (1 | g)", data).fit() for x in ("1", "u", "t"))
    wanted, found = bm.lrtest(small, near), bm.lrtest(small, far)
    assert found.method == wanted.method == "ml"
    assert found.table["chisq"].iloc[1] == pytest.approx(wanted.table["chisq"].iloc[1], rel=1e-5)


def test_random_slopes_of_a_covariate_far_from_0(table):
    data = table.assign(t=1e6 + 10.0 * table["u"], c=lambda d: d["t"] - 1e6)
    large = bm.ModelSpec("y ~ u + (t | g) + (1 | k)", data).fit()
    small = bm.ModelSpec("y ~ u + (1 | g) + (1 | k)", data).fit()
    assert bm.lrtest(small, large).table["reference"].iloc[1] == "½χ²(1) + ½χ²(2)"
    slope = bm.ModelSpec("y ~ u + (0 + c | g) + (1 | k)", data).fit()
    assert bm.lrtest(slope, large).table["df"].iloc[1] == 2
    other = bm.ModelSpec("y ~ u + (0 + u | g) + (1 | k)", data.assign(u=table["u"] ** 3)).design
    assert random_nesting(other, large.design).outside


@pytest.mark.parametrize(("at", "unit"), FAR)
def test_standard_errors_of_combinations_far_from_0(table, at, unit):
    data = table.assign(t=at + unit * table["u"])
    near, far = (bm.ModelSpec(f"y ~ {x} * a + (1 | g)", data).fit() for x in ("u", "t"))
    for ddf in ("satterthwaite", "kenward-roger"):
        wanted, found = (bm.emmeans(fit, "a", ddf=ddf) for fit in (near, far))
        np.testing.assert_allclose(
            found.table.iloc[:, 1:].astype(float), wanted.table.iloc[:, 1:].astype(float), rtol=1e-4
        )
    at_once = far.test(f"Intercept + {at} * t = 0, t = 0").F
    assert at_once == pytest.approx(near.test("Intercept = 0, u = 0").F, rel=1e-4)


def test_hypotheses_in_very_unequal_units(table):
    data = table.assign(m=1e-9 * table["u"], big=1e9 * table["u"])
    wanted = bm.ModelSpec("y ~ a + u + (1 | g)", data).fit().test("Intercept = 1, a[T.q] = 0, u = 0").F
    for name in ("m", "big"):
        found = bm.ModelSpec(f"y ~ a + {name} + (1 | g)", data).fit()
        assert pytest.approx(wanted, rel=1e-6) == found.test(f"Intercept = 1, a[T.q] = 0, {name} = 0").F
    two = found.test("Intercept + 4e9 * big = 1, Intercept + 6e9 * big = 1")
    assert two.num_df == 2
    names = bm.drop1(bm.ModelSpec("y ~ 0 + a + big + (1 | g)", data).fit()).table.index.tolist()
    assert names == ["<none>", "big"]


def test_draws_beside_a_dropped_column(table):
    holes = table[~((table["a"] == "r") & (table["b"] == "t"))]
    draws = bm.ModelSpec("y ~ a * b + (1 | g)", holes).fit(
        "importance", draws=1000, random_seed=1, progress=False
    )
    found = draws.test("a[T.q] = 0").table.iloc[0]
    assert found["estimate"] == pytest.approx(draws.fixef.loc["a[T.q]", "estimate"])
    assert 0.0 <= found["prob_positive"] <= 1.0
    assert np.isnan(draws.test("a[T.r]:b[T.t] = 0").table["estimate"].iloc[0])
    contrasts = bm.emmeans(draws, "a").contrasts()
    assert (
        contrasts["prob_positive"].isna().tolist()
        == contrasts["estimate"].isna().tolist()
        == [False, True, True]
    )
    with pytest.raises(bm.DataError, match="contradicts"):
        draws.test("a[T.q] = 0, a[T.q] = 1")
    with pytest.raises(bm.DataError, match="draws need none"):
        draws.test("a[T.q] = 0", ddf="foo")
