"""The blocked algebra against n × n brute force, on random designs of every structure.

Tolerance: 1e-8 relative to the size of what is compared. Both sides are double precision; brute force
inverts matrices of condition up to 1e6, which costs it about that many digits.
"""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from dense import dense_fit
from designs import data, forced, theta_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bimixed.crossproducts import cross_products
from bimixed.design import array_design, build_design
from bimixed.formula import parse_formula
from bimixed.likelihood.objective import evaluate, gradient, relative_factors

STRUCTURES = {
    "one factor": "y ~ x + (1 | a)",
    "slope": "y ~ x + (x | a)",
    "three coefficients": "y ~ x + (x + z | i)",
    "uncorrelated and second term": "y ~ x + (x || a) + (0 + z | a)",
    "nested": "y ~ x + (1 | a/b)",
    "nested thrice with slopes": "y ~ x + (x | a/b/c)",
    "crossed": "y ~ x + (x | i) + (1 | j)",
    "three crossed": "y ~ x + (x | i) + (x + z | j) + (1 | b)",
    "nested and crossed": "y ~ x + (x | a/b) + (z | i)",
    "nested thrice and two crossed": "y ~ 1 + (x | a/b/c) + (z | i) + (x | j)",
    "no fixed effects": "y ~ 0 + (x | a) + (1 | j)",
    "rank deficient": "y ~ x + I(2 * x) + z + (1 | a)",
}


GENERAL = ("membership alone", "membership and slopes", "basis by group", "two general and nested")


def general_design(structure, seed, n, weighted):
    """Designs whose rows combine levels, through arrays."""
    d = data(seed, n)
    rng = np.random.default_rng(seed + 1)
    X = np.column_stack([np.ones(n), d["x"]])
    members = sp.csr_array(rng.dirichlet(np.ones(9) * 0.3, n).round(2))
    basis = {g: np.vander(d["z"][d["a"] == g], 2 + g % 2) for g in sorted(d["a"].unique())}
    indicators = {g: pd.get_dummies(d["b"][d["a"] == g]).to_numpy(float) for g in sorted(d["a"].unique())}
    arguments = {
        "membership alone": (None, {"exog_vc": {"m": members}}),
        "membership and slopes": (d["i"], {"exog_re": X, "exog_vc": {"m": members}}),
        "basis by group": (d["a"], {"exog_vc": {"s": basis}}),
        "two general and nested": (
            d["a"],
            {"exog_re": np.ones(n), "exog_vc": {"m": indicators, "s": basis, "c": members.toarray()}},
        ),
    }
    groups, given = arguments[structure]
    kwargs = {"weights": d["w"], "offset": d["o"]} if weighted else {}
    return array_design(d["y"], X, groups, **given, **kwargs)


@pytest.mark.parametrize("structure", [*STRUCTURES, *GENERAL])
@pytest.mark.parametrize("route", ["plain", "compiled", "columns", "sparse"])
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(60, 120),
    weighted=st.booleans(),
    reml=st.booleans(),
    singular=st.sampled_from(["none", "some", "all", "wide"]),
)
@example(seed=185, n=60, weighted=False, reml=False, singular="wide")
def test_against_brute_force(structure, route, seed, n, weighted, reml, singular):
    kwargs = {"weights": "w", "offset": "o"} if weighted else {}
    if structure in GENERAL:
        design = general_design(structure, seed, n, weighted)
    else:
        design = build_design(parse_formula(STRUCTURES[structure]), data(seed, n), **kwargs)
    with forced(route):
        cp = cross_products(design)
        theta = theta_of(cp, seed, singular)
        T = relative_factors(cp, theta)
        at = evaluate(cp, theta, reml)
        slopes = gradient(cp, at, reml)
        assert len(slopes.inverse.gamma) == len(slopes.inverse.P) == len(design.factors)
    assert (cp.analysis is not None) == (route == "sparse" and bool(cp.trailing))
    dense = dense_fit(design, T, reml)

    assert at.deviance == pytest.approx(dense.deviance, rel=1e-8, abs=1e-8)
    assert at.sigma2 == pytest.approx(dense.sigma2, rel=1e-8)
    np.testing.assert_allclose(
        cp.basis.coefficients(at.gamma, at.ranef),
        dense.beta,
        atol=1e-8 * (1 + np.abs(dense.beta).max(initial=0)),
    )
    start = 0
    for place, factor in enumerate(design.factors):
        K = factor.n_coefficients
        scale = 1.0 + np.abs(dense.b[place]).max()
        np.testing.assert_allclose(at.ranef[place], dense.b[place], atol=1e-8 * scale)
        ZVZ = np.zeros((K, K))
        for level in range(factor.n_levels):
            here = slice(start, start + K)
            start += K
            ZVZ += dense.ZVZ[here, here]
            cov = dense.conditional_cov[here, here]
            np.testing.assert_allclose(
                at.sigma2 * slopes.inverse.P[place][level], cov, atol=1e-8 * (1 + np.abs(cov).max())
            )
        np.testing.assert_allclose(slopes.inverse.gamma[place], ZVZ, atol=1e-7 * (1 + np.abs(ZVZ).max()))


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("singular", ["none", "some"])
def test_gradient_against_finite_differences(structure, reml, singular):
    """Central differences of step 1e-5 are good to about 1e-6 of the largest derivative."""
    design = build_design(parse_formula(STRUCTURES[structure]), data(5, 100), weights="w")
    cp = cross_products(design)
    for seed in range(3):
        theta = theta_of(cp, seed, singular)
        exact = gradient(cp, evaluate(cp, theta, reml), reml)
        step = 1e-5 * np.eye(len(theta))
        up = [evaluate(cp, theta + h, reml) for h in step]
        down = [evaluate(cp, theta - h, reml) for h in step]
        numeric = np.array([u.deviance - d.deviance for u, d in zip(up, down, strict=True)]) / 2e-5
        np.testing.assert_allclose(exact.theta, numeric, atol=1e-6 * (1 + np.abs(numeric).max()))
        df = cp.n - cp.p if reml else cp.n
        r2 = np.array([u.sigma2 - d.sigma2 for u, d in zip(up, down, strict=True)]) * df / 2e-5
        np.testing.assert_allclose(exact.r2_theta, r2, atol=1e-6 * (1 + np.abs(r2).max()))


