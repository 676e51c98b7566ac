"""Distributions of a parameter as curves: draws smoothed, Wald's, and those of a profile and a bootstrap.

For likelihood fits these are confidence densities: the derivative of the confidence with which the parameter
is below a value, so that the area between two limits is the level of that interval (Schweder and Hjort 2002).
"""

from dataclasses import dataclass, field

import numpy as np

from bimixed.covariance import Array
from bimixed.exceptions import DataError, UnavailableError
from bimixed.inference.bootstrap import Bootstrap
from bimixed.inference.profile import Profile
from bimixed.results import MixedModelResult
from bimixed.results.normal import coverage
from bimixed.results.uncertainty import Draws, NormalApproximation
from bimixed.shortening import listed

CELLS, MOST_CELLS = 2000, 200_000
"""Of the grid on which draws are smoothed; the more the longer their tails."""
POINTS = 400
"""Of a Wald curve."""
REACH = 4.0
"""How far it goes, in standard errors."""


@dataclass(frozen=True)
class Density:
    """A density, and what lies at single points.

    Attributes
    ----------
    value, density : (m,) arrays
        Values in ascending order; the area is 1 less the masses.
    masses : dict
        Probability at bounds of the parameter, by their place: an sd of 0, a correlation of ±1.
    """

    value: Array
    density: Array
    masses: dict[float, float] = field(default_factory=dict)


def bounds_of(name: str) -> tuple[float, float]:
    """Between which values a parameter named as in ``conf_int`` lies."""
    if name.startswith("corr_"):
        return -1.0, 1.0
    return (0.0, np.inf) if name.startswith("sd_") or name == "sigma" else (-np.inf, np.inf)


def smoothed(draws: Array, bounds: tuple[float, float] = (-np.inf, np.inf)) -> Density:
    """A kernel density of draws, normal kernels reflected at the bounds.

    Bandwidth 0.9 min(sd, IQR/1.349) n^(−1/5) (Silverman 1986, 3.31); draws are counted on a fine grid first.
    Draws on a bound are a mass.
    """
    draws = draws[np.isfinite(draws)]
    inside = draws[(draws > bounds[0]) & (draws < bounds[1])]
    masses = {b: float(np.mean(draws == b)) for b in bounds if (draws == b).any()}
    if len(inside) < 2 or np.ptp(inside) == 0.0:
        return Density(np.zeros(0), np.zeros(0), masses)
    low, high = np.quantile(inside, [0.25, 0.75])
    spread = min(float(inside.std(ddof=1)), (high - low) / 1.349) or float(inside.std(ddof=1))
    width = 0.9 * spread * len(inside) ** -0.2
    left = max(float(inside.min()) - 3.5 * width, bounds[0])
    right = min(float(inside.max()) + 3.5 * width, bounds[1])
    cells = int(np.clip(np.ceil(4.0 * (right - left) / width), CELLS, MOST_CELLS))  # four to a bandwidth
    counts, edges = np.histogram(inside, bins=cells, range=(left, right))
    step = edges[1] - edges[0]
    half = min(int(np.ceil(4.0 * width / step)), cells)
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) * step / width) ** 2)
    spread_out = np.convolve(counts, kernel / kernel.sum(), mode="full")
    height = spread_out[half : half + cells].copy()
    if left == bounds[0]:
        height[:half] += spread_out[:half][::-1]
    if right == bounds[1]:
        height[cells - half :] += spread_out[half + cells :][::-1]
    return Density(0.5 * (edges[:-1] + edges[1:]), height / (len(draws) * step), masses)


def wald(fit: MixedModelResult, name: str) -> Density | None:
    """Student's t or the normal distribution that ``conf_int("wald")`` takes its limits from.

    Sds are normal on the log scale and correlations on Fisher's z. None where there is no standard error.

    Raises
    ------
    UnavailableError
        For draws.
    """
    if not isinstance(fit.uncertainty, NormalApproximation):
        raise UnavailableError("Draws have no Wald limits; they have quantiles, fit.conf_int().")
    if name in fit.design.names:
        row = fit.coef_table().loc[name]
        if not row["std_error"] > 0.0:
            return None
        t = np.linspace(-REACH, REACH, POINTS)
        return Density(row["estimate"] + t * row["std_error"], _student(t, row["df"]) / row["std_error"])
    scales = fit.uncertainty.variance_scales()
    i = scales.names.index(name)
    value, error = float(scales.values[i]), float(scales.transformed_se[i])
    if not error > 0.0:
        return None
    t = np.linspace(-REACH, REACH, POINTS)
    normal = np.exp(-0.5 * t**2) / (np.sqrt(2.0 * np.pi) * error)
    if scales.kinds[i] == "sd":
        x = value * np.exp(error * t)
        return Density(x, normal / x)
    x = np.tanh(np.arctanh(value) + error * t)
    slope = 1.0 - x**2
    return Density(x[slope > 0.0], normal[slope > 0.0] / slope[slope > 0.0])


