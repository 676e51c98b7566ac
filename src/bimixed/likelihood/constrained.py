"""The deviance as a function of one parameter of interest, c, and of free coordinates z of everything else.

A point is q = (z, c). z lists entries of θ, in the coordinates of the fit. Where c is about one block of
T, that block is written in a basis that begins with the coefficients meant: the first row of T is then
the sd of the first coefficient, and the second row an sd and an angle, so that holding them leaves
everything else without constraint. An sd is σ times the length of a row; it is held by making log σ² a
coordinate. Nothing is bounded: columns of T may change their sign, which is the same covariance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array, lower_root
from bimixed.likelihood.coordinates import Coordinates
from bimixed.likelihood.held import Coefficient, hold
from bimixed.likelihood.objective import relative_factors
from bimixed.likelihood.points import WORST, At
from bimixed.likelihood.problem import Problem

Ints = NDArray[np.intp]


class Constrained(Protocol):
    """What a profile asks of a criterion.

    Attributes
    ----------
    start : (m + 1,) array
        The optimum, c last.
    lower, upper : float
        Between which c lies.
    columns : sequence of int arrays
        Coordinates that are columns of some T by themselves: where all are 0, slopes are, too.
    """

    @property
    def start(self) -> Array: ...

    @property
    def lower(self) -> float: ...

    @property
    def upper(self) -> float: ...

    @property
    def columns(self) -> Sequence[Ints]: ...

    def __call__(self, q: Array) -> tuple[float, Array]:
        """Deviance and slopes, (m + 1,); a worst value and zeros where it can't be computed."""
        ...

    def value(self, c: float) -> float:
        """The parameter on its own scale."""
        ...

    def theta(self, q: Array) -> Array:
        """θ, (m,), in the coordinates of the fit."""
        ...

    def alternatives(self, q: Array) -> list[Array]:
        """Points that may be lower where coordinates have lost their effect."""
        ...

    def rest(self, q: Array) -> tuple[float, Array] | None:
        """σ² and fixed effects (in the orthogonal basis) at their best given q; None where not computable."""
        ...


@dataclass(frozen=True)
class Block:
    """A block of one factor's T̃ in another basis: T̃ = lower_root(C T').

    Attributes
    ----------
    place : int
    used : (K,) int array
        Coefficients of the factor that are in it.
    C : (K, K) array
    places : int array
        Entries of θ, over all factors, that make up the lower triangle of the block.
    """

    place: int
    used: Ints
    C: Array
    places: Ints

    @property
    def triangle(self) -> tuple[Ints, Ints]:
        """Rows and columns of the entries at ``places``."""
        rows, cols = np.tril_indices(len(self.used))
        return rows, cols


def block_of(
    problem: Problem, coordinates: Coordinates, place: int, meant: Sequence[int]
) -> tuple[Block, Array]:
    """The block that has these coefficients, in a basis that begins with them, and their units.

    With W = MM' the inverse of the covariates' mean products, M' = chol(W) for another order of coefficients
    gives a basis of uncorrelated covariates whose first element is the first coefficient, as M does for
    the order of the design. A second coefficient, and the first with it, stand for themselves.
    """
    templates = problem.cp.templates
    template = templates[place]
    start = sum(t.n_theta for t in templates[:place])
    within = template.factor(problem.free[start : start + template.n_theta].astype(float))
    (block,) = [b for b in template.sub_blocks() if b.start <= meant[0] < b.stop]
    used = np.array([k for k in range(block.start, block.stop) if within[k, k] > 0], dtype=np.intp)
    first = [int(np.flatnonzero(used == k)[0]) for k in meant]
    order = np.array([*first, *(k for k in range(len(used)) if k not in first)], dtype=np.intp)
    M = coordinates.M[place][np.ix_(used, used)]
    ordered = M[order]
    new = np.linalg.cholesky(ordered @ ordered.T)
    units = np.sqrt(np.einsum("ij,ij->i", new, new))[: len(meant)]
    E = np.eye(len(used))
    h = len(meant)
    E[:h, :h] = new[:h, :h] / units[:, None]
    C = np.linalg.solve(ordered, new @ np.linalg.inv(E))
    places = np.full((template.size, template.size), -1, dtype=np.intp)
    places[template.positions] = start + np.arange(template.n_theta)
    rows, cols = np.tril_indices(len(used))
    return Block(place, used, C, places[used[rows], used[cols]]), units


