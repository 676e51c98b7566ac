"""Importance sampling against quadrature of the same density.

Two parameters: sums over a grid of 120 × 120 points are exact to six digits. Means and sds are within four
Monte Carlo errors, the weights' effective number of draws counted.
"""

import numpy as np
import pytest

import bimixed as bm
from bimixed.marginal.importance import find_peak, importance
from bimixed.marginal.posterior import MarginalPosterior, fixef_prior


def posterior(formula, data, **priors):
    spec = bm.ModelSpec(formula, data, priors=priors or None)
    return spec, MarginalPosterior.of(spec.design, spec.priors, fixef_prior(spec.design, spec.priors))


def start(spec, found):
    z = np.zeros(found.coordinates.size)
    z[:] = np.log(np.std(spec.design.y)) - 0.5
    for block in found.coordinates.blocks:
        z[block.start + block.size : block.stop] = 0.0
    return z


@pytest.mark.parametrize("data", ["dyestuff", "dyestuff2"])
def test_two_parameters_against_quadrature(data):
    spec, found = posterior("Yield ~ 1 + (1 | Batch)", bm.load_dataset(data))
    peak = find_peak(found, start(spec, found))
    rng = np.random.default_rng(1)
    drawn = importance(found, peak, 4000, rng)
    assert drawn.pareto_k < 0.7
    assert drawn.ess > 400
    spread = np.linalg.norm(peak.root, axis=1)
    grids = [np.linspace(z - 14 * s, z + 8 * s, 120) for z, s in zip(peak.z, spread, strict=True)]
    density = np.array([[found(np.array([a, b]))[0] for b in grids[1]] for a in grids[0]])
    mass = np.exp(density - density.max())
    mass /= mass.sum()
    kept = drawn.resample(rng)
    for axis, function in ((0, np.exp), (1, np.exp), (0, lambda x: np.exp(2 * x))):
        marginal = mass.sum(axis=1 - axis)
        values = function(grids[axis])
        mean = marginal @ values
        sd = np.sqrt(marginal @ (values - mean) ** 2)
        ours = np.exp(drawn.log_weights) @ function(drawn.z[:, axis])
        assert abs(ours - mean) < 4 * sd / np.sqrt(drawn.ess)
        assert abs(function(drawn.z[kept, axis]).mean() - ours) < 4 * sd / np.sqrt(len(kept))


def test_the_peak_is_a_mode_and_draws_repeat():
    data = bm.load_dataset("sleepstudy")
    spec, found = posterior("Reaction ~ Days + (Days | Subject)", data)
    peak = find_peak(found, start(spec, found))
    assert np.abs(found(peak.z)[1]).max() < 1e-3
    first, second = (importance(found, peak, 500, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.z, second.z)
    np.testing.assert_array_equal(first.log_weights, second.log_weights)
    assert first.pareto_k < 0.7
    assert np.exp(first.log_weights).sum() == pytest.approx(1.0)
    places = first.resample(np.random.default_rng(4))
    counts = np.bincount(places, minlength=500)
    np.testing.assert_array_less(np.abs(counts - 500 * np.exp(first.log_weights)), 1.0 + 1e-9)
