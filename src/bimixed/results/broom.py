"""Results as flat tables by the conventions of R's broom.mixed: one row per term, per fit, per row."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from bimixed.design.array_encoding import ArrayEncoding
from bimixed.design.encoding import FormulaEncoding
from bimixed.design.frame import column_names, to_pandas
from bimixed.exceptions import DataError
from bimixed.results.tables import check_level

if TYPE_CHECKING:
    from bimixed.results.result import MixedModelResult

EFFECTS = ("fixed", "ran_pars", "ran_vals")
ConfMethod = Literal["wald", "profile", "bootstrap"]


def tidy(
    fit: "MixedModelResult",
    effects: str | Sequence[str],
    conf_int: bool,
    conf_level: float,
    conf_method: ConfMethod,
    **how: Any,
) -> pd.DataFrame:
    """See :meth:`MixedModelResult.tidy`."""
    wanted = list(effects) if isinstance(effects, Iterable) and not isinstance(effects, str) else [effects]
    unknown = [name for name in wanted if name not in EFFECTS]
    if unknown or not wanted:
        given = f"{unknown[0]!r}" if unknown else "empty"
        raise DataError(f"effects is {given}; choose {', '.join(map(repr, EFFECTS))}, or a list of them.")
    check_level(conf_level, "conf_level")
    limits = None
    if conf_int and {"fixed", "ran_pars"} & set(wanted):
        limits = fit.conf_int(conf_level, conf_method, **how).set_axis(["conf_low", "conf_high"], axis=1)
    parts = {"fixed": _fixed, "ran_pars": _variance_parameters}
    tables = [
        _values(fit, conf_level if conf_int else None)
        if name == "ran_vals"
        else parts[name](fit, limits, how["ddf"])
        for name in wanted
    ]
    if len(tables) == 1:
        return tables[0]
    columns = ["effect", "group", "level", "term", *_MEASURES]
    together = pd.concat([table.astype({"term": object}) for table in tables], ignore_index=True)
    return together[[name for name in columns if name in together]]


_MEASURES = ("estimate", "std_error", "statistic", "df", "p_value", "conf_low", "conf_high")


def _fixed(fit: "MixedModelResult", limits: pd.DataFrame | None, ddf: Any) -> pd.DataFrame:
    table = fit.coef_table(ddf)
    if limits is not None:
        table = table.join(limits.iloc[: len(table)])
    kept = [name for name in _MEASURES if name in table]
    flat = pd.DataFrame({"effect": "fixed", "term": table.index.to_numpy(dtype=object)})
    return flat.join(table[kept].reset_index(drop=True))


def _variance_parameters(fit: "MixedModelResult", limits: pd.DataFrame | None, ddf: Any) -> pd.DataFrame:
    found = fit.uncertainty.variance_parameters()
    place = {name: i for i, name in enumerate(found.names)}
    rows, order = [], []
    for f in fit.design.factors:
        for name in f.names:
            rows.append((f.key, f"sd__{name}"))
            order.append(place[f"sd_{f.key}[{name}]"])
        for i, j in f.template.correlated_pairs():
            rows.append((f.key, f"cor__{f.names[i]}.{f.names[j]}"))
            order.append(place[f"corr_{f.key}[{f.names[i]},{f.names[j]}]"])
    rows.append(("Residual", "sd__Observation"))
    order.append(place["sigma"])
    table = pd.DataFrame(rows, columns=["group", "term"])
    table.insert(0, "effect", "ran_pars")
    table = table.assign(estimate=found.values[order], std_error=found.std_errors[order])
    if limits is not None:
        own = limits.iloc[-len(found.names) :].iloc[order].reset_index(drop=True)
        table = table.join(own)
    return table


def _values(fit: "MixedModelResult", level: float | None) -> pd.DataFrame:
    names = {"coefficient": "term", "lower": "conf_low", "upper": "conf_high"}
    parts = []
    for f in fit.design.factors:
        table = fit.ranef_table(f.key, 0.95 if level is None else level, given_fixef=True)
        table.insert(0, "group", f.key)
        parts.append(table.astype({"level": object}) if len(fit.design.factors) > 1 else table)
    table = pd.concat(parts, ignore_index=True).rename(columns=names)
    table.insert(0, "effect", "ran_vals")
    return table.drop(columns=["conf_low", "conf_high"]) if level is None else table


def glance(fit: "MixedModelResult", loo: bool) -> pd.DataFrame:
    """See :meth:`MixedModelResult.glance`."""
    likelihood = fit.likelihood is not None
    deviance = -2.0 * fit.loglik if likelihood else np.nan
    row = {
        "method": fit.method,
        "nobs": fit.nobs,
        "sigma": fit.sigma,
        "loglik": fit.loglik if likelihood else np.nan,
        "aic": fit.aic if likelihood else np.nan,
        "bic": float(fit.bic) if likelihood else np.nan,
        "reml_crit": deviance if fit.method == "reml" else np.nan,
        "deviance": deviance if fit.method == "ml" else np.nan,
        "df_model": float(fit.df_model) if likelihood else np.nan,
        "df_residual": float(fit.nobs - fit.df_model) if likelihood else np.nan,
    }
    if loo:
        found = fit.loo()
        row |= {"elpd_loo": float(found.elpd), "elpd_loo_se": float(found.se), "p_loo": float(found.p)}
    return pd.DataFrame([row])


def augment(fit: "MixedModelResult", new_data: Any, prefix: str, influence: bool) -> pd.DataFrame:
    """See :meth:`MixedModelResult.augment`."""
    of_arrays = isinstance(fit.design.encoding, ArrayEncoding)
    if new_data is not None:
        fitted = fit.predict(new_data, new_levels="population")["estimate"]
        data = pd.DataFrame(index=fitted.index) if of_arrays else to_pandas(new_data, column_names(new_data))
        columns = {"fitted": fitted, **_residuals(fit, data, fitted)}
        columns["fixed"] = fit.predict(new_data, random="none")["estimate"]
    else:
        data = fit.design.frame.table.set_axis(fit.design.index, axis=0)
        if of_arrays:
            data = data.assign(endog=fit.design.y)
        columns = {
            "fitted": fit.fitted,
            "resid": fit.resid,
            "fixed": fit.predict(random="none")["estimate"],
        }
        if influence and fit.likelihood is not None:
            columns["hat"] = fit.leverage["leverage"]
            if len(fit.design.kept):
                columns["cooksd"] = fit.influence()["cooks_distance"]
    named = {prefix + name: column.to_numpy() for name, column in columns.items()}
    taken = [name for name in named if name in data.columns]
    if taken:
        raise DataError(
            f"The data have a column {taken[0]!r} already; rename it, or give prefix= another text ('.' for "
            "broom's names)."
        )
    return data.assign(**named)


def _residuals(fit: "MixedModelResult", data: pd.DataFrame, fitted: pd.Series) -> dict[str, pd.Series]:
    """Of new rows, where they have the response; NaN where it is missing."""
    encoding = fit.design.encoding
    if not isinstance(encoding, FormulaEncoding):
        return {}
    columns = encoding.response_columns(list(data.columns))
    if not columns or any(name not in data for name in columns):
        return {}
    known = data[columns].notna().all(axis=1).to_numpy()
    observed = np.full(len(data), np.nan)
    if known.any():
        observed[known] = encoding.response(data.loc[known, columns])
    return {"resid": observed - fitted}
