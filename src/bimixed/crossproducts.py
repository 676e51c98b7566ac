"""Weighted cross-products of the design: all that either engine needs of the rows.

Fixed effects and response enter in an orthogonal basis, [Q e] (:mod:`bimixed.fixed_basis`).

Order of the factors. The first factor has the most coefficients. It and the factors it is nested in
(each one nested in the next) make the *chain*: eliminating one leaves the next block-diagonal. The
other factors, crossed with the chain, make the *trailing* part, which fills in and is kept dense.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed import dense
from bimixed.covariance import Array, CovarianceTemplate
from bimixed.design import Design, LevelRows, RandomFactor, parents
from bimixed.exceptions import FitError
from bimixed.fixed_basis import FixedBasis, FixedPart, root_weights
from bimixed.pairs import Coupling, Pairs
from bimixed.schur import trailing_products
from bimixed.sparse import Analysis, to_lower_pattern
from bimixed.trailing_rows import TrailingRows, by_level, no_pairs, pair_map, trailing_rows

Ints = NDArray[np.intp]


@dataclass(frozen=True)
class ChainFactor:
    """A factor that stays block-diagonal when those before it are eliminated.

    Attributes
    ----------
    place : int
        Which factor of the design it is.
    template : CovarianceTemplate
    A : (L, K, K) array
        Z'WZ of each level.
    ZR : (L, K, p + 1) array
        Z'W[Q e] of each level.
    parents : list of (L,) int arrays
        Level of each *later* chain factor that this one's levels belong to.
    N : list of (L, K, K') arrays
        Z'WZ' with each later chain factor, at the parent's level.
    pairs : Pairs
        Which levels occur together with which trailing columns.
    C : (pairs, K) array
        Z'WZ of these.
    maps : list of (pairs,) int arrays
        For each later chain factor, which of *its* pairs each of these belongs to.
    """

    place: int
    template: CovarianceTemplate
    A: Array
    ZR: Array
    parents: list[Ints]
    N: list[Array]
    pairs: Pairs
    C: Array
    maps: list[Ints]

    @property
    def n_levels(self) -> int:
        return len(self.A)

    @cached_property
    def coupling(self) -> Coupling:
        """C as a matrix, (L·K, q)."""
        return self.pairs.operator(self.C)


@dataclass(frozen=True)
class TrailingFactor:
    """A factor of the trailing part: it holds columns ``start`` to ``start + L·K``."""

    place: int
    template: CovarianceTemplate
    start: int
    n_levels: int

    @property
    def columns(self) -> slice:
        return slice(self.start, self.start + self.n_levels * self.template.size)


@dataclass(frozen=True)
class CrossProducts:
    """Sufficient statistics of the linear mixed model.

    Attributes
    ----------
    n, p : int
        Rows, and independent fixed-effects columns that aren't absorbed.
    weight_scale : float
        Geometric mean c of the weights. W holds weights divided by it, so that σ² here is that of a
        row of average weight, σ²/c, whatever the units of the weights.
    basis : FixedBasis
    RR : (p + 1, p + 1) array
        [Q e]'W[Q e].
    chain : tuple of ChainFactor
    trailing : tuple of TrailingFactor
    S : (q, q) array or csr_array
        Z'WZ of the trailing factors; sparse where there is an analysis, or where it is large and mostly 0.
    analysis : Analysis or None
        How the trailing part is factorized where that is done sparsely.
    bare : CrossProducts or None
        Those of the random effects alone, where fixed effects are absorbed: what log |V| is made of.
    ZR : (q, p + 1) array
        Z'W[Q e] of the trailing factors.
    """

    n: int
    p: int
    weight_scale: float
    basis: FixedBasis
    RR: Array
    chain: tuple[ChainFactor, ...]
    trailing: tuple[TrailingFactor, ...]
    S: Array | sp.csr_array
    ZR: Array
    analysis: Analysis | None = None
    bare: "CrossProducts | None" = None

    @property
    def rank(self) -> int:
        """Independent fixed-effects columns, absorbed ones included."""
        absorbed = self.basis.absorbed
        return self.p + (0 if absorbed is None else len(absorbed.columns))

    def df(self, reml: bool) -> int:
        """Degrees of freedom of the residual variance."""
        return self.n - self.rank if reml else self.n

    @property
    def width(self) -> int:
        """Columns of the trailing part."""
        return len(self.ZR)

    def times_S(self, right: Array) -> Array:
        """S times (q, r)."""
        if isinstance(self.S, np.ndarray):
            return dense.product(self.S, right)
        return np.asarray(self.S @ right)

    def dense_S(self) -> Array:
        """A copy of S, dense."""
        return np.array(self.S) if isinstance(self.S, np.ndarray) else np.asarray(self.S.toarray())

    @cached_property
    def S_lower(self) -> Array:
        """S on the analysed pattern."""
        if self.analysis is None or isinstance(self.S, np.ndarray):
            raise AssertionError("the trailing part is dense")
        return to_lower_pattern(self.analysis, self.S)

    @property
    def templates(self) -> list[CovarianceTemplate]:
        """Templates of the factors in the design's order."""
        by_place = {f.place: f.template for f in self.chain}
        by_place |= {f.place: f.template for f in self.trailing}
        return [by_place[place] for place in sorted(by_place)]


@dataclass(frozen=True)
class Preparation:
    """All cross-products of a design that don't depend on the response; a response takes one pass more.

    Attributes
    ----------
    design : Design
    fixed : FixedPart
    weight_scale : float
        Geometric mean of the weights.
    factors : tuple of RandomFactor
        Those of the design, and absorbed columns.
    values : mapping
        Weighted values of the chain factors, by place.
    trailing : TrailingRows or None
        Weighted rows of the trailing factors, where there are any.
    empty : CrossProducts
        With a response of zeros.
    """

    design: Design
    fixed: FixedPart
    weight_scale: float
    factors: tuple[RandomFactor, ...]
    values: Mapping[int, Array]
    trailing: TrailingRows | None
    empty: CrossProducts

    def with_response(self, y: Array) -> CrossProducts:
        """The cross-products of one response (offset not subtracted), shape (n,).

        Raises
        ------
        FitError
            If the fixed effects fit it exactly.
        """
        design = self.design
        if design.offset is not None:
            y = y - design.offset
        basis, e = self.fixed.response(y)
        if basis.rss <= 1e-24 * max(basis.total, np.finfo(float).tiny):
            raise FitError(
                "The fixed effects fit the response exactly: no residual variance is left to split "
                "between groups and rows. Remove the predictors that determine the response."
            )
        chain = []
        for f in self.empty.chain:
            ZR = f.ZR.copy()
            ZR[:, :, -1:] = by_level(
                self.factors[f.place].codes, f.n_levels, self.values[f.place], e[:, None]
            )
            chain.append(replace(f, ZR=ZR))
        ZR, RR = self.empty.ZR.copy(), self.empty.RR.copy()
        if self.trailing is not None:
            ZR[:, -1:] = self.trailing.times(e[:, None])
        RR[-1, -1] = basis.rss
        return replace(self.empty, basis=basis, chain=tuple(chain), ZR=ZR, RR=RR)


def cross_products(design: Design) -> CrossProducts:
    """Reduce a design to its cross-products; the rows are not needed afterwards.

    Raises
    ------
    FitError
        If the fixed effects alone fit the response exactly, or use up every row.
    """
    return prepare(design).with_response(design.y)


def prepare(design: Design) -> Preparation:
    """The part of the cross-products that every response of a design shares.

    Raises
    ------
    FitError
        If the fixed effects use up every row.
    """
    weight_scale, root = root_weights(design)
    fixed = FixedPart.of(design, root)
    factors, n, p = _with_absorbed(design), design.n, fixed.Q.shape[1]
    chain_order, trailing_order = _elimination_order(factors)
    # Random-effects values carry the root of the weights too, so that plain products are weighted.
    values = {j: _weighted(factors[j].values, root) for j in chain_order}
    rows = trailing_rows([factors[j] for j in trailing_order], root, n)
    Q0 = np.column_stack([fixed.Q, np.zeros(n)])
    chain = _chain_factors(factors, values, chain_order, rows, Q0)
    trailing = _trailing_factors(factors, trailing_order)
    sizes = np.repeat([t.template.size for t in trailing], [t.n_levels for t in trailing])
    S, analysis = (np.zeros((0, 0)), None)
    if rows is not None:
        S, analysis = trailing_products(rows.gram(), sizes, [f.pairs for f in chain])
    empty = CrossProducts(
        n=n,
        p=p,
        weight_scale=weight_scale,
        basis=FixedBasis(fixed.R, np.zeros(p), 0.0, 0.0, fixed.absorbed),
        RR=np.diag(np.append(np.ones(p), 0.0)),
        chain=chain,
        trailing=trailing,
        S=S,
        ZR=np.zeros((0, p + 1)) if rows is None else rows.times(Q0),
        analysis=analysis,
        bare=None if design.wide is None else prepare(design.without_fixed()).empty,
    )
    return Preparation(design, fixed, weight_scale, factors, values, rows, empty)


def _with_absorbed(design: Design) -> tuple[RandomFactor, ...]:
    """The factors of a design, and last the absorbed columns, as effects without a distribution."""
    wide = design.wide
    if wide is None:
        return design.factors
    rows = LevelRows(wide.codes, wide.values[:, None], wide.n_columns)
    levels = pd.RangeIndex(wide.n_columns)
    template = CovarianceTemplate(((1, False),), fixed=True)
    return (*design.factors, RandomFactor("", levels, rows, ("",), template, ()))


def _elimination_order(factors: Sequence[RandomFactor]) -> tuple[list[int], list[int]]:
    """Places of the chain factors, in order, and of the trailing ones."""
    order = sorted(range(len(factors)), key=lambda j: -factors[j].n_levels * factors[j].n_coefficients)
    single = [j for j in order if not factors[j].is_mixed]
    chain = single[:1]
    for j in single[1:]:
        if all(parent_levels(factors[i], factors[j]) is not None for i in chain):
            chain.append(j)
    return chain, [j for j in order if j not in chain]


def parent_levels(inner: RandomFactor, outer: RandomFactor) -> Ints | None:
    """The outer level of each inner level, or None where inner is not nested in outer."""
    return parents(inner.codes, outer.codes, inner.n_levels)


def _trailing_factors(factors: Sequence[RandomFactor], order: list[int]) -> tuple[TrailingFactor, ...]:
    trailing, start = [], 0
    for j in order:
        trailing.append(TrailingFactor(j, factors[j].template, start, factors[j].n_levels))
        start = trailing[-1].columns.stop
    return tuple(trailing)


def _weighted(values: Array, root: Array | None) -> Array:
    return values if root is None else values * root[:, None]


def _chain_factors(
    factors: Sequence[RandomFactor],
    values: Mapping[int, Array],
    order: list[int],
    trailing: TrailingRows | None,
    Qe: Array,
) -> tuple[ChainFactor, ...]:
    pairs = [
        no_pairs(factors[j].n_levels, factors[j].n_coefficients)
        if trailing is None
        else trailing.couple(factors[j].codes, values[j], factors[j].n_levels)
        for j in order
    ]
    chain = []
    for position, j in enumerate(order):
        factor, later = factors[j], order[position + 1 :]
        codes, L = factor.codes, factor.n_levels
        parents = [_required_parent(factor, factors[k]) for k in later]
        own, C = pairs[position]
        chain.append(
            ChainFactor(
                place=j,
                template=factor.template,
                A=by_level(codes, L, values[j], values[j]),
                ZR=by_level(codes, L, values[j], Qe),
                parents=parents,
                N=[by_level(codes, L, values[j], values[k]) for k in later],
                pairs=own,
                C=C,
                maps=[
                    pair_map(parent[own.rows], own.columns, pairs[position + 1 + i][0])
                    for i, parent in enumerate(parents)
                ],
            )
        )
    return tuple(chain)


def _required_parent(inner: RandomFactor, outer: RandomFactor) -> Ints:
    parent = parent_levels(inner, outer)
    if parent is None:
        raise AssertionError("chain factors are nested by construction")
    return parent
