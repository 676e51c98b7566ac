"""A marginal posterior packed for the compiled kernels."""

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from math import lgamma, log, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts
from bimixed.marginal.kernels.elimination import Structure
from bimixed.marginal.kernels.entry import pack
from bimixed.marginal.kernels.given import Fixed
from bimixed.marginal.kernels.one_factor import OneFactor, in_stretches
from bimixed.marginal.kernels.parameters import FAMILIES, Parameters
from bimixed.marginal.posterior import MarginalPosterior
from bimixed.marginal.scales import Coordinates, Scale

WIDEST = 250
"""Columns of a dense trailing part up to which the kernels serve; LAPACK's own inverse is faster beyond."""

MANY = 1_000_000
"""Random effects to draw from which on threads share them."""
FILLED_UP = 0.4
"""Share of a coupling's pairs from which on loops over whole rows take less than lists of pairs."""

Ints = NDArray[np.int64]


def is_compiled(cp: CrossProducts) -> bool:
    """Whether the kernels can take these cross-products."""
    return cp.analysis is None and cp.width <= WIDEST and cp.basis.absorbed is None


@dataclass(frozen=True)
class CompiledPosterior:
    """log p(w | y), z = centre + root w, by compiled kernels.

    Attributes
    ----------
    posterior : MarginalPosterior
    structure : OneFactor or Structure
    fixed, parameters : NamedTuples of arrays
    """

    posterior: MarginalPosterior
    structure: OneFactor | Structure
    fixed: Fixed
    parameters: Parameters

    @staticmethod
    def of(posterior: MarginalPosterior) -> "CompiledPosterior":
        """Pack a posterior, unwhitened; ``is_compiled`` tells whether that is possible."""
        m = posterior.coordinates.size
        parameters = _parameters(posterior, np.zeros(m), np.eye(m))
        return CompiledPosterior(posterior, structure_of(posterior.cp), _fixed(posterior), parameters)

    def whitened(self, centre: Array, root: Array) -> "CompiledPosterior":
        """The same posterior in other coordinates."""
        parameters = self.parameters._replace(centre=np.array(centre), root=np.array(root, order="C"))
        return replace(self, parameters=parameters)

    @property
    def size(self) -> int:
        return len(self.parameters.centre)

    @cached_property
    def buffer(self) -> Array:
        """All of it for the C function."""
        return pack((self.structure, self.fixed, self.parameters))

    @property
    def entry(self) -> Any:
        """The C function ``logp`` of this structure, compiled when it is first needed on a machine."""
        return _module(self.structure).logp

    def load(self) -> None:
        """Have ready what is called below: from the cache, or compiled, which takes half a minute at most."""
        assert self._call is not None  # compiled when it is asked for
        self.draw_effects(np.empty((0, self.size)), np.random.default_rng(0))

    def coordinates(self, w: Array) -> Array:
        """z of w, (..., m)."""
        return self.parameters.centre + w @ self.parameters.root.T

    def __call__(self, w: Array) -> tuple[float, Array]:
        """Log-density and slope in w; minus infinity where it can't be computed."""
        w, slope, value = np.ascontiguousarray(w, dtype=np.float64), np.empty(self.size), np.empty(1)
        failed = self._call(self.size, _address(w), _address(slope), _address(value), self.buffer.ctypes.data)
        return (-np.inf, np.zeros(self.size)) if failed else (float(value[0]), slope)

    @cached_property
    def _call(self) -> Any:
        return self.entry.ctypes

    def draw_effects(
        self, Z: Array, rng: np.random.Generator, cores: int | None = None
    ) -> tuple[Array, dict[int, Array]]:
        """β (draws, rank) and, by place, b (draws, L, K) in the coordinates of the cross-products.

        By ``cores`` threads where there is much to draw, default as many as there are cores.
        """
        cp = self.posterior.cp
        n_effects = sum(f.n_levels * f.template.size for f in cp.chain) + cp.width
        normal = rng.standard_normal((len(Z), cp.p + n_effects))
        gamma, b = np.empty((len(Z), cp.p)), np.empty((len(Z), n_effects))
        Z, kernel = np.ascontiguousarray(Z), _module(self.structure).draw_effects

        def draw(rows: slice) -> None:
            own = Z[rows], normal[rows], gamma[rows], b[rows]
            kernel(self.structure, self.fixed, self.parameters, *own)

        if b.size < MANY:
            draw(slice(None))
        else:
            workers = cores or os.cpu_count() or 1
            edges = np.linspace(0, len(Z), workers + 1).astype(int)
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(draw, map(slice, edges, edges[1:])))
        own = [(f.place, f.n_levels, f.template.size) for f in cp.chain]
        own += [(t.place, t.n_levels, t.template.size) for t in cp.trailing]
        effects, at = {}, 0
        for place, L, K in own:
            effects[place] = b[:, at : at + L * K].reshape(len(Z), L, K)
            at += L * K
        return cp.basis.beta_ols + cp.basis.linear(gamma.T).T, effects


