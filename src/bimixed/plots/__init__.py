"""Functions of results that return matplotlib axes or figures. The only folder with matplotlib."""

from bimixed.plots.comparison import comparison_figure
from bimixed.plots.forest import forest
from bimixed.plots.pooling import pooling
from bimixed.plots.prior import prior
from bimixed.plots.profile import profile
from bimixed.plots.shrinkage import shrinkage

__all__ = ["comparison_figure", "forest", "pooling", "prior", "profile", "shrinkage"]
