"""Samplers: PyMC's own, nutpie and NumPyro; what an interrupt leaves of them."""

import importlib.util
import signal
import threading

import arviz
import numpy as np
import pymc as pm
import pytest
import xarray as xr

import bimixed as bm
from bimixed.bayes.complete import complete_draws
from bimixed.bayes.model import build_model
from bimixed.bayes.sample import sample
from bimixed.results.convergence import energy_fraction

HOW = {"chains": 3, "random_seed": 4, "target_accept": 0.9, "progress": False}


@pytest.fixture(scope="module")
def spec():
    return bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff"))


@pytest.fixture(scope="module")
def model(spec):
    return build_model(spec.design, spec.priors, {"Batch": False})


@pytest.fixture(autouse=True)
def heeds_interrupts():
    """A shell's background job ignores the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_main():
    """As Ctrl-C does: Python runs the handler in the main thread."""
    signal.raise_signal(signal.SIGINT)


def drawn(tree):
    return tree["posterior"]["ranef_Batch"].to_numpy()


def bfmi(tree):
    energy = tree["sample_stats"]["energy"].to_numpy()
    return np.min(np.sum(np.diff(energy) ** 2, axis=1) / np.sum((energy.T - energy.mean(1)) ** 2, axis=0))


def test_pymc_samples_itself_and_cores_change_no_number(model):
    """nutpie has no tree_depth; PyMC would take it unless told."""
    trees = [sample(model, sampler="pymc", draws=60, tune=150, cores=cores, **HOW) for cores in (1, None)]
    assert "tree_depth" in trees[0]["sample_stats"]
    assert set(trees[0].children) == {"posterior", "sample_stats"}
    assert drawn(trees[0]).shape == (3, 60, 6, 1)
    np.testing.assert_array_equal(drawn(trees[0]), drawn(trees[1]))
    assert energy_fraction(trees[0]) == pytest.approx(bfmi(trees[0]))


@pytest.mark.parametrize(
    ("cores", "chain", "draw", "left"),
    [(1, 1, 40, (1, 60)), (1, 2, 160, (2, 60)), (2, 0, 170, None), (1, 0, 100, "nothing")],
)
def test_one_interrupt_stops_every_chain_of_pymc(model, monkeypatch, cores, chain, draw, left):
    """60 draws after 150; chains are drawn in turn on one core, on two what is left depends on both."""
    whole = pm.sample

    def interrupted(*args, callback, **kwargs):
        def after(trace, draw):
            if (draw.chain, draw.draw_idx) == at:
                interrupt_main()
            callback(trace=trace, draw=draw)

        return whole(*args, callback=after, **kwargs)

    at = (chain, draw)
    monkeypatch.setattr(pm, "sample", interrupted)
    how = {"sampler": "pymc", "draws": 60, "tune": 150, "cores": cores}
    if left == "nothing":
        with pytest.raises(bm.FitError, match="stopped before any chain had a few draws"):
            sample(model, **how, **HOW)
        return
    tree = sample(model, **how, **HOW)
    found = drawn(tree)
    assert np.isfinite(found).all()
    assert np.isfinite(tree["sample_stats"]["energy"]).all()
    assert found.shape[:2] == left if left else found.shape[:2] != (3, 60)


@pytest.mark.parametrize("form", ["marginal", "hierarchical"])
def test_an_interrupt_returns_the_draws_so_far(spec, monkeypatch, form):
    """Of draws that would take minutes: nutpie needs some 5 µs for one of the marginal form."""
    import nutpie

    whole = nutpie.sample

    def interrupted(*args, **kwargs):
        threading.Timer(0.7, interrupt_main).start()
        return whole(*args, **kwargs)

    monkeypatch.setattr(nutpie, "sample", interrupted)
    wanted = 2_000_000
    with pytest.warns(
        bm.ConvergenceWarning, match=f"Interrupted: [0-9]+ of {wanted} draws are kept, of 2 of 2"
    ):
        fit = spec.fit(
            "nuts", form=form, draws=wanted, tune=200, chains=2, cores=2, random_seed=1, progress=False
        )
    posterior = fit.posterior["posterior"]
    assert 4 <= posterior.sizes["draw"] < wanted
    assert all(np.isfinite(values).all() for values in posterior.data_vars.values())
    assert fit.diagnostics.details["bfmi_min"] == pytest.approx(bfmi(fit.posterior))
    assert not fit.diagnostics.ok


@pytest.mark.parametrize(
    ("finished", "chains", "draws"),
    [([9, 9, 9], 3, 9), ([9, 7, 8], 3, 7), ([9, 1, 8], 2, 8), ([0, 9, 0], 1, 9), ([0, 5, 4], 2, 4)],
)
def test_chains_that_hardly_began_are_left_out(finished, chains, draws):
    values = np.arange(27.0).reshape(3, 9)
    for chain, n in enumerate(finished):
        values[chain, n:] = np.nan
    both = {"sigma": (("chain", "draw"), values), "fixef": (("chain", "draw"), values)}
    dataset = xr.Dataset(both, {"chain": [2, 0, 1]})  # PyMC has them in the order of their lengths
    tree = complete_draws(xr.DataTree.from_dict({"posterior": dataset}), "sigma")
    left = tree["posterior"]["fixef"].to_numpy()
    assert left.shape == (chains, draws)
    assert np.isfinite(left).all()
    assert list(tree["posterior"]["fixef"].chain) == list(range(chains))


def test_nothing_is_left_of_three_draws():
    dataset = xr.Dataset({"sigma": (("chain", "draw"), np.ones((2, 3)))})
    with pytest.raises(bm.FitError, match="nothing is kept"):
        complete_draws(xr.DataTree.from_dict({"posterior": dataset}), "sigma")


def test_numpyro_that_is_not_installed(spec, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "numpyro" else found(name, *rest)
    )
    with pytest.raises(bm.FitError, match="needs NumPyro, which isn't installed: pip install numpyro"):
        spec.fit("nuts", sampler="numpyro", progress=False)


def test_numpyro_has_the_posterior_and_cores_change_no_number(spec):
    """Importance sampling's means within four Monte Carlo errors."""
    pytest.importorskip("numpyro")

    how = {"sampler": "numpyro", "draws": 500, "tune": 300, "chains": 3, "random_seed": 1, "progress": False}
    one, two = (spec.fit("nuts", cores=cores, **how) for cores in (1, 2))
    np.testing.assert_array_equal(drawn(one.posterior), drawn(two.posterior))
    assert one.diagnostics.details["bfmi_min"] == pytest.approx(bfmi(one.posterior))
    exact = spec.fit("importance", random_seed=2, progress=False)
    for name in ("sigma", "sd_Batch", "fixef"):
        mine, other = (fit.posterior["posterior"][name].to_numpy().squeeze() for fit in (one, exact))
        error = other.std() * np.sqrt(1 / float(arviz.ess(mine)) + 1 / exact.diagnostics.ess_bulk_min)
        assert mine.mean() == pytest.approx(other.mean(), abs=4 * error)


def test_an_interrupt_leaves_chains_that_numpyro_began(spec, monkeypatch):
    pytest.importorskip("numpyro")
    from bimixed.bayes import jax_chains

    monkeypatch.setattr(jax_chains.Progress, "update", lambda self, done: interrupt_main())
    with pytest.warns(bm.ConvergenceWarning, match="Interrupted: 5000 of 5000 draws are kept, of [12] of 4"):
        fit = spec.fit("nuts", sampler="numpyro", draws=5000, tune=200, chains=4, cores=1, progress=False)
    assert fit.posterior["posterior"].sizes["chain"] < 4
    assert np.isfinite(drawn(fit.posterior)).all()
