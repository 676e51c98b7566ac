"""What a user should know of a specification before fitting it: told, never changed."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bimixed.design import matrices
from bimixed.design.design import Design
from bimixed.design.encoding import FormulaEncoding
from bimixed.design.fixed import ALIASED
from bimixed.design.matrices import Part
from bimixed.design.random_effects import RandomFactor
from bimixed.design.rows import parents
from bimixed.formula import RandomTerm

FEW = 5
"""Fewer levels than this leave a variance poorly known."""
FAR, VERY_FAR = 4.0, 10.0
"""Means of a covariate, in its sds, from which 0 is no place to judge an intercept by."""
WIDE = 1e4
"""Ratio of the covariates' sizes beyond which a naive fit would be ill-conditioned."""


def notices(design: Design) -> tuple[str, ...]:
    """Sentences about rows, columns, groups and their relations."""
    found: list[str] = []
    if design.dropped:
        found.append(
            f"Dropped, because earlier columns determine them: {', '.join(design.dropped)}. They have no "
            "estimate."
        )
    found += _powers(design)
    found += _texts(design)
    found += _scales(design)
    for factor in design.factors:
        if not factor.is_mixed:
            found += _of_group(factor)
        if factor.has_rows:
            found += _both_fixed_and_random(design, factor)
    plain = [f for f in design.factors if f.has_rows and not f.is_mixed]
    for first, second in combinations(plain, 2):
        found += _relation(first, second)
    found += _restarting(design)
    return tuple(found)


def _parts(design: Design) -> list[Part]:
    """Fixed part and insides of bars, where the model was given as a formula."""
    encoding = design.encoding
    if not isinstance(encoding, FormulaEncoding):
        return []
    return [part.part for name, part in encoding.parts.items() if name.startswith(("fixed", "random"))]


def _powers(design: Design) -> Iterator[str]:
    """``x**2`` is x:x and so x; only ``I(x**2)`` is the square."""
    found = dict.fromkeys(power for part in _parts(design) for power in matrices.powers_of_columns(part))
    for name, power in found:
        yield (
            f"'{name}**{power}' is the column {name} itself in a formula (terms to a power are their "
            f"interactions); for the power write I({name}**{power})."
        )


def _texts(design: Design) -> Iterator[str]:
    """Text that holds numbers makes a factor with a level for each."""
    table = design.frame.table
    plain = dict.fromkeys(name for part in _parts(design) for name in matrices.plain_columns_of(part))
    for name in plain:
        if name not in table.columns or not pd.api.types.is_string_dtype(table[name].dtype):
            continue
        levels = pd.Series(pd.unique(table[name].astype(str)))
        numbers = pd.to_numeric(levels, errors="coerce").notna().mean()
        if len(levels) > 2 and numbers < 1.0 and (numbers > 0.5 or len(levels) > design.n / 4):
            example = levels[pd.to_numeric(levels, errors="coerce").isna()].iloc[0]
            yield (
                f"Column {name!r} is text with {len(levels)} levels in {design.n} rows (such as {example!r}) "
                "and so a factor. If it should hold numbers, convert it: "
                f"pandas.to_numeric(data[{name!r}], errors='coerce') makes the others missing."
            )
        elif len(levels) > 2 and numbers == 1.0:
            yield (
                f"Column {name!r} holds numbers as text and is a factor with {len(levels)} levels; convert "
                f"it with pandas.to_numeric for one slope, or write C({name}) if that is meant."
            )


def _scales(design: Design) -> Iterator[str]:
    sizes = dict(zip(design.names, design.column_sds.tolist(), strict=True))
    for factor in design.factors:
        if not factor.is_mixed:
            sizes |= dict(zip(factor.names, factor.mean_and_sd[1].tolist(), strict=True))
    sizes = {name: size for name, size in sizes.items() if size > 0}
    if not sizes:
        return
    small, large = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    if sizes[large] > WIDE * sizes[small]:
        yield (
            f"Columns of very different sizes: {large} has sd {sizes[large]:.3g}, {small} "
            f"{sizes[small]:.3g}. They are scaled internally, so that the fit is as exact as any; "
            "coefficients stay in your units."
        )


