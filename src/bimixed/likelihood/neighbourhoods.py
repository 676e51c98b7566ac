"""The covariance that all effects of a few rows have together, given the response, β and θ.

A *unit* is a set of rows: those of a level, say. Its *neighbourhood* is the levels that its rows touch, and
the trailing columns that are coupled with these. Within it an effect depends on later ones of the elimination
alone, b_j = W_j(z − N_j b_later) with W_j = T_jG_j' and standard normal z, and so P comes from the trailing
part's backwards, in dense matrices of the neighbourhood's size, units of one shape at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed import dense
from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts
from bimixed.likelihood.factorization import Factorization
from bimixed.sparse import Analysis

Ints = NDArray[np.intp]

CHUNK = 4_000_000
"""Numbers in the largest stack of covariances."""
LARGEST = 25_000_000
"""Numbers in P between chain and trailing part that are computed together."""
LARGE = dense.SMALL_PRODUCT
"""Multiplications of a product beyond which the matrices of a stack are multiplied one by one."""


@dataclass(frozen=True)
class Touched:
    """Which items each unit touches, levels of a factor or trailing columns; sorted by unit, then item.

    Attributes
    ----------
    keys : (·,) int array
        unit · n_items + item.
    n_units, n_items : int
    """

    keys: Ints
    n_units: int
    n_items: int

    @staticmethod
    def of(units: Ints, items: Ints, n_units: int, n_items: int) -> "Touched":
        """Of pairs in any order, any number of times."""
        return Touched(np.unique(units * max(n_items, 1) + items), n_units, max(n_items, 1))

    @property
    def units(self) -> Ints:
        return np.asarray(self.keys // self.n_items)

    @property
    def items(self) -> Ints:
        return np.asarray(self.keys % self.n_items)

    @cached_property
    def counts(self) -> Ints:
        return np.bincount(self.units, minlength=self.n_units)

    @cached_property
    def starts(self) -> Ints:
        return np.concatenate([[0], np.cumsum(self.counts)])

    def place(self, units: Ints, items: Ints) -> Ints:
        """Where items stand among those of their unit."""
        return np.searchsorted(self.keys, units * self.n_items + items) - self.starts[units]

    def table(self, units: Ints) -> Ints:
        """Items of units that touch equally many, (units, items)."""
        width = int(self.counts[units[0]])
        return np.asarray(self.keys[self.starts[units][:, None] + np.arange(width)] % self.n_items)


@dataclass(frozen=True)
class Coupled:
    """Pairs of a chain factor in a batch: which, and places of their unit, level and column."""

    pairs: Ints
    units: Ints
    levels: Ints
    columns: Ints


@dataclass(frozen=True)
class Batch:
    """Neighbourhoods of one shape.

    Attributes
    ----------
    cp : CrossProducts
    units : (U,) int array
    levels : tuple of (U, c) int arrays
        By chain factor.
    parents : tuple of lists of (U, c) int arrays
        For each chain factor, where the parent stands among ``levels`` of each later one.
    coupled : tuple of Coupled
        By chain factor.
    columns : (U, c) int array
        Trailing columns.
    closed : bool
        Whether these are all that the levels are coupled with.
    """

    cp: CrossProducts
    units: Ints
    levels: tuple[Ints, ...]
    parents: tuple[list[Ints], ...]
    coupled: tuple[Coupled, ...]
    columns: Ints
    closed: bool

    @cached_property
    def starts(self) -> list[int]:
        """Where each chain factor's coefficients start, then the trailing columns, and where those end."""
        sizes = [
            levels.shape[1] * f.template.size for f, levels in zip(self.cp.chain, self.levels, strict=True)
        ]
        return [0, *np.cumsum([*sizes, self.columns.shape[1]]).tolist()]

    @property
    def width(self) -> int:
        """m, the effects of a neighbourhood."""
        return self.starts[-1]

    def effects(self, by_place: Sequence[Array]) -> Array:
        """Rows of (L, K, r) arrays by place of the factor, (U, m, r)."""
        r = by_place[0].shape[2]
        parts = [
            by_place[f.place][levels].reshape(len(self.units), -1, r)
            for f, levels in zip(self.cp.chain, self.levels, strict=True)
        ]
        if self.columns.shape[1]:
            trailing = np.concatenate([by_place[t.place].reshape(-1, r) for t in self.cp.trailing])
            parts.append(trailing[self.columns])
        return np.concatenate(parts, axis=1)

    def covariance(self, fact: Factorization) -> Array:
        """P within each neighbourhood, (U, m, m)."""
        if not self.closed:
            return np.stack([self._of_touched(fact, unit) for unit in range(len(self.units))])
        U, m, first = len(self.units), self.width, self.starts
        P = np.empty((U, m, m))
        if fact.trailing is not None:
            P[:, first[-2] :, first[-2] :] = fact.trailing.within(self.columns, self._places)
        for j in reversed(range(len(fact.steps))):
            step, levels = fact.steps[j], self.levels[j]
            K, c = step.A.shape[1], levels.shape[1]
            W = (step.T @ step.G.mT)[levels]
            own, later = slice(first[j], first[j + 1]), slice(first[j + 1], m)
            within = np.zeros((U, c, K, c, K))
            within[:, range(c), :, range(c), :] = np.swapaxes(W @ W.mT, 0, 1)
            P[:, own, own] = within.reshape(U, c * K, c * K)
            if first[j + 1] == m:
                continue
            slopes = -(W @ self._couplings(fact, j)).reshape(U, c * K, -1)
            across = stacked_product(slopes, P[:, later, later])
            P[:, own, own] += stacked_product(across, slopes.mT)
            P[:, own, later] = across
            P[:, later, own] = across.mT
        return P

    def _of_touched(self, fact: Factorization, unit: int) -> Array:
        """P of one unit's effects, from that of the chain's effects with all trailing columns, (m, m)."""
        P, first, columns = np.empty((self.width, self.width)), self.starts, self.columns[unit]
        trailing = slice(first[-2], first[-1])
        P[trailing, trailing] = fact.trailing.within(columns[None], None)[0] if fact.trailing else 0.0
        levels = [own[unit] for own in self.levels]
        rows = [
            (own[:, None] * len(step.T) + np.arange(len(step.T))).ravel()
            for own, step in zip(levels, fact.steps, strict=True)
        ]
        for j in reversed(range(len(levels))):
            step, own = fact.steps[j], slice(first[j], first[j + 1])
            W, shape = (step.T @ step.G.mT)[levels[j]], (len(levels[j]), len(step.T), -1)
            P[own, trailing] = fact.across[j][np.ix_(rows[j], columns)]
            P[trailing, own] = P[own, trailing].T
            coupling = step.coupling.rows(rows[j])
            for k in reversed(range(j, len(levels))):
                other = slice(first[k], first[k + 1])
                half = coupling.times(np.ascontiguousarray(fact.across[k][rows[k]].T)).reshape(shape)
                for i, N in enumerate(step.scaled_couplings.N):
                    later = P[first[j + 1 + i] : first[j + 2 + i], other]
                    by_level = later.reshape(-1, N.shape[2], later.shape[1])
                    half = half + N[levels[j]] @ by_level[self.parents[j][i][unit]]
                block = -(W @ half)
                if k == j:
                    block = block.reshape(*shape[:2], *shape[:2])
                    block[range(shape[0]), :, range(shape[0])] += W @ W.mT
                P[own, other] = block.reshape(len(rows[j]), -1)
                P[other, own] = P[own, other].T
        return P

    def _couplings(self, fact: Factorization, j: int) -> Array:
        """GT'N of a chain factor's levels with everything after it, (U, c, K, m_later)."""
        step, levels, first = fact.steps[j], self.levels[j], self.starts
        U, c = levels.shape
        K, begin = step.A.shape[1], first[j + 1]
        out = np.zeros((U, c, K, self.width - begin))
        rows, columns = np.arange(U)[:, None], np.arange(c)
        for i, (N, parent) in enumerate(zip(step.scaled_couplings.N, self.parents[j], strict=True)):
            K_parent = N.shape[2]
            at = first[j + 1 + i] - begin + parent * K_parent
            for b in range(K_parent):
                out[rows, columns, :, at + b] = N[levels][..., b]
        own = self.coupled[j]
        out[own.units, own.levels, :, first[-2] - begin + own.columns] = step.scaled_couplings.C[own.pairs]
        return out

    @cached_property
    def _places(self) -> Ints | None:
        """Where pairs of the columns stand on a sparse pattern, −1 off it; (U, c, c)."""
        analysis: Analysis | None = self.cp.analysis
        if analysis is None:
            return None
        return analysis.find(self.columns[:, :, None], self.columns[:, None, :])


