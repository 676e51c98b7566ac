"""Formula and data → the arrays that both engines work on, and the same encoding for new data."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed.covariance import Array, CovarianceTemplate
from bimixed.design import frame as frames
from bimixed.design import matrices
from bimixed.design.fixed import independent_columns
from bimixed.design.matrices import EncodedPart, Part
from bimixed.design.random_effects import RandomFactor, make_grouping
from bimixed.exceptions import DataError, FormulaError, IdentificationWarning
from bimixed.formula import Formula, RandomTerm


@dataclass(frozen=True)
class NewRows:
    """New data in the encoding of the fitted data.

    Attributes
    ----------
    X : (m, p) array
        All columns of the fixed part, dropped ones included.
    offset : (m,) array
    weights : (m,) array or None
    codes : dict of (m,) int array
        By group key; -1 marks a level never seen.
    values : dict of (m, K) array
    labels : dict of (m,) object array
        Labels of the groups, to tell new levels apart.
    index : pandas.Index
    """

    X: Array
    offset: Array
    weights: Array | None
    codes: Mapping[str, NDArray[np.intp]]
    values: Mapping[str, Array]
    labels: Mapping[str, NDArray[np.object_]]
    index: pd.Index


@dataclass(frozen=True)
class Design:
    """The model's arrays.

    Attributes
    ----------
    formula : Formula
    y : (n,) array
        Response, offset not subtracted.
    X : (n, p) array
        Fixed-effects columns, collinear ones included.
    names : tuple of str
        Names of the columns of X.
    kept : (rank,) int array
        The independent columns of X; the others have no estimate.
    factors : tuple of RandomFactor
        One per grouping factor, in the order of the formula.
    weights : (n,) array or None
        Precision weights, Var(e_i) = sigma²/w_i.
    offset : (n,) array or None
    frame : Frame
        The used rows.
    """

    formula: Formula
    y: Array
    X: Array
    names: tuple[str, ...]
    kept: NDArray[np.intp]
    factors: tuple[RandomFactor, ...]
    weights: Array | None
    offset: Array | None
    frame: frames.Frame
    parts: Mapping[str, EncodedPart]
    context: Mapping[str, Any]
    weights_column: str | None = None
    offset_column: str | None = None
    has_offset_array: bool = False

    @property
    def n(self) -> int:
        return len(self.y)

    @property
    def index(self) -> pd.Index:
        """Index of the used rows in the caller's data."""
        return self.frame.index

    @property
    def dropped(self) -> tuple[str, ...]:
        """Fixed-effects columns left out because earlier ones determine them."""
        return tuple(n for j, n in enumerate(self.names) if j not in set(self.kept.tolist()))

    @cached_property
    def X_kept(self) -> Array:
        """The independent columns of X, shape (n, rank)."""
        return self.X if len(self.kept) == self.X.shape[1] else self.X[:, self.kept]

    @cached_property
    def Z(self) -> dict[str, sp.csr_array]:
        """Sparse random-effects design by group, each (n, levels × coefficients)."""
        return {factor.key: factor.matrix() for factor in self.factors}

    def factor(self, key: str) -> RandomFactor:
        """The grouping factor of this key.

        Raises
        ------
        DataError
            If the model has no such group.
        """
        for factor in self.factors:
            if factor.key == key:
                return factor
        known = ", ".join(repr(f.key) for f in self.factors)
        raise DataError(f"The model has no group {key!r}; its groups are {known}.")

    def encode(self, new_data: Any, groups: tuple[str, ...]) -> NewRows:
        """Encode new rows as the fitted ones were; of the random part only ``groups``.

        Raises
        ------
        DataError
            If a column is missing or a value can't be used.
        """
        available = frames.column_names(new_data)
        factors = [f for f in self.factors if f.key in groups]
        wanted = self._wanted_columns(available, [f.key for f in factors])
        frames.require_columns(available, wanted)
        table = frames.to_pandas(new_data, wanted)
        for name in table.columns:
            if table[name].isna().any():
                rows = table.index[table[name].isna()][:5].tolist()
                raise DataError(
                    f"Column {name!r} of the new data ({wanted[name]}) is missing in rows {rows}. "
                    "Fill or drop these rows; for a group whose label is unknown "
                    "predict with random='none'."
                )
        index = table.index
        table = frames.plain_columns(table).set_axis(pd.RangeIndex(len(table)), axis=0)
        return NewRows(
            X=self._encode("fixed", table, index),
            offset=self._new_offset(table, index),
            weights=self._new_weights(table),
            codes={f.key: f.grouping.codes(table) for f in factors},
            values={f.key: self._factor_values(f, table, index) for f in factors},
            labels={f.key: f.grouping.labels(table) for f in factors},
            index=index,
        )

    def training_rows(self) -> NewRows:
        """The fitted rows in the shape of new ones."""
        return NewRows(
            X=self.X,
            offset=np.zeros(self.n) if self.offset is None else self.offset,
            weights=self.weights,
            codes={f.key: f.codes for f in self.factors},
            values={f.key: f.values for f in self.factors},
            labels={f.key: f.levels.astype(str).to_numpy(dtype=object)[f.codes] for f in self.factors},
            index=self.index,
        )

    def _wanted_columns(self, available: list[str], groups: list[str]) -> dict[str, str]:
        names = ["fixed", *(k for k in self.parts if k.startswith("offset"))]
        names += [k for k in self.parts if k.startswith("random") and _group_of(k) in groups]
        parts = {name: Part(str(self.parts[name].spec.formula), self.parts[name].place) for name in names}
        trained = list(self.frame.table.columns)
        wanted = matrices.required_columns(parts, sorted({*available, *trained}), self.context)
        for key in groups:
            for column in self.factor(key).grouping.columns:
                wanted.setdefault(column, f"group {key}; not needed with random='none'")
        if self.offset_column is not None:
            wanted.setdefault(self.offset_column, "offset")
        if self.weights_column in available:
            wanted.setdefault(str(self.weights_column), "weights")
        return wanted

    def _encode(self, name: str, table: pd.DataFrame, index: pd.Index) -> Array:
        values = matrices.encode_part(self.parts[name], table, self.context)
        matrices.require_finite(self.parts[name], values, index)
        return values

    def _factor_values(self, factor: RandomFactor, table: pd.DataFrame, index: pd.Index) -> Array:
        names = [k for k in self.parts if k.startswith("random") and _group_of(k) == factor.key]
        return np.hstack([self._encode(name, table, index) for name in names])

    def _new_offset(self, table: pd.DataFrame, index: pd.Index) -> Array:
        if self.has_offset_array:
            raise DataError(
                "The offset of the fit was given as an array, which new data don't carry; "
                "make it a column and name it, or write offset(column) in the formula."
            )
        offset = np.zeros(len(table))
        for name in self.parts:
            if name.startswith("offset"):
                offset += self._encode(name, table, index)[:, 0]
        if self.offset_column is not None:
            offset += table[self.offset_column].to_numpy(dtype=float)
        return offset

    def _new_weights(self, table: pd.DataFrame) -> Array | None:
        if self.weights_column is not None and self.weights_column in table.columns:
            return _positive_weights(table[self.weights_column].to_numpy(dtype=float), table.index)
        return None


