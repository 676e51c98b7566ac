"""Coordinates of the variance parameters that have no bounds, with their priors; no PyMC.

Standard deviations are exp(z), or between the bounds of a uniform prior; correlations are written by
canonical partial correlations tanh(z), which under LKJ(η) are independent Betas (Lewandowski, Kurowicka and
Joe 2009, section 2), as in the hierarchical model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import lgamma, log, pi

import numpy as np

from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.priors import Prior, Priors, sd_name


@dataclass(frozen=True)
class Scale:
    """A positive parameter and its prior.

    Attributes
    ----------
    prior : Prior
    """

    prior: Prior

    def value(self, z: float) -> tuple[float, float]:
        """The parameter at z, and its derivative."""
        if self.prior.family != "uniform":
            x = float(np.exp(z))
            return x, x
        lower, upper = self.prior.parameters["lower"], self.prior.parameters["upper"]
        share = float(1.0 / (1.0 + np.exp(-z)))
        return lower + (upper - lower) * share, (upper - lower) * share * (1.0 - share)

    def log_jacobian(self, z: float) -> tuple[float, float]:
        """log |dx/dz| and its derivative."""
        if self.prior.family != "uniform":
            return z, 1.0
        width = self.prior.parameters["upper"] - self.prior.parameters["lower"]
        value = log(width) - float(np.logaddexp(0.0, z) + np.logaddexp(0.0, -z))
        return value, float(-np.tanh(0.5 * z))

    def coordinate(self, x: float) -> float:
        """z of a value."""
        if self.prior.family != "uniform":
            return float(np.log(x))
        lower, upper = self.prior.parameters["lower"], self.prior.parameters["upper"]
        return float(np.log(x - lower) - np.log(upper - x))

    def log_density(self, x: float) -> tuple[float, float]:
        """Log-density of the prior at x, and its derivative; a flat one is 0."""
        p = self.prior.parameters
        match self.prior.family:
            case "half_normal":
                t = x / p["sigma"]
                return 0.5 * log(2.0 / pi) - log(p["sigma"]) - 0.5 * t * t, -t / p["sigma"]
            case "half_student_t":
                nu, t = p["nu"], x / p["sigma"]
                constant = lgamma(0.5 * (nu + 1)) - lgamma(0.5 * nu) - 0.5 * log(nu * pi)
                value = log(2.0) + constant - log(p["sigma"]) - 0.5 * (nu + 1) * float(np.log1p(t * t / nu))
                return value, -(nu + 1) * t / (nu + t * t) / p["sigma"]
            case "exponential":
                return log(p["rate"]) - p["rate"] * x, -p["rate"]
            case "gamma":
                a, b = p["alpha"], p["beta"]
                return a * log(b) - lgamma(a) + (a - 1) * log(x) - b * x, (a - 1) / x - b
            case "uniform":
                return -log(p["upper"] - p["lower"]), 0.0
            case "flat":
                return 0.0, 0.0
        raise AssertionError(f"{self.prior.family} is no prior of a scale")


@dataclass(frozen=True)
class Block:
    """Coefficients of one group that are free to be correlated, and where their coordinates are.

    Attributes
    ----------
    place : int
        Of the factor.
    rows : slice
        Of its coefficients.
    start : int
        First coordinate: d logarithms of sds, then d(d − 1)/2 partial correlations by rows.
    scales : tuple of Scale
    eta : float
    """

    place: int
    rows: slice
    start: int
    scales: tuple[Scale, ...]
    eta: float

    @property
    def size(self) -> int:
        return len(self.scales)

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        return [(i, j) for i in range(1, self.size) for j in range(i)]

    @property
    def stop(self) -> int:
        return self.start + self.size + len(self.pairs)

    def partial(self, z: Array) -> Array:
        """Partial correlations below the diagonal, (d, d)."""
        out = np.zeros((self.size, self.size))
        for n, (i, j) in enumerate(self.pairs):
            out[i, j] = np.tanh(z[self.start + self.size + n])
        return out

    def factor(self, z: Array) -> Array:
        """Lower Cholesky factor of the covariance, (d, d)."""
        sd = np.array([scale.value(z[self.start + k])[0] for k, scale in enumerate(self.scales)])
        return sd[:, None] * self.correlation_factor(self.partial(z))

    def correlation_factor(self, partial: Array) -> Array:
        L = np.eye(self.size)
        for i in range(1, self.size):
            left = 1.0
            for j in range(i):
                L[i, j] = partial[i, j] * left
                left *= np.sqrt(1.0 - partial[i, j] ** 2)
            L[i, i] = left
        return L

    def pull_back(self, z: Array, slope: Array) -> Array:
        """Slopes in the block's coordinates from those in the entries of the factor."""
        partial = self.partial(z)
        C = self.correlation_factor(partial)
        out = np.zeros(self.stop - self.start)
        sd = np.empty(self.size)
        for k, scale in enumerate(self.scales):
            sd[k], rate = scale.value(z[self.start + k])
            out[k] = rate * float(slope[k] @ C[k])
        for n, (i, j) in enumerate(self.pairs):
            p = partial[i, j]
            root = np.sqrt(1.0 - p * p)
            before = C[i, j] / p if p != 0.0 else float(np.prod(np.sqrt(1.0 - partial[i, :j] ** 2)))
            later = -p / root**2 * float(slope[i, j + 1 : i + 1] @ C[i, j + 1 : i + 1])
            out[self.size + n] = sd[i] * (slope[i, j] * before + later) * root**2
        return out

    def log_prior(self, z: Array, jacobians: bool) -> tuple[float, Array]:
        """Log-density of the prior in these coordinates, or without Jacobians in sds and correlations."""
        value, slope = 0.0, np.zeros(self.stop - self.start)
        for k, scale in enumerate(self.scales):
            value, slope[k] = _with_scale(scale, z[self.start + k], jacobians, value)
        for n, (_, j) in enumerate(self.pairs):
            b = self.eta + (self.size - 2 - j) / 2.0
            p = float(np.tanh(z[self.start + self.size + n]))
            power = b if jacobians else b - 1.0
            value += power * log(1.0 - p * p) + lgamma(2 * b) - 2 * lgamma(b) - (2 * b - 1) * log(2.0)
            slope[self.size + n] = -2.0 * power * p
        return value, slope


