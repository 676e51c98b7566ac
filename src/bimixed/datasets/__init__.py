"""Bundled data, read from the installed package."""

import difflib
import importlib.resources

import numpy as np
import pandas as pd

from bimixed.exceptions import DataError
from bimixed.vocabulary import explains_arguments

_CATEGORY = "category"
_DTYPES: dict[str, dict[str, str]] = {
    "radon": {},
    "sleepstudy": {"Subject": _CATEGORY},
    "score_parentedu": {},
    "dyestuff": {"Batch": _CATEGORY},
    "dyestuff2": {"Batch": _CATEGORY},
    "orthodont": {},
    "rat_pup": {},
    "insteval": {},
}
_INSTEVAL = ("s", "d", "studage", "lectage", "service", "dept")
_SIMULATED = ("nested", "crossed")
NAMES = (*_DTYPES, *_SIMULATED)


@explains_arguments
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
        - ``"dyestuff"``, ``"dyestuff2"``: ``Yield`` of 5 samples from each of 6 batches; the second,
          simulated, has no variance between batches.
        - ``"orthodont"``: ``distance`` in the jaw of 27 children at 8, 10, 12 and 14 years.
        - ``"rat_pup"``: ``weight`` of 322 pups in 27 litters under three treatments.
        - ``"insteval"``: 73,421 ratings ``y`` of 1,128 lecturers ``d`` by 2,972 students ``s``.
        - ``"nested"``: 40,000 simulated rows, 200 ``group1`` with 20 ``group2`` each, whose labels start
          anew in every group1; sds 2, 3 and 4 (residual).
        - ``"crossed"``: 40,000 simulated rows, 100 ``group1`` crossed with 100 ``group2``, same sds.

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
    if name not in NAMES:
        close = difflib.get_close_matches(str(name), NAMES, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise DataError(f"No data set {name!r}.{hint} Bundled are {', '.join(sorted(NAMES))}.")
    if name in _SIMULATED:
        return _simulated()[_SIMULATED.index(name)]
    folder = importlib.resources.files("bimixed.datasets")
    if name == "insteval":
        with folder.joinpath("insteval.csv.gz").open("rb") as file:
            data = pd.read_csv(file, compression="gzip")
        return data.astype(dict.fromkeys(_INSTEVAL, _CATEGORY))
    with folder.joinpath(f"{name}.csv").open("r", encoding="utf-8") as file:
        return pd.read_csv(file, dtype=_DTYPES[name])


def _simulated() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Nested and then crossed variance components from one seeded generator (NumPy's legacy one)."""
    rng = np.random.RandomState(3123)
    group1, u1 = np.kron(np.arange(200), np.ones(200, int)), 2 * rng.normal(size=200)
    group2, u2 = np.tile(np.kron(np.arange(20), np.ones(10, int)), 200), 3 * rng.normal(size=4000)
    y = u1[group1] + np.kron(u2, np.ones(10)) + 4 * rng.normal(size=40_000)
    nested = pd.DataFrame({"y": y, "group1": group1, "group2": group2})
    levels = np.kron(np.arange(100), np.ones(400, int))
    group1 = levels[rng.permutation(40_000)]
    u1 = 2 * rng.normal(size=100)
    group2 = levels[rng.permutation(40_000)]
    u2 = 3 * rng.normal(size=100)
    y = u1[group1] + u2[group2] + 4 * rng.normal(size=40_000)
    return nested, pd.DataFrame({"y": y, "group1": group1, "group2": group2})
