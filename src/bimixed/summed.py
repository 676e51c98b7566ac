"""A design without rows: names, levels and encodings of a model, and its cross-products."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bimixed.assembly import assemble
from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts
from bimixed.design import Design, RandomFactor, SummedRows, rows_needed
from bimixed.design.encoding import Encoding
from bimixed.exceptions import DataError, IdentificationWarning, warn
from bimixed.fixed_coordinates import FixedCoordinates, gram_root
from bimixed.formula import Formula
from bimixed.moments import MomentFactor, Moments

Ints = NDArray[np.intp]

NOTHING = 1e-9
"""Share of a combination of columns that is rounding."""
KNOWN = 1e-10
"""Least eigenvalue of a level's products, diagonal 1, at which its own estimates are unique."""


@dataclass(frozen=True)
class RowCounts:
    """What was counted while rows went by.

    Attributes
    ----------
    n_total : int
        Rows of the source, incomplete ones included.
    missing : mapping
        Column → number of missing values, where there are any.
    means, ranges : mapping
        Of the numeric columns that the formula uses: mean, and largest less smallest value.
    offset, weight, inverse_weight : float
        Means of these.
    source : str
        What the rows came from, for people to read.
    """

    n_total: int
    missing: Mapping[str, int] = field(default_factory=dict)
    means: Mapping[str, float] = field(default_factory=dict)
    ranges: Mapping[str, float] = field(default_factory=dict)
    offset: float = 0.0
    weight: float = 1.0
    inverse_weight: float = 1.0
    source: str = ""


class SummedFrame:
    """The part of a design's frame that needs no rows."""

    def __init__(self, table: pd.DataFrame, n_dropped: int, missing: Mapping[str, int]):
        self.table, self.n_dropped, self.missing = table, n_dropped, missing

    @property
    def index(self) -> pd.Index:
        """Not known."""
        raise rows_needed("the index")

    @property
    def kept(self) -> Any:
        """Not known."""
        raise rows_needed("kept")


