"""Many responses at once against one fit after the other.

Both searches end where a step promises 1e-11 of the deviance: estimates agree to 1e-5 of their standard
error, the log-likelihood to 1e-8.
"""

import warnings

import numpy as np
import pandas as pd
import pytest

import bimixed as bm


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(11)
    n = 240
    data = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "g": rng.integers(0, 15, n),
            "h": rng.choice(list("pqrstu"), n),
            "w": rng.uniform(0.2, 3.0, n),
            "o": rng.normal(size=n),
        }
    )
    data["y"] = data["x"] + rng.normal(size=15)[data["g"]] * (1 + data["x"]) + rng.normal(size=n)
    return data


CASES = {
    "intercept": ("y ~ x + (1 | g)", {}),
    "slope": ("y ~ x + (x | g)", {}),
    "uncorrelated, weights, offset": ("y ~ x + (x || g)", {"weights": "w", "offset": "o"}),
    "a column dropped": ("y ~ x + I(2 * x) + (1 | g)", {}),
    "crossed": ("y ~ x + (1 | g) + (1 | h)", {}),
    "no fixed effects": ("y ~ 0 + (x | g)", {}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_the_same_as_one_by_one(case, method, table):
    formula, kwargs = CASES[case]
    spec = bm.ModelSpec(formula, table, **kwargs)
    fit = spec.fit(method)
    rng = np.random.default_rng(3)
    # some responses without any variation between groups, where variances are 0
    pure = rng.normal(size=(240, 4))
    ys = np.column_stack([table["y"].to_numpy()[:, None] + rng.normal(size=(240, 6)), pure])
    many = fit.refit_many(ys)
    assert len(many) == ys.shape[1]
    assert many["converged"].all()
    for k in range(ys.shape[1]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bm.BimixedWarning)
            one = fit.refit(ys[:, k])
        row = many.iloc[k]
        assert row["loglik"] == pytest.approx(one.loglik, abs=1e-8)
        assert row["sigma"] == pytest.approx(one.sigma, rel=1e-5)
        names = one.fixef.index
        difference = (row[names] - one.fixef["estimate"]).astype(float).abs()
        assert (difference.dropna() < 1e-4 * one.fixef["std_error"].dropna()).all()
        assert row[names].isna().equals(one.fixef["estimate"].isna())
        for group, cov in one.random_cov.items():
            for name in cov.index:
                sd = np.sqrt(cov.loc[name, name])
                assert row[f"sd_{group}[{name}]"] == pytest.approx(sd, abs=1e-4 * one.sigma)


def test_a_bootstrap_has_the_right_spread():
    """1,000 parametric replicates: their sds are the standard errors, to 3 Monte Carlo errors."""
    spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
    fit = spec.fit()
    ys = spec.simulate(fit.fixef["estimate"], fit.random_cov, fit.sigma, n=1000, random_seed=5)
    many = fit.refit_many(ys)
    assert many["converged"].all()
    for name in ("Intercept", "Days"):
        ratio = many[name].std() / fit.fixef.loc[name, "std_error"]
        assert abs(ratio - 1.0) < 3.0 / np.sqrt(2.0 * 1000)
        error = abs(many[name].mean() - fit.fixef.loc[name, "estimate"])
        assert error < 3.0 * fit.fixef.loc[name, "std_error"] / np.sqrt(1000)


@pytest.mark.parametrize("bad", [np.zeros(240), np.zeros((239, 2)), np.full((240, 2), np.nan)])
def test_wrong_responses_are_told(bad, table):
    fit = bm.ModelSpec("y ~ x + (1 | g)", table).fit()
    with pytest.raises(bm.DataError, match="240 rows"):
        fit.refit_many(bad)


def test_degenerate_responses_are_told_and_don_t_stop_the_others(table):
    fit = bm.ModelSpec("y ~ x + (1 | g)", table).fit()
    rng = np.random.default_rng(1)
    ys = rng.normal(size=(240, 5)) + rng.normal(size=15)[table["g"]][:, None]
    good = fit.refit_many(ys)
    ys[:, 1] = 3.0 + 2.0 * table["x"]
    ys[:, 3] = table["g"]
    many = fit.refit_many(ys)
    assert many["converged"].tolist() == [True, False, True, False, True]
    assert many.loc[[1, 3], "loglik"].isna().all()
    np.testing.assert_allclose(many.loc[[0, 2, 4], "loglik"], good.loc[[0, 2, 4], "loglik"], rtol=1e-10)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
@pytest.mark.parametrize("term", ["(x | g)", "(x || g)"])
def test_after_a_singular_fit_in_any_units(unit, term):
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(12), 10)
    data = pd.DataFrame({"g": g, "x": rng.normal(size=120) * unit, "y": rng.normal(size=120)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BimixedWarning)
        fit = bm.ModelSpec(f"y ~ x + {term}", data).fit()
        for _ in range(5):
            y = rng.normal(size=12)[g] + rng.normal(size=12)[g] * data["x"] / unit + rng.normal(size=120)
            fresh = bm.ModelSpec(f"y ~ x + {term}", data.assign(y=y)).fit().loglik
            assert fit.refit(y).loglik == pytest.approx(fresh, abs=1e-7)
            assert fit.refit_many(np.asarray(y)[:, None])["loglik"][0] == pytest.approx(fresh, abs=1e-7)


def test_responses_of_other_rows_are_refused(table):
    spec = bm.ModelSpec("y ~ x + (1 | g)", table)
    fit = spec.fit()
    ys = pd.DataFrame(np.random.default_rng(0).normal(size=(240, 2)), index=table.index)
    assert fit.refit_many(ys)["converged"].all()
    with pytest.raises(bm.DataError, match=r"index .* order they have .* give responses\.to_numpy\(\)"):
        fit.refit_many(ys.sample(frac=1.0, random_state=1))
    permuted = table["y"].sample(frac=1.0, random_state=1)
    with pytest.raises(bm.DataError, match=r"y\[fit\.fitted\.index\] if .* permuted .* give y\.to_numpy\(\)"):
        fit.refit(permuted)
    assert fit.refit(permuted.to_numpy()).loglik < fit.loglik


@pytest.mark.parametrize("term", ["(1 | g)", "(x | g)"])
def test_constant_responses_are_none(term, table):
    """As in a specification; the others of a table are fitted."""
    fit = bm.ModelSpec(f"y ~ x + {term}", table).fit()
    for value in (0.0, 1.0, 1e9):
        with pytest.raises(bm.DataError, match="y is constant"):
            fit.refit(np.full(240, value))
    ys = np.column_stack([np.ones(240), table["y"], np.zeros(240)])
    before = ys.copy()
    many = fit.refit_many(ys)
    np.testing.assert_array_equal(ys, before)
    assert many["converged"].tolist() == [False, True, False]
    assert not many["singular"][[0, 2]].any()
    assert many.dtypes[["converged", "singular"]].tolist() == [bool, bool]
    assert many.select_dtypes(float).loc[[0, 2]].isna().all(axis=None)
    assert many["loglik"][1] == pytest.approx(fit.loglik, abs=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_refits_at_the_boundary_are_marked(case, table):
    """As the fit of that response alone says, for responses with and without variation between groups."""
    formula, kwargs = CASES[case]
    fit = bm.ModelSpec(formula, table, **kwargs).fit()
    rng = np.random.default_rng(3)
    ys = np.column_stack(
        [table["y"].to_numpy()[:, None] + rng.normal(size=(240, 4)), rng.normal(size=(240, 6))]
    )
    singular = fit.refit_many(ys)["singular"]
    assert singular.dtype == bool
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BimixedWarning)
        assert singular.tolist() == [fit.refit(y).diagnostics.singular for y in ys.T]
    assert 0 < singular.sum() < 10


@pytest.mark.parametrize("far", [0.0, 2e3, 2e5])
def test_the_boundary_is_seen_whatever_the_covariates_origin(far, table):
    data = table.assign(x=table["x"] + far)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BimixedWarning)
        fit = bm.ModelSpec("y ~ x + (x | g)", data).fit()
        rng = np.random.default_rng(5)
        slopes = rng.normal(size=15)[data["g"]] * table["x"].to_numpy()
        ys = rng.normal(size=(240, 8)) + np.outer(slopes, np.arange(8) / 4)
        expected = [fit.refit(y).diagnostics.singular for y in ys.T]
    assert fit.refit_many(ys)["singular"].tolist() == expected
    assert True in expected
    assert False in expected


def test_quantiles_of_the_estimates(table):
    fit = bm.ModelSpec("y ~ x + (x | g)", table).fit()
    ys = table["y"].to_numpy()[:, None] + np.random.default_rng(0).normal(size=(240, 30))
    many = fit.refit_many(ys)
    limits = many.select_dtypes(float).quantile([0.025, 0.975])
    assert limits.columns.tolist() == ["loglik", *fit.conf_int().index]
    assert (limits.loc[0.025] < limits.loc[0.975]).all()


def test_what_the_design_doesn_t_identify_is_nan_in_refits_too(table):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BimixedWarning)
        fit = bm.ModelSpec("y ~ C(g) + (1 | g) + (1 | h)", table).fit()
        many = fit.refit_many(table["y"].to_numpy()[:, None] + np.random.default_rng(0).normal(size=(240, 2)))
        alone = fit.refit(table["y"])
    assert many["sd_g[Intercept]"].isna().all()
    assert many["sd_h[Intercept]"].notna().all()
    assert np.isnan(alone.varcorr["sd"][0])


def test_a_coefficient_named_like_a_report_is_told(table):
    fit = bm.ModelSpec("y ~ singular + (1 | g)", table.rename(columns={"x": "singular"})).fit()
    with pytest.raises(bm.DataError, match="'singular' has the name"):
        fit.refit_many(table[["y"]].to_numpy())
