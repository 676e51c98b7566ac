"""Passes where a Dask cluster's workers have the rows: only sums travel."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from bimixed.exceptions import UnavailableError
from bimixed.streaming.encoder import RowEncoder
from bimixed.streaming.frame_sources import DaskSource, asked_of_dask
from bimixed.streaming.orders import plain_labels

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
    """Values of each set of columns in complete rows: by a tree, since a shuffle would move the rows."""
    delayed = _delayed()
    level = [delayed(_values)([part], sets, True) for part in source.frame[list(columns)].to_delayed()]
    while True:
        level = [
            delayed(_values)(level[i : i + BRANCHES], sets, False) for i in range(0, len(level), BRANCHES)
        ]
        if len(level) == 1:
            return asked_of_dask(level[0].compute)


def _values(
    parts: Sequence[Any], sets: Sequence[tuple[str, ...]], are_rows: bool
) -> dict[tuple[str, ...], pd.DataFrame]:
    """Different values of each set of columns, of rows or of values found before."""
    rows = [part.dropna() for part in parts] if are_rows else []
    found = {}
    for own in sets:
        tables = [part[list(own)] for part in rows] if are_rows else [part[own] for part in parts]
        plain = [table.assign(**{name: plain_labels(table[name]) for name in own}) for table in tables]
        found[own] = pd.concat(plain, ignore_index=True).drop_duplicates(ignore_index=True)
    return found
