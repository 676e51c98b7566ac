"""What the difference between two fits means: agreement, an expected difference, or a warning.

Units are the reference's posterior sds. A posterior mean and a REML estimate are different summaries of
different functions, so that some differences are expected: the posterior of an sd is skewed to the
right, so its mean lies above its mode; an sd of 0 or a correlation of ±1 is where the likelihood peaks
but no place for a posterior mean; the LKJ prior pulls correlations towards 0; conditional sds of
random effects take the variances as known. Between REML and ML the differences are those of
:mod:`bimixed.ml_bias`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bimixed.evidence import Evidence
from bimixed.ml_bias import MLBias
from bimixed.model_differences import different_data
from bimixed.results import MixedModelResult
from bimixed.shortening import listed

if TYPE_CHECKING:
    from bimixed.compare import Comparison

AT_ZERO = 1e-4
"""Of σ: an estimated sd below this share of it is 0."""
FEW_DRAWS = 100
"""Effective draws below which a comparison says little."""
SMALL = 0.3
"""Differences below this many posterior sds need no explanation."""
LARGE = {"fixed": 0.5, "sd": 1.5, "corr": 1.5}
"""Beyond this many an explanation no longer serves."""


def agreement_table(comparison: "Comparison") -> pd.DataFrame:
    """Verdict and reason for every shared fixed effect and variance parameter, and each group's effects."""
    evidence = Evidence.of(comparison.results[comparison.reference])
    both = _Both(comparison, evidence)
    bias = None if both.models_differ else _ml_bias(comparison)
    rows: list[tuple[str, float, str, str]] = []
    for name, row in comparison.fixef.iterrows():
        if both.shared(str(name)):
            rows.append((str(name), row["difference_sd"], *both.fixed(str(name), row)))
    for name, row in comparison.varcorr.iterrows():
        if both.shared(str(name)):
            rows.append((str(name), row["difference_sd"], *both.variance(bias, str(name), row)))
    verdicts = {verdict for _, _, verdict, _ in rows}
    for key, table in comparison.ranef.items():
        if not all(any(f.key == key for f in r.design.factors) for r in comparison.results):
            continue
        largest, verdict, reason = _effects(comparison, table)
        if bias is not None and verdict == "suspicious" and verdicts == {"agrees", "expected"}:
            verdict = "expected"
            reason = f"{bias.cause}; its smaller variances shrink the effects otherwise"
        if both.priors_differ and verdict == "suspicious":
            verdict, reason = "expected", f"{reason}, under different priors"
        if both.models_differ and verdict == "suspicious":
            verdict, reason = "expected", f"{reason}, of models that differ"
        rows.append((f"ranef_{key}", largest, verdict, reason))
    table = pd.DataFrame(rows, columns=["parameter", "difference_sd", "verdict", "reason"])
    return table.set_index("parameter")


class _Both:
    """Verdicts on single parameters of two results, with the figures behind them."""

    def __init__(self, comparison: "Comparison", evidence: Mapping[str, Evidence]):
        self.comparison, self.evidence = comparison, evidence
        self.mine = comparison.results[comparison.reference]
        self.theirs = comparison.results[1 - comparison.reference]
        self.draws = self.mine.posterior is not None
        self.two_posteriors = self.draws and self.theirs.posterior is not None
        models = [
            ({*r.design.names}, {(f.key, f.names, f.template) for f in r.design.factors})
            for r in comparison.results
        ]
        mine, theirs = self.mine.design, self.theirs.design
        self.models_differ = models[0] != models[1] or bool(different_data(mine, theirs))
        self.own = [{*r.design.names, *r.uncertainty.variance_parameters().names} for r in comparison.results]

    @property
    def priors_differ(self) -> bool:
        """Of two posteriors."""
        every = [dict(r.spec.priors) if r.spec is not None else {} for r in (self.theirs, self.mine)]
        return self.two_posteriors and every[0] != every[1]

    def shared(self, name: str) -> bool:
        return all(name in own for own in self.own)

    def fixed(self, name: str, row: "pd.Series[float]") -> tuple[str, str]:
        d = row["difference_sd"]
        verdict, reason = _fixed(d, self.draws)
        if verdict != "suspicious":
            return verdict, reason
        if self.models_differ:
            return "expected", "the models differ, and with them what the coefficient means"
        if self.two_posteriors:
            return self._priors(name)
        known = self.evidence.get(name)
        if known is None:
            return verdict, reason
        other = row[f"estimate_{self._other}"], row[f"std_error_{self._other}"]
        least, most = sorted(known.pulls(*other))
        if least - SMALL < d < most + SMALL:
            return "expected", f"the prior moves it: {known.of_prior(*other)}"
        return verdict, f"{reason} ({known.of_prior(*other)})"

    def variance(self, bias: MLBias | None, name: str, row: "pd.Series[float]") -> tuple[str, str]:
        verdict, reason = _variance_of(self.comparison, bias, name, row)
        if verdict == "agrees" or np.isnan(row[f"estimate_{self._other}"]):
            return verdict, reason
        if self.models_differ:
            return "expected", "the models differ, and with them what is left to explain"
        if self.two_posteriors:
            return self._priors(name)
        known = self.evidence.get(name)
        if known is None:
            return verdict, reason
        if name.startswith("corr_"):
            figure = known.of_correlation()
        else:
            at_zero = row[f"estimate_{self._other}"] < AT_ZERO * known.sigma
            figure = known.of_boundary() if at_zero else known.of_skewness(row[f"estimate_{self._other}"])
        return verdict, f"{reason} ({figure})"

    @property
    def _other(self) -> str:
        return self.comparison.names[1 - self.comparison.reference]

    def _priors(self, name: str) -> tuple[str, str]:
        """Two posteriors that differ."""
        priors = [r.spec.priors.get(name) if r.spec is not None else None for r in (self.theirs, self.mine)]
        if priors[0] != priors[1]:
            return "expected", f"its priors differ: {priors[0]} and {priors[1]}"
        if self.priors_differ:
            return "expected", "priors of other parameters differ"
        return (
            "suspicious",
            "two posteriors under the same priors differ: look at convergence and effective draws",
        )


