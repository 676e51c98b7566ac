"""Passes where a Dask cluster's workers have the rows: only sums travel."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from bimixed.exceptions import UnavailableError
from bimixed.streaming.encoder import RowEncoder
from bimixed.streaming.frame_sources import DaskSource, asked_of_dask

BRANCHES = 8
"""Sums that are added at a time: a tree, so that no worker needs all of them."""


def _delayed() -> Any:
    try:
        from dask import delayed
    except ImportError as error:
        raise UnavailableError("python -m pip install 'bimixed[scale]' installs Dask.") from error
    return delayed


def sums(
    source: DaskSource,
    encoder: RowEncoder,
    partition_sums: Callable[[pd.DataFrame, RowEncoder, int], Any],
    added: Callable[[Sequence[Any]], Any],
) -> Any:
    """Sums of all partitions, added along a tree."""
    delayed = _delayed()
    frame = source.frame[list(encoder.columns)]
    shared = delayed(encoder)
    level = [delayed(partition_sums, pure=True)(part, shared, i) for i, part in enumerate(frame.to_delayed())]
    while len(level) > 1:
        level = [delayed(added, pure=True)(level[i : i + BRANCHES]) for i in range(0, len(level), BRANCHES)]
    return asked_of_dask(level[0].compute)


def categories(
    source: DaskSource, sets: Sequence[tuple[str, ...]], columns: Sequence[str]
) -> dict[tuple[str, ...], pd.DataFrame]:
    """Values of each set of columns in complete rows."""
    frame = source.frame[list(columns)].dropna()
    return {
        own: asked_of_dask(frame[list(own)].drop_duplicates().compute).reset_index(drop=True) for own in sets
    }
