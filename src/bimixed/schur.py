"""What is left for the trailing part once the chain is eliminated: how full it is, and so how to store it."""

import os
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.exceptions import FitError
from bimixed.pairs import Pairs
from bimixed.sparse import Analysis, analyse

Ints = NDArray[np.intp]

DENSE_WIDTH = 800
"""Trailing columns up to which a dense factorization takes less than finding out about a sparse one."""
FILLED = 0.1
"""Share of linked trailing levels from which on the trailing part is dense: it fills in almost completely."""
MOSTLY = 0.8
"""Share of columns in the dense core from which on there is no gain from the sparse rest."""
COPIES = 3
"""Dense matrices of the trailing part that exist at one time."""
KEPT_DENSE = 2000
"""Trailing columns up to which sums of products are kept dense beside a dense factorization."""
MOSTLY_ZERO = 0.05
PROBE = 100
"""Trailing levels that are looked at first."""


def trailing_products(
    S: Array | sp.csr_array, sizes: Ints, chain: Sequence[Pairs]
) -> tuple[Array | sp.csr_array, Analysis | None]:
    """Z'WZ of the trailing factors as it is kept, and how to factorize it where that is done sparsely.

    Sparse where the pattern that is left after the chain's elimination says that it costs less.

    Parameters
    ----------
    S : (q, q) array or csr_array
        Z'WZ of the trailing factors.
    sizes : (levels,) int array
        Columns of each trailing level.
    chain : sequence of Pairs
        Couplings of each chain factor.
    """
    if S.shape[0] <= DENSE_WIDTH:
        return S if isinstance(S, np.ndarray) else S.toarray(), None
    S = sp.csr_array(S)
    node = np.repeat(np.arange(len(sizes)), sizes)
    pattern = _schur_pattern(S, node, chain)
    if pattern is None:
        return _for_dense(S), None
    analysis = analyse(pattern, sizes)
    if analysis.n_core > MOSTLY * analysis.n_columns:
        return _for_dense(S), None
    _require_memory(analysis.n_core)
    return S, analysis


def _for_dense(S: sp.csr_array) -> Array | sp.csr_array:
    """S where what is made of it is dense: itself only if that costs little beside."""
    _require_memory(S.shape[0])
    return S if S.shape[0] > KEPT_DENSE and S.nnz < MOSTLY_ZERO * S.shape[0] ** 2 else S.toarray()


def _require_memory(columns: int) -> None:
    """Refuse a dense matrix that can't be held, with what is made of it, in the machine's memory."""
    needed = COPIES * 8.0 * float(columns) ** 2
    if hasattr(os, "sysconf") and needed > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
        raise FitError(
            f"The crossed groups link {columns} effects so that all of them depend on each other: a dense "
            f"matrix of that size needs about {needed / 2**30:.0f} GiB, more than this machine has. Leave "
            "out one of the crossed terms, or fit a sample of its levels."
        )


def _schur_pattern(S: sp.csr_array, node: Ints, chain: Sequence[Pairs]) -> sp.csr_array | None:
    """Which trailing levels are linked once the chain is eliminated; None where most are."""
    n = int(node[-1]) + 1
    to_node = sp.csr_array((np.ones(len(node), np.int32), (np.arange(len(node)), node)), shape=(len(node), n))
    direct = sp.csr_array((np.ones(S.nnz, np.int32), S.indices, S.indptr), shape=S.shape)
    pattern = sp.csr_array(to_node.T @ direct @ to_node)
    probe = np.unique(np.linspace(0, n - 1, PROBE).astype(int))
    for pairs in chain:
        ones = np.ones(len(pairs), np.int32)
        B = sp.csr_array((ones, node[pairs.columns], pairs.row_starts), shape=(pairs.n_rows, n))
        if sp.csr_array(B[:, probe].T @ B).nnz > FILLED * len(probe) * n:
            return None
        pattern = pattern + sp.csr_array(B.T @ B)
    return sp.csr_array(pattern) if pattern.nnz <= FILLED * n * n else None
