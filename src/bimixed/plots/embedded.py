"""Pictures as text that a page holds within itself."""

import base64
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

LARGEST = 600_000
"""Bytes beyond which a picture is made of pixels: a hundred thousand points are larger as curves."""
MOST = 20_000
"""Elements that are more than that many bytes in any case, and take long to write."""
PIXELS = 144
"""Of an inch, in those."""
CSS_PIXELS = 96
_FORBIDDEN = bytes(code for code in range(32) if code not in b"\t\n\r")
"""Control characters, for which XML has no place; texts of pictures are in its comments."""


@dataclass(frozen=True)
class Embedded:
    """A picture.

    Attributes
    ----------
    source : str
        A data URI, SVG or PNG.
    width, height : int
        In CSS pixels.
    """

    source: str
    width: int
    height: int


def embedded(draw: Callable[[], Any]) -> Embedded:
    """Draw and close a figure of its own, in matplotlib's own style whatever the caller's is.

    Parameters
    ----------
    draw : callable
        Returns a figure, axes or an array of axes.

    Returns
    -------
    Embedded
        The same digits give the same text.
    """
    import matplotlib
    import matplotlib.pyplot as plt

    # names of columns and levels may have dollar signs, which aren't formulas
    fixed = {"svg.fonttype": "path", "svg.hashsalt": "bimixed", "figure.dpi": 100.0, "text.parse_math": False}
    before = set(plt.get_fignums())
    interactive = matplotlib.is_interactive()
    plt.ioff()
    try:
        with plt.style.context(["default", fixed], after_reset=True), warnings.catch_warnings():
            # a letter that the font hasn't is a box here, and itself in the page's tables
            warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
            drawn = draw()
            first = drawn.flat[0] if isinstance(drawn, np.ndarray) else drawn
            figure = first if hasattr(first, "savefig") else first.figure
            width, height = (round(CSS_PIXELS * side) for side in figure.get_size_inches())
            return Embedded(_source(figure), width, height)
    finally:
        for number in set(plt.get_fignums()) - before:
            plt.close(number)
        if interactive:
            plt.ion()


def _source(figure: Any) -> str:
    kind, content = "svg+xml", b""
    if _n_elements(figure) <= MOST:
        content = _saved(figure, format="svg", metadata={"Date": None}).translate(None, _FORBIDDEN)
    if not 0 < len(content) <= LARGEST:
        kind, content = "png", _saved(figure, format="png", dpi=PIXELS)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _n_elements(figure: Any) -> int:
    """Lines and points that collections and markers would each be an element of."""
    found = 0
    for ax in figure.axes:
        found += sum(max(len(own.get_paths()), len(own.get_offsets())) for own in ax.collections)
        found += sum(len(own.get_xdata()) for own in ax.lines if own.get_marker() not in ("", " ", "None"))
    return found


def _saved(figure: Any, **how: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, **how)
    return buffer.getvalue()
