"""The steps from formula and data to a design."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bimixed.covariance import Array, CovarianceTemplate
from bimixed.design import frame as frames
from bimixed.design import matrices
from bimixed.design.design import Design
from bimixed.design.fixed import independent_columns
from bimixed.design.matrices import EncodedPart, Part
from bimixed.design.random_effects import RandomFactor, make_grouping
from bimixed.design.weights import positive_weights
from bimixed.exceptions import DataError, FormulaError, IdentificationWarning
from bimixed.formula import Formula, RandomTerm


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
        positive_weights(used_weights, frame.index)
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


def _total_offset(encoded: Mapping[str, EncodedPart], given: Array | None) -> Array | None:
    parts = [p for name, p in encoded.items() if name.startswith("offset")]
    for part in parts:
        if part.values.shape[1] != 1:
            raise DataError(f"{part.place} is not one column of numbers; convert it first.")
    total = [p.values[:, 0] for p in parts] + ([given] if given is not None else [])
    return np.sum(total, axis=0) if total else None
