"""New rows of a model that was given as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bimixed.covariance import Array
from bimixed.design.array_components import sparse_entries
from bimixed.design.encoding import NewRows
from bimixed.design.grouping import Grouping
from bimixed.design.rows import LevelRows, MixedRows, RandomRows
from bimixed.design.weights import positive_weights
from bimixed.exceptions import DataError


@dataclass(frozen=True)
class ArrayEncoding:
    """New rows as a dict with the names of the arguments.

    Attributes
    ----------
    n_fixef : int
    key : str or None
        Of the groups, where they have coefficients.
    grouping : Grouping or None
    n_re : int
        Coefficients of the groups.
    is_intercept : bool
        Whether the only one is an intercept, which new data need not give.
    components : mapping
        Labels of the columns of each component.
    has_offset : bool
    """

    n_fixef: int
    key: str | None
    grouping: Grouping | None
    n_re: int
    is_intercept: bool
    components: Mapping[str, tuple[str, ...]]
    has_offset: bool

    def encode(self, new_data: Any, keys: tuple[str, ...]) -> NewRows:
        """Encode ``{"exog": …, "groups": …, "exog_re": …, "exog_vc": {name: matrix}}``.

        Matrices of components have the fitted columns, those of all groups side by side.

        Raises
        ------
        DataError
            If an array is missing or has another shape.
        """
        if not isinstance(new_data, Mapping):
            raise DataError(
                "The model was given as arrays, so new data are a dict of arrays with the same names: "
                "{'exog': X, 'groups': labels}, and exog_re, exog_vc, offset, weights where the fit had them."
            )
        X = self._array(new_data, "exog", None, self.n_fixef)
        n = X.shape[0]
        offset = self._array(new_data, "offset", n, 1)[:, 0] if self.has_offset else np.zeros(n)
        weights = None
        if "weights" in new_data:
            weights = positive_weights(self._array(new_data, "weights", n, 1)[:, 0], pd.RangeIndex(n))
        random: dict[str, RandomRows] = {}
        for key in keys:
            random[key] = self._levels(new_data, n) if key == self.key else self._component(new_data, key, n)
        return NewRows(X, offset, weights, random, pd.RangeIndex(n))

    def _array(self, new_data: Mapping[str, Any], name: str, n: int | None, width: int) -> Array:
        if name not in new_data:
            raise DataError(f"The new data have no {name!r}, which the fit had; add it to the dict.")
        given = new_data[name]
        try:
            array = np.asarray(given.toarray() if sp.issparse(given) else given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"{name} of the new data is not numeric ({error}); give numbers.") from error
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2 or array.shape[1] != width or (n is not None and len(array) != n):
            rows = "any number of" if n is None else n
            raise DataError(
                f"{name} of the new data has shape {array.shape}; wanted: ({rows} rows, {width})."
            )
        if not np.isfinite(array).all():
            raise DataError(f"{name} of the new data has missing or infinite values; drop these rows.")
        return array

    def _levels(self, new_data: Mapping[str, Any], n: int) -> LevelRows:
        if self.grouping is None or "groups" not in new_data:
            raise DataError("The new data have no 'groups'; add them, or predict with random='none'.")
        table = pd.DataFrame({self.grouping.columns[0]: np.asarray(new_data["groups"])})
        if len(table) != n or table.isna().to_numpy().any():
            raise DataError(f"groups of the new data must have one label for each of the {n} rows of exog.")
        if "exog_re" not in new_data and self.is_intercept:
            values = np.ones((n, 1))
        else:
            values = self._array(new_data, "exog_re", n, self.n_re)
        return LevelRows(
            self.grouping.codes(table, {}), values, len(self.grouping.levels), self.grouping.labels(table, {})
        )

    def _component(self, new_data: Mapping[str, Any], key: str, n: int) -> MixedRows:
        given = new_data.get("exog_vc", {})
        if key not in given:
            raise DataError(
                f"The new data have no exog_vc[{key!r}]: give its matrix with the "
                f"{len(self.components[key])} columns of the fit, or leave it out with random=."
            )
        Z = sp.csr_array(sparse_entries(given[key], f"exog_vc[{key!r}]", n))
        if Z.shape[1] != len(self.components[key]):
            raise DataError(
                f"exog_vc[{key!r}] of the new data has {Z.shape[1]} columns; the fit has "
                f"{len(self.components[key])} (those of all groups side by side)."
            )
        return MixedRows(Z)
