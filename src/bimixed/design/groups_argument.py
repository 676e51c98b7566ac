"""The argument ``groups`` of statsmodels' vocabulary: a column, or a label for each row."""

from typing import Any

import numpy as np
import pandas as pd

from bimixed.design import frame as frames
from bimixed.exceptions import FormulaError


def group_column(groups: Any, data: Any) -> tuple[str, dict[str, Any]]:
    """Name of the column of groups, and the column itself where the data don't have it.

    A Series keeps its name, unless the data have another column of that name (as they have when a
    covariate was cut into classes): then the groups are called ``groups``.

    Raises
    ------
    FormulaError
        If groups are neither a column nor an array of labels.
    """
    if isinstance(groups, str):
        if groups not in frames.column_names(data) and any(char in groups for char in "/:+|"):
            raise FormulaError(
                f"groups is {groups!r}; it names one column. Nested groups are components, "
                "vc_formula={'b': '0 + C(b)'} with groups='a', or bars: ModelSpec('y ~ x + (1 | a/b)', data)."
            )
        return groups, {}
    if isinstance(groups, pd.DataFrame) and groups.shape[1] == 1:
        groups = groups.iloc[:, 0]
    several = isinstance(groups, pd.DataFrame) or np.ndim(groups) == 0
    several |= isinstance(groups, list | tuple) and len(groups) < 20 and isinstance(groups[0], str)
    if several:
        raise FormulaError(
            "groups is one column's name, or an array with a label for each row; for several grouping "
            "columns name them as components: groups of ones and "
            "vc_formula={'a': '0 + C(a)', 'b': '0 + C(b)'}, or write '(1 | a) + (1 | b)' in ModelSpec."
        )
    available = frames.column_names(data)
    name = getattr(groups, "name", None)
    name = "groups" if name is None else str(name)
    if name in available:
        if _same(frames.to_pandas(data, [name])[name], groups):
            return name, {}
        name = "groups"
    if name in available:
        raise FormulaError(
            f"groups is an array, and the data have a column {name!r} with other values; give the array as a "
            "Series with another name (.rename('group'))."
        )
    return name, {name: groups}


def _same(column: pd.Series, groups: Any) -> bool:
    values = pd.Series(groups.array if isinstance(groups, pd.Series) else np.asarray(groups))
    if len(values) != len(column):
        return False
    return bool(values.reset_index(drop=True).equals(column.reset_index(drop=True)))