class SummedDesign(Design):
    """The design of a model whose rows were added up; what needs rows raises UnavailableError.

    Attributes
    ----------
    moments : Moments
    counts : RowCounts
    frame : SummedFrame
        Its table has made-up rows with every category of the fixed part.
    """

    moments: Moments
    counts: RowCounts

    def __init__(
        self,
        formula: Formula,
        moments: Moments,
        factors: tuple[RandomFactor, ...],
        encoding: Encoding,
        counts: RowCounts,
        table: pd.DataFrame,
        weights_column: str | None = None,
        has_offset: bool = False,
    ):
        kept = FixedCoordinates.of(moments).kept
        known = {
            "formula": formula,
            "moments": moments,
            "names": moments.names[:-1],
            "kept": kept,
            "factors": factors,
            "encoding": encoding,
            "counts": counts,
            "frame": SummedFrame(table, counts.n_total - moments.n, counts.missing),
            "weights_column": weights_column,
            "wide": None,
            "_has_offset": has_offset,
        }
        for name, value in known.items():
            object.__setattr__(self, name, value)

    def cross_products(self, M: tuple[Array, ...]) -> CrossProducts:
        """Those of the engine, random coefficients in coordinates b = M b̃."""
        return assemble(self.moments, M, self.kept)[0]

    # --- what rows are needed for ----------------------------------------------------------

    @property
    def y(self) -> Array:
        """Not known."""
        raise rows_needed("The response by row")

    @property
    def X(self) -> Array:
        """Not known."""
        raise rows_needed("The rows of X")

    @property
    def weights(self) -> Array | None:
        """None without weights; by row they aren't known."""
        if self.has_weights:
            raise rows_needed("The weight of each row")
        return None

    @property
    def offset(self) -> Array | None:
        """None without an offset; by row it isn't known."""
        if self.has_offset:
            raise rows_needed("The offset of each row")
        return None

    @cached_property
    def X_kept(self) -> Array:
        """Not known."""
        raise rows_needed("The rows of X")

    @cached_property
    def X_narrow(self) -> Array:
        """Not known."""
        raise rows_needed("The rows of X")

    # --- what sums tell --------------------------------------------------------------------

    @property
    def n(self) -> int:
        return self.moments.n

    @property
    def has_rows(self) -> bool:
        return False

    @property
    def has_weights(self) -> bool:
        return self.weights_column is not None

    @property
    def has_offset(self) -> bool:
        return bool(self.__dict__["_has_offset"])

    @property
    def mean_offset(self) -> float:
        return self.counts.offset

    @property
    def mean_weight(self) -> float:
        return self.counts.weight

    @property
    def mean_inverse_weight(self) -> float:
        return self.counts.inverse_weight

    @property
    def response_scale(self) -> tuple[float, float]:
        mean, sd = self._mean_and_sd
        return float(mean[-1]), float(sd[-1])

    def column_mean(self, name: str) -> float:
        return self.counts.means[name]

    def column_range(self, name: str) -> float:
        return self.counts.ranges[name]

    @cached_property
    def _mean_and_sd(self) -> tuple[Array, Array]:
        """Of the columns of X and the response, unweighted."""
        m, plain = self.moments, self.moments.plain
        shift = plain[0, 1:] / m.n
        variance = np.diag(plain)[1:] / m.n - shift**2
        return m.centre + shift, np.sqrt(np.maximum(variance, 0.0))

    @property
    def column_sds(self) -> Array:
        return self._mean_and_sd[1][:-1]

    @cached_property
    def _like(self) -> Array:
        """Rows that have the mean products of [1, X], (p + 1, p + 1)."""
        m, p = self.moments, len(self.names)
        move = np.eye(p + 1)
        move[0, 1:] = m.centre[:p]
        root = gram_root(m.plain[: p + 1, : p + 1] / m.n) @ move
        return np.asarray(root * np.sqrt(p + 1.0))

    @property
    def like_X(self) -> Array:
        return self._like[:, 1:]

    @property
    def like_ones(self) -> Array:
        return self._like[:, 0]

    @property
    def like_precision(self) -> float:
        return 1e-6  # the square root of rounding in sums of products

    @property
    def like_centred_X(self) -> Array:
        m, p = self.moments, len(self.names)
        first = m.plain[0, 1 : p + 1]
        products = m.plain[1 : p + 1, 1 : p + 1] - np.outer(first, first) / m.n
        return np.asarray(gram_root(products / m.n) * np.sqrt(p))

    @cached_property
    def null_space(self) -> Array:
        """Combinations of the columns of X that are 0 in every row, (dropped, p)."""
        null = FixedCoordinates.of(self.moments).null_space(self.kept)
        size = np.abs(null) * self.column_sizes
        return np.where(size > NOTHING * size.max(axis=1, keepdims=True), null, 0.0)

    def own_estimates(self, key: str, beta: Array) -> Array:
        """Least squares of y − Xβ on the columns of each level of a group, (L, K); NaN where not unique."""
        m = self.moments
        place = [f.key for f in self.factors].index(key)
        factor = m.factors[place]
        L, K = len(factor.levels), len(factor.names)
        rest = np.concatenate([[m.centre[-1] - m.centre[:-1] @ beta], -beta, [1.0]])
        right = (m.ZA[place] @ rest).reshape(L, K)
        A = m.centred_products(place)
        size = np.sqrt(np.einsum("lkk->lk", A))
        unit = np.where(size > 0.0, size, 1.0)
        values, vectors = np.linalg.eigh(A / unit[:, :, None] / unit[:, None, :])
        known = values[:, 0] > KNOWN
        values[~known] = 1.0
        half = np.einsum("lkj,lk->lj", vectors, right / unit) / values
        own = np.einsum("lkj,lj->lk", vectors, half) / unit
        own[~known] = np.nan
        return own @ np.linalg.inv(factor.uncentred()).T

    # --- models that differ in the fixed part ----------------------------------------------

    def with_columns(self, columns: Ints) -> "SummedDesign":
        """The same model with these columns of X alone, in this order."""
        m, p = self.moments, len(self.names)
        own = np.concatenate([[0], np.asarray(columns, dtype=np.intp) + 1, [p + 1]])
        moments = replace(
            m,
            names=tuple(m.names[j - 1] for j in own[1:]),
            centre=m.centre[own[1:] - 1],
            AA=m.AA[np.ix_(own, own)],
            plain=m.plain[np.ix_(own, own)],
            ZA=tuple(block[:, own] for block in m.ZA),
        )
        return self.with_moments(moments)

    def without_fixed(self) -> "SummedDesign":
        return self.with_columns(np.arange(0))

    def with_moments(self, moments: Moments) -> "SummedDesign":
        """The same model with other cross-products."""
        return SummedDesign(
            self.formula,
            moments,
            self.factors,
            self.encoding,
            self.counts,
            self.frame.table,
            self.weights_column,
            self.has_offset,
        )

    def __reduce__(self) -> Any:
        own = self.__dict__
        return _restored, ({name: value for name, value in own.items() if name != "_like"},)


