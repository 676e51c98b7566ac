"""Formula or arrays and data → a design, with the same encoding for new data."""

from bimixed.design.arrays import array_design
from bimixed.design.build import build_design
from bimixed.design.design import Design
from bimixed.design.encoding import NewRows
from bimixed.design.frame import column_names
from bimixed.design.groups_argument import group_column
from bimixed.design.notices import far_slopes, notices, uncorrelated_and_far
from bimixed.design.random_effects import RandomFactor
from bimixed.design.rows import (
    LevelRows,
    MixedRows,
    RandomRows,
    SummedRows,
    parents,
    rows_needed,
    sparse_values,
)
from bimixed.design.wide import Projection

__all__ = [
    "Design",
    "LevelRows",
    "MixedRows",
    "NewRows",
    "Projection",
    "RandomFactor",
    "RandomRows",
    "SummedRows",
    "array_design",
    "build_design",
    "column_names",
    "far_slopes",
    "group_column",
    "notices",
    "parents",
    "rows_needed",
    "sparse_values",
    "uncorrelated_and_far",
]
