"""Leverage and deletion against hat matrices and fits without the rows, n × n and the variances given."""

import numpy as np
import pandas as pd
import pytest
from dense_rows import DenseRows
from designs import data, forced
from drawn import dyestuff, importance_fit

import bimixed as bm
from bimixed.design import wide as wide_columns

FORMULAS = [
    "y ~ x + (x | i)",
    "y ~ x + z + (1 | a/b)",
    "y ~ x + (x | i) + (1 | j)",
    "y ~ x + (1 | i) + (1 | b)",
]


def table(n=80):
    rows = data(3, n)
    rows["y"] += rows["i"] + 0.5 * rows["x"] * (rows["j"] - 2) + rows["a"] + 3 * (rows["b"] == 1)
    return rows


def fitted(formula, method="reml", n=80):
    return bm.ModelSpec(formula, table(n), weights="w", offset="o").fit(method)


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("formula", FORMULAS)
def test_leverage_is_the_diagonal_of_the_hat_matrix(formula, method):
    fit = fitted(formula, method)
    whole, fixed = DenseRows(fit).hats
    found = fit.leverage
    np.testing.assert_allclose(found["leverage"], np.diag(whole), atol=1e-10)
    np.testing.assert_allclose(found["fixed"], np.diag(fixed), atol=1e-10)
    np.testing.assert_allclose(found["random"], np.diag(whole - fixed), atol=1e-10)
    assert found.index.equals(fit.fitted.index)


def check(fit, found, labels, rows_of):
    full = DenseRows(fit)
    beta, C, _ = full.gls()
    names = full.names
    lever = np.diag(full.hats[0])
    for label in labels:
        members = rows_of(label)
        without, std_error, sigma = full.without(members)
        mine = found.loc[label]
        assert mine["sigma"] == pytest.approx(sigma, rel=1e-8)
        change = beta - without
        scale = np.sqrt(np.diag(C)) * fit.sigma
        dfbeta = mine[[f"dfbeta[{name}]" for name in names]].to_numpy(dtype=float)
        np.testing.assert_allclose(dfbeta / scale, change / scale, atol=1e-8)
        np.testing.assert_allclose(
            mine[[f"dfbetas[{name}]" for name in names]].to_numpy(dtype=float), change / std_error, atol=1e-8
        )
        cook = change @ np.linalg.solve(C, change) / (fit.sigma**2 * len(beta))
        assert mine["cooks_distance"] == pytest.approx(cook, rel=1e-7, abs=1e-12)
        assert mine["leverage"] == pytest.approx(lever[members].mean(), abs=1e-10)


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("formula", FORMULAS)
def test_rows_left_out(formula, method):
    fit = fitted(formula, method)
    check(fit, fit.influence(), fit.design.index[::7], lambda i: [i])


@pytest.mark.parametrize(
    ("formula", "group"),
    [
        ("y ~ x + (x | i)", "i"),  # whole levels
        ("y ~ x + z + (1 | a/b)", "a"),
        ("y ~ x + z + (1 | a/b)", "a:b"),  # parts of levels of a
        ("y ~ x + (x | i) + (1 | j)", "j"),  # crossed
        ("y ~ x + (x | i) + (1 | j)", "i"),
        ("y ~ x + (1 | i) + (1 | b)", "c"),  # a column of the data, more rows than effects
    ],
)
def test_groups_left_out(formula, group):
    fit = fitted(formula)
    labels = fit.design.factor(group).levels[fit.design.factor(group).codes] if group != "c" else table()["c"]
    labels = np.asarray(labels)
    found = fit.influence(group)
    assert found["n_rows"].tolist() == [np.sum(labels == label) for label in found.index]
    check(fit, found, found.index, lambda label: np.flatnonzero(labels == label))


@pytest.mark.parametrize("route", ["compiled", "sparse"])
def test_the_ways_of_large_designs(route):
    plain = fitted("y ~ x + (x | i) + (1 | j) + (1 | b)")
    with forced(route):
        large = fitted("y ~ x + (x | i) + (1 | j) + (1 | b)")
        pd.testing.assert_frame_equal(large.leverage, plain.leverage, rtol=1e-5)
        pd.testing.assert_frame_equal(large.influence("j"), plain.influence("j"), rtol=1e-4)


