"""Rows of a random-effects design: which levels a row belongs to, and with what values.

Two shapes. :class:`LevelRows`: every row belongs to one level, with a value for each of K coefficients;
all that bars in a formula can say. :class:`MixedRows`: a row combines any levels of one coefficient, as
in multiple membership and spline bases. Both multiply effects, and know about levels never seen.
"""

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed.context import called_name
from bimixed.covariance import Array, symmetric_root
from bimixed.exceptions import UnavailableError

Ints = NDArray[np.intp]


@dataclass(frozen=True)
class UnseenLevels:
    """Levels that the fit doesn't have.

    Attributes
    ----------
    labels : tuple of str
        Sorted.
    Z : (m, new levels × K) csr_array
        Values of the rows on them.
    """

    labels: tuple[str, ...]
    Z: sp.csr_array

    def variance(self, cov: Array) -> Array:
        """Variance that effects of these levels give each row, (m,); cov is (K, K)."""
        half = symmetric_root(cov)
        scaled = self.Z @ sp.kron(sp.eye_array(len(self.labels)), half, format="csr")
        return np.asarray(sp.csr_array(scaled).power(2).sum(axis=1)).ravel()

    def times(self, effects: Array) -> Array:
        """Z b for effects (new levels, K, draws), (m, draws)."""
        return np.asarray(self.Z @ effects.reshape(-1, effects.shape[-1]))


@dataclass(frozen=True)
class LevelRows:
    """Rows that belong to one level each.

    Attributes
    ----------
    codes : (m,) int array
        Level; -1 where it was never seen.
    values : (m, K) array
        Value of each coefficient's covariate; 1 for intercepts.
    n_levels : int
    labels : (m,) object array or None
        Labels of the levels, for new data.
    """

    codes: Ints
    values: Array
    n_levels: int
    labels: NDArray[np.object_] | None = field(default=None, repr=False)

    def matrix(self) -> sp.csr_array:
        """Sparse Z, (m, levels × K), coefficients of a level side by side."""
        return sparse_values(self.codes, self.values, self.n_levels)

    def times(self, effects: Array) -> Array:
        """Z b for effects (L, K) or (L, K, draws): (m,) or (m, draws)."""
        known = self.codes >= 0
        if known.all():
            return np.einsum("mk,mk...->m...", self.values, effects[self.codes])
        out = np.zeros((len(self.codes), *effects.shape[2:]))
        out[known] = np.einsum("mk,mk...->m...", self.values[known], effects[self.codes[known]])
        return out

    def unseen_levels(self) -> UnseenLevels | None:
        """The levels never seen, or None."""
        new = self.codes < 0
        if self.labels is None or not new.any():
            return None
        labels, numbers = np.unique(self.labels[new].astype(str), return_inverse=True)
        codes = np.full(len(self.codes), -1, dtype=np.intp)
        codes[new] = numbers
        return UnseenLevels(tuple(labels.tolist()), sparse_values(codes, self.values, len(labels)))


@dataclass(frozen=True)
class MixedRows:
    """Rows that combine several levels of one coefficient.

    Attributes
    ----------
    Z : (m, L) csr_array
    unseen : (m, ·) csr_array or None
        Values on levels never seen.
    unseen_labels : tuple of str
    """

    Z: sp.csr_array
    unseen: sp.csr_array | None = None
    unseen_labels: tuple[str, ...] = ()

    @property
    def n_levels(self) -> int:
        return int(self.Z.shape[1])

    def matrix(self) -> sp.csr_array:
        """Sparse Z, (m, L)."""
        return self.Z

    def times(self, effects: Array) -> Array:
        """Z b for effects (L, 1) or (L, 1, draws): (m,) or (m, draws)."""
        return np.asarray(self.Z @ effects[:, 0])

    def unseen_levels(self) -> UnseenLevels | None:
        """The levels never seen, or None."""
        return None if self.unseen is None else UnseenLevels(self.unseen_labels, self.unseen)


def rows_needed(what: str) -> UnavailableError:
    """The error for what a model of sums can't tell, named as it was asked for."""
    return UnavailableError(
        f"{called_name() or what} needs rows: the model was made from sums over a source, which keep no "
        "rows. Give rows: fit.predict(source) and fit.augment(source) go through all of them; of a sample, "
        "rows = bm.sample_rows(source, 10_000), fit.augment(rows) has residuals, bm.plots.residuals(fit, "
        "data=rows) draws them, and bm.ModelSpec(formula, rows).fit() has everything else."
    )


@dataclass(frozen=True)
class SummedRows:
    """What sums over rows tell of them, where each belonged to one level.

    Attributes
    ----------
    n_levels : int
    mean, sd : (K,) arrays
        Of the covariates.
    like_values : (·, K) array
        A matrix whose columns have the same mean products as the covariates.
    counts : (L,) int array
        Rows of each level.
    """

    n_levels: int
    mean: Array
    sd: Array
    like_values: Array
    counts: Ints

    def matrix(self) -> sp.csr_array:
        """Not known.

        Raises
        ------
        UnavailableError
        """
        raise rows_needed("The rows of Z")

    def times(self, effects: Array) -> Array:
        """Not known.

        Raises
        ------
        UnavailableError
        """
        raise rows_needed("Zb")

    def unseen_levels(self) -> UnseenLevels | None:
        """None: sums are of known levels."""
        return None


RandomRows = LevelRows | MixedRows | SummedRows


def sparse_values(codes: Ints, values: Array, n_levels: int) -> sp.csr_array:
    """Rows of values placed at the columns of each row's level; rows of level -1 stay empty."""
    n, K = values.shape
    known = codes >= 0
    indptr = np.concatenate([[0], np.cumsum(known * K)])
    columns = (codes[known, None] * K + np.arange(K)).ravel()
    return sp.csr_array((values[known].ravel(), columns, indptr), shape=(n, n_levels * K))


def parents(inner: Ints, outer: Ints, n_inner: int) -> Ints | None:
    """The outer level of each inner level, or None where inner levels are not nested in outer ones."""
    parent = np.zeros(n_inner, dtype=np.intp)
    parent[inner] = outer
    return parent if np.array_equal(parent[inner], outer) else None
