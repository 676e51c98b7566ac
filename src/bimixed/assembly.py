"""From cross-products that add up to those that the likelihood works on."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed import dense
from bimixed.covariance import Array
from bimixed.crossproducts import ChainFactor, CrossProducts, FixedBasis, TrailingFactor
from bimixed.exceptions import FitError
from bimixed.fixed_basis import SMALLEST
from bimixed.fixed_coordinates import FixedCoordinates
from bimixed.moments import MomentFactor, Moments, both_sides, by_coefficients
from bimixed.pairs import Pairs
from bimixed.schur import trailing_products
from bimixed.trailing_rows import no_pairs, pair_map

Ints = NDArray[np.intp]


def assemble(
    moments: Moments, M: Sequence[Array] | None = None, kept: Ints | None = None
) -> tuple[CrossProducts, Ints]:
    """The engine's cross-products, and which columns of X are kept.

    The constant stands first where there is an intercept, so that centring the other columns and the
    response is only another set of coordinates; without one the sums are taken back to the raw
    columns.

    Parameters
    ----------
    moments : Moments
    M : sequence of (K, K) arrays, optional
        Coordinates of the random coefficients, b = M b̃; default those of the formula.
    kept : int array, optional
        These columns of X, if they are known already.

    Raises
    ------
    FitError
        If the fixed effects use up every row or fit the response exactly.
    """
    scale = float(np.exp(moments.log_weights / moments.n))
    fixed = FixedCoordinates.of(moments)
    kept = fixed.kept if kept is None else kept
    AA, size = moments.AA / scale, fixed.sizes[kept]  # units: LU with pivots loses digits of unequal sizes
    to_U, to_y = fixed.to_U[:, kept] / size, fixed.to_y
    if moments.n <= len(kept):
        raise FitError(
            f"{len(kept)} fixed coefficients for {moments.n} rows leave nothing to estimate variances from; "
            "use fewer fixed effects or more data."
        )
    chol = dense.cholesky(to_U.T @ AA @ to_U)
    right = to_U.T @ AA @ to_y
    b = dense.solve_with(chol, right)
    total = float(to_y @ AA @ to_y)
    if 0.0 < total < SMALLEST**2 * moments.n:
        raise FitError("The response is so small that its products can't be computed. Change its units.")
    rss = total - float(right @ b)
    if rss <= 1e-12 * max(total, np.finfo(float).tiny):
        raise FitError(
            "The fixed effects fit the response exactly: no residual variance is left to split "
            "between groups and rows. Remove the predictors that determine the response."
        )
    T, shift = fixed.of_kept(kept)
    basis = FixedBasis(chol.T @ (T * size[:, None]), dense.solve_upper(T, b / size + shift), rss, total)
    to_Q = dense.solve_lower(chol, to_U.T).T
    to_R = np.column_stack([to_Q, to_y - to_U @ b])
    own = [_coefficients(f, None if M is None else M[j]) for j, f in enumerate(moments.factors)]
    ZR = [by_coefficients(ZA @ to_R / scale, S) for ZA, S in zip(moments.ZA, own, strict=True)]
    blocks = _Blocks(moments, scale, ZR, own)
    chain, trailing = blocks.chain(), blocks.trailing
    sizes = np.repeat([t.template.size for t in trailing], [t.n_levels for t in trailing])
    S, analysis = (np.zeros((0, 0)), None)
    if trailing:
        S, analysis = trailing_products(blocks.gram(), sizes.astype(np.intp), [f.pairs for f in chain])
    cp = CrossProducts(
        n=moments.n,
        p=len(kept),
        weight_scale=scale,
        basis=basis,
        RR=np.diag(np.append(np.ones(len(kept)), rss)),
        chain=chain,
        trailing=trailing,
        S=S,
        ZR=np.concatenate([blocks.ZR[t.place] for t in trailing])
        if trailing
        else np.zeros((0, len(kept) + 1)),
        analysis=analysis,
    )
    return cp, kept


def _coefficients(factor: MomentFactor, M: Array | None) -> Array | None:
    """What makes the covariates of b̃ from the centred ones, (K, K); None where they are the same."""
    S = factor.uncentred() if M is None else factor.uncentred() @ M
    return None if np.array_equal(S, np.eye(len(S))) else S


class _Blocks:
    """The blocks of Z'WZ in the order of elimination."""

    def __init__(self, moments: Moments, scale: float, ZR: list[Array], own: list[Array | None]):
        self.moments, self.scale, self.ZR = moments, scale, ZR
        self.ZZ = {(j, k): both_sides(ZZ, own[j], own[k]) for (j, k), ZZ in moments.ZZ.items()}
        factors = moments.factors
        order = sorted(range(len(factors)), key=lambda j: -factors[j].size)
        single = [j for j in order if not factors[j].is_mixed]
        self.parents: dict[tuple[int, int], Ints] = {}
        self.order: list[int] = single[:1]
        for j in single[1:]:
            if all(self._nested(i, j) for i in self.order):
                self.order.append(j)
        self.trailing: tuple[TrailingFactor, ...] = ()
        start = 0
        for j in order:
            if j not in self.order:
                last = TrailingFactor(j, factors[j].template, start, len(factors[j].levels))
                self.trailing += (last,)
                start = last.columns.stop
        self.width = start

    def _block(self, j: int, k: int) -> sp.coo_array:
        block = sp.coo_array(self.ZZ[j, k]) if j <= k else sp.coo_array(self.ZZ[k, j]).T
        return sp.coo_array((block.data / self.scale, block.coords), shape=block.shape)

    def _K(self, j: int) -> int:
        return len(self.moments.factors[j].names)

    def _nested(self, inner: int, outer: int) -> bool:
        """Whether each inner level shares rows with one outer level only; remembers which."""
        row, column = self._block(inner, outer).coords
        levels = np.unique(
            np.column_stack([row // self._K(inner), column // self._K(outer)]).astype(np.intp), axis=0
        )
        if len(levels) != len(self.moments.factors[inner].levels):
            return False
        self.parents[inner, outer] = levels[:, 1]
        return True

    def _by_level(self, j: int, k: int) -> Array:
        """Blocks (L, K, K') of a factor with itself or with one that it is nested in."""
        block = self._block(j, k)
        row, column = block.coords
        K, M = self._K(j), self._K(k)
        out = np.zeros((len(self.moments.factors[j].levels), K, M))
        own = row // K == column // M if j == k else np.ones(len(row), dtype=bool)
        out[row[own] // K, row[own] % K, column[own] % M] = block.data[own]
        return out

    def _pairs(self, j: int) -> tuple[Pairs, Array]:
        factor, K = self.moments.factors[j], self._K(j)
        if not self.trailing:
            return no_pairs(len(factor.levels), K)
        blocks = [self._block(j, t.place) for t in self.trailing]
        row = np.concatenate([b.coords[0] for b in blocks]).astype(np.int64)
        column = np.concatenate(
            [b.coords[1] + t.start for b, t in zip(blocks, self.trailing, strict=True)]
        ).astype(np.int64)
        keys, place = np.unique((row // K) * self.width + column, return_inverse=True)
        C = np.zeros((len(keys), K))
        C[place, row % K] = np.concatenate([b.data for b in blocks])
        rows, columns = np.divmod(keys, self.width)
        return Pairs(rows.astype(np.intp), columns.astype(np.intp), len(factor.levels), self.width), C

    def chain(self) -> tuple[ChainFactor, ...]:
        pairs = {j: self._pairs(j) for j in self.order}
        made = []
        for position, j in enumerate(self.order):
            later = self.order[position + 1 :]
            factor = self.moments.factors[j]
            own, C = pairs[j]
            made.append(
                ChainFactor(
                    place=j,
                    template=factor.template,
                    A=self._by_level(j, j),
                    ZR=self.ZR[j].reshape(len(factor.levels), self._K(j), -1),
                    parents=[self.parents[j, k] for k in later],
                    N=[self._by_level(j, k) for k in later],
                    pairs=own,
                    C=C,
                    maps=[pair_map(self.parents[j, k][own.rows], own.columns, pairs[k][0]) for k in later],
                )
            )
        return tuple(made)

    def gram(self) -> sp.csr_array:
        """Z'WZ of the trailing factors."""
        rows = [[self._block(s.place, t.place) for t in self.trailing] for s in self.trailing]
        edges = [0, *(t.columns.stop for t in self.trailing)]
        if [stop - start for start, stop in pairwise(edges)] != [row[0].shape[0] for row in rows]:
            raise AssertionError("blocks fit their factors")
        return sp.csr_array(sp.block_array(rows))
