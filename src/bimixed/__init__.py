"""bimixed: linear mixed models, both ways.

One specification compiles to a REML likelihood or to a PyMC hierarchical model; both give the same
result type.
"""

from bimixed._version import __version__
from bimixed.datasets import load_dataset
from bimixed.exceptions import (
    BimixedError,
    BimixedWarning,
    ConvergenceWarning,
    DataError,
    FitError,
    FormulaError,
    IdentificationWarning,
    PriorError,
    UnavailableError,
)
from bimixed.priors import Prior
from bimixed.results import MixedModelResult
from bimixed.spec import ModelSpec

__all__ = [
    "BimixedError",
    "BimixedWarning",
    "ConvergenceWarning",
    "DataError",
    "FitError",
    "FormulaError",
    "IdentificationWarning",
    "MixedModelResult",
    "ModelSpec",
    "Prior",
    "PriorError",
    "UnavailableError",
    "__version__",
    "load_dataset",
]
