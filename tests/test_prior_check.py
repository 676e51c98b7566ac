"""Priors that disagree with the data are found, those that agree aren't.

Posteriors of this file are exact draws by importance sampling of the variance parameters, which takes
milliseconds; those of radon come from NUTS.
"""

from dataclasses import replace

import arviz
import numpy as np
import pytest
import xarray
from scipy import stats
from scipy.optimize import brentq

import bimixed as bm
from bimixed.marginal.likelihood import log_likelihoods
from bimixed.prior_check import CONFLICT, DOMINATES, FINE, INFORMS
from bimixed.prior_marginals import Marginal

P = bm.Prior


def posterior(formula="Reaction ~ Days + (1 | Subject)", dataset="sleepstudy", **priors):
    return posterior_of(bm.ModelSpec(formula, bm.load_dataset(dataset), priors=priors))


def posterior_of(spec, draws=2000):
    return spec.fit("importance", draws=draws, random_seed=1, progress=False)


def test_defaults_are_fine_on_sleepstudy():
    check = bm.prior_check(posterior("Reaction ~ Days + (Days | Subject)"))
    assert (check.table["verdict"] == FINE).all()
    assert check.ok
    assert check.messages == ()


def test_defaults_are_fine_on_radon(radon_nuts, radon_reml):
    check = bm.prior_check(radon_nuts)
    assert (check.table["verdict"] == FINE).all()
    assert check.table.index.tolist() == radon_nuts.conf_int().index.tolist()
    reml = radon_reml.conf_int().assign(
        estimate=[*radon_reml.fixef["estimate"], *radon_reml.uncertainty.variance_parameters().values]
    )
    np.testing.assert_allclose(check.table["reml"], reml["estimate"])
    floor = radon_nuts.spec.priors["floor"].parameters
    assert check.table.loc["floor", "prior_quantile"] == pytest.approx(
        stats.norm.cdf(radon_reml.fixef.loc["floor", "estimate"], 0, floor["sigma"])
    )
    assert check.table.loc["floor", "prior_sd"] == pytest.approx(floor["sigma"])
    sds = radon_nuts.coef_table()["std_error"]
    np.testing.assert_allclose(check.table["posterior_sd"][:3], sds, rtol=0.1)  # half of the draws


