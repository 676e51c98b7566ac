"""Leave-one-out cross-validation of a result with draws: which rows, which draws, and ArviZ's record."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.exceptions import ConvergenceWarning, DataError, UnavailableError, warn
from bimixed.results.psis import smoothed_weights
from bimixed.results.uncertainty import Draws

Ints = NDArray[np.intp]

WORK = 2e9
"""Numbers that all draws together may take in hand before some draws are left out."""
LEAST, FEWEST = 300, 100
"""Draws that are always used where there are so many, and without which there are no weights to smooth."""
NUMBERS, SMOOTHED = 20_000_000, 1_000_000
"""Draws times units whose densities are held at a time, and whose weights are smoothed at a time."""
HIGH_K = 0.7
"""Pareto's k up to which importance weights are trusted (Vehtari et al. 2024)."""


class Part(Protocol):
    """Some units, with everything that doesn't depend on the draws."""

    @property
    def units(self) -> Ints: ...

    def __call__(self, beta: Array, random_cov: Mapping[str, Array], sigma: Array) -> tuple[Array, Array]:
        """Log-densities: left out (draws, units), NaN where undefined, and fitted, averaged (units,)."""
        ...


class LeftOutUnits(Protocol):
    """Units that are left out one at a time."""

    @property
    def work(self) -> float:
        """About how many numbers a draw takes in hand."""
        ...

    def parts(self, largest: int) -> Iterator[Part]:
        """All of them, about ``largest`` at a time."""
        ...


class LeftOut(Protocol):
    """An engine's densities of rows given the others, given the variance parameters."""

    def observations(self) -> LeftOutUnits:
        """Row by row."""
        ...

    def groups(self, codes: Ints) -> LeftOutUnits:
        """The rows of each code from 0; those of code −1 are never left out."""
        ...


@dataclass(frozen=True)
class Units:
    """What is left out: the dimension's name, its labels, and the code of each row (None: every row)."""

    name: str
    labels: pd.Index
    codes: Ints | None


def units_of(design: Design, unit: object) -> Units:
    """What ``unit`` means.

    Raises
    ------
    DataError
        Where it names no group, or several could be meant.
    UnavailableError
        Where rows combine levels.
    """
    keys = [f.key for f in design.factors]
    shown = ", ".join(map(repr, keys))
    if not isinstance(unit, str):
        raise DataError(f"unit is of type {type(unit).__name__}; it is 'observation', or a group: {shown}.")
    if unit == "observation":
        return Units(unit, design.index, None)
    if unit == "group" and unit not in keys:
        if len(keys) > 1:
            raise DataError(f"unit is 'group', and the model has {len(keys)}; name one of them: {shown}.")
        unit = keys[0]
    if unit not in keys:
        raise DataError(f"unit is {unit!r}; it is 'observation', or the group left out by level: {shown}.")
    factor = design.factor(unit)
    if factor.is_mixed:
        raise UnavailableError(
            f"Rows combine levels of {factor.key!r}, so that leaving out a level's rows leaves out parts of "
            "others. Use unit='observation', or another group."
        )
    codes = factor.codes
    if factor.is_component:  # rows without any value take part in no level
        codes = np.where(factor.values.any(axis=1), codes, -1)
    present, new = np.unique(codes[codes >= 0], return_inverse=True)
    dense = np.full(design.n, -1, dtype=np.intp)
    dense[codes >= 0] = new
    return Units(factor.key, factor.levels[present], dense)


