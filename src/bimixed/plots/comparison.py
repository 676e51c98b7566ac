"""The picture of a comparison: shrinkage of every coefficient above, forests below."""

from typing import TYPE_CHECKING, Any

from bimixed.plots.forest import forest
from bimixed.plots.shrinkage import shrinkage
from bimixed.plots.style import plain_text
from bimixed.shortening import MANY
from bimixed.vocabulary import explains_arguments

if TYPE_CHECKING:
    from bimixed.compare import Comparison


@explains_arguments
@plain_text
def comparison_figure(comparison: "Comparison") -> Any:
    """Shrinkage panels of every group and coefficient, then forests of all parameters.

    Returns
    -------
    matplotlib Figure
    """
    import matplotlib.pyplot as plt

    factors = comparison.results[0].design.factors
    panels = [(f.key, name) for f in factors for name in f.names]
    bottom = 1.2 + 0.45 * min(max(len(comparison.fixef), len(comparison.varcorr)), MANY)
    heights = [3.4] * len(panels) + [bottom]
    figure = plt.figure(figsize=(12, sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights)
    for row, (key, name) in enumerate(panels):
        shrinkage(comparison, key, name, ax=figure.add_subplot(grid[row, :]))
    forest(comparison, "fixed", ax=figure.add_subplot(grid[-1, 0]))
    forest(comparison, "variance", ax=figure.add_subplot(grid[-1, 1]))
    return figure
