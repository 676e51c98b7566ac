"""A specification ↔ what it was made from: formulas, the columns of the data used, weights, priors."""

import ast
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bimixed.covariance import Array
from bimixed.design import Design, column_names
from bimixed.design.array_encoding import ArrayEncoding
from bimixed.design.frame import Frame, to_pandas
from bimixed.design.groups_argument import group_column
from bimixed.exceptions import DataError, UnavailableError
from bimixed.priors import Prior
from bimixed.saving.archive import Reader, Writer
from bimixed.saving.columns import (
    Record,
    pack_column,
    pack_frame,
    pack_index,
    unpack_column,
    unpack_frame,
    unpack_index,
)
from bimixed.saving.formulas import check_formulas, names_used
from bimixed.saving.sums import pack_sums, spec_of_sums, unpack_sums
from bimixed.spec import ModelSpec
from bimixed.summed import SummedDesign


def pack_spec(writer: Writer, spec: ModelSpec, more: Iterable[str]) -> Record:
    """The record of a specification, with further columns of its data.

    Raises
    ------
    DataError
        Where a column isn't there or can't be kept.
    """
    record = {"priors": {key: [p.family, p.parameters] for key, p in spec.given_priors.items()}}
    recipe = spec.recipe
    if isinstance(spec.design, SummedDesign):
        if list(more):
            raise UnavailableError("A model of a source has its sums alone, so that columns= can't be kept.")
        return record | {"kind": "sums", "recipe": _pack_recipe_of_sums(writer, spec, spec.design)}
    if recipe is None:
        if list(more):
            raise DataError("The model was given as arrays, so that there are no columns= to keep.")
        return record | {"kind": "arrays", "arrays": _pack_arrays(writer, spec.design)}
    return record | {"kind": "formula", "recipe": _pack_recipe(writer, spec, recipe, list(more))}


def _pack_recipe(writer: Writer, spec: ModelSpec, recipe: Mapping[str, Any], more: list[str]) -> Record:
    available = column_names(recipe["data"])
    absent = [name for name in more if name not in available]
    if absent:
        raise DataError(f"The data have no column {absent[0]!r} to keep; they have: {', '.join(available)}.")
    wanted = [name for name in available if name in spec.design.frame.table.columns or name in more]
    table = to_pandas(recipe["data"], wanted)
    record = {
        "formula": recipe["formula"],
        "na_action": recipe["na_action"],
        "data": pack_frame(writer, table),
        "context": _pack_context(writer, recipe["context"], _texts(recipe)),
    }
    for role in ("weights", "offset"):
        given = recipe[role]
        plain = given is None or isinstance(given, str)
        record[role] = given if plain else writer.put(_array(given, role, spec.design))
    if "groups" in recipe:
        record["re_formula"], record["vc_formula"] = recipe["re_formula"], recipe["vc_formula"]
        name, extra = group_column(recipe["groups"], recipe["data"])
        labels = [pack_column(writer, pd.Series(extra[own]), "groups") for own in extra]
        record["groups"] = labels[0] if labels else name
        record["groups_name"] = name
    return record


def _pack_recipe_of_sums(writer: Writer, spec: ModelSpec, design: SummedDesign) -> Record:
    recipe = spec.recipe
    if recipe is None:
        raise UnavailableError(
            "A model of a source that was changed by hand isn't saved; make it by ModelSpec(formula, source)."
        )
    return {
        "formula": spec.formula,
        "na_action": recipe["na_action"],
        "context": _pack_context(writer, recipe["context"], [spec.formula]),
        "sums": pack_sums(writer, spec, design),
    }


def _array(given: Any, role: str, design: Design) -> Array:
    """Weights or offset of all rows; those of the rows used are the weights of the fit."""
    values = np.array(given, dtype=np.float64)
    if role == "weights":
        values[design.frame.kept] = design.weights
    return values


