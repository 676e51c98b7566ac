"""What is counted while rows go by."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from bimixed.covariance import Array


@dataclass(frozen=True)
class Counts:
    """Rows, missing values, and what numeric columns are like, of complete rows.

    Attributes
    ----------
    rows : int
        Incomplete ones included.
    complete : int
    missing : mapping
        Column → missing values, where there are any.
    sums, lows, highs : mapping
        Of numeric columns: sum, least and largest value.
    offset, weights, inverse_weights : float
        Sums of these.
    """

    rows: int = 0
    complete: int = 0
    missing: Mapping[str, int] = field(default_factory=dict)
    sums: Mapping[str, float] = field(default_factory=dict)
    lows: Mapping[str, float] = field(default_factory=dict)
    highs: Mapping[str, float] = field(default_factory=dict)
    offset: float = 0.0
    weights: float = 0.0
    inverse_weights: float = 0.0


def counts_of(
    table: pd.DataFrame, rows: int, missing: Mapping[str, int], offset: Array | None, weights: Array | None
) -> Counts:
    """Of the complete rows of a chunk."""
    numeric = {name: table[name].to_numpy() for name in table if table[name].dtype.kind in "iuf"}
    numeric = {str(name): values for name, values in numeric.items() if len(values)}
    return Counts(
        rows=rows,
        complete=len(table),
        missing=dict(missing),
        sums={name: float(np.sum(values, dtype=np.float64)) for name, values in numeric.items()},
        lows={name: float(values.min()) for name, values in numeric.items()},
        highs={name: float(values.max()) for name, values in numeric.items()},
        offset=0.0 if offset is None else float(offset.sum()),
        weights=0.0 if weights is None else float(weights.sum()),
        inverse_weights=0.0 if weights is None else float((1.0 / weights).sum()),
    )


def add_counts(parts: Sequence[Counts]) -> Counts:
    """Of all parts together."""

    def by_name(name: str) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for part in parts:
            for column, value in getattr(part, name).items():
                found.setdefault(column, []).append(value)
        return found

    return Counts(
        rows=sum(part.rows for part in parts),
        complete=sum(part.complete for part in parts),
        missing={name: int(sum(own)) for name, own in by_name("missing").items()},
        sums={name: math.fsum(own) for name, own in by_name("sums").items()},
        lows={name: min(own) for name, own in by_name("lows").items()},
        highs={name: max(own) for name, own in by_name("highs").items()},
        offset=math.fsum(part.offset for part in parts),
        weights=math.fsum(part.weights for part in parts),
        inverse_weights=math.fsum(part.inverse_weights for part in parts),
    )
