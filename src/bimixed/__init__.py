"""bimixed: linear mixed models, both ways.

One specification compiles to a REML likelihood or to a PyMC hierarchical model; both give the same
result type.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bimixed._version import __version__
from bimixed.compare import Comparison, compare
from bimixed.datasets import load_dataset
from bimixed.exceptions import (
    ArgumentError,
    BimixedError,
    BimixedWarning,
    ConvergenceWarning,
    DataError,
    FitError,
    FormulaError,
    IdentificationWarning,
    PriorError,
    UnavailableError,
    WorkerError,
)
from bimixed.inference.bootstrap import Bootstrap, bootstrap
from bimixed.inference.drop_one import DropOne, drop1
from bimixed.inference.emmeans import emmeans, emtrends
from bimixed.inference.hypotheses import HypothesisTest
from bimixed.inference.lrtest import LikelihoodRatioTest, lrtest
from bimixed.inference.marginal_means import MarginalMeans
from bimixed.inference.pooling import Pooling, pooling
from bimixed.inference.profile import Profile, profile
from bimixed.inference.rlrt import VarianceTest, rlrt
from bimixed.inference.stepwise import Elimination, ranova, step
from bimixed.moments import Moments, cross_products
from bimixed.prior_check import PriorCheck, prior_check
from bimixed.priors import Prior
from bimixed.results import MixedModelResult
from bimixed.saving import load
from bimixed.side_by_side import ResultTable, table
from bimixed.spec import ModelSpec
from bimixed.streaming import LazyPredictions, sample_rows, scan_duckdb, scan_parquet
from bimixed.vocabulary import module_hint

if TYPE_CHECKING:
    from bimixed import plots
    from bimixed.estimator import MixedRegressor as MixedRegressor

__all__ = [
    "ArgumentError",
    "BimixedError",
    "BimixedWarning",
    "Bootstrap",
    "Comparison",
    "ConvergenceWarning",
    "DataError",
    "DropOne",
    "Elimination",
    "FitError",
    "FormulaError",
    "HypothesisTest",
    "IdentificationWarning",
    "LazyPredictions",
    "LikelihoodRatioTest",
    "MarginalMeans",
    "MixedModelResult",
    "ModelSpec",
    "Moments",
    "Pooling",
    "Prior",
    "PriorCheck",
    "PriorError",
    "Profile",
    "ResultTable",
    "UnavailableError",
    "VarianceTest",
    "WorkerError",
    "__version__",
    "bootstrap",
    "compare",
    "cross_products",
    "drop1",
    "emmeans",
    "emtrends",
    "load",
    "load_dataset",
    "lrtest",
    "plots",
    "pooling",
    "prior_check",
    "profile",
    "ranova",
    "rlrt",
    "sample_rows",
    "scan_duckdb",
    "scan_parquet",
    "step",
    "table",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    """Load what imports matplotlib or scikit-learn only when it is asked for."""
    if name == "plots":
        return import_module("bimixed.plots")
    if name == "MixedRegressor":
        return import_module("bimixed.estimator").MixedRegressor
    hint = module_hint(name, MixedModelResult)
    raise AttributeError(f"module 'bimixed' has no attribute {name!r}{'; ' if hint else ''}{hint}")
