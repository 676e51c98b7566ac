"""A marginal posterior made ready to be drawn from: its mode, and coordinates in which it is round."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.marginal.compiled import CompiledPosterior, is_compiled
from bimixed.marginal.density import draw_effects
from bimixed.marginal.parallel import each
from bimixed.marginal.peak import NO_DENSITY, Peak, find_peak
from bimixed.marginal.posterior import MarginalPosterior
from bimixed.marginal.progress import told_if_long
from bimixed.results.posterior import make_draws
from bimixed.results.uncertainty import Draws

COMPILING = "Compiling the density of models of this kind: ten seconds to a minute, once on this machine."


Ints = NDArray[np.intp]

LARGEST = 1e8
"""Numbers in the draws of random effects that are kept: 0.8 gigabytes."""
FEWEST = 200
"""Draws of random effects that are kept at least."""


@dataclass(frozen=True)
class ReadyPosterior:
    """log p(w | y) with z = centre + root w: near the mode w is standard normal.

    Attributes
    ----------
    design : Design
    posterior : MarginalPosterior
    peak : Peak
    compiled : CompiledPosterior or None
        None where numpy and LAPACK do it.
    """

    design: Design
    posterior: MarginalPosterior
    peak: Peak
    compiled: CompiledPosterior | None

    @staticmethod
    def of(
        design: Design, posterior: MarginalPosterior, start: Array, progress: bool = False
    ) -> "ReadyPosterior":
        """Find the mode from ``start``, coordinates z."""
        compiled = CompiledPosterior.of(posterior) if is_compiled(posterior.cp) else None
        if compiled is not None:
            with told_if_long(COMPILING, progress):
                compiled.load()
        peak = find_peak(posterior if compiled is None else compiled, start)
        own = None if compiled is None else compiled.whitened(peak.z, peak.root)
        return ReadyPosterior(design, posterior, peak, own)

    @property
    def size(self) -> int:
        """Variance parameters."""
        return len(self.peak.z)

    def __call__(self, w: Array) -> tuple[float, Array]:
        """Log-density and slope in w; minus infinity where it can't be computed."""
        if self.compiled is not None:
            return self.compiled(w)
        try:
            with np.errstate(all="ignore"):  # what isn't finite is no density
                value, slope = self.posterior(self.coordinates(w))
        except NO_DENSITY:
            return -np.inf, np.zeros(self.size)
        slope = self.peak.root.T @ slope
        if not (np.isfinite(value) and np.isfinite(slope).all()):
            return -np.inf, np.zeros(self.size)
        return value, slope

    def log_density(self, w: Array) -> float:
        """Log-density alone; minus infinity where it can't be computed."""
        if self.compiled is not None:
            return self.compiled(w)[0]
        try:
            with np.errstate(all="ignore"):
                value = self.posterior.log_density(self.coordinates(w))
        except NO_DENSITY:
            return -np.inf
        return value if np.isfinite(value) else -np.inf

    def coordinates(self, w: Array) -> Array:
        """z of w, (..., m)."""
        return self.peak.z + w @ self.peak.root.T

    def whitened(self, z: Array) -> Array:
        """w of z, (..., m)."""
        return np.asarray((z - self.peak.z) @ np.linalg.inv(self.peak.root).T)

    def log_densities(self, Z: Array, what: str, cores: int | None, progress: bool) -> Array:
        """log p at each row of Z, coordinates z, as far as an interrupt lets it go."""
        workers = cores if self.compiled is None else 1
        rows = list(self.whitened(Z))
        return np.array(each(self.log_density, rows, what=what, workers=workers, progress=progress))

    def draws(
        self,
        Z: Array,
        rng: np.random.Generator,
        cores: int | None = None,
        progress: bool = False,
        chains: int = 1,
    ) -> Draws:
        """Everything of each row of Z: variance parameters, and β and b drawn given them.

        After an interrupt the first rows only. Of very many random effects some draws of each chain are kept,
        evenly spaced.

        Parameters
        ----------
        Z : (draws, m) array
            Coordinates z.
        rng : numpy.random.Generator
        cores : int, optional
            Threads where a draw takes long; changes no number.
        progress : bool
        chains : int
            Whose draws come in turn.
        """
        with_ranef = self._with_ranef(len(Z), chains)
        if with_ranef is None:
            kept, effects = self._effects(Z, rng, cores, progress)
        else:
            kept, effects = self._some_effects(Z, with_ranef, rng, cores, progress)
            with_ranef = with_ranef[with_ranef < len(kept)]
        Z = Z[: len(kept)]
        posterior, design = self.posterior, self.design
        factors = posterior.coordinates.factors(Z)
        cov = {f.key: L @ np.swapaxes(L, 1, 2) for f, L in zip(design.factors, factors, strict=True)}
        sigma = posterior.coordinates.sigma.value(Z[:, -1])[0]
        beta = np.full((len(Z), len(design.names)), np.nan)
        beta[:, design.kept] = kept
        ranef = {f.key: posterior.covariates.effects(j, effects[j]) for j, f in enumerate(design.factors)}
        return make_draws(design, beta, cov, sigma, ranef, with_ranef)

    def _with_ranef(self, n: int, chains: int) -> Ints | None:
        """Which draws of the random effects are kept; None for all."""
        most = max(FEWEST, int(LARGEST / max(self.n_effects, 1)))
        if n <= most:
            return None
        rounds = n // chains
        kept = np.linspace(0, rounds - 1, min(rounds, -(-most // chains))).round()
        return np.flatnonzero(np.isin(np.arange(n) // chains, kept))

    @property
    def n_effects(self) -> int:
        return sum(f.n_levels * f.n_coefficients for f in self.design.factors)

    def _some_effects(
        self, Z: Array, chosen: Ints, rng: np.random.Generator, cores: int | None, progress: bool
    ) -> tuple[Array, dict[int, Array]]:
        """β of all draws and b of some, a stretch of draws at a time."""
        length = max(1, int(LARGEST / max(self.n_effects, 1)) // 4)
        betas: list[Array] = []
        found: dict[int, list[Array]] = {}
        for first in range(0, len(Z), length):
            beta, effects = self._effects(Z[first : first + length], rng, cores, progress)
            betas.append(beta)
            places = chosen[(chosen >= first) & (chosen < first + len(beta))] - first
            for place, own in effects.items():
                found.setdefault(place, []).append(own[places])
            if len(beta) < len(Z[first : first + length]):
                break
        return np.concatenate(betas), {place: np.concatenate(own) for place, own in found.items()}

    def _effects(
        self, Z: Array, rng: np.random.Generator, cores: int | None, progress: bool
    ) -> tuple[Array, dict[int, Array]]:
        if self.compiled is not None:
            return self.compiled.draw_effects(Z, rng, cores)
        seeds = np.random.SeedSequence(int(rng.integers(2**63))).spawn(len(Z))

        def draw(item: tuple[Array, np.random.SeedSequence]) -> tuple[Array, dict[int, Array]]:
            z, seed = item
            return draw_effects(self.posterior.point(z)[0], 1, np.random.default_rng(seed))

        items = list(zip(Z, seeds, strict=True))
        drawn = each(draw, items, what="random effects", workers=cores, progress=progress)
        if not drawn:
            raise KeyboardInterrupt
        places = range(len(self.design.factors))
        effects = {j: np.concatenate([own[j] for _, own in drawn]) for j in places}
        return np.concatenate([beta for beta, _ in drawn]), effects
