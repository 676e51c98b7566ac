"""Curves of a parameter's distribution: against SciPy's, and against the intervals that they belong to.

An interval's level is the area of its curve between the limits: exactly, but for the trapezoid rule (1e-4)
and, for profiles, the interpolation of ζ between points (2e-3).
"""

import numpy as np
import pytest
from drawn import dyestuff
from scipy import stats

import bimixed as bm
from bimixed.inference import densities


@pytest.fixture(scope="module")
def fit():
    spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
    return spec.fit()


def area(density, lower=-np.inf, upper=np.inf):
    x = np.unique(np.clip(np.append(density.value, [lower, upper]), density.value[0], density.value[-1]))
    x = np.sort(np.concatenate([x, 0.5 * (x[1:] + x[:-1])]))
    y = np.interp(x, density.value, density.density)
    inside = (x >= lower) & (x <= upper)
    return np.trapezoid(y[inside], x[inside])


def test_smoothing_is_a_kernel_density():
    draws = np.random.default_rng(1).gamma(3.0, size=3000)
    found = densities.smoothed(draws)
    low, high = np.quantile(draws, [0.25, 0.75])
    width = 0.9 * min(draws.std(ddof=1), (high - low) / 1.349) * 3000**-0.2
    at = found.value[::50]
    exact = stats.norm.pdf((at[:, None] - draws) / width).mean(axis=1) / width
    # draws counted on a grid: off by the square of a cell over the bandwidth
    np.testing.assert_allclose(found.density[::50], exact, atol=2e-3 * exact.max())
    assert area(found) == pytest.approx(1.0, abs=1e-3)


def test_reflection_at_a_bound():
    """A density that doesn't vanish at its bound: half-normal, whose height at 0 is √(2/π)."""
    draws = np.abs(np.random.default_rng(2).normal(size=40_000))
    found = densities.smoothed(draws, (0.0, np.inf))
    assert found.value[0] > 0.0
    assert area(found, 0.0) == pytest.approx(1.0, abs=2e-3)
    assert found.density[0] == pytest.approx(np.sqrt(2.0 / np.pi), rel=0.05)
    both = densities.smoothed(np.random.default_rng(3).uniform(-1, 1, 40_000), (-1.0, 1.0))
    np.testing.assert_allclose(both.density, 0.5, rtol=0.12)


def test_draws_on_bounds_are_masses():
    draws = np.concatenate(
        [np.random.default_rng(4).uniform(-0.5, 0.5, 700), np.full(200, 1.0), [-1.0] * 100]
    )
    found = densities.smoothed(draws, (-1.0, 1.0))
    assert found.masses == {-1.0: 0.1, 1.0: 0.2}
    assert area(found) == pytest.approx(0.7, abs=2e-3)
    alone = densities.smoothed(np.zeros(10), (0.0, np.inf))
    assert alone.masses == {0.0: 1.0}
    assert len(alone.value) == 0


@pytest.mark.parametrize("name", ["Days", "sd_Subject[Days]", "corr_Subject[Intercept,Days]", "sigma"])
def test_wald_curves_belong_to_wald_limits(fit, name):
    found = densities.wald(fit, name)
    for level in (0.5, 0.9):
        assert area(found, *fit.conf_int(level).loc[name]) == pytest.approx(level, abs=1e-3)


def test_wald_curves_are_those_distributions(fit):
    row = fit.coef_table().loc["Days"]
    found = densities.wald(fit, "Days")
    exact = stats.t.pdf(found.value, row["df"], row["estimate"], row["std_error"])
    np.testing.assert_allclose(found.density, exact, rtol=1e-10)
    estimate, error = fit.variance_table().loc["sigma"]
    found = densities.wald(fit, "sigma")
    np.testing.assert_allclose(
        found.density, stats.lognorm.pdf(found.value, error / estimate, scale=estimate)
    )


def test_no_wald_curve_at_the_boundary():
    fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2")).fit()
    assert densities.wald(fit, "sd_Batch[Intercept]") is None


@pytest.mark.parametrize("name", ["Days", "sd_Subject[Intercept]", "corr_Subject[Intercept,Days]", "sigma"])
def test_profile_curves_belong_to_profile_limits(fit, name):
    profile = bm.profile(fit, [name])
    found = densities.profiled(profile, name)
    for level in (0.5, 0.9, 0.95):
        assert area(found, *profile.conf_int(level).loc[name]) == pytest.approx(level, abs=2e-3)


def test_a_profile_that_ends_at_0_leaves_a_mass():
    """Dyestuff: the sd's profile ends at 0, where Φ(ζ) is the confidence in no variance."""
    fit = dyestuff().fit("ml")
    profile = bm.profile(fit, ["sd_Batch[Intercept]"])
    found = densities.profiled(profile, "sd_Batch[Intercept]")
    y = fit.design.y
    without = len(y) * (1.0 + np.log(2.0 * np.pi * y.var()))
    zeta = np.sqrt(without + 2.0 * fit.loglik)
    assert list(found.masses) == [0.0]
    assert found.masses[0.0] == pytest.approx(stats.norm.sf(zeta), rel=1e-4)
    beyond = stats.norm.sf(profile.table["zeta"].max())
    assert area(found) + found.masses[0.0] + beyond == pytest.approx(1.0, abs=3e-3)


def test_a_posterior_has_its_quantiles():
    """The area between equal tails, to what smoothing does to a skewed density."""
    draws = dyestuff().fit("importance", draws=4000, random_seed=1, progress=False)
    for name in ("Intercept", "sd_Batch[Intercept]", "sigma"):
        found = densities.posterior(draws, name)
        for level in (0.5, 0.9):
            assert area(found, *draws.conf_int(level).loc[name]) == pytest.approx(level, abs=0.02)


def test_replicates_at_the_boundary():
    fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2")).fit()
    bootstrap = bm.bootstrap(fit, 200, random_seed=1, progress=False)
    found = densities.bootstrapped(bootstrap, "sd_Batch[Intercept]")
    assert found.masses[0.0] == pytest.approx(bootstrap.n_singular / 200)
    assert densities.bootstrapped(bootstrap, "nothing") is None


def test_kinds_that_do_not_go_together(fit):
    with pytest.raises(bm.UnavailableError, match="has no draws"):
        densities.posterior(fit, "Days")
    draws = dyestuff().fit("importance", draws=400, random_seed=1, progress=False)
    with pytest.raises(bm.UnavailableError, match="no Wald limits"):
        densities.wald(draws, "sigma")
    with pytest.raises(bm.DataError, match="no parameter 'Days'"):
        densities.posterior(draws, "Days")


def test_long_tails_leave_the_middle_as_it_is():
    """|t| with 2 degrees of freedom: the density at 0 is 1/√2; smoothing takes less than 3 %, noise is 4 %.

    Reflected at the bound, the mean over [0, 0.1] has more draws in it than one place has.
    """
    draws = np.abs(np.random.default_rng(5).standard_t(2, 4000))
    found = densities.smoothed(draws, (0.0, np.inf))
    assert found.density[found.value < 0.1].mean() == pytest.approx(np.sqrt(0.5), rel=0.12)
    step = found.value[1] - found.value[0]
    assert found.density.sum() * step == pytest.approx(1.0, abs=1e-4)
