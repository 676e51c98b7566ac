"""Tables in files, as the command line reads and writes them."""

import importlib.util
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bimixed._version import __version__
from bimixed.exceptions import DataError
from bimixed.results import MixedModelResult

_PARQUET = (".parquet", ".pq")
_PACKED = (".gz", ".bz2", ".xz", ".zip", ".zst")


def read_table(path: str) -> Any:
    """A table from a file, by its ending.

    Parameters
    ----------
    path : str
        ``.csv``, ``.tsv`` or ``.txt`` (tabs in both), packed or not; ``.parquet`` or ``.pq``; ``-`` for CSV
        on stdin.

    Returns
    -------
    pandas or polars DataFrame

    Raises
    ------
    DataError
        If the file isn't there, isn't such a table, or its reader isn't installed.
    """
    if path == "-":
        return _read_csv("standard input", sys.stdin, ",")
    file = Path(path)
    if not file.is_file():
        raise DataError(f"There is no file {path!r}.")
    endings = [ending.lower() for ending in file.suffixes]
    kind = next((ending for ending in reversed(endings) if ending not in _PACKED), "")
    if kind in _PARQUET:
        return _read_parquet(file)
    if kind in (".csv", ".tsv", ".txt"):
        return _read_csv(repr(path), file, "," if kind == ".csv" else "\t")
    raise DataError(f"{path!r} ends neither in .csv, .tsv, .txt (packed or not) nor in .parquet; rename it.")


def _read_csv(name: str, source: Any, separator: str) -> pd.DataFrame:
    try:
        table = pd.read_csv(source, sep=separator)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{name} can't be read as CSV in UTF-8: {error}") from error
    if len(table.columns) == 1 and ";" in str(table.columns[0]):
        raise DataError(f"{name} has semicolons between columns; write it with commas, or tabs and .tsv.")
    return table


def _read_parquet(file: Path) -> Any:
    """By pyarrow, else by polars."""
    if importlib.util.find_spec("pyarrow") is not None:
        read: Any = pd.read_parquet
    elif importlib.util.find_spec("polars") is not None:
        import polars

        read = polars.read_parquet
    else:
        raise DataError(
            f"Parquet files ({str(file)!r}) are read by pyarrow or polars: python -m pip install pyarrow"
        )
    try:
        return read(file)
    except Exception as error:  # pyarrow's and polars' own, which share no root
        raise DataError(f"{str(file)!r} can't be read as Parquet: {error}") from error


def write_text(path: str, text: str) -> None:
    """Write to a file, or with ``-`` to stdout.

    Raises
    ------
    DataError
        If the file can't be written.
    """
    if path == "-":
        sys.stdout.write(text)
        return
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path!r} can't be written: {error.strerror}. Give another path.") from error


def as_json(fits: Sequence[MixedModelResult], level: float) -> str:
    """Estimates, limits and diagnostics of fits; what isn't a number is null."""
    found = {"bimixed": __version__, "level": level, "fits": [_record(fit, level) for fit in fits]}
    return json.dumps(_plain(found), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _record(fit: MixedModelResult, level: float) -> dict[str, Any]:
    d = fit.diagnostics
    told = {field.name: getattr(d, field.name) for field in fields(d) if field.name != "details"}
    record: dict[str, Any] = {
        "method": fit.method,
        "formula": fit.formula,
        "arguments": dict(fit.arguments),
        "nobs": fit.nobs,
        "left_out": fit.design.frame.n_dropped,
        "groups": fit.ngroups,
        "fixef": fit.coef_table(level=level).reset_index().to_dict("records"),
        "varcorr": fit.varcorr.to_dict("records"),
        "conf_int": fit.conf_int(level).reset_index().to_dict("records"),
        "diagnostics": told,
    }
    if fit.posterior is None:
        record |= {"loglik": fit.loglik, "aic": fit.aic, "bic": fit.bic}
    return record


def _plain(value: Any) -> Any:
    """Without numpy's types, and null for what isn't finite."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
