"""Average information against differences and against dense formulas."""

import numpy as np
import pytest

import bimixed as bm
from bimixed.crossproducts import cross_products
from bimixed.likelihood.information import average_information
from bimixed.likelihood.objective import evaluate, gradient, relative_factors
from bimixed.likelihood.optimize import difference_hessian

MODELS = [
    ("Reaction ~ Days + (Days | Subject)", "sleepstudy"),
    ("log_radon ~ floor + (floor || county)", "radon"),
    ("weight ~ sex + (sex | litter) + (1 | treatment)", "rat_pup"),
    ("distance ~ age + (1 | Subject) + (0 + age | Sex)", "orthodont"),
]


def derivative_matrices(design, T, theta_positions):
    """∂V/∂θ_k, dense (n, n) each."""
    found = []
    for factor, Tj in zip(design.factors, T, strict=True):
        Z = factor.matrix().toarray()
        for r, c in zip(*factor.template.positions, strict=True):
            E = np.zeros_like(Tj)
            E[r, c] = 1.0
            found.append(Z @ np.kron(np.eye(factor.n_levels), E @ Tj.T + Tj @ E.T) @ Z.T)
    return found


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m[0])
@pytest.mark.parametrize("reml", [True, False])
def test_against_the_dense_formula(model, reml):
    """y'PV_kPV_lPy / σ̂² and so on, with n × n matrices; 1e-8 relative."""
    design = bm.ModelSpec(model[0], bm.load_dataset(model[1]).iloc[:200]).design
    cp = cross_products(design)
    rng = np.random.default_rng(1)
    theta = rng.normal(size=sum(t.n_theta for t in cp.templates))
    T = relative_factors(cp, theta)
    at = evaluate(cp, theta, reml)
    slopes = gradient(cp, at, reml)
    found = average_information(cp, at, slopes, reml)

    V = np.eye(design.n)
    for factor, Tj in zip(design.factors, T, strict=True):
        Z = factor.matrix().toarray()
        V += Z @ np.kron(np.eye(factor.n_levels), Tj @ Tj.T) @ Z.T
    Vi = np.linalg.inv(V)
    X = design.X_kept
    P = Vi - Vi @ X @ np.linalg.solve(X.T @ Vi @ X, X.T @ Vi)
    w = [D @ P @ design.y for D in derivative_matrices(design, T, None)]
    df = design.n - X.shape[1] if reml else design.n
    sigma2 = design.y @ P @ design.y / df
    expected = np.array([[a @ P @ b for b in w] for a in w]) / sigma2
    scores = np.array([design.y @ P @ a for a in w])
    expected -= np.outer(scores, scores) / (df * sigma2**2)
    start = 0
    for factor, G in zip(design.factors, slopes.H, strict=True):
        rows, cols = factor.template.positions
        here = slice(start, start + len(rows))
        expected[here, here] += 2 * G[np.ix_(rows, rows)] * (cols[:, None] == cols)
        start += len(rows)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max())


def test_in_balanced_data_it_is_the_hessian():
    """Where expected and observed information agree (balanced nesting), so does their mean."""
    design = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).design
    cp = cross_products(design)
    fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()
    theta = fit.theta["Subject"]

    def slope(x):
        return gradient(cp, evaluate(cp, x, True), True).theta

    at = evaluate(cp, theta, True)
    found = average_information(cp, at, gradient(cp, at, True), True)
    np.testing.assert_allclose(found, difference_hessian(slope, theta), rtol=1e-5)