def _restored(state: dict[str, Any]) -> SummedDesign:
    design = object.__new__(SummedDesign)
    for name, value in state.items():
        object.__setattr__(design, name, value)
    return design


def summed_rows(factor: MomentFactor, n: int) -> SummedRows:
    """What cross-products tell of the rows of a factor."""
    plain, K = factor.plain / n, len(factor.names)
    mean = plain[0, 1:]
    variance = np.diag(plain)[1:] - mean**2
    E = factor.uncentred()
    own = gram_root(plain[1:, 1:]) @ E
    return SummedRows(
        n_levels=len(factor.levels),
        mean=mean + factor.centre,
        sd=np.sqrt(np.maximum(variance, 0.0)),
        like_values=own * np.sqrt(K),
        counts=factor.counts,
    )


def _takes_up_residuals(factor: RandomFactor, products: Array) -> bool:
    """Whether every level has as many rows as coefficients, and the same products of its covariates."""
    K = factor.n_coefficients
    if K < 2 or len(factor.template.sub_blocks()) > 1 or (factor.level_counts() != K).any():
        return False
    size = np.sqrt(np.diagonal(products[0]))
    if (size == 0.0).any():
        return False
    unit = products / np.outer(size, size)
    full_rank = np.linalg.eigvalsh(unit[0])[0] > 1e-10
    return bool(full_rank and np.abs(unit - unit[0]).max() < 1e-8)


def check_summed_levels(factor: RandomFactor, moments: Moments, place: int) -> None:
    """What :func:`bimixed.design.levels.check_levels` refuses, as far as sums show it.

    Raises
    ------
    DataError
        For a single level, a covariate of zeros, and one row per level beside a residual.
    """
    source, levels, n = factor.sources[0], factor.n_levels, moments.n
    mean_weight = float(moments.AA[0, 0]) / n
    equal_weights = abs(math.log(mean_weight) - moments.log_weights / n) < 1e-13  # of means of two kinds
    products = moments.level_products(place)
    squares = np.diagonal(products, axis1=1, axis2=2)
    constant = bool((np.ptp(squares, axis=0) <= 1e-14 * squares.max(axis=0)).any())
    if levels == 1:
        raise DataError(
            f"Group {factor.key!r} of {source} has a single level; a variance between groups needs at least "
            "two. Remove the term or use another column."
        )
    zero = [name for name, size in zip(factor.names, factor.scales(), strict=True) if size == 0.0]
    if zero:
        raise DataError(
            f"The covariate {zero[0]!r} of {source} is 0 in every row used, so that its random coefficient "
            "has no effect. Leave it out of the bar."
        )
    if levels == n and equal_weights and constant:
        raise DataError(
            f"Group {factor.key!r} of {source} has as many levels as there are rows ({n}): one row per "
            "level, so that its "
            "variance and the residual variance can't be told apart. Use a coarser group, or remove the term."
        )
    if equal_weights and _takes_up_residuals(factor, products):
        raise DataError(
            f"{source} has {factor.n_coefficients} coefficients, and every level of {factor.key} as many "
            "rows with the same covariates: the covariance of the coefficients can be anything that the "
            "residuals could, so that the two can't be told apart. Use fewer coefficients, or '||' for '|'."
        )
    if levels * factor.n_coefficients >= n:
        warn(
            f"{source} has {levels} levels × {factor.n_coefficients} coefficients for {n} rows: the "
            "covariance of the "
            "coefficients and the residual variance can hardly be told apart. Use fewer coefficients.",
            IdentificationWarning,
        )