def leave_one_out(draws: Draws, left_out: LeftOut, design: Design, unit: object, ess: float | None) -> Any:
    """ArviZ's record of the expected log-density of units left out.

    Parameters
    ----------
    draws : Draws
    left_out : LeftOut
    design : Design
    unit : str
    ess : float or None
        Independent draws that the draws are worth.

    Raises
    ------
    DataError, UnavailableError
        For an unknown unit, too few draws, or units of which the rest tells nothing.
    """
    units = units_of(design, unit)
    prepared = left_out.observations() if units.codes is None else left_out.groups(units.codes)
    total = len(draws.sigma)
    if total < FEWEST:
        raise UnavailableError(f"loo() needs {FEWEST} draws or more; there are {total}. Fit with more draws.")
    used = min(total, max(LEAST, int(WORK / prepared.work)))
    kept = np.linspace(0, total - 1, used).round().astype(np.intp)
    beta, sigma = draws.beta[kept], draws.sigma[kept]
    random_cov = {key: cov[kept] for key, cov in draws.random_cov.items()}
    efficiency = min(1.0, (ess or np.inf) / used)
    elpd, k, fitted = (np.empty(len(units.labels)) for _ in range(3))
    for part in prepared.parts(max(1, NUMBERS // used)):
        density, fitted[part.units] = part(beta, random_cov, sigma)
        undefined = ~np.isfinite(density).all(axis=0)
        if undefined.any():
            raise _undefined(units, part.units[undefined])
        step = max(1, SMOOTHED // used)
        for first in range(0, len(part.units), step):
            here = part.units[first : first + step]
            some = density[:, first : first + step]
            log_weights, k[here] = smoothed_weights(-some, efficiency)
            elpd[here] = np.logaddexp.reduce(log_weights + some, axis=0)
    _tell_high(units, k)
    return _record(units, used, elpd, k, float(fitted.sum()))


def _record(units: Units, used: int, elpd: Array, k: Array, fitted: float) -> Any:
    """ArviZ's record, of whatever type its version has."""
    import arviz
    from xarray import DataArray

    waves = np.sin(np.arange(2.0 * used)).reshape(1, used, 2)
    record = arviz.loo(arviz.from_dict({"posterior": {"y": waves}, "log_likelihood": {"y": waves}}), reff=1.0)
    labels = units.labels.to_numpy() if units.labels.nlevels == 1 else np.arange(len(units.labels))
    coords = {units.name: labels}
    record.elpd = float(elpd.sum())
    record.se = float(np.sqrt(len(elpd) * elpd.var()))
    record.p = fitted - record.elpd
    record.n_data_points = len(elpd)
    record.warning = bool((k > HIGH_K).any())
    record.elpd_i = DataArray(elpd, coords, [units.name], name="elpd_i")
    record.pareto_k = DataArray(k, coords, [units.name], name="pareto_k")
    record.log_weights = None  # they would be as many numbers as draws times units
    return record


def _names(units: Units, places: Ints) -> str:
    """Labels of some units, in words."""
    kind = "row" if units.codes is None else "level"
    shown = ", ".join(str(label) for label in units.labels[places[:3]])
    of_group = "" if units.codes is None else f" of {units.name}"
    return f"{kind}{'s' if len(places) > 1 else ''} {shown}{', …' if len(places) > 3 else ''}{of_group}"


def _undefined(units: Units, places: Ints) -> UnavailableError:
    return UnavailableError(
        f"Without {_names(units, places)} the data tell nothing of a coefficient whose prior is flat or next "
        "to flat, so that the density of what is left out isn't defined. Leave the fixed effects their "
        "default priors, or give normal ones, priors={'fixef': bm.Prior('normal', mu=0, sigma=10)}."
    )


def _tell_high(units: Units, k: Array) -> None:
    """Warn of units for which the draws' weights can't be trusted."""
    high = np.flatnonzero(k > HIGH_K)
    if not len(high):
        return
    high = high[np.argsort(-k[high], kind="stable")]
    many = f"{len(high)} of {len(k)} " + ("rows" if units.codes is None else f"levels of {units.name}")
    warn(
        f"Pareto's k is above {HIGH_K} for {many} (up to {k[high[0]]:.2f}; {_names(units, high)}): the "
        "parameters depend on them so much that draws given all rows don't tell their elpd. Look at their "
        "values, and fit without them, spec.update(data=...), to see what they change; where k is just "
        "above, more draws are enough.",
        ConvergenceWarning,
    )
