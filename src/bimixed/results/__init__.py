"""What a fit gives back: one frozen type for every method. Knows no backend."""

from bimixed.results.records import Diagnostics, Estimates, Likelihood
from bimixed.results.result import MixedModelResult

__all__ = ["Diagnostics", "Estimates", "Likelihood", "MixedModelResult"]
