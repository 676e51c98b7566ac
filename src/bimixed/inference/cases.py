"""Whole levels of the outermost group drawn with replacement."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.random import SeedSequence
from numpy.typing import NDArray

from bimixed.design import Design, LevelRows, RandomFactor, parents
from bimixed.design.fixed import independent_columns
from bimixed.exceptions import FitError, UnavailableError

Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Cases:
    """Designs of drawn levels.

    Attributes
    ----------
    design : Design
    place : int
        The outermost factor: all others are nested in it.
    order, borders : int arrays
        Rows by its levels, and where each level's rows begin.
    """

    design: Design
    place: int
    order: Ints
    borders: Ints

    @staticmethod
    def of(design: Design) -> "Cases":
        """Of a design.

        Raises
        ------
        UnavailableError
            If there is no group that all others are nested in.
        """
        place = _outermost(design)
        f = design.factors[place]
        order = np.argsort(f.codes, kind="stable")
        borders = np.searchsorted(f.codes[order], np.arange(f.n_levels + 1))
        return Cases(design, place, order, borders)

    @property
    def key(self) -> str:
        """The outermost group."""
        return self.design.factors[self.place].key

    def __call__(self, seed: SeedSequence) -> Design:
        """The design of as many levels as there are, drawn with replacement; each copy is a level.

        Raises
        ------
        FitError
            If the fixed effects are collinear in the levels drawn.
        """
        L = self.design.factors[self.place].n_levels
        drawn = np.random.default_rng(seed).integers(L, size=L)
        rows = np.concatenate([self.order[self.borders[k] : self.borders[k + 1]] for k in drawn])
        copies = np.repeat(np.arange(L), np.diff(self.borders)[drawn])
        design = self.design
        X = design.X[rows]
        if len(independent_columns(np.asarray(X[:, design.kept]))) < len(design.kept):
            raise FitError(f"The fixed effects are collinear in the levels of {self.key!r} that were drawn.")
        index = pd.RangeIndex(len(rows))
        frame = replace(
            design.frame,
            table=design.frame.table.take(rows).set_axis(index),
            index=index,
            kept=np.ones(len(rows), dtype=bool),
            missing={},
            known={},
        )
        return replace(
            design,
            y=design.y[rows],
            X=X,
            factors=tuple(_of_copies(f, rows, copies) for f in design.factors),
            weights=None if design.weights is None else design.weights[rows],
            offset=None if design.offset is None else design.offset[rows],
            frame=frame,
        )


def _of_copies(f: RandomFactor, rows: Ints, copies: Ints) -> RandomFactor:
    """A factor whose levels are those of each copy, by names that no level of the data has."""
    distinct, codes = np.unique(copies * f.n_levels + f.codes[rows], return_inverse=True)
    own = LevelRows(codes.astype(np.intp), f.values[rows], len(distinct))
    levels = f.levels[distinct % f.n_levels]
    names = [f"{label} (draw {copy + 1})" for label, copy in zip(levels, distinct // f.n_levels, strict=True)]
    return replace(f, levels=pd.Index(names, dtype=object), rows=own)


def _outermost(design: Design) -> int:
    if design.wide is not None:
        raise UnavailableError(
            "Levels can't be drawn beside a fixed factor of very many levels, most of which a sample misses; "
            "use kind='parametric' or 'residual'."
        )
    mixed = [f.key for f in design.factors if f.is_mixed]
    if not mixed:
        for place in np.argsort([f.n_levels for f in design.factors], kind="stable").tolist():
            if all(_nested(f, design.factors[place]) for f in design.factors):
                return int(place)
    what = f"rows of {mixed[0]!r} combine levels" if mixed else "the groups are crossed"
    raise UnavailableError(
        f"kind='case' draws whole levels of a group that all others are nested in, and there is none: "
        f"{what}. Use kind='parametric' or 'residual'."
    )


def _nested(inner: RandomFactor, outer: RandomFactor) -> bool:
    return parents(inner.codes, outer.codes, inner.n_levels) is not None


def seeds_of(random_seed: int | None, n: int) -> Sequence[SeedSequence]:
    """A seed for each replicate, which doesn't depend on how many there are."""
    return SeedSequence(random_seed).spawn(n)
