"""Whether draws can be trusted: R-hat and effective sample sizes over every scalar, in words."""

from typing import Any

import numpy as np

from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.priors import safe_name
from bimixed.results.effective import efficiency

RHAT, ESS = 1.01, 400.0
"""Largest R-hat and smallest effective sample size to trust (Vehtari et al. 2021)."""
BFMI = 0.3
"""Smallest energy fraction of missing information to trust (Betancourt 2016)."""


def convergence(design: Design, tree: Any) -> tuple[float, float, float]:
    """Largest R-hat, smallest bulk and tail ESS over every scalar of the posterior.

    Entries of correlation matrices that are no parameters (the diagonal) don't count.
    """
    found = efficiency(_scalars(design, tree["posterior"]))
    return float(np.max(found.rhat)), float(np.min(found.bulk)), float(np.min(found.tail))


def energy_fraction(tree: Any) -> float:
    """The smallest E-BFMI of the chains: Σ (E_n − E_{n−1})² over Σ (E_n − mean)² (Betancourt 2016)."""
    import arviz

    return float(np.min(np.asarray(arviz.bfmi(tree)["energy"])))


def _scalars(design: Design, posterior: Any) -> Array:
    """Every parameter side by side, (chain, draw, scalar)."""
    pairs = {f"corr_{safe_name(f.key)}": np.array(f.template.correlated_pairs()) for f in design.factors}
    columns = []
    for name in posterior.data_vars:
        values = np.asarray(posterior[name], dtype=np.float64)
        if name in pairs:
            values = values[:, :, pairs[name][:, 0], pairs[name][:, 1]]
        columns.append(values.reshape(*values.shape[:2], -1))
    return np.concatenate(columns, axis=2)
