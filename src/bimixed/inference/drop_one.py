"""Each fixed term tested by leaving it out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bimixed.design import Design
from bimixed.design.terms import FixedTerm, fixed_terms
from bimixed.exceptions import FitError, UnavailableError
from bimixed.inference.by_ml import by_ml, engine
from bimixed.inference.chi_square import ChiSquare
from bimixed.likelihood.fit import fit_likelihood
from bimixed.results import MixedModelResult
from bimixed.results.summary import Summary
from bimixed.shortening import short_formula
from bimixed.vocabulary import explains_arguments

NONE = "<none>"
LOWER = 1e-6
"""By how much a larger model's deviance may be above a smaller one's before that is an error."""


@dataclass(frozen=True, repr=False, eq=False)
class DropOne:
    """Likelihood-ratio tests of terms, each left out by itself.

    Attributes
    ----------
    table : pandas.DataFrame
        First row ``<none>``, the model itself; then a row for each model without a term: ``n_parameters``,
        ``loglik``, ``deviance``, ``aic``, ``bic``, ``chisq``, ``df``, ``p_value``, ``reference``.
    notes : tuple of str
    title : str
    """

    table: pd.DataFrame
    notes: tuple[str, ...]
    title: str

    def summary(self) -> Summary:
        """The tests as text (``print``) and as a table in notebooks."""
        shown = self.table.astype({"df": object})
        shown["df"] = ["" if np.isnan(df) else int(df) for df in self.table["df"]]
        return Summary(self.title, (), (("Left out", shown),), self.notes, ("test.table",))

    def __str__(self) -> str:
        return str(self.summary())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()


@explains_arguments
def drop1(fit: MixedModelResult) -> DropOne:
    """Test each fixed term by a likelihood-ratio test of the model without it.

    Parameters
    ----------
    fit : MixedModelResult
        A likelihood fit; REML fits are refitted by maximum likelihood.

    Returns
    -------
    DropOne
        Terms that a higher one contains (``a`` beside ``a:b``) stay, as does the intercept.

    Raises
    ------
    UnavailableError
        For draws; with a fixed factor of very many levels; where there is no term to leave out.

    Examples
    --------
    >>> import bimixed as bm
    >>> data = bm.load_dataset("orthodont")
    >>> fit = bm.ModelSpec("distance ~ age * Sex + (1 | Subject)", data).fit()
    >>> bm.drop1(fit).table.index.tolist()
    ['<none>', 'age:Sex']
    """
    engine(fit, "A likelihood-ratio test")
    design = fit.design
    if design.wide is not None:
        raise UnavailableError(
            "Terms can't be left out one by one beside a fixed factor of very many levels; fit both models "
            "and use bm.lrtest(small, large)."
        )
    whole = by_ml(fit)
    fitted = Fitted(whole.loglik, whole.df_model, whole.nobs)
    rows, notes = [fitted.row(NONE)], []
    if fit.method == "reml":
        notes.append("The REML fit is refitted by ML, for restricted likelihoods know no fixed effects.")
    smaller, stays = without_each(design)
    for name, small in smaller.items():
        found = fit_likelihood(small, reml=False)
        rows.append(Fitted(found.loglik, found.df_model, found.nobs).row_within(fitted, name))
    notes += stays
    if len(rows) == 1:
        raise UnavailableError(f"There is no fixed term to leave out. {' '.join(notes)}".strip())
    table = pd.DataFrame(rows).set_index("term")
    return DropOne(table, tuple(notes), f"Terms of {short_formula(fit.formula)}, left out one by one, by ML")


@dataclass(frozen=True)
class Fitted:
    """How well a model fits."""

    loglik: float
    n_parameters: int
    n: int

    def row(self, name: str) -> dict[str, Any]:
        """Its part of the table."""
        return {
            "term": name,
            "n_parameters": self.n_parameters,
            "loglik": self.loglik,
            "deviance": -2.0 * self.loglik,
            "aic": 2.0 * (self.n_parameters - self.loglik),
            "bic": np.log(self.n) * self.n_parameters - 2.0 * self.loglik,
            "chisq": np.nan,
            "df": np.nan,
            "p_value": np.nan,
            "reference": "",
        }

    def row_within(self, whole: "Fitted", name: str, at_zero: int = 0) -> dict[str, Any]:
        """Its part of the table, tested against a larger model; ``at_zero`` as of :class:`ChiSquare`."""
        if self.n_parameters == whole.n_parameters:  # a variance that isn't identified
            return self.row(name) | {"df": 0.0}
        reference = ChiSquare(whole.n_parameters - self.n_parameters, at_zero)
        chisq = 2.0 * (whole.loglik - self.loglik)
        if chisq < -LOWER:
            raise FitError(
                f"Without {name} the log-likelihood is higher than with it (by {-0.5 * chisq:.3g}), which "
                "nested models at their optima can't have: fit with another optimizer= or start=."
            )
        chisq = max(chisq, 0.0)
        tested = {"chisq": chisq, "df": float(reference.df), "p_value": reference.p_value(chisq)}
        return self.row(name) | tested | {"reference": reference.name}


def without_each(design: Design) -> tuple[dict[str, Design], list[str]]:
    """The design without each fixed term that may go, by its name, and why others stay.

    By marginality a term stays of which another one has all variables, and more. Where the constant is a
    combination of columns and the term carries it, another factor's coding would change without the term.
    """
    terms, found, stays = fixed_terms(design), {}, []
    has_constant = _has_constant(design)
    for term in terms:
        if not term.variables or any(term.variables < other.variables for other in terms):
            continue
        small = _left_out(design, term)
        if has_constant and not _has_constant(small):
            stays.append(
                f"{term.name} carries the intercept and stays: fit the model without it, and use bm.lrtest."
            )
        elif len(small.kept) == len(design.kept):
            stays.append(
                f"{term.name} adds nothing to the other terms (its columns are collinear with theirs)."
            )
        else:
            found[term.name] = small
    return found, stays


def _left_out(design: Design, term: FixedTerm) -> Design:
    left = [j for j in range(len(design.names)) if j not in term.columns]
    return design.with_columns(np.array(left, dtype=np.intp))


def _has_constant(design: Design) -> bool:
    X, ones = np.asarray(design.like_X), design.like_ones
    if X.shape[1] == 0:
        return False
    sizes = np.sqrt(np.mean(X**2, axis=0))
    X = X / np.where(sizes > 0.0, sizes, 1.0)
    return bool(np.abs(X @ np.linalg.lstsq(X, ones, rcond=None)[0] - ones).max() < design.like_precision)
