"""Residuals on the scale of probabilities: the place of each response among simulated ones.

Where the model holds, a response and n simulated ones are exchangeable, so that its rank, made continuous by
a uniform number, is uniform in [0, 1] (Dunn and Smyth 1996; R's DHARMa does the same).
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bimixed.arguments import check_count, check_seed
from bimixed.design import Design
from bimixed.design.rows import UnseenLevels
from bimixed.exceptions import DataError, UnavailableError
from bimixed.results import MixedModelResult
from bimixed.results.posterior import make_draws
from bimixed.results.rows import PredictionRows
from bimixed.results.uncertainty import Draws

Ints = NDArray[np.intp]

CHUNK = 4_000_000
"""Numbers in the largest temporary."""
RANDOM = ("new", "conditional")


def residuals_scaled(fit: MixedModelResult, n: int, random_seed: int | None, random: str) -> pd.Series:
    """See :meth:`MixedModelResult.residuals_scaled`."""
    check_count("n", n)
    check_seed(random_seed)
    if random not in RANDOM:
        raise DataError(f"random is {random!r}; choose one of {', '.join(RANDOM)}.")
    rng, design = np.random.default_rng(random_seed), fit.design
    draws, used = _parameters(fit, n, random)
    rows = _rows(design, random)
    wide = 1 + sum(f.n_coefficients for f in design.factors)
    step = max(1, CHUNK // (design.n * wide))
    below = np.zeros(design.n)
    for first in range(0, len(used), step):
        y = draws.at(used[first : first + step]).responses(rows, rng)
        below += np.count_nonzero(y < design.y, axis=0)
    values = (below + rng.random(design.n)) / (len(used) + 1)
    return pd.Series(values, design.index, name="residual_scaled")


def _parameters(fit: MixedModelResult, n: int, random: str) -> tuple[Draws, Ints]:
    """Parameters to simulate from, and the places of those to use: the estimates n times, or draws."""
    if isinstance(fit.uncertainty, Draws):
        have = len(fit.uncertainty.sigma)
        return fit.uncertainty, np.linspace(0, have - 1, min(n, have)).round().astype(np.intp)
    estimates = fit.estimates
    unknown = [key for key, cov in estimates.random_cov.items() if np.isnan(cov).any()]
    if unknown and random == "new":
        raise UnavailableError(
            f"Variances of {unknown[0]!r} are not identified (see fit.diagnostics), so that no new levels "
            "can be simulated; use random='conditional', or leave these random effects out."
        )
    one = make_draws(
        fit.design,
        estimates.beta[None],
        {key: cov[None] for key, cov in estimates.random_cov.items()},
        np.array([fit.sigma]),
        {key: modes[None] for key, modes in estimates.ranef.items()},
    )
    return one, np.zeros(n, dtype=np.intp)


def _rows(design: Design, random: str) -> PredictionRows:
    """The rows used, with the effects of their levels or of new ones in their places."""
    rows = design.training_rows()
    if random == "conditional":
        return PredictionRows(rows, tuple(f.key for f in design.factors), {})
    new = {f.key: UnseenLevels(tuple(map(str, range(f.n_levels))), f.matrix()) for f in design.factors}
    return PredictionRows(rows, (), new)
