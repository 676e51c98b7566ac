"""Minimising a smooth function with lower bounds of 0 on some coordinates: SciPy, then Newton.

Knows nothing of models. The function must be smooth across the bounds, so that derivatives may be taken
there (as the criterion is: a negative diagonal of T is the mirror image of another T).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.exceptions import FitError

Objective = Callable[[Array], tuple[float, Array]]
Escape = Callable[[Array], Array | None]

METHODS = ("auto", "L-BFGS-B", "TNC", "SLSQP", "trust-constr")
SNAP = 1e-4
"""Coordinates nearer to their bound than this are tried on it."""
DECREMENT = 1e-9
"""Largest predicted decrease of the deviance that still counts as arrived."""


@dataclass(frozen=True)
class OptimizerReport:
    """Where the optimiser arrived and how.

    Attributes
    ----------
    x : (m,) array
    value : float
    hessian : (m, m) array
        Second derivatives at x.
    at_bound : (m,) bool array
    decrement : float
        Decrease that a last Newton step predicts; near 0 at an optimum.
    converged : bool
    n_evaluations : int
    """

    x: Array
    value: float
    hessian: Array
    at_bound: NDArray[np.bool_]
    decrement: float
    converged: bool
    n_evaluations: int


class _Counter:
    """Counts evaluations, tells of them when asked, and remembers the last one."""

    def __init__(self, objective: Objective, tell: Callable[[int, float], None] | None):
        self.objective, self.tell, self.count = objective, tell, 0
        self.last: tuple[Array, float, Array] | None = None

    def __call__(self, x: Array) -> tuple[float, Array]:
        if self.last is not None and np.array_equal(self.last[0], x):
            return self.last[1], self.last[2]
        self.count += 1
        value, gradient = self.objective(x)
        self.last = x.copy(), value, gradient
        if self.tell is not None:
            self.tell(self.count, value)
        return value, gradient


def minimize(
    objective: Objective,
    start: Array,
    bounded: NDArray[np.bool_],
    *,
    method: str = "auto",
    escape: Escape | None = None,
    tell: Callable[[int, float], None] | None = None,
) -> OptimizerReport:
    """Minimise, polish by Newton steps, and leave a bound where that is downhill.

    Parameters
    ----------
    objective : callable
        x → (value, gradient).
    start : (m,) array
    bounded : (m,) bool array
        Coordinates that may not be negative.
    method : str
        One of ``METHODS``; "auto" is L-BFGS-B.
    escape : callable, optional
        x → a better x where the optimum at the bound is none, else None.
    tell : callable, optional
        Called with the number of evaluations and the value, for progress.
    """
    if method not in METHODS:
        raise FitError(f"Unknown optimizer {method!r}; choose one of {', '.join(METHODS)}.")
    counted = _Counter(objective, tell)
    x = np.asarray(start, dtype=float)
    if len(x) == 0:  # nothing to optimise over
        value, _ = counted(x)
        return OptimizerReport(x, value, np.zeros((0, 0)), x > 0.0, 0.0, True, counted.count)
    for _ in range(10):
        x = _scipy(counted, x, bounded, method)
        x, value, hessian, decrement = _newton(counted, x, bounded)
        snapped = _snap(counted, x, value, bounded)
        if snapped is not None:
            x, value, hessian, decrement = _newton(counted, snapped, bounded)
        better = escape(x) if escape is not None else None
        if better is None:
            break
        x = better
    at_bound = bounded & (x == 0.0)
    converged = bool(decrement < 1e-6 and better is None)
    return OptimizerReport(x, value, hessian, at_bound, decrement, converged, counted.count)


def _scipy(objective: Objective, x: Array, bounded: NDArray[np.bool_], method: str) -> Array:
    from scipy import optimize

    name = "L-BFGS-B" if method == "auto" else method
    options: dict[str, dict[str, float]] = {
        "L-BFGS-B": {"ftol": 1e-11, "gtol": 1e-5, "maxiter": 1000, "maxcor": 20},
        "TNC": {"ftol": 1e-11, "gtol": 1e-6, "maxfun": 2000},
        "SLSQP": {"ftol": 1e-11, "maxiter": 1000},
        "trust-constr": {"gtol": 1e-6, "maxiter": 1000},
    }
    lower = np.where(bounded, 0.0, -np.inf)
    found = optimize.minimize(
        objective,
        x,
        jac=True,
        method=name,
        bounds=optimize.Bounds(lower, np.inf),
        options=options[name],
    )
    return np.where(bounded, np.maximum(found.x, 0.0), found.x)


def _newton(objective: Objective, x: Array, bounded: NDArray[np.bool_]) -> tuple[Array, float, Array, float]:
    """Newton steps on the coordinates that are free, until they promise nothing more."""
    value, gradient = objective(x)
    for _ in range(20):
        hessian = difference_hessian(objective, x)
        free = ~(bounded & (x == 0.0))
        step, decrement = _newton_step(gradient[free], hessian[np.ix_(free, free)])
        if decrement < DECREMENT:
            break
        length, moved = 1.0, False
        while length > 1e-4:
            trial = x.copy()
            trial[free] += length * step
            trial = np.where(bounded, np.maximum(trial, 0.0), trial)
            trial_value, trial_gradient = objective(trial)
            if trial_value < value:
                x, value, gradient, moved = trial, trial_value, trial_gradient, True
                break
            length *= 0.25
        if not moved:
            break
    return x, value, hessian, decrement


def _snap(objective: Objective, x: Array, value: float, bounded: NDArray[np.bool_]) -> Array | None:
    """Coordinates a hair from their bound put on it, where the function doesn't mind."""
    near = bounded & (x > 0.0) & (x < SNAP)
    if not near.any():
        return None
    snapped = np.where(near, 0.0, x)
    return snapped if objective(snapped)[0] <= value + 1e-8 else None


def _newton_step(gradient: Array, hessian: Array) -> tuple[Array, float]:
    """A descent step, and the decrease it promises; flat directions are left alone."""
    if len(gradient) == 0:
        return gradient, 0.0
    values, vectors = np.linalg.eigh(hessian)
    projected = vectors.T @ gradient
    steep = np.abs(values) > 1e-9 * max(float(np.abs(values).max()), 1e-300)
    scaled = np.where(steep, projected / np.where(steep, np.abs(values), 1.0), 0.0)
    return -vectors @ scaled, 0.5 * float(projected @ scaled)


def difference_hessian(objective: Objective, x: Array) -> Array:
    """Second derivatives by central differences of the analytic gradient."""
    m = len(x)
    hessian = np.empty((m, m))
    for i in range(m):
        h = 1e-4 * max(abs(x[i]), 0.05)
        up, down = x.copy(), x.copy()
        up[i] += h
        down[i] -= h
        hessian[i] = (objective(up)[1] - objective(down)[1]) / (2.0 * h)
    return 0.5 * (hessian + hessian.T)
