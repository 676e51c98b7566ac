"""Residuals on the scale of probabilities: the place of each response among simulated ones.

Where the model holds, a response and n simulated ones are exchangeable, so that its rank, made continuous by
a uniform number, is uniform in [0, 1] (Dunn and Smyth 1996; R's DHARMa does the same).
"""

import numpy as np
import pandas as pd

from bimixed.arguments import check_count, check_seed
from bimixed.inference.simulated import simulated
from bimixed.results import MixedModelResult
from bimixed.results.uncertainty import Draws


def residuals_scaled(fit: MixedModelResult, n: int, random_seed: int | None, random: str) -> pd.Series:
    """See :meth:`MixedModelResult.residuals_scaled`."""
    check_count("n", n)
    check_seed(random_seed)
    rng, design = np.random.default_rng(random_seed), fit.design
    if isinstance(fit.uncertainty, Draws):
        n = min(n, len(fit.uncertainty.sigma))
    below = np.zeros(design.n)
    for y in simulated(fit, n, random, rng):
        below += np.count_nonzero(y < design.y, axis=0)
    values = (below + rng.random(design.n)) / (n + 1)
    return pd.Series(values, design.index, name="residual_scaled")
