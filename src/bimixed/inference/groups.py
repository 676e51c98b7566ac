"""Which group each row belongs to, as a diagnostic names it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bimixed.design import parents
from bimixed.exceptions import DataError
from bimixed.inference.row_projections import RowProjections
from bimixed.results import MixedModelResult

Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Groups:
    """Rows by group: name, labels of the groups that have rows, and the number of each row's."""

    name: str
    labels: pd.Index
    codes: Ints

    @property
    def sizes(self) -> Ints:
        """Rows of each group."""
        return np.bincount(self.codes, minlength=len(self.labels))

    def rows(self) -> list[Ints]:
        """Places of each group's rows."""
        order = np.argsort(self.codes, kind="stable")
        return np.split(order, np.cumsum(self.sizes)[:-1])

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums over the rows of each group, (groups, ...)."""
        out = np.zeros((len(self.labels), *values.shape[1:]))
        np.add.at(out, self.codes, values)
        return out


def groups_of(fit: MixedModelResult, group: Any, argument: str) -> Groups:
    """Rows by a grouping factor of the model, a column of its data, or one label for each row used.

    Raises
    ------
    DataError
        Where ``group`` is none of these, has missing labels, or is a factor of which rows combine levels.
    """
    design = fit.design
    keys = [f.key for f in design.factors]
    if isinstance(group, str):
        if group in keys:
            factor = design.factor(group)
            if factor.is_mixed:
                raise DataError(
                    f"Rows combine levels of {group!r}, so that none belongs to one of its levels. Name "
                    f"another group as {argument}=, or give a label for each row."
                )
            used, codes = np.unique(factor.codes, return_inverse=True)
            return Groups(group, pd.Index(factor.levels[used], name=group), codes.astype(np.intp))
        else:
            column = None if fit.spec is None else fit.spec.data_column(group)
            if column is None and group in design.frame.cells.columns:
                column = design.frame.cells[group]
            if column is None:
                raise DataError(
                    f"{argument} is {group!r}, which is neither a group of the model ({', '.join(keys)}) nor "
                    "a column of its data; name one, or give a label for each row used."
                )
            labels = column.to_numpy()
        name = group
    else:
        labels, name = _given(group, design.index, argument)
    codes, levels = pd.factorize(labels, sort=True)
    if (codes < 0).any():
        raise DataError(
            f"{argument} has no label in {int((codes < 0).sum())} of {design.n} rows (the first is row "
            f"{design.index[np.argmin(codes)]!r}); fill them, or drop these rows before the fit."
        )
    return Groups(name, pd.Index(levels, name=name), codes.astype(np.intp))


def _given(group: Any, index: pd.Index, argument: str) -> tuple[Any, str]:
    """Labels that were given as such."""
    if isinstance(group, pd.Series) and not group.index.equals(index):
        raise DataError(
            f"The index of {argument} is not that of the rows used (fit.fitted.index). Give "
            f"{argument}.loc[fit.fitted.index] if its labels say which row a value belongs to, else an array."
        )
    labels = np.asarray(group)
    if labels.shape != (len(index),):
        raise DataError(
            f"{argument} is a group of the model, a column of its data, or {len(index)} labels, one for each "
            f"row used; what was given has the shape {labels.shape}."
        )
    return labels, str(getattr(group, "name", None) or argument)


def contains_all(rows: RowProjections, groups: Groups) -> str | None:
    """Key of the first factor with a level in several of the groups; None where each stays within one."""
    for factor in rows.factors:
        if factor.is_mixed:
            return factor.key
        used = factor.values.any(axis=1)  # a row without any value has nothing to do with its level
        if parents(factor.codes[used], groups.codes[used], factor.n_levels) is None:
            return factor.key
    return None
