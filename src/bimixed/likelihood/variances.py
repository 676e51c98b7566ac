"""Sampling uncertainty of variance parameters at the optimum."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts
from bimixed.design import Design
from bimixed.likelihood.coordinates import Coordinates
from bimixed.likelihood.identification import undetermined_entries
from bimixed.likelihood.objective import relative_factors
from bimixed.results.records import VarianceParameters, VarianceScales
from bimixed.results.undetermined import Undetermined

STILL = 1e-7
"""Share of the largest move of H below which a direction of θ moves nothing that the data can show."""
FLAT_CURVATURE = 1e-8
"""Eigenvalues of the unit-diagonal Hessian below this belong to directions the data don't determine."""


@dataclass(frozen=True)
class VarianceUncertainty:
    """Delta-method standard errors of sds, correlations and sigma.

    The joint information on (θ, log σ²) follows from the profiled Hessian: with D the unprofiled
    deviance, D_ss = n_df and D_θs = −∂r²/∂θ / σ² for s = log σ², and the Schur complement of D_ss is
    the profiled Hessian. The covariance is twice the inverse.

    Attributes
    ----------
    design : Design
        As specified; θ is in the coordinates.
    hessian_of : callable
        θ → second derivatives of the profiled deviance, (m, m); called when first needed.
    free : (m,) bool array
        Entries of θ that are estimated and not at the boundary.
    """

    design: Design
    coordinates: Coordinates
    cp: CrossProducts
    theta: Array
    sigma2: float
    df: int
    hessian_of: Callable[[Array], Array]
    free: NDArray[np.bool_]
    r2_theta: Array
    unidentified: Mapping[int, list[int]]
    undetermined: Mapping[int, Undetermined] = field(default_factory=dict)

    @cached_property
    def hessian(self) -> Array:
        """Second derivatives of the profiled deviance in θ, (m, m)."""
        return self.hessian_of(self.theta)

    def __call__(self) -> VarianceScales:
        names, kinds = self._parameters()
        se = self._delta(self._scaled)[1]
        return VarianceScales(tuple(names), tuple(kinds), self._values(self.theta), se)

    def entries(self) -> VarianceParameters:
        """Variances and covariances, var_residual last, with standard errors on their own scale."""
        names: list[str] = []
        for f in self.design.factors:
            names += [f"var_{f.key}[{name}]" for name in f.names]
            names += [f"cov_{f.key}[{f.names[i]},{f.names[j]}]" for i, j in f.template.correlated_pairs()]
        return VarianceParameters((*names, "var_residual"), *self._delta(self._squares))

    def _delta(self, values: Callable[[Array, float], Array]) -> tuple[Array, Array]:
        """Values at the optimum and their standard errors, NaN where there are none."""
        cov, flat, size = self._covariance()
        here = values(self.theta, 0.0)
        jacobian = self._jacobian(values)
        with np.errstate(invalid="ignore"):
            natural = np.sqrt(np.einsum("ia,ab,ib->i", jacobian, cov, jacobian))
            # a parameter that moves along a flat direction has no standard error
            reach = np.linalg.norm(jacobian[:, :-1] * size, axis=1)
            moves = np.abs(jacobian[:, :-1] @ flat).max(axis=1, initial=0.0) > 1e-4 * reach
            defined = np.isfinite(here) & self._interior() & ~moves
        return here, np.where(defined, natural, np.nan)

    def _parameters(self) -> tuple[list[str], list[str]]:
        names: list[str] = []
        kinds: list[str] = []
        for f in self.design.factors:
            names += [f"sd_{f.key}[{name}]" for name in f.names]
            kinds += ["sd"] * len(f.names)
            for i, j in f.template.correlated_pairs():
                names.append(f"corr_{f.key}[{f.names[i]},{f.names[j]}]")
                kinds.append("corr")
        return [*names, "sigma"], [*kinds, "sd"]

    def _factors(self, theta: Array) -> list[Array]:
        return self.coordinates.factors(relative_factors(self.cp, theta))

    def _values(self, theta: Array) -> Array:
        """sds, correlations and sigma at θ."""
        scaled, values = self._scaled(theta, 0.0), []
        for value, kind in zip(scaled, self._parameters()[1], strict=True):
            values.append(np.exp(value) if kind == "sd" else np.tanh(value))
        return np.array(values)

    def _scaled(self, theta: Array, log_s2: float) -> Array:
        """Logarithms of sds and of sigma, and Fisher's z of correlations.

        At θ and log σ², relative to the estimate. z comes from the sine of the angle between rows of T, which
        keeps its digits where the correlation is ±1 to all of its own.
        """
        log_sigma = 0.5 * (np.log(self.sigma2) + log_s2)
        values: list[float] = []
        for place, (f, T) in enumerate(zip(self.design.factors, self._factors(theta), strict=True)):
            sd = np.sqrt(np.einsum("ij,ij->i", T, T))
            bad, lost = self.unidentified.get(place, []), self._lost(place)
            unknown = np.isin(np.arange(len(sd)), bad) | np.diag(lost)
            with np.errstate(divide="ignore", invalid="ignore"):
                values += np.where(unknown, np.nan, log_sigma + np.log(sd)).tolist()
                unit = T / sd[:, None]
                for i, j in f.template.correlated_pairs():
                    if lost[[i, i, j], [i, j, j]].any():
                        values.append(np.nan)
                        continue
                    cosine = float(unit[i] @ unit[j])
                    sine = np.linalg.norm(unit[i] - cosine * unit[j])
                    values.append(float(np.copysign(np.log((1.0 + abs(cosine)) / sine), cosine)))
        return np.array([*values, log_sigma + 0.5 * np.log(self.cp.weight_scale)])

    def _squares(self, theta: Array, log_s2: float) -> Array:
        """Variances, covariances and the residual variance at θ and log σ²."""
        sigma2 = self.sigma2 * np.exp(log_s2)
        values: list[float] = []
        for place, (f, T) in enumerate(zip(self.design.factors, self._factors(theta), strict=True)):
            H = sigma2 * T @ T.T
            bad = self.unidentified.get(place, [])
            H[bad], H[:, bad], H[self._lost(place)] = np.nan, np.nan, np.nan
            values += np.diag(H).tolist()
            values += [float(H[i, j]) for i, j in f.template.correlated_pairs()]
        return np.array([*values, sigma2 * self.cp.weight_scale])

    def _lost(self, place: int) -> NDArray[np.bool_]:
        """Entries of a factor's covariance that no structure of Z shows, (K, K)."""
        part, K = self.undetermined.get(place), self.design.factors[place].n_coefficients
        return np.zeros((K, K), dtype=bool) if part is None else part.entries

    @cached_property
    def told(self) -> Array:
        """Orthonormal directions of θ among the free entries that the structure of Z can show, (free, r)."""
        free = np.flatnonzero(self.free)
        known = undetermined_entries(self.design, self.undetermined)
        if not known.shape[1]:
            return np.eye(len(free))
        moves, start = np.zeros((len(self.theta), len(self.theta))), 0
        for template, T in zip(self.cp.templates, relative_factors(self.cp, self.theta), strict=True):
            rows, cols = template.positions
            for k, (a, b) in enumerate(zip(rows, cols, strict=True)):
                move = np.zeros_like(T)
                move[a] += T[:, b]
                move[:, a] += T[:, b]
                moves[start : start + len(rows), start + k] = move[rows, cols]
            start += len(rows)
        basis = np.linalg.qr(known)[0]
        shown = moves[:, free] - basis @ (basis.T @ moves[:, free])
        _, sizes, right = np.linalg.svd(shown)
        return np.asarray(right[: int((sizes > STILL * sizes.max(initial=0.0)).sum())].T)

    def _interior(self) -> NDArray[np.bool_]:
        """Whether the parameter and the block of T it comes from are off the boundary."""
        interior: list[bool] = []
        start = 0
        for f in self.design.factors:
            size = f.template.n_theta
            T_free = f.template.factor(self.free[start : start + size].astype(float))
            singular = [
                any(T_free[k, k] == 0.0 for k in range(block.start, block.stop))
                for block in f.template.sub_blocks()
                for _ in range(block.start, block.stop)
            ]
            interior += [not s for s in singular]
            interior += [not singular[i] for i, _ in f.template.correlated_pairs()]
            start += size
        return np.array([*interior, True])

    def _covariance(self) -> tuple[Array, Array, Array]:
        """Covariance of (θ, log σ²); flat directions of θ, (m, ·); sizes of θ's entries, (m,).

        Directions are judged with each entry in units of its own curvature, so that the covariates'
        units don't matter. Flat ones get no covariance.
        """
        m = len(self.theta)
        cov = np.zeros((m + 1, m + 1))
        free = np.flatnonzero(self.free)
        told = self.told
        shown = told.T @ self.hessian[np.ix_(free, free)] @ told
        curvature = np.clip(np.diag(shown), 0.0, None)
        size = np.where(curvature > 0, 1.0 / np.sqrt(np.where(curvature > 0, curvature, 1.0)), 1.0)
        profiled = shown * np.outer(size, size)
        values, vectors = np.linalg.eigh(profiled)
        steep = values > FLAT_CURVATURE
        kept = told @ (vectors[:, steep] * size[:, None])
        of_theta = 2.0 * (kept / values[steep]) @ kept.T
        link = self.r2_theta[free] / self.sigma2 / self.df  # d log σ̂² / dθ
        cov[np.ix_(free, free)] = of_theta
        cov[free, m] = cov[m, free] = of_theta @ link
        cov[m, m] = link @ of_theta @ link + 2.0 / self.df
        flat = np.zeros((m, int((~steep).sum())))
        flat[free] = told @ (vectors[:, ~steep] * size[:, None])
        sizes = np.zeros(m)
        sizes[free] = np.sqrt(told**2 @ size**2)
        return cov, flat, sizes

    def _jacobian(self, values: Callable[[Array, float], Array]) -> Array:
        m = len(self.theta)
        here = values(self.theta, 0.0)
        jacobian = np.zeros((len(here), m + 1))
        for i in range(m + 1):
            if i < m and not self.free[i]:
                continue
            h = 1e-6 * max(abs(self.theta[i]), 1e-2) if i < m else 1e-6
            up, down = self.theta.copy(), self.theta.copy()
            if i < m:
                up[i] += h
                down[i] -= h
            shift = 0.0 if i < m else h
            with np.errstate(invalid="ignore"):
                jacobian[:, i] = (values(up, shift) - values(down, -shift)) / (2.0 * h)
        return jacobian
