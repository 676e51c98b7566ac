"""Posteriors against Stan's: means, sds and quantiles of the same models under the same priors.

``tests/reference/stan.json`` is made by ``stan.R`` beside it, with 40,000 draws each; the models stand in
``reference/stan/*.stan``. The priors pull: a scale taken for a variance, a half-normal for a normal, or
coefficients taken as centred move the posterior by many Monte Carlo errors.
"""

import functools
import json
from pathlib import Path

import arviz
import numpy as np
import pytest

import bimixed as bm

MODELS = json.loads((Path(__file__).parents[1] / "reference" / "stan.json").read_text())["models"]
SPECS = {
    "radon": (
        "log_radon ~ floor + log_uranium + (1 + floor | county)",
        {
            "Intercept": bm.Prior("normal", mu=1.5, sigma=0.1),
            "floor": bm.Prior("normal", mu=-0.5, sigma=0.2),
            "log_uranium": bm.Prior("normal", mu=1, sigma=0.3),
            "sd_county[Intercept]": bm.Prior("half_student_t", nu=3, sigma=0.1),
            "sd_county[floor]": bm.Prior("half_normal", sigma=0.2),
            "corr_county": bm.Prior("lkj", eta=2),
            "sigma": bm.Prior("gamma", alpha=50, beta=100),
        },
    ),
    "sleepstudy": (
        "Reaction ~ Days + (Days | Subject)",
        {
            "Intercept": bm.Prior("normal", mu=260, sigma=10),
            "Days": bm.Prior("normal", mu=8, sigma=2),
            "sd_Subject[Intercept]": bm.Prior("half_student_t", nu=4, sigma=15),
            "sd_Subject[Days]": bm.Prior("exponential", rate=0.25),
            "corr_Subject": bm.Prior("lkj", eta=3),
            "sigma": bm.Prior("half_normal", sigma=10),
        },
    ),
}
ROUTES = {
    "hierarchical": {"method": "nuts", "form": "hierarchical"},
    "marginal": {"method": "nuts", "form": "marginal", "draws": 4000, "target_accept": 0.99},
    "importance": {"method": "importance", "draws": 20_000},
}
STATISTICS = {
    "mean": (np.mean, {"method": "mean"}),
    "sd": (functools.partial(np.std, ddof=1), {"method": "sd"}),
    **{
        f"q{100 * p:02.0f}": (functools.partial(np.quantile, q=p), {"method": "quantile", "prob": p})
        for p in (0.05, 0.5, 0.95)
    },
}


def draws_of(fit, name):
    """Draws of one scalar, (chain, draw), by its name in the reference."""
    posterior = fit.posterior["posterior"]
    (key,) = fit.ngroups
    variable, _, inside = name.rstrip("]").partition("[")
    labels = inside.split(", ") if inside else []
    if not labels and variable != "sigma":
        variable, labels = "fixef", [variable]
    if variable == "ranef":
        variable = f"ranef_{key}"
    array = posterior[variable]
    for dim, label in zip(array.dims[2:], labels, strict=True):
        array = array.isel({dim: [str(one) for one in array[dim].to_numpy()].index(label)})
    return np.asarray(array)


def distances(fit, reference):
    """Differences from Stan in combined Monte Carlo errors, by name and statistic.

    Importance draws are resampled, some of them twice: errors are larger by √(draws / effective draws).
    """
    found = {}
    for name, theirs in reference["parameters"].items():
        draws = draws_of(fit, name)
        twice = np.sqrt(draws.size / fit.diagnostics.ess_bulk_min) if fit.method == "importance" else 1.0
        for label, (statistic, method) in STATISTICS.items():
            error = twice * arviz.mcse(draws, chain_axis=0, draw_axis=1, **method)
            found[name, label] = (statistic(draws) - theirs[label]) / np.hypot(error, theirs[f"mcse_{label}"])
    return found


def check(fit, reference):
    assert fit.diagnostics.ok
    far = {where: round(float(z), 1) for where, z in distances(fit, reference).items() if not abs(z) <= 4}
    assert not far


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", SPECS)
def test_posterior_is_stans(name, route):
    formula, priors = SPECS[name]
    spec = bm.ModelSpec(formula, bm.load_dataset(name), priors=priors)
    fit = spec.fit(**ROUTES[route], random_seed=4, progress=False)
    assert set(fit.spec.priors) == set(priors)  # none is left to a default
    check(fit, MODELS[name])


def test_published_posterior_is_stans(stan_nuts):
    check(stan_nuts, MODELS["published"])


def test_reference_is_the_published_one():
    """Means of log_uranium, floor, x_mean, whose 2,000 draws carry Monte Carlo error."""
    means = [MODELS["published"]["parameters"][name]["mean"] for name in ("log_uranium", "floor", "x_mean")]
    np.testing.assert_allclose(means, [0.68677, -0.68514, 0.38766], atol=0.02)


@pytest.mark.parametrize("name", MODELS)
def test_reference_has_converged(name):
    reference = MODELS[name]
    assert reference["divergences"] == 0
    assert reference["rhat_max"] < 1.002
    assert reference["ess_bulk_min"] > 5000
