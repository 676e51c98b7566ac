"""ICC and R² against R's performance, and against the rows' covariance written out."""

import numpy as np
import pytest
from designs import data
from drawn import importance_fit
from lme4_fits import FITS, fitted

import bimixed as bm

FORMULAS = ["y ~ x + (x | i) + (1 | j)", "y ~ 0 + x + (0 + x | i/b)", "y ~ (x || i)"]


@pytest.mark.parametrize("fit_id", [i for i, fit in FITS.items() if fit.get("r2_icc")])
def test_reference_values_of_performance(fit_id):
    reference, ours = FITS[fit_id]["r2_icc"], fitted(fit_id)
    icc, r2 = ours.icc()["estimate"], ours.r2()["estimate"]
    assert icc["adjusted"] == pytest.approx(reference["icc_adjusted"], rel=1e-6)
    assert icc["unadjusted"] == pytest.approx(reference["icc_unadjusted"], rel=1e-6)
    assert r2["conditional"] == pytest.approx(reference["r2_conditional"], rel=1e-6)
    assert r2["marginal"] == pytest.approx(reference["r2_marginal"], rel=1e-6, abs=1e-12)


def by_hand(design, beta, random_cov, sigma):
    """Variances of the fixed part, of each group and of the residual, with n × n matrices."""
    fixed = np.var(design.X_kept @ beta[design.kept], ddof=1)
    groups = {}
    for factor in design.factors:
        Z = factor.matrix().toarray()
        cov = np.kron(np.eye(factor.n_levels), np.asarray(random_cov[factor.key]))
        groups[factor.key] = np.mean(np.diag(Z @ cov @ Z.T))
    weights = np.ones(design.n) if design.weights is None else design.weights
    return fixed, groups, np.mean(sigma**2 / weights)


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("formula", FORMULAS)
def test_shares_of_the_rows_covariance(formula, weights):
    table = data(3, 120)
    table["y"] += table["i"] + 0.3 * table["x"] * table["j"]
    fit = bm.ModelSpec(formula, table, weights=weights).fit()
    fixed, groups, residual = by_hand(fit.design, fit.fixef["estimate"].to_numpy(), fit.random_cov, fit.sigma)
    random = sum(groups.values())
    assert fit.icc()["estimate"].tolist() == pytest.approx(
        [random / (random + residual), random / (fixed + random + residual)]
    )
    assert fit.r2()["estimate"].tolist() == pytest.approx(
        [(fixed + random) / (fixed + random + residual), fixed / (fixed + random + residual)]
    )
    shares = fit.icc(by_group=True)["estimate"]
    assert shares.to_dict() == pytest.approx({k: v / (random + residual) for k, v in groups.items()})
    assert list(fit.r2().columns) == ["estimate"]


def test_weights_in_other_units_change_nothing():
    table = data(3, 120)
    one, other = (bm.ModelSpec("y ~ x + (1 | i)", table, weights=k * table["w"]).fit() for k in (1.0, 50.0))
    assert one.icc()["estimate"].tolist() == pytest.approx(other.icc()["estimate"].tolist(), rel=1e-5)


def test_rows_that_combine_levels():
    rng = np.random.default_rng(1)
    members = rng.dirichlet(np.ones(4), size=60)
    x = rng.normal(size=60)
    y = x + members @ np.array([3.0, -2.0, 1.0, 0.0]) + 0.3 * rng.normal(size=60)
    fit = bm.ModelSpec.from_arrays(y, np.column_stack([np.ones(60), x]), exog_vc={"m": {0: members}}).fit()
    fixed, groups, residual = by_hand(fit.design, fit.fixef["estimate"].to_numpy(), fit.random_cov, fit.sigma)
    (random,) = groups.values()
    assert fit.r2().loc["conditional", "estimate"] == pytest.approx(
        1 - residual / (fixed + random + residual)
    )


@pytest.mark.filterwarnings("ignore:Few effective draws")
def test_draws_give_the_mean_and_equal_tails_of_each_draws_share():
    spec = bm.ModelSpec("y ~ x + (x | i)", data(3, 120).assign(y=lambda t: t["y"] + t["i"]))
    fit = importance_fit(spec, 400)
    draws = fit.uncertainty
    shares = []
    for d in range(400):
        cov = {key: own[d] for key, own in draws.random_cov.items()}
        fixed, groups, residual = by_hand(fit.design, draws.beta[d], cov, draws.sigma[d])
        random = sum(groups.values())
        shares.append([random / (random + residual), (fixed + random) / (fixed + random + residual)])
    adjusted, conditional = np.array(shares).T
    expected = [adjusted.mean(), *np.quantile(adjusted, [0.05, 0.95])]
    assert fit.icc(level=0.9).loc["adjusted"].tolist() == pytest.approx(expected)
    expected = [conditional.mean(), *np.quantile(conditional, [0.05, 0.95])]
    assert fit.r2(level=0.9).loc["conditional"].tolist() == pytest.approx(expected)


def test_a_dropped_column_and_a_level_that_is_no_probability():
    table = data(3, 120)
    plain = bm.ModelSpec("y ~ x + (1 | i)", table).fit()
    doubled = bm.ModelSpec("y ~ x + x2 + (1 | i)", table.assign(x2=2 * table["x"])).fit()
    assert doubled.r2()["estimate"].tolist() == pytest.approx(plain.r2()["estimate"].tolist(), rel=1e-6)
    with pytest.raises(bm.DataError, match="level is 95"):
        plain.r2(level=95)
