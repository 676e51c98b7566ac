"""Means (or slopes) by the levels of factors, and contrasts between them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.exceptions import DataError, UnavailableError
from bimixed.inference.contrasts import SAME, Coefficients, contrast_rows, interaction_rows
from bimixed.inference.multiplicity import adjusted_p, check_adjust, critical_values
from bimixed.results.fixef_tests import NAMES, FixefTests, named_after
from bimixed.results.summary import Summary
from bimixed.results.tables import combination_table
from bimixed.results.uncertainty import Draws, equal_tails
from bimixed.vocabulary import Hinting, explains_methods, refuse_foreign_means

Adjust = Literal["auto", "tukey", "dunnett", "mvt", "holm", "bonferroni", "sidak", "fdr", "none"]
CANCELLED = 1e-12
"""Share of a mean's coefficients below which what is left in a contrast is rounding."""


@explains_methods
@dataclass(frozen=True)
class MarginalMeans(Hinting):
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
    posterior : Draws or None
    design : Design
    level : float
    notes : tuple of str
        Over what was averaged, where covariates are, and in what units.
    """

    levels: pd.DataFrame
    by: tuple[str, ...]
    what: str
    L: Array
    offset: float
    tests: FixefTests | None
    posterior: Draws | None
    design: Design
    level: float
    notes: tuple[str, ...] = field(default=())

    @cached_property
    def table(self) -> pd.DataFrame:
        """The levels, and ``estimate``, ``std_error``, ``df``, ``lower``, ``upper``.

        For draws posterior means, sds and equal tails, and ``df`` is NaN. A mean of cells without rows
        is NaN.
        """
        found = self._estimates(self.L, self.offset, self.levels.index)
        table = pd.concat([self.levels, found.drop(columns=["statistic", "p_value"])], axis=1)
        return named_after(self.ddf, table)

    @property
    def ddf(self) -> str:
        """Which approximation the degrees of freedom are of; "posterior" for draws."""
        return "posterior" if self.tests is None else self.tests.ddf

    def contrasts(
        self,
        method: str | Mapping[str, Coefficients] = "pairwise",
        adjust: Adjust | None = "auto",
        *,
        reference: Any = None,
        interaction: bool = False,
        **unknown: Any,
    ) -> pd.DataFrame:
        """Contrasts of the means, within each combination of ``by``.

        Parameters
        ----------
        method : str or mapping
            "pairwise" (earlier − later), "revpairwise", "trt.vs.ctrl" (each − the reference), "consec" (each
            − the one before), "eff" (each − the mean of all), "poly" (orthogonal polynomials in the order of
            the levels, of whole numbers as in textbooks), or a mapping of names to coefficients: one for each
            mean in the order of the table, or by level (``{"High": 1, "Low": -1}`` or a Series, others 0;
            levels of several factors as ``"Male High"`` or ``("Male", "High")``).
        adjust : str or None
            Of p-values and limits for all contrasts of a group of ``by``: "tukey" (pairwise only),
            "dunnett" or "mvt" (by the multivariate t distribution), "holm" (limits are Bonferroni's),
            "bonferroni", "sidak", "fdr" (of the false discovery rate, Benjamini and Hochberg 1995; limits are
            Bonferroni's), or "none", which None says too. Default "auto": "tukey" for pairwise, "dunnett" for
            "trt.vs.ctrl", else "none". Draws need none.
        reference : level or tuple of levels, optional
            Of "trt.vs.ctrl", default the first.
        interaction : bool
            Contrasts of contrasts: products of the method's contrasts of each factor, as "pairwise" of
            two factors gives differences of differences. Default adjustment "none".

        Returns
        -------
        pandas.DataFrame
            Columns of ``by``, ``contrast``, ``estimate``, ``std_error``, ``df``, ``statistic``, ``p_value``,
            ``lower``, ``upper``; for draws ``prob_positive``, the posterior probability that the
            contrast is above 0, in place of the test. ``attrs`` has ``ddf`` and ``adjust``.

        Raises
        ------
        DataError
            If a method, an adjustment or coefficients make no sense.
        """
        refuse_foreign_means("contrasts", unknown)
        method = SAME.get(method, method) if isinstance(method, str) else method
        pairwise = method in ("pairwise", "revpairwise") and not interaction
        usual = "tukey" if pairwise else "dunnett" if method == "trt.vs.ctrl" and not interaction else "none"
        adjust = "none" if adjust is None else usual if adjust == "auto" else adjust  # type: ignore[assignment]
        assert adjust is not None
        check_adjust(adjust)
        if adjust == "tukey" and not pairwise:
            raise DataError(
                "adjust='tukey' is about all pairwise differences of means; take adjust='mvt' for other "
                "contrasts, or 'holm'."
            )
        parts = [
            pd.concat([labels, self._contrasts(L, adjust, family)], axis=1)
            for labels, L, family in self._parts(method, reference, interaction)
        ]
        adjusted = "none" if self.tests is None else adjust
        table = named_after(self.ddf, pd.concat(parts, ignore_index=True), adjusted)
        table.attrs["adjust"] = adjusted
        return table

    @property
    def draws(self) -> pd.DataFrame:
        """Draws of the means, (draws, means), chains one after the other; columns are the factors' levels.

        Raises
        ------
        UnavailableError
            For likelihood fits.
        """
        return self._frame(self.L, self.offset, self.levels)

    def contrast_draws(
        self,
        method: str | Mapping[str, Coefficients] = "pairwise",
        *,
        reference: Any = None,
        interaction: bool = False,
    ) -> pd.DataFrame:
        """Draws of contrasts, (draws, contrasts); columns are levels of ``by`` and the contrasts' names.

        Parameters
        ----------
        method, reference, interaction
            As in :meth:`contrasts`.

        Raises
        ------
        UnavailableError
            For likelihood fits.
        DataError
            If a method or coefficients make no sense.
        """
        method = SAME.get(method, method) if isinstance(method, str) else method
        labels, L, _ = zip(*self._parts(method, reference, interaction), strict=True)
        return self._frame(np.concatenate(L), 0.0, pd.concat(labels, ignore_index=True))

    def _parts(
        self, method: str | Mapping[str, Coefficients], reference: Any, interaction: bool
    ) -> list[tuple[pd.DataFrame, Array, int]]:
        """Levels of ``by`` and names, coefficients, and number of means, of each group's contrasts."""
        parts = []
        for key, rows in self._groups():
            names, C = self._rows(rows, method, reference, interaction)
            L = C @ self.L[rows]
            L[np.abs(L) <= CANCELLED * (np.abs(C) @ np.abs(self.L[rows]))] = 0.0
            labels = pd.DataFrame({**dict(zip(self.by, key, strict=True)), "contrast": names})
            parts.append((labels, L, len(rows)))
        return parts

    def _rows(
        self, rows: list[int], method: str | Mapping[str, Coefficients], reference: Any, interaction: bool
    ) -> tuple[list[str], Array]:
        if not interaction:
            return contrast_rows(method, self._labels(rows), reference)
        own = self.levels.drop(columns=list(self.by)).iloc[rows]
        return interaction_rows(method, {str(name): list(own[name].unique()) for name in own}, reference)

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
            drawn = self._drawn(L)
            table = table.drop(columns=["df", "statistic", "p_value"])
            return table.assign(
                prob_positive=np.where(self.design.estimable(L), (drawn > 0.0).mean(axis=0), np.nan)
            )
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
        assert self.posterior is not None
        return np.nan_to_num(self.posterior.beta) @ L.T

    def _frame(self, L: Array, offset: float, columns: pd.DataFrame) -> pd.DataFrame:
        if self.posterior is None:
            raise UnavailableError(
                "Estimates of a likelihood have no draws; fit by 'nuts' or 'importance', or take the table's "
                "standard errors."
            )
        drawn = np.where(self.design.estimable(L), self._drawn(L) + offset, np.nan)
        if columns.shape[1] > 1:
            return pd.DataFrame(drawn, columns=pd.MultiIndex.from_frame(columns))
        named = pd.Index(columns.iloc[:, 0]) if columns.shape[1] else pd.Index([self.what])
        return pd.DataFrame(drawn, columns=named)

    def _estimates(self, L: Array, offset: float, index: pd.Index) -> pd.DataFrame:
        known = self.design.estimable(L)
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
        title, notes = self._told()
        table = self.table.rename_axis(columns=None).round(4).to_string(index=False)
        return "\n".join([title, "", table, *([""] if notes else []), *(f"* {n}" for n in notes)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        title, notes = self._told()
        table = self.table.rename_axis(columns=None).set_index(list(self.levels.columns))
        return Summary(title, (), (("Estimates", table),), tuple(notes), (".table",))._repr_html_()

    def _told(self) -> tuple[str, list[str]]:
        """Title and notes."""
        title = "Marginal means" if self.what == "mean" else f"Slopes of {self.what}"
        by = f"limits of {self.level:.0%} by "
        by += "equal tails of the posterior" if self.tests is None else NAMES[self.ddf]
        notes = list(self.notes)
        if self.table["estimate"].isna().any():
            notes.append("NaN: the data have no rows that would tell this mean from others.")
        return f"{title} ({by})", notes
