"""Minima of a smooth function q = (z, c) over z, one after the other as c moves.

Newton's method with a Hessian in all coordinates, c included, that is made by differences of the slopes once
and kept by symmetric rank-one updates. It gives the way of the minimum too, dz/dc = −B_zz⁻¹ B_zc, so that the
search for the next begins close to where it ends.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bimixed.covariance import Array
from bimixed.likelihood.constrained import Constrained
from bimixed.likelihood.optimize import newton_step, rank_one
from bimixed.likelihood.points import WORST

ENOUGH = 1e-9
"""Decrease that a step may promise at a minimum; it is taken off the value."""
ROUNDING = 1e-14
"""Share of the value that rounding may make of such a decrease."""
NEAR = 1e-6
"""Promised decreases below this can be taken for granted."""
STEPS = 120
REFRESH = 6
"""Steps after which the Hessian is made anew."""
LONGEST = 1.0
"""Longest step, in units of the larger of 1 and the largest coordinate."""
LOST = 1e-3
"""Coordinates below this may be a column of T that has lost its direction."""
LENGTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
"""Lengths that such a column is tried with."""
BEND = 1e-4
"""Curvature below −this is a way down."""
GAIN = 1e-8
"""Least decrease that counts as better."""


@dataclass(frozen=True)
class Minimum:
    """The least value given c.

    Attributes
    ----------
    q : (m + 1,) array
    value : float
    slope : float
        Its derivative in c.
    hessian : (m + 1, m + 1) array
    promised : float
        Decrease that another step promises; more than a little where the search didn't settle.
    """

    q: Array
    value: float
    slope: float
    hessian: Array
    promised: float = 0.0

    @property
    def c(self) -> float:
        return float(self.q[-1])


def differences(function: Constrained, q: Array, gradient: Array) -> Array:
    """Second derivatives by forward differences of the slopes."""
    out = np.empty((len(q), len(q)))
    for i in range(len(q)):
        moved = q.copy()
        moved[i] += 1e-5 * max(1.0, abs(q[i]))
        out[i] = (function(moved)[1] - gradient) / (moved[i] - q[i])
    return 0.5 * (out + out.T)


def _step(gradient: Array, hessian: Array) -> tuple[Array, float]:
    """Newton's step in z and the decrease it promises."""
    if len(gradient) == 1:
        return np.zeros(0), 0.0
    return newton_step(gradient[:-1], hessian[:-1, :-1])


def curvature(hessian: Array) -> float:
    """Second derivative of the least value in c."""
    across = np.append(hessian[-1, :-1], 0.0)
    along, _ = _step(across, hessian)
    return float(hessian[-1, -1] + hessian[-1, :-1] @ along)


def follow(known: Minimum, c: float) -> Array:
    """Where the minimum at c is, to first order."""
    gradient = known.hessian[-1] * (c - known.c)
    step, _ = _step(gradient, known.hessian)
    longest = max(1.0, float(np.abs(known.q).max()))
    step *= min(1.0, longest / max(float(np.abs(step).max(initial=0.0)), 1e-300))
    return np.append(known.q[:-1] + step, c)


def minimize_given(function: Constrained, q: Array, hessian: Array) -> Minimum | None:
    """The minimum over z from a start q, and a Hessian near there; None where there is no value."""
    found = _newton(function, q, hessian)
    for _ in range(3):
        if found is None:
            return None
        better = _turned(function, found)
        if better is None:
            break
        again = _newton(function, better, differences(function, better, function(better)[1]))
        if again is None or again.value > found.value - GAIN:
            break
        found = again
    return found


def _newton(function: Constrained, q: Array, hessian: Array) -> Minimum | None:
    value, gradient = function(q)
    if value >= WORST:
        return None
    B = hessian
    fresh = False
    for count in range(STEPS):
        if count and count % REFRESH == 0:
            B, fresh = differences(function, q, gradient), True
        step, decrement = _step(gradient, B)
        if decrement <= max(ENOUGH, ROUNDING * abs(value)):
            break
        longest = LONGEST * max(1.0, float(np.abs(q).max()))
        step *= min(1.0, longest / float(np.abs(step).max()))
        moved = _lower(function, q, value, gradient, step, decrement)
        if moved is None:
            if fresh:
                break
            B, fresh = differences(function, q, gradient), True
            continue
        there, new_value, new_gradient = moved
        B = B + rank_one(new_gradient - gradient - B @ (there - q), there - q)
        q, value, gradient, fresh = there, new_value, new_gradient, False
    step, decrement = _step(gradient, B)
    if decrement > NEAR:
        return Minimum(q, value, float(gradient[-1]), B, decrement)
    return Minimum(q, value - decrement, float(gradient[-1] + B[-1, :-1] @ step), B)


def _lower(
    function: Constrained, q: Array, value: float, gradient: Array, step: Array, decrement: float
) -> tuple[Array, float, Array] | None:
    """A point along the step that is lower by enough, its value and slopes."""
    slope = float(gradient[:-1] @ step)
    allowed = 1e-12 * abs(value) if decrement < NEAR else 0.0
    length = 1.0
    for _ in range(14):
        there = q.copy()
        there[:-1] += length * step
        new_value, new_gradient = function(there)
        if new_value < value + 1e-4 * length * slope + allowed:
            return there, new_value, new_gradient
        excess = new_value - value - slope * length
        best = -0.5 * slope * length**2 / excess if excess > 0 else 0.0
        length = min(0.5 * length, max(0.1 * length, best))
    return None


def _turned(function: Constrained, here: Minimum) -> Array | None:
    """A lower point with variance along a direction that has none, where slopes vanish whatever happens."""
    for column in function.columns:
        if len(column) == 0 or np.abs(here.q[column]).max() > LOST:
            continue
        bent = np.empty((len(column), len(column)))
        for i, k in enumerate(column):
            moved = here.q.copy()
            moved[column] = 0.0  # where the slope is 0
            moved[k] = LOST
            bent[i] = function(moved)[1][column] / LOST
        values, vectors = np.linalg.eigh(0.5 * (bent + bent.T))
        if values[0] > -BEND:
            continue
        trials = np.tile(here.q, (len(LENGTHS), 1))
        trials[:, column] = np.array(LENGTHS)[:, None] * vectors[:, 0]
        best = _lowest(function, trials, here.value)
        if best is not None:
            return best
    return _lowest(function, function.alternatives(here.q), here.value)


def _lowest(function: Constrained, trials: Iterable[Array], value: float) -> Array | None:
    """The lowest of some points, if it is lower than a value."""
    best, found = value - GAIN, None
    for trial in trials:
        there = function(trial)[0]
        if there < best:
            best, found = there, trial
    return found
