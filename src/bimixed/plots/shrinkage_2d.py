"""Shrinkage of two coefficients of a group at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bimixed.compare import own_estimates
from bimixed.covariance import Array, symmetric_root
from bimixed.design import RandomFactor
from bimixed.exceptions import DataError, UnavailableError
from bimixed.plots.shrinkage import BARS, arrows, deviation, effects
from bimixed.plots.style import (
    COLOURS,
    NOTE,
    OWN,
    STYLES,
    head,
    look,
    name_points,
    new_axes,
    plain_text,
    tidy_axes,
)
from bimixed.plots.taken import coefficient_of, factor_of, results_of
from bimixed.results.tables import check_level
from bimixed.vocabulary import explains_arguments

NAMED = 8
"""Levels that are named, those farthest out."""


@explains_arguments
@plain_text
def shrinkage_2d(
    fits: Any,
    group: str | None = None,
    coefficients: Sequence[str] | None = None,
    levels: Sequence[float] = (0.5, 0.95),
    ax: Any = None,
) -> Any:
    """Draw the shrinkage of two coefficients of a group's levels.

    Arrows lead from each level's own least-squares estimate (hollow; of the first result) to the partially
    pooled one of each result. Ellipses hold the shares ``levels`` of the effects that the estimated
    covariance gives; where a direction has no variance they are lines. (0, 0) is the population.

    Parameters
    ----------
    fits : MixedModelResult, list, dict or Comparison
    group : str, optional
        Default: the first group with two coefficients.
    coefficients : pair of str, optional
        Default: the group's first two.
    levels : sequence of float
        Probabilities.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    DataError
        If the group or a coefficient isn't there, or the group has one coefficient only.
    """
    results = results_of(fits)
    first = next(iter(results.values()))
    if group is None:
        group = next((f.key for f in first.design.factors if f.n_coefficients > 1), None)
    factor = factor_of(results, group, "shrinkage_2d")
    pair = _pair(factor, coefficients)
    for level in levels:
        check_level(level, least=0.0)
    ax = new_axes(ax, figsize=(7, 5.5))
    own = own_estimates(first, factor)[:, [factor.names.index(name) for name in pair]].T
    pooled = np.array([effects(results, factor, name)[0] for name in pair])
    if np.isnan(pooled).any(axis=0).all():
        raise UnavailableError(
            f"The data don't tell both {pair[0]!r} and {pair[1]!r} of any level of {factor.key!r} (see "
            "fit.diagnostics); bm.plots.shrinkage draws one."
        )
    many = factor.n_levels > BARS
    _own(ax, own, many)
    for i, (result, fit) in enumerate(results.items()):
        colour = COLOURS[i % len(COLOURS)]
        here = fit.design.factor(factor.key)
        places = [here.names.index(name) for name in pair]
        cov = fit.estimates.random_cov[factor.key][np.ix_(places, places)]
        arrows(ax, (own[0], own[1]), (pooled[0, i], pooled[1, i]), colour, many)
        size = 2.0 if many else max(6.5 - 2.5 * i, 3.0)
        ax.plot(*pooled[:, i], linestyle="none", markersize=size, label=result, zorder=4 + i, **look(i))
        for curve in ellipses(cov, levels):
            ax.plot(*curve, color=colour, linestyle=STYLES[i % len(STYLES)], linewidth=1.0, zorder=2)
    _limits(ax, own, pooled)
    ax.axhline(0.0, color="0.8", linewidth=0.8, zorder=0)
    ax.axvline(0.0, color="0.8", linewidth=0.8, zorder=0)
    ax.set_xlabel(deviation(first, pair[0]).replace("\n", " "))
    ax.set_ylabel(deviation(first, pair[1]))
    shares = " and ".join(f"{level:.0%}" for level in levels)
    head(ax, f"Shrinkage by {factor.key}" + (f"; ellipses hold {shares} of the effects" if shares else ""))
    tidy_axes(ax)
    _name_far(ax, own, pooled, [str(level) for level in factor.levels])
    return ax


def _pair(factor: RandomFactor, coefficients: Sequence[str] | None) -> list[str]:
    if factor.n_coefficients < 2:
        raise DataError(
            f"Group {factor.key!r} has one coefficient, {factor.names[0]}, and this takes two; "
            "bm.plots.shrinkage draws one."
        )
    pair = list(factor.names[:2] if coefficients is None else coefficients)
    if len(pair) != 2 or pair[0] == pair[1] or isinstance(coefficients, str):
        raise DataError(f"coefficients= takes two different ones of {', '.join(factor.names)}.")
    return [coefficient_of(factor, name) for name in pair]


def _name_far(ax: Any, own: Array, pooled: Array, names: list[str]) -> None:
    """Names of the levels that are farthest out, each coefficient over its largest."""
    sizes = np.abs(pooled[:, 0])
    scaled = sizes / np.maximum(sizes.max(axis=1, keepdims=True), 1e-300)
    far = np.argsort(-scaled.sum(axis=0), kind="stable")[: 3 * NAMED]
    every = np.concatenate([own[:, np.isfinite(own).all(axis=0)].T, *np.moveaxis(pooled, 0, -1)])
    name_points(ax, pooled[:, 0, far].T, [names[j] for j in far], NAMED, every)


def _own(ax: Any, own: Array, many: bool) -> None:
    """Levels' own estimates, (2, L)."""
    if np.isfinite(own).all(axis=0).any():
        ax.scatter(
            *own, s=8 if many else 28, facecolors="none", edgecolors=OWN, zorder=2, label="own (no pooling)"
        )


def ellipses(cov: Array, levels: Sequence[float]) -> list[Array]:
    """Curves, (2, points), that hold these shares of a normal distribution with mean 0."""
    if np.isnan(cov).any():
        return []
    angle = np.linspace(0.0, 2.0 * np.pi, 181)
    circle = symmetric_root(cov) @ np.array([np.cos(angle), np.sin(angle)])
    return [np.sqrt(-2.0 * np.log1p(-level)) * circle for level in levels]


def _limits(ax: Any, own: Array, pooled: Array) -> None:
    """Room for all pooled estimates and ellipses, and for own ones that don't lie far beyond."""
    drawn = np.concatenate([line.get_xydata() for line in ax.lines]).T
    outside = np.zeros(own.shape[1], dtype=bool)
    for values, line, set_limits in ((own[0], drawn[0], ax.set_xlim), (own[1], drawn[1], ax.set_ylim)):
        reach = max(float(np.nanmax(np.abs(line))), 1e-12)
        known = np.abs(values[np.isfinite(values)])
        limit = max(1.1 * reach, min(1.08 * float(known.max(initial=0.0)), 2.2 * reach))
        if reach <= 1e-12 and known.size:
            limit = 1.08 * float(known.max())
        set_limits(-limit, limit)
        outside |= np.abs(np.nan_to_num(values)) > limit
    if outside.any():
        ax.annotate(
            f"{int(outside.sum())} own estimates lie outside", (0.99, 0.02), xycoords="axes fraction",
            ha="right", fontsize="small", color=NOTE,
        )  # fmt: skip
