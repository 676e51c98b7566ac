"""Whether one model is a special case of another: fixed parts by column space, random parts by covariances.

A random part is the family V = σ²W⁻¹ + Σ h_k Z E_k Z' with free h. One family contains another only if the
matrices of the other are linear combinations of its own, which products with a few random vectors show:
nothing has n rows and n columns. The combinations tell, too, how many directions of the larger model's random
effects have no variance under the smaller one.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bimixed import dense
from bimixed.covariance import Array
from bimixed.crossproducts import Preparation
from bimixed.design import Design, LevelRows, RandomFactor

OUTSIDE = 1e-6
"""Share of a vector outside a space above which it isn't rounding; of a column, about its mean."""
ROUNDING = 1e-10
"""Share of a column, as it is, that isn't rounding."""
REGULAR = 1e-10
"""Of columns of one block, what earlier ones leave of a column at the least."""
PROBES = 3
STRETCH = 256
"""Columns of a wide design that are looked at together."""


def columns_outside(prepared: Preparation, other: Design) -> list[str]:
    """Fixed columns of ``other`` that those of a prepared design, of the same rows, don't span."""
    own, fixed = prepared.design, prepared.fixed
    places = [j for j in other.kept.tolist() if not _same_column(own, other, other.names[j], j)]
    found: list[str] = []
    for first in range(0, len(places), STRETCH):
        here = places[first : first + STRETCH]
        part = other.X[:, here]
        v = part if isinstance(part, np.ndarray) else part.toarray()
        v = v if fixed.root is None else v * fixed.root[:, None]
        size = np.linalg.norm(v, axis=0)
        varying = np.linalg.norm(v - v.mean(axis=0), axis=0)
        left = v if fixed.projection is None else fixed.projection(v)[0]
        for _ in range(2):  # the second takes off what rounding left of the first
            if fixed.Q.shape[1]:
                left = left - dense.product(fixed.Q, dense.product(fixed.Q.T, left))
        outside = np.linalg.norm(left, axis=0) > np.maximum(OUTSIDE * varying, ROUNDING * size)
        found += [other.names[j] for j, out in zip(here, outside, strict=True) if out]
    return found


def _same_column(own: Design, other: Design, name: str, place: int) -> bool:
    """Whether the other design has the same column, under the same name, among those it keeps."""
    if name not in own.names:
        return False
    j = own.names.index(name)
    if j not in own.kept:
        return False
    mine, theirs = own.X[:, [j]], other.X[:, [place]]
    if isinstance(mine, np.ndarray) and isinstance(theirs, np.ndarray):
        return bool(np.array_equal(mine, theirs))
    if isinstance(mine, np.ndarray) or isinstance(theirs, np.ndarray):
        return False
    return bool(abs(mine - theirs).sum() == 0.0)


@dataclass(frozen=True)
class RandomNesting:
    """How the random part of a smaller model lies in that of a larger one.

    Attributes
    ----------
    outside : tuple of str
        Variances and covariances of the smaller model that the larger one doesn't have.
    at_zero : int
        Directions of the larger model's random effects that have no variance under the smaller one.
    """

    outside: tuple[str, ...]
    at_zero: int


def random_nesting(small: Design, large: Design) -> RandomNesting:
    """Compare random parts of two designs of the same rows and weights."""
    if not (small.has_rows and large.has_rows):
        return _by_name(small, large)
    U = np.random.default_rng(0).standard_normal((large.n, PROBES))
    ours = [entry for f in large.factors for entry in _entries(_orthogonal(f), U)]
    basis = np.column_stack([*(e.product for e in ours), _residual(large, U)])
    unit = np.linalg.norm(basis, axis=0)
    unit = np.where(unit > 0.0, unit, 1.0)
    theirs = [entry for f in small.factors for entry in _entries(_orthogonal(f), U)]
    target = np.column_stack([e.product for e in theirs])
    combination = np.linalg.lstsq(basis / unit, target, rcond=None)[0]
    left = np.linalg.norm(target - (basis / unit) @ combination, axis=0)
    size = np.linalg.norm(target, axis=0)
    outside = tuple(e.name for e, out in zip(theirs, left > OUTSIDE * size, strict=True) if out)
    if outside:
        return RandomNesting(outside, 0)
    generic = np.array([e.generic for e in theirs])
    values = ((combination / unit[:, None]) @ generic)[:-1]
    return RandomNesting((), _without_variance(large, values))


