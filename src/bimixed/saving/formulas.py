"""Which formulas of a file may be evaluated: those made of columns and functions known to be harmless.

Formulas are Python to formulaic, so that one in a file from elsewhere could do anything. Names are looked at
one by one, by Python's own tokens: what isn't a column, a function listed here, or given by the caller, needs
the caller's word.
"""

import builtins
import io
import keyword
import re
import tokenize
import unicodedata
from collections.abc import Collection, Iterable

from bimixed.design.expressions import TRANSFORMS
from bimixed.exceptions import DataError
from bimixed.formula.scanner import quoted
from bimixed.formula.wildcard import has_wildcard

_OF_NUMPY = """
    log log2 log10 log1p exp exp2 expm1 sqrt cbrt square power abs absolute fabs sign sin cos tan arcsin
    arccos arctan arctan2 sinh cosh tanh arcsinh arccosh arctanh floor ceil trunc round rint maximum
    minimum fmax fmin where clip isin digitize logical_and logical_or logical_not logical_xor add
    subtract multiply divide floor_divide mod remainder hypot deg2rad rad2deg degrees radians pi e inf
    nan
"""
_OF_COLUMNS = """
    str dt cat codes lower upper strip title year month day hour minute dayofweek dayofyear quarter days
    astype clip round abs isin between eq ne lt le gt ge min max mean median std sum
"""
_CALLED = """
    C I Q offset poly bs cr cs cc scale center standardize lag log log2 log10 exp exp2 exp10 contr np
    Treatment Sum Helmert Diff Poly hashed abs min max round float int str bool len sum
"""
FUNCTIONS = frozenset(_CALLED.split())
"""Of formulaic and of Python."""
ATTRIBUTES = {
    "contr": frozenset(["treatment", "SAS", "sum", "helmert", "diff", "poly", "custom"]),
    **dict.fromkeys(("np", "numpy"), frozenset(_OF_NUMPY.split())),
}
OF_COLUMNS = frozenset(_OF_COLUMNS.split())
"""What may stand after a point."""
_WORDS = frozenset(["and", "or", "not", "in", "is", "if", "else", "True", "False", "None"])
_STAND_IN = "backticked_name_"


def names_used(texts: Iterable[str]) -> list[str]:
    """Names that stand in formulas, outside quotes and not after a point."""
    found: dict[str, None] = {}
    for text in texts:
        for match in re.finditer(r"(?<![\w.])[^\W\d]\w*", _without_quotes(text)):
            found[match.group()] = None
    return list(found)


def _without_quotes(text: str) -> str:
    parts, last = [], 0
    for start, stop in quoted(text):
        parts.append(text[last:start])
        last = stop
    return " ".join([*parts, text[last:]])


def check_formulas(texts: Iterable[str], columns: Collection[str], given: Collection[str]) -> None:
    """Refuse formulas that use anything else than what is known to be harmless.

    Parameters
    ----------
    texts : iterable of str
    columns : collection of str
        Of the data.
    given : collection of str
        Names that the caller gives values for, and those with plain values in the file.

    Raises
    ------
    DataError
        Naming what isn't known.
    """
    for text in texts:
        odd = _unknown(text, frozenset(columns), frozenset(given))
        if odd is None and has_wildcard(text):  # it is written out as the columns' names
            odd = next((repr(name) for name in columns if set(str(name)) & set("`'\"\\")), None)
        if odd is not None:
            raise DataError(
                f"The formula of the file, {text!r}, uses {odd}, which could run any code. If you trust "
                "where the file comes from: bm.load(path, trust=True)."
            )


def _unknown(text: str, columns: frozenset[str], given: frozenset[str]) -> str | None:
    """The first thing that isn't known to be harmless, or None."""
    for name in re.findall("`([^`]*)`", text):
        if name not in columns or set(name) & {"'", '"'}:
            return f"`{name}`"
    if "\\" in text or _STAND_IN in text:  # where Python and formulaic may see different strings
        return repr(text)
    try:
        tokens = _tokens(re.sub("`[^`]*`", f" {_STAND_IN} ", text))
    except (tokenize.TokenError, SyntaxError):
        return "signs that can't be read"
    padded = [(tokenize.OP, "")] * 3 + tokens + [(tokenize.OP, "")] * 4
    for i in range(3, len(padded) - 4):
        kind, string = padded[i]
        before = padded[i - 1][1]
        if kind == tokenize.STRING and (string[0] not in "'\"" or string[:3] in ("'''", '"""')):
            return repr(string)
        if kind not in (tokenize.NAME, tokenize.NUMBER, tokenize.STRING, tokenize.OP):
            return repr(string)
        if string in ("(", "[") and before in (")", "]", "}", _STAND_IN):
            return f"'{before.replace(_STAND_IN, '`')}{string}'"
        if kind == tokenize.NAME and not _is_known([s for _, s in padded[i - 3 : i + 5]], columns, given):
            return repr(f".{string}" if before == "." else string)
    return None


def _tokens(text: str) -> list[tuple[int, str]]:
    idle = (tokenize.NEWLINE, tokenize.NL, tokenize.ENDMARKER, tokenize.INDENT, tokenize.DEDENT)
    tokens = tokenize.generate_tokens(io.StringIO(text.strip()).readline)
    return [(token.type, token.string) for token in tokens if token.type not in idle]


def _is_known(around: list[str], columns: frozenset[str], given: frozenset[str]) -> bool:
    """Whether a name is harmless, between three tokens before it and four after."""
    before_owner, owner, before, name, after, then, last, _ = around
    if unicodedata.normalize("NFKC", name) != name:
        return False  # Python would read another one
    if name in _WORDS or name == _STAND_IN:
        return True
    taken = FUNCTIONS | columns | given | frozenset(ATTRIBUTES)
    if before == ".":
        if name in ATTRIBUTES.get(owner, OF_COLUMNS):
            return True
        return _is_dotted_column(before_owner, owner, name, after, columns, taken)
    if after == "=" and before in ("(", ","):
        return True  # an argument's name
    if after == "." and _is_dotted_column(before, name, then, last, columns, taken):
        return True
    if keyword.iskeyword(name):
        return False
    return name in FUNCTIONS or name in given or (name in columns and after != "(")


def _is_dotted_column(
    before: str, owner: str, name: str, after: str, columns: frozenset[str], taken: frozenset[str]
) -> bool:
    """Whether two names are one of R's column names, such as ``Sepal.Length``, and nothing else.

    The first is no name that means something, so that nothing of an object is taken, and no third one or call
    follows.
    """
    if f"{owner}.{name}" not in columns or not owner.isidentifier() or not name.isidentifier():
        return False
    if owner in taken or owner in TRANSFORMS or hasattr(builtins, owner):
        return False
    return before != "." and after not in (".", "(", "[") and not name.startswith("_")
