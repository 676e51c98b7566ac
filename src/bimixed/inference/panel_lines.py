"""Lines of a group's levels against one column: without pooling, complete and partial pooling."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bimixed.compare import own_estimates
from bimixed.covariance import Array
from bimixed.design import Design, RandomFactor
from bimixed.design.encoding import FormulaEncoding
from bimixed.design.grid import grid_values
from bimixed.exceptions import DataError, UnavailableError
from bimixed.least_squares import least_squares, root_of_weights
from bimixed.results import MixedModelResult
from bimixed.shortening import listed

POINTS = 30
"""Of a line."""


@dataclass(frozen=True)
class Column:
    """What stands along the panels.

    Attributes
    ----------
    name : str
    values : (n,) array
        Of the rows; of a factor the numbers of its levels.
    labels : list or None
        Levels, where it is a factor.
    """

    name: str
    values: Array
    labels: list[Any] | None


@dataclass(frozen=True)
class Lines:
    """Lines of some levels, (levels, points) each.

    Attributes
    ----------
    x : array
    own : array
        Xβ̂ and the level's own least-squares deviation from it, on the group's columns (no pooling); NaN where
        its rows don't determine one.
    pooled : array
        Least squares of the fixed part, without groups (complete pooling).
    partial : dict of arrays
        Fixed part and random effects of the group, by result.
    """

    x: Array
    own: Array
    pooled: Array
    partial: dict[str, Array]


def column_of(fit: MixedModelResult, factor: RandomFactor, x: str | None) -> Column | None:
    """The column to draw against; None where the model has none that varies within levels.

    By default the first covariate with a random slope, else the first covariate of the fixed part that varies
    within levels, else the first factor of it that does.

    Raises
    ------
    DataError
        For a column that the model doesn't use.
    UnavailableError
        Where the model was given as arrays.
    """
    encoding = _encoding(fit.design)
    factors, covariates = grid_values(fit.design)
    if x is None:
        names = [n for n in (*factor.names, *covariates, *factors) if n in covariates or n in factors]
        varying = [n for n in names if _varies(encoding.table[n], factor)]
        if not varying:
            return None
        x = varying[0]
    if x not in encoding.columns or x not in encoding.table.columns:
        used = [name for name in encoding.columns if name in encoding.table.columns]
        raise DataError(f"The model doesn't use a column {x!r}; x= is one of {listed(used)}.")
    column = encoding.table[x]
    if x in factors or column.dtype.kind not in "iuf":
        labels = list(factors.get(x, sorted(column.unique().tolist())))
        places = {label: i for i, label in enumerate(labels)}
        return Column(x, np.array([places[v] for v in column.tolist()], dtype=np.float64), labels)
    return Column(x, column.to_numpy(dtype=np.float64), None)


def chosen_levels(fit: MixedModelResult, factor: RandomFactor, wanted: Any, n: int) -> list[int]:
    """Places of the levels to draw: those named, or n of all, evenly from the fewest to the most rows.

    Among levels with equally many rows they are taken evenly along their first random effect.

    Raises
    ------
    DataError
        For a level that isn't there.
    """
    if wanted is not None:
        names = [wanted] if isinstance(wanted, str) or np.ndim(wanted) == 0 else list(wanted)
        known = {label: i for i, label in enumerate(factor.levels.tolist())}
        for name in names:
            if name not in known:
                raise DataError(f"Group {factor.key!r} has no level {name!r}; it has {listed(known)}.")
        if not names:
            raise DataError("levels= is empty; name some, or leave it out.")
        return [known[name] for name in names]
    if factor.n_levels <= n:
        return list(range(factor.n_levels))
    order = np.lexsort((fit.estimates.ranef[factor.key][:, 0], factor.level_counts()))
    return np.asarray(order[np.linspace(0, len(order) - 1, n).round().astype(int)]).tolist()


def lines(
    results: dict[str, MixedModelResult], factor: RandomFactor, column: Column | None, levels: Sequence[int]
) -> Lines:
    """Lines through the rows of each level; columns other than ``column`` at the level's mean or mode.

    No pooling and complete pooling are those of the first result. Other groups' effects are 0.
    """
    first = next(iter(results.values()))
    xs = np.tile(_places(column), (len(levels), 1))
    new = _rows(first.design, factor, column, levels, xs)
    encoded = first.design.encode(new, (factor.key,))
    beta = np.where(np.isnan(first.estimates.beta), 0.0, first.estimates.beta)
    Z = encoded.random[factor.key].matrix()
    own = encoded.X @ beta + encoded.offset + Z @ own_estimates(first, factor).ravel()
    pooled = encoded.X @ _complete(first.design) + encoded.offset
    partial = {
        name: fit.predict(new, random=[factor.key])["estimate"].to_numpy().reshape(xs.shape)
        for name, fit in results.items()
    }
    return Lines(xs, own.reshape(xs.shape), pooled.reshape(xs.shape), partial)


def _encoding(design: Design) -> FormulaEncoding:
    if not isinstance(design.encoding, FormulaEncoding):
        raise UnavailableError(
            "Panels are drawn against a column of the data, and this model was given as arrays, which have "
            "none; specify it by a formula, or draw fit.fitted against your own column."
        )
    return design.encoding


def _varies(column: pd.Series, factor: RandomFactor) -> bool:
    if factor.is_mixed:
        return bool(column.nunique() > 1)
    return bool((column.groupby(factor.codes).nunique() > 1).any())


def _places(column: Column | None) -> Array:
    """Where lines are computed: from the least to the greatest value, or at every label."""
    if column is None:
        return np.linspace(0.0, 1.0, 2)
    if column.labels is not None:
        return np.arange(len(column.labels), dtype=np.float64)
    low, high = column.values.min(), column.values.max()
    return np.linspace(low, high, POINTS)


def _rows(
    design: Design, factor: RandomFactor, column: Column | None, levels: Sequence[int], xs: Array
) -> pd.DataFrame:
    table = _encoding(design).table
    _, covariates = grid_values(design)
    typical = []
    for level in levels:
        rows = table.iloc[np.flatnonzero(factor.codes == level)]
        typical.append(
            {
                name: rows[name].mean() if name in covariates else _commonest(rows[name])
                for name in table.columns
            }
        )
    grid = pd.DataFrame(typical).loc[np.repeat(np.arange(len(levels)), xs.shape[1])].reset_index(drop=True)
    if column is not None:
        places = xs.ravel()
        grid[column.name] = (
            places if column.labels is None else [column.labels[i] for i in places.astype(int)]
        )
    for name in grid.columns:
        if isinstance(table[name].dtype, pd.CategoricalDtype):
            grid[name] = pd.Categorical(grid[name], categories=table[name].cat.categories)
    return grid


def _commonest(values: pd.Series) -> Any:
    return values.mode().iloc[0]


def _complete(design: Design) -> Array:
    """Weighted least squares on the fixed part, (p,); 0 for dropped columns."""
    X = design.X_kept
    if isinstance(X, np.ndarray):
        return np.nan_to_num(least_squares(design).beta)
    from scipy.sparse.linalg import lsqr

    root, beta = root_of_weights(design), np.zeros(len(design.names))
    y = root * (design.y - (0.0 if design.offset is None else design.offset))
    beta[design.kept] = lsqr(X.multiply(root[:, None]).tocsr(), y, atol=1e-10, btol=1e-10)[0]
    return beta
