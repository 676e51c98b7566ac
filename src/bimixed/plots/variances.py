"""Parts of the variance of a row: fixed effects, each group, residual."""

from typing import Any

import numpy as np

from bimixed.exceptions import UnavailableError
from bimixed.inference.variance_shares import variances as parts_of
from bimixed.plots.style import OWN, head, new_axes, plain_text, response_of, tidy_axes
from bimixed.plots.taken import results_of
from bimixed.vocabulary import explains_arguments

FIXED = "#000000"
GROUPS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo")
WRITTEN = 0.07
"""Shares above this have their figure written into the bar."""


@explains_arguments
@plain_text
def variances(fits: Any, ax: Any = None) -> Any:
    """Draw which part of the variance of a row is due to the fixed effects, each group and the residual.

    Averages over the rows used, as in ``fit.r2()`` and ``fit.icc()``; for draws posterior means of the
    shares.

    Parameters
    ----------
    fits : MixedModelResult, list, dict or Comparison
        A bar each.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    UnavailableError
        Where a variance isn't identified.
    """
    results = results_of(fits)
    shares: dict[str, dict[str, float]] = {}
    for name, fit in results.items():
        v = parts_of(fit)
        parts = {"fixed effects": v.fixed, **v.random, "residual": v.residual}
        shares[name] = {part: float(np.mean(own / v.total)) for part, own in parts.items()}
        if not np.isfinite(list(shares[name].values())).all():
            raise UnavailableError(
                f"{name}: a variance isn't identified (see fit.diagnostics), so that there are no shares."
            )
    groups = [p for own in shares.values() for p in own if p not in ("fixed effects", "residual")]
    order = ["fixed effects", *dict.fromkeys(groups), "residual"]
    ax = new_axes(ax, figsize=(7, 1.5 + 0.45 * len(results)))
    y = np.arange(len(results))[::-1]
    start = np.zeros(len(results))
    for i, part in enumerate(order):
        width = np.array([own.get(part, 0.0) for own in shares.values()])
        colour = FIXED if i == 0 else OWN if part == "residual" else GROUPS[(i - 1) % len(GROUPS)]
        hatch = "" if part in ("fixed effects", "residual") else HATCHES[(i - 1) % len(HATCHES)]
        ax.barh(y, width, left=start, height=0.6, color=colour, hatch=hatch, edgecolor="white", label=part)
        for place, begin, share in zip(y, start, width, strict=True):
            if share > WRITTEN:
                ax.text(
                    begin + 0.5 * share, place, f"{share:.0%}", ha="center", va="center", fontsize="small",
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
                )  # fmt: skip
        start = start + width
    ax.set_yticks(y, list(results))
    ax.set_xlim(0.0, 1.0)
    ax.set_xlabel(f"share of the variance of {response_of(next(iter(results.values())).design)}")
    head(ax, "Parts of the variance of a row")
    tidy_axes(ax)
    return ax
