"""What a specification says, as a table of terms: a type of its own, in text and HTML."""

import html
import textwrap
from dataclasses import dataclass

from bimixed.design import Design, notices
from bimixed.likelihood.undetermined import structural_notes
from bimixed.shortening import MANY, short_formula

HEAD = ("kind", "group", "columns", "levels", "parameters")
WIDTH = 60
"""Characters of the list of columns before it is cut."""


@dataclass(frozen=True)
class Description:
    """A specification as rows of a table.

    Attributes
    ----------
    title : str
        The formula, without its middle where it has many terms.
    rows : str
        Rows used and left out.
    lines : tuple of (kind, group, columns, levels, parameters)
        One for the fixed part and one for each random term; parameters counts coefficients of the
        fixed part and covariance parameters of the others.
    notes : tuple of str
        Weights and offset, and where to find what is cut.
    noticed : tuple of str
        What should be known before fitting.
    """

    title: str
    rows: str
    lines: tuple[tuple[str, str, str, str, str], ...]
    notes: tuple[str, ...]
    noticed: tuple[str, ...]

    def __str__(self) -> str:
        table = [HEAD, *self.lines]
        widths = [max(len(row[i]) for row in table) for i in range(5)]
        lines = [
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:<{widths[2]}}  "
            f"{d:>{widths[3]}}  {e:>{widths[4]}}".rstrip()
            for a, b, c, d, e in table
        ]
        noticed = [textwrap.fill(f"* {note}", 100, subsequent_indent="  ") for note in self.noticed]
        return "\n".join([self.title, self.rows, *lines, *self.notes, *noticed])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in HEAD)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>"
            for line in self.lines
        )
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in (self.rows, *self.notes))
        noticed = "".join(f"<li>{html.escape(note)}</li>" for note in self.noticed)
        return (
            f'<div class="bimixed"><h3><code>{html.escape(self.title)}</code></h3>{notes}'
            f'<table class="bimixed-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
            f"{f'<ul>{noticed}</ul>' if noticed else ''}</div>"
        )


def describe(design: Design) -> Description:
    """The terms of a model: kind, group, columns, levels, number of parameters; and what was noticed."""
    lines = [("fixed", "", _listed(design.names), "", str(len(design.kept)))]
    for factor in design.factors:
        start = 0
        for size, correlated in factor.template.blocks:
            names = factor.names[start : start + size]
            start += size
            full = correlated and size > 1
            count = size * (size + 1) // 2 if full else size
            kind = "correlated random" if full else "variance component"
            lines.append((kind, factor.key, _listed(names), str(factor.n_levels), str(count)))
    notes = []
    if design.has_weights:
        notes.append(f"weights: {design.weights_column or 'given'}")
    if design.has_offset:
        notes.append("offset: added to the linear predictor")
    title = short_formula(design.formula.text)
    if len(design.names) > MANY:
        notes.append(
            f"{len(design.names)} columns of fixed effects: spec.fixed has their names, "
            "spec.design.X their values"
        )
    if title != design.formula.text:
        notes.append("formula cut: spec.formula has all of it")
    return Description(title, rows_told(design), tuple(lines), tuple(notes), noticed(design))


def noticed(design: Design) -> tuple[str, ...]:
    """What should be known before fitting, a sentence each."""
    return (*notices(design), *structural_notes(design))


def rows_told(design: Design) -> str:
    """Rows used and left out, with the columns that miss values."""
    frame = design.frame
    if not frame.n_dropped:
        return f"{design.n} rows"
    columns = ", ".join(f"{name} {count}" for name, count in frame.missing.items())
    return (
        f"{design.n} rows, {frame.n_dropped} left out with missing values{f' ({columns})' if columns else ''}"
    )


def _listed(names: tuple[str, ...]) -> str:
    text = ", ".join(names)
    if len(text) <= WIDTH or len(names) <= 4:
        return text
    return f"{', '.join(names[:3])}, … {names[-1]} ({len(names)})"
