"""Shrinkage: each level's own estimate and where partial pooling moves it."""

from typing import TYPE_CHECKING, Any

import numpy as np

from bimixed.exceptions import DataError
from bimixed.plots.style import COLOURS, MARKERS, OWN, label, new_axes, tidy_axes

if TYPE_CHECKING:
    from bimixed.compare import Comparison

NAMED_LEVELS = 45
"""Up to this many levels are named on the axis."""


def shrinkage(
    comparison: "Comparison",
    group: str | None = None,
    coefficient: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw the shrinkage of one coefficient over the levels of a group.

    Levels stand side by side, ordered by the first result. A hollow grey circle, its area
    proportional to the level's rows, is the level's own least-squares estimate (absent where its rows
    can't determine one); a line leads from it to the partially pooled estimates, with bars of one
    conditional or posterior sd. 0 is the population.

    Parameters
    ----------
    comparison : Comparison
    group : str, optional
        Default: the first group.
    coefficient : str, optional
        Default: the group's first coefficient.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    DataError
        If there is no such group or coefficient.
    """
    design = comparison.results[0].design
    factor = design.factor(group) if group is not None else design.factors[0]
    name = coefficient if coefficient is not None else factor.names[0]
    if name not in factor.names:
        raise DataError(
            f"Group {factor.key!r} has no coefficient {name!r}; it has {', '.join(factor.names)}."
        )
    ax = new_axes(ax, figsize=(10, 4))
    table = comparison.shrinkage[factor.key].xs(name, level="coefficient")
    sds = comparison.ranef[factor.key].xs(name, level="coefficient")
    first, second = comparison.names[:2]
    order = np.argsort(table[f"estimate_{first}"].to_numpy(), kind="stable")
    table, sds = table.iloc[order], sds.iloc[order]
    x = np.arange(len(table))
    own = table[f"own_{first}"].to_numpy()
    ax.axhline(0.0, color="black", linewidth=0.8, zorder=0)
    ax.vlines(x, own, table[f"estimate_{first}"], color=OWN, linewidth=0.6, zorder=1)
    sizes = 10 + 90 * table["rows"].to_numpy() / table["rows"].max()
    ax.scatter(x, own, s=sizes, facecolors="none", edgecolors=OWN, zorder=2, label="own (no pooling)")
    width = 0.18 if len(table) <= 2 * NAMED_LEVELS else 0.0
    for i, result in enumerate((first, second)):
        ax.errorbar(
            x + (i - 0.5) * 2 * width,
            table[f"estimate_{result}"],
            yerr=sds[f"std_error_{result}"].fillna(0.0),
            fmt=MARKERS[i],
            markersize=4 if len(table) > NAMED_LEVELS else 5,
            linewidth=1.0,
            color=COLOURS[i],
            label=f"{label(result)} ± sd",
            zorder=3 + i,
        )
    _limit(ax, own, table, sds, (first, second))
    if len(table) <= NAMED_LEVELS:
        ax.set_xticks(x, [str(level) for level in table.index], rotation=90)
        ax.set_xlabel(factor.key)
    else:
        ax.set_xticks([])
        ax.set_xlabel(f"{len(table)} levels of {factor.key}, ordered by {label(first)}")
    ax.set_xlim(-1, len(table))
    ax.set_ylabel(f"deviation of {name}\nfrom the population")
    missing = int(np.isnan(own).sum())
    note = f" ({missing} levels have no own estimate)" if missing else ""
    ax.set_title(f"Shrinkage of {name} by {factor.key}{note}", loc="left", fontsize="medium")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize="small", borderpad=0)
    tidy_axes(ax)
    return ax


def _limit(ax: Any, own: Any, table: Any, sds: Any, names: tuple[str, str]) -> None:
    """Keep the pooled estimates readable where single own estimates lie far out, and say so."""
    pooled = np.concatenate(
        [np.abs(table[f"estimate_{n}"]) + sds[f"std_error_{n}"].fillna(0.0) for n in names]
    )
    reach = max(float(pooled.max()), 1e-12)
    known = np.abs(own[~np.isnan(own)])
    limit = max(1.3 * reach, float(np.quantile(known, 0.9)) * 1.2 if len(known) else 0.0)
    beyond = int((known > limit).sum())
    if known.size and known.max() <= 2.0 * limit:
        limit, beyond = max(limit, 1.08 * float(known.max())), 0
    ax.set_ylim(-limit, limit)
    if beyond:
        ax.annotate(
            f"{beyond} own estimates lie outside",
            xy=(0.99, 0.02),
            xycoords="axes fraction",
            ha="right",
            fontsize="small",
            color="#555555",
        )
