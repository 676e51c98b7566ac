"""Design → result, by maximum likelihood or REML."""

import time
import warnings
from dataclasses import dataclass

import numpy as np

from bimixed.covariance import Array, correlation, lower_factor
from bimixed.crossproducts import CrossProducts, cross_products
from bimixed.design import Design
from bimixed.exceptions import ConvergenceWarning, FitError, IdentificationWarning
from bimixed.likelihood import identification
from bimixed.likelihood.objective import Evaluation, Gradient, evaluate, gradient, relative_factors
from bimixed.likelihood.optimize import OptimizerReport, minimize
from bimixed.likelihood.variances import LinearPredictorVariance, VarianceUncertainty
from bimixed.results import Diagnostics, Estimates, Likelihood, MixedModelResult
from bimixed.results.uncertainty import NormalApproximation


@dataclass(frozen=True)
class Problem:
    """The criterion in coordinates that suit an optimiser.

    x holds the identified entries of θ, each times the size of its covariate, so that a slope in
    milliseconds and one in years look alike.

    Attributes
    ----------
    cp : CrossProducts
    reml : bool
    scale : (m,) array
        Of each entry of θ.
    free : (m,) bool array
        Entries of θ that the data can identify; the others stay 0.
    diagonal : (m,) bool array
        Entries on the diagonal of T, which may not be negative.
    """

    cp: CrossProducts
    reml: bool
    scale: Array
    free: Array
    diagonal: Array

    def theta(self, x: Array) -> Array:
        theta = np.zeros(len(self.scale))
        theta[self.free] = x / self.scale[self.free]
        return theta

    def coordinates(self, theta: Array) -> Array:
        return (theta * self.scale)[self.free]

    def __call__(self, x: Array) -> tuple[float, Array]:
        at = evaluate(self.cp, self.theta(x), self.reml)
        slope = gradient(self.cp, at, self.reml).theta
        return at.deviance, slope[self.free] / self.scale[self.free]

    def escape(self, x: Array) -> Array | None:
        """Add variance along a direction that has none, where the likelihood rises with it.

        At a singular T the derivative in θ is zero whatever the likelihood does; the one in H = TT'
        is not. An optimum has no negative curvature of H along the directions without variance.
        """
        if np.abs(x[self.diagonal[self.free]]).min(initial=np.inf) > 1e-3:
            return None  # every T is regular
        at = evaluate(self.cp, self.theta(x), self.reml)
        slopes = gradient(self.cp, at, self.reml).H
        best: tuple[float, Array] = (at.deviance - 1e-7, x)
        start = 0
        for place, template in enumerate(self.cp.templates):
            scale = np.ones(template.size)
            rows, _ = template.positions
            scale[rows] = self.scale[start : start + template.n_theta]
            T = at.factorization.T[place]
            for block in template.sub_blocks():
                for direction in _downhill(T[block, block], slopes[place][block, block], scale[block]):
                    for size in (1e-1, 1e-2, 1e-3, 1e-4):
                        trial_T = T.copy()
                        trial_T[block, block] = lower_factor(
                            T[block, block] @ T[block, block].T + size * np.outer(direction, direction)
                        )
                        trial = self.theta(x)
                        trial[start : start + template.n_theta] = template.theta(trial_T)
                        moved = self.coordinates(trial)
                        value = evaluate(self.cp, self.theta(moved), self.reml).deviance
                        if value < best[0]:
                            best = (value, moved)
            start += template.n_theta
        return None if best[1] is x else best[1]


def _downhill(T: Array, slope: Array, scale: Array) -> list[Array]:
    """Directions without variance along which the deviance falls, in scaled coordinates."""
    values, vectors = np.linalg.eigh(np.outer(scale, scale) * (T @ T.T))
    null = vectors[:, values < 1e-8]
    if null.shape[1] == 0:
        return []
    inside = null.T @ (slope / np.outer(scale, scale)) @ null
    slopes, directions = np.linalg.eigh(inside)
    return [null @ d / scale for s, d in zip(slopes, directions.T, strict=True) if s < -1e-6]


