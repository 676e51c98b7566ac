"""Densities of rows that are left out, given the other rows and the variance parameters.

With U = [Z X], σ²K the covariance of b and β given y, A = W^½UKU'W^½ the leverages, e the weighted residuals
at the means of b and β given y, and g the rows of a unit::

    −2 log p(y_g | y_−g, θ, σ²) = n_g log 2πσ² − Σ log w_i − log|I − A_g| + e_g'(I − A_g)⁻¹e_g / σ²

because the block of Ω⁻¹ (of its projection, for flat coefficients) is W^½(I − A_g)W^½/σ². The same values as
a second response of these rows, given all of y, have + log|I + A_g| + e_g'(I + A_g)⁻¹e_g/σ² at the end: how
well the data are fitted. Fixed effects whose priors can't be integrated out are held at their draws.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bimixed import dense
from bimixed.covariance import Array, lower_factor
from bimixed.crossproducts import CrossProducts, Preparation
from bimixed.design import Design
from bimixed.likelihood.coordinates import Coordinates
from bimixed.likelihood.setup import set_up
from bimixed.marginal.density import FixefPrior, MarginalPoint, marginal
from bimixed.marginal.posterior import fixef_prior
from bimixed.marginal.units import Ints, UnitBatch, WeightedRows, group_batches, observation_batches
from bimixed.priors import Priors

EACH = 5e4
"""What a draw takes however small the design, in numbers that the same time would do."""


@dataclass(frozen=True)
class LeftOut:
    """What a result with draws keeps to leave rows out.

    Attributes
    ----------
    design : Design
    priors : Priors
    """

    design: Design
    priors: Priors

    def observations(self) -> "LeftOutUnits":
        """Each row is a unit."""
        model = _Model.of(self.design, self.priors)
        return LeftOutUnits(model, observation_batches(model.rows))

    def groups(self, codes: Ints) -> "LeftOutUnits":
        """Each code from 0 is a unit of its rows, those of code −1 are in none; codes are (n,)."""
        model = _Model.of(self.design, self.priors)
        return LeftOutUnits(model, group_batches(model.rows, codes))


@dataclass(frozen=True)
class LeftOutUnits:
    """Units and all that doesn't depend on the draw."""

    model: "_Model"
    batches: list[UnitBatch]

    @property
    def work(self) -> float:
        """About how many numbers a draw takes in hand."""
        cp = self.model.rows.cp
        effects = sum(f.A.size for f in cp.chain) + sum(f.C.size for f in cp.chain)
        return EACH + effects + cp.width**3 / 50.0 + sum(batch.work for batch in self.batches)

    def parts(self, largest: int) -> Iterator["Part"]:
        """Batches by turns, together of ``largest`` units where their sizes allow that."""
        taken: list[UnitBatch] = []
        for batch in self.batches:
            if taken and sum(len(b.units) for b in taken) + len(batch.units) > largest:
                yield Part(self.model, taken)
                taken = []
            taken.append(batch)
        yield Part(self.model, taken)


@dataclass(frozen=True)
class Part:
    """Some of the units."""

    model: "_Model"
    batches: list[UnitBatch]

    @property
    def units(self) -> Ints:
        """Which ones, (units,)."""
        return np.concatenate([batch.units for batch in self.batches])

    def __call__(self, beta: Array, random_cov: Mapping[str, Array], sigma: Array) -> tuple[Array, Array]:
        """Log-densities of the units: left out (draws, units), and as a second response, averaged (units,).

        NaN where the rest tells nothing of a unit.

        Parameters
        ----------
        beta : (draws, p) array
            All columns of X; only for fixed effects that can't be integrated out.
        random_cov : mapping, group → (draws, K, K) array
        sigma : (draws,) array
        """
        left_out = np.empty((len(sigma), len(self.units)))
        again = np.full(len(self.units), -np.inf)
        with dense.threads_for(max(batch.width for batch in self.batches)):
            for d, s in enumerate(sigma):
                covs = [random_cov[f.key][d] for f in self.model.design.factors]
                point, e = self.model.at(beta[d], covs, float(s))
                found = np.concatenate([batch.densities(point, e) for batch in self.batches], axis=1)
                left_out[d], again = found[0], np.logaddexp(again, found[1])
        return left_out, again - np.log(len(sigma))


@dataclass(frozen=True)
class _Model:
    """A design made ready; ``prior`` is None where β is held at its draws: no fixed effects are left."""

    design: Design
    preparation: Preparation
    coordinates: Coordinates
    prior: FixefPrior | None

    @staticmethod
    def of(design: Design, priors: Priors) -> "_Model":
        prior = fixef_prior(design, priors)
        setup = set_up(design.without_fixed() if prior is None else design, False)
        return _Model(design, setup.preparation, setup.coordinates, prior)

    @cached_property
    def rows(self) -> WeightedRows:
        return WeightedRows.of(self.preparation, None if self.prior is None else self._fixed[0])

    @cached_property
    def _fixed(self) -> tuple[Array, CrossProducts]:
        return self._of(self.design.y)

    def _of(self, y: Array) -> tuple[Array, CrossProducts]:
        """Weighted residuals of least squares, and the cross-products, of a response (n,)."""
        offset = 0.0 if self.design.offset is None else self.design.offset
        return self.preparation.fixed.response(y - offset)[1], self.preparation.with_response(y)

    def at(self, beta: Array, random_cov: Sequence[Array], sigma: float) -> tuple[MarginalPoint, Array]:
        """What is known given a draw, and the weighted residuals of least squares, (n,)."""
        unit2 = sigma**2 / self.preparation.weight_scale
        T = self.coordinates.own_factors([lower_factor(cov / unit2) for cov in random_cov])
        if self.prior is not None:
            e, cp = self._fixed
            return marginal(cp, T, unit2, self.prior), e
        kept = self.design.kept
        e, cp = self._of(self.design.y - np.asarray(self.design.X_kept @ beta[kept]))
        return marginal(cp, T, unit2, FixefPrior(np.zeros(0), np.zeros(0))), e
