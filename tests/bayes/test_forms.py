"""One posterior, whatever the form: ten models sampled by the hierarchical and by the marginal one.

Means differ by less than four Monte Carlo errors (of both ESS), sds by four of theirs, sd/√(2 ESS), and the
5 % and 95 % quantiles by four of theirs, from the normal density there: √(0.05 · 0.95)/(0.103/sd)/√ESS. With
some hundred numbers a model, one in 16,000 exceeds four errors; the seeds are fixed. Priors are proper.
"""

import re
import warnings

import arviz
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import bimixed as bm
from bimixed.bayes.marginal import TARGET_ACCEPT
from bimixed.posteriors import Request
from bimixed.results.convergence import convergence

P = bm.Prior


def simulated(seed, rows=300):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 12, rows), rng.integers(0, 10, rows)
    x = rng.normal(size=rows)
    y = 1 + x + rng.normal(size=12)[a] + 0.5 * rng.normal(size=10)[b] + rng.normal(size=rows)
    return pd.DataFrame(
        {"y": y, "x": x, "a": a, "b": b, "c": rng.integers(0, 6, rows), "w": rng.uniform(0.3, 3, rows)}
    )


def component():
    rng = np.random.default_rng(8)
    n, q = 200, 15
    Z = np.zeros((n, q))
    for row in Z:
        row[rng.choice(q, 2, replace=False)] = 0.5
    y = 2.0 + Z @ (1.5 * rng.normal(size=q)) + 0.5 * rng.normal(size=n)
    return bm.ModelSpec.from_arrays(y, np.ones((n, 1)), exog_vc={"nurse": sp.csr_array(Z)})


def tiny():
    data = simulated(4)
    data["y"] -= data.groupby("a")["y"].transform("mean") * 0.999
    return bm.ModelSpec("y ~ x + (1 | a)", data)


MODELS = {
    "sleepstudy": lambda: bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")),
    "radon": lambda: bm.ModelSpec(
        "log_radon ~ floor + log_uranium + (1 + floor | county)", bm.load_dataset("radon")
    ),
    "crossed": lambda: bm.ModelSpec("y ~ x + (1 | a) + (1 | b)", simulated(1)),
    "nested": lambda: bm.ModelSpec("y ~ x + (1 | a / c)", simulated(2)),
    "boundary": lambda: bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2")),
    "component": component,
    "weights": lambda: bm.ModelSpec("y ~ x + (x | a)", simulated(3), weights="w"),
    "no random slope": lambda: bm.ModelSpec(
        "y ~ x + (1 | a)", simulated(5), priors={"sd": P("exponential", rate=1)}
    ),
    "three factors": lambda: bm.ModelSpec("y ~ x + (1 | a) + (1 | b) + (1 | c)", simulated(6)),
    "tiny variance": tiny,
}
DENSITY_AT_TAIL = 0.10314
"""Of the standard normal at its 5 % quantile."""


def scalars(fit):
    """Every parameter that varies, by name, (chain, draw)."""
    out = {}
    for name, values in fit.posterior["posterior"].data_vars.items():
        flat = values.to_numpy().reshape(*values.shape[:2], -1)
        for i in range(flat.shape[2]):
            if flat[:, :, i].std() > 1e-9:
                out[f"{name}[{i}]"] = flat[:, :, i]
    return out


def summary(draws):
    ess = float(arviz.ess(draws, chain_axis=0, draw_axis=1, method="bulk"))
    ess = min(ess, float(arviz.ess(draws, chain_axis=0, draw_axis=1, method="tail", prob=(0.05, 0.95))))
    return draws.mean(), draws.std(), np.quantile(draws, [0.05, 0.95]), ess


@pytest.mark.parametrize("name", MODELS)
def test_both_forms_are_one_posterior(name):
    spec = MODELS[name]()
    how = {"random_seed": 3, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.exceptions.ConvergenceWarning)  # ESS is counted below
        hierarchical = spec.fit("nuts", form="hierarchical", draws=1500, **how)
    marginal = spec.fit("nuts", form="marginal", **how)
    assert marginal.diagnostics.ok, marginal.diagnostics.messages
    ours, theirs = scalars(marginal), scalars(hierarchical)
    assert sorted(ours) == sorted(theirs)
    for key, draws in ours.items():
        (mean, sd, tails, ess), (mean2, sd2, tails2, ess2) = summary(draws), summary(theirs[key])
        error = np.sqrt(sd**2 / ess + sd2**2 / ess2)
        assert abs(mean - mean2) < 4 * error, key
        kurtosis = np.mean((draws - mean) ** 4) / sd**4  # sds of heavy tails have more error than normal ones
        assert abs(sd - sd2) < 4 * error * max(np.sqrt((kurtosis - 1) / 4), 0.71), key
        spread = np.abs(tails - np.median(draws)) / 1.645  # each tail has its own width
        tail_error = np.sqrt(0.05 * 0.95) / DENSITY_AT_TAIL * spread * np.sqrt(1 / ess + 1 / ess2)
        assert (np.abs(tails - tails2) < 4 * tail_error + 4 * error).all(), key


