"""The likelihood with random effects integrated out, against dense normal densities (1e-9 relative)."""

import numpy as np
import pytest
from designs import data, forced
from scipy.linalg import block_diag
from scipy.stats import multivariate_normal

import bimixed as bm
from bimixed.design import build_design
from bimixed.formula import parse_formula
from bimixed.marginal.likelihood import log_likelihoods
from bimixed.results.uncertainty import Draws

STRUCTURES = {
    "slope": "y ~ x + (x | a)",
    "blocks": "y ~ x + z + (x || a) + (0 + z | a)",
    "nested": "y ~ x + (x | a/b)",
    "crossed": "y ~ x + (x | i) + (1 | j)",
    "nested and crossed": "y ~ 1 + (x | a/b/c) + (z | i) + (x | j)",
    "no fixed effects": "y ~ 0 + (x | a) + (1 | j)",
}


def some_draws(design, seed, n=3):
    rng = np.random.default_rng(seed)
    cov = {}
    for f in design.factors:
        half = rng.normal(size=(n, f.n_coefficients, f.n_coefficients))
        allowed = block_diag(*[np.ones((b.stop - b.start,) * 2) for b in f.template.sub_blocks()])
        cov[f.key] = (half @ half.transpose(0, 2, 1)) * allowed
        cov[f.key][0] = 0.0  # a variance of 0 is an ordinary value
    beta = np.full((n, len(design.names)), np.nan)
    beta[:, design.kept] = rng.normal(size=(n, len(design.kept)))
    return Draws(beta, cov, rng.uniform(0.5, 2.0, n), {}, {}, {})


def dense(design, draws, i):
    W = np.ones(design.n) if design.weights is None else design.weights
    cov = draws.sigma[i] ** 2 * np.diag(1.0 / W)
    for f in design.factors:
        Z = f.matrix().toarray()
        cov += Z @ np.kron(np.eye(f.n_levels), draws.random_cov[f.key][i]) @ Z.T
    mean = design.X_kept @ draws.beta[i, design.kept] + (0.0 if design.offset is None else design.offset)
    return multivariate_normal(mean, cov).logpdf(design.y)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("route", ["plain", "sparse"])
def test_against_the_dense_density(structure, route):
    table = data(3, 90).assign(w=lambda d: 7 * d["w"])
    design = build_design(parse_formula(STRUCTURES[structure]), table, weights="w", offset="o")
    draws = some_draws(design, 1)
    with forced(route):
        found = log_likelihoods(design, draws)
    np.testing.assert_allclose(found, [dense(design, draws, i) for i in range(3)], rtol=1e-9)


def test_rows_that_combine_levels_and_dropped_columns():
    rng = np.random.default_rng(0)
    x = rng.normal(size=20)
    exog = np.column_stack([np.ones(20), x, 2 * x])
    design = bm.ModelSpec.from_arrays(
        rng.normal(size=20), exog, exog_vc={"member": rng.dirichlet(np.ones(5), 20)}
    ).design
    assert len(design.kept) == 2
    draws = some_draws(design, 2)
    np.testing.assert_allclose(
        log_likelihoods(design, draws), [dense(design, draws, i) for i in range(3)], rtol=1e-9
    )
