"""Tests of variances at 0: the simulated distributions against brute force, the engine and the F test."""

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
from scipy import stats

import bimixed as bm
from bimixed.design import wide
from bimixed.inference.rlrt import _under_null, without
from bimixed.inference.spectral import Spectrum
from bimixed.likelihood.fit import fit_likelihood


def data_set(seed=1, n=30):
    rng = np.random.default_rng(seed)
    g = np.sort(rng.integers(0, 7, n))
    table = pd.DataFrame(
        {"g": g.astype(str), "h": rng.integers(0, 4, n).astype(str), "x": rng.normal(size=n)}
    )
    table["w"], table["y"] = rng.uniform(0.3, 3.0, n), rng.normal(size=n)
    return table


def membership():
    """A component whose rows combine levels."""
    data = data_set()
    rng = np.random.default_rng(3)
    Z = rng.dirichlet(np.ones(5), size=len(data)) * (rng.random((len(data), 5)) < 0.6)
    exog = np.column_stack([np.ones(len(data)), data["x"]])
    groups = np.repeat("all", len(data))
    return bm.ModelSpec.from_arrays(data["y"], exog, groups, exog_vc={"member": {"all": Z}})


SPECS = {
    "intercept": lambda: bm.ModelSpec("y ~ x + (1 | g)", data_set()),
    "slope": lambda: bm.ModelSpec("y ~ 1 + (0 + x | g)", data_set()),
    "weights": lambda: bm.ModelSpec("y ~ x + (1 | g)", data_set(), weights="w"),
    "membership": membership,
}
designs = pytest.mark.parametrize("name", SPECS)
methods = pytest.mark.parametrize("method", ["reml", "ml"])


def brute_force(design, reml, n_sim, seed):
    """Likelihood ratios of null responses, by n × n matrices on a grid of variances."""
    (f,) = design.factors
    Z, X, n = f.matrix().toarray(), design.X_kept, design.n
    D = np.eye(n) if design.weights is None else np.diag(1.0 / design.weights)
    y = np.sqrt(np.diag(D))[:, None] * np.random.default_rng(seed).standard_normal((n, n_sim))
    df = n - X.shape[1] if reml else n

    def deviance(tau):
        V = D + tau * Z @ Z.T
        Vi = np.linalg.inv(V)
        C = X.T @ Vi @ X
        P = Vi - Vi @ X @ np.linalg.solve(C, X.T @ Vi)
        extra = np.linalg.slogdet(C)[1] if reml else 0.0
        return df * np.log(np.einsum("ir,ij,jr->r", y, P, y)) + np.linalg.slogdet(V)[1] + extra

    size = f.scales()[0] ** 2
    grid = [deviance(tau / size) for tau in np.concatenate([[0.0], 10.0 ** np.linspace(-3, 4, 250)])]
    return grid[0] - np.min(grid, axis=0)


def fixed_only(X, y, reml):
    """Deviance of least squares, restricted or not."""
    df = len(y) - X.shape[1] if reml else len(y)
    rss = np.sum((y - X @ np.linalg.lstsq(X, y)[0]) ** 2)
    return df * (1 + np.log(2 * np.pi * rss / df)) + (np.linalg.slogdet(X.T @ X)[1] if reml else 0.0)


@methods
@designs
def test_the_spectral_form_has_the_distribution_of_brute_force(name, method):
    fit = SPECS[name]().fit(method)
    theirs = brute_force(fit.design, method == "reml", 4000, seed=4)
    ours = bm.rlrt(fit, n_sim=20_000, random_seed=2).simulated
    for limit in (1e-3, 0.2, 1.0, 2.7, 5.0):  # 4 Monte Carlo standard errors of the difference
        a, b = np.mean(ours > limit), np.mean(theirs > limit)
        p = max((a + b) / 2, 1e-3)
        assert abs(a - b) < 4.0 * np.sqrt(p * (1 - p) * (1 / 4000 + 1 / 20_000)), (limit, a, b)


@designs
def test_eigenvalues(name):
    spec = SPECS[name]()
    cp = spec.fit().refitter.problem.cp
    spectrum = Spectrum.of(cp, reml=False)
    (f,) = spec.design.factors
    root = np.ones(spec.design.n) if spec.design.weights is None else np.sqrt(spec.design.weights)
    Z, X = root[:, None] * f.matrix().toarray(), root[:, None] * spec.design.X_kept
    Q = np.linalg.qr(X)[0]
    for mu, counts, matrix in (
        (spectrum.mu, spectrum.counts, Z.T @ Z - Z.T @ Q @ Q.T @ Z),
        (spectrum.xi, spectrum.xi_counts, Z.T @ Z),
    ):
        wanted = np.sort(scipy.linalg.eigvalsh(matrix))
        ours = np.sort(np.repeat(mu, counts.astype(int)))
        wanted = wanted[wanted > 1e-10 * wanted[-1]]
        np.testing.assert_allclose(ours / ours[-1], wanted / wanted[-1], rtol=0, atol=1e-10)
    assert spectrum.rest + spectrum.counts.sum() == spec.design.n - X.shape[1]


