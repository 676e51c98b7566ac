"""Centred or non-centred, chosen for each grouping factor."""

from collections.abc import Mapping

import numpy as np

from bimixed.design import Design
from bimixed.exceptions import FitError
from bimixed.results import Estimates

PARAMETERIZATIONS = ("auto", "centered", "noncentered")
LEVELS, RELIABLE = 20, 0.7


def choose(design: Design, parameterization: str, reml: Estimates | None) -> dict[str, bool]:
    """Whether each group is centred.

    "auto" centres a group of at least ``LEVELS`` levels where REML finds its effects known rather
    than guessed: where the conditional variance is on average less than ``1 − RELIABLE`` of the
    variance between levels. With few levels the sd itself is poorly known, and a centred posterior
    has a narrow neck where it is small.

    Parameters
    ----------
    design : Design
    parameterization : {"auto", "centered", "noncentered"}
    reml : Estimates or None
        Of the same model; without them "auto" is non-centred.
    """
    if parameterization not in PARAMETERIZATIONS:
        raise FitError(
            f"parameterization is {parameterization!r}; choose one of {', '.join(PARAMETERIZATIONS)}."
        )
    if parameterization != "auto":
        return {f.key: parameterization == "centered" for f in design.factors}
    if reml is None:
        return {f.key: False for f in design.factors}
    return {f.key: f.n_levels >= LEVELS and reliability(reml, f.key) > RELIABLE for f in design.factors}


def reliability(reml: Estimates, key: str) -> float:
    """Smallest share, over coefficients, of the variance between levels that the data resolve.

    1 − mean conditional variance / variance; 0 at the boundary.
    """
    variance: Mapping[int, float] = dict(enumerate(np.diag(reml.random_cov[key])))
    conditional = np.mean(reml.ranef_sd[key] ** 2, axis=0)
    shares = [1.0 - conditional[k] / v if np.isfinite(v) and v > 0 else 0.0 for k, v in variance.items()]
    return float(np.nan_to_num(min(shares)))
