"""Estimated marginal means, contrasts between them, and slopes of covariates.

Means are of the fixed part at a grid of all combinations of the factors' levels, covariates at their means
(Searle, Speed and Milliken 1980); factors that aren't asked for are averaged with equal weights.
"""

import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bimixed.design import Design
from bimixed.design.grid import (
    codings,
    columns_at,
    fixed_rows,
    grid_values,
    variables,
)
from bimixed.exceptions import DataError, UnavailableError
from bimixed.inference.marginal_means import MarginalMeans
from bimixed.results.fixef_tests import FixefTests
from bimixed.results.tables import check_level
from bimixed.results.uncertainty import Draws
from bimixed.vocabulary import means_of_formula, refuse_foreign_means

if TYPE_CHECKING:
    from bimixed.results import MixedModelResult

MOST_ROWS = 1_000_000
"""Of the grid."""
STEP = 1e-3
"""Of slopes, as a share of the covariate's range: the fixed part is smooth between its knots."""


def emmeans(
    fit: "MixedModelResult",
    factor: str | Sequence[str],
    *,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    ddf: str = "auto",
    level: float = 0.95,
    **unknown: Any,
) -> MarginalMeans:
    """Estimated marginal means of factors.

    Parameters
    ----------
    fit : MixedModelResult
    factor : str or list of str
        Columns whose levels have a mean each; several: every combination.
    by : str or list of str, optional
        Columns within whose levels contrasts are made.
    at : mapping, optional
        Values of covariates in place of their means, or levels of a factor to keep: ``{"age": [10, 60]}``.
        A covariate with several values may be named in ``factor`` or ``by``.
    ddf : {"auto", "kenward-roger", "satterthwaite", "residual", "normal"}
        As in ``fit.coef_table``; "auto" is Kenward and Roger's for REML fits, Satterthwaite's for ML fits,
        and the normal distribution where the model is too wide for both. Draws need none.
    level : float

    Returns
    -------
    MarginalMeans
        ``table``, and ``contrasts(method, adjust)``.

    Raises
    ------
    DataError
        Where a name is no factor of the fixed part, or the model was given as arrays.

    Examples
    --------
    >>> import bimixed as bm
    >>> growth = bm.load_dataset("orthodont")
    >>> fit = bm.ModelSpec("distance ~ age + Sex + (1 | Subject)", growth).fit()
    >>> means = bm.emmeans(fit, "Sex")
    >>> means.table.round(3)
    Kenward-Roger     Sex  estimate  std_error    df   lower   upper
    0              Female    22.648      0.586  25.0  21.441  23.855
    1                Male    24.969      0.486  25.0  23.968  25.970
    >>> means.contrasts().round(3)[["contrast", "estimate", "p_value"]]
    Kenward-Roger, tukey       contrast  estimate  p_value
    0                     Female - Male    -2.321    0.005
    """
    refuse_foreign_means("emmeans", unknown)
    return _made(fit, factor, by, at, ddf, level, None)


def emtrends(
    fit: "MixedModelResult",
    factor: str | Sequence[str] | None,
    *,
    var: str,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    ddf: str = "auto",
    level: float = 0.95,
    **unknown: Any,
) -> MarginalMeans:
    """Slopes of a covariate by the levels of factors, at the covariate's mean or ``at`` a value of it.

    Parameters
    ----------
    fit, factor, by, at, ddf, level
        As in :func:`emmeans`; without a ``factor`` the slope averaged over all.
    var : str
        A covariate of the fixed part.

    Returns
    -------
    MarginalMeans

    Examples
    --------
    >>> import bimixed as bm
    >>> fit = bm.ModelSpec("distance ~ age * Sex + (age | Subject)", bm.load_dataset("orthodont")).fit()
    >>> bm.emtrends(fit, "Sex", var="age").contrasts().round(3)[["contrast", "estimate", "p_value"]]
    Kenward-Roger, tukey       contrast  estimate  p_value
    0                     Female - Male    -0.305    0.033
    """
    refuse_foreign_means("emtrends", unknown)
    return _made(fit, factor, by, at, ddf, level, var)


def _made(
    fit: "MixedModelResult",
    factor: str | Sequence[str] | None,
    by: str | Sequence[str] | None,
    at: Mapping[str, Any] | None,
    ddf: str,
    level: float,
    var: str | None,
) -> MarginalMeans:
    from bimixed.results import MixedModelResult

    if not isinstance(fit, MixedModelResult):
        raise DataError(f"emmeans takes a fit first, not a {type(fit).__name__}: emmeans(fit, 'factor').")
    check_level(level)
    design = fit.design
    factors, covariates = grid_values(design)
    same = codings(design)
    wanted, within = ([same.get(n, n) for n in _names(w, g)] for w, g in (("factor", factor), ("by", by)))
    values = _values(factors, covariates, _mapping(at), [*wanted, *within], var)
    rows = math.prod(len(own) for own in values.values())
    if rows > MOST_ROWS:
        raise DataError(
            f"All combinations of {_told(values)} are {rows} rows; choose levels of those that matter less, "
            "at={'factor': [...]}, or leave them out of the model."
        )
    grid = columns_at(values)
    if var is None:
        X = fixed_rows(design, grid)
    else:
        h = STEP * design.column_range(var)
        X = fixed_rows(design, grid.assign(**{var: grid[var] + h}))
        X = (X - fixed_rows(design, grid.assign(**{var: grid[var] - h}))) / (2.0 * h)
    shown = [*wanted, *within]
    levels = columns_at({name: values[name] for name in shown}) if shown else pd.DataFrame(index=[0])
    order = _order(grid, levels, shown)  # rows with the same levels of what is shown are averaged
    L = np.zeros((len(levels), X.shape[1]))
    np.add.at(L, order, X)
    L /= np.bincount(order)[:, None]
    draws = fit.uncertainty if isinstance(fit.uncertainty, Draws) else None
    return MarginalMeans(
        levels=levels,
        by=tuple(within),
        what="mean" if var is None else var,
        L=L,
        offset=design.mean_offset if var is None else 0.0,
        tests=None if draws is not None else _tests(fit, ddf),
        posterior=draws,
        design=design,
        level=level,
        notes=tuple(_notes(design, values, [*factors], shown, var)),
    )


