"""Covariance parameters that no structure of Z shows: found before any response is looked at.

V depends on the covariance H of a factor through Z_l H Z_l' of every level alone. Directions D with
A_l D A_l = 0 for all l, A_l = Z_l'Z_l, therefore change nothing, whatever H is: they are the null space
of the quadratic form Σ_l tr(A_l D A_l D) = Σ_l ‖Z_l D Z_l'‖².
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bimixed import dense
from bimixed.covariance import Array
from bimixed.crossproducts import CrossProducts
from bimixed.design import Design, RandomFactor
from bimixed.likelihood.coordinates import Coordinates, coordinates
from bimixed.results.undetermined import Undetermined
from bimixed.shortening import listed
from bimixed.trailing_rows import by_level

Ints = NDArray[np.intp]

FLAT = 1e-12
"""Eigenvalue of the form, its diagonal at most 1, below which a direction changes nothing."""
IN_PRODUCTS = 1e-9
"""Share of squares that is rounding, in products that went through other coordinates."""
LOOKED_AT = 50
"""Levels looked at for one whose rows show every covariance."""
FULL = 1e-6
"""Share of the largest eigenvalue that the least has in such a level."""


def undetermined_parts(
    design: Design, cp: CrossProducts, own: Coordinates, left_out: Mapping[int, Sequence[int]]
) -> dict[int, Undetermined]:
    """By place of the factor, where there are any.

    Parameters
    ----------
    design : Design
        As specified.
    cp : CrossProducts
        In these coordinates.
    own : Coordinates
    left_out : mapping
        Place of the factor → coefficients that have no variance to estimate.
    """
    found = {}
    for place, factor in enumerate(design.factors):
        if factor.n_coefficients > 1:
            products = _level_products(cp, place)
            part = _of_factor(factor, products, own.M[place], own.sizes[place], left_out.get(place, []))
            if part is not None:
                found[place] = part
    return found


def structural_notes(design: Design, posterior: bool = False) -> list[str]:
    """Covariances that the rows don't show, or hardly; of a posterior the former."""
    if all(factor.n_coefficients == 1 for factor in design.factors):
        return []
    if not design.has_rows:
        return _notes_of_sums(design, posterior)
    own, notes = coordinates(design, None, {}), []
    for place, factor in enumerate(design.factors):
        if factor.n_coefficients == 1:
            continue
        values = factor.values @ own.M[place]
        products = by_level(factor.codes, factor.n_levels, values, values)
        part = _of_factor(factor, products, own.M[place], own.sizes[place], [])
        if part is not None:
            notes.append(prior_message(factor, part) if posterior else undetermined_message(factor, part))
        elif not posterior:
            notes += _constant_slopes(factor)
    return notes


def _notes_of_sums(design: Design, posterior: bool) -> list[str]:
    from bimixed.likelihood.setup import set_up

    tell = prior_message if posterior else undetermined_message
    found = set_up(design, False).undetermined
    return [tell(design.factors[place], part) for place, part in found.items()]


def _constant_slopes(factor: RandomFactor) -> list[str]:
    """Slopes of which only the variance between levels tells."""
    if "Intercept" not in factor.names:
        return []
    return [
        f"The random slope {name} does not vary within any level of {factor.key}, so a level shows nothing "
        "of its slope: slope and intercept are told apart only by how the variance between levels changes "
        f"with {name}. Keep it in the fixed part, and leave it out of {' and '.join(factor.sources)}."
        for name in (factor.names[k] for k in _constant_in_rows(factor))
    ]


