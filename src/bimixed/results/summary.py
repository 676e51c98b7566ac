"""Printing a result: a type of its own, in text and HTML."""

import html
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bimixed.results.fixef_tests import NAMES
from bimixed.shortening import MANY, listed, short_formula
from bimixed.vocabulary import Hinting

if TYPE_CHECKING:
    from bimixed.results.result import MixedModelResult

METHODS = {
    "reml": "REML",
    "ml": "maximum likelihood",
    "nuts": "NUTS",
    "importance": "importance sampling",
}

FIRST, LAST = 20, 10
"""Rows of a table of many that are printed."""


@dataclass(frozen=True, repr=False)
class Summary(Hinting):
    """Titled sections of a report.

    Attributes
    ----------
    title : str
    facts : tuple of (str, str)
    sections : tuple of (str, pandas.DataFrame)
        Of a table with many rows the first and last are printed.
    notes : tuple of str
    whole : tuple of str
        What gives each section's table in whole.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[tuple[str, pd.DataFrame], ...]
    notes: tuple[str, ...]
    whole: tuple[str, ...]

    def __str__(self) -> str:
        lines = [self.title]
        lines += [f"{name + ': ':<14}{value}" for name, value in self.facts]
        for (title, table), whole in zip(self.sections, self.whole, strict=True):
            lines += ["", f"{title}:", *format_table(table).split("\n")]
            lines += [f"  {line}" for line in left_out(table, whole)]
        if self.notes:
            lines.append("")
            lines += [_wrap(f"* {note}") for note in self.notes]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        facts = "".join(f"<tr><th>{html.escape(n)}</th><td>{html.escape(v)}</td></tr>" for n, v in self.facts)
        sections = "".join(f"<h4>{html.escape(title)}</h4>{table}" for title, table in self.html_tables())
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return (
            f'<div class="bimixed"><h3>{html.escape(self.title)}</h3>'
            f'<table class="facts">{facts}</table>{sections}'
            f"{f'<ul>{notes}</ul>' if notes else ''}</div>"
        )

    def html_tables(self) -> list[tuple[str, str]]:
        """Titles of the sections and their tables in HTML, as far as they are shown."""
        tables = []
        for (title, table), whole in zip(self.sections, self.whole, strict=True):
            told = "".join(f"<p>{line}</p>" for line in left_out(table, whole))
            tables.append((title, html_table(table, in_part=True) + told))
        return tables


def summarize(result: "MixedModelResult") -> Summary:
    """Sections of the report of one fit."""
    facts = [
        ("Rows", rows_used(result)),
        ("Groups", ", ".join(f"{key} ({n})" for key, n in result.ngroups.items())),
    ]
    if result.likelihood is not None:
        criterion = "REML log-lik." if result.method == "reml" else "log-likelihood"
        facts.append(("Fit", f"{criterion} {result.loglik:.4f}, AIC {result.aic:.2f}, BIC {result.bic:.2f}"))
        fixed = result.coef_table()
        fixed_title = f"Fixed effects (tests and limits by {NAMES[fixed.attrs['ddf']]})"
    else:
        fixed = result.coef_table().drop(columns=["df", "statistic", "p_value"])
        fixed = fixed.rename(columns={"estimate": "mean", "std_error": "sd"})
        fixed_title = "Fixed effects (posterior; limits are equal tails of 95 %)"
        facts += [("Sampling", _sampling(result)), ("Form", str(result.diagnostics.details["form"]))]
        if "ranef" in result.diagnostics.details:
            facts.append(("Random effects", str(result.diagnostics.details["ranef"])))
    facts.append(("Time", format_seconds(result.diagnostics.seconds)))
    dropped = result.design.dropped
    notes = list(result.diagnostics.messages)
    if result.posterior is not None:
        notes.append("variance, sd and corr are each a posterior mean, so sd² isn't the variance.")
    if result.likelihood is not None and getattr(result.spec, "given_priors", None):
        notes.append(f"The priors given don't enter {METHODS[result.method]}: spec.fit('nuts') uses them.")
    if dropped:
        notes.append(f"Dropped, because earlier columns determine them: {listed(dropped)} (NaN above).")
    formula = short_formula(result.formula)
    if formula != result.formula:
        notes.append("The formula is cut; fit.formula has all of it.")
    return Summary(
        title=f"{METHODS.get(result.method, result.method)} fit of {formula}",
        facts=tuple(facts),
        sections=((fixed_title, fixed), ("Random effects", random_table(result))),
        notes=tuple(notes),
        whole=("fit.coef_table()", "fit.varcorr"),
    )


def random_table(result: "MixedModelResult") -> pd.DataFrame:
    """Variance components with correlations beside them, as lme4 prints them."""
    table = result.varcorr
    pairs = {f.key: f.template.correlated_pairs() for f in result.design.factors}
    width = max((j for p in pairs.values() for _, j in p), default=0)
    rows = []
    for factor in result.design.factors:
        corr = result.random_corr[factor.key].to_numpy()
        for k in range(factor.n_coefficients):
            linked = [_rounded(corr[i, k]) if (i, k) in pairs[factor.key] else np.nan for i in range(width)]
            rows.append(linked)
    rows.append([np.nan] * width)
    for i in range(width):
        table[f"corr{i + 1}" if width > 1 else "corr"] = [row[i] for row in rows]
    return table.set_index(["group", "name"])


def _rounded(corr: float) -> float:
    """0 for what is less than four digits show; other small numbers are shown by their powers of ten."""
    return 0.0 if abs(corr) < 5e-5 else corr


def rows_used(result: "MixedModelResult") -> str:
    dropped = result.design.frame.n_dropped
    return f"{result.nobs}" + (f" used, {dropped} left out (missing values)" if dropped else "")


def _sampling(result: "MixedModelResult") -> str:
    d = result.diagnostics
    if d.pareto_k is not None:
        return f"effective draws {d.ess_bulk_min:.0f}, Pareto k {d.pareto_k:.2f}"
    rhat = "" if d.rhat_max is None or np.isnan(d.rhat_max) else f"R-hat ≤ {d.rhat_max:.3f}, "
    return (
        f"{rhat}bulk ESS ≥ {d.ess_bulk_min:.0f}, tail ESS ≥ {d.ess_tail_min:.0f}, {d.divergences} divergences"
    )


CRITERIA = ("loglik", "deviance", "aic", "bic", "-2 loglik", "elpd")
"""Columns that are compared by their differences."""


def format_number(value: object, name: str = "") -> str:
    """Four digits after the point, fewer for large numbers; p-values and diff/sd in their own way.

    Examples
    --------
    >>> [format_number(4), format_number(4.0), format_number(1234.5), format_number(1e-9, "p_value")]
    ['4', '4.0000', '1234.500', '<0.0001']
    >>> [format_number(2.5e6), format_number(2.5e6, "aic")]
    ['2.500e+06', '2500000.000']
    """
    if isinstance(value, str):
        return value
    if isinstance(value, Integral):
        return str(value)
    number = float(value)  # type: ignore[arg-type]
    if np.isnan(number):
        return ""
    if name == "diff/sd":
        return f"{number:+.2f}"
    if name == "p_value":
        return "<0.0001" if number < 1e-4 else f"{number:.4f}"
    if name in CRITERIA and abs(number) >= 1e6:
        return f"{number:.3f}"  # differences of a few matter
    if number != 0 and (abs(number) < 1e-3 or abs(number) >= 1e6):
        return f"{number:.3e}"
    digits = 3 if abs(number) >= 100 else 4
    return f"{number:.{digits}f}"


def format_seconds(seconds: float) -> str:
    """A time in words.

    Examples
    --------
    >>> [format_seconds(s) for s in (0.0001, 0.00541, 0.5, 1.234, 1234.5)]
    ['<1 ms', '5 ms', '500 ms', '1.23 s', '1234 s']
    """
    if seconds < 0.9995:
        return "<1 ms" if seconds < 5e-4 else f"{1000.0 * seconds:.0f} ms"
    return f"{seconds:.3g} s" if seconds < 999.5 else f"{seconds:.0f} s"


def left_out(table: pd.DataFrame, whole: str) -> list[str]:
    """A line on the rows that a printed table doesn't show, where there are any."""
    if len(table) <= MANY:
        return []
    return [f"{len(table) - FIRST - LAST} of {len(table)} rows are left out; {whole} has all."]


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    shown = pd.DataFrame(
        {name: [format_number(v, str(name)) for v in table[name]] for name in table.columns},
        index=table.index,
    )
    shown.index.names = [None] * shown.index.nlevels
    return shown


def _in_part(table: pd.DataFrame) -> pd.DataFrame:
    """Cells as text; of many rows the first and last, with dots between them."""
    if len(table) <= MANY:
        return _as_text(table)
    first, last = _as_text(table[:FIRST]), _as_text(table[-LAST:])
    gap = first[-1:].map(lambda _: "")
    names = ["…"] + [""] * (table.index.nlevels - 1)
    gap.index = pd.MultiIndex.from_tuples([tuple(names)]) if table.index.nlevels > 1 else pd.Index(names)
    return pd.concat([first, gap, last])


def format_table(table: pd.DataFrame) -> str:
    """A table as aligned text, many rows in part; NaN of likelihood tables shows as an empty cell."""
    return "\n".join("  " + line.rstrip() for line in _in_part(table).to_string().split("\n"))


def html_table(table: pd.DataFrame, in_part: bool = False) -> str:
    """A table as HTML without inline styles; in part, if asked to, where it has many rows."""
    shown = _in_part(table) if in_part else _as_text(table)
    return shown.to_html(border=0, classes="bimixed-table")


def _wrap(text: str, width: int = 100) -> str:
    import textwrap

    return textwrap.fill(text, width, subsequent_indent="  ")
