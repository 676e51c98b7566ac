"""Traces and contours of profiles, against brute force by n × n matrices."""

import numpy as np
import pandas as pd
import pytest
from drawn import dyestuff
from natural import CASES, deviance, small_data
from scipy.optimize import minimize

import bimixed as bm
from bimixed.inference import traces


@pytest.fixture(scope="module")
def fit():
    return dyestuff().fit("ml")


def value_at(fit, sd, sigma):
    """The deviance, the mean at its best."""
    Z = [own.toarray() for own in fit.design.Z.values()]
    return deviance(fit.design, Z, [np.array([[sd**2]])], sigma, reml=fit.method == "reml")


@pytest.mark.parametrize("method", ["ml", "reml"])
def test_a_trace_by_brute_force(method):
    """The best sigma at points of the sd's profile; SciPy's simplex stops within 1e-6 of it."""
    fit = dyestuff().fit(method)
    profile = bm.profile(fit, ["sd_Batch[Intercept]", "sigma"])
    found = traces.trace(profile, "sd_Batch[Intercept]", "sigma")
    assert len(found.held) > 8
    for sd, sigma in zip(found.held[1::3], found.best[1::3], strict=True):
        best = minimize(lambda s, sd=sd: value_at(fit, sd, s[0]), [50.0], method="Nelder-Mead",
                        options={"xatol": 1e-7, "fatol": 1e-12})  # fmt: skip
        assert sigma == pytest.approx(best.x[0], rel=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_every_parameter_at_the_estimates(case):
    """At the optimum of each criterion all other parameters are those of the fit (fixed effects: by ML)."""
    formula, method, extra = CASES[case]
    spec = bm.ModelSpec(formula, small_data(9), **extra)
    fit, ml = spec.fit(method), spec.fit("ml")
    names = [name for name in fit.conf_int().index if not name.startswith("corr_")]
    profile = bm.profile(fit, [names[1], names[-2], "sigma"], progress=False)
    for name, curve in profile.curves.items():
        values = profile.criteria.values(name, curve.criterion, curve.criterion.start)
        own = ml if profile.criterion[name] == "ML" else fit
        known = own.uncertainty.variance_parameters()
        expected = dict(own.fixef["estimate"]) | dict(zip(known.names, known.values, strict=True))
        assert values == pytest.approx({k: expected[k] for k in values}, rel=1e-5, abs=1e-6)
        assert set(values) == set(expected)


def test_the_held_parameter_has_its_value():
    spec = bm.ModelSpec("y ~ x + (x | g)", small_data(9), weights="w")
    profile = bm.profile(spec.fit("ml"), progress=False)
    for name, curve in profile.curves.items():
        for point in curve.points[::4]:
            values = profile.criteria.values(name, curve.criterion, point.minimum.q)
            assert values[name] == pytest.approx(curve.criterion.value(point.c), rel=1e-7, abs=1e-9)


def test_contours_have_their_deviance(fit):
    """The rise of the deviance along the contour of 50 % is the χ²₂ quantile.

    To 6 %: the contour is made from its four outermost points, and the rise is quadratic in ζ nearly.
    """
    profile = bm.profile(fit, ["sd_Batch[Intercept]", "sigma"])
    [(values, zetas)] = traces.pair(profile, "sd_Batch[Intercept]", "sigma", (0.5,)).contours
    rise = np.array([value_at(fit, *xy) for xy in values.T[::9]]) - value_at(fit, *profile.estimates)
    np.testing.assert_allclose(rise, -2.0 * np.log(0.5), rtol=0.06)
    assert np.abs(zetas).max() <= np.sqrt(-2.0 * np.log(0.5)) + 1e-9


def test_of_a_normal_likelihood_contours_are_ellipses():
    """Of two correlated normal estimates traces are straight with slope ρ."""
    rho, c = 0.6, 1.7
    z = np.linspace(-3, 3, 13)
    straight = traces.Trace(z, rho * z, z, rho * z)
    a, b = traces.contour(straight, straight, c)
    np.testing.assert_allclose((a**2 - 2 * rho * a * b + b**2) / (1 - rho**2), c**2, rtol=1e-9)


def test_different_criteria_are_refused():
    profile = bm.profile(dyestuff().fit(), ["Intercept", "sigma"])
    with pytest.raises(bm.DataError, match="different criteria; profile an ML fit"):
        traces.pair(profile, "Intercept", "sigma", (0.5,))


def test_correlations_without_an_sd_are_unknown():
    """Where the profile of an sd reaches 0 its correlation isn't defined, and the trace ends before."""
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(12), 6), rng.normal(size=72)
    y = rng.normal(size=12)[g] + 0.3 * rng.normal(size=12)[g] * x + rng.normal(size=72)
    fit = bm.ModelSpec("y ~ x + (x | g)", pd.DataFrame({"y": y, "x": x, "g": g})).fit("ml")
    profile = bm.profile(fit, ["sd_g[x]", "corr_g[Intercept,x]"])
    found = traces.trace(profile, "sd_g[x]", "corr_g[Intercept,x]")
    assert profile.curves["sd_g[x]"].lower.end == "bound"
    assert len(found.held) == len(profile.curves["sd_g[x]"].points) - 1
    assert np.isfinite(found.best).all()
