"""The numerical factorization: sparse columns by compiled loops, the core by LAPACK."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from bimixed.sparse.analysis import Analysis, Array
from bimixed.sparse.selected import SelectedValues, invert_selected


@dataclass(frozen=True)
class SparseCholesky:
    """PMP' = LL' of one matrix.

    Right sides are (q, r) arrays.

    Attributes
    ----------
    analysis : Analysis
    values : (·,) array
        L's sparse columns, on L_starts and L_rows.
    core : (n_core, n_core) array
        Lower Cholesky factor of what is left for the core; zeros above the diagonal.
    log_det : float
        log |M|.
    """

    analysis: Analysis
    values: Array
    core: Array
    log_det: float

    def half(self, right: Array) -> Array:
        """L⁻¹P right: from the old order to the new one."""
        from bimixed.sparse.kernels import numeric

        a = self.analysis
        x = np.ascontiguousarray(right[a.order], dtype=np.float64)
        numeric.forward(a.L_starts, a.L_rows, self.values, x)
        self._solve_core(x, transposed=False)
        return x

    def back(self, half: Array) -> Array:
        """P'L'⁻¹ half: from the new order to the old one."""
        from bimixed.sparse.kernels import numeric

        a = self.analysis
        x = np.array(half, dtype=np.float64, order="C")
        self._solve_core(x, transposed=True)
        numeric.backward(a.L_starts, a.L_rows, self.values, x)
        return x[a.place]

    def solve(self, right: Array) -> Array:
        """M⁻¹ right, both in the old order."""
        return self.back(self.half(right))

    def selected_inverse(self) -> SelectedValues:
        """M⁻¹ where L has entries."""
        return invert_selected(self.analysis, self.values, self.core)

    def _solve_core(self, x: Array, transposed: bool) -> None:
        """Solve in place for the rows of the core."""
        n = self.analysis.n_sparse
        if not len(self.core) or not x.shape[1]:
            return
        x[n:] = scipy.linalg.solve_triangular(
            self.core, x[n:], lower=True, trans=int(transposed), check_finite=False
        )


def factorize(analysis: Analysis, A_values: Array) -> SparseCholesky:
    """Factorize the matrix with these values.

    Parameters
    ----------
    analysis : Analysis
    A_values : (·,) array
        On A's pattern, in the new order; see :func:`bimixed.sparse.to_lower_pattern`.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the matrix isn't positive definite.
    """
    from bimixed.sparse.kernels import numeric

    if A_values.shape != analysis.A_rows.shape:
        raise ValueError(f"{A_values.shape} values for a pattern of {len(analysis.A_rows)} entries")
    values, columns = analysis.split(A_values)
    failed = numeric.factor_columns(analysis.groups, analysis.L_starts, analysis.L_rows, values, columns)
    if failed >= 0:
        raise np.linalg.LinAlgError(f"not positive definite at column {analysis.order[failed]}")
    core = columns.T  # its rows were the columns
    if len(core):
        core, info = scipy.linalg.lapack.dpotrf(core, lower=1, overwrite_a=1, clean=0)
        if info > 0:
            column = analysis.order[analysis.n_sparse + info - 1]
            raise np.linalg.LinAlgError(f"not positive definite at column {column}")
    pivots = np.concatenate([values[analysis.L_starts[:-1]], np.diag(core)])
    with np.errstate(invalid="ignore"):
        log_det = 2.0 * float(np.sum(np.log(pivots)))
    if not np.isfinite(log_det):
        raise np.linalg.LinAlgError("the factor isn't finite")
    return SparseCholesky(analysis, values, core, log_det)
