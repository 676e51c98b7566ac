"""What the difference between two fits means: agreement, an expected difference, or a warning.

Units are the reference's posterior sds. A posterior mean and a REML estimate are different summaries of
different functions, so that some differences are expected: the posterior of an sd is skewed to the
right, so its mean lies above its mode; an sd of 0 or a correlation of ±1 is where the likelihood peaks
but no place for a posterior mean; the LKJ prior pulls correlations towards 0; conditional sds of
random effects take the variances as known.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bimixed.shortening import listed

if TYPE_CHECKING:
    from bimixed.compare import Comparison

SMALL = 0.3
"""Differences below this many posterior sds need no explanation."""
LARGE = {"fixed": 0.5, "sd": 1.5, "corr": 1.5}
"""Beyond this many an explanation no longer serves."""


def agreement_table(comparison: "Comparison") -> pd.DataFrame:
    """Verdict and reason for every fixed effect and variance parameter, and each group's effects."""
    rows = []
    fixed, variances = comparison.fixef, comparison.varcorr
    other = f"estimate_{comparison.names[1 - comparison.reference]}"
    draws = comparison.results[comparison.reference].posterior is not None
    biased = {r.method for r in comparison.results} == {"reml", "ml"}
    for name, row in fixed.iterrows():
        rows.append((name, row["difference_sd"], *_fixed(row["difference_sd"])))
    sigma = comparison.results[1 - comparison.reference].sigma
    for name, row in variances.iterrows():
        kind = "corr" if str(name).startswith("corr_") else "sd"
        verdict = _variance(kind, row["difference_sd"], row[other], draws, sigma)
        if biased and verdict[0] == "suspicious" and abs(row["difference_sd"]) < LARGE[kind]:
            verdict = ("expected", "ML doesn't count the fixed effects, so its variances are smaller")
        rows.append((name, row["difference_sd"], *verdict))
    for key, table in comparison.ranef.items():
        rows.append((f"ranef_{key}", *_effects(comparison, table)))
    table = pd.DataFrame(rows, columns=["parameter", "difference_sd", "verdict", "reason"])
    return table.set_index("parameter")


def _fixed(d: float) -> tuple[str, str]:
    if np.isnan(d):
        return "expected", "not estimable in one of the fits"
    if abs(d) < LARGE["fixed"]:
        return "agrees", ""
    return (
        "suspicious",
        "a fixed effect differs by half a posterior sd or more: look at its prior, at convergence, "
        "and at sds far from their estimates",
    )


def _variance(kind: str, d: float, other: float, draws: bool, sigma: float) -> tuple[str, str]:
    if np.isnan(other) and kind == "corr":
        return "expected", "one of its sds is 0 or not identified, so there is no correlation"
    if np.isnan(other):
        return "expected", "not identified by the likelihood: the posterior shows the prior"
    if kind == "sd" and other < 1e-4 * sigma and draws:
        return "expected", "the likelihood peaks at 0, where a posterior mean can't lie"
    if kind == "corr" and abs(other) > 1 - 1e-6 and draws:
        return "expected", "a correlation of ±1 (singular fit), where a posterior mean can't lie"
    if np.isnan(d) or abs(d) < SMALL:
        return "agrees", ""
    if not draws:
        return "suspicious", "two likelihood fits differ: check that both converged"
    if kind == "sd" and 0 < d < LARGE["sd"]:
        return "expected", "the posterior of an sd is skewed: its mean lies above its mode"
    if kind == "corr" and abs(d) < LARGE["corr"]:
        return "expected", "correlations are poorly known; the prior pulls them towards 0"
    return "suspicious", "too far apart to be explained by skewness: look at prior and convergence"


def _effects(comparison: "Comparison", table: pd.DataFrame) -> tuple[float, str, str]:
    r = comparison.reference
    d = table["difference_sd"].replace([np.inf, -np.inf], np.nan)
    largest = float(d.abs().max())
    mine = table[f"std_error_{comparison.names[r]}"]
    theirs = table[f"std_error_{comparison.names[1 - r]}"]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float((mine / theirs.where(theirs > 0)).median())
    if largest > 1.0:
        return largest, "suspicious", "random effects differ by more than a posterior sd"
    if comparison.results[r].posterior is not None and ratio > 1.02:
        return (
            largest,
            "expected",
            f"posterior sds are {ratio:.2f} times the conditional sds, which take the variances and "
            "fixed effects as known",
        )
    return largest, "agrees", ""


def overall(comparison: "Comparison") -> str:
    """One or two sentences."""
    troubled = [
        f"{name} ({'not converged' if not r.diagnostics.converged else 'divergent transitions'})"
        for name, r in zip(comparison.names, comparison.results, strict=True)
        if not r.diagnostics.converged or (r.diagnostics.divergences or 0) > 0
    ]
    if troubled:
        return f"Mend first, compare later: {' and '.join(troubled)}."
    table = comparison.agreement
    bad = table.index[table["verdict"] == "suspicious"].tolist()
    expected = int((table["verdict"] == "expected").sum())
    singular = [
        name for name, r in zip(comparison.names, comparison.results, strict=True) if r.diagnostics.singular
    ]
    words = f"Suspicious: {listed(bad)}. " if bad else "The two fits agree. "
    if expected and not bad:
        plural = "s" if expected > 1 else ""
        words = f"The two fits agree, with {expected} expected difference{plural}. "
    if singular:
        words += f"The {' and '.join(singular)} fit is singular: trust its sds and correlations least."
    return words.strip()
