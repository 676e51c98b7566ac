"""Minimising a smooth function of few variables by safeguarded Newton steps, or by SciPy first.

Knows nothing of models. The function is smooth across the bounds of its bounded coordinates and has a
mirror image beyond them (a negative diagonal of T is another T with the same criterion), so that steps may
cross; the caller's ``mirror`` brings a point back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.exceptions import FitError

METHODS = ("auto", "L-BFGS-B", "TNC", "SLSQP", "trust-constr")
SNAP = 1e-4
"""Coordinates nearer to their bound than this are tried on it."""
DECREMENT = 1e-11
"""Largest predicted decrease of the deviance that still counts as arrived: 3e-6 standard errors."""
ROUNDING = 1e-16
"""Predicted decreases below this share of the deviance can't be told from rounding."""
LAST = 4e-9
"""A step that promises less isn't looked at again where the one before shows that it ends there."""
NEAR = 1e-6
"""Below this predicted decrease the last Hessian serves for what is left to go."""
CLOSE = 0.1
"""Promised decreases below this are left to Newton's method."""
ITERATIONS = 60
LONGEST = 3.0
"""Longest step, in units of the larger of 1 and the largest coordinate."""


class Point(Protocol):
    """The function at one x."""

    @property
    def value(self) -> float: ...

    @property
    def gradient(self) -> Array: ...

    def hessian(self) -> Array:
        """Second derivatives, approximately."""
        ...

    def path(self) -> "Path | None":
        """A way to go from afar, where there is a better one than Newton's."""
        ...


class Path(Protocol):
    """Points at lengths from 0 (here) to 1."""

    @property
    def decrement(self) -> float:
        """Decrease promised."""
        ...

    def __call__(self, length: float) -> Array: ...


Objective = Callable[[Array], Point]
Step = Callable[[Array], Array | None]


@dataclass(frozen=True)
class OptimizerReport:
    """Where the optimiser arrived and how.

    Attributes
    ----------
    x : (m,) array
    value : float
    at_bound : (m,) bool array
    decrement : float
        Decrease that a last Newton step predicts; near 0 at an optimum.
    converged : bool
    n_evaluations : int
    least_curvature : float
        Smallest eigenvalue of the last Hessian with its diagonal scaled to 1; infinite without any.
    point : Point
        The function at x.
    """

    x: Array
    value: float
    at_bound: NDArray[np.bool_]
    decrement: float
    converged: bool
    n_evaluations: int
    least_curvature: float
    point: Point


class _Counter:
    """Counts evaluations, tells of them when asked, and remembers the last one."""

    def __init__(self, objective: Objective, tell: Callable[[int, float], None] | None):
        self.objective, self.tell, self.count = objective, tell, 0
        self.last: tuple[Array, Point] | None = None

    def __call__(self, x: Array) -> Point:
        if self.last is not None and np.array_equal(self.last[0], x):
            return self.last[1]
        self.count += 1
        point = self.objective(x)
        self.last = x.copy(), point
        if self.tell is not None:
            self.tell(self.count, point.value)
        return point


def minimize(
    objective: Objective,
    start: Array,
    bounded: NDArray[np.bool_],
    *,
    method: str = "auto",
    mirror: Callable[[Array], Array] | None = None,
    escape: Step | None = None,
    tell: Callable[[int, float], None] | None = None,
) -> OptimizerReport:
    """Minimise, and leave a bound where that is downhill.

    Parameters
    ----------
    objective : callable
        x → Point.
    start : (m,) array
    bounded : (m,) bool array
        Coordinates that may not be negative.
    method : str
        One of ``METHODS``; "auto" is Newton's method alone, the others are SciPy's, followed by it.
    mirror : callable, optional
        x → the equivalent x that keeps the bounds; default the absolute value of bounded coordinates.
    escape : callable, optional
        x → a better x where the optimum at the bound is none, else None.
    tell : callable, optional
        Called with the number of evaluations and the value, for progress.
    """
    if method not in METHODS:
        raise FitError(f"Unknown optimizer {method!r}; choose one of {', '.join(METHODS)}.")
    counted = _Counter(objective, tell)
    mirror = mirror or (lambda x: np.where(bounded, np.abs(x), x))
    x = np.asarray(start, dtype=float)
    if len(x) == 0:  # nothing to optimise over
        last = counted(x)
        return OptimizerReport(x, last.value, x > 0.0, 0.0, True, counted.count, np.inf, last)
    for _ in range(10):
        if method != "auto":
            x = _scipy(counted, x, bounded, method)
        x, decrement, hessian = _newton(counted, _approach(counted, x))
        snapped = _snap(counted, mirror(x), bounded)
        if snapped is not None:
            x, decrement, hessian = _newton(counted, snapped)
        x = mirror(x)
        x = np.where(bounded & (x < SNAP * SNAP), 0.0, x)
        better = escape(x) if escape is not None else None
        if better is None:
            break
        x = better
    last = counted(x)
    converged = bool(decrement < 1e-6 and better is None)
    return OptimizerReport(
        x,
        last.value,
        bounded & (x == 0.0),
        decrement,
        converged,
        counted.count,
        _least_curvature(hessian),
        last,
    )


def _least_curvature(hessian: Array) -> float:
    diagonal = np.diag(hessian)
    if diagonal.min() <= 0.0:
        return 0.0
    return float(np.linalg.eigvalsh(hessian / np.sqrt(diagonal[:, None] * diagonal))[0])