def _of_group(factor: RandomFactor) -> Iterator[str]:
    counts = factor.level_counts()
    alone = int((counts == 1).sum())
    if factor.n_levels < FEW:
        yield (
            f"{factor.key} has {factor.n_levels} levels: a variance between so few is poorly known. With "
            "REML trust its interval rather than its estimate; NUTS adds what its prior says."
        )
    if alone > factor.n_levels / 4:
        yield (
            f"{factor.key}: {alone} of {factor.n_levels} levels have one row. They add little to what is "
            "known of the variance, and their effects are shrunk most."
        )
    for name, mean in uncorrelated_and_far(factor):
        yield (
            f"{name} lies far from 0 (its mean is {mean:.4g}), and its random slope is uncorrelated with "
            f"the intercept of {factor.key}: they are independent at {name} = 0 alone, and another origin "
            f"is another model. Centre it, I({name} - {mean:.4g}), or correlate them with '|'."
        )
    for name, mean in _correlated_and_far(factor):
        yield (
            f"{name} lies far from 0 (its mean is {mean:.4g}): the sd of the random intercept of "
            f"{factor.key} and its correlation with the slope are those at {name} = 0. To read them where "
            f"the data are, centre it: I({name} - {mean:.4g})."
        )


def uncorrelated_and_far(factor: RandomFactor) -> list[tuple[str, float]]:
    """Covariates far from 0 whose slopes are uncorrelated with an intercept of the group, and their means."""
    return [(name, mean) for name, mean, own in far_slopes(factor, FAR) if not own]


def _correlated_and_far(factor: RandomFactor) -> list[tuple[str, float]]:
    return [(name, mean) for name, mean, own in far_slopes(factor, VERY_FAR) if own]


def far_slopes(factor: RandomFactor, limit: float) -> list[tuple[str, float, bool]]:
    """Name, mean, and whether it is correlated with the intercept."""
    if factor.is_mixed or "Intercept" not in factor.names:
        return []
    intercept, found = factor.names.index("Intercept"), []
    means, sds = factor.mean_and_sd
    for block in factor.template.sub_blocks():
        for k in range(block.start, block.stop):
            mean, sd = float(means[k]), float(sds[k])
            if k != intercept and abs(mean) > limit * sd > 0.0:
                found.append((factor.names[k], mean, block.start <= intercept < block.stop))
    return found


def _both_fixed_and_random(design: Design, factor: RandomFactor) -> Iterator[str]:
    determined = in_span(design, factor)
    if determined:
        names = " and ".join(factor.names[k] for k in determined)
        yield (
            f"{factor.key} is both fixed and random: the fixed effects determine every level, "
            f"so REML can't identify the variance of {names}. Remove one of the two."
        )


def in_span(design: Design, factor: RandomFactor) -> list[int]:
    """Coefficients whose columns all lie in the span of X: the condition tr Z'Z = ‖Q'Z‖² of the REML fit."""
    rank = len(design.kept)
    if rank == 0 or (not factor.is_mixed and rank < factor.n_levels):
        return []
    X, projection = design.X_narrow, None if design.wide is None else design.wide.projection()
    Q = np.linalg.qr(X if projection is None else projection(X)[0])[0]
    Z, K = sp.csc_array(factor.matrix()), factor.n_coefficients
    found = []
    for k in range(K):
        columns = Z[:, k::K]
        total = float(columns.power(2).sum())
        taken = float(np.sum((columns.T @ Q) ** 2))
        taken += 0.0 if projection is None else float(projection.taken(sp.csr_array(columns)).sum())
        if total > 0 and total - taken <= ALIASED * total:
            found.append(k)
    return found


