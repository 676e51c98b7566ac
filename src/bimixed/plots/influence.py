"""Influence of rows, or of the levels of a group, on the fixed effects."""

from typing import Any

import numpy as np

from bimixed.exceptions import DataError
from bimixed.plots.style import COLOURS, MARKERS, head, name_points, new_axes, plain_text, short, tidy_axes
from bimixed.plots.taken import likelihood_fit, one_result
from bimixed.shortening import listed
from bimixed.vocabulary import explains_arguments

LEVELS = 40
"""As many levels at most, those with the greatest values."""
NAMED = 6
"""Rows that are named."""
WORDS = {"cooks_distance": "Cook's distance", "leverage": "leverage", "sigma": "sigma without it"}


@explains_arguments
@plain_text
def influence(fit: Any, group: Any = None, measure: str = "cooks_distance", ax: Any = None) -> Any:
    """Draw how much the fixed effects owe to single rows, or to each level of a group.

    Parameters
    ----------
    fit : MixedModelResult
        Of a likelihood.
    group : str or array, optional
        As in ``fit.influence``: levels are then ordered, the 40 that matter most. Default: single rows, in
        their order, the largest with their index.
    measure : str
        A column of ``fit.influence(group)``: ``"cooks_distance"``, ``"leverage"``, ``"dfbetas[x]"``, …
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    UnavailableError
        For draws.
    DataError
        If there is no such group or measure.
    """
    result = likelihood_fit(
        one_result(fit, "influence"),
        "influence",
        "of draws loo().pareto_k tells which rows they depend on, and arviz.plot_khat(fit.loo()) draws it.",
    )
    table = result.influence(group)
    if measure not in table.columns:
        raise DataError(f"measure is {measure!r}; fit.influence has {listed(table.columns)}.")
    values = table[measure]
    words = WORDS.get(measure, measure)
    signed = measure.startswith("dfbeta")
    if group is None:
        return _rows(new_axes(ax, figsize=(8, 4)), values, words, signed)
    return _levels(ax, values, words, signed)


def _rows(ax: Any, values: Any, words: str, signed: bool) -> Any:
    x, y = np.arange(len(values)), np.nan_to_num(values.to_numpy())
    many = len(y) > 500
    ax.vlines(x, 0.0, y, color=COLOURS[0], linewidth=0.3 if many else 0.8, alpha=0.5)
    ax.plot(x, y, MARKERS[0], color=COLOURS[0], markersize=2 if many else 3.5, markeredgewidth=0)
    ax.set_xlabel("row, in the order of the data")
    ax.set_ylabel(words)
    _room(ax.set_ylim, y, signed)
    ax.set_xlim(-0.02 * len(y) - 1, 1.02 * len(y))
    head(ax, f"{words} of each row", legend=False)
    tidy_axes(ax)
    points = np.column_stack([x, y])
    far = np.argsort(-np.abs(y), kind="stable")[: 2 * NAMED]
    name_points(ax, points[far], [str(values.index[j]) for j in far], NAMED, points)
    return ax


def _levels(ax: Any, values: Any, words: str, signed: bool) -> Any:
    order = np.argsort(-np.abs(np.nan_to_num(values.to_numpy())), kind="stable")[:LEVELS][::-1]
    shown = values.iloc[order]
    ax = new_axes(ax, figsize=(6.5, max(2.4, 1.1 + 0.2 * len(shown))))
    y = np.arange(len(shown))
    ax.hlines(y, 0.0, shown, color=COLOURS[0], linewidth=1.0, alpha=0.6)
    ax.plot(shown, y, MARKERS[0], color=COLOURS[0], markersize=5)
    ax.axvline(0.0, color="black", linewidth=0.8, zorder=0)
    name = str(values.index.name or "group")
    ax.set_yticks(y, [short(level, 40) for level in shown.index], fontsize="small")
    ax.set_ylim(-0.8, len(shown) - 0.2)
    _room(ax.set_xlim, shown.to_numpy(), signed)
    ax.set_ylabel(name)
    ax.set_xlabel(words)
    most = f"\nthe {len(shown)} largest of {len(values)}" if len(shown) < len(values) else ""
    head(ax, f"{words} by {short(name, 30)}{most}", legend=False)
    tidy_axes(ax)
    return ax


def _room(set_limits: Any, values: Any, signed: bool) -> None:
    high = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    set_limits(-1.12 * high if signed else -0.01 * high, 1.12 * high)
