"""Ranks of a group's levels with their uncertainty."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bimixed.arguments import check_count, check_seed
from bimixed.covariance import Array
from bimixed.design import LevelRows, RandomFactor
from bimixed.design.frame import shown_label
from bimixed.exceptions import DataError, UnavailableError
from bimixed.inference.prediction_draws import parameter_draws
from bimixed.inference.random_effects import coefficient_place
from bimixed.results import MixedModelResult
from bimixed.results.tables import check_level
from bimixed.results.uncertainty import Draws


def rank_levels(
    fit: MixedModelResult,
    group: str,
    coefficient: Any,
    top: int,
    best: str,
    n: int,
    level: float,
    random_seed: int | None,
) -> pd.DataFrame:
    """See :meth:`MixedModelResult.rank_levels`."""
    check_level(level)
    check_count("n", n)
    check_count("top", top)
    check_seed(random_seed)
    if best not in ("largest", "smallest"):
        raise DataError(f"best is {best!r}; choose 'largest' or 'smallest'.")
    factor = fit.design.factor(group)
    if top > factor.n_levels:
        raise DataError(f"top is {top}, and {group!r} has {factor.n_levels} levels; give a smaller number.")
    weights = _weights(fit, group, coefficient)
    _check_determined(fit, factor, weights)
    rng = np.random.default_rng(random_seed)
    if isinstance(fit.uncertainty, Draws):
        n = len(fit.uncertainty.sigma)
    sign = -1.0 if best == "largest" else 1.0
    ranks = np.concatenate(
        [_ranks(sign * (draws.ranef[factor.key] @ weights), rng) for draws in parameter_draws(fit, n, rng)]
    )
    tail = (1.0 - level) / 2.0
    lower, upper = np.quantile(ranks, [tail, 1.0 - tail], axis=0, method="inverted_cdf")
    table = pd.DataFrame(
        {
            "estimate": fit.estimates.usable_ranef[factor.key] @ weights,
            "expected_rank": ranks.mean(axis=0),
            "rank_sd": ranks.std(axis=0),
            "lower": lower,
            "upper": upper,
            "p_best": (ranks == 1).mean(axis=0),
            "p_top": (ranks <= top).mean(axis=0),
        },
        index=factor.levels.rename(factor.key),
    )
    return table.sort_values("expected_rank", kind="stable")


def _check_determined(fit: MixedModelResult, factor: RandomFactor, weights: Array) -> None:
    """Refuse ranks of effects that depend on a covariance without estimate.

    Raises
    ------
    UnavailableError
    """
    part = fit.estimates.undetermined.get(factor.key)
    if part is None:
        return
    every = np.arange(factor.n_levels)
    rows = LevelRows(every, np.tile(weights, (len(every), 1)), len(every))
    without = part.rows(rows) | part.row_spreads(rows)
    if without.any():
        raise UnavailableError(
            f"Of {int(without.sum())} of the {len(every)} levels of {factor.key!r}, such as "
            f"{shown_label(factor.levels[without][0])}, the data don't tell this: their rows don't show it, "
            "and the covariance that would is NaN (see fit.diagnostics). Rank what every level shows."
        )


def _ranks(values: Array, rng: np.random.Generator) -> NDArray[np.int32]:
    """Ranks within each row from 1 for the smallest, ties in a random order, (draws, L)."""
    order = np.lexsort((rng.random(values.shape), values), axis=-1)
    ranks = np.empty(values.shape, dtype=np.int32)
    np.put_along_axis(ranks, order, np.arange(1, values.shape[1] + 1, dtype=np.int32)[None], axis=1)
    return ranks


def _weights(fit: MixedModelResult, group: str, coefficient: Any) -> Array:
    """What is ranked as weights of the group's coefficients, (K,)."""
    names = fit.design.factor(group).names
    if coefficient is None:
        if len(names) > 1:
            raise DataError(
                f"Levels of {group!r} differ in {', '.join(names)}: write coefficient={names[-1]!r}, or a "
                f"combination such as coefficient={{{names[0]!r}: 1, {names[1]!r}: 2.5}}."
            )
        coefficient = names[0]
    if not isinstance(coefficient, str | dict):
        raise DataError(f"coefficient is {coefficient!r}; give a name, or a dict, name → weight.")
    given = coefficient if isinstance(coefficient, dict) else {coefficient: 1.0}
    weights = np.zeros(len(names))
    for name, weight in given.items():
        if not isinstance(name, str):
            raise DataError(f"coefficient is {coefficient!r}; give a name, or a dict, name → weight.")
        weights[coefficient_place(fit, group, name)] = _weight(name, weight)
    if not np.isfinite(weights).all() or not weights.any():
        raise DataError(f"coefficient is {coefficient!r}; give finite weights that are not all 0.")
    return weights


def _weight(name: str, weight: Any) -> float:
    try:
        return float(weight)
    except (TypeError, ValueError) as error:
        raise DataError(f"The weight of {name!r} is {weight!r}; give a number.") from error
