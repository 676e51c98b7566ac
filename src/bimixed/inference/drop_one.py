"""Each fixed term tested by leaving it out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bimixed.design import Design
from bimixed.design.encoding import FormulaEncoding
from bimixed.design.fixed import independent_columns
from bimixed.design.plain import PlainSpec
from bimixed.exceptions import UnavailableError
from bimixed.inference.by_ml import by_ml, engine
from bimixed.inference.chi_square import ChiSquare
from bimixed.likelihood.fit import fit_likelihood
from bimixed.results import MixedModelResult
from bimixed.results.summary import Summary
from bimixed.shortening import short_formula

NONE = "<none>"


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
    scope = droppable(design)
    rows, notes = [_row(NONE, whole, None)], []
    if fit.method == "reml":
        notes.append("The REML fit is refitted by ML, for restricted likelihoods know no fixed effects.")
    for name, columns in scope:
        small = _left_out(design, columns)
        if _loses_intercept(design, small):
            notes.append(
                f"{name} carries the intercept and stays: fit the model without it, and use bm.lrtest."
            )
            continue
        if len(small.kept) == len(design.kept):
            notes.append(f"{name} adds nothing to the other terms (its columns are collinear with theirs).")
            continue
        rows.append(_row(name, fit_likelihood(small, reml=False), whole))
    if len(rows) == 1:
        raise UnavailableError(f"There is no fixed term to leave out. {' '.join(notes)}".strip())
    table = pd.DataFrame(rows).set_index("term")
    return DropOne(table, tuple(notes), f"Terms of {short_formula(fit.formula)}, left out one by one, by ML")


def _row(name: str, fit: MixedModelResult, whole: MixedModelResult | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "term": name,
        "n_parameters": fit.df_model,
        "loglik": fit.loglik,
        "deviance": -2.0 * fit.loglik,
        "aic": fit.aic,
        "bic": fit.bic,
    }
    if whole is None:
        return row | {"chisq": np.nan, "df": np.nan, "p_value": np.nan, "reference": ""}
    reference = ChiSquare(whole.df_model - fit.df_model)
    chisq = max(2.0 * (whole.loglik - fit.loglik), 0.0)
    tested = {"chisq": chisq, "df": float(reference.df), "p_value": reference.p_value(chisq)}
    return row | tested | {"reference": reference.name}


def droppable(design: Design) -> list[tuple[str, list[int]]]:
    """Terms that marginality lets go, with their columns of X."""
    terms = _terms(design)
    found = []
    for name, factors, columns in terms:
        contained = any(factors < others for _, others, _ in terms)
        if factors and columns and not contained:
            found.append((name, columns))
    return found


def _terms(design: Design) -> list[tuple[str, frozenset[str], list[int]]]:
    """Name, factors and columns of each fixed term; of arrays each column is one."""
    if not isinstance(design.encoding, FormulaEncoding):
        return [
            (name, frozenset() if name == "Intercept" else frozenset([name]), [j])
            for j, name in enumerate(design.names)
        ]
    part = design.encoding.parts["fixed"]
    if isinstance(part.spec, PlainSpec):
        return [
            (name, frozenset(term), [j])
            for j, (name, term) in enumerate(zip(part.spec.column_names, part.spec.terms, strict=True))
        ]
    return [
        (str(term), frozenset(f.expr for f in term.factors) - {"1"}, list(columns))
        for term, columns in part.spec.term_indices.items()
    ]


def _left_out(design: Design, columns: Sequence[int]) -> Design:
    left = [j for j in range(len(design.names)) if j not in columns]
    X = np.ascontiguousarray(np.asarray(design.X)[:, left])
    names = tuple(design.names[j] for j in left)
    return replace(design, X=X, names=names, kept=independent_columns(X))


def _loses_intercept(design: Design, small: Design) -> bool:
    """Whether the constant is a combination of columns, and no longer one without the term.

    Another factor's coding would change without it, so that leaving columns out isn't leaving the term out.
    """
    return _has_constant(np.asarray(design.X)) and not _has_constant(np.asarray(small.X))


def _has_constant(X: Any) -> bool:
    ones = np.ones(len(X))
    if X.shape[1] == 0:
        return False
    return bool(np.abs(X @ np.linalg.lstsq(X, ones, rcond=None)[0] - ones).max() < 1e-8)
