"""Cholesky factors of middling size by blocks that are too small for a BLAS to start threads for.

Threads that wait for each other take longer than the arithmetic up to some hundred rows, and far longer when
the machine has other work. The algorithms are the textbook ones (Golub and Van Loan 2013, section 4.2).
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BLOCK = 28
"""Most rows of a block."""
SMALL_PRODUCT = 200_000
"""Multiplications of a matrix product up to which no BLAS starts threads."""


def _blocks(n: int) -> list[slice]:
    """Blocks whose products with all n columns are small."""
    edges = [*range(0, n, min(BLOCK, int((SMALL_PRODUCT / n) ** 0.5))), n]
    return [slice(a, b) for a, b in pairwise(edges)]


def cholesky(M: Array) -> Array:
    """Lower Cholesky factor; the lower triangle of M is read."""
    L = np.zeros_like(M, order="C")
    blocks = _blocks(len(M))
    for k, here in enumerate(blocks):
        done = slice(0, here.start)
        left = L[here, done]
        L[here, here] = np.linalg.cholesky(M[here, here] - left @ left.T)
        if k + 1 < len(blocks):
            inverse = np.linalg.inv(L[here, here]).T
            for below in blocks[k + 1 :]:
                L[below, here] = (M[below, here] - L[below, done] @ left.T) @ inverse
    return L


def inverse_lower(L: Array) -> Array:
    """L⁻¹, lower triangular."""
    X = np.zeros_like(L, order="C")
    blocks = _blocks(len(L))
    for i, here in enumerate(blocks):
        own = np.tril(np.linalg.inv(L[here, here]))
        X[here, here] = own
        for before in blocks[:i]:
            between = slice(before.start, here.start)
            X[here, before] = -own @ (L[here, between] @ X[between, before])
    return X


def inverse_of(L: Array) -> Array:
    """Lower triangle of (LL')⁻¹; zeros above."""
    X = inverse_lower(L)
    out = np.zeros_like(X)
    blocks = _blocks(len(L))
    for i, here in enumerate(blocks):
        rest = slice(here.start, len(L))
        out[here, here] = np.tril(X[rest, here].T @ X[rest, here])
        for before in blocks[:i]:
            out[here, before] = X[rest, here].T @ X[rest, before]
    return out


def solve_lower(L: Array, right: Array, transpose: bool) -> Array:
    """L⁻¹ right or L⁻ᵀ right, (n, r)."""
    x = np.array(right, dtype=np.float64)
    blocks = _blocks(len(L))
    for here in reversed(blocks) if transpose else blocks:
        known = slice(here.stop, len(L)) if transpose else slice(0, here.start)
        coupling = L[known, here].T if transpose else L[here, known]
        own = L[here, here].T if transpose else L[here, here]
        x[here] = np.linalg.solve(own, x[here] - coupling @ x[known])
    return x
