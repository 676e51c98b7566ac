"""Responses that a fit makes: from its estimates, or from draws of its posterior."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bimixed.arguments import check_count, check_seed
from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.design.rows import UnseenLevels
from bimixed.exceptions import DataError
from bimixed.inference.identified import check_identified
from bimixed.results import MixedModelResult
from bimixed.results.posterior import make_draws
from bimixed.results.rows import PredictionRows
from bimixed.results.uncertainty import Draws

Ints = NDArray[np.intp]

CHUNK = 4_000_000
"""Numbers in the largest temporary."""
RANDOM = ("new", "conditional")


def simulate(fit: MixedModelResult, n: int, random_seed: int | None, random: str) -> pd.DataFrame:
    """See :meth:`MixedModelResult.simulate`."""
    check_count("n", n)
    check_seed(random_seed)
    y = np.concatenate(list(simulated(fit, n, random, np.random.default_rng(random_seed))))
    return pd.DataFrame(y.T, index=fit.design.index)


def simulated(fit: MixedModelResult, n: int, random: str, rng: np.random.Generator) -> Iterator[Array]:
    """n responses of the rows used, (·, rows) a few at a time; draws are used evenly, again where n is more.

    Raises
    ------
    DataError
        For an unknown ``random``.
    UnavailableError
        Where new random effects have a variance that isn't identified.
    """
    if random not in RANDOM:
        raise DataError(f"random is {random!r}; choose one of {', '.join(RANDOM)}.")
    design = fit.design
    draws, used = _parameters(fit, n, random)
    rows = _rows(design, random)
    wide = 1 + sum(f.n_coefficients for f in design.factors)
    step = max(1, CHUNK // (design.n * wide))
    for first in range(0, len(used), step):
        yield draws.at(used[first : first + step]).responses(rows, rng)


def _parameters(fit: MixedModelResult, n: int, random: str) -> tuple[Draws, Ints]:
    """Parameters to simulate from, and the places of those to use: the estimates n times, or draws."""
    if isinstance(fit.uncertainty, Draws):
        have = len(fit.uncertainty.complete.sigma)
        return fit.uncertainty.complete, np.linspace(0, have - 1, n).round().astype(np.intp)
    estimates = fit.estimates
    if random == "new":
        check_identified(
            estimates.usable_cov,
            "no new levels can be simulated; use random='conditional', or leave these random effects out",
        )
    one = make_draws(
        fit.design,
        estimates.beta[None],
        {key: cov[None] for key, cov in estimates.usable_cov.items()},
        np.array([fit.sigma]),
        {key: modes[None] for key, modes in estimates.usable_ranef.items()},
    )
    return one, np.zeros(n, dtype=np.intp)


def _rows(design: Design, random: str) -> PredictionRows:
    """The rows used, with the effects of their levels or of new ones in their places."""
    rows = design.training_rows()
    if random == "conditional":
        return PredictionRows(rows, tuple(f.key for f in design.factors), {})
    new = {f.key: UnseenLevels(tuple(map(str, range(f.n_levels))), f.matrix()) for f in design.factors}
    return PredictionRows(rows, (), new)
