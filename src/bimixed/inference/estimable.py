"""Hypotheses of type 3 where cells of the factors are empty: what the rows that there are can estimate."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.design.grid import codes_of_rows
from bimixed.design.terms import Block, FixedTerm
from bimixed.inference.term_hypotheses import contains

RANK = 1e-9
"""Singular values below this share of the largest are 0."""


def type_three_of_gaps(design: Design, terms: Sequence[FixedTerm]) -> dict[str, Array] | None:
    """Rows L of Lβ = 0 for each term; None where a factor is no column, so that its cells aren't known.

    As SAS has them (Goodnight 1978, Tests of hypotheses in fixed effects linear models).

    In the model with a column for each cell of each term, a term's hypotheses are the estimable functions of
    its own cells and of those of terms that contain it, orthogonal to the functions of the latter alone.
    Without empty cells these are contrasts of equally weighted means.
    """
    levels = {name: c.levels for term in terms for block in term.blocks for name, c in block.factors.items()}
    codes = codes_of_rows(design, levels)
    if codes is None:
        return None
    full, K = _cells(design, terms, codes)
    ends = np.cumsum([0, *(matrix.shape[1] for matrix in full)])
    place = [np.arange(a, b) for a, b in pairwise(ends)]
    _, values, rows = np.linalg.svd(np.linalg.qr(np.hstack(full), mode="r"), full_matrices=False)
    estimable = rows[values > RANK * values[0]]
    out = {}
    for i, term in enumerate(terms):
        containing = [j for j, other in enumerate(terms) if contains(other, term)]
        others = [j for j in range(len(terms)) if j != i and j not in containing]
        within = _zero_on(estimable, np.concatenate([place[0][:0], *(place[j] for j in others)]))
        alone = _zero_on(within, place[i])
        L = within - within @ alone.T @ alone  # `alone` has orthonormal rows
        _, values, basis = np.linalg.svd(L, full_matrices=False)
        out[term.name] = _reduced(basis[values > RANK], place[i]) @ K
    return out


def _reduced(rows: Array, columns: np.ndarray) -> Array:
    """The same space by rows that are 1 in a late cell of the term each, and 0 in the others' late cells.

    Without empty cells these are contrasts with the first level, as elsewhere.
    """
    pivots: list[int] = []
    for column in columns[::-1]:
        chosen = [*pivots, int(column)]
        if len(pivots) < len(rows) and np.linalg.svd(rows[:, chosen])[1][-1] > RANK:
            pivots = chosen
    return np.asarray(np.linalg.solve(rows[:, pivots[::-1]], rows))


def _zero_on(rows: Array, columns: np.ndarray) -> Array:
    """An orthonormal basis of the combinations of orthonormal rows that are 0 on some columns."""
    if not len(rows) or not len(columns):
        return rows
    left, values, _ = np.linalg.svd(rows[:, columns])
    rank = int((values > RANK).sum())
    return np.asarray(left[:, rank:].T @ rows)


def _cells(
    design: Design, terms: Sequence[FixedTerm], codes: Mapping[str, np.ndarray]
) -> tuple[list[Array], Array]:
    """A column for each cell of each term, in units of its numeric part, and K, by which X = full K."""
    X = design.X.toarray() if hasattr(design.X, "toarray") else np.asarray(design.X)
    blocks = [block for term in terms for block in term.blocks]
    full, K = [], []
    for term in terms:
        numeric = _numeric_part(X, term.blocks[0].numeric, blocks, codes)
        sizes = np.sqrt(np.mean(numeric**2, axis=0))
        levels = {name: len(c.levels) for b in term.blocks for name, c in b.factors.items()}
        cell = np.zeros(len(X), dtype=np.intp)
        for name, number in levels.items():
            cell = cell * number + codes[name]
        n_cells = int(np.prod([*levels.values()], dtype=int))
        indicators = np.zeros((len(X), n_cells))
        indicators[np.arange(len(X)), cell] = 1.0
        full.append(np.einsum("nc,nm->ncm", indicators, numeric / sizes).reshape(len(X), -1))
        K.append(_coded(term, levels, sizes, X.shape[1]).reshape(-1, X.shape[1]))
    return full, np.vstack(K)


def _numeric_part(
    X: Array, numeric: tuple[str, ...], blocks: Sequence[Block], codes: Mapping[str, np.ndarray]
) -> Array:
    """Values of the numeric part in each row, (n, columns): X over the factors' codings."""
    if not numeric:
        return np.ones((len(X), 1))
    own = [block for block in blocks if block.numeric == numeric]
    total = np.zeros((len(X), own[0].columns.shape[-1]))
    squares = np.zeros(len(X))
    for block in own:
        for k in np.ndindex(*block.columns.shape[:-1]):
            weight = np.ones(len(X))
            for (name, coding), column in zip(block.factors.items(), k, strict=True):
                weight = weight * coding.matrix[codes[name], column]
            total += weight[:, None] * X[:, block.columns[k]]
            squares += weight**2
    return total / squares[:, None]


def _coded(term: FixedTerm, levels: Mapping[str, int], sizes: Array, n_columns: int) -> Array:
    """The term's columns of X as combinations of its cells, (cells, numeric, n_columns)."""
    out = np.zeros((*levels.values(), len(sizes), n_columns))
    for block in term.blocks:
        for k in np.ndindex(*block.columns.shape):
            weight = np.ones(tuple(levels.values()))
            for (name, coding), column in zip(block.factors.items(), k[:-1], strict=True):
                along = np.ones(len(levels), dtype=int)
                along[list(levels).index(name)] = -1
                weight = weight * coding.matrix[:, column].reshape(along)
            out[..., k[-1], block.columns[k]] += weight * sizes[k[-1]]
    return out.reshape(-1, len(sizes), n_columns)
