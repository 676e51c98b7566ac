"""Residual diagnostics: against fitted values, normal scores of residuals and random effects, by group."""

from typing import Any

import numpy as np

from bimixed.inference.residual_checks import (
    BAND,
    Residuals,
    binned_means,
    normal_scores,
    residuals_of,
    standardized_effects,
)
from bimixed.plots.style import (
    COLOURS,
    MARKERS,
    NOTE,
    OWN,
    name_points,
    new_grid,
    plain_text,
    response_of,
    short,
    tidy_axes,
)
from bimixed.plots.taken import coefficient_of, factor_of, one_result
from bimixed.results import MixedModelResult
from bimixed.results.sources import source_of
from bimixed.vocabulary import explains_arguments

SAMPLE = 10_000
"""Rows of a source that are drawn."""
POINTS = 4000
"""Of more rows, counts in cells are drawn, and one normal score in several."""
NAMED_LEVELS = 30
ALL_NAMES = 40.0
"""Letters that fit below an axis without turning them."""


@explains_arguments
@plain_text
def residuals(fit: Any, group: str | None = None, coefficient: str | None = None, data: Any = None) -> Any:
    """Draw residuals against fitted values, normal scores of them and of random effects, and them by group.

    Residuals are given the random effects and divided by their sd, σ/√w. Orange dots are means of residuals
    in 20 bins of fitted values with two standard errors. Random effects are divided by the sd that their
    estimates have, which is less than that of the effects. Bands are pointwise 95 % limits of independent
    normal values, which residuals are only nearly.

    Parameters
    ----------
    fit : MixedModelResult
    group : str, optional
        Whose effects and levels are drawn. Default: the first group.
    coefficient : str, optional
        Default: the group's first coefficient.
    data : table or source, optional
        Rows to draw residuals of, which the title tells; of a source a sample of 10,000 rows. Incomplete rows
        are left out, new levels have an effect of 0. Needed for fits of a source, which keep no rows; default
        the rows used. Random effects are those of all levels of the fit.

    Returns
    -------
    (2, 2) array of matplotlib Axes

    Raises
    ------
    DataError
        If there is no such group or coefficient, or several results are given.
    UnavailableError
        Of a fit of a source without ``data``.
    """
    result = one_result(fit, "residuals")
    source = source_of(data)
    found = residuals_of(result, data if source is None else source.sample(SAMPLE))
    factor = factor_of({"": result}, group, "residuals")
    name = coefficient_of(factor, coefficient)
    e = found.standardized
    axes = new_grid(4, 2, (5.2, 3.8))
    _against_fitted(axes[0, 0], result, found)
    _scores(axes[0, 1], e, None, "residual", "sds")
    effects = standardized_effects(result, factor.key)[:, factor.names.index(name)]
    known = np.isfinite(effects)
    if known.sum() > 1:
        labels = [str(level) for level in factor.levels[known]]
        _scores(axes[1, 0], effects[known], labels, f"{name} of {factor.key}", "sds of its estimates")
    else:
        _nothing(axes[1, 0], f"{name} of {factor.key}:\nthe estimated variance is 0")
    if factor.is_mixed:
        _nothing(axes[1, 1], f"Rows combine levels of {factor.key}:\nnone belongs to one of them")
    else:
        _by_group(axes[1, 1], e, factor, found.codes[factor.key])
    of = "" if data is None else f", a sample of {len(e):,} rows"
    title = f"Residuals of {result.formula}"[: 110 - len(of)] + of
    axes.flat[0].figure.suptitle(title, x=0.01, ha="left", fontsize="medium")
    return axes


def _against_fitted(ax: Any, fit: MixedModelResult, found: Residuals) -> None:
    fitted, e = found.fitted, found.standardized
    ax.axhline(0.0, color="black", linewidth=0.8, zorder=2)
    if len(e) > POINTS:
        ax.hexbin(fitted, e, gridsize=60, cmap="Greys", bins="log", mincnt=1, linewidths=0.1)
    else:
        ax.plot(fitted, e, "o", color=OWN, markersize=3, alpha=0.7, markeredgewidth=0)
    means = binned_means(fitted, e)
    ax.errorbar(
        means.x, means.y, yerr=2.0 * means.std_error, fmt="D", markersize=4, color=COLOURS[1], linewidth=1.2,
        zorder=4,
    )  # fmt: skip
    ax.set_xlabel(f"fitted {response_of(fit.design)}")
    ax.set_ylabel("residual (sds)")
    ax.set_title("Against fitted values, with means of bins", loc="left", fontsize="small")
    tidy_axes(ax)


