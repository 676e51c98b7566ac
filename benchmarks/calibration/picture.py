"""The study's pictures: ECDFs of ranks, and their histograms, each with its band."""

import textwrap
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from . import bands
from .page import BINS, title
from .quantities import KINDS, kind
from .runs import CELLS
from .study import Outcome

# Okabe and Ito's colours, told apart by colour-blind readers
COLOURS = dict(zip(KINDS, ("#000000", "#D55E00", "#CC79A7", "#0072B2", "#56B4E9", "#009E73"), strict=True))
BAND, GREY = "#e0e0e0", "#666666"
ACROSS = 4


def bare(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(color=GREY, labelsize=8)


def legend(figure: Any) -> None:
    handles = [plt.Line2D([], [], color=colour, label=name) for name, colour in COLOURS.items()]
    handles.append(plt.Rectangle((0, 0), 1, 1, color=BAND, label="99 % band"))
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), fontsize=9, frameon=False)


def draw_ecdfs(outcomes: dict[str, Outcome], path: Path) -> None:
    """A panel for each run: the ECDF of every quantity's ranks less the uniform one."""
    down = -(-len(outcomes) // ACROSS)
    figure, grid = plt.subplots(
        down,
        ACROSS,
        figsize=(3.1 * ACROSS, 2.5 * down + 0.4),
        sharex=True,
        layout="constrained",
        squeeze=False,
    )
    for axes in grid.flat[len(outcomes) :]:
        axes.set_visible(False)
    for axes, o in zip(grid.flat, outcomes.values(), strict=False):
        n = int(o.sampled.sum())
        at = np.arange(1, CELLS)
        low, high = bands.ecdf_band(n, CELLS)
        axes.fill_between(at, low / n - at / CELLS, high / n - at / CELLS, color=BAND, linewidth=0)
        for q, name in enumerate(o.names):
            below = np.cumsum(np.bincount(o.ranks[o.sampled, q], minlength=CELLS))[:-1]
            axes.plot(at, below / n - at / CELLS, color=COLOURS[kind(name)], linewidth=0.8)
        axes.axhline(0.0, color=GREY, linewidth=0.6)
        axes.set_title("\n".join(textwrap.wrap(title(o.run), 40)), fontsize=9, loc="left")
        axes.set_ylim(-0.09, 0.09)
        bare(axes)
    for axes in grid[-1]:
        axes.set_xlabel("rank", fontsize=9)
    for axes in grid[:, 0]:
        axes.set_ylabel("ECDF − uniform", fontsize=9)
    legend(figure)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_histograms(outcomes: dict[str, Outcome], path: Path) -> None:
    """A bar chart for every quantity, runs one after the other."""
    wanted = [(o, q) for o in outcomes.values() for q in range(len(o.names))]
    across = 10
    down = sum(-(-len(o.names) // across) for o in outcomes.values())
    figure = plt.figure(figsize=(1.35 * across, 1.05 * down + 0.6), layout="constrained")
    grid = figure.add_gridspec(down, across)
    row = 0
    for o in outcomes.values():
        n = int(o.sampled.sum())
        low, high = bands.histogram_band(n, BINS)
        for q, name in enumerate(o.names):
            axes = figure.add_subplot(grid[row + q // across, q % across])
            counts = bands.binned(o.ranks[o.sampled, q], CELLS, BINS)
            axes.axhspan(low, high, color=BAND, linewidth=0)
            axes.bar(np.arange(BINS), counts, width=0.9, color=COLOURS[kind(name)])
            axes.set(xticks=[], yticks=[], ylim=(0, 2.1 * n / BINS))
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.set_title(name.removeprefix("ranef_"), fontsize=6.5, pad=2)
            if q == 0:
                axes.set_ylabel(o.run, fontsize=7)
        row += -(-len(o.names) // across)
    legend(figure)
    assert len(figure.axes) == len(wanted)
    figure.savefig(path, dpi=110)
    plt.close(figure)
