"""The fixed part: which of its columns are linearly independent."""

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from bimixed import dense
from bimixed.covariance import Array

RANK_TOLERANCE = 1e-7
"""A column counts as dependent where less than this share of its length is left (R's tolerance)."""


ALIASED = 1e-10
"""Share of a random coefficient's sum of squares left beside X below which X determines it."""


def independent_columns(X: Array) -> NDArray[np.intp]:
    """Indices of the columns to keep, of collinear ones the earlier (R's limited pivoting).

    Parameters
    ----------
    X : (n, p) array

    Returns
    -------
    (rank,) int array, ascending
    """
    n, p = X.shape
    if p == 0:
        return np.arange(0)
    gram = dense.gram(X)
    lengths = np.sqrt(np.diag(gram))
    if n >= p and lengths.all() and _clearly_full_rank(gram / np.outer(lengths, lengths)):
        return np.arange(p)
    scaled = X / np.where(lengths > 0, lengths, 1.0)
    # Columns of R have the same dependences as those of X, and only p rows.
    R = scipy.linalg.qr(scaled, mode="r", check_finite=False)[0][: min(n, p)]
    return first_independent(R)


def first_independent(columns: Array, noise: float = 0.0) -> NDArray[np.intp]:
    """Columns that the earlier ones leave more than the tolerance of, lengths in units of 1.

    ``noise`` is the rounding error of the lengths; of a combination of columns it is as many times as
    large as the sum of the coefficients' sizes.
    """
    kept: list[int] = []
    basis = np.zeros((len(columns), 0))
    inverse = np.zeros((0, 0))  # basis = columns[:, kept] @ inverse
    for j in range(columns.shape[1]):
        rest, along = columns[:, j], np.zeros(len(kept))
        for _ in range(2):  # twice is enough: Gram-Schmidt loses no digits then
            own = basis.T @ rest
            rest, along = rest - basis @ own, along + own
        length = np.linalg.norm(rest)
        combination = inverse @ along
        if length > max(RANK_TOLERANCE, noise * (1.0 + np.abs(combination).sum())):
            kept.append(j)
            basis = np.column_stack([basis, rest / length])
            last = np.append(-combination, 1.0) / length
            inverse = np.column_stack([np.vstack([inverse, np.zeros(len(inverse))]), last])
    return np.array(kept, dtype=np.intp)


def _clearly_full_rank(gram: Array) -> bool:
    """A cheap sufficient test: pivots of the Gram matrix far from its rounding error."""
    try:
        pivots = np.diag(np.linalg.cholesky(gram))
    except np.linalg.LinAlgError:
        return False
    return bool(pivots.min() > 1e-4)
