"""Formulaic's part: all model matrices of a formula, built together and rebuilt on new data.

The fixed part, the inside of every bar, the response and the offsets are materialised in one call,
so that they share evaluated factors and remember the same states (`scale`, `poly`, contrasts).
"""

import builtins
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import formulaic
import numpy as np
import pandas as pd
import scipy.sparse as sp
from formulaic.errors import DataMismatchWarning, FormulaicError
from formulaic.parser import DefaultFormulaParser
from formulaic.parser.types import ASTNode, Factor
from formulaic.transforms import TRANSFORMS

from bimixed.covariance import Array
from bimixed.design.expressions import clean, names_in_python, refuse_exclusive_or
from bimixed.design.frame import Cells
from bimixed.design.materializer import materialize
from bimixed.design.plain import PlainSpec, plain_spec
from bimixed.design.wide import looks_wide
from bimixed.exceptions import BimixedError, DataError, FormulaError
from bimixed.formula.habits import remedy

LARGEST = 1e70
"""Numbers from here on have fourth powers that overflow."""
MOST_TERMS = 10_000
"""Formulas that multiply out to more terms would take hours, and no data would be enough for them."""


@dataclass(frozen=True)
class Part:
    """One formula to materialise: its text in formulaic's language, and how to call it in errors."""

    text: str
    place: str

    @cached_property
    def parsed(self) -> Any:
        """Formulaic's terms; raises our error where the text can't be read."""
        try:
            parsed = _parsed(self.text)
        except Exception as error:
            text = self.text.removeprefix("1 + ")
            raise FormulaError(
                f"{self.place}, '{text}', can't be read: {clean(error)}. {remedy(text)}"
            ) from error
        for expression in _python_expressions(parsed):
            refuse_exclusive_or(expression, self.place)
        if "-" in self.text:
            _refuse_idle_minus(self)
        return parsed


@lru_cache(maxsize=256)
def _parsed(text: str) -> Any:
    """Reading a formula again and again costs as much as building its matrices."""
    if _number_of_terms(text) > MOST_TERMS:
        raise ValueError(
            f"it stands for more than {MOST_TERMS} terms; name the interactions that you want, and write a "
            "power of a column as I(x**2)"
        )
    parsed = formulaic.Formula(part=text).part
    if not isinstance(parsed, formulaic.SimpleFormula):
        raise ValueError("a formula has one '~', outside parentheses")
    return parsed


def _number_of_terms(text: str) -> float:
    """Bound of the terms (and of the work) that a formula's operators multiply up to."""
    root = DefaultFormulaParser().get_ast(text)
    if not isinstance(root, ASTNode):
        return 1.0
    order, stack = [], [root]
    while stack:  # not recursive: long sums are deep trees
        node = stack.pop()
        order.append(node)
        stack += [arg for arg in node.args if isinstance(arg, ASTNode)]
    counts: dict[int, float] = {}
    for node in reversed(order):
        sizes = [counts.get(id(arg), 1.0) for arg in node.args]
        symbol = node.operator.symbol
        if symbol in ("**", "^") and len(sizes) == 2:
            power = str(node.args[1])
            exponent = float(power) if power.isdigit() else 1.0
            size = sizes[0] ** min(exponent, 64.0) if sizes[0] > 1 else exponent
        elif symbol in (":", "*", "/", "%in%") and len(sizes) == 2:
            size = sizes[0] * sizes[1] + (sum(sizes) if symbol != ":" else 0.0)
        else:
            size = sum(sizes)
        counts[id(node)] = min(size, 1e12)
    return counts[id(root)]


def _refuse_idle_minus(part: Part) -> None:
    """A term taken out that isn't there: arithmetic was meant, or a name misspelt."""
    idle = _idle_minus(part.text)
    if idle is not None:
        raise FormulaError(
            f"{part.place}, '{part.text.removeprefix('1 + ')}', takes out {idle!r}, which isn't there. In a "
            "formula '-' leaves a term out; for arithmetic write I(...), to centre center(x)."
        )


@lru_cache(maxsize=256)
def _idle_minus(text: str) -> str | None:
    """A term that is taken out without being there, or None."""
    stack: list[Any] = [DefaultFormulaParser().get_ast(text)]
    while stack:
        node = stack.pop()
        if not isinstance(node, ASTNode):
            continue
        stack += list(node.args)
        if node.operator.symbol != "-" or len(node.args) != 2:
            continue
        there, out = (_terms_of(arg) for arg in node.args)
        idle = [term for term in out if term not in there and term not in ("0", "1")]
        if idle:
            return idle[0]
    return None


