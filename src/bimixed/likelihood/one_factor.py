"""The criterion and its derivatives for one grouping factor: sums over levels, and nothing larger.

Levels are independent given θ, so that everything the optimiser asks for is a sum over them of small
matrices. Arrays may have axes in front, one criterion for each: many responses of one design are fitted at
once that way. The formulas are those of :mod:`bimixed.likelihood.objective` and
:mod:`bimixed.likelihood.information` for a single block.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bimixed import dense
from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts
from bimixed.likelihood.small import inverse_factor, is_large
from bimixed.likelihood.trailing import inverse_if_regular

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Levels:
    """What the levels are at one T, and where they can be told apart from the residual.

    Attributes
    ----------
    W : (..., L, K, K) array
        TG', with G D G' = I for D = T'AT + I; P = WW' is the conditional covariance of the effects.
    half : (..., L, K, r) array
        W'Z'W[Q e].
    N : (..., L, K, K) array
        Z'V⁻¹Z.
    E : (..., L, K, r) array
        Z'V⁻¹[Q e].
    log_det : (...) array
        log |WV|.
    """

    W: Array
    half: Array
    N: Array
    E: Array
    log_det: Array


def eliminate(A: Array, ZR: Array, T: Array, inverse: Array | None) -> Levels:
    """Levels at T, (..., K, K); ``inverse`` is T⁻¹, or None where T is nearly singular."""
    K = T.shape[-1]
    if T.ndim == 2 and is_large(ZR.size):
        return _eliminate_compiled(A, ZR, T, inverse)
    T = T[..., None, :, :]
    D = T.mT @ (A @ T) + np.eye(K)
    G, log_dets = inverse_factor(D)
    W = T @ G.mT
    half = W.mT @ ZR
    if inverse is not None:  # no difference of large numbers
        V = inverse.mT[..., None, :, :] @ G.mT
        N = (inverse.mT @ inverse)[..., None, :, :] - V @ V.mT
        E = V @ half
    else:
        rest = np.eye(K) - A @ (W @ W.mT)
        N, E = rest @ A, ZR - A @ (W @ half)
    return Levels(W, half, N, E, log_dets.sum(axis=-1))


def _eliminate_compiled(A: Array, ZR: Array, T: Array, inverse: Array | None) -> Levels:
    from bimixed.likelihood.kernels import eliminate_levels

    W, half, N, E = np.empty_like(A), np.empty_like(ZR), np.empty_like(A), np.empty_like(ZR)
    regular = inverse is not None
    log_det = eliminate_levels(
        A, ZR, T, np.ascontiguousarray(inverse) if regular else np.zeros_like(T), regular, W, half, N, E
    )
    return Levels(W, half, N, E, np.asarray(log_det))


@dataclass(frozen=True)
class OneFactorPoint:
    """The criterion at one T or several.

    Attributes
    ----------
    cp : CrossProducts
    reml : bool
    T : (..., K, K) array
    levels : Levels
    deviance, sigma2 : (...) arrays
    gamma : (..., p) array
    information : (..., p, p) array
        Q'V⁻¹Q.
    root : (..., p, p) array
        Its lower Cholesky factor.
    """

    cp: CrossProducts
    reml: bool
    T: Array
    levels: Levels
    deviance: Array
    sigma2: Array
    gamma: Array
    information: Array
    root: Array

    @cached_property
    def residual_scores(self) -> Array:
        """Z'V⁻¹(y − Xβ̂), (..., L, K)."""
        E = self.levels.E
        return E[..., -1] - (E[..., :-1] @ self.gamma[..., None, :, None])[..., 0]

    @cached_property
    def _ee(self) -> Array:
        """Σ over levels of ee', (..., K, K)."""
        e = self.residual_scores
        return _times(e.mT, e)

    @cached_property
    def H_slope(self) -> Array:
        """∂dev/∂H, (..., K, K), symmetric."""
        slope = self.levels.N.sum(axis=-3) - self._ee / self.sigma2[..., None, None]
        if self.reml and self.cp.p:
            Ex = self.levels.E[..., :-1]
            half = Ex @ np.linalg.inv(self.root).mT[..., None, :, :]
            flat = half.swapaxes(-2, -3)
            flat = flat.reshape(*flat.shape[:-2], -1)
            slope = slope - flat @ flat.mT
        return 0.5 * (slope + slope.mT)

    @cached_property
    def theta_slope(self) -> Array:
        """∂dev/∂θ, (..., m)."""
        rows, cols = self.cp.chain[0].template.positions
        return 2.0 * (self.H_slope @ self.T)[..., rows, cols]

    @property
    def r2_theta(self) -> Array:
        """∂r²/∂θ with β profiled out, (..., m)."""
        rows, cols = self.cp.chain[0].template.positions
        return -2.0 * (self._ee @ self.T)[..., rows, cols]

    @property
    def modes(self) -> Array:
        """Conditional modes of the random effects, (..., L, K)."""
        B = self.levels.W @ self.levels.half
        return B[..., -1] - (B[..., :-1] @ self.gamma[..., None, :, None])[..., 0]

    @property
    def conditional(self) -> Array:
        """Covariance of each level's effects given y, β and θ, in units of σ², (..., L, K, K)."""
        return self.levels.W @ self.levels.W.mT

    def average_information(self, of_H: bool = False) -> Array:
        """As :func:`bimixed.likelihood.information.average_information`, (..., m, m)."""
        template = self.cp.chain[0].template
        rows, cols = template.positions
        wPw, links, scores = self._sums(self._H_moves(rows, cols, of_H))
        if self.cp.p:
            wPw = wPw - links @ np.linalg.solve(self.information, links.mT)
        df = self.cp.df(self.reml)
        s2 = self.sigma2[..., None, None]
        hessian = wPw / s2 - scores @ scores.mT / (df * s2**2)
        if not of_H:  # ∂dev/∂H through the second derivatives of H = TT'
            hessian = hessian + 2.0 * self.H_slope[..., rows[:, None], rows] * (cols[:, None] == cols)
        return 0.5 * (hessian + hessian.mT)

    def _sums(self, dH: Array) -> tuple[Array, Array, Array]:
        """Sums over levels of c'Nc, c'E_x and c'e with c = ∂H e, for every parameter.

        ∂H is the same for all levels, so that it can be taken out of the sums: what is left to add up are
        the products e_a N_bc e_d and e_a E_bx.
        """
        N, E, e = self.levels.N, self.levels.E, self.residual_scores
        m, K, p = dH.shape[-3], dH.shape[-1], self.cp.p
        front = e.shape[:-2]
        flat = dH.reshape(*dH.shape[:-3], m, K * K)
        pairs = (e[..., :, None] * e[..., None, :]).reshape(*e.shape[:-1], K * K)
        fourfold = _times(pairs.mT, N.reshape(*e.shape[:-1], K * K))  # [(a, d), (b, c)]
        # c_k'N c_j = Σ ∂H_k[b, a] (e_a N_bc e_d) ∂H_j[c, d]
        ordered = np.einsum("...adbc->...bacd", fourfold.reshape(*front, K, K, K, K))
        wVw = flat @ ordered.reshape(*front, K * K, K * K) @ flat.mT
        links = np.zeros((*front, m, 0))
        if p:
            Ex = E[..., :-1].reshape(*e.shape[:-1], K * p)
            mixed = _times(e.mT, Ex).reshape(*front, K * K, p)  # [(b, a), x], ∂H is symmetric
            links = flat @ mixed
        return wVw, links, flat @ self._ee.reshape(*front, K * K, 1)

    def _H_moves(self, rows: Indices, cols: Indices, of_H: bool) -> Array:
        """∂H/∂parameter, (..., m, K, K)."""
        unit = np.zeros((len(rows), *self.T.shape[-2:]))
        unit[np.arange(len(rows)), rows, cols] = 1.0
        if not of_H:
            dH = unit @ self.T.mT[..., None, :, :]
            return dH + dH.mT
        unit[np.arange(len(rows)), cols, rows] = 1.0
        return unit


