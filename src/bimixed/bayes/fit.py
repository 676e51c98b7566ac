"""Design and priors → the common result, by NUTS."""

import time
from functools import partial
from typing import Any

import numpy as np

from bimixed.arguments import check_count, check_seed
from bimixed.bayes.model import build_model
from bimixed.bayes.parameterization import choose
from bimixed.bayes.sample import sample
from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.exceptions import ConvergenceWarning, FitError, warn
from bimixed.priors import Priors, safe_name
from bimixed.results import Diagnostics, Estimates, MixedModelResult
from bimixed.results.uncertainty import Draws

RHAT, ESS = 1.01, 400.0
"""Largest R-hat and smallest effective sample size to trust (Vehtari et al. 2021)."""
FAR = 8.0
"""Means of a random slope's covariate beyond this many of its sds call for centring."""
TAILS = (0.05, 0.95)
"""Quantiles whose effective sample size is the tail's."""


def fit_nuts(
    design: Design,
    priors: Priors,
    *,
    reml: Estimates | None,
    draws: int,
    tune: int,
    chains: int,
    random_seed: int | None,
    parameterization: str,
    sampler: str,
    target_accept: float | None,
    cores: int | None,
    progress: bool,
) -> MixedModelResult:
    """Sample the hierarchical model.

    Parameters
    ----------
    design : Design
    priors : Priors
    reml : Estimates or None
        Of the same model, to choose between centred and non-centred.
    draws, tune, chains : int
        Kept and warm-up draws of each chain, and chains.
    random_seed : int, optional
    parameterization, sampler : str
    target_accept : float, optional
    cores : int, optional
        Chains that run at the same time; changes no number.
    progress : bool
    """
    began = time.perf_counter()
    counts = {"draws": (draws, 4), "tune": (tune, 1), "chains": (chains, 1)}
    if cores is not None:
        counts["cores"] = (cores, 1)
    for name, (value, least) in counts.items():
        check_count(name, value, least)
    if target_accept is not None and not 0.0 < target_accept < 1.0:
        raise FitError(f"target_accept is {target_accept}; it is a probability such as 0.95.")
    check_seed(random_seed)
    centered = choose(design, parameterization, reml)
    model = build_model(design, priors, centered)
    tree = sample(
        model,
        draws=draws,
        tune=tune,
        chains=chains,
        random_seed=random_seed,
        sampler=sampler,
        target_accept=target_accept,
        cores=cores,
        progress=progress,
    )
    kept = flatten(design, tree)
    return MixedModelResult(
        method="nuts",
        spec=None,
        design=design,
        estimates=posterior_estimates(design, kept),
        diagnostics=_diagnostics(design, tree, centered, draws, began),
        uncertainty=kept,
        posterior=tree,
    )


def flatten(design: Design, tree: Any) -> Draws:
    """The posterior as arrays with chains joined; dropped columns of X are NaN."""
    posterior = tree["posterior"]

    def joined(name: str) -> Array:
        values = np.asarray(posterior[name], dtype=np.float64)
        return values.reshape(-1, *values.shape[2:])

    sigma = joined("sigma")
    beta = np.full((len(sigma), len(design.names)), np.nan)
    if len(design.kept):
        beta[:, design.kept] = joined("fixef")
    cov, ranef = {}, {}
    for factor in design.factors:
        key = safe_name(factor.key)
        sd = joined(f"sd_{key}")
        corr = (
            joined(f"corr_{key}")
            if factor.template.correlated_pairs()
            else np.broadcast_to(np.eye(sd.shape[1]), (len(sd), sd.shape[1], sd.shape[1]))
        )
        cov[factor.key] = sd[:, :, None] * corr * sd[:, None, :]
        ranef[factor.key] = joined(f"ranef_{key}")
    return Draws(
        beta=beta,
        random_cov=cov,
        sigma=sigma,
        ranef=ranef,
        pairs={f.key: f.template.correlated_pairs() for f in design.factors},
        names={f.key: f.names for f in design.factors},
    )


def posterior_estimates(design: Design, draws: Draws) -> Estimates:
    """Posterior means and sds."""
    p = len(design.names)
    vcov = np.full((p, p), np.nan)
    if len(design.kept):
        vcov[np.ix_(design.kept, design.kept)] = np.atleast_2d(
            np.cov(draws.beta[:, design.kept], rowvar=False)
        )
    corr = {key: _correlations(cov) for key, cov in draws.random_cov.items()}
    return Estimates(
        beta=draws.beta.mean(axis=0),
        std_errors=np.sqrt(np.diag(vcov)),
        vcov_of=partial(np.asarray, vcov),
        random_cov={key: cov.mean(axis=0) for key, cov in draws.random_cov.items()},
        random_sd={
            key: np.sqrt(np.diagonal(cov, axis1=1, axis2=2)).mean(axis=0)
            for key, cov in draws.random_cov.items()
        },
        random_corr={key: c.mean(axis=0) for key, c in corr.items()},
        sigma=float(draws.sigma.mean()),
        ranef={key: b.mean(axis=0) for key, b in draws.ranef.items()},
        ranef_sd={key: b.std(axis=0, ddof=1) for key, b in draws.ranef.items()},
    )


