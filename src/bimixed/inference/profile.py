"""Profile likelihood of every parameter, and the intervals that it gives."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.exceptions import ConvergenceWarning, DataError, UnavailableError, warn
from bimixed.inference.criteria import Criteria, Unprofiled
from bimixed.inference.curve import Branch, Curve
from bimixed.inference.pools import Workers, usable
from bimixed.inference.processes import Done, work_through
from bimixed.inference.tracing import Tracing, limits
from bimixed.results import MixedModelResult
from bimixed.results.normal import coverage, quantile
from bimixed.results.summary import Summary, format_table
from bimixed.results.tables import check_level
from bimixed.shortening import short_formula
from bimixed.vocabulary import explains_arguments, explains_methods

REACH = 0.99
"""Level whose limits every profile goes beyond."""
UNSETTLED = 1e-4
"""Promised decreases of the deviance above this are told."""
LOWER = 1e-6
"""Deviances lower than the fit's by more than this are told."""


@explains_methods
@dataclass(frozen=True, repr=False)
class Profile:
    """Profiles of the likelihood, made by :func:`bimixed.profile`.

    Attributes
    ----------
    formula : str
    parameters : tuple of str
        Those asked for, named as in ``fit.conf_int()``.
    estimates : pandas.Series
        Of the criterion that is profiled: of a REML fit, fixed effects are those of ML.
    criterion : pandas.Series
        "REML" or "ML", by parameter. Fixed effects are always profiled by ML, because REML criteria of
        different fixed parts can't be compared.
    curves : mapping
        The profile of each parameter that has one.
    notes : tuple of str
        What has no profile and why; where limits are bounds.
    criteria : Criteria
        What was profiled.
    """

    formula: str
    parameters: tuple[str, ...]
    estimates: pd.Series
    criterion: pd.Series
    curves: Mapping[str, Curve]
    notes: tuple[str, ...]
    criteria: Criteria = field(repr=False, compare=False)
    _known: dict[float, pd.DataFrame] = field(default_factory=dict, compare=False)

    @property
    def table(self) -> pd.DataFrame:
        """Every point that was computed.

        Returns
        -------
        pandas.DataFrame
            ``parameter``; ``value``; ``zeta``, the signed root of the rise of the deviance from the optimum;
            ``deviance``, −2 times the log-likelihood at its highest given the value; ``criterion``. Sorted by
            value within a parameter.
        """
        rows = [
            (name, curve.criterion.value(point.c), point.zeta, point.minimum.value, self.criterion[name])
            for name, curve in self.curves.items()
            for point in curve.points
        ]
        return pd.DataFrame(rows, columns=["parameter", "value", "zeta", "deviance", "criterion"])

    def conf_int(self, level: float = 0.95) -> pd.DataFrame:
        """Limits where ζ² is the χ²₁ quantile of the level.

        Each limit is found by Newton's method on the profile, not interpolated. An sd of 0 or a correlation
        of ±1 is the limit where ζ stays within the quantile up to there.

        Parameters
        ----------
        level : float

        Returns
        -------
        pandas.DataFrame
            ``lower``, ``upper``; NaN for parameters without a profile, which :attr:`notes` explain.
        """
        check_level(level)
        if level not in self._known:
            self._known[level] = self._limits(quantile(0.5 + level / 2.0))
        return self._known[level].copy()

    def _limits(self, cutoff: float) -> pd.DataFrame:
        return _table(self.parameters, {name: limits(curve, cutoff) for name, curve in self.curves.items()})

    def line(self, parameter: str, n: int = 20) -> tuple[Array, Array]:
        """Values and zetas of a smooth line through the points of one parameter, n between neighbours."""
        if parameter not in self.curves:
            raise DataError(f"{parameter!r} has no profile here; there are {', '.join(self.curves)}.")
        curve = self.curves[parameter]
        c, zeta = curve.line(n)
        return np.array([curve.criterion.value(one) for one in c]), zeta

    def plot(
        self, parameters: Sequence[str] | None = None, levels: Sequence[float] = (0.5, 0.8, 0.95)
    ) -> Any:
        """ζ against the value, a panel for each parameter, with intervals of these levels.

        Returns
        -------
        array of matplotlib Axes
        """
        from bimixed.plots import profile

        return profile(self, parameters, levels)

    def __str__(self) -> str:
        table, notes = self._told()
        lines = [f"Profile likelihood of {short_formula(self.formula)}", "", "Limits of 95 %:"]
        lines += format_table(table).split("\n")
        if set(self.criterion) == {"REML", "ML"}:
            lines.append("")
        return "\n".join([*lines, *(f"* {note}" for note in notes)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        table, notes = self._told()
        title = f"Profile likelihood of {short_formula(self.formula)}"
        sections = (("Limits of 95 %", table),)
        return Summary(title, (), sections, tuple(notes), (".conf_int()",))._repr_html_()

    def _told(self) -> tuple[pd.DataFrame, list[str]]:
        """Estimates with limits, and notes."""
        limits = self.conf_int()
        columns = {"estimate": self.estimates, "lower": limits["lower"], "upper": limits["upper"]}
        both = set(self.criterion) == {"REML", "ML"}
        how = "Fixed effects are profiled by ML, from a refit; variance parameters by REML."
        table = pd.DataFrame({**columns, "criterion": self.criterion})
        return table, [*([how] if both else []), *self.notes]


@explains_arguments
def profile(
    fit: MixedModelResult,
    parameters: str | Iterable[str] | None = None,
    *,
    workers: Workers = 1,
    progress: bool = True,
) -> Profile:
    """Profile the likelihood of a fit.

    Parameters
    ----------
    fit : MixedModelResult
        By "reml" or "ml". Of an ML fit everything is profiled by ML; of a REML fit the variance parameters by
        the REML criterion and the fixed effects by ML, which takes a refit.
    parameters : str or list of str, optional
        Names as in ``fit.conf_int()``; default all of them.
    workers : int, "joblib", "dask", distributed.Client or executor
        Each takes one parameter after the other; as :func:`bimixed.bootstrap` takes them.
    progress : bool
        Tell how far it is on standard error, where it takes longer than two seconds. An interrupt keeps the
        parameters that are done.

    Returns
    -------
    Profile

    Raises
    ------
    UnavailableError
        For draws, naming ``conf_int``.
    DataError
        For a name that isn't a parameter, or that of one without a profile: a correlation at ±1 or with an sd
        of 0, what the data don't identify, a coefficient that was dropped.
    WorkerError
        If workers end before all is done; its ``partial`` is the Profile of the parameters that are.

    Warns
    -----
    ConvergenceWarning
        If some profile finds a lower deviance than the fit did, or the work was interrupted.

    Notes
    -----
    At each point all other parameters are at their best (Bates, Mächler, Bolker and Walker 2015, sec. 5.1).

    Examples
    --------
    >>> import bimixed as bm
    >>> fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff")).fit(method="ml")
    >>> bm.profile(fit).conf_int().round(2)
                           lower    upper
    parameter
    Intercept            1486.45  1568.55
    sd_Batch[Intercept]    12.20    84.06
    sigma                  38.23    67.66
    """
    return profiled(fit, parameters, REACH, progress, workers)


def profiled(
    fit: MixedModelResult,
    parameters: str | Iterable[str] | None,
    reach: float,
    progress: bool,
    workers: Workers = 1,
    level: float = 0.95,
) -> Profile:
    """As :func:`profile`, as far as limits of the level ``reach``; workers find those of ``level`` too."""
    if not isinstance(fit, MixedModelResult):
        raise DataError(f"profile takes a fit, the result of spec.fit(); this is a {type(fit).__name__}.")
    if fit.refitter is None or fit.likelihood is None:
        raise UnavailableError(
            "A posterior has no profile: fit.conf_int() gives equal tails of the draws. For profiles fit "
            "with method='reml' or 'ml'."
        )
    workers = usable(workers)
    criteria = Criteria(fit)
    names = _asked(criteria.names, parameters)
    alone = isinstance(workers, int) and workers == 1
    if not alone:
        criteria.prepare(names)
    cutoff = quantile(0.5 + reach / 2.0)
    task = Tracing(criteria, cutoff, named=parameters is not None, level=None if alone else level)
    pieces = [[name] for name in names]
    done = work_through(
        task, pieces, what="profile", workers=workers, progress=progress, one_thread=not alone
    )
    made = _collected(task, names, done)
    return done.handed(made, f"{len(done.results)} of {len(names)} parameters")


def _collected(task: Tracing, names: list[str], done: Done) -> Profile:
    criteria = task.criteria
    curves: dict[str, Curve] = {}
    notes: list[str] = []
    known: dict[str, tuple[float, float]] = {}
    for place, (traced,) in done.results.items():
        name, curve = names[place], traced.here(names[place], criteria)
        if isinstance(curve, Unprofiled):
            notes.append(f"{name} has no profile: {curve.why}")
            continue
        curves[name] = curve
        notes += _notes(name, curve, criteria)
        if traced.limits is not None:
            known[name] = traced.limits
    if len(done.results) < len(names):
        notes.append(f"Interrupted: of {len(names)} parameters {len(curves)} have a profile.")
    if done.interrupted:
        warn(notes[-1], ConvergenceWarning)
    index = pd.Index(names, name="parameter")
    values = [
        curves[name].criterion.value(float(curves[name].criterion.start[-1])) if name in curves else np.nan
        for name in names
    ]
    return Profile(
        formula=criteria.fit.formula,
        parameters=tuple(names),
        estimates=pd.Series(values, index, name="estimate", dtype=float),
        criterion=pd.Series([criteria.used(name) for name in names], index, name="criterion"),
        curves=curves,
        notes=tuple(notes),
        criteria=criteria,
        _known={} if task.level is None else {task.level: _table(names, known)},
    )


def _table(names: Sequence[str], known: Mapping[str, tuple[float, float]]) -> pd.DataFrame:
    """NaN for names without limits."""
    rows = [known.get(name, (np.nan, np.nan)) for name in names]
    index = pd.Index(names, name="parameter")
    return pd.DataFrame(rows, index=index, columns=["lower", "upper"], dtype=float)


def interval_table(fit: Any, level: float, workers: Workers = 1) -> pd.DataFrame:
    """Limits of every parameter by profile, for ``fit.conf_int``; the criteria are in its ``attrs``."""
    check_level(level)
    made = profiled(fit, None, level, True, workers, level)
    limits = made.conf_int(level)
    limits.attrs["criterion"] = made.criterion.to_dict()
    return limits


def _asked(known: Sequence[str], parameters: str | Iterable[str] | None) -> list[str]:
    if parameters is None:
        return list(known)
    names = [parameters] if isinstance(parameters, str) else parameters
    if not isinstance(names, Iterable) or not all(isinstance(name, str) for name in names):
        raise DataError(f"parameters is {parameters!r}; give names such as {known[0]!r}, or a list of them.")
    names = list(names)
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        what = f"{unknown[0]!r} is no parameter" if unknown else "No parameter is named"
        own = f"sd_{unknown[0].removeprefix('var_')}" if unknown else ""
        own = "sigma" if own == "sd_residual" else own
        squared = f" For {unknown[0]!r} square the limits of {own!r}." if own in known else ""
        raise DataError(f"{what} of this fit; its parameters are {', '.join(known)}.{squared}")
    return list(dict.fromkeys(names))


def _notes(name: str, curve: Curve, criteria: Criteria) -> list[str]:
    """What a reader of the limits should know of one profile."""
    notes = []
    value = curve.criterion.value
    for branch in (curve.lower, curve.upper):
        end = value(branch.points[-1].c)
        if branch.end == "bound" and len(branch.points) == 1:
            notes.append(f"{name} is estimated at its bound {end:g}, which is a limit of every interval.")
        elif branch.end == "bound" and branch.reach < quantile(0.5 + REACH / 2.0):
            notes.append(
                f"{name}: |zeta| is {branch.reach:.3g} at the bound {end:g}, which is a limit of intervals "
                f"of more than {100.0 * coverage(branch.reach):.3g} %."
            )
        elif branch.end == "lost":
            notes.append(
                f"{name}: the profile couldn't be followed beyond {end:.6g}, where |zeta| is "
                f"{branch.reach:.3g}; limits farther out are NaN. Use another method, or simplify the random "
                "effects."
            )
        elif not _rises(branch):
            notes.append(f"{name}: zeta isn't monotone; limits are where it first reaches the quantile.")
    unsettled = [point for point in curve.points if point.minimum.promised > UNSETTLED]
    if unsettled:
        notes.append(
            f"{name}: at {len(unsettled)} of {len(curve.points)} points the search for the other parameters "
            "didn't settle, so that zeta may be too large there. Simplify the random effects."
        )
    least = min(curve.points, key=lambda point: point.minimum.value)
    gain = curve.base - least.minimum.value
    if gain > LOWER:
        start = criteria.start(name, curve.criterion.theta(least.minimum.q))
        notes.append(
            f"{name}: at {value(least.c):.6g} the deviance is lower than the fit's by {gain:.2g}: the "
            f"fit isn't the optimum and no limit is right. Fit again with start={start}, then profile that."
        )
        warn(notes[-1], ConvergenceWarning)
    return notes


def _rises(branch: Branch) -> bool:
    sizes = np.array([abs(point.zeta) for point in branch.points])
    return bool((np.diff(sizes) > -1e-6).all())
