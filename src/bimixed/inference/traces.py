"""Two parameters of a profile at once: traces of one along the other, and contours of their joint profile.

A trace of b on a is the best value of b given a. On the scale of ζ it would be a straight line through 0 for
a quadratic log-likelihood, and contours ellipses. Contours are made from what the two traces tell of each:
where it touches the four lines ζ = ±c. Between them the phase of its two cosines is a periodic
spline (Bates and Watts 1988, appendix A6); so they are approximate, and exact for ellipses.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bimixed.covariance import Array
from bimixed.exceptions import DataError
from bimixed.inference.densities import rising
from bimixed.inference.profile import Profile

POINTS = 181
"""Of a contour."""
STEEPEST = 0.999
"""Cosines of phases beyond this are cut there: two parameters all but bound to each other."""


@dataclass(frozen=True)
class Trace:
    """The best value of one parameter at the points of another's profile, by value and on the scale of ζ.

    Attributes
    ----------
    held, best : (m,) arrays
        Values.
    held_zeta, best_zeta : (m,) arrays
    """

    held: Array
    best: Array
    held_zeta: Array
    best_zeta: Array


@dataclass(frozen=True)
class Pair:
    """Traces of two parameters, and contours.

    Attributes
    ----------
    second_on_first, first_on_second : Trace
    contours : list of (values, zetas)
        (2, points) each, of the first parameter and the second.
    """

    second_on_first: Trace
    first_on_second: Trace
    contours: list[tuple[Array, Array]]


def pair(profile: Profile, first: str, second: str, levels: tuple[float, ...]) -> Pair:
    """Traces and contours of joint regions of these levels, χ²₂.

    Raises
    ------
    DataError
        For parameters that are profiled by different criteria.
    """
    if profile.criterion[first] != profile.criterion[second]:
        raise DataError(
            f"{first!r} and {second!r} are profiled by different criteria; profile an ML fit: "
            "bm.profile(spec.fit('ml'))."
        )
    scales = {name: _scale(profile, name) for name in (first, second)}
    down, across = trace(profile, first, second), trace(profile, second, first)
    contours = []
    for level in levels:
        zetas = contour(down, across, float(np.sqrt(-2.0 * np.log1p(-level))))
        values = [scales[name](zeta) for name, zeta in zip((first, second), zetas, strict=True)]
        contours.append((np.array(values), zetas))
    return Pair(down, across, contours)


def trace(profile: Profile, held: str, best: str) -> Trace:
    """Of ``best`` on ``held``."""
    curve = profile.curves[held]
    found = [
        (curve.criterion.value(point.c), values[best], point.zeta)
        for point in curve.points
        if np.isfinite(
            (values := profile.criteria.values(held, curve.criterion, point.minimum.q)).get(best, np.nan)
        )
    ]
    value, other, zeta = np.array(found).T
    line = rising(*profile.line(best))
    return Trace(value, other, zeta, _straight_on(other, *line))


def contour(down: Trace, across: Trace, c: float) -> Array:
    """Both ζ along a contour at the distance c, (2, points).

    ``down`` is the second parameter's trace on the first, ``across`` the first's on the second.
    """
    from scipy.interpolate import CubicSpline

    ends = np.array([c, -c])
    second = _straight_on(ends, down.held_zeta, down.best_zeta) / c
    first = _straight_on(ends, across.held_zeta, across.best_zeta) / c
    cosines = np.clip([second[0], -second[1], first[0], -first[1]], -STEEPEST, STEEPEST)
    phase = np.arccos(cosines)
    angle = np.array([-phase[0] / 2, np.pi - phase[1] / 2, phase[2] / 2, phase[3] / 2 + np.pi]) % (
        2.0 * np.pi
    )
    order = np.argsort(angle)
    knots = np.append(angle[order], angle[order[0]] + 2.0 * np.pi)
    spline = CubicSpline(knots, np.append(phase[order], phase[order[0]]), bc_type="periodic")
    a = np.linspace(0.0, 2.0 * np.pi, POINTS)
    d = spline(a)
    return c * np.array([np.cos(a + d / 2.0), np.cos(a - d / 2.0)])


def _scale(profile: Profile, name: str) -> Callable[[Array], Array]:
    """ζ → value, straight on beyond the profile and not beyond a bound."""
    curve = profile.curves[name]
    value, zeta = rising(*profile.line(name))
    ends = [curve.criterion.value(c) for c in (curve.criterion.lower, curve.criterion.upper)]
    return lambda z: np.clip(_straight_on(z, zeta, value), min(ends), max(ends))


def _straight_on(x: Array, known: Array, values: Array) -> Array:
    """Interpolation, and beyond the ends a straight line through the last two points."""
    order = np.argsort(known, kind="stable")
    known, values = known[order], values[order]
    out = np.interp(x, known, values)
    for end, inner, beyond in ((0, 1, x < known[0]), (-1, -2, x > known[-1])):
        width = known[end] - known[inner]
        slope = (values[end] - values[inner]) / width if width else 0.0
        out = np.where(beyond, values[end] + slope * (x - known[end]), out)
    return np.asarray(out)
