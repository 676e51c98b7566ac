"""The LaTeX that ``equation`` writes as MathML, which browsers set without a script."""

import re
from collections.abc import Iterator

from bimixed.reports.elements import text

_TOKEN = re.compile(r"\\\\|\\[A-Za-z]+|\\.|[{}^_&]|\s+|.", re.S)
_LETTERS = {
    r"\beta": "β",
    r"\sigma": "σ",
    r"\rho": "ρ",
    r"\varepsilon": "ε",
    r"\Sigma": "Σ",
}
_SIGNS = {r"\sim": "∼", r"\dots": "…", r"\sum": "∑", r"\top": "⊤"}
_SPACES = {r"\,": "0.17em", r"\quad": "1em", r"\ ": "0.3em"}
_UPRIGHT = {r"\ ": "\u00a0", r"\hat": "^", r"\sim": "~"}
_BOLD = dict(zip("abcdefghijklmnopqrstuvwxyz", "𝐚𝐛𝐜𝐝𝐞𝐟𝐠𝐡𝐢𝐣𝐤𝐥𝐦𝐧𝐨𝐩𝐪𝐫𝐬𝐭𝐮𝐯𝐰𝐱𝐲𝐳", strict=True)) | {
    "0": "𝟎",
    "Σ": "𝚺",
    "β": "𝛃",
}
_STYLES = (r"\mathcal", r"\mathbf", r"\boldsymbol")


def mathml(latex: str) -> str:
    """An ``aligned`` environment of :func:`bimixed.equation.equation` as a ``math`` element.

    Only what that function writes is known; any other command raises KeyError.
    """
    inside = latex.removeprefix("\\begin{aligned}").removesuffix("\\end{aligned}")
    rows = _Reader(inside).table(None)
    return f'<math display="block">{_matrix(rows, "aligned")}</math>'


def _matrix(rows: list[list[str]], kind: str) -> str:
    lines = "".join("<mtr>" + "".join(f"<mtd>{cell}</mtd>" for cell in row) + "</mtr>" for row in rows)
    style = ' displaystyle="true"' if kind == "aligned" else ""
    return f'<mtable class="{kind}"{style}>{lines}</mtable>'


class _Reader:
    """Reads tokens from left to right."""

    def __init__(self, source: str):
        self._tokens = _TOKEN.findall(source)
        self._place = 0

    def _peek(self) -> str | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _next(self) -> str:
        token = self._tokens[self._place]
        self._place += 1
        return str(token)

    def table(self, end: str | None) -> list[list[str]]:
        r"""Rows of cells up to ``\end``, or all."""
        rows, cells = [], [""]
        while (token := self._peek()) != end:
            if token == "&":
                self._next()
                cells.append("")
            elif token == r"\\":
                self._next()
                rows.append(cells)
                cells = [""]
            else:
                cells[-1] += self._scripted()
        return [*rows, cells]

    def _scripted(self) -> str:
        """An atom with its subscript and superscript."""
        atom = self._atom()
        below = above = ""
        while self._peek() in ("_", "^"):
            if self._next() == "_":
                below = self._atom()
            else:
                above = self._atom()
        if below and above:
            return f"<msubsup>{atom}{below}{above}</msubsup>"
        if below:
            return f"<msub>{atom}{below}</msub>"
        return f"<msup>{atom}{above}</msup>" if above else atom

    def _atom(self) -> str:
        token = self._next()
        if token.isspace():
            return ""
        if token == "{":
            return f"<mrow>{self._group()}</mrow>"
        if token == r"\mathrm":
            return f"<mtext>{text(self._upright())}</mtext>"
        if token in _STYLES:
            return self._styled(token)
        if token == r"\begin":
            return self._parenthesised()
        if token in (r"\left", r"\right"):
            return f"<mo>{text(self._next())}</mo>"
        if token in _SPACES:
            return f'<mspace width="{_SPACES[token]}"/>'
        if token in _LETTERS:
            return f"<mi>{_LETTERS[token]}</mi>"
        if token.startswith("\\"):
            return f"<mo>{_SIGNS[token]}</mo>"
        return _plain(token)

    def _group(self) -> str:
        parts = []
        while self._peek() != "}":
            parts.append(self._scripted())
        self._next()
        return "".join(parts)

    def _raw(self) -> Iterator[str]:
        """Tokens of a group in braces, braces within it included."""
        self._next()
        depth = 1
        while True:
            token = self._next()
            depth += (token == "{") - (token == "}")
            if not depth:
                return
            yield token

    def _upright(self) -> str:
        tokens = [token for token in self._raw() if token not in "{}"]
        return "".join(_UPRIGHT.get(token, token[-1]) for token in tokens)

    def _styled(self, style: str) -> str:
        inside = "".join(_LETTERS.get(token, token) for token in self._raw())
        if style == r"\mathcal":
            return "<mi>𝒩</mi>"
        return f"<mi>{text(''.join(_BOLD.get(char, char) for char in inside))}</mi>"

    def _parenthesised(self) -> str:
        """A matrix; its parentheses are borders, since fonts without large ones don't stretch theirs."""
        list(self._raw())
        rows = self.table(r"\end")
        self._next()
        list(self._raw())
        return _matrix(rows, "matrix")


def _plain(token: str) -> str:
    if token.isdigit():
        return f"<mn>{token}</mn>"
    return f"<mi>{text(token)}</mi>" if token.isalpha() else f"<mo>{text(token)}</mo>"
