"""The profiled ML and REML criterion and its gradient: pure functions of θ.

deviance(θ) = log|WV| + (n − p)(1 + log(2π r²/(n − p))) + log|X'V⁻¹X|    (REML)
deviance(θ) = log|WV| + n(1 + log(2π r²/n))                               (ML)

(weights have a geometric mean of 1, so log|W| = 0), with r² = (y − Xβ̂)'V⁻¹(y − Xβ̂) (Bates et al. 2015,
eq. 34 and 42). The log-likelihood is −½ deviance.
"""

from dataclasses import dataclass

import numpy as np

from bimixed import dense
from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts
from bimixed.likelihood.factorization import (
    Factorization,
    Solution,
    factorize,
)
from bimixed.likelihood.selected_inverse import SelectedInverse
from bimixed.likelihood.small import sum_by
from bimixed.likelihood.trailing import inverse_if_regular


@dataclass(frozen=True)
class Evaluation:
    """The criterion at one θ, and what was computed on the way.

    Attributes
    ----------
    deviance : float
    sigma2 : float
        Residual variance that maximises the likelihood given θ.
    gamma : (p,) array
        Fixed effects in the orthogonal basis.
    root : (p, p) array
        Lower Cholesky factor of the information on gamma, Q'V⁻¹Q, in units of 1/σ².
    B : list of (L, K, p + 1) arrays
        H Z'V⁻¹[Q e] by place of the factor in the design.
    factorization : Factorization
    bare : Factorization
        That of the criterion's determinant: the same, or by ML without absorbed fixed effects.
    """

    deviance: float
    sigma2: float
    gamma: Array
    root: Array
    B: list[Array]
    factorization: Factorization
    bare: Factorization

    @property
    def ranef(self) -> list[Array]:
        """Conditional modes of the random effects, (L, K) by place of the factor."""
        return [B[:, :, -1] - B[:, :, :-1] @ self.gamma for B in self.B]


@dataclass(frozen=True)
class Gradient:
    """Derivatives at one θ.

    Attributes
    ----------
    theta : (m,) array
        Of the deviance in θ, factors in the design's order.
    H : list of (K, K) arrays
        Of the deviance in each H = TT', symmetric; exists at a singular T too.
    r2_theta : (m,) array
        Of r² in θ, β profiled out.
    inverse : SelectedInverse
    scores : list of (L, K, p + 1) arrays
        Z'V⁻¹[Q e] by place of the factor.
    residual_scores : list of (L, K) arrays
        Z'V⁻¹(y − Xβ̂).
    """

    theta: Array
    H: list[Array]
    r2_theta: Array
    inverse: SelectedInverse
    scores: list[Array]
    residual_scores: list[Array]


def relative_factors(cp: CrossProducts, theta: Array) -> list[Array]:
    """θ → T of each factor, in the design's order."""
    T, start = [], 0
    for template in cp.templates:
        T.append(template.factor(theta[start : start + template.n_theta]))
        start += template.n_theta
    return T


def evaluate(cp: CrossProducts, theta: Array, reml: bool) -> Evaluation:
    """The criterion at θ.

    Parameters
    ----------
    cp : CrossProducts
    theta : (m,) array
    reml : bool

    Raises
    ------
    numpy.linalg.LinAlgError
        Where rounding has left nothing of what should be positive.
    """
    fact = factorize(cp, relative_factors(cp, theta))
    solution = fact.solve([f.ZR for f in cp.chain], cp.ZR)
    RVR = cp.RR - solution.quadratic
    information = 0.5 * (RVR[:-1, :-1] + RVR[:-1, :-1].T)
    root = dense.cholesky(information)
    gamma = dense.solve_with(root, RVR[:-1, -1])
    r2 = float(RVR[-1, -1] - RVR[:-1, -1] @ gamma)
    if not r2 > 0.0:
        raise np.linalg.LinAlgError("rounding left no residual")
    df = cp.df(reml)
    bare = fact if cp.bare is None or reml else factorize(cp.bare, fact.T)
    deviance = bare.log_det + df * (1.0 + np.log(2.0 * np.pi * r2 / df))
    if reml:
        deviance += 2.0 * float(np.sum(np.log(np.diag(root)))) + cp.basis.log_det
    return Evaluation(float(deviance), r2 / df, gamma, root, by_place(cp, solution), fact, bare)


