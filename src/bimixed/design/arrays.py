"""Arrays and per-group matrices, in statsmodels' shapes, → the same design as a formula gives."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bimixed.covariance import Array, CovarianceTemplate
from bimixed.design.array_components import Component, read_components
from bimixed.design.array_encoding import ArrayEncoding
from bimixed.design.design import Design
from bimixed.design.frame import Frame, require_aligned
from bimixed.design.grouping import Grouping, make_grouping
from bimixed.design.levels import check_levels
from bimixed.design.matrices import LARGEST
from bimixed.design.random_effects import RandomFactor, component_rows
from bimixed.design.rows import LevelRows
from bimixed.design.weights import positive_weights
from bimixed.design.wide import is_wide, split_columns
from bimixed.exceptions import DataError
from bimixed.formula import Formula, RandomTerm


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
    if isinstance(endog, pd.Series | pd.DataFrame):
        given = {"exog": exog, "groups": groups, "exog_re": exog_re, "weights": weights, "offset": offset}
        for name, values in given.items():
            require_aligned(values, name, endog.index)
    y = _column(endog, "endog")
    n = len(y)
    X, names = _matrix(exog, "exog", n, fixef_names, "fixef_names", "x", may_be_wide=True)
    key, labels, table = _group_labels(groups, n)
    components = read_components(exog_vc, labels, n)
    if exog_re is None and not components and groups is not None:
        exog_re = np.ones(n)
    _require_random_part(groups, labels, exog_re, exog_vc)
    R, coefficients = _of_groups(exog_re, n, re_names)
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
    X, independent, wide = split_columns(X[kept])
    for factor in factors:
        check_levels(factor, len(frame.index), used_weights)
    return Design(
        formula=_formula(names, key, coefficients, components),
        y=y[kept],
        X=X,
        names=names,
        kept=independent,
        wide=wide,
        factors=factors,
        weights=used_weights,
        offset=beside["offset"][kept] if "offset" in beside else None,
        frame=frame,
        encoding=ArrayEncoding(
            n_fixef=len(names),
            key=key if coefficients else None,
            grouping=grouping,
            n_re=len(coefficients),
            is_intercept=bool(factors) and not factors[0].is_component and factors[0].is_intercept,
            components={name: c.labels for name, c in components.items()},
            has_offset="offset" in beside,
        ),
    )


def _of_groups(exog_re: Any, n: int, names: Sequence[str] | None) -> tuple[Array, tuple[str, ...]]:
    """Covariates of the groups' coefficients, and their names."""
    if exog_re is None:
        return np.zeros((n, 0)), ()
    return _matrix(exog_re, "exog_re", n, names, "re_names", "z")


def _require_random_part(groups: Any, labels: Any, exog_re: Any, exog_vc: Any) -> None:
    """Refuse models without random effects, and groups or coefficients that would be ignored."""
    if exog_re is not None and groups is None:
        raise DataError("exog_re needs groups: one label for each row, whose levels have the effects.")
    if exog_re is not None:
        return
    if not exog_vc:
        raise DataError(
            "The model has no random effects: give groups (a random intercept), exog_re, or exog_vc."
        )
    whole = isinstance(exog_vc, Mapping) and not any(isinstance(v, Mapping) for v in exog_vc.values())
    if groups is not None and whole and len(pd.unique(labels)) > 1:
        raise DataError(
            "groups has no part in the model: the components are matrices for all rows, and there is no "
            "exog_re. Leave groups out, or add exog_re=numpy.ones(n) for a random intercept."
        )


def _numbers(values: Any) -> Array:
    """Values as floats; masked ones are missing, and text, booleans and complex numbers no numbers."""
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.float64), np.nan)
    plain = np.asarray(values)
    if plain.dtype.kind == "c":
        raise TypeError("complex numbers")
    if plain.dtype.kind in "USO" and any(isinstance(v, str) for v in plain.ravel()[:1]):
        raise TypeError("text")
    return np.asarray(plain, dtype=np.float64)