def test_thousands_of_equal_levels_have_few_eigenvalues():
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(9000), rng.integers(1, 4, 9000))
    data = pd.DataFrame({"g": g, "x": rng.normal(size=len(g)), "y": rng.normal(size=len(g))})
    test = bm.rlrt(bm.ModelSpec("y ~ x + (1 | g)", data).fit(), n_sim=2000, random_seed=1)
    assert test.method == "exact"
    # many levels: half of the statistics are 0, the others χ²(1)
    assert abs(np.mean(test.simulated > 2.706) - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 2000)


@methods
def test_the_engine_has_the_same_distribution_under_the_null(method):
    """P-values of responses without the variance are uniform."""
    fit = SPECS["intercept"]().fit(method)
    test = bm.rlrt(fit, n_sim=20_000, random_seed=2)
    ys = np.random.default_rng(8).normal(size=(30, 600)) + 3.0
    at_zero = [fixed_only(fit.design.X, y, method == "reml") for y in ys.T]
    statistic = 2 * fit.refit_many(ys)["loglik"].to_numpy() + np.array(at_zero)
    statistic = np.where(statistic < 1e-7, 0.0, statistic)
    p = np.array([np.mean(test.simulated >= s) for s in statistic])
    for level in (0.02, 0.05, 0.1, 0.2, 0.3):
        assert abs(np.mean(p <= level) - level) < 4 * np.sqrt(level * (1 - level) / 600)


def test_balanced_one_way_is_the_f_test():
    data = bm.load_dataset("dyestuff")
    groups = [own["Yield"].to_numpy() for _, own in data.groupby("Batch")]
    exact = stats.f_oneway(*groups).pvalue
    test = bm.rlrt(bm.ModelSpec("Yield ~ 1 + (1 | Batch)", data).fit(), n_sim=100_000, random_seed=1)
    assert test.method == "exact" and "exact finite-sample" in str(test)
    assert abs(test.p_value - exact) < 4 * test.std_error < 0.001


def test_an_estimate_of_0_has_p_1():
    fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2")).fit()
    test = bm.rlrt(fit, random_seed=1, n_sim=100)
    assert (test.statistic, test.p_value, test.std_error) == (0.0, 1.0, 0.0)


def test_sleepstudy():
    data = bm.load_dataset("sleepstudy")
    fit = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", data).fit()
    one = bm.rlrt(fit, random_seed=1)
    least_squares = fixed_only(fit.design.X, fit.design.y, reml=True)
    assert one.statistic == pytest.approx(least_squares + 2 * fit.loglik, abs=1e-8)
    assert one.p_value == 1 / 10_001 and "No simulated statistic" in str(one)
    fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", data).fit()
    slope = bm.rlrt(fit, "Subject[Days]", n_sim=100, random_seed=1, progress=False)
    small = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", data).fit()
    assert slope.statistic == pytest.approx(bm.lrtest(small, fit).table["chisq"].iloc[1], abs=1e-8)
    assert slope.method == "bootstrap" and "parametric bootstrap" in str(slope)
    assert slope.tested == ("sd_Subject[Days]",)
    both = bm.rlrt(fit, "Subject", n_sim=20, random_seed=1, progress=False)
    assert both.tested == ("sd_Subject[Intercept]", "sd_Subject[Days]")
    assert both.statistic == pytest.approx(one.statistic + slope.statistic, abs=1e-7)


@methods
def test_the_bootstrap_of_one_variance_has_the_exact_distribution(method):
    """A null model without random effects, drawn and fitted as for several coefficients."""
    fit = SPECS["weights"]().fit(method)
    ratios, at_zero = _under_null(fit, fit.refitter, 0, (0,))
    exact = bm.rlrt(fit, random_seed=1)
    assert at_zero + 2 * fit.loglik == pytest.approx(exact.statistic, abs=1e-9)
    drawn = ratios(np.random.SeedSequence(3).spawn(800))
    for limit in (1e-3, 1.0, 2.7):
        a, b = np.mean(exact.simulated > limit), np.mean(drawn > limit)
        assert abs(a - b) < 4 * np.sqrt(a * (1 - a) / 800)


