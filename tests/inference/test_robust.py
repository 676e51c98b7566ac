"""Sandwich estimates against their definition with n × n matrices."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
from dense_rows import DenseRows
from designs import data
from drawn import dyestuff, importance_fit
from lme4_fits import data_set
from scipy.stats import t as student

import bimixed as bm

FORMULAS = ["y ~ x + z + (x | i)", "y ~ x + (1 | a/b)", "y ~ x + z + (1 | i)"]


def table(n=80):
    rows = data(3, n)
    rows["y"] += rows["i"] + 0.5 * rows["x"] * (rows["j"] - 2) + rows["a"]
    rows["part"] = rows["i"] // 3
    rows["between"] = rows["i"] % 2
    return rows


def fitted(formula, method="reml", weights="w"):
    return bm.ModelSpec(formula, table(), weights=weights, offset="o").fit(method)


def by_definition(fit, labels, kind):
    """Covariance, and by coefficient the matrix N of the quadratic form y'Ny that its variance is."""
    full = DenseRows(fit)
    n, p = full.X.shape
    W = np.linalg.inv(full.V)
    C = np.linalg.inv(full.X.T @ W @ full.X)
    rest = np.eye(n) - full.X @ C @ full.X.T @ W
    outer = rest @ full.V @ rest.T
    clusters = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    m = len(clusters)
    factor = {"CR1": m / (m - 1), "CR1S": m * (n - 1) / ((m - 1) * (n - p))}.get(kind, 1.0)
    forms = []
    for rows in clusters:
        A = np.eye(len(rows))
        if kind == "CR2":
            D = scipy.linalg.cholesky(full.V[np.ix_(rows, rows)])
            values, vectors = np.linalg.eigh(D @ outer[np.ix_(rows, rows)] @ D.T)
            power = np.where(values > 1e-11 * values.max(), values, np.inf) ** -0.5
            A = D.T @ (vectors * power) @ vectors.T @ D
        forms.append(C @ full.X[rows].T @ np.linalg.inv(full.V[np.ix_(rows, rows)]) @ A @ rest[rows])
    cov = factor * sum(np.outer(form @ full.y, form @ full.y) for form in forms)
    N = [sum(np.outer(form[j], form[j]) for form in forms) for j in range(p)]
    return cov, N, full.V, C


@pytest.mark.parametrize("weights", ["w", None])
@pytest.mark.parametrize("kind", ["CR0", "CR1", "CR1S", "CR2"])
@pytest.mark.parametrize("formula", FORMULAS)
def test_covariance_is_that_of_the_definition(formula, kind, weights):
    fit = fitted(formula, "reml" if kind == "CR2" else "ml", weights)
    labels = table()["a" if "a/b" in formula else "i"].to_numpy()
    cov = by_definition(fit, labels, kind)[0]
    se = np.sqrt(np.diag(cov))
    np.testing.assert_allclose(
        fit.vcov_robust(kind=kind) / np.outer(se, se), cov / np.outer(se, se), atol=1e-8
    )


@pytest.mark.parametrize("weights", ["w", None])
@pytest.mark.parametrize("formula", FORMULAS)
def test_satterthwaite_df_are_those_of_the_quadratic_form(formula, weights):
    fit = fitted(formula, weights=weights)
    labels = table()["a" if "a/b" in formula else "i"].to_numpy()
    _, forms, V, _ = by_definition(fit, labels, "CR2")
    expected = [np.trace(N @ V) ** 2 / np.trace(N @ V @ N @ V) for N in forms]
    np.testing.assert_allclose(fit.coef_table_robust()["df"], expected, rtol=1e-8)


def test_cr2_is_unbiased_where_the_model_holds():
    fit = fitted("y ~ x + z + (x | i)")
    _, forms, V, C = by_definition(fit, table()["i"].to_numpy(), "CR2")
    np.testing.assert_allclose([np.trace(N @ V) for N in forms], np.diag(C), rtol=1e-8)


def test_clusters_of_several_groups_and_given_labels():
    fit = fitted("y ~ x + z + (1 | i)")
    labels = table()["part"].to_numpy()
    cov = by_definition(fit, labels, "CR2")[0]
    np.testing.assert_allclose(fit.vcov_robust("part"), cov, rtol=1e-7)
    np.testing.assert_allclose(fit.vcov_robust(labels), cov, rtol=1e-7)


