"""Functions of results that return matplotlib axes or figures. The only folder with matplotlib."""

from typing import Any

from bimixed.plots.caterpillar import caterpillar
from bimixed.plots.comparison import comparison_figure
from bimixed.plots.density import density
from bimixed.plots.forest import forest
from bimixed.plots.influence import influence
from bimixed.plots.means import means
from bimixed.plots.panels import panels
from bimixed.plots.pooling import pooling
from bimixed.plots.posterior_predictive import posterior_predictive
from bimixed.plots.prior import prior
from bimixed.plots.profile import profile
from bimixed.plots.profile_pairs import profile_pairs
from bimixed.plots.residuals import residuals
from bimixed.plots.shrinkage import shrinkage
from bimixed.plots.shrinkage_2d import shrinkage_2d
from bimixed.plots.variances import variances
from bimixed.vocabulary import plot_hint

__all__ = [
    "caterpillar",
    "comparison_figure",
    "density",
    "forest",
    "influence",
    "means",
    "panels",
    "pooling",
    "posterior_predictive",
    "prior",
    "profile",
    "profile_pairs",
    "residuals",
    "shrinkage",
    "shrinkage_2d",
    "variances",
]


def __getattr__(name: str) -> Any:
    """Only asked for names that aren't here."""
    hint = plot_hint(name)
    raise AttributeError(f"bimixed.plots has no {name!r}{'; ' if hint else ''}{hint}")
