"""The marginal density against dense normal densities, and its slopes against finite differences.

Tolerance 1e-8 relative against dense algebra; central differences of step 1e-5 are good to about 1e-6.
"""

import numpy as np
import pytest
from designs import data, forced, theta_of
from scipy.linalg import block_diag
from scipy.stats import multivariate_normal

from bimixed.crossproducts import cross_products
from bimixed.design import build_design
from bimixed.formula import parse_formula
from bimixed.likelihood.objective import evaluate, relative_factors
from bimixed.marginal.density import FixefPrior, draw_effects, marginal

STRUCTURES = {
    "slope": "y ~ x + (x | a)",
    "blocks": "y ~ x + z + (x || a) + (0 + z | a)",
    "nested": "y ~ x + (x | a/b)",
    "crossed": "y ~ x + (x | i) + (1 | j)",
    "nested and crossed": "y ~ 1 + (x | a/b/c) + (z | i) + (x | j)",
    "no fixed effects": "y ~ 0 + (x | a) + (1 | j)",
}


def setting(structure, singular, seed=3):
    design = build_design(parse_formula(STRUCTURES[structure]), data(seed, 90), weights="w", offset="o")
    cp = cross_products(design)
    return design, cp, relative_factors(cp, theta_of(cp, seed, singular))


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("singular", ["none", "some", "all"])
@pytest.mark.parametrize("route", ["plain", "sparse"])
def test_against_the_dense_density(structure, singular, route):
    with forced(route):
        design, cp, T = setting(structure, singular)
        rng = np.random.default_rng(1)
        mean, sd, sigma2 = rng.normal(size=cp.p), rng.uniform(0.3, 4.0, cp.p), 1.7
        found = marginal(cp, T, sigma2, FixefPrior(mean, sd)).log_density
    Z = np.hstack([f.matrix().toarray() for f in design.factors])
    H = block_diag(*[np.kron(np.eye(f.n_levels), t @ t.T) for f, t in zip(design.factors, T, strict=True)])
    W = design.weights / cp.weight_scale
    X = design.X_kept
    cov = sigma2 * (np.diag(1.0 / W) + Z @ H @ Z.T) + (X * sd**2) @ X.T
    expected = multivariate_normal(X @ mean, cov).logpdf(design.y - design.offset)
    assert found == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_flat_coefficients_give_the_restricted_likelihood(structure):
    _, cp, T = setting(structure, "none")
    theta = np.concatenate([t.theta(own) for t, own in zip(cp.templates, T, strict=True)])
    reml = evaluate(cp, theta, True)
    flat = FixefPrior(np.zeros(cp.p), np.full(cp.p, np.inf))
    assert marginal(cp, T, reml.sigma2, flat).log_density == pytest.approx(-0.5 * reml.deviance, rel=1e-10)
    assert marginal(cp, T, reml.sigma2, flat).sigma2_slope == pytest.approx(0.0, abs=1e-7 * cp.n)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("singular", ["none", "some"])
def test_slopes(structure, singular):
    _, cp, T = setting(structure, singular)
    rng = np.random.default_rng(2)
    sd = rng.uniform(0.3, 4.0, cp.p)
    sd[: cp.p // 2] = np.inf
    prior, sigma2, h = FixefPrior(rng.normal(size=cp.p), sd), 1.3, 1e-5
    here = marginal(cp, T, sigma2, prior)
    up, down = (marginal(cp, T, sigma2 + d, prior).log_density for d in (h, -h))
    assert here.sigma2_slope == pytest.approx((up - down) / (2 * h), rel=1e-6, abs=1e-6)
    for place, slope in enumerate(here.H_slopes):
        move = np.tril(rng.normal(size=slope.shape)) * (T[place] != 0)
        ends = [[*T[:place], T[place] + d * move, *T[place + 1 :]] for d in (h, -h)]
        up, down = (marginal(cp, end, sigma2, prior).log_density for end in ends)
        assert np.sum(slope * (move @ T[place].T + T[place] @ move.T)) == pytest.approx(
            (up - down) / (2 * h), rel=1e-5, abs=1e-5
        )


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("singular", ["none", "some"])
@pytest.mark.parametrize("route", ["plain", "sparse"])
def test_draws_of_effects(structure, singular, route):
    """Means and covariances of 40,000 draws within five standard errors of the dense normal conditional."""
    with forced(route):
        design, cp, T = setting(structure, singular)
        rng = np.random.default_rng(5)
        mean, sd, sigma2, n = rng.normal(size=cp.p), rng.uniform(0.3, 4.0, cp.p), 1.7, 40_000
        point = marginal(cp, T, sigma2, FixefPrior(mean, sd))
        beta, effects = draw_effects(point, n, rng)
    Z = np.hstack([f.matrix().toarray() for f in design.factors])
    H = block_diag(*[np.kron(np.eye(f.n_levels), t @ t.T) for f, t in zip(design.factors, T, strict=True)])
    X, p = design.X_kept, cp.p
    A = np.hstack([X, Z])
    prior = block_diag(np.diag(sd**2), sigma2 * H)
    V = sigma2 * np.diag(cp.weight_scale / design.weights) + A @ prior @ A.T
    gain = prior @ A.T @ np.linalg.inv(V)
    expected = np.append(mean, np.zeros(Z.shape[1])) + gain @ (design.y - design.offset - X @ mean)
    cov = prior - gain @ A @ prior
    drawn = np.hstack([beta, *(effects[place].reshape(n, -1) for place in range(len(T)))])
    spread = np.sqrt(np.diag(cov).clip(min=0.0))
    assert p == beta.shape[1]
    np.testing.assert_array_less(np.abs(drawn.mean(axis=0) - expected), 5 * spread / np.sqrt(n) + 1e-9)
    error = np.abs(np.cov(drawn, rowvar=False) - cov)
    np.testing.assert_array_less(error, 5 * np.sqrt(2.0 / n) * np.outer(spread, spread) + 1e-9)
