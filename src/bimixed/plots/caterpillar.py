"""Caterpillar: random effects in order, with intervals."""

from typing import Any

import numpy as np

from bimixed.exceptions import UnavailableError
from bimixed.plots.style import (
    COLOURS,
    OWN,
    head,
    look,
    new_axes,
    plain_text,
    response_of,
    short,
    tidy_axes,
    unit,
)
from bimixed.plots.taken import coefficient_of, factor_of, results_of
from bimixed.shortening import MANY
from bimixed.vocabulary import explains_arguments


@explains_arguments
@plain_text
def caterpillar(
    fits: Any, group: str | None = None, coefficient: str | None = None, level: float = 0.95, ax: Any = None
) -> Any:
    """Draw the random effects of a group, ordered by the first result, with intervals.

    Up to 60 levels are named. Of more, those whose interval lies on one side of 0 are drawn in colour, and
    the others in grey.

    Parameters
    ----------
    fits : MixedModelResult, list, dict or Comparison
    group : str, optional
        Default: the first group.
    coefficient : str, optional
        Default: the group's first coefficient.
    level : float
        Of the intervals, those of ``fit.ranef_table``: given the estimated variances for likelihood fits,
        equal tails for draws.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    DataError
        If there is no such group or coefficient, or ``level`` is no probability.
    UnavailableError
        If the coefficient's variance isn't identified.
    """
    results = results_of(fits)
    factor = factor_of(results, group, "caterpillar")
    name = coefficient_of(factor, coefficient)
    tables = {}
    for result, fit in results.items():
        coefficient_of(fit.design.factor(factor.key), name)
        table = fit.ranef_table(factor.key, level)
        tables[result] = table[table["coefficient"] == name].set_index("level")
    first = next(iter(tables.values()))
    if first["std_error"].isna().all():
        raise UnavailableError(
            f"The variance of {name!r} between levels of {factor.key!r} is not identified (see "
            "fit.diagnostics), so that nothing is known of its effects; leave it out of the model."
        )
    order = np.argsort(first["estimate"].to_numpy(), kind="stable")
    told = np.any([table["estimate"].notna() for table in tables.values()], axis=0)
    order = order[told[order]]  # of other levels the data tell nothing
    named = len(order) <= MANY
    ax = new_axes(ax, figsize=(6.5, max(2.6, 1.2 + 0.2 * len(order) * max(1.0, 0.5 * len(results)))) if named
                  else (6.5, 7))  # fmt: skip
    y = np.arange(len(order), dtype=np.float64)
    ax.axvline(0.0, color="black", linewidth=0.8, zorder=0)
    for i, (result, table) in enumerate(tables.items()):
        shift = (0.5 * (len(tables) - 1) - i) * 0.6 / len(tables) if named else 0.0
        _draw(ax, y + shift, table.iloc[order], i, result, named, len(tables))
    if named:
        ax.set_yticks(y, [short(level, 40) for level in first.index[order]], fontsize="small")
        ax.set_ylabel(factor.key)
    else:
        ax.set_yticks([])
        ax.set_ylabel(f"{len(order)} levels of {factor.key}, ordered by {next(iter(tables))}")
    ax.set_ylim(-0.02 * len(order) - 0.7, 1.02 * len(order) - 0.3)
    response = response_of(next(iter(results.values())).design)
    ax.set_xlabel(f"deviation of {name} from the population\n({unit(response, name)})")
    note = "" if named or len(tables) > 1 else "\ngrey: the interval contains 0"
    head(ax, f"{name} by {factor.key}, {level:.0%} intervals{note}", legend=len(tables) > 1)
    tidy_axes(ax)
    return ax


def _draw(ax: Any, y: Any, table: Any, i: int, result: str, named: bool, results: int) -> None:
    estimate, lower, upper = (table[name].to_numpy() for name in ("estimate", "lower", "upper"))
    if named:
        ax.hlines(y, lower, upper, color=COLOURS[i % len(COLOURS)], linewidth=1.4, zorder=2)
        ax.plot(estimate, y, linestyle="none", markersize=4.5, label=result, zorder=3, **look(i))
        return
    apart = (lower > 0.0) | (upper < 0.0)
    for chosen, colour in ((~apart, OWN), (apart, COLOURS[i % len(COLOURS)])):
        colour = COLOURS[i % len(COLOURS)] if results > 1 else colour  # noqa: PLW2901
        thin = min(0.7, 300.0 / len(y))
        ax.hlines(y[chosen], lower[chosen], upper[chosen], color=colour, linewidth=thin, alpha=0.6, zorder=1)
        ax.plot(estimate[chosen], y[chosen], ".", color=colour, markersize=2.5, zorder=3)
    ax.plot([], [], label=result, linestyle="none", **look(i))
