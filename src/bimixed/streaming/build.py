"""Formula and source → a design of sums, in the steps of :mod:`bimixed.design.build`."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from bimixed.covariance import Array, CovarianceTemplate
from bimixed.design import LevelRows, RandomFactor, matrices
from bimixed.design import build as in_memory
from bimixed.design import frame as frames
from bimixed.design.encoding import FormulaEncoding, TermsEncoder, require_row_wise
from bimixed.design.grouping import Grouping, combined_names, group_column
from bimixed.design.matrices import EncodedPart
from bimixed.design.rows import Ints
from bimixed.exceptions import DataError, FormulaError
from bimixed.formula import Formula
from bimixed.formula.wildcard import expand_wildcard
from bimixed.moments import Moments
from bimixed.streaming import states
from bimixed.streaming.categories import Categories, with_categories
from bimixed.streaming.counting import Counts
from bimixed.streaming.encoder import FactorEncoder, RowEncoder
from bimixed.streaming.far_columns import warn_of_far_columns, warn_of_near_columns
from bimixed.streaming.orders import of_frame
from bimixed.streaming.passes import Passes
from bimixed.streaming.protocols import Source
from bimixed.summed import RowCounts, SummedDesign, check_summed_levels, summed_rows

HEAD = 2000
"""Rows that a model's outline is made from."""
MOST_CATEGORIES = 2000
"""Of a factor in the fixed part or inside a bar."""


@dataclass(frozen=True)
class Outline:
    """A model without its rows.

    Attributes
    ----------
    formula : Formula
    encoder : RowEncoder
    table : pandas.DataFrame
        Rows that have every category; numbers in them mean nothing.
    orders : mapping
        Order of the categories of grouping columns that have one.
    """

    formula: Formula
    encoder: RowEncoder
    table: pd.DataFrame
    orders: Mapping[str, pd.Index]


