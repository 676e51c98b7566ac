"""Colours and helpers shared by all plots."""

from typing import Any

# Okabe and Ito's palette, told apart with every kind of colour blindness
OWN = "#999999"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
MARKERS = ("o", "D", "s", "^")
NAMES = {"reml": "REML", "ml": "ML", "nuts": "NUTS", "importance": "importance"}


def new_axes(ax: Any, **kwargs: Any) -> Any:
    """The given axes, or those of a new pyplot figure, which notebooks and ``plt.show()`` show."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.figure(layout="constrained", **kwargs).subplots()


def tidy_axes(ax: Any) -> None:
    """Remove what carries no information."""
    ax.spines[["top", "right"]].set_visible(False)


def label(name: str) -> str:
    """How a result is called in legends."""
    return NAMES.get(name, name)