def _group_of(part_name: str) -> str:
    return part_name.split("\x00", 2)[2]


def build_design(
    formula: Formula,
    data: Any,
    *,
    weights: Any = None,
    offset: Any = None,
    na_action: str = "drop",
    context: Mapping[str, Any] | None = None,
) -> Design:
    """Build the model's arrays.

    Parameters
    ----------
    formula : Formula
    data : table
        pandas, polars, pyarrow, or a dict of columns; never changed.
    weights, offset : str or array, optional
        A column's name, or one value per row of ``data``.
    na_action : {"drop", "raise"}
    context : mapping, optional
        Names that the formula may use beside columns.

    Raises
    ------
    FormulaError, DataError
        Naming the place, the cause and the remedy.
    """
    context = context or {}
    available = frames.column_names(data)
    parts = _parts(formula)
    # Step 1: which columns, which rows
    wanted = matrices.required_columns(parts, available, context)
    for term in formula.random:
        for column in term.group:
            wanted.setdefault(column, f"group of {term.source}")
    columns = {"weights": weights, "offset": offset}
    for role, value in columns.items():
        if isinstance(value, str):
            wanted.setdefault(value, role)
    frames.require_columns(available, wanted)
    table = frames.to_pandas(data, wanted)
    arrays = {
        role: _as_array(value, role, len(table))
        for role, value in columns.items()
        if value is not None and not isinstance(value, str)
    }
    frame = frames.complete_rows(table, arrays, na_action)
    # Step 2: matrices
    encoded = matrices.build_parts(parts, frame.table, context)
    y = _response(formula, encoded["response"], frame)
    for name, part in encoded.items():
        if name != "response":
            matrices.require_finite(part, part.values, frame.index)
    # Step 3: groups
    factors = _random_factors(formula, encoded, frame)
    # Step 4: what stands beside the formula
    used_weights = _numbers(weights, arrays, "weights", frame)
    if used_weights is not None:
        _positive_weights(used_weights, frame.index)
    fixed = encoded["fixed"]
    return Design(
        formula=formula,
        y=y,
        X=fixed.values,
        names=fixed.names,
        kept=independent_columns(fixed.values),
        factors=factors,
        weights=used_weights,
        offset=_total_offset(encoded, _numbers(offset, arrays, "offset", frame)),
        frame=frame,
        parts=encoded,
        context=context,
        weights_column=weights if isinstance(weights, str) else None,
        offset_column=offset if isinstance(offset, str) else None,
        has_offset_array="offset" in arrays,
    )


