"""The trailing part: effects that are crossed with the chain, after the chain's elimination.

With S = Z'V⁻¹Z of the trailing effects in the metric of the chain alone, and Λ their relative factor, what
is needed is the Cholesky factor of M = Λ'SΛ + I, solves with it, and P = ΛM⁻¹Λ' where couplings exist. S is
dense or sparse; both kinds have the same methods.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bimixed import dense
from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts, TrailingFactor
from bimixed.pairs import Pairs
from bimixed.sparse import (
    Analysis,
    SelectedValues,
    SparseCholesky,
    diagonal_blocks,
    factorize,
    scale_blocks,
)

INVERTIBLE = 1e2
"""Largest norm of T⁻¹ with which Z'V⁻¹Z = H⁻¹ − H⁻¹PH⁻¹ is accurate; it costs the norm's square."""
SPARSE_INVERTIBLE = 3e3
"""The same where the other way takes a solve for every column: 7 digits of the derivative are kept."""
CHUNK = 4_000_000
"""Numbers in the largest temporary."""

Ints = NDArray[np.intp]


class Trailing(Protocol):
    """What the elimination needs of the trailing part."""

    @property
    def log_det(self) -> float:
        """log |M|."""
        ...

    def solve(self, right: Array) -> tuple[Array, Array]:
        """P right, and the half of it whose square is right'·P·right; right is (q, r)."""
        ...

    def back(self, half: Array) -> Array:
        """ΛL⁻ᵀ half, whose product with its transpose is P for half = I; half is (q, r)."""
        ...

    def blocks(self, f: TrailingFactor) -> Array:
        """Diagonal blocks of P, (L, K, K)."""
        ...

    def gamma(self, f: TrailingFactor) -> Array:
        """Sum of the diagonal blocks of Z'V⁻¹Z, (K, K)."""
        ...

    def product(self, pairs: Pairs, values: Array) -> Array:
        """(values P) at the pairs, (pairs, K)."""
        ...

    def within(self, columns: Ints, places: Ints | None) -> Array:
        """P among the columns of each unit, (U, c, c).

        ``places``: where their pairs stand on a sparse pattern, −1 off it.
        """
        ...

    def weighted_inner(self, pairs: Pairs, values: Array, weights: Array) -> float:
        """Σ over levels of weight · values P values', single coefficients throughout."""
        ...


def inverse_if_regular(T: Array, largest: float = INVERTIBLE) -> Array | None:
    """T⁻¹, or None where T is (nearly) singular and the formulas that need it lose too many digits."""
    try:
        inverse = np.linalg.inv(T)
    except np.linalg.LinAlgError:
        return None
    return inverse if np.sqrt((inverse * inverse).sum()) < largest else None


def scale_trailing(
    trailing: Sequence[TrailingFactor], T: Sequence[Array], M: Array, transpose: bool = False
) -> Array:
    """Λ M, or Λ' M, with Λ the block-diagonal factor of the trailing effects; M is (q, r)."""
    out = np.empty_like(M)
    for f in trailing:
        Tf = T[f.place].T if transpose else T[f.place]
        block = M[f.columns]
        if f.template.size == 1:
            out[f.columns] = Tf[0, 0] * block
        else:
            by_level = block.reshape(f.n_levels, f.template.size, -1)
            out[f.columns] = (Tf @ by_level).reshape(block.shape)
    return out


def _single_scale(trailing: Sequence[TrailingFactor], T: Sequence[Array]) -> Array | None:
    """Λ's diagonal where every factor has one coefficient, (q,)."""
    if any(f.template.size > 1 for f in trailing):
        return None
    return np.concatenate([np.full(f.n_levels, T[f.place][0, 0]) for f in trailing])


NONE = np.zeros((0, 0))
MIRRORED = 512
"""Rows that are mirrored at a time."""


def mirror(lower: Array) -> None:
    """Write the lower triangle of a square matrix above its diagonal too."""
    n = len(lower)
    for first in range(0, n, MIRRORED):
        last = min(first + MIRRORED, n)
        block = lower[first:last, first:last]
        block[:] = np.tril(block) + np.tril(block, -1).T
        lower[first:last, last:] = lower[last:, first:last].T


