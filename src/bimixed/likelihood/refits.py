"""Many responses of one design: everything that doesn't depend on the response is used again.

Designs with one grouping factor are fitted many at a time, by the same Newton steps as one alone, on arrays
with an axis for the response. A response whose search comes near a singular T, or doesn't settle, is fitted
by itself; so are all responses of other designs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bimixed import dense
from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts, Preparation
from bimixed.exceptions import FitError
from bimixed.likelihood.one_factor import OneFactorPoint, evaluate_one_factor, has_one_factor
from bimixed.likelihood.optimize import DECREMENT, ITERATIONS, LONGEST, minimize
from bimixed.likelihood.points import At
from bimixed.likelihood.problem import Problem, fits_exactly
from bimixed.likelihood.variance_steps import NEARLY_SINGULAR
from bimixed.results.records import Refits

CHUNK = 4_000_000
"""Numbers in the largest array of a stretch of responses."""

SHORTEST = 1e-7
"""Steps shortened to less than this are given up, and the response is fitted by itself."""

Bools = NDArray[np.bool_]
Indices = NDArray[np.intp]


def refit_many(
    prepared: Preparation,
    problem: Problem,
    theta: Array,
    responses: Array,
    optimizer: str = "auto",
    tell: Callable[[int], None] | None = None,
) -> Refits:
    """Fit every column of ``responses``.

    Parameters
    ----------
    prepared : Preparation
    problem : Problem
        Of the first fit; its scales and what it identifies serve for all.
    theta : (m,) array
        Where every search begins.
    responses : (n, R) array
    optimizer : str
        For the responses that are fitted by themselves.
    tell : callable, optional
        Called with the number of responses done.

    Returns
    -------
    Refits
    """
    n, R = responses.shape
    together = has_one_factor(problem.cp) and bool(problem.free.all()) and optimizer == "auto"
    step = max(1, CHUNK // (4 * n)) if together else 1
    parts = []
    for first in range(0, R, step):
        here = responses[:, first : first + step]
        try:
            if not together:
                raise np.linalg.LinAlgError("not many at a time")
            parts.append(_together(prepared, problem, theta, here, optimizer))
        except np.linalg.LinAlgError:  # one degenerate response is enough
            parts.append(_one_by_one(prepared, problem, theta, here, optimizer))
        if tell is not None:
            tell(min(first + step, R))
    return _joined(parts)


def _one_by_one(
    prepared: Preparation, problem: Problem, theta: Array, responses: Array, optimizer: str
) -> Refits:
    return _joined([_alone(prepared, problem, theta, y, optimizer) for y in responses.T])


def _alone(prepared: Preparation, problem: Problem, theta: Array, y: Array, optimizer: str) -> Refits:
    """One response by the optimiser of a single fit; NaN and not converged where it can't be fitted."""
    try:
        cp = prepared.with_response(y)
    except FitError:
        return _unfitted(problem)
    own = replace(problem, cp=cp)
    report = minimize(
        own,
        own.coordinates(theta),
        own.diagonal[own.free],
        method=optimizer,
        mirror=own.mirror,
        escape=own.escape,
    )
    at = report.point
    if not isinstance(at, At) or fits_exactly(own, at):
        return _unfitted(problem)
    cov = [at.sigma2 * T @ T.T for T, template in zip(at.T, cp.templates, strict=True) if not template.fixed]
    return Refits(
        beta=cp.basis.coefficients(at.gamma, at.modes)[None, :],
        random_cov={place: c[None] for place, c in enumerate(cov)},
        sigma2=np.array([at.sigma2]),
        loglik=np.array([-0.5 * at.value]),
        converged=np.array([report.converged]),
    )


def _unfitted(problem: Problem) -> Refits:
    sizes = [t.size for t in problem.cp.templates if not t.fixed]
    return Refits(
        beta=np.full((1, problem.cp.rank), np.nan),
        random_cov={place: np.full((1, K, K), np.nan) for place, K in enumerate(sizes)},
        sigma2=np.array([np.nan]),
        loglik=np.array([np.nan]),
        converged=np.array([False]),
    )