def test_a_column_constant_within_clusters_and_a_dropped_one():
    rows = table().assign(twice=lambda t: 2 * t["x"], own=lambda t: (t["i"] == 0).astype(float))
    fit = bm.ModelSpec("y ~ x + twice + between + own + (1 | i)", rows).fit()
    cov = by_definition(fit, rows["i"].to_numpy(), "CR2")[0]  # the cluster of own leaves no residual mean
    found = fit.vcov_robust()
    assert found["twice"].isna().all()
    kept = found.drop(index="twice", columns="twice").to_numpy()
    scale = np.sqrt(np.outer(np.diag(cov), np.diag(cov)).clip(min=1e-6))
    np.testing.assert_allclose(kept / scale, cov / scale, atol=1e-6)
    assert fit.coef_table_robust().loc["twice"].isna().all()


def test_table():
    fit = fitted("y ~ x + z + (x | i)")
    for kind in ("CR2", "CR1"):
        found = fit.coef_table_robust(kind=kind, level=0.9)
        assert list(found.columns) == list(fit.coef_table().columns)
        se = np.sqrt(np.diag(fit.vcov_robust(kind=kind)))
        np.testing.assert_allclose(found["std_error"], se)
        np.testing.assert_allclose(found["statistic"], found["estimate"] / se)
        np.testing.assert_allclose(found["p_value"], 2 * student.sf(np.abs(found["statistic"]), found["df"]))
        np.testing.assert_allclose(found["upper"], found["estimate"] + student.ppf(0.95, found["df"]) * se)
        np.testing.assert_allclose(found["lower"], found["estimate"] - student.ppf(0.95, found["df"]) * se)
    assert (found["df"] == 6).all()


def test_standard_errors_of_a_balanced_model_do_not_depend_on_its_slopes():
    sleep = bm.load_dataset("sleepstudy")
    intercepts = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", sleep).fit()
    slopes = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", sleep).fit()
    np.testing.assert_allclose(intercepts.vcov_robust(), slopes.vcov, rtol=1e-4)


def test_bad_requests():
    crossed = fitted("y ~ x + (1 | i) + (1 | j)")
    with pytest.raises(bm.DataError, match="crossed"):
        crossed.vcov_robust()
    with pytest.raises(bm.DataError, match="Levels of 'j' have rows in several clusters of 'i'"):
        crossed.vcov_robust("i")
    fit = fitted("y ~ x + (1 | i)")
    with pytest.raises(bm.DataError, match="CR0, CR1, CR1S, CR2"):
        fit.vcov_robust(kind="CR3")
    with pytest.raises(bm.DataError, match="one value"):
        fit.vcov_robust(np.zeros(80))
    with pytest.raises(bm.UnavailableError, match="no fixed effects"):
        bm.ModelSpec("y ~ 0 + (1 | i)", table()).fit().vcov_robust()
    with pytest.raises(bm.UnavailableError, match="method='reml'"):
        importance_fit(dyestuff(), 1000).vcov_robust()


CLUB = json.loads((Path(__file__).parents[1] / "reference" / "clubsandwich.json").read_text())
OF_CLUB = {
    "rat_pup": "weight ~ sex * treatment + litsize + (1 | litter)",
    "Orthodont": "distance ~ age * Sex + (age | Subject)",
}


@pytest.mark.parametrize("name", OF_CLUB)
def test_against_clubsandwich(name):
    """clubSandwich of R on lmer's fits; 1e-5 relative, as far as the fits agree."""
    fit = bm.ModelSpec(OF_CLUB[name], data_set(name)).fit()
    table = fit.coef_table_robust()
    np.testing.assert_allclose(table["std_error"], CLUB[name]["SE"], rtol=1e-5)
    np.testing.assert_allclose(table["df"], CLUB[name]["df"], rtol=1e-5)
    np.testing.assert_allclose(table["p_value"], CLUB[name]["p"], rtol=1e-4)
    for kind in ("CR0", "CR1", "CR1S"):
        found = np.sqrt(np.diag(fit.vcov_robust(kind=kind)))
        np.testing.assert_allclose(found, CLUB[name][kind], rtol=1e-5)