def _terms_of(node: Any) -> list[str]:
    terms = node.to_terms()
    return [str(term) for term in terms] if not isinstance(terms, tuple) else []


def powers_of_columns(part: Part) -> list[tuple[str, str]]:
    """Single columns raised to a power by a formula's operator: (name, power)."""
    root = DefaultFormulaParser().get_ast(part.text)
    stack, found = [root], []
    while stack:
        node = stack.pop()
        if not isinstance(node, ASTNode):
            continue
        if node.operator.symbol in ("**", "^") and not isinstance(node.args[0], ASTNode):
            found.append((str(node.args[0]), str(node.args[1])))
        stack += list(node.args)
    return found


def has_python(part: Part) -> bool:
    """Whether a part calls anything."""
    return bool(_python_expressions(part.parsed))


def plain_columns_of(part: Part) -> list[str]:
    """Columns that stand in a part by themselves, outside every function."""
    factors = [factor for term in part.parsed for factor in term.factors]
    return [f.expr for f in factors if f.eval_method is Factor.EvalMethod.LOOKUP]


def columns_of_factor(factor: Any, columns: list[str]) -> list[str]:
    """Columns of the data that one of formulaic's factors uses."""
    name = str(getattr(factor, "expr", factor))
    if name in columns:
        return [name]
    return [own for own in dict.fromkeys(names_in_python(name)) if own in columns]


def is_categorical(
    part: Part, factor: Any, text: str, table: pd.DataFrame, context: Mapping[str, Any]
) -> bool:
    """Whether a factor of a part, written so and judged on some rows, has levels."""
    if factor.eval_method is Factor.EvalMethod.LOOKUP:
        return str(factor.expr) in table and table[factor.expr].dtype.kind not in "iufmM"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DataMismatchWarning)
            spec = materialize(_parsed(f"0 + {text}"), table, context).model_spec
    except BimixedError:
        raise
    except DataMismatchWarning as error:
        raise _unnamed_levels(error, {"": part}) from error
    except Exception as error:
        raise _explain(error, {"": part}, table, context) from error
    return any(kind is Factor.Kind.CATEGORICAL for kind, _ in spec.encoder_state.values())


@dataclass(frozen=True)
class EncodedPart:
    """A materialised part: values (n, k), names of the k columns, and the spec to redo it.

    Values are sparse for a fixed part with factors of very many levels.
    """

    values: Array | sp.csr_array
    names: tuple[str, ...]
    spec: Any
    part: Part

    @property
    def place(self) -> str:
        """How to call it in errors."""
        return self.part.place


def required_columns(
    parts: Mapping[str, Part], columns: list[str], context: Mapping[str, Any]
) -> dict[str, str]:
    """Columns that the parts need from the data → where each is used.

    Names that the data don't have but the context, formulaic or Python do are not columns.
    """
    wanted: dict[str, str] = {}
    for part in parts.values():
        for name in _variables(part):
            root = name.split(".")[0]
            if name in columns:
                wanted.setdefault(name, part.place)
            elif root in columns:
                wanted.setdefault(root, part.place)
            elif not (root in context or root in TRANSFORMS or hasattr(builtins, root)):
                wanted.setdefault(name, part.place)
    return wanted


def _variables(part: Part) -> list[str]:
    """Names that a part looks up, functions apart.

    Formulaic's own ``required_variables`` leaves out arguments of stateful transforms.
    """
    names: dict[str, None] = {}
    for term in part.parsed:
        for factor in term.factors:
            if factor.eval_method is Factor.EvalMethod.LOOKUP:
                names[factor.expr] = None
            elif factor.eval_method is Factor.EvalMethod.PYTHON:
                names.update(dict.fromkeys(names_in_python(factor.expr)))
    return list(names)


def _python_expressions(parsed: Any) -> list[str]:
    return [
        factor.expr
        for term in parsed
        for factor in term.factors
        if factor.eval_method is Factor.EvalMethod.PYTHON
    ]