def _texts(recipe: Mapping[str, Any]) -> list[str]:
    """Everything of a recipe that is read as a formula."""
    texts = [recipe["formula"], recipe.get("re_formula"), *(recipe.get("vc_formula") or {}).values()]
    groups = recipe.get("groups")
    if isinstance(groups, str) and groups not in column_names(recipe["data"]):
        texts.append(groups)
    return [text for text in texts if text]


def _pack_context(writer: Writer, context: Mapping[str, Any], texts: list[str]) -> Record:
    """Plain values as they are; of everything else the name and type, for the error when loading."""
    records: Record = {}
    for name in names_used(texts):
        if name not in context:
            continue
        if context[name] is np:
            records[name] = {"kind": "numpy"}
            continue
        value = context[name]
        value = value.item() if isinstance(value, np.generic) else value
        if isinstance(value, np.ndarray) and value.dtype.kind in "biufcMmU":
            records[name] = {"kind": "array", "value": writer.put(value)}
        elif _is_literal(value):
            records[name] = {"kind": "literal", "value": repr(value)}
        else:
            records[name] = {"kind": "other", "type": type(value).__name__}
    return records


def _is_literal(value: Any) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError, TypeError):
        return False


def _pack_arrays(writer: Writer, design: Design) -> Record:
    first = next((f for f in design.factors if not f.is_component), None)
    X = design.X
    record: Record = {
        "y": writer.put(design.y),
        "X": writer.put(X) if isinstance(X, np.ndarray) else _pack_sparse(writer, X),
        "names": list(design.names),
        "frame": pack_frame(writer, design.frame.table),
        "index": pack_index(writer, design.frame.index),
        "kept": writer.put(design.frame.kept),
        "coefficients": None
        if first is None
        else {"names": list(first.names), "R": writer.put(first.values)},
        "key": None if first is None else first.key,
        "components": [
            {
                "name": f.key,
                "Z": _pack_sparse(writer, f.matrix()),
                "labels": [str(label) for label in f.levels],
            }
            for f in design.factors
            if f.is_component
        ],
    }
    for role in ("weights", "offset"):
        given = getattr(design, role)
        record[role] = None if given is None else writer.put(given)
    return record


def _pack_sparse(writer: Writer, Z: sp.csr_array) -> Record:
    parts = {name: writer.put(getattr(Z, name)) for name in ("data", "indices", "indptr")}
    return {"sparse": parts, "shape": list(Z.shape)}


def _unpack_sparse(reader: Reader, record: Record) -> sp.csr_array:
    parts = tuple(reader.get(record["sparse"][name]) for name in ("data", "indices", "indptr"))
    matrix = sp.csr_array(parts, shape=tuple(record["shape"]))
    matrix.check_format(full_check=True)
    return matrix


def unpack_spec(reader: Reader, record: Record) -> tuple[dict[str, Any], dict[str, Prior]]:
    """What to make a specification from, and its priors; nothing of the formula is looked at yet."""
    priors = {key: Prior(family, **parameters) for key, (family, parameters) in record["priors"].items()}
    if record["kind"] == "arrays":
        return {"arrays": _unpack_arrays(reader, record["arrays"])}, priors
    stored = record["recipe"]
    recipe: dict[str, Any] = {"formula": stored["formula"], "na_action": stored["na_action"]}
    recipe["context"] = {
        name: _unpack_value(reader, own) for name, own in stored["context"].items() if own["kind"] != "other"
    }
    recipe["missing"] = {
        name: str(own["type"]) for name, own in stored["context"].items() if own["kind"] == "other"
    }
    if record["kind"] == "sums":
        recipe["sums"] = unpack_sums(reader, stored["sums"])
        return recipe, priors
    recipe["data"] = unpack_frame(reader, stored["data"])
    for role in ("weights", "offset"):
        given = stored[role]
        recipe[role] = reader.get(given) if isinstance(given, dict) else given
    if "groups" in stored:
        recipe["re_formula"], recipe["vc_formula"] = stored["re_formula"], stored["vc_formula"]
        groups = stored["groups"]
        if not isinstance(groups, str):
            labels = unpack_column(reader, groups).array
            groups = pd.Series(labels, index=recipe["data"].index, name=stored["groups_name"])
        recipe["groups"] = groups
    return recipe, priors


