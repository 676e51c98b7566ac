"""Densities of left-out rows against dense conditional normal densities, and elpd against quadrature.

Log-densities within 1e-8 of the dense ones. The elpd from draws: within four Monte Carlo errors, each draw's
log-density being known.
"""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from designs import data, forced
from drawn import dyestuff, importance_fit
from scipy.linalg import block_diag
from scipy.special import logsumexp

import bimixed as bm
from bimixed.design import build_design
from bimixed.formula import parse_formula
from bimixed.likelihood import neighbourhoods
from bimixed.marginal import units
from bimixed.marginal.left_out import LeftOut
from bimixed.priors import resolve_priors

STRUCTURES = {
    "slope": "y ~ x + (x | a)",
    "blocks": "y ~ x + z + (x || a) + (0 + z | a)",
    "nested": "y ~ x + (x | a/b/c)",
    "crossed": "y ~ x + (x | i) + (1 | j)",
    "nested and crossed": "y ~ 1 + (x | a/b/c) + (z | i) + (x | j)",
    "no fixed effects": "y ~ 0 + (x | a) + (1 | j)",
}
NORMAL, FLAT = bm.Prior("normal", mu=0.7, sigma=1.5), bm.Prior("flat")
STUDENT = bm.Prior("student_t", nu=4, mu=0, sigma=2)
PRIORS = {"normal": {"fixef": NORMAL}, "flat": {"fixef": FLAT}, "student": {"fixef": STUDENT}}


def formula_design(structure, n=60):
    return build_design(parse_formula(STRUCTURES[structure]), data(3, n), weights="w", offset="o")


def membership_design():
    """Rows of one to three members, in five classes."""
    rng = np.random.default_rng(4)
    n, q = 60, 8
    Z = np.zeros((n, q))
    for row in Z:
        members = rng.choice(q, rng.integers(1, 4), replace=False)
        row[members] = rng.uniform(0.2, 1.0, len(members))
    X = np.column_stack([np.ones(n), rng.normal(size=n)])
    spec = bm.ModelSpec.from_arrays(
        rng.normal(size=n), X, rng.integers(0, 5, n), exog_re=X, exog_vc={"member": sp.csr_array(Z)}
    )
    return spec.design


def settings(design, priors, seed=1):
    """Resolved priors, and one draw of the parameters."""
    rng = np.random.default_rng(seed)
    covs = {}
    for f in design.factors:
        half = f.template.factor(rng.normal(size=f.template.n_theta))
        covs[f.key] = half @ half.T
    beta = rng.normal(size=len(design.names))
    given = PRIORS[priors] if design.names else {}
    return resolve_priors(design, given), beta, covs, 1.3


def universal(cov, X, y, known, new):
    """Mean and covariance of y[new] given y[known], flat coefficients of X (best linear prediction)."""
    inverse = np.linalg.inv(cov[np.ix_(known, known)])
    gain = cov[np.ix_(new, known)] @ inverse
    left = X[new] - gain @ X[known]
    C = np.linalg.inv(X[known].T @ inverse @ X[known])
    beta = C @ X[known].T @ inverse @ y[known]
    mean = X[new] @ beta + gain @ (y[known] - X[known] @ beta)
    return mean, cov[np.ix_(new, new)] - gain @ cov[np.ix_(known, new)] + left @ C @ left.T


def dense_densities(design, priors, beta, covs, sigma, rows):
    """log p(y_rows | y_others), and that of the same values as second responses given all of y."""
    n, X = design.n, np.asarray(design.X_kept)
    Z = np.hstack([f.matrix().toarray() for f in design.factors])
    H = block_diag(*[np.kron(np.eye(f.n_levels), covs[f.key]) for f in design.factors])
    y = design.y - (0.0 if design.offset is None else design.offset)
    noise = np.full(n, sigma**2) if design.weights is None else sigma**2 / design.weights
    mean_cov, flat = Z @ H @ Z.T, np.zeros((n, 0))
    if priors == "normal":
        y, mean_cov = y - X @ np.full(X.shape[1], 0.7), mean_cov + 1.5**2 * X @ X.T
    elif priors == "flat":
        flat = X
    else:
        y = y - X @ beta
    twice = np.concatenate([np.arange(n), rows])
    cov = mean_cov[np.ix_(twice, twice)] + np.diag(noise[twice])
    others = np.setdiff1d(np.arange(n), rows)
    found = []
    for known, new in ((others, rows), (np.arange(n), n + np.arange(len(rows)))):
        mean, own = universal(cov, flat[twice], y[twice], known, new)
        left = y[rows] - mean
        log_det = np.linalg.slogdet(own)[1]
        found.append(-0.5 * (len(rows) * np.log(2 * np.pi) + log_det + left @ np.linalg.solve(own, left)))
    return found