def _relation(first: RandomFactor, second: RandomFactor) -> Iterator[str]:
    """Equal partitions under two names, and nested groups that were given as crossed."""
    for inner, outer in ((first, second), (second, first)):
        if parents(inner.codes, outer.codes, inner.n_levels) is None:
            continue
        if inner.n_levels == outer.n_levels:
            yield from _equal(first, second)
        elif not (_share_columns(inner, outer) or inner.is_component or outer.is_component):
            same = inner.names == outer.names and inner.template == outer.template
            advice = f"; '(1 | {outer.key}/{inner.key})' is the same model" if same else ""
            yield (
                f"Every level of {inner.key} lies in one level of {outer.key}: they are nested, and fitted "
                f"so{advice}."
            )
        return
    if not (_share_columns(first, second) or first.is_component or second.is_component):
        yield from _may_restart(first, second)


def _share_columns(first: RandomFactor, second: RandomFactor) -> bool:
    """Whether a column stands in both groups, as in a and a:b, which are nested as written."""
    return bool(set(first.group.split(":")) & set(second.group.split(":")))


def _equal(first: RandomFactor, second: RandomFactor) -> Iterator[str]:
    """The same levels: coefficients of equal columns can't be told apart."""
    shared = [
        first.names[i]
        for i in range(first.n_coefficients)
        for j in range(second.n_coefficients)
        if np.array_equal(np.abs(first.values[:, i]), np.abs(second.values[:, j]))
    ]
    if shared:
        yield (
            f"{first.key} and {second.key} have the same levels under two names; their variances "
            f"({', '.join(shared)}) can't be told apart. Remove one."
        )


def _may_restart(first: RandomFactor, second: RandomFactor) -> Iterator[str]:
    """Crossed groups where the labels of one may start anew in each level of the other."""
    if not (first.is_intercept and second.is_intercept):
        return
    inner, outer = (first, second) if first.n_levels < second.n_levels else (second, first)
    pairs = np.unique(first.codes.astype(np.int64) * second.n_levels + second.codes)
    if len(pairs) == first.n_levels * second.n_levels and _counts_from_one(inner.levels):
        yield (
            f"{first.key} and {second.key} are crossed. If the labels of {inner.key} start anew in every "
            f"level of {outer.key} ({inner.levels[0]} is not the same one everywhere), write "
            f"'(1 | {outer.key}/{inner.key})'."
        )


def _counts_from_one(labels: pd.Index) -> bool:
    levels = pd.to_numeric(pd.Series(labels.astype(str)), errors="coerce").to_numpy(dtype=float)
    first = levels.min(initial=np.inf)
    return bool(first in (0.0, 1.0) and np.array_equal(np.sort(levels), first + np.arange(len(levels))))


def _restarting(design: Design) -> Iterator[str]:
    """``(1 | a/b)`` where levels of b occur in several a: told, since the reverse may be meant."""
    table = design.frame.table
    terms: dict[tuple[str, ...], RandomTerm] = {
        t.group: t for t in design.formula.random if t.component is None
    }
    for group, term in terms.items():
        splits = [(group[:-1], group[-1:])]
        if len(group) == 2:
            splits.append((group[1:], group[:1]))
        known = [(outer, inner) for outer, inner in splits if outer in terms and inner not in terms]
        if not known:
            continue
        outer, inner = known[0]
        if inner[0] not in table.columns or any(name not in table.columns for name in outer):
            continue
        if _counts_from_one(pd.Index(pd.unique(table[inner[0]]))):
            continue  # labels that start anew everywhere, which is what a/b is for
        shared = int((table.groupby(list(inner), observed=True)[list(outer)].nunique().max(axis=1) > 1).sum())
        if shared:
            yield (
                f"{shared} labels of {inner[0]} occur in several levels of {':'.join(outer)}; {term.key} "
                f"takes them as different. If they are the same ones, write '(1 | {':'.join(outer)}) + (1 | "
                f"{inner[0]})'."
            )
