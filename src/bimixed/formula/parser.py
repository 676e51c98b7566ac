"""Formula text → :class:`Formula`: takes out bars and offsets, leaves the rest to formulaic.

Grammar of what is taken out, all of it joined to the rest by ``+``::

    (lhs | group)     correlated coefficients       (lhs || group)   uncorrelated ones
    group = atom | group:group | group/group        a/b stands for the two groups a and a:b
    atom = column | function of columns
    offset(expression)
"""

import re
from functools import lru_cache

from bimixed.exceptions import FormulaError
from bimixed.formula import scanner
from bimixed.formula.groups import parse_groups
from bimixed.formula.habits import refuse_habits
from bimixed.formula.scanner import Piece
from bimixed.formula.terms import Formula, RandomTerm


def parse_formula(text: str) -> Formula:
    """Take a mixed-model formula apart.

    Parameters
    ----------
    text : str
        lme4's notation, for example ``"y ~ x + (1 + x | g)"``.

    Returns
    -------
    Formula

    Raises
    ------
    FormulaError
        With the place underlined.

    Examples
    --------
    >>> parse_formula("y ~ x + (x || g) + (1 | a/b)").random[2].key
    'a:b'
    """
    if not isinstance(text, str):
        raise FormulaError(f"A formula is a string such as 'y ~ x + (1 | g)', not a {type(text).__name__}.")
    return _parsed(text)


@lru_cache(maxsize=256)
def _parsed(text: str) -> Formula:
    text = text.replace("\n", " ")  # a formula written over several lines
    scanner.check_balanced(text)
    refuse_habits(text)
    response, right = _sides(text)
    if response.text == ".":
        raise FormulaError.at(
            text, response.position, "'.' on the left stands for nothing; name the response."
        )
    fixed: list[tuple[str, str]] = []
    random: list[RandomTerm] = []
    offsets: list[str] = []
    for sign, piece in _signed_pieces(text, right):
        inside = scanner.enclosed(piece)
        if inside is not None and _bars(inside):
            _require_plus(text, sign, piece)
            random.extend(_random_terms(text, piece, inside))
        elif is_offset(piece):
            _require_plus(text, sign, piece)
            offsets.append(piece.text[len("offset") :].strip()[1:-1].strip())
        else:
            _refuse_stray_bar(text, piece)
            fixed.append((sign, piece.text))
    return Formula(text, response.text, _join(fixed), tuple(random), tuple(offsets))


def right_pieces(text: str) -> tuple[str, list[tuple[str, Piece]]]:
    """Response, and the terms of the right side with the sign before each."""
    scanner.check_balanced(text)
    response, right = _sides(text)
    return response.text, _signed_pieces(text, right)


def bar_terms(text: str, piece: Piece) -> list[RandomTerm]:
    """The terms of one piece in parentheses that has a bar."""
    inside = scanner.enclosed(piece)
    assert inside is not None
    return _random_terms(text, piece, inside)


def _sides(text: str) -> tuple[Piece, Piece]:
    cut = scanner.split(Piece(text, 0), "~")
    sides = [side.strip() for side in cut]
    if len(sides) != 2 or not sides[0].text:
        place = cut[2].position - 1 if len(cut) > 2 else 0
        raise FormulaError.at(
            text, max(place, 0), "A formula has a response, one '~' and predictors: 'y ~ x'."
        )
    response, right = sides
    if not right.text:
        raise FormulaError.at(
            text, len(text), "Nothing stands right of '~'; for an intercept alone write 'y ~ 1'."
        )
    _check_response(text, response)
    return response, right


def _check_response(text: str, response: Piece) -> None:
    """One column, or one function: operators mean terms to formulaic and arithmetic to R."""
    for i, char in scanner.top_level(response.text):
        place = response.position + i
        if char == "|":
            raise FormulaError.at(text, place, "A bar can't stand in the response.")
        if char == ",":
            raise FormulaError.at(
                text, place, f"The response is one column, not several. {_long(response.text)}"
            )
        if char in "+-*/^:%":
            raise FormulaError.at(
                text,
                place,
                f"'{char}' in the response: for arithmetic write I({response.text.replace('^', '**')}). "
                f"For several responses: {_long(response.text)}",
            )
    if response.text.startswith(("[", "cbind(")):
        raise FormulaError.at(
            text,
            response.position,
            f"The response is one column, not several. {_long(response.text)}",
            len(response.text),
        )


