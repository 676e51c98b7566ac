"""The bootstrap: parametric, residual, or of whole groups."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from bimixed.arguments import check_count, check_seed
from bimixed.covariance import Array
from bimixed.exceptions import BimixedWarning, DataError, FitError, UnavailableError, warn
from bimixed.inference.by_ml import engine
from bimixed.inference.cases import Cases, seeds_of
from bimixed.inference.pools import Workers, usable
from bimixed.inference.processes import work_through
from bimixed.inference.replicates import (
    OneByOne,
    Replicates,
    Together,
    as_series,
    parameters,
    standard_errors,
)
from bimixed.inference.resampling import Parametric, Residual
from bimixed.likelihood.one_factor import has_one_factor
from bimixed.results import MixedModelResult
from bimixed.results.summary import METHODS, Summary
from bimixed.results.tables import check_level
from bimixed.shortening import listed, short_formula
from bimixed.vocabulary import Hinting, explains_arguments, explains_methods

KINDS = ("parametric", "residual", "case")
INTERVALS = ("percentile", "basic", "studentized")
PIECE, SMALL_PIECE = 50, 4
"""Replicates done at a time, where they are fitted together and where one by one."""


@explains_methods
@dataclass(frozen=True, repr=False, eq=False)
class Bootstrap(Hinting):
    """Replicates of estimates, or of a statistic.

    Attributes
    ----------
    replicates : pandas.DataFrame
        A row for each replicate, columns named as in ``conf_int`` (or by the statistic); NaN in replicates
        that failed, and where a parameter isn't defined (a correlation with an sd of 0).
    estimate : pandas.Series
        Of the fit itself.
    kind : str
        "parametric", "residual" or "case".
    title : str
    n : int
        Replicates asked for; ``replicates`` has fewer rows only if interrupted.
    n_failed, n_singular, n_not_converged : int
        Replicates that couldn't be fitted (or whose statistic couldn't be computed), of which a variance is 0
        or a correlation ±1, and whose search ended too early. Only the failed ones don't count.
    first_error : str
        What the first that failed said; "" where none did.
    interrupted : bool
    """

    replicates: pd.DataFrame
    estimate: pd.Series
    kind: str
    title: str
    n: int
    n_failed: int
    n_singular: int
    n_not_converged: int
    first_error: str
    interrupted: bool
    _scales: tuple[str, ...] = field(default=(), repr=False)
    _std_errors: Array | None = field(default=None, repr=False)
    _own_std_errors: Array | None = field(default=None, repr=False)

    def conf_int(
        self, level: float = 0.95, kind: Literal["percentile", "basic", "studentized"] = "percentile"
    ) -> pd.DataFrame:
        """Limits from the replicates.

        Parameters
        ----------
        level : float
        kind : {"percentile", "basic", "studentized"}
            Quantiles of the replicates; twice the estimate less these, limited to possible values; or those
            of (replicate − estimate) / standard error of the replicate, sds on the log scale and correlations
            on Fisher's z (Davison and Hinkley 1997, chapter 5). Of n values in order, the quantile of p is
            the (n + 1)p-th.

        Returns
        -------
        pandas.DataFrame
            ``lower``, ``upper``.

        Raises
        ------
        DataError
            For an unknown kind, or an impossible level.
        UnavailableError
            For studentised limits of a statistic, or without standard errors of the replicates.

        Warns
        -----
        BimixedWarning
            Where the replicates are too few for the level, or have no standard error (at the boundary).
        """
        check_level(level)
        if kind not in INTERVALS:
            raise DataError(f"kind is {kind!r}; choose one of {', '.join(INTERVALS)}.")
        if kind == "studentized":
            self._check_std_errors()
        if (1.0 - level) / 2.0 * (len(self.replicates) - self.n_failed + 1) < 1.0:
            warn(
                f"{len(self.replicates) - self.n_failed} replicates have no quantiles that far out; the "
                "limits are the least and the largest. Ask for more (n=).",
                BimixedWarning,
            )
        tails = [(1.0 - level) / 2.0, (1.0 + level) / 2.0]
        if kind == "studentized":
            limits = self._studentized(tails)
        else:
            limits = _quantiles(self.replicates.to_numpy(), tails)
            if kind == "basic":
                limits = self._possible(2.0 * self.estimate.to_numpy() - limits[::-1])
        limits = np.where(np.isnan(self.estimate.to_numpy()), np.nan, limits)
        index = pd.Index(self.replicates.columns, name="parameter")
        return pd.DataFrame({"lower": limits[0], "upper": limits[1]}, index=index)

    def _possible(self, limits: Array) -> Array:
        kinds = np.array(self._scales or ["fixed"] * len(self.estimate))
        limits = np.where(kinds == "sd", np.maximum(limits, 0.0), limits)
        return np.where(kinds == "corr", np.clip(limits, -1.0, 1.0), limits)

    def _check_std_errors(self) -> None:
        if not self._scales:
            raise UnavailableError(
                "Studentised limits need a standard error in each replicate, which a statistic doesn't have; "
                "use kind='percentile' or 'basic'."
            )
        if self._std_errors is None:
            raise UnavailableError(
                "Studentised limits need a standard error in each replicate: bootstrap again with "
                "bm.bootstrap(fit, std_errors=True), which takes longer."
            )

    def _studentized(self, tails: list[float]) -> Array:
        if self._std_errors is None or self._own_std_errors is None:
            raise AssertionError("checked before")
        is_sd, is_corr = (np.array([k == kind for k in self._scales]) for kind in ("sd", "corr"))

        def scaled(values: Array) -> Array:
            with np.errstate(divide="ignore", invalid="ignore"):
                logs = np.where(is_sd, np.log(np.where(is_sd, values, 1.0)), values)
                return np.where(is_corr, np.arctanh(np.where(is_corr, values, 0.0)), logs)

        fitted = ~np.isnan(self.replicates.to_numpy()).all(axis=1)
        own, se = scaled(self.estimate.to_numpy()), self._own_std_errors
        with np.errstate(invalid="ignore"):
            t = (scaled(self.replicates.to_numpy()[fitted]) - own) / self._std_errors[fitted]
        lacking = ~np.isfinite(t).all(axis=0) & ~np.isnan(self.estimate.to_numpy())
        if lacking.any():
            names = [name for name, lacks in zip(self.replicates.columns, lacking, strict=True) if lacks]
            warn(
                f"{listed(names)} has no standard error in some replicates, which are at the boundary: the "
                "studentised limits are NaN. Use kind='percentile'.",
                BimixedWarning,
            )
        quantiles = _quantiles(np.where(np.isfinite(t).all(axis=0), t, np.nan), tails)
        limits = own - quantiles[::-1] * se
        sds = np.exp(np.where(is_sd, limits, 0.0))
        return np.where(is_sd, sds, np.where(is_corr, np.tanh(limits), limits))

    @property
    def table(self) -> pd.DataFrame:
        """``estimate``, ``bias`` (mean of the replicates less the estimate), ``std_error`` (their sd)."""
        values = self.replicates
        return pd.DataFrame(
            {
                "estimate": self.estimate,
                "bias": values.mean() - self.estimate,
                "std_error": values.std(ddof=1),
            }
        ).rename_axis("parameter")

    def summary(self) -> Summary:
        """Replicates in short: as text (``print``) and as a table in notebooks."""
        done = len(self.replicates)
        facts = [
            ("Replicates", f"{done}" + (f" of {self.n} (interrupted)" if self.interrupted else "")),
            ("Failed", str(self.n_failed)),
            ("Singular", str(self.n_singular)),
        ]
        if self.n_not_converged:
            facts.append(("Not conv.", str(self.n_not_converged)))
        notes = []
        if self.first_error:
            notes.append(f"The first replicate that failed: {self.first_error}")
        undefined = (self.replicates.isna().sum() - self.n_failed)[self.estimate.notna()]
        for name, count in undefined[undefined > 0].items():
            notes.append(f"{name} isn't defined in {count} replicates, which don't count for it.")
        table = self.table
        if done - self.n_failed >= 39:
            table = table.join(self.conf_int())
        return Summary(
            title=self.title,
            facts=tuple(facts),
            sections=(("Estimates (limits: percentile, 95 %)", table),),
            notes=tuple(notes),
            whole=("bootstrap.table",),
        )

    def __str__(self) -> str:
        return str(self.summary())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()


@explains_arguments
def bootstrap(
    fit: MixedModelResult,
    n: int = 1000,
    *,
    kind: Literal["parametric", "residual", "case"] = "parametric",
    statistic: Callable[[MixedModelResult], Any] | None = None,
    random_seed: int | None = None,
    workers: Workers = 1,
    progress: bool = True,
    std_errors: bool = False,
) -> Bootstrap:
    """Draw from the fit, refit, and keep the estimates.

    Parameters
    ----------
    fit : MixedModelResult
        By REML or ML; refits are by the same.
    n : int
        Replicates.
    kind : {"parametric", "residual", "case"}
        Responses with normal random effects and residuals of the estimated (co)variances; with those of the
        fit, drawn with replacement and rescaled to the estimated (co)variances (Carpenter, Goldstein and
        Rasbash 2003); or whole levels of the outermost group drawn with replacement.
    statistic : callable, optional
        Function of a result that returns a number, a Series or a one-dimensional array, in place of the
        parameters. Results of replicates have no ``spec``; levels of case replicates are named
        ``level (draw 1)`` and so on.
    random_seed : int, optional
        The same seed gives the same replicates, whatever the workers; the first of them whatever ``n``.
    workers : int, "joblib", "dask", distributed.Client or executor
        So many processes, which start in some seconds; joblib's active backend (``joblib.parallel_config``;
        its default are processes on all cores); the current Dask client; or anything with ``submit``.
    progress : bool
        A line on standard error where it takes long. An interrupt keeps the replicates that are done.
    std_errors : bool
        Whether to compute the standard errors of each replicate, for studentised intervals.

    Returns
    -------
    Bootstrap

    Raises
    ------
    DataError, FitError
        If a request makes no sense, if a variance isn't identified, or if no replicate could be fitted.
    UnavailableError
        For draws, and for whole groups where groups are crossed; without joblib or Dask.
    WorkerError
        If workers end before all is done; its ``partial`` is a Bootstrap of what is. Dask gives the work of
        workers that are lost to others.

    Examples
    --------
    >>> import bimixed as bm
    >>> fit = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", bm.load_dataset("sleepstudy")).fit()
    >>> replicates = bm.bootstrap(fit, n=500, random_seed=1)
    >>> replicates.conf_int().round(0).loc["Days"].tolist()
    [9.0, 12.0]
    >>> replicates.n_failed, replicates.n_singular
    (0, 0)
    """
    refitter = engine(fit, "The bootstrap")
    check_count("n", n)
    workers = usable(workers)
    check_seed(random_seed)
    _check_request(kind, statistic, std_errors)
    estimate = parameters(fit) if statistic is None else as_series(statistic(fit))
    draw = _draws(fit, kind)
    task: Together | OneByOne = OneByOne(fit, draw, statistic, std_errors, tuple(estimate.index))
    size = SMALL_PIECE
    if statistic is None and not std_errors and not isinstance(draw, Cases):
        task = Together(fit, draw)
        size = PIECE if has_one_factor(refitter.problem.cp) else SMALL_PIECE
    seeds = seeds_of(random_seed, n)
    pieces = [seeds[i : i + size] for i in range(0, n, size)]
    done = work_through(task, pieces, what="bootstrap", workers=workers, progress=progress)
    done.require_some("Interrupted before a replicate was done; there is nothing to keep.")
    numbers = np.concatenate([np.arange(p * size, min(n, (p + 1) * size)) for p in done.results])
    made = _collected(fit, estimate, list(done.results.values()), numbers, kind, n, statistic is None)
    return done.handed(made, f"{len(numbers)} of {n} replicates")


def _check_request(kind: object, statistic: object, std_errors: bool) -> None:
    """Refuse what makes no sense.

    Raises
    ------
    DataError
    """
    if kind not in KINDS:
        raise DataError(f"kind is {kind!r}; choose one of {', '.join(KINDS)}.")
    if statistic is not None and not callable(statistic):
        raise DataError(
            f"statistic is a {type(statistic).__name__}; give a function of a result, such as "
            "lambda fit: fit.sigma."
        )
    if statistic is not None and std_errors:
        raise DataError("std_errors belongs to the parameters; leave it out with a statistic.")


def _draws(fit: MixedModelResult, kind: str) -> Parametric | Residual | Cases:
    if kind == "case":
        return Cases.of(fit.design)
    return Parametric.of(fit) if kind == "parametric" else Residual.of(fit)


def _collected(
    fit: MixedModelResult,
    estimate: pd.Series,
    parts: list[Replicates],
    numbers: Any,
    kind: str,
    n: int,
    of_parameters: bool,
) -> Bootstrap:
    failed = np.concatenate([part.failed for part in parts])
    first_error = next((error for part in parts for error in part.errors), "")
    if failed.all():
        raise FitError(f"None of {len(failed)} replicates could be used; the first one said: {first_error}")
    values = np.concatenate([part.values for part in parts])
    converged = np.concatenate([part.converged for part in parts])
    errors = [part.std_errors for part in parts if part.std_errors is not None]
    return Bootstrap(
        replicates=pd.DataFrame(values, columns=estimate.index, index=pd.Index(numbers, name="replicate")),
        estimate=estimate,
        kind=kind,
        title=f"{kind.capitalize()} bootstrap of {short_formula(fit.formula)} by {METHODS[fit.method]}",
        n=n,
        n_failed=int(failed.sum()),
        n_singular=int(sum(part.singular.sum() for part in parts)),
        n_not_converged=int((~converged & ~failed).sum()),
        first_error=first_error,
        interrupted=len(numbers) < n,
        _scales=_scales(fit, estimate) if of_parameters else (),
        _std_errors=np.concatenate(errors) if errors else None,
        _own_std_errors=standard_errors(fit) if errors else None,
    )


def _scales(fit: MixedModelResult, estimate: pd.Series) -> tuple[str, ...]:
    """Of each parameter: "fixed", "sd" or "corr"."""
    p = len(fit.design.names)
    own = ["corr" if str(name).startswith("corr_") else "sd" for name in estimate.index[p:]]
    return (*["fixed"] * p, *own)


def _quantiles(values: Array, tails: list[float]) -> Array:
    """Of each column without its NaNs, (2, m); NaN of columns that have nothing else."""
    found = np.full((len(tails), values.shape[1]), np.nan)
    for j, column in enumerate(values.T):
        defined = column[~np.isnan(column)]
        if len(defined):
            found[:, j] = np.quantile(defined, tails, method="weibull")
    return found
