"""What the data can't tell, and directions without variance: found, and put into words."""

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import block_diag

from bimixed.covariance import Array, null_directions
from bimixed.crossproducts import CrossProducts
from bimixed.design import Design, RandomFactor, far_slopes, uncorrelated_and_far
from bimixed.design.fixed import ALIASED
from bimixed.fixed_basis import root_weights
from bimixed.likelihood.coordinates import COLLINEAR, Coordinates
from bimixed.results.undetermined import Undetermined

Bools = NDArray[np.bool_]

FAR = 1e-10
"""Share of a covariate that others leave of it at which its own rounding shows: 1e10 sds from 0."""
FAR_BESIDE = 1e4
"""Mean of a covariate, in its sds, at which digits are lost where the intercept isn't identified."""
CONFOUNDED = 1e-9
"""Eigenvalue of the unit-diagonal information below which a direction of variances counts as flat."""


def unidentified_coefficients(
    cp: CrossProducts, coordinates: Coordinates, wide: Mapping[int, Array]
) -> dict[int, list[int]]:
    """Random coefficients whose columns lie in the span of the fixed effects.

    Every value of their variance gives the same restricted likelihood: the fixed effects already take
    up all that the random ones could. Q is orthonormal, so what Q leaves of Z is tr Z'WZ − ‖Z'WQ‖².

    Parameters
    ----------
    cp : CrossProducts
    coordinates : Coordinates
    wide : mapping
        What absorbed fixed effects take, as :func:`taken_by_wide` has it.

    Returns
    -------
    dict
        Place of the factor → coefficients.
    """
    found: dict[int, list[int]] = {}
    for place, (M, size) in enumerate(zip(coordinates.M, coordinates.sizes, strict=True)):
        ZQ = _cross_with_basis(cp, place)
        ZQ = np.linalg.inv(M).T @ ZQ if len(M) > 1 else ZQ / M
        taken = np.einsum("lkp,lkp->k", ZQ, ZQ) + wide.get(place, 0.0)
        found[place] = _aliased(cp.n * size**2, taken)
    return {place: coefficients for place, coefficients in found.items() if coefficients}


def taken_by_wide(design: Design) -> dict[int, Array]:
    """What wide fixed effects take up of the columns of each coefficient, by place, (K,) each."""
    wide = design.wide
    if wide is None:
        return {}
    _, root = root_weights(design)
    projection, taken = wide.projection(root), {}
    for place, factor in enumerate(design.factors):
        Z = factor.matrix() if root is None else sp.csr_array(sp.diags_array(root) @ factor.matrix())
        taken[place] = projection.taken(Z).reshape(-1, factor.n_coefficients).sum(axis=0)
    return taken


def _aliased(total: Array, taken: Array) -> list[int]:
    return np.flatnonzero(total - taken <= ALIASED * total).tolist()


def undetermined_fixef(cp: CrossProducts, unidentified: Mapping[int, list[int]]) -> Bools:
    """Which fixed effects have a standard error that depends on an unidentified variance, (rank,).

    Absorbed ones all count as such.
    """
    affected = np.zeros(cp.p, dtype=bool)
    for place, coefficients in unidentified.items():
        rows = _cross_with_basis(cp, place)[:, coefficients].reshape(-1, cp.p)
        # in units of the coefficient's own least-squares standard error
        unit = np.linalg.norm(cp.basis.linear(np.eye(cp.p)), axis=1)
        share = np.abs(cp.basis.linear(rows.T)).max(axis=1) / unit
        affected |= share > 1e-8 * max(float(share.max(initial=0.0)), 1e-300)
    absorbed = cp.basis.absorbed
    if absorbed is None:
        return affected
    both = np.full(cp.rank, bool(unidentified))
    both[absorbed.others] = affected
    return both


def _cross_with_basis(cp: CrossProducts, place: int) -> Array:
    """Z'WQ of one factor, (L, K, p)."""
    for f in cp.chain:
        if f.place == place:
            return f.ZR[:, :, : cp.p]
    t = next(t for t in cp.trailing if t.place == place)
    return cp.ZR[t.columns, : cp.p].reshape(t.n_levels, t.template.size, cp.p)


