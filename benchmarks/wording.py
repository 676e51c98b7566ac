"""Words, numbers and tables of the page of benchmarks."""

import math
from collections.abc import Iterable
from typing import Any

Row = dict[str, Any]
Entry = dict[str, Any]

BUSY = 0.2
"""Cores in other hands from which a row is called disturbed."""


def digits(value: float) -> str:
    """Three significant digits, never an exponent."""
    if value == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(float(f"{value:.3g}")))))
    return f"{float(f'{value:.3g}'):,.{places}f}"


def duration(seconds: float) -> str:
    if float(f"{seconds:.3g}") < 1:
        return f"{digits(seconds * 1000)} ms"
    return f"{digits(seconds)} s"


def wall(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"


def mib(entry: Entry) -> str:
    """Nothing measurable is 0; one digit below 10."""
    return f"{max(entry['mib'], 0):.1f}" if entry["mib"] < 10 else f"{entry['mib']:,.0f}"


def enumerate_words(parts: Iterable[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def answered(row: Row) -> dict[str, Entry]:
    return {tool: entry for tool, entry in row["tools"].items() if "median" in entry}


def table(head: list[str], body: list[list[str]], words: int = 1) -> str:
    """The first ``words`` columns are text, the others numbers."""
    lines = [head, ["---"] * words + ["---:"] * (len(head) - words), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def quietness(rows: dict[str, Row]) -> str:
    """Whether other processes were at work, where the system told."""
    disturbed = [name for name, row in rows.items() if (row["busy"] or 0) > BUSY]
    if disturbed:
        return (
            f"Other processes used more than {BUSY} cores before or after these rows, which may be slow for "
            f"every tool: {enumerate_words(disturbed)}."
        )
    if any(row["busy"] is None for row in rows.values()):
        return ""
    return f"No other process used more than {BUSY} cores before or after a row."
