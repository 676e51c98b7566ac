"""One covariance of many that fit equally well: the one with the largest determinant.

It is the same wherever the search began and ended, and singular only where all of them are. Where covariances
alone are unknown it is the completion in which coefficients are independent given the others
(Dempster 1972).
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bimixed.covariance import Array, lower_factor
from bimixed.likelihood.objective import relative_factors
from bimixed.likelihood.optimize import OptimizerReport
from bimixed.likelihood.problem import At, Problem
from bimixed.results.undetermined import Undetermined

SHIFTS = (1e-2, 1e-4, 1e-6, 1e-8, 1e-10)
"""What is added to variances on the way to a covariance that may be singular, as shares of the largest."""
REGULAR = 1e-8
"""Share of the largest variance that the least eigenvalue of a regular covariance has."""
SETTLED = 1e-18
"""Squared Newton decrement."""
STEPS = 100
NO_VARIANCE = 1e-5
"""Diagonals of T below this are 0."""
SAME = 1e-7
"""Change of the deviance that is rounding."""


def most_regular(H: Array, part: Undetermined) -> Array:
    """The covariance (K, K) of b̃ with the largest determinant among those that fit as well as H."""
    used = np.flatnonzero(part.directions.any(axis=(0, 1)) | (np.diag(H) > 0.0))
    total = part.products.sum(axis=0)[np.ix_(used, used)]
    least = np.linalg.eigvalsh(total)
    largest = float(np.diag(H).max())
    if largest == 0.0 or least[0] <= 1e-10 * least[-1]:  # covariates that determine each other: no bound
        return H
    start, D = H[np.ix_(used, used)], part.directions[:, used[:, None], used]
    t = np.zeros(len(D))
    for shift in SHIFTS:
        moved = start + shift * largest * np.eye(len(used))
        while np.linalg.eigvalsh(moved + np.tensordot(t, D, 1))[0] < 0.1 * shift * largest:
            t = 0.5 * t
        t = _largest_determinant(moved, D, t)
    found = start + np.tensordot(t, D, 1)
    if np.linalg.eigvalsh(found)[0] > REGULAR * largest:
        found = start + np.tensordot(_largest_determinant(start, D, t), D, 1)
    out = np.zeros_like(H)
    out[np.ix_(used, used)] = found
    return out


def _largest_determinant(H: Array, D: Array, t: Array) -> Array:
    """t that maximises log det(H + Σ t_i D_i), from one where it is positive definite.

    Newton steps divided by 1 + the decrement stay inside (Nesterov and Nemirovskii 1994).
    """
    K = len(H)
    for _ in range(STEPS):
        root = np.linalg.inv(np.linalg.cholesky(H + np.tensordot(t, D, 1)))
        W = (root @ D @ root.T).reshape(len(D), K * K).T
        step = np.linalg.lstsq(W, np.eye(K).ravel(), rcond=None)[0]
        decrement = float(np.sum((W @ step) ** 2))
        t = t + step / (1.0 + np.sqrt(decrement))
        if decrement < SETTLED:
            break
    return t


def at_most_regular(
    problem: Problem, report: OptimizerReport, parts: Mapping[int, Undetermined]
) -> OptimizerReport:
    """The optimum moved to the covariances with the largest determinant."""
    if not parts or not isinstance(report.point, At):
        return report
    T = relative_factors(problem.cp, problem.theta(report.x))
    for place, part in parts.items():
        H = most_regular(T[place] @ T[place].T, part)
        for block in problem.cp.templates[place].sub_blocks():
            own = lower_factor(H[block, block])
            own[np.diag_indices_from(own)] = np.where(np.diag(own) < NO_VARIANCE, 0.0, np.diag(own))
            T[place][block, block] = own
    x = problem.coordinates(problem.theta_of(T))
    point = problem(x)
    if not isinstance(point, At) or abs(point.value - report.value) > SAME * max(1.0, abs(report.value)):
        return report
    bounded = problem.diagonal[problem.free]
    return replace(report, x=x, value=point.value, point=point, at_bound=bounded & (x == 0.0))
