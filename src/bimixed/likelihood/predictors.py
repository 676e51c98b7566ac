"""Variance of linear predictors at the optimum."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed import dense
from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts
from bimixed.design import Design, MixedRows, RandomRows
from bimixed.likelihood.coordinates import Coordinates, transformed
from bimixed.likelihood.factorization import ChainStep, Factorization
from bimixed.likelihood.objective import Evaluation, Gradient
from bimixed.likelihood.trailing import SparseTrailing, Trailing
from bimixed.pairs import Pairs

CHUNK = 4_000_000
"""Numbers in the largest temporary."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class LinearPredictorVariance:
    """Variance of x'β̂ + z'b̂ as a predictor of x'β + z'b, given θ (Henderson 1975).

    σ²[(x − B_x'z)'(X'V⁻¹X)⁻¹(x − B_x'z) + z'Pz] with B_x = HZ'V⁻¹X; the second part is what remains
    unknown of b when β is known. Absorbed fixed effects are among b here.

    Attributes
    ----------
    design : Design
        As specified.
    coordinates : Coordinates
        Those of the evaluation.
    full : callable
        Gives the evaluation at the optimum; called when first needed.
    """

    design: Design
    coordinates: Coordinates
    cp: CrossProducts
    full: Callable[[], tuple[Evaluation, Gradient]]

    @cached_property
    def evaluation(self) -> Evaluation:
        return self.full()[0]

    def __call__(self, X: Array | sp.csr_array, known: Mapping[str, RandomRows]) -> Array:
        """Variances of the rows; X is (m, rank), known has the levels of the included groups."""
        return self._variances(
            X,
            {
                place: transformed(known[factor.key], self.coordinates.M[place])
                for place, factor in enumerate(self.design.factors)
                if factor.key in known
            },
        )

    def of_combinations(self, X: Array, Z: Mapping[str, sp.csr_array]) -> Array:
        """The same of combinations of any levels and coefficients, Z (m, L·K) by group."""
        return self._variances(
            X,
            {
                place: CombinedRows(sp.csr_array(Z[f.key] @ _repeated(self.coordinates.M[place], f.n_levels)))
                for place, f in enumerate(self.design.factors)
                if f.key in Z
            },
        )

    def _variances(
        self, X: Array | sp.csr_array, given: "Mapping[int, RandomRows] | Mapping[int, CombinedRows]"
    ) -> Array:
        m, p = X.shape[0], self.cp.p
        rows: dict[int, RandomRows | CombinedRows] = dict(given.items())
        absorbed = self.cp.basis.absorbed
        if absorbed is not None:
            own = sp.csr_array(X[:, absorbed.columns])
            X = dense.filled(X[:, absorbed.others]) - np.asarray(own @ absorbed.C)
            rows[absorbed.place] = MixedRows(own)
        x = dense.solve_lower(self.cp.basis.R.T, dense.filled(X).T)
        for place, of_place in rows.items():
            if p:
                x = x - of_place.times(self.evaluation.B[place][:, :, :-1]).T
        half = dense.solve_lower(self.evaluation.root, x)
        of_fixef = np.einsum("pm,pm->m", half, half)
        matrices = {place: of_place.matrix() for place, of_place in rows.items()}
        unknown = quadratic_forms(self.evaluation.factorization, matrices) if rows else np.zeros(m)
        return self.evaluation.sigma2 * (of_fixef + unknown)


@dataclass(frozen=True)
class CombinedRows:
    """Rows that combine any levels and coefficients, Z (m, L·K)."""

    Z: sp.csr_array

    def matrix(self) -> sp.csr_array:
        """Z itself."""
        return self.Z

    def times(self, effects: Array) -> Array:
        """Z b for effects (L, K, r), (m, r)."""
        return np.asarray(self.Z @ effects.reshape(-1, effects.shape[2]))


def quadratic_forms(fact: Factorization, rows: Mapping[int, sp.csr_array]) -> Array:
    """z'Pz of sparse rows z, (m,): P eliminates chain factors one after the other, as the data did.

    Parameters
    ----------
    fact : Factorization
    rows : mapping, place of the factor → (m, L·K) csr_array
        Places that are missing have zeros.
    """
    m = next(iter(rows.values())).shape[0]
    out = np.empty(m)
    couplings = _Couplings(fact)
    for here in _stretches(fact, rows, m):
        out[here] = couplings.forms({place: Z[here] for place, Z in rows.items()})
    return out


def _stretches(fact: Factorization, rows: Mapping[int, sp.csr_array], m: int) -> Iterator[slice]:
    """Rows a few at a time, so that what they are coupled with fits into bounded memory."""
    per_row = 1.0 + sum(Z.nnz for Z in rows.values()) / m
    for step in fact.steps:
        per_row += len(step.factor.pairs) / step.factor.n_levels
    length = max(1, int(CHUNK / per_row))
    for first in range(0, m, length):
        yield slice(first, min(first + length, m))


