"""Columns of X about their centres: which are independent, and what the others are of them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bimixed.covariance import Array
from bimixed.design.fixed import first_independent
from bimixed.design.rows import Ints
from bimixed.moments import Moments

ROUNDING = 5e-8
"""Of lengths of unit columns that are known by their products: the square root of what products lose."""
SHARE = 1e-7
"""Coefficients of unit columns below this are 0 in what a column is of others."""
NOTHING = 2e-15
"""Eigenvalue of products of unit columns that is rounding: the square of ``ROUNDING``."""
EXACTLY = 1e-13
"""Squares of what a sum of columns may differ from 1 by, in units of the weights."""


@dataclass(frozen=True)
class FixedCoordinates:
    """Columns U that X and the response are combinations of.

    X_j = base_j U_j + centre_j 1, where the constant is 1 = U one; where none of these columns make the
    constant, U is X itself.

    Attributes
    ----------
    gram : (p, p) array
        U'WU.
    to_U : (p + 2, p) array
        U as combinations of [1, X − c, y − c].
    to_y : (p + 2,) array
        The response less its centre likewise.
    base, one : (p,) arrays
    centre : (p + 1,) array
        That of the response last; 0 for columns that aren't centred.
    """

    gram: Array
    to_U: Array
    to_y: Array
    base: Array
    one: Array
    centre: Array

    @staticmethod
    def of(moments: Moments) -> "FixedCoordinates":
        """Those of a model: about the centre where the intercept or a factor's indicators are the constant.

        Where columns add up to the constant, those after them are centred, and those before are not.
        """
        p, centre = len(moments.names) - 1, moments.centre
        spread = np.diag(moments.AA)[1 : p + 1]
        to_U, to_y, base, one = np.zeros((p + 2, p)), np.zeros(p + 2), np.ones(p), np.zeros(p)
        to_U[1 : p + 1] = np.eye(p)
        to_y[-1] = 1.0
        off = np.zeros(p + 1)
        if p > 0 and centre[0] != 0 and spread[0] <= 1e-24 * centre[0] ** 2 * moments.AA[0, 0]:
            to_U[:, 0] = 0.0
            to_U[0, 0] = one[0] = 1.0
            base[0] = 0.0
            off = centre
        else:
            to_U[0] = centre[:p]
            ones = _adding_up_to_one(
                to_U.T @ moments.AA @ to_U, to_U.T @ moments.AA[0], float(moments.AA[0, 0])
            )
            if ones is None:
                to_y[0] = centre[p]
            else:
                to_U[0, ones.stop :] = 0.0
                one[ones] = 1.0
                off = np.where(np.arange(p + 1) < ones.stop, 0.0, centre)
        return FixedCoordinates(to_U.T @ moments.AA @ to_U, to_U, to_y, base, one, off)

    @property
    def T(self) -> Array:
        """X = UT."""
        return np.diag(self.base) + np.outer(self.one, self.centre[:-1])

    @cached_property
    def sizes(self) -> Array:
        """Lengths of the columns of U; 1 for columns of zeros."""
        size = np.sqrt(np.maximum(np.diag(self.gram), 0.0))
        return np.where(size > 0, size, 1.0)

    @cached_property
    def kept(self) -> Ints:
        """Columns of X that earlier ones don't determine.

        By the tolerance for the columns as they are, as of rows in memory, and beyond the rounding of sums.
        """
        root = gram_root(self.gram / self.sizes[:, None] / self.sizes)
        raw = (root * self.sizes) @ self.T
        lengths = np.linalg.norm(raw, axis=0)
        kept = first_independent(raw / np.where(lengths > 0, lengths, 1.0))
        return kept[first_independent(root[:, kept], ROUNDING)]

    def shares(self, kept: Ints) -> Array:
        """What the other columns of U are of those kept, (kept, others)."""
        others = np.setdiff1d(np.arange(len(self.base)), kept)
        if len(others) == 0 or len(kept) == 0:
            return np.zeros((len(kept), len(others)))
        unit = self.gram / self.sizes[:, None] / self.sizes
        share = np.linalg.solve(unit[np.ix_(kept, kept)], unit[np.ix_(kept, others)])
        share[np.abs(share) < SHARE] = 0.0
        return share / self.sizes[kept][:, None] * self.sizes[others]

    def own_part(self, kept: Ints) -> Array:
        """Share of the length of each column kept that the other ones leave of it, (r,)."""
        unit = self.gram / self.sizes[:, None] / self.sizes
        inverse = np.linalg.pinv(unit[np.ix_(kept, kept)], hermitian=True, rcond=1e-16)
        return 1.0 / np.sqrt(np.maximum(np.diag(inverse), 1.0))

    def of_kept(self, kept: Ints) -> tuple[Array, Array]:
        """The same of the columns kept alone: T, (r, r) upper triangular, and what centring took off y."""
        others = np.setdiff1d(np.arange(len(self.base)), kept)
        one = self.one[kept] + self.shares(kept) @ self.one[others]
        T = np.diag(self.base[kept]) + np.outer(one, self.centre[kept])
        return T, one * self.centre[-1]

    def null_space(self, kept: Ints) -> Array:
        """Combinations of the columns of X that are 0 in every row, (others, p)."""
        others = np.setdiff1d(np.arange(len(self.base)), kept)
        out = np.zeros((len(others), len(self.base)))
        out[:, kept] = -self.shares(kept).T
        out[np.arange(len(others)), others] = 1.0
        return np.linalg.solve(self.T, out.T).T


def _adding_up_to_one(gram: Array, sums: Array, total: float) -> slice | None:
    """Neighbouring columns of 0 and 1 that add up to the constant, such as all levels of a factor."""
    is_binary = np.abs(np.diag(gram) - sums) <= EXACTLY * total
    for first in np.flatnonzero(is_binary):
        share = np.cumsum(sums[first:]) / total
        last = first + int(np.searchsorted(share, 1.0 - 1e-9)) + 1
        own = slice(int(first), int(last))
        if last > len(sums) or not is_binary[own].all():
            continue
        if abs(float(gram[own, own].sum()) - 2.0 * float(sums[own].sum()) + total) <= EXACTLY * total:
            return own
    return None


def gram_root(gram: Array) -> Array:
    """A square matrix with this Gram matrix; columns of zeros and directions of rounding are exactly 0."""
    size = np.sqrt(np.maximum(np.diag(gram), 0.0))
    unit = np.where(size > 0, size, 1.0)
    values, vectors = np.linalg.eigh(gram / unit[:, None] / unit)
    values[values < NOTHING] = 0.0
    root = (np.sqrt(values)[:, None] * vectors.T) * unit
    root[:, size == 0.0] = 0.0
    return np.asarray(root)
