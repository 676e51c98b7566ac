"""Cross-products that add up: those of two tables of one model are those of the tables joined.

Columns are centred before they are multiplied, and the centre is kept: means of 1e8 cost no digits, and sums
of parts with different means are exact (Chan, Golub and LeVeque 1983). Levels are matched by their labels.
"""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed.covariance import Array, CovarianceTemplate
from bimixed.design import Design, RandomFactor
from bimixed.exceptions import DataError
from bimixed.moment_models import require_same_model

Ints = NDArray[np.intp]


@dataclass(frozen=True)
class MomentFactor:
    """One grouping factor or component: what its blocks of the cross-products mean.

    Attributes
    ----------
    key : str
    names : tuple of str
        The K coefficients.
    template : CovarianceTemplate
    levels : pandas.Index
        Labels; every level has K columns side by side.
    is_mixed : bool
        Whether rows combine several levels.
    centre : (K,) array
        What is taken off the covariates beside an intercept: Z stands for Z E⁻¹ in the blocks, where E adds
        the centre times the intercept. Zeros without an intercept.
    counts : (L,) int array
        Rows of each level that have any covariate other than 0.
    plain : (K + 1, K + 1) array
        Unweighted sums of products of [1, Z], covariates about their centre, over all rows.
    """

    key: str
    names: tuple[str, ...]
    template: CovarianceTemplate
    levels: pd.Index
    is_mixed: bool
    centre: Array
    counts: Ints
    plain: Array

    @property
    def size(self) -> int:
        """Columns, levels times coefficients."""
        return len(self.levels) * len(self.names)

    @property
    def intercept(self) -> int | None:
        """Which coefficient is the constant, where centring has a meaning."""
        return self.names.index("Intercept") if "Intercept" in self.names and not self.is_mixed else None

    def uncentred(self, centre: Array | None = None) -> Array:
        """E with Z − centre · 1 = (Z about another centre) E, (K, K); default from covariates as they are."""
        E = np.eye(len(self.names))
        if self.intercept is not None:
            E[self.intercept] += self.centre - (0.0 if centre is None else centre)
        return E


