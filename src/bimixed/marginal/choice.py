"""Which form of the posterior costs less per effective draw, by counting operations.

Counts, not times: the choice must not depend on what else the machine does.
"""

import numpy as np

from bimixed.crossproducts import CrossProducts
from bimixed.design import Design
from bimixed.marginal.compiled import is_compiled

STEPS, SHARE = 3.0, 0.7
"""Gradients per draw, and effective draws per draw, of the marginal form: few round coordinates."""
HIERARCHICAL_STEPS, HIERARCHICAL_SHARE, CROSSED_SHARE = 31.0, 0.3, 0.02
"""Those of the hierarchical form, with a coordinate for every effect, and where groups are crossed.

Sums of crossed effects are known better than their parts: with 4,128 effects of three groups 150 draws of 58
gradients each were worth one or two.
"""
LOOP, BLAS, CALL = 1e-9, 1e-10, 1e-3
"""Seconds of a multiplication in a compiled loop and in LAPACK, and of one evaluation by numpy."""


def marginal_cost(cp: CrossProducts) -> float:
    """Seconds per effective draw of the marginal form, roughly."""
    return marginal_seconds(cp) / SHARE


def marginal_seconds(cp: CrossProducts) -> float:
    """Seconds per draw of the marginal form, roughly."""
    columns = cp.p + 2
    own = sum(f.n_levels * f.template.size**2 * (4.0 * f.template.size + 3.0 * columns) for f in cp.chain)
    pairs = sum(float(np.sum(np.diff(f.pairs.row_starts) ** 2.0)) * f.template.size for f in cp.chain)
    if cp.analysis is not None:
        trailing = 3.0 * (cp.analysis.flops + cp.analysis.n_core**3.0)
    else:
        trailing = 1.2 * cp.width**3.0
    if is_compiled(cp):
        seconds = LOOP * (own + 2.0 * pairs + trailing)
    else:
        seconds = CALL + 5.0 * LOOP * (own + pairs) + BLAS * trailing
    return seconds * STEPS


def hierarchical_cost(design: Design, crossed: bool) -> float:
    """Seconds per effective draw of the hierarchical form, roughly."""
    n_effects = sum(f.n_levels * f.n_coefficients for f in design.factors)
    per_row = 2.0 + len(design.kept) + sum(3.0 * f.n_coefficients for f in design.factors)
    seconds = 3.0 * LOOP * (design.n * per_row + 10.0 * n_effects)
    return seconds * HIERARCHICAL_STEPS / (CROSSED_SHARE if crossed else HIERARCHICAL_SHARE)
