"""Responses drawn from a posterior, beside what ArviZ's checks need of the same draws."""

from typing import Any

import numpy as np

from bimixed.arguments import check_count, check_seed
from bimixed.design import Design
from bimixed.results.rows import PredictionRows
from bimixed.results.trees import response_dataset
from bimixed.results.uncertainty import Draws


def predictive_tree(
    design: Design, draws: Draws, rows: PredictionRows, posterior: Any, n: int, random_seed: int | None
) -> Any:
    """DataTree of ``posterior``, ``posterior_predictive``, ``log_likelihood`` and ``observed_data``.

    Parameters
    ----------
    design : Design
    draws : Draws
        Chains one after the other.
    rows : PredictionRows
        Those of the design.
    posterior : xarray.Dataset
        The same draws, chain × draw.
    n : int
        Draws to use, evenly from each chain.
    random_seed : int or None
    """
    import xarray

    check_count("n", n)
    check_seed(random_seed)
    if draws.with_ranef is not None:
        each_chain = len(draws.with_ranef) // posterior.sizes["chain"]
        posterior, draws = posterior.isel(draw=draws.with_ranef[:each_chain]), draws.complete
    chains, length = posterior.sizes["chain"], posterior.sizes["draw"]
    each = min(max(n // chains, 1), length)
    within = np.linspace(0, length - 1, each).round().astype(np.intp)
    used = draws.at((np.arange(chains)[:, None] * length + within).ravel())
    y = used.responses(rows, np.random.default_rng(random_seed))
    density = used.log_densities(rows, design.y)
    shape = (chains, each, design.n)
    return xarray.DataTree.from_dict(
        {
            "posterior": posterior.isel(draw=within).assign_coords(draw=np.arange(each)),
            "posterior_predictive": response_dataset(design, y=y.reshape(shape)),
            "log_likelihood": response_dataset(design, y=density.reshape(shape)),
            "observed_data": response_dataset(design, y=design.y),
        }
    )
