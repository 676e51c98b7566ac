"""Finding separators in formula text that stand outside brackets and quotes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bimixed.exceptions import FormulaError

_PAIRS = {"(": ")", "[": "]", "{": "}"}
_CLOSERS = {close: open_ for open_, close in _PAIRS.items()}
_QUOTES = "\"'`"


@dataclass(frozen=True)
class Piece:
    """A stretch of the formula: ``text`` starts at ``position`` of the whole formula."""

    text: str
    position: int

    def strip(self) -> "Piece":
        lead = len(self.text) - len(self.text.lstrip())
        return Piece(self.text.strip(), self.position + lead)


def check_balanced(formula: str) -> None:
    """Raise at the first bracket or quote that is never closed, or never opened."""
    stack: list[int] = []
    i = 0
    while i < len(formula):
        char = formula[i]
        if char in _QUOTES:
            end = _closing_quote(formula, i)
            if end < 0:
                raise FormulaError.at(formula, i, f"This quote {char} is never closed; close it.")
            i = end
        elif char in _PAIRS:
            stack.append(i)
        elif char in _CLOSERS:
            if not stack or formula[stack[-1]] != _CLOSERS[char]:
                raise FormulaError.at(
                    formula, i, f"This '{char}' closes nothing; remove it or open it before."
                )
            stack.pop()
        i += 1
    if stack:
        start = stack[-1]
        what = "bar term" if "|" in formula[start:] else "bracket"
        raise FormulaError.at(
            formula,
            start,
            f"This {what} is opened here and never closed; add '{_PAIRS[formula[start]]}'.",
        )


def _closing_quote(text: str, start: int) -> int:
    quote, i = text[start], start + 1
    while i < len(text):
        if text[i] == "\\" and quote != "`":
            i += 1
        elif text[i] == quote:
            return i
        i += 1
    return -1


def top_level(text: str) -> Iterator[tuple[int, str]]:
    """Positions and characters of balanced ``text`` that stand outside brackets and quotes."""
    depth, i = 0, 0
    while i < len(text):
        char = text[i]
        if char in _QUOTES:
            i = _closing_quote(text, i)
        elif char in _PAIRS:
            depth += 1
        elif char in _CLOSERS:
            depth -= 1
        elif depth == 0:
            yield i, char
        i += 1


def split(piece: Piece, separator: str) -> list[Piece]:
    """Cut a piece at every top-level occurrence of a one-character separator."""
    cuts = [i for i, char in top_level(piece.text) if char == separator]
    starts, ends = [0, *(i + 1 for i in cuts)], [*cuts, len(piece.text)]
    return [Piece(piece.text[a:b], piece.position + a) for a, b in zip(starts, ends, strict=True)]


def enclosed(piece: Piece) -> Piece | None:
    """The inside of a piece that is one pair of parentheses, else None."""
    text = piece.text
    if not (text.startswith("(") and text.endswith(")")):
        return None
    depth = 0
    for i, char in enumerate(text):
        depth += (char in _PAIRS) - (char in _CLOSERS)
        if depth == 0 and i < len(text) - 1:
            return None
    return Piece(text[1:-1], piece.position + 1)


def quoted(text: str) -> list[tuple[int, int]]:
    """First and past-last positions of the quoted stretches of a balanced text."""
    stretches, i = [], 0
    while i < len(text):
        if text[i] in _QUOTES:
            end = _closing_quote(text, i)
            stretches.append((i, end + 1))
            i = end
        i += 1
    return stretches


def without_backticks(text: str) -> str:
    """Python's view of an expression: each backticked name becomes an identifier."""
    return re.sub(r"`[^`]*`", "quoted_name", text)


def nested_bar(text: str) -> int:
    """Position of a bar inside parentheses that are no function's call, or -1.

    ``I(a | b)`` is Python's own *or* and stays as it is; ``(a + (1 | g))`` is not.
    """
    calls: list[bool] = []
    i = 0
    while i < len(text):
        char = text[i]
        if char in _QUOTES:
            i = _closing_quote(text, i)
        elif char in _PAIRS:
            before = text[:i].rstrip()
            is_call = bool(before) and (before[-1].isalnum() or before[-1] in "_`)]")
            calls.append(char != "(" or is_call)
        elif char in _CLOSERS:
            calls.pop()
        elif char == "|" and not any(calls):
            return i
        i += 1
    return -1
