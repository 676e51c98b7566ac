"""The profile of one criterion: ζ, the signed root of the rise of its least value, against c.

Steps are chosen by dc/dζ = 2ζ / (dD/dc), which the envelope theorem gives exactly, so that points stand
evenly in ζ. Between points c is a cubic in ζ (Hermite), and limits are refined by Newton's method on
ζ(c): no errors of interpolation remain.
"""

from dataclasses import dataclass, replace

import numpy as np

from bimixed.covariance import Array
from bimixed.inference.following import Minimum, curvature, differences, follow, minimize_given
from bimixed.likelihood.constrained import Constrained

PER_SIDE = 5
"""Points between the optimum and the cutoff."""
POINTS = 60
"""Points of one side at most."""
FIRST = 0.1
"""First step in c where no curvature tells one."""
NEAR, EXACT = 1e-4, 1e-8
"""A limit is as good as found where one more step of Newton's is left, or where ζ is the cutoff."""


@dataclass(frozen=True)
class Point:
    """One point of a profile.

    Attributes
    ----------
    minimum : Minimum
    zeta : float
    rate : float
        dc/dζ; NaN where ζ doesn't rise.
    """

    minimum: Minimum
    zeta: float
    rate: float

    @property
    def c(self) -> float:
        return self.minimum.c


@dataclass(frozen=True)
class Branch:
    """One side of a profile, from the optimum outwards.

    Attributes
    ----------
    side : int
        −1 or 1.
    points : tuple of Point
    end : str
        "open" where it can be followed further, "bound" where c ends, "lost" where the criterion can't be
        computed or doesn't rise.
    """

    side: int
    points: tuple[Point, ...]
    end: str = "open"

    @property
    def reach(self) -> float:
        """Largest |ζ|."""
        return max(abs(point.zeta) for point in self.points)


@dataclass(frozen=True)
class Curve:
    """Both sides of a profile.

    Attributes
    ----------
    criterion : Constrained
    base : float
        Deviance of the fit.
    lower, upper : Branch
    """

    criterion: Constrained
    base: float
    lower: Branch
    upper: Branch

    @property
    def points(self) -> tuple[Point, ...]:
        """In ascending order; the optimum once."""
        return (*reversed(self.lower.points), *self.upper.points[1:])

    def limit(self, side: int, cutoff: float) -> float:
        """c where |ζ| is the cutoff, or the end of c where ζ stays below; NaN where it can't be followed."""
        branch = self.lower if side < 0 else self.upper
        branch = extended(self.criterion, self.base, branch, cutoff)
        sizes = [abs(point.zeta) for point in branch.points]
        beyond = [i for i, size in enumerate(sizes) if size >= cutoff]
        if not beyond:
            return branch.points[-1].c if branch.end == "bound" else float("nan")
        inner, outer = branch.points[beyond[0] - 1], branch.points[beyond[0]]
        return self._refined(inner, outer, side, side * cutoff)

    def _refined(self, inner: Point, outer: Point, side: int, target: float) -> float:
        c = float(hermite(inner, outer, np.array([target]))[0])
        for _ in range(40):
            near = min(inner, outer, key=lambda point: abs(point.c - c))
            found = _point(self.criterion, self.base, side, near.minimum, c)
            if found is None:
                return c
            off = target - found.zeta
            if abs(off) < (NEAR if np.isfinite(found.rate) else EXACT):
                return c + (off * found.rate if np.isfinite(found.rate) else 0.0)
            if abs(outer.c - inner.c) < 1e-13 * max(1.0, abs(c)):
                return c
            if abs(found.zeta) < abs(target):
                inner = found
            else:
                outer = found
            step = off * found.rate
            low, high = sorted((inner.c, outer.c))
            c = c + step if np.isfinite(step) and low < c + step < high else 0.5 * (low + high)
        return c

    def line(self, n: int = 20) -> tuple[Array, Array]:
        """c and ζ of a smooth line with n points between neighbours."""
        cs, zetas = [np.zeros(0)], [np.zeros(0)]
        for left, right in zip(self.points, self.points[1:], strict=False):
            z = np.linspace(left.zeta, right.zeta, n)
            cs.append(hermite(left, right, z))
            zetas.append(z)
        return np.concatenate(cs), np.concatenate(zetas)


