"""Forest: estimates and intervals of results, parameter by parameter."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.exceptions import DataError
from bimixed.inference.densities import estimates_of
from bimixed.plots.style import COLOURS, head, look, new_axes, plain_text, response_of, tidy_axes
from bimixed.plots.taken import refuse_result, results_of
from bimixed.results import MixedModelResult
from bimixed.shortening import MANY
from bimixed.vocabulary import explains_arguments


@explains_arguments
@plain_text
def forest(
    fits: Any,
    which: Literal["fixed", "variance"] = "fixed",
    level: float = 0.95,
    ax: Any = None,
) -> Any:
    """Draw estimates with intervals of any number of results; of many parameters the first 60.

    Results may be of different models: a parameter is drawn for those that have it.

    Parameters
    ----------
    fits : MixedModelResult, list, dict or Comparison
    which : {"fixed", "variance"}
        Fixed effects, or sds, correlations and sigma.
    level : float
        Of the intervals: Wald for likelihood fits (absent at the boundary), equal tails for draws.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    DataError
        If ``which`` is neither, or a model has no fixed effects.
    """
    results = results_of(fits)
    refuse_result(which, "which", "forest")
    if which not in ("fixed", "variance"):
        raise DataError(f"which is {which!r}; choose 'fixed' or 'variance'.")
    table = _estimates(results, which)
    if not len(table):
        raise DataError("No result has fixed effects; which='variance' draws sds and correlations.")
    readable = _readable(table)
    parameters = readable[:MANY]
    title = _title(which, len(parameters), len(readable), len(table))
    table = table.loc[parameters]
    ax = new_axes(ax, figsize=(7, 1.2 + 0.24 * len(parameters) * max(2, len(results))))
    y = np.arange(len(parameters), dtype=np.float64)[::-1]
    for i, (name, result) in enumerate(results.items()):
        limits = result.conf_int(level).reindex(parameters)
        estimate = table[name].to_numpy()
        below = np.nan_to_num(estimate - limits["lower"].to_numpy()).clip(min=0.0)
        above = np.nan_to_num(limits["upper"].to_numpy() - estimate).clip(min=0.0)
        places = y + (0.5 * (len(results) - 1) - i) * min(0.28, 0.8 / len(results))
        _tell_missing(ax, estimate, places, limits["lower"].to_numpy(), COLOURS[i % len(COLOURS)])
        ax.errorbar(
            estimate, places, xerr=[below, above], linestyle="none", markersize=5, capsize=2, label=name,
            **look(i),
        )  # fmt: skip
    ax.axvline(0.0, color="black", linewidth=0.8, zorder=0)
    ax.set_yticks(y, parameters)
    ax.set_ylim(-0.6, len(parameters) - 0.4)
    response = response_of(next(iter(results.values())).design)
    unit = f"units of {response}" if which == "fixed" else f"sds: units of {response}"
    ax.set_xlabel(f"estimate and {level:.0%} interval\n({unit})")
    head(ax, title)
    tidy_axes(ax)
    return ax


def _estimates(results: Mapping[str, MixedModelResult], which: str) -> pd.DataFrame:
    """Estimates by parameter and result; NaN where a result doesn't have the parameter."""
    columns: dict[str, dict[str, float]] = {}
    for name, fit in results.items():
        fixed = set(fit.design.names)
        own = estimates_of(fit)
        columns[name] = {p: value for p, value in own.items() if (p in fixed) == (which == "fixed")}
    names = list(dict.fromkeys(p for own in columns.values() for p in own))
    if which == "variance" and "sigma" in names:
        names = [*(p for p in names if p != "sigma"), "sigma"]
    return pd.DataFrame(columns, index=names, dtype=float)


def _title(which: str, shown: int, readable: int, total: int) -> str:
    """What is drawn, and what isn't."""
    title = "Fixed effects" if which == "fixed" else "Variance parameters"
    if readable < total:
        title += " (the intercept is far off)"
    if shown < readable:
        table = "fixef" if which == "fixed" else "varcorr"
        title += f"\nthe first {shown} of {readable}; comparison.{table} has all"
    return title


def _tell_missing(ax: Any, estimates: Array, places: Array, limits: Array, colour: str) -> None:
    """Estimates without an interval are marked as such."""
    for value, place, limit in zip(estimates, places, limits, strict=True):
        if np.isfinite(value) and np.isnan(limit):
            ax.annotate(
                "no interval",
                (value, place),
                fontsize="x-small",
                xytext=(6, -3),
                textcoords="offset points",
                color=colour,
            )


def _readable(table: pd.DataFrame) -> list[str]:
    """Without an intercept so far from the others that they would shrink to dots."""
    parameters = table.index.tolist()
    others = [p for p in parameters if p != "Intercept"]
    if len(others) == len(parameters) or not others:
        return parameters
    reach = float(np.nanmax(np.abs(table.loc[others].to_numpy()), initial=0.0))
    far = float(np.nanmax(np.abs(table.loc["Intercept"].to_numpy()))) > 5.0 * reach
    return others if far else parameters
