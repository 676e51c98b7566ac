"""Design → result, by maximum likelihood or REML."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array, correlation, lower_factor
from bimixed.crossproducts import CrossProducts, cross_products
from bimixed.design import Design
from bimixed.exceptions import ConvergenceWarning, FitError, IdentificationWarning, warn
from bimixed.likelihood import identification
from bimixed.likelihood.objective import Evaluation, Gradient, evaluate, gradient, relative_factors
from bimixed.likelihood.optimize import OptimizerReport, minimize
from bimixed.likelihood.variances import LinearPredictorVariance, VarianceUncertainty
from bimixed.results import Diagnostics, Estimates, Likelihood, MixedModelResult
from bimixed.results.uncertainty import NormalApproximation

NEARLY_SINGULAR = 0.1
"""Scaled diagonals of T below this are looked at for directions that θ hides."""
FLAT = 1e-6
"""Slopes of the deviance below this promise nothing."""
GAIN = 1e-7
"""Least decrease of the deviance that counts as better."""
WORST = 1e100
"""Finite stand-in for a deviance that can't be computed, so that a line search shortens its step."""


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
    free: NDArray[np.bool_]
    diagonal: NDArray[np.bool_]

    def theta(self, x: Array) -> Array:
        theta = np.zeros(len(self.scale))
        theta[self.free] = x / self.scale[self.free]
        return theta

    def coordinates(self, theta: Array) -> Array:
        return (theta * self.scale)[self.free]

    def __call__(self, x: Array) -> tuple[float, Array]:
        try:
            at = evaluate(self.cp, self.theta(x), self.reml)
        except np.linalg.LinAlgError:
            return WORST, np.zeros(len(x))
        slope = gradient(self.cp, at, self.reml).theta
        return at.deviance, slope[self.free] / self.scale[self.free]

    def escape(self, x: Array) -> Array | None:
        """A better point where T is (nearly) singular and the search in θ can't see it, else None.

        A lower triangular T whose diagonal is at 0 has lost directions: the derivative in θ vanishes
        for a direction without variance whatever the likelihood does, and the bound on the diagonal
        may stand between T and its mirror image. Two kinds of step in H = TT' are tried: downhill
        along ∂dev/∂H · T in all its entries, and some variance along a direction that has none.
        """
        if np.abs(x[self.diagonal[self.free]]).min(initial=np.inf) > NEARLY_SINGULAR:
            return None
        at = evaluate(self.cp, self.theta(x), self.reml)
        slopes = gradient(self.cp, at, self.reml).H
        best: tuple[float, Array] = (at.deviance - GAIN, x)
        start = 0
        for place, template in enumerate(self.cp.templates):
            rows, _ = template.positions
            scale = np.ones(template.size)
            scale[rows] = self.scale[start : start + template.n_theta]
            T = at.factorization.T[place]
            for block in template.sub_blocks():
                size = scale[block]
                for trial in _trials(
                    T[block, block] * size[:, None],
                    slopes[place][block, block] / np.outer(size, size),
                ):
                    moved_T = T.copy()
                    moved_T[block, block] = trial / size[:, None]
                    theta = self.theta(x)
                    theta[start : start + template.n_theta] = template.theta(moved_T)
                    moved = self.coordinates(theta)
                    value = self(moved)[0]
                    if value < best[0]:
                        best = (value, moved)
            start += template.n_theta
        return None if best[1] is x else best[1]


def _trials(T: Array, slope: Array) -> Iterator[Array]:
    """Lower factors to try instead of T, both in scaled coordinates."""
    if np.abs(np.diag(T)).min() > NEARLY_SINGULAR:
        return
    downhill = slope @ T
    length = np.linalg.norm(downhill)
    if length > FLAT:
        for step in (1.0, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4):
            moved = T - step * downhill / length
            yield lower_factor(moved @ moved.T)
    values, vectors = np.linalg.eigh(T @ T.T)
    null = vectors[:, values < 1e-8]
    if null.shape[1] == 0:
        return
    rises, directions = np.linalg.eigh(null.T @ slope @ null)
    for rise, direction in zip(rises, (null @ directions).T, strict=True):
        if rise < -FLAT:
            for variance in 10.0 ** -np.arange(1, 11):
                yield lower_factor(T @ T.T + variance * np.outer(direction, direction))


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
    unidentified = identification.unidentified_coefficients(cp) if reml else {}
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
    confounded = identification.confounded_coefficients(
        design, theta, problem.free, report.hessian, report.at_bound
    )
    diagnostics = _diagnostics(design, cp, theta, unidentified, confounded, report, began)
    return assemble(design, problem, report, at, slopes, unidentified, confounded, diagnostics)


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
    )


def assemble(
    design: Design,
    problem: Problem,
    report: OptimizerReport,
    at: Evaluation,
    slopes: Gradient,
    unidentified: dict[int, list[int]],
    confounded: dict[int, list[int]],
    diagnostics: Diagnostics,
) -> MixedModelResult:
    """Everything at the optimum → the common result."""
    cp, sigma = problem.cp, float(np.sqrt(at.sigma2 * problem.cp.weight_scale))
    estimates = _estimates(design, cp, at, slopes, unidentified, confounded)
    theta = problem.theta(report.x)
    variances = VarianceUncertainty(
        design=design,
        cp=cp,
        theta=theta,
        sigma2=at.sigma2,
        df=cp.n - cp.p if problem.reml else cp.n,
        hessian=_theta_hessian(problem, report),
        free=_interior(problem, report),
        r2_theta=slopes.r2_theta,
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
            linear_variance=LinearPredictorVariance(design, cp, at, slopes),
        ),
        likelihood=Likelihood(
            loglik=-0.5 * at.deviance,
            n_parameters=cp.p + int(problem.free.sum()) + 1,
            theta=_theta_by_key(design, theta / np.sqrt(cp.weight_scale)),
        ),
    )


def _estimates(
    design: Design,
    cp: CrossProducts,
    at: Evaluation,
    slopes: Gradient,
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
    for place, factor in enumerate(design.factors):
        T = at.factorization.T[place]
        bad = [*unidentified.get(place, []), *confounded.get(place, [])]
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


def _theta_hessian(problem: Problem, report: OptimizerReport) -> Array:
    m = len(problem.scale)
    hessian = np.zeros((m, m))
    scale = problem.scale[problem.free]
    hessian[np.ix_(problem.free, problem.free)] = report.hessian * np.outer(scale, scale)
    return hessian


def _interior(problem: Problem, report: OptimizerReport) -> NDArray[np.bool_]:
    interior = problem.free.copy()
    interior[problem.free] = ~report.at_bound
    return interior