@dataclass(frozen=True)
class DenseTrailing:
    """S as a dense matrix.

    Attributes
    ----------
    factors : sequence of TrailingFactor
    T : list of (K, K) arrays
        By place.
    S : (q, q) array
        Its lower triangle is read; empty where single coefficients all vary.
    chol : (q, q) array
        Lower Cholesky factor of M.
    """

    factors: Sequence[TrailingFactor]
    T: list[Array]
    S: Array
    chol: Array

    @staticmethod
    def of(cp: CrossProducts, T: list[Array], S: Array) -> "DenseTrailing":
        """Factorize; S is (q, q)."""
        scale = _single_scale(cp.trailing, T)
        if scale is not None:
            regular = all(inverse_if_regular(T[f.place]) is not None for f in cp.trailing)
            M = S if regular else S.copy()  # where Λ can be inverted S isn't needed any more
            M *= scale
            M *= scale[:, None]
            S = NONE if regular else S
        else:
            full = dense.symmetric(np.tril(S))
            half = scale_trailing(cp.trailing, T, full, transpose=True)
            M = scale_trailing(cp.trailing, T, np.ascontiguousarray(half.T), transpose=True)
        M[np.diag_indices_from(M)] += _ridges(cp.trailing)
        return DenseTrailing(cp.trailing, T, S, dense.cholesky(M, overwrite=True))

    @property
    def log_det(self) -> float:
        return 2.0 * float(np.sum(np.log(np.diag(self.chol))))

    def solve(self, right: Array) -> tuple[Array, Array]:
        scaled = scale_trailing(self.factors, self.T, right, transpose=True)
        half = dense.solve_lower(self.chol, scaled)
        return self.back(half), half

    def back(self, half: Array) -> Array:
        solved = dense.solve_lower(self.chol, half, transpose=True)
        return scale_trailing(self.factors, self.T, solved)

    @cached_property
    def _lower_inverse(self) -> Array:
        """Lower triangle of M⁻¹; what stands above isn't to be read."""
        return dense.inverse_of(self.chol)

    @cached_property
    def P(self) -> Array:
        """ΛM⁻¹Λ', (q, q)."""
        half = scale_trailing(self.factors, self.T, self._inverse)
        return scale_trailing(self.factors, self.T, np.ascontiguousarray(half.T))

    def blocks(self, f: TrailingFactor) -> Array:
        if f.template.size == 1:
            own = np.diag(self._lower_inverse)[f.columns]
            return (own * self.T[f.place][0, 0] ** 2)[:, None, None]
        return _diagonal_blocks(self.P, f)

    def gamma(self, f: TrailingFactor) -> Array:
        T = self.T[f.place]
        T_inverse = inverse_if_regular(T)
        if T_inverse is not None:
            inside = dense.symmetric(np.tril(_diagonal_blocks(self._lower_inverse, f).sum(axis=0)))
            return T_inverse.T @ (f.n_levels * np.eye(len(T)) - inside) @ T_inverse
        full = dense.symmetric(np.tril(self.S))
        rows = full[f.columns]
        U = _diagonal_blocks(full, f).sum(axis=0)
        PS = dense.product(rows, self.P).reshape(f.n_levels, len(T), -1)
        return U - np.einsum("lac,lbc->ab", PS, rows.reshape(f.n_levels, len(T), -1))

    def product(self, pairs: Pairs, values: Array) -> Array:
        scale = _single_scale(self.factors, self.T)
        if scale is None:
            return pairs.product(values, self.P)
        own = scale[pairs.columns, None]
        return pairs.product(values * own, self._inverse) * own

    @cached_property
    def _inverse(self) -> Array:
        """M⁻¹: the lower inverse with its mirror image, in the same memory."""
        mirror(self._lower_inverse)
        return self._lower_inverse

    def within(self, columns: Ints, places: Ints | None) -> Array:
        return np.asarray(self.P[columns[:, :, None], columns[:, None, :]])

    def weighted_inner(self, pairs: Pairs, values: Array, weights: Array) -> float:
        scale = _single_scale(self.factors, self.T)
        if scale is None:
            raise AssertionError("asked for single coefficients only")
        return pairs.weighted_inner(values * scale[pairs.columns, None], weights, self._lower_inverse)


