"""What a singular fit says: which directions have no variance, how sure that is, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bimixed.arguments import check_seed
from bimixed.covariance import Array
from bimixed.exceptions import BimixedError, DataError, UnavailableError
from bimixed.inference.by_ml import engine
from bimixed.inference.chi_square import ChiSquare
from bimixed.inference.lost_directions import Direction, dropped, lost_directions, turned
from bimixed.inference.profile import profile as profile_of
from bimixed.inference.rlrt import TIE, rlrt
from bimixed.inference.simpler_models import (
    Refit,
    Simpler,
    refit,
    regular_model,
    same_without,
    simpler_models,
    without_terms,
    zeros_between,
)
from bimixed.likelihood.fit import fit_likelihood
from bimixed.likelihood.undetermined import undetermined_message
from bimixed.marginal.progress import Progress
from bimixed.results import MixedModelResult
from bimixed.results.summary import Summary
from bimixed.results.tables import check_level
from bimixed.shortening import short_formula

DRAWS = 2_000
TRUSTED = 0.7
"""Pareto k up to which importance sampling is trusted."""
ROUNDING = 1e-6
"""Changes of a fixed effect below this share of its standard error, and of likelihoods, are 0."""
AGAINST = 0.05
"""p-value below which the data speak against the suggested model."""


@dataclass(frozen=True)
class LostDirection:
    """One combination of random coefficients that has no variance between levels.

    Attributes
    ----------
    group, label : str
    weights : dict
        Coefficient → weight; the combination is their sum, and ``sd`` below is its standard deviation.
    size : float
        Root mean square of what a unit of the combination alone adds to the response.
    upper : float
        Upper profile limit of the sd; NaN where it wasn't asked for or can't be had.
    upper_share : float
        The same times ``size``, over sigma.
    statistic, p_value : float
        (Restricted) likelihood ratio against the model in which the combination is fixed to 0.
    reference : str
        The distribution of the statistic.
    at_zero : float
        Share of simulated data without this variance in which it is estimated as 0; NaN unless the
        distribution is the exact one.
    posterior, prior : float
        Probabilities that sd × size is below ``near`` × sigma; NaN where they weren't asked for or can't be
        had.
    same_model : str or None
        A formula of the same fit without the combination, its weights taken from the fit.
    """

    group: str
    label: str
    weights: Mapping[str, float]
    size: float
    upper: float
    upper_share: float
    statistic: float
    p_value: float
    reference: str
    at_zero: float
    posterior: float
    prior: float
    same_model: str | None


@dataclass(frozen=True, repr=False, eq=False)
class SingularityExplanation:
    """Why a fit is singular and what follows, made by ``fit.explain_singular()``.

    Attributes
    ----------
    formula, method : str
    directions : tuple of LostDirection
        Empty for regular fits.
    simpler : pandas.DataFrame
        Models without one lost direction; index what they leave out; ``formula``, ``n_parameters``,
        ``loglik``, ``aic``, ``chisq``, ``df``, ``p_value``, ``reference``, ``lost`` (directions without
        variance that are left), ``shift`` (largest change of a fixed effect, in its standard errors) and
        ``se_ratio`` (the standard error, over that of the fit, that changes most).
    suggestion : str or None
        Formula of a regular model, simplified step by step; None where the model wasn't given as a formula.
        Without any random effect it is that of ordinary least squares.
    change : str
        What the suggestion leaves out.
    suggested : MixedModelResult or None
        Its fit; None without random effects.
    fixef : pandas.DataFrame
        ``estimate``, ``std_error`` of the fit; ``simpler_estimate``, ``simpler_std_error`` of the suggestion.
    loglik_change : float
        Log-likelihood of the suggestion less that of the fit; restricted ones for REML.
    level, near : float
    notes : tuple of str
    """

    formula: str
    method: str
    directions: tuple[LostDirection, ...]
    simpler: pd.DataFrame
    suggestion: str | None
    change: str
    suggested: MixedModelResult | None
    fixef: pd.DataFrame
    loglik_change: float
    level: float
    near: float
    notes: tuple[str, ...]

    @property
    def singular(self) -> bool:
        """Whether there is anything to explain."""
        return bool(self.directions)

    @property
    def table(self) -> pd.DataFrame:
        """The directions, a row each."""
        columns = ["upper", "upper_share", "statistic", "p_value", "at_zero", "posterior", "prior"]
        rows = [[getattr(d, name) for name in columns] for d in self.directions]
        index = pd.MultiIndex.from_tuples(
            [(d.group, d.label) for d in self.directions] or [], names=["group", "direction"]
        )
        return pd.DataFrame(rows, index=index, columns=columns, dtype=float)

    def summary(self) -> Summary:
        """The explanation as text (``print``) and in notebooks."""
        title = f"Singular fit: {short_formula(self.formula)}"
        if not self.singular:
            return Summary(f"Regular fit: {short_formula(self.formula)}", (), (), self.notes, ())
        sections = [
            (
                "Models without a lost direction",
                self.simpler[["chisq", "df", "p_value", "reference", "lost", "shift", "se_ratio"]],
            ),
            ("Fixed effects of the fit and of the suggested model", self.fixef),
        ]
        facts = [("No variance", f"{d.label}, between levels of {d.group}") for d in self.directions]
        facts.append(("Suggested", self.suggestion or self.change))
        whole = ("explanation.simpler", "explanation.fixef")
        return Summary(title, tuple(facts), tuple(sections), self.notes, whole)

    def __str__(self) -> str:
        return str(self.summary())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()


def explain_singular(
    fit: MixedModelResult,
    *,
    profile: bool = True,
    posterior: bool = True,
    level: float = 0.95,
    near: float = 0.1,
    random_seed: int | None = None,
    progress: bool = True,
) -> SingularityExplanation:
    """What ``fit.explain_singular()`` gives; its docstring explains the arguments."""
    if isinstance(fit, MixedModelResult) and fit.likelihood is None:
        raise UnavailableError(
            "Draws aren't singular: priors keep variances above 0 and correlations inside ±1. How near 0 an "
            "sd may be is in fit.conf_int() and fit.posterior; explain_singular is for 'reml' and 'ml'."
        )
    engine(fit, "explain_singular")
    check_level(level)
    check_seed(random_seed)
    if not isinstance(near, int | float) or not 0.0 < near < 1.0:
        raise DataError(f"near is {near!r}; give a share of sigma between 0 and 1, such as 0.1.")
    lost = lost_directions(fit)
    if not lost:
        return _regular(fit, level, near)
    masses, notes = _masses(fit, lost, near, random_seed, progress) if posterior else ([], [])
    known = []
    for i, direction in enumerate(lost):
        upper, told = _upper(fit, direction, level, progress) if profile else (np.nan, [])
        notes += told
        known.append(_known(fit, direction, upper, masses[i] if masses else (np.nan, np.nan), random_seed))
    tried = _tried(fit, lost, progress)
    chosen = regular_model(fit, tried)
    table = pd.DataFrame([_row(fit, model, found) for model, found in tried]).set_index("change")
    return SingularityExplanation(
        formula=fit.formula,
        method=fit.method,
        directions=tuple(known),
        simpler=table,
        suggestion=chosen[0].formula,
        change=chosen[0].change,
        suggested=chosen[1].result,
        fixef=_fixef(fit, chosen[1]),
        loglik_change=chosen[1].loglik - fit.loglik,
        level=level,
        near=near,
        notes=(*_words(fit, known, chosen, level, near), *notes, *_undetermined(fit)),
    )


def _regular(fit: MixedModelResult, level: float, near: float) -> SingularityExplanation:
    note = "Every direction of the random effects has a variance above 0: there is nothing to explain."
    undetermined = _undetermined(fit)
    if undetermined:
        note = "Every direction of the random effects that the data can tell has a variance above 0."
    empty = pd.DataFrame()
    return SingularityExplanation(
        fit.formula, fit.method, (), empty, None, "", None, empty, 0.0, level, near, (note, *undetermined)
    )


def _undetermined(fit: MixedModelResult) -> list[str]:
    """What the data can't tell whatever they are."""
    parts = fit.estimates.undetermined
    return [undetermined_message(f, parts[f.key]) for f in fit.design.factors if f.key in parts]


