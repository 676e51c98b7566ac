"""Whether draws can be trusted: R-hat and effective sample sizes over every scalar, in words."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.priors import safe_name
from bimixed.results.effective import efficiency

RHAT, ESS = 1.01, 400.0
"""Largest R-hat and smallest effective sample size to trust (Vehtari et al. 2021)."""
BFMI = 0.3
"""Smallest energy fraction of missing information to trust (Betancourt 2016)."""


@dataclass(frozen=True)
class Convergence:
    """The worst scalars of a posterior.

    Attributes
    ----------
    rhat, bulk, tail : float
        Largest R-hat, smallest bulk and tail ESS.
    rhat_of, ess_of : str
        Which parameters these are of; the smaller ESS of the two.
    """

    rhat: float
    bulk: float
    tail: float
    rhat_of: str
    ess_of: str


def convergence(design: Design, tree: Any) -> Convergence:
    """Over every scalar of the posterior, random effects included.

    Entries of correlation matrices that are no parameters (the diagonal) don't count.
    """
    names, columns = _scalars(design, tree["posterior"])
    found = efficiency(np.concatenate(columns, axis=2))
    edges = np.cumsum([column.shape[2] for column in columns])

    def name(place: int) -> str:
        part = int(np.searchsorted(edges, place, side="right"))
        return names[part](place - (edges[part] - columns[part].shape[2]))

    smaller = np.minimum(found.bulk, found.tail)
    return Convergence(
        float(np.max(found.rhat)),
        float(np.min(found.bulk)),
        float(np.min(found.tail)),
        name(int(np.argmax(np.nan_to_num(found.rhat, nan=np.inf)))),
        name(int(np.argmin(np.nan_to_num(smaller, nan=-np.inf)))),
    )


def energy_fraction(tree: Any) -> float:
    """The smallest E-BFMI of the chains: Σ (E_n − E_{n−1})² over Σ (E_n − mean)² (Betancourt 2016)."""
    import arviz

    return float(np.min(np.asarray(arviz.bfmi(tree)["energy"])))


def _scalars(design: Design, posterior: Any) -> tuple[list[Callable[[int], str]], list[Array]]:
    """Every variable as (chain, draw, scalar), and functions that name its scalars."""
    pairs = {f"corr_{safe_name(f.key)}": np.array(f.template.correlated_pairs()) for f in design.factors}
    names: list[Callable[[int], str]] = []
    columns = []
    for variable in posterior.data_vars:
        values = np.asarray(posterior[variable], dtype=np.float64)
        labels = [posterior[dim].to_numpy() for dim in posterior[variable].dims[2:]]
        places = np.array(list(np.ndindex(values.shape[2:])), dtype=np.intp)
        if variable in pairs:
            places = pairs[variable]
            values = values[:, :, places[:, 0], places[:, 1]]
        columns.append(values.reshape(*values.shape[:2], -1))
        names.append(partial(_name, variable, labels, places))
    return names, columns


def _name(variable: str, labels: list[NDArray[Any]], places: NDArray[np.intp], i: int) -> str:
    """Of scalar i of a variable, as tables have it: fixed effects by their own name."""
    own = ",".join(str(label[k]) for label, k in zip(labels, places[i], strict=True))
    if variable == "fixef":
        return own
    return f"{variable}[{own}]" if own else variable
