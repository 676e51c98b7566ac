"""Coordinates of the variance parameters that have no bounds, with their priors; no PyMC.

A standard deviation is |c sinh z|: like its logarithm where it is large, and through 0 where the data
can't tell it from 0, in place of the long tail that the logarithm has there. What turns the sign of z turns
those of the correlations, so that all images are the same model. Those with a uniform prior lie between its
bounds, σ and those with a gamma prior are exp z. Correlations are written by canonical partial correlations
tanh z, which under LKJ(η) are independent Betas (Lewandowski, Kurowicka and Joe 2009, section 2), as in the
hierarchical model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import lgamma, log, pi
from typing import Any

import numpy as np

from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.priors import Prior, Priors, sd_name

LOG_2 = log(2.0)
NOT_ZERO = 1e-8
"""Share of its unit that a parameter keeps from 0, where slopes would be 0/0."""
TURNING = ("half_normal", "half_student_t", "exponential", "flat")
"""Priors whose density goes on through 0."""


@dataclass(frozen=True)
class Scale:
    """A positive parameter and its prior.

    Attributes
    ----------
    prior : Prior
    turn : float
        c of c sinh z; 0 for the other coordinates.
    """

    prior: Prior
    turn: float = 0.0

    def value(self, z: Any) -> tuple[Any, Any]:
        """The parameter at z, a number or an array, and its derivative; of either sign where it turns."""
        if self.turn:
            x = self.turn * np.sinh(z)
            least = NOT_ZERO * self.turn
            return np.where(np.abs(x) < least, np.copysign(least, x), x), self.turn * np.cosh(z)
        if self.prior.family != "uniform":
            x = np.exp(z)
            return x, x
        lower, upper = self.prior.parameters["lower"], self.prior.parameters["upper"]
        share = 1.0 / (1.0 + np.exp(-z))
        return lower + (upper - lower) * share, (upper - lower) * share * (1.0 - share)

    def log_jacobian(self, z: float) -> tuple[float, float]:
        """log |dx/dz| and its derivative."""
        if self.turn:
            return log(self.turn) + abs(z) + float(np.log1p(np.exp(-2.0 * abs(z)))) - LOG_2, float(np.tanh(z))
        if self.prior.family != "uniform":
            return z, 1.0
        width = self.prior.parameters["upper"] - self.prior.parameters["lower"]
        value = log(width) - float(np.logaddexp(0.0, z) + np.logaddexp(0.0, -z))
        return value, float(-np.tanh(0.5 * z))

    def coordinate(self, x: float) -> float:
        """z of a value."""
        if self.turn:
            return float(np.arcsinh(x / self.turn))
        if self.prior.family != "uniform":
            return float(np.log(x))
        lower, upper = self.prior.parameters["lower"], self.prior.parameters["upper"]
        return float(np.log(x - lower) - np.log(upper - x))

    @property
    def log_constant(self) -> float:
        """What the log-density has that doesn't depend on x; 0 for a flat one."""
        p = self.prior.parameters
        match self.prior.family:
            case "half_normal":
                return 0.5 * log(2.0 / pi) - log(p["sigma"])
            case "half_student_t":
                nu = p["nu"]
                return log(2.0 / p["sigma"]) + lgamma(0.5 * (nu + 1)) - lgamma(0.5 * nu) - 0.5 * log(nu * pi)
            case "exponential":
                return log(p["rate"])
            case "gamma":
                return p["alpha"] * log(p["beta"]) - lgamma(p["alpha"])
            case "uniform":
                return -log(p["upper"] - p["lower"])
            case "flat":
                return 0.0
        raise AssertionError(f"{self.prior.family} is no prior of a scale")

    def log_density(self, x: float) -> tuple[float, float]:
        """Log-density of the prior at |x|, and its derivative in x; a flat one is 0."""
        if x < 0.0:
            value, slope = self.log_density(-x)
            return value, -slope
        p, constant = self.prior.parameters, self.log_constant
        match self.prior.family:
            case "half_normal":
                t = x / p["sigma"]
                return constant - 0.5 * t * t, -t / p["sigma"]
            case "half_student_t":
                nu, t = p["nu"], x / p["sigma"]
                value = constant - 0.5 * (nu + 1) * float(np.log1p(t * t / nu))
                return value, -(nu + 1) * t / (nu + t * t) / p["sigma"]
            case "exponential":
                return constant - p["rate"] * x, -p["rate"]
            case "gamma":
                a, b = p["alpha"], p["beta"]
                return constant + (a - 1) * log(x) - b * x, (a - 1) / x - b
        return constant, 0.0


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
        """Partial correlations below the diagonal, (..., d, d) of (..., m)."""
        out = np.zeros((*z.shape[:-1], self.size, self.size))
        for n, (i, j) in enumerate(self.pairs):
            out[..., i, j] = np.tanh(z[..., self.start + self.size + n])
        return out

    def factor(self, z: Array) -> Array:
        """Lower Cholesky factor of the covariance, (..., d, d) of (..., m)."""
        sd = [scale.value(z[..., self.start + k])[0] for k, scale in enumerate(self.scales)]
        return np.stack(sd, axis=-1)[..., None] * self.correlation_factor(self.partial(z))

    def correlation_factor(self, partial: Array) -> Array:
        """That of the correlations, (..., d, d)."""
        L = np.zeros(partial.shape)
        for i in range(self.size):
            left = np.ones(partial.shape[:-2])
            for j in range(i):
                L[..., i, j] = partial[..., i, j] * left
                left = left * np.sqrt(1.0 - partial[..., i, j] ** 2)
            L[..., i, i] = left
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
            later = p * float(slope[i, j + 1 : i + 1] @ C[i, j + 1 : i + 1])
            out[self.size + n] = sd[i] * (slope[i, j] * before * root**2 - later)
        return out

    def log_prior(self, z: Array, jacobians: bool) -> tuple[float, Array]:
        """Log-density of the prior in these coordinates, or without Jacobians in sds and correlations."""
        value, slope = 0.0, np.zeros(self.stop - self.start)
        for k, scale in enumerate(self.scales):
            value, slope[k] = _with_scale(scale, z[self.start + k], jacobians, value)
        for n, (_, j) in enumerate(self.pairs):
            b = self.eta + (self.size - 2 - j) / 2.0
            at = float(z[self.start + self.size + n])
            p = float(np.tanh(at))
            power = b if jacobians else b - 1.0
            # log(1 − tanh²) without its cancellation
            log_rest = -2.0 * (abs(at) + float(np.log1p(np.exp(-2.0 * abs(at)))) - LOG_2)
            value += power * log_rest + lgamma(2 * b) - 2 * lgamma(b) - (2 * b - 1) * log(2.0)
            slope[self.size + n] = -2.0 * power * p
        return value, slope


