"""Sparse Cholesky factorization of symmetric positive definite matrices that come in blocks.

Made for Schur complements of crossed random effects: very sparse, nearly a forest, or with a part that
fills in completely. Knows nothing of statistics.

``analyse`` finds an order from the pattern alone, once; ``factorize`` makes the factor of one set of
values. Columns come in *nodes*: consecutive columns that always have the same pattern. The last columns of
the order are a dense *core* which LAPACK factorizes.

A matrix M (q, q) has an *old* order, the caller's, and a *new* one, in which PMP' = LL'. "A's pattern" is
that of the lower triangle of PMP', blocks of nodes filled up.
"""

from bimixed.sparse.analysis import Analysis, analyse
from bimixed.sparse.blocks import diagonal_blocks, scale_blocks, to_lower_pattern
from bimixed.sparse.cholesky import SparseCholesky, factorize
from bimixed.sparse.selected import SelectedValues

__all__ = [
    "Analysis",
    "SelectedValues",
    "SparseCholesky",
    "analyse",
    "diagonal_blocks",
    "factorize",
    "scale_blocks",
    "to_lower_pattern",
]
