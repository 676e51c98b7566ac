"""F tests of the terms of the fixed part."""

from typing import Any

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.design.terms import FixedTerm, fixed_terms
from bimixed.exceptions import DataError, IdentificationWarning, UnavailableError, warn
from bimixed.inference.estimable import type_three_of_gaps
from bimixed.inference.term_hypotheses import type_one, type_three, type_two
from bimixed.results.fixef_tests import FixefTests, named_after
from bimixed.results.student import f_tail
from bimixed.vocabulary.values import TYPES as SPELLED_TYPES

TYPES: dict[int, Any] = {1: type_one, 2: type_two, 3: type_three}


def anova_table(design: Design, tests: FixefTests | None, type_: int) -> pd.DataFrame:
    """One row per term, the intercept apart: ``num_df``, ``den_df``, ``F``, ``p_value``.

    Raises
    ------
    DataError
        If there is no such type.
    UnavailableError
        For draws, and where a factor has too many levels.
    """
    if tests is None:
        raise UnavailableError(
            "F tests of terms belong to likelihood fits; of draws look at fit.test(...), which gives the "
            "posterior of any combination of coefficients, or compare models by fit.loo()."
        )
    type_ = SPELLED_TYPES.get(str(type_).strip().lower(), type_)
    if type_ not in (1, 2, 3):
        raise DataError(f"type is {type_!r}; choose 1 (sequential), 2 or 3.")
    if design.wide is not None:
        raise UnavailableError(
            "A fixed factor of so many levels has no F tests of terms; make it random, (1 | factor), or "
            "compare fits with and without it by loglik and aic."
        )
    terms = fixed_terms(design)
    tested = [term for term in terms if term.name != "Intercept"]
    rows = []
    hypotheses = _of_gaps(design, terms) if type_ == 3 and _gaps(design, terms) else None
    if hypotheses is None:
        hypotheses = TYPES[type_](design, terms)
    for term in tested:
        L = hypotheses[term.name].copy()
        L[:, np.setdiff1d(np.arange(len(design.names)), design.kept)] = 0.0
        L = L[np.linalg.norm(L, axis=1) > 0.0]
        is_empty = not len(L) or not any(column in design.kept for column in term.columns)
        if is_empty or not tests.are_known(L):
            rows.append((np.nan, np.nan, np.nan, np.nan))
            continue
        found = tests.joint(L, np.zeros(len(L)))
        p_value = f_tail(found.statistic, found.num_df, found.den_df)
        rows.append((found.num_df, found.den_df, found.statistic, p_value))
    table = pd.DataFrame(
        rows,
        columns=["num_df", "den_df", "F", "p_value"],
        index=pd.Index([term.name for term in tested], name="term"),
        dtype=float,
    )
    table.attrs["type"] = type_
    return named_after(tests.ddf, table, f"type {type_}")


def _gaps(design: Design, terms: tuple[FixedTerm, ...]) -> list[str]:
    """Interactions with cells that have no rows."""
    kept = set(design.kept.tolist())
    return [t.name for t in terms if len(t.factors) > 1 and not kept.issuperset(t.columns)]


def _of_gaps(design: Design, terms: tuple[FixedTerm, ...]) -> dict[str, Array] | None:
    found = type_three_of_gaps(design, terms)
    what = (
        "tests of type 3 are about the coefficients that are left"
        if found is None
        else "tests of type 3 (SAS's for empty cells, as lmerTest has them) depend on which cells there are"
    )
    warn(
        f"Some cells of {', '.join(_gaps(design, terms))} have no rows, so that means over all cells can't "
        f"be estimated: {what}. Take type=2, or make one factor of the cells that there are.",
        IdentificationWarning,
    )
    return found
