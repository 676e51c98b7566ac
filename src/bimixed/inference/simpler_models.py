"""Models with simpler random effects than a singular one: which can be typed, and how they fit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bimixed.covariance import Array, CovarianceTemplate
from bimixed.design import Design, LevelRows, RandomFactor
from bimixed.design.encoding import FormulaEncoding, TermsEncoder
from bimixed.design.matrices import EncodedPart
from bimixed.design.plain import PlainSpec
from bimixed.exceptions import FitError
from bimixed.inference.by_ml import engine
from bimixed.inference.lost_directions import Direction, dropped, lost_directions
from bimixed.inference.nesting import random_nesting
from bimixed.inference.rlrt import without
from bimixed.likelihood.fit import fit_likelihood
from bimixed.likelihood.fixef import FixefCovariance
from bimixed.likelihood.points import At
from bimixed.results import MixedModelResult


@dataclass(frozen=True)
class Simpler:
    """A model with fewer covariance parameters.

    Attributes
    ----------
    change : str
        In words, what it leaves out.
    design : Design
    """

    change: str
    design: Design

    @property
    def formula(self) -> str | None:
        """What to type for it; None where the model wasn't given as a formula with bars."""
        return typed(self.design)


@dataclass(frozen=True)
class Refit:
    """How a model fits.

    Attributes
    ----------
    loglik : float
    n_parameters : int
    beta, std_errors : (p,) arrays
    n_lost : int
        Directions without variance that it has.
    result : MixedModelResult or None
        None without random effects.
    """

    loglik: float
    n_parameters: int
    beta: Array
    std_errors: Array
    n_lost: int
    result: MixedModelResult | None

    @property
    def aic(self) -> float:
        """Akaike's criterion."""
        return 2.0 * (self.n_parameters - self.loglik)


def typed(design: Design) -> str | None:
    """The formula of a design, where it has one."""
    formula = design.formula
    if not isinstance(design.encoding, FormulaEncoding) or any(t.component for t in formula.random):
        return None
    return str(formula)


def refit(fit: MixedModelResult, design: Design) -> Refit:
    """Fit a model with the same fixed part by the same criterion."""
    large = engine(fit, "explain_singular")
    if design.factors:
        found = fit_likelihood(design, reml=large.problem.reml, optimizer=large.optimizer)
        known, n = found.estimates, len(lost_directions(found))
        return Refit(found.loglik, found.df_model, known.beta, known.std_errors, n, found)
    here = large.problem(np.zeros(int(large.problem.free.sum())))
    if not isinstance(here, At):
        raise FitError("The likelihood without random effects can't be computed; centre the covariates.")
    beta = np.full(len(design.names), np.nan)
    beta[design.kept] = large.problem.cp.basis.coefficients(here.gamma, here.modes)
    std_errors = FixefCovariance(len(design.names), design.kept, here, {}).std_errors()
    return Refit(-0.5 * here.value, large.problem.cp.rank + 1, beta, std_errors, 0, None)


def zeros_between(small: Design, large: Design) -> int:
    """Variances that are 0 under the smaller of two models with the same fixed part."""
    if not small.factors:
        return sum(f.n_coefficients for f in large.factors)
    return random_nesting(small, large).at_zero


def simpler_models(design: Design, direction: Direction) -> list[Simpler]:
    """Models without a lost direction that lme4's notation can say, whatever the direction's weights."""
    factor = design.factors[direction.place]
    number = _source_of(design, direction)
    start = sum(size for size, _ in factor.template.blocks[:number])
    size, correlated = factor.template.blocks[number]
    found = []
    for name, columns, rest in _droppable(design, direction.place, number):
        which = [start + k for k in columns]
        if not set(which) & set(direction.involved):
            continue
        what = (
            f"{name} left out of {factor.sources[number]}" if rest else f"{factor.sources[number]} left out"
        )
        small = without(design, direction.place, which)
        found.append(Simpler(what, _named(small, design, direction.place, number, rest)))
    if correlated and size > 1:
        found.append(_uncorrelated(design, direction.place, number))
        found += _compound(design, direction.place, number, slice(start, start + size))
    if not found:
        small = without(design, direction.place, range(start, start + size))
        found.append(
            Simpler(f"{factor.sources[number]} left out", _named(small, design, direction.place, number, ""))
        )
    return found


