"""The criterion at one point, with all that was computed for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bimixed.covariance import Array
from bimixed.likelihood.factorization import factorize
from bimixed.likelihood.information import average_information
from bimixed.likelihood.objective import Evaluation, Gradient, evaluate, gradient, relative_factors
from bimixed.likelihood.one_factor import OneFactorPoint
from bimixed.likelihood.selected_inverse import SelectedInverse
from bimixed.likelihood.variance_steps import VariancePath

if TYPE_CHECKING:
    from bimixed.likelihood.problem import Problem

WORST = 1e100
"""Finite stand-in for a deviance that can't be computed, so that a line search shortens its step."""


@dataclass(frozen=True)
class At:
    """The criterion at one x, in the optimiser's coordinates, and all that was computed for it.

    Attributes
    ----------
    problem : Problem
    theta : (m,) array
    """

    problem: "Problem"
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


def general_at(problem: "Problem", theta: Array) -> GeneralAt:
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
        return general_at(self.problem, self.theta)

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
