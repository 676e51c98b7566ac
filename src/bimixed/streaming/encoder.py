"""Rows of any chunk in the encoding of one model: matrices, group labels, weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.design import LevelRows, RandomFactor, matrices
from bimixed.design import frame as frames
from bimixed.design.grouping import group_column
from bimixed.design.matrices import EncodedPart
from bimixed.design.rows import Ints
from bimixed.design.weights import positive_weights
from bimixed.exceptions import DataError
from bimixed.moments import Moments, moments_of_rows
from bimixed.streaming.orders import plain_labels, without_categories


@dataclass(frozen=True)
class FactorEncoder:
    """One grouping factor: its columns or expressions, and the parts left of its bars.

    Attributes
    ----------
    outline : RandomFactor
        With no rows and no levels.
    group : tuple of str
    parts : tuple of str
    """

    outline: RandomFactor
    group: tuple[str, ...]
    parts: tuple[str, ...]


@dataclass(frozen=True)
class RowEncoder:
    """What turns a chunk into cross-products.

    Attributes
    ----------
    parts : mapping
        Materialised parts of the formula: ``response``, ``fixed``, offsets and those of the terms.
    factors : tuple of FactorEncoder
    columns : tuple of str
        Columns of the source that are used.
    context : mapping
    names : tuple of str
        Columns of X, then the response.
    weights_column, offset_column : str or None
    na_action : {"drop", "raise"}
    centre : (p + 1,) array
    centres : tuple of (K,) arrays
    means : mapping
        Of numeric columns, of the first rows.
    categories : mapping
        Of columns of numbers that are categories.
    ordered : frozenset of str
        Columns whose categories have an order; others are labels.
    """

    parts: Mapping[str, EncodedPart]
    factors: tuple[FactorEncoder, ...]
    columns: tuple[str, ...]
    context: Mapping[str, Any]
    names: tuple[str, ...]
    weights_column: str | None
    offset_column: str | None
    na_action: str
    centre: Array
    centres: tuple[Array, ...]
    means: Mapping[str, float] = field(default_factory=dict)
    categories: Mapping[str, pd.Index] = field(default_factory=dict)
    ordered: frozenset[str] = frozenset()

    @property
    def has_offset(self) -> bool:
        return self.offset_column is not None or any(name.startswith("offset") for name in self.parts)

    def complete(self, chunk: pd.DataFrame, first: int = 0) -> tuple[pd.DataFrame, dict[str, int]]:
        """The complete rows as formulaic reads them, and missing values by column.

        Parameters
        ----------
        chunk : pandas.DataFrame
        first : int
            Number of its first row, for errors.

        Raises
        ------
        DataError
            For missing values with ``na_action="raise"``.
        """
        chunk = chunk.set_axis(pd.RangeIndex(first, first + len(chunk)), axis=0)
        missing = {name: chunk[name].isna().to_numpy() for name in self.columns}
        counts = {name: int(mask.sum()) for name, mask in missing.items() if mask.any()}
        if counts:
            if self.na_action == "raise":
                told = ", ".join(f"{name} ({count} missing)" for name, count in counts.items())
                raise DataError(
                    f"Missing values: {told}. Fill or drop them; a specification with na_action='drop' "
                    "leaves them out."
                )
            chunk = chunk[~np.logical_or.reduce(list(missing.values()))]
        return self.categorical(frames.plain_columns(without_categories(chunk, self.ordered))), counts

    def categorical(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table with categories that came as numbers made categories again."""
        if not self.categories:
            return table
        own = {name: _as_categories(table[name], known) for name, known in self.categories.items()}
        return table.assign(**own)

    def columns_of(self, table: pd.DataFrame) -> Array:
        """X, and the response with the offset taken off, (n, p + 1)."""
        y = self._part("response", table)[:, 0]
        return np.column_stack([self._part("fixed", table), y - self.offset_of(table)])

    def offset_of(self, table: pd.DataFrame) -> Array:
        """The offset, (n,)."""
        total = np.zeros(len(table))
        for name in self.parts:
            if name.startswith("offset"):
                total += self._part(name, table)[:, 0]
        if self.offset_column is not None:
            total += self._numbers(table, self.offset_column, "offset")
        return total

    def weights_of(self, table: pd.DataFrame) -> Array | None:
        """Precision weights, or None."""
        if self.weights_column is None:
            return None
        return positive_weights(self._numbers(table, self.weights_column, "weights"), table.index)

    def factor_of(self, encoder: FactorEncoder, table: pd.DataFrame) -> RandomFactor:
        """A factor with the levels of these rows alone; those of combined columns are tuples."""
        codes, levels = self._levels(encoder.group, table)
        values = np.hstack([self._part(name, table) for name in encoder.parts])
        rows = LevelRows(codes, values, len(levels))
        own = encoder.outline
        return RandomFactor(
            own.key, levels, rows, own.names, own.template, own.sources, own.group, own.is_component
        )

    def moments(self, table: pd.DataFrame) -> Moments:
        """Cross-products of complete rows."""
        return moments_of_rows(
            self.names,
            self.columns_of(table),
            self.weights_of(table),
            [self.factor_of(encoder, table) for encoder in self.factors],
            self.centre,
            self.centres,
        )

    def _levels(self, group: tuple[str, ...], table: pd.DataFrame) -> tuple[Ints, pd.Index]:
        number: Any = None
        labels: list[pd.Index] = []
        sizes = []
        for atom in group:
            column = group_column(atom, table, self.context, {})
            codes, found = pd.factorize(plain_labels(column))
            index = pd.Index(found)
            try:
                order = index.argsort()
            except TypeError as error:
                raise DataError(
                    f"The group {atom!r} mixes labels of different types, so that 1 and '1' would be two "
                    "levels. Convert the column."
                ) from error
            rank = np.empty(len(order), dtype=np.int64)
            rank[order] = np.arange(len(order))
            labels.append(index[order])
            sizes.append(len(index))
            number = rank[codes] if number is None else number * len(index) + rank[codes]
        if len(group) == 1:
            return number.astype(np.intp), labels[0].rename(group[0])
        combined, codes = np.unique(number, return_inverse=True)
        parts = []
        for size, own in zip(reversed(sizes), reversed(labels), strict=True):
            combined, place = np.divmod(combined, size)
            parts.append(own[place])
        return codes.astype(np.intp), pd.MultiIndex.from_arrays(parts[::-1], names=group)

    def _part(self, name: str, table: pd.DataFrame) -> Array:
        values = matrices.encode_part(self.parts[name], table, self.context)
        matrices.require_finite(self.parts[name], values, table.index)
        return np.asarray(values)

    def _numbers(self, table: pd.DataFrame, name: str, what: str) -> Array:
        try:
            numbers = table[name].to_numpy(dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"Column {name!r} ({what}) is not numeric; convert it.") from error
        if not np.isfinite(numbers).all():
            raise DataError(f"{what} has infinite values; correct or drop these rows.")
        return numbers


def _as_categories(column: pd.Series, known: pd.Index) -> pd.Categorical:
    """Numbers as categories: those known, in their order, then others, which only groups can have."""
    others = column[~column.isin(known)].unique()
    return pd.Categorical(column, categories=known.append(pd.Index(np.sort(others), dtype=known.dtype)))