def _unpack_value(reader: Reader, record: Record) -> Any:
    if record["kind"] == "numpy":
        return np
    if record["kind"] == "array":
        return reader.get(record["value"])
    return ast.literal_eval(record["value"])


def _unpack_arrays(reader: Reader, record: Record) -> Record:
    found = dict(record)
    for role in ("y", "kept", "weights", "offset"):
        found[role] = None if record[role] is None else reader.get(record[role])
    own = record["X"]
    found["X"] = _unpack_sparse(reader, own) if "sparse" in own else reader.get(own)
    found["frame"] = unpack_frame(reader, record["frame"])
    found["index"] = unpack_index(reader, record["index"])
    if record["coefficients"] is not None:
        found["coefficients"] = (record["coefficients"]["names"], reader.get(record["coefficients"]["R"]))
    found["components"] = [
        (own["name"], _unpack_sparse(reader, own["Z"]), tuple(own["labels"])) for own in record["components"]
    ]
    return found


def make_spec(
    recipe: Mapping[str, Any], priors: Mapping[str, Prior], given: Mapping[str, Any], trust: bool
) -> ModelSpec:
    """The specification again.

    Parameters
    ----------
    recipe, priors
        Of :func:`unpack_spec`.
    given : mapping
        Names that the formula may use, as the caller gives them.
    trust : bool
        Whether formulas may use anything.

    Raises
    ------
    DataError
        Where the formula needs a name that the file can't hold, or code that isn't known to be harmless.
    """
    if "arrays" in recipe:
        return _spec_of_arrays(recipe["arrays"], priors)
    arguments = {name: value for name, value in recipe.items() if name not in ("missing", "context")}
    _require_names(recipe["missing"], given, recipe["formula"])
    context = {**recipe["context"], **given}
    if "sums" in recipe:
        if not trust:
            check_formulas([recipe["formula"]], [*recipe["sums"]["table"].columns], context)
        return spec_of_sums(recipe, recipe["sums"], priors, context)
    if not trust:
        columns = [*recipe["data"].columns]
        if not isinstance(recipe.get("groups", ""), str):
            columns.append(recipe["groups"].name)
        check_formulas(_texts(recipe), columns, context)
    if "groups" in recipe:
        return ModelSpec.from_groups(**arguments, priors=priors, context=context)
    return ModelSpec(**arguments, priors=priors, context=context)


def _require_names(missing: Mapping[str, str], given: Collection[str], formula: str) -> None:
    absent = [name for name in missing if name not in given]
    if absent:
        what = ", ".join(f"{name} (a {missing[name]})" for name in absent)
        again = ", ".join(f'"{name}": {name}' for name in absent)
        raise DataError(
            f"The formula '{formula}' uses {what}, which a file can't hold. Give it again, the same as in "
            f"the fit: bm.load(path, context={{{again}}})."
        )


def _spec_of_arrays(record: Mapping[str, Any], priors: Mapping[str, Prior]) -> ModelSpec:
    names, R = record["coefficients"] or ((), None)
    key = record["key"]
    spec = ModelSpec.from_arrays(
        record["y"],
        record["X"],
        None if key is None else record["frame"][key],
        exog_re=R,
        exog_vc={name: Z for name, Z, _ in record["components"]} or None,
        fixef_names=record["names"],
        re_names=names or None,
        weights=record["weights"],
        offset=record["offset"],
    )
    design = spec.design
    labels = {name: own for name, _, own in record["components"]}
    factors = tuple(
        replace(f, levels=pd.Index(labels[f.key])) if f.key in labels else f for f in design.factors
    )
    frame = Frame(record["frame"], record["index"], record["kept"])
    assert isinstance(design.encoding, ArrayEncoding)
    encoding = replace(design.encoding, components=labels)
    return spec.with_design(replace(design, factors=factors, frame=frame, encoding=encoding), priors)
