"""Colours and helpers shared by all plots."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from bimixed.design import Design

# Okabe and Ito's palette, told apart with every kind of colour blindness
OWN = "#999999"
NOTE = "#555555"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "D", "s", "^", "v", "P", "X")
STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
NAMES = {"reml": "REML", "ml": "ML", "nuts": "NUTS", "importance": "importance"}
ENTRY, LETTER, ROW = 0.45, 0.07, 14.0
"""Width of a legend's entry without text and of a letter, in inches, and height of a row, in points."""


def plain_text[**P, R](plot: Callable[P, R]) -> Callable[P, R]:
    """A plot whose texts are read as they are: a dollar sign in a column's name begins no formula."""

    @wraps(plot)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        from matplotlib import rc_context

        with rc_context({"text.parse_math": False}):
            return plot(*args, **kwargs)

    return drawn


def new_axes(ax: Any, **kwargs: Any) -> Any:
    """The given axes, or those of a new pyplot figure, which notebooks and ``plt.show()`` show."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.figure(layout="constrained", **kwargs).subplots()


def new_grid(panels: int, wide: int, size: tuple[float, float], **kwargs: Any) -> Any:
    """Axes of a new figure, (rows, wide), of which the first ``panels`` are visible."""
    import matplotlib.pyplot as plt

    wide = min(wide, panels)
    tall = -(-panels // wide)
    figsize = (size[0] * wide, size[1] * tall)
    axes = plt.subplots(tall, wide, figsize=figsize, layout="constrained", squeeze=False, **kwargs)[1]
    for ax in axes.flat[panels:]:
        ax.set_visible(False)
    return axes


def tidy_axes(ax: Any) -> None:
    """Remove what carries no information."""
    ax.spines[["top", "right"]].set_visible(False)


def label(name: str) -> str:
    """How a result is called in legends."""
    return NAMES.get(name, name)


def short(name: object, most: int = 20) -> str:
    """A name without its middle where it is longer than ``most`` letters.

    Examples
    --------
    >>> short("Department of Applied Mathematics 3", 14)
    'Departm…tics 3'
    """
    text = str(name)
    last = (most - 1) // 2
    return text if len(text) <= most else f"{text[: most - 1 - last]}…{text[-last:]}"


def look(i: int) -> dict[str, Any]:
    """Colour and marker of the i-th result."""
    return {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}


def response_of(design: Design) -> str:
    """The response's name as the data have it, or as the formula transforms it."""
    text = design.formula.response
    quoted = len(text) > 1 and text[0] == text[-1] == "`" and "`" not in text[1:-1]
    return text[1:-1] if quoted else text


def unit(response: str, coefficient: str) -> str:
    """Unit of a coefficient, that of the response being its name."""
    of_response = coefficient == "Intercept" or "[" in coefficient
    return response if of_response else f"{response} per {coefficient}"


def unit_of(response: str, parameter: str) -> str:
    """Unit of a parameter named as in ``conf_int``."""
    if parameter.startswith("corr_"):
        return "correlation"
    if parameter.startswith("sd_") and parameter.endswith("]"):
        return unit(response, parameter[parameter.index("[") + 1 : -1])
    return unit(response, "Intercept" if parameter == "sigma" else parameter)


def head(ax: Any, title: str, legend: bool = True, handles: list[Any] | None = None) -> None:
    """A title at the left, and between it and the axes the legend, in as many rows as it takes."""
    ax.set_title(title, loc="left", fontsize="medium")
    labels: list[str] = []
    if handles is None:
        handles, labels = ax.get_legend_handles_labels()
    labels = labels or [handle.get_label() for handle in handles]
    if not legend or not handles:
        return
    wide = ax.get_window_extent().width / ax.figure.dpi
    widths = [ENTRY + LETTER * len(text) for text in labels]
    columns = len(labels) if sum(widths) < wide else max(1, int(wide // max(widths)))
    rows = -(-len(labels) // columns)
    ax.legend(
        handles, labels, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, frameon=False,
        fontsize="small", borderaxespad=0.0, borderpad=0.2, columnspacing=1.5, handlelength=1.6,
    )  # fmt: skip
    ax.set_title(title, loc="left", fontsize="medium", pad=6.0 + ROW * rows)


def figure_legend(figure: Any, handles: list[Any]) -> None:
    """A legend for all panels below them, in a figure of constrained layout."""
    columns = min(len(handles), max(1, int(figure.get_size_inches()[0] / 2.2)))
    figure.legend(handles=handles, loc="outside lower left", ncols=columns, frameon=False, fontsize="small")


def name_points(ax: Any, points: Any, names: list[str], at_most: int, beside: Any = None) -> None:
    """Write names beside points, the first ones first, none over another nor over a point.

    Limits of the axes have to be final. ``beside`` are all points, (m, 2), by default these.
    """
    from matplotlib.transforms import Bbox

    figure = ax.figure
    figure.draw_without_rendering()
    every = ax.transData.transform(points if beside is None else beside)
    taken: list[Any] = []
    inside = ax.get_window_extent()
    for (x, y), name in zip(points, names, strict=True):
        for dx, dy, ha, va in _PLACES:
            text = ax.annotate(
                short(name), (x, y), (dx, dy), textcoords="offset points", ha=ha, va=va, fontsize="x-small",
                color=NOTE, zorder=9,
            )  # fmt: skip
            box = text.get_window_extent()
            own = Bbox.from_extents(box.x0 - 2, box.y0 - 1, box.x1 + 2, box.y1 + 1)
            within = inside.contains(own.x0, own.y0) and inside.contains(own.x1, own.y1)
            covered = ((own.min < every) & (every < own.max)).all(axis=1).any()
            if within and not covered and not any(own.overlaps(other) for other in taken):
                taken.append(own)
                break
            text.remove()
        if len(taken) == at_most:
            return


_PLACES = (
    (5, 3, "left", "bottom"), (-5, 3, "right", "bottom"), (5, -3, "left", "top"), (-5, -3, "right", "top")
)  # fmt: skip
