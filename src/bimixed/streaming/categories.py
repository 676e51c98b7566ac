"""Categories of factors, collected before the model's columns are known."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bimixed.design import matrices
from bimixed.design.grouping import group_column
from bimixed.streaming.orders import plain_labels


@dataclass(frozen=True)
class Categories:
    """Sets of columns whose values make the levels of factors.

    Attributes
    ----------
    labels : mapping
        Set of columns → expressions of the labels of the factors that are made from it; empty where one of
        them has the values themselves for labels.
    context : mapping
    """

    labels: Mapping[tuple[str, ...], tuple[str, ...]]
    context: Mapping[str, Any]

    @staticmethod
    def of(
        parts: Mapping[str, matrices.Part],
        head: pd.DataFrame,
        context: Mapping[str, Any],
        columns: Sequence[str],
    ) -> "Categories":
        """Of the factors in the parts of a formula, judged on a few rows."""
        found: dict[tuple[str, ...], dict[str, None]] = {}
        for part in parts.values():
            for own, text in matrices.categorical_columns(part, head, context, list(columns)):
                found.setdefault(own, {})[matrices.label_of(text)] = None
        labels = {own: () if {*own} & {*texts} else tuple(texts) for own, texts in found.items()}
        return Categories(labels, context)

    @property
    def sets(self) -> tuple[tuple[str, ...], ...]:
        return tuple(self.labels)

    def of_labels(self, own: tuple[str, ...], chunks: Iterable[pd.DataFrame], most: int) -> pd.DataFrame:
        """One row of values for each combination of labels, the least; more than ``most`` if there are.

        For factors that have few levels although their columns have many values, such as months of dates.
        """
        texts = list(self.labels[own])
        found = pd.DataFrame(columns=[*own, *range(len(texts))])
        for chunk in chunks:
            values = chunk.dropna()[list(own)].drop_duplicates(ignore_index=True)
            if len(values) == 0:
                continue
            made = [plain_labels(group_column(text, values, self.context, {})) for text in texts]
            values = values.assign(**{str(i): label.to_numpy() for i, label in enumerate(made)})
            values = values.set_axis([*own, *range(len(texts))], axis=1)
            both = values if len(found) == 0 else pd.concat([found, values], ignore_index=True)
            found = both.sort_values(list(own)).drop_duplicates(list(range(len(texts))), ignore_index=True)
            if len(found) > most:
                break
        return found[list(own)]


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