def random_deletions(design: Design) -> list[tuple[str, Simpler]]:
    """Each part of a random term that marginality lets go, left out by itself; by its name.

    Cells of a factor, ``(0 + f | g)``, become one intercept, as those of ``(f | g)`` do.
    """
    found = []
    for place, factor in enumerate(design.factors):
        start = 0
        for number, (size, correlated) in enumerate(factor.template.blocks):
            source = factor.sources[number]
            block = slice(start, start + size)
            cells = _compound(design, place, number, block) if size > 1 and correlated else []
            found += [(f"cells in {source}", model) for model in cells]
            gone = [] if cells else _droppable(design, place, number, by_marginality=True)
            for name, columns, rest in gone:
                small = without(design, place, [start + k for k in columns])
                label = f"{name} in {source}" if rest else source
                found.append((label, Simpler(label, _named(small, design, place, number, rest))))
            start += size
    return found


def without_terms(design: Design, lost: Sequence[Direction]) -> list[Simpler]:
    """Models without a whole term, where no direction of several coefficients has any variance."""
    found = []
    sources = {(d.place, _source_of(design, d)) for d in lost}
    for place, number in sorted(sources):
        factor = design.factors[place]
        own = [d for d in lost if (d.place, _source_of(design, d)) == (place, number)]
        size = factor.template.blocks[number][0]
        if len(own) == size > 1:
            start = sum(n for n, _ in factor.template.blocks[:number])
            small = without(design, place, range(start, start + size))
            what = f"{factor.sources[number]} left out"
            found.append(Simpler(what, _named(small, design, place, number, "")))
    return found


def same_without(design: Design, direction: Direction) -> Simpler | None:
    """The model with the direction fixed to 0 as a formula, for terms of columns and their products."""
    factor, part = design.factors[direction.place], None
    number = _source_of(design, direction)
    if isinstance(design.encoding, FormulaEncoding) and len(direction.involved) > 1:
        part = _part(design, direction.place, number)
    if part is None or not isinstance(part.spec, PlainSpec):
        return None
    start = sum(size for size, _ in factor.template.blocks[:number])
    terms = dict(zip(part.spec.column_names, part.spec.terms, strict=True))
    own = [terms[name] for name in _own_names(design, direction.place, number)]
    pivot = direction.pivot - start
    pieces = []
    for k, term in enumerate(own):
        weight = -float(direction.weights[start + k])
        if k == pivot:
            continue
        if weight == 0.0:
            pieces.append(":".join(term) or "1")
        else:
            sign = "-" if weight < 0 else "+"
            added = "" if own[pivot] == () else f"*{'*'.join(own[pivot])}"
            pieces.append(f"I({'*'.join(term) or '1'} {sign} {abs(weight):.10g}{added})")
    lhs = " + ".join(pieces if "1" in pieces else ["0", *pieces])
    small = _named(dropped(design, direction), design, direction.place, number, lhs)
    return Simpler(f"{direction.label(factor.names)} fixed to 0", small)


def _source_of(design: Design, direction: Direction) -> int:
    """Which of the factor's terms the direction belongs to."""
    ends = np.cumsum([size for size, _ in design.factors[direction.place].template.blocks])
    return int(np.searchsorted(ends, direction.pivot, side="right"))


def _own_names(design: Design, place: int, number: int) -> tuple[str, ...]:
    factor = design.factors[place]
    start = sum(size for size, _ in factor.template.blocks[:number])
    return factor.names[start : start + factor.template.blocks[number][0]]


def _part(design: Design, place: int, number: int) -> EncodedPart | None:
    """What formulaic made of one term with a bar."""
    if not isinstance(design.encoding, FormulaEncoding):
        return None
    encoder, own = design.encoding.factors[design.factors[place].key], _own_names(design, place, number)
    if not isinstance(encoder, TermsEncoder):
        return None
    parts = [design.encoding.parts[name] for name in encoder.parts]
    return next((part for part in parts if set(own) <= set(part.names)), None)


def _droppable(
    design: Design, place: int, number: int, by_marginality: bool = False
) -> list[tuple[str, list[int], str]]:
    """Name and places of what may be left out of a term, and what then stands left of the bar.

    With categories what a higher term contains stays, for its coding would change; by marginality so does
    what a product of covariates contains.
    """
    part = _part(design, place, number)
    own = _own_names(design, place, number)
    if part is None:
        several = len(own) > 1
        stays = by_marginality and several
        return [
            (name, [k], "..." if several else "")
            for k, name in enumerate(own)
            if not (stays and name == "Intercept")
        ]
    terms, categorical = _terms(part, own)
    intercept = any(not factors for _, factors, _ in terms)
    found = []
    for name, factors, columns in terms:
        contained = any(factors < other for _, other, _ in terms)
        if (contained and by_marginality) or (categorical and (contained or not factors)):
            continue
        if categorical and not intercept and len(terms) > 2:
            continue
        others = [other for other, _, own in terms if own != columns]
        if others and "1" not in others:
            others = ["0", *others]
        found.append(("Intercept" if name == "1" else name, columns, " + ".join(others)))
    return found


