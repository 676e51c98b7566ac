"""Whether other optimisers arrive where a fit did."""

import time
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.exceptions import BimixedWarning, FitError
from bimixed.inference.by_ml import engine
from bimixed.inference.replicates import parameters
from bimixed.likelihood.fit import fit_likelihood
from bimixed.likelihood.optimize import METHODS
from bimixed.results import MixedModelResult
from bimixed.results.summary import Summary
from bimixed.shortening import listed, short_formula

SAME_LOGLIK, SAME_PARAMETERS = 1e-6, 1e-3
"""Differences up to which optimisers agree."""


@dataclass(frozen=True, repr=False, eq=False)
class OptimizerAgreement:
    """Fits of one model by several optimisers, from the same start.

    Attributes
    ----------
    table : pandas.DataFrame
        By optimiser: ``loglik``; ``difference``, the largest of a parameter from the fit of the highest
        loglik (fixed effects in standard errors, sds in units of the larger of the two and a hundredth of
        sigma, correlations as they are); ``seconds``; ``converged``.
    verdict : str
        Whether they agree.
    title : str
    """

    table: pd.DataFrame
    verdict: str
    title: str

    def summary(self) -> Summary:
        """The comparison as text (``print``) and as a table in notebooks."""
        shown = self.table.assign(converged=self.table["converged"].map({True: "yes", False: "no"}))
        return Summary(self.title, (), (("Optimisers", shown),), (self.verdict,), ("agreement.table",))

    def __str__(self) -> str:
        return str(self.summary())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()


def all_optimizers(fit: MixedModelResult) -> OptimizerAgreement:
    """Fit the same model by every optimiser there is, SciPy's each followed by Newton steps."""
    engine(fit, "A comparison of optimisers")
    fits: dict[str, MixedModelResult] = {}
    rows = []
    for method in METHODS:
        began = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", BimixedWarning)  # those of the fit itself
                found = fit_likelihood(fit.design, reml=fit.method == "reml", optimizer=method)
        except FitError:
            rows.append((method, np.nan, time.perf_counter() - began, False))
            continue
        fits[method] = found
        rows.append((method, found.loglik, time.perf_counter() - began, found.diagnostics.converged))
    table = pd.DataFrame(rows, columns=["optimizer", "loglik", "seconds", "converged"]).set_index("optimizer")
    if not fits:
        raise FitError("No optimiser could fit the model; simplify the random effects.")
    best = fits[str(table["loglik"].idxmax())]
    away = [_difference(fits[name], best) if name in fits else np.nan for name in table.index]
    table.insert(1, "difference", away)
    title = f"Optimisers of {short_formula(fit.formula)}"
    return OptimizerAgreement(table, _verdict(table, best), title)


def _difference(fit: MixedModelResult, best: MixedModelResult) -> float:
    own, other = parameters(fit).to_numpy(), parameters(best).to_numpy()
    names = parameters(best).index
    p = len(best.design.names)
    size = np.array(
        [
            1.0 if name.startswith("corr_") else max(a, b, 0.01 * best.sigma)
            for name, a, b in zip(names[p:], own[p:], other[p:], strict=True)
        ]
    )
    gaps: Array = np.abs(own - other) / np.concatenate([best.estimates.std_errors, size])
    return float(np.nanmax(gaps))


def _verdict(table: pd.DataFrame, best: MixedModelResult) -> str:
    below = best.loglik - table["loglik"]
    lost = table.index[~(below <= SAME_LOGLIK)]
    moved = table.index[(below <= SAME_LOGLIK) & (table["difference"] > SAME_PARAMETERS)]
    if len(lost):
        worst = below[lost].max()
        gap = f"by up to {worst:.2g} of log-likelihood" if np.isfinite(worst) else "or can't fit it at all"
        return f"They don't agree: {listed(lost)} end below the best, {gap}. Trust the highest."
    if len(moved):
        return (
            f"They agree on the likelihood, but not on the parameters ({listed(moved)}): the likelihood is "
            "flat there, and the data don't tell these parameters."
        )
    return "They agree: the same log-likelihood and the same parameters, as far as these can be known."
