"""What is ranked: fixed effects, sds, correlations, sigma, some random effects, and the log-likelihood."""

from typing import Any

import numpy as np

from bimixed import ModelSpec

Array = np.ndarray
LIKELIHOOD = "log-likelihood"
KINDS = ("fixed effect", "sd", "correlation", "sigma", "random effect", LIKELIHOOD)


def kind(name: str) -> str:
    """One of ``KINDS``."""
    if name in ("sigma", LIKELIHOOD):
        return name
    starts = {"sd_": "sd", "corr_": "correlation", "ranef_": "random effect"}
    return next((kind for start, kind in starts.items() if name.startswith(start)), "fixed effect")


def scalars(spec: ModelSpec, draws: Any) -> dict[str, Array]:
    """Everything that is ranked, (chain, draw) each.

    Parameters
    ----------
    spec : ModelSpec
        With the response that the log-likelihood is of.
    draws : xarray dataset
        Group ``posterior`` or ``prior`` of a tree; both have the same variables.

    Notes
    -----
    Of every factor the first and the last level. log p(y | β, b, σ) sees dependences between parameters and
    data that none of them shows alone (Modrák et al. 2025).
    """
    design = spec.design
    beta = np.asarray(draws["fixef"])
    found = {design.names[j]: beta[..., i] for i, j in enumerate(design.kept)}
    effects = {}
    for f in design.factors:
        sd = np.asarray(draws[f"sd_{f.key}"])
        found |= {f"sd_{f.key}[{name}]": sd[..., k] for k, name in enumerate(f.names)}
        if f"corr_{f.key}" in draws:
            corr = np.asarray(draws[f"corr_{f.key}"])
            for i, j in zip(*np.triu_indices(len(f.names), 1), strict=True):
                found[f"corr_{f.key}[{f.names[i]},{f.names[j]}]"] = corr[..., i, j]
    found["sigma"] = np.asarray(draws["sigma"])
    for f in design.factors:
        b = effects[f.key] = np.asarray(draws[f"ranef_{f.key}"])
        for level in (0, -1):
            for k, name in enumerate(f.names):
                found[f"ranef_{f.key}[{f.levels[level]},{name}]"] = b[..., level, k]
    found[LIKELIHOOD] = log_likelihood(spec, beta, effects, found["sigma"])
    return found


def log_likelihood(spec: ModelSpec, beta: Array, effects: dict[str, Array], sigma: Array) -> Array:
    """log p(y | β, b, σ) up to a constant, (chain, draw), from the dense rows of the design."""
    design = spec.design
    mu = beta @ np.asarray(design.X_kept).T
    for key, b in effects.items():
        mu = mu + b.reshape(*b.shape[:2], -1) @ design.Z[key].toarray().T
    if design.offset is not None:
        mu = mu + design.offset
    weights = 1.0 if design.weights is None else design.weights
    squares = np.sum(weights * (design.y - mu) ** 2, axis=-1)
    return -0.5 * squares / sigma**2 - design.n * np.log(sigma)