@dataclass(frozen=True)
class Moments:
    """Weighted cross-products of one table; made by :func:`cross_products`, added by ``+``.

    With A = [1, X − c, y − c], offset taken off the response:

    Attributes
    ----------
    names : tuple of str
        Columns of X, then the response.
    n : int
        Rows.
    log_weights : float
        Sum of the logarithms of the weights.
    centre : (p + 1,) array
        c, near the means.
    AA : (p + 2, p + 2) array
        A'WA.
    plain : (p + 2, p + 2) array
        A'A, which is the same without weights.
    factors : tuple of MomentFactor
    ZA : tuple of (L·K, p + 2) arrays
        Z'WA of each factor, covariates about their centre.
    ZZ : mapping, (j, k) with j ≤ k → (L·K, L'·K') csr_array
        Z'WZ of two factors.
    states : str
        What transformations remember of their data; parts with different ones don't add up.
    """

    names: tuple[str, ...]
    n: int
    log_weights: float
    centre: Array
    AA: Array
    plain: Array
    factors: tuple[MomentFactor, ...]
    ZA: tuple[Array, ...]
    ZZ: Mapping[tuple[int, int], sp.csr_array]
    states: str = ""

    def __radd__(self, other: object) -> "Moments":
        """So that ``sum`` adds them, which begins with 0."""
        return self if other == 0 else NotImplemented

    def __add__(self, other: "Moments") -> "Moments":
        """The cross-products of both tables joined.

        Raises
        ------
        DataError
            If the two are not of one model.
        """
        if not isinstance(other, Moments):
            return NotImplemented
        return add_up([self, other])

    def reordered(self, orders: Sequence[Ints], levels: Sequence[pd.Index]) -> "Moments":
        """The same with levels in another order and under other names, factor by factor."""
        factors = tuple(
            replace(f, levels=names, counts=f.counts[order])
            for f, order, names in zip(self.factors, orders, levels, strict=True)
        )
        same = [np.array_equal(order, np.arange(len(order))) for order in orders]
        places = [_columns(order, len(f.names)) for order, f in zip(orders, factors, strict=True)]
        ZA = tuple(
            block if kept else block[place] for block, place, kept in zip(self.ZA, places, same, strict=True)
        )
        ZZ = {
            (j, k): block if same[j] and same[k] else sp.csr_array(block[places[j]][:, places[k]])
            for (j, k), block in self.ZZ.items()
        }
        return replace(self, factors=factors, ZA=ZA, ZZ=ZZ)

    def level_products(self, place: int) -> Array:
        """Z'WZ of each level of a factor that is not mixed, covariates as they are, (L, K, K)."""
        E = self.factors[place].uncentred()
        return np.asarray(E.T @ self.centred_products(place) @ E)

    def centred_products(self, place: int) -> Array:
        """The same of covariates about their centre."""
        factor = self.factors[place]
        K = len(factor.names)
        entries = self.ZZ[place, place].tocoo()
        row, column = entries.coords
        out = np.zeros((len(factor.levels), K, K))
        np.add.at(out, (row // K, row % K, column % K), entries.data)
        return out

    def __repr__(self) -> str:
        levels = ", ".join(f"{f.key} ({len(f.levels)} levels)" for f in self.factors)
        return f"Cross-products of {self.n} rows: {self.names[-1]} on {len(self.names) - 1} columns; {levels}"

    def _repr_html_(self) -> str:
        return f'<div class="bimixed"><p>{html.escape(repr(self))}</p></div>'


def add_up(parts: Sequence[Moments]) -> Moments:
    """The cross-products of several tables of one model joined; levels are sorted.

    Raises
    ------
    DataError
        If they are not of one model.
    """
    first = parts[0]
    for other in parts[1:]:
        require_same_model(first, other)
    moved = [_Moved(part, _centre(parts), _factor_centres(first)) for part in parts]
    factors, places = [], []
    for j, f in enumerate(first.factors):
        levels = f.levels
        for part in parts[1:]:
            own = part.factors[j].levels
            levels = levels if levels.equals(own) else levels.union(own)
        at = [levels.get_indexer(part.factors[j].levels) for part in parts]
        places.append([_columns(codes, len(f.names)) for codes in at])
        counts = np.zeros(len(levels), dtype=np.intp)
        for codes, part in zip(at, parts, strict=True):
            counts[codes] += part.factors[j].counts
        plain = _exact_sum([part.factor_plain[j] for part in moved])
        is_mixed = any(part.factors[j].is_mixed for part in parts)
        factors.append(replace(f, levels=levels, is_mixed=is_mixed, counts=counts, plain=plain))
    ZA = []
    for j, f in enumerate(factors):
        block = np.zeros((f.size, len(first.AA)))
        for own, place in zip(moved, places[j], strict=True):
            block[place] += own.ZA[j]
        ZA.append(block)
    return Moments(
        names=first.names,
        n=sum(part.n for part in parts),
        log_weights=math.fsum(part.log_weights for part in parts),
        centre=_centre(parts),
        AA=_exact_sum([part.AA for part in moved]),
        plain=_exact_sum([part.plain for part in moved]),
        factors=tuple(factors),
        ZA=tuple(ZA),
        ZZ={
            (j, k): _joined(
                [part.ZZ[j, k] for part in moved], places[j], places[k], (factors[j].size, factors[k].size)
            )
            for j, k in first.ZZ
        },
        states=first.states,
    )


def _centre(parts: Sequence[Moments]) -> Array:
    """The common centre: their own where they share one, else the mean of all."""
    first = parts[0].centre
    if all(np.array_equal(part.centre, first) for part in parts):
        return first
    total = sum(part.AA[0, 0] for part in parts)
    return np.asarray(sum((part.AA[0, 0] / total) * part.centre for part in parts))


def _factor_centres(first: Moments) -> list[Array]:
    return [f.centre for f in first.factors]


def _exact_sum(matrices: Sequence[Array]) -> Array:
    """Entry by entry, without rounding between the terms, so that their order doesn't matter."""
    if len(matrices) == 2:
        return np.asarray(matrices[0] + matrices[1])
    stacked = np.stack(matrices)
    flat = stacked.reshape(len(stacked), -1)
    return np.array([math.fsum(column) for column in flat.T]).reshape(stacked.shape[1:])


class _Moved:
    """Moments about other centres."""

    def __init__(self, moments: Moments, centre: Array, centres: Sequence[Array]):
        shift = moments.centre - centre
        move = np.eye(len(moments.AA))
        move[0, 1:] = shift
        same = not shift.any()
        self.AA = _about(moments.AA, shift)
        self.plain = _about(moments.plain, shift)
        E = [
            None if np.array_equal(f.centre, own) else f.uncentred(own)
            for f, own in zip(moments.factors, centres, strict=True)
        ]
        right = moments.ZA if same else [block @ move for block in moments.ZA]
        self.ZA = [by_coefficients(block, own) for block, own in zip(right, E, strict=True)]
        self.ZZ = {(j, k): both_sides(block, E[j], E[k]) for (j, k), block in moments.ZZ.items()}
        self.factor_plain = [
            f.plain if f.intercept is None else _about(f.plain, f.centre - own)
            for f, own in zip(moments.factors, centres, strict=True)
        ]


def _about(products: Array, shift: Array) -> Array:
    """Products of [1, columns] from those of columns that are smaller by ``shift``."""
    if not shift.any():
        return products
    move = np.eye(len(products))
    move[0, 1:] = shift
    return np.asarray(move.T @ products @ move)


def by_coefficients(block: Array, E: Array | None) -> Array:
    """E' of each level times its rows, (L·K, r)."""
    if E is None:
        return block
    return np.asarray(
        np.einsum("ki,lkr->lir", E, block.reshape(-1, len(E), block.shape[1])).reshape(block.shape)
    )


def both_sides(block: sp.csr_array, left: Array | None, right: Array | None) -> sp.csr_array:
    """Blocks of Z'Z with covariates of each side multiplied, (L·K, L'·K')."""
    for E, side in ((left, 0), (right, 1)):
        if E is not None:
            wide = sp.kron(sp.eye_array(block.shape[side] // len(E)), sp.csr_array(E), format="csr")
            block = sp.csr_array(wide.T @ block if side == 0 else block @ wide)
    return block


def cross_products(spec: Any) -> Moments:
    """The cross-products of a specification: all that a likelihood fit needs of the rows.

    Parameters
    ----------
    spec : ModelSpec
        Any way in, weights and offset included.

    Returns
    -------
    Moments
        Those of two specifications of one model on two tables add up, ``a + b``, to those of one
        specification on both tables joined.

    Raises
    ------
    DataError
        If ``spec`` is no specification.

    Examples
    --------
    >>> import bimixed as bm
    >>> data = bm.load_dataset("sleepstudy")
    >>> parts = [data[data["Days"] < 5], data[data["Days"] >= 5]]
    >>> a, b = (bm.cross_products(bm.ModelSpec("Reaction ~ Days + (Days | Subject)", p)) for p in parts)
    >>> a + b
    Cross-products of 180 rows: Reaction on 2 columns; Subject (18 levels)
    """
    if not hasattr(spec, "design"):
        raise DataError(
            f"cross_products takes a ModelSpec, not a {type(spec).__name__}; write "
            "bm.cross_products(bm.ModelSpec(formula, data)), and add the parts: a + b."
        )
    return moments(spec.design)


def moments(design: Design) -> Moments:
    """The cross-products of a design."""
    own = getattr(design, "moments", None)
    if own is not None:
        return own
    if design.wide is not None:
        raise DataError(
            f"A fixed factor has {design.wide.n_columns} columns here, too many for cross-products that add "
            "up. Make it a random effect, (1 | factor), or leave it out."
        )
    y = design.y if design.offset is None else design.y - design.offset
    parts = getattr(design.encoding, "parts", {})
    states = {key: getattr(part.spec, "transform_state", None) for key, part in parts.items()}
    return moments_of_rows(
        (*design.names, design.formula.response),
        np.column_stack([design.X, y]),
        design.weights,
        design.factors,
        states=repr({key: state for key, state in states.items() if state}) if any(states.values()) else "",
    )


def moments_of_rows(
    names: tuple[str, ...],
    columns: Array,
    weights: Array | None,
    factors: Sequence[RandomFactor],
    centre: Array | None = None,
    centres: Sequence[Array] | None = None,
    states: str = "",
) -> Moments:
    """The cross-products of rows.

    Parameters
    ----------
    names : tuple of str
        Columns of X, then the response.
    columns : (n, p + 1) array
        These.
    weights : (n,) array or None
    factors : sequence of RandomFactor
    centre : (p + 1,) array, optional
        Default the weighted means.
    centres : sequence of (K,) arrays, optional
        Those of the covariates of the factors; default their means.
    """
    n = len(columns)
    w = np.ones(n) if weights is None else weights
    centre = (w @ columns) / w.sum() if centre is None else centre
    root = np.sqrt(w)[:, None]
    A = np.column_stack([np.ones(n), columns - centre])
    plain = A.T @ A
    A, rows = A * root, [_centred(f, None if centres is None else centres[j]) for j, f in enumerate(factors)]
    Z = [sp.csr_array(sp.diags_array(root[:, 0]) @ own.matrix()) for own in rows]
    return Moments(
        names=names,
        n=n,
        log_weights=float(np.sum(np.log(w))),
        centre=centre,
        AA=A.T @ A,
        plain=plain,
        factors=tuple(_factor(f, own) for f, own in zip(factors, rows, strict=True)),
        ZA=tuple(np.asarray(z.T @ A) for z in Z),
        ZZ={(j, k): sp.csr_array(Z[j].T @ Z[k]) for j in range(len(Z)) for k in range(j, len(Z))},
        states=states,
    )


def _centred(factor: RandomFactor, centre: Array | None) -> RandomFactor:
    """The factor with covariates about a centre, beside an intercept."""
    if factor.is_mixed or "Intercept" not in factor.names or factor.n_coefficients == 1:
        return factor
    centre = factor.values.mean(axis=0) if centre is None else centre.copy()
    centre[factor.names.index("Intercept")] = 0.0
    return replace(factor, rows=replace(factor.level_rows, values=factor.values - centre))


def _factor(factor: RandomFactor, centred: RandomFactor) -> MomentFactor:
    if factor.is_mixed:
        one = np.asarray(factor.matrix().sum(axis=1))[:, None]
        squares = factor.scales() ** 2 * len(one)
        plain = np.array([[len(one), one.sum()], [one.sum(), squares[0]]])
        centre = np.zeros(1)
    else:
        columns = np.column_stack([np.ones(len(centred.values)), centred.values])
        plain = columns.T @ columns
        centre = factor.values[0] - centred.values[0]
    return MomentFactor(
        key=factor.key,
        names=factor.names,
        template=factor.template,
        levels=factor.levels,
        is_mixed=factor.is_mixed,
        centre=centre,
        counts=factor.level_counts(),
        plain=plain,
    )


def _columns(levels: Ints, K: int) -> Ints:
    """Columns of these levels."""
    return np.asarray((levels[:, None] * K + np.arange(K)).ravel())


def _joined(
    blocks: list[sp.csr_array], rows: list[Ints], columns: list[Ints], shape: tuple[int, int]
) -> sp.csr_array:
    """The sum of blocks, each on its own rows and columns; stored zeros are kept."""
    where: list[tuple[Array, Ints, Ints]] = []
    for block, r, c in zip(blocks, rows, columns, strict=True):
        coo = sp.coo_array(block)
        where.append((coo.data, r[coo.coords[0]], c[coo.coords[1]]))
    data, r, c = (np.concatenate(part) for part in zip(*where, strict=True))
    return sp.csr_array(sp.coo_array((data, (r, c)), shape=shape))
