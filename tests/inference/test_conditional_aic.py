"""Effective degrees of freedom against differences of refits, and the criterion written out."""

import numpy as np
import pytest
from designs import data
from drawn import dyestuff, importance_fit
from scipy.stats import norm

import bimixed as bm
from bimixed.design import wide as wide_columns

CASES = [
    ("y ~ x + (x | j) + (1 | i)", "ml"),  # singular: a correlation of 1
    ("y ~ x + (x | j) + (1 | i)", "reml"),
    ("y ~ x + z + (1 | a/b)", "reml"),  # singular: the variance of a:b is 0
    ("y ~ x + (1 | j) + (1 | c)", "ml"),  # singular: the variance of c is 0
    ("y ~ (x || i)", "reml"),
]


def table():
    rows = data(3, 40)
    rows["y"] += rows["i"] + 0.5 * rows["x"] * (rows["j"] - 2) + rows["a"]
    return rows


def by_differences(fit):
    """Σ ∂ŷ_i/∂y_i, two refits for each row."""
    y, step = fit.design.y, 0.02 * fit.sigma
    total = 0.0
    for i in range(len(y)):
        move = step * (np.arange(len(y)) == i)
        total += (fit.refit(y + move).fitted.iloc[i] - fit.refit(y - move).fitted.iloc[i]) / (2 * step)
    return total


@pytest.mark.parametrize(("formula", "method"), CASES)
def test_degrees_of_freedom_are_the_sensitivity_of_the_fit(formula, method):
    fit = bm.ModelSpec(formula, table(), weights="w", offset="o").fit(method)
    found = fit.conditional_aic()
    # differences with a step of 0.02 σ are good to some 1e-4
    assert found.df - 1 == pytest.approx(by_differences(fit), abs=5e-4)


def test_the_estimation_of_variances_counts():
    found = bm.ModelSpec("y ~ x + (x | j) + (1 | i)", table()).fit().conditional_aic()
    assert found.df > found.df_given_variances + 0.5


def test_criterion_written_out():
    fit = bm.ModelSpec("y ~ x + (1 | i)", table(), weights="w", offset="o").fit()
    found = fit.conditional_aic()
    sd = fit.sigma / np.sqrt(fit.design.weights)
    assert found.loglik == pytest.approx(norm.logpdf(fit.design.y, fit.fitted, sd).sum())
    assert fit.caic == found.caic == pytest.approx(-2 * found.loglik + 2 * found.df)
    assert found.df_given_variances == pytest.approx(fit.leverage["leverage"].sum() + 1)


def test_a_refit_uses_its_own_response():
    spec = bm.ModelSpec("y ~ x + (1 | i)", table())
    y = spec.design.y[::-1].copy()
    again = bm.ModelSpec("y ~ x + (1 | i)", table().assign(y=y)).fit()
    assert spec.fit().refit(y).caic == pytest.approx(again.caic, rel=1e-6)


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_fixed_factors_of_many_levels(monkeypatch, method):
    rows = table().assign(f=lambda t: np.arange(len(t)) % 15)
    spec = bm.ModelSpec("y ~ x + C(f) + (x | i)", rows, weights="w")
    plain = spec.fit(method).conditional_aic()
    monkeypatch.setattr(wide_columns, "LARGE", 1)
    monkeypatch.setattr(wide_columns, "FEWEST", 10)
    absorbed = bm.ModelSpec("y ~ x + C(f) + (x | i)", rows, weights="w").fit(method)
    assert absorbed.design.wide is not None
    assert absorbed.conditional_aic().caic == pytest.approx(plain.caic, rel=1e-6)
    assert absorbed.conditional_aic().df == pytest.approx(plain.df, rel=1e-6)


def test_draws_are_referred_to_loo():
    with pytest.raises(bm.UnavailableError, match="loo"):
        importance_fit(dyestuff(), 1000).caic
