"""Categories of factors, collected before the model's columns are known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bimixed.design import matrices


@dataclass(frozen=True)
class Categories:
    """Sets of columns whose values make the levels of a factor.

    Attributes
    ----------
    sets : tuple of tuple of str
    """

    sets: tuple[tuple[str, ...], ...]

    @staticmethod
    def of(
        parts: Mapping[str, matrices.Part],
        head: pd.DataFrame,
        context: Mapping[str, Any],
        columns: Sequence[str],
    ) -> "Categories":
        """Of the factors in the parts of a formula, judged on a few rows."""
        found = [
            own
            for part in parts.values()
            for own in matrices.categorical_columns(part, head, context, list(columns))
        ]
        return Categories(tuple(dict.fromkeys(found)))


def with_categories(
    head: pd.DataFrame, found: Mapping[tuple[str, ...], pd.DataFrame], orders: Mapping[str, pd.Index]
) -> pd.DataFrame:
    """Rows that have every category, in its order where it has one: those given, and made-up ones."""
    tables = [head]
    for columns, values in found.items():
        made = head.iloc[[0] * len(values)].reset_index(drop=True)
        tables.append(made.assign(**{name: values[name].to_numpy() for name in columns}))
    if len(tables) == 1:
        return head
    joined = {}
    for name in head.columns:
        dtype = head[name].dtype
        column = pd.concat([table[name].astype(object) for table in tables], ignore_index=True)
        if isinstance(dtype, pd.CategoricalDtype):
            known = orders.get(str(name), dtype.categories)
            if not column.isin(known).all():
                known = pd.Index(sorted(column.unique()))
            used = known[known.isin(column)]
            joined[name] = pd.Series(pd.Categorical(column, categories=used, ordered=dtype.ordered))
        else:
            joined[name] = column.astype(dtype)
    return pd.DataFrame(joined)
