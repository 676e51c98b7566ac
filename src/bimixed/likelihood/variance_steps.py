"""Steps in H = TT': the way from afar, and ways out of a singular T."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array, CovarianceTemplate, lower_factor, lower_root

NEARLY_SINGULAR = 0.1
"""Diagonals of T below this are looked at for directions that θ hides."""
FLAT = 1e-6
"""Slopes of the deviance below this promise nothing."""
LEAST_SHARE = 0.1
"""A step leaves at least this share of every variance."""


@dataclass(frozen=True)
class VariancePath:
    """H + αΔ, no eigenvalue of it below a share of what it was.

    Attributes
    ----------
    templates : sequence of CovarianceTemplate
    free : (m,) bool array
        Entries of θ that the optimiser has.
    T : sequence of (K, K) arrays
        Where the path starts.
    step : (m,) array
        Entries of Δ at the places of θ.
    decrement : float
        Decrease of the deviance that a parabola promises.
    """

    templates: Sequence[CovarianceTemplate]
    free: NDArray[np.bool_]
    T: Sequence[Array]
    step: Array
    decrement: float

    def __call__(self, length: float) -> Array:
        """The optimiser's coordinates at α."""
        moved, start = [], 0
        for template, T in zip(self.templates, self.T, strict=True):
            delta = template.factor(self.step[start : start + template.n_theta])
            delta = delta + np.tril(delta, -1).T
            new = T.copy()
            for block in template.sub_blocks():
                used = block.start + np.flatnonzero(np.diag(T)[block])  # the others aren't identified
                own = np.ix_(used, used)
                if not delta[own].any():
                    continue
                inverse = np.linalg.inv(T[own])
                values, vectors = np.linalg.eigh(inverse @ delta[own] @ inverse.T)
                shares = np.clip(1.0 + length * values, LEAST_SHARE, None)
                new[own] = lower_root(T[own] @ (vectors * np.sqrt(shares)))
            moved.append(new)
            start += template.n_theta
        theta = [template.theta(T) for template, T in zip(self.templates, moved, strict=True)]
        return np.asarray(np.concatenate(theta)[self.free])


def trials(T: Array, slope: Array) -> Iterator[Array]:
    """Lower factors to try instead of T, both in scaled coordinates."""
    if np.abs(np.diag(T)).min() > NEARLY_SINGULAR:
        return
    downhill = slope @ T
    length = np.linalg.norm(downhill)
    if length > FLAT and len(T) > 1:  # one variance alone hides nothing
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