class _Couplings:
    """The scaled couplings of a factorization as sparse matrices."""

    def __init__(self, fact: Factorization):
        self.fact = fact
        self.W = [_block_diagonal(step.T @ step.G.mT) for step in fact.steps]
        self.N = [
            [
                _blocks(N, parent, fact.steps[j + 1 + i].factor.n_levels)
                for i, (parent, N) in enumerate(
                    zip(step.factor.parents, step.scaled_couplings.N, strict=True)
                )
            ]
            for j, step in enumerate(fact.steps)
        ]
        self.C = [self._with_trailing(step) for step in fact.steps]

    def _with_trailing(self, step: ChainStep) -> sp.csr_array:
        return step.factor.pairs.matrix(step.scaled_couplings.C)

    def forms(self, rows: Mapping[int, sp.csr_array]) -> Array:
        """z'Pz, (m,)."""
        m = next(iter(rows.values())).shape[0]
        fact = self.fact
        left = [rows.get(step.factor.place) for step in fact.steps]
        trailing = _trailing_rows(fact, rows, m)
        out = np.zeros(m)
        for j, Z in enumerate(left):
            if Z is None:
                continue
            half = sp.csr_array(Z @ self.W[j])
            out += np.asarray(half.power(2).sum(axis=1)).ravel()
            for i, N in enumerate(self.N[j]):
                k = j + 1 + i
                own = left[k]
                left[k] = sp.csr_array(-(half @ N) if own is None else own - half @ N)
            if fact.width:
                trailing = sp.csr_array(trailing - half @ self.C[j])
        if fact.trailing is not None:
            out += trailing_forms(fact.trailing, trailing)
        return out


def _trailing_rows(fact: Factorization, rows: Mapping[int, sp.csr_array], m: int) -> sp.csr_array:
    if not fact.width:
        return sp.csr_array((m, 0))
    sizes = [(f.place, f.n_levels * f.template.size) for f in fact.cp.trailing]
    parts = [rows[place] if place in rows else sp.csr_array((m, size)) for place, size in sizes]
    return sp.csr_array(sp.hstack(parts, format="csr"))


def trailing_forms(trailing: Trailing, rows: sp.csr_array) -> Array:
    """t'Pt of the trailing part for sparse rows t, (m,)."""
    rows.sum_duplicates()
    m, q = rows.shape
    counts = np.diff(rows.indptr)
    codes = np.repeat(np.arange(m), counts)
    pairs = Pairs(codes.astype(np.intp), rows.indices.astype(np.intp), m, q)
    values = rows.data[:, None]
    out = np.bincount(codes, trailing.product(pairs, values)[:, 0] * rows.data, minlength=m)
    if isinstance(trailing, SparseTrailing):
        missing = ~_on_pattern(trailing, pairs, counts)
        if missing.any():
            out[missing] = _by_solves(trailing, rows[missing])
    return np.asarray(out)


def _on_pattern(trailing: SparseTrailing, pairs: Pairs, counts: NDArray[np.intp]) -> Bools:
    """Rows all of whose pairs of columns are on the pattern that P is known on."""
    analysis = trailing.factor.analysis
    ones = np.ones((len(pairs), 1))
    found = pairs.product_on(analysis, ones, np.ones(len(analysis.A_rows)))[:, 0]
    return np.asarray(
        np.bincount(pairs.rows, found, minlength=len(counts)) >= counts.astype(float) ** 2 - 0.5
    )


def _by_solves(trailing: SparseTrailing, rows: sp.csr_array) -> Array:
    """The same by a solve for each row: combinations that the data don't have."""
    m, q = rows.shape
    out = np.empty(m)
    step = max(1, CHUNK // q)
    for first in range(0, m, step):
        last = min(first + step, m)
        _, half = trailing.solve(np.ascontiguousarray(rows[first:last].toarray().T))
        out[first:last] = np.einsum("qm,qm->m", half, half)
    return out


def _repeated(M: Array, times: int) -> sp.csr_array:
    return sp.csr_array(sp.kron(sp.eye_array(times), M, format="csr"))


def _block_diagonal(blocks: Array) -> sp.csr_array:
    return _blocks(blocks, np.arange(len(blocks)), len(blocks))


def _blocks(blocks: Array, columns: NDArray[np.intp], n_columns: int) -> sp.csr_array:
    """One block (K, K') in each row of blocks, at these columns of blocks."""
    L, K, M = blocks.shape
    shape = (L * K, n_columns * M)
    return sp.csr_array(sp.bsr_array((blocks, columns, np.arange(L + 1)), shape=shape))