def test_derivative_in_the_covariance_at_zero_variance():
    """Where T = 0 the slope in θ is 0, but the one in H = TT' tells where the deviance goes."""
    design = build_design(parse_formula("y ~ x + (1 | a) + (1 | i)"), data(2, 100))
    cp = cross_products(design)
    base = evaluate(cp, np.zeros(2), True)
    slopes = gradient(cp, base, True)
    np.testing.assert_array_equal(slopes.theta, 0.0)
    for place in range(2):
        rise = []
        for h in (1e-6, 5e-7):
            theta = np.zeros(2)
            theta[place] = np.sqrt(h)
            rise.append((evaluate(cp, theta, True).deviance - base.deviance) / h)
        # one-sided differences, extrapolated; rounding of the deviance leaves 1e-13/5e-7
        assert slopes.H[place][0, 0] == pytest.approx(2 * rise[1] - rise[0], abs=1e-5)


def test_large_mean_and_scale_of_the_response_change_nothing():
    table = data(3, 100)
    base = cross_products(build_design(parse_formula("y ~ x + (x | a)"), table))
    theta = np.array([0.7, -0.2, 0.4])
    reference = evaluate(base, theta, True)
    for scale, shift in [(1e-8, 0.0), (1e8, 0.0), (1.0, 1e8)]:
        moved = table.assign(y=table["y"] * scale + shift)
        cp = cross_products(build_design(parse_formula("y ~ x + (x | a)"), moved))
        at = evaluate(cp, theta, True)
        # a shift of 1e8 leaves 8 digits of the response itself
        tolerance = 1e-6 if shift else 1e-10
        assert np.sqrt(at.sigma2) / scale == pytest.approx(np.sqrt(reference.sigma2), rel=tolerance)


@pytest.mark.parametrize("route", ["plain", "compiled", "sparse"])
@pytest.mark.parametrize(
    "formula",
    [
        "y ~ u + (u | i) + (1 | j)",
        "y ~ u + (0 + u + v | i) + (1 | j)",
        "y ~ u + (u | i) + (v | j) + (0 + u | b)",
    ],
)
def test_covariates_that_are_zero_in_some_rows(route, formula):
    """Years from 0, and dummies of a condition: entries of Z that are there and zero. Against brute force."""
    table = data(6, 110)
    table["u"] = table["b"].astype(float)
    table["v"] = (table["x"] > 1).astype(float)
    design = build_design(parse_formula(formula), table)
    with forced(route):
        cp = cross_products(design)
        for seed in range(3):
            theta = theta_of(cp, seed, "none")
            at = evaluate(cp, theta, True)
            slopes = gradient(cp, at, True)
            dense = dense_fit(design, relative_factors(cp, theta), True)
            assert at.deviance == pytest.approx(dense.deviance, rel=1e-10)
            for place in range(len(design.factors)):
                np.testing.assert_allclose(at.ranef[place], dense.b[place], atol=1e-8)
            assert np.isfinite(slopes.theta).all()
