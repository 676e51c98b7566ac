"""Random effects tested one by one, and backward elimination of what a model doesn't need."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bimixed.design import Design
from bimixed.design.terms import fixed_terms
from bimixed.exceptions import BimixedWarning, DataError, UnavailableError
from bimixed.inference.by_ml import engine
from bimixed.inference.drop_one import NONE, DropOne, Fitted, without_each
from bimixed.inference.simpler_models import Simpler, random_deletions, refit, typed, zeros_between
from bimixed.results import MixedModelResult
from bimixed.results.fixef_tests import NAMES
from bimixed.results.inferring import Ddf
from bimixed.results.summary import METHODS, Summary
from bimixed.shortening import listed, short_formula
from bimixed.vocabulary import explains_arguments

COLUMNS = ("part", "eliminated", "statistic", "num_df", "den_df", "p_value", "reference")


@explains_arguments
def ranova(fit: MixedModelResult) -> DropOne:
    """Test each random effect by a likelihood-ratio test of the model without it.

    Parameters
    ----------
    fit : MixedModelResult
        A likelihood fit; the models without an effect are fitted by the same criterion.

    Returns
    -------
    DropOne
        A row for each random term, or for each of its coefficients that marginality lets go: of
        ``(x | g)`` the slope, with its covariances. The p-value of a variance is from the mixture of χ²
        named in ``reference`` (Stram and Lee 1994); :func:`bimixed.rlrt` simulates the distribution instead.

    Raises
    ------
    UnavailableError
        For draws.

    Examples
    --------
    >>> import bimixed as bm
    >>> fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()
    >>> bm.ranova(fit).table[["chisq", "df"]].round(3)
                                  chisq   df
    term
    <none>                          NaN  NaN
    Days in (Days | Subject)     42.837  2.0
    """
    engine(fit, "A likelihood-ratio test")
    rows = [Fitted(fit.loglik, fit.df_model, fit.nobs).row(NONE), *(row for row, _ in _without_each(fit))]
    mixture = (
        "A variance lies at its boundary under the model without it, hence the mixtures of χ² (Stram and Lee "
        "1994). They hold for many levels; bm.rlrt(fit, term) simulates the distribution of few."
    )
    at_bound = [row for row in rows[1:] if "½" in row["reference"] or "conservative" in row["reference"]]
    notes = (mixture,) if at_bound else ()
    title = f"Random effects of {short_formula(fit.formula)}, left out one by one, by {METHODS[fit.method]}"
    return DropOne(pd.DataFrame(rows).set_index("term"), notes, title)


def _without_each(fit: MixedModelResult) -> Iterator[tuple[dict[str, Any], Simpler]]:
    """Each random effect left out by itself: its row of the table, and the model without it."""
    whole = Fitted(fit.loglik, fit.df_model, fit.nobs)
    for name, simpler in random_deletions(fit.design):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BimixedWarning)  # a singular candidate is no news
            found = refit(fit, simpler.design)
        small = Fitted(found.loglik, found.n_parameters, fit.nobs)
        yield small.row_within(whole, name, zeros_between(simpler.design, fit.design)), simpler


@dataclass(frozen=True, repr=False, eq=False)
class Elimination:
    """A model made smaller step by step.

    Attributes
    ----------
    table : pandas.DataFrame
        Index ``term``; what was eliminated, in this order, then what stays, tested in the last model:
        ``part`` ("random" or "fixed"), ``eliminated`` (number of the step, 0 for what stays), ``statistic``,
        ``num_df``, ``den_df`` (NaN for a likelihood ratio), ``p_value`` and ``reference``.
    fit : MixedModelResult
        The last model.
    notes : tuple of str
    """

    table: pd.DataFrame
    fit: MixedModelResult
    notes: tuple[str, ...]

    def summary(self) -> Summary:
        """The steps as text (``print``) and as a table in notebooks."""
        facts = (("Last model", short_formula(self.fit.formula)),)
        return Summary("Backward elimination", facts, (("Terms", self.table),), self.notes, ("steps.table",))

    def __str__(self) -> str:
        return str(self.summary())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()


@explains_arguments
def step(
    fit: MixedModelResult,
    *,
    alpha_random: float = 0.1,
    alpha_fixed: float = 0.05,
    ddf: Ddf = "satterthwaite",
    keep: Sequence[str] = (),
) -> Elimination:
    """Backward elimination: random effects first, then fixed terms.

    At each step the term with the largest p-value goes, if that is above its limit, and the model is fitted
    again. Random effects are tested as by :func:`ranova`, fixed terms that no other one contains by F tests.

    Parameters
    ----------
    fit : MixedModelResult
        A likelihood fit of a formula with bars.
    alpha_random, alpha_fixed : float
        What stays has a p-value of at most this; with 1 nothing goes.
    ddf : {"satterthwaite", "kenward-roger", "residual", "normal"}
        For the F tests.
    keep : sequence of str
        Terms that aren't tested: names of fixed terms as in ``fit.anova()``, random terms as written.

    Returns
    -------
    Elimination

    Raises
    ------
    UnavailableError
        For draws, and for a model that wasn't given as a formula with bars.
    DataError
        For limits that are no probabilities, for unknown terms in ``keep``, and where a model without a term
        would have more rows.

    Notes
    -----
    The procedure is that of lmerTest's ``step`` (Kuznetsova, Brockhoff and Christensen 2017), but for the
    reference distributions of variances. P-values and intervals of the last model don't count that it was
    chosen by the same data, and are too good; say that the model was selected where you report it.

    Examples
    --------
    >>> import bimixed as bm
    >>> data = bm.load_dataset("rat_pup")
    >>> fit = bm.ModelSpec("weight ~ sex * treatment + litsize + (1 | litter)", data).fit()
    >>> steps = bm.step(fit)
    >>> steps.table["eliminated"].tolist()
    [0, 1, 0, 0, 0]
    """
    engine(fit, "step")
    if typed(fit.design) is None or fit.spec is None:
        raise UnavailableError(
            "step writes a new formula at each step, and this model has none with bars; see what may go by "
            "bm.ranova(fit) and bm.drop1(fit), and fit the smaller model."
        )
    for name, value in (("alpha_random", alpha_random), ("alpha_fixed", alpha_fixed)):
        if not 0.0 <= value <= 1.0:
            raise DataError(f"{name} is {value}; it is a limit of p-values, between 0 and 1.")
    kept = [keep] if isinstance(keep, str) else list(keep)
    _check_keep(fit.design, kept)
    random, fit = _reduce(fit, _random_candidates, kept, alpha_random, ddf, 0)
    n = sum(row["eliminated"] > 0 for row in random)
    fixed, fit = _reduce(fit, _fixed_candidates, kept, alpha_fixed, ddf, n)
    table = pd.DataFrame([*random, *fixed], columns=["term", *COLUMNS]).set_index("term")
    by = METHODS[fit.method]
    notes = [f"Random effects by likelihood ratios ({by}), fixed terms by F tests with {NAMES[ddf]}."]
    if any(not simpler.design.factors for _, simpler in random_deletions(fit.design)):
        notes.append("The last random effect stays: without it the model is least squares.")
    notes.append("P-values and intervals of the last model don't count that the same data chose it.")
    return Elimination(table, fit, (*notes, *fit.diagnostics.messages))


def _check_keep(design: Design, keep: Sequence[str]) -> None:
    known = [term.name for term in fixed_terms(design)]
    known += [source for factor in design.factors for source in factor.sources]
    unknown = [name for name in keep if name not in known]
    if unknown:
        raise DataError(f"keep names {listed(unknown)}, which is no term; there are {listed(known)}.")


@dataclass(frozen=True)
class Candidate:
    """A term that may go.

    Attributes
    ----------
    row : dict
        Of the table.
    sources : tuple of str
        Names by which ``keep`` may hold it.
    formula : str or None
        Of the model without it, where there is one.
    """

    row: dict[str, Any]
    sources: tuple[str, ...]
    formula: str | None


def _reduce(
    fit: MixedModelResult,
    candidates: Callable[[MixedModelResult, Ddf], list[Candidate]],
    keep: Sequence[str],
    alpha: float,
    ddf: Ddf,
    done: int,
) -> tuple[list[dict[str, Any]], MixedModelResult]:
    """Rows of the table, and the last model."""
    rows: list[dict[str, Any]] = []
    while True:
        tested = candidates(fit, ddf)
        free = [
            c
            for c in tested
            if c.formula is not None and c.row["p_value"] > alpha and not set(c.sources) & set(keep)
        ]
        worst = max(free, key=lambda c: c.row["p_value"], default=None)
        if worst is None or worst.formula is None:
            return [*rows, *(c.row for c in tested)], fit
        done += 1
        rows.append(worst.row | {"eliminated": done})
        fit = _fitted(fit, worst.formula, worst.row["term"])


def _fitted(fit: MixedModelResult, formula: str, term: str) -> MixedModelResult:
    spec = fit.spec.update(formula=formula)
    if spec.design.n != fit.nobs:
        raise DataError(
            f"Without {term} the model has {spec.design.n} rows in place of {fit.nobs}, because of missing "
            "values, and tests of different rows can't be compared. Leave these rows out first: "
            "data.dropna(subset=[...])."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BimixedWarning)  # what the last model has to say is in the notes
        return spec.fit(fit.method)


def _random_candidates(fit: MixedModelResult, ddf: Ddf) -> list[Candidate]:
    found = []
    for tested, simpler in _without_each(fit):
        name = tested["term"]
        row = _row(
            name, "random", tested["chisq"], tested["df"], np.nan, tested["p_value"], tested["reference"]
        )
        formula = simpler.formula if simpler.design.factors else None
        found.append(Candidate(row, (name, name.split(" in ", 1)[-1]), formula))
    return found


def _fixed_candidates(fit: MixedModelResult, ddf: Ddf) -> list[Candidate]:
    names, _ = without_each(fit.design)
    if not names:
        return []
    table, found = fit.anova(ddf=ddf, type=2), []
    for name in names:
        num_df, den_df, F, p_value = table.loc[name]
        row = _row(name, "fixed", F, num_df, den_df, p_value, f"F, {ddf}")
        found.append(Candidate(row, (name,), _formula_without(fit.design, name)))
    return found


def _row(
    term: str, part: str, statistic: float, num_df: float, den_df: float, p_value: float, reference: str
) -> dict[str, Any]:
    values = (part, 0, statistic, num_df, den_df, p_value, reference)
    return {"term": term, **dict(zip(COLUMNS, values, strict=True))}


def _formula_without(design: Design, name: str) -> str:
    """All other terms written out."""
    terms = fixed_terms(design)
    left = [term.written for term in terms if term.name not in (name, "Intercept")]
    if not any(term.name == "Intercept" for term in terms):
        left = ["0", *left]
    return str(replace(design.formula, fixed=" + ".join(left or ["1"])))