def _masses(
    fit: MixedModelResult, lost: list[Direction], near: float, random_seed: int | None, progress: bool
) -> tuple[list[tuple[float, float]], list[str]]:
    """Posterior and prior probability of an sd near 0 of each direction; what to say where there is none."""
    if fit.spec is None:
        return [], ["No posterior: the fit doesn't have its specification."]
    try:
        found = fit.spec.fit("importance", draws=DRAWS, random_seed=random_seed, progress=progress)
        prior = fit.spec.sample_prior(DRAWS, random_seed)["prior"]
    except BimixedError as error:
        return [], [f"No posterior: {error} Draw one by fit.spec.fit('nuts')."]
    notes = []
    if (found.diagnostics.pareto_k or 0.0) > TRUSTED:
        notes.append(
            f"Pareto k of the posterior's draws is {found.diagnostics.pareto_k:.2f}: its probabilities are "
            "rough; fit.spec.fit('nuts') gives better ones."
        )
    masses = []
    for direction in lost:
        factor = fit.design.factors[direction.place]
        v, size, key = direction.weights, direction.size, factor.key
        sd = np.asarray(prior[f"sd_{key}"]).reshape(DRAWS, -1)
        cov = np.einsum("di,ij,dj->dij", sd, np.eye(len(v)), sd)
        if f"corr_{key}" in prior:
            cov = np.einsum("di,dij,dj->dij", sd, np.asarray(prior[f"corr_{key}"]).reshape(cov.shape), sd)
        sigma = np.asarray(prior["sigma"]).ravel()
        drawn = found.uncertainty
        after = _below(drawn.random_cov[key], drawn.sigma, v * size, near)
        masses.append((after, _below(cov, sigma, v * size, near)))
    return masses, notes