def _parts(formula: Formula) -> dict[str, Part]:
    parts = {
        "response": Part(formula.response, "the response"),
        "fixed": Part(f"1 + {formula.fixed}", "the fixed part"),
    }
    for i, term in enumerate(formula.random):
        parts[f"random\x00{i}\x00{term.key}"] = Part(f"1 + {term.lhs}", term.source)
    for i, expression in enumerate(formula.offsets):
        parts[f"offset\x00{i}"] = Part(f"0 + {expression}", f"offset({expression})")
    return parts


def _response(formula: Formula, part: EncodedPart, frame: frames.Frame) -> Array:
    values = part.values
    plain = formula.response.strip("`")
    dtype = frame.table[plain].dtype if plain in frame.table else None
    boolean = dtype is not None and pd.api.types.is_bool_dtype(dtype)
    if values.shape[1] != 1 or boolean:
        kind = "boolean" if boolean else f"not numeric ({dtype or 'several columns'})"
        raise DataError(
            f"The response {formula.response!r} is {kind}. A linear mixed model needs one column "
            "of numbers: if it holds numbers as text, convert it with pandas.to_numeric; "
            "a category can't be the response."
        )
    matrices.require_finite(part, values, frame.index)
    if np.ptp(values) == 0:
        raise DataError(
            f"The response {formula.response!r} is constant ({values[0, 0]:g}); there is nothing to model."
        )
    return values[:, 0].copy()


def _random_factors(
    formula: Formula, encoded: Mapping[str, EncodedPart], frame: frames.Frame
) -> tuple[RandomFactor, ...]:
    """Collect the terms of each group into one factor."""
    if not formula.random:
        raise FormulaError(
            f"'{formula.text}' has no random-effects term. Add one, such as '(1 | group)'; "
            "for a model without random effects use ordinary least squares (statsmodels' OLS)."
        )
    by_key: dict[str, list[tuple[RandomTerm, EncodedPart]]] = {}
    for i, term in enumerate(formula.random):
        part = encoded[f"random\x00{i}\x00{term.key}"]
        if not part.names:
            raise FormulaError.at(
                formula.text,
                term.position,
                "This term has no coefficients; write '(1 | g)' or '(0 + x | g)'.",
                len(term.source),
            )
        by_key.setdefault(term.key, []).append((term, part))
    return tuple(_random_factor(formula, terms, frame) for terms in by_key.values())


