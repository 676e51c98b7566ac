"""Panels: the data of some levels of a group, and lines without, with complete and with partial pooling."""

from typing import Any

import numpy as np

from bimixed.exceptions import DataError
from bimixed.inference.panel_lines import Column, Lines, chosen_levels, column_of, lines
from bimixed.plots.style import (
    COLOURS,
    OWN,
    STYLES,
    figure_legend,
    new_grid,
    plain_text,
    response_of,
    short,
    tidy_axes,
)
from bimixed.plots.taken import factor_of, results_of
from bimixed.vocabulary import explains_arguments

WIDE = 6
LETTERS = 15
"""Of a level's name above its panel."""
POOLED = "#000000"


@explains_arguments
@plain_text
def panels(fits: Any, group: str | None = None, x: str | None = None, levels: Any = None, n: int = 12) -> Any:
    """Draw data and fitted lines of some levels of a group, a panel each.

    A dotted grey line is the level's own (no pooling): Xβ̂ of the first result and the least-squares deviation
    of the level's rows from it, on the group's columns; absent where those rows don't determine it. A thin
    black one is least squares of the fixed part without groups (complete pooling). Coloured ones are the
    results (partial pooling). Columns other than ``x`` are at the level's mean, or its commonest label, and
    effects of other groups 0.

    Parameters
    ----------
    fits : MixedModelResult, list, dict or Comparison
    group : str, optional
        Default: the first group.
    x : str, optional
        Column along the panels. Default: the first covariate with a random slope, else the first of the fixed
        part that varies within levels.
    levels : list, optional
        Levels to draw. Default: ``n`` of them, evenly from those with the fewest rows to those with most.
    n : int

    Returns
    -------
    (rows, 6) array of matplotlib Axes
        Unused ones are invisible.

    Raises
    ------
    DataError
        For a group, column or level that isn't there.
    UnavailableError
        Where the model was given as arrays.
    """
    results = results_of(fits)
    factor = factor_of(results, group, "panels")
    first = next(iter(results.values()))
    if factor.is_mixed:
        raise DataError(
            f"Rows combine levels of {factor.key!r}, so that no panel could show the rows of one; name "
            "another group."
        )
    if not isinstance(n, int) or n < 1:
        raise DataError(f"n is {n!r}; it is a number of panels, such as 12.")
    column = column_of(first, factor, x)
    chosen = chosen_levels(first, factor, levels, n)
    found = lines(results, factor, column, chosen)
    axes = new_grid(len(chosen), min(WIDE, max(3, len(chosen) // 2)), (2.1, 2.1), sharex=True, sharey=True)
    for i, level in enumerate(chosen):
        rows = np.flatnonzero(factor.codes == level)
        _panel(axes.flat[i], column, rows, first.design.y[rows], found, i)
        axes.flat[i].set_title(
            f"{short(factor.levels[level], LETTERS)} ({len(rows)})", fontsize="small", loc="left"
        )
    _limits(axes, first.design.y, found, column, len(chosen))
    figure = axes.flat[0].figure
    figure.supylabel(response_of(first.design), fontsize="medium")
    title = f"{len(chosen)} of {factor.n_levels} levels" if len(chosen) < factor.n_levels else "Levels"
    sizes = factor.level_counts()
    by_rows = levels is None and len(chosen) < factor.n_levels and np.ptp(sizes) > 0
    order = ", from the fewest rows to the most" if by_rows else ""
    figure.suptitle(f"{title} of {factor.key} (rows){order}", x=0.01, ha="left", fontsize="medium")
    _below(axes, len(chosen), f"row within {factor.key}" if column is None else column.name)
    figure_legend(figure, _handles(found))
    return axes


def _panel(ax: Any, column: Column | None, rows: Any, y: Any, found: Lines, i: int) -> None:
    places = np.linspace(0.0, 1.0, len(rows) + 2)[1:-1] if column is None else column.values[rows]
    ax.plot(places, y, "o", color=OWN, markersize=3.5, markeredgewidth=0, alpha=0.8 if len(y) < 80 else 0.3)
    marker = "." if column is not None and column.labels is not None else ""
    x = found.x[i]
    ax.plot(x, found.pooled[i], color=POOLED, linewidth=0.9, marker=marker, zorder=3)
    ax.plot(x, found.own[i], color="#666666", linestyle=":", linewidth=1.8, marker=marker, zorder=4)
    for k, partial in enumerate(found.partial.values()):
        ax.plot(
            x, partial[i], color=COLOURS[k % len(COLOURS)], linestyle=STYLES[k % len(STYLES)],
            linewidth=2.6 if k == 0 and len(found.partial) > 1 else 1.5, marker=marker, zorder=5 + k,
        )  # fmt: skip
    if column is None:
        ax.set_xticks([])
    elif column.labels is not None:
        ax.set_xticks(range(len(column.labels)), [short(label, 12) for label in column.labels], rotation=90)
    else:
        ax.locator_params(axis="x", nbins=3)
        values = np.unique(column.values)
        if len(values) <= 3:
            ax.set_xticks(values)
    ax.tick_params(labelsize="small")
    tidy_axes(ax)


def _below(axes: Any, shown: int, name: str) -> None:
    """Ticks and the name of the column below each panel that has none beneath."""
    wide = axes.shape[1]
    for i, ax in enumerate(axes.flat[:shown]):
        if i + wide >= shown:
            ax.tick_params(labelbottom=True)
            ax.set_xlabel(name, fontsize="small")


def _limits(axes: Any, y: Any, found: Lines, column: Column | None, shown: int) -> None:
    """Room for the rows shown and the pooled lines; lines of single levels may leave the panel."""
    drawn = [line.get_ydata() for ax in axes.flat[:shown] for line in ax.lines[:1]]
    values = np.concatenate([*drawn, found.pooled.ravel(), *(p.ravel() for p in found.partial.values())])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = 0.06 * (high - low) or 1.0
    axes.flat[0].set_ylim(low - room, high + room)
    x = found.x if column is None else np.append(found.x.ravel(), column.values)
    room = 0.06 * float(np.ptp(x)) or 0.5
    axes.flat[0].set_xlim(float(x.min()) - room, float(x.max()) + room)


def _handles(found: Lines) -> list[Any]:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color="#666666", linestyle=":", linewidth=1.8, label="own (no pooling)"),
        Line2D([], [], color=POOLED, linewidth=0.9, label="all rows (complete pooling)"),
    ]
    return handles + [
        Line2D([], [], color=COLOURS[k % len(COLOURS)], linestyle=STYLES[k % len(STYLES)], label=name)
        for k, name in enumerate(found.partial)
    ]
