"""Arrays and per-group matrices, in statsmodels' shapes, → the same design as a formula gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bimixed.covariance import Array, CovarianceTemplate
from bimixed.design.design import Design
from bimixed.design.encoding import NewRows
from bimixed.design.fixed import independent_columns
from bimixed.design.frame import Frame, shown_label
from bimixed.design.grouping import Grouping, make_grouping
from bimixed.design.levels import check_levels
from bimixed.design.random_effects import RandomFactor, component_rows
from bimixed.design.rows import Ints, LevelRows, MixedRows, RandomRows
from bimixed.design.weights import positive_weights
from bimixed.exceptions import DataError
from bimixed.formula import Formula, RandomTerm


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


def array_design(
    endog: Any,
    exog: Any,
    groups: Any = None,
    *,
    exog_re: Any = None,
    exog_vc: Any = None,
    fixef_names: Sequence[str] | None = None,
    re_names: Sequence[str] | None = None,
    weights: Any = None,
    offset: Any = None,
) -> Design:
    """Build the model's arrays; the arguments are those of ``ModelSpec.from_arrays``.

    Raises
    ------
    DataError
        Naming the argument, the cause and the remedy.
    """
    y = _column(endog, "endog")
    n = len(y)
    X, names = _matrix(exog, "exog", n, fixef_names, "fixef_names", "x")
    key, labels, table = _group_labels(groups, n)
    components = read_components(exog_vc, labels, n)
    if exog_re is None and not components and groups is not None:
        exog_re = np.ones(n)
    if exog_re is not None and groups is None:
        raise DataError("exog_re needs groups: one label for each row, whose levels have the effects.")
    if exog_re is None and not components:
        raise DataError(
            "The model has no random effects: give groups (a random intercept), exog_re, or exog_vc."
        )
    R, coefficients = (
        (np.zeros((n, 0)), ())
        if exog_re is None
        else _matrix(exog_re, "exog_re", n, re_names, "re_names", "z")
    )
    beside = {
        name: _column(v, name, n) for name, v in (("weights", weights), ("offset", offset)) if v is not None
    }
    kept = _complete(y, X, R, table, beside)
    index = endog.index if isinstance(endog, pd.Series | pd.DataFrame) else pd.RangeIndex(n)
    frame = Frame(table[kept].reset_index(drop=True), index[kept], kept)
    if "weights" in beside:
        positive_weights(beside["weights"][kept], frame.index)
    used_weights = beside["weights"][kept] if "weights" in beside else None
    factors, grouping = _factors(frame, key, R[kept], coefficients, components)
    for factor in factors:
        check_levels(factor, len(frame.index), used_weights)
    return Design(
        formula=_formula(names, key, coefficients, components),
        y=y[kept],
        X=np.ascontiguousarray(X[kept]),
        names=names,
        kept=independent_columns(X[kept]),
        factors=factors,
        weights=used_weights,
        offset=beside["offset"][kept] if "offset" in beside else None,
        frame=frame,
        encoding=ArrayEncoding(
            n_fixef=len(names),
            key=key if coefficients else None,
            grouping=grouping,
            n_re=len(coefficients),
            components={name: c.labels for name, c in components.items()},
            has_offset="offset" in beside,
        ),
    )


def _column(values: Any, name: str, n: int | None = None) -> Array:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} is not numeric ({error}); give numbers.") from error
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or (n is not None and len(array) != n):
        wanted = "one column" if n is None else f"{n} values, one for each row of endog"
        raise DataError(f"{name} has shape {array.shape}; give {wanted}.")
    return array


def _matrix(
    values: Any, role: str, n: int, names: Sequence[str] | None, names_role: str, stem: str
) -> tuple[Array, tuple[str, ...]]:
    """A two-dimensional array and the names of its columns."""
    if sp.issparse(values):
        values = values.toarray()
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{role} is not numeric ({error}); encode categories as 0/1 columns, or use a formula."
        ) from error
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or len(array) != n:
        raise DataError(f"{role} has shape {array.shape}; endog has {n} rows, and so must {role}.")
    if names is None and isinstance(values, pd.DataFrame):
        names = [str(name) for name in values.columns]
    elif names is None and isinstance(values, pd.Series) and values.name is not None:
        names = [str(values.name)]
    if names is None:
        names = default_names(array, stem)
    names = tuple(str(name) for name in names)
    if len(names) != array.shape[1]:
        raise DataError(f"{names_role} has {len(names)} names for the {array.shape[1]} columns of {role}.")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"Two columns of {role} are called {twice!r}; give them different {names_role}.")
    return array, names


def default_names(array: Array, stem: str) -> list[str]:
    """``Intercept`` for a column of ones, else ``x1``, ``x2``, … by position among the others."""
    names, number = [], 0
    for column in array.T:
        if np.all(column == 1.0) and "Intercept" not in names:
            names.append("Intercept")
        else:
            number += 1
            names.append(f"{stem}{number}")
    return names


def _group_labels(groups: Any, n: int) -> tuple[str, Any, pd.DataFrame]:
    """Name of the groups, label of each row, and a table with them."""
    if groups is None:
        return "groups", None, pd.DataFrame(index=pd.RangeIndex(n))
    key = groups.name if isinstance(groups, pd.Series) and groups.name is not None else "groups"
    labels = groups.array if isinstance(groups, pd.Series) else np.asarray(groups)
    if np.ndim(labels) != 1 or len(labels) != n:
        raise DataError(f"groups has shape {np.shape(labels)}; give one label for each of the {n} rows.")
    return str(key), labels, pd.DataFrame({str(key): labels})


def _complete(y: Array, X: Array, R: Array, table: pd.DataFrame, beside: Mapping[str, Array]) -> Any:
    kept = ~np.isnan(y) & ~np.isnan(X).any(axis=1) & ~np.isnan(R).any(axis=1)
    kept &= ~table.isna().to_numpy().any(axis=1)
    for values in beside.values():
        kept &= ~np.isnan(values)
    if not kept.any():
        raise DataError("No rows are left: every row misses a value. Fill values or leave columns out.")
    for name, values in {"endog": y, "exog": X, "exog_re": R, **beside}.items():
        if np.isinf(values[kept]).any():
            raise DataError(f"{name} has infinite values; correct or drop these rows.")
    if np.ptp(y[kept]) == 0:
        raise DataError(f"endog is constant ({y[kept][0]:g}); there is nothing to model.")
    return kept


def read_components(exog_vc: Any, labels: Any, n: int) -> dict[str, Component]:
    """Variance components in any of the shapes that are understood.

    ``{name: {group label: matrix}}`` with the rows of each group in their order; ``{name: matrix}`` for
    all rows, dense or sparse; or an object with ``names``, ``colnames`` and ``mats`` (matrices by
    component and group, groups sorted).
    """
    if exog_vc is None:
        return {}
    stretches = _stretches(labels, n)
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


def _stretches(labels: Any, n: int) -> dict[Any, Ints]:
    """Rows of each group, labels sorted."""
    if labels is None:
        return {None: np.arange(n)}
    codes, found = pd.factorize(pd.Series(labels))
    rows = np.argsort(codes, kind="stable")
    rows = rows[np.count_nonzero(codes < 0) :]
    cuts = np.split(rows, np.cumsum(np.bincount(codes[codes >= 0]))[:-1])
    order = pd.Index(found).argsort()
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
        entries = _entries(given[group], f"exog_vc[{name!r}][{shown_label(group)}]", len(rows))
        names = _column_names(given[group], entries.shape[1], colnames[place] if colnames else None)
        row.append(rows[entries.row])
        column.append(entries.col + len(labels))
        value.append(entries.data)
        labels += [column if group is None else f"{group}:{column}" for column in names]
    parts = (np.concatenate(value), (np.concatenate(row), np.concatenate(column)))
    return _component(name, sp.csr_array(parts, shape=(n, len(labels))), labels)


def _from_matrix(name: str, given: Any, n: int) -> Component:
    entries = _entries(given, f"exog_vc[{name!r}]", n)
    return _component(name, sp.csr_array(entries), _column_names(given, entries.shape[1], None))


def _entries(given: Any, place: str, n: int) -> sp.coo_array:
    if not sp.issparse(given):
        try:
            given = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"{place} is not numeric ({error}); give a matrix of numbers.") from error
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


def _factors(
    frame: Frame, key: str, R: Array, coefficients: tuple[str, ...], components: Mapping[str, Component]
) -> tuple[tuple[RandomFactor, ...], Grouping | None]:
    factors, grouping = [], None
    if coefficients:
        grouping, codes = make_grouping((key,), frame.table, {})
        factors.append(
            RandomFactor(
                key=key,
                levels=grouping.levels,
                rows=LevelRows(codes, np.ascontiguousarray(R), len(grouping.levels)),
                names=coefficients,
                template=CovarianceTemplate(((len(coefficients), True),)),
                sources=(f"({' + '.join(coefficients)} | {key})",),
                group=key,
            )
        )
    for name, component in components.items():
        if name == key and coefficients:
            raise DataError(f"The component {name!r} has the name of the groups; give it another name.")
        rows = component_rows(component.Z[np.flatnonzero(frame.kept)])
        ones = isinstance(rows, LevelRows) and bool(np.all(rows.values == 1.0))
        factors.append(
            RandomFactor(
                key=name,
                levels=pd.Index(component.labels),
                rows=rows,
                names=("Intercept" if ones else name,),
                template=CovarianceTemplate(((1, True),)),
                sources=(f"component {name}",),
                is_component=True,
            )
        )
    return tuple(factors), grouping


def _formula(
    names: tuple[str, ...], key: str, coefficients: tuple[str, ...], components: Mapping[str, Component]
) -> Formula:
    """What the arrays say, in words like a formula's."""
    terms = []
    if coefficients:
        source = f"({' + '.join(coefficients)} | {key})"
        terms.append(RandomTerm(" + ".join(coefficients), (key,), True, source, 0))
    for name, component in components.items():
        source = f"component({name}: {component.Z.shape[1]} columns)"
        terms.append(RandomTerm(name, (), False, source, 0, component=name))
    fixed = " + ".join(names) or "0"
    text = " + ".join([f"endog ~ {fixed}", *(term.source for term in terms)])
    return Formula(text, "endog", fixed, tuple(terms))


