"""Variance components given as matrices: by group, for all rows, or as statsmodels' VCSpec."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bimixed.design.frame import shown_label
from bimixed.design.rows import Ints
from bimixed.exceptions import DataError


@dataclass(frozen=True)
class Component:
    """A variance component as a sparse design.

    Attributes
    ----------
    Z : (n, q) csr_array
    labels : tuple of str
        Of the q columns: ``group:column``, or the column alone where there is one group.
    """

    Z: sp.csr_array
    labels: tuple[str, ...]


def read_components(exog_vc: Any, labels: Any, n: int) -> dict[str, Component]:
    """Variance components in any of the shapes that are understood.

    ``{name: {group label: matrix}}`` with the rows of each group in their order; ``{name: matrix}`` for
    all rows, dense or sparse; or an object with ``names``, ``colnames`` and ``mats`` (matrices by
    component and group, groups sorted).
    """
    if exog_vc is None:
        return {}
    stretches = _rows_of_groups(labels, n)
    if all(hasattr(exog_vc, name) for name in ("names", "colnames", "mats")):
        return {
            str(name): _from_groups(str(name), dict(zip(stretches, mats, strict=True)), stretches, n, cols)
            for name, cols, mats in zip(exog_vc.names, exog_vc.colnames, exog_vc.mats, strict=True)
        }
    if not isinstance(exog_vc, Mapping):
        raise DataError(
            f"exog_vc is a {type(exog_vc).__name__}; give a dict {{name: {{group: matrix}}}} or "
            "{name: matrix}, or an object with names, colnames and mats."
        )
    return {
        str(name): _from_groups(str(name), given, stretches, n)
        if isinstance(given, Mapping)
        else _from_matrix(str(name), given, n)
        for name, given in exog_vc.items()
    }


def _rows_of_groups(labels: Any, n: int) -> dict[Any, Ints]:
    """Rows of each group, labels sorted."""
    if labels is None:
        return {None: np.arange(n)}
    # plain labels, so that a categorical's own order doesn't count
    codes, found = pd.factorize(np.asarray(labels, dtype=object))
    rows = np.argsort(codes, kind="stable")
    rows = rows[np.count_nonzero(codes < 0) :]
    cuts = np.split(rows, np.cumsum(np.bincount(codes[codes >= 0]))[:-1])
    try:
        order = np.argsort(found)
    except TypeError as error:
        raise DataError(
            "groups mixes labels of different types; convert it, for instance with .astype(str)."
        ) from error
    return {found[i]: cuts[i] for i in order}


def _from_groups(
    name: str,
    given: Mapping[Any, Any],
    stretches: Mapping[Any, Ints],
    n: int,
    colnames: Sequence[Sequence[str]] | None = None,
) -> Component:
    if list(stretches) == [None] and len(given) == 1:
        given = {None: next(iter(given.values()))}
    missing = [group for group in stretches if group not in given]
    unknown = [group for group in given if group not in stretches]
    if missing or unknown:
        if missing:
            what = f"no matrix for group {shown_label(missing[0])}"
        else:
            what = f"a group {shown_label(unknown[0])} without rows"
        raise DataError(
            f"exog_vc[{name!r}] has {what}. Give one matrix for every label in groups, with no columns "
            "where a group has none (numpy.zeros((rows, 0)))."
        )
    row, column, value = [], [], []
    labels: list[str] = []
    for place, (group, rows) in enumerate(stretches.items()):
        entries = sparse_entries(given[group], f"exog_vc[{name!r}][{shown_label(group)}]", len(rows))
        names = _column_names(given[group], entries.shape[1], colnames[place] if colnames else None)
        row.append(rows[entries.row])
        column.append(entries.col + len(labels))
        value.append(entries.data)
        labels += [column if group is None else f"{group}:{column}" for column in names]
    parts = (np.concatenate(value), (np.concatenate(row), np.concatenate(column)))
    return _component(name, sp.csr_array(parts, shape=(n, len(labels))), labels)


def _from_matrix(name: str, given: Any, n: int) -> Component:
    entries = sparse_entries(given, f"exog_vc[{name!r}]", n)
    return _component(name, sp.csr_array(entries), _column_names(given, entries.shape[1], None))


def sparse_entries(given: Any, place: str, n: int) -> sp.coo_array:
    """A matrix of n rows as entries, every value finite."""
    if not sp.issparse(given):
        try:
            given = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{place} is not numeric ({error}); give a matrix of numbers, for labels "
                "pandas.get_dummies(labels)."
            ) from error
        given = given[:, None] if given.ndim == 1 else given
    if given.ndim != 2 or given.shape[0] != n:
        raise DataError(f"{place} has shape {given.shape}; its rows must be the {n} rows of the data there.")
    entries = sp.coo_array(given).astype(np.float64)
    if not np.isfinite(entries.data).all():
        raise DataError(f"{place} has missing or infinite values; a component's design has none.")
    return entries


def _column_names(given: Any, width: int, names: Sequence[str] | None) -> list[str]:
    if names is not None:
        return [str(name) for name in names]
    return [str(name) for name in (given.columns if isinstance(given, pd.DataFrame) else range(1, width + 1))]


def _component(name: str, Z: sp.csr_array, labels: list[str]) -> Component:
    if Z.count_nonzero() == 0:
        raise DataError(f"exog_vc[{name!r}] is 0 everywhere; leave the component out.")
    if len(set(labels)) < len(labels):
        labels = [f"{label}#{i}" for i, label in enumerate(labels)]
    return Component(Z, tuple(labels))