def _random_factor(
    formula: Formula, terms: list[tuple[RandomTerm, EncodedPart]], frame: frames.Frame
) -> RandomFactor:
    first = terms[0][0]
    grouping, codes = make_grouping(first.group, frame.table)
    names = tuple(name for _, part in terms for name in part.names)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        last = terms[-1][0]
        raise FormulaError.at(
            formula.text,
            last.position,
            f"The coefficient {twice!r} of group {first.key!r} stands in two terms, so its variance "
            f"can't be told apart; write it once ('(0 + x | {first.key})' has no intercept).",
            len(last.source),
        )
    factor = RandomFactor(
        grouping=grouping,
        codes=codes,
        values=terms[0][1].values if len(terms) == 1 else np.hstack([p.values for _, p in terms]),
        names=names,
        template=CovarianceTemplate(tuple((len(p.names), t.correlated) for t, p in terms)),
        sources=tuple(t.source for t, _ in terms),
    )
    _check_levels(factor, len(codes))
    return factor


def _check_levels(factor: RandomFactor, n: int) -> None:
    source, levels = factor.sources[0], factor.n_levels
    if levels == 1:
        raise DataError(
            f"Group {factor.key!r} of {source} has a single level ({factor.levels[0]!r}); "
            "a variance between groups needs at least two, and is poorly known with fewer than "
            "five or six. Remove the term or use another column."
        )
    if levels == n:
        raise DataError(
            f"Group {factor.key!r} of {source} has as many levels as there are rows ({n}), so its "
            "variance and the residual variance can't be told apart. Use a coarser group, or "
            "remove the term."
        )
    if levels * factor.n_coefficients >= n:
        warnings.warn(
            f"{source} has {levels} levels × {factor.n_coefficients} coefficients for {n} rows: "
            "the covariance of the coefficients and the residual variance can hardly be told apart. "
            "Use fewer coefficients, or '||' in place of '|'.",
            IdentificationWarning,
            stacklevel=4,
        )


def _as_array(value: Any, role: str, n: int) -> Array:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{role} must be a column's name or an array of numbers, not {type(value).__name__}."
        ) from error
    if array.shape != (n,):
        raise DataError(
            f"{role} has shape {array.shape}; give one value for each of the {n} rows of the data."
        )
    return array


def _numbers(value: Any, arrays: Mapping[str, Array], role: str, frame: frames.Frame) -> Array | None:
    """Weights or offset of the used rows."""
    if value is None:
        return None
    if role in arrays:
        numbers = arrays[role][frame.kept]
    else:
        try:
            numbers = frame.table[value].to_numpy(dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"Column {value!r} ({role}) is not numeric; convert it.") from error
    if not np.isfinite(numbers).all():
        raise DataError(f"{role} has infinite values; correct or drop these rows.")
    return numbers


def _positive_weights(weights: Array, index: pd.Index) -> Array:
    for bad, cause in ((weights < 0, "negative"), (weights == 0, "zero")):
        if bad.any():
            rows = index[bad][:5].tolist()
            raise DataError(
                f"weights are {cause} in {int(bad.sum())} row(s), the first {rows}. They are "
                "precisions (the residual variance of a row is sigma²/weight), so they must be "
                "positive: leave rows out that should not count."
            )
    return weights


def _total_offset(encoded: Mapping[str, EncodedPart], given: Array | None) -> Array | None:
    parts = [p for name, p in encoded.items() if name.startswith("offset")]
    for part in parts:
        if part.values.shape[1] != 1:
            raise DataError(f"{part.place} is not one column of numbers; convert it first.")
    total = [p.values[:, 0] for p in parts] + ([given] if given is not None else [])
    return np.sum(total, axis=0) if total else None