def by_place(cp: CrossProducts, solution: Solution) -> list[Array]:
    blocks = {f.place: B for f, B in zip(cp.chain, solution.chain, strict=True)}
    for f in cp.trailing:
        by_level = solution.trailing[f.columns].reshape(f.n_levels, f.template.size, -1)
        blocks[f.place] = by_level
    return [blocks[place] for place in sorted(blocks)]


def gradient(cp: CrossProducts, at: Evaluation, reml: bool) -> Gradient:
    """Derivatives of the criterion at an evaluated θ, through the selected inverse."""
    inverse = SelectedInverse(at.bare)
    E = _scores(cp, at)
    by_H, theta, r2_theta, residual = [], [], [], []
    for place, template in enumerate(cp.templates):
        T = at.factorization.T[place]
        e = E[place][:, :, -1] - E[place][:, :, :-1] @ at.gamma
        residual.append(e)
        if template.fixed:
            by_H.append(np.zeros((1, 1)))
            continue
        ee = dense.gram(e)
        G = inverse.gamma[place] - ee / at.sigma2
        if reml and cp.p:
            Ex = E[place][:, :, :-1]
            half = dense.solve_lower(at.root, Ex.reshape(-1, cp.p).T)
            by_coefficient = half.reshape(cp.p, *Ex.shape[:2]).reshape(-1, Ex.shape[1])
            G = G - dense.gram(by_coefficient)
        G = 0.5 * (G + G.T)
        by_H.append(G)
        theta.append(2.0 * template.theta(G @ T))
        r2_theta.append(-2.0 * template.theta(ee @ T))
    return Gradient(np.concatenate(theta), by_H, np.concatenate(r2_theta), inverse, E, residual)


def cross_times(cp: CrossProducts, blocks: list[Array]) -> tuple[list[Array], Array]:
    """Z'WZ c for c given by place of the factor, (L, K, r) each.

    Returns
    -------
    list of (L, K, r) arrays
        By chain factor.
    (q, r) array
        Of the trailing factors.
    """
    width, r = cp.width, blocks[0].shape[2]
    trailing = np.zeros((width, r))
    for t in cp.trailing:
        trailing[t.columns] = blocks[t.place].reshape(-1, r)
    to_trailing = cp.times_S(trailing)
    chain = [f.A @ blocks[f.place] for f in cp.chain]
    for j, f in enumerate(cp.chain):
        c = blocks[f.place]
        for i, parent in enumerate(f.parents):
            k = cp.chain[j + 1 + i]
            chain[j] = chain[j] + f.N[i] @ blocks[k.place][parent]
            chain[j + 1 + i] = chain[j + 1 + i] + sum_by(parent, np.swapaxes(f.N[i], 1, 2) @ c, k.n_levels)
        if width:
            chain[j] = chain[j] + f.coupling.times(trailing).reshape(c.shape)
            to_trailing = to_trailing + f.coupling.transposed_times(c.reshape(-1, r))
    return chain, to_trailing


def _scores(cp: CrossProducts, at: Evaluation) -> list[Array]:
    """Z'V⁻¹[Q e] = Z'W[Q e] − Z'WZ B, by place of the factor."""
    chain, trailing = cross_times(cp, at.B)
    right: dict[int, Array] = {f.place: f.ZR - c for f, c in zip(cp.chain, chain, strict=True)}
    for t in cp.trailing:
        rest = cp.ZR[t.columns] - trailing[t.columns]
        right[t.place] = rest.reshape(t.n_levels, t.template.size, -1)
    for place, (template, T) in enumerate(zip(cp.templates, at.factorization.T, strict=True)):
        T_inverse = inverse_if_regular(T)
        if template.fixed:
            right[place] = np.zeros_like(right[place])  # what is fixed leaves residuals without it
        elif T_inverse is not None:  # B = HE, with no difference of large numbers
            right[place] = T_inverse.T @ (T_inverse @ at.B[place])
    return [right[place] for place in sorted(right)]