@dataclass(frozen=True)
class SparseTrailing:
    """S on the pattern of a sparse factorization.

    Attributes
    ----------
    factors : sequence of TrailingFactor
    T : list of (K, K) arrays
        By place.
    S : (·,) array
        On A's pattern of the analysis.
    factor : SparseCholesky
        Of M.
    """

    factors: Sequence[TrailingFactor]
    T: list[Array]
    S: Array
    factor: SparseCholesky

    @staticmethod
    def of(cp: CrossProducts, analysis: Analysis, T: list[Array], S: Array) -> "SparseTrailing":
        """Factorize; S is on A's pattern."""
        M = scale_blocks(analysis, S, [T[f.place].T for f in cp.trailing], _kinds(cp.trailing))
        ridges = np.empty(analysis.n_columns)
        ridges[analysis.place] = _ridges(cp.trailing)
        M[analysis.A_starts[:-1]] += ridges
        return SparseTrailing(cp.trailing, T, S, factorize(analysis, M))

    @property
    def log_det(self) -> float:
        return self.factor.log_det

    def solve(self, right: Array) -> tuple[Array, Array]:
        half = self.factor.half(scale_trailing(self.factors, self.T, right, transpose=True))
        return self.back(half), half

    def back(self, half: Array) -> Array:
        return scale_trailing(self.factors, self.T, self.factor.back(half))

    @cached_property
    def _inverse(self) -> SelectedValues:
        return self.factor.selected_inverse()

    @cached_property
    def _P(self) -> Array:
        """ΛM⁻¹Λ' on A's pattern."""
        factors = [self.T[f.place] for f in self.factors]
        return scale_blocks(self.factor.analysis, self._inverse_values, factors, _kinds(self.factors))

    @cached_property
    def _inverse_values(self) -> Array:
        """M⁻¹ on A's pattern."""
        return self._inverse.at_pattern()

    def blocks(self, f: TrailingFactor) -> Array:
        return diagonal_blocks(self.factor.analysis, self._P, f.start, f.n_levels, f.template.size)

    def gamma(self, f: TrailingFactor) -> Array:
        T = self.T[f.place]
        T_inverse = inverse_if_regular(T, SPARSE_INVERTIBLE)
        if T_inverse is not None:
            analysis = self.factor.analysis
            inside = diagonal_blocks(analysis, self._inverse_values, f.start, f.n_levels, len(T)).sum(axis=0)
            return T_inverse.T @ (f.n_levels * np.eye(len(T)) - inside) @ T_inverse
        if not any(self.T[g.place].any() for g in self.factors):  # nothing to subtract
            own = diagonal_blocks(self.factor.analysis, self.S, f.start, f.n_levels, len(T))
            return np.asarray(own.sum(axis=0))
        return self._gamma_by_solves(f)

    def _gamma_by_solves(self, f: TrailingFactor) -> Array:
        """S − SPS, whose second part is a square of solves, some columns at a time: T may be singular."""
        analysis, K = self.factor.analysis, f.template.size
        total = diagonal_blocks(analysis, self.S, f.start, f.n_levels, K).sum(axis=0)
        columns = self.full_S
        step = max(1, CHUNK // (analysis.n_columns * K))
        for first in range(0, f.n_levels, step):
            last = min(first + step, f.n_levels)
            right = columns[:, f.start + first * K : f.start + last * K].toarray()
            half = self.factor.half(scale_trailing(self.factors, self.T, right, transpose=True))
            by_level = half.reshape(len(half), last - first, K)
            total = total - np.einsum("qla,qlb->ab", by_level, by_level)
        return total

    @cached_property
    def full_S(self):  # type: ignore[no-untyped-def]
        """S as a symmetric sparse matrix in the caller's order, by columns."""
        import scipy.sparse as sp

        a = self.factor.analysis
        lower = sp.csc_array((self.S, a.A_rows, a.A_starts), shape=(a.n_columns, a.n_columns))
        both = lower + sp.tril(lower, -1).T
        return sp.csc_array(sp.csc_array(both)[a.place][:, a.place])

    def product(self, pairs: Pairs, values: Array) -> Array:
        return pairs.product_on(self.factor.analysis, values, self._P)

    def within(self, columns: Ints, places: Ints | None) -> Array:
        if places is None:
            raise AssertionError("a sparse trailing part has a pattern")
        out = self._P[places]
        for unit in np.flatnonzero((places < 0).any(axis=(1, 2))):  # columns that the data don't couple
            own = columns[unit]
            unit_vectors = np.zeros((self.factor.analysis.n_columns, len(own)))
            unit_vectors[own, np.arange(len(own))] = 1.0
            out[unit] = self.solve(unit_vectors)[0][own]
        return out

    def weighted_inner(self, pairs: Pairs, values: Array, weights: Array) -> float:
        t = self.product(pairs, values)
        return float(np.sum(weights[pairs.rows] * t[:, 0] * values[:, 0]))


def _ridges(factors: Sequence[TrailingFactor]) -> Array:
    """What is added to the diagonal of Λ'SΛ, (q,)."""
    sizes = [f.n_levels * f.template.size for f in factors]
    return np.repeat([f.template.ridge for f in factors], sizes)


def _kinds(factors: Sequence[TrailingFactor]) -> NDArray[np.intp]:
    return np.repeat(np.arange(len(factors)), [f.n_levels for f in factors])


def _diagonal_blocks(M: Array, f: TrailingFactor) -> Array:
    K, L = f.template.size, f.n_levels
    rows = f.start + np.arange(L)[:, None] * K + np.arange(K)
    return M[rows[:, :, None], rows[:, None, :]]