def _student(t: Array, df: float) -> Array:
    from scipy.special import gammaln

    if not np.isfinite(df):
        return np.exp(-0.5 * t**2) / np.sqrt(2.0 * np.pi)
    log = gammaln(0.5 * (df + 1.0)) - gammaln(0.5 * df) - 0.5 * np.log(df * np.pi)
    return np.asarray(np.exp(log - 0.5 * (df + 1.0) * np.log1p(t**2 / df)))


def profiled(profile: Profile, name: str) -> Density | None:
    """φ(ζ) dζ/dvalue: the area between two values is Φ(ζ) of one less that of the other.

    What is left where the profile ends at a bound is a mass. None for a parameter without a profile.
    """
    from scipy.interpolate import PchipInterpolator

    if name not in profile.curves:
        return None
    curve = profile.curves[name]
    value, zeta = rising(*profile.line(name))
    if len(value) < 3:
        return None
    line = PchipInterpolator(value, zeta)
    value = np.linspace(value[0], value[-1], POINTS)
    density = np.exp(-0.5 * line(value) ** 2) / np.sqrt(2.0 * np.pi) * line(value, 1)
    ends = [branch.points[-1] for branch in (curve.lower, curve.upper) if branch.end == "bound"]
    masses = {curve.criterion.value(p.c): 0.5 * (1.0 - coverage(p.zeta)) for p in ends}
    return Density(value, density.clip(min=0.0), masses)


def rising(value: Array, zeta: Array) -> tuple[Array, Array]:
    """Points of a line of which each is beyond those before by more than rounding."""
    so_far = np.maximum.accumulate(value)
    kept = np.append(True, value[1:] > so_far[:-1] + 1e-9 * np.ptp(value))
    return value[kept], zeta[kept]


def bootstrapped(bootstrap: Bootstrap, name: str) -> Density | None:
    """Replicates smoothed. None for a parameter that they don't have."""
    if name not in bootstrap.replicates.columns:
        return None
    values = bootstrap.replicates[name].to_numpy(dtype=np.float64)
    scale = max(float(np.nanmax(np.abs(values), initial=0.0)), 1e-300)
    lower, upper = bounds_of(name)
    if lower == 0.0:  # estimates at the bound are 0 to rounding
        values = np.where(values < 1e-6 * scale, 0.0, values)
    elif upper == 1.0:
        values = np.where(np.abs(values) > 1.0 - 1e-6, np.sign(values), values)
    found = smoothed(values, (lower, upper))
    return found if len(found.value) or found.masses else None


def posterior(fit: MixedModelResult, name: str) -> Density:
    """Draws smoothed.

    Raises
    ------
    UnavailableError
        For likelihood fits.
    """
    return smoothed(parameter_draws(fit, name), bounds_of(name))


def parameter_draws(fit: MixedModelResult, name: str) -> Array:
    """Draws of a parameter named as in ``conf_int``, (draws,).

    Raises
    ------
    UnavailableError
        For likelihood fits.
    DataError
        If there is no such parameter.
    """
    draws = fit.uncertainty
    if not isinstance(draws, Draws):
        raise UnavailableError("A likelihood fit has no draws; fit with method='nuts' or 'importance'.")
    if name in fit.design.names:
        return np.asarray(draws.beta[:, fit.design.names.index(name)])
    names, values = draws.variance_draws()
    if name not in names:
        raise DataError(f"The model has no parameter {name!r}; it has {listed(parameter_names(fit))}.")
    return np.asarray(values[:, names.index(name)])


def parameter_names(fit: MixedModelResult) -> list[str]:
    """Fixed effects, sds, correlations and sigma, as in ``conf_int``."""
    return [*fit.design.names, *fit.uncertainty.variance_parameters().names]


def estimates_of(fit: MixedModelResult) -> dict[str, float]:
    """Estimate (posterior mean) of every parameter."""
    known = fit.uncertainty.variance_parameters()
    fixed = dict(zip(fit.design.names, fit.estimates.beta.tolist(), strict=True))
    return fixed | dict(zip(known.names, known.values.tolist(), strict=True))