def _long(response: str) -> str:
    """How to reshape, with the columns named."""
    names = [name for name in re.findall(r"[^\W\d]\w*", response) if name not in ("cbind", "c", "I")]
    columns = f", value_vars={names}" if len(names) > 1 else ""
    return (
        "Bring a measurement that stands in several columns into long format, one row for each: "
        f"data.melt(id_vars=['subject']{columns}, var_name='time', value_name='y')."
    )


def _signed_pieces(text: str, right: Piece) -> list[tuple[str, Piece]]:
    """The terms of the right side with the sign before each."""
    pieces: list[tuple[str, Piece]] = []
    sign, start = "+", 0
    for i, char in [*scanner.top_level(right.text), (len(right.text), "end")]:
        if char not in ("+", "-", "end"):
            continue
        piece = Piece(right.text[start:i], right.position + start).strip()
        if piece.text and piece.text[-1] in "*/:%^" and char != "end":
            continue  # an exponent or factor with a sign of its own, as in x**-1
        if piece.text:
            pieces.append((sign, piece))
        elif char == "-" and sign == "+":
            sign, start = "-", i + 1  # '+ -1', which R's users write
            continue
        elif start > 0 or char == "end":
            raise FormulaError.at(text, right.position + max(start - 1, 0), f"Nothing follows this '{sign}'.")
        sign, start = char, i + 1
    return pieces


def _bars(piece: Piece) -> list[int]:
    return [i for i, char in scanner.top_level(piece.text) if char == "|"]


def _require_plus(text: str, sign: str, piece: Piece) -> None:
    if sign != "+":
        raise FormulaError.at(
            text,
            piece.position,
            "A random-effects term or offset is added with '+'; to leave it out, don't write it.",
            len(piece.text),
        )


def is_offset(piece: Piece) -> bool:
    """Whether a piece is ``offset(...)``."""
    if not piece.text.startswith("offset"):
        return False
    rest = Piece(piece.text[len("offset") :], 0).strip()
    return scanner.enclosed(rest) is not None


def _refuse_stray_bar(text: str, piece: Piece) -> None:
    bars = _bars(piece)
    if bars:
        raise FormulaError.at(
            text,
            piece.position + bars[0],
            "A bar outside parentheses: put parentheses around the random-effects term, as in '(1 | g)'.",
        )
    nested = scanner.nested_bar(piece.text)
    if nested >= 0:
        raise FormulaError.at(
            text,
            piece.position + nested,
            "A random-effects term stands by itself, joined to the others by '+', "
            "as in 'y ~ x + (1 | g)'; take it out of the surrounding term.",
        )


def _random_terms(text: str, piece: Piece, inside: Piece) -> list[RandomTerm]:
    bars = _bars(inside)
    double = len(bars) == 2 and bars[1] == bars[0] + 1
    if len(bars) > 1 and not double:
        raise FormulaError.at(
            text,
            inside.position + bars[-1],
            "One bar (or '||') per term: write several terms, '(1 | a) + (1 | b)'.",
        )
    lhs = Piece(inside.text[: bars[0]], inside.position).strip()
    group = Piece(inside.text[bars[-1] + 1 :], inside.position + bars[-1] + 1).strip()
    if not lhs.text:
        raise FormulaError.at(
            text,
            piece.position,
            "Nothing stands left of the bar; write '(1 | g)'.",
            len(piece.text),
        )
    if not group.text:
        raise FormulaError.at(
            text,
            inside.position + bars[-1],
            "Nothing stands right of the bar; name the grouping column, as in '(1 | g)'.",
        )
    return [
        RandomTerm(lhs.text, columns, not double, piece.text, piece.position)
        for columns in parse_groups(text, group)
    ]


def _join(pieces: list[tuple[str, str]]) -> str:
    if not pieces:
        return "1"
    text = "".join(f" {sign} {piece}" for sign, piece in pieces)
    return text.removeprefix(" + ").strip()
