"""Second-order quantities of the variances against dense matrices.

Tolerance 1e-8 relative to the largest entry: both sides invert matrices of condition up to 1e4 or so.
"""

import numpy as np
import pytest
import scipy.linalg
from designs import data, theta_of

import bimixed as bm
from bimixed.likelihood.expected import second_order
from bimixed.likelihood.objective import evaluate, gradient, relative_factors
from bimixed.likelihood.setup import set_up

FORMULAS = [
    "y ~ x + (1 | a)",
    "y ~ x + z + (1 + x | a)",
    "y ~ x + (1 + x || a)",
    "y ~ 1 + (1 + x + z | i)",
    "y ~ x + (1 + x | a/b)",
    "y ~ x + (1 | a/b/c)",
    "y ~ x + (1 + z | i) + (1 | j)",
    "y ~ x + (1 | i/b) + (1 + x | j) + (0 + z | c)",
    "y ~ 0 + x + (1 | i) + (1 | j)",
]


def dense_second_order(design, cp, T, gamma, sigma2):
    n = len(design.y)
    W = np.eye(n) if design.weights is None else np.diag(design.weights / cp.weight_scale)
    V, parts = np.linalg.inv(W), []
    for f, template, t in zip(design.factors, cp.templates, T, strict=True):
        Z = f.matrix().toarray()
        V = V + Z @ np.kron(np.eye(f.n_levels), t @ t.T) @ Z.T
        for r, c in zip(*template.positions, strict=True):
            unit = np.zeros((f.n_coefficients, f.n_coefficients))
            unit[r, c] = unit[c, r] = 1.0
            parts.append(Z @ np.kron(np.eye(f.n_levels), unit) @ Z.T)
    parts.append(np.linalg.inv(W))
    Vi = scipy.linalg.inv(V)
    X = np.linalg.solve(cp.basis.R.T, design.X_kept.T).T
    Phi = np.linalg.inv(X.T @ Vi @ X)
    P = Vi - Vi @ X @ Phi @ X.T @ Vi
    Py = P @ design.y
    m = len(parts)
    return {
        "fixef": Phi,
        "P": np.array([-X.T @ Vi @ part @ Vi @ X for part in parts]),
        "Q": np.array([[X.T @ Vi @ a @ Vi @ b @ Vi @ X for b in parts] for a in parts]),
        "traces": np.array([[np.trace(Vi @ a @ Vi @ b) for b in parts] for a in parts]),
        "observed": np.array([[Py @ a @ P @ b @ Py for b in parts] for a in parts]) / sigma2,
        "projected_traces": np.array([[np.trace(P @ a @ P @ b) for b in parts] for a in parts]).reshape(m, m),
    }


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("singular", ["no", "some", "all"])
@pytest.mark.parametrize("formula", FORMULAS)
def test_against_dense_matrices(formula, singular, weights):
    design = bm.ModelSpec(formula, data(3, 60), weights=weights).design
    setup = set_up(design, True)
    cp = setup.preparation.with_response(design.y)
    theta = theta_of(cp, 5, singular)
    at = evaluate(cp, theta, True)
    found = second_order(cp, at, gradient(cp, at, True), True)
    own = setup.coordinates.design(design)
    wanted = dense_second_order(own, cp, relative_factors(cp, theta), at.gamma, at.sigma2)
    for name, value in wanted.items():
        scale = np.abs(value).max()
        np.testing.assert_allclose(getattr(found, name), value, atol=1e-8 * scale, err_msg=name)
