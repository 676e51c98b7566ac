"""Matrices on A's pattern: how values get there, are scaled block by block, and are read."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from bimixed.sparse.analysis import Analysis, Array, Ints


def to_lower_pattern(analysis: Analysis, S: sp.csr_array) -> Array:
    """Values of a symmetric matrix on A's pattern, zeros where it has no entry.

    Parameters
    ----------
    analysis : Analysis
    S : (q, q) sparse array
        In the old order, both triangles.

    Raises
    ------
    ValueError
        If it has an entry outside the pattern.
    """
    from bimixed.sparse.kernels import blocks

    q = analysis.n_columns
    if S.shape != (q, q):
        raise ValueError(f"a matrix of shape {S.shape} doesn't fit {q} columns")
    S = S if S.format in ("csr", "csc") else sp.csr_array(S)  # symmetric: either by rows or by columns
    out = np.empty(len(analysis.A_rows))
    failed = blocks.gather_lower(
        analysis.order,
        analysis.place,
        analysis.A_starts,
        analysis.A_rows,
        np.ascontiguousarray(S.indptr, dtype=np.intp),
        np.ascontiguousarray(S.indices, dtype=np.int32),
        np.ascontiguousarray(S.data, dtype=np.float64),
        out,
    )
    if failed >= 0:
        raise ValueError(f"column {analysis.order[failed]} has an entry outside the analysed pattern")
    return out


def scale_blocks(analysis: Analysis, values: Array, factors: Sequence[Array], kinds: Ints) -> Array:
    """F_I S_IJ F_J' for each block of a symmetric matrix S.

    Parameters
    ----------
    analysis : Analysis
    values : (·,) array
        S on A's pattern.
    factors : sequence of (K, K) arrays
    kinds : (n,) int array
        Which factor each node has, in the old order of nodes.

    Returns
    -------
    (·,) array
        On the same pattern.
    """
    from bimixed.sparse.kernels import blocks

    kinds = np.asarray(kinds, dtype=np.intp)[analysis.node_order]
    widths = np.array([len(F) for F in factors], dtype=np.intp)
    sizes = np.diff(analysis.first)
    if not np.array_equal(widths[kinds], sizes):
        raise ValueError("a factor's size isn't that of its node")
    out = np.empty_like(values)
    if not len(values):
        return out
    if widths.max() == 1:
        scale = np.array([float(np.asarray(F)[0, 0]) for F in factors])[kinds]
        blocks.scale_single(analysis.A_starts, analysis.A_rows, values, scale, out)
        return out
    padded = np.zeros((len(widths), widths.max(), widths.max()))
    for k, F in enumerate(factors):
        padded[k, : len(F), : len(F)] = F
    node = np.repeat(np.arange(len(sizes)), sizes)
    blocks.scale_by_blocks(
        analysis.first, node, analysis.A_starts, analysis.A_rows, values, kinds, padded, out
    )
    return out


def diagonal_blocks(analysis: Analysis, values: Array, columns_start: int, n_levels: int, K: int) -> Array:
    """Symmetric diagonal blocks (n_levels, K, K) of consecutive nodes of one size.

    Parameters
    ----------
    analysis : Analysis
    values : (·,) array
        On A's pattern.
    columns_start : int
        First old column of the first node.
    n_levels, K : int
        Number of nodes, and columns of each.
    """
    first = analysis.place[columns_start + K * np.arange(n_levels)]
    out = np.empty((n_levels, K, K))
    for b in range(K):
        for a in range(b, K):
            out[:, a, b] = out[:, b, a] = values[analysis.A_starts[first + b] + a - b]
    return out
