"""Rows in blocks of one size, however they come."""

from collections.abc import Iterable, Iterator

import pandas as pd
from pandas.api.types import union_categoricals


def blocks(frames: Iterable[pd.DataFrame], size: int) -> Iterator[pd.DataFrame]:
    """The same rows in frames of ``size`` rows, the last one shorter; numbered within each."""
    held: list[pd.DataFrame] = []
    n = 0
    for frame in frames:
        start = 0
        while start < len(frame):
            part = frame.iloc[start : start + size - n]
            held.append(part)
            start, n = start + len(part), n + len(part)
            if n == size:
                yield joined(held)
                held, n = [], 0
    if held:
        yield joined(held)


def joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Frames below each other; categories are those of all."""
    if len(parts) == 1:
        return parts[0].reset_index(drop=True)
    whole = pd.concat(parts, ignore_index=True)
    for name in whole:
        if all(isinstance(part[name].dtype, pd.CategoricalDtype) for part in parts):
            columns = [part[name] for part in parts]
            whole[name] = pd.Series(union_categoricals(columns, ignore_order=True))
    return whole
