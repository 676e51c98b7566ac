"""The deviance with σ or a fixed coefficient held at a value, and its slopes.

D = log|WV| + n_df log(2πσ²) + r²/σ² (+ log|X'V⁻¹X| by REML), r² = (y − Xβ)'V⁻¹(y − Xβ). What isn't held
is at its best: σ² = r²/n_df, and β by generalised least squares. Holding β_j at b adds (b − β̂_j)² /
[(X'V⁻¹X)⁻¹]_jj to the least r², and moves the others along a line, so that b costs no more than one
triangular solve. Slopes in the entries of T follow from those in H = TT', which exist at a singular T
too.
"""

from dataclasses import dataclass

import numpy as np

from bimixed import dense
from bimixed.covariance import Array
from bimixed.likelihood.points import At, OneFactorAt


@dataclass(frozen=True)
class Coefficient:
    """A fixed coefficient in the orthogonal basis: β_j = β_ols,j + direction'γ.

    Attributes
    ----------
    direction : (p,) array
    shift : float
        The value held, less β_ols,j.
    """

    direction: Array
    shift: float


@dataclass(frozen=True)
class Held:
    """The deviance with something held, everything else but θ at its best.

    Attributes
    ----------
    deviance : float
    sigma2 : float
        The residual variance, held or best.
    H : list of (K, K) arrays
        ∂D/∂H by place.
    log_variance : float
        ∂D/∂log σ², 0 where σ isn't held.
    coefficient : float
        ∂D/∂β_j, 0 where none is held.
    gamma : (p,) array
        Fixed effects in the orthogonal basis.
    """

    deviance: float
    sigma2: float
    H: list[Array]
    log_variance: float
    coefficient: float
    gamma: Array


def hold(at: At, sigma2: float | None = None, coefficient: Coefficient | None = None) -> Held:
    """The deviance at an evaluated θ with σ², a coefficient, or both held."""
    df = at.problem.cp.df(at.problem.reml)
    least = at.sigma2 * df
    log_dets = at.value - df * (1.0 + np.log(2.0 * np.pi * at.sigma2))
    r2, gamma, pull = least, at.gamma, 0.0
    if coefficient is not None:
        half = dense.solve_lower(at.root, coefficient.direction)
        variance = float(half @ half)
        away = coefficient.shift - float(coefficient.direction @ at.gamma)
        gamma = gamma + dense.solve_lower(at.root, half, transpose=True) * (away / variance)
        r2, pull = least + away**2 / variance, 2.0 * away / variance
    used = r2 / df if sigma2 is None else sigma2
    by_H = []
    for slope, E in zip(at.H_slopes, _scores(at), strict=True):
        best, moved = _products(E, at.gamma), _products(E, gamma)
        by_H.append(slope + best / at.sigma2 - moved / used)
    return Held(
        deviance=float(log_dets + df * np.log(2.0 * np.pi * used) + r2 / used),
        sigma2=float(used),
        H=by_H,
        log_variance=0.0 if sigma2 is None else float(df - r2 / used),
        coefficient=pull / used,
        gamma=gamma,
    )


def _scores(at: At) -> list[Array]:
    """Z'V⁻¹[Q e] by place, (L, K, p + 1) each."""
    if isinstance(at, OneFactorAt):
        return [at.point.levels.E]
    return at.full()[1].scores


def _products(E: Array, gamma: Array) -> Array:
    """Σ over levels of ee', e = Z'V⁻¹(y − Xβ), (K, K)."""
    return dense.gram(E[:, :, -1] - E[:, :, :-1] @ gamma)