@dataclass(frozen=True)
class _Batch:
    """Cross-products of several responses of a design with one factor."""

    cp: CrossProducts
    beta_ols: Array
    ZR: Array
    RR: Array

    @staticmethod
    def of(prepared: Preparation, responses: Array) -> "_Batch":
        cp, design = prepared.empty, prepared.design
        (f,) = cp.chain
        e = responses if design.offset is None else responses - design.offset[:, None]
        fixed = prepared.fixed
        e = e if fixed.root is None else e * fixed.root[:, None]
        coefficients = dense.product(fixed.Q.T, e)
        e = e - dense.product(fixed.Q, coefficients)
        again = dense.product(fixed.Q.T, e)  # as for one response
        e = e - dense.product(fixed.Q, again)
        R = e.shape[1]
        ZR = np.repeat(f.ZR[None], R, axis=0)
        codes, values = design.factors[0].codes, prepared.values[0]
        order = np.argsort(codes, kind="stable")
        borders = np.searchsorted(codes[order], np.arange(f.n_levels))
        sorted_e = e[order]
        for a in range(values.shape[1]):
            sums = np.add.reduceat(values[order, a, None] * sorted_e, borders, axis=0)
            ZR[:, :, a, -1] = sums.T
        RR = np.repeat(cp.RR[None], R, axis=0)
        RR[:, -1, -1] = np.sum(e * e, axis=0)
        beta = dense.solve_upper(fixed.R, coefficients + again) if cp.p else coefficients
        return _Batch(cp, beta.T, ZR, RR)

    def at(self, theta: Array, which: Indices, reml: bool) -> OneFactorPoint:
        """The criteria of some of the responses, each at its own θ."""
        (f,) = self.cp.chain
        T = np.zeros((len(which), f.template.size, f.template.size))
        T[(slice(None), *f.template.positions)] = theta
        return evaluate_one_factor(self.cp, T, reml, (self.ZR[which], self.RR[which]))


def _together(
    prepared: Preparation, problem: Problem, theta: Array, responses: Array, optimizer: str
) -> Refits:
    batch = _Batch.of(prepared, responses)
    found, settled = _search(batch, problem, theta)
    p, template = batch.cp.p, batch.cp.chain[0].template
    R, K = len(found), template.size
    beta, cov = np.empty((R, p)), np.empty((R, K, K))
    sigma2, loglik, converged = np.empty(R), np.empty(R), np.ones(R, dtype=bool)
    good = np.flatnonzero(settled)
    if len(good):
        at = batch.at(found[good], good, problem.reml)
        beta[good] = batch.beta_ols[good] + dense.solve_upper(prepared.fixed.R, at.gamma.T).T
        cov[good] = at.sigma2[:, None, None] * (at.T @ at.T.mT)
        sigma2[good], loglik[good] = at.sigma2, -0.5 * at.deviance
    for k in np.flatnonzero(~settled):
        one = _alone(prepared, problem, theta, responses[:, k], optimizer)
        beta[k], cov[k] = one.beta[0], one.random_cov[0][0]
        sigma2[k], loglik[k], converged[k] = one.sigma2[0], one.loglik[0], one.converged[0]
    return Refits(beta, {0: cov}, sigma2, loglik, converged)


def _search(batch: _Batch, problem: Problem, theta: Array) -> tuple[Array, Bools]:
    """θ of every response, (R, m), and where it is an optimum away from singular T's.

    The steps of :func:`bimixed.likelihood.optimize.minimize`, the rank-one correction included.
    """
    R, m = len(batch.RR), len(theta)
    x = np.tile(theta, (R, 1))
    settled = np.zeros(R, dtype=bool)
    with np.errstate(all="ignore"):  # what overflows doesn't settle
        for chunk in _stretches(np.arange(R), batch.ZR[0].size):
            settled[chunk] = _newton(batch, problem, x, chunk)
    diagonal = np.abs(x[:, problem.diagonal]).min(axis=1, initial=np.inf)
    x = _mirrored(problem, x)
    return x, settled & (diagonal > NEARLY_SINGULAR if m > 1 else diagonal > 1e-4)