@dataclass(frozen=True)
class ArrayEncoding:
    """New rows of a model that was given as arrays: a dict with the names of its arguments."""

    n_fixef: int
    key: str | None
    grouping: Grouping | None
    n_re: int
    components: Mapping[str, tuple[str, ...]]
    has_offset: bool

    def encode(self, new_data: Any, keys: tuple[str, ...]) -> NewRows:
        """Encode ``{"exog": …, "groups": …, "exog_re": …, "exog_vc": {name: matrix}}``.

        Matrices of components have the fitted columns, those of all groups side by side.

        Raises
        ------
        DataError
            If an array is missing or has another shape.
        """
        if not isinstance(new_data, Mapping):
            raise DataError(
                "The model was given as arrays, so new data are a dict of arrays with the same names: "
                "{'exog': X, 'groups': labels}, and exog_re, exog_vc, offset, weights where the fit had them."
            )
        X = self._array(new_data, "exog", None, self.n_fixef)
        n = len(X)
        offset = self._array(new_data, "offset", n, 1)[:, 0] if self.has_offset else np.zeros(n)
        weights = self._array(new_data, "weights", n, 1)[:, 0] if "weights" in new_data else None
        random: dict[str, RandomRows] = {}
        for key in keys:
            random[key] = self._levels(new_data, n) if key == self.key else self._component(new_data, key, n)
        return NewRows(X, offset, weights, random, pd.RangeIndex(n))

    def _array(self, new_data: Mapping[str, Any], name: str, n: int | None, width: int) -> Array:
        if name not in new_data:
            raise DataError(f"The new data have no {name!r}, which the fit had; add it to the dict.")
        array = np.asarray(new_data[name], dtype=np.float64)
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2 or array.shape[1] != width or (n is not None and len(array) != n):
            rows = "any number of" if n is None else n
            raise DataError(
                f"{name} of the new data has shape {array.shape}; wanted: ({rows} rows, {width})."
            )
        if not np.isfinite(array).all():
            raise DataError(f"{name} of the new data has missing or infinite values; drop these rows.")
        return array

    def _levels(self, new_data: Mapping[str, Any], n: int) -> LevelRows:
        if self.grouping is None or "groups" not in new_data:
            raise DataError("The new data have no 'groups'; add them, or predict with random='none'.")
        table = pd.DataFrame({self.grouping.columns[0]: np.asarray(new_data["groups"])})
        if len(table) != n or table.isna().to_numpy().any():
            raise DataError(f"groups of the new data must have one label for each of the {n} rows of exog.")
        if "exog_re" not in new_data and self.n_re == 1:
            values = np.ones((n, 1))
        else:
            values = self._array(new_data, "exog_re", n, self.n_re)
        return LevelRows(
            self.grouping.codes(table, {}), values, len(self.grouping.levels), self.grouping.labels(table, {})
        )

    def _component(self, new_data: Mapping[str, Any], key: str, n: int) -> MixedRows:
        given = new_data.get("exog_vc", {})
        if key not in given:
            raise DataError(
                f"The new data have no exog_vc[{key!r}]: give its matrix with the "
                f"{len(self.components[key])} columns of the fit, or leave it out with random=."
            )
        Z = sp.csr_array(_entries(given[key], f"exog_vc[{key!r}]", n))
        if Z.shape[1] != len(self.components[key]):
            raise DataError(
                f"exog_vc[{key!r}] of the new data has {Z.shape[1]} columns; the fit has "
                f"{len(self.components[key])} (those of all groups side by side)."
            )
        return MixedRows(Z)
