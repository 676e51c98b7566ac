"""Profiles of pairs of parameters: contours of the joint profile and traces."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bimixed.exceptions import DataError
from bimixed.inference.traces import Pair, pair
from bimixed.plots.style import COLOURS, NOTE, figure_legend, plain_text, tidy_axes
from bimixed.results.tables import check_level
from bimixed.shortening import listed
from bimixed.vocabulary import explains_arguments

if TYPE_CHECKING:
    from bimixed.inference.profile import Profile

LARGEST = 10
"""Parameters at most."""
REACH = 0.965
"""Beyond this level of a joint region profiles don't reach."""


@explains_arguments
@plain_text
def profile_pairs(
    profile: "Profile", parameters: Sequence[str] | None = None, levels: Sequence[float] = (0.5, 0.8, 0.95)
) -> Any:
    """Draw every two parameters of a profile: contours of joint regions, and traces.

    Below the diagonal on the parameters' own scales, above it on that of ζ; on it each parameter's ζ. A blue
    trace is the best value of the vertical parameter given the horizontal one, an orange one the converse;
    they cross the contours where these are vertical or horizontal. Straight traces and round or elliptic
    contours above the diagonal are a likelihood that is quadratic in ζ; contours are approximate otherwise.

    Parameters
    ----------
    profile : Profile
        Of a REML fit, pairs of a fixed effect and a variance parameter are left empty, because these are
        profiled by different criteria; profile an ML fit for them.
    parameters : sequence of str, optional
        Default: all that have a profile, 10 at most.
    levels : sequence of float
        Of the joint regions (χ² with 2 degrees of freedom), 0.965 at most.

    Returns
    -------
    (m, m) array of matplotlib Axes

    Raises
    ------
    DataError
        For fewer than two parameters, one without a profile, or a level out of reach.
    """
    import matplotlib.pyplot as plt

    names = list(profile.curves if parameters is None else dict.fromkeys(parameters))
    missing = [name for name in names if name not in profile.curves]
    if missing:
        raise DataError(f"{missing[0]!r} has no profile here; profiles: {listed(profile.curves) or 'none'}.")
    if len(names) < 2:
        raise DataError(f"Pairs need two parameters at least; profiles: {listed(profile.curves) or 'none'}.")
    for level in levels:
        check_level(level, least=0.0)
        if level > REACH:
            raise DataError(f"level is {level}; profiles reach joint regions of {REACH} at most.")
    left_out = len(names) - LARGEST
    names = names[:LARGEST]
    m = len(names)
    axes = plt.subplots(m, m, figsize=(1.2 + 1.9 * m, 1.0 + 1.8 * m), layout="constrained", squeeze=False)[1]
    for i in range(m):
        _diagonal(axes[i, i], profile, names[i])
        for j in range(i):
            _off_diagonal(axes[i, j], axes[j, i], profile, names[j], names[i], tuple(levels))
    for k, name in enumerate(names):
        axes[-1, k].set_xlabel(f"{name}\n({profile.criterion[name]})", fontsize="small")
        axes[k, 0].set_ylabel(name if k else "ζ", fontsize="small")
    figure = axes[0, 0].figure
    shares = ", ".join(f"{level:.0%}" for level in levels)
    more = f"; the first {m}, parameters=[…] draws others" if left_out > 0 else ""
    figure.suptitle(f"Joint regions of {shares}: own scales below, ζ above{more}", x=0.01, ha="left",
                    fontsize="medium")  # fmt: skip
    figure_legend(figure, _handles())
    return axes


def _diagonal(ax: Any, profile: "Profile", name: str) -> None:
    value, zeta = profile.line(name)
    ax.axhline(0.0, color="0.8", linewidth=0.8, zorder=0)
    ax.plot(value, zeta, color="black", linewidth=1.2)
    ax.plot([profile.estimates[name]], [0.0], "o", color="black", markersize=3)
    ax.annotate(name, (0.03, 0.96), xycoords="axes fraction", va="top", fontsize="x-small", color=NOTE)
    ax.set_ylim(-3.2, 4.2)
    _ticks(ax)


def _off_diagonal(
    below: Any, above: Any, profile: "Profile", x: str, y: str, levels: tuple[float, ...]
) -> None:
    if profile.criterion[x] != profile.criterion[y]:
        for ax in (below, above):
            ax.annotate("REML and ML", (0.5, 0.5), xycoords="axes fraction", ha="center", va="center",
                        fontsize="x-small", color=NOTE)  # fmt: skip
            ax.set_xticks([])
            ax.set_yticks([])
            tidy_axes(ax)
        return
    found = pair(profile, x, y, levels)
    _draw(below, found, own=True)
    below.plot([profile.estimates[x]], [profile.estimates[y]], "+", color="black", markersize=5)
    _draw(above, found, own=False)
    above.plot([0.0], [0.0], "+", color="black", markersize=5)


def _draw(ax: Any, found: Pair, own: bool) -> None:
    """x is the first parameter below the diagonal, and the second above it."""
    for values, zetas in found.contours:
        x, y = values if own else zetas[::-1]
        ax.plot(x, y, color=NOTE, linewidth=1.0)
    first, second = found.second_on_first, found.first_on_second
    for i, trace in enumerate((first, second) if own else (second, first)):
        held, best = (trace.held, trace.best) if own else (trace.held_zeta, trace.best_zeta)
        xy = (held, best) if i == 0 else (best, held)
        ax.plot(*xy, color=COLOURS[i], linestyle=("-", "--")[i], linewidth=1.0)
    if found.contours:
        last = found.contours[int(np.argmax([np.abs(z).max() for _, z in found.contours]))]
        x, y = last[0] if own else last[1][::-1]
        for values, set_limits in ((x, ax.set_xlim), (y, ax.set_ylim)):
            room = 0.08 * float(np.ptp(values)) or 1.0
            set_limits(float(values.min()) - room, float(values.max()) + room)
    _ticks(ax)


def _ticks(ax: Any) -> None:
    ax.locator_params(nbins=3)
    ax.tick_params(labelsize="x-small")
    tidy_axes(ax)


def _handles() -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=NOTE, label="contours"),
        Line2D([], [], color=COLOURS[0], label="best vertical given horizontal"),
        Line2D([], [], color=COLOURS[1], linestyle="--", label="best horizontal given vertical"),
    ]
