"""The criterion of one design as a function that an optimiser can have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts
from bimixed.likelihood.factorization import factorize
from bimixed.likelihood.information import average_information
from bimixed.likelihood.objective import Evaluation, Gradient, evaluate, gradient, relative_factors
from bimixed.likelihood.one_factor import OneFactorPoint, evaluate_one_factor, has_one_factor
from bimixed.likelihood.optimize import OptimizerReport, difference_hessian, newton_step
from bimixed.likelihood.selected_inverse import SelectedInverse
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
WORST = 1e100
"""Finite stand-in for a deviance that can't be computed, so that a line search shortens its step."""


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
            general = _general(self, theta)
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


@dataclass(frozen=True)
class At:
    """The criterion at one x, in the optimiser's coordinates, and all that was computed for it.

    Attributes
    ----------
    problem : Problem
    theta : (m,) array
    """

    problem: Problem
    theta: Array

    @property
    def value(self) -> float:
        """The deviance."""
        raise NotImplementedError

    @property
    def sigma2(self) -> float:
        """Residual variance that maximises the likelihood given θ."""
        raise NotImplementedError

    @property
    def gamma(self) -> Array:
        """Fixed effects in the orthogonal basis, (p,)."""
        raise NotImplementedError

    @property
    def root(self) -> Array:
        """Lower Cholesky factor of the information on gamma, in units of 1/σ², (p, p)."""
        raise NotImplementedError

    @property
    def H_slopes(self) -> list[Array]:
        """∂dev/∂H by place."""
        raise NotImplementedError

    @property
    def theta_slope(self) -> Array:
        """∂dev/∂θ, (m,)."""
        raise NotImplementedError

    @property
    def r2_theta(self) -> Array:
        """∂r²/∂θ, β profiled out, (m,)."""
        raise NotImplementedError

    @property
    def modes(self) -> list[Array]:
        """Conditional modes of the random effects, (L, K) by place."""
        raise NotImplementedError

    def conditional(self, place: int) -> Array:
        """Covariance of each level's effects given y, β and θ, in units of σ², (L, K, K)."""
        raise NotImplementedError

    @property
    def absorbed_variance(self) -> Array:
        """Variance of absorbed fixed effects given the others and θ, in units of σ², (L,)."""
        return np.zeros(0)

    def full(self) -> tuple[Evaluation, Gradient]:
        """The general evaluation, with its factorization."""
        raise NotImplementedError

    def _average_information(self, of_H: bool) -> Array:
        raise NotImplementedError

    @cached_property
    def T(self) -> list[Array]:
        """Relative factors by place."""
        return relative_factors(self.problem.cp, self.theta)

    @property
    def gradient(self) -> Array:
        free = self.problem.free
        return self.theta_slope[free]

    def variance_information(self) -> Array:
        """Average information on the entries of H that are free."""
        return self.problem.restricted(self._average_information(True))

    def path(self) -> VariancePath | None:
        """The Newton step in variances."""
        return self.problem.variance_path(self)

    def hessian(self) -> Array:
        """Average information, (m, m)."""
        return self._hessian

    @cached_property
    def _hessian(self) -> Array:
        return self.problem.restricted(self._average_information(False))


@dataclass(frozen=True)
class GeneralAt(At):
    """By blocked elimination: any structure."""

    evaluation: Evaluation
    slopes: Gradient

    @property
    def value(self) -> float:
        return self.evaluation.deviance

    @property
    def sigma2(self) -> float:
        return self.evaluation.sigma2

    @property
    def gamma(self) -> Array:
        return self.evaluation.gamma

    @property
    def root(self) -> Array:
        return self.evaluation.root

    @property
    def H_slopes(self) -> list[Array]:
        return self.slopes.H

    @property
    def theta_slope(self) -> Array:
        return self.slopes.theta

    @property
    def r2_theta(self) -> Array:
        return self.slopes.r2_theta

    @property
    def modes(self) -> list[Array]:
        return self.evaluation.ranef

    @cached_property
    def _given_fixef(self) -> SelectedInverse:
        """Of the random effects alone, where fixed effects are absorbed."""
        bare = self.problem.cp.bare
        if bare is None or not self.problem.reml:
            return self.slopes.inverse
        return SelectedInverse(factorize(bare, self.T))

    def conditional(self, place: int) -> Array:
        return self._given_fixef.P[place]

    @property
    def absorbed_variance(self) -> Array:
        absorbed = self.problem.cp.basis.absorbed
        if absorbed is None:
            return np.zeros(0)
        inverse = self.slopes.inverse
        if not self.problem.reml:
            inverse = SelectedInverse(self.evaluation.factorization)
        return inverse.P[absorbed.place][:, 0, 0]

    def full(self) -> tuple[Evaluation, Gradient]:
        return self.evaluation, self.slopes

    def _average_information(self, of_H: bool) -> Array:
        p = self.problem
        return average_information(p.cp, self.evaluation, self.slopes, p.reml, of_H)