@dataclass(frozen=True)
class Base:
    """What all criteria share: where the fit is, and the free entries of θ outside the block.

    Attributes
    ----------
    problem : Problem
    optimum : (m,) array
        θ.
    sigma2 : float
        σ² there.
    block : Block or None
    """

    problem: Problem
    optimum: Array
    sigma2: float
    block: Block | None

    @cached_property
    def others(self) -> Ints:
        """Entries of θ that are coordinates as they are."""
        free = self.problem.free.copy()
        if self.block is not None:
            free[self.block.places] = False
        return np.flatnonzero(free)

    @cached_property
    def T_start(self) -> Array:
        """T' at the optimum."""
        if self.block is None:
            raise AssertionError("there is no block")
        T = np.zeros((len(self.block.used),) * 2)
        T[self.block.triangle] = self.optimum[self.block.places]
        return lower_root(np.linalg.solve(self.block.C, T))

    def assembled(self, z: Array, T: Array | None) -> Array:
        """θ of the other entries, (others,), and T'."""
        theta = np.zeros(len(self.problem.free))
        theta[self.others] = z[: len(self.others)]
        if self.block is not None and T is not None:
            theta[self.block.places] = lower_root(self.block.C @ T)[self.block.triangle]
        return theta

    def alternatives(self, q: Array) -> list[Array]:
        """None, in most coordinates."""
        return []

    def rest(self, q: Array) -> tuple[float, Array] | None:
        """σ² and fixed effects (in the orthogonal basis) at their best given q; None where not computable."""
        at = self.at(self.theta(q))
        return None if at is None else self.best(q, at)

    def theta(self, q: Array) -> Array:
        """θ, (m,), in the coordinates of the fit."""
        raise NotImplementedError

    def best(self, q: Array, at: At) -> tuple[float, Array]:
        """σ² and fixed effects given q, where nothing but θ is held."""
        return at.sigma2, at.gamma

    def at(self, theta: Array) -> At | None:
        """The criterion at θ, or None where it can't be computed."""
        found = self.problem(self.problem.coordinates(theta))
        return found if isinstance(found, At) else None

    def slopes(self, theta: Array, by_H: list[Array]) -> Array:
        """∂D in the other entries."""
        T = relative_factors(self.problem.cp, theta)
        parts = [
            2.0 * template.theta(G @ own)
            for template, G, own in zip(self.problem.cp.templates, by_H, T, strict=True)
        ]
        return np.concatenate(parts)[self.others]

    def block_slopes(self, T: Array, by_H: list[Array]) -> Array:
        """∂D/∂T', (K, K)."""
        if self.block is None:
            raise AssertionError("there is no block")
        b = self.block
        G = by_H[b.place][np.ix_(b.used, b.used)]
        return 2.0 * (b.C.T @ G @ b.C @ T)

    @cached_property
    def other_columns(self) -> list[Ints]:
        """Coordinates outside the block, by column of T."""
        place_of, column_of = [], []
        for place, template in enumerate(self.problem.cp.templates):
            place_of += [place] * template.n_theta
            column_of += template.positions[1].tolist()
        groups: dict[tuple[int, int], list[int]] = {}
        for i, entry in enumerate(self.others):
            groups.setdefault((place_of[entry], column_of[entry]), []).append(i)
        return [np.array(group, dtype=np.intp) for group in groups.values()]

    def block_columns(self, rows: Ints, cols: Ints, first: int) -> list[Ints]:
        """Coordinates of T' that are whole columns: those from ``first`` on."""
        here = len(self.others) + np.arange(len(rows))
        return [here[cols == c] for c in range(first, int(cols.max(initial=-1)) + 1)]


def failed(q: Array) -> tuple[float, Array]:
    """Where the criterion can't be computed."""
    return WORST, np.zeros(len(q))


