"""Estimated marginal means, contrasts between them, and slopes of covariates.

Means are of the fixed part at a grid of all combinations of the factors' levels, covariates at their means
(Searle, Speed and Milliken 1980); factors that aren't asked for are averaged with equal weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.design.grid import columns_at, estimable, fixed_rows, grid_values, mean_offset, null_space
from bimixed.exceptions import DataError, UnavailableError
from bimixed.inference.contrasts import contrast_rows
from bimixed.inference.multiplicity import adjusted_p, check_adjust, critical_values
from bimixed.results.fixef_tests import NAMES, FixefTests
from bimixed.results.tables import check_level, combination_table
from bimixed.results.uncertainty import Draws, equal_tails

if TYPE_CHECKING:
    from bimixed.results import MixedModelResult

Adjust = Literal["tukey", "dunnett", "mvt", "holm", "bonferroni", "sidak", "none"]
CANCELLED = 1e-12
"""Share of a mean's coefficients below which what is left in a contrast is rounding."""
STEP = 1e-3
"""Of slopes, as a share of the covariate's range: the fixed part is smooth between its knots."""


@dataclass(frozen=True)
class MarginalMeans:
    """Means (or slopes) by the levels of factors.

    Attributes
    ----------
    levels : pandas.DataFrame
        The factors' levels of each row, those of ``by`` last.
    by : tuple of str
    what : str
        "mean", or the covariate whose slopes these are.
    L : (k, coefficients) array
    offset : float
    tests : FixefTests or None
    draws : Draws or None
    level : float
    """

    levels: pd.DataFrame
    by: tuple[str, ...]
    what: str
    L: Array
    offset: float
    tests: FixefTests | None
    draws: Draws | None
    null: Array
    level: float

    @cached_property
    def table(self) -> pd.DataFrame:
        """The levels, and ``estimate``, ``std_error``, ``df``, ``lower``, ``upper``.

        For draws posterior means, sds and equal tails, and ``df`` is NaN. A mean of cells without rows
        is NaN.
        """
        found = self._estimates(self.L, self.offset, self.levels.index)
        return pd.concat([self.levels, found.drop(columns=["statistic", "p_value"])], axis=1)

    @property
    def ddf(self) -> str:
        """Which approximation the degrees of freedom are of; "posterior" for draws."""
        return "posterior" if self.tests is None else self.tests.ddf

    def contrasts(
        self,
        method: str | Mapping[str, Sequence[float]] = "pairwise",
        adjust: Adjust | None = None,
        *,
        reference: Any = None,
    ) -> pd.DataFrame:
        """Contrasts of the means, within each combination of ``by``.

        Parameters
        ----------
        method : str or mapping
            "pairwise" (earlier − later), "revpairwise", "trt.vs.ctrl" (each − the reference), "consec" (each
            − the one before), "eff" (each − the mean of all), "poly" (orthogonal polynomials in the order of
            the levels), or a mapping of names to coefficients, one for each mean.
        adjust : str, optional
            Of p-values and limits for all contrasts of a group of ``by``: "tukey" (pairwise only),
            "dunnett" or "mvt" (by the multivariate t distribution), "holm", "bonferroni", "sidak", "none".
            Default "tukey" for pairwise, "dunnett" for "trt.vs.ctrl", else "none". Draws need none.
        reference : level or tuple of levels, optional
            Of "trt.vs.ctrl", default the first.

        Returns
        -------
        pandas.DataFrame
            Columns of ``by``, ``contrast``, ``estimate``, ``std_error``, ``df``, ``statistic``, ``p_value``,
            ``lower``, ``upper``; for draws ``prob_positive``, the posterior probability that the
            contrast is above 0, in place of the test.

        Raises
        ------
        DataError
            If a method, an adjustment or coefficients make no sense.
        """
        pairwise = method in ("pairwise", "revpairwise")
        usual = "tukey" if pairwise else "dunnett" if method == "trt.vs.ctrl" else "none"
        adjust = adjust or usual  # type: ignore[assignment]
        assert adjust is not None
        check_adjust(adjust)
        if adjust == "tukey" and not pairwise:
            raise DataError(
                "adjust='tukey' is about all pairwise differences of means; take adjust='mvt' for other "
                "contrasts, or 'holm'."
            )
        parts = []
        for key, rows in self._groups():
            labels = self._labels(rows)
            names, C = contrast_rows(method, labels, reference)
            L = C @ self.L[rows]
            L[np.abs(L) <= CANCELLED * (np.abs(C) @ np.abs(self.L[rows]))] = 0.0
            part = self._contrasts(L, adjust, len(rows))
            part.insert(0, "contrast", names)
            for place, (name, value) in enumerate(zip(self.by, key, strict=True)):
                part.insert(place, name, value)
            parts.append(part)
        table = pd.concat(parts, ignore_index=True)
        table.attrs.update(ddf=self.ddf, adjust="none" if self.tests is None else adjust)
        return table

    def _groups(self) -> list[tuple[tuple[Any, ...], list[int]]]:
        if not self.by:
            return [((), list(range(len(self.levels))))]
        groups = self.levels.reset_index(drop=True).groupby(list(self.by), sort=False, observed=True).indices
        return [(key if isinstance(key, tuple) else (key,), list(rows)) for key, rows in groups.items()]

    def _labels(self, rows: list[int]) -> list[str]:
        own = self.levels.drop(columns=list(self.by)).iloc[rows]
        return [" ".join(map(str, row)) for row in own.itertuples(index=False)]

    def _contrasts(self, L: Array, adjust: str, family: int) -> pd.DataFrame:
        table = self._estimates(L, 0.0, pd.RangeIndex(len(L)))
        if self.tests is None:
            assert self.draws is not None
            drawn = self._drawn(L)
            table = table.drop(columns=["df", "statistic", "p_value"])
            return table.assign(prob_positive=(drawn > 0.0).mean(axis=0))
        known = (table["std_error"] > 0.0).to_numpy()  # none where the means are equal in every such model
        statistic, df = table["statistic"].to_numpy()[known], table["df"].to_numpy()[known]
        if not len(df):
            return table
        correlation = self._correlation(L[known]) if adjust in ("dunnett", "mvt") else None
        table.loc[known, "p_value"] = adjusted_p(statistic, df, adjust, family, correlation)
        half = critical_values(df, adjust, family, correlation, self.level) * table["std_error"][known]
        table.loc[known, "lower"] = table["estimate"][known] - half
        table.loc[known, "upper"] = table["estimate"][known] + half
        return table

    def _correlation(self, L: Array) -> Array:
        assert self.tests is not None
        return self.tests.correlation(L)

    def _drawn(self, L: Array) -> Array:
        assert self.draws is not None
        return np.nan_to_num(self.draws.beta) @ L.T

    def _estimates(self, L: Array, offset: float, index: pd.Index) -> pd.DataFrame:
        known = estimable(L, self.null)
        if self.tests is None:
            drawn = self._drawn(L) + offset
            limits = equal_tails(drawn, self.level)
            table = pd.DataFrame(
                {"estimate": drawn.mean(axis=0), "std_error": drawn.std(axis=0, ddof=1)}, index=index
            ).assign(df=np.nan, statistic=np.nan, p_value=np.nan, lower=limits.lower, upper=limits.upper)
        else:
            found = self.tests.estimable_rows(L)
            table = combination_table(found, self.level, index)
            table[["estimate", "lower", "upper"]] += offset
        table.loc[~known] = np.nan
        return table

    def __str__(self) -> str:
        title = "Marginal means" if self.what == "mean" else f"Slopes of {self.what}"
        by = "posterior means, sds and equal tails" if self.tests is None else NAMES[self.ddf]
        return f"{title} (limits of {self.level:.0%} by {by})\n\n{self.table.round(4).to_string(index=False)}"

    __repr__ = __str__


