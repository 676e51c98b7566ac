"""Design → result, by maximum likelihood or REML."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array, correlation
from bimixed.crossproducts import CrossProducts
from bimixed.design import Design
from bimixed.exceptions import ConvergenceWarning, FitError, IdentificationWarning, warn
from bimixed.likelihood import identification
from bimixed.likelihood.coordinates import Coordinates
from bimixed.likelihood.elimination import describe_elimination
from bimixed.likelihood.fixef import FixefCovariance
from bimixed.likelihood.joint import JointNormal
from bimixed.likelihood.most_regular import at_most_regular, most_regular
from bimixed.likelihood.objective import relative_factors
from bimixed.likelihood.optimize import OptimizerReport, minimize
from bimixed.likelihood.points import At, Failed
from bimixed.likelihood.predictors import LinearPredictorVariance
from bimixed.likelihood.problem import Problem, fits_exactly, make_problem, without_traces
from bimixed.likelihood.refits import refit_many
from bimixed.likelihood.setup import Setup, set_up
from bimixed.likelihood.small_sample import SmallSample
from bimixed.likelihood.start import moment_start
from bimixed.likelihood.undetermined import undetermined_message
from bimixed.likelihood.variances import VarianceUncertainty
from bimixed.results import Diagnostics, Estimates, Likelihood, MixedModelResult
from bimixed.results.records import Refits
from bimixed.results.uncertainty import NormalApproximation

FLAT = 1e-3
"""Smallest eigenvalue of the unit-diagonal Hessian below which flat directions are looked for."""

FARTHEST = 1e4
"""Relative sds that a search begins with at most; much beyond, rounding is all that is left of slopes."""


def fit_likelihood(
    design: Design,
    *,
    reml: bool,
    optimizer: str = "auto",
    start: Array | None = None,
    progress: bool = False,
    setup: Setup | None = None,
) -> MixedModelResult:
    """Fit by REML or maximum likelihood.

    Parameters
    ----------
    design : Design
    reml : bool
    optimizer : str
        One of :data:`bimixed.likelihood.optimize.METHODS`.
    start : (m,) array, optional
        θ to start from, factors in the design's order.
    progress : bool
        Print the deviance as it falls.
    setup : Setup, optional
        Of an earlier fit of the same design with another response; ``start`` is in its coordinates then.

    Raises
    ------
    FitError
        If there is nothing to estimate variances from.
    """
    began = time.perf_counter()
    # Step 1: sufficient statistics, and what they can't identify
    known = setup is not None
    setup = setup or set_up(design, reml)
    cp = setup.cross_products(design)
    problem = make_problem(cp, reml, setup.unidentified)
    # Step 2: optimise
    if start is None:
        start = np.where(problem.free, problem.theta_of(moment_start(cp)), 0.0)
    elif not known:
        start = given_start(problem, setup.coordinates, start)
    report = minimize(
        problem,
        problem.coordinates(start),
        problem.diagonal[problem.free],
        method=optimizer,
        mirror=problem.mirror,
        escape=problem.escape,
        tell=_teller(progress),
    )
    if progress:
        print()  # ends the line of evaluations
    report = without_traces(problem, at_most_regular(problem, report, setup.undetermined))
    # Step 3: everything at the optimum
    theta, here = problem.theta(report.x), report.point
    if isinstance(here, At | Failed) and fits_exactly(problem, here):
        raise FitError(
            "The fixed and random effects together fit the response exactly, or all but: what is left as "
            "residual is less than 1/30,000 of it, too little to be told from rounding. Is the response "
            "computed from the predictors and groups? Leave out what determines it."
        )
    if not isinstance(here, At):
        raise FitError(
            "The criterion can't be computed at the starting value; centre and scale the covariates, or give "
            "another start=."
        )
    confounded: dict[int, list[int]] = {}
    if report.least_curvature < FLAT:
        confounded = identification.confounded_coefficients(
            design,
            setup.coordinates,
            setup.undetermined,
            theta,
            problem.free,
            here.variance_information(),
            report.at_bound,
        )
    diagnostics = _diagnostics(design, setup, cp, theta, confounded, report, began)
    result = assemble(design, setup, problem, report, here, confounded, diagnostics)
    return replace(result, refitter=Refitter(setup, problem, optimizer, theta))


@dataclass(frozen=True)
class Refitter:
    """Fits of the same design to other responses, started where the first fit ended."""

    setup: Setup
    problem: Problem
    optimizer: str
    theta: Array

    @property
    def weight_scale(self) -> float:
        return self.setup.weight_scale

    @property
    def _start(self) -> Array:
        # a variance of 0, or an extreme one, may not be one with another response
        x = self.theta
        x = np.where((np.abs(x) < 0.1) & self.problem.diagonal, 0.1, np.clip(x, -10.0, 10.0))
        return np.where(self.problem.free, x, 0.0)

    def one(self, design: Design) -> MixedModelResult:
        """All of a result."""
        return fit_likelihood(
            design,
            reml=self.problem.reml,
            optimizer=self.optimizer,
            start=self._start,
            setup=self.setup,
        )

    def many(self, responses: Array, tell: Callable[[int], None] | None = None) -> Refits:
        """The estimates alone; responses are (n, R)."""
        found = refit_many(self.setup.preparation, self.problem, self._start, responses, self.optimizer, tell)
        coordinates = self.setup.coordinates
        own = dict(found.random_cov)
        for place, part in self.setup.undetermined.items():
            own[place] = np.stack([most_regular(H, part) for H in own[place]])
        cov = {place: coordinates.covariance(place, H) for place, H in own.items()}
        return replace(found, random_cov=cov)


def given_start(problem: Problem, coordinates: Coordinates, start: Array) -> Array:
    """θ in the problem's coordinates from the caller's."""
    theta = np.asarray(start, dtype=float)
    if theta.shape != problem.free.shape or not np.isfinite(theta).all():
        raise FitError(
            f"start has shape {theta.shape}; give {len(problem.free)} finite values of theta "
            "(result.theta, groups one after the other)."
        )
    T = relative_factors(problem.cp, theta * np.sqrt(problem.cp.weight_scale))
    own = np.clip(problem.theta_of(coordinates.own_factors(T)), -FARTHEST, FARTHEST)
    return np.where(problem.free, np.where(problem.diagonal, np.abs(own), own), 0.0)


def _teller(progress: bool):  # type: ignore[no-untyped-def]
    if not progress:
        return None

    def tell(count: int, deviance: float) -> None:
        print(f"\r  evaluation {count}: deviance {deviance:.6f}", end="", flush=True)

    return tell


def _diagnostics(
    design: Design,
    setup: Setup,
    cp: CrossProducts,
    theta: Array,
    confounded: dict[int, list[int]],
    report: OptimizerReport,
    began: float,
) -> Diagnostics:
    messages = [
        identification.identification_message(design.factors[place], coefficients)
        for place, coefficients in setup.unidentified.items()
    ]
    messages += [
        undetermined_message(design.factors[place], part) for place, part in setup.undetermined.items()
    ]
    if confounded:
        messages.append(identification.confounded_message(design, confounded))
    independence = setup.coordinates.independence
    told = map(identification.ill_conditioned_message, design.factors, independence)
    messages += [message for message in told if message is not None]
    for message in messages:
        warn(message, IdentificationWarning)
    singular = identification.singular_messages(
        design, setup.coordinates, relative_factors(cp, theta), setup.unidentified
    )
    messages += [f"{message} fit.explain_singular() looks closer." for message in singular]
    if not report.converged:
        messages.append(
            f"Not converged: one more Newton step promises a deviance lower by {report.decrement:.2g}. "
            "Try another optimizer= or start=, or simplify the random effects."
        )
        warn(messages[-1], ConvergenceWarning)
    return Diagnostics(
        ok=report.converged and not messages,
        converged=report.converged,
        singular=bool(singular),
        messages=tuple(messages),
        seconds=time.perf_counter() - began,
        n_evaluations=report.n_evaluations,
        details={"elimination": describe_elimination(design, cp)},
    )


def assemble(
    design: Design,
    setup: Setup,
    problem: Problem,
    report: OptimizerReport,
    at: At,
    confounded: dict[int, list[int]],
    diagnostics: Diagnostics,
) -> MixedModelResult:
    """Everything at the optimum → the common result."""
    cp, sigma = problem.cp, float(np.sqrt(at.sigma2 * problem.cp.weight_scale))
    coordinates = setup.coordinates
    estimates = _estimates(design, setup, cp, at, confounded)
    undetermined = sum(part.dimension for part in setup.undetermined.values())
    theta = problem.theta(report.x)
    variances = VarianceUncertainty(
        design=design,
        coordinates=coordinates,
        cp=cp,
        theta=theta,
        sigma2=at.sigma2,
        df=cp.df(problem.reml),
        hessian_of=problem.theta_hessian,
        free=_interior(problem, report),
        r2_theta=at.r2_theta,
        unidentified=_merged(setup.unidentified, confounded),
        undetermined=setup.undetermined,
    )
    return MixedModelResult(
        method="reml" if problem.reml else "ml",
        spec=None,
        design=design,
        estimates=estimates,
        diagnostics=diagnostics,
        uncertainty=NormalApproximation(
            beta=estimates.beta,
            std_errors=estimates.std_errors,
            sigma=sigma,
            random_cov=estimates.usable_cov,
            variance_scales=variances,
            linear_variance=LinearPredictorVariance(design, coordinates, cp, at.full),
            joint=JointNormal(design, coordinates, at),
            small_sample=SmallSample(cp, at.full, problem.reml, problem.free),
        ),
        likelihood=Likelihood(
            loglik=-0.5 * at.value,
            n_parameters=cp.rank + int(problem.free.sum()) + 1 - undetermined,
            theta=_theta_by_key(design, coordinates.factors(at.T), cp.weight_scale),
        ),
    )


def _estimates(
    design: Design,
    setup: Setup,
    cp: CrossProducts,
    at: At,
    confounded: dict[int, list[int]],
) -> Estimates:
    coordinates, unidentified = setup.coordinates, setup.unidentified
    modes = at.modes
    beta = np.full(len(design.names), np.nan)
    beta[design.kept] = cp.basis.coefficients(at.gamma, modes)
    covariance = FixefCovariance(len(design.names), design.kept, at, unidentified)
    random_cov, ranef, ranef_sd = {}, {}, {}
    undetermined = {design.factors[place].key: part for place, part in setup.undetermined.items()}
    for place, factor in enumerate(design.factors):
        T = coordinates.M[place] @ at.T[place]
        bad = [*unidentified.get(place, []), *confounded.get(place, [])]
        cov = at.sigma2 * T @ T.T
        cov[bad], cov[:, bad] = np.nan, np.nan
        conditional = coordinates.covariance(place, at.conditional(place))
        sd = np.sqrt(at.sigma2 * np.einsum("lkk->lk", conditional).clip(min=0.0))
        sd[:, bad] = np.nan
        random_cov[factor.key] = cov
        ranef[factor.key] = coordinates.effects(place, modes[place])
        ranef_sd[factor.key] = sd
    told = _without(random_cov, {key: part.entries for key, part in undetermined.items()})
    effects = {key: part.effects for key, part in undetermined.items()}
    spreads = {key: part.spreads for key, part in undetermined.items()}
    return Estimates(
        beta=beta,
        std_errors=covariance.std_errors(),
        vcov_of=covariance,
        random_cov=told,
        random_sd={key: np.sqrt(np.diag(cov)) for key, cov in told.items()},
        random_corr={key: correlation(cov) for key, cov in told.items()},
        sigma=float(np.sqrt(at.sigma2 * cp.weight_scale)),
        ranef=_without(ranef, effects),
        ranef_sd=_without(ranef_sd, spreads),
        undetermined=undetermined,
        usable={"cov": random_cov, "ranef": ranef} if undetermined else {},
    )


def _without(values: Mapping[str, Array], unknown: Mapping[str, NDArray[np.bool_]]) -> dict[str, Array]:
    """NaN where unknown."""
    return {key: np.where(unknown.get(key, False), np.nan, own) for key, own in values.items()}


def _merged(*parts: Mapping[int, list[int]]) -> dict[int, list[int]]:
    places = {place for part in parts for place in part}
    return {place: [k for part in parts for k in part.get(place, [])] for place in places}


def _theta_by_key(design: Design, T: list[Array], weight_scale: float) -> dict[str, Array]:
    """θ of unscaled weights."""
    return {
        factor.key: factor.template.theta(own) / np.sqrt(weight_scale)
        for factor, own in zip(design.factors, T, strict=True)
    }


def _interior(problem: Problem, report: OptimizerReport) -> NDArray[np.bool_]:
    interior = problem.free.copy()
    interior[problem.free] = ~report.at_bound
    return interior
