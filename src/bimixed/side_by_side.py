"""Results beside each other in one table for a paper: estimates, standard deviations, fit."""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal

import numpy as np
import pandas as pd

from bimixed.arguments import check_count
from bimixed.exceptions import ArgumentError, DataError
from bimixed.results import MixedModelResult
from bimixed.results.markup import Block, latex, latex_float, markdown, markdown_text
from bimixed.results.tables import check_level
from bimixed.vocabulary import Hinting, explains_arguments, explains_methods

Shown = Literal["std_error", "interval", "none"]
_METHODS = {"reml": "REML", "ml": "ML", "nuts": "NUTS", "importance": "Importance sampling"}
_CRITERIA = {"reml": "REML log-likelihood", "ml": "Log-likelihood"}
_PARTS = ("Fixed effects", "Standard deviations", "Correlations", "Fit")
_LAST = ("Residual", *_CRITERIA.values(), "AIC", "BIC")
_Entry = tuple[str, str]
"""Part of the table and row in it."""


@explains_methods
@dataclass(frozen=True, repr=False)
class ResultTable(Hinting):
    """Results side by side; ``print`` shows Markdown, notebooks HTML.

    Attributes
    ----------
    table : pandas.DataFrame
        Cells as text, a column for each result; index: part of the table and row.
    notes : tuple of str
        What stands in the cells, and the formulas.
    """

    table: pd.DataFrame
    notes: tuple[str, ...]

    def to_markdown(self) -> str:
        """A table for GitHub's Markdown, Pandoc or Quarto, with notes below."""
        notes = "\n".join(f"{markdown_text(note)}\\" for note in self.notes).removesuffix("\\")
        return f"{markdown(self._header, self._blocks)}\n\n{notes}"

    def to_latex(self, caption: str | None = None, label: str | None = None) -> str:
        """A ``table`` with a caption and notes; its rules are those of the package booktabs.

        Parameters
        ----------
        caption, label : str, optional

        Raises
        ------
        ArgumentError
            For a caption that is the name of a file.
        """
        if isinstance(caption, PathLike) or (isinstance(caption, str) and caption.endswith(".tex")):
            raise ArgumentError(
                f"to_latex returns text, and the first argument is the caption ({str(caption)!r}): write "
                f"pathlib.Path({str(caption)!r}).write_text(table.to_latex())."
            )
        return latex_float(latex(self._header, self._blocks), self.notes, caption, label)

    @property
    def _header(self) -> list[str]:
        return ["", *map(str, self.table.columns)]

    @property
    def _blocks(self) -> list[Block]:
        parts = dict.fromkeys(part for part, _ in self.table.index)
        return [
            Block(part, tuple((str(row), *cells) for row, *cells in self.table.loc[part].itertuples()))
            for part in parts
        ]

    def __str__(self) -> str:
        return self.to_markdown()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        body = []
        width = len(self.table.columns)
        for block in self._blocks:
            heading = html.escape(block.heading)
            body.append(f'<tr><th colspan="{width + 1}" style="text-align:left">{heading}</th></tr>')
            for label, *cells in block.rows:
                shown = "".join(f'<td style="text-align:right">{html.escape(cell)}</td>' for cell in cells)
                body.append(f'<tr><td style="text-align:left">{html.escape(label)}</td>{shown}</tr>')
        head = "".join(f"<th>{html.escape(str(name))}</th>" for name in self.table.columns)
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return (
            f'<div class="bimixed"><table class="bimixed-table"><thead><tr><th></th>{head}</tr></thead>'
            f"<tbody>{''.join(body)}</tbody></table>{notes}</div>"
        )