def dyestuff2():
    return bm.load_dataset("dyestuff2").assign(x=np.arange(30) % 5)


def test_without_variance_between_groups_it_is_that_of_least_squares():
    fit = bm.ModelSpec("Yield ~ x + (1 | Batch)", dyestuff2()).fit()
    assert fit.random_cov["Batch"].iloc[0, 0] == 0.0
    X, y = fit.design.X, fit.design.y
    hat = np.diag(X @ np.linalg.solve(X.T @ X, X.T))
    resid = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    cook = resid**2 * hat / (2 * fit.sigma**2 * (1 - hat) ** 2)
    np.testing.assert_allclose(fit.influence()["cooks_distance"], cook, rtol=1e-6)


def refitted(fit, rows, group):
    """Cook's distance, σ and DFBETAS by full refits."""
    beta, vcov, found = fit.fixef["estimate"], fit.vcov.to_numpy(), {}
    for label in np.unique(rows[group]):
        keep = rows[group] != label
        other = bm.ModelSpec(fit.formula, rows[keep], weights="w", offset="o").fit(fit.method)
        change = beta - other.fixef["estimate"]
        cook = change @ np.linalg.solve(vcov, change) / len(beta)
        found[label] = [cook, other.sigma, *(change / other.fixef["std_error"])]
    return np.array(list(found.values()))


@pytest.mark.parametrize(
    ("formula", "group", "method"),
    [
        ("y ~ x + (x | i)", "i", "reml"),
        ("y ~ x + (x | i)", "i", "ml"),
        ("y ~ x + z + (1 | i) + (1 | j)", "j", "reml"),
    ],
)
def test_full_refits_are_near_and_nearer_after_a_newton_step(formula, group, method):
    rng = np.random.default_rng(5)
    rows = data(4, 240).assign(i=rng.integers(0, 24, 240), j=rng.integers(0, 16, 240))
    rows["y"] += rng.normal(size=24)[rows["i"]] + (1 + 0.5 * rng.normal(size=24)[rows["i"]]) * rows["x"]
    rows["y"] += rng.normal(size=16)[rows["j"]]
    fit = bm.ModelSpec(formula, rows, weights="w", offset="o").fit(method)
    assert fit.diagnostics.ok
    full = refitted(fit, rows, group)
    columns = ["cooks_distance", "sigma", *(f"dfbetas[{name}]" for name in fit.design.names)]
    fixed = fit.influence(group)[columns].to_numpy()
    newton = fit.influence(group, variances="newton")[columns].to_numpy()
    assert np.corrcoef(fixed[:, 0], full[:, 0])[0, 1] > 0.95
    assert np.corrcoef(newton[:, 0], full[:, 0])[0, 1] > 0.99
    assert np.all(np.abs(newton - full).mean(axis=0) < 0.5 * np.abs(fixed - full).mean(axis=0))


def test_what_only_these_rows_determine_is_nan():
    rows = table()
    rows["alone"] = (rows.index == 5).astype(float)
    rows["first"] = (rows["i"] == 0).astype(float)
    fit = bm.ModelSpec("y ~ x + alone + (1 | i)", rows).fit()
    found = fit.influence()
    assert fit.leverage.loc[5, "leverage"] == pytest.approx(1.0)
    assert found.loc[5].drop("leverage").isna().all()
    assert found.drop(index=5).notna().all(axis=None)
    fit = bm.ModelSpec("y ~ x + first + (1 | i)", rows).fit()
    found = fit.influence("i").drop(columns=["n_rows", "leverage"])
    assert found.loc[0].isna().all()
    assert found.drop(index=0).notna().all(axis=None)
    fit = bm.ModelSpec("y ~ x + first + (1 | i) + (1 | j)", rows).fit()
    for variances in ("fixed", "newton"):
        found = fit.influence("i", variances=variances)
        assert found.loc[0].drop(["n_rows", "leverage"]).isna().all()


