"""Two fits of one model side by side: estimates, shrinkage, and what their differences mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.design import Design, RandomFactor
from bimixed.exceptions import BimixedError, DataError
from bimixed.likelihood.small import sum_by
from bimixed.results import MixedModelResult
from bimixed.results.summary import METHODS, Summary, format_seconds, rows_used
from bimixed.shortening import MANY, listed, short_formula
from bimixed.verdicts import agreement_table, overall
from bimixed.vocabulary import refuse_foreign_compare


def compare(
    first: Any = None, second: Any = None, *more: Any, names: Sequence[str] | None = None, **unknown: Any
) -> "Comparison":
    """Lay two results of the same model side by side.

    Parameters
    ----------
    first, second : MixedModelResult
        Usually a REML and a NUTS fit of the same spec.
    names : sequence of str, optional
        Suffixes of the columns; default the methods.

    Returns
    -------
    Comparison

    Raises
    ------
    BimixedError
        If the results have different terms or rows.
    ArgumentError
        For anything but two results.

    Examples
    --------
    >>> import bimixed as bm
    >>> spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
    >>> bm.compare(spec.fit("reml"), spec.fit("ml")).fixef[["estimate_reml", "estimate_ml"]].round(2)
                 estimate_reml  estimate_ml
    coefficient
    Intercept           251.41       251.41
    Days                 10.47        10.47
    """
    refuse_foreign_compare(first, second, more, unknown)
    for result in (first, second):
        if not isinstance(result, MixedModelResult):
            raise BimixedError(f"compare takes results of spec.fit(), not a {type(result).__name__}.")
    _require_same_model(first, second)
    if names is None:
        names = (first.method, second.method)
        if names[0] == names[1]:
            names = (f"{first.method}_1", f"{second.method}_2")
    if len(names) != 2 or names[0] == names[1]:
        raise BimixedError(f"names must be two different strings, not {list(names)}.")
    return Comparison((first, second), (str(names[0]), str(names[1])))


def _require_same_model(first: MixedModelResult, second: MixedModelResult) -> None:
    a, b = first.design, second.design
    same_rows = a.n == b.n and np.array_equal(a.y, b.y)
    differences = [] if same_rows else ["different rows or responses"]
    if a.names != b.names:
        differences += _only_in("fixed effects", a.names, b.names)
    if [(f.key, f.names, f.template) for f in a.factors] != [(f.key, f.names, f.template) for f in b.factors]:
        differences += _only_in("random effects", _sources(a), _sources(b))
    if not differences:
        return
    advice = "Compare fits of one spec by different methods or priors."
    if same_rows:
        nested = _parameters(a) <= _parameters(b) or _parameters(b) <= _parameters(a)
        judged = "Nested models are judged by loglik and aic" if nested else "Others are judged by aic"
        by_ml = "" if a.names == b.names else " (of fits by 'ml', as the fixed effects differ)"
        advice += f" {judged}{by_ml}, for draws by loo()."
    raise BimixedError(f"The results are of different models: {'; '.join(differences)}. {advice}")


def _only_in(what: str, first: Sequence[str], second: Sequence[str]) -> list[str]:
    """What one of two models has and the other hasn't."""
    told = []
    for mine, theirs, place in ((first, second, "first"), (second, first, "second")):
        known = set(theirs)
        only = [repr(name) for name in mine if name not in known]
        if only:
            told.append(f"{listed(only)} {'is' if len(only) == 1 else 'are'} only in the {place}")
    return told or [f"{what} in another order or structure"]


def _sources(design: Design) -> list[str]:
    return [source for f in design.factors for source in f.sources]