def _with_scale(scale: Scale, z: float, jacobians: bool, value: float) -> tuple[float, float]:
    x, rate = scale.value(z)
    density, slope = scale.log_density(x)
    jacobian, jacobian_slope = scale.log_jacobian(z) if jacobians else (0.0, 0.0)
    return value + density + jacobian, slope * rate + jacobian_slope


def _scale(prior: Prior, turn: float) -> Scale:
    return Scale(prior, turn if prior.family in TURNING else 0.0)


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
    def of(design: Design, priors: Priors, turns: Sequence[Array] | None = None) -> "Coordinates":
        """Of a model.

        Parameters
        ----------
        design : Design
        priors : Priors
        turns : sequence of (K,) arrays, optional
            By place, sds below which the data can hardly tell them from 0; default logarithms.
        """
        blocks: list[Block] = []
        start = 0
        for place, f in enumerate(design.factors):
            for rows in f.template.sub_blocks():
                own = [0.0] * f.n_coefficients if turns is None else turns[place].tolist()
                scales = tuple(
                    _scale(priors[sd_name(f.key, name)], turn)
                    for name, turn in zip(f.names[rows], own[rows], strict=True)
                )
                eta = priors[f"corr_{f.key}"].parameters["eta"] if len(scales) > 1 else 1.0
                blocks.append(Block(place, rows, start, scales, eta))
                start = blocks[-1].stop
        return Coordinates(
            tuple(blocks), Scale(priors["sigma"]), tuple(f.n_coefficients for f in design.factors)
        )

    @property
    def size(self) -> int:
        return (self.blocks[-1].stop if self.blocks else 0) + 1

    @cached_property
    def images(self) -> list[Array]:
        """What turns the sign of each turning sd, and so gives the same model: (m,) of ±1 each."""
        made = []
        for block in self.blocks:
            for k, scale in enumerate(block.scales):
                if scale.turn:
                    turned = np.ones(self.size)
                    turned[block.start + k] = -1.0
                    for n, pair in enumerate(block.pairs):
                        if k in pair:
                            turned[block.start + block.size + n] = -1.0
                    made.append(turned)
        return made

    @cached_property
    def turning(self) -> list[int]:
        """The coordinates that these are about."""
        return [b.start + k for b in self.blocks for k, scale in enumerate(b.scales) if scale.turn]

    def upright(self, Z: Array) -> Array:
        """The images of (draws, m) coordinates whose sds are positive."""
        out = Z.copy()
        for place, turned in zip(self.turning, self.images, strict=True):
            out = np.where(Z[:, place, None] < 0.0, out * turned, out)
        return out

    def factors(self, z: Array) -> list[Array]:
        """Lower Cholesky factors of the covariances by place, (..., K, K) of (..., m)."""
        out = [np.zeros((*z.shape[:-1], K, K)) for K in self.sizes]
        for block in self.blocks:
            out[block.place][..., block.rows, block.rows] = block.factor(z)
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
