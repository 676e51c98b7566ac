"""Design and priors → the common result, by NUTS."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from bimixed.bayes.parameterization import choose
from bimixed.design import Design
from bimixed.exceptions import ConvergenceWarning, warn
from bimixed.marginal.ready import ReadyPosterior
from bimixed.priors import Priors
from bimixed.results import Diagnostics, Estimates, MixedModelResult
from bimixed.results.convergence import (
    BFMI,
    ESS,
    RHAT,
    Convergence,
    convergence,
    energy_fraction,
)
from bimixed.results.posterior import flatten, kept_effects, posterior_estimates
from bimixed.uncentred import uncentred_slopes

MOST = 10_000
"""Draws of a chain beyond which more of them are no remedy, unless so many were asked for."""


def fit_hierarchical(
    design: Design,
    priors: Priors,
    *,
    reml: Estimates | None,
    parameterization: str,
    sampler: str,
    reason: str,
    notes: list[str],
    began: float,
    **how: Any,
) -> MixedModelResult:
    """Sample the hierarchical model.

    Parameters
    ----------
    design : Design
    priors : Priors
    reml : Estimates or None
        Of the same model, to choose between centred and non-centred.
    parameterization, sampler : str
    reason : str
        Why this form was taken.
    notes : list of str
        What was noticed before.
    began : float
        On the clock of ``time.perf_counter``.
    **how
        draws, tune, chains : kept and warm-up draws of each chain, and chains; random_seed;
        target_accept; cores : chains that run at the same time, which changes no number; progress.
    """
    from bimixed.bayes.model import build_model
    from bimixed.bayes.sample import check_sampler, sample

    check_sampler(sampler)
    centered = choose(design, parameterization, reml)
    tree = sample(build_model(design, priors, centered), sampler=sampler, **how)
    used = {key: "centered" if c else "noncentered" for key, c in centered.items()}
    remedy = f"change parameterization= (used: {' and '.join(sorted(set(used.values())))})"
    details = {"form": f"hierarchical ({reason})", "parameterization": used}
    kept = flatten(design, tree)
    return MixedModelResult(
        method="nuts",
        spec=None,
        design=design,
        estimates=posterior_estimates(design, kept),
        diagnostics=_diagnostics(
            design, tree, [*notes, *uncentred_slopes(design)], remedy, details, how, began
        ),
        uncertainty=kept,
        posterior=tree,
    )


def fit_marginal(
    ready: ReadyPosterior,
    *,
    reason: str,
    notes: list[str],
    began: float,
    random_seed: int | None,
    **how: Any,
) -> MixedModelResult:
    """Sample the variance parameters, and draw fixed and random effects given them.

    Parameters
    ----------
    ready : ReadyPosterior
    reason, notes, began, random_seed, **how
        See :func:`fit_hierarchical`.
    """
    from bimixed.bayes.marginal import sample_marginal

    if random_seed is None:
        random_seed = int(np.random.default_rng().integers(2**31))
    design = ready.design
    tree, kept = sample_marginal(ready, random_seed=random_seed, **how)
    messages = [*notes, *uncentred_slopes(design)]
    details = {"form": f"marginal ({reason})", **kept_effects(kept)}
    remedy = "try form='hierarchical'"
    return MixedModelResult(
        method="nuts",
        spec=None,
        design=design,
        estimates=posterior_estimates(design, kept),
        diagnostics=_diagnostics(design, tree, messages, remedy, details, how, began),
        uncertainty=kept,
        posterior=tree,
    )


def _diagnostics(
    design: Design,
    tree: Any,
    messages: list[str],
    remedy: str,
    details: Mapping[str, object],
    how: Mapping[str, Any],
    began: float,
) -> Diagnostics:
    found = convergence(design, tree)
    wanted = how["draws"]
    sizes = tree["posterior"].sizes
    interrupted = sizes["draw"] < wanted or sizes["chain"] < how["chains"]
    if interrupted:
        messages = [
            *messages,
            f"Interrupted: {sizes['draw']} of {wanted} draws are kept, of {sizes['chain']} of "
            f"{how['chains']} chains. What follows is about these; let it run.",
        ]
    messages = [*messages, *_mixing(found, sizes["chain"], wanted, remedy, interrupted)]
    divergences = int(np.asarray(tree["sample_stats"]["diverging"]).sum())
    bfmi = energy_fraction(tree)
    if divergences:
        messages.append(
            f"{divergences} divergent transition(s): the sampler missed a narrow part of the "
            f"posterior, often where an sd is near 0. Raise target_accept (to 0.99), give a tighter "
            f"prior for sds of groups with few levels, or {remedy}."
        )
    if bfmi < BFMI:
        messages.append(
            f"The energy changes too little from draw to draw (E-BFMI {bfmi:.2f}, below {BFMI}): the tails "
            f"of the posterior are explored slowly. Give tighter priors for sds, or {remedy}."
        )
    if messages:
        warn("\n".join(messages), ConvergenceWarning)
    return Diagnostics(
        ok=not messages,
        converged=bool(found.rhat <= RHAT),
        singular=None,
        messages=tuple(messages),
        seconds=time.perf_counter() - began,
        rhat_max=found.rhat,
        ess_bulk_min=found.bulk,
        ess_tail_min=found.tail,
        divergences=divergences,
        details={**details, "bfmi_min": bfmi},
    )


def _mixing(found: Convergence, chains: int, wanted: int, remedy: str, interrupted: bool) -> list[str]:
    """What R-hat and effective draws say; after an interrupt without advice on numbers."""
    messages = []
    if chains == 1:
        more = "" if interrupted else " Sample several (chains=4)."
        messages.append(f"One chain can't be checked against others, so that R-hat is missing.{more}")
    elif not found.rhat <= RHAT:
        longer = max(2000, 2 * wanted)
        remedies = [
            "centre the covariates of random slopes",
            "give tighter priors where groups have few levels",
            "or simplify the random effects",
        ]
        if not interrupted:
            remedies.insert(0, f"sample longer (tune={longer}, draws={longer})")
        advice = ", ".join(remedies)
        messages.append(
            f"Not converged: R-hat of {found.rhat_of} is {found.rhat:.3f}, above {RHAT}: the chains "
            f"disagree. {advice[0].upper()}{advice[1:]}."
        )
    smallest = min(found.bulk, found.tail)
    if not smallest >= ESS:
        enough = int(np.ceil(1.3 * ESS / max(smallest, 1.0) * wanted / 500.0)) * 500
        few = enough <= max(MOST, 4 * wanted)
        more = f"Ask for more (draws={enough})." if few else f"Give tighter priors, or {remedy}."
        messages.append(
            f"Few effective draws: {smallest:.0f} of {found.ess_of}, below {ESS:.0f}; means and limits carry "
            f"Monte Carlo error.{'' if interrupted else ' ' + more}"
        )
    return messages
