"""Fits of the same model to other responses."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.design import Design, rows_needed
from bimixed.exceptions import ArgumentError, DataError, UnavailableError
from bimixed.results.records import Estimates, Refitter
from bimixed.results.refits import refits_table, without_estimates
from bimixed.vocabulary import refuse_foreign_refit

if TYPE_CHECKING:
    from bimixed.results.result import MixedModelResult


class Refitting:
    """What a result knows of refitting; part of :class:`MixedModelResult`."""

    design: Design
    estimates: Estimates
    refitter: Refitter | None

    def refit(self, y: Any = None, **unknown: Any) -> "MixedModelResult":
        """Fit the same model to another response, with everything reused that doesn't depend on it.

        Parameters
        ----------
        y : (nobs,) array or Series
            On the scale of the formula's left side, one value for each row used, in their order; a Series
            needs the index of ``fitted`` (give ``.to_numpy()`` of a permuted one).

        Returns
        -------
        MixedModelResult
            By the same method, without a specification.

        Raises
        ------
        DataError
            If y has another shape or index, is constant, or has values that are missing, infinite or no
            numbers.
        ArgumentError
            For any other argument.
        UnavailableError
            For draws; use ``spec.update(data=...)``.

        Examples
        --------
        >>> import bimixed as bm
        >>> spec = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", bm.load_dataset("sleepstudy"))
        >>> fit = spec.fit()
        >>> round(fit.refit(2 * fit.spec.design.y).sigma / fit.sigma, 6)
        2.0
        """
        refitter = self._refitter("refit")
        refuse_foreign_refit("refit", "y", unknown)
        if isinstance(y, pd.Series) and not y.index.equals(self.design.index):
            raise DataError(
                "The index of y is not that of the rows used (fit.fitted.index). Give y[fit.fitted.index] if "
                "its labels say which row a value belongs to; if the values are meant in the order they have "
                "(a permuted or simulated response), give y.to_numpy()."
            )
        values = self._numbers("refit", "y", y)
        if values.shape != (self.design.n,):
            many = "; for a response in each column use refit_many" if values.ndim == 2 else ""
            raise DataError(
                f"y has shape {values.shape}; give {self.design.n} finite values, one for each row "
                f"used{many}."
            )
        if not np.isfinite(values).all():
            raise DataError(
                f"y has values that are missing or infinite; give {self.design.n} finite values, one for "
                "each row used."
            )
        if np.ptp(values) == 0:
            raise DataError(
                f"y is constant ({values[0]:g}); there is nothing to model. Give values that differ."
            )
        return refitter.one(replace(self.design, y=values))

    def refit_many(self, responses: Any = None, **unknown: Any) -> pd.DataFrame:
        """Fit the same model to many responses, as a bootstrap or a simulation study does.

        Parameters
        ----------
        responses : (nobs, R) array or DataFrame
            One response in each column, as :meth:`bimixed.ModelSpec.simulate` gives them.

        Returns
        -------
        pandas.DataFrame
            One row for each response: ``loglik``, ``converged`` and ``singular`` (bool; whether a
            direction of the random effects has no variance), and the estimates named as in
            :meth:`conf_int` (fixed effects, sds, correlations, sigma). A correlation with an sd of 0 is NaN,
            as is what the design doesn't identify, and everything of a response that can't be fitted (a
            constant one, say).
            pandas has no quantiles of bools: ``select_dtypes(float)`` takes the others.

        Raises
        ------
        DataError
            If the responses have another number of rows, or values that are missing, infinite or no numbers.
        ArgumentError
            For any other argument.
        UnavailableError
            For draws.

        Examples
        --------
        >>> import bimixed as bm
        >>> spec = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", bm.load_dataset("sleepstudy"))
        >>> fit = spec.fit()
        >>> ys = spec.simulate(fit.fixef["estimate"], fit.random_cov, fit.sigma, n=200, random_seed=1)
        >>> table = fit.refit_many(ys)
        >>> bool(abs(table["Days"].mean() - fit.fixef.loc["Days", "estimate"]) < 0.2)
        True
        >>> int(table["singular"].sum())  # refits at the boundary
        0
        >>> table.select_dtypes(float).quantile([0.025, 0.975]).shape
        (2, 5)
        """
        refitter = self._refitter("refit_many")
        refuse_foreign_refit("refit_many", "responses", unknown)
        if isinstance(responses, pd.DataFrame) and not responses.index.equals(self.design.index):
            raise DataError(
                "The index of the responses is not that of the rows used (fit.fitted.index). Give "
                "responses.loc[fit.fitted.index] if its labels say which row a value belongs to; if the "
                "values are meant in the order they have (permuted or simulated responses), give "
                "responses.to_numpy()."
            )
        values = self._numbers("refit_many", "responses", responses)
        if values.shape[:1] == (self.design.n,) and values.ndim == 2 and not np.isfinite(values).all():
            bad = np.flatnonzero(~np.isfinite(values).all(axis=0))
            raise DataError(
                f"Responses {bad[:5].tolist()} have values that are missing or infinite; give finite values "
                f"for each of the {self.design.n} rows used."
            )
        if values.ndim != 2 or len(values) != self.design.n or values.shape[1] == 0:
            turned = values.ndim == 2 and values.shape[1] == self.design.n
            hint = " (turn them: responses.T)" if turned else ""
            raise DataError(
                f"responses have shape {values.shape}; give finite values with {self.design.n} rows, one for "
                f"each row used, and a column for each response{hint}."
            )
        constant = np.ptp(values, axis=0) == 0
        if constant.any():  # the fitted response keeps their places
            values = np.where(constant, self.design.y[:, None], values)
        found = refitter.many(values)
        table = refits_table(self.design, found, refitter.weight_scale, self.estimates)
        return without_estimates(table, constant)

    def _numbers(self, where: str, argument: str, given: Any) -> Array:
        """What was given as an array of floats."""
        one = where == "refit"
        form = f"{self.design.n} finite values" if one else f"an array or DataFrame with {self.design.n} rows"
        column = "" if one else ", and a column for each response, as spec.simulate(...) makes them"
        if given is None:
            raise ArgumentError(
                f"{where} needs {argument}: write fit.{where}({argument}) with {form}, one for each row "
                f"used{column}."
            )
        try:
            return np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{argument} is a {type(given).__name__} that can't be read as numbers; give {form}, one for "
                f"each row used{column}."
            ) from error

    def _refitter(self, name: str) -> Refitter:
        if self.refitter is None:
            raise UnavailableError(
                f"{name} is for likelihood fits; for draws use spec.update(data=...).fit('nuts')."
            )
        if not self.design.has_rows:
            raise rows_needed("A fit of another response")
        return self.refitter
