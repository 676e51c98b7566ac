"""Degrees of freedom of tests of fixed effects, by Satterthwaite and by Kenward and Roger.

Satterthwaite's method matches the estimated variance of l'β̂ to a multiple of χ²: df = 2 f²/(g'Ag) with
f = l'Cov(β̂)l, g its slope in the variance parameters, and A their asymptotic covariance (Giesbrecht and Burns
1985; Fai and Cornelius 1996 for several l; Kuznetsova, Brockhoff and Christensen 2017). A is the inverse of
the observed information on θ and log σ².

Kenward and Roger (1997) correct Cov(β̂) for the estimation of the variances and match two moments of the F
statistic; the information is the expected one, on variances and covariances (Halekoh and Højsgaard 2014).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts
from bimixed.exceptions import UnavailableError
from bimixed.likelihood.expected import SecondOrder, check_width, second_order
from bimixed.likelihood.information import through_H
from bimixed.likelihood.objective import Evaluation, Gradient
from bimixed.results.records import FTest

FLAT = 1e-8
"""Eigenvalues of the unit-diagonal information below this belong to directions that the data don't know."""
EQUAL = 1e-7
"""Relative difference of two moments that are equal but for rounding."""


@dataclass(frozen=True)
class SmallSample:
    """Tests of l'β at the optimum; l is given by rows (k, rank) on the independent columns of X.

    Attributes
    ----------
    cp : CrossProducts
    full : callable
        The evaluation at the optimum with its factorization, and its slopes.
    reml : bool
    free : (m,) bool array
        Entries of θ that are estimated, boundary included.
    """

    cp: CrossProducts
    full: Callable[[], tuple[Evaluation, Gradient]]
    reml: bool
    free: NDArray[np.bool_]

    def check(self, kenward_roger: bool = False) -> None:
        """Whether the model isn't too wide, and for Kenward and Roger's method fitted by REML.

        Raises
        ------
        UnavailableError
        """
        if kenward_roger and not self.reml:
            raise UnavailableError(
                "Kenward and Roger's method is derived for REML; fit with method='reml', or ask for "
                "ddf='satterthwaite'."
            )
        check_width(self.cp)

    @cached_property
    def _at(self) -> tuple[Evaluation, Gradient]:
        return self.full()

    @cached_property
    def _second(self) -> SecondOrder:
        return second_order(self.cp, *self._at, self.reml)

    def _in_basis(self, L: Array) -> Array:
        """Rows on γ."""
        return L @ self.cp.basis.linear(np.eye(self.cp.p))

    # --- Satterthwaite ---------------------------------------------------------------------

    @cached_property
    def _to_theta(self) -> Array:
        """∂τ/∂(θ, log σ²), (m + 1, m + 1)."""
        m = len(self.free)
        out, start = np.zeros((m + 1, m + 1)), 0
        for template, T in zip(self.cp.templates, self._at[0].factorization.T, strict=True):
            rows, cols = template.positions
            for k, (a, b) in enumerate(zip(rows, cols, strict=True)):
                move = np.zeros(T.shape)
                move[a] += T[:, b]
                move[:, a] += T[:, b]
                out[start : start + len(rows), start + k] = move[rows, cols]
            start += len(rows)
        out[:, m] = self._second.tau
        return out

    @cached_property
    def _variance_covariance(self) -> Array:
        """A, of (θ, log σ²): zero where nothing is estimated."""
        second, J, m = self._second, self._to_theta, len(self.free)
        expected = second.projected_traces if self.reml else second.traces
        hessian = J.T @ (2.0 * second.observed - expected) @ J
        hessian[:m, :m] += through_H(self.cp, self._at[1], m)
        used = np.flatnonzero(np.append(self.free, True) & (np.diag(hessian) > 0.0))
        size = 1.0 / np.sqrt(np.diag(hessian)[used])
        values, vectors = np.linalg.eigh(hessian[np.ix_(used, used)] * np.outer(size, size))
        steep = values > FLAT
        kept = vectors[:, steep] * size[:, None]
        out = np.zeros((m + 1, m + 1))
        out[np.ix_(used, used)] = 2.0 * (kept / values[steep]) @ kept.T
        return out

    def satterthwaite(self, L: Array) -> Array:
        """Degrees of freedom of each row's estimate, (k,)."""
        second, L = self._second, self._in_basis(L)
        half = L @ second.fixef
        variance = np.einsum("ka,ka->k", half, L)
        by_tau = -np.einsum("ka,iab,kb->ki", half, second.P, half)
        slopes = by_tau @ self._to_theta
        spread = np.einsum("ki,ij,kj->k", slopes, self._variance_covariance, slopes)
        with np.errstate(divide="ignore"):
            return np.asarray(2.0 * variance**2 / spread)

    # --- Kenward and Roger -----------------------------------------------------------------

    @cached_property
    def _W(self) -> Array:
        """Covariance of τ by the expected information; zero where nothing is estimated."""
        self.check(kenward_roger=True)
        information = 0.5 * self._second.projected_traces
        used = np.flatnonzero(np.append(self.free, True))
        size = 1.0 / np.sqrt(np.diag(information)[used])
        values, vectors = np.linalg.eigh(information[np.ix_(used, used)] * np.outer(size, size))
        if values.min() <= FLAT:
            raise UnavailableError(
                "Kenward and Roger's method needs every variance and covariance to be determined by the "
                "data, and here some direction isn't; simplify the random effects, or ask for "
                "ddf='satterthwaite'."
            )
        out = np.zeros(information.shape)
        out[np.ix_(used, used)] = ((vectors * size[:, None]) / values) @ (vectors * size[:, None]).T
        return out

    @cached_property
    def _adjusted(self) -> Array:
        """Φ + 2Λ, of γ in units of σ²."""
        second = self._second
        between = second.Q - np.einsum("iab,bc,jcd->ijad", second.P, second.fixef, second.P)
        Lambda = second.fixef @ np.einsum("ij,ijab->ab", self._W, between) @ second.fixef
        return second.fixef + Lambda + Lambda.T

    def adjusted_covariance(self) -> Array:
        """Kenward and Roger's covariance of β̂, (rank, rank)."""
        back = self.cp.basis.linear(np.eye(self.cp.p))
        return np.asarray(self._at[0].sigma2 * back @ self._adjusted @ back.T)

    def kenward_roger(self, L: Array, differences: Array) -> FTest:
        """F test of Lβ = L β₀, with differences L(β̂ − β₀); rows of L must be independent."""
        second, L = self._second, self._in_basis(L)
        q = len(L)
        LPhi = L @ second.fixef
        Theta = LPhi.T @ np.linalg.solve(LPhi @ L.T, LPhi)  # Φ Θ Φ of the paper
        moved = Theta @ second.P
        once = np.einsum("iaa->i", moved)
        A1 = float(once @ self._W @ once)
        A2 = float(np.einsum("ij,iab,jba->", self._W, moved, moved))
        df, scale = _matched_moments(A1, A2, q)
        wald = differences @ np.linalg.solve(self._at[0].sigma2 * L @ self._adjusted @ L.T, differences)
        return FTest(num_df=q, den_df=df, statistic=scale * float(wald) / q)


