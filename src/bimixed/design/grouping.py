"""Levels of a grouping factor: columns or expressions, alone or combined."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bimixed.design import expressions
from bimixed.design.frame import Cells, shown_label
from bimixed.design.rows import Ints
from bimixed.exceptions import DataError


@dataclass(frozen=True)
class Grouping:
    """Levels of one column, or of several columns combined.

    Attributes
    ----------
    columns : tuple of str
        Columns, or expressions such as ``C(a)``.
    column_levels : tuple of pandas.Index
        Sorted levels of each column (categories in their own order).
    levels : pandas.Index
        The combined levels that occur, named ``x:y`` where there are several columns.
    combined : (L,) int array
        Mixed-radix number of each combined level, ascending.
    states : mapping
        What the transformations of each expression remember.
    """

    columns: tuple[str, ...]
    column_levels: tuple[pd.Index, ...]
    levels: pd.Index
    combined: NDArray[np.int64]
    states: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return ":".join(self.columns)

    def codes(self, table: pd.DataFrame, context: Mapping[str, Any]) -> Ints:
        """Level of each row of new data, -1 where it was never seen."""
        number = np.zeros(len(table), dtype=np.int64)
        unseen = np.zeros(len(table), dtype=bool)
        for column, levels in zip(self.group_values(table, context), self.column_levels, strict=True):
            codes = levels.get_indexer(pd.Index(column.to_numpy()))
            _refuse_other_type(self.key, levels, column[codes < 0])
            unseen |= codes < 0
            number = number * len(levels) + codes
        place = np.searchsorted(self.combined, number)
        place = np.minimum(place, len(self.combined) - 1)
        unseen |= self.combined[place] != number
        return np.where(unseen, -1, place).astype(np.intp)

    def labels(self, table: pd.DataFrame, context: Mapping[str, Any]) -> NDArray[np.object_]:
        """Label of each row of new data, ``x:y`` for combined columns."""
        columns = [c.astype(str).to_numpy(dtype=object) for c in self.group_values(table, context)]
        if len(columns) > 1:  # a colon in a label isn't the one between labels
            columns = [np.array([label.replace(":", "\\:") for label in c], dtype=object) for c in columns]
        joined = columns[0]
        for column in columns[1:]:
            joined = joined + ":" + column
        return np.asarray(joined, dtype=object)

    def group_values(self, table: pd.DataFrame, context: Mapping[str, Any]) -> list[pd.Series]:
        return [group_column(atom, table, context, dict(self.states.get(atom, {}))) for atom in self.columns]


def _refuse_other_type(key: str, levels: pd.Index, unseen: pd.Series) -> None:
    """1 and '1' are two labels, but hardly two groups."""
    if len(unseen) == 0:
        return
    known = dict(zip(levels.astype(str), levels, strict=True))
    alike = next((label for label in pd.unique(unseen) if str(label) in known), None)
    if alike is not None:
        raise DataError(
            f"Labels of group {key!r} are of another type in the new data: {shown_label(alike)} was "
            f"{shown_label(known[str(alike)])} in the fitted data. Convert the column to what it was."
        )


def make_grouping(
    columns: tuple[str, ...], table: pd.DataFrame, context: Mapping[str, Any], cells: Cells | None = None
) -> tuple[Grouping, Ints]:
    """Levels of the groups of complete rows, and the level of each row."""
    column_levels = []
    states: dict[str, dict[str, Any]] = {}
    number: Any = None
    size = 1
    for atom in columns:
        state: dict[str, Any] = {}
        known = cells is not None and atom in cells.columns
        column = cells[atom] if cells is not None and known else group_column(atom, table, context, state)
        codes, levels = _factorize(atom, column)
        if state:
            states[atom] = state
        column_levels.append(levels)
        number = codes if number is None else number * len(levels) + codes
        size *= len(levels)
        if size > np.iinfo(np.int64).max // 2:
            raise DataError(
                f"The group {':'.join(columns)} combines too many levels ({size:g} combinations); "
                "combine fewer columns."
            )
    if len(columns) == 1:
        levels = column_levels[0]
        return Grouping(columns, tuple(column_levels), levels, np.arange(len(levels)), states), number
    combined, codes = np.unique(number, return_inverse=True)
    names = combined_names(combined, column_levels)
    if names.has_duplicates:
        raise DataError(
            f"Two levels of {':'.join(columns)} are both called {names[names.duplicated()][0]!r}, because "
            "labels of its columns have colons; replace them: data['a'].str.replace(':', '-')."
        )
    return Grouping(columns, tuple(column_levels), names, combined, states), codes.astype(np.intp)


def group_column(
    atom: str, table: pd.DataFrame, context: Mapping[str, Any], state: dict[str, Any]
) -> pd.Series:
    """Values of a grouping column, or of an expression in columns; none missing.

    Raises
    ------
    DataError
        If the expression can't be evaluated, or makes missing values.
    """
    if atom in table.columns:
        return table[atom]
    values = expressions.evaluate_expression(atom, table, context, state)
    if np.ndim(values) != 1 or len(values) != len(table):
        raise DataError(
            f"The group {atom!r} is not one label per row (its shape is {np.shape(values)}); "
            "write an expression that gives one."
        )
    series = pd.Series(values) if not isinstance(values, pd.Series) else values
    series = series.set_axis(table.index)
    missing = series.isna().to_numpy()
    if missing.any():
        raise DataError(
            f"The group {atom!r} is missing in {int(missing.sum())} row(s) although its columns are not: "
            f"{table.index[missing][:5].tolist()}. Let the expression give every row a label, or drop "
            "these rows."
        )
    return series


def _factorize(name: str, column: pd.Series) -> tuple[Ints, pd.Index]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
        return column.cat.codes.to_numpy().astype(np.intp), column.cat.categories
    try:
        codes, found = pd.factorize(column)
    except TypeError as error:
        raise DataError(
            f"The group {name!r} holds values of type {type(column.iloc[0]).__name__}, which can't be "
            "labels; give every row one text, number or date."
        ) from error
    levels = pd.Index(found)
    try:
        order = levels.argsort()
    except TypeError as error:
        kinds = sorted({type(level).__name__ for level in levels})
        raise DataError(
            f"The group {name!r} mixes labels of different types ({', '.join(kinds)}), so that 1 and '1' "
            "would be two levels. Convert the column, for instance with .astype(str)."
        ) from error
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    return rank[codes], levels[order]


def combined_names(combined: NDArray[np.int64], levels: Sequence[pd.Index]) -> pd.Index:
    """Names ``x:y`` of mixed-radix numbers of levels."""
    parts = []
    for column in reversed(levels):
        combined, codes = np.divmod(combined, len(column))
        parts.append(column.astype(str).to_numpy(dtype=object)[codes])
    joined = parts[-1]
    for part in reversed(parts[:-1]):
        joined = joined + ":" + part
    return pd.Index(joined)