def hermite(left: Point, right: Point, zeta: Array) -> Array:
    """c at ζ between two points: a cubic, or a line where that wouldn't be monotone."""
    width = right.zeta - left.zeta
    if width == 0.0:
        return np.full(zeta.shape, left.c)
    t = (zeta - left.zeta) / width
    mean = (right.c - left.c) / width
    rates = [point.rate if np.isfinite(point.rate) else mean for point in (left, right)]
    if not all(0.0 <= rate <= 3.0 * mean for rate in rates):
        rates = [min(max(rate, 0.0), 3.0 * mean) for rate in rates]
    a, b = rates[0] - mean, rates[1] - mean
    return np.asarray(left.c + width * (mean * t + t * (1 - t) * (a * (1 - t) - b * t)))


def trace(criterion: Constrained, base: float, cutoff: float) -> Curve:
    """Follow both sides until |ζ| is beyond the cutoff, or c ends."""
    q = criterion.start
    value, gradient = criterion(q)
    hessian = differences(criterion, q, gradient)
    bend = curvature(hessian)
    rate = 1.0 / np.sqrt(0.5 * bend) if bend > 0.0 else np.nan
    start = Point(Minimum(q, value, 0.0, hessian), 0.0, float(rate))
    sides = []
    for side in (-1, 1):
        bound = criterion.lower if side < 0 else criterion.upper
        branch = Branch(side, (start,), "bound" if q[-1] == bound else "open")
        sides.append(extended(criterion, base, branch, cutoff))
    return Curve(criterion, base, *sides)


def extended(criterion: Constrained, base: float, branch: Branch, cutoff: float) -> Branch:
    """A side followed until |ζ| is beyond the cutoff."""
    spacing = 1.02 * cutoff / PER_SIDE
    while branch.end == "open" and branch.reach < cutoff:
        if len(branch.points) >= POINTS:
            return replace(branch, end="lost")
        branch = _longer(criterion, base, branch, spacing)
    return branch


def _longer(criterion: Constrained, base: float, branch: Branch, spacing: float) -> Branch:
    """One point more."""
    last, side = branch.points[-1], branch.side
    bound = criterion.lower if side < 0 else criterion.upper
    step = _length(branch, spacing)
    for _ in range(8):
        at_bound = abs(bound - last.c) <= 1.2 * step
        c = bound if at_bound else last.c + side * step
        found = _point(criterion, base, side, last.minimum, c)
        if found is not None and abs(found.zeta - last.zeta) <= 1.7 * spacing:
            return Branch(side, (*branch.points, found), "bound" if at_bound else "open")
        step = 0.4 * abs(c - last.c)
    if found is None:
        return replace(branch, end="lost")
    return Branch(side, (*branch.points, found), "open")


def _length(branch: Branch, spacing: float) -> float:
    """The step in c for an even step in ζ, from the rates at the last two points."""
    last = branch.points[-1]
    before = branch.points[-2] if len(branch.points) > 1 else None
    taken = abs(last.c - before.c) if before is not None else None
    if not (np.isfinite(last.rate) and last.rate > 0.0):
        return FIRST if taken is None else 1.5 * taken
    bend = 0.0
    if before is not None and np.isfinite(before.rate) and last.zeta != before.zeta:
        bend = (last.rate - before.rate) / abs(last.zeta - before.zeta) / last.rate
    step = spacing * last.rate * float(np.clip(1.0 + 0.5 * spacing * bend, 0.5, 2.0))
    return step if taken is None else min(step, 5.0 * taken)


def _point(criterion: Constrained, base: float, side: int, near: Minimum, c: float) -> Point | None:
    """The profile at c, looked for from a point nearby."""
    found = minimize_given(criterion, follow(near, c), near.hessian)
    if found is None:  # too far in one go
        found = minimize_given(criterion, np.append(near.q[:-1], c), near.hessian)
    if found is None:
        return None
    zeta = side * np.sqrt(max(found.value - base, 0.0))
    rate = 2.0 * zeta / found.slope if found.slope * side > 0.0 else np.nan
    return Point(found, float(zeta), float(rate))
