"""Random effects with their uncertainty, against Henderson's equations and draws."""

import numpy as np
import pandas as pd
import pytest
from drawn import dyestuff, importance_fit
from henderson import given_fixef, mixed_model_variance
from scipy.special import ndtr, ndtri
from scipy.stats import norm, rankdata

import bimixed as bm


def rows(n=160, seed=3):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({name: rng.integers(0, size, n) for name, size in (("a", 7), ("b", 3), ("i", 9))})
    table["x"], table["w"] = rng.normal(size=n) + 3.0, rng.uniform(0.5, 2.0, n)
    table["y"] = (
        table["x"]
        + rng.normal(size=7)[table["a"]]
        + rng.normal(size=(7, 3))[table["a"], table["b"]]
        + rng.normal(size=9)[table["i"]] * (table["x"] - 1.5)
        + rng.normal(size=n)
    )
    return table


FORMULAS = ["y ~ x + (x | i)", "y ~ x + (1 | a/b) + (x | i)", "y ~ 0 + (1 | a) + (1 | i)"]


@pytest.mark.parametrize("formula", FORMULAS)
def test_covariances_against_the_mixed_model_equations(formula):
    """1e-6 relative: the dense inverse is of a matrix with a condition number of about 1e4."""
    fit = bm.ModelSpec(formula, rows(), weights="w").fit()
    C, X, _ = mixed_model_variance(fit)
    p = X.shape[1]
    given = given_fixef(fit)
    start = 0
    for factor in fit.design.factors:
        K, L = factor.n_coefficients, factor.n_levels
        places = start + np.arange(L * K).reshape(L, K)
        start += L * K
        for known, dense in ((True, given), (False, C[p:, p:])):
            found = fit.ranef_cov(factor.key, known)
            assert found.index.names == [factor.key, "coefficient"]
            for level, place in zip(factor.levels, places, strict=True):
                np.testing.assert_allclose(
                    found.loc[level], dense[np.ix_(place, place)], rtol=1e-6, atol=1e-9
                )
            table = fit.ranef_table(factor.key, 0.9, known)
            sd = np.sqrt(np.diag(dense)[places.ravel()])
            np.testing.assert_allclose(table["std_error"], sd, rtol=1e-6, atol=1e-9)
            np.testing.assert_allclose(
                table["upper"] - table["estimate"], ndtri(0.95) * sd, rtol=1e-6, atol=1e-9
            )
            np.testing.assert_allclose(
                table["estimate"] - table["lower"], ndtri(0.95) * sd, rtol=1e-6, atol=1e-9
            )
        table = fit.ranef_table(factor.key, given_fixef=True)
        wide = table.pivot(index="level", columns="coefficient", values="std_error")[list(factor.names)]
        np.testing.assert_allclose(wide, fit.ranef_sd[factor.key])
        np.testing.assert_allclose(table["estimate"], fit.ranef[factor.key].to_numpy().ravel())


@pytest.mark.parametrize("formula", FORMULAS[:2])
def test_combinations_of_any_effects(formula):
    fit = bm.ModelSpec(formula, rows(), weights="w").fit()
    C, *_ = mixed_model_variance(fit)
    rng = np.random.default_rng(0)
    effects = [*fit.fixef.index]
    for factor in fit.design.factors:
        effects += [(factor.key, level, name) for level in factor.levels for name in factor.names]
    L = rng.normal(size=(6, len(effects))) * (
        rng.random((6, len(effects))) < [[1.0], [0.5], [0.2], [0.1], [0.1], [0.1]]
    )
    L[:, 0] = 1.0
    names = [f"row {i}" for i in range(6)]
    found = fit.combine(
        {
            name: {e: w for e, w in zip(effects, row, strict=True) if w}
            for name, row in zip(names, L, strict=True)
        }
    )
    assert found.index.tolist() == names
    values = np.concatenate([fit.fixef["estimate"], *[b.to_numpy().ravel() for b in fit.ranef.values()]])
    np.testing.assert_allclose(found["estimate"], L @ values, rtol=1e-10)
    np.testing.assert_allclose(found["std_error"] ** 2, np.einsum("ij,jk,ik->i", L, C, L), rtol=1e-6)
    np.testing.assert_allclose(found["upper"] - found["lower"], 2 * ndtri(0.975) * found["std_error"])


def test_a_combination_is_a_prediction():
    fit = bm.ModelSpec(FORMULAS[1], rows()).fit()
    row = rows().iloc[[5]]
    a, b, i, x = (row[name].item() for name in "abix")
    nested = ("a:b", f"{a}:{b}", "Intercept")
    weights = {"Intercept": 1, "x": x, ("a", a, "Intercept"): 1, nested: 1}
    found = fit.combine({"row": weights | {("i", i, "Intercept"): 1, ("i", i, "x"): x}})
    expected = fit.predict(row, interval="confidence")
    np.testing.assert_allclose(found[["estimate", "lower", "upper"]], expected, rtol=1e-9)


