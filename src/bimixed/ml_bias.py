"""What ML loses of variances because it doesn't count the fixed effects, and whether two fits differ by that.

Given the relative covariances of the random effects, sigma² of ML is (n − p)/n times that of REML with p
fixed effects; less is lost where they differ between levels only, and up to p of the n − r degrees of freedom
within levels where they don't, r those that the random effects use.

For the variance τ² of a coefficient in L levels, fixed effects that use u of the L degrees of freedom
among the levels cost u/L of what the levels' own estimates vary by, τ² + N with N their error (exact in
balanced designs). τ²/(τ² + N) is the reliability of the levels, of which 1 − (conditional variance)/τ² is
known for each.
"""

from dataclasses import dataclass

import numpy as np

from bimixed.covariance import Array
from bimixed.design import RandomFactor
from bimixed.likelihood.small import sum_by
from bimixed.results import MixedModelResult

SLACK = 2.0
"""Losses up to this many times that of a balanced design count as explained."""


@dataclass(frozen=True)
class MLBias:
    """A REML and an ML fit of one model.

    Attributes
    ----------
    reml, ml : MixedModelResult
    """

    reml: MixedModelResult
    ml: MixedModelResult

    @property
    def cause(self) -> str:
        """The beginning of every reason."""
        p = len(self.reml.design.kept)
        return f"ML doesn't count the {f'{p} fixed effects' if p > 1 else 'fixed effect'}"

    def reason(self, name: str, allowed: float) -> str | None:
        """Why sigma, an sd or a correlation differs, if this is why; limits are widened by ``allowed``."""
        if name == "sigma":
            return self._of_sigma(allowed)
        for factor in self.reml.design.factors:
            for k, coefficient in enumerate(factor.names):
                if name == f"sd_{factor.key}[{coefficient}]":
                    explained = self._explains_sd(factor, k, allowed)
                    return f"{self.cause}, so its sds are smaller" if explained else None
            for i, j in factor.template.correlated_pairs():
                if name == f"corr_{factor.key}[{factor.names[i]},{factor.names[j]}]":
                    return self._of_correlation(factor, i, j, allowed)
        return None

    def _of_sigma(self, allowed: float) -> str | None:
        n, p = self.reml.nobs, len(self.reml.design.kept)
        within = n - sum(
            float(self._reliability(f, k).sum())
            for f in self.reml.design.factors
            for k in range(f.n_coefficients)
        )
        least = np.sqrt(max(1.0 - p / within, 0.0)) if within > p else 0.0
        if not least * self.reml.sigma - allowed <= self.ml.sigma < self.reml.sigma:
            return None
        factor = float(np.sqrt((n - p) / n))
        return f"{self.cause}, so its sigma is smaller, by a factor about √((n − p)/n) = {factor:.3f}"

    def _of_correlation(self, factor: RandomFactor, i: int, j: int, allowed: float) -> str | None:
        """A loss that is a covariance matrix can't move a correlation by more than both relative losses."""
        reml, ml = self._variances(factor)
        lost = 0.0
        for k in (i, j):
            if abs(ml[k] - reml[k]) > 0.01 * reml[k]:
                if not self._explains_sd(factor, k, allowed):
                    return None
                lost += float((reml[k] - ml[k]) / ml[k])
        first, second = (fit.estimates.random_corr[factor.key][i, j] for fit in (self.reml, self.ml))
        if not abs(second - first) <= lost + allowed:
            return None
        return f"{self.cause}: its variances are smaller, and so its correlations others"

    def _variances(self, factor: RandomFactor) -> tuple[Array, Array]:
        reml, ml = (np.diag(fit.estimates.random_cov[factor.key]) for fit in (self.reml, self.ml))
        return reml, ml

    def _explains_sd(self, factor: RandomFactor, k: int, allowed: float) -> bool:
        reml, ml = (variances[k] for variances in self._variances(factor))
        if not ml < reml:
            return False
        share = SLACK * self._used(factor, k) / factor.n_levels
        loss = share * reml / max(float(self._reliability(factor, k).mean()), 1e-9)
        return bool(np.sqrt(ml) >= np.sqrt(max(reml - loss, 0.0)) - allowed)

    def _reliability(self, factor: RandomFactor, k: int, of_ml: bool = False) -> Array:
        """By level; 0 where there is no variance, or none that is identified."""
        variance = self._variances(factor)[of_ml][k]
        if not variance > 0.0:
            return np.zeros(factor.n_levels)
        estimates = self.ml.estimates if of_ml else self.reml.estimates
        return 1.0 - np.minimum(estimates.ranef_sd[factor.key][:, k] ** 2 / variance, 1.0)

    def _used(self, factor: RandomFactor, k: int) -> float:
        """Degrees of freedom among the levels that the fixed effects use, at most L.

        tr P_X P_Z, after what rows of a level share has got the weight 1 − reliability that it has in V⁻¹.
        """
        design = self.reml.design
        if design.wide is not None or factor.is_mixed or not design.has_rows:
            return float(min(factor.n_levels, len(design.kept)))
        X = np.asarray(design.X_kept)
        root = np.ones(design.n) if design.weights is None else np.sqrt(design.weights)
        z, X = factor.values[:, k] * root, X * root[:, None]
        length = np.sqrt(sum_by(factor.codes, z**2, factor.n_levels))
        z = z / np.where(length > 0.0, length, 1.0)[factor.codes]
        shared = sum_by(factor.codes, z[:, None] * X, factor.n_levels)
        reliability = np.minimum(self._reliability(factor, k), self._reliability(factor, k, of_ml=True))
        less = 1.0 - np.sqrt(1.0 - reliability)
        Q = np.linalg.qr(X - z[:, None] * (less[:, None] * shared)[factor.codes])[0]
        return float(np.sum(sum_by(factor.codes, z[:, None] * Q, factor.n_levels) ** 2))
