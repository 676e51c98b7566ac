"""The steps from formula and data to a design."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from bimixed.covariance import Array, CovarianceTemplate
from bimixed.design import expressions, matrices
from bimixed.design import frame as frames
from bimixed.design.components import (
    ComponentEncoder,
    component_factor,
    component_part,
    is_bar_term,
    resolve_component,
)
from bimixed.design.design import Design
from bimixed.design.encoding import FormulaEncoding, TermsEncoder
from bimixed.design.grouping import make_grouping
from bimixed.design.levels import check_levels
from bimixed.design.matrices import EncodedPart, Part
from bimixed.design.random_effects import RandomFactor
from bimixed.design.rows import LevelRows
from bimixed.design.weights import positive_weights
from bimixed.design.wide import split_columns
from bimixed.exceptions import DataError, FormulaError
from bimixed.formula import Formula, RandomTerm
from bimixed.formula.wildcard import expand_wildcard


def build_design(
    formula: Formula,
    data: Any,
    *,
    weights: Any = None,
    offset: Any = None,
    na_action: str = "drop",
    context: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
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
    extra : mapping, optional
        Columns beside those of ``data``, one value per row.

    Raises
    ------
    FormulaError, DataError
        Naming the place, the cause and the remedy.
    """
    context, extra = context or {}, extra or {}
    available = [*frames.column_names(data), *extra]
    roles = {"weights": weights, "offset": offset}
    formula = expand_wildcard(formula, available, [c for c in roles.values() if isinstance(c, str)])
    # Step 1: which columns, which rows
    frame, arrays = _frame(formula, data, available, roles, extra, context, na_action)
    # Step 2: matrices
    formula = replace(formula, random=tuple(resolved(term, frame.table, context) for term in formula.random))
    encoded = matrices.build_parts(parts_of(formula), frame.table, context, frame.index, frame.cells)
    y = _response(formula, encoded["response"], frame)
    refuse_response_as_predictor(formula, encoded)
    for name, part in encoded.items():
        if name != "response":
            matrices.require_finite(part, part.values, frame.index)
    # Step 3: random effects
    factors, encoders = _random_factors(formula, encoded, frame, context)
    # Step 4: what stands beside the formula
    used_weights = _numbers(weights, arrays, "weights", frame)
    if used_weights is not None:
        positive_weights(used_weights, frame.index)
    for factor in factors:
        check_levels(factor, len(y), used_weights)
    fixed = encoded["fixed"]
    X, kept, wide = split_columns(fixed.values)
    return Design(
        formula=formula,
        y=y,
        X=X,
        names=fixed.names,
        kept=kept,
        wide=wide,
        factors=factors,
        weights=used_weights,
        offset=_total_offset(encoded, _numbers(offset, arrays, "offset", frame)),
        frame=frame,
        encoding=FormulaEncoding(
            parts=encoded,
            factors=encoders,
            columns=tuple(frame.table.columns),
            context=context,
            weights_column=weights if isinstance(weights, str) else None,
            offset_column=offset if isinstance(offset, str) else None,
            has_offset_array="offset" in arrays,
            table=frame.table,
            labels=tuple(extra),
        ),
        weights_column=weights if isinstance(weights, str) else None,
    )


def _frame(
    formula: Formula,
    data: Any,
    available: list[str],
    roles: Mapping[str, Any],
    extra: Mapping[str, Any],
    context: Mapping[str, Any],
    na_action: str,
) -> tuple[frames.Frame, dict[str, Array]]:
    """The rows used, with the columns that the model needs, and weights and offset given as arrays."""
    wanted = wanted_columns(formula, available, roles, context)
    frames.require_columns(available, wanted, frames.index_names(data))
    table = frames.to_pandas(data, [name for name in wanted if name not in extra])
    for name, value in {**roles, **extra}.items():
        frames.require_aligned(value, name, table.index)
    table = frames.with_columns(table, {name: extra[name] for name in wanted if name in extra})
    arrays = {
        role: _as_array(value, role, len(table))
        for role, value in roles.items()
        if value is not None and not isinstance(value, str)
    }
    return frames.complete_rows(table, arrays, na_action), arrays


def wanted_columns(
    formula: Formula, available: list[str], roles: Mapping[str, Any], context: Mapping[str, Any]
) -> dict[str, str]:
    """Columns that the model needs → where each is used."""
    parts = parts_of(replace(formula, random=tuple(t for t in formula.random if t.component is None)))
    parts = parts | {f"component {t.component}": component_part(t) for t in formula.random if t.component}
    wanted = matrices.required_columns(parts, available, context)
    for term in formula.random:
        for atom in term.group:
            for column in expressions.columns_of_atom(atom, available):
                wanted.setdefault(column, f"group of {term.source}")
    for role, value in roles.items():
        if isinstance(value, str):
            wanted.setdefault(value, role)
    return wanted


def resolved(term: RandomTerm, table: pd.DataFrame, context: Mapping[str, Any]) -> RandomTerm:
    return term if term.component is None else resolve_component(term, table, context)


