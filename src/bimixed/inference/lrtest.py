"""Likelihood-ratio tests of nested models."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd

from bimixed.design import Design
from bimixed.exceptions import DataError, FitError, UnavailableError
from bimixed.inference.by_ml import by_ml, engine
from bimixed.inference.chi_square import ChiSquare
from bimixed.inference.drop_one import LOWER
from bimixed.inference.nesting import columns_outside, random_nesting
from bimixed.model_differences import different_data
from bimixed.results import MixedModelResult
from bimixed.results.summary import METHODS, Summary
from bimixed.shortening import listed, short_formula
from bimixed.vocabulary import Hinting, explains_arguments, explains_methods


@explains_methods
@dataclass(frozen=True, repr=False, eq=False)
class LikelihoodRatioTest(Hinting):
    """Nested models, each tested against the one before it.

    Attributes
    ----------
    table : pandas.DataFrame
        A row for each model, fewest parameters first: ``n_parameters``, ``loglik``, ``deviance`` (−2 loglik),
        ``aic``, ``bic``, ``chisq`` (how much lower the deviance is than that of the model before), ``df``,
        ``p_value`` and ``reference``, the name of the distribution that the p-value is from.
    method : str
        "ml" or "reml": which likelihoods are compared.
    notes : tuple of str
        What was done, and what to know about the p-values.
    p_value : float
        Of two models.
    """

    table: pd.DataFrame
    method: str
    notes: tuple[str, ...]

    @property
    def p_value(self) -> float:
        """Of the only comparison.

        Raises
        ------
        UnavailableError
            Where there are several.
        """
        if len(self.table) != 2:
            raise UnavailableError(
                f"{len(self.table)} models have a p-value for each comparison; write test.table['p_value']."
            )
        return float(self.table["p_value"].iloc[1])

    def summary(self) -> Summary:
        """The test as text (``print``) and as a table in notebooks."""
        shown = self.table.astype({"df": object})
        shown["df"] = ["" if np.isnan(df) else int(df) for df in self.table["df"]]
        return Summary(
            title=f"Likelihood-ratio test by {METHODS[self.method]}",
            facts=(),
            sections=(("Models", shown),),
            notes=self.notes,
            whole=("test.table",),
        )

    def __str__(self) -> str:
        return str(self.summary())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()


@explains_arguments
def lrtest(
    *fits: MixedModelResult,
    method: Literal["auto", "ml", "reml"] = "auto",
    names: Sequence[str] | None = None,
) -> LikelihoodRatioTest:
    """Test nested models by the ratio of their likelihoods.

    Parameters
    ----------
    *fits : MixedModelResult
        Two or more likelihood fits of the same rows, in any order: they are sorted by number of parameters,
        and each is tested against the one before.
    method : {"auto", "ml", "reml"}
        "auto" compares REML fits by their restricted likelihoods where the fixed parts are the same (span the
        same columns), and refits by maximum likelihood where they differ; the result says so.
    names : sequence of str, optional
        Of the fits, in their order; default the formulas.

    Returns
    -------
    LikelihoodRatioTest
        Where the larger model has variances that are 0 under the smaller one, the reference distribution is
        the mixture ½χ²(df − 1) + ½χ²(df) for one variance, χ²(df) for several, which is conservative (Self
        and Liang 1987; Stram and Lee 1994); :func:`bimixed.rlrt` simulates the distribution instead.

    Raises
    ------
    DataError
        For different rows, responses, weights or offsets, and for models that aren't nested.
    FitError
        For a REML comparison of different fixed parts, or where a fit hasn't found its optimum.
    UnavailableError
        For draws.

    Examples
    --------
    >>> import bimixed as bm
    >>> data = bm.load_dataset("sleepstudy")
    >>> small = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", data).fit()
    >>> large = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", data).fit()
    >>> test = bm.lrtest(small, large)
    >>> test.table["chisq"].round(4).tolist()
    [nan, 42.8368]
    >>> test.table["reference"].tolist()
    ['', '½χ²(1) + ½χ²(2)']
    """
    if len(fits) < 2:
        listed_ = (
            ", one after the other (*fits of a list)" if fits and isinstance(fits[0], list | tuple) else ""
        )
        raise DataError(f"lrtest compares two models or more{listed_}: bm.lrtest(small, large).")
    for fit in fits:
        engine(fit, "A likelihood-ratio test")
    if names is not None and (not isinstance(names, list | tuple) or len(names) != len(fits)):
        raise DataError(f"names is {names!r} for {len(fits)} fits; give a list with a name for each.")
    if method not in ("auto", "ml", "reml"):
        raise DataError(f"method is {method!r}; choose 'auto', 'ml' or 'reml'.")
    labels = _labels(fits) if names is None else [str(name) for name in names]
    order = sorted(range(len(fits)), key=lambda i: fits[i].df_model)
    models = [fits[i] for i in order]
    for other in models[1:]:
        _check_same_data(models[0], other)
    by_reml, notes = _which_likelihood(models, method)
    models = models if by_reml else [by_ml(fit) for fit in models]
    at_zero = [_check_nested(a, b) for a, b in pairwise(models)]
    table = _table(models, at_zero, [labels[i] for i in order])
    notes += _about_references(table, at_zero)
    notes += [
        f"{labels[i]}: the fit has not converged, and its likelihood may be too low."
        for i, fit in zip(order, models, strict=True)
        if not fit.diagnostics.converged
    ]
    return LikelihoodRatioTest(table, "reml" if by_reml else "ml", tuple(notes))


def _labels(fits: Sequence[MixedModelResult]) -> list[str]:
    formulas = [short_formula(fit.formula) for fit in fits]
    if len(set(formulas)) == len(formulas):
        return formulas
    return [f"{formula} [{i}]" for i, formula in enumerate(formulas, start=1)]


def _check_same_data(one: MixedModelResult, other: MixedModelResult) -> None:
    """Likelihoods of different data can't be compared.

    Raises
    ------
    DataError
    """
    a, b = one.design, other.design
    which = f"'{short_formula(one.formula)}' and '{short_formula(other.formula)}'"
    if a.n != b.n:
        raise DataError(
            f"{which} were fitted to {a.n} and {b.n} rows, and likelihoods of different rows can't be "
            "compared. If missing values are the reason, leave those rows out first: "
            "data.dropna(subset=[...]) with the columns of both."
        )
    if not a.is_of_rows_of(b):
        raise DataError(
            f"{which} have different responses (or the same ones in another order of rows); fit both to the "
            "same response of the same table. A transformed response is another one."
        )
    if not (a.has_rows and b.has_rows):
        odd = different_data(a, b)
        if odd:
            raise DataError(f"{which} are of different data: {'; '.join(odd)}. Give both the same.")
        return
    for name, first, second, none in (
        ("weights", a.weights, b.weights, 1.0),
        ("offset", a.offset, b.offset, 0.0),
    ):
        mine, theirs = (np.full(a.n, none) if given is None else given for given in (first, second))
        if not np.allclose(mine, theirs, rtol=1e-12, atol=0.0):
            raise DataError(f"{which} have different {name}; give both the same.")


def _which_likelihood(models: Sequence[MixedModelResult], method: str) -> tuple[bool, list[str]]:
    """Whether restricted likelihoods are compared, and what to say about it."""
    given = [fit.method for fit in models]
    if method == "ml" or (method == "auto" and "reml" not in given):
        refitted = given.count("reml")
        return False, [f"{refitted} of the fits were by REML and are refitted by ML."] if refitted else []
    if "ml" in given:
        if method == "reml":
            raise FitError(
                "method='reml' compares REML fits, and some of these are by ML; fit all by spec.fit('reml')."
            )
        return False, ["Some of the fits were by REML: they are refitted by ML like the others."]
    differs = [c for a, b in pairwise(models) for c in _fixed_difference(a, b)]
    if not differs:
        return True, []
    if method == "reml":
        raise FitError(
            f"REML fits with different fixed parts (here {listed(differs)}) have restricted likelihoods of "
            "different data, whose ratio means nothing. Leave method out, or write method='ml'."
        )
    return False, ["The fixed parts of these REML fits differ, so that they are refitted and compared by ML."]


def _fixed_difference(a: MixedModelResult, b: MixedModelResult) -> list[str]:
    return _outside(a, b.design) + _outside(b, a.design)


def _outside(large: MixedModelResult, small: Design) -> list[str]:
    """Fixed columns of one model that another can't make; of sums those that it doesn't have by name."""
    if large.design.has_rows and small.has_rows:
        return columns_outside(engine(large, "").setup.preparation, small)
    have = {large.design.names[j] for j in large.design.kept}
    return [small.names[j] for j in small.kept if small.names[j] not in have]


def _check_nested(small: MixedModelResult, large: MixedModelResult) -> int:
    """How many variances of the larger model are 0 under the smaller one.

    Raises
    ------
    DataError
        If the models aren't nested.
    """
    one, two = f"'{short_formula(small.formula)}'", f"'{short_formula(large.formula)}'"
    if small.df_model == large.df_model and (small.estimates.undetermined or large.estimates.undetermined):
        raise DataError(
            f"{one} and {two} have the same number of parameters that these data can tell, {small.df_model}: "
            "some (co)variances of one don't enter its likelihood (see its diagnostics). There is nothing to "
            "test; compare them by loglik."
        )
    if small.df_model == large.df_model:
        raise DataError(
            f"{one} and {two} have the same number of parameters, {small.df_model}: neither is a special "
            "case of the other. Compare them by aic or bic (of ML fits where the fixed parts differ)."
        )
    outside = _outside(large, small.design)
    if outside:
        raise DataError(
            f"{one} is not nested in {two}: {listed(outside)} can't be written with the larger model's fixed "
            "effects. Add it to the larger model, or compare by aic or bic (of ML fits)."
        )
    nesting = random_nesting(small.design, large.design)
    if nesting.outside:
        raise DataError(
            f"{one} is not nested in {two}: the larger model has no such (co)variance as "
            f"{listed(nesting.outside)}. Add the term to the larger model, or compare by aic or bic."
        )
    return nesting.at_zero


def _table(models: Sequence[MixedModelResult], at_zero: Sequence[int], labels: list[str]) -> pd.DataFrame:
    chisq, df, p_value, reference = [np.nan], [np.nan], [np.nan], [""]
    for (small, large), zeros in zip(pairwise(models), at_zero, strict=True):
        own = ChiSquare(large.df_model - small.df_model, zeros)
        statistic = _statistic(small, large)
        chisq.append(statistic)
        df.append(float(own.df))
        p_value.append(own.p_value(statistic))
        reference.append(own.name)
    table = {
        "n_parameters": [fit.df_model for fit in models],
        "loglik": [fit.loglik for fit in models],
        "deviance": [-2.0 * fit.loglik for fit in models],
        "aic": [fit.aic for fit in models],
        "bic": [fit.bic for fit in models],
        "chisq": chisq,
        "df": df,
        "p_value": p_value,
        "reference": reference,
    }
    return pd.DataFrame(table, index=pd.Index(labels, name="model"))


def _statistic(small: MixedModelResult, large: MixedModelResult) -> float:
    """By how much the larger model's deviance is lower, at least 0."""
    statistic = _deviance(small) - _deviance(large)
    if statistic < -LOWER:
        raise FitError(
            f"'{short_formula(large.formula)}' has a lower log-likelihood than the smaller "
            f"'{short_formula(small.formula)}' (by {-0.5 * statistic:.3g}), which nested models at their "
            "optima can't have. Fit it with another optimizer= or start=."
        )
    return max(statistic, 0.0)


def _deviance(fit: MixedModelResult) -> float:
    """−2 loglik; a restricted one less that of no random effects.

    Of models whose fixed parts span the same columns these differ by their units and coding only.
    """
    deviance = -2.0 * fit.loglik
    if fit.method == "ml":
        return deviance
    problem = engine(fit, "").problem
    return deviance - problem(np.zeros(int(problem.free.sum()))).value


def _about_references(table: pd.DataFrame, at_zero: Sequence[int]) -> list[str]:
    notes = ["Each model is tested against the one above it; `reference` is the distribution of `chisq`."]
    if 1 in at_zero:
        notes.append(
            "A variance that is 0 under the smaller model lies at its boundary, hence the mixture of χ² "
            "(Self and Liang 1987). It holds for many levels; bm.rlrt simulates the distribution of few."
        )
    if max(at_zero) > 1:
        notes.append(
            "Several variances are 0 under the smaller model: p-values by χ² are too large then. bm.rlrt "
            "simulates the distribution."
        )
    return notes
