"""``. ~ . + x``: a formula changed by another, where ``.`` stands for the old part."""

from bimixed.exceptions import FormulaError
from bimixed.formula import scanner
from bimixed.formula.parser import bar_terms, right_pieces
from bimixed.formula.terms import Formula
from bimixed.formula.wildcard import has_wildcard, substitute


def update_formula(old: Formula, text: str) -> str:
    """The new formula's text.

    Parameters
    ----------
    old : Formula
    text : str
        ``.`` left of ``~`` is the old response; as a term on the right all that stood there. ``- x`` takes
        a term of the fixed part out, ``- (1 | g)`` a random one.

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
    response, pieces = right_pieces(text)
    fixed: list[tuple[str, str]] = []
    random: list[str] = []
    offsets: list[str] = []
    for sign, piece in pieces:
        inside = scanner.enclosed(piece)
        if piece.text == "." and sign == "+":
            fixed.append(("+", old.fixed))
            random += map(str, old.random)
            offsets += old.offsets
        elif inside is not None and "|" in [c for _, c in scanner.top_level(inside.text)]:
            if has_wildcard(inside.text):
                raise FormulaError.at(
                    text, piece.position, "'.' inside a bar has no old part; write the term out."
                )
            for term in map(str, bar_terms(text, piece)):
                if sign == "+":
                    random.append(term)
                elif term in random:
                    random.remove(term)
                else:
                    raise FormulaError.at(
                        text,
                        piece.position,
                        f"There is no term {term} to take out; there are {', '.join(random) or 'none'}.",
                        len(piece.text),
                    )
        else:
            fixed.append((sign, piece.text))
    right = "".join(f" {sign} {term}" for sign, term in fixed).removeprefix(" + ").strip() or "1"
    parts = [right, *(f"offset({o})" for o in offsets), *random]
    return f"{substitute(response, old.response)} ~ {' + '.join(parts)}"
