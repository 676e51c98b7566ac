"""Draws as an ArviZ tree with named dimensions, and what a result makes of them."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.priors import safe_name
from bimixed.results.records import Estimates
from bimixed.results.trees import parameter_dataset
from bimixed.results.uncertainty import Draws


def draws_tree(design: Design, draws: Draws, chains: int) -> Any:
    """The posterior as a DataTree: chains × draws × …, variables as those of the hierarchical model.

    Parameters
    ----------
    design : Design
    draws : Draws
        Chains one after the other.
    chains : int
    """
    import xarray

    values, effects = {"sigma": draws.sigma}, {}
    if len(design.kept):
        values["fixef"] = draws.beta[:, design.kept]
    for factor in design.factors:
        key, cov = safe_name(factor.key), draws.random_cov[factor.key]
        values[f"sd_{key}"] = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
        if factor.template.correlated_pairs():
            values[f"corr_{key}"] = correlations(cov)
        effects[f"ranef_{key}"] = draws.ranef[factor.key]

    def dataset(own: dict[str, Array]) -> Any:
        apart = {name: value.reshape(chains, -1, *value.shape[1:]) for name, value in own.items()}
        return parameter_dataset(design, apart)

    if draws.with_ranef is None:
        return xarray.DataTree.from_dict({"posterior": dataset({**values, **effects})})
    within = draws.with_ranef[: len(draws.with_ranef) // chains]  # the same in every chain
    some = dataset(effects).assign_coords(draw=within)
    return xarray.DataTree.from_dict({"posterior": dataset(values), "posterior_ranef": some})


def flatten(design: Design, tree: Any) -> Draws:
    """The posterior as arrays with chains joined; dropped columns of X are NaN."""
    posterior = tree["posterior"]
    some = tree.get("posterior_ranef")

    def joined(name: str, of: Any = posterior) -> Array:
        values = np.asarray(of[name], dtype=np.float64)
        return values.reshape(-1, *values.shape[2:])

    sigma = joined("sigma")
    beta = np.full((len(sigma), len(design.names)), np.nan)
    if len(design.kept):
        beta[:, design.kept] = joined("fixef")
    cov, ranef = {}, {}
    for factor in design.factors:
        key = safe_name(factor.key)
        sd = joined(f"sd_{key}")
        corr = (
            joined(f"corr_{key}")
            if factor.template.correlated_pairs()
            else np.broadcast_to(np.eye(sd.shape[1]), (len(sd), sd.shape[1], sd.shape[1]))
        )
        cov[factor.key] = sd[:, :, None] * corr * sd[:, None, :]
        ranef[factor.key] = joined(f"ranef_{key}", posterior if some is None else some)
    return make_draws(design, beta, cov, sigma, ranef, None if some is None else _places(posterior, some))


def _places(posterior: Any, some: Any) -> NDArray[np.intp]:
    """Which draws have random effects, chains joined."""
    chains, length = posterior.sizes["chain"], posterior.sizes["draw"]
    within = np.asarray(some["draw"], dtype=np.intp)
    return np.asarray((np.arange(chains)[:, None] * length + within).ravel())


def make_draws(
    design: Design,
    beta: Array,
    cov: dict[str, Array],
    sigma: Array,
    ranef: dict[str, Array],
    with_ranef: NDArray[np.intp] | None = None,
) -> Draws:
    """Draws with the names of a design's coefficients."""
    return Draws(
        beta=beta,
        random_cov=cov,
        sigma=sigma,
        ranef=ranef,
        pairs={f.key: f.template.correlated_pairs() for f in design.factors},
        names={f.key: f.names for f in design.factors},
        with_ranef=with_ranef,
    )


def posterior_estimates(design: Design, draws: Draws) -> Estimates:
    """Posterior means and sds."""
    p = len(design.names)
    vcov = np.full((p, p), np.nan)
    if len(design.kept):
        vcov[np.ix_(design.kept, design.kept)] = np.atleast_2d(
            np.cov(draws.beta[:, design.kept], rowvar=False)
        )
    corr = {key: correlations(cov) for key, cov in draws.random_cov.items()}
    return Estimates(
        beta=draws.beta.mean(axis=0),
        std_errors=np.sqrt(np.diag(vcov)),
        vcov_of=partial(np.asarray, vcov),
        random_cov={key: cov.mean(axis=0) for key, cov in draws.random_cov.items()},
        random_sd={
            key: np.sqrt(np.diagonal(cov, axis1=1, axis2=2)).mean(axis=0)
            for key, cov in draws.random_cov.items()
        },
        random_corr={key: c.mean(axis=0) for key, c in corr.items()},
        sigma=float(draws.sigma.mean()),
        ranef={key: b.mean(axis=0) for key, b in draws.ranef.items()},
        ranef_sd={key: b.std(axis=0, ddof=1) for key, b in draws.ranef.items()},
        residual_variance=float(np.mean(draws.sigma**2)),
    )


def kept_effects(draws: Draws) -> dict[str, str]:
    """What to tell where random effects are kept of some draws alone."""
    if draws.with_ranef is None:
        return {}
    return {
        "ranef": f"{len(draws.with_ranef)} of {len(draws.sigma)} draws kept (posterior['posterior_ranef'])"
    }


def correlations(cov: Array) -> Array:
    """Correlation matrices of (draws, K, K) covariances."""
    sd = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    return np.asarray(cov / (sd[:, :, None] * sd[:, None, :]))
