"""Singular fits explained: against brute-force refits, a dense likelihood and the functions that it calls."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, optimize, stats

import bimixed as bm

QUICK = {"posterior": False, "progress": False, "random_seed": 1}


def lines(seed=3, levels=12, rows=8):
    """Lines that all but meet at x = −4."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(levels), rows)
    x = np.tile(np.arange(float(rows)), levels)
    u = rng.standard_normal(levels)
    y = 250 + 10 * x + 20 * u[g] + 5 * u[g] * x + 20 * rng.standard_normal(len(g))
    return pd.DataFrame({"y": y, "x": x, "g": [f"s{i:02}" for i in g]})


def planes(seed=1, levels=14, rows=10):
    """Three coefficients that vary in two directions; cells f and groups h that have no variance."""
    rng = np.random.default_rng(seed)
    n = levels * rows
    g, x, z = np.repeat(np.arange(levels), rows), rng.normal(size=n), rng.normal(size=n) + 1
    b = rng.normal(size=(levels, 2)) @ np.array([[1.0, 0.5, 1.0], [0.0, 1.0, -1.0]])
    h, f = rng.integers(0, 6, n), rng.choice(list("abc"), n)
    y = 1 + x + b[g, 0] + b[g, 1] * x + b[g, 2] * z + rng.normal(size=n)
    labels = [f"s{i:02}" for i in g]
    return pd.DataFrame({"y": y, "x": x, "z": z, "g": labels, "h": h.astype(str), "f": f})


def test_dyestuff2():
    data = bm.load_dataset("dyestuff2")
    fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", data).fit()
    why = fit.explain_singular(**QUICK)
    (d,) = why.directions
    assert (d.group, d.label, d.weights) == ("Batch", "Intercept", {"Intercept": 1.0})
    assert d.size == pytest.approx(1.0) and d.same_model is None
    test = bm.rlrt(fit, random_seed=1, progress=False)
    assert (d.statistic, d.p_value) == (test.statistic, test.p_value) == (0.0, 1.0)
    assert d.at_zero == (test.simulated < 1e-7).mean()
    # balanced: the REML estimate is 0 where the F statistic of the batches is at most 1
    assert d.at_zero == pytest.approx(stats.f.cdf(1.0, 5, 24), abs=4 * np.sqrt(0.25 / 10_000))
    # what is left is a mean
    y = data["Yield"]
    assert why.suggestion == "Yield ~ 1" and why.suggested is None
    row = why.fixef.loc["Intercept"]
    assert row["simpler_estimate"] == pytest.approx(y.mean(), rel=1e-12)
    assert row["simpler_std_error"] == pytest.approx(y.std() / np.sqrt(30), rel=1e-10)
    wanted = stats.norm.logpdf(y, y.mean(), y.std()).sum() + 0.5 * np.log(2 * np.pi * y.var() / 30)
    assert fit.loglik + why.loglik_change == pytest.approx(wanted, abs=1e-9)
    # profile limit of a balanced one-way layout: the sums of squares are all that the likelihood knows
    between = 5 * ((y.groupby(data["Batch"]).mean() - y.mean()) ** 2).sum()
    within = ((y - y.groupby(data["Batch"]).transform("mean")) ** 2).sum()

    def least(tau2):
        def deviance(log_s2):
            s2 = np.exp(log_s2)
            a = s2 + 5 * tau2
            return 24 * np.log(s2) + 5 * np.log(a) + within / s2 + between / a

        return optimize.minimize_scalar(
            deviance, bounds=(-2, 6), method="bounded", options={"xatol": 1e-10}
        ).fun

    rise = least(d.upper**2) - least(0.0)
    assert rise == pytest.approx(stats.chi2.ppf(0.95, 1), abs=1e-4)
    assert d.upper_share == pytest.approx(d.upper / fit.sigma)


def dense_deviance(data, cov, sigma):
    """−2 × restricted log-likelihood of y ~ x + (x | g), by n × n matrices."""
    X = np.column_stack([np.ones(len(data)), data["x"]])
    same = data["g"].to_numpy()[:, None] == data["g"].to_numpy()
    V = same * (X @ cov @ X.T) + sigma**2 * np.eye(len(data))
    Vi = np.linalg.inv(V)
    XtViX = X.T @ Vi @ X
    r = data["y"] - X @ np.linalg.solve(XtViX, X.T @ Vi @ data["y"])
    logs = np.linalg.slogdet(V)[1] + np.linalg.slogdet(XtViX)[1]
    return logs + r @ Vi @ r + (len(data) - 2) * np.log(2 * np.pi)


