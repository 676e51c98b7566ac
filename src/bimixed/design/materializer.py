"""How formulaic makes columns of data, with our own rules for what it may make."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from formulaic.materializers import PandasMaterializer
from formulaic.parser.types import Factor
from interface_meta import override
from numpy.typing import NDArray

from bimixed.exceptions import DataError


class Materializer(PandasMaterializer):
    """Formulaic's materialiser with booleans as factors, which refuses columns that mean nothing.

    Attributes
    ----------
    row_index : pandas.Index or None
        Names of the rows in errors.
    expected : mapping
        Kind of each factor in the fitted data, for new data.
    """

    REGISTER_NAME = "bimixed"
    REGISTER_INPUTS = ()

    row_index: pd.Index | None = None
    expected: Mapping[str, Any] = {}

    @override
    def _is_categorical(self, values: Any) -> bool:
        plain = getattr(values, "__wrapped__", values)
        if isinstance(plain, pd.Series | np.ndarray) and plain.dtype == bool:
            return True
        return bool(super()._is_categorical(values))

    @override
    def _encode_numerical(
        self, values: Any, metadata: Any, encoder_state: dict[str, Any], spec: Any, drop_rows: Any
    ) -> Any:
        """Integers as floats: products of integers would overflow silently."""
        plain = getattr(values, "__wrapped__", values)
        if isinstance(plain, pd.Series | np.ndarray) and plain.dtype.kind in "iu":
            values = plain.astype(np.float64)
        return super()._encode_numerical(values, metadata, encoder_state, spec, drop_rows)

    @override
    def _check_for_nulls(self, name: str, values: Any, na_action: Any, drop_rows: set[int]) -> None:
        """Refuse what formulaic would make columns of that mean nothing, or not what was meant."""
        plain = getattr(values, "__wrapped__", values)
        self._refuse_other_kind(name, values.__formulaic_metadata__.kind)
        if values.__formulaic_metadata__.kind is Factor.Kind.CONSTANT or isinstance(plain, dict):
            return
        if isinstance(plain, pd.Categorical):
            plain = pd.Series(plain)
        n = np.shape(plain)[0] if np.ndim(plain) else 0
        if n != len(self.data):
            what = f"{n} values" if np.ndim(plain) else "one value"
            raise DataError(
                f"'{name}' gives {what} for {len(self.data)} rows. Let it give one for each row; a number "
                "for all rows is no predictor."
            )
        if isinstance(plain, pd.Series | np.ndarray) and plain.dtype.kind in "mMc":
            raise DataError(self._without_slope(name, plain.dtype.kind))
        if isinstance(plain, pd.Series) and self._is_categorical(values):
            self._refuse_missing_labels(name, plain.isna().to_numpy())

    def _without_slope(self, name: str, kind: str) -> str:
        """Why a column of dates, durations or complex numbers has no slope, and what to do."""
        column = f"data[{name!r}]" if name in self.data.columns else name
        if kind == "c":
            return (
                f"'{name}' holds complex numbers, which have no slope. Make real numbers of them: "
                f"numpy.real({column}), numpy.imag({column}) or numpy.abs({column})."
            )
        sql = f"; in DuckDB date_diff('day', DATE '2020-01-01', {name})" if kind == "M" else ""
        days = f"({column} - {column}.min()).dt.days" if kind == "M" else f"{column}.dt.days"
        return (
            f"'{name}' holds {'dates' if kind == 'M' else 'durations'}, which have no slope. Make numbers of "
            f"them ({'days since the first' if kind == 'M' else 'days'}: {days}{sql}) or labels "
            "(.astype(str))."
        )

    def _refuse_other_kind(self, name: str, kind: Any) -> None:
        """A number where the fit had labels would go into every column of the factor."""
        expected = self.expected.get(name)
        if expected is None or kind is expected or kind is Factor.Kind.CONSTANT:
            return
        was, now = (
            "a factor (labels)" if k is Factor.Kind.CATEGORICAL else "numeric" for k in (expected, kind)
        )
        raise DataError(
            f"'{name}' is {now} in these rows and was {was} in those of the model. Convert the column to "
            "what it was (.astype(str), .astype(float), .astype(bool))."
        )

    def _refuse_missing_labels(self, name: str, missing: NDArray[np.bool_]) -> None:
        """A label made missing would silently become the reference level."""
        if not missing.any():
            return
        index = self.data.index if self.row_index is None else self.row_index
        rows = index[missing][:5].tolist()
        raise DataError(
            f"'{name}' makes missing labels in {int(missing.sum())} row(s) whose columns are not missing: "
            f"{rows}. Let it give every row a label (wider limits in a cut, say), or drop these rows."
        )


def materialize(
    formula: Any,
    table: pd.DataFrame,
    context: Mapping[str, Any],
    index: pd.Index | None = None,
    output: str = "numpy",
    expected: Mapping[str, Any] | None = None,
) -> Any:
    """Formulaic's model matrices of a formula, or of what it remembers of one.

    Parameters
    ----------
    formula : formulaic.Formula or spec
    table : pandas.DataFrame
    context : mapping
    index : pandas.Index, optional
        Names of the rows in errors.
    output : {"numpy", "sparse"}
    expected : mapping, optional
        Kind of each factor in the fitted data.
    """
    materializer = Materializer(table, context=context)
    materializer.row_index = index
    materializer.expected = expected or {}
    # infinite and undefined values get an error of ours, which names them
    with np.errstate(divide="ignore", invalid="ignore"):
        return materializer.get_model_matrix(formula, na_action="ignore", output=output)
