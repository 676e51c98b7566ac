"""Sums by DuckDB: products of numeric columns by cell of groups and categories.

A column of the design is, in a cell of equal labels, a number times a product of numeric columns. Sums of
products of these by cell give every cross-product, and DuckDB makes them at the speed of its columns, with
compensation for rounding (fsum).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from bimixed.design.matrices import LARGEST
from bimixed.design.numeric_parts import Product, numeric_products
from bimixed.exceptions import DataError
from bimixed.moments import Moments
from bimixed.streaming.cells import CellSums
from bimixed.streaming.counting import Counts
from bimixed.streaming.encoder import RowEncoder
from bimixed.streaming.reading import is_complete, quoted

NUMERIC = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "FLOAT", "DOUBLE")
LABELS = (*NUMERIC, "VARCHAR", "BOOLEAN", "DATE", "UBIGINT")
FLOATING = ("FLOAT", "DOUBLE")
MOST = 14
"""Products that DuckDB sums; models of more are added up by matrix products."""


@dataclass(frozen=True)
class CellQuery:
    """The query of a model.

    Attributes
    ----------
    encoder : RowEncoder
    products : tuple of tuple of str
        Products of numeric columns; the first is empty, 1.
    places : mapping
        Part of the formula → which product each of its columns is made of.
    keys : tuple of str
        Columns of the cells: groups, then categories.
    schema : mapping
    """

    encoder: RowEncoder
    products: tuple[Product, ...]
    places: Mapping[str, tuple[int, ...]]
    keys: tuple[str, ...]
    schema: Mapping[str, str]

    @staticmethod
    def of(encoder: RowEncoder, schema: Mapping[str, str]) -> "CellQuery | None":
        """The query of a model; None where it isn't made of plain columns, or its groups are crossed."""
        groups = sorted((own.group for own in encoder.factors), key=len)
        plain = [atom for group in groups for atom in group]
        others = [name for name in (encoder.weights_column, encoder.offset_column) if name is not None]
        if not schema or any(schema.get(name) not in LABELS for name in plain):
            return None
        if any(not set(small) <= set(large) for small, large in pairwise(groups)):
            return None
        found: dict[Product, int] = {(): 0}
        places: dict[str, tuple[int, ...]] = {}
        labels: dict[str, None] = {}
        for name, part in encoder.parts.items():
            own = numeric_products(part, encoder.columns)
            if own is None or name.startswith("offset"):
                return None
            places[name] = tuple(found.setdefault(product, len(found)) for product in own[0])
            labels |= dict.fromkeys(own[1])
        if encoder.offset_column is not None:
            found.setdefault((encoder.offset_column,), len(found))
        used = [*others, *(column for product in found for column in product)]
        if any(schema.get(name) not in NUMERIC for name in used) or len(found) > MOST:
            return None
        if any(schema.get(name) not in LABELS for name in labels) or set(used) & {*labels, *plain}:
            return None
        keys = tuple(dict.fromkeys([*plain, *labels]))
        return CellQuery(encoder, tuple(found), places, keys, schema)

    def sums(self, piece: Any) -> tuple[Moments | None, Counts]:
        """Sums of one piece.

        Raises
        ------
        DataError
            Naming a column with values that can't be added.
        """
        counts = self._survey(piece)
        if counts.complete == 0:
            return None, counts
        cells = piece.table(self._sql(piece, bool(counts.missing)))
        own = CellSums(self.encoder, self.products, self.places, self.shifts, self._renamed(cells))
        moments = own.moments()
        sums = {name: total for name, total in own.column_sums().items() if name in counts.lows}
        sums |= self._other_sums(piece, [name for name in counts.lows if name not in sums])
        weights, offset = self.encoder.weights_column, self.encoder.offset_column
        return moments, replace(
            counts,
            sums=sums,
            weights=0.0 if weights is None else float(moments.AA[0, 0]),
            inverse_weights=0.0 if weights is None else own.inverse_weights,
            offset=0.0 if offset is None else sums[offset],
        )

    def _other_sums(self, piece: Any, names: list[str]) -> dict[str, float]:
        """Of columns that stand in products or are weights alone."""
        if not names:
            return {}
        chosen = ", ".join(f"fsum(CAST({quoted(name)} AS DOUBLE))" for name in names)
        where = is_complete(self.encoder.columns, self.schema)
        found = piece.rows(f"SELECT {chosen} FROM {piece.clause} WHERE {where}")[0]
        return dict(zip(names, map(float, found), strict=True))

    @property
    def shifts(self) -> list[float]:
        """A number near the mean of each product: the product of the means of the first rows."""
        means = self.encoder.means
        return [float(np.prod([means[name] for name in p])) if p else 0.0 for p in self.products]

    @cached_property
    def _numeric(self) -> list[str]:
        found = [name for product in self.products for name in product]
        if self.encoder.weights_column is not None:
            found.append(self.encoder.weights_column)
        return list(dict.fromkeys(found))

    def _survey(self, piece: Any) -> Counts:
        """Missing values, and limits of numeric columns."""
        columns = self.encoder.columns
        first = ["count(*)", *(f"count({quoted(name)})" for name in columns)]
        limits = [f"{f}({quoted(name)})" for name in self._numeric for f in ("min", "max")]
        labels = [f"max({quoted(name)})" for name in self.keys if self.schema.get(name) in FLOATING]
        found = piece.rows(f"SELECT {', '.join(first + limits + labels)} FROM {piece.clause}")[0]
        rows, own = int(found[0]), found[len(first) :]
        complete = rows
        missing = {name: rows - known for name, known in zip(columns, found[1 : len(first)], strict=True)}
        if any(missing.values()) or any(
            isinstance(v, float) and np.isnan(v)
            for v in own  # NaN is the largest
        ):
            told = [f"count_if({self._is_missing(name)})" for name in columns]
            counts = piece.rows(f"SELECT {', '.join(told)} FROM {piece.clause}")[0]
            missing = {name: int(count) for name, count in zip(columns, counts, strict=True)}
            self._refuse_missing(missing, rows)
            where = is_complete(columns, self.schema)
            sql = f"SELECT {', '.join(['count(*)', *limits])} FROM {piece.clause} WHERE {where}"
            complete, *own = piece.rows(sql)[0]
        values = {name: own[2 * i : 2 * i + 2] for i, name in enumerate(self._numeric)} if complete else {}
        for name, (low, high) in values.items():
            self._refuse_extremes(piece, name, low, high)
        for product in self.products:
            if np.prod([max(map(abs, values[name])) for name in product if name in values]) >= LARGEST:
                self._refuse_large(piece, product)
        return Counts(
            rows=rows,
            complete=int(complete),
            missing={name: count for name, count in missing.items() if count},
            lows={name: float(low) for name, (low, _) in values.items()},
            highs={name: float(high) for name, (_, high) in values.items()},
        )

    def _is_missing(self, name: str) -> str:
        floating = self.schema.get(name) in FLOATING
        return f"{quoted(name)} IS NULL" + (f" OR isnan({quoted(name)})" if floating else "")

    def _refuse_missing(self, missing: Mapping[str, int], rows: int) -> None:
        if self.encoder.na_action == "raise":
            told = ", ".join(f"{name} ({count} missing)" for name, count in missing.items() if count)
            raise DataError(
                f"Missing values among {rows} rows: {told}. Fill or drop them; a specification with "
                "na_action='drop' leaves them out."
            )

    def _refuse_extremes(self, piece: Any, name: str, low: float, high: float) -> None:
        if max(abs(low), abs(high)) >= LARGEST:
            worst = low if abs(low) > abs(high) else high
            raise DataError(
                f"{self._file_with(piece, name, worst)}: column {name!r} has values from {low:.3g} to "
                f"{high:.3g}, which can't be added up. Correct or drop these rows, or change its units."
            )
        if name == self.encoder.weights_column and low <= 0.0:
            raise DataError(
                f"{self._file_with(piece, name, low)}: weights has values that aren't positive ({low:g}); a "
                f"row of no weight is left out: select those with {name} > 0."
            )

    def _refuse_large(self, piece: Any, product: Product) -> None:
        """Refuse a product of columns whose squares can't be computed."""
        text = " * ".join(f"CAST({quoted(name)} AS DOUBLE)" for name in product)
        where = is_complete(self.encoder.columns, self.schema)
        largest = piece.rows(f"SELECT max(abs({text})) FROM {piece.clause} WHERE {where}")[0][0]
        if largest >= LARGEST:
            raise DataError(
                f"{piece.name}: {':'.join(product)} is {largest:.3g} in a row: products of such numbers "
                "can't be "
                "computed. Change its units."
            )

    def _file_with(self, piece: Any, name: str, value: float) -> str:
        """The first piece of the source with this value."""
        for own in piece.source.pieces():
            where = f"CAST({quoted(name)} AS DOUBLE) = CAST('{value!r}' AS DOUBLE)"
            if own.rows(f"SELECT count(*) FROM {own.clause} WHERE {where}")[0][0]:
                return str(own.name)
        return str(piece.name)

    def _sql(self, piece: Any, has_missing: bool) -> str:
        centred = []
        for product, shift in zip(self.products[1:], self.shifts[1:], strict=True):
            factors = " * ".join(f"CAST({quoted(name)} AS DOUBLE)" for name in product)
            centred.append(f"({factors} - ({shift!r}))" if shift else f"({factors})")
        entries = centred + [f"{one} * {other}" for i, one in enumerate(centred) for other in centred[i:]]
        chosen = [f"{quoted(name)} AS key_{i}" for i, name in enumerate(self.keys)]
        chosen += ["count(*) AS n", *(f"fsum({entry})" for entry in entries)]
        if self.encoder.weights_column is not None:
            w = f"CAST({quoted(self.encoder.weights_column)} AS DOUBLE)"
            chosen += [
                f"fsum({w})",
                *(f"fsum({w} * {entry})" for entry in entries),
                f"fsum(1 / {w})",
                f"fsum(ln({w}))",
            ]
        where = f" WHERE {is_complete(self.encoder.columns, self.schema)}" if has_missing else ""
        keys = ", ".join(map(str, range(1, len(self.keys) + 1)))
        return f"SELECT {', '.join(chosen)} FROM {piece.clause}{where} GROUP BY {keys}"

    def _renamed(self, cells: pd.DataFrame) -> pd.DataFrame:
        named = cells.set_axis([*self.keys, *range(len(cells.columns) - len(self.keys))], axis=1)
        days = [name for name in self.keys if self.schema[name] == "DATE"]
        return named.assign(**{name: named[name].dt.date for name in days}) if days else named