def emmeans(
    fit: "MixedModelResult",
    factor: str | Sequence[str],
    *,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    ddf: str = "auto",
    level: float = 0.95,
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
          Sex  estimate  std_error    df   lower   upper
    0  Female    22.648      0.586  25.0  21.441  23.855
    1    Male    24.969      0.486  25.0  23.968  25.970
    >>> means.contrasts().round(3)[["contrast", "estimate", "p_value"]]
            contrast  estimate  p_value
    0  Female - Male    -2.321    0.005
    """
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
            contrast  estimate  p_value
    0  Female - Male    -0.305    0.033
    """
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
    wanted, within = _names("factor", factor), _names("by", by)
    values = _values(factors, covariates, _mapping(at), [*wanted, *within], var)
    grid = columns_at(values)
    if var is None:
        X = fixed_rows(design, grid)
    else:
        column = design.encoding.table[var]  # type: ignore[attr-defined]
        h = STEP * float(column.max() - column.min())
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
        offset=mean_offset(design) if var is None else 0.0,
        tests=None if draws is not None else _tests(fit, ddf),
        draws=draws,
        null=null_space(design),
        level=level,
    )


def _order(grid: pd.DataFrame, levels: pd.DataFrame, shown: list[str]) -> Any:
    """Which row of ``levels`` each row of the grid belongs to."""
    if not shown:
        return np.zeros(len(grid), dtype=np.intp)
    places = {tuple(row): i for i, row in enumerate(levels.itertuples(index=False))}
    return np.array([places[tuple(row)] for row in grid[shown].itertuples(index=False)])


def _names(argument: str, given: Any) -> list[str]:
    names = [] if given is None else [given] if isinstance(given, str) else given
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
            raise DataError(
                f"{name!r} is no column of the fixed part; its factors are {_told(factors)}, its covariates "
                f"{_told(covariates)}."
            )
    if var is not None and var not in covariates:
        raise DataError(f"{var!r} is a factor and has no slope; its means are emmeans(fit, {var!r}).")
    if len(set(shown)) < len(shown):
        raise DataError("A column is named twice among factor and by; name it once.")
    for name in shown:
        if name in covariates and name not in at:
            raise DataError(
                f"{name!r} is a covariate: it has no levels to take means at. Give some, "
                f"at={{{name!r}: [{covariates[name]:.4g}, ...]}}, or take emtrends(fit, ..., var={name!r}) "
                "for its slope."
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