def _module(structure: OneFactor | Structure) -> Any:
    if isinstance(structure, OneFactor):
        from bimixed.marginal.kernels import one_factor_entry

        return one_factor_entry
    from bimixed.marginal.kernels import chain_entry

    return chain_entry


def _address(x: Array) -> Any:
    return x.ctypes.data_as(ctypes.POINTER(ctypes.c_double))


def structure_of(cp: CrossProducts) -> OneFactor | Structure:
    """Cross-products as the kernels take them."""
    J = len(cp.chain)
    if J == 1 and not cp.width:
        own = cp.chain[0]
        return OneFactor(in_stretches(own.A), in_stretches(own.ZR), np.ascontiguousarray(cp.RR))
    at, to = np.zeros((J, 5), np.int64), np.zeros((J, J, 3), np.int64)
    A, ZR, N, C = _Flat(np.float64), _Flat(np.float64), _Flat(np.float64), _Flat(np.float64)
    starts, columns = _Flat(np.int64), _Flat(np.int64)
    parents, maps = _Flat(np.int64), _Flat(np.int64)
    for j, (f, mine) in enumerate(zip(cp.chain, _couplings(cp), strict=True)):
        at[j] = A.add(f.A), ZR.add(f.ZR), starts.add(mine.starts), columns.add(mine.columns), C.add(mine.C)
        for i, parent in enumerate(f.parents):
            to[j, j + 1 + i] = parents.add(parent), N.add(f.N[i]), maps.add(mine.maps[i])
    return Structure(
        size=np.array([t.size for t in cp.templates], np.int64),
        chain=np.array([[f.place, f.n_levels] for f in cp.chain], np.int64).reshape(-1, 2),
        trailing=np.array([[t.place, t.start, t.n_levels] for t in cp.trailing], np.int64).reshape(-1, 3),
        at=at,
        to=to,
        parents=parents.joined(),
        maps=maps.joined(),
        pair_starts=starts.joined(),
        pair_columns=columns.joined(),
        A=A.joined(),
        chain_ZR=ZR.joined(),
        N=N.joined(),
        C=C.joined(),
        S=np.ascontiguousarray(cp.dense_S()),
        ZR=np.ascontiguousarray(cp.ZR),
        RR=np.ascontiguousarray(cp.RR),
    )


@dataclass(frozen=True)
class _Coupling:
    """A chain factor's pairs with trailing columns: filled up with zeros where most are there."""

    starts: Ints
    columns: Ints
    C: Array
    maps: list[Ints]
    is_full: bool


