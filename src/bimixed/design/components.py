"""Variance components in statsmodels' words: columns of a formula, drawn anew in every group.

All columns of a component have independent effects with one common variance. Where the columns are the
levels of factors, possibly times a covariate (``0 + C(classroom)``, ``0 + C(classroom):score``), that is a
term with a bar, and treated as one. Everything else gets a sparse design: the columns of each group stand
beside those of the others. As in statsmodels, transformations and contrasts see the rows of one group at
a time.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from formulaic.parser.types import Factor

from bimixed.covariance import CovarianceTemplate
from bimixed.design import matrices
from bimixed.design.frame import Frame
from bimixed.design.grouping import Grouping, group_column, make_grouping
from bimixed.design.matrices import Part
from bimixed.design.random_effects import RandomFactor, component_rows
from bimixed.design.rows import Ints, MixedRows, RandomRows
from bimixed.exceptions import DataError, FormulaError
from bimixed.formula import RandomTerm

SEPARATOR = "\x1f"
"""Between group and column in keys, since ``:`` may stand in both."""


def component_part(term: RandomTerm) -> Part:
    """What formulaic reads of a component."""
    return Part(f"1 + {term.lhs}", f"component {term.component!r}")


def resolve_component(term: RandomTerm, table: pd.DataFrame, context: Mapping[str, Any]) -> RandomTerm:
    """The component as a term with a bar where it is one; without its group where that is constant.

    Raises
    ------
    FormulaError
        For contrasts, whose coding without an intercept differs between tools.
    """
    constant = group_column(term.group[0], table, context, {}).nunique() == 1
    group = () if constant else term.group
    terms = list(component_part(term).parsed)
    factors = [factor for t in terms for factor in t.factors]
    if not any(factor.eval_method is Factor.EvalMethod.LITERAL for factor in factors):
        _refuse_contrasts(term, [factor.expr for factor in factors])
    atoms: list[str] = []
    slopes: list[str] = []
    if len(terms) != 1:
        return replace(term, group=group)
    for factor in terms[0].factors:
        name = factor.expr
        inner = re.fullmatch(r"C\(\s*`?([^`,()]+?)`?\s*\)", name)
        if factor.eval_method is Factor.EvalMethod.LITERAL:
            if name != "1":
                return replace(term, group=group)
            continue
        if inner is not None and inner.group(1) in table.columns:
            atoms.append(inner.group(1))
        elif factor.eval_method is not Factor.EvalMethod.LOOKUP or name not in table.columns:
            return replace(term, group=group)
        elif _is_label(table[name].dtype):
            atoms.append(name)
        else:
            slopes.append(name if name.isidentifier() else f"`{name}`")
    levels = tuple(dict.fromkeys([*group, *atoms]))
    if not levels:
        return replace(term, group=group)
    lhs = f"0 + {':'.join(slopes)}" if slopes else "1"
    return RandomTerm(lhs, levels, True, term.source, term.position, component=term.component)


def _refuse_contrasts(term: RandomTerm, expressions: list[str]) -> None:
    for expression in expressions:
        if re.match(r"C\([^()]*,", expression) or re.match(r"C\(.*\),", expression):
            raise FormulaError(
                f"component {term.component!r} has contrasts, {expression}, which are coded differently by "
                "different tools where there is no intercept. Write C(x) for an effect of each level, or "
                "give the columns as a matrix to from_arrays."
            )


def is_bar_term(term: RandomTerm) -> bool:
    """Whether a resolved term is one with a bar; general components are marked uncorrelated."""
    return term.component is None or term.correlated


def _is_label(dtype: Any) -> bool:
    return (
        isinstance(dtype, pd.CategoricalDtype)
        or pd.api.types.is_bool_dtype(dtype)
        or not pd.api.types.is_numeric_dtype(dtype)
    )


@dataclass(frozen=True)
class ComponentEncoder:
    """Design of a general component, and the same for new rows.

    Attributes
    ----------
    term : RandomTerm
    grouping : Grouping or None
        None where there is one group only.
    specs : mapping
        Formulaic's spec by level of the group; one, under -1, where rows can be encoded together.
    levels : mapping
        Key of each column of a group → its place.
    """

    term: RandomTerm
    grouping: Grouping | None
    specs: Mapping[int, Any]
    levels: Mapping[str, int]

    @property
    def part(self) -> Part:
        return component_part(self.term)

    def encode(self, table: pd.DataFrame, context: Mapping[str, Any], index: pd.Index) -> RandomRows:
        """Values of new rows on the fitted columns, and on columns never seen.

        Raises
        ------
        DataError
            Where a value is undefined, or a transformation can't be made for a level.
        """
        codes, labels = self._groups(table, context)
        blocks = []
        for rows, code, label in _stretches(codes, labels, together=-1 in self.specs):
            part = table.iloc[rows].reset_index(drop=True)
            spec = None if -1 in self.specs else self.specs.get(code)
            if spec is None:  # rows that stand for themselves, or a group never seen
                Z, spec = matrices.build_sparse(self.part, part, context)
            else:
                built = matrices.encode_spec(spec, self.part.place, part, context, "sparse")
                Z = sp.csr_array(built.__wrapped__)
            blocks.append(_labelled(Z, rows, labels if label is None else label, spec.column_names))
        row, names, value = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        _require_finite(self.part, row, value, index)
        n, used = len(table), value != 0.0
        row, names, value = row[used], names[used], value[used]
        place = np.array([self.levels.get(x, -1) for x in names], dtype=np.intp)
        seen = place >= 0
        Z = sp.csr_array((value[seen], (row[seen], place[seen])), shape=(n, len(self.levels)))
        if seen.all():
            return MixedRows(Z)
        new, numbers = np.unique(names[~seen].astype(str), return_inverse=True)
        unseen = sp.csr_array((value[~seen], (row[~seen], numbers)), shape=(n, len(new)))
        return MixedRows(Z, unseen, tuple(shown_level(x) for x in new.tolist()))

    def _groups(self, table: pd.DataFrame, context: Mapping[str, Any]) -> tuple[Ints, Any]:
        """Level and label of each new row; fitted levels have the labels of the fit."""
        if self.grouping is None:
            return np.zeros(len(table), dtype=np.intp), np.full(len(table), "", dtype=object)
        codes = self.grouping.codes(table, context)
        labels = self.grouping.labels(table, context)
        known = self.grouping.levels.astype(str).to_numpy(dtype=object)
        return codes, np.where(codes >= 0, known[codes], labels)


def component_factor(
    term: RandomTerm, frame: Frame, context: Mapping[str, Any]
) -> tuple[RandomFactor, ComponentEncoder]:
    """The factor of a component that no bar can express."""
    part = component_part(term)
    table = frame.table
    grouping, codes = (None, np.zeros(len(table), dtype=np.intp))
    labels = np.full(len(table), "", dtype=object)
    if term.group:
        grouping, codes = make_grouping(term.group, table, context)
        labels = grouping.levels.astype(str).to_numpy(dtype=object)[codes]
    Z, spec = matrices.build_sparse(part, table, context)
    specs: dict[int, Any] = {-1: spec}
    if grouping is None or _row_by_row(spec):
        blocks = [_labelled(Z, np.arange(len(table)), labels, spec.column_names)]
    else:
        specs, blocks = {}, []
        for rows, code, label in _stretches(codes, labels, together=False):
            Z, specs[code] = matrices.build_sparse(part, table.iloc[rows].reset_index(drop=True), context)
            blocks.append(_labelled(Z, rows, label, specs[code].column_names))
    row, names, value = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    _require_finite(part, row, value, frame.index)
    used = value != 0.0
    found, place = np.unique(names[used].astype(str), return_inverse=True)
    if len(found) == 0:
        raise DataError(f"{part.place} has no column with a value; write '0 + C(x)' or '0 + x'.")
    Z = sp.csr_array((value[used], (row[used], place)), shape=(len(table), len(found)))
    encoder = ComponentEncoder(term, grouping, specs, {x: i for i, x in enumerate(found.tolist())})
    factor = RandomFactor(
        key=term.key,
        levels=pd.Index([shown_level(x) for x in found.tolist()]),
        rows=component_rows(Z),
        names=(term.key,),
        template=CovarianceTemplate(((1, True),)),
        sources=(term.source,),
        group=":".join(term.group),
        is_component=True,
    )
    return factor, encoder


def _row_by_row(spec: Any) -> bool:
    """Whether a row's columns don't depend on the other rows: plain columns, and all levels of factors."""
    plain = all(
        factor.eval_method is not Factor.EvalMethod.PYTHON or re.fullmatch(r"C\([^,()]+\)", str(factor))
        for term in spec.formula
        for factor in term.factors
    )
    scoped = [f for structure in spec.structure for st in structure.scoped_terms for f in st.factors]
    return plain and not any(factor.reduced for factor in scoped)


def _require_finite(part: Part, row: Ints, value: Any, index: pd.Index) -> None:
    bad = np.unique(row[~np.isfinite(value)])
    if len(bad):
        raise DataError(
            f"{part.place} ({part.text.removeprefix('1 + ')}) is infinite or undefined in rows "
            f"{index[bad][:5].tolist()}; correct or drop these."
        )


def shown_level(key: str) -> str:
    """``group:column`` of a level's key; the column alone where there is one group."""
    return key.replace(SEPARATOR, ":").removeprefix(":")


def _stretches(codes: Ints, labels: Any, together: bool) -> list[tuple[Ints, int, str | None]]:
    """Rows of each group with its code and label; all rows at once where ``together``."""
    if together:
        return [(np.arange(len(codes)), -1, None)]
    _, first, number = np.unique(labels.astype(str), return_index=True, return_inverse=True)
    order = np.argsort(number, kind="stable")
    cuts = np.split(order, np.cumsum(np.bincount(number))[:-1])
    return [(rows, int(codes[i]), str(labels[i])) for rows, i in zip(cuts, first, strict=True)]


def _labelled(Z: sp.csr_array, rows: Ints, labels: Any, columns: Any) -> tuple[Ints, Any, Any]:
    """Row, key of group and column, and value of every entry; labels one for each row, or one."""
    entries = Z.tocoo()
    names = np.asarray(list(columns), dtype=object)[entries.col]
    group = np.asarray(labels, dtype=object)
    group = group[entries.row] if group.ndim else np.full(len(names), labels, dtype=object)
    label = np.array([f"{g}{SEPARATOR}{c}" for g, c in zip(group, names, strict=True)], dtype=object)
    return rows[entries.row], label, entries.data
