"""Design and priors → the common result, by importance sampling."""

import time

import numpy as np

from bimixed.exceptions import ConvergenceWarning, FitError, warn
from bimixed.marginal.importance import importance
from bimixed.marginal.ready import ReadyPosterior
from bimixed.results import Diagnostics, MixedModelResult
from bimixed.results.convergence import ESS
from bimixed.results.posterior import draws_tree, kept_effects, posterior_estimates
from bimixed.uncentred import uncentred_slopes

TRUSTED = 0.7
"""Largest Pareto k whose weights can be trusted (Vehtari et al. 2024)."""


def fit_importance(
    ready: ReadyPosterior,
    *,
    draws: int,
    random_seed: int | None,
    cores: int | None,
    notes: list[str],
    began: float,
    progress: bool,
) -> MixedModelResult:
    """Independent draws of the variance parameters, and fixed and random effects given them.

    Raises
    ------
    FitError
        If the weights can't be trusted.
    """
    rng = np.random.default_rng(random_seed)
    weighted = importance(ready, draws, rng, cores, progress)
    if not weighted.pareto_k <= TRUSTED:
        raise FitError(
            f"Importance sampling failed: Pareto k is {weighted.pareto_k:.2f}, above {TRUSTED}, so that a "
            "few draws carry most of the weight. The posterior of the variance parameters is too far from "
            "round: take method='nuts', give tighter priors to sds of groups with few levels, or use fewer "
            "random coefficients."
        )
    kept = ready.draws(weighted.z[weighted.resample(rng)], rng, cores, progress)
    design = ready.design
    messages = [*notes, *uncentred_slopes(design)]
    if not weighted.ess >= ESS:
        messages.append(
            f"Few effective draws: {weighted.ess:.0f}, below {ESS:.0f}; means and limits carry Monte Carlo "
            f"error. Ask for more (draws={int(np.ceil(1.3 * ESS / weighted.ess * draws / 500.0)) * 500})."
        )
    if len(kept.sigma) < draws:
        messages.append(f"Interrupted: {len(kept.sigma)} of {draws} draws are kept.")
    if messages:
        warn("\n".join(messages), ConvergenceWarning)
    return MixedModelResult(
        method="importance",
        spec=None,
        design=design,
        estimates=posterior_estimates(design, kept),
        diagnostics=Diagnostics(
            ok=not messages,
            converged=True,
            singular=None,
            messages=tuple(messages),
            seconds=time.perf_counter() - began,
            ess_bulk_min=weighted.ess,
            pareto_k=weighted.pareto_k,
            details={
                "form": "marginal (importance sampling of the variance parameters)",
                **kept_effects(kept),
            },
        ),
        uncertainty=kept,
        posterior=draws_tree(design, kept, 1),
    )
