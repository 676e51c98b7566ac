"""Tables of several results with their columns beside each other, rows aligned by name."""

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
import pandas as pd

from bimixed.results import MixedModelResult
from bimixed.results.normal import quantile
from bimixed.results.uncertainty import Draws, equal_tails

LEVEL = 0.95
"""Of intervals in comparisons."""


def aligned(tables: Sequence[pd.DataFrame], names: Sequence[str], reference: int) -> pd.DataFrame:
    """``estimate``, ``std_error``, ``lower``, ``upper`` of each result, and differences from the reference.

    Of two results there is one ``difference`` and ``difference_sd``; of more, one for each other result,
    ``difference_<name>``. A parameter that a result doesn't have is NaN there.
    """
    index = reduce(joined, (table.index for table in tables))
    tables = [table.reindex(index) for table in tables]
    columns: dict[str, pd.Series] = {}
    for name, table in zip(names, tables, strict=True):
        columns |= {f"{column}_{name}": table[column] for column in ("estimate", "std_error")}
    for name, table in zip(names, tables, strict=True):
        columns |= {f"{column}_{name}": table[column] for column in ("lower", "upper")}
    mine = tables[reference]
    for i, (name, table) in enumerate(zip(names, tables, strict=True)):
        if i == reference:
            continue
        suffix = "" if len(tables) == 2 else f"_{name}"
        columns[f"difference{suffix}"] = mine["estimate"] - table["estimate"]
        with np.errstate(divide="ignore", invalid="ignore"):
            columns[f"difference_sd{suffix}"] = columns[f"difference{suffix}"] / mine["std_error"]
    return pd.DataFrame(columns, index=index)


def joined(first: pd.Index, second: pd.Index) -> pd.Index:
    """Both, in the order of the first and then of the second."""
    if first.equals(second):
        return first
    return first.append(second[~second.isin(first)])


def parameter_tables(result: MixedModelResult) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fixed effects, and sds, correlations and sigma, with 95 % limits."""
    limits = result.conf_int(LEVEL)
    fixed = result.fixef
    known = result.uncertainty.variance_parameters()
    index = pd.Index(known.names, name="parameter")
    variances = pd.DataFrame({"estimate": known.values, "std_error": known.std_errors}, index=index)
    p = len(fixed)
    fixed, variances = fixed.copy(), variances.copy()
    fixed[["lower", "upper"]] = limits[["lower", "upper"]].to_numpy()[:p]
    variances[["lower", "upper"]] = limits[["lower", "upper"]].to_numpy()[p:]
    return fixed, variances


def effect_tables(result: MixedModelResult) -> dict[str, pd.DataFrame]:
    """Random effects of each group, a row for each level and coefficient, with 95 % limits."""
    tables = {}
    for factor in result.design.factors:
        index = pd.MultiIndex.from_product(
            [factor.levels, list(factor.names)], names=[factor.key, "coefficient"]
        )
        estimate = result.estimates.ranef[factor.key].ravel()
        error = result.estimates.ranef_sd[factor.key].ravel()
        if isinstance(result.uncertainty, Draws):
            limits = equal_tails(result.uncertainty.ranef[factor.key], LEVEL)
            lower, upper = np.ravel(limits.lower), np.ravel(limits.upper)
        else:
            half = quantile(0.5 + LEVEL / 2.0) * error
            lower, upper = estimate - half, estimate + half
        columns = {"estimate": estimate, "std_error": error, "lower": lower, "upper": upper}
        tables[factor.key] = pd.DataFrame(columns, index=index)
    return tables


def interval_table(
    tables: Sequence[pd.DataFrame], names: Sequence[str], given: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Limits of every parameter, of each result and of intervals that were given."""
    limits = {name: table[["lower", "upper"]] for name, table in zip(names, tables, strict=True)}
    limits |= dict(given)
    index = reduce(joined, (table.index for table in limits.values()))
    columns = {
        f"{side}_{name}": table[side].reindex(index)
        for name, table in limits.items()
        for side in ("lower", "upper")
    }
    return pd.DataFrame(columns, index=index.rename("parameter"))
