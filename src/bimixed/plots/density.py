"""Densities of parameters: the posterior, and what a likelihood fit says of the same parameter."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bimixed.exceptions import DataError
from bimixed.inference import densities
from bimixed.inference.densities import Density
from bimixed.plots.style import (
    COLOURS,
    NOTE,
    STYLES,
    figure_legend,
    head,
    new_grid,
    plain_text,
    response_of,
    tidy_axes,
    unit_of,
)
from bimixed.plots.taken import draws_of, results_of
from bimixed.results import MixedModelResult
from bimixed.shortening import listed
from bimixed.vocabulary import explains_arguments

if TYPE_CHECKING:
    from bimixed.inference.bootstrap import Bootstrap
    from bimixed.inference.profile import Profile

PANELS = 24
"""As many parameters at most."""
WIDE = 3
PROFILE, BOOTSTRAP = "#000000", "#E69F00"
TOLD = 0.005
"""Probabilities of a bound above this are told."""


@explains_arguments
@plain_text
def density(
    fits: Any,
    parameters: str | Sequence[str] | None = None,
    *,
    profile: "Profile | None" = None,
    bootstrap: "Bootstrap | None" = None,
    ax: Any = None,
) -> Any:
    """Draw the posterior density of parameters, and over it what likelihood fits say of them.

    Draws are smoothed and filled. Of a likelihood fit a vertical line is the estimate and a curve the normal
    (or Student's t) distribution of its Wald limits, on the log scale of sds and Fisher's z of correlations;
    there is none at a boundary. Curves of a profile and of a bootstrap have, between two limits, the level of
    that interval as area; what lies at a bound is told in words.

    Parameters
    ----------
    fits : MixedModelResult, list, dict or Comparison
    parameters : str or list of str, optional
        Names as in ``fit.conf_int()``. Default: all of the first result, 24 at most.
    profile : Profile, optional
    bootstrap : Bootstrap, optional
    ax : matplotlib Axes, optional
        For one parameter.

    Returns
    -------
    (rows, 3) array of matplotlib Axes, or, if ``ax`` is given, that
        Unused ones are invisible.

    Raises
    ------
    DataError
        If no result has a parameter, or ``ax`` is given for several.
    """
    results = results_of(fits)
    first = next(iter(results.values()))
    names = _names(first, parameters)
    if ax is not None and len(names) != 1:
        raise DataError(f"One axes takes one parameter, and {len(names)} are asked for; leave out ax=.")
    axes = np.array([[ax]]) if ax is not None else new_grid(len(names), WIDE, (3.6, 2.7))
    for own, name in zip(axes.flat, names, strict=False):
        curves = _curves(results, name, profile, bootstrap)
        if not curves:
            raise DataError(f"No result has a parameter {name!r}; the first has {listed(_known(first))}.")
        _panel(own, curves, name, response_of(first.design))
    handles = _handles(results, profile, bootstrap)
    if ax is not None:
        head(ax, names[0], handles=handles)
        return ax
    if len(names) < len(_known(first)) and parameters is None:
        axes.flat[0].figure.suptitle(
            f"{len(names)} of {len(_known(first))} parameters; parameters=[…] draws others",
            x=0.01, ha="left", fontsize="medium",
        )  # fmt: skip
    figure_legend(axes.flat[0].figure, handles)
    return axes


def _known(fit: MixedModelResult) -> list[str]:
    return densities.parameter_names(fit)


def _names(fit: MixedModelResult, parameters: str | Sequence[str] | None) -> list[str]:
    if isinstance(parameters, str):
        return [parameters]
    if parameters is not None:
        if not len(parameters):
            raise DataError("parameters= is empty; name some, or leave it out.")
        return list(parameters)
    known = _known(fit)
    fixed = [p for p in known if p in fit.design.names]
    others = [p for p in known if p not in fit.design.names][: max(PANELS // 2, PANELS - len(fixed))]
    return fixed[: PANELS - len(others)] + others


def _curves(
    results: dict[str, MixedModelResult], name: str, profile: Any, bootstrap: Any
) -> list[tuple[dict[str, Any], Density | None, float]]:
    """How each curve looks, the curve, and the estimate that belongs to it (NaN: none)."""
    found: list[tuple[dict[str, Any], Density | None, float]] = []
    for i, (result, fit) in enumerate(results.items()):
        if name not in _known(fit):
            continue
        look = {"color": COLOURS[i % len(COLOURS)], "linestyle": STYLES[i % len(STYLES)], "name": result}
        if draws_of(fit) is not None:
            found.append((look | {"filled": True}, densities.posterior(fit, name), np.nan))
        else:
            found.append((look, densities.wald(fit, name), densities.estimates_of(fit)[name]))
    if found and profile is not None:
        found.append(
            (
                {"color": PROFILE, "linestyle": "-", "name": "profile"},
                densities.profiled(profile, name),
                np.nan,
            )
        )
    if found and bootstrap is not None:
        found.append(
            (
                {"color": BOOTSTRAP, "linestyle": "-", "name": "bootstrap"},
                densities.bootstrapped(bootstrap, name),
                np.nan,
            )
        )
    return found


def _panel(
    ax: Any, curves: list[tuple[dict[str, Any], Density | None, float]], name: str, response: str
) -> None:
    tops, ends, told = [], [], []
    for look, curve, estimate in curves:
        style = {key: value for key, value in look.items() if key in ("color", "linestyle")}
        if np.isfinite(estimate):
            ax.axvline(estimate, color=style["color"], linewidth=1.0)
            ends += [estimate, estimate]
        if curve is None:
            continue
        shares = {place: share for place, share in curve.masses.items() if share > TOLD}
        ends += shares
        if shares:
            words = ", ".join(f"{share:.0%} at {place:g}" for place, share in shares.items())
            told.append(f"{look['name']}: {words}")
        if len(curve.value):
            ax.plot(curve.value, curve.density, linewidth=1.4, **style)
            if look.get("filled"):
                ax.fill_between(curve.value, curve.density, color=style["color"], alpha=0.2, linewidth=0)
            tops.append(_height(curve))
            ends += _range(curve)
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    room = 0.04 * (high - low) or 0.5 * abs(high) or 1.0
    bounds = densities.bounds_of(name)
    ax.set_xlim(max(low - room, bounds[0] - room), min(high + room, bounds[1] + room))
    ax.set_ylim(0.0, 1.1 * _top(tops))
    ax.set_xlabel("\n".join([unit_of(response, name), *told]), fontsize="small", color=NOTE)
    ax.set_title(name, fontsize="small", loc="left")
    ax.locator_params(axis="x", nbins=5)
    ax.set_yticks([])
    tidy_axes(ax)
    ax.spines["left"].set_visible(False)


def _range(curve: Density) -> list[float]:
    """Where all but a thousandth of the area lies on either side."""
    area = np.cumsum(curve.density * np.gradient(curve.value))
    if not area[-1] > 0.0:
        return [float(curve.value[0]), float(curve.value[-1])]
    inside = curve.value[(area >= 0.001 * area[-1]) & (area <= 0.999 * area[-1])]
    return [float(inside[0]), float(inside[-1])] if len(inside) else []


def _height(curve: Density) -> float:
    """The greatest density but for the highest hundredth of the curve's width, where it may have a spike."""
    even = np.linspace(curve.value[0], curve.value[-1], 500)
    return float(np.quantile(np.interp(even, curve.value, curve.density), 0.99))


def _top(tops: list[float]) -> float:
    """Height of the panel: a single spike may leave it."""
    return min(max(tops), 4.0 * min(tops)) if tops else 1.0


def _handles(results: dict[str, MixedModelResult], profile: Any, bootstrap: Any) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    for i, (name, fit) in enumerate(results.items()):
        colour, style = COLOURS[i % len(COLOURS)], STYLES[i % len(STYLES)]
        if draws_of(fit) is not None:
            handles.append(Patch(color=colour, alpha=0.4, label=f"{name}, posterior"))
        else:
            handles.append(Line2D([], [], color=colour, linestyle=style, label=f"{name}, estimate and Wald"))
    if profile is not None:
        handles.append(Line2D([], [], color=PROFILE, label="profile"))
    if bootstrap is not None:
        handles.append(Line2D([], [], color=BOOTSTRAP, label="bootstrap"))
    return handles
