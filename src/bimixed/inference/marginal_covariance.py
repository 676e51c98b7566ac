"""Covariance of responses given X alone: what random effects that rows share make of it."""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed.design import Design
from bimixed.exceptions import DataError
from bimixed.inference.identified import check_identified
from bimixed.results import MixedModelResult

Ints = NDArray[np.intp]

MOST_ROWS = 10_000
"""A dense matrix of more has no reader."""


def marginal_cov(fit: MixedModelResult, rows: Any, positions: bool) -> pd.DataFrame:
    """See :meth:`MixedModelResult.marginal_cov`."""
    design, estimates = fit.design, fit.estimates
    check_identified(estimates.usable_cov, "there is no marginal covariance; leave these random effects out")
    places = _by_position(design, rows) if positions else _by_label(design, rows)
    if len(places) > MOST_ROWS:
        raise DataError(
            f"marginal_cov of {len(places):,} rows is a matrix of {len(places) ** 2:,} numbers; choose at "
            f"most {MOST_ROWS:,} rows, those of some groups, say."
        )
    places = np.asarray(pd.unique(places), dtype=np.intp)
    variance = estimates.sigma**2 if estimates.residual_variance is None else estimates.residual_variance
    weights = np.ones(design.n) if design.weights is None else design.weights
    cov = np.diag(variance / weights[places])
    for factor in design.factors:
        Z = sp.csr_array(factor.matrix()[places])
        block = sp.kron(sp.eye_array(factor.n_levels), estimates.usable_cov[factor.key], format="csr")
        cov += (Z @ block @ Z.T).toarray()
    index = design.index[places]
    return pd.DataFrame(cov, index, index)


def _by_label(design: Design, rows: Any) -> Ints:
    """Positions of the rows with these labels, in the order of the labels."""
    labels = pd.Index(rows) if isinstance(rows, list | tuple | np.ndarray | pd.Index | pd.Series) else None
    if labels is None or not len(labels):
        raise DataError(
            f"rows is {rows!r}; give a list of labels of the index of the rows used (fit.fitted.index), or "
            "of their positions with positions=True."
        )
    if labels.dtype == bool and design.index.dtype != bool:
        raise DataError("rows is a mask, and masks are positions: write marginal_cov(mask, positions=True).")
    labels = labels[~labels.duplicated()]
    missing = labels[~labels.isin(design.index)]
    if len(missing):
        raise DataError(
            f"No row used has the label {missing[0]!r}; labels are those of fit.fitted.index. For positions "
            "write positions=True."
        )
    if design.index.is_unique:
        return np.asarray(design.index.get_indexer(labels), dtype=np.intp)
    where = labels.get_indexer(design.index)
    return np.argsort(np.where(where < 0, len(labels), where), kind="stable")[: (where >= 0).sum()]


def _by_position(design: Design, rows: Any) -> Ints:
    every = np.arange(design.n)
    try:
        places = np.atleast_1d(every[rows])
    except (IndexError, TypeError, ValueError) as error:
        raise DataError(
            f"rows is {rows!r}; give positions from 0 to {design.n - 1}, a slice, or a mask of {design.n} "
            "booleans."
        ) from error
    if places.ndim != 1 or not len(places):
        raise DataError("rows chooses none; give the positions of one row at least.")
    return places