def fit_likelihood(
    design: Design,
    *,
    reml: bool,
    optimizer: str = "auto",
    start: Array | None = None,
    progress: bool = False,
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

    Raises
    ------
    FitError
        If there is nothing to estimate variances from.
    """
    began = time.perf_counter()
    # Step 1: sufficient statistics, and what they can't identify
    cp = cross_products(design)
    unidentified = identification.unidentified_coefficients(cp)
    problem = make_problem(design, cp, reml, unidentified)
    # Step 2: optimise
    theta0 = _start(problem, start)
    report = minimize(
        problem,
        problem.coordinates(theta0),
        problem.diagonal[problem.free],
        method=optimizer,
        escape=problem.escape,
        tell=_teller(progress),
    )
    # Step 3: everything at the optimum
    theta = problem.theta(report.x)
    at = evaluate(cp, theta, reml)
    slopes = gradient(cp, at, reml)
    diagnostics = _diagnostics(design, cp, theta, unidentified, report, began)
    return assemble(design, problem, report, at, slopes, unidentified, diagnostics)


def make_problem(
    design: Design, cp: CrossProducts, reml: bool, unidentified: dict[int, list[int]]
) -> Problem:
    """The criterion of this design, in scaled coordinates."""
    scale, free, diagonal = [], [], []
    for place, factor in enumerate(design.factors):
        rows, cols = factor.template.positions
        size = factor.scales()
        scale.append(np.where(size > 0, size, 1.0)[rows])
        bad = unidentified.get(place, [])
        free.append(~(np.isin(rows, bad) | np.isin(cols, bad)))
        diagonal.append(factor.template.is_diagonal)
    return Problem(cp, reml, np.concatenate(scale), np.concatenate(free), np.concatenate(diagonal))


def _start(problem: Problem, start: Array | None) -> Array:
    if start is None:
        return np.where(problem.diagonal, 1.0, 0.0) / problem.scale
    theta = np.asarray(start, dtype=float)
    if theta.shape != problem.scale.shape or not np.isfinite(theta).all():
        raise FitError(
            f"start has shape {theta.shape}; give {len(problem.scale)} finite values of theta "
            "(result.theta, groups one after the other)."
        )
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
    report: OptimizerReport,
    began: float,
) -> Diagnostics:
    messages = [
        identification.identification_message(design.factors[place], coefficients)
        for place, coefficients in unidentified.items()
    ]
    for message in messages:
        warnings.warn(message, IdentificationWarning, stacklevel=4)
    singular = identification.singular_messages(design, relative_factors(cp, theta), unidentified)
    messages += singular
    if not report.converged:
        messages.append(
            f"Not converged: one more Newton step promises a deviance lower by {report.decrement:.2g}. "
            "Centre and scale the covariates, try another optimizer=, or simplify the random effects."
        )
        warnings.warn(messages[-1], ConvergenceWarning, stacklevel=4)
    return Diagnostics(
        ok=report.converged and not messages,
        converged=report.converged,
        singular=bool(singular),
        messages=tuple(messages),
        seconds=time.perf_counter() - began,
        n_evaluations=report.n_evaluations,
    )


def assemble(
    design: Design,
    problem: Problem,
    report: OptimizerReport,
    at: Evaluation,
    slopes: Gradient,
    unidentified: dict[int, list[int]],
    diagnostics: Diagnostics,
) -> MixedModelResult:
    """Everything at the optimum → the common result."""
    cp, sigma = problem.cp, float(np.sqrt(at.sigma2))
    estimates = _estimates(design, cp, at, slopes, unidentified)
    theta = problem.theta(report.x)
    variances = VarianceUncertainty(
        design=design,
        cp=cp,
        theta=theta,
        sigma=sigma,
        df=cp.n - cp.p if problem.reml else cp.n,
        hessian=_theta_hessian(problem, report),
        free=_interior(problem, report),
        r2_theta=slopes.r2_theta,
        unidentified=unidentified,
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
            linear_variance=LinearPredictorVariance(design, cp, at, slopes),
        ),
        likelihood=Likelihood(
            loglik=-0.5 * at.deviance,
            n_parameters=cp.p + int(problem.free.sum()) + 1,
            theta=_theta_by_key(design, theta),
        ),
    )


def _estimates(
    design: Design,
    cp: CrossProducts,
    at: Evaluation,
    slopes: Gradient,
    unidentified: dict[int, list[int]],
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
    for place, factor in enumerate(design.factors):
        T, bad = at.factorization.T[place], unidentified.get(place, [])
        cov = at.sigma2 * T @ T.T
        cov[bad], cov[:, bad] = np.nan, np.nan
        sd = np.sqrt(at.sigma2 * np.einsum("lkk->lk", slopes.inverse.P[place]).clip(min=0.0))
        sd[:, bad] = np.nan
        random_cov[factor.key] = cov
        ranef[factor.key] = at.ranef[place]
        ranef_sd[factor.key] = sd
    return Estimates(
        beta=beta,
        vcov=vcov,
        random_cov=random_cov,
        random_sd={key: np.sqrt(np.diag(cov)) for key, cov in random_cov.items()},
        random_corr={key: correlation(cov) for key, cov in random_cov.items()},
        sigma=float(np.sqrt(at.sigma2)),
        ranef=ranef,
        ranef_sd=ranef_sd,
    )


def _theta_by_key(design: Design, theta: Array) -> dict[str, Array]:
    by_key, start = {}, 0
    for factor in design.factors:
        by_key[factor.key] = theta[start : start + factor.template.n_theta].copy()
        start += factor.template.n_theta
    return by_key


def _theta_hessian(problem: Problem, report: OptimizerReport) -> Array:
    m = len(problem.scale)
    hessian = np.zeros((m, m))
    scale = problem.scale[problem.free]
    hessian[np.ix_(problem.free, problem.free)] = report.hessian * np.outer(scale, scale)
    return hessian


def _interior(problem: Problem, report: OptimizerReport) -> Array:
    interior = problem.free.copy()
    interior[problem.free] = ~report.at_bound
    return interior