def assert_all_units(design, priors, codes):
    resolved, beta, covs, sigma = settings(design, priors)
    left_out = LeftOut(design, resolved)
    prepared = left_out.observations() if codes is None else left_out.groups(codes)
    seen = []
    for part in prepared.parts(20):
        density, again = part(beta[None], {key: cov[None] for key, cov in covs.items()}, np.array([sigma]))
        for place, unit in enumerate(part.units):
            rows = np.array([unit]) if codes is None else np.flatnonzero(codes == unit)
            expected = dense_densities(design, priors, beta, covs, sigma, rows)
            np.testing.assert_allclose([density[0, place], again[place]], expected, rtol=1e-8, atol=1e-8)
            seen.append(unit)
    assert sorted(seen) == list(range(design.n if codes is None else codes.max() + 1))


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("priors", PRIORS)
@pytest.mark.parametrize("route", ["plain", "sparse"])
def test_against_dense_conditional_densities(structure, priors, route):
    design = formula_design(structure)
    with forced(route):
        assert_all_units(design, priors, None)
        for factor in design.factors:
            assert_all_units(design, priors, factor.codes)


def test_weights_in_any_units():
    """Of any geometric mean, and one of them tiny."""
    design = formula_design("crossed")
    weights = 7.3 * design.weights
    weights[4] = 1e-4
    assert_all_units(replace(design, weights=weights), "normal", None)
    assert_all_units(replace(design, weights=weights), "flat", design.factors[1].codes)


@pytest.mark.parametrize("structure", ["slope", "nested and crossed"])
def test_the_same_in_small_batches_of_what_counts_as_large(structure, monkeypatch):
    monkeypatch.setattr(neighbourhoods, "CHUNK", 300)
    monkeypatch.setattr(neighbourhoods, "LARGEST", 0)
    monkeypatch.setattr(units, "TOGETHER", 4)
    monkeypatch.setattr(units, "CHUNK", 50)
    monkeypatch.setattr(units, "LARGE", 2)
    monkeypatch.setattr(neighbourhoods, "LARGE", 20)
    design = formula_design(structure)
    assert_all_units(design, "normal", None)
    for factor in design.factors:
        assert_all_units(design, "normal", factor.codes)


@pytest.mark.parametrize("priors", PRIORS)
@pytest.mark.parametrize("route", ["plain", "sparse"])
def test_rows_that_combine_levels(priors, route):
    design = membership_design()
    with forced(route):
        assert_all_units(design, priors, None)
        assert_all_units(design, priors, design.factors[0].codes)


@pytest.mark.parametrize("priors", PRIORS)
def test_no_factor_of_single_levels(priors):
    """Only a component: single rows, and sets of rows that no factor has, some rows in none."""
    design = membership_design()
    Z = design.factors[1].matrix()
    alone = bm.ModelSpec.from_arrays(design.y, np.asarray(design.X), exog_vc={"member": Z}).design
    assert_all_units(alone, priors, None)
    assert_all_units(alone, priors, np.arange(alone.n) % 7 - 1)