CONFLICTS = {
    "slope": ("Days", {"Days": P("normal", mu=0, sigma=0.1)}),
    "sd": ("sd_Subject[Intercept]", {"sd": P("half_normal", sigma=0.01)}),
    "bounds": ("sd_Subject[Intercept]", {"sd_Subject": P("uniform", lower=0, upper=5)}),
    "sigma": ("sigma", {"sigma": P("gamma", alpha=400, beta=40)}),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_conflicts_are_found(name):
    parameter, priors = CONFLICTS[name]
    check = bm.prior_check(posterior(**priors))
    assert check.table.index[check.table["verdict"] == CONFLICT].tolist() == [parameter]
    assert check.table.loc[parameter, "prior_tail"] < 0.01
    assert not check.ok
    [message] = [m for m in check.messages if "conflict" in m]
    assert message.startswith(f"{parameter}: {next(iter(priors.values()))!r}")
    assert "spec.update(priors=" in message
    assert parameter in str(check)
    assert "<table" in check._repr_html_()


def test_a_correlation_in_conflict():
    """Intercepts and slopes in a covariate far from 0 are correlated almost perfectly."""
    data = bm.load_dataset("sleepstudy").assign(late=lambda d: d["Days"] - 40)
    priors = {"corr_Subject": P("lkj", eta=40)}
    fit = posterior_of(bm.ModelSpec("Reaction ~ late + (late | Subject)", data, priors=priors))
    check = bm.prior_check(fit)
    assert check.table.loc["corr_Subject[Intercept,late]", "verdict"] == CONFLICT


def test_a_variance_that_the_data_do_not_know():
    """A factor both fixed and random: the posterior of its sd is the prior, and told to be."""
    for prior in (P("half_student_t", nu=3, sigma=2), P("uniform", lower=0, upper=3)):
        fit = posterior("Yield ~ Batch + (1 | Batch)", "dyestuff", sd=prior)
        row = bm.prior_check(fit).table.loc["sd_Batch[Intercept]"]
        assert np.isnan(row["reml"])
        assert row["verdict"] == DOMINATES


def test_a_correlation_that_the_data_do_not_know():
    """Slopes that hardly vary say nothing of their correlation with intercepts."""
    priors = {"sd_Subject[Days]": P("gamma", alpha=100, beta=2000)}
    table = bm.prior_check(posterior("Reaction ~ Days + (Days | Subject)", **priors)).table
    row = table.loc["corr_Subject[Intercept,Days]"]
    assert row["verdict"] == DOMINATES
    assert row["likelihood_sensitivity"] < 0.05
    assert row["posterior_sd"] == pytest.approx(row["prior_sd"], rel=0.1)


def test_informative_priors_that_agree():
    check = bm.prior_check(posterior(Days=P("normal", mu=10, sigma=0.8)))
    assert check.table.loc["Days", "verdict"] == INFORMS
    assert check.ok
    assert "wider" in check.messages[0]


def test_flat_priors_take_no_part():
    row = bm.prior_check(posterior(Days=P("flat"))).table.loc["Days"]
    assert row["prior_sensitivity"] == 0.0
    assert np.isnan(row["prior_quantile"])
    assert row["prior_sd"] == np.inf
    assert row["verdict"] == FINE


def test_no_verdict_of_conflict_at_a_boundary():
    """REML has an sd of 0 and no interval; the prior isn't at fault."""
    row = bm.prior_check(posterior("Yield ~ 1 + (1 | Batch)", "dyestuff2")).table.iloc[1]
    assert row["reml"] == 0.0
    assert np.isnan(row["prior_tail"])
    assert row["verdict"] in (FINE, INFORMS)


def test_sensitivities_are_those_of_arviz():
    """psense of a tree that has these draws, the prior of one parameter, and the likelihood."""
    fit = posterior("Reaction ~ Days + (Days | Subject)", Days=P("normal", mu=0, sigma=2))
    table = bm.prior_check(fit).table
    draws = fit.uncertainty
    names, variances = draws.variance_draws()
    corr = variances[:, names.index("corr_Subject[Intercept,Days]")]
    sample = ("chain", "draw")
    tree = xarray.DataTree.from_dict(
        {
            "posterior": xarray.Dataset(
                {"slope": (sample, draws.beta[None, :, 1]), "corr": (sample, corr[None])}
            ),
            "log_prior": xarray.Dataset(
                {
                    "slope": (sample, stats.norm(0, 2).logpdf(draws.beta[None, :, 1])),
                    "corr": (sample, np.log1p(-(corr[None] ** 2))),
                }
            ),
            "log_likelihood": xarray.Dataset({"y": (sample, log_likelihoods(fit.design, draws)[None])}),
        }
    )
    for name, own in (("slope", "Days"), ("corr", "corr_Subject[Intercept,Days]")):
        row = arviz.psense_summary(tree, var_names=[name], prior_var_names=name, round_to=10).iloc[0]
        assert table.loc[own, "prior_sensitivity"] == pytest.approx(row["prior"], abs=1e-9)
        assert table.loc[own, "likelihood_sensitivity"] == pytest.approx(row["likelihood"], abs=1e-9)


def test_tails():
    normal = Marginal("x", "x", P("normal", mu=1, sigma=2))
    for lower, upper, nearest in [(5, 9, 5), (-9, -4, -4), (-7, 8, 1), (1.5, 1.5, 1.5)]:
        expected = 2 * stats.norm.sf(abs(nearest - 1) / 2)
        assert normal.tail(lower, upper) == pytest.approx(expected, abs=1e-3)
    half = Marginal("sigma", "sigma", P("half_student_t", nu=3, sigma=2))
    assert half.tail(3, 4) == pytest.approx(2 * stats.t.sf(1.5, 3), abs=1e-3)
    assert half.tail(0.0, 0.0) == 1.0
    gamma = Marginal("sigma", "sigma", P("gamma", alpha=3, beta=1))
    distribution = stats.gamma(3)
    other = brentq(lambda x: distribution.pdf(x) - distribution.pdf(4), 0, 2)
    assert gamma.tail(4, 9) == pytest.approx(distribution.sf(4) + distribution.cdf(other), abs=1e-3)
    bounded = Marginal("sigma", "sigma", P("uniform", lower=1, upper=2))
    assert [bounded.tail(*ends) for ends in ((0, 0.9), (1.2, 1.3), (1.9, 5))] == [0.0, 1.0, 1.0]
    assert np.isnan(bounded.tail(np.nan, 1.0))


def test_wrong_requests(radon_reml, radon_nuts):
    with pytest.raises(bm.UnavailableError, match="fit with method='nuts'"):
        bm.prior_check(radon_reml)
    with pytest.raises(bm.BimixedError, match="not a ModelSpec"):
        bm.prior_check(radon_reml.spec)
    with pytest.raises(bm.FitError, match="draws"):
        bm.prior_check(radon_nuts, draws=10)
    few = replace(radon_nuts, uncertainty=radon_nuts.uncertainty.at(np.arange(20)))
    with pytest.raises(bm.UnavailableError, match="this posterior has 20"):
        bm.prior_check(few)
