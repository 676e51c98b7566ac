"""Draws from the priors, and responses that they imply: plain random numbers, no sampler."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bimixed.arguments import check_count, check_seed
from bimixed.covariance import Array
from bimixed.design import Design, RandomFactor
from bimixed.exceptions import PriorError
from bimixed.priors import Prior, Priors, safe_name, sd_name
from bimixed.results.rows import prediction_rows
from bimixed.results.trees import parameter_dataset, response_dataset
from bimixed.results.uncertainty import Draws
from bimixed.shortening import listed


@dataclass(frozen=True)
class PriorDraws:
    """Parameters and random effects.

    Attributes
    ----------
    fixef : (draws, rank) array
    sd : dict, group → (draws, K) array
    corr : dict, group → (draws, K, K) array
    ranef : dict, group → (draws, L, K) array
    sigma : (draws,) array
    """

    fixef: Array
    sd: dict[str, Array]
    corr: dict[str, Array]
    ranef: dict[str, Array]
    sigma: Array


def sample_prior(design: Design, priors: Priors, draws: int = 500, random_seed: int | None = None) -> Any:
    """Parameters and responses drawn from the priors.

    Returns
    -------
    xarray.DataTree
        Groups ``prior``, ``prior_predictive`` and ``observed_data``, one chain.

    Raises
    ------
    PriorError
        Where a prior is flat, naming the parameters.
    FitError
        If ``draws`` or ``random_seed`` is none.
    """
    import xarray

    check_count("draws", draws)
    check_seed(random_seed)
    rng = np.random.default_rng(random_seed)
    drawn = draw_parameters(design, priors, draws, rng)
    values = {"fixef": drawn.fixef} if drawn.fixef.shape[1] else {}
    for factor in design.factors:
        key = safe_name(factor.key)
        values[f"sd_{key}"] = drawn.sd[factor.key]
        if factor.template.correlated_pairs():
            values[f"corr_{key}"] = drawn.corr[factor.key]
        values[f"ranef_{key}"] = drawn.ranef[factor.key]
    values["sigma"] = drawn.sigma
    y = draw_responses(design, drawn, rng)
    return xarray.DataTree.from_dict(
        {
            "prior": parameter_dataset(design, {name: value[None] for name, value in values.items()}),
            "prior_predictive": response_dataset(design, y=y[None]),
            "observed_data": response_dataset(design, y=design.y),
        }
    )


def draw_parameters(design: Design, priors: Priors, draws: int, rng: np.random.Generator) -> PriorDraws:
    """Independent draws of every parameter, and of the random effects given theirs."""
    flat = [name for name, prior in priors.items() if prior.family == "flat"]
    if flat:
        raise PriorError(
            f"The flat prior of {listed(flat)} is no distribution: nothing can be drawn from it. Give a "
            f"proper one, however wide, spec.update(priors={{{flat[0]!r}: bm.Prior(...)}}), or leave the key "
            "out for the default."
        )
    names = [design.names[j] for j in design.kept]
    fixef = [draw(priors[name], draws, rng) for name in names]
    sd, corr, ranef = {}, {}, {}
    for factor in design.factors:
        own = [draw(priors[sd_name(factor.key, name)], draws, rng) for name in factor.names]
        sd[factor.key] = np.column_stack(own)
        L = _correlation_factors(factor, priors, draws, rng)
        corr[factor.key] = L @ L.transpose(0, 2, 1)
        z = rng.standard_normal((draws, factor.n_levels, factor.n_coefficients))
        ranef[factor.key] = z @ (sd[factor.key][:, :, None] * L).transpose(0, 2, 1)
    sigma = draw(priors["sigma"], draws, rng)
    return PriorDraws(np.array(fixef).reshape(len(names), draws).T, sd, corr, ranef, sigma)


def draw_responses(design: Design, drawn: PriorDraws, rng: np.random.Generator) -> Array:
    """Responses of the design's rows, (draws, n)."""
    beta = np.full((len(drawn.sigma), len(design.names)), np.nan)
    beta[:, design.kept] = drawn.fixef
    made = Draws(
        beta=beta,
        random_cov={key: sd[:, :, None] * drawn.corr[key] * sd[:, None, :] for key, sd in drawn.sd.items()},
        sigma=drawn.sigma,
        ranef=drawn.ranef,
        pairs={f.key: f.template.correlated_pairs() for f in design.factors},
        names={f.key: f.names for f in design.factors},
    )
    return made.responses(prediction_rows(design, None, "all", "error"), rng)


def draw(prior: Prior, draws: int, rng: np.random.Generator) -> Array:
    """Independent draws of one number, (draws,)."""
    p = prior.parameters
    match prior.family:
        case "normal":
            return rng.normal(p["mu"], p["sigma"], draws)
        case "student_t":
            return p["mu"] + p["sigma"] * rng.standard_t(p["nu"], draws)
        case "half_normal":
            return np.abs(rng.normal(0.0, p["sigma"], draws))
        case "half_student_t":
            return p["sigma"] * np.abs(rng.standard_t(p["nu"], draws))
        case "exponential":
            return rng.exponential(1.0 / p["rate"], draws)
        case "gamma":
            return rng.gamma(p["alpha"], 1.0 / p["beta"], draws)
        case "uniform":
            return rng.uniform(p["lower"], p["upper"], draws)
    raise AssertionError(f"{prior.family} is no distribution of one number")


def _correlation_factors(factor: RandomFactor, priors: Priors, draws: int, rng: np.random.Generator) -> Array:
    """Lower Cholesky factors of LKJ correlation matrices, (draws, K, K), block by block.

    By canonical partial correlations, as in the hierarchical model (Lewandowski, Kurowicka and Joe 2009).
    """
    L = np.tile(np.eye(factor.n_coefficients), (draws, 1, 1))
    for block in factor.template.sub_blocks():
        d = block.stop - block.start
        for i in range(1, d):
            left = np.ones(draws)
            for j in range(i):
                b = priors[f"corr_{factor.key}"].parameters["eta"] + (d - 2 - j) / 2.0
                partial = 2.0 * rng.beta(b, b, draws) - 1.0
                L[:, block.start + i, block.start + j] = partial * left
                left = left * np.sqrt(1.0 - partial**2)
            L[:, block.start + i, block.start + i] = left
    return L
