"""What a prediction asks for: rows, which random effects count, and what new levels mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.design import Design, NewRows
from bimixed.exceptions import DataError

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
    sampled : mapping, group → (m,) int array
        Number of the new level of each row, -1 for levels that were fitted; only where new
        levels are to be sampled.
    """

    rows: NewRows
    groups: tuple[str, ...]
    sampled: Mapping[str, NDArray[np.intp]]

    @property
    def known(self) -> dict[str, tuple[NDArray[np.intp], Array]]:
        """Codes (-1: none) and values of the included groups."""
        return {key: (self.rows.codes[key], self.rows.values[key]) for key in self.groups}


def included_groups(design: Design, random: Any) -> tuple[str, ...]:
    """Keys named by ``random``: "all", "none" or a list of groups."""
    keys = tuple(f.key for f in design.factors)
    if isinstance(random, str):
        if random == "all":
            return keys
        if random == "none":
            return ()
        random = [random]
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


def prediction_rows(design: Design, new_data: Any, random: Any, new_levels: NewLevels) -> PredictionRows:
    """Encode the rows and settle what happens to levels never seen."""
    check_new_levels(new_levels)
    groups = included_groups(design, random)
    rows = design.training_rows() if new_data is None else design.encode(new_data, groups)
    sampled: dict[str, NDArray[np.intp]] = {}
    for key in groups:
        new = rows.codes[key] < 0
        if not new.any():
            continue
        labels = sorted({str(label) for label in rows.labels[key][new]})
        if new_levels == "error":
            shown = ", ".join(labels[:5]) + (", …" if len(labels) > 5 else "")
            raise DataError(
                f"Group {key!r} has levels that were not in the fitted data: {shown}. "
                "Use new_levels='population' (their effect is 0), or 'sample' (0 too, and "
                "intervals count the variance of a new level)."
            )
        if new_levels == "sample":
            number = {label: i for i, label in enumerate(labels)}
            sampled[key] = np.array(
                [number[str(x)] if is_new else -1 for x, is_new in zip(rows.labels[key], new, strict=True)],
                dtype=np.intp,
            )
    return PredictionRows(rows, groups, sampled)


def random_part(rows: PredictionRows, effects: Mapping[str, Array]) -> Array:
    """Z b of the included groups; effects are (L, K), or (L, K, draws) giving (m, draws)."""
    total: Array | float = 0.0
    for key, (codes, values) in rows.known.items():
        b = effects[key]
        known = codes >= 0
        part = np.zeros((len(codes), *b.shape[2:]))
        part[known] = np.einsum("mk,mk...->m...", values[known], b[codes[known]])
        total = total + part
    return np.asarray(total)
