"""Tables of a fit: fixed effects, variances, random effects."""

import pandas as pd

from bimixed.exceptions import UnavailableError
from bimixed.reports import elements as html
from bimixed.results import MixedModelResult
from bimixed.results.fixef_tests import NAMES
from bimixed.shortening import listed

EXTREME = 5
"""Levels shown at either end."""


def fixed_section(result: MixedModelResult) -> html.Section:
    """Coefficients with tests or posterior limits, and tests of terms of several coefficients."""
    name = "fixed"
    if not result.design.names:
        return html.Section(name, "Fixed effects", [])
    table = result.coef_table()
    if result.posterior is not None:
        table = table.drop(columns=["df", "statistic", "p_value"])
        table = table.rename(columns={"estimate": "mean", "std_error": "sd"})
        caption = "Posterior means and sds; limits are equal tails of 95 %"
    else:
        caption = f"Estimates, tests and 95 % limits by {NAMES[table.attrs['ddf']]}"
    parts = [html.table(table, caption, "fit.coef_table()")]
    if result.design.dropped:
        dropped = listed(result.design.dropped)
        parts.append(html.paragraph(f"Dropped, because earlier columns determine them: {dropped}."))
    if result.posterior is None:
        parts.append(_terms(result))
    return html.Section(name, "Fixed effects", parts)


def _terms(result: MixedModelResult) -> str:
    """F tests, where a term has several coefficients."""
    try:
        table = result.anova()
    except UnavailableError as reason:
        return html.paragraph(f"No tests of terms: {reason}")
    if not (table["num_df"] > 1).any():
        return ""
    caption = f"Tests of terms (type {table.attrs['type']}) by {NAMES[table.attrs['ddf']]}"
    return html.table(table, caption, "fit.anova()")


def random_section(result: MixedModelResult) -> html.Section:
    """Sds and correlations with limits, shares of variance, and the levels farthest from 0."""
    variances, limits = variance_rows(result)
    draws = result.posterior is not None
    estimate = "posterior means" if draws else "estimates"
    kind = "equal tails" if draws else "Wald's, on the log scale of sds and Fisher's z of correlations"
    caption = f"Standard deviations and correlations: {estimate} with 95 % limits ({kind})"
    parts = [html.table(variances, caption, "fit.conf_int()")]
    if limits:
        parts.append(html.paragraph(limits))
    parts.append(html.table(_variances(result), "Variances", "fit.varcorr"))
    parts += _shares(result)
    for key in result.ngroups:
        parts += _extremes(result, key)
    return html.Section("random", "Random effects", parts)


def variance_rows(result: MixedModelResult) -> tuple[pd.DataFrame, str]:
    """Sds, correlations and sigma with limits, and why some limits are missing."""
    parameters = result.uncertainty.variance_parameters()
    limits = result.conf_int().loc[list(parameters.names)]
    error = "sd" if result.posterior is not None else "std_error"
    table = pd.DataFrame(
        {
            "estimate": parameters.values,
            error: parameters.std_errors,
            "lower": limits["lower"].to_numpy(),
            "upper": limits["upper"].to_numpy(),
        },
        index=pd.Index(parameters.names, name="parameter"),
    )
    missing = table.index[table["lower"].isna()].tolist()
    if not missing:
        return table, ""
    told = f"No Wald limits for {listed(missing)}: the estimate is at a boundary, or not identified. "
    return table, told + "fit.conf_int(method='profile') gives limits there."


def _variances(result: MixedModelResult) -> pd.DataFrame:
    table = result.varcorr.set_index(["group", "name"])[["variance", "sd"]]
    total = float(table["variance"].sum())
    one = all(f.is_intercept for f in result.design.factors) and result.design.weights is None
    if one and total > 0:
        table["share"] = [f"{100.0 * value / total:.1f} %" for value in table["variance"]]
    return table


def _shares(result: MixedModelResult) -> list[str]:
    try:
        table = pd.concat([result.icc(), result.r2()], keys=["ICC", "R²"], names=["share", "of"])
    except UnavailableError as reason:
        return [html.paragraph(f"No shares of variance: {reason}")]
    caption = "Shares of variance: ICC given the fixed effects (adjusted) and of all variance; Nakagawa's R²"
    return [html.table(table, caption)]


def _extremes(result: MixedModelResult, key: str) -> list[str]:
    """Each coefficient's highest and lowest levels; all of few."""
    try:
        effects = result.ranef_table(key)
    except UnavailableError as reason:
        return [html.heading(f"Levels of {key}"), html.paragraph(f"No random effects: {reason}")]
    parts = [html.heading(f"Levels of {key}")]
    for name, part in effects.groupby("coefficient", sort=False):
        table = part.drop(columns="coefficient").set_index("level").rename_axis(key)
        table = table.sort_values("estimate", ascending=False, kind="stable")
        caption = f"{name}: deviations from the population with 95 % limits"
        if len(table) > 2 * EXTREME + 2:
            caption += f"; the {EXTREME} highest and lowest of {len(table)}"
            gap = pd.DataFrame("", index=pd.Index(["…"]), columns=table.columns)
            table = pd.concat([table[:EXTREME].astype(object), gap, table[-EXTREME:].astype(object)])
            table = table.rename_axis(key)
        parts.append(html.table(table, caption))
    return parts
