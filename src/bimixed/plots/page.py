"""A comparison as one HTML page that needs nothing else."""

import base64
import html
import io
from typing import TYPE_CHECKING, Any

from bimixed.plots.comparison import comparison_figure
from bimixed.results.summary import html_table
from bimixed.shortening import MANY, short_formula

if TYPE_CHECKING:
    from bimixed.compare import Comparison

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 64rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
code { background: #f3f3f3; padding: 0 .25em; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #ddd;
         white-space: nowrap; }
tbody th { text-align: left; font-weight: 600; }
.words td:last-child, .words td:nth-last-child(2), .words thead th { text-align: left; }
.words td:last-child { white-space: normal; min-width: 16rem; }
.verdict { border-left: 4px solid #0072B2; padding: .5rem 1rem; background: #f4f8fb; }
img { max-width: 100%; height: auto; }
"""


def comparison_page(comparison: "Comparison") -> str:
    """The page's text."""
    summary = comparison.summary()
    facts = "".join(f"<tr><th>{html.escape(n)}</th><td>{html.escape(v)}</td></tr>" for n, v in summary.facts)
    sections = "".join(
        f'<h2>{html.escape(title)}</h2><div class="scroll">{table}</div>'
        for title, table in summary.html_tables()
    )
    agreement = _agreement(comparison)
    messages = [
        f"{name}: {message}"
        for name, r in zip(comparison.names, comparison.results, strict=True)
        for message in r.diagnostics.messages
    ]
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in messages)
    shrinkage = "".join(
        f"<details><summary>Every level of {html.escape(key)}</summary>"
        f'<div class="scroll">{html_table(table)}</div></details>'
        for key, table in comparison.shrinkage.items()
    )
    formula = html.escape(short_formula(comparison.results[0].formula))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>bimixed: {formula}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{html.escape(" and ".join(comparison.names))}: <code>{formula}</code></h1>
<p class="verdict">{html.escape(comparison.verdict)}</p>
<table>{facts}</table>
{f"<ul>{notes}</ul>" if notes else ""}
{sections}
<h2>What the differences mean</h2>
<p>{html.escape(summary.notes[0])}</p>
<div class="scroll words">{agreement}</div>
<h2>Shrinkage and estimates</h2>
<p><img alt="Shrinkage of every level, and estimates with intervals of both fits"
 src="data:image/png;base64,{_png(comparison_figure(comparison))}"></p>
{_cut(comparison)}{shrinkage}
</body>
</html>
"""


def _cut(comparison: "Comparison") -> str:
    """What the picture leaves out."""
    longest = max(len(comparison.fixef), len(comparison.varcorr))
    if longest <= MANY:
        return ""
    return f"<p>The picture shows the first {MANY} parameters of each kind; comparison.fixef and \
comparison.varcorr have all.</p>"


def _agreement(comparison: "Comparison") -> str:
    """The verdicts; of many parameters those that don't agree."""
    table, told = comparison.agreement, ""
    if len(table) > MANY:
        odd = table[table["verdict"] != "agrees"]
        told = f"<p>{len(table) - len(odd)} of {len(table)} rows agree and aren't shown; "
        told += "comparison.agreement has all.</p>"
        table = odd
    return html_table(table) + told


def _png(figure: Any) -> str:
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