@lru_cache(maxsize=256)
def parts_of(formula: Formula) -> dict[str, Part]:
    """What formulaic is to make; not to be changed."""
    parts = {
        "response": Part(formula.response, "the response"),
        "fixed": Part(f"1 + {formula.fixed}", "the fixed part"),
    }
    for i, term in enumerate(formula.random):
        if is_bar_term(term):
            parts[f"random {i}"] = Part(f"1 + {term.lhs}", term.source)
    for i, expression in enumerate(formula.offsets):
        parts[f"offset {i}"] = Part(f"0 + I({expression})", f"offset({expression})")
    return parts


def _response(formula: Formula, part: EncodedPart, frame: frames.Frame) -> Array:
    values = part.values
    response_kind(formula, part)
    matrices.require_finite(part, values, frame.index)
    if np.ptp(values) == 0:
        raise DataError(
            f"The response {formula.response!r} is constant ({values[0, 0]:g}); there is nothing to model."
        )
    return values[:, 0].copy()


def response_kind(formula: Formula, part: EncodedPart) -> None:
    """Refuse a response that isn't one column of numbers.

    Raises
    ------
    DataError
    """
    values = part.values
    kinds = {kind.value: state for kind, state in part.spec.encoder_state.values()}
    if values.shape[1] != 1 or "categorical" in kinds:
        kind = f"not numeric ({values.shape[1]} columns)"
        if "categorical" in kinds:
            levels = kinds["categorical"].get("categories", [])
            kind = "boolean" if {*levels} <= {True, False} else "not numeric (text or a category)"
        raise DataError(
            f"The response {formula.response!r} is {kind}. A linear mixed model needs one column of numbers: "
            "if it holds numbers as text, convert it with pandas.to_numeric; if one measurement stands in "
            "several columns, bring it into long format: data.melt(id_vars=[...], var_name='time', "
            "value_name='y'); a category can't be the response."
        )


def refuse_response_as_predictor(formula: Formula, encoded: Mapping[str, EncodedPart]) -> None:
    response = encoded["response"].names[0]
    for part in encoded.values():
        if part is not encoded["response"] and response in part.names:
            raise FormulaError(
                f"{response!r} is the response and stands in {part.place} too, which would explain it by "
                "itself. Leave it out on the right."
            )


def _random_factors(
    formula: Formula,
    encoded: Mapping[str, EncodedPart],
    frame: frames.Frame,
    context: Mapping[str, Any],
) -> tuple[tuple[RandomFactor, ...], dict[str, TermsEncoder | ComponentEncoder]]:
    """Collect the terms of each group into one factor; components each make one."""
    if not formula.random:
        raise FormulaError(
            f"'{formula.text}' has no random-effects term. Add one, such as '(1 | group)'; "
            "for a model without random effects use ordinary least squares (statsmodels' OLS)."
        )
    by_key: dict[str, list[int]] = {}
    for i, term in enumerate(formula.random):
        by_key.setdefault(term.key, []).append(i)
    factors: list[RandomFactor] = []
    encoders: dict[str, TermsEncoder | ComponentEncoder] = {}
    for key, places in by_key.items():
        terms = [formula.random[i] for i in places]
        if len(terms) > 1 and any(term.component for term in terms):
            raise FormulaError(
                f"The component {key!r} has the name of another term or group; give it another name."
            )
        if is_bar_term(terms[0]):
            parts = {f"random {i}": encoded[f"random {i}"] for i in places}
            factor, encoder = _terms_factor(formula, terms, parts, frame, context)
            factors.append(factor)
            encoders[key] = encoder
        else:
            general, general_encoder = component_factor(terms[0], frame, context)
            factors.append(general)
            encoders[key] = general_encoder
    return tuple(factors), encoders


def _terms_factor(
    formula: Formula,
    terms: list[RandomTerm],
    parts: Mapping[str, EncodedPart],
    frame: frames.Frame,
    context: Mapping[str, Any],
) -> tuple[RandomFactor, TermsEncoder]:
    first = terms[0]
    names = tuple(name for part in parts.values() for name in part.names)
    check_coefficients(formula, terms, list(parts.values()), names)
    grouping, codes = make_grouping(first.group, frame.table, context, frame.cells)
    values = [part.values for part in parts.values()]
    sizes = zip(parts.values(), terms, strict=True)
    factor = RandomFactor(
        key=first.key,
        levels=grouping.levels,
        rows=LevelRows(codes, values[0] if len(values) == 1 else np.hstack(values), len(grouping.levels)),
        names=names,
        template=CovarianceTemplate(tuple((len(part.names), term.correlated) for part, term in sizes)),
        sources=tuple(term.source for term in terms),
        group=":".join(first.group),
        is_component=first.component is not None,
    )
    return factor, TermsEncoder(grouping, tuple(parts))


def check_coefficients(
    formula: Formula, terms: list[RandomTerm], parts: list[EncodedPart], names: tuple[str, ...]
) -> None:
    """Refuse terms without coefficients, and coefficients that stand in two terms of a group.

    Raises
    ------
    FormulaError
    """
    first = terms[0]
    for term, part in zip(terms, parts, strict=True):
        if not part.names:
            raise FormulaError.at(
                formula.text,
                term.position,
                "This term has no coefficients; write '(1 | g)' or '(0 + x | g)'.",
                len(term.source),
            )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        last = terms[-1]
        raise FormulaError.at(
            formula.text,
            last.position,
            f"The coefficient {twice!r} of group {first.key!r} stands in two terms, so its variance "
            f"can't be told apart; write it once ('(0 + x | {first.key})' has no intercept).",
            len(last.source),
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