def _times(left: Array, right: Array) -> Array:
    """left @ right, long matrices by the library that factorizes."""
    return dense.product(left, right) if left.ndim == 2 else left @ right


def evaluate_one_factor(
    cp: CrossProducts, T: Array, reml: bool, right: tuple[Array, Array] | None = None
) -> OneFactorPoint:
    """The criterion at T, (..., K, K).

    Parameters
    ----------
    cp : CrossProducts
        With one chain factor and nothing else.
    T : (..., K, K) array
    reml : bool
    right : ((..., L, K, p + 1), (..., p + 1, p + 1)) arrays, optional
        Z'W[Q e] and [Q e]'W[Q e] of several responses, in place of that in ``cp``; every T is regular then.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where rounding has made a matrix indefinite.
    """
    (factor,) = cp.chain
    ZR, RR = (factor.ZR, cp.RR) if right is None else right
    inverse = inverse_if_regular(T) if right is None else np.linalg.inv(T)
    levels = eliminate(factor.A, ZR, T, inverse)
    flat = levels.half.reshape(*levels.half.shape[:-3], -1, levels.half.shape[-1])
    RVR = RR - flat.mT @ flat
    p, df = cp.p, cp.df(reml)
    information = 0.5 * (RVR[..., :-1, :-1] + RVR[..., :-1, :-1].mT)
    root = np.linalg.cholesky(information)
    deviance = levels.log_det
    gamma = np.zeros((*RVR.shape[:-2], 0))
    r2 = RVR[..., -1, -1]
    if p:
        gamma = np.linalg.solve(information, RVR[..., :-1, -1:])[..., 0]
        r2 = r2 - (RVR[..., :-1, -1] * gamma).sum(axis=-1)
    if r2.ndim == 0 and not r2 > 0.0:
        raise np.linalg.LinAlgError("rounding left no residual")
    deviance = deviance + df * (1.0 + np.log(2.0 * np.pi * r2 / df))
    if reml:
        log_det = 2.0 * np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
        deviance = deviance + log_det + cp.basis.log_det
    return OneFactorPoint(cp, reml, T, levels, deviance, r2 / df, gamma, information, root)


def has_one_factor(cp: CrossProducts) -> bool:
    """Whether this design is one grouping factor alone."""
    return len(cp.chain) == 1 and not cp.trailing
