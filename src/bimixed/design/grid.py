"""Columns of the fixed part as factors and covariates, and the fixed part of rows made up from them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.design import matrices
from bimixed.design.design import Design
from bimixed.design.encoding import FormulaEncoding
from bimixed.design.terms import fixed_terms
from bimixed.exceptions import DataError


def grid_values(design: Design) -> tuple[dict[str, list[Any]], dict[str, float]]:
    """Levels of each factor, and the mean of each covariate, of the columns that the fixed part uses.

    A column is a factor if it holds labels, or if the formula makes a factor of it, as C(column) does.

    Raises
    ------
    DataError
        If the model was given as arrays, which have no columns.
    """
    encoding = _encoding(design)
    part, table = encoding.parts["fixed"], encoding.table
    wanted = matrices.required_columns({"fixed": part.part}, list(encoding.columns), encoding.context)
    coded: dict[str, list[Any] | None] = {}
    for factor, (_, state) in part.spec.encoder_state.items():
        contrasts = state.get("contrasts") if isinstance(state, dict) else None
        if contrasts is None:
            continue
        own = matrices.columns_of_factor(factor, list(encoding.columns))
        if len(own) == 1:
            coded[own[0]] = list(contrasts.levels) if str(factor) == own[0] else None
    factors: dict[str, list[Any]] = {}
    covariates: dict[str, float] = {}
    for name in wanted:
        column = table[name]
        if name in coded or column.dtype.kind not in "iuf":
            levels = coded.get(name)
            factors[name] = sorted(column.unique().tolist()) if levels is None else levels
        else:
            covariates[name] = design.column_mean(name)
    return factors, covariates


def codings(design: Design) -> dict[str, str]:
    """The column of each factor that the formula makes of one, as ``C(column)`` does."""
    encoding = _encoding(design)
    found = {}
    for factor in encoding.parts["fixed"].spec.encoder_state:
        own = matrices.columns_of_factor(factor, list(encoding.columns))
        if len(own) == 1 and str(factor) != own[0]:
            found[str(factor)] = own[0]
    return found


def variables(design: Design) -> list[set[str]]:
    """Columns of the data that each term of the fixed part uses."""
    columns = list(_encoding(design).columns)
    return [
        {own for name in term.variables for own in matrices.columns_of_factor(name, columns)}
        for term in fixed_terms(design)
    ]


def codes_of_rows(design: Design, levels: Mapping[str, Sequence[Any]]) -> dict[str, NDArray[np.intp]] | None:
    """Which of its levels each factor has in each row; None where one isn't a column, or C() of one."""
    encoding = _encoding(design)
    out = {}
    for name, own in levels.items():
        used = matrices.columns_of_factor(name, list(encoding.columns))
        if len(used) != 1 or not (name == used[0] or name.startswith("C(")):
            return None
        places = {level: i for i, level in enumerate(own)}
        codes = encoding.table[used[0]].map(places)
        if codes.isna().any():
            return None
        out[name] = codes.to_numpy(dtype=np.intp)
    return out


def fixed_rows(design: Design, table: pd.DataFrame) -> Array:
    """All columns of X for new rows that have the columns of the fixed part."""
    encoding = _encoding(design)
    typed = {name: _like(table[name], encoding.table[name]) for name in table.columns}
    X = matrices.encode_part(encoding.parts["fixed"], pd.DataFrame(typed), encoding.context)
    return np.asarray(X.toarray() if hasattr(X, "toarray") else X, dtype=np.float64)


def _encoding(design: Design) -> FormulaEncoding:
    if not isinstance(design.encoding, FormulaEncoding):
        raise DataError(
            "The model was given as arrays, so that there are no factors to take means over; give rows of "
            "coefficients to fit.test(L), or specify the model by a formula."
        )
    return design.encoding


def _like(values: pd.Series, fitted: pd.Series) -> pd.Series:
    """Of the kind of the fitted column."""
    if isinstance(fitted.dtype, pd.CategoricalDtype):
        return pd.Series(pd.Categorical(values, categories=fitted.cat.categories))
    if fitted.dtype.kind in "iuf":
        return values.astype(float)
    return values.astype(fitted.dtype)


def columns_at(values: Mapping[str, list[Any]]) -> pd.DataFrame:
    """Every combination of the values, the first column fastest."""
    names = list(values)
    mesh = np.meshgrid(*[np.arange(len(values[name])) for name in names], indexing="ij")
    return pd.DataFrame(
        {n: [values[n][i] for i in at.ravel(order="F")] for n, at in zip(names, mesh, strict=True)}
    )
