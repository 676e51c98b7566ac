"""Which form a posterior takes, and that it is one at all; then draws by NUTS or by importance sampling."""

import os
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bimixed.arguments import check_count, check_seed
from bimixed.design import Design
from bimixed.exceptions import BimixedWarning, ConvergenceWarning, FitError, warn
from bimixed.likelihood.fit import fit_likelihood
from bimixed.likelihood.undetermined import structural_notes
from bimixed.marginal.choice import hierarchical_cost, marginal_cost, marginal_seconds
from bimixed.marginal.compiled import is_compiled
from bimixed.marginal.fit import fit_importance
from bimixed.marginal.posterior import INTEGRABLE, MarginalPosterior, fixef_prior, stand_in
from bimixed.marginal.propriety import check_flat_scales
from bimixed.marginal.ready import ReadyPosterior
from bimixed.marginal.start import start_at
from bimixed.priors import Priors
from bimixed.results import Estimates, MixedModelResult

FORMS = ("auto", "marginal", "hierarchical")
LONG = 120.0
"""Seconds of sampling that are announced."""
DRAWS = {"nuts": 1000, "importance": 4000}
FEWEST = {"nuts": 4, "importance": 100}
"""Draws by default, and at least; Pareto's k needs a tail."""


@dataclass(frozen=True)
class Request:
    """What a posterior is asked for, with what is found out about it when it is needed.

    Attributes
    ----------
    design : Design
    priors : Priors
    """

    design: Design
    priors: Priors

    @cached_property
    def reml(self) -> Estimates:
        """A quick REML fit, to start from and to see how much is known of each level."""
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", BimixedWarning
            )  # they are of the likelihood, not of the posterior
            return fit_likelihood(self.design, reml=True).estimates

    @cached_property
    def not_integrable(self) -> list[str]:
        """Fixed effects whose prior keeps them from being integrated out."""
        names = [self.design.names[j] for j in self.design.kept]
        return [name for name in names if self.priors[name].family not in INTEGRABLE]

    @cached_property
    def marginal(self) -> MarginalPosterior:
        """The variance parameters alone; with normal stand-ins for priors that can't be integrated."""
        fixef = fixef_prior(self.design, self.priors) or stand_in(self.design, self.priors)
        return MarginalPosterior.of(self.design, self.priors, fixef, self.reml.sigma)

    @property
    def start(self) -> Any:
        covariances = [self.reml.usable_cov[f.key] for f in self.design.factors]
        return start_at(self.marginal, covariances, self.reml.sigma)

    def check_flat_scales(self) -> list[str]:
        """Refuse improper posteriors; returns what is to be told of others."""
        scales = [name for name in self.priors if name == "sigma" or name.startswith("sd_")]
        if not any(self.priors[name].family == "flat" for name in scales):
            return []
        return check_flat_scales(self.design, self.marginal, self.start)

    def ready(self, progress: bool = False) -> ReadyPosterior:
        """The marginal posterior at its mode."""
        return ReadyPosterior.of(self.design, self.marginal, self.start, progress)


def fit_posterior(design: Design, priors: Priors, method: str, given: Mapping[str, Any]) -> MixedModelResult:
    """Draws from the posterior.

    Parameters
    ----------
    design : Design
    priors : Priors
    method : {"nuts", "importance"}
    given : mapping
        Arguments of ``ModelSpec.fit``.
    """
    began = time.perf_counter()
    given = {**given, "draws": DRAWS[method] if given["draws"] is None else given["draws"]}
    _check(method, given)
    request = Request(design, priors)
    notes = [*structural_notes(design, posterior=True), *request.check_flat_scales()]
    how = {"notes": notes} | {name: given[name] for name in ("draws", "random_seed")}
    progress = given["progress"] is not False
    if method == "importance":
        _require_integrable(request)
        how["cores"] = given["cores"]
        return fit_importance(request.ready(progress), began=began, progress=progress, **how)
    form, reason = choose_form(request, given)
    how |= {name: given[name] for name in ("tune", "chains", "target_accept", "cores")}
    from bimixed.bayes.fit import fit_hierarchical, fit_marginal

    if form == "marginal":
        if progress:
            _tell_patience(request, given)
        return fit_marginal(request.ready(progress), reason=reason, began=began, progress=progress, **how)
    return fit_hierarchical(
        design,
        priors,
        reml=request.reml if given["parameterization"] == "auto" else None,
        parameterization=given["parameterization"],
        sampler=given["sampler"],
        reason=reason,
        began=began,
        progress=progress,
        **how,
    )


