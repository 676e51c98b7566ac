"""Fixed effects and response in orthogonal coordinates.

With W the weights, Q the orthonormal columns of W^½X = Q·R and e the residuals of weighted least squares, the
columns used are [Q e]: they lose no digits to a large mean or to collinearity, and X'WX, X'Wy become I and 0.
Coefficients in that basis, γ, give β = β_ols + R⁻¹γ.

Columns of a factor with hundreds of levels, of which a row has one at most, are *absorbed*: projected
off the other columns and the response level by level, and eliminated among the random effects, without a
distribution of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bimixed import dense
from bimixed.covariance import Array
from bimixed.design import Design, Projection
from bimixed.exceptions import FitError

Ints = NDArray[np.intp]

SMALLEST = 1e-70
"""Responses below this have fourth powers that vanish."""


@dataclass(frozen=True)
class Absorbed:
    """Least squares on the absorbed columns alone.

    Attributes
    ----------
    place : int
        Which factor of the cross-products has them.
    columns, others : int arrays
        Where the absorbed columns and the others stand among the independent columns of X.
    C : (L, p) array
        Coefficients of the other columns of X.
    y : (L,) array
        Coefficients of the response.
    """

    place: int
    columns: Ints
    others: Ints
    C: Array
    y: Array


@dataclass(frozen=True)
class FixedBasis:
    """Orthogonal coordinates of the fixed effects.

    Attributes
    ----------
    R : (p, p) array
        Upper triangular, W^½X = Q·R, absorbed columns taken off X.
    beta_ols : (p,) array
        Weighted least-squares coefficients.
    rss : float
        Weighted residual sum of squares of that fit.
    total : float
        Weighted sum of squares of the response about its mean: the scale of ``rss``.
    absorbed : Absorbed or None
    """

    R: Array
    beta_ols: Array
    rss: float
    total: float
    absorbed: Absorbed | None = None

    @cached_property
    def log_det(self) -> float:
        """log |X'WX|."""
        return 2.0 * float(np.sum(np.log(np.abs(np.diag(self.R)))))

    def coefficients(self, gamma: Array, modes: Sequence[Array]) -> Array:
        """β of all independent columns from γ and the effects (L, K) by place of the factor.

        For draws, γ (p, draws) and effects (L, K, draws), β is (rank, draws).
        """
        beta = (self.beta_ols + self.linear(gamma).T).T
        if self.absorbed is None:
            return beta
        a = self.absorbed
        out = np.empty((len(a.columns) + len(a.others), *gamma.shape[1:]))
        out[a.others] = beta
        out[a.columns] = (a.y + modes[a.place][:, 0].T).T - a.C @ beta
        return out

    def linear(self, gamma: Array) -> Array:
        """R⁻¹γ, for one or several columns."""
        if len(self.R) == 0:
            return np.zeros(gamma.shape)
        return dense.solve_upper(self.R, gamma)


def root_weights(design: Design) -> tuple[float, Array | None]:
    """Geometric mean of the weights, and roots of the weights over it; 1 and None without weights."""
    if design.weights is None:
        return 1.0, None
    scale = float(np.exp(np.mean(np.log(design.weights))))
    return scale, np.sqrt(design.weights / scale)


@dataclass(frozen=True)
class FixedPart:
    """What [Q e] of any response needs.

    Attributes
    ----------
    root : (n,) array or None
        Roots of the weights.
    Q, R : arrays
        W^½X = QR, absorbed columns taken off.
    projection : Projection or None
    absorbed : Absorbed or None
        With coefficients of a response of zeros.
    """

    root: Array | None
    Q: Array
    R: Array
    projection: Projection | None
    absorbed: Absorbed | None

    @staticmethod
    def of(design: Design, root: Array | None) -> "FixedPart":
        """Of a design.

        Raises
        ------
        FitError
            If the fixed effects use up every row.
        """
        X, wide = design.X_narrow, design.wide
        if design.n <= len(design.kept):
            raise FitError(
                f"{len(design.kept)} fixed coefficients for {design.n} rows leave nothing to estimate "
                "variances from; use fewer fixed effects or more data."
            )
        X = X if root is None else X * root[:, None]
        if wide is None:
            return FixedPart(root, *dense.orthonormal(X), None, None)
        projection = wide.projection(root)
        X, C = projection(X)
        place = len(design.factors)
        others = np.searchsorted(design.kept, design.narrow)
        columns = np.searchsorted(design.kept, wide.columns)
        absorbed = Absorbed(place, columns, others, C, np.zeros(wide.n_columns))
        return FixedPart(root, *dense.orthonormal(X), projection, absorbed)

    def response(self, y: Array) -> tuple[FixedBasis, Array]:
        """Least squares of the response, offset taken off, and its weighted residuals."""
        y = y if self.root is None else y * self.root
        centre = self.root if self.root is not None else np.ones(len(y))
        mean = np.sum(centre * y) / np.sum(centre * centre)
        total = float(np.sum((y - mean * centre) ** 2))
        if 0.0 < np.abs(y).max() < SMALLEST:
            raise FitError(
                f"The response is of size {np.abs(y).max():.1g}: products of such numbers can't be computed. "
                "Change its units."
            )
        absorbed = self.absorbed
        if self.projection is not None and absorbed is not None:
            left, own = self.projection(y[:, None])
            y = left[:, 0]
            absorbed = Absorbed(absorbed.place, absorbed.columns, absorbed.others, absorbed.C, own[:, 0])
        if self.Q.shape[1] == 0:
            return FixedBasis(self.R, np.zeros(0), float(np.sum(y * y)), total, absorbed), y
        coefficients = dense.product(self.Q.T, y)
        e = y - dense.product(self.Q, coefficients)
        again = dense.product(self.Q.T, e)  # a second projection removes what rounding left of a large mean
        e -= dense.product(self.Q, again)
        beta = dense.solve_upper(self.R, coefficients + again)
        return FixedBasis(self.R, beta, float(np.sum(e * e)), total, absorbed), e