def test_a_correlation_of_one_against_a_dense_likelihood():
    data = lines()
    fit = bm.ModelSpec("y ~ x + (x | g)", data).fit()
    why = fit.explain_singular(**QUICK)
    (d,) = why.directions
    v = np.array([d.weights["Intercept"], d.weights["x"]])
    cov = fit.random_cov["g"].to_numpy()
    assert v[0] == 1.0 and v @ cov @ v < 1e-8 * cov[0, 0]
    assert d.label == f"Intercept - {-v[1]:.4g}·x"
    # the sd at its limit: the least deviance there, over the rest of the covariance and sigma
    turn = np.linalg.inv(np.array([v, [0.0, 1.0]]))

    def deviance(p, sd):
        L = np.array([[sd, 0.0], [p[0], p[1]]])
        S = turn @ L @ L.T @ turn.T
        return dense_deviance(data, S, np.exp(p[2]))

    start = [0.0, np.sqrt(cov[1, 1]), np.log(fit.sigma)]
    base = dense_deviance(data, cov, fit.sigma)
    assert base == pytest.approx(-2 * fit.loglik, abs=1e-6)
    found = optimize.minimize(deviance, start, args=(d.upper,), method="BFGS").fun
    assert found - base == pytest.approx(stats.chi2.ppf(0.95, 1), abs=1e-3)
    # size: what Intercept + weight·x can't be told by the other combination, by least squares on x + weight
    other = data["x"] - v[1]
    ones = np.ones(len(data))
    left = ones - other * (other @ ones) / (other @ other)
    assert d.size == pytest.approx(np.sqrt(np.mean(left**2)), rel=1e-4)
    # where lines meet
    modes = fit.ranef["g"]
    np.testing.assert_allclose(modes["Intercept"] + v[1] * modes["x"], 0.0, atol=1e-6)
    assert f"meet at x = {v[1]:.4g}" in str(why)
    same = bm.ModelSpec(d.same_model, data).fit()
    assert same.loglik == pytest.approx(fit.loglik, abs=1e-7) and not same.diagnostics.singular
    assert "speak against" in " ".join(why.notes)  # no correlation at all fits much worse here


@pytest.mark.parametrize(
    ("method", "formula", "n_lost"),
    [
        ("ml", "y ~ x + z + (x + z | g)", 1),
        ("reml", "y ~ x + z + (x + z | g)", 1),
        ("reml", "y ~ x + (x + z | g) + (x | h)", 1),
        ("reml", "y ~ x + (f | g) + (x | h)", 2),
        ("reml", "y ~ x + (0 + f | g) + (1 | h)", 1),
        ("reml", "y ~ x*z + (x:z + x + z | g)", 2),
        ("reml", "y ~ x + (1 + f || g) + (0 + f || h)", 2),
        ("reml", "y ~ x + (np.exp(x) + I(z**2) | g) + (0 + x + z | h)", 2),
    ],
)
def test_against_fits_of_the_formulas(method, formula, n_lost):
    data = planes()
    spec = bm.ModelSpec(formula, data)
    fit = spec.fit(method)
    why = fit.explain_singular(profile=False, **QUICK)
    assert len(why.directions) == len(fit.diagnostics.messages) == n_lost
    for d in why.directions:
        v = np.array([d.weights.get(name, 0.0) for name in fit.random_cov[d.group].index])
        assert v @ fit.random_cov[d.group].to_numpy() @ v * d.size**2 < (2e-4 * fit.sigma) ** 2
        assert d.statistic == pytest.approx(0.0, abs=1e-4)
        if d.same_model is not None:
            assert bm.ModelSpec(d.same_model, data).fit(method).loglik == pytest.approx(fit.loglik, abs=1e-6)
    for _, row in why.simpler.iterrows():
        small = bm.ModelSpec(row["formula"], data).fit(method)
        assert small.loglik == pytest.approx(row["loglik"], abs=1e-6)
        assert len([m for m in small.diagnostics.messages if "Singular" in m]) == row["lost"]
        test = bm.lrtest(small, fit).table.iloc[1]
        assert test["chisq"] == pytest.approx(row["chisq"], abs=1e-5)
        assert (test["df"], test["reference"]) == (row["df"], row["reference"])
        assert test["p_value"] == pytest.approx(row["p_value"], abs=1e-5)
        moved = (small.fixef["estimate"] - fit.fixef["estimate"]).abs() / fit.fixef["std_error"]
        assert row["shift"] == pytest.approx(moved.max(), abs=1e-5)
        ratio = small.fixef["std_error"] / fit.fixef["std_error"]
        assert row["se_ratio"] == pytest.approx(ratio.iloc[np.log(ratio).abs().argmax()], rel=1e-5)
    simpler = bm.ModelSpec(why.suggestion, data).fit(method)
    assert not simpler.diagnostics.singular
    assert simpler.loglik - fit.loglik == pytest.approx(why.loglik_change, abs=1e-6)
    np.testing.assert_allclose(why.fixef["simpler_estimate"], simpler.fixef["estimate"], rtol=1e-5)
    np.testing.assert_allclose(why.fixef["simpler_std_error"], simpler.fixef["std_error"], rtol=1e-5)
    assert why.suggested.formula == why.suggestion


