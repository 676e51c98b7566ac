"""Cross-products of a model from sums by cell of equal labels."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bimixed.covariance import Array
from bimixed.design import matrices
from bimixed.design.numeric_parts import Product
from bimixed.design.rows import Ints
from bimixed.moments import MomentFactor, Moments
from bimixed.streaming.encoder import FactorEncoder, RowEncoder

BLOCK = 50_000
"""Cells at a time."""


@dataclass(frozen=True)
class CellSums:
    """Sums by cell, and what they mean.

    Attributes
    ----------
    encoder : RowEncoder
    products : tuple of tuple of str
    places : mapping
    shifts : list of float
        What was taken off each product.
    cells : pandas.DataFrame
        Labels by name; then, numbered from 0: rows, sums of products, sums of their products (upper triangle
        by rows), and with weights the same weighted, weights in place of rows, and the sums of their
        inverses and logs.
    """

    encoder: RowEncoder
    products: Sequence[Product]
    places: Mapping[str, tuple[int, ...]]
    shifts: Sequence[float]
    cells: pd.DataFrame

    def moments(self) -> Moments:
        """The cross-products."""
        encoder = self.encoder
        own = [_Levels.of(f, self.cells) for f in encoder.factors]
        total = _Totals(len(encoder.names) + 1, own)
        for rows in self._blocks():
            total.add(
                rows, self._columns(rows), [self._covariates(f, j, rows) for j, f in enumerate(own)], self
            )
        return Moments(
            names=encoder.names,
            n=int(self._first.sum()),
            log_weights=float(self.cells.iloc[:, -1].sum()) if encoder.weights_column is not None else 0.0,
            centre=encoder.centre,
            AA=total.AA,
            plain=total.plain,
            factors=tuple(
                MomentFactor(
                    key=f.encoder.outline.key,
                    names=f.encoder.outline.names,
                    template=f.encoder.outline.template,
                    levels=f.labels,
                    is_mixed=False,
                    centre=encoder.centres[j],
                    counts=total.counts[j],
                    plain=total.factor_plain[j],
                )
                for j, f in enumerate(own)
            ),
            ZA=tuple(total.ZA),
            ZZ=total.products(),
        )

    def column_sums(self) -> dict[str, float]:
        """Sums of the columns that are products by themselves."""
        n = math.fsum(self._first)
        return {
            product[0]: math.fsum(self.cells[i]) + shift * n
            for i, (product, shift) in enumerate(zip(self.products, self.shifts, strict=True))
            if len(product) == 1
        }

    def _blocks(self) -> Iterator[slice]:
        for first in range(0, len(self.cells), BLOCK):
            yield slice(first, min(first + BLOCK, len(self.cells)))

    @cached_property
    def _first(self) -> Array:
        return self.cells[0].to_numpy(dtype=np.float64)

    def sums(self, rows: slice, weighted: bool) -> Array:
        """Sums of products of [1, products], (cells, m, m)."""
        m = len(self.products)
        count = m * (m + 1) // 2
        start = count if weighted else 0
        values = self.cells[list(range(start, start + count))].to_numpy(dtype=np.float64)[rows]
        out = np.empty((len(values), m, m))
        out[:, 0, :] = values[:, :m]
        upper = np.triu_indices(m - 1)
        out[:, upper[0] + 1, upper[1] + 1] = values[:, m:]
        out[:, upper[1] + 1, upper[0] + 1] = values[:, m:]
        out[:, :, 0] = out[:, 0, :]
        return out

    @property
    def inverse_weights(self) -> float:
        """Sum of their inverses."""
        return math.fsum(self.cells.iloc[:, -2])

    @property
    def has_weights(self) -> bool:
        return self.encoder.weights_column is not None

    def _combinations(self, name: str, rows: slice) -> Array:
        """Columns of a part as combinations of [1, products less shifts], (cells, m, columns)."""
        part, places = self.encoder.parts[name], self.places[name]
        size = matrices.encode_part(part, self._made_up(rows), self.encoder.context)
        out = np.zeros((len(size), len(self.products), len(places)))
        for j, place in enumerate(places):
            out[:, place, j] += size[:, j]
            if place:
                out[:, 0, j] += size[:, j] * self.shifts[place]
        return out

    def _made_up(self, rows: slice) -> pd.DataFrame:
        """Rows with the labels of each cell, and 1 in every numeric column."""
        table = self.cells.iloc[rows]
        labels = {name: table[name].to_numpy() for name in table if isinstance(name, str)}
        ones = np.ones(len(table))
        made = pd.DataFrame({name: labels.get(name, ones) for name in self.encoder.columns})
        return self.encoder.categorical(made.infer_objects())

    def _columns(self, rows: slice) -> Array:
        """[1, X − c, y − c], (cells, m, p + 2)."""
        y = self._combinations("response", rows)
        offset = self.encoder.offset_column
        if offset is not None:
            place = list(self.products).index((offset,))
            y[:, place, 0] -= 1.0
            y[:, 0, 0] -= self.shifts[place]
        X = self._combinations("fixed", rows)
        out = np.concatenate([np.zeros((len(X), X.shape[1], 1)), X, y], axis=2)
        out[:, 0, 0] = 1.0
        out[:, 0, 1:] -= self.encoder.centre
        return out

    def _covariates(self, levels: "_Levels", place: int, rows: slice) -> Array:
        """Z − c, (cells, m, K)."""
        parts = [self._combinations(name, rows) for name in levels.encoder.parts]
        out = np.concatenate(parts, axis=2)
        out[:, 0] -= self.encoder.centres[place]
        return out


@dataclass(frozen=True)
class _Levels:
    """Levels of a factor among the cells."""

    encoder: FactorEncoder
    codes: Ints
    labels: pd.Index

    @staticmethod
    def of(encoder: FactorEncoder, cells: pd.DataFrame) -> "_Levels":
        columns = [cells[atom] for atom in encoder.group]
        index: Any = pd.Index(columns[0]) if len(columns) == 1 else pd.MultiIndex.from_arrays(columns)
        labels = index.unique().sort_values()
        return _Levels(
            encoder,
            labels.get_indexer(index).astype(np.intp),
            labels.rename(list(encoder.group) if len(columns) > 1 else encoder.group[0]),
        )


class _Totals:
    """Blocks of cells added up."""

    def __init__(self, width: int, levels: Sequence[_Levels]):
        self.levels = levels
        self.AA, self.plain = np.zeros((width, width)), np.zeros((width, width))
        sizes = [len(f.encoder.outline.names) for f in levels]
        self.ZA = [np.zeros((len(f.labels) * K, width)) for f, K in zip(levels, sizes, strict=True)]
        self.factor_plain = [np.zeros((K + 1, K + 1)) for K in sizes]
        self.counts = [np.zeros(len(f.labels), dtype=np.intp) for f in levels]
        self.own = [np.zeros((len(f.labels), K, K)) for f, K in zip(levels, sizes, strict=True)]
        self.sizes = sizes
        self.pairs: dict[tuple[int, int], list[tuple[Array, Ints, Ints]]] = {
            (j, k): [] for j in range(len(levels)) for k in range(j + 1, len(levels))
        }

    def add(self, rows: slice, A: Array, Z: Sequence[Array], sums: CellSums) -> None:
        plain = sums.sums(rows, False)
        S = sums.sums(rows, True) if sums.has_weights else plain
        SA = S @ A
        self.AA += np.einsum("cma,cmb->ab", A, SA)
        self.plain += (
            np.einsum("cma,cmb->ab", A, plain @ A) if sums.has_weights else np.einsum("cma,cmb->ab", A, SA)
        )
        for j, f in enumerate(self.levels):
            codes, L, K = f.codes[rows], len(f.labels), self.sizes[j]
            gather = sp.csr_array(
                (np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=(L, len(codes))
            )
            ZA = (Z[j].mT @ SA).reshape(len(codes), -1)
            self.ZA[j] += np.asarray(gather @ ZA).reshape(L * K, -1)
            self.own[j] += np.asarray(gather @ (Z[j].mT @ (S @ Z[j])).reshape(len(codes), -1)).reshape(
                L, K, K
            )
            one = np.concatenate([A[:, :, :1], Z[j]], axis=2)
            self.factor_plain[j] += np.einsum("cma,cmb->ab", one, plain @ one)
            takes_part = self._takes_part(Z[j], sums.encoder.centres[j])
            self.counts[j] += np.bincount(codes, plain[:, 0, 0] * takes_part, minlength=L).astype(np.intp)
            for k in range(j + 1, len(self.levels)):
                block = Z[j].mT @ (S @ Z[k])
                self.pairs[j, k].append((block, codes, self.levels[k].codes[rows]))

    @staticmethod
    def _takes_part(Z: Array, centre: Array) -> Array:
        """Whether the rows of a cell have a covariate other than 0."""
        raw = Z.copy()
        raw[:, 0] += centre
        return np.asarray(np.abs(raw).max(axis=(1, 2)) > 0.0, dtype=np.float64)

    def products(self) -> dict[tuple[int, int], sp.csr_array]:
        """Z'WZ of each two factors."""
        found = {}
        for j, own in enumerate(self.own):
            codes = np.arange(len(own))
            found[j, j] = _sparse([(own, codes, codes)], (len(own), len(own)))
        for (j, k), parts in self.pairs.items():
            found[j, k] = _sparse(parts, (len(self.levels[j].labels), len(self.levels[k].labels)))
        return dict(sorted(found.items()))


def _sparse(parts: Sequence[tuple[Array, Ints, Ints]], levels: tuple[int, int]) -> sp.csr_array:
    """Blocks (cells, K, K') at levels of two factors; equal places are added, zeros kept."""
    K, M = parts[0][0].shape[1:]
    block = np.concatenate([part[0] for part in parts])
    rows, columns = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    at = np.broadcast_to(rows[:, None, None] * K + np.arange(K)[:, None], block.shape)
    beside = np.broadcast_to(columns[:, None, None] * M + np.arange(M), block.shape)
    coo = sp.coo_array((block.ravel(), (at.ravel(), beside.ravel())), shape=(levels[0] * K, levels[1] * M))
    return sp.csr_array(coo)
