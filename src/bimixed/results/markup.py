"""Tables of text as Markdown and LaTeX, without further packages."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{char: "\\" + char for char in "&%$#_{}"},
}
_NUMBER = re.compile(r"(?<![\w.])-(?=\d)")
"""A minus before a number."""


@dataclass(frozen=True)
class Block:
    """Rows of a table below a heading.

    Attributes
    ----------
    heading : str
        "" for none.
    rows : tuple of tuple of str
        Label and cells.
    """

    heading: str
    rows: tuple[tuple[str, ...], ...]


def markdown(header: Sequence[str], blocks: Sequence[Block]) -> str:
    """A table for GitHub's Markdown, Pandoc and Quarto; the first column left, the others right."""
    lines: list[tuple[str, ...]] = [tuple(map(markdown_text, header))]
    for block in blocks:
        if block.heading:
            lines.append((f"**{markdown_text(block.heading)}**", *("" for _ in header[1:])))
        lines += [tuple(map(markdown_text, row)) for row in block.rows]
    widths = [max(3, *(len(line[j]) for line in lines)) for j in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    texts = [
        [line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))]
        for line in lines
    ]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [texts[0], rule, *texts[1:]])


def markdown_text(text: str) -> str:
    """Text whose signs mean nothing to Markdown."""
    plain = re.sub(r"([\\`*|<])", r"\\\1", text)
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", plain)


def latex(header: Sequence[str], blocks: Sequence[Block]) -> str:
    """A ``tabular`` with the rules of the package booktabs."""
    width = len(header)
    lines = [rf"\begin{{tabular}}{{l{'r' * (width - 1)}}}", r"\toprule", _latex_row(header)]
    for block in blocks:
        lines.append(r"\midrule")
        if block.heading:
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\textit{{{latex_text(block.heading)}}}}} \\")
        lines += [_latex_row(row) for row in block.rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join([latex_text(cells[0]), *(latex_text(cell) for cell in cells[1:])]) + r" \\"


def latex_text(text: str) -> str:
    """Text whose signs mean nothing to LaTeX; a minus before a number becomes one."""
    escaped = "".join(_LATEX.get(char, char) for char in text)
    return _NUMBER.sub("$-$", escaped)


def latex_float(tabular: str, notes: Sequence[str], caption: str | None, label: str | None) -> str:
    """A ``table`` around it, with notes below."""
    lines = [r"\begin{table}", r"\centering"]
    if caption is not None:
        lines.append(rf"\caption{{{latex_text(caption)}}}")
    if label is not None:
        lines.append(rf"\label{{{label}}}")
    lines.append(tabular)
    if notes:
        lines += [r"", rf"\smallskip\footnotesize {' '.join(map(latex_text, notes))}"]
    return "\n".join([*lines, r"\end{table}"])