def _notes(
    design: Design, values: Mapping[str, list[Any]], factors: list[str], shown: list[str], var: str | None
) -> list[str]:
    """What the means are averaged over, and where covariates are."""
    averaged = [name for name in values if name not in shown and len(values[name]) > 1]
    notes = []
    if averaged:
        notes.append(f"Averaged with equal weights over {_told(averaged)}.")
    other = {*averaged, *(name for name in values if name not in factors and name not in shown)} - {var}
    concerned = {*shown, var} if var else set(shown)
    together = [used for used in variables(design) if used & concerned and used & other]
    if together:
        own = sorted(set().union(*together) & other)
        asked = [name for name in (*shown, *([var] if var else [])) if any(name in used for used in together)]
        ending, they = ("", "them") if len(own) > 1 else ("s", "it")
        notes.append(
            f"{_told(own)} interact{ending} with {_told(asked)}: results are others at other levels or "
            f"values of {they} (name {they} in by, or choose by at)."
        )
    covariates = [name for name in values if name not in factors and name not in (*shown, *averaged)]
    held = [f"{name} = {values[name][0]:.6g}" for name in covariates]
    if held:
        notes.append(f"At {', '.join(held)}.")
    if not design.formula.response.strip("`").replace(" ", "_").isidentifier():
        notes.append(f"In units of {design.formula.response}.")
    return notes


def _order(grid: pd.DataFrame, levels: pd.DataFrame, shown: list[str]) -> Any:
    """Which row of ``levels`` each row of the grid belongs to."""
    if not shown:
        return np.zeros(len(grid), dtype=np.intp)
    places = {tuple(row): i for i, row in enumerate(levels.itertuples(index=False))}
    return np.array([places[tuple(row)] for row in grid[shown].itertuples(index=False)])


def _names(argument: str, given: Any) -> list[str]:
    names = [] if given is None else [given] if isinstance(given, str) else given
    call = means_of_formula(given) if isinstance(given, str) else ""
    if call:
        raise DataError(f"{argument} is the formula {given!r}; name the columns: {call}.")
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{argument} is {given!r}; give a column's name or a list of names.")
    return list(names)


def _mapping(at: Any) -> dict[str, Any]:
    if at is not None and not isinstance(at, Mapping):
        raise DataError(f"at is {at!r}; give values by column, such as {{'age': [10, 60]}}.")
    return dict(at or {})


def _values(
    factors: Mapping[str, list[Any]],
    covariates: Mapping[str, float],
    at: Mapping[str, Any],
    shown: list[str],
    var: str | None,
) -> dict[str, list[Any]]:
    """Values of every column on the grid."""
    for name in [*at, *shown, *([] if var is None else [var])]:
        if name not in factors and name not in covariates:
            close = get_close_matches(name, [*factors, *covariates], n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise DataError(
                f"{name!r} is no column of the fixed part; its factors are {_told(factors)}, its covariates "
                f"{_told(covariates)}.{hint}"
            )
    if var is not None and var not in covariates:
        raise DataError(f"{var!r} is a factor and has no slope; its means are emmeans(fit, {var!r}).")
    if len(set(shown)) < len(shown):
        raise DataError("A column is named twice among factor and by; name it once.")
    for name in shown:
        if name in covariates and name not in at:
            raise DataError(
                f"{name!r} is a covariate: it has no levels to take means at. Give some, at={{{name!r}: "
                f"[{covariates[name]:.4g}, ...]}}, or take emtrends(fit, ..., var={name!r}) for its slope."
            )
    chosen = {name: _several(name, given) for name, given in at.items()}
    out: dict[str, list[Any]] = {}
    for name, levels in factors.items():
        own = chosen.get(name, list(levels))
        unknown = [level for level in own if level not in levels]
        if unknown:
            raise DataError(f"{name!r} has no level {unknown[0]!r}; it has {_told(levels)}.")
        out[name] = own
    for name, mean in covariates.items():
        out[name] = [_number(name, value) for value in chosen.get(name, [mean])]
    return out


def _several(name: str, given: Any) -> list[Any]:
    values = [given] if isinstance(given, str) or np.ndim(given) == 0 else list(given)
    if not values or len(set(values)) < len(values):
        raise DataError(
            f"at[{name!r}] is {values!r}; give one value or several different ones, each with its own mean."
        )
    return values


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise DataError(f"at[{name!r}] has {value!r}; {name!r} is a covariate and takes finite numbers.")
    return number


def _told(names: Any) -> str:
    return ", ".join(map(repr, names)) or "none"


def _tests(fit: "MixedModelResult", ddf: str) -> FixefTests:
    if ddf != "auto":
        tests = fit._fixef_tests(ddf)
    else:
        try:
            tests = fit._fixef_tests("kenward-roger" if fit.method == "reml" else "satterthwaite")
        except UnavailableError:
            tests = fit._fixef_tests(None)
    assert tests is not None
    return tests
