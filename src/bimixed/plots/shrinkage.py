"""Shrinkage: each level's own estimate and where partial pooling moves it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bimixed.compare import own_estimates
from bimixed.covariance import Array
from bimixed.design import RandomFactor
from bimixed.exceptions import UnavailableError
from bimixed.plots.style import (
    COLOURS,
    NOTE,
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
from bimixed.results import MixedModelResult
from bimixed.vocabulary import explains_arguments

NAMED_LEVELS = 45
"""Up to this many levels are named on the axis."""
LETTERS = 60
"""As many letters of names fit side by side."""
BARS = 120
"""Up to this many have bars."""


@explains_arguments
@plain_text
def shrinkage(fits: Any, group: str | None = None, coefficient: str | None = None, ax: Any = None) -> Any:
    """Draw the shrinkage of one coefficient over the levels of a group.

    Levels stand side by side, ordered by the first result. A hollow grey circle, its area
    proportional to the level's rows, is the level's own least-squares estimate by the first result's fixed
    effects (absent where its rows can't determine one); arrows lead from it to the partially pooled
    estimates, with bars of one conditional or posterior sd up to 120 levels. 0 is the population.

    Parameters
    ----------
    fits : MixedModelResult, list, dict or Comparison
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
    results = results_of(fits)
    factor = factor_of(results, group, "shrinkage")
    name = coefficient_of(factor, coefficient)
    first = next(iter(results.values()))
    ax = new_axes(ax, figsize=(10, 4))
    own = own_estimates(first, factor)[:, factor.names.index(name)]
    pooled, sds = effects(results, factor, name)
    order = np.lexsort((own, pooled[0]))
    own, pooled, sds = own[order], pooled[:, order], sds[:, order]
    x = np.arange(len(own))
    many = len(own) > BARS
    ax.axhline(0.0, color="black", linewidth=0.8, zorder=0)
    rows = factor.level_counts()[order]
    sizes = (4 if many else 10) + (20 if many else 90) * rows / rows.max()
    if np.isfinite(own).any():
        ax.scatter(x, own, s=sizes, facecolors="none", edgecolors=OWN, zorder=2, label="own (no pooling)")
    width = 0.36 / len(results) if len(own) <= 2 * NAMED_LEVELS and len(results) > 1 else 0.0
    for i, result in enumerate(results):
        at = x + (i - 0.5 * (len(results) - 1)) * 2 * width
        arrows(ax, (x, own), (at, pooled[i]), COLOURS[i % len(COLOURS)], many)
        ax.errorbar(
            at,
            pooled[i],
            yerr=None if many else np.nan_to_num(sds[i]),
            linestyle="none",
            markersize=_marker_size(len(own)),
            linewidth=1.0,
            label=result if many else f"{result} ± sd",
            zorder=4 + i,
            **look(i),
        )
    _limit(ax, own, pooled, 0.0 if many else np.nan_to_num(sds))
    if len(own) <= NAMED_LEVELS:
        names = [short(level) for level in factor.levels[order]]
        ax.set_xticks(x, names, rotation=90 if sum(map(len, names)) > LETTERS else 0)
        ax.set_xlabel(factor.key)
    else:
        ax.set_xticks([])
        ax.set_xlabel(f"{len(own)} levels of {factor.key}, ordered by {next(iter(results))}")
    ax.set_xlim(-1, len(own))
    ax.set_ylabel(deviation(first, name))
    head(ax, f"Shrinkage of {name} by {factor.key}{_missing(own)}")
    tidy_axes(ax)
    return ax


def deviation(fit: MixedModelResult, name: str) -> str:
    """Label of an axis of a coefficient's deviations."""
    return f"deviation of {name} from the\npopulation ({unit(response_of(fit.design), name)})"


def effects(results: Mapping[str, MixedModelResult], factor: RandomFactor, name: str) -> tuple[Array, Array]:
    """Random effects of one coefficient and their sds, (results, L) each."""
    estimates, sds = [], []
    for fit in results.values():
        k = fit.design.factor(factor.key).names.index(coefficient_of(fit.design.factor(factor.key), name))
        estimates.append(fit.estimates.ranef[factor.key][:, k])
        sds.append(fit.estimates.ranef_sd[factor.key][:, k])
    if np.isnan(estimates).all():
        raise UnavailableError(
            f"The data don't tell {name!r} of any level of {factor.key!r}: its effects are NaN (see "
            "fit.diagnostics)."
        )
    return np.array(estimates), np.array(sds)


def arrows(ax: Any, tails: tuple[Any, Array], heads: tuple[Any, Any], colour: str, many: bool) -> None:
    """Arrows from points that are known; of many lines without heads."""
    from matplotlib.collections import LineCollection
    from matplotlib.patches import FancyArrowPatch

    known = np.isfinite(tails[0]) & np.isfinite(tails[1])
    ends = np.stack([np.column_stack(tails), np.column_stack(heads)], axis=1)[known]
    if many:
        ax.add_collection(LineCollection(list(ends), colors=colour, linewidths=0.4, alpha=0.35, zorder=1))
        return
    for tail, to in ends:
        ax.add_patch(
            FancyArrowPatch(
                tail, to, arrowstyle="-|>", mutation_scale=7, shrinkA=2, shrinkB=2.5, color=colour, alpha=0.6,
                linewidth=0.7, zorder=1,
            )
        )  # fmt: skip


def _marker_size(levels: int) -> float:
    return 1.2 if levels > 500 else 2.5 if levels > BARS else 4.0 if levels > NAMED_LEVELS else 5.0


def _missing(own: Array) -> str:
    missing = int(np.isnan(own).sum())
    if missing == len(own):
        return "\nno level's rows determine an estimate of its own"
    return f"\n{missing} of {len(own)} levels have no estimate of their own" if missing else ""


def _limit(ax: Any, own: Array, pooled: Array, sds: Any) -> None:
    """Keep the pooled estimates readable where single own estimates lie far out, and say so."""
    reach = max(float(np.nanmax(np.abs(pooled) + sds)), 1e-12)
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
            color=NOTE,
        )
