"""Rows that are left out together, batch by batch: their leverages, and their densities from these."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed import dense
from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts, Preparation
from bimixed.exceptions import UnavailableError
from bimixed.likelihood.neighbourhoods import Batch, Neighbourhoods, stacked_product
from bimixed.marginal.density import MarginalPoint

Ints = NDArray[np.intp]

TOGETHER = 50_000
"""Rows of a batch."""
CHUNK = 4_000_000
"""Numbers in the largest temporary of a batch."""
LARGE = dense.SMALL
"""Rows beyond which the matrices of a stack are factorized one by one."""
UNKNOWN = 1e-10
"""Share of a response's variance, given the rest, that counts as none: the rest tells nothing of it."""
MANY_EFFECTS = 2_000
"""Effects that the rows of one group may have to do with."""


@dataclass(frozen=True)
class WeightedRows:
    """The rows of a design in the coordinates of its cross-products.

    Attributes
    ----------
    cp : CrossProducts
    codes : list of (n,) int arrays
        Levels, by chain factor.
    values : list of (n, K) arrays
        Weighted, by chain factor.
    Z : (n, q) csr_array
        Weighted trailing columns.
    Q : (n, p) array
        Weighted fixed effects in orthogonal coordinates.
    log_weights : (n,) array
    residuals : (n,) array or None
        Weighted residuals of least squares where they are the same for every draw.
    """

    cp: CrossProducts
    codes: list[Ints]
    values: list[Array]
    Z: sp.csr_array
    Q: Array
    log_weights: Array
    residuals: Array | None

    @staticmethod
    def of(preparation: Preparation, residuals: Array | None) -> "WeightedRows":
        cp, root = preparation.empty, preparation.fixed.root
        n = cp.n
        trailing = preparation.trailing
        return WeightedRows(
            cp=cp,
            codes=[preparation.factors[f.place].codes for f in cp.chain],
            values=[preparation.values[f.place] for f in cp.chain],
            Z=sp.csr_array((n, 0)) if trailing is None else sp.csr_array(trailing.Z),
            Q=preparation.fixed.Q,
            log_weights=np.zeros(n) if root is None else 2.0 * np.log(root),
            residuals=residuals,
        )

    def neighbourhoods(self, rows: Ints, units: Ints, n_units: int) -> Neighbourhoods:
        """Those of the units that these rows belong to."""
        codes = [own[rows] for own in self.codes]
        return Neighbourhoods.of(self.cp, units, n_units, codes, self.Z[rows])

    def local(self, near: Neighbourhoods, batch: Batch, rows: Ints, units: Ints) -> tuple[Ints, Array]:
        """Places and values of the rows' effects in the neighbourhoods of their units, (rows, s) each."""
        places, values = [], []
        for j, f in enumerate(self.cp.chain):
            K = f.template.size
            place = near.levels[j].place(units, self.codes[j][rows])
            places.append(batch.starts[j] + place[:, None] * K + np.arange(K))
            values.append(self.values[j][rows])
        Z = self.Z[rows]
        counts = np.diff(Z.indptr)
        at = np.repeat(np.arange(len(rows)), counts)
        within = np.arange(Z.nnz) - np.repeat(Z.indptr[:-1], counts)
        place = np.full((len(rows), int(counts.max(initial=0))), batch.starts[-2])
        value = np.zeros(place.shape)
        place[at, within] += near.columns.place(units[at], Z.indices.astype(np.intp))
        value[at, within] = Z.data
        return np.hstack([*places, place]), np.hstack([*values, value])


class UnitBatch(Protocol):
    """Units whose neighbourhoods have one shape."""

    @property
    def units(self) -> Ints:
        """Which ones."""
        ...

    @property
    def width(self) -> int:
        """Rows of the largest matrix to factorize."""
        ...

    @property
    def work(self) -> float:
        """About how many numbers a draw takes in hand."""
        ...

    def densities(self, point: MarginalPoint, e: Array) -> Array:
        """Log-densities (2, units): left out, and as a second response; e are least-squares residuals."""
        ...


