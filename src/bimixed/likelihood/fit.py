"""Design → result, by maximum likelihood or REML."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array, correlation
from bimixed.crossproducts import CrossProducts, Preparation, prepare
from bimixed.design import Design
from bimixed.exceptions import ConvergenceWarning, FitError, IdentificationWarning, warn
from bimixed.likelihood import identification
from bimixed.likelihood.elimination import describe_elimination
from bimixed.likelihood.objective import relative_factors
from bimixed.likelihood.optimize import OptimizerReport, minimize
from bimixed.likelihood.problem import At, Failed, Problem, fits_exactly, make_problem, second_moments
from bimixed.likelihood.refits import refit_many
from bimixed.likelihood.start import moment_start
from bimixed.likelihood.variances import LinearPredictorVariance, VarianceUncertainty
from bimixed.results import Diagnostics, Estimates, Likelihood, MixedModelResult
from bimixed.results.records import Refits
from bimixed.results.uncertainty import NormalApproximation

FLAT = 1e-3
"""Smallest eigenvalue of the unit-diagonal Hessian below which flat directions are looked for."""


def fit_likelihood(
    design: Design,
    *,
    reml: bool,
    optimizer: str = "auto",
    start: Array | None = None,
    progress: bool = False,
    prepared: Preparation | None = None,
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
    prepared : Preparation, optional
        Cross-products of an earlier fit of the same design with another response.

    Raises
    ------
    FitError
        If there is nothing to estimate variances from.
    """
    began = time.perf_counter()
    # Step 1: sufficient statistics, and what they can't identify
    prepared = prepared or prepare(design)
    cp = prepared.with_response(design.y)
    unidentified = identification.unidentified_coefficients(cp) if reml else {}
    problem = make_problem(design, cp, reml, unidentified)
    # Step 2: optimise
    theta0 = _start(problem, start)
    report = minimize(
        problem,
        problem.coordinates(theta0),
        problem.diagonal[problem.free],
        method=optimizer,
        mirror=problem.mirror,
        escape=problem.escape,
        tell=_teller(progress),
    )
    # Step 3: everything at the optimum
    theta = problem.theta(report.x)
    here = report.point
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
            design, theta, problem.free, here.variance_information(), report.at_bound
        )
    diagnostics = _diagnostics(design, cp, theta, unidentified, confounded, report, began)
    result = assemble(design, problem, report, here, unidentified, confounded, diagnostics)
    return replace(result, refitter=Refitter(prepared, problem, optimizer, theta))


@dataclass(frozen=True)
class Refitter:
    """Fits of the same design to other responses, started where the first fit ended."""

    prepared: Preparation
    problem: Problem
    optimizer: str
    theta: Array

    @property
    def weight_scale(self) -> float:
        return self.prepared.weight_scale

    @property
    def _start(self) -> Array:
        # a variance of 0, or an extreme one, may not be one with another response
        x = self.theta * self.problem.scale
        x = np.where((np.abs(x) < 0.1) & self.problem.diagonal, 0.1, np.clip(x, -10.0, 10.0))
        return np.where(self.problem.free, x / self.problem.scale, 0.0)

    def one(self, design: Design) -> MixedModelResult:
        """All of a result."""
        return fit_likelihood(
            design,
            reml=self.problem.reml,
            optimizer=self.optimizer,
            start=self._start / np.sqrt(self.problem.cp.weight_scale),
            prepared=self.prepared,
        )

    def many(self, responses: Array, tell: Callable[[int], None] | None = None) -> Refits:
        """The estimates alone; responses are (n, R)."""
        return refit_many(self.prepared, self.problem, self._start, responses, self.optimizer, tell)


def _start(problem: Problem, start: Array | None) -> Array:
    if start is None:
        return np.where(problem.free, problem.theta_of(moment_start(problem.cp, problem.whiteners)), 0.0)
    theta = np.asarray(start, dtype=float)
    if theta.shape != problem.scale.shape or not np.isfinite(theta).all():
        raise FitError(
            f"start has shape {theta.shape}; give {len(problem.scale)} finite values of theta "
            "(result.theta, groups one after the other)."
        )
    theta = theta * np.sqrt(problem.cp.weight_scale)
    return np.where(problem.diagonal, np.abs(theta), theta)


def _teller(progress: bool):  # type: ignore[no-untyped-def]
    if not progress:
        return None

    def tell(count: int, deviance: float) -> None:
        print(f"\r  evaluation {count}: deviance {deviance:.6f}", end="", flush=True)

    return tell


