"""Cross-products that add up: those of two tables of one model are those of the tables joined.

Columns are centred before they are multiplied, and the centre is kept: means of 1e8 cost no digits, and sums
of parts with different means are exact (Chan, Golub and LeVeque 1983). Levels are matched by their labels.
"""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed.covariance import Array, CovarianceTemplate
from bimixed.design import Design, RandomFactor
from bimixed.exceptions import DataError

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
    """

    key: str
    names: tuple[str, ...]
    template: CovarianceTemplate
    levels: pd.Index
    is_mixed: bool

    @property
    def size(self) -> int:
        """Columns, levels times coefficients."""
        return len(self.levels) * len(self.names)


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
        c, the weighted means.
    AA : (p + 2, p + 2) array
        A'WA.
    factors : tuple of MomentFactor
    ZA : tuple of (L·K, p + 2) arrays
        Z'WA of each factor.
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
        _require_same_model(self, other)
        weights = self.AA[0, 0], other.AA[0, 0]
        total = weights[0] + weights[1]
        centre = self.centre + (other.centre - self.centre) * (weights[1] / total)
        parts = [_Moved(part, centre) for part in (self, other)]
        factors, places = [], []
        for first, second in zip(self.factors, other.factors, strict=True):
            levels = first.levels.union(second.levels)
            K = len(first.names)
            places.append([_columns(levels.get_indexer(f.levels), K) for f in (first, second)])
            factors.append(
                MomentFactor(
                    first.key, first.names, first.template, levels, first.is_mixed or second.is_mixed
                )
            )
        ZA = []
        for j, f in enumerate(factors):
            block = np.zeros((f.size, len(self.AA)))
            for part, place in zip(parts, places[j], strict=True):
                block[place] += part.ZA[j]
            ZA.append(block)
        return Moments(
            names=self.names,
            n=self.n + other.n,
            log_weights=self.log_weights + other.log_weights,
            centre=centre,
            AA=parts[0].AA + parts[1].AA,
            factors=tuple(factors),
            ZA=tuple(ZA),
            ZZ={
                (j, k): _joined(
                    [part.ZZ[j, k] for part in (self, other)],
                    places[j],
                    places[k],
                    (factors[j].size, factors[k].size),
                )
                for j, k in self.ZZ
            },
            states=self.states,
        )

    def __repr__(self) -> str:
        levels = ", ".join(f"{f.key} ({len(f.levels)} levels)" for f in self.factors)
        return f"Cross-products of {self.n} rows: {self.names[-1]} on {len(self.names) - 1} columns; {levels}"

    def _repr_html_(self) -> str:
        return f'<div class="bimixed"><p>{html.escape(repr(self))}</p></div>'


class _Moved:
    """Dense parts of moments about another centre."""

    def __init__(self, moments: Moments, centre: Array):
        move = np.eye(len(moments.AA))
        move[0, 1:] = moments.centre - centre
        self.AA = move.T @ moments.AA @ move
        self.ZA = [block @ move for block in moments.ZA]


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
        specification on both tables joined. Fits take specifications, not yet sums.

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
    if design.wide is not None:
        raise DataError(
            f"A fixed factor has {design.wide.n_columns} columns here, too many for cross-products that add "
            "up. Make it a random effect, (1 | factor), or leave it out."
        )
    y = design.y if design.offset is None else design.y - design.offset
    parts = getattr(design.encoding, "parts", {})
    states = {key: getattr(part.spec, "transform_state", None) for key, part in parts.items()}
    weights = np.ones(design.n) if design.weights is None else design.weights
    columns = np.column_stack([design.X, y])
    centre = (weights @ columns) / weights.sum()
    root = np.sqrt(weights)[:, None]
    A = np.column_stack([np.ones(design.n), columns - centre]) * root
    Z = [sp.csr_array(sp.diags_array(root[:, 0]) @ f.matrix()) for f in design.factors]
    return Moments(
        names=(*design.names, design.formula.response),
        n=design.n,
        log_weights=float(np.sum(np.log(weights))),
        centre=centre,
        AA=A.T @ A,
        factors=tuple(_factor(f) for f in design.factors),
        ZA=tuple(np.asarray(z.T @ A) for z in Z),
        ZZ={(j, k): sp.csr_array(Z[j].T @ Z[k]) for j in range(len(Z)) for k in range(j, len(Z))},
        states=repr({key: state for key, state in states.items() if state}) if any(states.values()) else "",
    )


def _factor(factor: RandomFactor) -> MomentFactor:
    return MomentFactor(factor.key, factor.names, factor.template, factor.levels, factor.is_mixed)


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


def _require_same_model(first: Moments, second: Moments) -> None:
    if first.states != second.states:
        raise DataError(
            "The two cross-products are of transformations that depend on the data, such as scale() or "
            "poly(), and each table gave its own. Transform with given numbers instead: I((x - 5) / 2)."
        )
    if first.names != second.names:
        mine, theirs = set(first.names), set(second.names)
        odd = sorted(mine ^ theirs) or list(second.names)
        raise DataError(
            f"The two cross-products have different columns ({', '.join(odd[:5])}). Specify both tables with "
            "the same formula; each table needs every category of the factors among the fixed effects."
        )
    _require_same_groups([f.key for f in first.factors], [f.key for f in second.factors])
    for f, g in zip(first.factors, second.factors, strict=True):
        if f.names != g.names or f.template.sub_blocks() != g.template.sub_blocks():
            raise DataError(
                f"The two cross-products differ in the random effects of {f.key!r}: the first has "
                f"{_coefficients(f)}, the second {_coefficients(g)}. Specify both tables with the same "
                "formula; each table needs every category of the factors inside the bars."
            )


def _require_same_groups(mine: list[str], theirs: list[str]) -> None:
    if mine == theirs:
        return
    if sorted(mine) == sorted(theirs):
        raise DataError(
            f"The two cross-products have their groups in another order: {', '.join(mine)} and "
            f"{', '.join(theirs)}. Write the random effects of both tables in one order."
        )
    raise DataError(
        f"The two cross-products have different groups of random effects: the first {', '.join(mine)}, the "
        f"second {', '.join(theirs)}. Specify both tables with the same formula."
    )


def _coefficients(factor: MomentFactor) -> str:
    """Names of the coefficients, and which are correlated."""
    blocks = [factor.names[block] for block in factor.template.sub_blocks()]
    said = [f"{', '.join(names)}{' (correlated)' if len(names) > 1 else ''}" for names in blocks]
    apart = len(blocks) > 1 and len(blocks) == len(factor.names)
    return " and ".join(said) + (" (uncorrelated)" if apart else "")
