"""Estimates and tests of linear combinations of the fixed effects, with small-sample degrees of freedom."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.exceptions import DataError, UnavailableError
from bimixed.results.records import Estimates, FTest, SmallSampleOf
from bimixed.vocabulary import spelled
from bimixed.vocabulary.values import DDF as SPELLINGS

DDF = ("satterthwaite", "kenward-roger", "residual", "normal")
NAMES = {
    "satterthwaite": "Satterthwaite's degrees of freedom",
    "kenward-roger": "Kenward and Roger's degrees of freedom and standard errors",
    "residual": "residual degrees of freedom",
    "normal": "the normal distribution",
}
"""How a table is told."""
SHORT = {
    "satterthwaite": "Satterthwaite",
    "kenward-roger": "Kenward-Roger",
    "residual": "residual df",
    "normal": "normal",
    "posterior": "posterior",
}
"""As the name of a table's columns, so that it is printed with them."""
DEPENDENT = 1e-8
"""Share of a row that others leave of it, below which it says nothing of its own."""


@dataclass(frozen=True)
class Combinations:
    """Estimates of combinations of coefficients, (k,) each."""

    estimate: Array
    std_error: Array
    df: Array


@dataclass(frozen=True, repr=False)
class FixefTests:
    """Tests by one approximation.

    Attributes
    ----------
    design : Design
    estimates : Estimates
    small_sample : SmallSampleOf
    ddf : str
        One of ``DDF``.
    """

    design: Design
    estimates: Estimates
    small_sample: SmallSampleOf
    ddf: str

    @staticmethod
    def of(
        design: Design, estimates: Estimates, small_sample: SmallSampleOf, ddf: str | None
    ) -> "FixefTests":
        """Without a ``ddf`` Satterthwaite's, or the normal distribution where the model is too wide for that.

        Raises
        ------
        DataError
            If there is no such approximation.
        UnavailableError
            If it isn't to be had for this model.
        """
        if ddf is None:
            try:
                small_sample.check()
            except UnavailableError:
                return FixefTests(design, estimates, small_sample, "normal")
            ddf = "satterthwaite"
        ddf = spelled(ddf, DDF, SPELLINGS)
        if ddf not in DDF:
            what = repr(ddf) if isinstance(ddf, str) else f"a {type(ddf).__name__}"
            more = "" if isinstance(ddf, str) else " Fits are compared by bm.lrtest(small, large)."
            raise DataError(f"ddf is {what}; choose one of {', '.join(map(repr, DDF))}.{more}")
        if ddf in ("satterthwaite", "kenward-roger"):
            small_sample.check(kenward_roger=ddf == "kenward-roger")
        return FixefTests(design, estimates, small_sample, ddf)

    def rows(self, L: Array) -> Combinations:
        """Each row's combination by itself, L (k, coefficients); NaN where a dropped column is in it."""
        L, known = self._known(L)
        return self._combined(L, known)

    def estimable_rows(self, L: Array) -> Combinations:
        """The same of rows that are known to be estimable, whatever they have on dropped columns."""
        unknown = np.isnan(self.estimates.std_errors[self.design.kept])
        L = L[:, self.design.kept]
        return self._combined(L, ~(np.abs(L[:, unknown]) > 0.0).any(axis=1))

    def are_known(self, L: Array) -> bool:
        """Whether every row has an estimate with a standard error."""
        return bool(self._known(L)[1].all())

    def correlation(self, L: Array) -> Array:
        """Correlations of the rows' estimates."""
        cov = self._covariance(L[:, self.design.kept], self.ddf == "kenward-roger")
        sd = np.sqrt(np.diag(cov))
        return np.asarray(cov / np.outer(sd, sd))

    def _covariance(self, L: Array, adjusted: bool) -> Array:
        """Of rows on the independent columns, (k, k)."""
        cov = self.small_sample.covariance_of(L, adjusted)
        if cov is None:
            cov = L @ (self.small_sample.adjusted_covariance() if adjusted else self._vcov) @ L.T
        return cov

    def _combined(self, L: Array, known: NDArray[np.bool_]) -> Combinations:
        estimate = np.where(known, L @ self._beta, np.nan)
        variance = np.diag(self._covariance(L, self.ddf == "kenward-roger"))
        std_error = np.where(known, np.sqrt(variance.clip(min=0.0)), np.nan)
        df = np.full(len(L), np.nan)
        tested = known & L.any(axis=1)
        df[tested] = self._df(L[tested])
        return Combinations(estimate, std_error, df)

    def joint(self, L: Array, values: Array) -> FTest:
        """F test of Lβ = values; rows that depend on others are left out.

        Raises
        ------
        DataError
            If a row is zero, touches a coefficient without an estimate, or contradicts the others.
        """
        L, known = self._known(L)
        if not known.all():
            raise DataError(
                "A coefficient of the hypothesis has no estimate: it was dropped because earlier columns "
                "determine it, or its variance isn't known. Leave it out of the hypothesis."
            )
        L, values = independent_rows(L, values, self.design.column_sizes[self.design.kept])
        differences = L @ self._beta - values
        if self.ddf == "kenward-roger":
            found = self.small_sample.kenward_roger(L, differences)
            if np.isnan(found.den_df):
                raise DataError(
                    f"No F distribution has the moments of Kenward and Roger's statistic for {len(L)} "
                    "hypotheses together: there are too few groups. Test fewer, or take ddf='satterthwaite'."
                )
            return found
        cov = self._covariance(L, adjusted=False)
        sd = np.sqrt(np.diag(cov))
        scaled = differences / sd
        statistic = float(scaled @ np.linalg.solve(cov / np.outer(sd, sd), scaled)) / len(L)
        if self.ddf == "satterthwaite":
            _, directions = np.linalg.eigh(cov)
            den_df = joint_df(self.small_sample.satterthwaite(directions.T @ L))
        else:
            den_df = self._fixed_df
        return FTest(num_df=len(L), den_df=den_df, statistic=statistic)

    @property
    def _fixed_df(self) -> float:
        return np.inf if self.ddf == "normal" else float(self.design.n - len(self.design.kept))

    @property
    def _beta(self) -> Array:
        return np.nan_to_num(self.estimates.beta[self.design.kept])

    @property
    def _vcov(self) -> Array:
        return np.nan_to_num(self.estimates.vcov[np.ix_(self.design.kept, self.design.kept)])

    def _known(self, L: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Rows on the independent columns, and which rows have an estimate and a standard error."""
        without = np.isnan(self.estimates.beta) | np.isnan(self.estimates.std_errors)
        return L[:, self.design.kept], ~(np.abs(L[:, without]) > 0.0).any(axis=1)

    def _df(self, L: Array) -> Array:
        if self.ddf == "satterthwaite":
            return self.small_sample.satterthwaite(L)
        if self.ddf == "kenward-roger":
            return np.array([self.small_sample.kenward_roger(row[None], np.zeros(1)).den_df for row in L])
        return np.full(len(L), self._fixed_df)


def named_after(ddf: str, table: pd.DataFrame, *more: str) -> pd.DataFrame:
    """A table that says by which approximation it is, in ``attrs`` and where it is printed."""
    table.attrs["ddf"] = ddf
    shown = [SHORT[ddf], *(name for name in more if name != "none")]
    return table.rename_axis(columns=", ".join(shown))


def joint_df(df: Array) -> float:
    """Denominator degrees of freedom from those of independent parts (Fai and Cornelius 1996)."""
    if len(df) == 1 or np.ptp(df) < 1e-8 * df.max():
        return float(df.mean())
    if df.min() <= 2.0:
        return 2.0
    expectation = float(np.sum(df / (df - 2.0)))
    return 2.0 * expectation / (expectation - len(df))


def independent_rows(L: Array, values: Array, sizes: Array) -> tuple[Array, Array]:
    """Rows of Lβ = values that don't follow from earlier ones.

    Parameters
    ----------
    L : (k, p) array
    values : (k,) array
    sizes : (p,) array
        Of the columns of X: rows are compared in units in which these are alike.

    Raises
    ------
    DataError
        If a row is zero, or the rows contradict each other.
    """
    kept: list[int] = []
    scaled = L / sizes
    for i, row in enumerate(scaled):
        size = np.linalg.norm(row)
        if size == 0.0:
            raise DataError(f"Row {i + 1} of the hypothesis is zero; name at least one coefficient in it.")
        if kept:
            share, *_ = np.linalg.lstsq(scaled[kept].T, row)
            if np.linalg.norm(row - share @ scaled[kept]) <= DEPENDENT * size:
                if abs(share @ values[kept] - values[i]) > DEPENDENT * max(1.0, np.abs(values).max()):
                    raise DataError(
                        f"Row {i + 1} of the hypothesis contradicts the earlier ones; leave it out."
                    )
                continue
        kept.append(i)
    return L[kept], values[kept]
