"""The wildcard ``.``: all columns that have no other part in the model (groups and components included)."""

import re
from dataclasses import replace

from bimixed.exceptions import FormulaError
from bimixed.formula import scanner
from bimixed.formula.terms import Formula

_LONE_DOT = re.compile(r"(?<![\w.)\]`])\.(?![\w.(\[`])")


def expand_wildcard(formula: Formula, columns: list[str], beside: list[str]) -> Formula:
    """Write ``.`` out as the columns that are neither response, group, weights nor offset.

    Parameters
    ----------
    formula : Formula
    columns : list of str
        Of the data, in their order.
    beside : list of str
        Columns with a role outside the formula.
    """
    bars = [term for term in formula.random if term.component is None]
    sides = [formula.fixed, *(term.lhs for term in bars)]
    if not any(has_wildcard(side) for side in sides):
        return formula
    elsewhere = [formula.response, *formula.offsets]
    elsewhere += [atom for term in formula.random for atom in term.group]
    elsewhere += [term.lhs for term in formula.random if term.component is not None]
    used = set(beside) | {name for text in elsewhere for name in _names(text, columns)}
    left = [name for name in columns if name not in used]
    if not left:
        raise FormulaError(
            f"'.' in '{formula.text}' stands for no column: all are response, group, weights or offset. "
            "Leave it out."
        )
    odd = [name for name in left if "`" in name]
    if odd:
        raise FormulaError(
            f"'.' in '{formula.text}' stands for a column whose name has a backtick, {odd[0]!r}, which no "
            "formula can say. Rename it: data.rename(columns={...})."
        )
    written = "(" + " + ".join(name if name.isidentifier() else f"`{name}`" for name in left) + ")"
    return replace(
        formula,
        fixed=substitute(formula.fixed, written),
        random=tuple(replace(term, lhs=substitute(term.lhs, written)) for term in formula.random),
    )


def has_wildcard(text: str) -> bool:
    return substitute(text, "") != text


def substitute(text: str, written: str) -> str:
    """Replace each lone ``.`` outside quotes."""
    pieces, start = [], 0
    for first, last in scanner.quoted(text):
        pieces += [_LONE_DOT.sub(lambda _: written, text[start:first]), text[first:last]]
        start = last
    return "".join([*pieces, _LONE_DOT.sub(lambda _: written, text[start:])])


def _names(text: str, columns: list[str]) -> list[str]:
    """Columns that a text mentions."""
    if text in columns:
        return [text]
    words = set(re.findall(r"[^\W\d]\w*", re.sub(r"`[^`]*`", " ", text)))
    quoted = set(re.findall(r"`([^`]*)`", text))
    return [name for name in columns if name in words or name in quoted]