def _diagnostics(
    design: Design,
    cp: CrossProducts,
    theta: Array,
    unidentified: dict[int, list[int]],
    confounded: dict[int, list[int]],
    report: OptimizerReport,
    began: float,
) -> Diagnostics:
    messages = [
        identification.identification_message(design.factors[place], coefficients)
        for place, coefficients in unidentified.items()
    ]
    if confounded:
        messages.append(identification.confounded_message(design, confounded))
    moments = [second_moments(cp, place, factor) for place, factor in enumerate(design.factors)]
    told = map(identification.ill_conditioned_message, design.factors, moments)
    messages += [message for message in told if message is not None]
    for message in messages:
        warn(message, IdentificationWarning)
    singular = identification.singular_messages(design, relative_factors(cp, theta), unidentified)
    messages += singular
    if not report.converged:
        messages.append(
            f"Not converged: one more Newton step promises a deviance lower by {report.decrement:.2g}. "
            "Centre and scale the covariates, try another optimizer=, or simplify the random effects."
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
    problem: Problem,
    report: OptimizerReport,
    at: At,
    unidentified: dict[int, list[int]],
    confounded: dict[int, list[int]],
    diagnostics: Diagnostics,
) -> MixedModelResult:
    """Everything at the optimum → the common result."""
    cp, sigma = problem.cp, float(np.sqrt(at.sigma2 * problem.cp.weight_scale))
    estimates = _estimates(design, cp, at, unidentified, confounded)
    theta = problem.theta(report.x)
    variances = VarianceUncertainty(
        design=design,
        cp=cp,
        theta=theta,
        sigma2=at.sigma2,
        df=cp.n - cp.p if problem.reml else cp.n,
        hessian_of=problem.theta_hessian,
        free=_interior(problem, report),
        r2_theta=at.r2_theta,
        unidentified=_merged(unidentified, confounded),
    )
    return MixedModelResult(
        method="reml" if problem.reml else "ml",
        spec=None,
        design=design,
        estimates=estimates,
        diagnostics=diagnostics,
        uncertainty=NormalApproximation(
            beta=estimates.beta,
            vcov=estimates.vcov,
            sigma=sigma,
            random_cov=estimates.random_cov,
            variance_scales=variances,
            linear_variance=LinearPredictorVariance(design, cp, at.full),
        ),
        likelihood=Likelihood(
            loglik=-0.5 * at.value,
            n_parameters=cp.p + int(problem.free.sum()) + 1,
            theta=_theta_by_key(design, theta / np.sqrt(cp.weight_scale)),
        ),
    )


def _estimates(
    design: Design,
    cp: CrossProducts,
    at: At,
    unidentified: dict[int, list[int]],
    confounded: dict[int, list[int]],
) -> Estimates:
    p = len(design.names)
    beta, vcov = np.full(p, np.nan), np.full((p, p), np.nan)
    beta[design.kept] = cp.basis.coefficients(at.gamma)
    kept_vcov = np.zeros((0, 0))
    if cp.p:
        half = cp.basis.linear(np.linalg.inv(np.linalg.cholesky(at.information)).T)
        kept_vcov = at.sigma2 * half @ half.T
        kept_vcov[undetermined := identification.undetermined_fixef(cp, unidentified)] = np.nan
        kept_vcov[:, undetermined] = np.nan
    vcov[np.ix_(design.kept, design.kept)] = kept_vcov
    random_cov, ranef, ranef_sd = {}, {}, {}
    modes = at.modes
    for place, factor in enumerate(design.factors):
        T = at.T[place]
        bad = [*unidentified.get(place, []), *confounded.get(place, [])]
        cov = at.sigma2 * T @ T.T
        cov[bad], cov[:, bad] = np.nan, np.nan
        sd = np.sqrt(at.sigma2 * np.einsum("lkk->lk", at.conditional(place)).clip(min=0.0))
        sd[:, bad] = np.nan
        random_cov[factor.key] = cov
        ranef[factor.key] = modes[place]
        ranef_sd[factor.key] = sd
    return Estimates(
        beta=beta,
        vcov=vcov,
        random_cov=random_cov,
        random_sd={key: np.sqrt(np.diag(cov)) for key, cov in random_cov.items()},
        random_corr={key: correlation(cov) for key, cov in random_cov.items()},
        sigma=float(np.sqrt(at.sigma2 * cp.weight_scale)),
        ranef=ranef,
        ranef_sd=ranef_sd,
    )


def _merged(*parts: dict[int, list[int]]) -> dict[int, list[int]]:
    places = {place for part in parts for place in part}
    return {place: [k for part in parts for k in part.get(place, [])] for place in places}


def _theta_by_key(design: Design, theta: Array) -> dict[str, Array]:
    by_key, start = {}, 0
    for factor in design.factors:
        by_key[factor.key] = theta[start : start + factor.template.n_theta].copy()
        start += factor.template.n_theta
    return by_key


def _interior(problem: Problem, report: OptimizerReport) -> NDArray[np.bool_]:
    interior = problem.free.copy()
    interior[problem.free] = ~report.at_bound
    return interior
