"""Replicates of a bootstrap: a piece of the work, and what comes of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import SeedSequence
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.exceptions import BimixedError, DataError, without_warnings
from bimixed.inference.cases import Cases
from bimixed.inference.resampling import Parametric, Residual
from bimixed.likelihood.fit import fit_likelihood
from bimixed.results import MixedModelResult
from bimixed.results.refits import refits_table
from bimixed.results.uncertainty import NormalApproximation

REPORTS = ["loglik", "converged", "singular"]
Statistic = Callable[[MixedModelResult], Any]


@dataclass(frozen=True)
class Replicates:
    """What some seeds gave.

    Attributes
    ----------
    values : (R, m) array
        NaN in the rows of replicates that failed.
    std_errors : (R, m) array or None
        On the scale where intervals are symmetric.
    singular, converged, failed : (R,) bool arrays
    errors : tuple of str
        What the failed ones said, as far as it is known.
    """

    values: Array
    std_errors: Array | None
    singular: NDArray[np.bool_]
    converged: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    errors: tuple[str, ...]


def parameters(fit: MixedModelResult) -> pd.Series:
    """Estimates of all parameters, named and ordered as in ``conf_int``."""
    e, design = fit.estimates, fit.design
    found = dict(zip(design.names, e.beta.tolist(), strict=True))
    for f in design.factors:
        sd, corr = e.random_sd[f.key], e.random_corr[f.key]
        found |= {f"sd_{f.key}[{name}]": float(sd[k]) for k, name in enumerate(f.names)}
        for i, j in f.template.correlated_pairs():
            found[f"corr_{f.key}[{f.names[i]},{f.names[j]}]"] = float(corr[i, j])
    return pd.Series({**found, "sigma": fit.sigma}, dtype=float, name="estimate")


def standard_errors(fit: MixedModelResult) -> Array:
    """Of all parameters: of log sds, Fisher's z of correlations, and fixed effects as they are."""
    if not isinstance(fit.uncertainty, NormalApproximation):
        raise AssertionError("a likelihood fit")
    return np.concatenate([fit.estimates.std_errors, fit.uncertainty.variance_scales().transformed_se])


def as_series(found: Any) -> pd.Series:
    """What a statistic returned, with names.

    Raises
    ------
    DataError
    """
    if isinstance(found, pd.Series):
        names = [", ".join(map(str, i)) if isinstance(i, tuple) else str(i) for i in found.index]
        values = found.to_numpy()
    else:
        values = np.asarray(found)
        names = ["statistic"] if values.ndim == 0 else [str(i) for i in range(len(values))]
        values = np.atleast_1d(values)
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"statistic returned a {type(found).__name__} that can't be read as numbers; it returns a "
            "number, a Series or a one-dimensional array."
        ) from error
    if numbers.ndim != 1:
        raise DataError(
            f"statistic returned an array of shape {numbers.shape}; it returns a number, a Series or a "
            "one-dimensional array."
        )
    if found is None or not len(numbers):
        raise DataError("statistic returned nothing; it returns a number, a Series or an array of some.")
    if len(set(names)) < len(names):
        raise DataError("statistic returned a Series with repeated labels; give each value its own.")
    return pd.Series(numbers, index=names, name="estimate")


@dataclass(frozen=True)
class Together:
    """Responses that are drawn and fitted many at a time, for the estimates alone."""

    fit: MixedModelResult
    draw: Parametric | Residual

    def __call__(self, seeds: Sequence[SeedSequence]) -> Replicates:
        fit, y = self.fit, self.draw(seeds)
        if fit.refitter is None:
            raise AssertionError("a likelihood fit")
        found = fit.refitter.many(y)
        table = refits_table(fit.design, found, fit.refitter.weight_scale, fit.estimates)
        failed = np.isnan(found.loglik)
        return Replicates(
            values=table.drop(columns=REPORTS).to_numpy(dtype=float),
            std_errors=None,
            singular=table["singular"].to_numpy() & ~failed,
            converged=found.converged,
            failed=failed,
            errors=tuple(self._error(y[:, k]) for k in np.flatnonzero(failed)[:1]),
        )

    def _error(self, y: Array) -> str:
        """What a fit of a response alone says."""
        try:
            with without_warnings:
                self.fit.refit(y)
        except BimixedError as error:
            return str(error)
        return "The response couldn't be fitted beside others."


@dataclass(frozen=True)
class OneByOne:
    """Replicates with a whole result each."""

    fit: MixedModelResult
    draw: Parametric | Residual | Cases
    statistic: Statistic | None
    with_errors: bool
    names: tuple[str, ...]

    def __call__(self, seeds: Sequence[SeedSequence]) -> Replicates:
        R, m = len(seeds), len(self.names)
        values, errors = np.full((R, m), np.nan), np.full((R, m), np.nan)
        singular, converged, failed = (np.zeros(R, dtype=bool) for _ in range(3))
        said: list[str] = []
        for k, seed in enumerate(seeds):
            try:
                with without_warnings:
                    result = self._result(seed)
                    values[k] = self._values(result)
                    if self.with_errors:
                        errors[k] = standard_errors(result)
            except Exception as error:  # whatever a statistic may raise: counted, and the first one is told
                failed[k] = True
                values[k] = np.nan
                said.append(f"{type(error).__name__}: {error}")
                continue
            singular[k], converged[k] = bool(result.diagnostics.singular), result.diagnostics.converged
        kept = errors if self.with_errors else None
        return Replicates(values, kept, singular, converged, failed, tuple(said[:1]))

    def _result(self, seed: SeedSequence) -> MixedModelResult:
        fit = self.fit
        if not isinstance(self.draw, Cases):
            return fit.refit(self.draw([seed])[:, 0])
        optimizer = getattr(fit.refitter, "optimizer", "auto")
        found = fit_likelihood(self.draw(seed), reml=fit.method == "reml", optimizer=optimizer)
        return replace(found, spec=None)

    def _values(self, result: MixedModelResult) -> Array:
        if self.statistic is None:
            return parameters(result).to_numpy()
        found = as_series(self.statistic(result))
        if set(found.index) == set(self.names):
            return found.loc[list(self.names)].to_numpy()
        if tuple(found.index) != self.names:
            raise DataError(
                f"statistic returned {len(found)} values named {list(found.index)[:5]}, of the fit itself "
                f"{len(self.names)} named {list(self.names)[:5]}; it has to return the same ones always."
            )
        return found.to_numpy()
