"""A PyMC model → draws, by nutpie or by PyMC's own sampler."""

from typing import Any

import numpy as np
import pymc as pm

from bimixed.exceptions import FitError
from bimixed.results.trees import in_order

SAMPLERS = ("auto", "nutpie", "pymc")
TARGET_ACCEPT = 0.95
"""Default: hierarchical posteriors have narrow necks, and a step costs little."""


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

    The same seed gives the same draws whatever ``cores`` is. Interrupting returns the draws so far.

    Returns
    -------
    xarray.DataTree
        Groups ``posterior`` (chain × draw × …) and ``sample_stats``.
    """
    if target_accept is None:
        target_accept = TARGET_ACCEPT
    names = reported_variables(model)
    if random_seed is None:
        random_seed = int(np.random.default_rng().integers(2**31))
    if sampler in ("auto", "nutpie"):
        tree = _nutpie(model, names, draws, tune, chains, random_seed, target_accept, cores, progress)
    elif sampler == "pymc":
        tree = pm.sample(
            draws,
            tune=tune,
            chains=chains,
            cores=cores,
            random_seed=random_seed,
            target_accept=target_accept,
            progressbar=progress,
            var_names=names,
            compute_convergence_checks=False,
            model=model,
        )
    else:
        raise FitError(f"Unknown sampler {sampler!r}; choose one of {', '.join(SAMPLERS)}.")
    tree["posterior"] = tree["posterior"].to_dataset()[in_order(names)]
    return complete_draws(tree, "sigma")


def reported_variables(model: pm.Model) -> list[str]:
    """Variables that the result keeps: none of the helpers that only serve sampling."""
    wanted = ("fixef", "sd_", "corr_", "ranef_", "sigma")
    known = {v.name for v in (*model.free_RVs, *model.deterministics)}
    return [name for name in sorted(known) if name.startswith(wanted) and "[" not in name]


def _nutpie(
    model: pm.Model,
    names: list[str],
    draws: int,
    tune: int,
    chains: int,
    random_seed: int,
    target_accept: float,
    cores: int | None,
    progress: bool,
) -> Any:
    import nutpie
    import pytensor

    # With fast-math the last bit of a sum depends on what the compiler inlines, and that on which
    # kernels it finds in its cache: the first run on a machine would give other draws than the second.
    with pytensor.config.change_flags(numba__fastmath=False):
        compiled = nutpie.compile_pymc_model(model, var_names=names)
    return nutpie.sample(
        compiled,
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        seed=random_seed,
        save_warmup=False,
        progress_bar=progress,
        target_accept=target_accept,
    )


def complete_draws(tree: Any, variable: str) -> Any:
    """After an interrupt: the draws that every chain has, judged by one variable.

    Raises
    ------
    FitError
        If there are hardly any.
    """
    values = np.asarray(tree["posterior"][variable])
    values = values.reshape(*values.shape[:2], -1)[:, :, 0]
    finished = np.isfinite(values).sum(axis=1)
    complete = int(finished.min()) if len(finished) else 0
    if complete < 4:
        raise FitError(
            "Sampling was stopped before every chain had a few draws after warm-up; nothing is kept. "
            "Let it run longer, or ask for fewer tune= steps."
        )
    if complete < values.shape[1]:
        tree = tree.isel(draw=slice(0, complete))
    return tree