@explains_arguments
def table(
    *results: Any,
    names: Sequence[str] | None = None,
    uncertainty: Shown = "std_error",
    level: float = 0.95,
    digits: int = 3,
) -> ResultTable:
    """Lay any results side by side, ready for a paper.

    Parameters
    ----------
    *results : MixedModelResult
        Of any methods, formulas and data; or one list of them, or one dict whose keys are the names.
    names : sequence of str, optional
        Heads of the columns; default the methods, numbered where one comes twice.
    uncertainty : {"std_error", "interval", "none"}
        What stands beside an estimate: its standard error (posterior sd for draws) in parentheses, or its
        limits (:meth:`MixedModelResult.conf_int`) in brackets.
    level : float
        Of the limits.
    digits : int
        Significant digits of standard errors, and so of estimates beside them; of estimates without one,
        one more.

    Returns
    -------
    ResultTable
        With ``to_markdown()``, ``to_latex()``, notebook HTML, and ``table``, a DataFrame of text.

    Raises
    ------
    ArgumentError
        Without results, or for anything else than results.
    DataError
        For as many names as there aren't results, names twice, or an unknown ``uncertainty``.
    FitError
        For ``digits`` below 1.

    Examples
    --------
    >>> import bimixed as bm
    >>> spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
    >>> print(bm.table(spec.fit("reml"), spec.fit("ml")))
    |                          |          REML |            ML |
    | ------------------------ | ------------: | ------------: |
    | **Fixed effects**        |               |               |
    | Intercept                | 251.41 (6.82) | 251.41 (6.63) |
    | Days                     |  10.47 (1.55) |  10.47 (1.50) |
    | **Standard deviations**  |               |               |
    | Subject: Intercept       |  24.74 (5.84) |  23.78 (5.58) |
    | Subject: Days            |   5.92 (1.25) |   5.72 (1.19) |
    | Residual                 |  25.59 (1.51) |  25.59 (1.51) |
    | **Correlations**         |               |               |
    | Subject: Intercept, Days | 0.066 (0.325) | 0.081 (0.324) |
    | **Fit**                  |               |               |
    | Observations             |           180 |           180 |
    | Levels of Subject        |            18 |            18 |
    | REML log-likelihood      |       -871.81 |               |
    | Log-likelihood           |               |       -875.97 |
    | AIC                      |       1755.63 |       1763.94 |
    | BIC                      |       1774.79 |       1783.10 |
    <BLANKLINE>
    In parentheses: standard errors.\\
    Reaction ~ Days + (Days \\| Subject).
    """
    results, names = _given(results, names)
    if uncertainty not in ("std_error", "interval", "none"):
        raise DataError(f"uncertainty is {uncertainty!r}; choose 'std_error', 'interval' or 'none'.")
    check_level(level)
    check_count("digits", digits)
    heads = _names(results, names)
    columns = [_column(result, uncertainty, level, digits) for result in results]
    entries = sorted(dict.fromkeys(entry for column in columns for entry in column), key=_order)
    cells = pd.DataFrame(
        {
            head: [column.get(entry, "") for entry in entries]
            for head, column in zip(heads, columns, strict=True)
        },
        index=pd.MultiIndex.from_tuples(entries, names=["part", "row"]),
    )
    formulas = list(dict.fromkeys(result.formula for result in results))
    told = [f"{head}: {result.formula}." for head, result in zip(heads, results, strict=True)]
    notes = [_told_uncertainty(results, uncertainty, level)]
    notes += told if len(formulas) > 1 else [f"{formulas[0]}."]
    return ResultTable(cells, tuple(note for note in notes if note))


def _given(
    results: Sequence[Any], names: Sequence[str] | None
) -> tuple[tuple[MixedModelResult, ...], Sequence[str] | None]:
    """Results one after the other, and their names where a dict has them.

    Raises
    ------
    ArgumentError
        For anything else than results.
    """
    if len(results) == 1 and isinstance(results[0], Mapping):
        names = list(results[0]) if names is None else names
        results = tuple(results[0].values())
    elif len(results) == 1 and isinstance(results[0], list | tuple):
        results = tuple(results[0])
    if not results or not all(isinstance(result, MixedModelResult) for result in results):
        raise ArgumentError(
            "table takes results of spec.fit(): bm.table(reml, nuts), a list of them, or a dict "
            "{'name': result}."
        )
    return tuple(results), names


def _order(entry: _Entry) -> tuple[int, int]:
    """Parts one after the other, the residual last, and criteria below numbers of rows and levels."""
    part, row = entry
    return _PARTS.index(part), _LAST.index(row) + 1 if row in _LAST else 0


