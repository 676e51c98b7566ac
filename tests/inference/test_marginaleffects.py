"""The package marginaleffects on our results: against emmeans, emtrends, predictions and tests of our own."""

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import bimixed as bm

NAMES = ("predictions", "comparisons", "avg_comparisons", "avg_slopes", "hypotheses", "datagrid")
EXACT = {"eps_vcov": 1e-2}
"""A step in the coefficients; predictions are linear in them."""


@pytest.fixture(scope="module")
def me():
    package = pytest.importorskip("marginaleffects")
    polars = pytest.importorskip("polars")
    if int(polars.__version__.split(".")[0]) > 1:
        pytest.skip("marginaleffects 0.6 needs polars < 2")
    # one after the other, because its functions have the names of its modules
    return SimpleNamespace(**{name: getattr(package, name) for name in NAMES})


@pytest.fixture(scope="module")
def data():
    table = bm.load_dataset("orthodont")
    table["stage"] = table["age"].astype(int)
    table["kind"] = pd.Categorical(table["Sex"], categories=["Male", "Female"])
    table["late"] = table["age"] > 10
    return table


@pytest.fixture(scope="module")
def fit(data):
    return bm.ModelSpec("distance ~ age * Sex + (age | Subject)", data).fit()


def values(table, *by):
    """Estimates and standard errors in the order of some columns."""
    table = table.to_pandas() if hasattr(table, "to_pandas") else table
    table = table.assign(
        **{name: table[name].astype(str) for name in by if table[name].dtype.kind not in "if"}
    )
    return table.sort_values(list(by))[["estimate", "std_error"]].to_numpy(dtype=float)


def test_predictions(me, fit):
    model = fit.to_marginaleffects()
    found = me.predictions(model, **EXACT)
    np.testing.assert_allclose(found["estimate"], fit.predict(random="none")["estimate"], rtol=1e-12)
    X = fit.design.X
    errors = np.sqrt(np.einsum("ij,jk,ik->i", X, fit.vcov.to_numpy(), X))
    np.testing.assert_allclose(found["std_error"], errors, rtol=1e-9)


def test_marginal_means_and_contrasts(me, fit):
    model = fit.to_marginaleffects()
    means = bm.emmeans(fit, "Sex", by="age", at={"age": [8, 14]}, ddf="normal")
    grid = me.datagrid(model=model, Sex=["Male", "Female"], age=[8, 14])
    found = me.predictions(model, newdata=grid, **EXACT)
    np.testing.assert_allclose(values(found, "Sex", "age"), values(means.table, "Sex", "age"), rtol=1e-8)
    contrasts = means.contrasts().table if hasattr(means.contrasts(), "table") else means.contrasts()
    pairs = me.comparisons(model, variables="Sex", newdata=me.datagrid(model=model, age=[8, 14]), **EXACT)
    np.testing.assert_allclose(np.abs(values(pairs, "age")), np.abs(values(contrasts, "age")), rtol=1e-8)


def test_slopes(me, fit):
    model = fit.to_marginaleffects()
    ours = bm.emtrends(fit, "Sex", var="age", ddf="normal").table
    found = me.avg_slopes(model, variables="age", by="Sex", **EXACT)
    np.testing.assert_allclose(values(found, "Sex"), values(ours, "Sex"), rtol=1e-6)
    limits = found.to_pandas().sort_values("Sex")[["conf_low", "conf_high"]].to_numpy()
    wanted = ours.assign(Sex=ours["Sex"].astype(str)).sort_values("Sex")[["lower", "upper"]]
    np.testing.assert_allclose(limits, wanted, rtol=1e-6)
    test = fit.test("age = 0.5", ddf="normal")
    row = me.hypotheses(model, hypothesis="b1 = 0.5", **EXACT)
    assert row["p_value"][0] == pytest.approx(test.p_value, rel=1e-6)


@pytest.mark.parametrize(
    ("formula", "variable"),
    [
        ("distance ~ C(stage) * Sex + (1 | Subject)", "stage"),
        ("distance ~ kind * poly(age, 2) + (1 | Subject)", "kind"),
        ("distance ~ late * kind + scale(age) + (1 | Subject)", "late"),
        ("np.log(distance) ~ age + offset(0.1 * age) + kind + (1 | Subject)", "kind"),
        ("distance ~ age + I(2 * age) + Sex + (1 | Subject)", "Sex"),
    ],
)
def test_formulas_of_all_kinds(me, data, formula, variable):
    """Averages over the rows used, of predictions with a column changed."""
    fit = bm.ModelSpec(formula, data).fit()
    model = fit.to_marginaleffects()
    np.testing.assert_allclose(
        me.predictions(model, **EXACT)["estimate"], fit.predict(random="none")["estimate"], rtol=1e-10
    )
    column = data[variable]
    levels = list(column.cat.categories) if variable == "kind" else sorted(column.unique())
    changed = []
    for level in levels:
        new = data.assign(**{variable: level})
        if variable == "kind":
            new[variable] = pd.Categorical(new[variable], categories=levels)
        changed.append(fit.predict(new, random="none")["estimate"].mean())
    found = me.avg_comparisons(model, variables=variable, **EXACT).to_pandas()
    np.testing.assert_allclose(
        sorted(found["estimate"]), sorted(np.subtract(changed[1:], changed[0])), atol=1e-10
    )
    assert (found["std_error"] > 0).all()


def test_robust_covariance_and_draws(me, fit):
    model = fit.to_marginaleffects()
    robust = fit.vcov_robust().to_numpy()
    found = me.avg_slopes(model, variables="age", by="Sex", vcov=robust, **EXACT).to_pandas()
    L = np.array([[0, 1, 0, 0], [0, 1, 0, 1]])
    np.testing.assert_allclose(found["std_error"], np.sqrt(np.diag(L @ robust @ L.T)), rtol=1e-6)
    with pytest.raises(bm.DataError, match="vcov_robust"):
        me.avg_slopes(model, vcov="HC3")
    draws = fit.spec.fit("importance", draws=1500, random_seed=1, progress=False)
    found = me.predictions(draws.to_marginaleffects(), **EXACT)
    X = draws.design.X
    np.testing.assert_allclose(found["estimate"], X @ draws.fixef["estimate"], rtol=1e-12)
    errors = np.sqrt(np.einsum("ij,jk,ik->i", X, draws.vcov.to_numpy(), X))
    np.testing.assert_allclose(found["std_error"], errors, rtol=1e-8)


def test_arrays_have_no_columns(me, data):
    X = np.column_stack([np.ones(len(data)), data["age"]])
    fit = bm.ModelSpec.from_arrays(data["distance"], X, data["Subject"]).fit()
    with pytest.raises(bm.DataError, match="formula"):
        fit.to_marginaleffects()


def test_without_the_package(fit, monkeypatch):
    monkeypatch.setitem(sys.modules, "marginaleffects", None)
    monkeypatch.setitem(sys.modules, "marginaleffects.classes", None)
    with pytest.raises(bm.UnavailableError, match="pip install 'marginaleffects"):
        fit.to_marginaleffects()
