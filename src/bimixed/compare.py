"""Fits side by side: estimates, shrinkage, and what their differences mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bimixed.aligned_tables import LEVEL, aligned, effect_tables, interval_table, joined, parameter_tables
from bimixed.covariance import Array
from bimixed.design import RandomFactor
from bimixed.exceptions import BimixedError
from bimixed.least_squares import Levels, root_of_weights
from bimixed.model_differences import differences, parameters_of
from bimixed.overlaps import Marginal, marginals, overlap
from bimixed.results import MixedModelResult
from bimixed.results.summary import METHODS, Summary, format_seconds, rows_used
from bimixed.shortening import MANY, listed, short_formula
from bimixed.summed import SummedDesign
from bimixed.verdicts import agreement_table, overall
from bimixed.vocabulary import explains_methods, refuse_foreign_compare


def compare(
    *results: Any,
    names: Sequence[str] | None = None,
    intervals: Any = None,
    **unknown: Any,
) -> "Comparison":
    """Lay results side by side.

    Parameters
    ----------
    *results : MixedModelResult
        Two or more of the same rows: a REML and a NUTS fit of one spec, say, or posteriors under different
        priors, or of formulas that share terms.
    names : sequence of str, optional
        Suffixes of the columns; default the methods.
    intervals : Profile, Bootstrap, list of these, or mapping of names to them, optional
        More limits for ``comparison.intervals``; default names "profile" and "bootstrap".

    Returns
    -------
    Comparison

    Raises
    ------
    BimixedError
        If the results are of different rows, or share no parameter.
    ArgumentError
        For anything but results.

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
    refuse_foreign_compare(results, unknown)
    for result in results:
        if not isinstance(result, MixedModelResult):
            raise BimixedError(f"compare takes results of spec.fit(), not a {type(result).__name__}.")
    for other in results[1:]:
        _require_shared(results[0], other)
    called, given = _names(results, names), _given(intervals)
    if set(called) & set(given):
        both = listed(sorted(set(called) & set(given)))
        raise BimixedError(f"{both} names a result; give intervals another name.")
    return Comparison(results, called, given)


def _names(results: Sequence[MixedModelResult], names: Sequence[str] | None) -> tuple[str, ...]:
    methods = [result.method for result in results]
    if names is None:
        names = [m if methods.count(m) == 1 else f"{m}_{i}" for i, m in enumerate(methods, start=1)]
    usable = isinstance(names, list | tuple) and len(set(map(str, names))) == len(names) == len(results)
    if not usable:
        raise BimixedError(f"names must be {len(results)} different strings, not {names!r}.")
    clash = [name for name in map(str, names) if name.startswith("sd_") and name[3:] in map(str, names)]
    if clash:
        raise BimixedError(f"The name {clash[0]!r} makes columns called like others; give another one.")
    return tuple(map(str, names))


def _given(intervals: Any) -> dict[str, pd.DataFrame]:
    """Limits by name.

    Raises
    ------
    BimixedError
        For what has no limits.
    """
    if intervals is None:
        return {}
    if not isinstance(intervals, Mapping):
        every = intervals if isinstance(intervals, list | tuple) else [intervals]
        intervals = {type(one).__name__.lower(): one for one in every}
        if len(intervals) < len(every):
            raise BimixedError(
                "intervals holds two of a kind; give each a name: intervals={'first': ..., ...}."
            )
    found = {}
    for name, one in intervals.items():
        table = one.conf_int(LEVEL) if hasattr(one, "conf_int") else one
        if not isinstance(table, pd.DataFrame) or not {"lower", "upper"} <= set(table.columns):
            raise BimixedError(
                "intervals takes bm.profile(fit), bm.bootstrap(fit), or tables with lower and upper; "
                f"{name!r} is a {type(one).__name__}."
            )
        found[str(name)] = table
    return found


def _require_shared(first: MixedModelResult, second: MixedModelResult) -> None:
    a, b = first.design, second.design
    if not a.is_of_rows_of(b):
        raise BimixedError(
            f"The results are of different rows or responses ({a.n} and {b.n} rows); compare fits of the "
            "same ones. If missing values are the reason, leave those rows out first: "
            "data.dropna(subset=[...])."
        )
    if not parameters_of(a) & parameters_of(b):
        raise BimixedError(
            f"The results have no parameter in common: '{short_formula(first.formula)}' and "
            f"'{short_formula(second.formula)}'. Compare fits whose formulas share terms."
        )