def _couplings(cp: CrossProducts) -> list[_Coupling]:
    """By chain factor. Where levels meet all columns, so do the levels that they are nested in."""
    made: list[_Coupling] = []
    for f in reversed(cp.chain):
        L, q, pairs = f.n_levels, cp.width, f.pairs
        if not q or len(pairs) < FILLED_UP * L * q or not all(later.is_full for later in made):
            maps = [
                parent[pairs.rows] * q + pairs.columns if later.is_full else own
                for parent, own, later in zip(f.parents, f.maps, made, strict=True)
            ]
            made.insert(0, _Coupling(pairs.row_starts, pairs.columns, f.C.T, maps, False))
            continue
        C = np.zeros((f.template.size, L * q))
        C[:, pairs.rows * q + pairs.columns] = f.C.T
        columns = np.arange(q)
        maps = [(parent[:, None] * q + columns).ravel() for parent in f.parents]
        made.insert(0, _Coupling(np.arange(L + 1) * q, np.tile(columns, L), C, maps, True))
    return made


class _Flat:
    """Arrays put one after the other."""

    def __init__(self, dtype: type):
        self.parts: list[np.ndarray] = [np.empty(0, dtype)]
        self.dtype, self.length = dtype, 0

    def add(self, part: np.ndarray) -> int:
        """Append; returns where it starts."""
        start = self.length
        self.parts.append(np.asarray(part, self.dtype).ravel())
        self.length += self.parts[-1].size
        return start

    def joined(self) -> np.ndarray:
        return np.concatenate(self.parts)


def _fixed(posterior: MarginalPosterior) -> Fixed:
    cp, prior = posterior.cp, posterior.fixef
    root = np.sqrt(prior.precision)
    away = np.where(prior.is_flat, 0.0, prior.mean - cp.basis.beta_ols)
    flat = int(prior.is_flat.sum())
    constant = (cp.n - flat) * log(2.0 * pi) + cp.basis.log_det + prior.log_det
    half = root[:, None] * cp.basis.linear(np.eye(cp.p))
    return Fixed(np.ascontiguousarray(half), root * away, np.array([float(cp.n - cp.p), constant]))


def _parameters(posterior: MarginalPosterior, centre: Array, root: Array) -> Parameters:
    coordinates = posterior.coordinates
    widest = max(coordinates.sizes, default=0)
    inverse = np.zeros((len(coordinates.sizes), widest, widest))
    for place, K in enumerate(coordinates.sizes):
        inverse[place, :K, :K] = np.linalg.inv(posterior.covariates.M[place])
    family, prior = _priors(coordinates)
    blocks = [[b.place, b.rows.start or 0, b.size, b.start] for b in coordinates.blocks]
    return Parameters(
        size=np.array(coordinates.sizes, np.int64),
        blocks=np.array(blocks, np.int64).reshape(-1, 4),
        family=family,
        prior=prior,
        M_inverse=inverse,
        unit=np.array([posterior.cp.weight_scale**-0.5]),
        centre=np.array(centre, dtype=np.float64),
        root=np.ascontiguousarray(root, dtype=np.float64),
    )


def _priors(coordinates: Coordinates) -> tuple[np.ndarray, Array]:
    family = np.full(coordinates.size, -1, np.int64)
    prior = np.zeros((coordinates.size, 4))
    for block in coordinates.blocks:
        for k, scale in enumerate(block.scales):
            family[block.start + k], prior[block.start + k] = _of_scale(scale)
        for n, (_, j) in enumerate(block.pairs):
            b = block.eta + (block.size - 2 - j) / 2.0
            constant = lgamma(2 * b) - 2 * lgamma(b) - (2 * b - 1) * log(2.0)
            prior[block.start + block.size + n] = b, 0.0, constant, 0.0
    family[-1], prior[-1] = _of_scale(coordinates.sigma)
    return family, prior


def _of_scale(scale: Scale) -> tuple[int, tuple[float, float, float, float]]:
    """Number of the family, its parameters, the constant of its log-density, and where it turns."""
    values = [*scale.prior.parameters.values(), 0.0, 0.0]
    # the density of a uniform one in z doesn't depend on the bounds
    constant = 0.0 if scale.prior.family == "uniform" else scale.log_constant
    return FAMILIES.index(scale.prior.family), (values[0], values[1], constant, scale.turn)
