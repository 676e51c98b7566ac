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

from bimixed import dense
from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts
from bimixed.exceptions import UnavailableError
from bimixed.likelihood.expected import SecondOrder, check_width, second_order
from bimixed.likelihood.information import through_H
from bimixed.likelihood.objective import Evaluation, Gradient
from bimixed.results.records import FTest

FLAT = 1e-8
"""Eigenvalues of the unit-diagonal information below this belong to directions that the data don't know."""
UNSEEN = 1e-12
"""Share of what an entry of H could tell below which no row has anything to do with it."""
NO_DF = 1e-6
"""Degrees of freedom that are 0 but for rounding."""
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
        used = np.append(self.free, True) & (np.diag(hessian) > UNSEEN * np.abs(np.diag(hessian)).max())
        return 2.0 * _inverse_where_steep(hessian, used)

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
        used = np.append(self.free, True) & (np.diag(information) > UNSEEN * self._possible)
        return _inverse_where_steep(information, used)

    @cached_property
    def _possible(self) -> Array:
        """What the entries of τ could tell, (m + 1,): of a covariance as much as of its variances."""
        traces, out = np.diag(self._second.traces), [np.zeros(0)]
        start = 0
        for template in self.cp.templates:
            rows, cols = template.positions
            own = np.zeros(template.size)
            diagonal = rows == cols
            own[rows[diagonal]] = traces[start : start + len(rows)][diagonal]
            out.append(np.sqrt(own[rows] * own[cols]))
            start += len(rows)
        return np.concatenate([*out, traces[start:]])

    @cached_property
    def _adjusted(self) -> Array:
        """Φ + 2Λ, of γ in units of σ²."""
        second = self._second
        between = second.Q - np.einsum("iab,bc,jcd->ijad", second.P, second.fixef, second.P)
        Lambda = second.fixef @ np.einsum("ij,ijab->ab", self._W, between) @ second.fixef
        return second.fixef + Lambda + Lambda.T

    def covariance_of(self, L: Array, adjusted: bool) -> Array | None:
        """Covariance of Lβ̂, adjusted by Kenward and Roger or not, (k, k); None beside absorbed effects.

        In the orthogonal basis: columns of X far from 0 would lose its digits.
        """
        if self.cp.basis.absorbed is not None:
            return None
        rows = self._in_basis(L)
        if adjusted:
            return np.asarray(self._at[0].sigma2 * rows @ self._adjusted @ rows.T)
        half = dense.solve_lower(self._at[0].root, rows.T)
        return np.asarray(self._at[0].sigma2 * half.T @ half)

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


def _inverse_where_steep(information: Array, used: NDArray[np.bool_]) -> Array:
    """Inverse on the directions that the data know, 0 along others: of those only sums matter."""
    own = np.flatnonzero(used)
    size = 1.0 / np.sqrt(np.diag(information)[own])
    values, vectors = np.linalg.eigh(information[np.ix_(own, own)] * np.outer(size, size))
    steep = values > FLAT
    kept = vectors[:, steep] * size[:, None]
    out = np.zeros(information.shape)
    out[np.ix_(own, own)] = (kept / values[steep]) @ kept.T
    return out


def _matched_moments(A1: float, A2: float, q: int) -> tuple[float, float]:
    """Degrees of freedom and the factor of the F statistic (Kenward and Roger 1997, eqs. 5 to 9).

    In the two cases that the method makes exact its terms simplify, and are 0/0 no more where the F
    distribution has no mean: one hypothesis or a balanced design, A1 = qA2, and Hotelling's T²,
    A1 = 2A2/(q + 1). NaN where no multiple of an F distribution has the moments.
    """
    if A2 <= 0.0:
        return np.inf, 1.0
    share, ratio = A2 / q, A1 / A2
    if abs(ratio - q) <= EQUAL * q:
        return 2.0 / share, 1.0
    if abs(ratio - 2.0 / (q + 1.0)) <= EQUAL:
        df = (q + 1.0) / share + 1.0 - q
        return (df, df * share / (q + 1.0)) if df > NO_DF else (np.nan, np.nan)
    B = (A1 + 6.0 * A2) / (2.0 * q)
    g = ((q + 1.0) * A1 - (q + 4.0) * A2) / ((q + 2.0) * A2)
    below = 3.0 * q + 2.0 * (1.0 - g)
    V0, V1, V2 = 1.0 + g / below * B, 1.0 - (q - g) / below * B, 1.0 - (q + 2.0 - g) / below * B
    finite = 1.0 - share  # 1/E
    df = 4.0 + (q + 2.0) * V2 * V1**2 / (V0 * finite**2 - V2 * V1**2)
    scale = df * finite / (df - 2.0)
    return (df, scale) if df > NO_DF and scale > 0.0 else (np.nan, np.nan)