def _terms(
    part: EncodedPart, own: tuple[str, ...]
) -> tuple[list[tuple[str, frozenset[str], list[int]]], bool]:
    """Terms of these coefficients with their factors and places, and whether there are categories."""
    if isinstance(part.spec, PlainSpec):
        every = [(":".join(term) or "1", frozenset(term), [j]) for j, term in enumerate(part.spec.terms)]
        categorical = False
    else:
        every = [
            (str(term), frozenset(f.expr for f in term.factors) - {"1"}, list(columns))
            for term, columns in part.spec.term_indices.items()
        ]
        categorical = "categorical" in {kind.value for kind, _ in part.spec.encoder_state.values()}
    places = [
        (name, factors, [own.index(part.names[j]) for j in columns if part.names[j] in own])
        for name, factors, columns in every
    ]
    return [term for term in places if term[2]], categorical


def _named(
    small: Design, design: Design, place: int, number: int, lhs: str, correlated: bool | None = None
) -> Design:
    """A changed design with a formula and sources that say so; no ``lhs`` where the term is gone."""
    factor, formula = design.factors[place], design.formula
    own = [term for term in formula.random if term.key == factor.key]
    sources = list(factor.sources)
    if number < len(own):
        old = own[number]
        new = replace(old, lhs=lhs, correlated=old.correlated if correlated is None else correlated)
        sources[number] = str(new)
        terms = [replace(new, source=str(new)) if term is old else term for term in formula.random]
        formula = replace(formula, random=tuple(term for term in terms if term.lhs))
        if isinstance(design.encoding, FormulaEncoding):
            formula = replace(formula, text=str(formula))
    if not lhs:
        del sources[number]
    factors = tuple(replace(f, sources=tuple(sources)) if f.key == factor.key else f for f in small.factors)
    return replace(small, factors=factors, formula=formula)


def _template(design: Design, place: int, number: int, block: tuple[int, bool]) -> CovarianceTemplate:
    blocks = list(design.factors[place].template.blocks)
    blocks[number] = block
    return CovarianceTemplate(tuple(blocks))


def _uncorrelated(design: Design, place: int, number: int) -> Simpler:
    factor = design.factors[place]
    size = factor.template.blocks[number][0]
    small = _replaced(
        design, place, replace(factor, template=_template(design, place, number, (size, False)))
    )
    lhs = next((t.lhs for t in design.formula.random if str(t.source) == factor.sources[number]), "...")
    what = f"no correlations in {factor.sources[number]}"
    return Simpler(what, _named(small, design, place, number, lhs, correlated=False))


def _compound(design: Design, place: int, number: int, block: slice) -> list[Simpler]:
    """One intercept for all cells of a factor, where columns are the cells."""
    factor = design.factors[place]
    if _part(design, place, number) is None or "Intercept" in factor.names:
        return []
    rows, cells = factor.level_rows, factor.values[:, block].sum(axis=1, keepdims=True)
    if not np.array_equal(cells, np.ones_like(cells)):
        return []
    before, after = factor.values[:, : block.start], factor.values[:, block.stop :]
    new = replace(
        factor,
        rows=LevelRows(rows.codes, np.hstack([before, cells, after]), rows.n_levels, rows.labels),
        names=(*factor.names[: block.start], "Intercept", *factor.names[block.stop :]),
        template=_template(design, place, number, (1, True)),
    )
    what = f"one intercept in place of the cells of {factor.sources[number]}"
    return [Simpler(what, _named(_replaced(design, place, new), design, place, number, "1"))]


def _replaced(design: Design, place: int, factor: RandomFactor) -> Design:
    return replace(design, factors=(*design.factors[:place], factor, *design.factors[place + 1 :]))


def best(tried: Sequence[tuple[Simpler, Refit]]) -> tuple[Simpler, Refit]:
    """The model with fewest lost directions, among these the one with least AIC."""
    return min(tried, key=lambda pair: (pair[1].n_lost, pair[1].aic))


def regular_model(fit: MixedModelResult, first: Sequence[tuple[Simpler, Refit]]) -> tuple[Simpler, Refit]:
    """Simplify step by step, each time the first lost direction, until none is left."""
    found = best(first)
    while found[1].n_lost and found[1].result is not None:
        here = found[1].result
        models = simpler_models(here.design, lost_directions(here)[0])
        model, next_fit = best([(model, refit(fit, model.design)) for model in models])
        found = Simpler(f"{found[0].change}; {model.change}", model.design), next_fit
    return found
