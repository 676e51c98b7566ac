"""The criterion of one design as a function that an optimiser can have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts
from bimixed.likelihood.objective import relative_factors
from bimixed.likelihood.one_factor import evaluate_one_factor, has_one_factor
from bimixed.likelihood.optimize import OptimizerReport, difference_hessian, newton_step
from bimixed.likelihood.points import At, Failed, LightAt, OneFactorAt, general_at
from bimixed.likelihood.variance_steps import NEARLY_SINGULAR, VariancePath, trials

GAIN = 1e-7
"""Least decrease of the deviance that counts as better."""
EXACT = 1e-9
"""Share of the fixed effects' residual sum of squares below which nothing is left as residual."""
DOUBTFUL = 1e-6
"""Shares below this are looked at."""
TRACE = 1e-4
"""Relative sds below this may be rounding."""
HEAVY = 6000
"""Columns of the trailing part from which on a point doesn't keep its factorization."""


@dataclass(frozen=True)
class Problem:
    """The criterion in coordinates that suit an optimiser.

    x holds the identified entries of θ, for covariates of :mod:`bimixed.likelihood.coordinates`, so that a
    slope in milliseconds and one in years look alike.

    Attributes
    ----------
    cp : CrossProducts
    reml : bool
    free : (m,) bool array
        Entries of θ that the data can identify; the others stay 0.
    diagonal : (m,) bool array
        Entries on the diagonal of T, which may not be negative.
    """

    cp: CrossProducts
    reml: bool
    free: NDArray[np.bool_]
    diagonal: NDArray[np.bool_]

    def theta(self, x: Array) -> Array:
        theta = np.zeros(len(self.free))
        theta[self.free] = x
        return theta

    def restricted(self, matrix: Array) -> Array:
        """Rows and columns of the free entries."""
        return matrix if self.free.all() else matrix[np.ix_(self.free, self.free)]

    def coordinates(self, theta: Array) -> Array:
        return theta[self.free]

    def __call__(self, x: Array) -> "At | Failed":
        theta = self.theta(x)
        try:
            if has_one_factor(self.cp):
                (T,) = relative_factors(self.cp, theta)
                return OneFactorAt(self, theta, evaluate_one_factor(self.cp, T, self.reml))
            general = general_at(self, theta)
            return general if self.cp.width < HEAVY else LightAt.of(general)
        except np.linalg.LinAlgError:
            return Failed(np.zeros(len(x)))

    def _may_hide(self, x: Array) -> bool:
        """Whether some T is so nearly singular that θ could hide a way down: exactly, where it is 1 × 1."""
        theta, start = self.theta(x), 0
        for template in self.cp.templates:
            here = slice(start, start + template.n_theta)
            T, free = template.factor(theta[here]), template.factor(self.free[here].astype(float))
            for block in template.sub_blocks():
                sizes = np.abs(np.diag(T)[block])[np.diag(free)[block] > 0]
                limit = NEARLY_SINGULAR if block.stop - block.start > 1 else 1e-4
                if len(sizes) and sizes.min() <= limit:
                    return True
            start += template.n_theta
        return False

    def mirror(self, x: Array) -> Array:
        """The same criterion with every diagonal of T positive: columns of T change their sign."""
        if x[self.diagonal[self.free]].min(initial=0.0) >= 0.0:
            return x
        theta, start = self.theta(x), 0
        for template in self.cp.templates:
            here = slice(start, start + template.n_theta)
            T = template.factor(theta[here])
            theta[here] = template.theta(T * np.where(np.diag(T) < 0.0, -1.0, 1.0))
            start += template.n_theta
        return self.coordinates(theta)

    def variance_path(self, here: "At") -> VariancePath | None:
        """The Newton step in the entries of H, as a path; None where T is nearly singular.

        From afar the criterion is closer to a parabola in variances than in θ.
        """
        T = here.T
        if np.abs(self.coordinates(self.theta_of(T))[self.diagonal[self.free]]).min() < NEARLY_SINGULAR:
            return None
        slope = []
        for template, G in zip(self.cp.templates, here.H_slopes, strict=True):
            rows, cols = template.positions
            slope.append(G[rows, cols] * np.where(rows == cols, 1.0, 2.0))
        gradient = np.concatenate(slope)[self.free]
        step, decrement = newton_step(gradient, here.variance_information())
        full = np.zeros(len(self.free))
        full[self.free] = step
        return VariancePath(self.cp.templates, self.free, T, full, decrement)

    def theta_of(self, T: Sequence[Array]) -> Array:
        """θ of relative factors given by place."""
        return np.concatenate([t.theta(Tj) for t, Tj in zip(self.cp.templates, T, strict=True)])

    def theta_hessian(self, theta: Array) -> Array:
        """Second derivatives of the deviance in θ, by differences of the gradient; 0 where not free."""

        def slope(x: Array) -> Array:
            return self(x).gradient

        m = len(self.free)
        hessian = np.zeros((m, m))
        hessian[np.ix_(self.free, self.free)] = difference_hessian(slope, self.coordinates(theta))
        return hessian

    def escape(self, x: Array) -> Array | None:
        """A better point where T is (nearly) singular and the search in θ can't see it, else None.

        A lower triangular T whose diagonal is at 0 has lost directions: the derivative in θ vanishes
        for a direction without variance whatever the likelihood does, and the bound on the diagonal
        may stand between T and its mirror image. Two kinds of step in H = TT' are tried: downhill
        along ∂dev/∂H · T in all its entries, and some variance along a direction that has none.
        """
        if not self._may_hide(x):
            return None
        here = self(x)
        if isinstance(here, Failed):
            return None
        slopes = here.H_slopes
        best: tuple[float, Array] = (here.value - GAIN, x)
        start = 0
        for place, template in enumerate(self.cp.templates):
            T = here.T[place]
            for block in template.sub_blocks():
                for trial in trials(T[block, block], slopes[place][block, block]):
                    moved_T = T.copy()
                    moved_T[block, block] = trial
                    theta = self.theta(x)
                    theta[start : start + template.n_theta] = template.theta(moved_T)
                    moved = self.coordinates(theta)
                    value = self(moved).value
                    if value < best[0]:
                        best = (value, moved)
            start += template.n_theta
        return None if best[1] is x else best[1]