def _scipy(objective: Objective, x: Array, bounded: NDArray[np.bool_], method: str) -> Array:
    from scipy import optimize

    options: dict[str, dict[str, float]] = {
        "L-BFGS-B": {"ftol": 1e-11, "gtol": 1e-5, "maxiter": 1000, "maxcor": 20},
        "TNC": {"ftol": 1e-11, "gtol": 1e-6, "maxfun": 2000},
        "SLSQP": {"ftol": 1e-11, "maxiter": 1000},
        "trust-constr": {"gtol": 1e-6, "maxiter": 1000},
    }

    def plain(x: Array) -> tuple[float, Array]:
        point = objective(x)
        return point.value, point.gradient

    lower = np.where(bounded, 0.0, -np.inf)
    found = optimize.minimize(
        plain, x, jac=True, method=method, bounds=optimize.Bounds(lower, np.inf), options=options[method]
    )
    return np.where(bounded, np.maximum(found.x, 0.0), found.x)


def _approach(objective: Objective, x: Array) -> Array:
    """Follow the points' own paths while there is far to go."""
    here = objective(x)
    for _ in range(ITERATIONS):
        path = here.path()
        if path is None or path.decrement < CLOSE:
            break
        for length in (1.0, 0.3, 0.1, 0.02):
            moved = path(length)
            there = objective(moved)
            if there.value < here.value:
                break
        else:
            break
        x, here = moved, there
    return x


def _newton(objective: Objective, x: Array) -> tuple[Array, float, Array]:
    """Newton steps until they promise nothing more: x, the decrease still promised, the last Hessian.

    The approximate Hessian gets a symmetric rank-one correction from what the gradients showed it to
    miss, which makes the last steps superlinear (structured secant, Dennis, Gay and Welsch 1981).
    """
    here = objective(x)
    known = here.hessian()
    correction = np.zeros_like(known)
    step, decrement = newton_step(here.gradient, known)
    before = 0.0
    for _ in range(ITERATIONS):
        if decrement < max(DECREMENT, ROUNDING * abs(here.value)):
            break
        if decrement < LAST and decrement**2 < DECREMENT * before:
            return x + step, decrement, known
        if decrement < NEAR:  # the value may not show it, but the slope does
            there = objective(x + step)
            new_step, promised = newton_step(there.gradient, known + correction)
            if promised < 0.5 * decrement and there.value < here.value + NEAR:
                x, here, step, before, decrement = x + step, there, new_step, decrement, promised
                continue
        longest = LONGEST * max(1.0, float(np.abs(x).max()))
        step *= min(1.0, longest / max(float(np.abs(step).max()), 1e-300))
        length = _line_search(objective, x, here, step)
        if length is None:
            if not correction.any():
                break
            correction[:] = 0.0
        else:
            moved = x + length * step
            there = objective(moved)
            at_there = there.hessian()
            missed = there.gradient - here.gradient - (at_there + correction) @ (moved - x)
            correction = correction + rank_one(missed, moved - x)
            x, here, known = moved, there, at_there
        before = decrement
        step, decrement = newton_step(here.gradient, known + correction)
    return x, decrement, known


def _line_search(objective: Objective, x: Array, here: Point, step: Array) -> float | None:
    """A length of the step that lowers the value enough, or None."""
    slope = float(here.gradient @ step)
    length = 1.0
    for _ in range(14):
        value = objective(x + length * step).value
        if value < here.value + 1e-4 * length * slope:
            return length
        # minimum of the parabola through what is known, within reason
        excess = value - here.value - slope * length
        best = -0.5 * slope * length**2 / excess if excess > 0 else 0.0
        length = min(0.5 * length, max(0.1 * length, best))
    return None


def rank_one(missed: Array, moved: Array) -> Array:
    """Symmetric rank-one update, left out where it would divide by almost nothing."""
    product = float(missed @ moved)
    if abs(product) <= 1e-8 * float(np.linalg.norm(missed) * np.linalg.norm(moved)):
        return np.zeros((len(moved), len(moved)))
    return np.outer(missed, missed) / product


def newton_step(gradient: Array, hessian: Array) -> tuple[Array, float]:
    """A descent step, and the decrease it promises; flat directions are left alone.

    Directions are judged in units of each coordinate's own curvature, so that a coordinate that is far out,
    where everything is flat, isn't taken for one that doesn't matter.
    """
    size = np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1e-300))
    values, vectors = np.linalg.eigh(hessian / (size[:, None] * size))
    projected = vectors.T @ (gradient / size)
    steep = np.abs(values) > 1e-9 * max(float(np.abs(values).max()), 1e-300)
    scaled = np.where(steep, projected / np.where(steep, np.abs(values), 1.0), 0.0)
    return -(vectors @ scaled) / size, 0.5 * float(projected @ scaled)


def _snap(objective: Objective, x: Array, bounded: NDArray[np.bool_]) -> Array | None:
    """Coordinates a hair from their bound put on it, where the function doesn't mind."""
    near = bounded & (x > 0.0) & (x < SNAP)
    if not near.any():
        return None
    snapped = np.where(near, 0.0, x)
    return snapped if objective(snapped).value <= objective(x).value + 1e-8 else None


def difference_hessian(gradient: Callable[[Array], Array], x: Array) -> Array:
    """Second derivatives by central differences of an analytic gradient."""
    m = len(x)
    hessian = np.empty((m, m))
    for i in range(m):
        h = 1e-4 * max(abs(x[i]), 0.05)
        up, down = x.copy(), x.copy()
        up[i] += h
        down[i] -= h
        hessian[i] = (gradient(up) - gradient(down)) / (2.0 * h)
    return 0.5 * (hessian + hessian.T)
