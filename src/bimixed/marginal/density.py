"""The density of the response given the variance parameters, β and b integrated out.

With C = X'V⁻¹X + σ²S⁻¹, β ~ N(m, S), β̃ = C⁻¹(X'V⁻¹y + σ²S⁻¹m) and V in units of σ²::

    −2 log p(y | T, σ²) = n log 2π + (n − p) log σ² + log|V| + log|C| + log|S|
                          + (y − Xβ̃)'V⁻¹(y − Xβ̃)/σ² + (β̃ − m)'S⁻¹(β̃ − m)

Flat coefficients have S⁻¹ = 0, no part in log|S|, and one 2π each less; all flat, that is the restricted
likelihood (Harville 1974). Derivatives are those of the profiled criterion with C, β̃ and σ²
in place of X'V⁻¹X, β̂ and σ̂². Given the parameters, β and b are normal and drawn exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bimixed import dense
from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts
from bimixed.likelihood.factorization import Factorization, factorize
from bimixed.likelihood.joint import sample_effects
from bimixed.likelihood.objective import Evaluation, by_place, gradient


@dataclass(frozen=True)
class FixefPrior:
    """Independent normal or flat priors of the fixed effects.

    Attributes
    ----------
    mean, sd : (p,) arrays
        Of β; an sd of infinity is flat, and its mean doesn't count.
    """

    mean: Array
    sd: Array

    @property
    def is_flat(self) -> NDArray[np.bool_]:
        return np.isinf(self.sd)

    @property
    def precision(self) -> Array:
        """Diagonal of S⁻¹, (p,)."""
        return np.where(self.is_flat, 0.0, 1.0 / np.where(self.is_flat, 1.0, self.sd) ** 2)

    @property
    def log_det(self) -> float:
        """log |S| of the coefficients that aren't flat."""
        return 2.0 * float(np.sum(np.log(self.sd[~self.is_flat])))


@dataclass(frozen=True)
class MarginalPoint:
    """The density at one (T, σ²), of weights of geometric mean 1.

    Attributes
    ----------
    cp : CrossProducts
    sigma2 : float
    log_density : float
    at : Evaluation
        With γ̃ and the root of C in the places of γ̂ and X'V⁻¹X.
    residual : float
        (y − Xβ̃)'V⁻¹(y − Xβ̃).
    shrunk : float
        tr C⁻¹S⁻¹.
    """

    cp: CrossProducts
    sigma2: float
    log_density: float
    at: Evaluation
    residual: float
    shrunk: float

    @cached_property
    def H_slopes(self) -> list[Array]:
        """∂ log p/∂H by place, symmetric (K, K), at this σ²."""
        return [-0.5 * slope for slope in gradient(self.cp, self.at, True).H]

    @property
    def sigma2_slope(self) -> float:
        """∂ log p/∂σ² with H held."""
        cp, s2 = self.cp, self.sigma2
        return -0.5 * ((cp.n - cp.rank) / s2 + self.shrunk - self.residual / s2**2)


def draw_effects(
    point: MarginalPoint, draws: int, rng: np.random.Generator
) -> tuple[Array, dict[int, Array]]:
    """β and b given y and the variance parameters: independent exact draws.

    γ ~ N(γ̃, σ²C⁻¹), then b | γ ~ N(B_y − B_x γ, σ²P), by back substitution of normal numbers.

    Parameters
    ----------
    point : MarginalPoint
    draws : int
    rng : numpy.random.Generator

    Returns
    -------
    beta : (draws, rank) array
    effects : dict, place → (draws, L, K) array
    """
    beta, effects = sample_effects(point.cp, point.at, float(np.sqrt(point.sigma2)), draws, rng)
    return beta.T, {place: own.transpose(2, 0, 1) for place, own in enumerate(effects)}


def marginal(cp: CrossProducts, T: Sequence[Array], sigma2: float, prior: FixefPrior) -> MarginalPoint:
    """The log-density of the response.

    Parameters
    ----------
    cp : CrossProducts
        Without absorbed fixed effects.
    T : sequence of (K, K) arrays
        Relative factors by place.
    sigma2 : float
    prior : FixefPrior

    Raises
    ------
    numpy.linalg.LinAlgError
        Where rounding has left nothing of what should be positive.
    """
    fact: Factorization = factorize(cp, T)
    solution = fact.solve([f.ZR for f in cp.chain], cp.ZR)
    RVR = cp.RR - solution.quadratic
    information, right = 0.5 * (RVR[:-1, :-1] + RVR[:-1, :-1].T), RVR[:-1, -1]
    # γ = R(β − β_ols), so that its prior has the precision R⁻ᵀS⁻¹R⁻¹
    half = np.sqrt(prior.precision)[:, None] * cp.basis.linear(np.eye(cp.p))
    away = np.where(prior.is_flat, 0.0, prior.mean - cp.basis.beta_ols)
    weighted = half.T @ (np.sqrt(prior.precision) * away)
    root = dense.cholesky(information + sigma2 * half.T @ half)
    gamma = dense.solve_with(root, right + sigma2 * weighted)
    residual = float(RVR[-1, -1] - 2.0 * gamma @ right + gamma @ information @ gamma)
    left = half @ gamma - np.sqrt(prior.precision) * away
    shrink = dense.solve_lower(root, half.T)
    flat = int(prior.is_flat.sum())
    twice = (
        (cp.n - flat) * np.log(2.0 * np.pi)
        + (cp.n - cp.p) * np.log(sigma2)
        + fact.log_det
        + 2.0 * float(np.sum(np.log(np.diag(root))))
        + cp.basis.log_det
        + prior.log_det
        + residual / sigma2
        + float(left @ left)
    )
    at = Evaluation(float(twice), sigma2, gamma, root, by_place(cp, solution), fact, fact)
    return MarginalPoint(cp, sigma2, -0.5 * float(twice), at, residual, float(np.sum(shrink**2)))