def test_units_of_very_many_effects_are_refused(monkeypatch):
    design = formula_design("crossed")
    monkeypatch.setattr(units, "MANY_EFFECTS", 10)
    with pytest.raises(bm.UnavailableError, match="18 random effects"):
        LeftOut(design, resolve_priors(design, None)).groups(np.arange(60) // 30)


def test_what_the_rest_tells_nothing_of_is_not_a_number():
    """A column that is not 0 in one row only, and a flat prior."""
    table = data(3, 40).assign(once=np.eye(40)[:, 7])
    design = build_design(parse_formula("y ~ x + once + (1 | a)"), table)
    resolved, beta, covs, sigma = settings(design, "flat")
    draw = (beta[None], {key: cov[None] for key, cov in covs.items()}, np.array([sigma]))
    left_out = LeftOut(design, resolved)
    (part,) = left_out.observations().parts(100)
    density, _ = part(*draw)
    assert part.units[np.isnan(density[0])].tolist() == [7]
    codes = design.factors[0].codes
    (part,) = left_out.groups(codes).parts(100)
    assert part.units[np.isnan(part(*draw)[0][0])].tolist() == [codes[7]]


# --- the elpd of a posterior: quadrature over both parameters ------------------------------------


def log_evidence(spec, rows):
    """log ∫ p(y_rows | τ, σ) p(τ) p(σ) dτ dσ on a grid in their logarithms, the mean integrated out."""
    design, prior = spec.design, spec.priors
    y, batch = design.y[rows], design.factors[0].codes[rows]
    same = (batch[:, None] == batch).astype(float)
    mean, sd = (prior["Intercept"].parameters[name] for name in ("mu", "sigma"))
    values, B = np.linalg.eigh(same)  # τ² same + σ² I has the same vectors for all τ and σ
    r, one = B.T @ (y - mean), B.T @ np.ones(len(y))
    values, which = np.unique(values.round(9).clip(min=0.0), return_inverse=True)
    sums = [np.bincount(which, part) for part in (np.ones(len(y)), one**2, one * r, r**2)]
    tau, sigma = np.geomspace(0.01, 2000.0, 200), np.geomspace(15.0, 250.0, 100)
    d = tau[:, None, None] ** 2 * values + sigma[:, None] ** 2
    log_det, a, b, c = (np.log(d) * sums[0]).sum(-1), *((own / d).sum(-1) for own in sums[1:])
    log_p = -0.5 * (len(y) * np.log(2 * np.pi) + log_det + np.log1p(sd**2 * a))
    log_p -= 0.5 * (c - b**2 / (a + 1.0 / sd**2))
    for axis, (name, x) in enumerate({"sd_Batch[Intercept]": tau, "sigma": sigma}.items()):
        nu, scale = prior[name].parameters["nu"], prior[name].parameters["sigma"]
        log_prior = -0.5 * (nu + 1) * np.log1p((x / scale) ** 2 / nu) + np.log(x)
        log_p = log_p + np.expand_dims(log_prior, 1 - axis)
    return logsumexp(log_p)


@pytest.mark.parametrize("unit", ["observation", "Batch"])
def test_elpd_against_exact_posteriors_without_the_unit(unit):
    """p(y_g | y_−g) is the ratio of two integrals over both sds: every row, or batch, left out for real.

    The standard error of the estimate of p is that of a mean of weights 1/p(y_g | y_−g, θ, σ).
    """
    spec = dyestuff()
    fit = importance_fit(spec, 2000)
    draws, found = fit.uncertainty, fit.loo(unit)
    assert found.pareto_k.max() < 0.7
    codes = np.arange(30) if unit == "observation" else spec.design.factors[0].codes
    everything = log_evidence(spec, np.arange(30))
    exact = [everything - log_evidence(spec, np.flatnonzero(codes != u)) for u in np.unique(codes)]
    prepared = LeftOut(spec.design, spec.priors).groups(codes)
    (part,) = prepared.parts(100)
    density = part(draws.beta, draws.random_cov, draws.sigma)[0]
    ratios = np.exp(-density)
    error = ratios.std(axis=0) / ratios.mean(axis=0) / np.sqrt(fit.diagnostics.ess_bulk_min)
    assert error.max() < 0.05
    np.testing.assert_array_less(np.abs(found.elpd_i.values - exact), 4 * error)
    assert found.elpd == pytest.approx(np.sum(exact), abs=0.4)
    assert found.se == pytest.approx(np.sqrt(len(exact)) * np.std(exact), rel=0.05)