def test_the_bootstrap_against_refits_one_by_one_with_a_singular_null():
    data = data_set(seed=7, n=60)
    data["y"] -= data.groupby("g")["y"].transform("mean")
    spec = bm.ModelSpec("y ~ x + (1 | g) + (1 | h)", data)
    fit, null = spec.fit(), bm.ModelSpec("y ~ x + (1 | g)", data)
    assert null.fit().diagnostics.singular
    test = bm.rlrt(fit, "h", n_sim=10, random_seed=5, progress=False)
    small = null.fit()
    sd = small.sigma
    ours = []
    mean = null.design.X @ small.fixef["estimate"].to_numpy()
    for seed in np.random.SeedSequence(5).spawn(10):
        rng = np.random.default_rng(seed)
        rng.standard_normal((7, 1))  # effects of g have no variance
        y = mean + sd * rng.standard_normal(60)
        ours.append(2 * (fit.refit(y).loglik - small.refit(y).loglik))
    np.testing.assert_allclose(test.simulated, np.maximum(ours, 0), rtol=0, atol=1e-7)


def test_beside_a_wide_fixed_factor(monkeypatch):
    monkeypatch.setattr(wide, "LARGE", 1000)
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"i": np.repeat(np.arange(120), 3).astype(str), "g": rng.integers(0, 9, 360)})
    data["y"] = rng.normal(size=360) + 0.5 * rng.normal(size=9)[data["g"]]
    fit = bm.ModelSpec("y ~ i + (1 | g)", data).fit()
    assert fit.design.wide is not None
    test = bm.rlrt(fit, n_sim=1, random_seed=1)
    X = fit.design.X.toarray()
    assert test.method == "bootstrap"
    assert test.statistic == pytest.approx(fixed_only(X, data["y"], True) + 2 * fit.loglik, abs=1e-7)
    ratios, _ = _under_null(fit, fit.refitter, 0, (0,))
    beta = np.linalg.lstsq(X, data["y"])[0]
    np.testing.assert_allclose(ratios.draw.mean, X @ beta, atol=1e-8)
    rss = np.sum((data["y"] - X @ beta) ** 2)
    np.testing.assert_allclose(ratios.draw.sds, np.sqrt(rss / (360 - 120)), rtol=1e-8)


def test_two_workers_give_the_same():
    fit = bm.ModelSpec("y ~ x + (x | g)", data_set(n=60)).fit()
    one, two = (bm.rlrt(fit, "g[x]", n_sim=55, random_seed=3, workers=w, progress=False) for w in (1, 2))
    np.testing.assert_array_equal(one.simulated, two.simulated)


def test_what_may_be_left_out():
    data = data_set(n=60)
    design = bm.ModelSpec("y ~ x + (x | g) + (0 + I(x ** 2) | g) + (1 | h)", data).design
    narrowed = without(design, 0, (0,))
    assert narrowed.factors[0].names == ("x", "I(x ** 2)")
    assert narrowed.factors[0].template.blocks == ((1, True), (1, True))
    same = bm.ModelSpec("y ~ x + (0 + x | g) + (0 + I(x ** 2) | g) + (1 | h)", data).fit()
    assert fit_likelihood(narrowed, reml=True).loglik == pytest.approx(same.loglik, abs=1e-8)
    assert [f.key for f in without(design, 1, (0,)).factors] == ["g"]


def test_names_of_terms():
    fit = bm.ModelSpec("y ~ x + (x | g) + (1 | h)", data_set(n=60)).fit()
    tests = {
        term: bm.rlrt(fit, term, n_sim=5, random_seed=1, progress=False).tested
        for term in ("h", "(1|h)", "sd_h[Intercept]", "( x | g )", "g[x]")
    }
    assert tests["h"] == tests["(1|h)"] == tests["sd_h[Intercept]"] == ("sd_h[Intercept]",)
    assert tests["( x | g )"] == ("sd_g[Intercept]", "sd_g[x]")
    assert tests["g[x]"] == ("sd_g[x]",)


def test_errors():
    fit = bm.ModelSpec("y ~ x + (x | g) + (1 | h)", data_set(n=60)).fit()
    with pytest.raises(bm.DataError, match=r"several variances.*g\[Intercept\]"):
        bm.rlrt(fit)
    with pytest.raises(bm.DataError, match="no random term 'z'"):
        bm.rlrt(fit, "z")
    with pytest.raises(bm.FitError, match="n_sim"):
        bm.rlrt(fit, "h", n_sim=0)
    with pytest.raises(bm.FitError, match="workers"):
        bm.rlrt(fit, "h", workers=0)
    with pytest.raises(bm.FitError, match="random_seed"):
        bm.rlrt(fit, "h", random_seed="x")
    with pytest.warns(bm.IdentificationWarning):
        confounded = bm.ModelSpec("y ~ g + (1 | g)", data_set()).fit()
    with pytest.raises(bm.FitError, match="isn't identified"):
        bm.rlrt(confounded)
    draws = bm.ModelSpec("y ~ x + (1 | g)", data_set()).fit("importance", draws=1000, random_seed=1)
    with pytest.raises(bm.UnavailableError, match="maximised likelihood"):
        bm.rlrt(draws)