def _stretches(which: Indices, size: int) -> Iterator[Indices]:
    step = max(1, CHUNK // (8 * size))
    for first in range(0, len(which), step):
        yield which[first : first + step]


def _newton(batch: _Batch, problem: Problem, x: Array, which: Indices) -> Bools:
    """Newton steps for some responses, in place in x; which of them arrived."""
    m = x.shape[1]
    arrived = np.zeros(len(which), dtype=bool)
    position = np.arange(len(which))
    value, slope, hessian = _derivatives(batch, problem, x[which], which)
    correction = np.zeros((len(which), m, m))
    step, decrement = _steps(slope, hessian)
    for _ in range(ITERATIONS):
        arrived[position[decrement < DECREMENT]] = True
        go = decrement >= DECREMENT
        go &= np.linalg.norm(step, axis=1) > SHORTEST
        if not go.any():
            break
        position, step, value, slope = position[go], step[go], value[go], slope[go]
        correction, decrement = correction[go], decrement[go]
        here = x[which[position]]
        moved = here + step
        new_value, new_slope, hessian = _derivatives(batch, problem, moved, which[position])
        good = new_value < value + 1e-13 * np.abs(value)
        missed = new_slope - slope - ((hessian + correction) @ step[:, :, None])[:, :, 0]
        correction = np.where(good[:, None, None], correction + _rank_one(missed, step), correction)
        new_step, new_decrement = _steps(new_slope, hessian + correction)
        longest = LONGEST * np.maximum(1.0, np.abs(moved).max(axis=1))
        longest = longest / np.maximum(np.abs(new_step).max(axis=1), 1e-300)
        new_step *= np.minimum(1.0, longest)[:, None]
        x[which[position]] = np.where(good[:, None], moved, here)
        step = np.where(good[:, None], new_step, 0.3 * step)
        value = np.where(good, new_value, value)
        slope = np.where(good[:, None], new_slope, slope)
        decrement = np.where(good, new_decrement, np.maximum(decrement, DECREMENT))
    return arrived


def _derivatives(batch: _Batch, problem: Problem, x: Array, which: Indices) -> tuple[Array, Array, Array]:
    """Deviance, slope and Hessian in the optimiser's coordinates."""
    at = batch.at(x, which, problem.reml)
    return at.deviance, at.theta_slope, at.average_information()


def _steps(slope: Array, hessian: Array) -> tuple[Array, Array]:
    """As :func:`bimixed.likelihood.optimize.newton_step`, for many."""
    size = np.sqrt(np.maximum(np.abs(np.diagonal(hessian, axis1=1, axis2=2)), 1e-300))
    values, vectors = np.linalg.eigh(hessian / (size[:, :, None] * size[:, None, :]))
    projected = (vectors.mT @ (slope / size)[:, :, None])[:, :, 0]
    steep = np.abs(values) > 1e-9 * np.abs(values).max(axis=1, keepdims=True)
    scaled = np.where(steep, projected / np.where(steep, np.abs(values), 1.0), 0.0)
    return -(vectors @ scaled[:, :, None])[:, :, 0] / size, 0.5 * np.sum(projected * scaled, axis=1)


def _rank_one(missed: Array, step: Array) -> Array:
    product = np.sum(missed * step, axis=1)
    size = np.linalg.norm(missed, axis=1) * np.linalg.norm(step, axis=1)
    usable = np.abs(product) > 1e-8 * size
    outer = missed[:, :, None] * missed[:, None, :]
    return np.where(usable[:, None, None], outer / np.where(usable, product, 1.0)[:, None, None], 0.0)


def _mirrored(problem: Problem, x: Array) -> Array:
    """Columns of T with a negative diagonal change their sign."""
    rows, cols = problem.cp.chain[0].template.positions
    sign = np.ones((len(x), problem.cp.chain[0].template.size))
    sign[:, rows[problem.diagonal]] = np.where(x[:, problem.diagonal] < 0.0, -1.0, 1.0)
    return x * sign[:, cols]


def _joined(parts: list[Refits]) -> Refits:
    return Refits(
        beta=np.concatenate([part.beta for part in parts]),
        random_cov={
            place: np.concatenate([part.random_cov[place] for part in parts]) for place in parts[0].random_cov
        },
        sigma2=np.concatenate([part.sigma2 for part in parts]),
        loglik=np.concatenate([part.loglik for part in parts]),
        converged=np.concatenate([part.converged for part in parts]),
    )