def build_parts(
    parts: Mapping[str, Part],
    table: pd.DataFrame,
    context: Mapping[str, Any],
    index: pd.Index | None = None,
    cells: Cells | None = None,
) -> dict[str, EncodedPart]:
    """Materialise all parts on complete rows; ``index`` names the rows in errors."""
    cells = cells or Cells(table, {})
    encoded: dict[str, EncodedPart] = {}
    general: dict[str, Part] = {}
    for key, part in parts.items():
        plain = plain_spec(part.parsed, cells, part.place)
        if plain is None:
            general[key] = part
        else:
            encoded[key] = EncodedPart(plain.columns(cells), plain.column_names, plain, part)
    if general:
        encoded |= _by_formulaic(general, table, context, index)
    return {key: encoded[key] for key in parts}


def _by_formulaic(
    parts: Mapping[str, Part], table: pd.DataFrame, context: Mapping[str, Any], index: pd.Index | None
) -> dict[str, EncodedPart]:
    """All that holds more than numeric columns, in one call, so that states are shared."""
    try:
        formula = formulaic.Formula(**{key: part.parsed for key, part in parts.items()})
        wide = "fixed" in parts and looks_wide(parts["fixed"].parsed, table)
        with warnings.catch_warnings():
            warnings.simplefilter("error", DataMismatchWarning)
            built = materialize(formula, table, context, index, "sparse" if wide else "numpy")
    except BimixedError:
        raise
    except DataMismatchWarning as error:
        raise _unnamed_levels(error, parts) from error
    except MemoryError as error:
        raise DataError(
            "The columns of the formula don't fit into memory; leave out interactions of factors with many "
            "levels, or make a random effect of such a factor."
        ) from error
    except Exception as error:
        raise _explain(error, parts, table, context) from error
    encoded = {}
    _share_categories([getattr(built, key).model_spec for key in parts])
    for key, part in parts.items():
        matrix = getattr(built, key)
        spec = matrix.model_spec
        values = _values(matrix, len(table), wide and key == "fixed")
        _refuse_single_levels(spec, part)
        encoded[key] = EncodedPart(values, tuple(spec.column_names), spec, part)
    return encoded


def _share_categories(specs: Sequence[Any]) -> None:
    """Let every part know the categories of its factors.

    Formulaic encodes a factor that stands in several parts once, and tells the first of them; another one
    would take the categories of new data for its own.
    """
    known: dict[str, Any] = {}
    for spec in specs:
        known = {**spec.encoder_state, **known}
    for spec in specs:
        for factor in (factor for term in spec.formula for factor in term.factors):
            if factor.expr in known:
                spec.encoder_state.setdefault(factor.expr, known[factor.expr])


def _values(matrix: Any, n: int, sparse: bool) -> Array | sp.csr_array:
    """Formulaic's matrix as ours."""
    plain = getattr(matrix, "__wrapped__", matrix)
    if sparse:
        return sp.csr_array(plain, dtype=np.float64)
    return _float_matrix(plain.toarray() if sp.issparse(plain) else matrix, n)


def _float_matrix(matrix: Any, n: int) -> Array:
    return np.ascontiguousarray(matrix, dtype=np.float64).reshape(n, -1)


def build_sparse(part: Part, table: pd.DataFrame, context: Mapping[str, Any]) -> tuple[sp.csr_array, Any]:
    """One part as a sparse matrix, and formulaic's spec to redo it."""
    try:
        matrix = materialize(part.parsed, table, context, output="sparse")
    except BimixedError:
        raise
    except Exception as error:
        raise _explain(error, {"part": part}, table, context) from error
    return sp.csr_array(matrix.__wrapped__), matrix.model_spec


def _refuse_single_levels(spec: Any, part: Part) -> None:
    """A factor with one level has no column of its own; formulaic would leave it out silently."""
    for factor, (kind, state) in spec.encoder_state.items():
        levels = list(state.get("categories", [])) if isinstance(state, dict) else []
        if kind is Factor.Kind.CATEGORICAL and len(levels) == 1:
            raise DataError(
                f"{str(factor)!r} ({part.place}) has a single level ({levels[0]!r}) in the rows used, "
                "so it has no effect to estimate. Leave it out of the formula."
            )


def encode_part(part: EncodedPart, table: pd.DataFrame, context: Mapping[str, Any]) -> Array | sp.csr_array:
    """The same columns on new rows; unseen levels of a factor are an error."""
    if isinstance(part.spec, PlainSpec):
        return part.spec.columns(table)
    sparse = sp.issparse(part.values)
    matrix = encode_spec(part.spec, part.place, table, context, "sparse" if sparse else "numpy")
    return _values(matrix, len(table), sparse)


