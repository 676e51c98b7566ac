"""Predictions, effects and bootstraps of data with gaps, aliases, unlucky labels and absorbed factors."""

import numpy as np
import pandas as pd
import pytest

import bimixed as bm
from bimixed.design import wide


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    n = 240
    table = pd.DataFrame(
        {"x": rng.normal(size=n), "g": rng.integers(0, 8, n), "f": rng.choice(["p", "q"], n)}
    )
    table["a"] = rng.choice(["a1", "a2", "a3"], n)
    table["x2"] = 2.0 * table["x"]
    table["y"] = 5.0 * table["g"] + table["x"] + rng.normal(size=n)
    return table


def one(formula, data, method="reml"):
    return bm.ModelSpec(formula, data).fit(method)


def test_effects_beside_an_absorbed_factor(monkeypatch):
    """The covariance of b̂ − b counts the fixed effects of a factor of many levels, as the dense formula."""
    monkeypatch.setattr(wide, "LARGE", 1000)
    rng = np.random.default_rng(4)
    w, g = np.repeat(np.arange(120), 4), rng.integers(0, 9, 480)
    table = pd.DataFrame({"w": w.astype(str), "g": g.astype(str), "x": rng.normal(size=480)})
    table["y"] = rng.normal(size=120)[w] + rng.normal(size=9)[g] * (1 + table["x"]) + rng.normal(size=480)
    fit = one("y ~ x + C(w) + (1 + x | g)", table)
    assert fit.design.wide is not None
    Z, X = fit.design.Z["g"].toarray(), fit.design.X_kept.toarray()
    G = np.kron(np.eye(9), fit.random_cov["g"])
    V = Z @ G @ Z.T + fit.sigma**2 * np.eye(480)
    Vi = np.linalg.inv(V)
    P = Vi - Vi @ X @ np.linalg.solve(X.T @ Vi @ X, X.T @ Vi)
    dense = G - G @ Z.T @ P @ Z @ G
    found = fit.ranef_cov("g", given_fixef=False).to_numpy().reshape(9, 2, 2)
    for level in range(9):
        own = slice(2 * level, 2 * level + 2)
        np.testing.assert_allclose(found[level], dense[own, own], atol=1e-8)
    table_of = fit.ranef_table("g")
    np.testing.assert_allclose(table_of["std_error"], np.sqrt(np.diag(dense)), rtol=1e-6)


@pytest.mark.parametrize("formula", ["y ~ x + x2 + f + (1 | g)", "y ~ x2 + x + f + (1 | g)"])
def test_rows_that_break_an_alias_have_no_prediction(data, formula):
    new = pd.DataFrame({"x": [1.0, 1.0], "x2": [50.0, 2.0], "f": ["p", "p"], "g": [1, 1]})
    wanted = one("y ~ x + f + (1 | g)", data).predict(new, interval="confidence").iloc[1]
    fit = one(formula, data)
    with pytest.warns(bm.IdentificationWarning, match=r"1 of 2 rows have no estimate.*effect of x"):
        found = fit.predict(new, interval="confidence")
    assert found.iloc[0].isna().all()
    np.testing.assert_allclose(found.iloc[1], wanted, rtol=1e-6)
    with pytest.warns(bm.IdentificationWarning):
        draws = fit.predict_draws(new, n=5, random_seed=1)
    assert draws.iloc[:, 0].isna().all() and draws.iloc[:, 1].notna().all()
    posterior = bm.ModelSpec(formula, data).fit("importance", draws=1000, random_seed=1, progress=False)
    with pytest.warns(bm.IdentificationWarning):
        assert posterior.predict(new)["estimate"].isna().tolist() == [True, False]


def test_empty_cells_have_no_prediction(data):
    fit = one("y ~ f * a + (1 | g)", data[~((data["f"] == "q") & (data["a"] == "a1"))])
    cells = pd.MultiIndex.from_product([["p", "q"], ["a1", "a2", "a3"]], names=["f", "a"]).to_frame(
        index=False
    )
    with pytest.warns(bm.IdentificationWarning):
        found = fit.predict(cells, random="none")["estimate"]
    assert found.isna().tolist() == [False, False, False, True, False, False]


def test_marginal_cov_of_masks_and_repeated_positions(data):
    fit = one("y ~ x + (1 | g)", data)
    mask = (data["g"] < 1).to_numpy()
    with pytest.raises(bm.DataError, match=r"write marginal_cov\(mask, positions=True\)"):
        fit.marginal_cov(mask)
    assert len(fit.marginal_cov(mask, positions=True)) == mask.sum()
    assert fit.marginal_cov([0, 0, 3], positions=True).shape == (2, 2)


def test_copies_of_drawn_groups_are_no_levels_of_the_data(data):
    """Levels 0 to 7 and copies 0 to 7 would be mistaken for each other."""
    fit = one("y ~ x + (1 | g)", data)
    found = bm.bootstrap(
        fit,
        5,
        kind="case",
        random_seed=1,
        statistic=lambda r: r.sigma * (len(set(r.ranef["g"].index) & set(range(8))) + 1),
        progress=False,
    )
    np.testing.assert_allclose(
        found.replicates["statistic"],
        bm.bootstrap(fit, 5, kind="case", random_seed=1, progress=False).replicates["sigma"],
    )


