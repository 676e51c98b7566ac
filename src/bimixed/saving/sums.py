"""A specification of a source ↔ its cross-products, and what encodes new rows; the source isn't kept."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from bimixed.design.encoding import FormulaEncoding, TermsEncoder
from bimixed.design.grouping import Grouping
from bimixed.exceptions import DataError
from bimixed.formula import parse_formula
from bimixed.priors import Prior
from bimixed.saving.archive import Reader, Writer
from bimixed.saving.columns import Record, pack_frame, pack_index, unpack_frame, unpack_index
from bimixed.saving.moments import pack_moments, unpack_moments
from bimixed.spec import ModelSpec, spec_of_design
from bimixed.summed import RowCounts, SummedDesign


def pack_sums(writer: Writer, spec: ModelSpec, design: SummedDesign) -> Record:
    """The record of the design: a few rows that have every category, groups, and cross-products."""
    from bimixed.streaming.states import remembered

    encoding = design.encoding
    assert isinstance(encoding, FormulaEncoding)
    recipe = spec.recipe or {}
    table, source = design.frame.table, recipe.get("data")
    order = list(table.columns) if source is None else [c for c in source.columns if c in table.columns]
    m = design.moments
    groups = {key: _grouping_of(own) for key, own in encoding.factors.items()}
    return {
        "table": pack_frame(writer, table[order]),
        "weights": encoding.weights_column,
        "offset": encoding.offset_column,
        "names": list(m.names),
        "remembered": remembered(encoding.parts),
        "counts": asdict(design.counts),
        "moments": pack_moments(writer, m),
        "centre": writer.put(m.centre),
        "centres": [writer.put(f.centre) for f in m.factors],
        "groups": {
            key: {
                "levels": pack_index(writer, own.levels),
                "column_levels": [pack_index(writer, index) for index in own.column_levels],
                "combined": writer.put(own.combined),
            }
            for key, own in groups.items()
        },
    }


def _grouping_of(encoder: Any) -> Grouping:
    assert isinstance(encoder, TermsEncoder)
    return encoder.grouping


def unpack_sums(reader: Reader, record: Record) -> Record:
    """What the record says; nothing of the formula is looked at yet."""
    found = dict(record)
    found["table"] = unpack_frame(reader, record["table"])
    found["reader"] = reader
    found["centre"] = reader.get(record["centre"])
    found["centres"] = [reader.get(own) for own in record["centres"]]
    found["groups"] = {
        key: {
            "levels": unpack_index(reader, own["levels"]),
            "column_levels": tuple(unpack_index(reader, index) for index in own["column_levels"]),
            "combined": reader.get(own["combined"]).astype(np.int64),
        }
        for key, own in record["groups"].items()
    }
    return found


def spec_of_sums(
    recipe: Mapping[str, Any], record: Record, priors: Mapping[str, Prior], context: Mapping[str, Any]
) -> ModelSpec:
    """The specification again, whose recipe has no data.

    Raises
    ------
    DataError
        Where the formula has other columns than it had.
    """
    from bimixed.streaming.build import design_of_parts, restored_outline

    roles = {role: record[role] for role in ("weights", "offset")}
    formula = parse_formula(recipe["formula"])
    outline = restored_outline(formula, record["table"], roles, context, record["remembered"])
    encoder = outline.encoder
    if list(encoder.names) != record["names"]:
        raise DataError(
            f"The formula {recipe['formula']!r} of the file has the columns {', '.join(encoder.names)} here "
            f"and had {', '.join(record['names'])}: another version of formulaic or pandas reads it "
            "otherwise. Fit the model again."
        )
    outlines = [own.outline for own in encoder.factors]
    moments = unpack_moments(
        record["reader"], record["moments"], encoder.names, outlines, record["centre"], record["centres"]
    )
    groupings = [Grouping(columns=own.group, **record["groups"][own.outline.key]) for own in encoder.factors]
    design = design_of_parts(outline, moments, groupings, RowCounts(**record["counts"]))
    kept = {name: recipe[name] for name in ("formula", "na_action")}
    return spec_of_design(ModelSpec, design, priors, {**kept, "data": None, **roles, "context": context})
