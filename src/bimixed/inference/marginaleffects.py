"""Results for the Python package marginaleffects (0.6), by its abstract model class.

Nothing of that package is imported before ``fit.to_marginaleffects()`` is called.
"""

from typing import Any

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.design.encoding import FormulaEncoding
from bimixed.design.grid import grid_values
from bimixed.exceptions import DataError, UnavailableError
from bimixed.results import MixedModelResult


def to_marginaleffects(fit: MixedModelResult) -> Any:
    """What ``fit.to_marginaleffects()`` gives."""
    base, vault, pl = _package()
    design, encoding = fit.design, fit.design.encoding
    if not isinstance(encoding, FormulaEncoding) or design.wide is not None:
        raise DataError(
            "marginaleffects takes models that were given as a formula, without a fixed factor of very many "
            "levels; use fit.test(L) with rows of coefficients."
        )
    factors, covariates = grid_values(design)
    kept = design.kept
    cov = fit.vcov.to_numpy()[np.ix_(kept, kept)]

    def matrices(newdata: Any) -> tuple[None, Array]:
        """What takes the place of a formula: the columns of X that are kept, and the offset."""
        rows = encoding.encode(_plain(newdata, encoding.table), ())
        X = rows.X if isinstance(rows.X, np.ndarray) else rows.X.toarray()
        offset = np.where(design.estimable(X), rows.offset, np.nan)  # no estimate, no prediction
        return None, np.column_stack([X[:, kept], offset])

    made = vault(
        coef=fit.estimates.beta[kept],
        coefnames=np.array([design.names[j] for j in kept]),
        vcov=cov,
        formula=matrices,
        modeldata=_columns(encoding.table, factors, pl),
        package="bimixed",
        variable_names=[design.formula.response, *factors, *covariates],
    )

    class FixedPart(base):  # type: ignore[misc, valid-type]
        """The fixed part of a fit, as marginaleffects asks for it."""

        def get_vcov(self, vcov: Any = True) -> Array | None:
            if isinstance(vcov, str):
                raise DataError(
                    f"vcov={vcov!r} isn't known here; give a matrix, vcov=fit.vcov_robust().to_numpy()."
                )
            return None if vcov is False or vcov is None else cov

        def get_predict(self, params: Array, newdata: Any) -> Any:
            exog = newdata if isinstance(newdata, np.ndarray) else matrices(newdata)[1]
            estimate = exog[:, :-1] @ np.asarray(params) + exog[:, -1]
            rowid = pl.Series("rowid", np.arange(len(estimate)), dtype=pl.Int32)
            return pl.DataFrame({"rowid": rowid, "estimate": estimate})

    try:
        model = FixedPart(fit, made)
    except pl.exceptions.PolarsError as error:
        raise UnavailableError(
            f"This version of marginaleffects doesn't work with polars {pl.__version__} ({error}). Version "
            "0.6.1 takes an older one: pip install 'polars<2'."
        ) from error
    for name in factors:
        if model.get_variable_type().get(name) not in ("boolean", "character"):
            model.set_variable_type(name, "character")
    return model


def _package() -> tuple[Any, Any, Any]:
    """Its abstract model, its record of a model, and polars.

    Raises
    ------
    UnavailableError
        Where it isn't installed, or has another interface.
    """
    try:
        import polars as pl
        from marginaleffects.classes import ModelAbstract, ModelVault
    except ImportError as error:
        raise UnavailableError(
            f"marginaleffects can't be used here ({error}): pip install 'marginaleffects>=0.6,<0.7'. "
            "bm.emmeans and bm.emtrends need no other package."
        ) from error
    return ModelAbstract, ModelVault, pl


def _columns(table: pd.DataFrame, factors: dict[str, list[Any]], pl: Any) -> Any:
    """The rows used, labels as enumerations in the order of their coding."""
    made = {}
    for name in table.columns:
        column = table[name]
        if column.dtype.kind in "iufbM" and not isinstance(column.dtype, pd.CategoricalDtype):
            made[name] = pl.Series(name, column.to_numpy())
            continue
        levels = factors.get(name) or sorted(column.dropna().unique().tolist(), key=str)
        labels = [str(level) for level in levels]
        made[name] = pl.Series(name, [str(value) for value in column], dtype=pl.Enum(labels))
    return pl.DataFrame(made)


def _plain(newdata: Any, fitted: pd.DataFrame) -> pd.DataFrame:
    """A table of marginaleffects in the types of the fitted one."""
    table = newdata if isinstance(newdata, pd.DataFrame) else newdata.to_pandas()
    columns = {}
    for name in table.columns:
        column = table[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype(object)
        if name in fitted.columns and isinstance(fitted[name].dtype, pd.CategoricalDtype):
            labels = {str(level): level for level in fitted[name].cat.categories}
            column = pd.Series(pd.Categorical(column.astype(str).map(labels), fitted[name].cat.categories))
        columns[name] = column.to_numpy() if column.dtype.kind in "iufbM" else column.to_list()
    return pd.DataFrame(columns)