@dataclass(frozen=True)
class Neighbourhoods:
    """The neighbourhoods of units.

    Attributes
    ----------
    cp : CrossProducts
    levels : tuple of Touched
        By chain factor.
    columns : Touched
        Trailing columns.
    closed : bool
        Whether they hold all that the levels are coupled with, or only the rows' own.
    """

    cp: CrossProducts
    levels: tuple[Touched, ...]
    columns: Touched
    closed: bool

    @staticmethod
    def of(
        cp: CrossProducts, units: Ints, n_units: int, codes: Sequence[Ints], Z: sp.csr_array
    ) -> "Neighbourhoods":
        """Those of the units that rows belong to.

        Parameters
        ----------
        cp : CrossProducts
        units : (n,) int array
        n_units : int
        codes : sequence of (n,) int arrays
            Levels of the rows, by chain factor.
        Z : (n, q) csr_array
            The rows' trailing columns.
        """
        levels = tuple(
            Touched.of(units, own, n_units, f.n_levels) for own, f in zip(codes, cp.chain, strict=True)
        )
        of_units, of_columns = [np.repeat(units, np.diff(Z.indptr))], [Z.indices.astype(np.intp)]
        closed = _is_closed(cp, levels)
        for f, touched in zip(cp.chain if closed else (), levels, strict=False):
            pairs, at = _pairs_of(f.pairs.row_starts, touched.items)
            of_units.append(touched.units[at])
            of_columns.append(f.pairs.columns[pairs])
        columns = Touched.of(np.concatenate(of_units), np.concatenate(of_columns), n_units, cp.width)
        return Neighbourhoods(cp, levels, columns, closed)

    @cached_property
    def widths(self) -> Ints:
        """Effects of each unit's neighbourhood."""
        sizes = [f.template.size * t.counts for f, t in zip(self.cp.chain, self.levels, strict=True)]
        return np.asarray(sum(sizes) + self.columns.counts)

    def batches(self, weights: Ints, limit: int) -> Iterator[Batch]:
        """Units of one shape, as many together as have bounded covariances and bounded weights."""
        shapes = np.column_stack([*(t.counts for t in self.levels), self.columns.counts])
        order = np.lexsort(shapes.T)
        borders = np.flatnonzero((np.diff(shapes[order], axis=0) != 0).any(axis=1)) + 1
        for alike in np.split(order, borders):
            each = max(1, CHUNK // int(self.widths[alike[0]]) ** 2)
            new = np.diff(np.arange(len(alike)) // each) | np.diff(np.cumsum(weights[alike]) // limit)
            for units in np.split(alike, np.flatnonzero(new) + 1):
                yield self._batch(np.sort(units))

    def _batch(self, units: Ints) -> Batch:
        levels = tuple(t.table(units) for t in self.levels)
        parents, coupled = [], []
        for j, (f, own) in enumerate(zip(self.cp.chain, levels, strict=True)):
            later = zip(self.levels[j + 1 :], f.parents, strict=True)
            parents.append([touched.place(units[:, None], parent[own]) for touched, parent in later])
            pairs, at = _pairs_of(f.pairs.row_starts, own.ravel() if self.closed else own.ravel()[:0])
            unit, level = np.divmod(at, own.shape[1])
            column = self.columns.place(units[unit], f.pairs.columns[pairs])
            coupled.append(Coupled(pairs, unit, level, column))
        return Batch(
            self.cp, units, levels, tuple(parents), tuple(coupled), self.columns.table(units), self.closed
        )


def _is_closed(cp: CrossProducts, levels: Sequence[Touched]) -> bool:
    """Whether neighbourhoods have every column that their levels are coupled with.

    Not where units touch many levels and the trailing part is dense: all levels' P with it costs less then.
    """
    size = cp.width * sum(f.n_levels * f.template.size for f in cp.chain)
    lone = all(touched.counts.max() <= 1 for touched in levels)
    return lone or not cp.width or cp.analysis is not None or size > LARGEST


def stacked_product(left: Array, right: Array) -> Array:
    """left @ right for stacks of matrices, large ones each by the BLAS that all large ones go to."""
    if left[0].size * right.shape[2] <= LARGE:
        return left @ right
    return np.stack([dense.product(a, b) for a, b in zip(left, right, strict=True)])


def _pairs_of(row_starts: Ints, levels: Ints) -> tuple[Ints, Ints]:
    """The pairs of levels, one level after the other, and which of the given levels each belongs to."""
    counts = np.diff(row_starts)[levels]
    at = np.repeat(np.arange(len(levels)), counts)
    within = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts)
    return row_starts[levels][at] + within, at
