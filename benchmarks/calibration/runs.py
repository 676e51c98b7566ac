"""A replication: parameters and a response from the prior, the posterior by bimixed, ranks and intervals."""

import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np

import bimixed as bm
from bimixed import ModelSpec

from .models import model
from .quantities import LIKELIHOOD, kind, scalars

Array = np.ndarray
SEED = 20250711
CELLS = 100
"""Ranks 0, …, 99 among 99 draws that are nearly independent."""
LEVELS = (0.5, 0.8, 0.95)
NO_INTERVAL = 255
CHAINS, TUNE, DRAWS = 4, 300, 250
HIERARCHICAL = {"tune": 1000, "draws": 1000}
IMPORTANCE_DRAWS = 1000


@dataclass(frozen=True)
class Posterior:
    """Draws, and what their sampler says of them.

    Attributes
    ----------
    draws : xarray dataset
        chain × draw × …
    ess : float
        Smallest bulk ESS of all scalars; of importance sampling its own.
    rhat : float
    divergences : int
    """

    draws: Any
    ess: float
    rhat: float = np.nan
    divergences: int = 0


Engine = Callable[[str, ModelSpec, int], Posterior | None]


def by_nuts(name: str, spec: ModelSpec, seed: int) -> Posterior:
    """The marginal form, as it is."""
    fit = spec.fit(
        "nuts",
        form="marginal",
        draws=DRAWS,
        tune=TUNE,
        chains=CHAINS,
        cores=1,
        random_seed=seed,
        progress=False,
    )
    told = fit.diagnostics
    return Posterior(fit.posterior["posterior"], told.ess_bulk_min, told.rhat_max, told.divergences)


def by_importance(name: str, spec: ModelSpec, seed: int) -> Posterior | None:
    """None where the weights can't be trusted, which depends on the response alone and biases no rank."""
    try:
        fit = spec.fit("importance", draws=IMPORTANCE_DRAWS, cores=1, random_seed=seed, progress=False)
    except bm.FitError as error:
        if "Pareto k" in str(error):
            return None
        raise
    return Posterior(fit.posterior["posterior"], fit.diagnostics.ess_bulk_min)


def by_hierarchical(name: str, spec: ModelSpec, seed: int) -> Posterior:
    """``form="hierarchical"`` with its defaults, except that a model is compiled once for all responses."""
    import nutpie

    from bimixed.bayes.parameterization import choose
    from bimixed.bayes.sample import TARGET_ACCEPT
    from bimixed.results.convergence import convergence

    centered = choose(spec.design, "auto", spec.fit("reml").estimates)
    tree = nutpie.sample(
        compiled(name, tuple(centered.items())).with_data(response=spec.design.y),
        chains=CHAINS,
        cores=1,
        seed=seed,
        target_accept=TARGET_ACCEPT,
        save_warmup=False,
        progress_bar=False,
        **HIERARCHICAL,
    )
    told = convergence(spec.design, tree)
    divergences = int(np.asarray(tree["sample_stats"]["diverging"]).sum())
    return Posterior(tree["posterior"], told.bulk, told.rhat, divergences)


@cache
def compiled(name: str, centered: tuple[tuple[str, bool], ...]) -> Any:
    """nutpie's model, whose response can be exchanged.

    The observed value of ``y`` is a constant in the package's model; here a shared variable takes its place.
    """
    import nutpie
    import pymc as pm
    import pytensor

    from bimixed.bayes.model import build_model
    from bimixed.bayes.sample import reported_variables

    spec = model(name).blank()
    built = build_model(spec.design, spec.priors, dict(centered))
    with built:
        response = pm.Data("response", spec.design.y, dims="row")
    y = built["y"]
    del built.values_to_rvs[built.rvs_to_values[y]]
    built.rvs_to_values[y] = response
    built.values_to_rvs[response] = y
    with pytensor.config.change_flags(numba__fastmath=False):
        return nutpie.compile_pymc_model(built, var_names=reported_variables(built))


@dataclass(frozen=True)
class Run:
    """A model and a way to its posterior.

    Attributes
    ----------
    model : str
    title : str
        The way, for the page; empty for the marginal form.
    engine : callable
    replications : int
    beside_reml : bool
        Whether REML fits the same responses.
    """

    model: str
    title: str
    engine: Engine
    replications: int = 1000
    beside_reml: bool = False


RUNS: dict[str, Run] = {
    **{
        name: Run(name, "", by_nuts, beside_reml=True)
        for name in ("intercept", "slope", "crossed", "nested", "membership", "three")
    },
    "crossed-importance": Run("crossed", "importance sampling", by_importance),
    "slope-hierarchical": Run("slope", "hierarchical form", by_hierarchical, 100),
}
"""In an order that seeds depend on: new ones go to the end."""


