"""Responses that the fit makes beside those observed."""

from typing import Any

import numpy as np

from bimixed.exceptions import DataError
from bimixed.inference.densities import smoothed
from bimixed.plots.style import COLOURS, head, new_axes, plain_text, response_of, tidy_axes
from bimixed.plots.taken import draws_of, one_result
from bimixed.vocabulary import explains_arguments

DISTINCT = 12
"""Up to this many distinct responses are counted one by one."""
OBSERVED = "#000000"


@explains_arguments
@plain_text
def posterior_predictive(
    fit: Any, n: int = 50, random_seed: int | None = 0, random: str = "new", ax: Any = None
) -> Any:
    """Draw densities of responses that the fit makes, and of those observed.

    Draws make each set of responses by other parameters of the posterior; likelihood fits by the estimates,
    whose uncertainty doesn't count. A response of 12 values at most is counted value by value instead: bars
    are the observed shares, and points with lines medians and 95 % ranges of the shares made, those
    beyond the values included.

    Parameters
    ----------
    fit : MixedModelResult
    n : int
        Sets of responses.
    random_seed : int, optional
    random : {"new", "conditional"}
        Random effects drawn anew, or those of the fit.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    DataError, FitError
        For an unknown ``random`` or an impossible ``n``.
    UnavailableError
        Where a variance isn't identified, for new random effects.
    """
    result = one_result(fit, "posterior_predictive")
    if random not in ("new", "conditional"):
        raise DataError(f"random is {random!r}; choose 'new' or 'conditional'.")
    made = result.simulate(n, random_seed, random).to_numpy()  # type: ignore[arg-type]
    y, response = result.design.y, response_of(result.design)
    ax = new_axes(ax, figsize=(7, 4))
    values = np.unique(y)
    if len(values) <= DISTINCT:
        _counts(ax, values, y, made)
        ax.set_ylabel("share of rows")
    else:
        _densities(ax, y, made)
        ax.set_ylabel(f"density (1 / {response})")
    ax.set_xlabel(response)
    of = "the posterior" if draws_of(result) is not None else "the estimates"
    effects = "new random effects" if random == "new" else "the fit's random effects"
    head(ax, f"{made.shape[1]} sets of responses from {of}, {effects}")
    tidy_axes(ax)
    return ax


def _densities(ax: Any, y: Any, made: Any) -> None:
    curves = [smoothed(made[:, j]) for j in range(made.shape[1])]
    for j, curve in enumerate(curves):
        ax.plot(
            curve.value, curve.density, color=COLOURS[0], linewidth=0.7, alpha=0.35,
            label="made" if j == 0 else None,
        )  # fmt: skip
    own = smoothed(y)
    ax.plot(own.value, own.density, color=OBSERVED, linewidth=2.0, label="observed")
    low = min(np.quantile(made, 0.0005), own.value[0])
    high = max(np.quantile(made, 0.9995), own.value[-1])
    ax.set_xlim(low, high)
    ax.set_ylim(0.0, 1.06 * max(curve.density.max() for curve in [own, *curves] if len(curve.density)))


def _counts(ax: Any, values: Any, y: Any, made: Any) -> None:
    """Cells end half-way between values; those beyond go on at the same width."""
    step = float(np.diff(values).min()) if len(values) > 1 else 1.0
    below = np.arange(values[0] - step, made.min() - 0.5 * step, -step)[::-1]
    above = np.arange(values[-1] + step, made.max() + 0.5 * step, step)
    places = np.concatenate([below, values, above])
    edges = np.concatenate([[-np.inf], 0.5 * (places[1:] + places[:-1]), [np.inf]])

    def shares(own: Any) -> Any:
        counts = np.bincount(np.searchsorted(edges, own, side="left") - 1, minlength=len(places))
        return counts / len(own)

    ax.bar(places, shares(y), width=0.8 * step, color="0.8", label="observed")
    low, middle, high = np.quantile(
        [shares(made[:, j]) for j in range(made.shape[1])], [0.025, 0.5, 0.975], axis=0
    )
    ax.errorbar(
        places,
        middle,
        yerr=[middle - low, high - middle],
        fmt="o",
        color=COLOURS[0],
        markersize=4,
        label="made",
    )
    if len(values) > 1:
        ax.set_xticks(values)
