"""Design and priors → the hierarchical model in PyMC's own words, to read, extend and sample.

    fixef             coefficient                            priors as given
    sd_<group>        <group>_coefficient                    sds of the random coefficients
    chol_corr_<group> <group>_coefficient × …_coefficient_2  Cholesky factor of their correlations, LKJ
    corr_<group>      <group>_coefficient × …_coefficient_2  their correlations
    z_<group>         <group> × <group>_coefficient          standard normals, where a group is non-centred
    ranef_<group>     <group> × <group>_coefficient          the random effects
    sigma                                                    residual sd
    y                 row                                    the response

The posterior is that of ``bayes/model.py``, which is written to compile and sample fast. Products with few
columns are written as sums here too, because each call of BLAS takes seconds to compile.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bimixed.bayes.model import WRITTEN_OUT, data_name, mixed_product, prior_vector
from bimixed.design import Design, MixedRows, RandomFactor
from bimixed.priors import Priors, safe_name, sd_name


def readable_model(
    design: Design, priors: Priors, centered: Mapping[str, bool], likelihood: bool = True
) -> pm.Model:
    """The hierarchical model, one distribution for each kind of parameter.

    Parameters
    ----------
    design : Design
    priors : Priors
        One for every parameter.
    centered : mapping, group → bool
    likelihood : bool
        Whether the response has its distribution, ``y``; without it the linear predictor is there as
        ``mu``.

    Returns
    -------
    pymc.Model
        Data are ``response``, ``X``, and where there are such ``offset``, ``weights``, ``<group>_index``
        and ``Z_<group>``, which ``pymc.set_data`` changes; rows that combine levels are constants.
    """
    names = [design.names[j] for j in design.kept]
    with pm.Model(coords={"coefficient": names, "row": np.arange(design.n)}) as model:
        mu: Any = (
            0.0 if design.offset is None else pm.Data(data_name("offset", design), design.offset, dims="row")
        )
        if names:
            X = pm.Data(data_name("X", design), design.X_kept, dims=("row", "coefficient"))
            fixef = prior_vector("fixef", [priors[n] for n in names], names, "coefficient")
            mu = mu + (_product(X, fixef) if len(names) <= WRITTEN_OUT else X @ fixef)
        for factor in design.factors:
            mu = mu + _rows(factor, _random_effects(model, factor, priors, centered[factor.key]))
        sigma = prior_vector("sigma", [priors["sigma"]], None, None, positive=True)
        if design.weights is not None:
            sigma = sigma / pt.sqrt(pm.Data(data_name("weights", design), design.weights, dims="row"))
        response = pm.Data(data_name("response", design), design.y, dims="row")
        if likelihood:
            pm.Normal("y", mu=mu, sigma=sigma, observed=response, dims="row")
        else:
            pm.Deterministic("mu", mu, dims="row")
    return model


def _random_effects(model: pm.Model, factor: RandomFactor, priors: Priors, centered: bool) -> Any:
    """Effects of one grouping factor, (levels, coefficients)."""
    key = safe_name(factor.key)
    within = f"{key}_coefficient"
    dims = (key, within)
    model.add_coords({key: factor.levels.to_numpy(), within: list(factor.names)})
    of_sds = [priors[sd_name(factor.key, name)] for name in factor.names]
    sd = prior_vector(f"sd_{key}", of_sds, factor.names, within, positive=True)
    L = _correlation_factor(model, factor, priors)
    name = f"ranef_{key}"
    if not centered:
        z = pm.Normal(f"z_{key}", dims=dims)
        return pm.Deterministic(name, sd * (z if L is None else _product(z[:, None, :], L)), dims=dims)
    if L is None:
        return pm.Normal(name, mu=0, sigma=sd, dims=dims)
    return pm.MvNormal(name, mu=np.zeros(factor.n_coefficients), chol=sd[:, None] * L, dims=dims)


def _correlation_factor(model: pm.Model, factor: RandomFactor, priors: Priors) -> Any:
    """Lower Cholesky factor of the correlation matrix; None where nothing is correlated."""
    if not factor.template.correlated_pairs():
        return None
    key, K = safe_name(factor.key), factor.n_coefficients
    dims = (f"{key}_coefficient", f"{key}_coefficient_2")
    model.add_coord(dims[1], list(factor.names))
    eta = np.asarray(priors[f"corr_{factor.key}"].parameters["eta"])
    blocks = [block for block in factor.template.sub_blocks() if block.stop - block.start > 1]
    if blocks[0] == slice(0, K):
        L = pm.LKJCorr(f"chol_corr_{key}", n=K, eta=eta, dims=dims)
    else:
        L = pt.eye(K)
        for number, block in enumerate(blocks, start=1):
            own = pm.LKJCorr(f"chol_corr_{key}_{number}", n=block.stop - block.start, eta=eta)
            L = L[block, block].set(own)
    pm.Deterministic(f"corr_{key}", _product(L[:, None, :], L), dims=dims)
    return L


def _rows(factor: RandomFactor, effects: Any) -> Any:
    """What the effects add to each row, (n,)."""
    key = safe_name(factor.key)
    if isinstance(factor.rows, MixedRows):
        return mixed_product(factor.rows, effects)
    index = pm.Data(f"{key}_index", factor.codes, dims="row")
    if factor.is_intercept:
        return effects[index, 0]
    return _product(pm.Data(f"Z_{key}", factor.values, dims=("row", f"{key}_coefficient")), effects[index])


def _product(A: Any, B: Any) -> Any:
    """Σ_k A[..., k] B[..., k]."""
    return (A * B).sum(axis=-1)
