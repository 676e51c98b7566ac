"""Whether a posterior with flat priors of variances has a finite integral.

Far out, where sds are large, the integrated likelihood is a power of them: that of an sd of L levels falls
like τ^−(L − f), f fixed effects being estimated between the levels, and a flat prior has a finite integral
where the power is below −1 (Gelman 2006, section 2.2). The power is the slope in log τ, read off there.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.exceptions import PriorError
from bimixed.marginal.posterior import MarginalPosterior
from bimixed.priors import sd_name

MANY = 8
"""Flat scales up to which all subsets are checked."""
FAR = 1e4
"""How many times the starting values count as far out."""
FALLING = -0.25
"""Largest slope of log-density and Jacobian that counts as falling: powers are halves at least."""


def check_flat_scales(design: Design, posterior: MarginalPosterior, start: Array) -> list[str]:
    """Check every flat prior of a scale, and all together; returns what is to be told of those that will do.

    Raises
    ------
    PriorError
        Naming what isn't bounded, why, and a prior that would do.
    """
    names = [
        (block.start + k, sd_name(design.factors[block.place].key, name))
        for block in posterior.coordinates.blocks
        for k, name in enumerate(design.factors[block.place].names[block.rows])
        if block.scales[k].prior.family == "flat"
    ]
    if posterior.coordinates.sigma.prior.family == "flat":
        names.append((len(start) - 1, "sigma"))
    slopes = {name: _slope_far_out(posterior, start, [place]) for place, name in names}
    unbounded = next(
        ([name for _, name in some] for some in _subsets(names) if _rises(posterior, start, some)), []
    )
    if unbounded:
        groups = ", ".join(f"{f.key} has {f.n_levels} levels" for f in design.factors)
        raise PriorError(
            f"The posterior is improper: a flat prior of {' and of '.join(unbounded)} leaves its integral "
            f"infinite, because the data don't rule out large values ({groups}, less what the fixed effects "
            "take of them; a flat prior of an sd needs three levels or more beyond these). Give a proper "
            f"prior: priors={{{unbounded[0]!r}: bm.Prior('half_student_t', nu=3, sigma=...)}}."
        )
    return [
        f"The posterior of {name} has no finite {'mean' if slope > FALLING - 1 else 'sd'}: its prior is flat "
        "and too few levels rule out large values, so that its estimate here is arbitrary. Quote quantiles "
        f"(conf_int), or give a proper prior: priors={{{name!r}: bm.Prior('half_student_t', nu=3, "
        "sigma=...)}."
        for name, slope in slopes.items()
        if slope > FALLING - 2
    ]


def _subsets(names: Sequence[tuple[int, str]]) -> Iterator[tuple[tuple[int, str], ...]]:
    """Flat scales that may grow together, few first: one may hide what others do."""
    for size in range(1, len(names) + 1):
        if len(names) <= MANY or size in (1, 2, len(names) - 1, len(names)):
            yield from combinations(names, size)


def _rises(posterior: MarginalPosterior, start: Array, some: Sequence[tuple[int, str]]) -> bool:
    return _slope_far_out(posterior, start, [place for place, _ in some]) > FALLING


def _slope_far_out(posterior: MarginalPosterior, start: Array, places: Sequence[int]) -> float:
    """Slope of the log-density along the logarithm of scales that are all large; its power, and 1."""
    far = start.copy()
    far[list(places)] += np.log(FAR)
    try:
        slope = posterior(far)[1]
    except np.linalg.LinAlgError:
        return -np.inf  # no density is left so far out
    return float(np.sum(slope[list(places)]))