def confounded_coefficients(
    design: Design,
    coordinates: Coordinates,
    undetermined: Mapping[int, Undetermined],
    theta: Array,
    free: Bools,
    information: Array,
    at_bound: Bools,
) -> dict[int, list[int]]:
    """Random coefficients along whose variances the likelihood is flat at the optimum.

    Two groups with the same levels, say: only the sum of their variances is determined. Judged on the
    average information of the entries of H, which is singular exactly then, in the factors whose T is
    regular (a singular T has redundant entries, which is no lack of identification). Directions that the
    structure of Z leaves undetermined are known already.
    """
    regular, start = np.zeros(len(theta), dtype=bool), 0
    bound = np.zeros(len(theta), dtype=bool)
    bound[np.flatnonzero(free)] = at_bound
    for factor in design.factors:
        here = slice(start, start + factor.template.n_theta)
        diagonal = np.abs(theta[here][factor.template.is_diagonal])
        regular[here] = not bound[here].any() and diagonal.min(initial=np.inf) > 0
        start = here.stop
    keep = regular[free]
    known = undetermined_entries(design, undetermined)[free]
    information = information + np.trace(information) / max(len(information), 1) * known @ known.T
    curvature = np.diag(information)[keep]
    if len(curvature) == 0 or curvature.min() <= 0:
        return {}
    unit = np.sqrt(curvature)
    values, vectors = np.linalg.eigh(information[np.ix_(keep, keep)] / np.outer(unit, unit))
    found: dict[int, set[int]] = {}
    for vector in vectors[:, values < CONFOUNDED].T:
        step = np.zeros(len(theta))
        step[free & regular] = vector / unit
        moves = _variance_moves(design, coordinates, step)
        largest = max(float(np.abs(move).max()) for move in moves)
        for place, move in enumerate(moves):
            rows = np.flatnonzero(np.abs(move).max(axis=1) > 0.1 * largest)
            found.setdefault(place, set()).update(rows.tolist())
    return {place: sorted(rows) for place, rows in found.items() if rows}


def undetermined_entries(design: Design, undetermined: Mapping[int, Undetermined]) -> Array:
    """Directions of the entries of H that the likelihood doesn't depend on, (entries, m)."""
    parts = []
    for place, factor in enumerate(design.factors):
        rows, cols = factor.template.positions
        own = undetermined.get(place)
        parts.append(np.zeros((len(rows), 0)) if own is None else own.directions[:, rows, cols].T)
    return np.asarray(block_diag(*parts))


def _variance_moves(design: Design, coordinates: Coordinates, step: Array) -> list[Array]:
    """What a step in the entries of the H of b̃ does to those of b, covariates of size 1, by place."""
    moves, start = [], 0
    for place, factor in enumerate(design.factors):
        lower = factor.template.factor(step[start : start + factor.template.n_theta])
        move = coordinates.covariance(place, lower + np.tril(lower, -1).T)
        moves.append(move * np.outer(coordinates.sizes[place], coordinates.sizes[place]))
        start += factor.template.n_theta
    return moves


def confounded_message(design: Design, confounded: dict[int, list[int]]) -> str:
    """Which variances can't be told apart, and what to do."""
    names = [
        f"{design.factors[place].key} ({', '.join(design.factors[place].names[k] for k in rows)})"
        for place, rows in confounded.items()
    ]
    return (
        f"The variances of {' and '.join(names)} can't be told apart: the likelihood is the same for "
        "many of their values (the groups have the same levels, or a coefficient is determined by "
        "others within every level). They are NaN. Remove one of the terms or coefficients."
    )


def identification_message(factor: RandomFactor, coefficients: list[int]) -> str:
    """Why a variance is not identified, and what to do."""
    names = " and ".join(repr(factor.names[k]) for k in coefficients)
    hints = [
        f" {name} lies so far from 0 that its slope can hardly be told from the intercept here: centre it, "
        f"I({name} - {mean:.10g})."
        for name, mean, _ in far_slopes(factor, FAR_BESIDE)
    ]
    return (
        f"The variance of {factor.key} ({names}) is not identified: the fixed effects already determine "
        f"every level of {factor.key}, so they take up all that the random effects could explain, and every "
        "value of the variance fits equally well. It is NaN, and so are standard errors that depend on it. "
        f"To estimate it, remove {factor.key} (or a factor within its levels) from the fixed part; to keep "
        f"fixed effects, remove {' and '.join(factor.sources)}.{''.join(hints)}"
    )


