"""Fixed and random effects together, given the variances: draws, and covariances of levels."""

from dataclasses import dataclass

import numpy as np

from bimixed import dense
from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts
from bimixed.design import Design
from bimixed.likelihood.coordinates import Coordinates
from bimixed.likelihood.factorization import Solution
from bimixed.likelihood.objective import Evaluation, by_place
from bimixed.likelihood.points import At


def sample_effects(
    cp: CrossProducts, at: Evaluation, sigma: float, n: int, rng: np.random.Generator
) -> tuple[Array, list[Array]]:
    """Draws of β and b given y and θ: γ ~ N(γ̂, σ²(Q'V⁻¹Q)⁻¹), then b | γ ~ N(B_y − B_x γ, σ²P).

    Parameters
    ----------
    cp : CrossProducts
    at : Evaluation
        With γ̂ and the root of its information.
    sigma : float
    n : int
    rng : numpy.random.Generator

    Returns
    -------
    (rank, n) array
        Independent fixed effects.
    list of (L, K, n) arrays
        Random effects by place of the factor, in the coordinates of the cross-products.
    """
    z = rng.standard_normal((cp.p, n))
    gamma = at.gamma[:, None] + sigma * dense.solve_lower(at.root, z, transpose=True)
    chain = [rng.standard_normal((f.n_levels, f.template.size, n)) for f in cp.chain]
    moved = at.factorization.sample(chain, rng.standard_normal((cp.width, n)))
    away = by_place(cp, Solution(*moved, halves=[]))
    effects = [B[:, :, -1:] - B[:, :, :-1] @ gamma + sigma * own for B, own in zip(at.B, away, strict=True)]
    return cp.basis.coefficients(gamma, effects), effects


@dataclass(frozen=True)
class JointNormal:
    """Normal distribution of (β, b) given y and θ, which has the covariance of (β̂ − β, b̂ − b).

    Henderson (1975); for draws the prior of β is flat.

    Attributes
    ----------
    design : Design
        As specified.
    coordinates : Coordinates
        Those of the evaluation.
    at : At
    """

    design: Design
    coordinates: Coordinates
    at: At

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Array, dict[str, Array]]:
        """Draws of the independent fixed effects, (n, rank), and of each group's effects, (n, L, K)."""
        at = self.at
        sigma = float(np.sqrt(at.sigma2))
        beta, effects = sample_effects(at.problem.cp, at.full()[0], sigma, n, rng)
        own = {
            factor.key: self.coordinates.effects(place, effects[place].transpose(2, 0, 1))
            for place, factor in enumerate(self.design.factors)
        }
        return beta.T, own

    def ranef_cov(self, key: str, given_fixef: bool) -> Array:
        """Covariance of each level's effects, (L, K, K): of b given y, β and θ, or of b̂ − b given θ."""
        place = [factor.key for factor in self.design.factors].index(key)
        cov, p = self.at.conditional(place), self.at.problem.cp.p
        if not given_fixef and p:
            B = self.at.full()[0].B[place][:, :, :-1]
            half = dense.solve_lower(self.at.root, B.reshape(-1, p).T).T.reshape(B.shape)
            cov = cov + half @ np.swapaxes(half, 1, 2)
        return self.at.sigma2 * self.coordinates.covariance(place, cov)
