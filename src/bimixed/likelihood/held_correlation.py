"""The deviance as a function of a correlation: :mod:`bimixed.likelihood.constrained` for two coefficients.

Logarithms of the two sds keep their signs, and a correlation its own; the price is that an sd of 0 is out of
reach. Points where one is 0 are therefore given, and one that has all but vanished gets a direction anew.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bimixed.covariance import Array, lower_root
from bimixed.likelihood.constrained import Base, Ints, failed
from bimixed.likelihood.held import Held, hold

COLLAPSED = 1e-3
"""Relative sds below this are looked at for directions that they have lost."""
NOTHING = -25.0
"""Stands for the logarithm of 0."""
LENGTHS = (0.3, 0.1, 0.03, 0.01, 0.003)
"""Relative sds that they may have instead."""


@dataclass(frozen=True)
class HeldCorrelation(Base):
    """c = the arc sine of a correlation.

    z: other entries of θ, T' from its third row on, logarithms of the two sds over σ.

    Attributes
    ----------
    collapsed : tuple of arrays
        Points where one of the sds is 0 and the rest at its best: their deviance is the same for every c,
        and no correlation's least deviance is higher.
    seeking : bool
        Whether there are any alternatives.
    """

    collapsed: tuple[Array, ...] = ()
    seeking: bool = True
    lower: float = -0.5 * np.pi
    upper: float = 0.5 * np.pi

    @cached_property
    def _rest(self) -> tuple[Ints, Ints]:
        rows, cols = np.tril_indices(len(self.T_start))
        return rows[rows > 1], cols[rows > 1]

    def alternatives(self, q: Array) -> list[Array]:
        """No sd at all; and some of an sd that is all but 0, along the best direction with the correlation.

        A row of T without length has no direction, and the one that it had on its way to 0 may lead up where
        another, as far as the correlation leaves it free, leads down.
        """
        if not self.seeking:
            return []
        without = [np.append(known[:-1], q[-1]) for known in self.collapsed]
        return [*without, *self._turned(q)]

    def without(self, lost: int) -> Array:
        """The start with one of the sds 0."""
        q = self.start
        q[lost - 3] = NOTHING
        return q

    def _turned(self, q: Array) -> list[Array]:
        T = self._factor(q)
        if len(T) == 2 or q[-3:-1].min() > np.log(COLLAPSED) or abs(np.cos(q[-1])) < COLLAPSED:
            return []
        lost = int(np.argmin(q[-3:-1]))
        T[lost] = 0.0
        theta = self.assembled(q, T)
        at = self.at(theta)
        if at is None or not T[1 - lost].any():
            return []
        slope = self.block_slopes(T, hold(at).H)[lost]
        axes = _axes(slope, T[1 - lost] / np.linalg.norm(T[1 - lost]), float(q[-1]), lost)
        if axes is None:
            return []
        rest = T[2:] @ axes
        rest[:, 2:] = lower_root(rest[:, 2:])
        T[2:] = rest
        moved = np.tile(q, (len(LENGTHS), 1))
        moved[:, len(self.others) : -3] = T[self._rest]
        moved[:, len(q) - 3 + lost] = np.log(LENGTHS)
        return list(moved)

    @property
    def start(self) -> Array:
        T = self.T_start
        second = np.hypot(T[1, 0], T[1, 1])
        last = [np.log(T[0, 0]), np.log(second), np.arctan2(T[1, 0], T[1, 1])]
        return np.concatenate([self.optimum[self.others], T[self._rest], last])

    @property
    def columns(self) -> list[Ints]:
        return [*self.other_columns, *self.block_columns(*self._rest, 2)]

    def value(self, c: float) -> float:
        return float(np.sin(c))

    def _factor(self, q: Array) -> Array:
        T = np.zeros_like(self.T_start)
        T[self._rest] = q[len(self.others) : -3]
        first, second = np.where(q[-3:-1] > 0.8 * NOTHING, np.exp(np.minimum(q[-3:-1], 30.0)), 0.0)
        T[0, 0], T[1, 0], T[1, 1] = first, second * np.sin(q[-1]), second * np.cos(q[-1])
        return T

    def theta(self, q: Array) -> Array:
        return self.assembled(q, self._factor(q))

    def __call__(self, q: Array) -> tuple[float, Array]:
        T = self._factor(q)
        theta = self.assembled(q, T)
        at = self.at(theta)
        if at is None:
            return failed(q)
        held: Held = hold(at)
        by_T = self.block_slopes(T, held.H)
        last = [
            T[0, 0] * by_T[0, 0],
            T[1, 0] * by_T[1, 0] + T[1, 1] * by_T[1, 1],
            T[1, 1] * by_T[1, 0] - T[1, 0] * by_T[1, 1],
        ]
        return held.deviance, np.concatenate([self.slopes(theta, held.H), by_T[self._rest], last])


def _axes(slope: Array, other: Array, angle: float, lost: int) -> Array | None:
    """An orthonormal basis, in columns, whose first two axes are those of T' with the lost row steepest down.

    The lost row is to have the direction sin(angle)·other + cos(angle)·w, w orthogonal to the other row; None
    where it leads up.
    """
    across = slope - (slope @ other) * other
    length = float(np.linalg.norm(across))
    if length == 0.0:
        return None
    w = -across / length
    u = np.sin(angle) * other + np.cos(angle) * w
    if slope @ u >= 0.0:
        return None
    first, second = (other, w) if lost == 1 else (u, (other - np.sin(angle) * u) / np.cos(angle))
    basis = np.linalg.qr(np.column_stack([first, second, np.eye(len(slope))]))[0][:, : len(slope)]
    basis[:, 0], basis[:, 1] = first, second
    return basis
