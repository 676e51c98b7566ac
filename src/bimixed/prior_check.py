"""Whether priors and data agree: where REML lies in each prior, and what the posterior owes to either.

Power-scaling sensitivity (Kallioinen, Paananen, Bürkner and Vehtari 2024) raises one part of the posterior to
a power near 1 and sees how much the posterior of a parameter changes, by weights on its draws. Here

- the prior that is scaled is the parameter's own (that of the group's correlation matrix for a correlation),
  so that a parameter isn't blamed for its neighbour's prior;
- the likelihood is that of fixed effects, sds, correlations and σ with the random effects integrated out.
  Random effects are in neither: given them the likelihood wouldn't contain the sds, and their own
  distribution, which the sds describe, is a part of the model and no prior that anybody chose.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bimixed.arguments import check_count
from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.exceptions import BimixedError, BimixedWarning, FitError, UnavailableError
from bimixed.likelihood.fit import fit_likelihood
from bimixed.marginal.likelihood import log_likelihoods
from bimixed.prior_marginals import Marginal, marginals
from bimixed.priors import Priors
from bimixed.results import MixedModelResult
from bimixed.results.summary import Summary
from bimixed.results.uncertainty import Draws
from bimixed.shortening import lines_in_part
from bimixed.vocabulary import explains_arguments

CONFLICT, DOMINATES, INFORMS, FINE = (
    "prior and data conflict",
    "prior dominates (weak data)",
    "prior informs",
    "fine",
)
SENSITIVE = 0.05
"""Sensitivity from which a part matters, as the authors advise."""
FAR = 0.05
"""Probability of the prior's least plausible values, where REML's interval makes a conflict."""
AS_WIDE = 0.8
"""Share of the prior's sd that a posterior has which learned next to nothing."""
ALPHAS = (0.99, 1.01)
SAME = 1e-4
"""Log-densities that differ by less move no posterior."""
LEAST = -700.0
"""Logarithm of the smallest determinant of a correlation matrix that counts."""
FEWEST = 100


@dataclass(frozen=True, repr=False)
class PriorCheck:
    """Priors beside the data.

    Attributes
    ----------
    table : pandas.DataFrame
        A row for each fixed effect, sd, correlation and sigma, named as in ``conf_int``. ``reml`` is the
        estimate, ``prior_quantile`` the prior probability below it, ``prior_tail`` that of values no more
        plausible than the best of REML's 95 % interval (small: the prior has next to nothing there; NaN
        where there is no interval, as at a boundary); ``posterior_mean``, ``prior_sd`` and ``posterior_sd``;
        ``prior_sensitivity`` and ``likelihood_sensitivity``, which matter from 0.05; ``verdict``.
    messages : tuple of str
        What to do where the verdict isn't "fine".
    """

    table: pd.DataFrame
    messages: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """No prior is in conflict with the data or stands in for them."""
        return bool(self.table["verdict"].isin((FINE, INFORMS)).all())

    def summary(self) -> Summary:
        """The table and the messages, as text (``print``) and in notebooks."""
        names = {"prior_sensitivity": "prior_sens", "likelihood_sensitivity": "lik_sens"}
        sections = (("Priors and data", self.table.rename(columns=names)),)
        return Summary("Prior check", (), sections, tuple(lines_in_part(self.messages)), ("check.table",))

    def __str__(self) -> str:
        return str(self.summary())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()


@explains_arguments
def prior_check(fit: Any, *, draws: int = 2000) -> PriorCheck:
    """Check the priors of a posterior against its data.

    Parameters
    ----------
    fit : MixedModelResult
        With draws.
    draws : int
        At most so many of them, evenly spaced, are weighed; each takes an evaluation of the likelihood.

    Returns
    -------
    PriorCheck
        Verdicts: "prior and data conflict", where all of REML's interval lies among the least plausible
        5 % of the prior and the prior moves the posterior; "prior dominates (weak data)", where the
        likelihood hardly moves it or REML doesn't identify an sd; "prior informs", where both do without a
        conflict; "fine".

    Raises
    ------
    UnavailableError
        For likelihood fits, and fewer than 100 draws.

    Notes
    -----
    Sensitivities are ArviZ's power-scaling diagnostics (Kallioinen, Paananen, Bürkner and Vehtari 2024) of
    each parameter's own prior, and of the likelihood with random effects integrated out. ``prior_tail`` is
    after Box (1980).
    """
    if not isinstance(fit, MixedModelResult):
        raise BimixedError(f"prior_check takes a result of spec.fit('nuts'), not a {type(fit).__name__}.")
    if not isinstance(fit.uncertainty, Draws) or fit.spec is None:
        raise UnavailableError("prior_check needs draws: fit with method='nuts' or 'importance'.")
    check_count("draws", draws, FEWEST)
    used = _thinned(fit.uncertainty, draws)
    if len(used.sigma) < FEWEST:
        raise UnavailableError(f"prior_check needs {FEWEST} draws; this posterior has {len(used.sigma)}.")
    design, known = fit.design, marginals(fit.design, fit.spec.priors)
    reml = reml_beside(design, [m.name for m in known])
    values = _parameter_draws(design, used)
    densities = {m.key: m.log_density(values[m.name]) for m in known if not m.size}
    densities |= _correlation_densities(design, used, fit.spec.priors)
    prior_weights = {key: _weights(density) for key, density in densities.items()}
    likelihood_weights = _weights(log_likelihoods(design, used))
    rows = [
        _row(m, reml.loc[m.name], values[m.name], prior_weights[m.key], likelihood_weights) for m in known
    ]
    table = pd.DataFrame(rows, index=reml.index)
    messages = [
        message for m in known if (message := _message(m, table.loc[m.name], reml.loc[m.name])) is not None
    ]
    return PriorCheck(table, tuple(messages))


