"""Precision weights: what they must be."""

import pandas as pd

from bimixed.covariance import Array
from bimixed.exceptions import DataError


def positive_weights(weights: Array, index: pd.Index) -> Array:
    """The weights, or an error that names the rows where they are not positive."""
    for bad, cause in ((weights < 0, "negative"), (weights == 0, "zero")):
        if bad.any():
            rows = index[bad][:5].tolist()
            raise DataError(
                f"weights are {cause} in {int(bad.sum())} row(s), the first {rows}. They are "
                "precisions (the residual variance of a row is sigma²/weight), so they must be "
                "positive: leave rows out that should not count."
            )
    return weights