@dataclass(frozen=True)
class HeldSigma(Base):
    """c = log of σ over that of the fit; ``unit`` is σ of the fit as reported."""

    unit: float
    lower: float = -np.inf
    upper: float = np.inf

    @property
    def start(self) -> Array:
        return np.append(self.optimum[self.others], 0.0)

    @property
    def columns(self) -> list[Ints]:
        return self.other_columns

    def best(self, q: Array, at: At) -> tuple[float, Array]:
        return self.sigma2 * float(np.exp(2.0 * q[-1])), at.gamma

    def value(self, c: float) -> float:
        return float(self.unit * np.exp(c))

    def theta(self, q: Array) -> Array:
        return self.assembled(q[:-1], None)

    def __call__(self, q: Array) -> tuple[float, Array]:
        theta = self.theta(q)
        at = self.at(theta)
        if at is None:
            return failed(q)
        held = hold(at, self.sigma2 * float(np.exp(2.0 * q[-1])))
        return held.deviance, np.append(self.slopes(theta, held.H), 2.0 * held.log_variance)


@dataclass(frozen=True)
class HeldCoefficient(Base):
    """c = a fixed coefficient, from its estimate in units of its standard error.

    Attributes
    ----------
    direction : (p,) array
    estimate, unit : float
    least_squares : float
        Its least-squares estimate.
    """

    direction: Array
    estimate: float
    unit: float
    least_squares: float
    lower: float = -np.inf
    upper: float = np.inf

    @property
    def start(self) -> Array:
        return np.append(self.optimum[self.others], 0.0)

    @property
    def columns(self) -> list[Ints]:
        return self.other_columns

    def best(self, q: Array, at: At) -> tuple[float, Array]:
        held = hold(at, coefficient=self._held(q))
        return held.sigma2, held.gamma

    def _held(self, q: Array) -> Coefficient:
        return Coefficient(self.direction, self.estimate - self.least_squares + q[-1] * self.unit)

    def value(self, c: float) -> float:
        return self.estimate + c * self.unit

    def theta(self, q: Array) -> Array:
        return self.assembled(q[:-1], None)

    def __call__(self, q: Array) -> tuple[float, Array]:
        theta = self.theta(q)
        at = self.at(theta)
        if at is None:
            return failed(q)
        held = hold(at, coefficient=self._held(q))
        return held.deviance, np.append(self.slopes(theta, held.H), held.coefficient * self.unit)


@dataclass(frozen=True)
class HeldSd(Base):
    """c = an sd over the fit's σ, in units of its covariate; ``unit`` makes it the sd.

    z: other entries of θ, T' without its first entry, log σ² over that of the fit.
    """

    unit: float
    lower: float = 0.0
    upper: float = np.inf

    @cached_property
    def _rest(self) -> tuple[Ints, Ints]:
        rows, cols = np.tril_indices(len(self.T_start))
        return rows[1:], cols[1:]

    @property
    def start(self) -> Array:
        T = self.T_start
        return np.concatenate([self.optimum[self.others], T[self._rest], [0.0, T[0, 0]]])

    @property
    def columns(self) -> list[Ints]:
        return [*self.other_columns, *self.block_columns(*self._rest, 1)]

    def best(self, q: Array, at: At) -> tuple[float, Array]:
        return self.sigma2 * float(np.exp(q[-2])), at.gamma

    def value(self, c: float) -> float:
        return float(c * self.unit)

    def _factor(self, q: Array) -> Array:
        T = np.zeros_like(self.T_start)
        T[self._rest] = q[len(self.others) : -2]
        T[0, 0] = q[-1] * np.exp(-0.5 * q[-2])
        return T

    def theta(self, q: Array) -> Array:
        return self.assembled(q, self._factor(q))

    def __call__(self, q: Array) -> tuple[float, Array]:
        if abs(q[-2]) > 100.0:
            return failed(q)
        T = self._factor(q)
        theta = self.assembled(q, T)
        at = self.at(theta)
        if at is None:
            return failed(q)
        held = hold(at, self.sigma2 * float(np.exp(q[-2])))
        by_T = self.block_slopes(T, held.H)
        last = [held.log_variance - 0.5 * T[0, 0] * by_T[0, 0], by_T[0, 0] * np.exp(-0.5 * q[-2])]
        return held.deviance, np.concatenate([self.slopes(theta, held.H), by_T[self._rest], last])