def uncentred_slopes(design: Design) -> list[str]:
    """Random slopes whose covariate is so far from 0 that the LKJ prior decides about them.

    Intercept and slope then have a correlation near ±1 by construction, where the prior on the
    coefficients as named has next to no mass.
    """
    messages = []
    for factor in design.factors:
        correlated = {k for pair in factor.template.correlated_pairs() for k in pair}
        if "Intercept" not in [factor.names[k] for k in correlated]:
            continue
        mean, sd = factor.values.mean(axis=0), factor.values.std(axis=0)
        for k in sorted(correlated):
            if sd[k] > 0 and abs(mean[k]) > FAR * sd[k]:
                name = factor.names[k]
                messages.append(
                    f"The covariate of the random slope {name!r} by {factor.key} is far from 0 (mean "
                    f"{mean[k]:.4g}, sd {sd[k]:.3g}), so that intercepts and slopes are correlated by "
                    f"construction and the prior on their correlation distorts the posterior. Centre "
                    f"it: I({name} - {mean[k]:.4g}) in the fixed part and in the bar."
                )
    return messages


def _correlations(cov: Array) -> Array:
    """Correlation matrices of (draws, K, K) covariances."""
    sd = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    return np.asarray(cov / (sd[:, :, None] * sd[:, None, :]))


def _diagnostics(
    design: Design, tree: Any, centered: dict[str, bool], wanted: int, began: float
) -> Diagnostics:
    rhat, bulk, tail = convergence(design, tree)
    divergences = int(np.asarray(tree["sample_stats"]["diverging"]).sum())
    messages = uncentred_slopes(design)
    if not rhat <= RHAT:
        messages.append(
            f"Not converged: R-hat is {rhat:.3f}, above {RHAT}: the chains disagree. Sample longer "
            "(tune=2000, draws=2000), centre the covariates of random slopes, give tighter priors "
            "where groups have few levels, or simplify the random effects."
        )
    if not min(bulk, tail) >= ESS:
        messages.append(
            f"Few effective draws: {min(bulk, tail):.0f}, below {ESS:.0f}; means and limits carry "
            "Monte Carlo error. Ask for more (draws=4000)."
        )
    if divergences:
        used = sorted({"centered" if c else "noncentered" for c in centered.values()})
        messages.append(
            f"{divergences} divergent transition(s): the sampler missed a narrow part of the "
            f"posterior, often where an sd is near 0. Raise target_accept (to 0.99), give a tighter "
            f"prior for sds of groups with few levels, or change parameterization= (used: "
            f"{' and '.join(used)})."
        )
    available = tree["posterior"].sizes["draw"]
    if available < wanted:
        messages.append(f"Interrupted: {available} of {wanted} draws of each chain are kept.")
    if messages:
        warn("\n".join(messages), ConvergenceWarning)
    return Diagnostics(
        ok=not messages,
        converged=bool(rhat <= RHAT),
        singular=None,
        messages=tuple(messages),
        seconds=time.perf_counter() - began,
        rhat_max=rhat,
        ess_bulk_min=bulk,
        ess_tail_min=tail,
        divergences=divergences,
        details={
            "form": "hierarchical",
            "parameterization": {key: "centered" if c else "noncentered" for key, c in centered.items()},
        },
    )


def convergence(design: Design, tree: Any) -> tuple[float, float, float]:
    """Largest R-hat, smallest bulk and tail ESS over every scalar of the posterior.

    Entries of correlation matrices that are no parameters (the diagonal) don't count.
    """
    import arviz

    scalars = _scalars(design, tree["posterior"])
    return (
        float(np.max(arviz.rhat(scalars, chain_axis=0, draw_axis=1))),
        float(np.min(arviz.ess(scalars, method="bulk", chain_axis=0, draw_axis=1))),
        float(np.min(arviz.ess(scalars, method="tail", prob=TAILS, chain_axis=0, draw_axis=1))),
    )


def _scalars(design: Design, posterior: Any) -> Array:
    """Every parameter side by side, (chain, draw, scalar)."""
    pairs = {f"corr_{safe_name(f.key)}": np.array(f.template.correlated_pairs()) for f in design.factors}
    columns = []
    for name in posterior.data_vars:
        values = np.asarray(posterior[name], dtype=np.float64)
        if name in pairs:
            values = values[:, :, pairs[name][:, 0], pairs[name][:, 1]]
        columns.append(values.reshape(*values.shape[:2], -1))
    return np.concatenate(columns, axis=2)