def _names(results: Sequence[MixedModelResult], names: Sequence[str] | None) -> list[str]:
    if names is None:
        methods = [_METHODS.get(result.method, result.method) for result in results]
        twice = len(set(methods)) < len(methods)
        return [f"({i}) {name}" if twice else name for i, name in enumerate(methods, start=1)]
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise DataError(f"names is {names!r}; give a list with a name for each result.")
    heads = [str(name) for name in names]
    if len(heads) != len(results) or len(set(heads)) < len(heads):
        raise DataError(f"names has {heads} for {len(results)} results; give each one a name of its own.")
    return heads


def _column(result: MixedModelResult, uncertainty: Shown, level: float, digits: int) -> dict[_Entry, str]:
    limits = result.conf_int(level).to_numpy() if uncertainty == "interval" else None
    fixed, found = result.fixef, result.uncertainty.variance_parameters()
    values = np.concatenate([fixed["estimate"], found.values])
    errors = np.concatenate([fixed["std_error"], found.std_errors])
    labels = [("Fixed effects", str(name)) for name in fixed.index] + _variance_labels(result)
    column = {}
    for i, label in enumerate(labels):
        error = errors[i] if uncertainty == "std_error" else np.nan
        between = None if limits is None else limits[i]
        column[label] = estimate_text(values[i], error, between, digits)
    return column | {("Fit", name): text for name, text in _fit(result).items()}


def _variance_labels(result: MixedModelResult) -> list[_Entry]:
    """In the order of ``variance_parameters``."""
    by_name: dict[str, _Entry] = {"sigma": ("Standard deviations", "Residual")}
    for f in result.design.factors:
        for name in f.names:
            by_name[f"sd_{f.key}[{name}]"] = ("Standard deviations", f"{f.key}: {name}")
        for i, j in f.template.correlated_pairs():
            a, b = f.names[i], f.names[j]
            by_name[f"corr_{f.key}[{a},{b}]"] = ("Correlations", f"{f.key}: {a}, {b}")
    return [by_name[name] for name in result.uncertainty.variance_parameters().names]


def _fit(result: MixedModelResult) -> dict[str, str]:
    rows = {"Observations": str(result.nobs)}
    rows |= {f"Levels of {key}": str(n) for key, n in result.ngroups.items()}
    if result.likelihood is not None:
        rows[_CRITERIA[result.method]] = f"{result.loglik:.2f}"
        rows |= {"AIC": f"{result.aic:.2f}", "BIC": f"{result.bic:.2f}"}
    return rows


def estimate_text(value: float, error: float, limits: Any, digits: int) -> str:
    """An estimate with what is known of its precision; "" for NaN.

    Examples
    --------
    >>> estimate_text(251.405, 6.8246, None, 3), estimate_text(-0.00123456, 0.000456, None, 2)
    ('251.41 (6.82)', '-0.00123 (0.00046)')
    >>> estimate_text(10.467, float("nan"), (7.206, 13.729), 3)
    '10.47 [7.21, 13.73]'
    """
    if np.isnan(value):
        return ""
    if limits is not None and not np.isnan(limits).any():
        places = _places(float(limits[1] - limits[0]) / 4.0, digits)
        return f"{value:.{places}f} [{limits[0]:.{places}f}, {limits[1]:.{places}f}]"
    if value == 0.0 and np.isnan(error):
        return "0"
    if np.isnan(error):
        return f"{value:.{_places(abs(value), digits + 1)}f}"
    places = _places(error, digits)
    return f"{value:.{places}f} ({error:.{places}f})"


def _places(size: float, digits: int) -> int:
    """Digits after the point that leave so many significant ones."""
    if not np.isfinite(size) or size <= 0.0:
        return digits - 1
    return max(0, digits - 1 - int(np.floor(np.log10(size))))


def _told_uncertainty(results: Sequence[MixedModelResult], uncertainty: Shown, level: float) -> str:
    drawn = [result.likelihood is None for result in results]
    means = " Estimates of draws are posterior means." if any(drawn) else ""
    if uncertainty == "none":
        return means.strip()
    if uncertainty == "interval":
        return (
            f"In brackets: limits of {100 * level:g} %{' (draws: equal tails)' if any(drawn) else ''}.{means}"
        )
    what = "posterior sds" if all(drawn) else "standard errors" + (" (draws: posterior sds)" * any(drawn))
    return f"In parentheses: {what}.{means}"