def _level_products(cp: CrossProducts, place: int) -> Array:
    """Z'WZ of each level, (L, K, K)."""
    for f in cp.chain:
        if f.place == place:
            return f.A
    t = next(t for t in cp.trailing if t.place == place)
    K, S = t.template.size, cp.S[t.columns, t.columns]
    if isinstance(S, np.ndarray):
        blocks = S.reshape(t.n_levels, K, t.n_levels, K)
        every = np.arange(t.n_levels)
        return np.asarray(blocks[every, :, every])
    entries, out = S.tocoo(), np.zeros((t.n_levels, K, K))
    row, column = entries.coords
    own = row // K == column // K
    out[row[own] // K, row[own] % K, column[own] % K] = entries.data[own]
    return out


def _of_factor(
    factor: RandomFactor, products: Array, M: Array, sizes: Array, left_out: Sequence[int]
) -> Undetermined | None:
    if _one_shows_all(products):
        return None
    rows, cols = factor.template.positions
    free = ~(np.isin(rows, left_out) | np.isin(cols, left_out))
    if not free.any():
        return None
    null = _null_space(products, rows[free], cols[free])
    if not null.shape[1]:
        return None
    K = factor.n_coefficients
    directions = np.zeros((null.shape[1], K, K))
    directions[:, rows[free], cols[free]] = null.T
    directions[:, cols[free], rows[free]] = null.T
    return Undetermined(M, sizes, directions, products)


def _one_shows_all(products: Array) -> bool:
    """Whether a level's rows have independent covariates: then Z_l D Z_l' = 0 means that D is 0."""
    size = np.einsum("lkk->l", products)
    if len(size) > LOOKED_AT:
        products = products[np.argpartition(size, -LOOKED_AT)[-LOOKED_AT:]]
    values = np.linalg.eigvalsh(products)
    return bool((values[:, 0] > FULL * values[:, -1]).any())


def _null_space(products: Array, rows: Ints, cols: Ints) -> Array:
    """Entries at (rows, cols) of an orthonormal basis of directions that change nothing, (entries, m)."""
    K = products.shape[-1]
    gram = dense.gram(products.reshape(len(products), K * K)).reshape(K, K, K, K)
    both = gram[rows[:, None], rows, cols[:, None], cols]
    mirrored = gram[rows[:, None], cols, cols[:, None], rows]
    double = np.where(rows == cols, 1.0, 2.0)
    form = 0.5 * np.outer(double, double) * (both + mirrored)
    # tr(A D A D) of a covariance is at most four times the root of that of its two variances
    own = np.sqrt(np.einsum("kkkk->k", gram))
    unit = np.sqrt(own[rows] * own[cols]) * double
    unit[unit == 0.0] = 1.0
    values, vectors = np.linalg.eigh(form / np.outer(unit, unit))
    null = vectors[:, values < FLAT * max(float(values[-1]), 1e-300)] / unit[:, None]
    # orthonormal as matrices, in which a covariance stands twice
    return np.asarray(np.linalg.qr(null * np.sqrt(double)[:, None])[0] / np.sqrt(double)[:, None])


# --- in words ------------------------------------------------------------------------------


def undetermined_message(factor: RandomFactor, part: Undetermined) -> str:
    """What has no estimate, why, and what to write."""
    lost = [factor.names[k] for k in np.flatnonzero(np.diag(part.entries))]
    what = "their correlations don't enter the likelihood"
    if lost:
        correlated = any(part.entries[i, j] for i, j in factor.template.correlated_pairs())
        what = (
            f"the likelihood is the same for many values of {_variances(lost)}"
            f"{' and of the correlations' if correlated else ''}, which can't be told apart"
        )
    return (
        f"{reason(factor, part)}: {what}. These are NaN, and AIC, BIC and tests count "
        f"{_plural(part.dimension, 'parameter')} fewer; the rest of the fit is as good as any. For a model "
        f"without them {_remedy(factor, part)}."
    )


def prior_message(factor: RandomFactor, part: Undetermined) -> str:
    """What a posterior knows of it."""
    lost = bool(np.diag(part.entries).any())
    where = "" if not lost else f" along {_plural(part.dimension, 'direction')}, given the rest"
    return (
        f"{reason(factor, part)}: the posterior of their {'variances and ' if lost else ''}correlations is "
        f"the prior alone{where}. For a model without them {_remedy(factor, part)}."
    )


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count > 1 else ''}"


def _variances(names: Sequence[str]) -> str:
    return f"the variance{'s' if len(names) > 1 else ''} of {listed(names)}"


