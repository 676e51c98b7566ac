"""What stands right of a bar: columns and expressions, joined by ``:`` and ``/``."""

import ast

from bimixed.exceptions import FormulaError
from bimixed.formula import scanner
from bimixed.formula.habits import remedy
from bimixed.formula.scanner import Piece

Group = tuple[str, ...]

_JOINED = {
    "+": "write one term for each: '(1 | a) + (1 | b)'",
    "*": "write '(1 | a) + (1 | b) + (1 | a:b)'",
    "&": "write '(1 | a:b)'",
    "-": "write the terms you want one by one",
    "^": "write the terms you want one by one",
    "%": "make the remainder a column of the data first",
    "~": "a formula has one '~'",
}


DEEPEST = 50
"""Parentheses within parentheses that a group may have."""


def parse_groups(text: str, group: Piece, depth: int = 0) -> list[Group]:
    """``a/b`` → (a,), (a, b); ``a:b`` → (a, b); each atom a column or an expression."""
    if depth > DEEPEST:
        raise FormulaError(f"A group has more than {DEEPEST} parentheses within each other; take some away.")
    groups: list[Group] = []
    prefix: Group = ()
    for level in scanner.split(group, "/"):
        inner = _interaction(text, level.strip(), depth)
        groups += [_joined(prefix, columns) for columns in inner]
        prefix = _joined(prefix, inner[-1])
    return groups


def _interaction(text: str, piece: Piece, depth: int) -> list[Group]:
    """Groups of a piece without top-level slashes."""
    groups: list[Group] = [()]
    for part in (part.strip() for part in scanner.split(piece, ":")):
        inside = scanner.enclosed(part)
        inner = [(_atom(text, part),)] if inside is None else parse_groups(text, inside.strip(), depth + 1)
        groups = [_joined(left, right) for left in groups for right in inner]
    return groups


def _joined(left: Group, right: Group) -> Group:
    return tuple(dict.fromkeys(left + right))


def _atom(text: str, piece: Piece) -> str:
    name = piece.text
    if name.startswith("`") and name.endswith("`") and name.count("`") == 2 and len(name) > 2:
        return name[1:-1]
    if is_plain(name):
        return name
    for char, advice in _JOINED.items():
        place = next((i for i, c in scanner.top_level(name) if c == char), -1)
        if place >= 0:
            raise FormulaError.at(
                text, piece.position + place, f"'{char}' has no meaning between groups; {advice}."
            )
    raise FormulaError.at(
        text,
        piece.position,
        "A group is a column, or columns joined by ':' or '/' ('(1 | a:b)', '(1 | a/b)'), or a function "
        f"of columns ('(1 | round(age))'). Names with spaces go in backticks. {remedy(name)}",
        len(name),
    )


def is_plain(name: str) -> bool:
    """Whether an atom can stand in a formula without backticks: a name, or a call or comparison."""
    if name.replace(".", "_").isidentifier():
        return True
    try:
        tree = ast.parse(scanner.without_backticks(name), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return isinstance(tree, ast.Call | ast.Attribute | ast.Subscript | ast.Compare)


def format_group(group: Group) -> str:
    """The group as a formula writes it."""
    return ":".join(name if is_plain(name) else f"`{name}`" for name in group)
