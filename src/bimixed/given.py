"""Data as they are given: a table in memory, or a source of rows."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bimixed.design import column_names
from bimixed.exceptions import DataError


def source_of(data: Any) -> Any:
    """A source of rows, or None where the data are a table in memory."""
    if data is None or isinstance(data, pd.DataFrame | Mapping | str):
        return None
    from bimixed.streaming import as_source

    return as_source(data)


def columns_of(data: Any) -> list[str]:
    """Names of the columns of a table or source."""
    source = source_of(data)
    return list(column_names(data)) if source is None else list(source.columns)


def refuse_source(data: Any, function: str, instead: str) -> None:
    """Refuse a source where a table in memory is needed.

    Raises
    ------
    DataError
    """
    source = source_of(data)
    if source is not None:
        collect = ", or collect it first, data.collect()" if hasattr(data, "collect") else ""
        raise DataError(f"{function} takes a table in memory, not {source.description}: {instead}{collect}.")