def _parameters(design: Design) -> set[tuple[str, ...]]:
    """Fixed effects, random coefficients, and which of these are correlated."""
    found: set[tuple[str, ...]] = {(name,) for name in design.names}
    for f in design.factors:
        found |= {(f.key, name) for name in f.names}
        found |= {(f.key, f.names[i], f.names[j]) for i, j in f.template.correlated_pairs()}
    return found


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two results side by side.

    Columns carry the name of the result, such as ``estimate_reml`` and ``std_error_nuts``. The
    reference is the result with draws (or the second one). ``difference`` is the reference's estimate
    minus the other's, and ``difference_sd`` divides it by the reference's posterior sd.

    Attributes
    ----------
    results : tuple of two MixedModelResult
    names : tuple of two str
    """

    results: tuple[MixedModelResult, MixedModelResult]
    names: tuple[str, str]

    @property
    def reference(self) -> int:
        """Which result's sds are the units of differences: the one with draws, else the second."""
        has_draws = [r.posterior is not None for r in self.results]
        return 0 if has_draws == [True, False] else 1

    @property
    def fixef(self) -> pd.DataFrame:
        """Fixed effects: estimate and standard error of both, and their difference."""
        tables = [r.fixef for r in self.results]
        return self._side_by_side(
            [t["estimate"].to_numpy() for t in tables],
            [t["std_error"].to_numpy() for t in tables],
            tables[0].index,
        )

    @property
    def varcorr(self) -> pd.DataFrame:
        """Sds, correlations and sigma of both, like ``fixef``; standard errors on their own scale."""
        parameters = [r.uncertainty.variance_parameters() for r in self.results]
        return self._side_by_side(
            [p.values for p in parameters],
            [p.std_errors for p in parameters],
            pd.Index(parameters[0].names, name="parameter"),
        )

    @property
    def ranef(self) -> dict[str, pd.DataFrame]:
        """Random effects by group, one row per level and coefficient."""
        tables = {}
        for factor in self.results[0].design.factors:
            tables[factor.key] = self._side_by_side(
                [r.estimates.ranef[factor.key].ravel() for r in self.results],
                [r.estimates.ranef_sd[factor.key].ravel() for r in self.results],
                _level_index(factor),
            )
        return tables

    @property
    def shrinkage(self) -> dict[str, pd.DataFrame]:
        """How far each level is pulled from its own estimate to the population's, by group.

        For each result: ``own``, least squares of y − Xβ̂ on the group's columns from the level's rows
        alone (NaN where those can't determine it); ``estimate``, the random effect; ``shrinkage``,
        1 − estimate/own, 0 for no pooling and 1 for complete pooling. ``rows`` counts the level's data.
        """
        tables = {}
        for factor in self.results[0].design.factors:
            table = pd.DataFrame(index=_level_index(factor))
            table["rows"] = np.repeat(factor.level_counts(), factor.n_coefficients)
            for name, result in zip(self.names, self.results, strict=True):
                own = own_estimates(result, factor).ravel()
                estimate = result.estimates.ranef[factor.key].ravel()
                table[f"own_{name}"] = own
                table[f"estimate_{name}"] = estimate
                with np.errstate(divide="ignore", invalid="ignore"):
                    table[f"shrinkage_{name}"] = 1.0 - estimate / own
            tables[factor.key] = table
        return tables

    @cached_property
    def agreement(self) -> pd.DataFrame:
        """Each parameter's difference with a verdict: "agrees", "expected" or "suspicious", and why."""
        return agreement_table(self)

    @property
    def verdict(self) -> str:
        """The agreement in a sentence or two."""
        return overall(self)

    def summary(self) -> Summary:
        """The comparison as text and, in notebooks, HTML."""
        result = self.results[0]
        facts = [("Rows", rows_used(result))]
        facts += [("Groups", ", ".join(f"{k} ({n})" for k, n in result.ngroups.items()))]
        for name, r in zip(self.names, self.results, strict=True):
            state = "ok" if r.diagnostics.ok else "see notes"
            facts.append((name, f"{METHODS[r.method]}, {format_seconds(r.diagnostics.seconds)}, {state}"))
        unit = "posterior" if self.results[self.reference].posterior is not None else "standard"
        sections = [
            ("Fixed effects", self._short(self.fixef)),
            ("Variance components", self._short(self.varcorr)),
            ("Shrinkage towards the population, median over levels", self._median_shrinkage()),
        ]
        notes = [
            f"diff/sd: difference in {unit} {'sds' if unit == 'posterior' else 'errors'} of "
            f"{self.names[self.reference]}.",
            self.verdict,
        ]
        flagged = self.agreement
        flagged = flagged[flagged["verdict"] != "agrees"]
        for name, row in flagged[:MANY].iterrows():
            size = "" if np.isnan(row["difference_sd"]) else f" ({row['difference_sd']:+.2f})"
            notes.append(f"{name}{size}, {row['verdict']}: {row['reason']}")
        if len(flagged) > MANY:
            notes.append(f"… and {len(flagged) - MANY} more; comparison.agreement has all.")
        for name, r in zip(self.names, self.results, strict=True):
            notes += [f"{name}: {message}" for message in r.diagnostics.messages]
        return Summary(
            title=f"{METHODS[self.results[0].method]} and {METHODS[self.results[1].method]} "
            f"of {short_formula(result.formula)}",
            facts=tuple(facts),
            sections=tuple(sections),
            notes=tuple(notes),
            whole=("comparison.fixef", "comparison.varcorr", "comparison.shrinkage"),
        )

    def plot(self) -> Any:
        """Shrinkage of every level and a forest of all parameters.

        Returns
        -------
        matplotlib Figure
        """
        from bimixed.plots import comparison_figure

        return comparison_figure(self)

    def to_html(self, path: str | Path) -> Path:
        """Write one self-contained page: tables, pictures, and what the differences mean.

        Returns
        -------
        pathlib.Path
            Of the file written.
        """
        from bimixed.plots.page import comparison_page

        path = Path(path)
        if not path.parent.is_dir():
            raise DataError(f"There is no folder {str(path.parent)!r} to write {path.name} to.")
        path.write_text(comparison_page(self), encoding="utf-8")
        return path

    def __str__(self) -> str:
        return str(self.summary())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def _short(self, table: pd.DataFrame) -> pd.DataFrame:
        """Estimates with their errors beside them, as narrow as can be."""
        columns: dict[str, pd.Series] = {}
        for name, result in zip(self.names, self.results, strict=True):
            error = "sd" if result.posterior is not None else "se"
            columns[name] = table[f"estimate_{name}"]
            columns[f"({error} {name})"] = table[f"std_error_{name}"]
        return pd.DataFrame({**columns, "diff/sd": table["difference_sd"]}, index=table.index)

    def _median_shrinkage(self) -> pd.DataFrame:
        rows = []
        for key, table in self.shrinkage.items():
            for name in table.index.unique("coefficient"):
                part = table.xs(name, level="coefficient")
                medians = {n: part[f"shrinkage_{n}"].median() for n in self.names}
                alone = int(part[f"own_{self.names[0]}"].notna().sum())
                rows.append({"group": key, "name": name, "levels with own": str(alone), **medians})
        return pd.DataFrame(rows).set_index(["group", "name"])

    def _side_by_side(self, estimates: list[Array], errors: list[Array], index: pd.Index) -> pd.DataFrame:
        columns: dict[str, Array] = {}
        for name, estimate, error in zip(self.names, estimates, errors, strict=True):
            columns[f"estimate_{name}"] = estimate
            columns[f"std_error_{name}"] = error
        r = self.reference
        columns["difference"] = estimates[r] - estimates[1 - r]
        with np.errstate(divide="ignore", invalid="ignore"):
            columns["difference_sd"] = columns["difference"] / errors[r]
        return pd.DataFrame(columns, index=index)


