"""Importance sampling against quadrature of the same density.

Two parameters: sums over a grid of 160 × 160 points are exact to six digits. Means and sds are within four
Monte Carlo errors, the weights' effective number of draws counted.
"""

import numpy as np
import pytest

import bimixed as bm
from bimixed.marginal import importance as module
from bimixed.marginal.importance import Proposal, importance
from bimixed.marginal.posterior import MarginalPosterior, fixef_prior
from bimixed.marginal.ready import ReadyPosterior
from bimixed.posteriors import Request


def ready_for(formula, data, **priors):
    spec = bm.ModelSpec(formula, data, priors=priors or None)
    return spec, Request(spec.design, spec.priors).ready()


def grid_moments(spec, functions):
    """Means and sds of functions of (log sd, log σ) by sums over a grid of logarithms."""
    found = MarginalPosterior.of(spec.design, spec.priors, fixef_prior(spec.design, spec.priors))
    s = np.log(np.std(spec.design.y))
    grids = np.linspace(s - 12, s + 4, 160), np.linspace(s - 2, s + 2, 160)
    density = np.array([[found.log_density(np.array([a, b])) for b in grids[1]] for a in grids[0]])
    mass = np.exp(density - density.max())
    mass /= mass.sum()
    values = [f(np.exp(grids[0])[:, None], np.exp(grids[1])[None, :]) for f in functions]
    means = [np.sum(mass * v) for v in values]
    return means, [np.sqrt(np.sum(mass * (v - m) ** 2)) for v, m in zip(values, means, strict=True)]


@pytest.mark.parametrize("data", ["dyestuff", "dyestuff2"])
def test_two_parameters_against_quadrature(data):
    spec, ready = ready_for("Yield ~ 1 + (1 | Batch)", bm.load_dataset(data))
    rng = np.random.default_rng(1)
    drawn = importance(ready, 4000, rng)
    assert drawn.pareto_k < 0.7
    assert drawn.ess > 1500
    functions = [
        lambda a, b: a + 0 * b,
        lambda a, b: 0 * a + b,
        lambda a, b: a**2 + 0 * b,
        lambda a, b: a / b,
    ]
    means, sds = grid_moments(spec, functions)
    coordinates = ready.posterior.coordinates
    sd = coordinates.factors(drawn.z)[0][:, 0, 0]
    sigma = coordinates.sigma.value(drawn.z[:, -1])[0]
    assert (sd > 0).all()
    kept = drawn.resample(rng)
    for f, mean, spread in zip(functions, means, sds, strict=True):
        values = f(sd, sigma)
        ours = np.exp(drawn.log_weights) @ values
        assert abs(ours - mean) < 4 * spread / np.sqrt(drawn.ess)
        assert abs(values[kept].mean() - ours) < 4 * spread / np.sqrt(len(kept))


def test_a_folded_proposal_has_the_density_that_its_draws_have():
    """One turning coordinate next to 0: shares of intervals against the density's integral."""
    _, ready = ready_for("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2"))
    proposal = Proposal(np.array([0.4, 0.0]), np.diag([1.0, 0.2]), ready.posterior.coordinates)
    z = proposal.draw(40_000, np.random.default_rng(2))
    assert (z[:, 0] >= 0).all()
    grid = np.stack(np.meshgrid(np.linspace(0, 30, 1501), np.linspace(-6, 6, 601), indexing="ij"), -1)
    mass = np.exp(proposal.log_density(grid.reshape(-1, 2))).reshape(1501, 601).sum(axis=1)
    mass[0] /= 2.0
    share = np.cumsum(mass) / mass.sum()
    for edge in (0.3, 1.0, 2.5):
        expected = np.interp(edge, np.linspace(0, 30, 1501), share)
        assert np.mean(z[:, 0] < edge) == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 40_000))


def test_the_peak_is_a_mode_and_draws_repeat():
    _, ready = ready_for("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
    assert np.abs(ready(np.zeros(ready.size))[1]).max() < 1e-3
    first, second = (importance(ready, 500, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.z, second.z)
    np.testing.assert_array_equal(first.log_weights, second.log_weights)
    assert first.pareto_k < 0.7
    assert np.exp(first.log_weights).sum() == pytest.approx(1.0)
    places = first.resample(np.random.default_rng(4))
    counts = np.bincount(places, minlength=500)
    np.testing.assert_array_less(np.abs(counts - 500 * np.exp(first.log_weights)), 1.0 + 1e-9)


def test_a_proposal_that_does_not_fit_is_refused(monkeypatch):
    """Without trials, and with tails that are too light, in 15 parameters of three groups."""
    monkeypatch.setattr(module, "ROUNDS", 0)
    monkeypatch.setattr(module, "FREEDOM", 1000.0)
    data = bm.load_dataset("sleepstudy")
    spec = bm.ModelSpec(
        "Reaction ~ 1 + (Days + I(Days**2) + I(Days**3) | Subject)", data[data["Subject"].astype(str) < "330"]
    )
    with pytest.raises(bm.exceptions.FitError, match=r"Pareto k is .*method='nuts'"):
        spec.fit("importance", random_seed=1, draws=1000, progress=False)


@pytest.mark.filterwarnings("ignore:Few effective draws")
def test_threads_change_no_number_and_an_interrupt_keeps_what_is_done(monkeypatch):
    """Without compiled loops, where each draw is a piece of work by itself."""
    monkeypatch.setattr("bimixed.marginal.ready.is_compiled", lambda cp: False)
    spec, ready = ready_for("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff"))
    assert ready.compiled is None
    fits = [spec.fit("importance", random_seed=1, draws=200, cores=cores, progress=False) for cores in (1, 3)]
    for name, values in fits[0].posterior["posterior"].data_vars.items():
        np.testing.assert_array_equal(values, fits[1].posterior["posterior"][name])

    calls, last = 0, np.inf
    density = ReadyPosterior.log_density

    def counted(self, w):
        nonlocal calls
        calls += 1
        if calls > last:
            raise KeyboardInterrupt
        return density(self, w)

    monkeypatch.setattr(ReadyPosterior, "log_density", counted)
    how = {"random_seed": 1, "draws": 200, "cores": 1, "progress": False}
    spec.fit("importance", **how)
    calls, last = 0, calls - 50
    with pytest.warns(bm.exceptions.ConvergenceWarning, match="Interrupted: 150 of 200"):
        part = spec.fit("importance", **how)
    assert part.posterior["posterior"].sizes["draw"] == 150
    calls, last = 0, 100  # during the first trial: nothing is worth keeping yet
    with pytest.raises(KeyboardInterrupt):
        spec.fit("importance", **how)