def _check(method: str, given: Mapping[str, Any]) -> None:
    """Numbers of draws and the like.

    Raises
    ------
    FitError
        Naming the argument.
    """
    for name, least in {"draws": FEWEST[method], "tune": 1, "chains": 1}.items():
        check_count(name, given[name], least)
    if given["cores"] is not None:
        check_count("cores", given["cores"])
    target_accept = given["target_accept"]
    if target_accept is not None and not 0.0 < target_accept < 1.0:
        raise FitError(f"target_accept is {target_accept}; it is a probability such as 0.95.")
    check_seed(given["random_seed"])


def choose_form(request: Request, given: Mapping[str, Any]) -> tuple[str, str]:
    """The form, and why.

    Raises
    ------
    FitError
        If the form is unknown or goes with another sampler.
    """
    form = given["form"]
    if form not in FORMS:
        raise FitError(f"form is {form!r}; choose one of {', '.join(FORMS)}.")
    if form == "hierarchical":
        return form, "as asked"
    odd = [f"{name}={given[name]!r}" for name in ("sampler", "parameterization") if given[name] != "auto"]
    if given["sampler"] == "nutpie":
        odd = [text for text in odd if not text.startswith("sampler")]
    if odd and form == "marginal":
        raise FitError(
            f"{' and '.join(odd)} belongs to the hierarchical form: the marginal one is sampled by nutpie "
            "and has no random effects to parameterize. Leave it out, or take form='hierarchical'."
        )
    if request.not_integrable:
        reason = f"the prior of {', '.join(request.not_integrable)} is neither normal nor flat"
        if form == "marginal":
            warn(
                f"form='marginal' can't be had: {reason}, so that fixed effects can't be integrated out. The "
                "hierarchical form is sampled instead; give normal priors to the fixed effects, or leave out "
                "form= for it to be chosen.",
                ConvergenceWarning,
            )
        return "hierarchical", reason
    if form == "marginal":
        return form, "as asked"
    if odd:
        return "hierarchical", f"{' and '.join(odd)} asks for it"
    return _cheaper(request)


def _cheaper(request: Request) -> tuple[str, str]:
    cp = request.marginal.cp
    marginal, hierarchical = marginal_cost(cp), hierarchical_cost(request.design, bool(cp.trailing))
    if marginal <= hierarchical:
        how = "compiled" if is_compiled(cp) else "by LAPACK"
        return "marginal", f"fixed and random effects integrated out, {how}: the cheaper form here"
    return "hierarchical", "integrating the random effects out would cost more per effective draw here"


def _tell_patience(request: Request, given: Mapping[str, Any]) -> None:
    """Before minutes of sampling, what takes less."""
    chains = given["chains"]
    rounds = -(-chains // min(chains, given["cores"] or os.cpu_count() or 1))
    seconds = marginal_seconds(request.marginal.cp) * (given["draws"] + given["tune"]) * rounds
    if seconds > LONG:
        print(
            f"Some {seconds / 60:.0f} minutes of sampling: each density factorizes thousands of "
            "effects. method='importance' needs a fraction of them, and Ctrl-C keeps the draws so far.",
            file=sys.stderr,
        )


def _require_integrable(request: Request) -> None:
    if request.not_integrable:
        raise FitError(
            "method='importance' integrates the fixed effects out, which takes normal or flat priors; that "
            f"of {', '.join(request.not_integrable)} is neither. Take method='nuts', or normal priors."
        )


def pymc_model(design: Design, priors: Priors, form: str, parameterization: str, likelihood: bool) -> Any:
    """The PyMC model of this form.

    Raises
    ------
    FitError
        For an unknown form, or where fixed effects can't be integrated out.
    """
    request = Request(design, priors)
    if form == "hierarchical":
        from bimixed.bayes.parameterization import choose
        from bimixed.bayes.readable import readable_model

        reml = request.reml if parameterization == "auto" else None
        return readable_model(design, priors, choose(design, parameterization, reml), likelihood)
    if form != "marginal":
        raise FitError(f"form is {form!r}; choose 'hierarchical' or 'marginal'.")
    if not likelihood:
        raise FitError(
            "form='marginal' integrates the effects out of the likelihood and is nothing without it; take "
            "form='hierarchical', or leave out likelihood=."
        )
    if request.not_integrable:
        raise FitError(
            f"The prior of {', '.join(request.not_integrable)} is neither normal nor flat, so that fixed "
            "effects can't be integrated out; give normal priors, or take form='hierarchical'."
        )
    from bimixed.bayes.marginal_model import build_marginal_model

    return build_marginal_model(design, priors, request.marginal)
