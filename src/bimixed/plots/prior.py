"""Priors: the density of each beside REML's estimate, and the responses they imply beside those observed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.exceptions import DataError
from bimixed.plots.style import COLOURS, plain_text, tidy_axes
from bimixed.prior_check import reml_beside
from bimixed.prior_marginals import Marginal, marginals
from bimixed.results import MixedModelResult
from bimixed.shortening import listed
from bimixed.vocabulary import explains_arguments

if TYPE_CHECKING:
    from bimixed.spec import ModelSpec

PANELS = 24
"""Parameters that are drawn at most."""
COLUMNS = 4
CENTRAL = 0.98
"""Probability of the part of a prior that is drawn."""
WIDTH = 90
"""Characters of the formula in the title."""
LARGEST = 5_000_000
"""Numbers of the prior predictive distribution, fewest and most draws of it."""
DRAWS = (20, 500)
DEFAULT, REML, GIVEN, IMPLIED = COLOURS[:4]
OBSERVED = "#555555"


@explains_arguments
@plain_text
def prior(
    spec: "ModelSpec | MixedModelResult", parameters: Sequence[str] | None = None, random_seed: int = 1
) -> list[Any]:
    """Draw the priors of a specification in the data's units.

    One small panel for each fixed effect, sd, correlation and sigma, with the central 98 % of its prior
    and, as a line and a band, REML's estimate and 95 % interval, as far as the model has them; last the
    prior predictive distribution of the response above that observed. Of many parameters 24 are drawn.

    Parameters
    ----------
    spec : ModelSpec or MixedModelResult
        A specification, or a fit of it.
    parameters : sequence of str, optional
        Which to draw, named as in ``conf_int``.
    random_seed : int
        Of the prior predictive distribution.

    Returns
    -------
    list of matplotlib Axes
        In the order of the panels.

    Raises
    ------
    DataError
        For an unknown parameter.
    """
    import matplotlib.pyplot as plt

    spec = spec.spec if isinstance(spec, MixedModelResult) else spec
    known = marginals(spec.design, spec.priors)
    chosen = _first(known) if parameters is None else _named(known, parameters)
    reml = reml_beside(spec.design, [m.name for m in known])
    rows = -(-len(chosen) // COLUMNS)
    figure = plt.figure(figsize=(11, 0.9 + 1.9 * rows + 2.6), layout="constrained")
    grid = figure.add_gridspec(rows + 1, COLUMNS, height_ratios=[1.9] * rows + [2.4])
    axes = [figure.add_subplot(grid[i // COLUMNS, i % COLUMNS]) for i in range(len(chosen))]
    for ax, m in zip(axes, chosen, strict=True):
        _panel(ax, m, m.key in spec.priors.given, reml.loc[m.name])
    last = figure.add_subplot(grid[rows, :])
    _predictive(last, spec, random_seed)
    figure.suptitle(_title(spec, len(chosen), len(known)), x=0.01, ha="left", fontsize="medium")
    handles = _legend(spec, chosen)
    figure.legend(handles=handles, loc="outside lower left", ncols=5, frameon=False, fontsize="small")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
    return [*axes, last]


def _first(known: list[Marginal]) -> list[Marginal]:
    """Of many parameters some of the fixed effects, and of the others."""
    if len(known) <= PANELS:
        return known
    fixed = [m for m in known if not m.is_variance]
    others = [m for m in known if m.is_variance]
    others = others[: max(PANELS // 2, PANELS - len(fixed))]
    return fixed[: PANELS - len(others)] + others


def _named(known: list[Marginal], names: Sequence[str]) -> list[Marginal]:
    by_name = {m.name: m for m in known}
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in by_name:
            raise DataError(f"The model has no parameter {name!r}; it has {listed(by_name)}.")
    return [by_name[name] for name in names]


def _title(spec: "ModelSpec", shown: int, total: int) -> str:
    formula = spec.formula if len(spec.formula) <= WIDTH else f"{spec.formula[: WIDTH - 1]}…"
    title = f"Priors of {formula}, in units of {spec.design.formula.response}"
    if shown < total:
        title += f"\n{shown} of {total} parameters; parameters=[…] draws others, print(spec.priors) lists all"
    return title


def _panel(ax: Any, m: Marginal, given: bool, reml: "pd.Series[float]") -> None:
    estimate, lower, upper = reml["estimate"], reml["lower"], reml["upper"]
    colour = GIVEN if given else DEFAULT
    x, density, top = _curve(m, [value for value in (estimate, lower, upper) if np.isfinite(value)])
    ax.fill_between(x, density, color=colour, alpha=0.25, linewidth=0)
    ax.plot(x, density, color=colour, linewidth=1.2)
    if np.isfinite(lower) and np.isfinite(upper):
        ax.axvspan(lower, upper, color=REML, alpha=0.2, linewidth=0)
    if np.isfinite(estimate):
        ax.axvline(estimate, color=REML, linewidth=1.5)
    else:
        ax.annotate("no estimate", (0.98, 0.9), xycoords="axes fraction", ha="right", fontsize="x-small")
    room = 0.02 * (x[-1] - x[0])
    ax.set_xlim(x[0] - room, x[-1] + room)
    ax.set_ylim(0.0, top)
    ax.locator_params(axis="x", nbins=5)
    ax.tick_params(labelsize="small")
    ax.set_title(m.name if len(m.name) <= 30 else m.name.replace(",", ",\n"), fontsize="small")
    ax.set_xlabel(_words(m) + ("" if given else ", default"), fontsize="x-small", color="#555555")
    _without_heights(ax)


def _curve(m: Marginal, beside: list[float]) -> tuple[Array, Array, float]:
    """Where to draw a density, the density, and how high it may go."""
    positive = m.is_variance and not m.size
    if m.is_flat:
        ends = np.array(beside or [0.0, 1.0])
        room = max(float(np.ptp(ends)), 0.1 * float(np.abs(ends).max()), 1e-12)
        first = 0.0 if positive else ends.min() - room
        return np.array([first, ends.max() + room]), np.ones(2), 1.08
    tails = (1.0 - CENTRAL) / 2.0
    own = m.distribution.ppf(np.linspace(tails, 1.0 - tails, 200))
    ends = np.array([own[0], own[-1], *beside, *([0.0] if positive else [])])
    x = np.unique(np.concatenate([np.linspace(ends.min(), ends.max(), 300), own]))
    density = np.asarray(m.distribution.pdf(x))
    finite = np.isfinite(density)
    usual = float(np.quantile(m.distribution.pdf(own), 0.75))  # some rise without bound at an end
    return x[finite], density[finite], 1.08 * min(float(density[finite].max()), 2.0 * usual)


def _without_heights(ax: Any) -> None:
    ax.set_yticks([])
    tidy_axes(ax)
    ax.spines["left"].set_visible(False)


def _words(m: Marginal) -> str:
    """The prior as it is written in papers."""
    values = ", ".join(f"{name}={value:.4g}" for name, value in m.prior.parameters.items())
    return f"{m.prior.family}({values})"


def _predictive(ax: Any, spec: "ModelSpec", random_seed: int) -> None:
    """Responses that the priors imply, pooled, and those observed, each scaled to its peak."""
    y = spec.design.y
    if any(prior.family == "flat" for prior in spec.priors.values()):
        ax.annotate(
            "Flat priors are no distributions: there is no prior predictive one.",
            (0.5, 0.5), xycoords="axes fraction", ha="center", fontsize="small",
        )  # fmt: skip
        ax.set_axis_off()
        return
    draws = int(np.clip(LARGEST // len(y), *DRAWS))
    implied = np.asarray(spec.sample_prior(draws, random_seed)["prior_predictive"]["y"]).ravel()
    ends = np.quantile(implied, [0.01, 0.99])
    lower, upper = min(ends[0], y.min()), max(ends[1], y.max())
    for values, colour, alpha in ((implied, IMPLIED, 0.25), (y, OBSERVED, 0.5)):
        height, edges = np.histogram(values, bins=80, range=(lower, upper))
        ax.stairs(height / height.max(), edges, fill=True, color=colour, alpha=alpha)
        ax.stairs(height / height.max(), edges, color=colour, linewidth=1.0)
    ax.set_xlim(lower, upper)
    ax.set_ylim(0.0, 1.08)
    ax.set_xlabel(f"{spec.design.formula.response}, each scaled to its peak", fontsize="small")
    _without_heights(ax)


def _legend(spec: "ModelSpec", chosen: list[Marginal]) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    given = {m.key in spec.priors.given for m in chosen}
    patches = {
        "prior, default (scaled by the data)": DEFAULT if False in given else None,
        "prior, given": GIVEN if True in given else None,
        "response that the priors imply": IMPLIED,
        "response observed": OBSERVED,
    }
    line = Line2D([], [], color=REML, label="REML's estimate and 95 % interval")
    return [line, *(Patch(color=c, alpha=0.5, label=name) for name, c in patches.items() if c is not None)]
