"""What is said about rows of a source: predictions, or fitted values and residuals; a block at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.design import frame as frames
from bimixed.design.encoding import FormulaEncoding
from bimixed.exceptions import DataError
from bimixed.results import MixedModelResult
from bimixed.results.rows import included_groups
from bimixed.results.uncertainty import Draws

BLOCK = 100_000
"""Rows that are predicted at a time."""
NUMBERS = 2**24
"""Draws times rows that are held at a time."""


@dataclass(frozen=True)
class Said:
    """What is said about the rows of a block.

    Attributes
    ----------
    table : pandas.DataFrame
        On the index of the block.
    missing : mapping
        Column → rows of which nothing can be said because it is missing, where there are any.
    n_incomplete : int
        Rows that miss any of them.
    n_without : int
        Others that have no estimate.
    """

    table: pd.DataFrame
    missing: Mapping[str, int]
    n_incomplete: int
    n_without: int


class Predictor(Protocol):
    """What is asked about every row.

    Attributes
    ----------
    reads : tuple of str
        Columns of the source that it needs.
    copied : tuple of str
        Columns that are copied beside what is said.
    says : tuple of str
        Names of the columns that are made.
    rows : int
        Of a block.
    """

    @property
    def reads(self) -> tuple[str, ...]: ...

    @property
    def copied(self) -> tuple[str, ...]: ...

    @property
    def says(self) -> tuple[str, ...]: ...

    @property
    def rows(self) -> int: ...

    def __call__(self, block: pd.DataFrame, place: tuple[int, int]) -> Said:
        """The columns copied and said; ``place`` numbers the piece of the source and the block in it."""
        ...

    def without_data(self) -> "Predictor":
        """The same, to be sent to another process."""
        ...


@dataclass(frozen=True)
class Predictions:
    """Predictions, as :meth:`MixedModelResult.predict` makes them.

    Attributes
    ----------
    fit : MixedModelResult
    wanted : tuple of str
        Columns that the prediction is made from.
    copied : tuple of str
    how : mapping
        Arguments of ``predict``.
    entropy : int
        What random numbers of all blocks come from.
    """

    fit: MixedModelResult
    wanted: tuple[str, ...]
    copied: tuple[str, ...]
    how: Mapping[str, Any]
    entropy: int

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.wanted, *self.copied]))

    @property
    def says(self) -> tuple[str, ...]:
        return ("estimate",) if self.how["interval"] is None else ("estimate", "lower", "upper")

    @property
    def rows(self) -> int:
        drawn = self.fit.uncertainty
        if self.how["interval"] is None or not isinstance(drawn, Draws):
            return BLOCK
        return max(1, min(BLOCK, NUMBERS // len(drawn.sigma)))

    def __call__(self, block: pd.DataFrame, place: tuple[int, int]) -> Said:
        """Predictions of complete rows, NaN of others."""
        table, known, missing = complete(block, self.wanted, self.fit)
        values = np.full((len(block), len(self.says)), np.nan)
        if len(table):
            seed = int(np.random.SeedSequence((self.entropy, *place)).generate_state(1)[0])
            values[known] = self.fit.predict(table, random_seed=seed, **self.how)[list(self.says)].to_numpy()
        made = pd.DataFrame(values, columns=list(self.says), index=block.index)
        table = pd.concat([block[list(self.copied)], made], axis=1)
        return Said(table, missing, int((~known).sum()), int(np.isnan(values[known, 0]).sum()))

    def without_data(self) -> "Predictions":
        """The same, to be sent to another process."""
        return replace(self, fit=_without_data(self.fit))


@dataclass(frozen=True)
class Augmented:
    """Rows with fitted values, as :meth:`MixedModelResult.augment` makes them.

    Attributes
    ----------
    fit : MixedModelResult
    copied : tuple of str
        All columns of the source.
    wanted : tuple of str
        Those that fitted values are made from.
    response : tuple of str
        Those of the response; empty where the source doesn't have them.
    prefix : str
    """

    fit: MixedModelResult
    copied: tuple[str, ...]
    wanted: tuple[str, ...]
    response: tuple[str, ...]
    prefix: str

    rows = BLOCK

    @property
    def reads(self) -> tuple[str, ...]:
        return self.copied

    @property
    def says(self) -> tuple[str, ...]:
        names = ("fitted", "resid", "fixed") if self.response else ("fitted", "fixed")
        return tuple(self.prefix + name for name in names)

    def __call__(self, block: pd.DataFrame, place: tuple[int, int]) -> Said:
        """Fitted values of rows that have what they need, residuals of those that have the response too."""
        table, known, missing = complete(block, self.wanted, self.fit)
        without = 0
        values: dict[str, Array] = {name: np.full(len(block), np.nan) for name in self.says}
        if len(table):
            fitted = self.fit.predict(table, new_levels="population")["estimate"]
            values[self.prefix + "fitted"][known] = fitted
            values[self.prefix + "fixed"][known] = self.fit.predict(table, random="none")["estimate"]
            without = int(fitted.isna().sum())
        if self.response:
            own, has, unobserved = complete(block, self.response, self.fit)
            missing = {**missing, **unobserved}
            if len(own):
                encoding = encoding_of(self.fit)
                observed = np.full(len(block), np.nan)
                observed[has] = encoding.response(own)
                values[self.prefix + "resid"] = observed - values[self.prefix + "fitted"]
            known = known & has
        table = block[list(self.copied)].assign(**values)
        return Said(table, missing, int((~known).sum()), without)

    def without_data(self) -> "Augmented":
        """The same, to be sent to another process."""
        return replace(self, fit=_without_data(self.fit))


def _without_data(fit: MixedModelResult) -> MixedModelResult:
    """What predicts: no specification, which holds the data, and no second copy of draws."""
    return replace(fit, spec=None, posterior=None, refitter=None, left_out=None)


def encoding_of(fit: MixedModelResult) -> FormulaEncoding:
    """How the fit reads columns.

    Raises
    ------
    DataError
        For models given as arrays, which have none.
    """
    encoding = fit.design.encoding
    if not isinstance(encoding, FormulaEncoding):
        raise DataError(
            "The model was given as arrays, so that a source has no columns for it; predict a dict of arrays "
            "at a time: fit.predict({'exog': ..., 'groups': ...})."
        )
    return encoding


def predictions_of(
    fit: MixedModelResult, columns: list[str], keep: Sequence[str], how: Mapping[str, Any], seed: int | None
) -> Predictions:
    """What predicts the rows of a source with these columns.

    Raises
    ------
    DataError
        Where a column isn't there, or has the name of a new one.
    """
    if isinstance(keep, str):
        keep = [keep]
    keys = included_groups(fit.design, how["random"])
    wanted = encoding_of(fit).wanted_columns(columns, keys)
    frames.require_columns(columns, {**dict.fromkeys(keep, "keep="), **wanted}, [])
    weights = fit.design.weights_column
    if how["interval"] == "prediction" and fit.design.has_weights and weights not in columns:
        raise DataError(
            "The fit used weights, and a new response's variance depends on its weight: the source needs "
            f"{'the column ' + repr(weights) if weights else 'a column of them, named in ModelSpec'}."
        )
    entropy: Any = np.random.SeedSequence(seed).entropy
    predictor = Predictions(fit, tuple(wanted), tuple(dict.fromkeys(keep)), dict(how), entropy)
    taken = [name for name in predictor.copied if name in predictor.says]
    if taken:
        raise DataError(f"keep= names {taken[0]!r}, which a column of predictions is called; rename it.")
    return predictor


def augmented_of(fit: MixedModelResult, columns: list[str], prefix: str) -> Augmented:
    """What adds fitted values to the rows of a source with these columns.

    Raises
    ------
    DataError
        Where a column isn't there, or has the name of a new one.
    """
    encoding = encoding_of(fit)
    wanted = encoding.wanted_columns(columns, included_groups(fit.design, "all"))
    frames.require_columns(columns, wanted, [])
    response = encoding.response_columns(columns)
    has_it = all(name in columns for name in response)
    predictor = Augmented(fit, tuple(columns), tuple(wanted), tuple(response) if has_it else (), prefix)
    taken = [name for name in predictor.says if name in columns]
    if taken:
        raise DataError(
            f"The source has a column {taken[0]!r} already; rename it, or give prefix= another text ('.' for "
            "broom's names)."
        )
    return predictor


def complete(
    block: pd.DataFrame, wanted: Sequence[str], fit: MixedModelResult
) -> tuple[pd.DataFrame, Any, dict[str, int]]:
    """Rows that have these columns, which ones they are, and how many miss each.

    Whole numbers that came as floats because others of them are missing are whole again.
    """
    masks = {name: block[name].isna().to_numpy() for name in wanted}
    missing = {name: int(mask.sum()) for name, mask in masks.items() if mask.any()}
    known = ~np.logical_or.reduce([np.zeros(len(block), dtype=bool), *masks.values()])
    table = block.loc[known, list(wanted)] if missing else block[list(wanted)]
    fitted = encoding_of(fit).table
    for name in missing:
        if name in fitted and fitted[name].dtype.kind in "iu" and table[name].dtype.kind == "f":
            whole = table[name].astype(np.int64)
            if (whole == table[name]).all():
                table = table.assign(**{name: whole})
    return table, known, missing
