"""Pictures within pages: curves where they are small, pixels where they aren't."""

import numpy as np
import pytest

from bimixed.plots import embedded as module
from bimixed.plots.embedded import embedded


@pytest.fixture
def formats(monkeypatch):
    """Formats that figures were written in."""
    own, found = module._saved, []
    monkeypatch.setattr(
        module, "_saved", lambda figure, **how: found.append(how["format"]) or own(figure, **how)
    )
    return found


def segments(n):
    import matplotlib.pyplot as plt

    ax = plt.figure().subplots()
    ax.hlines(np.arange(n), 0.0, np.linspace(1.0, 2.0, n))
    return ax


def points(n):
    import matplotlib.pyplot as plt

    ax = plt.figure().subplots()
    ax.plot(np.arange(n), np.arange(n), ".")
    return ax


@pytest.mark.parametrize("draw", [segments, points])
@pytest.mark.parametrize(
    ("n", "kind", "written"),
    [(100, "svg+xml", ["svg"]), (module.MOST, "png", ["svg", "png"]), (module.MOST + 1, "png", ["png"])],
)
def test_a_picture_of_very_many_elements_is_written_once_as_pixels(formats, draw, n, kind, written):
    assert embedded(lambda: draw(n)).source.startswith(f"data:image/{kind};base64,")
    assert formats == written
