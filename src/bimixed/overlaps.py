"""How much two distributions of one parameter have in common: ∫ min(f, g), from 0 to 1."""

from collections.abc import Callable

import numpy as np

from bimixed.covariance import Array
from bimixed.results import MixedModelResult
from bimixed.results.uncertainty import Draws

POINTS = 512
"""Of the grid."""
MOST_DRAWS = 4000
"""Of more an even choice."""
Density = Callable[[Array], Array]


def overlap(first: "Marginal", second: "Marginal") -> float:
    """∫ min(f, g) (Inman and Bradley 1989); NaN where one of them isn't known.

    Examples
    --------
    >>> same, far = Marginal.normal(0.0, 1.0), Marginal.normal(9.0, 1.0)
    >>> round(overlap(same, same), 6), round(overlap(same, far), 4)
    (0.999999, 0.0)
    """
    if not first.known or not second.known:
        return np.nan
    low, high = min(first.low, second.low), max(first.high, second.high)
    grid = np.linspace(low, high, POINTS)
    both = np.minimum(first.density(grid), second.density(grid))
    return float(min(np.trapezoid(both, grid), 1.0))


class Marginal:
    """The distribution of one parameter: a density, and where it has its mass."""

    def __init__(self, density: Density, low: float, high: float):
        self.density, self.low, self.high = density, low, high

    @property
    def known(self) -> bool:
        return bool(np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high)

    @staticmethod
    def normal(mean: float, sd: float) -> "Marginal":
        """Of an estimate with its standard error."""

        def density(x: Array) -> Array:
            return np.asarray(np.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * np.sqrt(2.0 * np.pi)))

        return Marginal(density, mean - 5.0 * sd, mean + 5.0 * sd)

    @staticmethod
    def of_sd(estimate: float, sd: float) -> "Marginal":
        """Normal on the scale of its logarithm, as its Wald limits are."""
        if not estimate > 0.0:
            return Marginal(np.zeros_like, np.nan, np.nan)
        log = Marginal.normal(np.log(estimate), sd / estimate)

        def density(x: Array) -> Array:
            positive = np.maximum(x, 1e-300)
            return np.where(x > 0.0, log.density(np.log(positive)) / positive, 0.0)

        return Marginal(density, 0.0, float(np.exp(min(log.high, np.log(estimate) + 4.0))))

    @staticmethod
    def of_correlation(estimate: float, sd: float) -> "Marginal":
        """Normal on Fisher's scale."""
        if not abs(estimate) < 1.0:
            return Marginal(np.zeros_like, np.nan, np.nan)
        z = Marginal.normal(np.arctanh(estimate), sd / (1.0 - estimate**2))

        def density(x: Array) -> Array:
            inside = np.clip(x, -1.0 + 1e-12, 1.0 - 1e-12)
            return np.asarray(z.density(np.arctanh(inside)) / (1.0 - inside**2))

        return Marginal(density, -1.0, 1.0)

    @staticmethod
    def of_draws(draws: Array, low: float = -np.inf, high: float = np.inf) -> "Marginal":
        """A kernel estimate with Silverman's bandwidth, reflected at the bounds."""
        chosen = draws[:: max(1, len(draws) // MOST_DRAWS)]
        spread = float(np.std(chosen))
        quartiles = float(np.subtract(*np.quantile(chosen, [0.75, 0.25]))) / 1.349
        width = 0.9 * min(spread, quartiles or spread) * len(chosen) ** -0.2
        if not width > 0.0:
            return Marginal(np.zeros_like, np.nan, np.nan)

        def kernels(x: Array) -> Array:
            z = (x[:, None] - chosen) / width
            return np.asarray(np.exp(-0.5 * z**2).mean(axis=1) / (width * np.sqrt(2.0 * np.pi)))

        def density(x: Array) -> Array:
            total = kernels(x)
            for bound in (low, high):
                if np.isfinite(bound):
                    total = total + kernels(2.0 * bound - x)
            return np.where((x >= low) & (x <= high), total, 0.0)

        return Marginal(
            density, max(low, float(chosen.min()) - 3.0 * width), min(high, float(chosen.max()) + 3.0 * width)
        )


def marginals(result: MixedModelResult) -> dict[str, Marginal]:
    """Of every fixed effect, sd, correlation and sigma: normal on their scales, or of draws."""
    uncertainty, names = result.uncertainty, result.design.names
    found: dict[str, Marginal] = {}
    if isinstance(uncertainty, Draws):
        for j, name in enumerate(names):
            own = uncertainty.beta[:, j]
            found[name] = Marginal.of_draws(own[~np.isnan(own)]) if not np.isnan(own).all() else _unknown()
        variance_names, draws = uncertainty.variance_draws()
        for name, own in zip(variance_names, draws.T, strict=True):
            bounds = (-1.0, 1.0) if name.startswith("corr_") else (0.0, np.inf)
            found[name] = _unknown() if np.isnan(own).any() else Marginal.of_draws(own, *bounds)
        return found
    for name, estimate, error in zip(names, result.estimates.beta, result.estimates.std_errors, strict=True):
        found[name] = Marginal.normal(estimate, error)
    parameters = uncertainty.variance_parameters()
    for name, estimate, error in zip(parameters.names, parameters.values, parameters.std_errors, strict=True):
        make = Marginal.of_correlation if name.startswith("corr_") else Marginal.of_sd
        found[name] = make(estimate, error)
    return found


def _unknown() -> Marginal:
    return Marginal(np.zeros_like, np.nan, np.nan)
