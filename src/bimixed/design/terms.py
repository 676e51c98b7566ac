"""The terms of the fixed part, and how each one's columns code its factors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from formulaic.parser.types import Factor

from bimixed.covariance import Array
from bimixed.design.design import Design
from bimixed.design.encoding import FormulaEncoding
from bimixed.design.plain import PlainSpec


@dataclass(frozen=True)
class Coding:
    """How a term codes one factor.

    Attributes
    ----------
    levels : tuple
    matrix : (levels, k) array
        The k columns that stand for it.
    is_reduced : bool
        Whether the term without the factor is in the model, so that these columns are contrasts.
    """

    levels: tuple[Any, ...]
    matrix: Array
    is_reduced: bool


@dataclass(frozen=True)
class Block:
    """Columns that are the products of what stands for each factor.

    Attributes
    ----------
    columns : int array
        Places among the columns of X, of shape (k of each factor in order, rest): the rest are those of the
        numeric part.
    factors : mapping
        Coding of each factor.
    numeric : tuple of str
        The numeric part: names in order.
    """

    columns: np.ndarray
    factors: Mapping[str, Coding]
    numeric: tuple[str, ...]


@dataclass(frozen=True)
class FixedTerm:
    """A term of the fixed part, with all its columns.

    Attributes
    ----------
    name : str
    written : str
        As a formula has it: names that are no identifiers in backticks.
    variables : frozenset of str
    columns : tuple of int
    blocks : tuple of Block
    """

    name: str
    written: str
    variables: frozenset[str]
    columns: tuple[int, ...]
    blocks: tuple[Block, ...]

    @property
    def factors(self) -> frozenset[str]:
        return frozenset(name for block in self.blocks for name in block.factors)


def fixed_terms(design: Design) -> tuple[FixedTerm, ...]:
    """The terms in the order of their columns, the intercept included; of arrays each column is one."""
    encoding = design.encoding
    if not isinstance(encoding, FormulaEncoding):
        return tuple(_numeric_term(name, j) for j, name in enumerate(design.names))
    spec = encoding.parts["fixed"].spec
    if isinstance(spec, PlainSpec):
        return tuple(
            FixedTerm(
                name,
                ":".join(map(_quoted, parts)),
                frozenset(parts),
                (j,),
                (Block(np.array([j]), {}, tuple(sorted(parts))),),
            )
            for j, (name, parts) in enumerate(zip(spec.column_names, spec.terms, strict=True))
        )
    places = {name: j for j, name in enumerate(design.names)}
    found = []
    for term in spec.structure:
        columns = [places[name] for name in term.columns]
        if columns:
            found.append(_term(term, columns, spec.encoder_state))
    return tuple(found)


def _numeric_term(name: str, column: int) -> FixedTerm:
    numeric = () if name == "Intercept" else (name,)
    return FixedTerm(
        name, _quoted(name), frozenset(numeric), (column,), (Block(np.array([column]), {}, numeric),)
    )


def _term(term: Any, columns: Sequence[int], states: Mapping[str, Any]) -> FixedTerm:
    known = {str(name): state for name, (_, state) in states.items()}
    blocks, start = [], 0
    sizes = _sizes(term.scoped_terms, len(columns), known)
    for scoped, size in zip(term.scoped_terms, sizes, strict=True):
        blocks.append(_block(scoped, columns[start : start + size], known))
        start += size
    name = "Intercept" if str(term.term) == "1" else str(term.term)
    variables = frozenset(name for block in blocks for name in (*block.factors, *block.numeric))
    written = ":".join(
        _quoted(str(f.expr)) if f.eval_method is Factor.EvalMethod.LOOKUP else str(f.expr)
        for f in term.term.factors
    )
    return FixedTerm(name, written, variables, tuple(columns), tuple(blocks))


def _quoted(name: str) -> str:
    return name if name.isidentifier() else f"`{name}`"


def _sizes(scoped_terms: Sequence[Any], total: int, states: Mapping[str, Any]) -> list[int]:
    """Columns of each scoped term: products of those of its factors, times the same numeric part."""
    products = [
        int(np.prod([coding.matrix.shape[1] for coding in _codings(scoped, states).values()], dtype=int))
        for scoped in scoped_terms
    ]
    numeric = total // max(sum(products), 1)
    return [size * numeric for size in products]


def _codings(scoped: Any, states: Mapping[str, Any]) -> dict[str, Coding]:
    codings = {}
    for own in scoped.factors:
        name = str(own.factor.expr)
        state = states.get(name)
        contrasts = state.get("contrasts") if isinstance(state, dict) else None
        if contrasts is None:
            continue
        levels = list(contrasts.levels)
        matrix = contrasts.contrasts.get_coding_matrix(levels, reduced_rank=own.reduced)
        codings[name] = Coding(tuple(levels), np.asarray(matrix, dtype=np.float64), own.reduced)
    return codings


def _block(scoped: Any, columns: Sequence[int], states: Mapping[str, Any]) -> Block:
    """Formulaic lets the first factor vary fastest."""
    codings = _codings(scoped, states)
    order = [str(own.factor.expr) for own in scoped.factors]
    numeric = [name for name in order if name not in codings]
    inner = len(columns) // int(np.prod([c.matrix.shape[1] for c in codings.values()], dtype=int))
    # numeric factors of several columns each can't be told apart, and needn't: only one may have several
    shape, axes = [], []
    several = inner
    for name in order:
        if name in codings:
            shape.append(codings[name].matrix.shape[1])
            axes.append(name)
        elif several > 1:
            shape.append(several)
            axes.append("")
            several = 1
    table = np.asarray(columns).reshape(shape[::-1]).transpose(range(len(shape))[::-1])
    table = np.moveaxis(table, axes.index(""), -1) if "" in axes else table[..., None]
    return Block(table, codings, tuple(sorted(numeric)))