def _below(cov: Array, sigma: Array, v: Array, near: float) -> float:
    """Share of draws in which the sd of v'b is below a share of sigma."""
    variance = np.einsum("i,dij,j->d", v, cov, v)
    return float((variance < (near * sigma) ** 2).mean())


def _upper(
    fit: MixedModelResult, direction: Direction, level: float, progress: bool
) -> tuple[float, list[str]]:
    """Upper profile limit of the direction's sd, and what to say of it."""
    factor = fit.design.factors[direction.place]
    label = direction.label(factor.names)
    large = engine(fit, "explain_singular")
    if len(direction.involved) > 1:
        fit = fit_likelihood(
            turned(fit.design, direction), reml=large.problem.reml, optimizer=large.optimizer
        )
    name = f"sd_{factor.key}[{label}]"
    curve = profile_of(fit, name, progress=progress)
    upper = float(curve.conf_int(level)["upper"].iloc[0])
    return upper, [note for note in curve.notes if "bound" not in note]


def _known(
    fit: MixedModelResult, direction: Direction, upper: float, mass: tuple[float, float], seed: int | None
) -> LostDirection:
    factor = fit.design.factors[direction.place]
    small = dropped(fit.design, direction)
    without = refit(fit, small)
    statistic = _ratio(fit, without)
    df = direction.block.stop - direction.block.start
    if factor.key in fit.estimates.undetermined:
        df = fit.df_model - without.n_parameters
    reference = ChiSquare(df, 1)
    name, p_value, at_zero = reference.name, reference.p_value(statistic), np.nan
    if len(fit.design.factors) == 1 and factor.n_coefficients == 1:
        test = rlrt(fit, random_seed=seed, progress=False)
        if test.method == "exact":
            name, p_value = "exact (simulated)", test.p_value
            at_zero = float((test.simulated < TIE).mean())
    same = same_without(fit.design, direction)
    return LostDirection(
        group=factor.key,
        label=direction.label(factor.names),
        weights={factor.names[k]: float(direction.weights[k]) for k in direction.involved},
        size=direction.size,
        upper=upper,
        upper_share=upper * direction.size / fit.sigma,
        statistic=statistic,
        p_value=p_value,
        reference=name,
        at_zero=at_zero,
        posterior=mass[0],
        prior=mass[1],
        same_model=None if same is None else same.formula,
    )


def _ratio(fit: MixedModelResult, small: Refit) -> float:
    """Likelihood ratio, 0 where rounding is all of it."""
    ratio = 2.0 * (fit.loglik - small.loglik)
    return 0.0 if ratio < ROUNDING else ratio


def _tried(fit: MixedModelResult, lost: list[Direction], progress: bool) -> list[tuple[Simpler, Refit]]:
    """Models that are one step simpler, each once."""
    models = {model.change: model for model in without_terms(fit.design, lost)}
    for direction in lost:
        for model in simpler_models(fit.design, direction):
            models.setdefault(model.change, model)
    tried = []
    with Progress(len(models), "simpler models", progress) as told:
        for model in models.values():
            tried.append((model, refit(fit, model.design)))
            told.update(len(tried))
    return tried