def _scores(ax: Any, values: Any, labels: list[str] | None, what: str, units: str) -> None:
    found = normal_scores(values)
    t = found.theoretical
    ax.fill_between(t, found.lower, found.upper, color="0.88", linewidth=0, zorder=0)
    ax.plot(t[[0, -1]], t[[0, -1]], color="black", linewidth=0.8, zorder=1)
    shown = np.arange(len(t))
    if len(t) > POINTS:  # all in the tails, some between
        middle = np.linspace(200, len(t) - 201, POINTS - 400).round().astype(int)
        shown = np.concatenate([shown[:200], middle, shown[-200:]])
    ax.plot(
        t[shown],
        found.sample[shown],
        MARKERS[0],
        color=COLOURS[0],
        markersize=3.5,
        markeredgewidth=0,
        zorder=3,
    )
    ax.set_xlabel("normal score")
    ax.set_ylabel(f"{what} ({units})" if len(what) < 24 else f"{what}\n({units})")
    ax.set_title(f"Normal scores, {what} (band: {BAND:.0%})", loc="left", fontsize="small")
    tidy_axes(ax)
    if labels is not None:
        outside = (found.sample < found.lower) | (found.sample > found.upper)
        places = np.flatnonzero(outside)
        places = places[np.argsort(-np.abs(found.sample[places]), kind="stable")]
        points = np.column_stack([t, found.sample])[places]
        names = [labels[found.order[j]] for j in places]
        name_points(ax, points, names, 5, np.column_stack([t, found.sample]))


def _by_group(ax: Any, e: Any, factor: Any, codes: Any) -> None:
    if not (codes >= 0).any():
        _nothing(ax, f"None of the rows is of a level of {factor.key}")
        return
    parts = [e[codes == level] for level in range(factor.n_levels)] if factor.n_levels <= 45 else []
    ax.axhline(0.0, color="black", linewidth=0.8, zorder=0)
    if factor.n_levels <= NAMED_LEVELS:
        ax.boxplot(
            parts, positions=np.arange(len(parts)), widths=0.6, flierprops={"marker": ".", "markersize": 3},
            medianprops={"color": COLOURS[1]}, boxprops={"color": NOTE}, whiskerprops={"color": NOTE},
            capprops={"color": NOTE},
        )  # fmt: skip
        names = [short(level) for level in factor.levels]
        turned = sum(map(len, names)) > ALL_NAMES
        ax.set_xticks(range(len(parts)), names, rotation=90 if turned else 0, fontsize="small")
        ax.set_xlabel(factor.key)
        ax.set_title(f"By {factor.key}", loc="left", fontsize="small")
    else:
        low, middle, high = _quartiles(e[codes >= 0], codes[codes >= 0])
        order = np.argsort(middle, kind="stable")
        at = np.arange(len(order))
        ax.vlines(at, low[order], high[order], color=OWN, linewidth=0.8 if len(at) < 200 else 0.3, zorder=1)
        ax.plot(at, middle[order], ".", color=COLOURS[1], markersize=4 if len(at) < 200 else 1.5, zorder=2)
        ax.set_xticks([])
        ax.set_xlabel(f"{len(at)} levels of {factor.key}, ordered by median")
        ax.set_title(f"By {factor.key}: medians and quartiles", loc="left", fontsize="small")
    ax.set_ylabel("residual (sds)")
    tidy_axes(ax)


def _quartiles(e: Any, codes: Any) -> Any:
    """Quartiles of each level's residuals, (3, levels with rows)."""
    order = np.argsort(codes, kind="stable")
    borders = np.flatnonzero(np.diff(codes[order])) + 1
    parts = np.split(e[order], borders)
    return np.array([np.quantile(part, [0.25, 0.5, 0.75]) for part in parts]).T


def _nothing(ax: Any, words: str) -> None:
    ax.annotate(words, (0.5, 0.5), xycoords="axes fraction", ha="center", va="center", color=NOTE)
    ax.set_axis_off()
