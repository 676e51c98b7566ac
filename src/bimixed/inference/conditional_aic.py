"""Akaike's criterion for the focus on the groups at hand: conditional on the random effects.

−2 log p(y | β̂, b̂, σ̂) + 2 (df + 1) with df = Σ ∂ŷ_i/∂y_i (Vaida and Blanchard 2005). Where the variances are
taken as known, that is the trace of the hat matrix; where ŷ counts as a function of y through the estimated
variances too, it has a second part (Greven and Kneib 2010), by the implicit function theorem

    Σ_jk (D⁻¹)_jk (∂ŷ/∂θ_j)'(−∂²dev/∂θ_k∂y)        D = ∂²dev/∂θ∂θ',
    ∂ŷ/∂θ_j = W⁻¹P w_j,   ∂²dev/∂θ_k∂y = −(2/σ̂²) (P w_k − (y'P w_k / r²) P y),   w_k = (∂V/∂θ_k) P y.

Parameters at the boundary stay there when y changes a little, and are left out. The 1 stands for σ.
"""

from dataclasses import dataclass, fields

import numpy as np

from bimixed import dense
from bimixed.covariance import Array
from bimixed.inference.row_projections import RowProjections, row_projections
from bimixed.likelihood.information import moves
from bimixed.likelihood.objective import cross_times
from bimixed.likelihood.variances import VarianceUncertainty
from bimixed.results import MixedModelResult
from bimixed.results.summary import Summary
from bimixed.results.uncertainty import NormalApproximation

FLAT = 1e-9
"""Eigenvalues of the unit-diagonal Hessian below this belong to directions that ŷ doesn't depend on."""


@dataclass(frozen=True)
class ConditionalAic:
    """The conditional AIC and its parts.

    Attributes
    ----------
    caic : float
        −2 loglik + 2 df.
    loglik : float
        Log-density of the response given the conditional modes.
    df : float
        Effective degrees of freedom, Σ ∂ŷ_i/∂y_i + 1 (for σ), estimation of the variances counted.
    df_given_variances : float
        The same with the variances as known: the trace of the hat matrix + 1 (Vaida and Blanchard 2005).
    """

    caic: float
    loglik: float
    df: float
    df_given_variances: float

    def _repr_html_(self) -> str:
        facts = [(field.name, f"{getattr(self, field.name):.4f}") for field in fields(self)]
        return Summary("Conditional AIC", tuple(facts), (), (), ())._repr_html_()


def conditional_aic(fit: MixedModelResult) -> ConditionalAic:
    """See :meth:`MixedModelResult.conditional_aic`."""
    rows = row_projections(
        fit, "The conditional AIC", "for draws compare loo(), which leaves out what an AIC approximates."
    )
    given = float(rows.leverages[0].sum())
    df = given + _of_variances(fit, rows) + 1.0
    loglik = _conditional_loglik(fit)
    return ConditionalAic(-2.0 * loglik + 2.0 * df, loglik, df, given + 1.0)


def _conditional_loglik(fit: MixedModelResult) -> float:
    resid, weights = fit.resid.to_numpy(), fit.design.weights
    log_weights = 0.0
    if weights is not None:
        resid, log_weights = resid * np.sqrt(weights), float(np.log(weights).sum())
    squares = float(resid @ resid) / fit.sigma**2
    return float(0.5 * (log_weights - fit.nobs * np.log(2.0 * np.pi * fit.sigma**2) - squares))


def _of_variances(fit: MixedModelResult, rows: RowProjections) -> float:
    """What the estimation of θ adds to Σ ∂ŷ_i/∂y_i."""
    assert isinstance(fit.uncertainty, NormalApproximation)
    scales = fit.uncertainty.variance_scales
    assert isinstance(scales, VarianceUncertainty)
    free = np.flatnonzero(scales.free)
    if not len(free):
        return 0.0
    Pw = _projected_moves(rows)[:, free]
    r2 = scales.df * scales.sigma2
    slopes = np.asarray(Pw.T @ rows.marginal) / r2  # y'P w_k / r², of projected rows those of y − Xβ̂
    across = dense.gram(Pw) - np.outer(slopes, rows.score @ Pw)
    told = scales.told
    across, hessian = told.T @ across @ told, told.T @ scales.hessian[np.ix_(free, free)] @ told
    unit = np.sqrt(np.abs(np.diag(hessian)))
    unit[unit == 0.0] = 1.0
    values, vectors = np.linalg.eigh(hessian / np.outer(unit, unit))
    known = values > FLAT
    half = vectors[:, known].T / unit
    return float(2.0 / scales.sigma2 * np.sum(np.einsum("ik,kl,il->i", half, across, half) / values[known]))


def _projected_moves(rows: RowProjections) -> Array:
    """P w_k for each entry of θ, (n, m)."""
    evaluation, gradient = rows.full
    cp, m = rows.cp, len(gradient.theta)
    by_place = moves(cp, evaluation, gradient, m, False)
    solution = evaluation.factorization.solve(*cross_times(cp, by_place))
    left = {f.place: by_place[f.place] - b for f, b in zip(cp.chain, solution.chain, strict=True)}
    for t in cp.trailing:
        own = by_place[t.place]
        left[t.place] = own - solution.trailing[t.columns].reshape(own.shape)
    links = np.zeros((cp.p, m))
    for place, c in enumerate(by_place if cp.p else ()):
        E = gradient.scores[place][:, :, :-1]
        links += dense.product(E.reshape(-1, cp.p).T, c.reshape(-1, m))
    of_fixed = dense.product(rows.VQ, dense.solve_with(evaluation.root, links))
    return np.asarray(sum(rows.times(place, c) for place, c in left.items()) - of_fixed)