def summed_design(
    formula: Formula,
    source: Source,
    *,
    weights: Any = None,
    offset: Any = None,
    na_action: str = "drop",
    context: Mapping[str, Any] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> SummedDesign:
    """The design of a model whose rows are added up where they are.

    Parameters
    ----------
    formula : Formula
    source : Source
    weights, offset : str, optional
        Columns.
    na_action : {"drop", "raise"}
    context : mapping, optional
    checkpoint : path, optional
        Folder for the sums of each piece, so that a run that stopped goes on.
    progress : bool, optional
        Default: shown where it takes more than a few seconds.

    Raises
    ------
    FormulaError, DataError
        Naming the place, the cause and the remedy.
    """
    passes = Passes(source, checkpoint, progress)
    outline = _outline(
        formula, source, passes, {"weights": weights, "offset": offset}, na_action, context or {}
    )
    moments, counts = passes.sums(outline.encoder)
    return design_of_sums(outline, moments, counts, source.description)


def _outline(
    formula: Formula,
    source: Source,
    passes: Passes,
    roles: Mapping[str, Any],
    na_action: str,
    context: Mapping[str, Any],
) -> Outline:
    for name, value in roles.items():
        if value is not None and not isinstance(value, str):
            raise DataError(
                f"{name} is a {type(value).__name__}; a source has no order of rows, so name its column."
            )
    if na_action not in ("drop", "raise"):
        raise DataError(f"na_action is {na_action!r}; it can be 'drop' or 'raise'.")
    # Step 1: which columns
    available = source.columns
    formula = expand_wildcard(formula, available, [c for c in roles.values() if isinstance(c, str)])
    wanted = in_memory.wanted_columns(formula, available, roles, context)
    frames.require_columns(available, wanted, [])
    columns = tuple(wanted)
    # Step 2: an outline from a few rows, with every category
    head, orders = _first_rows(source, columns)
    formula = replace(formula, random=tuple(in_memory.resolved(t, head, context) for t in formula.random))
    _refuse_components(formula)
    own = in_memory.parts_of(formula)
    categories = Categories.of(own, head, context, columns)
    found = passes.categories(categories, columns, MOST_CATEGORIES) if categories.sets else {}
    table = with_categories(head, found, orders)
    # Step 3: matrices, and what transformations remember
    encoder = _encoder(formula, table, columns, roles, na_action, context, orders)
    parts = encoder.parts
    _check_groups(formula, head, context)
    data_states = states.depend_on_data(
        states.states_of(parts),
        states.states_of(_built(own, with_categories(head.iloc[1::2], found, orders), context, columns)),
    )
    if data_states:
        _refuse_early(data_states, parts)
        states.settle(parts, data_states, partial(passes.complete_rows, encoder), context)
        encoder = replace(encoder, parts=states.encoded_again(parts, table, context))
    for part in encoder.parts.values():
        require_row_wise(part, table, context)
    return Outline(formula, _centred(encoder, head), table, orders)


def _encoder(
    formula: Formula,
    table: pd.DataFrame,
    columns: tuple[str, ...],
    roles: Mapping[str, Any],
    na_action: str,
    context: Mapping[str, Any],
    orders: Mapping[str, pd.Index],
) -> RowEncoder:
    """What encodes rows, from rows that have every category; its centres are 0."""
    parts = _built(in_memory.parts_of(formula), table, context, columns)
    _check(formula, parts)
    factors = _factors(formula, parts)
    return RowEncoder(
        parts=parts,
        factors=factors,
        columns=columns,
        context=context,
        names=(*parts["fixed"].names, formula.response),
        weights_column=roles["weights"],
        offset_column=roles["offset"],
        na_action=na_action,
        centre=np.zeros(len(parts["fixed"].names) + 1),
        centres=tuple(np.zeros(len(f.outline.names)) for f in factors),
        categories={n: table[n].cat.categories for n, order in orders.items() if order.dtype.kind in "iufb"},
        ordered=frozenset(orders),
    )


def restored_outline(
    formula: Formula,
    table: pd.DataFrame,
    roles: Mapping[str, Any],
    context: Mapping[str, Any],
    remembered: Mapping[str, Mapping[str, Any]],
) -> Outline:
    """The outline that a model was made with.

    Parameters
    ----------
    formula : Formula
        As written.
    table : pandas.DataFrame
        That of the outline, columns in the order of the source.
    roles : mapping
        ``weights`` and ``offset``: columns or None.
    context : mapping
    remembered : mapping
        What ``scale`` and ``center`` remember, by their text.
    """
    columns = list(map(str, table.columns))
    formula = expand_wildcard(formula, columns, [c for c in roles.values() if isinstance(c, str)])
    orders = {
        name: table[name].cat.categories
        for name in columns
        if isinstance(table[name].dtype, pd.CategoricalDtype)
    }
    encoder = _encoder(formula, table, tuple(columns), roles, "drop", context, orders)
    states.remember(encoder.parts, remembered)
    parts = states.encoded_again(encoder.parts, table, context)
    return Outline(formula, replace(encoder, parts=parts), table, {})


def _first_rows(source: Source, columns: tuple[str, ...]) -> tuple[pd.DataFrame, dict[str, pd.Index]]:
    """Complete rows, and the categories of columns that have an order of them."""
    head = source.head(columns, HEAD)
    if len(head) == 0:
        raise DataError(
            f"The {source.description} has no rows, or none that has all of {', '.join(columns)}. Leave out "
            "columns that are mostly missing, or fill them."
        )
    head = head.dropna()
    if len(head) < 2:
        head = source.head(columns, 100 * HEAD).dropna()
    if len(head) < 2:
        raise DataError(
            f"The first {100 * HEAD} rows of the {source.description} all miss values of "
            f"{', '.join(columns)}; leave out "
            "columns that are mostly missing, or select the rows that have them."
        )
    orders = {**of_frame(head), **source.orders(columns)}
    orders = {name: order for name, order in orders.items() if head[name].isin(order).all()}
    head = head.assign(**{name: pd.Categorical(head[name], categories=own) for name, own in orders.items()})
    return frames.plain_columns(head.reset_index(drop=True)), orders


def _refuse_components(formula: Formula) -> None:
    for term in formula.random:
        if not in_memory.is_bar_term(term):
            raise FormulaError(
                f"The component {term.component!r} combines levels by row, which sums over a source can't; "
                "write it with bars, '(1 | group)'."
            )


def _built(
    own: Mapping[str, matrices.Part],
    table: pd.DataFrame,
    context: Mapping[str, Any],
    columns: tuple[str, ...],
) -> dict[str, EncodedPart]:
    table = table[list(columns)].reset_index(drop=True)
    return matrices.build_parts(own, table, context, table.index)


def _check(formula: Formula, parts: Mapping[str, EncodedPart]) -> None:
    """What an outline shows to be impossible."""
    in_memory.response_kind(formula, parts["response"])
    in_memory.refuse_response_as_predictor(formula, parts)
    if not formula.random:
        raise FormulaError(
            f"'{formula.text}' has no random-effects term. Add one, such as '(1 | group)'; for a model "
            "without random effects use ordinary least squares."
        )
    for name, part in parts.items():
        if not isinstance(part.values, np.ndarray):
            raise DataError(
                f"A factor of {part.place} has very many levels, too many for cross-products that add up. "
                "Make it a random effect, (1 | factor), or leave it out."
            )
        if name.startswith("offset") and part.values.shape[1] != 1:
            raise DataError(f"{part.place} is not one column of numbers; convert it first.")


def _check_groups(formula: Formula, head: pd.DataFrame, context: Mapping[str, Any]) -> None:
    """Refuse labels that depend on the other rows: every chunk would have its own."""
    some = head.iloc[1::2].reset_index(drop=True)
    for term in formula.random:
        for atom in term.group:
            if atom in head.columns:
                continue
            state: dict[str, Any] = {}
            labels = group_column(atom, head, context, state)
            again = group_column(atom, some, context, {})
            same = labels.iloc[1::2].astype(str).to_numpy() == again.astype(str).to_numpy()
            if state or not same.all():
                raise DataError(
                    f"The group {atom!r} of {term.source} is made from all rows at once, which a source "
                    "doesn't give: write it with numbers, such as (x - 5) // 2, or make it a column."
                )


def _factors(formula: Formula, parts: Mapping[str, EncodedPart]) -> tuple[FactorEncoder, ...]:
    by_key: dict[str, list[int]] = {}
    for i, term in enumerate(formula.random):
        by_key.setdefault(term.key, []).append(i)
    found = []
    for key, places in by_key.items():
        terms = [formula.random[i] for i in places]
        names = tuple(f"random {i}" for i in places)
        sizes = [len(parts[name].names) for name in names]
        coefficients = tuple(name for part in names for name in parts[part].names)
        in_memory.check_coefficients(formula, terms, [parts[name] for name in names], coefficients)
        outline = RandomFactor(
            key=key,
            levels=pd.Index([]),
            rows=LevelRows(np.zeros(0, dtype=np.intp), np.zeros((0, len(coefficients))), 0),
            names=coefficients,
            template=CovarianceTemplate(tuple((n, t.correlated) for n, t in zip(sizes, terms, strict=True))),
            sources=tuple(term.source for term in terms),
            group=":".join(terms[0].group),
            is_component=terms[0].component is not None,
        )
        found.append(FactorEncoder(outline, terms[0].group, names))
    return tuple(found)


def _refuse_early(names: list[str], parts: Mapping[str, EncodedPart]) -> None:
    """Before any pass, what no pass can settle."""
    for part in parts.values():
        for name in getattr(part.spec, "transform_state", None) or {}:
            if name in names:
                states.argument_of(name, part.place)


def _centred(encoder: RowEncoder, head: pd.DataFrame) -> RowEncoder:
    """Centres near the means: those of the first rows."""
    columns = encoder.columns_of(head)
    centres = []
    for own in encoder.factors:
        values = np.hstack(
            [
                np.asarray(matrices.encode_part(encoder.parts[name], head, encoder.context))
                for name in own.parts
            ]
        )
        names = own.outline.names
        centre = _rounded(values) if "Intercept" in names and len(names) > 1 else np.zeros(len(names))
        if "Intercept" in names:
            centre[names.index("Intercept")] = 0.0
        centres.append(centre)
    centre = _rounded(columns)
    centre[np.ptp(columns, axis=0) == 0.0] = columns[0][np.ptp(columns, axis=0) == 0.0]
    numeric = [str(name) for name in head if head[name].dtype.kind in "iuf"]
    means = dict(zip(numeric, _rounded(head[numeric].to_numpy(dtype=np.float64)).tolist(), strict=True))
    return replace(encoder, centre=centre, centres=tuple(centres), means=means)


def _rounded(values: Array) -> Array:
    """Means of columns (n, k), rounded to a tenth of their sds: exact means aren't needed."""
    mean, sd = values.mean(axis=0), values.std(axis=0)
    short = [float(f"{m:.{_decimals(s)}f}") if s > 0.0 else float(m) for m, s in zip(mean, sd, strict=True)]
    return np.array(short)


def _decimals(sd: float) -> int:
    return max(0, 1 - math.floor(math.log10(sd)))


def design_of_sums(outline: Outline, moments: Moments, counts: Counts, description: str) -> SummedDesign:
    """The design, once everything is added up."""
    encoder, n = outline.encoder, moments.n
    found = [
        _grouping(own.group, summed.levels, outline.orders)
        for own, summed in zip(encoder.factors, moments.factors, strict=True)
    ]
    groupings = [grouping for grouping, _ in found]
    moments = moments.reordered([order for _, order in found], [grouping.levels for grouping in groupings])
    told = RowCounts(
        n_total=counts.rows,
        missing=dict(counts.missing),
        means={name: total / n for name, total in counts.sums.items()},
        ranges={name: counts.highs[name] - low for name, low in counts.lows.items()},
        offset=counts.offset / n,
        weight=counts.weights / n if encoder.weights_column is not None else 1.0,
        inverse_weight=counts.inverse_weights / n if encoder.weights_column is not None else 1.0,
        source=description,
    )
    design = design_of_parts(outline, moments, groupings, told)
    warn_of_far_columns(encoder.parts, told)
    warn_of_near_columns(design)
    for place, factor in enumerate(design.factors):
        check_summed_levels(factor, moments, place)
    mean, sd = design.response_scale
    if sd <= 1e-15 * abs(mean) or told.ranges.get(outline.formula.response) == 0.0:
        raise DataError(
            f"The response {outline.formula.response!r} is constant ({mean:g}); there is nothing to model."
        )
    return design


def design_of_parts(
    outline: Outline, moments: Moments, groupings: Sequence[Grouping], told: RowCounts
) -> SummedDesign:
    """The design of an outline, and of cross-products whose levels are those of the groupings, in order."""
    encoder = outline.encoder
    both = list(zip(encoder.factors, moments.factors, strict=True))
    factors = [
        replace(own.outline, levels=summed.levels, rows=summed_rows(summed, moments.n))
        for own, summed in both
    ]
    encoders = {
        own.outline.key: TermsEncoder(grouping, own.parts)
        for (own, _), grouping in zip(both, groupings, strict=True)
    }
    encoding = FormulaEncoding(
        parts=encoder.parts,
        factors=encoders,
        columns=encoder.columns,
        context=encoder.context,
        weights_column=encoder.weights_column,
        offset_column=encoder.offset_column,
        has_offset_array=False,
        table=outline.table,
    )
    return SummedDesign(
        outline.formula,
        moments,
        tuple(factors),
        encoding,
        told,
        outline.table,
        encoder.weights_column,
        encoder.has_offset,
    )


def _grouping(
    group: tuple[str, ...], levels: pd.Index, orders: Mapping[str, pd.Index]
) -> tuple[Grouping, Ints]:
    """The grouping of labels that were collected, and their order among them."""
    columns = [levels] if len(group) == 1 else [levels.get_level_values(i) for i in range(len(group))]
    column_levels, number = [], np.zeros(len(levels), dtype=np.int64)
    for atom, labels in zip(group, columns, strict=True):
        order = orders.get(atom)
        try:
            own = labels.unique().sort_values()
        except TypeError as error:
            raise DataError(
                f"The group {atom!r} mixes labels of different types, so that 1 and '1' would be two levels. "
                "Convert the column."
            ) from error
        if order is not None and own.isin(order).all():
            own = order[order.isin(own)]
        number = number * len(own) + own.get_indexer(labels)
        column_levels.append(own)
    order = np.argsort(number, kind="stable")
    combined = number[order]
    names = column_levels[0] if len(group) == 1 else combined_names(combined, column_levels)
    if names.has_duplicates:
        raise DataError(
            f"Two levels of {':'.join(group)} are both called {names[names.duplicated()][0]!r}, because "
            "labels of its columns have colons; replace them."
        )
    return Grouping(group, tuple(column_levels), names, combined, {}), order
