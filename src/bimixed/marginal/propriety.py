"""Whether a posterior with flat priors of variances has a finite integral.

Far out, where sds are large, the integrated likelihood is a power of them: that of an sd of L levels falls
like τ^−(L − f), f fixed effects being estimated between the levels, and a flat prior has a finite integral
where the power is below −1 (Gelman 2006, section 2.2). The power is the slope in log τ, read off there.
"""

from collections.abc import Sequence

import numpy as np

from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.exceptions import PriorError
from bimixed.marginal.posterior import MarginalPosterior
from bimixed.priors import sd_name

FAR = 1e4
"""How many times the starting values count as far out."""
FALLING = -0.25
"""Largest slope of log-density and Jacobian that counts as falling: powers are halves at least."""


def refuse_improper(design: Design, posterior: MarginalPosterior, start: Array) -> None:
    """Check every flat prior of a scale, and all together.

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
    unbounded = [name for place, name in names if not _falls(posterior, start, [place])]
    if not unbounded and len(names) > 1 and not _falls(posterior, start, [place for place, _ in names]):
        unbounded = [name for _, name in names]
    if not unbounded:
        return
    groups = ", ".join(f"{f.key} has {f.n_levels} levels" for f in design.factors)
    raise PriorError(
        f"The posterior is improper: a flat prior of {' and of '.join(unbounded)} leaves its integral "
        f"infinite, because the data don't rule out large values ({groups}, less what the fixed effects take "
        "of them; a flat prior of an sd needs three levels or more beyond these). Give a proper prior: "
        f"priors={{{unbounded[0]!r}: bm.Prior('half_student_t', nu=3, sigma=...)}}."
    )


def _falls(posterior: MarginalPosterior, start: Array, places: Sequence[int]) -> bool:
    far = start.copy()
    far[list(places)] += np.log(FAR)
    try:
        slope = posterior(far)[1]
    except np.linalg.LinAlgError:
        return True  # no density is left so far out
    return bool(np.sum(slope[list(places)]) < FALLING)