@pytest.mark.parametrize("name", ["sleepstudy", "boundary", "crossed"])
def test_importance_sampling_is_the_same_posterior(name):
    spec = MODELS[name]()
    nuts = spec.fit("nuts", random_seed=5, progress=False)
    drawn = spec.fit("importance", random_seed=6, progress=False)
    assert drawn.diagnostics.pareto_k < 0.7
    assert drawn.diagnostics.rhat_max is None
    ess2 = drawn.diagnostics.ess_bulk_min
    theirs = scalars(drawn)
    for key, draws in scalars(nuts).items():
        mean, sd, _, ess = summary(draws)
        other = theirs[key]
        assert abs(mean - other.mean()) < 4 * np.sqrt(sd**2 / ess + other.var() / ess2), key


def test_the_same_draws_whatever_the_number_of_cores():
    spec = MODELS["no random slope"]()
    fits = [spec.fit("nuts", random_seed=1, draws=100, tune=100, cores=c, progress=False) for c in (1, 2)]
    for name, values in fits[0].posterior["posterior"].data_vars.items():
        np.testing.assert_array_equal(values, fits[1].posterior["posterior"][name])
    again = spec.fit("nuts", random_seed=2, draws=100, tune=100, progress=False)
    assert (again.posterior["posterior"]["sigma"] != fits[0].posterior["posterior"]["sigma"]).any()


def test_large_trailing_parts_go_by_lapack(monkeypatch):
    """The Python route of the same density gives the same draws up to rounding that grows along a chain."""
    from bimixed.marginal import compiled

    spec = MODELS["crossed"]()
    assert Request(spec.design, spec.priors).ready().compiled is not None
    fast = spec.fit("nuts", random_seed=1, draws=300, tune=200, chains=2, progress=False)
    monkeypatch.setattr(compiled, "WIDEST", 0)
    slow = spec.fit("nuts", form="marginal", random_seed=1, draws=300, tune=200, chains=2, progress=False)
    assert Request(spec.design, spec.priors).ready().compiled is None
    for key, draws in scalars(slow).items():
        mean, sd, _, ess = summary(draws)
        other = scalars(fast)[key]
        assert abs(mean - other.mean()) < 5 * sd * np.sqrt(2 / ess), key


def test_what_was_picked_and_why():
    spec = MODELS["no random slope"]()
    how = {"random_seed": 1, "draws": 50, "tune": 50, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.exceptions.ConvergenceWarning)
        picked = spec.fit("nuts", **how)
        asked = spec.fit("nuts", form="marginal", **how)
        heavy = spec.update(priors={"x": P("student_t", nu=4, mu=0, sigma=1)}).fit("nuts", **how)
    assert "marginal" in picked.diagnostics.details["form"]
    assert "cheaper" in picked.diagnostics.details["form"]
    assert asked.diagnostics.details["form"] == "marginal (as asked)"
    assert heavy.diagnostics.details["form"].startswith("hierarchical (the prior of x is neither")
    assert "marginal" in str(picked)


def test_a_marginal_form_that_can_not_be_had_is_told():
    spec = MODELS["no random slope"]().update(priors={"x": P("student_t", nu=4, mu=0, sigma=1)})
    with (
        pytest.warns(bm.exceptions.ConvergenceWarning, match="x is neither normal nor flat"),
        pytest.warns(bm.exceptions.ConvergenceWarning, match="Few effective draws"),
    ):
        spec.fit("nuts", form="marginal", random_seed=1, draws=20, tune=50, progress=False)
    with pytest.raises(bm.FitError, match=r"importance.*x is neither"):
        spec.fit("importance", progress=False)
    with pytest.raises(bm.FitError, match="x is neither"):
        spec.to_pymc(form="marginal")


