"""The picture of the benchmarks: a dot for every tool and workload, and time against rows."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from posterior_report import is_posterior
from report import NAMES, OURS, RUNGS, columns, is_ladder, rungs
from wording import answered, duration

# Okabe and Ito's colours, told apart by colour-blind readers; the marks differ too.
LOOKS = {
    "bimixed": ("#000000", "o"),
    "glmm": ("#D55E00", "s"),
    "lme_python": ("#CC79A7", "v"),
    "mixedlm": ("#0072B2", "D"),
    "gpboost": ("#009E73", "P"),
    "gpboost_cholesky": ("#009E73", "X"),
    "statsmodels": ("#E69F00", "p"),
    "lme4": ("#56B4E9", "^"),
}
GREY = "#666666"


def style(tool: str) -> dict[str, Any]:
    colour, mark = LOOKS[tool]
    ours = tool == OURS
    return {
        "color": colour,
        "marker": mark,
        "markersize": 12 if ours else 6.5,  # ours lies below: a peer with the same time stays visible
        "markeredgecolor": "white",
        "markeredgewidth": 0.6,
        "zorder": 3 if ours else 4,
    }


def in_words(seconds: float) -> str:
    if seconds < 0.999:
        return f"{seconds * 1000:g} ms"
    return f"{seconds:g} s"


def bare(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(color=GREY, labelsize=9)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)


def ticks(axis: Any, low: float, high: float) -> None:
    """Powers of ten, in words."""
    powers = [10.0**power for power in range(-5, 5)]
    axis.set_major_locator(FixedLocator([one for one in powers if low <= one <= high]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: in_words(value)))


def dots(axes: Axes, rows: dict[str, Any], limit: float) -> None:
    """A row for each workload, ours labelled; hollow marks at the limit where a tool gave no answer."""
    times = [entry["median"] for row in rows.values() for entry in answered(row).values()]
    low, high = min(times) / 1.8, max(*times, limit if unanswered(rows) else 0) * 1.8
    axes.set_xscale("log")
    for place, row in enumerate(rows.values()):
        found = answered(row)
        span = [entry["median"] for entry in found.values()]
        axes.plot([min(span), max(span)], [place, place], color="#cccccc", linewidth=1, zorder=1)
        for tool, entry in found.items():
            axes.plot(entry["median"], place, linestyle="none", **style(tool))
        if OURS in found:
            ours = found[OURS]["median"]
            axes.annotate(
                duration(ours), (ours, place), (0, 9), textcoords="offset points", ha="center", fontsize=8.5
            )
        late = [tool for tool in row["tools"] if timed_out(row["tools"][tool])]
        for number, tool in enumerate(late):
            shift = 0.22 * (number - (len(late) - 1) / 2)
            look = style(tool) | {"markerfacecolor": "white", "markeredgecolor": LOOKS[tool][0]}
            axes.plot(limit, place + shift, linestyle="none", **look | {"markeredgewidth": 1.2})
    axes.set_xlim(low, high)
    ticks(axes.xaxis, low, high)
    axes.set_yticks(range(len(rows)), [row["title"] for row in rows.values()])
    axes.set_ylim(len(rows) - 0.5, -0.6)
    axes.tick_params(axis="y", length=0)
    bare(axes)


def timed_out(entry: dict[str, Any]) -> bool:
    return str(entry.get("failure", "")).startswith("no answer")


def unanswered(rows: dict[str, Any]) -> bool:
    return any(timed_out(entry) for row in rows.values() for entry in row["tools"].values())


def climb(axes: Axes, rows: dict[str, Any], kind: str) -> None:
    """One ladder: time against rows on log-log axes."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    for tool in columns(rows):
        points = rungs(rows, kind, tool, "median")
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, linewidth=2 if tool == OURS else 1.2, **style(tool))
    axes.set_title(RUNGS[kind], fontsize=10, loc="left")
    axes.set_xlim(6e3, 1.7e7)
    axes.xaxis.set_major_locator(FixedLocator([1e4, 1e5, 1e6, 1e7]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("rows", fontsize=9)
    bare(axes)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.7)


def legend(figure: Any, tools: list[str], late: str) -> None:
    handles = [plt.Line2D([], [], linestyle="none", label=NAMES[tool], **style(tool)) for tool in tools]
    if late:
        handles.append(
            plt.Line2D([], [], linestyle="none", marker="o", color="white", markeredgecolor=GREY, label=late)
        )
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.01, 0.995),
        ncols=5,
        fontsize=9,
        frameon=False,
        columnspacing=1.4,
        handletextpad=0.3,
    )


def draw(results: dict[str, Any], path: Path) -> None:
    """Write the picture; a panel without answers is left out, and all of it without any."""
    rows = {name: row for name, row in results["rows"].items() if answered(row) and not is_posterior(name)}
    if not rows:
        return
    works = {name: row for name, row in rows.items() if not is_ladder(name)}
    ladder = {name: row for name, row in rows.items() if is_ladder(name)}
    heights = [0.55 * len(works) + 0.5] * bool(works) + [2.9] * bool(ladder)
    figure = plt.figure(figsize=(9, sum(heights) + 1.0), layout="constrained")
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - 0.65 / (sum(heights) + 1.0)), hspace=0.06)
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    limit = results["setting"]["limit"]
    if works:
        dots(figure.add_subplot(grid[0]), works, limit)
    if ladder:
        inner = grid[len(heights) - 1].subgridspec(1, len(RUNGS))
        panels = inner.subplots(sharey=True)
        for axes, kind in zip(panels, RUNGS, strict=True):
            climb(axes, ladder, kind)
        ticks(panels[0].yaxis, *panels[0].get_ylim())
    late = f"no answer in {limit:g} s (hollow)" if unanswered(works) else ""
    legend(figure, columns(rows), late)
    figure.savefig(path, dpi=150)
    plt.close(figure)