def fits_exactly(problem: Problem, at: At | Failed) -> bool:
    """Whether nothing is left as residual, or too little to have any digits of its own."""
    limit = EXACT * problem.cp.basis.rss / problem.cp.n
    if isinstance(at, At):
        if at.sigma2 <= limit:
            return True
        if at.sigma2 > DOUBTFUL * problem.cp.basis.rss / problem.cp.n:
            return False
    # does more variance between the groups leave any less?
    free = np.where(problem.diagonal & problem.free, 1e6, 0.0)
    there = problem(problem.coordinates(free))
    return isinstance(there, Failed) or there.sigma2 <= limit


def without_traces(problem: Problem, report: OptimizerReport) -> OptimizerReport:
    """The optimum with blocks of T that are 0 but for rounding put to 0, where the criterion doesn't mind."""
    theta, start, changed = problem.theta(report.x), 0, False
    for template in problem.cp.templates:
        T = template.factor(theta[start : start + template.n_theta])
        for block in template.sub_blocks():
            if 0.0 < np.linalg.norm(T[block, block]) < TRACE:
                T[block, block] = 0.0
                changed = True
        theta[start : start + template.n_theta] = template.theta(T)
        start += template.n_theta
    if not changed:
        return report
    x = problem.coordinates(theta)
    point = problem(x)
    if point.value > report.value + 1e-8:
        return report
    bounded = problem.diagonal[problem.free]
    return replace(report, x=x, value=point.value, point=point, at_bound=bounded & (x == 0.0))


def make_problem(cp: CrossProducts, reml: bool, unidentified: Mapping[int, Sequence[int]]) -> Problem:
    """The criterion of these cross-products; coefficients that aren't identified stay at 0."""
    free = []
    for place, template in enumerate(cp.templates):
        rows, cols = template.positions
        bad = list(unidentified.get(place, []))
        free.append(~(np.isin(rows, bad) | np.isin(cols, bad)))
    diagonal = [template.is_diagonal for template in cp.templates]
    return Problem(cp, reml, np.concatenate(free), np.concatenate(diagonal))
