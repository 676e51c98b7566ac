"""Profiles: ζ against each parameter, and the intervals that can be read off."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bimixed.exceptions import DataError
from bimixed.plots.style import COLOURS, NOTE, plain_text, response_of, tidy_axes, unit_of
from bimixed.results.normal import quantile
from bimixed.results.tables import check_level
from bimixed.shortening import MANY
from bimixed.vocabulary import explains_arguments

if TYPE_CHECKING:
    from bimixed.inference.profile import Profile

WIDE = 3
"""Panels in a row."""


@explains_arguments
@plain_text
def profile(
    profile: "Profile",
    parameters: Sequence[str] | None = None,
    levels: Sequence[float] = (0.5, 0.8, 0.95),
) -> Any:
    """Draw ζ against the value, a panel for each parameter; of many the first 60.

    A straight line is a likelihood that is normal in the parameter. Horizontal lines are the quantiles of the
    levels, and the curve crosses them at the limits, which vertical lines show.

    Parameters
    ----------
    profile : Profile
    parameters : sequence of str, optional
        Default: all that have a profile.
    levels : sequence of float

    Returns
    -------
    (rows, 3) array of matplotlib Axes
        Unused ones are invisible.

    Raises
    ------
    DataError
        If a parameter has no profile here, or there is none at all.
    """
    import matplotlib.pyplot as plt

    names = list(profile.curves if parameters is None else parameters)
    missing = [name for name in names if name not in profile.curves]
    if missing or not names:
        what = f"{missing[0]!r} has no profile here" if missing else "There is no profile to draw"
        raise DataError(f"{what}; profiles: {', '.join(profile.curves) or 'none'}.")
    for level in levels:
        check_level(level, least=0.0)
    names = names[:MANY]
    wide = min(WIDE, len(names))
    tall = -(-len(names) // wide)
    axes = plt.subplots(
        tall, wide, figsize=(3.6 * wide, 2.9 * tall), layout="constrained", squeeze=False, sharey=True
    )[1]
    for ax, name in zip(axes.flat, names, strict=False):
        _panel(ax, profile, name, levels)
    for ax in axes.flat[len(names) :]:
        ax.set_visible(False)
    for row in axes:
        row[0].set_ylabel("ζ")
    return axes


def _panel(ax: Any, profile: "Profile", name: str, levels: Sequence[float]) -> None:
    curve = profile.curves[name]
    value, zeta = profile.line(name)
    ax.plot(value, zeta, color=COLOURS[0], linewidth=1.5)
    own = [(curve.criterion.value(point.c), point.zeta) for point in curve.points]
    ax.plot(*np.array(own).T, "o", markersize=3, color=COLOURS[0])
    estimate = profile.estimates[name]
    ax.axhline(0.0, color="black", linewidth=0.5, zorder=0)
    for level in levels:
        cutoff = quantile(0.5 + level / 2.0)
        limits = profile.conf_int(level).loc[name]
        for side, limit in ((-cutoff, limits["lower"]), (cutoff, limits["upper"])):
            ax.axhline(side, color="0.85", linewidth=0.6, zorder=0)
            if np.isfinite(limit):
                height = side if limit != estimate else 0.0
                ax.plot([limit, limit], [0.0, height], color="0.6", linewidth=0.8, zorder=1)
    ax.plot([estimate], [0.0], "o", color=COLOURS[1], markersize=5)
    ax.set_title(f"{name} ({profile.criterion[name]})", fontsize="small", loc="left")
    response = response_of(profile.criteria.fit.design)
    ax.set_xlabel(unit_of(response, name), fontsize="small", color=NOTE)
    tidy_axes(ax)
