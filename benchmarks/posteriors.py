"""Posteriors by each tool: what ``run_one.py`` times, and what it tells of the draws.

4 chains of 1,000 draws after 1,000 of warm-up, on all cores, with each tool's default priors. bambi has no
correlated random effects: where we sample a correlation, it has the model without.
"""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

Call = Callable[[], Any]
Told = Callable[[Any], dict[str, Any]]

DRAWS, TUNE, CHAINS, SEED = 1000, 1000, 4, 1
MANY_ROWS = 50_000


def bimixed_nuts(formula: str, data: pd.DataFrame) -> tuple[Call, Told]:
    import bimixed as bm

    def call() -> Any:
        return bm.ModelSpec(formula, data).fit(method="nuts", random_seed=SEED, progress=False)

    def told(fit: Any) -> dict[str, Any]:
        return convergence(fit.posterior) | {"form": fit.diagnostics.details["form"].split()[0]}

    return call, told


def bimixed_importance(formula: str, data: pd.DataFrame) -> tuple[Call, Told]:
    """Independent draws, some of them twice: their effective number is the sampler's own.

    As many as by default, or 1,000 where a density takes long.
    """
    import bimixed as bm

    draws = None if len(data) <= MANY_ROWS else DRAWS

    def told(fit: Any) -> dict[str, Any]:
        found = fit.diagnostics
        return {"ess": float(found.ess_bulk_min), "pareto_k": float(found.pareto_k)}

    return lambda: bm.ModelSpec(formula, data).fit("importance", draws=draws, random_seed=SEED), told


def bambi_nutpie(formula: str, data: pd.DataFrame) -> tuple[Call, Told]:
    return bambi(formula, data, "nutpie")


def bambi_pymc(formula: str, data: pd.DataFrame) -> tuple[Call, Told]:
    return bambi(formula, data, "pymc")


def bambi(formula: str, data: pd.DataFrame, sampler: str) -> tuple[Call, Told]:
    import bambi as tool

    def call() -> Any:
        return tool.Model(formula, data).fit(
            draws=DRAWS,
            tune=TUNE,
            chains=CHAINS,
            cores=os.cpu_count(),
            random_seed=SEED,
            inference_method=sampler,
            progressbar=False,
        )

    return call, convergence


def convergence(tree: Any) -> dict[str, Any]:
    """Smallest bulk ESS and largest R-hat over every scalar, random effects included, and divergences.

    Entries that never change, such as the diagonal of a correlation matrix, are no parameters.
    """
    import arviz

    arrays = [np.asarray(array, dtype=float) for array in tree["posterior"].data_vars.values()]
    scalars = np.concatenate([one.reshape(*one.shape[:2], -1) for one in arrays], axis=2)
    scalars = scalars[:, :, np.ptp(scalars, axis=(0, 1)) > 0]
    axes = {"chain_axis": 0, "draw_axis": 1}
    return {
        "scalars": scalars.shape[2],
        "ess": float(np.min(arviz.ess(scalars, method="bulk", **axes))),
        "rhat": float(np.max(arviz.rhat(scalars, **axes))),
        "divergences": int(np.asarray(tree["sample_stats"]["diverging"]).sum()),
    }


def further_draws(formula: str, data: pd.DataFrame, repeats: int = 3) -> float:
    """Seconds of 4 × 1,000 more draws by us: what sampling costs without whatever is done once."""
    import bimixed as bm

    spec = bm.ModelSpec(formula, data)
    seconds: dict[int, list[float]] = {DRAWS: [], 2 * DRAWS: []}
    for _ in range(repeats):
        for draws, taken in seconds.items():
            began = time.perf_counter()
            spec.fit(method="nuts", draws=draws, random_seed=SEED, progress=False)
            taken.append(time.perf_counter() - began)
    return statistics.median(seconds[2 * DRAWS]) - statistics.median(seconds[DRAWS])