def reason(factor: RandomFactor, part: Undetermined) -> str:
    """Why a covariance isn't determined."""
    key = factor.key
    if not np.diag(part.entries).any():
        i, j = np.nonzero(np.triu(part.entries))
        names = listed(factor.names[k] for k in np.unique(np.concatenate([i, j])))
        if _together(factor, part, i, j):
            return f"Levels of {key} have too few different rows for the correlations of {names}"
        return f"No level of {key} has rows of two of {names}"
    constant = [factor.names[k] for k in _constant(factor, part)]
    if constant and "Intercept" in factor.names:
        variable = _variable(constant)
        one = variable is not None or len(constant) == 1
        return f"{variable or listed(constant)} {'is' if one else 'are'} constant within every level of {key}"
    names = listed(factor.names[k] for k in np.flatnonzero(part.entries.any(axis=0)))
    return f"The covariates of {names} determine each other within every level of {key}"


def _together(factor: RandomFactor, part: Undetermined, i: Ints, j: Ints) -> bool:
    """Whether a level has rows of both of some pair."""
    present = np.zeros((factor.n_levels, factor.n_coefficients), dtype=bool)
    if factor.has_rows:
        for k in range(factor.n_coefficients):
            present[:, k] = np.bincount(factor.codes, factor.values[:, k] != 0.0, factor.n_levels) > 0
    else:
        squares = np.diagonal(_plain_products(part), axis1=1, axis2=2)
        present = squares > IN_PRODUCTS * squares.max(axis=0)
    return bool((present[:, i] & present[:, j]).any())


def _plain_products(part: Undetermined) -> Array:
    """Z'WZ of each level, covariates as they are, in some unit."""
    back = np.linalg.pinv(part.M)
    return np.asarray(back.T @ part.products @ back)


def _constant(factor: RandomFactor, part: Undetermined) -> list[int]:
    """Coefficients other than the intercept whose covariate is constant within every level."""
    if factor.has_rows:
        return _constant_in_rows(factor)
    if "Intercept" not in factor.names:
        return []
    products, first = _plain_products(part), factor.names.index("Intercept")
    squares = np.einsum("lkk->lk", products)
    within = squares - products[:, first] ** 2 / squares[:, [first]]
    limit = IN_PRODUCTS * squares.sum(axis=0)
    return [k for k in range(len(factor.names)) if k != first and np.abs(within[:, k]).sum() <= limit[k]]


def _constant_in_rows(factor: RandomFactor) -> list[int]:
    """Coefficients other than the intercept whose covariate is constant within every level."""
    last = np.zeros(factor.n_levels, dtype=np.intp)
    last[factor.codes] = np.arange(len(factor.codes))
    away = np.abs(factor.values - factor.values[last[factor.codes]]).max(axis=0)
    limit = 1e-12 * np.abs(factor.values).max(axis=0)
    return [k for k, name in enumerate(factor.names) if name != "Intercept" and away[k] <= limit[k]]


def _variable(names: Sequence[str]) -> str | None:
    """The factor of which these are all dummies, or None."""
    found = {match[1] if (match := re.fullmatch(r"(.*)\[T\..*\]", name)) else None for name in names}
    return found.pop() if len(found) == 1 else None


def _remedy(factor: RandomFactor, part: Undetermined) -> str:
    place = int(np.flatnonzero(part.entries.any(axis=0))[-1])
    ends = np.cumsum([size for size, _ in factor.template.blocks])
    source = factor.sources[min(int(np.searchsorted(ends, place, side="right")), len(factor.sources) - 1)]
    if not np.diag(part.entries).any():
        written = source.replace(" | ", " || ") if " | " in source else "'||' in place of '|'"
        known = any(not part.entries[i, j] for i, j in factor.template.correlated_pairs())
        what = "without the other correlations too" if known else "a variance for each and no correlations"
        return f"write {written}, {what}"
    constant = _constant(factor, part)
    variable = _variable([factor.names[k] for k in constant])
    if variable and len(constant) + 1 == factor.n_coefficients and "Intercept" in factor.names:
        return (
            f"write (0 + {variable} || {factor.group or factor.key}), a variance for each category, or "
            f"(1 | {factor.group or factor.key})"
        )
    if constant and "Intercept" in factor.names:
        return f"leave {variable or listed([factor.names[k] for k in constant])} out of {source}"
    return f"leave some of these out of {' and '.join(factor.sources)}"
