"""What is too long to print: its first and last parts, and how much is left out between them."""

from collections.abc import Iterable, Sequence

MANY = 60
"""As many coefficients, terms or rows are shown in whole."""
FIRST, LAST = 10, 5


def listed(names: Iterable[object]) -> str:
    """Names with commas between them.

    Examples
    --------
    >>> listed(["a", "b"])
    'a, b'
    >>> listed(f"x{i}" for i in range(100))
    'x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, … (85 more) …, x95, x96, x97, x98, x99'
    """
    shown = [str(name) for name in names]
    return ", ".join(lines_in_part(shown))


def lines_in_part(lines: Sequence[str]) -> list[str]:
    """Of many lines, or names, the first and last, with one between them that counts the others.

    Examples
    --------
    >>> lines_in_part([f"x{i}" for i in range(100)])[9:12]
    ['x9', '… (85 more) …', 'x95']
    """
    if len(lines) <= MANY:
        return list(lines)
    return [*lines[:FIRST], f"… ({len(lines) - FIRST - LAST} more) …", *lines[-LAST:]]


def short_formula(text: str) -> str:
    """A formula whose sum has many terms without those in the middle.

    Examples
    --------
    >>> short_formula("y ~ x + (x | g)")
    'y ~ x + (x | g)'
    >>> short_formula("y ~ " + " + ".join("x" * 100) + " + (1 + x | g)")
    'y ~ x + x + x + x + x + x + x + x + x + x + … (86 more) … + x + x + x + x + (1 + x | g)'
    """
    cuts: list[int] = []
    depth = 0
    for i, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if char == "+" and depth == 0:
            cuts.append(i)
    terms = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    if sum("|" not in term for term in terms) <= MANY:
        return text
    left_out = len(terms) - FIRST - LAST
    return f"{text[: cuts[FIRST - 1]].rstrip()} + … ({left_out} more) … {text[cuts[-LAST] :]}"