def _matched_moments(A1: float, A2: float, q: int) -> tuple[float, float]:
    """Degrees of freedom and the factor of the F statistic (Kenward and Roger 1997, eqs. 5 to 9).

    Where A1 = qA2, as for one hypothesis and in balanced designs, they come to 2q/A2 and 1, also for 2
    degrees of freedom and fewer, where the paper's terms are 0/0 or the matched mean isn't finite. NaN where
    no multiple of an F distribution has the moments.
    """
    if A2 <= 0.0:
        return np.inf, 1.0
    if abs(A1 - q * A2) <= EQUAL * A1:
        return 2.0 * q / A2, 1.0
    B = (A1 + 6.0 * A2) / (2.0 * q)
    g = ((q + 1.0) * A1 - (q + 4.0) * A2) / ((q + 2.0) * A2)
    below = 3.0 * q + 2.0 * (1.0 - g)
    c1, c2, c3 = g / below, (q - g) / below, (q + 2.0 - g) / below
    finite = 1.0 - A2 / q  # 1/E
    rho = (1.0 + c1 * B) * (finite / (1.0 - c2 * B)) ** 2 / (q * (1.0 - c3 * B))
    df = 4.0 + (q + 2.0) / (q * rho - 1.0)
    scale = df * finite / (df - 2.0)
    return (df, scale) if df > 0.0 and scale > 0.0 else (np.nan, np.nan)