def test_draws_give_their_own_moments():
    fit = importance_fit(dyestuff(), 2000)
    draws = fit.posterior["posterior"]
    b = draws["ranef_Batch"].values.reshape(2000, 6)
    np.testing.assert_allclose(fit.ranef_cov("Batch")["Intercept"], b.var(axis=0, ddof=1))
    table = fit.ranef_table("Batch", 0.8)
    np.testing.assert_allclose(table[["lower", "upper"]].T, np.quantile(b, [0.1, 0.9], axis=0))
    one, other = ("Batch", "A", "Intercept"), ("Batch", "B", "Intercept")
    found = fit.combine({"A": {"Intercept": 1, one: 1}, "A - B": {one: 1, other: -1}})
    mean = draws["fixef"].values.ravel() + b[:, 0]
    expected = np.column_stack([mean, b[:, 0] - b[:, 1]])
    np.testing.assert_allclose(found["estimate"], expected.mean(axis=0))
    np.testing.assert_allclose(found["std_error"], expected.std(axis=0, ddof=1))
    np.testing.assert_allclose(found[["lower", "upper"]].T, np.quantile(expected, [0.025, 0.975], axis=0))


def test_both_backends_say_the_same_of_many_groups():
    """200 groups of 8: variances are known to 10 %, and groups by their own rows to ⅘ and more.

    Estimates within 0.2 of REML's standard error (Monte Carlo error 0.02 of it), standard errors and widths
    of intervals within 15 % (5 % of that Monte Carlo error of quantiles, five times 0.014 for sds); ranks
    of 200 within 5.
    """
    rng = np.random.default_rng(8)
    data = pd.DataFrame({"g": np.repeat(np.arange(200), 8), "x": rng.normal(size=1600)})
    b = rng.normal(size=(200, 2))
    data["y"] = data["x"] + b[data["g"], 0] + b[data["g"], 1] * data["x"] + rng.normal(size=1600)
    spec = bm.ModelSpec("y ~ x + (x | g)", data)
    fits = [spec.fit(), importance_fit(spec, 2500)]
    one, other = (fit.ranef_table("g") for fit in fits)
    assert (abs(one["estimate"] - other["estimate"]) < 0.2 * one["std_error"]).all()
    assert abs(np.log(other["std_error"] / one["std_error"])).max() < 0.15
    widths = [table["upper"] - table["lower"] for table in (one, other)]
    assert abs(np.log(widths[1] / widths[0])).max() < 0.15
    first, second = ("g", 0, "x"), ("g", 1, "x")
    wanted = {"slope": {"x": 1, first: 1}, "difference": {first: 1, second: -1}}
    found, drawn = (fit.combine(wanted) for fit in fits)
    assert (abs(found["estimate"] - drawn["estimate"]) < 0.2 * found["std_error"]).all()
    assert abs(np.log(drawn["std_error"] / found["std_error"])).max() < 0.15
    ranks = [fit.rank_levels("g", "x", random_seed=1)["expected_rank"] for fit in fits]
    assert abs(ranks[0] - ranks[1]).max() < 5


def test_ranks_of_independent_levels():
    """Balanced levels: given the data b is normal with equal covariances, where the sums are one integral.

    P(level l is largest) = ∫ φ(z) Π_{j≠l} Φ(z + (b_l − b_j)/s) dz; the common part of the levels drops out.
    Expected ranks are 1 + Σ Φ((b_j − b_l)/(s√2)). Five Monte Carlo errors of 20,000 draws, 0.018 at most for
    probabilities and 0.08 for ranks.
    """
    fit = dyestuff().fit()
    n = 20_000
    found = fit.rank_levels("Batch", n=n, top=2, random_seed=1).sort_index()
    b = fit.ranef["Batch"]["Intercept"].to_numpy()
    cov = fit.ranef_cov("Batch")["Intercept"].to_numpy()  # given β levels are independent
    s = np.sqrt(cov[0])
    np.testing.assert_allclose(cov, cov[0])
    expected = 0.5 + ndtr((b[None, :] - b[:, None]) / (s * np.sqrt(2))).sum(axis=1)
    np.testing.assert_allclose(found["expected_rank"], expected, atol=5 * 1.7 / np.sqrt(n))
    z = np.linspace(-9, 9, 20_001)
    for place, best in enumerate(found["p_best"]):
        others = np.delete(b, place)
        product = np.prod(norm.cdf(z[:, None] + (b[place] - others) / s), axis=1)
        exact = np.trapezoid(norm.pdf(z) * product, z)
        assert abs(best - exact) < 5 * np.sqrt(exact * (1 - exact) / n) + 1e-9
    assert found["p_best"].sum() == pytest.approx(1)
    assert found["p_top"].sum() == pytest.approx(2)
    assert found["expected_rank"].sum() == pytest.approx(21)


