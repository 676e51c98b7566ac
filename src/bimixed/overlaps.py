"""How much two distributions of one parameter have in common: ∫ min(f, g), from 0 to 1."""

from collections.abc import Callable

import numpy as np

from bimixed.covariance import Array
from bimixed.results import MixedModelResult
from bimixed.results.uncertainty import Draws

POINTS = 512
"""Of the grid."""
REACH = 5.0
"""Standard deviations to each side of a normal curve."""
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
    """The distribution of one parameter: a density, and where it has its mass.

    Sds are on the scale of their logarithm and correlations on Fisher's, where Wald's limits are symmetric:
    the overlap of two distributions is the same on any scale.
    """

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

        return Marginal(density, mean - REACH * sd, mean + REACH * sd)

    @staticmethod
    def of_draws(draws: Array) -> "Marginal":
        """A kernel estimate with Silverman's bandwidth."""
        chosen = draws[:: max(1, len(draws) // MOST_DRAWS)]
        spread = float(np.std(chosen))
        quartiles = float(np.subtract(*np.quantile(chosen, [0.75, 0.25]))) / 1.349
        width = 0.9 * min(spread, quartiles or spread) * len(chosen) ** -0.2
        if not width > 0.0:
            return unknown()

        def density(x: Array) -> Array:
            z = (x[:, None] - chosen) / width
            return np.asarray(np.exp(-0.5 * z**2).mean(axis=1) / (width * np.sqrt(2.0 * np.pi)))

        middle = float(np.median(chosen))
        low, high = max(float(chosen.min()), middle - 2 * REACH * spread), float(chosen.max())
        return Marginal(density, low - 3.0 * width, min(high, middle + 2 * REACH * spread) + 3.0 * width)


def unknown() -> Marginal:
    """Of what has no estimate, or no standard error."""
    return Marginal(np.zeros_like, np.nan, np.nan)


def of_wald(name: str, estimate: float, error: float) -> Marginal:
    """Of an estimated sd or correlation, on its scale; unknown at a boundary."""
    if name.startswith("corr_"):
        inside = abs(estimate) < 1.0
        return Marginal.normal(np.arctanh(estimate), error / (1.0 - estimate**2)) if inside else unknown()
    return Marginal.normal(np.log(estimate), error / estimate) if estimate > 0.0 else unknown()


def of_drawn(name: str, draws: Array) -> Marginal:
    """Of draws of an sd or correlation, on its scale."""
    if np.isnan(draws).any():
        return unknown()
    if name.startswith("corr_"):
        return Marginal.of_draws(np.arctanh(np.clip(draws, -1.0 + 1e-12, 1.0 - 1e-12)))
    return Marginal.of_draws(np.log(np.maximum(draws, 1e-300)))


def marginals(result: MixedModelResult) -> dict[str, Marginal]:
    """Of every fixed effect, sd, correlation and sigma: normal on their scales, or of draws."""
    uncertainty, names = result.uncertainty, result.design.names
    found: dict[str, Marginal] = {}
    if isinstance(uncertainty, Draws):
        for j, name in enumerate(names):
            own = uncertainty.beta[:, j]
            found[name] = unknown() if np.isnan(own).any() else Marginal.of_draws(own)
        variance_names, draws = uncertainty.variance_draws()
        return found | {name: of_drawn(name, own) for name, own in zip(variance_names, draws.T, strict=True)}
    for name, estimate, error in zip(names, result.estimates.beta, result.estimates.std_errors, strict=True):
        found[name] = Marginal.normal(estimate, error)
    known = uncertainty.variance_parameters()
    every = zip(known.names, known.values, known.std_errors, strict=True)
    return found | {name: of_wald(name, estimate, error) for name, estimate, error in every}
