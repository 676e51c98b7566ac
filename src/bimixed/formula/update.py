"""``. ~ . + x``: a formula changed by another, where ``.`` stands for the old part."""

from bimixed.exceptions import FormulaError
from bimixed.formula import scanner
from bimixed.formula.parser import bar_terms, is_offset, right_pieces
from bimixed.formula.scanner import Piece
from bimixed.formula.terms import Formula
from bimixed.formula.wildcard import has_wildcard, substitute


def update_formula(old: Formula, text: str) -> str:
    """The new formula's text.

    Parameters
    ----------
    old : Formula
    text : str
        ``.`` left of ``~`` is the old response; on the right the old fixed part, also inside a term
        (``.:z``), and with it come the old random terms and offsets. ``- x`` takes a term of the fixed part
        out (it stays as ``- x`` where other terms may hold it, as ``x*z`` does), ``- (1 | g)`` a random one,
        ``- offset(x)`` an offset.

    Raises
    ------
    FormulaError
        Where a random term to be taken out isn't there, or ``.`` stands inside a bar.

    Examples
    --------
    >>> from bimixed.formula import parse_formula
    >>> update_formula(parse_formula("y ~ x + (1 | g)"), "log(.) ~ . + z - (1 | g) + (z | g)")
    'log(y) ~ x + z + (z | g)'
    """
    if text.strip().startswith("~") or (text.strip().startswith(".") and "~" not in text):
        right = text.strip().removeprefix("~").strip()
        raise FormulaError.at(
            text, 0, f"An update has both sides, '.' for the old response: write '. ~ {right}'."
        )
    response, pieces = right_pieces(text)
    fixed: list[tuple[str, str]] = []
    random: list[str] = []
    offsets: list[str] = []
    if any(sign == "+" and has_wildcard(piece.text) and not _has_bar(piece) for sign, piece in pieces):
        random, offsets = [str(term) for term in old.random], list(old.offsets)
    for sign, piece in pieces:
        if piece.text == "." and sign == "+":
            fixed += [(s, p.text) for s, p in right_pieces(f"y ~ {old.fixed}")[1]]
        elif piece.text == ".":
            fixed.append((sign, f"({old.fixed})"))
        elif _has_bar(piece):
            if has_wildcard(piece.text):
                raise FormulaError.at(
                    text, piece.position, "'.' inside a bar has no old part; write the term out."
                )
            for term in map(str, bar_terms(text, piece)):
                _change(text, piece, sign, term, random)
        elif is_offset(piece):
            _change(text, piece, sign, piece.text[len("offset") :].strip()[1:-1].strip(), offsets)
        elif sign == "-" and _is_only_a_term(piece.text, fixed):
            fixed = [part for part in fixed if part[1] != piece.text]
        else:
            fixed.append((sign, substitute(piece.text, f"({old.fixed})")))
    right = "".join(f" {sign} {term}" for sign, term in fixed).removeprefix(" + ").strip() or "1"
    parts = [right, *(f"offset({o})" for o in offsets), *random]
    return f"{substitute(response, old.response)} ~ {' + '.join(parts)}"


def _is_only_a_term(term: str, fixed: list[tuple[str, str]]) -> bool:
    """Whether a sum can do without a term that is written in it, since no other part of it holds that too."""
    if term in ("0", "1") or ("+", term) not in fixed:
        return False
    return all(sign == "+" and _is_one_term(text) for sign, text in fixed)


def _is_one_term(text: str) -> bool:
    """Whether a piece is a column, a function or products of these, and no sum in disguise."""
    if has_wildcard(text) or any(char in "*/^%" for _, char in scanner.top_level(text)):
        return False
    factors = [factor.strip() for factor in scanner.split(Piece(text, 0), ":")]
    return all(
        not factor.text.startswith("(") and " " not in [char for _, char in scanner.top_level(factor.text)]
        for factor in factors
    )


def _has_bar(piece: Piece) -> bool:
    inside = scanner.enclosed(piece)
    return inside is not None and "|" in [char for _, char in scanner.top_level(inside.text)]


def _change(text: str, piece: Piece, sign: str, term: str, terms: list[str]) -> None:
    """Add a random term or offset, or take one out."""
    if sign == "+":
        terms.append(term)
    elif term in terms:
        terms.remove(term)
    else:
        raise FormulaError.at(
            text,
            piece.position,
            f"There is no term {term} to take out; there are {', '.join(terms) or 'none'}.",
            len(piece.text),
        )
