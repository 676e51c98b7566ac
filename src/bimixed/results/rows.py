"""What a prediction asks for: rows, which random effects count, and what new levels mean."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.design import Design, LevelRows, NewRows, RandomRows
from bimixed.design.rows import UnseenLevels
from bimixed.exceptions import DataError, IdentificationWarning, warn
from bimixed.results.undetermined import Undetermined

NewLevels = Literal["error", "population", "sample"]
NEW_LEVELS = ("error", "population", "sample")


@dataclass(frozen=True)
class PredictionRows:
    """Encoded rows with the random effects that count.

    Attributes
    ----------
    rows : NewRows
    groups : tuple of str
        Keys of the groups whose effects are included.
    sampled : mapping, group → UnseenLevels
        Levels never seen, where their effects are to be sampled.
    unknown : (m,) bool array, optional
        Rows that have no estimate.
    no_limits : (m,) bool array, optional
        Rows whose variance has no estimate.
    """

    rows: NewRows
    groups: tuple[str, ...]
    sampled: Mapping[str, UnseenLevels]
    unknown: NDArray[np.bool_] | None = None
    no_limits: NDArray[np.bool_] | None = None

    @property
    def known(self) -> dict[str, RandomRows]:
        """Levels of the rows and values on them, of the included groups."""
        return {key: self.rows.random[key] for key in self.groups}


def included_groups(design: Design, random: Any) -> tuple[str, ...]:
    """Keys named by ``random``: "all", "none" or a list of groups."""
    keys = tuple(f.key for f in design.factors)
    if isinstance(random, str):
        if random == "all":
            return keys
        if random == "none":
            return ()
        random = [random]
    if not isinstance(random, list | tuple | set):
        raise DataError(f"random is {random!r}; use 'all', 'none' or a list of groups from {list(keys)}.")
    unknown = [key for key in random if key not in keys]
    if unknown:
        raise DataError(
            f"random names {unknown[0]!r}, which is no group of the model; "
            f"use 'all', 'none' or a list from {list(keys)}."
        )
    return tuple(random)


def check_new_levels(new_levels: str) -> None:
    if new_levels not in NEW_LEVELS:
        raise DataError(f"new_levels is {new_levels!r}; choose one of {', '.join(NEW_LEVELS)}.")


def check_limits(interval: Any, variances: Any) -> None:
    """Refuse intervals, and ways to make them, that there aren't."""
    if variances not in ("fixed", "bootstrap"):
        raise DataError(f"variances is {variances!r}; choose 'fixed' or 'bootstrap'.")
    if interval not in (None, "confidence", "prediction"):
        raise DataError(f"interval is {interval!r}; choose 'confidence' or 'prediction'.")


def check_weights(design: Design, rows: PredictionRows) -> None:
    """Refuse new responses whose variance isn't known."""
    if design.has_weights and rows.rows.weights is None:
        raise DataError(
            "The fit used weights, and a new response's variance depends on its weight: give the "
            "new data the column of weights (name a column in ModelSpec, not an array)."
        )


def prediction_rows(design: Design, new_data: Any, random: Any, new_levels: NewLevels) -> PredictionRows:
    """Encode the rows and settle what happens to levels never seen."""
    check_new_levels(new_levels)
    groups = included_groups(design, random)
    rows = design.training_rows() if new_data is None else design.encode(new_data, groups)
    sampled: dict[str, UnseenLevels] = {}
    for key in groups:
        new = rows.random[key].unseen_levels()
        if new is None:
            continue
        if new_levels == "error":
            shown = ", ".join(new.labels[:5]) + (", …" if len(new.labels) > 5 else "")
            raise DataError(
                f"Group {key!r} has levels that were not in the fitted data: {shown}. "
                "Use new_levels='population' (their effect is 0), or 'sample' (0 too, and "
                "intervals count the variance of a new level)."
            )
        if new_levels == "sample":
            sampled[key] = new
    return PredictionRows(rows, groups, sampled, _without_estimate(design, rows))


def _without_estimate(design: Design, rows: NewRows) -> NDArray[np.bool_] | None:
    """Rows whose Xβ the data don't determine; None if there are none.

    Beside a fixed factor of very many levels nothing is looked at.
    """
    if design.wide is not None or not design.dropped or (design.has_rows and rows.X is design.X):
        return None
    X = rows.X if isinstance(rows.X, np.ndarray) else rows.X.toarray()
    unknown = ~design.estimable(X)
    if not unknown.any():
        return None
    warn(
        f"{int(unknown.sum())} of {len(unknown)} rows have no estimate and are NaN: the fitted data don't "
        f"tell the effect of {', '.join(design.dropped[:3])} from those of other columns, and these "
        "rows combine them in a way that the data never do (a cell without rows, say). Leave them or these "
        "columns out.",
        IdentificationWarning,
    )
    return unknown


def without_undetermined(rows: PredictionRows, undetermined: Mapping[str, Undetermined]) -> PredictionRows:
    """Rows marked of which nothing is known because a covariance has no estimate."""
    unknown, no_limits = np.zeros((2, len(rows.rows.offset)), dtype=bool)
    for key in rows.groups:
        levels = rows.rows.random[key]
        if key not in undetermined or not isinstance(levels, LevelRows):
            continue
        unknown |= undetermined[key].rows(levels)
        taken = levels.codes >= 0 if key not in rows.sampled else True
        no_limits |= undetermined[key].row_spreads(levels) & taken
    no_limits &= ~unknown
    if unknown.any():
        warn(
            f"{int(unknown.sum())} of {len(unknown)} rows have no estimate and are NaN: they combine a level "
            "with covariates that it never had, and the covariance that would carry its effects over to them "
            "is not determined (see fit.diagnostics). For levels of which nothing is known use "
            "random='none'.",
            IdentificationWarning,
        )
        rows = replace(rows, unknown=unknown if rows.unknown is None else unknown | rows.unknown)
    if no_limits.any():
        warn(
            f"{int(no_limits.sum())} of {len(no_limits)} rows have no limits: the variance of a level at "
            "their covariates is not determined (see fit.diagnostics).",
            IdentificationWarning,
        )
        rows = replace(rows, no_limits=no_limits)
    return rows


def random_part(rows: PredictionRows, effects: Mapping[str, Array]) -> Array:
    """Z b of the included groups; effects are (L, K), or (L, K, draws) giving (m, draws)."""
    total: Array | float = 0.0
    for key, levels in rows.known.items():
        total = total + levels.times(effects[key])
    return np.asarray(total)


def linear_predictor(rows: PredictionRows, beta: Array, effects: Mapping[str, Array]) -> Array:
    """Xβ + Zb + offset, (m,); β is (p,), NaN where a column was dropped."""
    predicted = (
        rows.rows.X @ np.where(np.isnan(beta), 0.0, beta) + rows.rows.offset + random_part(rows, effects)
    )
    return predicted if rows.unknown is None else np.where(rows.unknown, np.nan, predicted)