def _by_name(small: Design, large: Design) -> RandomNesting:
    """The same where rows aren't known: (co)variances are told by group and coefficient."""
    mine, theirs = ({(f.key, *pair) for f in d.factors for pair in _named(f)} for d in (small, large))
    outside = tuple(f"{key}[{a}{'' if a == b else f',{b}'}]" for key, a, b in sorted(mine - theirs))
    return RandomNesting(outside, sum(a == b for _, a, b in theirs - mine))


def _named(f: RandomFactor) -> list[tuple[str, str]]:
    return [(f.names[i], f.names[j]) for i, j in _pairs(f)]


@dataclass(frozen=True)
class _Entry:
    """One variance or covariance: its name, Z E Z'U as one vector, and a value that it may well have."""

    name: str
    product: Array
    generic: float


def _orthogonal(f: RandomFactor) -> RandomFactor:
    """The same covariances in coordinates in which correlated columns are orthogonal and of length √n.

    Covariates far from 0 look like the constant otherwise.
    """
    if f.is_mixed or f.template.fixed:
        return f
    V, M = f.values, np.zeros((f.n_coefficients, f.n_coefficients))
    for block in f.template.sub_blocks():
        own = V[:, block]
        size = np.linalg.norm(own, axis=0) / np.sqrt(len(own))
        size = np.where(size > 0.0, size, 1.0)
        R = np.linalg.qr(own / size, mode="r") / np.sqrt(len(own))
        regular = len(R) == len(size) and np.abs(np.diag(R)).min() > REGULAR
        M[block, block] = (np.linalg.inv(R) if regular else np.eye(len(size))) / size[:, None]
    rows = f.level_rows
    return replace(f, rows=LevelRows(rows.codes, np.ascontiguousarray(V @ M), rows.n_levels, rows.labels))


def _entries(f: RandomFactor, U: Array) -> list[_Entry]:
    Z = f.matrix()
    inner = np.asarray(Z.T @ U).reshape(f.n_levels, f.n_coefficients, -1)
    scales = np.where(f.scales() > 0.0, f.scales(), 1.0)
    found = []
    for i, j in _pairs(f):
        moved = np.zeros_like(inner)
        moved[:, i] += inner[:, j]
        if i != j:
            moved[:, j] += inner[:, i]
        product = np.asarray(Z @ moved.reshape(-1, U.shape[1])).ravel()
        name = f"{f.key}[{f.names[i]}]" if i == j else f"{f.key}[{f.names[i]},{f.names[j]}]"
        found.append(_Entry(name, product, (1.0 if i == j else 0.3) / (scales[i] * scales[j])))
    return found


def _pairs(f: RandomFactor) -> list[tuple[int, int]]:
    return [(k, k) for k in range(f.n_coefficients)] + f.template.correlated_pairs()


def _residual(design: Design, U: Array) -> Array:
    return (U if design.weights is None else U / design.weights[:, None]).ravel()


def _without_variance(design: Design, values: Array) -> int:
    """Directions without variance of the covariances that these entries make."""
    count, start = 0, 0
    for f in map(_orthogonal, design.factors):
        pairs = _pairs(f)
        H = np.zeros((f.n_coefficients, f.n_coefficients))
        for (i, j), value in zip(pairs, values[start : start + len(pairs)], strict=True):
            H[i, j] = H[j, i] = value
        start += len(pairs)
        scales = f.scales()
        H = H * scales[:, None] * scales
        for block in f.template.sub_blocks():
            least: NDArray[np.float64] = np.linalg.eigvalsh(H[block, block])
            count += int((least < OUTSIDE).sum())
    return count
