"""What loo leaves out, how weights are smoothed, and what is said where they can't be trusted."""

from dataclasses import replace

import arviz
import numpy as np
import pytest
from arviz_stats.base import array_stats
from drawn import dyestuff, importance_fit

import bimixed as bm
from bimixed.results import loo
from bimixed.results.psis import smoothed_weights


@pytest.mark.parametrize("draws", [30, 100, 400, 4000])
@pytest.mark.parametrize("efficiency", [1.0, 0.2])
def test_smoothed_weights_are_those_of_arviz(draws, efficiency):
    rng = np.random.default_rng(1)
    ratios = np.hstack([rng.normal(size=(draws, 12)) * s for s in (1e-6, 0.1, 1.0, 4.0)])
    ratios = np.hstack([ratios, rng.standard_t(2, size=(draws, 12))])
    log_weights, k = smoothed_weights(ratios, efficiency)
    expected, expected_k = array_stats.psislw(-ratios.T, r_eff=efficiency)
    np.testing.assert_allclose(k, expected_k, atol=1e-8)
    np.testing.assert_allclose(log_weights, expected.T, atol=1e-8)


def test_tails_without_a_shape_are_told():
    same, repeated = np.zeros(100), np.append(np.linspace(0.0, 1.0, 80), np.full(20, 2.0))
    log_weights, k = smoothed_weights(np.column_stack([same, repeated]), 1.0)
    assert k.tolist() == [-np.inf, np.inf]
    np.testing.assert_allclose(np.exp(log_weights).sum(axis=0), 1.0)
    np.testing.assert_allclose(np.diff(log_weights[:, 1]), np.diff(repeated), atol=1e-12)


def test_the_record_is_arviz_own():
    fit = importance_fit(dyestuff(), 1000)
    by_row, by_batch = fit.loo(), fit.loo("group")
    assert type(by_row).__module__.startswith("arviz")
    assert (by_row.n_data_points, by_row.n_samples, by_row.scale) == (30, 1000, "log")
    assert by_row.elpd == pytest.approx(by_row.elpd_i.values.sum())
    assert by_row.se == pytest.approx(np.sqrt(30) * by_row.elpd_i.values.std())
    assert by_batch.elpd_i.dims == ("Batch",)
    assert float(by_batch.elpd_i.sel(Batch="C")) == by_batch.elpd_i.values[2]
    # the mean, batches shrunk to it, and two variance parameters
    assert 2.0 < by_row.p < 8.0
    assert not by_row.warning
    assert "elpd_loo" in str(by_row)


def test_arviz_compares_two_models():
    """Of data with batches that differ, the model without them is worse by the difference of the elpds."""
    tiny = dyestuff({"sd": bm.Prior("uniform", lower=0.0, upper=0.1)})
    first, second = (importance_fit(spec, 1000).loo() for spec in (dyestuff(), tiny))
    table = arviz.compare({"with": first, "without": second}, round_to="none")
    assert table.index.tolist() == ["with", "without"]
    assert table.loc["without", "elpd_diff"] == pytest.approx(second.elpd - first.elpd)
    difference = (second.elpd_i - first.elpd_i.values).values
    assert table.loc["without", "dse"] == pytest.approx(np.sqrt(30) * difference.std())


def test_an_outlier_has_a_high_k_and_is_named():
    spec = dyestuff(Yield=bm.load_dataset("dyestuff")["Yield"] + 2500.0 * (np.arange(30) == 7))
    fit = importance_fit(spec, 2000)
    with pytest.warns(bm.ConvergenceWarning, match=r"1 of 30 rows \(up to .*; row 7\).*fit without"):
        found = fit.loo()
    assert found.warning
    assert np.flatnonzero(found.pareto_k.values > 0.7).tolist() == [7]
    shifted = dyestuff(Yield=bm.load_dataset("dyestuff")["Yield"] + 2500.0 * (np.arange(30) // 5 == 2))
    fit = importance_fit(shifted, 2000)
    with pytest.warns(bm.ConvergenceWarning, match=r"1 of 6 levels of Batch \(.*; level C of Batch\)"):
        fit.loo("Batch")


def test_flat_priors_that_need_every_row():
    data = bm.load_dataset("dyestuff").assign(once=(np.arange(30) == 7).astype(float))
    spec = bm.ModelSpec("Yield ~ once + (1 | Batch)", data, priors={"fixef": bm.Prior("flat")})
    fit = importance_fit(spec, 1000)
    with pytest.raises(bm.UnavailableError, match="Without row 7 the data tell nothing of a coefficient"):
        fit.loo()
    with pytest.raises(bm.UnavailableError, match="Without level B of Batch"):
        fit.loo("Batch")


def test_large_data_have_fewer_draws(monkeypatch):
    fit = importance_fit(dyestuff(), 2000)
    every = fit.loo()
    monkeypatch.setattr(loo, "WORK", 0.0)
    monkeypatch.setattr(loo, "LEAST", 500)
    fewer = fit.loo()
    assert (every.n_samples, fewer.n_samples) == (2000, 500)
    # Monte Carlo errors are at most 0.02 with 2000 draws, and twice that with 500
    np.testing.assert_allclose(fewer.elpd_i, every.elpd_i, atol=0.2)
    monkeypatch.setattr(loo, "NUMBERS", 1)
    monkeypatch.setattr(loo, "SMOOTHED", 1)
    np.testing.assert_allclose(fit.loo().elpd_i, fewer.elpd_i, rtol=1e-12)
    few = replace(fit, uncertainty=replace(fit.uncertainty, sigma=fit.uncertainty.sigma[:99]))
    with pytest.raises(bm.UnavailableError, match="100 draws or more; there are 99"):
        few.loo()


def test_units_that_the_model_does_not_have():
    rng = np.random.default_rng(0)
    Z = np.zeros((40, 5))
    for row in Z:
        row[rng.choice(5, 2, replace=False)] = 0.5
    mixed = bm.ModelSpec.from_arrays(rng.normal(size=40), np.ones((40, 1)), exog_vc={"team": Z}).design
    with pytest.raises(bm.UnavailableError, match="combine levels of 'team'"):
        loo.units_of(mixed, "group")
    design = bm.ModelSpec("Reaction ~ 1 + (1 | Subject) + (1 | Days)", bm.load_dataset("sleepstudy")).design
    with pytest.raises(bm.DataError, match="the model has 2; name one of them: 'Subject', 'Days'"):
        loo.units_of(design, "group")
    with pytest.raises(bm.DataError, match="unit is 'subject'"):
        loo.units_of(design, "subject")
    with pytest.raises(bm.DataError, match="type list"):
        loo.units_of(design, ["Subject"])
    found = loo.units_of(design, "Days")
    assert found.labels.tolist() == list(range(10))
    np.testing.assert_array_equal(found.codes, np.tile(np.arange(10), 18))


def test_rows_without_a_part_in_a_component_stay():
    """A component given as a matrix: rows of zeros belong to no level, and a level without rows is none."""
    Z = np.zeros((12, 4))
    Z[np.arange(8), np.repeat([0, 1, 3], [3, 3, 2])] = 1.0
    y = np.random.default_rng(0).normal(size=12)
    spec = bm.ModelSpec.from_arrays(y, np.ones((12, 1)), exog_vc={"c": Z})
    found = loo.units_of(spec.design, "c")
    np.testing.assert_array_equal(found.codes, np.repeat([0, 1, 2, -1], [3, 3, 2, 4]))
    assert found.labels.tolist() == [spec.design.factors[0].levels[i] for i in (0, 1, 3)]