def test_a_dropped_column_has_no_entry():
    rows = table().assign(x2=lambda t: 2 * t["x"])
    found = bm.ModelSpec("y ~ x + x2 + (1 | i)", rows).fit().influence()
    plain = bm.ModelSpec("y ~ x + (1 | i)", rows).fit().influence()
    pd.testing.assert_frame_equal(found, plain, rtol=1e-5)


def test_fixed_factors_of_many_levels(monkeypatch):
    monkeypatch.setattr(wide_columns, "LARGE", 1)
    monkeypatch.setattr(wide_columns, "FEWEST", 10)
    rng, n = np.random.default_rng(2), 300
    rows = pd.DataFrame({"f": rng.integers(0, 30, n), "g": rng.integers(0, 20, n), "x": rng.normal(size=n)})
    rows["y"] = (
        rows["x"] + rng.normal(size=30)[rows["f"]] + rng.normal(size=20)[rows["g"]] + rng.normal(size=n)
    )
    fit = bm.ModelSpec("y ~ x + C(f) + (1 | g)", rows).fit()
    assert fit.design.wide is not None
    full = DenseRows(fit)
    whole, fixed = full.hats
    np.testing.assert_allclose(fit.leverage["leverage"], np.diag(whole), atol=1e-9)
    np.testing.assert_allclose(fit.leverage["fixed"], np.diag(fixed), atol=1e-9)
    place, beta = full.names.index("x"), full.gls()[0]
    for label, found in [(17, fit.influence()), (3, fit.influence("g"))]:
        members = [17] if label == 17 else np.flatnonzero(rows["g"] == 3)
        without, std_error, sigma = full.without(members)
        assert found.loc[label, "dfbetas[x]"] == pytest.approx(
            ((beta - without) / std_error)[place], rel=1e-6
        )
        assert found.loc[label, "sigma"] == pytest.approx(sigma, rel=1e-8)
        assert list(found.columns[-2:]) == ["dfbetas[Intercept]", "dfbetas[x]"]


def test_labels_may_be_given_for_each_row():
    fit, labels = fitted("y ~ x + (x | i) + (1 | j)"), table()["c"].to_numpy()
    pd.testing.assert_frame_equal(fit.influence(labels), fit.influence("c"), check_names=False)


def test_missing_rows_of_a_column_that_the_model_does_not_use():
    rows = table()
    rows.loc[3, "x"] = np.nan
    fit = bm.ModelSpec("y ~ x + (1 | i)", rows).fit()
    assert (
        fit.influence("c")["n_rows"].tolist() == rows.drop(index=3)["c"].value_counts().sort_index().tolist()
    )
    rows["partly"] = rows["c"].where(rows.index > 10)
    with pytest.raises(bm.DataError, match="group has no label in 10 of 79 rows"):
        bm.ModelSpec("y ~ x + (1 | i)", rows).fit().influence("partly")


def test_bad_requests():
    fit = fitted("y ~ x + (1 | i)")
    with pytest.raises(bm.DataError, match="'nothing', which is neither a group"):
        fit.influence("nothing")
    with pytest.raises(bm.DataError, match="80 labels"):
        fit.influence(np.arange(5))
    with pytest.raises(bm.DataError, match="index of group"):
        fit.influence(table()["c"].iloc[::-1])
    with pytest.raises(bm.DataError, match="fixed, newton"):
        fit.influence("i", variances="refit")
    with pytest.raises(bm.DataError, match="is for groups"):
        fit.influence(variances="newton")
    with pytest.raises(bm.UnavailableError, match="no fixed effects"):
        bm.ModelSpec("y ~ 0 + (1 | i)", table()).fit().influence()
    drawn = importance_fit(dyestuff(), 1000)
    with pytest.raises(bm.UnavailableError, match="pareto_k"):
        drawn.influence()
    with pytest.raises(bm.UnavailableError, match="pareto_k"):
        drawn.leverage
