"""Rows that a result is asked about and that are not in memory; done in `streaming/`."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bimixed.exceptions import DataError, UnavailableError


def source_of(data: Any) -> Any:
    """A source of rows, or None where the data are a table in memory, or none."""
    if data is None or isinstance(data, pd.DataFrame | Mapping):
        return None
    from bimixed.streaming import as_source

    return as_source(data)


def refuse_for_tables(path: Any, keep: Any = None) -> None:
    """Refuse what only a source needs.

    Raises
    ------
    DataError
    """
    if path is not None or keep is not None:
        raise DataError(
            f"{'path=' if path is not None else 'keep='} is for sources, which are read chunk by chunk, as "
            "bm.scan_parquet(...); what a table gives is a table, which can be joined and written: "
            "data.join(fit.predict(data)).to_parquet(path)."
        )


def refuse_sources(data: Any, what: str) -> None:
    """Refuse a source where a table in memory is needed.

    Raises
    ------
    UnavailableError
        Naming a sample as the remedy.
    """
    if source_of(data) is not None:
        raise UnavailableError(
            f"{what} for rows in memory; of a source take a sample: bm.sample_rows(source, 10_000)."
        )


def predict_source(
    fit: Any, source: Any, how: Mapping[str, Any], random_seed: int | None, keep: Any, path: Any
) -> Any:
    """Predictions of a source, see :meth:`MixedModelResult.predict`."""
    from bimixed.streaming import lazy

    if how["variances"] == "bootstrap":
        raise UnavailableError(
            "variances='bootstrap' refits the model for the rows of one table; of a source take a sample: "
            "bm.sample_rows(source, 10_000)."
        )
    return lazy.predictions(fit, source, how, random_seed, keep or (), path)


def augment_source(fit: Any, source: Any, prefix: str, path: Any) -> Any:
    """The rows of a source with fitted values, see :meth:`MixedModelResult.augment`."""
    from bimixed.streaming import lazy

    return lazy.augmented(fit, source, prefix, path)
