"""What two models of the same rows don't share, in words."""

from collections.abc import Sequence

import numpy as np

from bimixed.design import Design
from bimixed.shortening import listed


def differences(first: Design, second: Design) -> list[str]:
    """What each of two models has and the other hasn't, in words; none for one model."""
    found = []
    if set(first.names) != set(second.names):
        found += only_in("fixed effects", first.names, second.names)
    structures = [{(f.key, f.names, f.template) for f in design.factors} for design in (first, second)]
    if structures[0] != structures[1]:
        found += only_in("random effects", sources_of(first), sources_of(second))
    return found + different_data(first, second)


def different_data(first: Design, second: Design) -> list[str]:
    """Weights, offsets, shared columns and groups that aren't the same in two models, in words."""
    if not (first.has_rows and second.has_rows):
        return _different_sums(first, second)
    found = []
    for name, one, other, none in (
        ("weights", first.weights, second.weights, 1.0),
        ("the offset", first.offset, second.offset, 0.0),
    ):
        mine, theirs = (np.full(first.n, none) if given is None else given for given in (one, other))
        if not np.allclose(mine, theirs, rtol=1e-12, atol=0.0):
            found.append(f"{name} {'differ' if name == 'weights' else 'differs'}")
    if isinstance(first.X, np.ndarray) and isinstance(second.X, np.ndarray):
        places = {name: j for j, name in enumerate(second.names)}
        both = [(j, places[name]) for j, name in enumerate(first.names) if name in places]
        odd = [first.names[j] for j, k in both if not np.array_equal(first.X[:, j], second.X[:, k])]
        if odd:
            found.append(f"{listed(odd)} {'has' if len(odd) == 1 else 'have'} other values")
    groups = {f.key: f for f in second.factors}
    for f in first.factors:
        same = groups.get(f.key)
        if same is not None and not f.is_mixed and not same.is_mixed and not f.levels.equals(same.levels):
            found.append(f"{f.key} has other labels")
    return found


def _different_sums(first: Design, second: Design) -> list[str]:
    """The same, as far as means and sds tell."""
    found = []
    if not np.isclose(first.mean_weight, second.mean_weight, rtol=1e-9):
        found.append("weights differ")
    if not np.isclose(first.mean_offset, second.mean_offset, rtol=1e-9):
        found.append("the offset differs")
    mine, theirs = (dict(zip(d.names, d.column_sds.tolist(), strict=True)) for d in (first, second))
    odd = [n for n in mine if n in theirs and not np.isclose(mine[n], theirs[n], rtol=1e-8, atol=1e-12)]
    if odd:
        found.append(f"{listed(odd)} {'has' if len(odd) == 1 else 'have'} other values")
    groups = {f.key: f for f in second.factors}
    for f in first.factors:
        if f.key in groups and not f.levels.equals(groups[f.key].levels):
            found.append(f"{f.key} has other labels")
    return found


def only_in(what: str, first: Sequence[str], second: Sequence[str]) -> list[str]:
    """What one of two models has and the other hasn't."""
    told = []
    for mine, theirs, place in ((first, second, "first"), (second, first, "second")):
        known = set(theirs)
        only = [repr(name) for name in mine if name not in known]
        if only:
            told.append(f"{listed(only)} {'is' if len(only) == 1 else 'are'} only in the {place}")
    return told or [f"{what} in another order or structure"]


def sources_of(design: Design) -> list[str]:
    return [source for f in design.factors for source in f.sources]


def parameters_of(design: Design) -> set[tuple[str, ...]]:
    """Fixed effects, random coefficients, and which of these are correlated."""
    found: set[tuple[str, ...]] = {(name,) for name in design.names}
    for f in design.factors:
        found |= {(f.key, name) for name in f.names}
        found |= {(f.key, f.names[i], f.names[j]) for i, j in f.template.correlated_pairs()}
    return found
