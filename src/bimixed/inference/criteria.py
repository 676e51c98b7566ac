"""Which criterion each parameter of a fit is profiled by, made when it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bimixed.covariance import Array
from bimixed.design import Design, RandomFactor
from bimixed.exceptions import FitError
from bimixed.inference.following import differences, minimize_given
from bimixed.likelihood.constrained import (
    Base,
    Constrained,
    HeldCoefficient,
    HeldSd,
    HeldSigma,
    block_of,
)
from bimixed.likelihood.fit import Refitter, fit_likelihood
from bimixed.likelihood.held_correlation import HeldCorrelation
from bimixed.likelihood.objective import relative_factors
from bimixed.likelihood.problem import At, Problem
from bimixed.likelihood.undetermined import reason
from bimixed.results import MixedModelResult

ZERO = 1e-8
"""Sds below this, in units of σ and the covariate, are at their bound."""
ONE = 1e-6
"""Correlations are at their bound where the cosine of their arc sine is below this."""


@dataclass(frozen=True)
class Profiled:
    """A criterion and the deviance of its fit."""

    criterion: Constrained
    base: float


@dataclass(frozen=True)
class Unprofiled:
    """A parameter that has no profile, and what to do."""

    why: str


@dataclass(frozen=True)
class _Optimum:
    """A fit as the criteria see it."""

    design: Design
    refitter: Refitter
    fit: MixedModelResult
    at: At

    @staticmethod
    def of(fit: MixedModelResult) -> "_Optimum":
        refitter = fit.refitter
        if not isinstance(refitter, Refitter):
            raise AssertionError("a likelihood fit has a refitter")
        problem = refitter.problem
        at = problem(problem.coordinates(refitter.theta))
        if not isinstance(at, At):
            raise FitError(
                "The criterion can't be computed at the optimum; fit again from the specification."
            )
        return _Optimum(fit.design, refitter, fit, at)


@dataclass(frozen=True)
class Criteria:
    """The criteria of a fit's parameters.

    Attributes
    ----------
    fit : MixedModelResult
        A likelihood fit.
    """

    fit: MixedModelResult
    _made: dict[str, _Optimum] = field(default_factory=dict, compare=False)

    @property
    def names(self) -> list[str]:
        """As in ``fit.conf_int()``."""
        return [*self.fit.design.names, *(name for name, _ in self._random()), "sigma"]

    def used(self, name: str) -> str:
        """ "REML" or "ML"."""
        return "ML" if self.fit.method == "ml" or name in self.fit.design.names else "REML"

    def of(self, name: str) -> Profiled | Unprofiled:
        """The criterion of one parameter."""
        if name in self.fit.design.names:
            return self._coefficient(self.fit.design.names.index(name))
        here = self._optimum(self.fit.method)
        if name == "sigma":
            own = HeldSigma(*self._base(here), None, unit=self.fit.sigma)
            return Profiled(own, here.at.value)
        ((place, meant),) = [which for known, which in self._random() if known == name]
        return self._of_random(here, place, meant)

    def sent(self, name: str, criterion: Constrained) -> Constrained:
        """A criterion as it travels: without the cross-products, where they are those of the fit."""
        own = isinstance(criterion, Base) and criterion.problem is self._problem(name)
        return replace(criterion, problem=None) if own else criterion  # type: ignore[type-var]

    def received(self, name: str, criterion: Constrained) -> Constrained:
        """The criterion that :meth:`sent` was given."""
        left = isinstance(criterion, Base) and criterion.problem is None
        return replace(criterion, problem=self._problem(name)) if left else criterion  # type: ignore[type-var]

    def prepare(self, names: Sequence[str]) -> None:
        """Make the refits that these parameters share."""
        for method in {self.used(name) for name in names}:
            self._optimum(method.lower())

    def _problem(self, name: str) -> Problem:
        return self._optimum(self.used(name).lower()).refitter.problem

    def start(self, name: str, theta: Array) -> list[float]:
        """θ as ``start=`` takes it, from that of a criterion."""
        here = self._optimum(self.used(name).lower())
        setup, problem = here.refitter.setup, here.refitter.problem
        T = setup.coordinates.factors(relative_factors(problem.cp, theta))
        parts = [f.template.theta(own) for f, own in zip(here.design.factors, T, strict=True)]
        scaled = np.concatenate(parts) / np.sqrt(problem.cp.weight_scale)
        return [float(f"{value:.6g}") for value in scaled]

    def values(self, name: str, criterion: Constrained, q: Array) -> dict[str, float]:
        """Every parameter at a point of the profile of one; nothing where it can't be computed.

        Correlations with an sd of 0 are NaN.
        """
        here, rest = self._optimum(self.used(name).lower()), criterion.rest(q)
        if rest is None:
            return {}
        sigma2, gamma = rest
        cp = here.refitter.problem.cp
        beta = cp.basis.beta_ols + cp.basis.linear(gamma)
        found = {here.design.names[j]: float(b) for j, b in zip(here.design.narrow, beta, strict=True)}
        factors = here.refitter.setup.coordinates.factors(relative_factors(cp, criterion.theta(q)))
        told = here.fit.estimates.random_cov
        for known, (place, meant) in self._random():
            T = factors[place]
            if np.isnan(told[here.design.factors[place].key][np.ix_(meant, meant)]).any():
                found[known] = np.nan
                continue
            H = (T @ T.T)[np.ix_(meant, meant)]
            sds = np.sqrt(np.diag(H))
            if len(meant) == 1:
                found[known] = float(sds[0] * np.sqrt(sigma2))
                continue
            scales = here.design.factors[place].scales()[list(meant)]
            found[known] = float(H[0, 1] / sds.prod()) if (sds * scales).min() > ZERO else np.nan
        return found | {"sigma": float(np.sqrt(sigma2 * cp.weight_scale))}

    def _random(self) -> list[tuple[str, tuple[int, tuple[int, ...]]]]:
        """Names of sds and correlations, and which coefficients of which factor they are about."""
        found: list[tuple[str, tuple[int, tuple[int, ...]]]] = []
        for place, f in enumerate(self.fit.design.factors):
            found += [(f"sd_{f.key}[{name}]", (place, (k,))) for k, name in enumerate(f.names)]
            found += [
                (f"corr_{f.key}[{f.names[i]},{f.names[j]}]", (place, (i, j)))
                for i, j in f.template.correlated_pairs()
            ]
        return found

    def _optimum(self, method: str) -> _Optimum:
        if method not in self._made:
            own = self.fit.method == method
            fit = self.fit if own else fit_likelihood(self.fit.design, reml=method == "reml")
            self._made[method] = _Optimum.of(fit)
        return self._made[method]

    def _of_ml(self, column: int) -> _Optimum:
        """The ML fit with this column of X among those that have coefficients of their own."""
        wide = self.fit.design.wide
        if wide is None or column not in wide.columns:
            return self._optimum("ml")
        return _Optimum.of(fit_likelihood(self.fit.design.with_narrow(column), reml=False))

    @staticmethod
    def _base(here: _Optimum) -> tuple[Problem, Array, float]:
        return here.refitter.problem, here.refitter.theta, here.at.sigma2

    def _of_random(self, here: _Optimum, place: int, meant: tuple[int, ...]) -> Profiled | Unprofiled:
        f = here.design.factors[place]
        estimates = here.fit.estimates
        part = estimates.undetermined.get(f.key)
        if part is not None and part.entries[np.ix_(meant, meant)].any():
            return Unprofiled(f"other values of it fit as well. {reason(f, part)}.")
        cov = estimates.usable_cov[f.key]
        if any(np.isnan(cov[k, k]) for k in meant):
            return Unprofiled(
                "the data don't identify it, every value fits as well. Leave out the term of "
                f"{f.key!r} that the fixed effects explain, as fit.diagnostics says."
            )
        block, units = block_of(here.refitter.problem, here.refitter.setup.coordinates, place, meant)
        if len(meant) == 1:
            own = HeldSd(*self._base(here), block, unit=float(units[0] * np.sqrt(here.at.sigma2)))
            return Profiled(own, here.at.value)
        held = HeldCorrelation(*self._base(here), block)
        refused = _no_correlation(f, meant, held.T_start)
        return refused or Profiled(_with_collapsed(held), here.at.value)

    def _coefficient(self, column: int) -> Profiled | Unprofiled:
        design = self.fit.design
        if column not in design.kept:
            return Unprofiled("the column was dropped, because earlier columns determine it.")
        here = self._of_ml(column)
        basis = here.refitter.problem.cp.basis
        place = int(np.searchsorted(here.design.narrow, column))
        unit = np.zeros(len(basis.R))
        unit[place] = 1.0
        direction = np.linalg.solve(basis.R.T, unit)
        estimates = here.fit.estimates
        own = HeldCoefficient(
            *self._base(here),
            None,
            direction=direction,
            estimate=float(estimates.beta[column]),
            unit=float(estimates.std_errors[column]),
            least_squares=float(basis.beta_ols[place]),
        )
        return Profiled(own, here.at.value)


def _with_collapsed(held: HeldCorrelation) -> HeldCorrelation:
    """The criterion that knows where each of the sds is 0."""
    quiet, known = replace(held, seeking=False), []
    for lost in (0, 1):
        q = quiet.without(lost)
        found = minimize_given(quiet, q, differences(quiet, q, quiet(q)[1]))
        if found is not None:
            known.append(found.q)
    return replace(held, collapsed=tuple(known))


def _no_correlation(f: RandomFactor, meant: tuple[int, ...], T: Array) -> Unprofiled | None:
    """Why a correlation has no profile at this T', which begins with its two coefficients."""
    sds = np.array([T[0, 0], np.hypot(T[1, 0], T[1, 1])])
    if sds.min() <= ZERO:
        name = f.names[meant[int(np.argmin(sds))]]
        return Unprofiled(
            f"the sd of {name!r} in {f.key!r} is estimated as 0, so that there is no correlation. Profile "
            "the sd, which has an upper limit, or fit without the correlation ('||' for '|')."
        )
    if T[1, 1] <= ONE * sds[1]:
        return Unprofiled(
            f"it is estimated at its bound {np.sign(T[1, 0]):+.0f} (a singular fit). Fit without the "
            "correlation ('||' for '|'), or take intervals of draws: spec.fit('nuts').conf_int()."
        )
    return None