def _column(values: Any, name: str, n: int | None = None) -> Array:
    try:
        array = _numbers(values)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} is not numeric ({error}); give numbers.") from error
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or (n is not None and len(array) != n):
        wanted = "one column" if n is None else f"{n} values, one for each row of endog"
        raise DataError(f"{name} has shape {array.shape}; give {wanted}.")
    return array


def _matrix(
    values: Any,
    role: str,
    n: int,
    names: Sequence[str] | None,
    names_role: str,
    stem: str,
    may_be_wide: bool = False,
) -> tuple[Any, tuple[str, ...]]:
    """A two-dimensional array and the names of its columns; a large sparse one stays sparse if it may."""
    if sp.issparse(values) and not (may_be_wide and is_wide(*values.shape)):
        values = values.toarray()
    try:
        array = sp.csr_array(values, dtype=np.float64) if sp.issparse(values) else _numbers(values)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{role} is not numeric ({error}); encode categories as 0/1 columns, or use a formula."
        ) from error
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[0] != n:
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


def default_names(array: Array | sp.csr_array, stem: str) -> list[str]:
    """``Intercept`` for a column of ones, else ``x1``, ``x2``, … by position among the others."""
    names, number = [], 0
    if isinstance(array, np.ndarray):
        ones = np.all(array == 1.0, axis=0)
    else:
        ones = np.asarray((array == 1.0).sum(axis=0)) == array.shape[0]
    for is_one in ones:
        if is_one and "Intercept" not in names:
            names.append("Intercept")
        else:
            number += 1
            names.append(f"{stem}{number}")
    return names


def _group_labels(groups: Any, n: int) -> tuple[str, Any, pd.DataFrame]:
    """Name of the groups, label of each row, and a table with them."""
    if groups is None:
        return "groups", None, pd.DataFrame(index=pd.RangeIndex(n))
    if isinstance(groups, pd.DataFrame) and groups.shape[1] == 1:
        groups = groups.iloc[:, 0]
    if isinstance(groups, str):
        raise DataError(
            "groups is a column's name, but arrays have no columns; give the labels, data['g'], or use "
            "from_groups(formula, data, groups='g')."
        )
    key = groups.name if isinstance(groups, pd.Series) and groups.name is not None else "groups"
    labels = groups.array if isinstance(groups, pd.Series) else np.asarray(groups)
    if np.ndim(labels) != 1 or len(labels) != n:
        raise DataError(f"groups has shape {np.shape(labels)}; give one label for each of the {n} rows.")
    return str(key), labels, pd.DataFrame({str(key): labels})


def _complete(
    y: Array, X: Array | sp.csr_array, R: Array, table: pd.DataFrame, beside: Mapping[str, Array]
) -> Any:
    kept = ~np.isnan(y) & ~np.isnan(R).any(axis=1)
    if isinstance(X, np.ndarray):
        kept &= ~np.isnan(X).any(axis=1)
    else:
        kept[np.repeat(np.arange(len(y)), np.diff(X.indptr))[np.isnan(X.data)]] = False
    kept &= ~table.isna().to_numpy().any(axis=1)
    for values in beside.values():
        kept &= ~np.isnan(values)
    if not kept.any():
        raise DataError("No rows are left: every row misses a value. Fill values or leave columns out.")
    for name, values in {"endog": y, "exog": X, "exog_re": R, **beside}.items():
        used = values[kept]
        plain = used if isinstance(used, np.ndarray) else used.data
        if np.isinf(plain).any():
            raise DataError(f"{name} has infinite values; correct or drop these rows.")
        if plain.size and np.abs(plain).max() >= LARGEST:
            raise DataError(
                f"{name} has values of {np.abs(plain).max():.3g}: products of such numbers can't be "
                "computed. Change its units."
            )
    if np.ptp(y[kept]) == 0:
        raise DataError(f"endog is constant ({y[kept][0]:g}); there is nothing to model.")
    return kept


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