def test_levels_of_one_name_are_refused(data):
    table = data.assign(a=np.where(data["x"] > 0, "x", "x:y"), b=np.where(data["x"] > 0, "y:z", "z"))
    with pytest.raises(bm.DataError, match="Two levels of a:b are both called 'x:y:z'"):
        bm.ModelSpec("y ~ x + (1 | a:b)", table)
    colons = data.assign(a=np.where(data["f"] == "p", "n", "m"), b=data["a"])
    fit = one("y ~ x + (1 | a:b)", colons)
    new = pd.DataFrame({"x": 0.0, "a": ["n:1", "n"], "b": ["2", "1:2"]})
    drawn = fit.predict_draws(new, n=400, new_levels="sample", random_seed=1)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.9  # their common part is the fixed effects


def test_limits_of_rows_without_uncertainty(data):
    fit = one("y ~ 0 + x + (1 | g)", data)
    new = pd.DataFrame({"x": [0.0, 1.0], "g": [1, 1]})
    found = fit.predict(new, random="none", interval="confidence", variances="bootstrap", n=60, random_seed=1)
    assert found.iloc[0].tolist() == [0.0, 0.0, 0.0]
    assert found.iloc[1]["lower"] < found.iloc[1]["estimate"] < found.iloc[1]["upper"]


def test_statistics_by_label_whatever_their_order(data):
    fit = one("y ~ x + (1 | g)", data)
    ranked = bm.bootstrap(
        fit, 6, random_seed=1, progress=False, statistic=lambda r: r.ranef["g"]["Intercept"].sort_values()
    )
    plain = bm.bootstrap(fit, 6, random_seed=1, progress=False, statistic=lambda r: r.ranef["g"]["Intercept"])
    assert ranked.n_failed == 0
    np.testing.assert_allclose(ranked.replicates[plain.replicates.columns], plain.replicates)
    with pytest.raises(bm.DataError, match="statistic returned nothing"):
        bm.bootstrap(fit, 2, statistic=lambda r: None, progress=False)


def test_conditional_aic_without_fixed_effects(data):
    """The penalty is the sum of ∂ŷ/∂y, by differences."""
    table = data.iloc[:60].assign(y=data["y"].iloc[:60] - 17.0)
    fit = one("y ~ 0 + (1 | g) + (1 | a)", table, "ml")
    step, total = 1e-3, 0.0
    for i in range(len(table)):
        up, down = (fit.refit(table["y"] + s * step * (np.arange(60) == i)).fitted.iloc[i] for s in (1, -1))
        total += (up - down) / (2 * step)
    assert fit.conditional_aic().df == pytest.approx(total + 1.0, rel=1e-3)


def test_bad_requests_are_told(data):
    fit = one("y ~ x + f + (1 + x | g)", data)
    for level in ("0.9", None, [0.9]):
        with pytest.raises(bm.DataError, match="level is"):
            fit.predict(data.head(2), interval="confidence", level=level)
    with pytest.raises(bm.FitError, match="random_seed is 'a'"):
        fit.predict(data.head(2), interval="confidence", random_seed="a")
    for coefficient in ({"x": "a"}, {"x": [1, 2]}, ["x"]):
        with pytest.raises(bm.DataError, match="weight"):
            fit.rank_levels("g", coefficient)
    with pytest.raises(bm.DataError, match="fixed effect only: rank the levels' predictions"):
        fit.rank_levels("g", "f[T.q]")
    with pytest.raises(bm.DataError, match="levels of several columns are one text"):
        fit.combine({"k": {("g", (1, 2), "Intercept"): 1}})
    weighted = bm.ModelSpec("y ~ x + (1 | g)", data.assign(w=1.0, o=0.5), weights="w", offset="o").fit()
    new = pd.DataFrame({"x": [0.0], "g": [1], "w": [1.0], "o": ["high"]})
    with pytest.raises(bm.DataError, match="offset column 'o' of the new data holds"):
        weighted.predict(new)
    with pytest.raises(bm.DataError, match="isn't finite in row 0"):
        weighted.predict(new.assign(o=np.inf))
    with pytest.raises(bm.DataError, match="weights column 'w' of the new data holds"):
        weighted.predict(new.assign(o=0.0, w="high"), interval="prediction")


def test_other_requests_that_make_no_sense(data):
    fit = one("y ~ x + f + (1 | g)", data, "ml")
    with pytest.raises(bm.DataError, match="parameters is 3; give names such as"):
        bm.profile(fit, 3)
    with pytest.raises(bm.DataError, match="'nope' has no profile here; there are sigma"):
        bm.profile(fit, "sigma").line("nope")
    with pytest.raises(bm.DataError, match="a column twice"):
        fit.test(pd.DataFrame([[1.0, 1.0]], columns=["x", "x"]))
    with pytest.raises(bm.DataError, match="near is 'a'"):
        fit.explain_singular(near="a")
    with pytest.raises(bm.DataError, match=r"names is 3 for 2 fits"):
        bm.lrtest(fit, one("y ~ x + (1 | g)", data, "ml"), names=3)
    with pytest.raises(bm.DataError, match=r"ddf is a MixedModelResult.*Fits are compared by bm\.lrtest"):
        fit.anova(fit)
    with pytest.raises(bm.DataError, match="type is \\[3\\]"):
        fit.anova(type=[3])
    with pytest.raises(bm.DataError, match="method='profile', say"):
        fit.conf_int("profile")
    with pytest.raises(bm.FormulaError, match="too large"):
        fit.test("x = 1e400")
    assert fit.test("x == 0.5").F == fit.test("x = 0.5").F
    both = one("y ~ x * f + (1 | g)", data, "ml")
    assert both.test("f[T.q]:x = 0").F == both.test("x:f[T.q] = 0").F