@dataclass(frozen=True)
class Replication:
    """What is kept of one.

    Attributes
    ----------
    run : str
    number : int
    seconds : float
        Of the posterior.
    ranks : list of int
        Of the true values among the draws; None where the sampler refused.
    covers : list of int
        How many of the posterior's intervals at ``LEVELS`` have the true value.
    reml : list of int
        Of REML's, for all but the log-likelihood; 255 where it has no interval.
    ess, rhat : float
    divergences : int
    """

    run: str
    number: int
    seconds: float
    ranks: list[int] | None
    covers: list[int] | None = None
    reml: list[int] | None = None
    ess: float = np.nan
    rhat: float = np.nan
    divergences: int = 0


def seeds(run: str, number: int) -> tuple[int, int]:
    """Of the prior and of the sampler; the same whatever else runs."""
    own = np.random.SeedSequence(SEED, spawn_key=(list(RUNS).index(run), number))
    prior, sampler = own.generate_state(2) >> 1  # nutpie's are signed
    return int(prior), int(sampler)


def simulated(name: str, seed: int) -> tuple[ModelSpec, dict[str, float]]:
    """A specification whose response is drawn from the priors, and the parameters behind it."""
    own = model(name)
    tree = own.blank().sample_prior(draws=1, random_seed=seed)
    spec = own.spec(np.asarray(tree["prior_predictive"]["y"]).ravel())
    truth = scalars(spec, tree["prior"])
    return spec, {key: float(value.item()) for key, value in truth.items()}


def _sampled(run: Run, spec: ModelSpec, seed: int) -> Posterior | None:
    """None where effects are drawn so large beside σ that the package refuses to tell σ from rounding."""
    try:
        return run.engine(run.model, spec, seed)
    except bm.FitError as error:
        if "fit the response exactly" in str(error):
            return None  # this depends on the response alone and biases no rank
        raise


def replicate(job: tuple[str, int]) -> dict[str, Any]:
    """A :class:`Replication` as a dict."""
    name, number = job
    run = RUNS[name]
    prior_seed, sampler_seed = seeds(name, number)
    with warnings.catch_warnings():
        # too few draws for a user, and variances at 0, are what these fits are about
        warnings.simplefilter("ignore", bm.BimixedWarning)
        spec, truth = simulated(run.model, prior_seed)
        began = time.perf_counter()
        found = _sampled(run, spec, sampler_seed)
        seconds = time.perf_counter() - began
        if found is None:
            return asdict(Replication(name, number, seconds, None))
        draws = scalars(spec, found.draws)
        return asdict(
            Replication(
                run=name,
                number=number,
                seconds=seconds,
                ranks=[rank(value, draws[key]) for key, value in truth.items()],
                covers=[covered(value, *equal_tails(draws[key])) for key, value in truth.items()],
                reml=by_reml(spec, truth) if run.beside_reml else None,
                ess=found.ess,
                rhat=found.rhat,
                divergences=found.divergences,
            )
        )


def rank(truth: float, draws: Array) -> int:
    """Of the true value among the draws, thinned to 99."""
    every = max(draws.size // CELLS, 1)
    return int(np.sum(draws[:, ::every].ravel()[: CELLS - 1] < truth))


def equal_tails(draws: Array) -> tuple[Array, Array]:
    """Limits at every level, as ``conf_int`` of draws has them."""
    tail = 0.5 - 0.5 * np.array(LEVELS)
    return np.quantile(draws, tail), np.quantile(draws, 1.0 - tail)


def covered(truth: float, lower: Array, upper: Array) -> int:
    """How many of the nested intervals have it."""
    if np.isnan(lower).any() or np.isnan(upper).any():
        return NO_INTERVAL
    return int(np.sum((lower <= truth) & (truth <= upper)))


def by_reml(spec: ModelSpec, truth: dict[str, float]) -> list[int]:
    """By Wald intervals: ``conf_int``, and of random effects the conditional mode ± z conditional sds."""
    fit = spec.fit("reml")
    tables = [fit.conf_int(level) for level in LEVELS]
    z = np.array([NormalDist().inv_cdf(0.5 + 0.5 * level) for level in LEVELS])
    limits = {
        name: (
            np.array([t.at[name, "lower"] for t in tables]),
            np.array([t.at[name, "upper"] for t in tables]),
        )
        for name in tables[0].index
    }
    for f in spec.design.factors:
        mode, sd = fit.ranef[f.key].to_numpy(), fit.ranef_sd[f.key].to_numpy()
        for level in (0, -1):
            for k, name in enumerate(f.names):
                middle, half = mode[level, k], z * sd[level, k]
                limits[f"ranef_{f.key}[{f.levels[level]},{name}]"] = middle - half, middle + half
    return [covered(value, *limits[name]) for name, value in truth.items() if kind(name) != LIKELIHOOD]
