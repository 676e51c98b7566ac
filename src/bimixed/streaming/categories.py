"""Categories of factors, collected before the model's columns are known."""

import ast
import re
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
            for own, text in _categorical_columns(part, head, context, list(columns)):
                found.setdefault(own, {})[_label_of(text)] = None
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


def _categorical_columns(
    part: matrices.Part, table: pd.DataFrame, context: Mapping[str, Any], columns: list[str]
) -> list[tuple[tuple[str, ...], str]]:
    """Columns that each factor with categories is made from, and its text, judged on some rows."""
    found = []
    for factor in dict.fromkeys(factor for term in part.parsed for factor in term.factors):
        own = tuple(matrices.columns_of_factor(factor, columns))
        text = str(factor.expr)
        if own and matrices.is_categorical(part, factor, _plain_factor(text), table, context):
            found.append((own, text))
    return found


def _plain_factor(text: str) -> str:
    """``C(x)`` of ``C(x, Treatment('z'))``, whose base need not be among some rows."""
    return text if "`" in text or (label := _label_of(text)) == text else f"C({label})"


def _label_of(text: str) -> str:
    """What gives a factor's labels: what stands first in ``C(…)``; the text itself without it."""
    quoted = re.match(r"C\(\s*`([^`]+)`\s*[,)]", text)
    if quoted:
        return quoted[1]
    try:
        call = ast.parse(text, mode="eval").body
    except SyntaxError:
        return text
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "C" and call.args:
        return ast.unparse(call.args[0])
    return text


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