def test_zero_variances_of_one_term():
    """Nothing varies: each coefficient is a direction, and no group is left."""
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"x": rng.normal(size=80), "g": np.tile(np.arange(8), 10).astype(str)})
    cells = [(data["g"] == k) * column for k in data["g"].unique() for column in (1.0, data["x"])]
    noise, own = rng.normal(size=80), np.column_stack(cells)
    data["y"] = data["x"] + noise - own @ np.linalg.lstsq(own, noise, rcond=None)[0]  # no level stands out
    fit = bm.ModelSpec("y ~ x + (x | g)", data).fit()
    why = fit.explain_singular(**QUICK)
    assert [d.label for d in why.directions] == ["Intercept", "x"]
    assert why.suggestion == "y ~ x" and why.suggested is None and why.change == "(x | g) left out"
    wanted = [
        bm.profile(fit, f"sd_g[{d.label}]", progress=False).conf_int()["upper"].iloc[0]
        for d in why.directions
    ]
    assert [d.upper for d in why.directions] == pytest.approx(wanted)
    X = np.column_stack([np.ones(80), data["x"]])
    beta, rss = np.linalg.lstsq(X, data["y"], rcond=None)[:2]
    np.testing.assert_allclose(why.fixef["simpler_estimate"], beta, rtol=1e-10, atol=1e-12)
    errors = np.sqrt(np.diag(np.linalg.inv(X.T @ X)) * rss / 78)
    np.testing.assert_allclose(why.fixef["simpler_std_error"], errors, rtol=1e-10)


def test_posterior_and_prior_mass():
    fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2")).fit()
    why = fit.explain_singular(profile=False, near=0.2, random_seed=5, progress=False)
    (d,) = why.directions
    draws = fit.spec.fit("importance", draws=2000, random_seed=5, progress=False).posterior["posterior"]
    below = draws["sd_Batch"].values.ravel() < 0.2 * draws["sigma"].values.ravel()
    assert d.posterior == below.mean()
    # both have half-t priors of one scale
    t = stats.t(3)
    wanted = integrate.quad(lambda s: 2 * t.pdf(s) * (2 * t.cdf(0.2 * s) - 1), 0, np.inf)[0]
    assert d.prior == pytest.approx(wanted, abs=4 * np.sqrt(wanted / 2000))
    assert "under the default priors" in str(why) and np.isnan(d.upper)


def test_mass_of_a_combination():
    fit = bm.ModelSpec("y ~ x + (x | g)", lines()).fit()
    (d,) = fit.explain_singular(profile=False, random_seed=5, progress=False).directions
    draws = fit.spec.fit("importance", draws=2000, random_seed=5, progress=False).posterior["posterior"]
    sd, corr = draws["sd_g"].values[0], draws["corr_g"].values[0][:, 0, 1]
    w = d.weights["x"]
    variance = sd[:, 0] ** 2 + w**2 * sd[:, 1] ** 2 + 2 * w * corr * sd[:, 0] * sd[:, 1]
    assert d.posterior == (np.sqrt(variance) * d.size < 0.1 * draws["sigma"].values[0]).mean()


def test_score_parentedu():
    data = bm.load_dataset("score_parentedu")
    fit = bm.ModelSpec("score ~ edu + (edu | classroom)", data).fit()
    why = fit.explain_singular(**QUICK)
    assert why.singular == fit.diagnostics.singular
    if why.singular:
        assert not bm.ModelSpec(why.suggestion, data).fit().diagnostics.singular


def test_without_a_formula_and_by_groups():
    data = lines()
    X = np.column_stack([np.ones(len(data)), data["x"]])
    whole = bm.ModelSpec("y ~ x + (x | g)", data).fit().explain_singular(profile=False, **QUICK)
    arrays = bm.ModelSpec.from_arrays(
        data["y"], X, data["g"], exog_re=X, fixef_names=["Intercept", "x"], re_names=["Intercept", "x"]
    ).fit()
    why = arrays.explain_singular(profile=False, **QUICK)
    assert why.suggestion is None and why.directions[0].same_model is None
    np.testing.assert_allclose(why.simpler["loglik"], whole.simpler["loglik"], atol=1e-6)
    assert "no correlations" in why.change and why.change in str(why)
    groups = bm.ModelSpec.from_groups("y ~ x", data, "g", re_formula="x").fit()
    assert groups.explain_singular(profile=False, **QUICK).suggestion == whole.suggestion


def test_regular_fits_draws_and_bad_arguments():
    spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
    fit = spec.fit()
    why = fit.explain_singular()
    assert not why.singular and why.directions == () and len(why.table) == 0
    assert "nothing to explain" in str(why) and "nothing to explain" in why._repr_html_()
    with pytest.raises(bm.DataError, match="near is 2"):
        fit.explain_singular(near=2)
    draws = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2")).fit(
        "importance", draws=800, random_seed=1, progress=False
    )
    with pytest.raises(bm.UnavailableError, match="conf_int"):
        draws.explain_singular()


def test_the_report_in_notebooks_and_in_messages():
    fit = bm.ModelSpec("y ~ x + (x | g)", lines()).fit()
    assert "explain_singular()" in fit.diagnostics.messages[0]
    why = fit.explain_singular(profile=False, **QUICK)
    assert "<table" in why._repr_html_() and "(x || g)" in why._repr_html_()
    assert why.table.index.tolist() == [("g", why.directions[0].label)]
    with pytest.raises(AttributeError):
        why.change = ""
