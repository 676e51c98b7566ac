"""Formula and data → arrays, with the same encoding for new data."""

from bimixed.design.build import build_design
from bimixed.design.design import Design, NewRows
from bimixed.design.random_effects import RandomFactor

__all__ = ["Design", "NewRows", "RandomFactor", "build_design"]
