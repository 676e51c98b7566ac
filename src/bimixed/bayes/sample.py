"""A PyMC model → draws, by nutpie, PyMC's own sampler or NumPyro."""

import importlib.util
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pymc as pm

from bimixed.bayes.complete import complete_draws, too_few
from bimixed.bayes.jax_chains import chain_method
from bimixed.exceptions import FitError
from bimixed.results.trees import in_order

SAMPLERS = ("auto", "nutpie", "pymc", "numpyro")
TARGET_ACCEPT = 0.95
"""Default: hierarchical posteriors have narrow necks, and a step costs little."""
GROUPS = ("posterior", "sample_stats")


def check_sampler(sampler: str) -> None:
    """That there is such a sampler.

    Raises
    ------
    FitError
        If it is unknown or not installed.
    """
    if sampler not in SAMPLERS:
        raise FitError(f"Unknown sampler {sampler!r}; choose one of {', '.join(SAMPLERS)}.")
    if sampler == "numpyro" and importlib.util.find_spec("numpyro") is None:
        raise FitError(
            "sampler='numpyro' needs NumPyro, which isn't installed: pip install numpyro, and for a GPU "
            "jax[cuda12] too. Or leave out sampler=, for nutpie."
        )


def sample(
    model: pm.Model,
    *,
    draws: int,
    tune: int,
    chains: int,
    random_seed: int | None,
    sampler: str,
    target_accept: float | None,
    cores: int | None,
    progress: bool,
) -> Any:
    """Draw from the posterior.

    The same seed gives the same draws whatever ``cores`` is. Interrupting returns the draws so far; of
    NumPyro the chains that have begun, which it finishes.

    Returns
    -------
    xarray.DataTree
        Groups ``posterior`` (chain × draw × …) and ``sample_stats``.

    Raises
    ------
    FitError
        If it is interrupted before there are a few draws.
    """
    import pytensor

    if random_seed is None:
        random_seed = int(np.random.default_rng().integers(2**31))
    names = reported_variables(model)
    how = {
        "draws": draws,
        "tune": tune,
        "chains": chains,
        "cores": min(chains, cores or os.cpu_count() or 1),  # PyMC would guess how many are real
        "target_accept": TARGET_ACCEPT if target_accept is None else target_accept,
    }
    run = {"pymc": _pymc, "numpyro": _numpyro}.get(sampler, _nutpie)
    # With fast-math the last bit of a sum depends on what the compiler inlines, and that on which
    # kernels it finds in its cache: the first run on a machine would give other draws than the second.
    with pytensor.config.change_flags(numba__fastmath=False):
        tree = run(model, names, random_seed, progress, how)
    for group in [group for group in tree.children if group not in GROUPS]:
        del tree[group]
    tree["posterior"] = tree["posterior"].to_dataset()[in_order(names)]
    return complete_draws(tree, "sigma")


def reported_variables(model: pm.Model) -> list[str]:
    """Variables that the result keeps: none of the helpers that only serve sampling."""
    wanted = ("fixef", "sd_", "corr_", "ranef_", "sigma")
    known = {v.name for v in (*model.free_RVs, *model.deterministics)}
    return [name for name in sorted(known) if name.startswith(wanted) and "[" not in name]


def _nutpie(
    model: pm.Model, names: list[str], random_seed: int, progress: bool, how: Mapping[str, Any]
) -> Any:
    import nutpie

    compiled = nutpie.compile_pymc_model(model, var_names=names)
    return nutpie.sample(compiled, seed=random_seed, save_warmup=False, progress_bar=progress, **how)


def _pymc(model: pm.Model, names: list[str], random_seed: int, progress: bool, how: Mapping[str, Any]) -> Any:
    try:
        return _by_pymc("pymc", model, names, random_seed, progress, how, callback=_StopsAllChains(how))
    except ValueError as error:
        if "Not enough samples" not in str(error):
            raise
        raise too_few() from error


def _numpyro(
    model: pm.Model, names: list[str], random_seed: int, progress: bool, how: Mapping[str, Any]
) -> Any:
    method = chain_method(how["chains"], how["cores"], progress)
    return _by_pymc("numpyro", model, names, random_seed, progress, how, nuts={"chain_method": method})


def _by_pymc(
    sampler: str,
    model: pm.Model,
    names: list[str],
    random_seed: int,
    progress: bool,
    how: Mapping[str, Any],
    **options: Any,
) -> Any:
    return pm.sample(
        **how,
        model=model,
        var_names=names,
        random_seed=random_seed,
        nuts_sampler=sampler,
        progressbar=progress,
        quiet=not progress,
        compute_convergence_checks=False,
        **options,
    )


class _StopsAllChains:
    """PyMC calls this after each draw. Chains on one core are drawn in turn, and PyMC's interrupt ends one.

    Parameters
    ----------
    how : mapping
        draws, tune, chains, cores.
    """

    def __init__(self, how: Mapping[str, Any]):
        self.in_turn = how["cores"] == 1
        self.total = how["draws"] + how["tune"]
        self.drawn = [0] * how["chains"]

    def __call__(self, trace: Any, draw: Any) -> None:
        self.drawn[draw.chain] += 1
        if self.in_turn and any(drawn < self.total for drawn in self.drawn[: draw.chain]):
            raise KeyboardInterrupt
