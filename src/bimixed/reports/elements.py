"""Parts of a page. Every text that comes in is plain, and escaped here."""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import pandas as pd

from bimixed.reports.style import STYLE
from bimixed.results.summary import FIRST, LAST, format_number
from bimixed.shortening import MANY

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Control characters and halves of surrogate pairs."""
_NUMBER = re.compile(r"([-+]?[\d.]+(e[-+]?\d+)?( %)?)?")


@dataclass(frozen=True)
class Section:
    """A heading with what stands below it, in HTML.

    Attributes
    ----------
    name : str
        Of the link to it.
    heading : str
    parts : sequence of str
        HTML; empty ones are left out, and the section too where all are.
    """

    name: str
    heading: str
    parts: Sequence[str]


def text(value: object) -> str:
    """Plain text in HTML, quotes included; what HTML or UTF-8 has no place for is replaced."""
    return html.escape(_FORBIDDEN.sub("\ufffd", str(value)))


def paragraph(value: object, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{kind}">{text(value)}</p>' if kind else f"<p>{text(value)}</p>"


def bullets(lines: Iterable[object]) -> str:
    """A list of plain texts, nothing where there are none."""
    items = "".join(f"<li>{text(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def heading(value: object) -> str:
    """A heading within a section."""
    return f"<h3>{text(value)}</h3>"


def code(value: object) -> str:
    """Lines of code."""
    return f"<pre><code>{text(value)}</code></pre>"


def details(title: object, *parts: str) -> str:
    """Parts that are unfolded on request."""
    return f"<details><summary>{text(title)}</summary>{''.join(parts)}</details>"


def facts(rows: Iterable[tuple[object, object]]) -> str:
    """Names and values, one below the other."""
    lines = "".join(f'<tr><th scope="row">{text(n)}</th><td>{text(v)}</td></tr>' for n, v in rows)
    return f'<div class="scroll"><table class="facts"><tbody>{lines}</tbody></table></div>' if lines else ""


def table(frame: pd.DataFrame, caption: str = "", whole: str = "", texts: Sequence[str] = ()) -> str:
    """A table that scrolls in a box of its own.

    Parameters
    ----------
    frame : DataFrame
        Its index is the first column, or columns.
    caption : str
    whole : str
        What gives all rows; of many the first and last are shown then, and all of them without it.
    texts : sequence of str
        Columns of sentences, which are wrapped.
    """
    in_part = bool(whole) and len(frame) > MANY
    shown = pd.concat([frame[:FIRST], frame[-LAST:]]) if in_part else frame
    columns = [_cells(frame[name], shown[name], str(name), texts) for name in frame.columns]
    labels = [_labels(row) for row in shown.index]
    lines = [
        "<tr>" + labels[i] + "".join(column[i] for column in columns) + "</tr>" for i in range(len(shown))
    ]
    if in_part:
        gap = '<th scope="row">…</th>' * frame.index.nlevels + "<td></td>" * len(columns)
        lines.insert(FIRST, f"<tr>{gap}</tr>")
    names = "".join(_head(frame[name], str(name), texts) for name in frame.columns)
    head = "".join(f'<th scope="col" class="label">{text(name or "")}</th>' for name in frame.index.names)
    body = f"<thead><tr>{head}{names}</tr></thead><tbody>{''.join(lines)}</tbody>"
    left = paragraph(f"{len(frame) - FIRST - LAST} of {len(frame)} rows are left out; {whole} has all.")
    told = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    label = text(caption or "Table")
    return (
        f'<figure class="table">{told}<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
        f"<table>{body}</table></div>{left if in_part else ''}</figure>"
    )


def _labels(row: Any) -> str:
    values = row if isinstance(row, tuple) else (row,)
    return "".join(f'<th scope="row">{text(value)}</th>' for value in values)


def _is_number(column: pd.Series) -> bool:
    """Whether a column is set to the right: numbers, also as text."""
    return all(isinstance(value, Real) or bool(_NUMBER.fullmatch(str(value))) for value in column)


def _head(column: pd.Series, name: str, texts: Sequence[str]) -> str:
    kind = "" if _is_number(column) and name not in texts else ' class="text"'
    return f'<th scope="col"{kind}>{text(name)}</th>'


def _cells(column: pd.Series, shown: pd.Series, name: str, texts: Sequence[str]) -> list[str]:
    kind = ' class="text wide"' if name in texts else "" if _is_number(column) else ' class="text"'
    return [f"<td{kind}>{text(_shown(value, name))}</td>" for value in shown]


def _shown(value: Any, name: str) -> str:
    """A number in digits, anything else as it is."""
    return format_number(value, name) if isinstance(value, Real) else str(value)


def document(title: str, top: str, sections: Sequence[Section], foot: str) -> str:
    """The whole page.

    Parameters
    ----------
    title : str
        Plain, for the window.
    top : str
        HTML of what stands above the first section, heading included.
    sections : sequence of Section
    foot : str
        Plain, below the last one.
    """
    filled = [section for section in sections if any(section.parts)]
    links = "".join(f'<li><a href="#{s.name}">{text(s.heading)}</a></li>' for s in filled)
    body = "".join(
        f'<section id="{s.name}" aria-labelledby="{s.name}-heading">'
        f'<h2 id="{s.name}-heading">{text(s.heading)}</h2>{"".join(s.parts)}</section>\n'
        for s in filled
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{text(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<header>{top}<nav aria-label="Sections"><ul>{links}</ul></nav></header>
<main>
{body}</main>
<footer><p>{text(foot)}</p></footer>
</body>
</html>
"""
