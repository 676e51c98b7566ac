"""No, complete and partial pooling of each level."""

from typing import TYPE_CHECKING, Any

import numpy as np

from bimixed.exceptions import DataError
from bimixed.plots.style import COLOURS, OWN, new_axes, plain_text, tidy_axes
from bimixed.shortening import MANY, listed
from bimixed.vocabulary import explains_arguments

if TYPE_CHECKING:
    from bimixed.inference.pooling import Pooling


@explains_arguments
@plain_text
def pooling(made: "Pooling", coefficient: str | None = None, ax: Any = None) -> Any:
    """Draw each level's own estimate, the partial-pooling one, and the line of complete pooling.

    Parameters
    ----------
    made : Pooling
    coefficient : str, optional
        A random coefficient; default the one that ``made`` is about, else the intercept.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        Levels ordered by their number of rows, the fewest on top; bars are one standard error each way. Up to
        60 levels are named.

    Raises
    ------
    DataError
        If there is no such coefficient.
    """
    names = list(made.levels.index.unique("coefficient"))
    if coefficient is None:
        coefficient = made.coefficient if made.coefficient in names else names[0]
    if coefficient not in names:
        raise DataError(
            f"{coefficient!r} doesn't vary between levels of {made.group!r}; choose from {listed(names)}."
        )
    table = made.levels.xs(coefficient, level="coefficient").sort_values(
        "rows", ascending=False, kind="stable"
    )
    named = len(table) <= MANY
    ax = new_axes(ax, figsize=(6.5, max(2.8, 1.4 + 0.24 * len(table))) if named else (6.5, 7.0))
    y = np.arange(len(table), dtype=float)
    looks = (
        ("no_pooling", "no pooling", OWN, "o", 0.14),
        ("partial_pooling", "partial pooling", COLOURS[0], "D", -0.14),
    )
    for column, label, colour, marker, shift in looks:
        estimate, error = table[column].to_numpy(), table[f"{column}_se"].to_numpy()
        at = y + (shift if named else 0.0)
        width = 1.4 if named else min(0.8, 300.0 / len(y))
        ax.hlines(at, estimate - error, estimate + error, color=colour, linewidth=width, zorder=2)
        size = 4.5 if named else 2.0
        ax.plot(estimate, at, marker, color=colour, markersize=size, linestyle="none", label=label, zorder=3)
    ax.axvline(
        table["complete_pooling"].iloc[0],
        color=COLOURS[1],
        linestyle="--",
        linewidth=1.2,
        label="complete pooling",
    )
    _limits(ax, table)
    if named:
        ax.set_yticks(y, [f"{level} ({rows})" for level, rows in table["rows"].items()], fontsize="small")
        ax.set_ylabel(f"{made.group} (rows)")
    else:
        ax.set_yticks([])
        ax.set_ylabel(f"{len(table)} levels of {made.group}, fewest rows on top")
    response = made.partial.design.formula.response
    ax.set_xlabel(
        f"{coefficient} ({response} per unit)" if coefficient != "Intercept" else f"Intercept ({response})"
    )
    ax.figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    tidy_axes(ax)
    return ax


def _limits(ax: Any, table: Any) -> None:
    """So wide that a few levels of few rows don't hide the others; their bars leave the picture."""
    ends = [
        table[column] + sign * table[f"{column}_se"]
        for column in ("no_pooling", "partial_pooling")
        for sign in (-1, 1)
    ]
    values = np.concatenate([part.dropna().to_numpy() for part in ends])
    low, high = np.quantile(values, [0.02, 0.98]) if len(table) > MANY else (values.min(), values.max())
    line = float(table["complete_pooling"].iloc[0])
    low, high = min(low, line), max(high, line)
    margin = 0.06 * max(high - low, 1e-12)
    ax.set_xlim(low - margin, high + margin)
