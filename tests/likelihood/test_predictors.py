"""Variances of linear predictors for rows that the data have, and for combinations that they don't.

Tolerance 1e-8 relative against dense algebra, as for everything that the elimination computes.
"""

import numpy as np
import pytest
import scipy.sparse as sp
from designs import data, forced, theta_of
from scipy.linalg import block_diag

from bimixed.crossproducts import cross_products
from bimixed.design import build_design
from bimixed.formula import parse_formula
from bimixed.likelihood.factorization import factorize
from bimixed.likelihood.objective import relative_factors
from bimixed.likelihood.predictors import quadratic_forms

STRUCTURES = {
    "slope": "y ~ x + (x | a)",
    "nested thrice with slopes": "y ~ x + (x | a/b/c)",
    "crossed": "y ~ x + (x | i) + (1 | j)",
    "nested thrice and two crossed": "y ~ 1 + (x | a/b/c) + (z | i) + (x | j)",
    "no fixed effects": "y ~ 0 + (x | a) + (1 | j)",
}


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("route", ["plain", "compiled", "sparse"])
@pytest.mark.parametrize("singular", ["none", "some"])
def test_quadratic_forms_of_any_rows(structure, route, singular):
    design = build_design(parse_formula(STRUCTURES[structure]), data(5, 90), weights="w")
    rng = np.random.default_rng(0)
    Z = [sp.csr_array(f.matrix()) for f in design.factors]
    shuffled = [z[rng.permutation(design.n)] for z in Z]  # levels that never met
    with forced(route):
        cp = cross_products(design)
        T = relative_factors(cp, theta_of(cp, 1, singular))
        fact = factorize(cp, T)
        found = [quadratic_forms(fact, dict(enumerate(rows))) for rows in (Z, shuffled)]
        alone = quadratic_forms(fact, {len(Z) - 1: shuffled[-1]})
    blocks = [np.kron(np.eye(f.n_levels), Tj @ Tj.T) for f, Tj in zip(design.factors, T, strict=True)]
    H = block_diag(*blocks)
    full = np.hstack([z.toarray() for z in Z])
    W = design.weights / np.exp(np.mean(np.log(design.weights)))
    V = np.diag(1.0 / W) + full @ H @ full.T
    P = H - H @ full.T @ np.linalg.solve(V, full @ H)
    for rows, quadratic in zip((Z, shuffled), found, strict=True):
        dense = np.hstack([z.toarray() for z in rows])
        expected = np.einsum("ma,ab,mb->m", dense, P, dense)
        np.testing.assert_allclose(quadratic, expected, atol=1e-8 * (1.0 + expected.max()))
    last = np.zeros_like(full)
    last[:, full.shape[1] - Z[-1].shape[1] :] = shuffled[-1].toarray()
    expected = np.einsum("ma,ab,mb->m", last, P, last)
    np.testing.assert_allclose(alone, expected, atol=1e-8 * (1.0 + expected.max()))
