"""Notebook sources: cells of a percent script, their execution in one namespace, and what outputs keep.

A source is Python: ``# %%`` starts a code cell, ``# %% [markdown]`` one whose lines are comments, and
``# %% tags=["draws"]`` a code cell whose output depends on random draws.
"""

import ast
import contextlib
import io
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
SOURCES = sorted((FOLDER / "src").glob("*.py"))
FAST = "BIMIXED_FAST"
"""The environment variable that lowers numbers of draws."""

TIMES = [
    (re.compile(r"^Time: .*\n", re.M), ""),
    (re.compile(r"<tr><th>Time</th><td>[^<]*</td></tr>"), ""),
    (re.compile(r"^( *seconds +)[\d.]+$", re.M), r"\1…"),
    (re.compile(r"(REML|maximum likelihood|NUTS|importance sampling), [\d.]+ (?:ms|s|min), "), r"\1, "),
]
"""Times of fits differ from run to run, and are left out."""


@dataclass(frozen=True)
class Cell:
    """One cell: ``kind`` is "code" or "markdown"."""

    kind: str
    source: str
    tags: tuple[str, ...] = ()


def read(path: Path) -> list[Cell]:
    """Cells of a source."""
    parts = re.split(r"^# %%(.*)\n", path.read_text(encoding="utf-8"), flags=re.M)
    if parts[0].strip():
        raise ValueError(f"{path.name} has text before its first cell.")
    found = []
    for head, body in zip(parts[1::2], parts[2::2], strict=True):
        tags = re.search(r"tags=(\[.*\])", head)
        if head.strip() == "[markdown]":
            lines = [re.sub(r"^# ?", "", line) for line in body.strip().split("\n")]
            found.append(Cell("markdown", "\n".join(lines)))
        else:
            found.append(Cell("code", body.strip(), tuple(ast.literal_eval(tags[1])) if tags else ()))
    return found


def without_times(text: str) -> str:
    """An output without the times of fits."""
    for pattern, replacement in TIMES:
        text = pattern.sub(replacement, text)
    return text


@contextlib.contextmanager
def as_in_a_notebook(fast: bool) -> Iterator[None]:
    """Tables as wide as in a notebook, pictures without a window, and the variable for few draws."""
    import matplotlib
    import matplotlib.pyplot as plt
    import pandas as pd

    matplotlib.use("Agg")
    before = os.environ.pop(FAST, None)
    if fast:
        os.environ[FAST] = "1"
    options = ("display.max_columns", 20, "display.width", 80)
    try:
        with pd.option_context(*options), plt.rc_context({"figure.max_open_warning": 0}):
            yield
    finally:
        plt.close("all")
        os.environ.pop(FAST, None)
        if before is not None:
            os.environ[FAST] = before


def run(path: Path, fast: bool = True) -> tuple[dict[str, Any], list[str]]:
    """The names that a notebook leaves, and the text of each code cell's output."""
    names: dict[str, Any] = {"__name__": path.stem}
    with as_in_a_notebook(fast), warnings.catch_warnings():
        if fast:  # few draws are said to be few
            warnings.filterwarnings("ignore", category=UserWarning, message="(?s).*(ESS|R-hat|draws).*")
        texts = [_output(cell.source, names) for cell in read(path) if cell.kind == "code"]
    return names, texts


def _output(source: str, names: dict[str, Any]) -> str:
    """What is printed, and the value of a last line that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(tree, "cell", "exec"), names)
        value = None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    return without_times(printed.getvalue() + ("" if value is None else repr(value)))
