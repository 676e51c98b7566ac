"""Predictions where a Dask cluster's workers have the rows."""

import os
import secrets
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from bimixed.exceptions import BimixedWarning, DataError, warn
from bimixed.streaming.blocks import blocks
from bimixed.streaming.frame_sources import DaskSource, asked_of_dask
from bimixed.streaming.parquet_source import ParquetSource
from bimixed.streaming.predictors import Predictor
from bimixed.streaming.reading import quoted
from bimixed.streaming.sources import scan_parquet


def predicted(source: DaskSource, predictor: Predictor) -> Any:
    """A Dask DataFrame of what the predictor says, on the index of the rows."""
    from dask import delayed

    frame = source.frame[list(predictor.reads)]
    copied = frame._meta[list(predictor.copied)]
    meta = copied.assign(**{name: pd.Series(dtype="float64") for name in predictor.says})
    shared = delayed(predictor.without_data(), traverse=False)
    return frame.map_partitions(of_partition, shared, meta=meta)


def of_partition(
    part: pd.DataFrame, predictor: Predictor, partition_info: dict[str, Any] | None = None
) -> pd.DataFrame:
    """What is said about the rows of a partition."""
    number = 0 if partition_info is None else int(partition_info["number"])
    tables = [predictor(block, (number, i)).table for i, block in enumerate(blocks([part], predictor.rows))]
    names = [*predictor.copied, *predictor.says]
    if not tables:
        return part[list(predictor.copied)].reindex(columns=names)
    return pd.concat(tables).set_axis(part.index, axis=0)[names]


def to_folder(frame: Any, says: str, path: str | os.PathLike[str]) -> ParquetSource:
    """A folder with a Parquet file of each partition, moved to its place when all are there.

    Rows that have nothing in the column ``says`` are counted there and warned of.

    Raises
    ------
    DataError
        Where there is something already, or it can't be written.
    """
    target = Path(path)
    if target.exists() or not target.parent.is_dir():
        what = "is there already" if target.exists() else f"is in {target.parent}, which isn't there"
        raise DataError(
            f"{target} {what}; predictions of a Dask DataFrame become a new folder with a file for each "
            "partition, so name another one."
        )
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        asked_of_dask(partial(frame.to_parquet, str(beside), write_index=False))
        beside.replace(target)
    except OSError as error:
        raise DataError(f"{target} can't be written: {error}.") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    written = scan_parquet(target)
    column = quoted(says)
    sql = f"SELECT count(*), count_if({column} IS NULL OR isnan({column})) FROM {written.whole().clause}"
    rows, without = written.whole().rows(sql)[0]
    if without:
        warn(
            f"{without:,} of {rows:,} rows have NaN, because a value is missing or a level has no estimate.",
            BimixedWarning,
        )
    return written