def test_the_pymc_model_has_the_marginal_density():
    """Against the density that is sampled: the difference is the same at three points, to 1e-8."""
    spec = MODELS["weights"]()
    model = spec.to_pymc(form="marginal")
    logp = model.compile_logp(jacobian=False)
    posterior = Request(spec.design, spec.priors).marginal
    gaps = []
    for sd, corr, sigma in (([1.0, 0.5], 0.3, 1.0), ([0.4, 0.2], -0.6, 1.3), ([2.0, 0.1], 0.0, 0.7)):
        transformed = model.initial_point()
        values = {
            "sd_a": np.array(sd),
            "sigma": np.array(sigma),
            "partial_corr_a_unit": np.array([(corr + 1) / 2]),
        }
        for variable in model.free_RVs:
            value = model.rvs_to_values[variable]
            transform = model.rvs_to_transforms[variable]
            transformed[value.name] = transform.forward(values[variable.name], *variable.owner.inputs).eval()
        block = posterior.coordinates.blocks[0]
        scales = (*block.scales, posterior.coordinates.sigma)
        z = [scale.coordinate(x) for scale, x in zip(scales, (*sd, sigma), strict=True)]
        at = np.array([*z[:2], np.arctanh(corr), z[2]])
        gaps.append(float(logp(transformed)) - posterior(at, jacobians=False)[0])
    np.testing.assert_allclose(gaps, gaps[0], atol=1e-8)


def test_a_pymc_sampler_takes_the_marginal_model():
    import pymc as pm

    spec = MODELS["no random slope"]()
    with spec.to_pymc(form="marginal"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        drawn = pm.sample(
            300, tune=300, chains=2, cores=1, random_seed=1, progressbar=False, nuts_sampler="pymc"
        )
    ours = spec.fit("nuts", random_seed=1, progress=False)
    sigma = drawn["posterior"]["sigma"].to_numpy()
    mean, sd, _, ess = summary(sigma)
    assert abs(mean - ours.sigma) < 4 * sd * np.sqrt(1 / ess + 1 / ours.diagnostics.ess_bulk_min)
    assert TARGET_ACCEPT < 0.95


def test_messages_name_the_worst_parameter_and_how_many_draws_would_do():
    spec = MODELS["sleepstudy"]()
    with pytest.warns(bm.exceptions.ConvergenceWarning) as told:
        fit = spec.fit("nuts", random_seed=1, draws=30, tune=60, progress=False)
    text = str(told[0].message)
    assert re.search(r"Few effective draws: \d+ of [\w\[\],]+, below 400.*draws=\d+", text, re.S)
    assert not fit.diagnostics.ok
    with pytest.warns(bm.exceptions.ConvergenceWarning, match="One chain can't be checked"):
        one = spec.fit("nuts", random_seed=1, chains=1, progress=False)
    assert not one.diagnostics.converged


def test_names_of_the_worst_scalars():
    """One scalar of each kind is spoiled in turn and must be the one that is named."""
    spec = MODELS["sleepstudy"]()
    fit = spec.fit("nuts", random_seed=1, draws=100, tune=200, progress=False)
    for name, expected in (
        (("fixef", (1,)), "Days"),
        (("sd_Subject", (0,)), "sd_Subject[Intercept]"),
        (("corr_Subject", (0, 1)), "corr_Subject[Intercept,Days]"),
        (("ranef_Subject", (2, 1)), "ranef_Subject[310,Days]"),
        (("sigma", ()), "sigma"),
    ):
        tree = fit.posterior.copy(deep=True)
        values = tree["posterior"][name[0]].values
        values[(slice(None), slice(None), *name[1])] += 50.0 * np.arange(4)[:, None]
        found = convergence(spec.design, tree)
        assert found.rhat_of == found.ess_of == expected


def test_minutes_of_sampling_are_announced(monkeypatch, capsys):
    from bimixed import posteriors

    spec = MODELS["no random slope"]()
    how = {"random_seed": 1, "draws": 4, "tune": 10, "chains": 2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.exceptions.ConvergenceWarning)
        spec.fit("nuts", **how, progress=True)
        assert "minutes of sampling" not in capsys.readouterr().err
        monkeypatch.setattr(posteriors, "marginal_seconds", lambda cp: 30.0)
        spec.fit("nuts", **how, cores=1, progress=True)
    told = capsys.readouterr().err
    assert "Some 14 minutes of sampling" in told
    assert "method='importance'" in told
