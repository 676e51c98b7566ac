"""Directions of random effects without variance, of few coefficients each, and designs turned to them."""

from dataclasses import dataclass, replace

import numpy as np

from bimixed.covariance import Array, null_directions
from bimixed.design import Design, LevelRows
from bimixed.inference.by_ml import engine
from bimixed.inference.rlrt import without
from bimixed.likelihood.objective import relative_factors
from bimixed.results import MixedModelResult

NOTHING = 1e-3
"""Share of a direction below which a coefficient has no part in it."""


@dataclass(frozen=True)
class Direction:
    """A combination v'b of the random coefficients of a level that doesn't vary between levels.

    Attributes
    ----------
    place : int
        Of the factor in the design.
    block : slice
        The coefficients that are free to be correlated with those of the direction.
    weights : (K,) array
        v, 1 at the pivot, 0 outside the block.
    pivot : int
        The coefficient that the others determine.
    size : float
        Root mean square of what a unit of v'b adds to the response and no other combination of the
        coefficients does.
    """

    place: int
    block: slice
    weights: Array
    pivot: int
    size: float

    @property
    def involved(self) -> list[int]:
        """Coefficients with a weight."""
        return [int(k) for k in np.flatnonzero(self.weights)]

    def label(self, names: tuple[str, ...]) -> str:
        """In words, such as ``Intercept - 0.3·Days``."""
        text = names[self.pivot]
        for k in self.involved:
            if k != self.pivot:
                w = self.weights[k]
                text += f" {'-' if w < 0 else '+'} {abs(w):.4g}·{names[k]}"
        return text


def lost_directions(fit: MixedModelResult) -> list[Direction]:
    """Directions without variance of a likelihood fit, none where it is regular."""
    refitter = engine(fit, "explain_singular")
    coordinates, unidentified = refitter.setup.coordinates, refitter.setup.unidentified
    T = relative_factors(refitter.problem.cp, refitter.theta)
    found = []
    for place, factor in enumerate(fit.design.factors):
        H, sizes = T[place] @ T[place].T, coordinates.sizes[place]
        sizes = np.where(sizes > 0.0, sizes, 1.0)
        for block in factor.template.sub_blocks():
            own = [k for k in range(block.start, block.stop) if k not in unidentified.get(place, [])]
            null = null_directions(H[np.ix_(own, own)], np.ones(len(own))) if own else []
            if not null:
                continue
            M = coordinates.M[place][np.ix_(own, own)]
            shares = np.linalg.solve(M.T, np.column_stack(null)) / sizes[own][:, None]
            for share in _sparse_basis(shares):
                v = np.zeros(factor.n_coefficients)
                v[own] = np.where(np.abs(share) < NOTHING * np.abs(share).max(), 0.0, share * sizes[own])
                pivot = _pivot(factor.names, v / sizes)
                v /= v[pivot]
                size = float(1.0 / np.linalg.norm(M.T @ v[own]))
                found.append(Direction(place, block, v, pivot, size))
    return found


def _pivot(names: tuple[str, ...], shares: Array) -> int:
    """The intercept where it takes part, else what adds most."""
    taking = np.flatnonzero(shares)
    intercept = [k for k in taking if names[k] == "Intercept"]
    return int(intercept[0] if intercept else np.argmax(np.abs(shares)))


def _sparse_basis(shares: Array) -> list[Array]:
    """A basis of the span of (K, m), m vectors: single coefficients first, the rest by elimination."""
    K, m = shares.shape
    Q = np.linalg.qr(shares)[0]
    alone = [k for k in range(K) if 1.0 - Q[k] @ Q[k] < NOTHING**2]
    basis = [np.eye(K)[k] for k in alone]
    if len(alone) >= m:
        return basis[:m]
    Q[alone] = 0.0
    rows = np.linalg.svd(Q)[0][:, : m - len(alone)].T
    for i in range(len(rows)):
        column = int(np.argmax(np.abs(rows[i])))
        rows[i] /= rows[i, column]
        others = np.arange(len(rows)) != i
        rows[others] -= np.outer(rows[others, column], rows[i])
    return basis + list(rows)


def turned(design: Design, direction: Direction) -> Design:
    """The same model with v'b as a coefficient, in the pivot's place."""
    factor = design.factors[direction.place]
    v, pivot = direction.weights, direction.pivot
    if len(direction.involved) == 1:
        return design
    rows = factor.level_rows
    values = rows.values - np.outer(rows.values[:, pivot], v)
    values[:, pivot] = rows.values[:, pivot]
    names = list(factor.names)
    names[pivot] = direction.label(factor.names)
    new = replace(factor, rows=LevelRows(rows.codes, values, rows.n_levels, rows.labels), names=tuple(names))
    place = direction.place
    return replace(design, factors=(*design.factors[:place], new, *design.factors[place + 1 :]))


def dropped(design: Design, direction: Direction) -> Design:
    """The model in which v'b is 0 for every level."""
    return without(turned(design, direction), direction.place, [direction.pivot])
