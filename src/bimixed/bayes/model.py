"""Design and priors → a PyMC hierarchical model with named dimensions.

    fixef         coefficient                               priors as given
    sd_<group>    <group>_coefficient                       sds of the random coefficients
    corr_<group>  <group>_coefficient × …_coefficient_2     their correlations (LKJ)
    ranef_<group> <group> × <group>_coefficient             the random effects
    sigma                                                   residual sd
    y             row                                       the response

A centred term draws its effects from their distribution; a non-centred one draws standard normals,
``z_<group>``, and scales them. The first samples well where the data say much about each level, the
second where they say little (Papaspiliopoulos, Roberts and Sköld 2007).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor.sparse
import pytensor.tensor as pt
import scipy.sparse as sp

from bimixed.design import Design, MixedRows, RandomFactor
from bimixed.priors import Prior, Priors, safe_name, sd_name

_DISTRIBUTIONS: dict[str, Any] = {
    "normal": pm.Normal,
    "student_t": pm.StudentT,
    "half_normal": pm.HalfNormal,
    "half_student_t": pm.HalfStudentT,
    "gamma": pm.Gamma,
    "uniform": pm.Uniform,
}
_FOLDED: dict[str, Any] = {"half_normal": pm.Normal, "half_student_t": pm.StudentT}
"""Families that are the absolute value of a symmetric one."""
WRITTEN_OUT = 12
"""Up to this many fixed effects their part is written as a sum of columns."""


def build_model(design: Design, priors: Priors, centered: Mapping[str, bool]) -> pm.Model:
    """The hierarchical model.

    Parameters
    ----------
    design : Design
    priors : Priors
        One for every parameter.
    centered : mapping, group → bool

    Returns
    -------
    pymc.Model
        Ready to be sampled, or extended inside ``with model:``.
    """
    names = [design.names[j] for j in design.kept]
    with pm.Model(coords={"coefficient": names, "row": np.arange(design.n)}) as model:
        around: dict[str, Any] = {}
        mu: Any = (
            0.0 if design.offset is None else pm.Data(data_name("offset", design), design.offset, dims="row")
        )
        if names:
            X = pm.Data(data_name("X", design), design.X_kept, dims=("row", "coefficient"))
            beta = fixed_effects(design, [priors[n] for n in names], names)
            around = {name: beta[j] for j, name in enumerate(names)}
            # few columns are written out: a product compiles to BLAS calls, which takes long
            few = len(names) <= WRITTEN_OUT
            mu = mu + (_row_products(X, [beta[j] for j in range(len(names))]) if few else X @ beta)
        for factor in design.factors:
            is_centered = centered[factor.key]
            shared = {n: f for n, f in shared_columns(design, factor).items() if f in around}
            mu = mu + random_effects(
                model, factor, priors, is_centered, {n: around[f] for n, f in shared.items()}
            )
            if is_centered:  # only one group's effects can stand around a fixed effect
                around = {f: b for f, b in around.items() if f not in shared.values()}
        sigma = prior_vector("sigma", [priors["sigma"]], None, None, positive=True)
        if design.weights is not None:
            sigma = sigma * pm.Data("residual_scale", design.weights**-0.5, dims="row")
        pm.Normal("y", mu=mu, sigma=sigma, observed=design.y, dims="row")
    return model


def shared_columns(design: Design, factor: RandomFactor) -> dict[str, str]:
    """Random coefficients whose covariate is a fixed effect's column → that fixed effect.

    The column of a coefficient is the same in every level; where rows combine levels it is their sum, so
    that weights of a membership that add up to 1 share the intercept.
    """
    if isinstance(factor.rows, MixedRows):
        covariates = {factor.names[0]: np.asarray(factor.rows.Z.sum(axis=1)).ravel()}
    else:
        covariates = {name: factor.values[:, k] for k, name in enumerate(factor.names)}
    return {
        name: design.names[j]
        for name, values in covariates.items()
        for j in design.kept
        if np.allclose(values, design.X[:, j], rtol=1e-12, atol=0.0)
    }


def fixed_effects(design: Design, priors: Sequence[Prior], names: Sequence[str]) -> Any:
    """The fixed effects; normal ones in rotated coordinates, which sample well for any covariates.

    β ~ N(m, S²) is m + S Q z with z standard normal, for every rotation Q. The one that diagonalises
    S X'WX S makes the coordinates uncorrelated in the likelihood too, so that an intercept and an
    uncentred slope don't slow the sampler down. The prior is exactly the one given.
    """
    if any(prior.family != "normal" for prior in priors):
        return prior_vector("fixef", priors, names, "coefficient")
    mean = np.array([prior.parameters["mu"] for prior in priors])
    scale = np.array([prior.parameters["sigma"] for prior in priors])
    scaled = design.X_kept * scale
    if design.weights is not None:
        scaled = scaled * np.sqrt(design.weights)[:, None]
    _, rotation = np.linalg.eigh(scaled.T @ scaled)
    A = scale[:, None] * rotation
    z = pm.Normal("z_fixef", shape=len(names))
    beta = [mean[i] + sum(A[i, j] * z[j] for j in range(len(names))) for i in range(len(names))]
    if len(names) > WRITTEN_OUT:
        return pm.Deterministic("fixef", mean + pt.dot(A, z), dims="coefficient")
    return pm.Deterministic("fixef", pt.stack(beta), dims="coefficient")


def prior_vector(
    name: str,
    priors: Sequence[Prior],
    labels: Sequence[str] | None,
    dim: str | None,
    positive: bool = False,
) -> Any:
    """One variable for several parameters: a vector distribution where their families agree.

    Without ``labels`` a scalar. Where families differ, a variable ``<name>[<label>]`` for each and
    their stack as a deterministic ``name``.
    """
    if labels is None or dim is None:
        return _distribution(name, priors, positive, scalar=True)
    if len({prior.family for prior in priors}) == 1:
        return _distribution(name, priors, positive, dims=dim)
    parts = [
        # nutpie splits lists of names at commas
        _distribution(f"{name}[{safe_name(label)}]", [prior], positive, scalar=True)
        for label, prior in zip(labels, priors, strict=True)
    ]
    return pm.Deterministic(name, pt.stack(parts), dims=dim)


def _distribution(
    name: str, priors: Sequence[Prior], positive: bool, scalar: bool = False, **kwargs: Any
) -> Any:
    family = priors[0].family
    columns = {
        parameter: np.array([prior.parameters[parameter] for prior in priors])
        for parameter in priors[0].parameters
    }
    # 0-d arrays, since PyTensor would store a Python float such as 3.0 in single precision
    values = {p: v[0, ...] for p, v in columns.items()} if scalar else columns
    if family == "flat":
        distribution = pm.HalfFlat if positive else pm.Flat
        return distribution(name, **kwargs)
    if family == "exponential":
        return pm.Exponential(name, lam=values["rate"], **kwargs)
    return _DISTRIBUTIONS[family](name, **values, **kwargs)


def random_effects(
    model: pm.Model,
    factor: RandomFactor,
    priors: Priors,
    centered: bool,
    around: Mapping[str, Any],
) -> Any:
    """The random effects of one grouping factor; returns their part of the linear predictor.

    ``around`` has the fixed effects by name; centred effects of the same coefficient are drawn around
    them (Gelfand, Sahu and Carlin 1995), because the data determine the sum of both.
    """
    key = safe_name(factor.key)
    within = f"{key}_coefficient"
    model.add_coord(key, factor.levels.to_numpy())
    model.add_coord(within, list(factor.names))
    of_sds = [priors[sd_name(factor.key, name)] for name in factor.names]
    if centered or any(prior.family not in _FOLDED for prior in of_sds):
        sd = prior_vector(f"sd_{key}", of_sds, factor.names, within, positive=True)
        sign = None
    else:
        signed = _signed_sds(key, of_sds)
        sd = pm.Deterministic(f"sd_{key}", pt.abs(signed), dims=within)
        sign = pt.switch(pt.lt(signed, 0.0), np.float64(-1.0), np.float64(1.0))
    L = correlation_factor(model, factor, key, priors, sign)
    effects = (
        _centered(key, factor.names, sd, L, around)
        if centered
        else _noncentered(key, sd if sign is None else signed, L)
    )
    ranef = pm.Deterministic(f"ranef_{key}", pt.stack(effects, axis=1), dims=(key, within))
    if isinstance(factor.rows, MixedRows):
        return mixed_product(factor.rows, ranef)
    rows = pm.Data(f"{key}_index", factor.codes, dims="row")
    if factor.is_intercept:
        return ranef[rows, 0]
    values = pm.Data(f"Z_{key}", factor.values, dims=("row", within))
    return _row_products(values, [ranef[rows, k] for k in range(factor.n_coefficients)])


def data_name(name: str, design: Design) -> str:
    """A name for data that no group has."""
    return f"{name}_data" if name in {safe_name(f.key) for f in design.factors} else name


def mixed_product(rows: MixedRows, effects: Any) -> Any:
    """Z b where rows combine levels, for effects (levels, 1): (n,)."""
    Z = pytensor.sparse.as_sparse_variable(sp.csr_matrix(rows.Z))
    return pytensor.sparse.structured_dot(Z, effects)[:, 0]


def _signed_sds(key: str, priors: Sequence[Prior]) -> Any:
    """Standard deviations with a sign, whose absolute value has the half-normal or half-t prior.

    u = sd·z and u = (−sd)·(−z) are one, so that a non-centred sd may pass through 0 instead of running
    away on the log scale, where small sds have a long tail. Correlations take the signs along; the LKJ
    distribution is the same after a change of sign.
    """
    columns = []
    for k, prior in enumerate(priors):
        parameters = {name: np.asarray(value) for name, value in prior.parameters.items()}
        distribution = _FOLDED[prior.family]
        columns.append(distribution(f"signed_sd_{key}[{k}]", mu=np.asarray(0.0), **parameters))
    return pt.stack(columns)


def _noncentered(key: str, sd: Any, L: list[list[Any]]) -> list[Any]:
    """u = diag(sd) L z with z standard normal: the columns of u."""
    z = [pm.Normal(f"z_{key}[{k}]", dims=key) for k in range(len(L))]
    return [
        sd[k] * sum(weight * z[j] for j, weight in enumerate(row) if weight is not None)
        for k, row in enumerate(L)
    ]


def _centered(
    key: str, names: Sequence[str], sd: Any, L: list[list[Any]], around: Mapping[str, Any]
) -> list[Any]:
    """u ~ N(0, diag(sd) LL' diag(sd)), one coefficient given those before it.

    With w = L⁻¹ diag(sd)⁻¹ u, u_k given u_1 … u_{k−1} is N(sd_k Σ_{j<k} L_kj w_j, (sd_k L_kk)²).
    """
    effects: list[Any] = []
    w: list[Any] = []
    for k, row in enumerate(L):
        mean = sum(weight * w[j] for j, weight in enumerate(row[:k]) if weight is not None)
        fixed = around.get(names[k], np.float64(0.0))
        total = pm.Normal(f"u_{key}[{k}]", mu=fixed + sd[k] * mean, sigma=sd[k] * row[k], dims=key)
        u = total - fixed
        effects.append(u)
        w.append((u / sd[k] - mean) / row[k])
    return effects


def correlation_factor(
    model: pm.Model, factor: RandomFactor, key: str, priors: Priors, sign: Any = None
) -> list[list[Any]]:
    """Lower Cholesky factor of the correlation matrix, as rows of scalars (None for zeros).

    An LKJ(η) matrix of size d by its canonical partial correlations: those given the i − 1 first
    coefficients are independent, 2·Beta(b, b) − 1 with b = η + (d − 1 − i)/2 (Lewandowski, Kurowicka
    and Joe 2009, section 2). Written out in scalars, which compiles many times faster than matrix
    operations and is the same distribution.
    """
    K = factor.n_coefficients
    L: list[list[Any]] = [[None] * k + [1.0] for k in range(K)]
    if not factor.template.correlated_pairs():
        return L
    eta = priors[f"corr_{factor.key}"].parameters["eta"]
    for block in factor.template.sub_blocks():
        _fill_block(L, block, key, eta)
    within = f"{key}_coefficient"
    model.add_coord(f"{within}_2", list(factor.names))
    rows = [
        [_entry(L, i, j) * (1.0 if sign is None or i == j else sign[i] * sign[j]) for j in range(K)]
        for i in range(K)
    ]
    matrix = pt.stack([pt.stack(row) for row in rows])
    pm.Deterministic(f"corr_{key}", matrix, dims=(within, f"{within}_2"))
    return L


def _fill_block(L: list[list[Any]], block: slice, key: str, eta: float) -> None:
    first, d = block.start, block.stop - block.start
    pairs = [(i, j) for i in range(1, d) for j in range(i)]
    if not pairs:
        return
    b = np.array([eta + (d - 2 - j) / 2.0 for _, j in pairs])
    name = f"partial_corr_{key}" + (f"[{first}]" if first else "")
    beta = pm.Beta(f"{name}_unit", alpha=b, beta=b, shape=len(pairs))
    partial = {pair: 2.0 * beta[n] - 1.0 for n, pair in enumerate(pairs)}
    for i in range(1, d):
        left: Any = 1.0
        for j in range(i):
            L[first + i][first + j] = partial[i, j] * left
            left = left * pt.sqrt(1.0 - partial[i, j] ** 2)
        L[first + i][first + i] = left


def _entry(L: list[list[Any]], i: int, j: int) -> Any:
    """(LL')_ij as a scalar."""
    if i == j:
        return pt.as_tensor_variable(np.float64(1.0))
    terms = [L[i][m] * L[j][m] for m in range(min(i, j) + 1) if L[i][m] is not None and L[j][m] is not None]
    return pt.as_tensor_variable(sum(terms) if terms else np.float64(0.0))


def _row_products(values: Any, columns: Sequence[Any]) -> Any:
    """Σ_k values[:, k] · columns[k]."""
    return sum(values[:, k] * column for k, column in enumerate(columns))
