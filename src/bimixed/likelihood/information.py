"""Average information: a Hessian of the deviance from matrix-vector solves only.

With w_k = V_k P y, V_k = ∂V/∂θ_k and P the projection V⁻¹ − V⁻¹X(X'V⁻¹X)⁻¹X'V⁻¹, the mean of the observed and
the expected information is w_k'P w_l / σ̂², less (y'P w_k)(y'P w_l) / (n_df σ̂⁴) for the profiled σ² (Gilmour,
Thompson and Cullis 1995). w_k lies in the span of Z, so that its products come from the cross-products and
one solve with as many right sides as parameters. Parameters are the entries of H, where the criterion is
nearly quadratic from afar, or those of T, where a variance of 0 is an ordinary point; there the exact second
derivatives through H = TT' are added, so that a direction without variance has its true curvature.
"""

import numpy as np

from bimixed import dense
from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts
from bimixed.likelihood.objective import Evaluation, Gradient, cross_times


def average_information(
    cp: CrossProducts,
    at: Evaluation,
    slopes: Gradient,
    reml: bool,
    of_H: bool = False,
) -> Array:
    """Approximate second derivatives of the profiled deviance, (m, m).

    Parameters
    ----------
    cp : CrossProducts
    at : Evaluation
    slopes : Gradient
        At the same θ.
    reml : bool
    of_H : bool
        Not in the entries of θ but in those of H at the same places, one off the diagonal with its mirror.
    """
    m = len(slopes.theta)
    by_place = moves(cp, at, slopes, m, of_H)
    chain, trailing = cross_times(cp, by_place)
    solution = at.factorization.solve(chain, trailing)
    products = np.zeros((m, m))
    links = np.zeros((cp.p, m))
    scores = np.zeros(m)
    products_of = {f.place: c for f, c in zip(cp.chain, chain, strict=True)}
    for t in cp.trailing:
        products_of[t.place] = trailing[t.columns].reshape(t.n_levels, t.template.size, m)
    for place, c in enumerate(by_place):
        flat = c.reshape(-1, m)
        products += dense.product(flat.T, products_of[place].reshape(-1, m))
        E = slopes.scores[place]
        links += dense.product(E[:, :, :-1].reshape(len(flat), cp.p).T, flat)
        scores += dense.product(flat.T, slopes.residual_scores[place].reshape(-1))
    wVw = products - solution.quadratic
    wPw = wVw - dense.gram(dense.solve_lower(at.root, links))
    df = cp.df(reml)
    hessian = wPw / at.sigma2 - np.outer(scores, scores) / (df * at.sigma2**2)
    if not of_H:
        hessian += through_H(cp, slopes, m)
    return 0.5 * (hessian + hessian.T)


def moves(cp: CrossProducts, at: Evaluation, slopes: Gradient, m: int, of_H: bool) -> list[Array]:
    """c_k with w_k = Z c_k: (∂H/∂parameter_k) Z'P y, (L, K, m) by place of the factor."""
    blocks, start = [], 0
    for place, template in enumerate(cp.templates):
        e, T = slopes.residual_scores[place], at.factorization.T[place]
        block = np.zeros((*e.shape, m))
        eT = e if of_H else e @ T
        for k, (r, c) in enumerate(zip(*template.positions, strict=True)):
            block[:, r, start + k] += eT[:, c]
            if not of_H:
                block[:, :, start + k] += e[:, [r]] * T[:, c]
            elif r != c:
                block[:, c, start + k] += eT[:, r]
        blocks.append(block)
        start += template.n_theta
    return blocks


def through_H(cp: CrossProducts, slopes: Gradient, m: int) -> Array:
    """Σ ∂dev/∂H · ∂²H/∂θ_k∂θ_l: 2 G_rr' for entries of one column of T."""
    out, start = np.zeros((m, m)), 0
    for place, template in enumerate(cp.templates):
        rows, cols = template.positions
        here = slice(start, start + template.n_theta)
        out[here, here] = 2.0 * slopes.H[place][np.ix_(rows, rows)] * (cols[:, None] == cols)
        start += template.n_theta
    return out
