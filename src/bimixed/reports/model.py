"""What was fitted, and to which rows: equation, terms, priors, data."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bimixed.description import HEAD, describe
from bimixed.design import Design, RandomFactor
from bimixed.equation import equation
from bimixed.reports import elements as html
from bimixed.reports.mathml import mathml
from bimixed.results import MixedModelResult
from bimixed.shortening import short_formula

QUANTILES = {"minimum": 0.0, "quartile 1": 0.25, "median": 0.5, "quartile 3": 0.75, "maximum": 1.0}


def model_section(results: tuple[MixedModelResult, ...]) -> html.Section:
    """Equation and terms of each model and, where there are draws, priors."""
    models = {result.formula: result.design for result in results}
    parts = []
    for formula, design in models.items():
        if len(models) > 1:
            parts.append(html.heading(short_formula(formula)))
        parts += _terms(design)
    return html.Section("model", "Model", [*parts, *(_priors(r) for r in results if r.posterior is not None)])


def _terms(design: Design) -> list[str]:
    told = describe(design)
    latex = equation(design)
    terms = pd.DataFrame(told.lines, columns=list(HEAD)).set_index("kind")
    return [
        f'<div class="scroll">{mathml(latex)}</div>',
        html.details("LaTeX of the equation", html.code(latex)),
        html.table(terms, "Terms; parameters counts coefficients, or variances and covariances"),
        html.bullets([*told.notes, *told.noticed]),
    ]


def _priors(result: MixedModelResult) -> str:
    priors = result.spec.priors if result.spec is not None else None
    if priors is None:
        return ""
    frame = pd.DataFrame(
        [
            (name, repr(prior), "given" if name in priors.given else "default")
            for name, prior in priors.items()
        ],
        columns=["parameter", "prior", "from"],
    ).set_index("parameter")
    shown = html.table(frame, "Priors, in the units of the data", "dict(spec.priors)")
    return html.details(f"Priors of the {result.method} fit", shown)


def data_section(*results: MixedModelResult) -> html.Section:
    """Rows used and left out, groups of all results, and the response of the first."""
    design = results[0].design
    frame = design.frame
    rows: list[tuple[str, object]] = [("Rows used", design.n)]
    if frame.n_dropped:
        columns = ", ".join(f"{name} {count}" for name, count in frame.missing.items())
        why = f", by column: {columns}" if columns else ""
        rows.append(("Rows left out", f"{frame.n_dropped}, because a value is missing{why}"))
    else:
        rows.append(("Rows left out", "none"))
    if design.has_weights:
        name = design.weights_column or "given as an array"
        told = _span(design.weights) if design.has_rows else f"mean {design.mean_weight:.4g}"
        rows.append(("Weights", f"{name}, {told}; residual variance σ²/weight"))
    if design.has_offset:
        rows.append(("Offset", _span(design.offset) if design.has_rows else f"mean {design.mean_offset:.4g}"))
    parts = [html.facts(rows)]
    factors = {f.key: f for result in results for f in result.design.factors}
    if factors:
        parts.append(html.table(_groups(factors), "Groups: levels, and rows of a level"))
    parts.append(html.table(_response(design), f"Response {design.formula.response}, of the rows used"))
    return html.Section("data", "Data", parts)


def _groups(factors: Mapping[str, RandomFactor]) -> pd.DataFrame:
    lines = []
    for factor in factors.values():
        counts = factor.level_counts()
        lines.append(
            (factor.key, factor.n_levels, int(counts.min()), float(np.median(counts)), int(counts.max()))
        )
    table = pd.DataFrame(lines, columns=["group", "levels", "fewest rows", "median", "most rows"])
    table["median"] = [f"{value:g}" for value in table["median"]]
    return table.set_index("group")


def _span(values: Any) -> str:
    return f"from {values.min():.4g} to {values.max():.4g}"


def _response(design: Design) -> pd.DataFrame:
    """Mean and sd, and quantiles where there are rows."""
    index = pd.Index([design.formula.response], name="response")
    if not design.has_rows:
        index += ", offset taken off" if design.has_offset else ""
        mean, sd = design.response_scale
        return pd.DataFrame({"mean": mean, "sd": sd * np.sqrt(design.n / (design.n - 1))}, index=index)
    y = design.y
    values = {"mean": float(y.mean()), "sd": float(y.std(ddof=1))}
    values |= {name: float(np.quantile(y, q)) for name, q in QUANTILES.items()}
    return pd.DataFrame(values, index=index)