def _with_scale(scale: Scale, z: float, jacobians: bool, value: float) -> tuple[float, float]:
    x, rate = scale.value(z)
    density, slope = scale.log_density(x)
    jacobian, jacobian_slope = scale.log_jacobian(z) if jacobians else (0.0, 0.0)
    return value + density + jacobian, slope * rate + jacobian_slope


@dataclass(frozen=True)
class Coordinates:
    """All variance parameters of a model: the blocks of its groups, and log σ last.

    Attributes
    ----------
    blocks : tuple of Block
    sigma : Scale
    sizes : tuple of int
        Coefficients by place of the factor.
    """

    blocks: tuple[Block, ...]
    sigma: Scale
    sizes: tuple[int, ...]

    @staticmethod
    def of(design: Design, priors: Priors) -> "Coordinates":
        blocks: list[Block] = []
        start = 0
        for place, f in enumerate(design.factors):
            for rows in f.template.sub_blocks():
                scales = tuple(Scale(priors[sd_name(f.key, name)]) for name in f.names[rows])
                eta = priors[f"corr_{f.key}"].parameters["eta"] if len(scales) > 1 else 1.0
                blocks.append(Block(place, rows, start, scales, eta))
                start = blocks[-1].stop
        return Coordinates(
            tuple(blocks), Scale(priors["sigma"]), tuple(f.n_coefficients for f in design.factors)
        )

    @property
    def size(self) -> int:
        return (self.blocks[-1].stop if self.blocks else 0) + 1

    def factors(self, z: Array) -> list[Array]:
        """Lower Cholesky factors of the covariances by place, (K, K)."""
        out = [np.zeros((K, K)) for K in self.sizes]
        for block in self.blocks:
            out[block.place][block.rows, block.rows] = block.factor(z)
        return out

    def log_prior(self, z: Array, jacobians: bool = True) -> tuple[float, Array]:
        """Log-density of the priors and its slope, (size,)."""
        value, slope = 0.0, np.zeros(self.size)
        for block in self.blocks:
            more, slope[block.start : block.stop] = block.log_prior(z, jacobians)
            value += more
        value, slope[-1] = _with_scale(self.sigma, z[-1], jacobians, value)
        return value, slope

    def pull_back(self, z: Array, factor_slopes: Sequence[Array], sigma_slope: float) -> Array:
        """Slopes in z from those in the factors and in σ."""
        out = np.zeros(self.size)
        for block in self.blocks:
            slope = factor_slopes[block.place][block.rows, block.rows]
            out[block.start : block.stop] = block.pull_back(z, slope)
        out[-1] = sigma_slope * self.sigma.value(z[-1])[1]
        return out