def test_ranks_count_the_levels_joint_covariance():
    """Crossed effects aren't independent given β: brute force by draws of the dense normal distribution."""
    fit = bm.ModelSpec("y ~ 1 + (1 | a) + (1 | i)", rows(40)).fit()
    C, *_ = mixed_model_variance(fit)
    mean = np.concatenate([b["Intercept"] for b in fit.ranef.values()])
    drawn = np.random.default_rng(1).multivariate_normal(mean, C[1:, 1:], 20_000)[:, :7]
    ranks = rankdata(-drawn, axis=1)
    found = fit.rank_levels("a", n=20_000, level=0.8, random_seed=2).sort_index()
    # two Monte Carlo errors, of sds up to 2: five times 0.02
    np.testing.assert_allclose(found["expected_rank"], ranks.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(found["rank_sd"], ranks.std(axis=0), atol=0.07)
    np.testing.assert_allclose(found["p_best"], (ranks == 1).mean(axis=0), atol=0.025)
    limits = np.quantile(ranks, [0.1, 0.9], axis=0)
    assert abs(found[["lower", "upper"]].T - limits).to_numpy().max() <= 1


def test_ranks_of_draws_are_exact():
    fit = importance_fit(dyestuff(), 500)
    b = fit.posterior["posterior"]["ranef_Batch"].values.reshape(500, 6)
    for best, sign in (("largest", -1), ("smallest", 1)):
        ranks = rankdata(sign * b, axis=1)
        found = fit.rank_levels("Batch", top=3, best=best).sort_index()
        np.testing.assert_allclose(found["expected_rank"], ranks.mean(axis=0))
        np.testing.assert_allclose(found["p_top"], (ranks <= 3).mean(axis=0))


def test_what_is_ranked():
    fit = bm.ModelSpec("y ~ x + (x | i)", rows()).fit()
    slopes = fit.rank_levels("i", "x", random_seed=1)
    pd.testing.assert_frame_equal(
        slopes, fit.rank_levels("i", {"x": 2.0}, random_seed=1).assign(estimate=slopes["estimate"])
    )
    assert not slopes.equals(fit.rank_levels("i", "x", random_seed=2))
    at = fit.rank_levels("i", {"Intercept": 1, "x": 3.0}, random_seed=1)
    expected = fit.ranef["i"] @ [1.0, 3.0]
    np.testing.assert_allclose(at["estimate"], expected.loc[at.index])
    assert at["expected_rank"].is_monotonic_increasing


def test_no_variance_between_levels_is_no_order():
    fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2")).fit()
    assert fit.diagnostics.singular
    found = fit.rank_levels("Batch", n=4000, random_seed=1)
    np.testing.assert_allclose(found["p_best"], 1 / 6, atol=5 * np.sqrt(5 / 36 / 4000))
    np.testing.assert_allclose(found["expected_rank"], 3.5, atol=5 * 1.71 / np.sqrt(4000))


def test_variances_that_are_not_identified():
    data = rows()
    data["j"] = data["a"]
    with pytest.warns(bm.IdentificationWarning):
        fit = bm.ModelSpec("y ~ x + (1 | a) + (1 | j)", data).fit()
    assert fit.ranef_table("a")["std_error"].isna().all()
    with pytest.raises(bm.UnavailableError, match="not identified"):
        fit.rank_levels("a")
    with pytest.raises(bm.UnavailableError, match="not identified"):
        fit.combine({"a": {("a", 0, "Intercept"): 1}})


def test_wrong_requests():
    data = rows().assign(z=lambda d: 2 * d["x"])
    fit = bm.ModelSpec("y ~ x + z + (x | i)", data).fit()
    wrong = [
        (lambda: fit.ranef_table("i", level=95), "probability"),
        (lambda: fit.ranef_cov("county"), "county"),
        (lambda: fit.combine([1.0]), "name → {effect: weight}"),
        (lambda: fit.combine({}), "name → {effect: weight}"),
        (lambda: fit.combine({"c": {}}), "'c'"),
        (lambda: fit.combine({"c": {"q": 1}}), "'q' is no fixed effect"),
        (lambda: fit.combine({"c": {"z": 1}}), "'z' has no estimate"),
        (lambda: fit.combine({"c": {"x": "a"}}), "weight of 'x'"),
        (lambda: fit.combine({"c": {("i", 1): 1}}), "group, level, coefficient"),
        (lambda: fit.combine({"c": {("i", 99, "x"): 1}}), "no level 99"),
        (lambda: fit.combine({"c": {("i", 1, "z"): 1}}), "'z' doesn't vary"),
        (lambda: fit.rank_levels("i"), "coefficient='x'"),
        (lambda: fit.rank_levels("i", "z"), "'z' doesn't vary"),
        (lambda: fit.rank_levels("i", {"x": 0.0}), "not all 0"),
        (lambda: fit.rank_levels("i", "x", top=10), "9 levels"),
        (lambda: fit.rank_levels("i", "x", top=0), "top is 0"),
        (lambda: fit.rank_levels("i", "x", best="highest"), "'largest' or 'smallest'"),
        (lambda: fit.rank_levels("i", "x", n=0), "n is 0"),
        (lambda: fit.rank_levels("i", "x", random_seed=-1), "random_seed"),
    ]
    for request, words in wrong:
        with pytest.raises(bm.BimixedError) as caught:
            request()
        assert words in str(caught.value)