@dataclass(frozen=True)
class Observations:
    """Single rows; a neighbourhood is that of a level of the first chain factor.

    Attributes
    ----------
    batch : Batch
    rows : (n,) int array
    near : (n,) int array
        Place of each row's neighbourhood in the batch.
    places, values : (n, s) arrays
        Of the row's effects there.
    Q : (n, p) array
    log_weights : (n,) array
    """

    batch: Batch
    rows: Ints
    near: Ints
    places: Ints
    values: Array
    Q: Array
    log_weights: Array

    @property
    def units(self) -> Ints:
        return self.rows

    @property
    def width(self) -> int:
        return 1

    @property
    def work(self) -> float:
        s, p = self.places.shape[1], self.Q.shape[1]
        return float(len(self.batch.units) * self.batch.width**2 + len(self.rows) * (s + p) ** 2)

    def densities(self, point: MarginalPoint, e: Array) -> Array:
        P = self.batch.covariance(point.at.factorization)
        B = self.batch.effects(point.at.B)
        n, s = self.places.shape
        leverage, predicted = np.empty(n), np.empty((n, B.shape[2]))
        step = max(1, CHUNK // max(s * (s + B.shape[2]), 1))
        for first in range(0, n, step):
            here = slice(first, first + step)
            place, value, near = self.places[here], self.values[here], self.near[here, None]
            between = P[near[:, :, None], place[:, :, None], place[:, None, :]]
            leverage[here] = np.einsum("na,nab,nb->n", value, between, value)
            predicted[here] = np.einsum("na,nar->nr", value, B[near, place])
        x = self.Q - predicted[:, :-1]
        half = dense.solve_lower(point.at.root, np.ascontiguousarray(x.T))
        leverage += np.einsum("pn,pn->n", half, half)
        left = e[self.rows] - predicted[:, -1] - dense.product(x, point.at.gamma)
        spread = np.stack([np.where(1.0 - leverage > UNKNOWN, 1.0 - leverage, np.nan), 1.0 + leverage])
        return _log_density(point.sigma2, 1, self.log_weights, np.log(spread), left**2 / spread)


@dataclass(frozen=True)
class Groups:
    """Sets of rows, rotated within each so that few of them have effects.

    Attributes
    ----------
    batch : Batch
    Z, Q : (U, r, m), (U, r, p) arrays
        Rotated rows in the units' neighbourhoods.
    rotation : (U·r, n) csr_array
        That gives them from all rows.
    member : (U, n) csr_array
        Ones where a row is one of the unit's.
    sizes, log_weights : (U,) arrays
        Rows, and the sum of the logarithms of their weights.
    residuals : (n,) array or None
        Of all rows, where they are the same for every draw.
    """

    batch: Batch
    Z: Array
    Q: Array
    rotation: sp.csr_array
    member: sp.csr_array
    sizes: Ints
    log_weights: Array
    residuals: Array | None

    @property
    def units(self) -> Ints:
        return self.batch.units

    @property
    def width(self) -> int:
        return self.Z.shape[1]

    @property
    def work(self) -> float:
        U, r, m = self.Z.shape
        large = U * (m**3 + r * m * (r + m) + r**3)
        return float(U * (m + r) ** 2 + self.Q.size + large / 50.0)

    def _rotated(self, e: Array) -> tuple[Array, Array]:
        """Rotated residuals (U, r), and the sum of squares of what the rotation leaves out (U,)."""
        left = (self.rotation @ e).reshape(self.Z.shape[:2])
        rest = self.member @ e**2 - np.einsum("ur,ur->u", left, left)
        return left, np.maximum(rest, 0.0)

    @cached_property
    def _same(self) -> tuple[Array, Array] | None:
        return None if self.residuals is None else self._rotated(self.residuals)

    def densities(self, point: MarginalPoint, e: Array) -> Array:
        left, rest = self._same or self._rotated(e)
        P = self.batch.covariance(point.at.factorization)
        predicted = stacked_product(self.Z, self.batch.effects(point.at.B))
        x = self.Q - predicted[:, :, :-1]
        left = left - predicted[:, :, -1] - x @ point.at.gamma
        flat = x.reshape(-1, x.shape[2]) if x.size else np.zeros((x.shape[0] * x.shape[1], 0))
        half = dense.solve_lower(point.at.root, np.ascontiguousarray(flat.T)).T.reshape(x.shape)
        leverage = stacked_product(stacked_product(self.Z, P), self.Z.mT) + stacked_product(half, half.mT)
        log_dets, squares = np.empty((2, len(left))), np.empty((2, len(left)))
        for i, sign in enumerate((-1.0, 1.0)):
            log_dets[i], squares[i] = _log_det_and_square(np.eye(x.shape[1]) + sign * leverage, left)
        return _log_density(point.sigma2, self.sizes, self.log_weights, log_dets, squares + rest)


def _log_density(s2: float, sizes: Ints | int, log_weights: Array, log_dets: Array, squares: Array) -> Array:
    """Log-densities (2, units), left out and again, from log |I ∓ A| and e'(I ∓ A)⁻¹e."""
    twice = sizes * np.log(2.0 * np.pi * s2) - log_weights + squares / s2
    return -0.5 * (twice + np.array([[-1.0], [1.0]]) * log_dets)


def _log_det_and_square(M: Array, left: Array) -> tuple[Array, Array]:
    """log |M| and left'M⁻¹left of a stack, NaN where M isn't positive."""
    log_det, square = np.full(len(M), np.nan), np.full(len(M), np.nan)
    if M.shape[1] <= LARGE:
        try:
            roots = np.linalg.cholesky(M)
        except np.linalg.LinAlgError:
            pass  # one of them isn't: each by itself
        else:
            pivots = np.diagonal(roots, axis1=1, axis2=2)
            half = np.linalg.solve(roots, left[:, :, None])[:, :, 0]
            known = pivots.min(axis=1, initial=1.0) ** 2 > UNKNOWN
            log_det = np.where(known, 2.0 * np.log(pivots).sum(axis=1), np.nan)
            return log_det, np.where(known, np.einsum("ur,ur->u", half, half), np.nan)
    for u, (one, own) in enumerate(zip(M, left, strict=True)):
        try:
            root = dense.cholesky(one)
        except np.linalg.LinAlgError:
            continue
        if np.diag(root).min(initial=1.0) ** 2 > UNKNOWN:
            half = dense.solve_lower(root, own)
            log_det[u], square[u] = 2.0 * np.log(np.diag(root)).sum(), half @ half
    return log_det, square


def observation_batches(rows: WeightedRows) -> list[UnitBatch]:
    """Every row by itself."""
    n = rows.cp.n
    everything = np.arange(n)
    codes = rows.codes[0] if rows.codes else everything
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    within = np.empty(n, dtype=np.intp)
    within[order] = everything - np.repeat(np.cumsum(sizes) - sizes, sizes)
    keys = codes * n + within // TOGETHER  # levels of very many rows in parts
    _, units = np.unique(keys, return_inverse=True)
    sizes = np.bincount(units)
    near = rows.neighbourhoods(everything, units, len(sizes))
    order, starts = np.argsort(units, kind="stable"), np.append(0, np.cumsum(sizes))
    found: list[UnitBatch] = []
    for batch in near.batches(sizes, TOGETHER):
        here = np.concatenate([order[starts[unit] : starts[unit + 1]] for unit in batch.units])
        places, values = rows.local(near, batch, here, units[here])
        found.append(
            Observations(
                batch=batch,
                rows=here,
                near=np.repeat(np.arange(len(batch.units)), sizes[batch.units]),
                places=places,
                values=values,
                Q=rows.Q[here],
                log_weights=rows.log_weights[here],
            )
        )
    return found


def group_batches(rows: WeightedRows, codes: Ints) -> list[UnitBatch]:
    """The rows of each code from 0; every code up to the largest has some.

    Raises
    ------
    UnavailableError
        Where the rows of a unit have to do with too many effects.
    """
    taken = np.flatnonzero(codes >= 0)
    units = codes[taken]
    sizes = np.bincount(units)
    near = rows.neighbourhoods(taken, units, len(sizes))
    if near.widths.max() > MANY_EFFECTS:
        raise UnavailableError(
            f"The rows of one level have to do with {near.widths.max()} random effects; with more than "
            f"{MANY_EFFECTS} their covariance takes too long. Leave out by observation, or by a group whose "
            "levels have fewer rows."
        )
    order, starts = taken[np.argsort(units, kind="stable")], np.append(0, np.cumsum(sizes))
    return [
        _group_batch(rows, near, batch, [order[starts[u] : starts[u + 1]] for u in batch.units])
        for batch in near.batches(sizes, TOGETHER)
    ]


def _group_batch(rows: WeightedRows, near: Neighbourhoods, batch: Batch, members: list[Ints]) -> Groups:
    m, U, n = batch.width, len(members), rows.cp.n
    sizes = np.array([len(own) for own in members])
    every, starts = np.concatenate(members), np.append(0, np.cumsum(sizes))
    places, values = rows.local(near, batch, every, np.repeat(batch.units, sizes))
    rotated = []
    for first, last in pairwise(starts):
        local = np.zeros((last - first, m + rows.Q.shape[1]))
        np.add.at(local, (np.arange(last - first)[:, None], places[first:last]), values[first:last])
        local[:, m:] = rows.Q[every[first:last]]
        rotated.append(_rotate(local))
    r = max(len(R) for _, R in rotated)
    Z = np.zeros((U, r, m + rows.Q.shape[1]))
    data, row, column = [], [], []
    for u, (own, (rotation, R)) in enumerate(zip(members, rotated, strict=True)):
        Z[u, : len(R)] = R
        data.append(rotation.T.ravel())
        row.append(np.repeat(u * r + np.arange(len(R)), len(own)))
        column.append(np.tile(own, len(R)))
    places_of = (np.concatenate(row), np.concatenate(column))
    member = sp.csr_array((np.ones(len(every)), every, starts), shape=(U, n))
    return Groups(
        batch=batch,
        Z=np.ascontiguousarray(Z[:, :, :m]),
        Q=np.ascontiguousarray(Z[:, :, m:]),
        rotation=sp.csr_array((np.concatenate(data), places_of), shape=(U * r, n)),
        member=member,
        sizes=sizes,
        log_weights=np.asarray(member @ rows.log_weights),
        residuals=rows.residuals,
    )


def _rotate(local: Array) -> tuple[Array, Array]:
    """Orthonormal columns (n, r), and the rows of a unit in them, (r, ·); fewer where that is possible."""
    used = np.flatnonzero(local.any(axis=0))
    if len(local) <= len(used):
        return np.eye(len(local)), local
    rotation, R = dense.orthonormal(local[:, used])
    out = np.zeros((len(used), local.shape[1]))
    out[:, used] = R
    return rotation, out
