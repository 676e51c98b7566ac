"""Hypotheses of types 1, 2 and 3 about the terms of the fixed part, as rows L of Lβ = 0."""

from collections.abc import Sequence

import numpy as np

from bimixed import dense
from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.design.terms import Block, FixedTerm


def type_one(design: Design, terms: Sequence[FixedTerm]) -> dict[str, Array]:
    """Each term given the earlier ones: rows of the triangular factor of X, which say so (Goodnight 1979)."""
    R = dense.triangular_factor(np.asarray(design.like_X)[:, design.kept])
    places = {int(column): j for j, column in enumerate(design.kept)}
    out = {}
    for term in terms:
        own = [places[column] for column in term.columns if column in places]
        out[term.name] = _on_all(design, R[own] / np.diag(R)[own, None])
    return out


def type_two(design: Design, terms: Sequence[FixedTerm]) -> dict[str, Array]:
    """Each term given all others that don't contain it."""
    X, kept = np.asarray(design.like_X)[:, design.kept], design.kept.tolist()
    out = {}
    for term in terms:
        holding = {c for other in terms if contains(other, term) for c in other.columns}
        rank = [2 * (column in holding) + (column in term.columns) for column in kept]
        order = np.argsort(rank, kind="stable")
        # others first, then the term, then what contains it
        R = dense.triangular_factor(X[:, order])
        own = [i for i, j in enumerate(order) if kept[j] in term.columns]
        L = np.zeros((len(own), len(kept)))
        # which rows span the hypothesis counts for Fai and Cornelius's degrees of freedom; lmerTest's choice
        L[:, order] = R[own] / np.diag(R)[own, None] if holding else np.eye(len(kept))[own]
        out[term.name] = _on_all(design, L)
    return out


def contains(other: FixedTerm, term: FixedTerm) -> bool:
    """Whether the other has all factors of the term and more, and the same numeric part."""
    if other is term or not term.factors < other.factors:
        return False
    return other.variables - other.factors == term.variables - term.factors


def type_three(design: Design, terms: Sequence[FixedTerm]) -> dict[str, Array]:
    """Contrasts between means of equally weighted cells: what is tested doesn't depend on the coding.

    The model is a sum over numeric parts (1 among them) of the part times a function of the factors' cells.
    The function of the term's numeric part is averaged over all factors that aren't the term's; its
    interaction contrasts in the term's own factors are 0 (Searle 1987, section 9.3). Contrasts are with the
    first level, as in lmerTest: Fai and Cornelius's degrees of freedom depend on which are taken.
    """
    blocks = [block for term in terms for block in term.blocks]
    out = {}
    for term in terms:
        rows = [_cell_contrasts(block, blocks, len(design.names)) for block in term.blocks]
        out[term.name] = np.concatenate(rows)
    return out


def _cell_contrasts(block: Block, blocks: Sequence[Block], n_columns: int) -> Array:
    means = cell_means(block, blocks, n_columns)
    for axis, coding in enumerate(block.factors.values()):
        if coding.is_reduced:
            first, others = np.split(means, [1], axis=axis)
            means = others - first
    return means.reshape(-1, n_columns)


def cell_means(block: Block, blocks: Sequence[Block], n_columns: int) -> Array:
    """The function of the block's numeric part at each cell of its factors, others averaged.

    Returns
    -------
    (levels of each factor ..., columns of the numeric part, n_columns) array
    """
    own = block.factors
    inner = block.columns.shape[-1]
    shape = [len(coding.levels) for coding in own.values()]
    out = np.zeros((*shape, inner, n_columns))
    for other in blocks:
        if other.numeric != block.numeric:
            continue
        for place in np.ndindex(*other.columns.shape):
            weight = np.ones(shape)
            for (name, coding), k in zip(other.factors.items(), place[:-1], strict=True):
                if name in own:
                    axis = list(own).index(name)
                    along = np.ones(len(shape), dtype=int)
                    along[axis] = -1
                    weight = weight * coding.matrix[:, k].reshape(along)
                else:
                    weight = weight * coding.matrix[:, k].mean()
            out[..., place[-1], other.columns[place]] += weight
    return out


def _on_all(design: Design, L: Array) -> Array:
    """Rows on all columns of X from rows on the independent ones."""
    out = np.zeros((len(L), len(design.names)))
    out[:, design.kept] = L
    return out