def singular_messages(
    design: Design, coordinates: Coordinates, T: list[Array], skip: Mapping[int, list[int]]
) -> list[str]:
    """One sentence for each direction of the random effects without variance; T of b̃ by place."""
    messages = []
    for place, factor in enumerate(design.factors):
        keep = [k for k in range(factor.n_coefficients) if k not in skip.get(place, [])]
        if not keep:
            continue
        if len(keep) == len(T[place]) and _is_regular(T[place]):
            continue
        H = (T[place] @ T[place].T)[np.ix_(keep, keep)]
        M, sizes = coordinates.M[place][np.ix_(keep, keep)], coordinates.sizes[place]
        null = null_directions(H, np.ones(len(keep)))
        if len(null) == len(keep) > 1:
            messages.append(_all_singular_message(factor))
            continue
        for own in null:
            direction = np.linalg.solve(M.T, own)
            # what each coefficient adds to a row tells which take part, in the data's units
            share = np.abs(direction / np.where(sizes[keep] > 0.0, sizes[keep], 1.0))
            direction[share < 1e-3 * share.max()] = 0.0
            messages.append(_singular_message(factor, keep, direction / np.linalg.norm(direction)))
    return messages


def _is_regular(T: Array) -> bool:
    """A cheap sufficient test: the least singular value is at least |det T| over ‖T‖ to the K − 1."""
    return bool(np.prod(np.diagonal(T)) > 1e-3 * np.linalg.norm(T) ** (len(T) - 1))


def _all_singular_message(factor: RandomFactor) -> str:
    return (
        f"Singular fit: the estimated variances of {' and '.join(map(repr, factor.names))} between levels of "
        f"{factor.key} are 0 (the data show no more variation between them than chance). The estimates "
        f"are valid; to simplify, leave {' and '.join(factor.sources)} out, or fit with method='nuts', whose "
        "prior keeps them above 0."
    )


def _singular_message(factor: RandomFactor, keep: list[int], direction: Array) -> str:
    large = [(factor.names[k], w) for k, w in zip(keep, direction, strict=True) if w != 0.0]
    if len(large) == 1:
        name = large[0][0]
        far = uncorrelated_and_far(factor)
        if far:
            column, mean = far[0]
            return (
                f"Singular fit: the estimated variance of {name!r} between levels of {factor.key} is 0, in a "
                f"model whose slopes and intercepts are independent at {column} = 0, far from the data, and "
                f"nowhere else. Centre the covariate, I({column} - {mean:.4g}), or write '|' for '||'."
            )
        return (
            f"Singular fit: the estimated variance of {name!r} between levels of {factor.key} is 0 "
            f"(the data show no more variation between them than chance). The estimates are valid; "
            f"to simplify, leave {name!r} out of {' and '.join(factor.sources)}, or fit with "
            f"method='nuts', whose prior keeps it above 0."
        )
    if large[0][1] < 0:
        large = [(name, -w) for name, w in large]
    combination = " ".join(f"{'-' if w < 0 else '+'} {abs(w):.3g}·{name}" for name, w in large).removeprefix(
        "+ "
    )
    return (
        f"Singular fit: the combination {combination} does not vary between levels of {factor.key} "
        f"(a correlation of ±1, or a variance of 0). The estimates are valid, but the correlation "
        f"is not to be interpreted; simplify with '||' in place of '|', or fit with method='nuts', "
        f"whose prior keeps it inside."
    )


def ill_conditioned_message(factor: RandomFactor, independence: Array) -> str | None:
    """Random coefficients whose covariates can hardly be told apart in rounded arithmetic, or None.

    Parameters
    ----------
    factor : RandomFactor
    independence : (K,) array
        Share of each covariate that others leave of it.
    """
    for block in factor.template.sub_blocks():
        if COLLINEAR < independence[block].min() < FAR:
            names = ", ".join(factor.names[block])
            return (
                f"The covariates of the random coefficients {names} of {factor.key} are nearly the same "
                "up to a factor (a covariate far from 0 beside an intercept, such as a date): their "
                "covariance can't be computed to enough digits, and estimates may be wrong. Centre the "
                "covariates, or subtract a constant near their mean."
            )
    return None