def _ml_bias(comparison: "Comparison") -> MLBias | None:
    """The two fits as REML and ML, where they are."""
    by_method = {result.method: result for result in comparison.results}
    return MLBias(by_method["reml"], by_method["ml"]) if set(by_method) == {"reml", "ml"} else None


def _variance_of(
    comparison: "Comparison", bias: MLBias | None, name: str, row: "pd.Series[float]"
) -> tuple[str, str]:
    """Verdict on sigma, an sd or a correlation."""
    mine, theirs = comparison.names[comparison.reference], comparison.names[1 - comparison.reference]
    kind = "corr" if name.startswith("corr_") else "sd"
    draws = comparison.results[comparison.reference].posterior is not None
    unit = row[f"std_error_{mine}"]
    if not draws and not unit > 0.0:  # at the boundary one of the fits has no standard error
        unit = row[f"std_error_{theirs}"]
    d = row["difference"] / unit if unit > 0.0 else row["difference_sd"]
    sigma = comparison.results[1 - comparison.reference].sigma
    verdict = _variance(kind, d, row[f"estimate_{theirs}"], draws, sigma)
    if bias is not None and verdict[0] == "suspicious":
        reason = bias.reason(name, SMALL * unit)
        return verdict if reason is None else ("expected", reason)
    return verdict


def _fixed(d: float, draws: bool = True) -> tuple[str, str]:
    if np.isnan(d):
        return "expected", "not estimable in one of the fits"
    if abs(d) < LARGE["fixed"]:
        return "agrees", ""
    if not draws:
        return (
            "suspicious",
            "a fixed effect differs by half a standard error or more: look at convergence, and at sds that "
            "differ much",
        )
    return (
        "suspicious",
        "a fixed effect differs by half a posterior sd or more: look at its prior, at convergence, "
        "and at sds far from their estimates",
    )


def _variance(kind: str, d: float, other: float, draws: bool, sigma: float) -> tuple[str, str]:
    if np.isnan(other) and kind == "corr":
        return "expected", "one of its sds is 0, or the likelihood doesn't depend on it"
    if np.isnan(other):
        return "expected", "not identified by the likelihood: the posterior shows the prior"
    if kind == "sd" and other < AT_ZERO * sigma and draws:
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
    draws = comparison.results[r].posterior is not None
    d = table["difference_sd"].replace([np.inf, -np.inf], np.nan)
    largest = float(d.abs().max())
    if np.isnan(largest):
        estimates = [table[f"estimate_{name}"] for name in comparison.names]
        if any(column.isna().all() for column in estimates):
            return np.nan, "expected", "its variance isn't identified in one of the fits"
        if all(column.isna().any() for column in estimates):
            return np.nan, "suspicious", "no level in common: look at the labels"
    mine = table[f"std_error_{comparison.names[r]}"]
    theirs = table[f"std_error_{comparison.names[1 - r]}"]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float((mine / theirs.where(theirs > 0)).median())
    if largest > 1.0:
        unit = "posterior" if draws else "conditional"
        return largest, "suspicious", f"random effects differ by more than a {unit} sd"
    if draws and ratio > 1.02:
        return (
            largest,
            "expected",
            f"posterior sds are {ratio:.2f} times the conditional sds, which take the variances and "
            "fixed effects as known",
        )
    return largest, "agrees", ""


def overall(comparison: "Comparison") -> str:
    """One or two sentences."""
    troubles = [_trouble(r) for r in comparison.results]
    troubled = [f"{name} ({what})" for name, what in zip(comparison.names, troubles, strict=True) if what]
    if troubled:
        return f"Mend first, compare later: {' and '.join(troubled)}."
    table = comparison.agreement
    bad = table.index[table["verdict"] == "suspicious"].tolist()
    expected = int((table["verdict"] == "expected").sum())
    singular = [
        name for name, r in zip(comparison.names, comparison.results, strict=True) if r.diagnostics.singular
    ]
    fits = "two fits" if len(comparison.results) == 2 else "fits"
    words = f"Suspicious: {listed(list(dict.fromkeys(bad)))}. " if bad else f"The {fits} agree. "
    if expected and not bad:
        plural = "s" if expected > 1 else ""
        words = f"The {fits} agree, with {expected} expected difference{plural}. "
    if singular:
        which, whose = ("fits are", "their") if len(singular) > 1 else ("fit is", "its")
        words += f"The {' and '.join(singular)} {which} singular: trust {whose} sds and correlations least."
    return words.strip()


def _trouble(result: MixedModelResult) -> str:
    """Why a fit is no good for a comparison; empty if it is."""
    report = result.diagnostics
    if not report.converged:
        return "not converged"
    if (report.divergences or 0) > 0:
        return "divergent transitions"
    if report.ess_bulk_min is not None and report.ess_bulk_min < FEW_DRAWS:
        return f"{report.ess_bulk_min:.0f} effective draws"
    return ""
