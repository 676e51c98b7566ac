"""Bundled data, read from the installed package."""

import difflib
import importlib.resources

import pandas as pd

from bimixed.exceptions import DataError

_DTYPES: dict[str, dict[str, str]] = {
    "radon": {},
    "sleepstudy": {"Subject": "category"},
    "score_parentedu": {},
}


def load_dataset(name: str) -> pd.DataFrame:
    """Load a bundled data set.

    Parameters
    ----------
    name : str
        - ``"radon"``: 919 houses in 85 counties of Minnesota: ``county``, ``floor`` (0 basement, 1
          first floor), ``log_uranium`` (of the county), ``log_radon`` (log of the activity + 0.1).
        - ``"sleepstudy"``: reaction times (ms) of 18 subjects over 10 days of little sleep.
        - ``"score_parentedu"``: simulated scores of 60 students in 3 classrooms and their parents'
          years of education.

        Where they come from stands in ``datasets/PROVENANCE.md`` of the package.

    Returns
    -------
    pandas.DataFrame
        A new frame each time.

    Raises
    ------
    DataError
        If there is no data set of that name.

    Examples
    --------
    >>> load_dataset("radon").shape
    (919, 4)
    """
    if name not in _DTYPES:
        close = difflib.get_close_matches(str(name), _DTYPES, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise DataError(f"No data set {name!r}.{hint} Bundled are {', '.join(sorted(_DTYPES))}.")
    source = importlib.resources.files("bimixed.datasets").joinpath(f"{name}.csv")
    with source.open("r", encoding="utf-8") as file:
        return pd.read_csv(file, dtype=_DTYPES[name])
