"""Joint draws of parameters given the data, and of predictions with them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from bimixed.arguments import check_count, check_seed
from bimixed.exceptions import DataError
from bimixed.inference.identified import check_identified
from bimixed.results import MixedModelResult
from bimixed.results.posterior import make_draws
from bimixed.results.rows import NewLevels, check_weights, prediction_rows, without_undetermined
from bimixed.results.sources import refuse_sources
from bimixed.results.uncertainty import Draws, NormalApproximation

CHUNK = 4_000_000
"""Random effects drawn at a time."""
KINDS = ("mean", "response")


def parameter_draws(fit: MixedModelResult, n: int, rng: np.random.Generator) -> Iterator[Draws]:
    """Draws of fixed and random effects given the data, a few at a time.

    From the posterior n of them, evenly spaced, or as many as there are; of likelihood fits from the normal
    distribution given the estimated variances.
    """
    uncertainty, design = fit.uncertainty, fit.design
    step = max(1, CHUNK // sum(f.n_levels * f.n_coefficients for f in design.factors))
    if isinstance(uncertainty, Draws):
        uncertainty = uncertainty.complete
        have = len(uncertainty.sigma)
        used = np.linspace(0, have - 1, min(n, have)).round().astype(np.intp)
        for first in range(0, len(used), step):
            yield uncertainty.at(used[first : first + step])
        return
    assert isinstance(uncertainty, NormalApproximation)
    for first in range(0, n, step):
        m = min(step, n - first)
        kept, ranef = uncertainty.joint.sample(m, rng)
        beta = np.full((m, len(design.names)), np.nan)
        beta[:, design.kept] = kept
        cov = {key: np.broadcast_to(own, (m, *own.shape)) for key, own in uncertainty.random_cov.items()}
        yield make_draws(design, beta, cov, np.full(m, uncertainty.sigma), ranef)


def predict_draws(
    fit: MixedModelResult,
    new_data: Any,
    kind: str,
    n: int,
    random: str | list[str],
    new_levels: NewLevels,
    random_seed: int | None,
) -> pd.DataFrame:
    """See :meth:`MixedModelResult.predict_draws`."""
    if kind not in KINDS:
        raise DataError(f"kind is {kind!r}; choose 'mean' (expected responses) or 'response' (new ones).")
    check_count("n", n)
    check_seed(random_seed)
    refuse_sources(new_data, "Joint draws are")
    rows = prediction_rows(fit.design, new_data, random, new_levels)
    if new_data is not None:
        rows = without_undetermined(rows, fit.estimates.undetermined)
    if kind == "response":
        check_weights(fit.design, rows)
    check_identified(
        {key: fit.estimates.usable_cov[key] for key in rows.sampled},
        "effects of new levels can't be drawn; use new_levels='population'",
    )
    rng = np.random.default_rng(random_seed)
    parts = [
        draws.responses(rows, rng) if kind == "response" else draws.linear_predictor(rows, rng)
        for draws in parameter_draws(fit, n, rng)
    ]
    values = np.concatenate(parts)
    return pd.DataFrame(values, pd.RangeIndex(len(values), name="draw"), rows.rows.index)