def _row(fit: MixedModelResult, model: Simpler, found: Refit) -> dict[str, object]:
    reference = ChiSquare(fit.df_model - found.n_parameters, zeros_between(model.design, fit.design))
    statistic, ratios = _ratio(fit, found), found.std_errors / fit.estimates.std_errors
    furthest = int(np.nanargmax(np.abs(np.log(ratios)))) if not np.isnan(ratios).all() else 0
    shift = np.abs(found.beta - fit.estimates.beta) / fit.estimates.std_errors
    shift = np.where(shift < ROUNDING, 0.0, shift)
    return {
        "change": model.change,
        "formula": model.formula or "",
        "n_parameters": found.n_parameters,
        "loglik": found.loglik,
        "aic": found.aic,
        "chisq": statistic,
        "df": reference.df,
        "p_value": reference.p_value(statistic),
        "reference": reference.name,
        "lost": found.n_lost,
        "shift": float(np.nanmax(shift, initial=0.0)),
        "se_ratio": float(ratios[furthest]) if len(ratios) else np.nan,
    }


def _fixef(fit: MixedModelResult, found: Refit) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "estimate": fit.estimates.beta,
            "std_error": fit.estimates.std_errors,
            "simpler_estimate": found.beta,
            "simpler_std_error": found.std_errors,
        },
        index=pd.Index(fit.design.names, name="coefficient"),
    )


def _words(
    fit: MixedModelResult,
    known: list[LostDirection],
    chosen: tuple[Simpler, Refit],
    level: float,
    near: float,
) -> list[str]:
    """The explanation in sentences."""
    notes = []
    for d in known:
        notes.append(_of_direction(d, level, near))
        if d.same_model is not None:
            notes.append(
                f"The same fit with {d.label} held at 0 is '{d.same_model}'; its weights are estimates, "
                "which standard errors and AIC of that formula don't count."
            )
    model, found = chosen
    row = _row(fit, model, found)
    what = "ordinary least squares" if found.result is None else "every variance above 0"
    notes.append(
        f"Suggested, with {what}: {model.change}. The log-likelihood falls by "
        f"{0.5 * _ratio(fit, found):.4g} (p = {row['p_value']:.3g} by {row['reference']}), fixed "
        f"effects move by {row['shift']:.2g} of their standard errors at most, and the standard error that "
        f"changes most is multiplied by {row['se_ratio']:.3g}."
    )
    if float(row["p_value"]) < AGAINST:  # type: ignore[arg-type]
        notes.append(
            "The data speak against the suggested model, the best of those that are simpler: rather keep "
            "this fit, or fit with method='nuts', whose priors keep it off the boundary."
        )
    notes.append(
        "The singular fit is valid as it is: its fixed effects can be reported. A model that is chosen "
        "because of it is chosen by the data, which its p-values don't count."
    )
    return notes


def _of_direction(d: LostDirection, level: float, near: float) -> str:
    what = f"{d.label} of {d.group} has an estimated sd of 0"
    if len(d.weights) == 2 and "Intercept" in d.weights:
        other, weight = next((name, w) for name, w in d.weights.items() if name != "Intercept")
        what += f" (the lines of all levels meet at {other} = {weight:.4g}, a correlation of ±1)"
    elif len(d.weights) > 1:
        what += " (each of these effects is a combination of the others)"
    parts = [what]
    if np.isfinite(d.upper):
        parts.append(
            f"at {100.0 * level:g} % the profile allows up to {d.upper:.4g}, which adds {d.upper_share:.2g} "
            "sigma to a response"
        )
    test = f"its likelihood ratio is {d.statistic:.3g} (p = {d.p_value:.3g}, {d.reference})"
    if np.isfinite(d.at_zero):
        test += f"; of data without this variance {100.0 * d.at_zero:.0f} % give an estimate of 0"
    parts.append(test)
    if np.isfinite(d.posterior):
        parts.append(
            f"under the default priors it is below {near:g} sigma with probability {d.posterior:.2g} "
            f"({d.prior:.2g} before the data)"
        )
    return "; ".join(parts) + "."
