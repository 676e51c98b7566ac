"""Entries of the inverse where the factor has entries; the core's inverse in full."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from bimixed.sparse.analysis import Analysis, Array


@dataclass(frozen=True)
class SelectedValues:
    """Entries of M⁻¹ in the new order.

    Attributes
    ----------
    analysis : Analysis
    values : (·,) array
        On L's pattern, L_starts and L_rows.
    core : (n_core, n_core) array
        Symmetric, complete.
    """

    analysis: Analysis
    values: Array
    core: Array

    def diagonal(self) -> Array:
        """Diagonal of M⁻¹ in the old order, (q,)."""
        a = self.analysis
        new = np.concatenate([self.values[a.L_starts[:-1]], np.diag(self.core)])
        return new[a.place]

    def at_pattern(self) -> Array:
        """M⁻¹ on A's pattern, which is within L's or in the core."""
        a = self.analysis
        border = a.A_starts[a.n_sparse]
        sparse = self.values[a.A_places[:border]]
        return np.concatenate([sparse, self.core.reshape(-1)[a.A_places[border:]]])


def invert_selected(analysis: Analysis, values: Array, core: Array) -> SelectedValues:
    """Takahashi's recursion, from the core's inverse backwards.

    Parameters
    ----------
    analysis : Analysis
    values, core
        The factor, as of :class:`bimixed.sparse.SparseCholesky`.
    """
    from bimixed.sparse.kernels import inverse as kernels

    inverse = _invert_core(core)
    out = np.empty_like(values)
    kernels.invert_columns(analysis.groups, analysis.L_starts, analysis.L_rows, values, inverse, out)
    return SelectedValues(analysis, out, inverse)


def _invert_core(core: Array) -> Array:
    """Inverse from the lower Cholesky factor."""
    from bimixed.sparse.kernels import inverse as kernels

    if not len(core):
        return np.zeros((0, 0))
    lower, info = scipy.linalg.lapack.dpotri(core, lower=1)
    if info != 0:
        raise np.linalg.LinAlgError(f"dpotri failed with {info}")
    inverse = np.ascontiguousarray(lower.T)  # LAPACK stores columns: no copy
    kernels.mirror(inverse)
    return inverse