def reml_beside(design: Design, names: Sequence[str]) -> pd.DataFrame:
    """REML's estimates of these parameters with 95 % limits.

    NaN for what it doesn't identify; limits are NaN at a boundary, and all where the model has no REML fit.
    """
    index = pd.Index(names, name="parameter")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BimixedWarning)
        try:
            fit = fit_likelihood(design, reml=True)
        except FitError:  # rows too few, or a perfect fit: proper priors have a posterior all the same
            return pd.DataFrame(np.nan, index=index, columns=["lower", "upper", "estimate"])
    estimates = np.concatenate([fit.estimates.beta, fit.uncertainty.variance_parameters().values])
    return fit.conf_int(0.95).assign(estimate=estimates).loc[index]


def _thinned(draws: Draws, n: int) -> Draws:
    """At most n draws, evenly spaced."""
    available = len(draws.sigma)
    return draws.at(np.linspace(0, available - 1, min(n, available)).round().astype(np.intp))


def _parameter_draws(design: Design, draws: Draws) -> dict[str, Array]:
    names, variances = draws.variance_draws()
    fixed = {design.names[j]: draws.beta[:, j] for j in design.kept}
    return fixed | dict(zip(names, variances.T, strict=True))


def _correlation_densities(design: Design, draws: Draws, priors: Priors) -> dict[str, Array]:
    """log |R| (η − 1) by group, constants left out."""
    found = {}
    for f in design.factors:
        if not f.template.correlated_pairs():
            continue
        key, cov = f"corr_{f.key}", draws.random_cov[f.key]
        sd = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
        log_det = np.linalg.slogdet(cov / (sd[:, :, None] * sd[:, None, :]))[1]
        found[key] = (priors[key].parameters["eta"] - 1.0) * np.maximum(log_det, LEAST)
    return found


def _weights(log_density: Array) -> tuple[Array, Array] | None:
    """Weights of the draws for either power; None where all would be equal."""
    from arviz_stats.base import array_stats

    if np.ptp(log_density) < SAME:
        return None
    logs = [array_stats.power_scale_lw(log_density, alpha) for alpha in ALPHAS]
    lower, upper = (np.exp(log) / np.exp(log).sum() for log in logs)
    return lower, upper


def _sensitivity(values: Array, weights: tuple[Array, Array] | None) -> float:
    from arviz_stats.base import array_stats

    if weights is None:
        return 0.0
    lower, upper = weights
    sense = array_stats.power_scale_sense(
        values[None], lower[None], upper[None], *ALPHAS, chain_axis=0, draw_axis=1
    )
    return float(sense)


def _row(
    m: Marginal,
    reml: "pd.Series[float]",
    values: Array,
    prior: tuple[Array, Array] | None,
    likelihood: tuple[Array, Array] | None,
) -> dict[str, Any]:
    row = {
        "reml": reml["estimate"],
        "prior_quantile": m.quantile_of(reml["estimate"]),
        "prior_tail": m.tail(reml["lower"], reml["upper"]),
        "posterior_mean": values.mean(),
        "prior_sd": m.sd,
        "posterior_sd": values.std(ddof=1),
        "prior_sensitivity": _sensitivity(values, prior),
        "likelihood_sensitivity": _sensitivity(values, likelihood),
    }
    outside = not reml["lower"] <= row["posterior_mean"] <= reml["upper"]
    matters = row["prior_sensitivity"] >= SENSITIVE
    alone = matters or row["posterior_sd"] >= AS_WIDE * row["prior_sd"]
    unknown = m.is_variance and not m.size and np.isnan(reml["estimate"])
    if row["prior_tail"] < FAR and (matters or outside):
        verdict = CONFLICT
    elif unknown or (alone and row["likelihood_sensitivity"] < SENSITIVE):
        verdict = DOMINATES
    else:
        verdict = INFORMS if matters else FINE
    return {**row, "verdict": verdict}


def _message(m: Marginal, row: "pd.Series[Any]", reml: "pd.Series[float]") -> str | None:
    """What to do about one parameter."""
    change = f"spec.update(priors={{{m.key!r}: bm.Prior(...)}})"
    if row["verdict"] == CONFLICT:
        return (
            f"{m.name}: {m.prior!r} and the data conflict. REML has {reml['estimate']:.4g} (95 % interval "
            f"{reml['lower']:.4g} to {reml['upper']:.4g}), the posterior a mean of "
            f"{row['posterior_mean']:.4g}. "
            f"If the prior is mistaken (its units, its scale), widen or move it, {change}, or leave it out "
            "for the default; if it is well founded, look for the reason in data and model, and say so."
        )
    if row["verdict"] == DOMINATES:
        return (
            f"{m.name}: the data say little, and the posterior is largely {m.prior!r}. Don't report it as "
            f"found in the data; try others, {change}, see what stays, or simplify the model."
        )
    if row["verdict"] == INFORMS:
        return (
            f"{m.name}: {m.prior!r} informs the posterior beside the data. Tell readers of it, and what a "
            f"wider one, {change}, would change."
        )
    return None
