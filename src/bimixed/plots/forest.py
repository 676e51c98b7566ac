"""Forest: estimates and intervals of several results, parameter by parameter."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bimixed.covariance import Array
from bimixed.exceptions import DataError
from bimixed.plots.style import COLOURS, MARKERS, label, new_axes, tidy_axes
from bimixed.shortening import MANY

if TYPE_CHECKING:
    from bimixed.compare import Comparison


def forest(
    comparison: "Comparison",
    which: Literal["fixed", "variance"] = "fixed",
    level: float = 0.95,
    ax: Any = None,
) -> Any:
    """Draw estimates with intervals of both results; of many parameters the first 60.

    Parameters
    ----------
    comparison : Comparison
    which : {"fixed", "variance"}
        Fixed effects, or sds, correlations and sigma.
    level : float
        Of the intervals: Wald for likelihood fits (absent at the boundary), equal tails for draws.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    if which not in ("fixed", "variance"):
        raise DataError(f"which is {which!r}; choose 'fixed' or 'variance'.")
    table = comparison.fixef if which == "fixed" else comparison.varcorr
    readable = _readable([str(p) for p in table.index], table[f"estimate_{comparison.names[0]}"])
    parameters = readable[:MANY]
    title = _title(which, len(parameters), len(readable), len(table))
    table = table.loc[parameters]
    ax = new_axes(ax, figsize=(7, 0.8 + 0.5 * len(parameters)))
    y = np.arange(len(parameters), dtype=np.float64)[::-1]
    for i, (name, result) in enumerate(zip(comparison.names, comparison.results, strict=True)):
        limits = result.conf_int(level).loc[parameters]
        estimate = table[f"estimate_{name}"].to_numpy()
        below = np.nan_to_num(estimate - limits["lower"].to_numpy()).clip(min=0.0)
        above = np.nan_to_num(limits["upper"].to_numpy() - estimate).clip(min=0.0)
        places = y + (0.5 - i) * 0.28
        _tell_missing(ax, estimate, places, limits["lower"].to_numpy(), COLOURS[i])
        ax.errorbar(
            estimate,
            places,
            xerr=[below, above],
            fmt=MARKERS[i],
            markersize=5,
            color=COLOURS[i],
            capsize=2,
            label=label(name),
        )
    ax.axvline(0.0, color="black", linewidth=0.8, zorder=0)
    ax.set_yticks(y, parameters)
    ax.set_ylim(-0.6, len(parameters) - 0.4)
    response = comparison.results[0].design.formula.response
    unit = f"in units of {response}" if which == "fixed" else f"sds in units of {response}"
    ax.set_xlabel(f"estimate and {level:.0%} interval, {unit}")
    ax.set_title(title, loc="left", fontsize="medium")
    ax.legend(frameon=False, fontsize="small")
    tidy_axes(ax)
    return ax


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


def _readable(parameters: list[str], estimates: Any) -> list[str]:
    """Without an intercept so far from the others that they would shrink to dots."""
    others = [p for p in parameters if p != "Intercept"]
    if len(others) == len(parameters) or not others:
        return parameters
    reach = float(np.nanmax(np.abs(estimates[others])))
    return others if abs(estimates["Intercept"]) > 5.0 * reach else parameters
