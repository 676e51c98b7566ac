"""Parts that hold numeric columns and their products only: made without formulaic's machinery.

Most models are nothing else, and for a small table the general way costs more than the fit. Terms, their
order and their names are formulaic's; a test compares the columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from formulaic.parser.types import Factor

from bimixed.covariance import Array
from bimixed.design.frame import Cells
from bimixed.exceptions import DataError


@dataclass(frozen=True)
class PlainSpec:
    """Products of numeric columns.

    Attributes
    ----------
    terms : tuple of tuple of str
        Columns of each term; none for the intercept.
    place : str
        How to call the part in errors.
    encoder_state : dict
        Empty: there are no factors.
    """

    terms: tuple[tuple[str, ...], ...]
    place: str
    encoder_state: dict[str, Any] = field(default_factory=dict)

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(":".join(term) or "Intercept" for term in self.terms)

    def columns(self, table: pd.DataFrame | Cells) -> Array:
        """The matrix, (n, k).

        Raises
        ------
        DataError
            Where a column of new data is no longer numeric.
        """
        out = np.empty((len(table), len(self.terms)))
        for j, term in enumerate(self.terms):
            out[:, j] = 1.0 if not term else self._numbers(table, term[0])
            for name in term[1:]:
                out[:, j] *= self._numbers(table, name)
        return out

    def _numbers(self, table: pd.DataFrame | Cells, name: str) -> Array:
        column = table[name]
        if column.dtype.kind not in "iuf":
            raise DataError(
                f"{name!r} ({self.place}) is a factor (labels) in these rows and was numeric in "
                "those of the model. Convert the column to what it was (.astype(float))."
            )
        return column.to_numpy(dtype=np.float64)


def plain_spec(terms: Sequence[Any], table: pd.DataFrame | Cells, place: str) -> PlainSpec | None:
    """The part as products of numeric columns, or None where it holds anything else."""
    found: list[tuple[str, ...]] = []
    numeric: set[str] = set()
    for term in terms:
        names: list[str] = []
        for factor in term.factors:
            if factor.eval_method is Factor.EvalMethod.LITERAL and factor.expr == "1":
                continue
            if factor.eval_method is not Factor.EvalMethod.LOOKUP or factor.kind is Factor.Kind.CATEGORICAL:
                return None
            if factor.expr not in numeric:
                if factor.expr not in table.columns or table[factor.expr].dtype.kind not in "iuf":
                    return None
                numeric.add(factor.expr)
            names.append(factor.expr)
        found.append(tuple(names))
    return PlainSpec(tuple(found), place)