def _general(problem: Problem, theta: Array) -> GeneralAt:
    at = evaluate(problem.cp, theta, problem.reml)
    return GeneralAt(problem, theta, at, gradient(problem.cp, at, problem.reml))


@dataclass(frozen=True)
class LightAt(At):
    """What a search needs of a point; the rest is computed again where it is asked for.

    The factorization of a large crossed design takes gigabytes, and a search holds two points.
    """

    deviance: float
    variance: float
    fixef: Array
    information_root: Array
    slopes_of_H: list[Array]
    slope_of_theta: Array
    slope_of_r2: Array
    information: Mapping[bool, Array]

    @staticmethod
    def of(at: GeneralAt) -> "LightAt":
        """Of a point with everything."""
        return LightAt(
            at.problem,
            at.theta,
            deviance=at.value,
            variance=at.sigma2,
            fixef=at.gamma,
            information_root=at.root,
            slopes_of_H=at.H_slopes,
            slope_of_theta=at.theta_slope,
            slope_of_r2=at.r2_theta,
            information={of_H: at._average_information(of_H) for of_H in (False, True)},
        )

    @property
    def value(self) -> float:
        return self.deviance

    @property
    def sigma2(self) -> float:
        return self.variance

    @property
    def gamma(self) -> Array:
        return self.fixef

    @property
    def root(self) -> Array:
        return self.information_root

    @property
    def H_slopes(self) -> list[Array]:
        return self.slopes_of_H

    @property
    def theta_slope(self) -> Array:
        return self.slope_of_theta

    @property
    def r2_theta(self) -> Array:
        return self.slope_of_r2

    @cached_property
    def _again(self) -> GeneralAt:
        return _general(self.problem, self.theta)

    @property
    def modes(self) -> list[Array]:
        return self._again.modes

    def conditional(self, place: int) -> Array:
        return self._again.conditional(place)

    @property
    def absorbed_variance(self) -> Array:
        return self._again.absorbed_variance

    def full(self) -> tuple[Evaluation, Gradient]:
        return self._again.full()

    def _average_information(self, of_H: bool) -> Array:
        return self.information[of_H]


@dataclass(frozen=True)
class OneFactorAt(At):
    """By sums over the levels of the only factor."""

    point: OneFactorPoint

    @property
    def value(self) -> float:
        return float(self.point.deviance)

    @property
    def sigma2(self) -> float:
        return float(self.point.sigma2)

    @property
    def gamma(self) -> Array:
        return self.point.gamma

    @property
    def root(self) -> Array:
        return self.point.root

    @property
    def H_slopes(self) -> list[Array]:
        return [self.point.H_slope]

    @property
    def theta_slope(self) -> Array:
        return self.point.theta_slope

    @property
    def r2_theta(self) -> Array:
        return self.point.r2_theta

    @property
    def modes(self) -> list[Array]:
        return [self.point.modes]

    def conditional(self, place: int) -> Array:
        return self.point.conditional

    def full(self) -> tuple[Evaluation, Gradient]:
        p = self.problem
        evaluation = evaluate(p.cp, self.theta, p.reml)
        return evaluation, gradient(p.cp, evaluation, p.reml)

    def _average_information(self, of_H: bool) -> Array:
        return self.point.average_information(of_H)


@dataclass(frozen=True)
class Failed:
    """A point where the criterion can't be computed: a finite worst value, so that steps are shortened."""

    gradient: Array
    value: float = WORST

    def path(self) -> None:
        return None

    def hessian(self) -> Array:
        return np.eye(len(self.gradient))


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
