"""Pages of a result and of a comparison, put together from sections."""

from pathlib import Path
from typing import TYPE_CHECKING

from bimixed._version import __version__
from bimixed.exceptions import DataError
from bimixed.reports import elements as html
from bimixed.reports.checks import checks_section, lead
from bimixed.reports.estimates import fixed_section, random_section
from bimixed.reports.model import data_section, model_section
from bimixed.reports.pictures import of_comparison, of_result, pictures_section
from bimixed.reports.sources import again_section, cite_section
from bimixed.results import MixedModelResult
from bimixed.results.summary import METHODS
from bimixed.shortening import MANY, listed, short_formula

if TYPE_CHECKING:
    from bimixed.compare import Comparison

_FOOT = f"Written by bimixed {__version__}. Everything is in this file; nothing is loaded from elsewhere."


def write_page(page: str, path: str | Path) -> Path:
    """Write a page.

    Raises
    ------
    DataError
        Where there is no such folder, or nothing can be written to it.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise DataError(f"There is no folder {str(path.parent)!r} to write {path.name} to.")
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{str(path)!r} can't be written: {error.strerror}. Give another path.") from error
    return path


def result_page(result: MixedModelResult) -> str:
    """The page of one fit, from the model to how to make it again."""
    formula = short_formula(result.formula)
    method = METHODS[result.method]
    method = method[0].upper() + method[1:]
    top = f"<h1>{html.text(method)} fit of <code>{html.text(formula)}</code></h1>{lead(result)}"
    sections = [
        model_section((result,)),
        data_section(result),
        fixed_section(result),
        random_section(result),
        pictures_section(of_result(result), result.design),
        checks_section({result.method: result}),
        cite_section((result,)),
        again_section({result.method: result}),
    ]
    return html.document(f"bimixed: {method} fit of {formula}", top, sections, _FOOT)


def comparison_page(comparison: "Comparison") -> str:
    """The page of several fits: what they share, where they differ, and what that means."""
    named = dict(zip(comparison.names, comparison.results, strict=True))
    formulas = list(dict.fromkeys(short_formula(result.formula) for result in comparison.results))
    names = listed(comparison.names)
    of = f"<code>{html.text(formulas[0])}</code>" if len(formulas) == 1 else f"{len(formulas)} models"
    leads = "".join(lead(result, name) for name, result in named.items() if not result.diagnostics.ok)
    top = f"<h1>{html.text(names)}: {of}</h1>{html.paragraph(comparison.verdict, 'lead')}{leads}"
    sections = [
        model_section(comparison.results),
        data_section(*comparison.results),
        html.Section("estimates", "Estimates side by side", _side_by_side(comparison)),
        html.Section("differences", "What the differences mean", _differences(comparison)),
        html.Section("shrinkage", "Shrinkage", _shrinkage(comparison)),
        pictures_section(of_comparison(comparison), *(result.design for result in comparison.results)),
        checks_section(named),
        cite_section(comparison.results),
        again_section(named),
    ]
    return html.document(f"bimixed: {names} of {', '.join(formulas)}", top, sections, _FOOT)


def _side_by_side(comparison: "Comparison") -> list[str]:
    summary = comparison.summary()
    parts = [html.paragraph(summary.notes[0])]
    for (title, table), whole in zip(summary.sections, summary.whole, strict=True):
        if not title.startswith("Shrinkage"):
            parts += [html.heading(title), html.table(table, whole=whole)]
    return parts


def _differences(comparison: "Comparison") -> list[str]:
    """The verdicts; of many parameters those that don't agree."""
    table, told = comparison.agreement, ""
    if len(comparison.results) == 2:
        table = table.drop(columns="result")
    if len(table) > MANY:
        odd = table[table["verdict"] != "agrees"]
        agreeing = len(table) - len(odd)
        told = html.paragraph(
            f"{agreeing} of {len(table)} rows agree and aren't shown; comparison.agreement has all."
        )
        table = odd
    models = [note for note in comparison.summary().notes if note.startswith("Different models")]
    return [html.bullets(models), html.table(table, texts=("reason",)), told]


def _shrinkage(comparison: "Comparison") -> list[str]:
    parts = [
        html.table(table, f"{title}: 0 is no pooling, 1 complete pooling")
        for title, table in comparison.summary().sections
        if title.startswith("Shrinkage")
    ]
    for key, table in comparison.shrinkage.items():
        parts.append(html.details(f"Every level of {key}", html.table(table)))
    return parts