def _level_index(factor: RandomFactor) -> pd.MultiIndex:
    return pd.MultiIndex.from_product([factor.levels, list(factor.names)], names=[factor.key, "coefficient"])


def own_estimates(result: MixedModelResult, factor: RandomFactor) -> Array:
    """Least squares of y − Xβ̂ on a group's columns, level by level (L, K); NaN where not unique."""
    design = result.design
    if factor.is_mixed:  # no level has rows of its own
        return np.full((factor.n_levels, factor.n_coefficients), np.nan)
    beta = np.where(np.isnan(result.estimates.beta), 0.0, result.estimates.beta)
    rest = design.y - design.X @ beta - (0.0 if design.offset is None else design.offset)
    weights = np.ones(design.n) if design.weights is None else design.weights
    weighted = factor.values * weights[:, None]
    A = sum_by(factor.codes, weighted[:, :, None] * factor.values[:, None, :], factor.n_levels)
    right = sum_by(factor.codes, weighted * rest[:, None], factor.n_levels)
    # equal lengths of columns make the rank test independent of the covariates' units
    size = np.sqrt(np.einsum("lkk->lk", A))
    scale = np.where(size > 0, size, 1.0)
    scaled = A / (scale[:, :, None] * scale[:, None, :])
    unique = np.linalg.eigvalsh(scaled)[:, 0] > 1e-10
    own = np.full(right.shape, np.nan)
    if unique.any():
        solved = np.linalg.solve(scaled[unique], (right / scale)[unique][:, :, None])
        own[unique] = solved[:, :, 0] / scale[unique]
    return own