@explains_methods
@dataclass(frozen=True, repr=False)
class Comparison:
    """Results side by side.

    Columns carry the name of the result, such as ``estimate_reml`` and ``std_error_nuts``; a parameter
    that a result doesn't have is NaN. The reference is the last result with draws (or the last one).
    ``difference`` is the reference's estimate minus the other's, and ``difference_sd`` divides it by the
    reference's posterior sd; with more than two results they are ``difference_<name>`` and
    ``difference_sd_<name>``. ``overlap`` is ∫ min(f, g) of the sampling distribution (normal, for sds on
    the log scale, for correlations on Fisher's) and the posterior, or of two of a kind.

    Attributes
    ----------
    results : tuple of MixedModelResult
    names : tuple of str
    given : mapping of str, pandas.DataFrame
        Other limits, by name.
    """

    results: tuple[MixedModelResult, ...]
    names: tuple[str, ...]
    given: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def reference(self) -> int:
        """Which result's sds are the units of differences: the last with draws, else the last."""
        with_draws = [i for i, r in enumerate(self.results) if r.posterior is not None]
        return with_draws[-1] if with_draws else len(self.results) - 1

    @property
    def others(self) -> list[int]:
        """All but the reference."""
        return [i for i in range(len(self.results)) if i != self.reference]

    def pair(self, i: int) -> "Comparison":
        """One of the others and the reference, in the order given."""
        if len(self.results) == 2:
            return self
        both = sorted((i, self.reference))
        return Comparison(tuple(self.results[j] for j in both), tuple(self.names[j] for j in both))

    @cached_property
    def _parameters(self) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
        return [parameter_tables(result) for result in self.results]

    @cached_property
    def fixef(self) -> pd.DataFrame:
        """Fixed effects: estimate, standard error and 95 % limits of each, and their differences."""
        return self._with_overlap(
            aligned([fixed for fixed, _ in self._parameters], self.names, self.reference)
        )

    @cached_property
    def varcorr(self) -> pd.DataFrame:
        """Sds, correlations and sigma, like ``fixef``; standard errors on their own scale."""
        return self._with_overlap(aligned([own for _, own in self._parameters], self.names, self.reference))

    @cached_property
    def ranef(self) -> dict[str, pd.DataFrame]:
        """Random effects by group, one row per level and coefficient."""
        by_result = [effect_tables(result) for result in self.results]
        tables = {}
        for key in dict.fromkeys(key for own in by_result for key in own):
            have = next(own[key] for own in by_result if key in own)
            tables[key] = aligned(
                [own.get(key, have.iloc[:0]) for own in by_result], self.names, self.reference
            )
        return tables

    @cached_property
    def intervals(self) -> pd.DataFrame:
        """95 % limits of each parameter, by result and as given: ``lower_<name>``, ``upper_<name>``."""
        tables = [pd.concat(both) for both in self._parameters]
        return interval_table(tables, self.names, self.given)

    def _with_overlap(self, table: pd.DataFrame) -> pd.DataFrame:
        mine = self._marginals[self.reference]
        for i in self.others:
            theirs = self._marginals[i]
            suffix = "" if len(self.results) == 2 else f"_{self.names[i]}"
            both = [overlap(theirs[n], mine[n]) if n in theirs and n in mine else np.nan for n in table.index]
            table[f"overlap{suffix}"] = both
        return table

    @cached_property
    def _marginals(self) -> list[dict[str, Marginal]]:
        return [marginals(result) for result in self.results]

    @property
    def shrinkage(self) -> dict[str, pd.DataFrame]:
        """How far each level is pulled from its own estimate to the population's, by group.

        For each result: ``own``, least squares of y − Xβ̂ on the group's columns from the level's rows
        alone (NaN where those can't determine it); ``estimate``, the random effect; ``shrinkage``,
        1 − estimate/own, 0 for no pooling and 1 for complete pooling. ``rows`` counts the level's data.
        """
        tables: dict[str, pd.DataFrame] = {}
        for name, result in zip(self.names, self.results, strict=True):
            for factor in result.design.factors:
                own = own_estimates(result, factor).ravel()
                estimate = result.estimates.ranef[factor.key].ravel()
                with np.errstate(divide="ignore", invalid="ignore"):
                    shrinkage = 1.0 - estimate / own
                columns = {f"own_{name}": own, f"estimate_{name}": estimate, f"shrinkage_{name}": shrinkage}
                rows = np.repeat(factor.level_counts(), factor.n_coefficients)
                table = pd.DataFrame({"rows": rows, **columns}, index=_level_index(factor))
                if factor.key in tables:
                    before = tables[factor.key]
                    index = joined(before.index, table.index)
                    rows_known = before["rows"].reindex(index).fillna(table["rows"].reindex(index))
                    parts = [before.drop(columns="rows"), table.drop(columns="rows")]
                    table = pd.concat([part.reindex(index) for part in parts], axis=1)
                    table.insert(0, "rows", rows_known.astype(int))
                tables[factor.key] = table
        return tables

    @cached_property
    def agreement(self) -> pd.DataFrame:
        """Each parameter's difference from the reference with a verdict, and why.

        ``result``, ``difference_sd``, ``verdict`` ("agrees", "expected" or "suspicious"), ``reason``.
        """
        tables = []
        for i in self.others:
            table = agreement_table(self.pair(i))
            table.insert(0, "result", self.names[i])
            tables.append(table)
        return pd.concat(tables)

    @property
    def verdict(self) -> str:
        """The agreement in a sentence or two."""
        return overall(self)

    def summary(self) -> Summary:
        """The comparison as text and, in notebooks, HTML."""
        result = self.results[0]
        facts = [("Rows", rows_used(result))]
        groups = {k: n for r in self.results for k, n in r.ngroups.items()}
        facts += [("Groups", ", ".join(f"{k} ({n})" for k, n in groups.items()))]
        for name, r in zip(self.names, self.results, strict=True):
            state = "ok" if r.diagnostics.ok else "see notes"
            facts.append((name, f"{METHODS[r.method]}, {format_seconds(r.diagnostics.seconds)}, {state}"))
        unit = "posterior" if self.results[self.reference].posterior is not None else "standard"
        sections = [
            ("Fixed effects", self._short(self.fixef)),
            ("Variance components", self._short(self.varcorr)),
            ("Shrinkage towards the population, median over levels", self._median_shrinkage()),
        ]
        whole = ["comparison.fixef", "comparison.varcorr", "comparison.shrinkage"]
        if self.given:
            sections.append(("95 % limits", self.intervals))
            whole.append("comparison.intervals")
        notes = [
            f"diff/sd: difference in {unit} {'sds' if unit == 'posterior' else 'errors'} of "
            f"{self.names[self.reference]}. Overlap: what the two distributions have in common, 0 to 1.",
            self.verdict,
        ]
        return Summary(
            title=self._title(),
            facts=tuple(facts),
            sections=tuple(sections),
            notes=(*notes, *self._flagged()),
            whole=tuple(whole),
        )

    def _title(self) -> str:
        methods = list(dict.fromkeys(METHODS[r.method] for r in self.results))
        formulas = list(dict.fromkeys(short_formula(r.formula) for r in self.results))
        if len(methods) == 1 and len(formulas) == 1:
            return f"{len(self.results)} fits by {methods[0]} of {formulas[0]}"
        of = formulas[0] if len(formulas) == 1 else f"{len(formulas)} models"
        return f"{', '.join(methods[:-1])}{' and ' if methods[1:] else ''}{methods[-1]} of {of}"

    def _flagged(self) -> list[str]:
        """Differences with their reasons, what the models don't share, and what the fits say."""
        notes = []
        mine = self.results[self.reference]
        for i in self.others:
            for told in differences(self.results[i].design, mine.design):
                words = told.replace("the first", self.names[i]).replace(
                    "the second", self.names[self.reference]
                )
                notes.append(f"Different models: {words}.")
        flagged = self.agreement
        flagged = flagged[flagged["verdict"] != "agrees"]
        for name, row in flagged[:MANY].iterrows():
            size = "" if np.isnan(row["difference_sd"]) else f" ({row['difference_sd']:+.2f})"
            who = "" if len(self.results) == 2 else f" of {row['result']}"
            notes.append(f"{name}{who}{size}, {row['verdict']}: {row['reason']}")
        if len(flagged) > MANY:
            notes.append(f"… and {len(flagged) - MANY} more; comparison.agreement has all.")
        for name, r in zip(self.names, self.results, strict=True):
            notes += [f"{name}: {message}" for message in r.diagnostics.messages]
        return notes

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
        from bimixed.reports import comparison_page, write_page

        return write_page(comparison_page(self), path)

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
        for i in self.others:
            two, name = len(self.results) == 2, self.names[i]
            of, suffix = ("", "") if two else (f" {name}", f"_{name}")
            columns[f"diff/sd{of}"] = table[f"difference_sd{suffix}"]
            columns[f"overlap{of}"] = table[f"overlap{suffix}"]
        return pd.DataFrame(columns, index=table.index)

    def _median_shrinkage(self) -> pd.DataFrame:
        rows = []
        for key, table in self.shrinkage.items():
            for name in table.index.unique("coefficient"):
                part = table.xs(name, level="coefficient")
                have = [n for n in self.names if f"shrinkage_{n}" in part]
                medians = {n: part[f"shrinkage_{n}"].median() for n in have}
                alone = int(part[f"own_{have[0]}"].notna().sum())
                rows.append({"group": key, "name": name, "levels with own": str(alone), **medians})
        return pd.DataFrame(rows).set_index(["group", "name"])


def _level_index(factor: RandomFactor) -> pd.MultiIndex:
    return pd.MultiIndex.from_product([factor.levels, list(factor.names)], names=[factor.key, "coefficient"])


def own_estimates(result: MixedModelResult, factor: RandomFactor) -> Array:
    """Least squares of y − Xβ̂ on a group's columns, level by level (L, K); NaN where not unique."""
    design = result.design
    if factor.is_mixed:  # no level has rows of its own
        return np.full((factor.n_levels, factor.n_coefficients), np.nan)
    beta = np.where(np.isnan(result.estimates.beta), 0.0, result.estimates.beta)
    if isinstance(design, SummedDesign):
        return design.own_estimates(factor.key, beta)
    rest = design.y - design.X @ beta - (0.0 if design.offset is None else design.offset)
    root = root_of_weights(design)
    levels = Levels(factor, list(range(factor.n_coefficients)), root)
    own = levels.solve((rest * root)[:, None])[:, :, 0]
    return np.where(levels.known[:, None], own, np.nan)