def encode_spec(spec: Any, place: str, table: pd.DataFrame, context: Mapping[str, Any], output: str) -> Any:
    """Redo a materialised part on new rows.

    Raises
    ------
    DataError
        Naming levels that the fitted data don't have, or columns of another kind.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataMismatchWarning)
        try:
            states = {name: (kind, dict(state)) for name, (kind, state) in spec.encoder_state.items()}
            kinds = {str(name): kind for name, (kind, _) in states.items()}
            # a copy, which new data can't change
            return materialize(
                spec.update(encoder_state=states), table, context, output=output, expected=kinds
            )
        except DataMismatchWarning as error:
            levels = re.search(r"\{.*\}", str(error))
            names = _factors_with_new_levels(spec, table)
            raise DataError(
                f"The new data have levels{f' of {names}' if names else ''} that the fitted data don't: "
                f"{_plain(levels.group(0)) if levels else error} (in {place}). A fixed effect can't be "
                "predicted for a level never seen; leave these rows out or refit with them."
            ) from error
        except FormulaicError as error:
            raise DataError(f"The new data don't fit {place} of the formula: {clean(error)}") from error


def _plain(levels: str) -> str:
    """Labels as their user writes them, without NumPy's types."""
    return re.sub(r"np\.(True|False)_", r"\1", re.sub(r"np\.\w+\(([^()]*)\)", r"\1", levels))


def _factors_with_new_levels(spec: Any, table: pd.DataFrame) -> str:
    """Columns with labels that the fit doesn't know."""
    names = []
    for factor, (_, state) in spec.encoder_state.items():
        column = re.sub(r"^C\(`?([^`,()]+)`?.*\)$", r"\1", str(factor)).strip()
        if column in table.columns and not set(table[column]) <= set(state.get("categories", table[column])):
            names.append(column)
    return " and ".join(names)


def require_finite(part: EncodedPart, values: Array | sp.csr_array, index: pd.Index) -> None:
    """Raise where a value is infinite or NaN, naming the column and the rows, or where squares would be."""
    plain = values if isinstance(values, np.ndarray) else values.data
    if plain.size == 0 or max(plain.max(), -plain.min()) < LARGEST:  # False for NaN
        return
    if np.isfinite(plain).all():
        row, column = np.unravel_index(int(abs(values).argmax()), values.shape)
        raise DataError(
            f"{part.names[column]!r} ({part.place}) is {values[row, column]:.3g} in row {index[row]}: "
            "products of such numbers can't be computed. Change its units."
        )
    where, found = sp.find(values)[:2], sp.find(values)[2]
    bad = np.flatnonzero(~np.isfinite(found))
    first = bad[np.lexsort((where[1][bad], where[0][bad]))[0]]
    column = where[1][first]
    name = part.names[column]
    rows = index[np.sort(where[0][bad][where[1][bad] == column])]
    shown = ", ".join(str(r) for r in rows[:5]) + (", …" if len(rows) > 5 else "")
    cause = "A logarithm takes positive numbers only. " if "log" in name else ""
    raise DataError(
        f"{name!r} ({part.place}) is {found[first]} in {len(rows)} row(s): {shown}. "
        f"{cause}Correct or drop these rows."
    )


def _unnamed_levels(error: Warning, parts: Mapping[str, Part]) -> DataError:
    """Labels that ``C(x, levels=[…])`` doesn't name would silently become the reference level."""
    levels = re.search(r"\{.*\}", str(error))
    calls = [
        str(factor)
        for part in parts.values()
        for term in part.parsed
        for factor in term.factors
        if "levels" in str(factor)
    ]
    return DataError(
        f"{' or '.join(dict.fromkeys(calls)) or 'A factor'} doesn't name the levels "
        f"{_plain(levels.group(0)) if levels else error} that rows have. Name all levels, or leave these "
        "rows out of the data."
    )


def _explain(
    error: Exception, parts: Mapping[str, Part], table: pd.DataFrame, context: Mapping[str, Any]
) -> FormulaError:
    """Find the part that fails, to name it."""
    for part in parts.values():
        try:
            materialize(part.parsed, table, context)
        except Exception as cause:
            return FormulaError(
                f"{part.place}, '{part.text.removeprefix('1 + ')}', can't be evaluated: {clean(cause)}. "
                f"{remedy(part.text)}"
            )
    return FormulaError(f"The formula can't be evaluated: {clean(error)}")
