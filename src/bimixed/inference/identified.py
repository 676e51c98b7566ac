"""Variances that the data don't identify are refused where they would be needed."""

from collections.abc import Mapping

import numpy as np

from bimixed.covariance import Array
from bimixed.exceptions import UnavailableError


def check_identified(random_cov: Mapping[str, Array], consequence: str) -> None:
    """Refuse covariances with NaN.

    Parameters
    ----------
    random_cov : mapping, group → (K, K) array
    consequence : str
        What follows and what to do, after "so that".

    Raises
    ------
    UnavailableError
    """
    unknown = [key for key, cov in random_cov.items() if np.isnan(cov).any()]
    if unknown:
        raise UnavailableError(
            f"Variances of {unknown[0]!r} are not identified (see fit.diagnostics), so that {consequence}."
        )
