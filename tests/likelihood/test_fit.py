"""Optima near the boundary, units of weights, and what can't be identified."""

import numpy as np
import pandas as pd
import pytest

import bimixed as bm


def nearly_singular(seed, n=200, groups=20, coefficients=2):
    """Small random effects, so that many estimates lie on the boundary."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, groups, n)
    x = rng.normal(size=n)
    b = rng.normal(size=(groups, 3)) * np.array([0.05, 0.25, 0.05])
    y = 1 + x + b[a, 0] + b[a, 1] * x + (coefficients > 2) * b[a, 2] * x**2 + rng.normal(size=n)
    return pd.DataFrame({"a": a, "x": x, "y": y})


@pytest.mark.parametrize("coefficients", [2, 3])
def test_no_start_finds_a_better_optimum(coefficients):
    """Beside the best of five random starts, each polished in the same way. Tolerance 1e-5."""
    lhs = "x" if coefficients == 2 else "x + I(x**2)"
    singular = 0
    for seed in range(25):
        data = nearly_singular(seed, coefficients=coefficients)
        spec = bm.ModelSpec(f"y ~ x + ({lhs} | a)", data)
        fit = spec.fit()
        rng = np.random.default_rng(seed)
        starts = 0.5 * rng.normal(size=(5, len(fit.theta["a"])))
        best = max(spec.fit(start=s).loglik for s in starts)
        assert fit.loglik > best - 1e-5
        assert fit.diagnostics.converged
        singular += fit.diagnostics.singular
    assert singular >= 5  # the simulation does reach the boundary


def test_progress_ends_its_line(capsys):
    fit = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", bm.load_dataset("sleepstudy")).fit(progress=True)
    out = capsys.readouterr().out
    assert out.endswith("\n")
    assert out.count("\n") == 1
    assert f"evaluation {fit.diagnostics.n_evaluations}: deviance" in out


def test_a_tiny_variance_is_not_taken_for_zero():
    """Closed form for balanced data: (MSB − MSW)/n."""
    rng = np.random.default_rng(0)
    a = np.repeat(np.arange(10), 20_000)
    data = pd.DataFrame({"a": a, "y": 0.012 * rng.normal(size=10)[a] + rng.normal(size=len(a))})
    means = data.groupby("a")["y"].mean()
    msw = ((data["y"] - means.to_numpy()[a]) ** 2).sum() / (len(a) - 10)
    msb = 20_000 * ((means - data["y"].mean()) ** 2).sum() / 9
    assert msb > msw
    fit = bm.ModelSpec("y ~ 1 + (1 | a)", data).fit()
    assert fit.varcorr["variance"][0] == pytest.approx((msb - msw) / 20_000, rel=1e-4)


@pytest.mark.parametrize("weight", [1e-10, 1e-3, 1e5, 1e10])
def test_equal_weights_change_only_sigma(weight):
    data = bm.load_dataset("sleepstudy")
    base = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", data).fit()
    fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", data, weights=np.full(180, weight)).fit()
    assert fit.loglik == pytest.approx(base.loglik, abs=1e-6)
    assert fit.sigma == pytest.approx(base.sigma * np.sqrt(weight), rel=1e-6)
    np.testing.assert_allclose(fit.fixef, base.fixef, rtol=1e-6)
    np.testing.assert_allclose(fit.random_cov["Subject"], base.random_cov["Subject"], rtol=1e-4)
    np.testing.assert_allclose(fit.theta["Subject"] * np.sqrt(weight), base.theta["Subject"], rtol=1e-4)
    a, b = (f.uncertainty.variance_parameters().std_errors for f in (fit, base))
    np.testing.assert_allclose(a[:3], b[:3], rtol=1e-3)
    assert a[3] == pytest.approx(b[3] * np.sqrt(weight), rel=1e-3)
    assert fit.spec.fit(start=fit.theta).diagnostics.n_evaluations < 15


@pytest.mark.parametrize(("scale", "shift"), [(1e5, 0), (1e-6, 0), (1, 1000)])
def test_standard_errors_of_sds_do_not_depend_on_units_of_covariates(scale, shift):
    data = bm.load_dataset("sleepstudy")
    data["D"] = data["Days"] * scale + shift
    fit = bm.ModelSpec("Reaction ~ D + (D | Subject)", data).fit()
    base = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", data).fit()
    mine = dict(zip(*_named(fit), strict=True))
    theirs = dict(zip(*_named(base), strict=True))
    # differences of a Hessian with eigenvalues 1e-5 apart keep two or three digits
    assert mine["sd_Subject[D]"] * scale == pytest.approx(theirs["sd_Subject[Days]"], rel=5e-3)
    assert mine["sigma"] == pytest.approx(theirs["sigma"], rel=5e-3)


def _named(fit):
    parameters = fit.uncertainty.variance_parameters()
    return parameters.names, parameters.std_errors


def test_a_singular_block_leaves_the_other_standard_errors():
    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 12, 400), rng.integers(0, 15, 400)
    data = pd.DataFrame({"a": a, "b": b, "x": rng.normal(size=400)})
    data["y"] = rng.normal(size=15)[b] + rng.normal(size=400)
    both = bm.ModelSpec("y ~ x + (x | a) + (1 | b)", data).fit()
    alone = bm.ModelSpec("y ~ x + (1 | b)", data).fit()
    assert both.diagnostics.singular
    errors = dict(zip(*_named(both), strict=True))
    reference = dict(zip(*_named(alone), strict=True))
    assert errors["sd_b[Intercept]"] == pytest.approx(reference["sd_b[Intercept]"], rel=0.05)
    assert np.isfinite(errors["sigma"])


SAME = {
    "the same groups twice": "Reaction ~ Days + (1 | Subject) + (1 | S2)",
    "a constant covariate": "Reaction ~ Days + (1 | Subject) + (0 + k | Subject)",
}


@pytest.mark.parametrize("formula", SAME.values(), ids=SAME)
def test_variances_that_cannot_be_told_apart_are_told(formula):
    data = bm.load_dataset("sleepstudy").assign(k=2.0)
    data["S2"] = "s" + data["Subject"].astype(str)
    with pytest.warns(bm.IdentificationWarning, match="can't be told apart"):
        fit = bm.ModelSpec(formula, data).fit()
    base = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", data).fit()
    assert fit.loglik == pytest.approx(base.loglik, abs=1e-6)
    np.testing.assert_allclose(fit.fixef, base.fixef, rtol=1e-5)
    assert not fit.diagnostics.ok
    assert fit.varcorr["sd"][:2].isna().all()
    assert fit.varcorr["sd"][2] == pytest.approx(base.sigma, rel=1e-6)


def test_maximum_likelihood_of_the_degenerate_model_is_at_zero():
    """By ML the likelihood does fall with the variance of a factor that is fixed too."""
    fit = bm.ModelSpec("log_radon ~ floor + county + (1 | county)", bm.load_dataset("radon")).fit("ml")
    assert fit.varcorr["sd"][0] == pytest.approx(0.0, abs=1e-6)
    assert fit.diagnostics.singular
    assert fit.loglik == pytest.approx(-965.27, abs=0.01)


def test_unused_categories_are_no_coefficients():
    rng = np.random.default_rng(0)
    f = pd.Categorical(rng.choice(["u", "v"], 120), categories=["u", "v", "w"])
    data = pd.DataFrame({"f": f, "g": np.repeat(np.arange(12), 10), "y": rng.normal(size=120)})
    data["y"] += rng.normal(size=12)[data["g"]] * (1 + (f == "v"))
    fit = bm.ModelSpec("y ~ f + (f | g)", data).fit()
    assert fit.spec.fixed == ("Intercept", "f[T.v]")
    assert fit.ranef["g"].columns.tolist() == ["Intercept", "f[T.v]"]


def test_refit_is_the_fit_of_the_other_response():
    data = bm.load_dataset("sleepstudy").assign(w=np.linspace(0.5, 2, 180), o=1.0)
    spec = bm.ModelSpec("Reaction ~ Days + offset(o) + (Days | Subject)", data, weights="w")
    first = spec.fit()
    other = spec.simulate(first.fixef, first.random_cov, first.sigma, n=3, random_seed=1)
    for i in range(3):
        again = first.refit(other[i])
        fresh = spec.update(data=data.assign(Reaction=other[i])).fit()
        assert again.loglik == pytest.approx(fresh.loglik, abs=1e-7)
        np.testing.assert_allclose(again.fixef["estimate"], fresh.fixef["estimate"], rtol=1e-6)
        np.testing.assert_allclose(again.resid, fresh.resid, atol=1e-3)
    assert first.refit(first.spec.design.y).loglik == pytest.approx(first.loglik, abs=1e-9)


def test_refit_leaves_a_boundary_where_the_new_response_does():
    """Dyestuff2 has no variance between batches, Dyestuff has."""
    none = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2")).fit()
    assert none.diagnostics.singular
    some = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff"))
    assert none.refit(some.design.y).loglik == pytest.approx(some.fit().loglik, abs=1e-8)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.ones(3), "180 finite values"),
        (np.full(180, np.nan), "180 finite values"),
        (pd.Series(np.arange(180.0), index=np.arange(180) + 5), "index of y"),
    ],
)
def test_refit_needs_a_response_for_every_row(y, words):
    fit = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", bm.load_dataset("sleepstudy")).fit()
    with pytest.raises(bm.DataError, match=words):
        fit.refit(y)


def test_the_way_of_elimination_is_told():
    rng = np.random.default_rng(3)
    n = 6000
    pupil, year = np.repeat(np.arange(n // 3), 3), np.tile(np.arange(3), n // 3)
    school = rng.integers(0, 900, n // 3)[pupil]
    moved = (rng.random(n // 3) < 0.05)[pupil] & (year == 2)
    school = np.where(moved, rng.integers(0, 900, n), school)
    table = pd.DataFrame({"y": rng.normal(size=n), "pupil": pupil, "school": school, "sex": pupil % 2})
    route = bm.ModelSpec("y ~ 1 + (1 | pupil) + (1 | school)", table).fit().diagnostics.details["elimination"]
    assert route["by_level"] == {"pupil": 2000}
    assert route["trailing"] == "sparse"
    assert route["trailing_columns"] == len(np.unique(school))
    assert route["factor_entries"] < 10 * len(np.unique(school))
    route = bm.ModelSpec("y ~ 1 + (1 | pupil) + (1 | sex)", table).fit().diagnostics.details["elimination"]
    assert route["by_level"] == {"pupil": 2000, "sex": 2}
    assert route["trailing"] == "none"


def test_zeros_in_a_sparse_design_are_values_like_others():
    """An everyday design: two conditions, each subject with some of many items; zeros against 1e-9."""
    rng = np.random.default_rng(0)
    subject, item = np.repeat(np.arange(120), 8), rng.permuted(np.tile(np.arange(300), (120, 1)), axis=1)
    data = pd.DataFrame({"subj": subject, "item": item[:, :8].ravel(), "cond": np.tile([0.0, 1.0], 480)})
    data["other"] = 1.0 - data["cond"]
    data["y"] = data["cond"] * (1 + rng.normal(size=120)[subject]) + rng.normal(size=300)[data["item"]]
    data["y"] += rng.normal(size=960)
    formula = "y ~ cond + (0 + cond + other | subj) + (1 | item)"
    fit = bm.ModelSpec(formula, data).fit()
    near = bm.ModelSpec(formula, data.replace({"cond": {0.0: 1e-9}, "other": {0.0: 1e-9}})).fit()
    assert fit.loglik == pytest.approx(near.loglik, abs=1e-5)
    assert fit.diagnostics.converged
