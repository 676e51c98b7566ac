"""Responses from given parameters."""

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd

from bimixed.covariance import Array, symmetric_root
from bimixed.design import Design, RandomFactor
from bimixed.exceptions import DataError
from bimixed.shortening import listed


def simulate(
    design: Design, fixef: Any, random_cov: Any, sigma: float, n: int = 1, random_seed: int | None = None
) -> pd.DataFrame:
    """Responses y = Xβ + Σ Z b + offset + e of the design's rows, (rows, n).

    Raises
    ------
    DataError
        Where a parameter is missing, unknown or impossible.
    """
    if not isinstance(sigma, Real) or not 0 <= sigma < np.inf:
        raise DataError(f"sigma is {sigma!r}; it is a standard deviation, 0 or larger.")
    if not isinstance(n, Integral) or n < 1:
        raise DataError(f"n is {n!r}; it is a number of responses, 1 or more.")
    rng = np.random.default_rng(random_seed)
    mu = design.X_kept @ _coefficients(design, fixef)
    if design.offset is not None:
        mu = mu + design.offset
    y = np.repeat(mu[:, None], n, axis=1)
    for factor, root in zip(design.factors, _roots(design, random_cov), strict=True):
        z = rng.standard_normal((factor.n_levels, factor.n_coefficients, n))
        y += factor.rows.times(np.einsum("ab,lbn->lan", root, z))
    sd = np.full(design.n, float(sigma)) if design.weights is None else sigma / np.sqrt(design.weights)
    y += sd[:, None] * rng.standard_normal(y.shape)
    return pd.DataFrame(y, index=design.index)


def _coefficients(design: Design, fixef: Any) -> Array:
    names = [design.names[j] for j in design.kept]
    if isinstance(fixef, pd.DataFrame):  # a result's table
        fixef = fixef["estimate"].dropna()
    if isinstance(fixef, Mapping | pd.Series):
        given = {name: value for name, value in dict(fixef).items() if name not in design.dropped}
        missing = [name for name in names if name not in given]
        unknown = [name for name in given if name not in names]
        if missing or unknown:
            what = f"misses {missing[0]!r}" if missing else f"has {unknown[0]!r}, which is no coefficient"
            raise DataError(f"fixef {what}. Give a value for each of {', '.join(names)}.")
        fixef = [given[name] for name in names]
    beta = np.asarray(fixef, dtype=np.float64)
    if beta.shape != (len(names),) or not np.isfinite(beta).all():
        raise DataError(f"fixef must have {len(names)} finite values: {', '.join(names)}.")
    return beta


def _roots(design: Design, random_cov: Any) -> list[Array]:
    """A root R of each covariance, RR' = cov."""
    keys = [factor.key for factor in design.factors]
    if not isinstance(random_cov, Mapping) or set(random_cov) != set(keys):
        raise DataError(f"random_cov is a dict with a covariance matrix (or a variance) for each of {keys}.")
    return [_root(factor, random_cov[factor.key]) for factor in design.factors]


def _root(factor: RandomFactor, given: Any) -> Array:
    K = factor.n_coefficients
    if isinstance(given, pd.DataFrame) and list(given.columns) != list(range(K)):
        unknown = [name for name in given.columns if name not in factor.names]
        if unknown or len(given.columns) != K:
            raise DataError(f"random_cov[{factor.key!r}] must have the columns {list(factor.names)}.")
        given = given.loc[list(factor.names), list(factor.names)]
    cov = np.atleast_2d(np.asarray(given, dtype=np.float64))
    if cov.shape == (K, K) and np.isnan(cov).any():
        unknown = [name for name, value in zip(factor.names, np.diag(cov), strict=True) if np.isnan(value)]
        what = f"variance of {listed(unknown)}" if unknown else "covariance"
        raise DataError(
            f"random_cov[{factor.key!r}] is NaN for the {what}: a fit gives NaN where the data don't "
            "identify it. Give a number in its place (0 for no variance)."
        )
    if cov.shape != (K, K) or not np.allclose(cov, cov.T) or not np.isfinite(cov).all():
        raise DataError(
            f"random_cov[{factor.key!r}] must be a symmetric {K} × {K} matrix of ({', '.join(factor.names)})."
        )
    values = np.linalg.eigvalsh(cov)
    if values.min() < -1e-10 * max(float(values.max()), 1e-300):
        raise DataError(
            f"random_cov[{factor.key!r}] has a negative eigenvalue ({values.min():.3g}), which no "
            "covariance has. Give variances on the diagonal and covariances beside it, not standard "
            "deviations and correlations."
        )
    allowed = np.eye(K, dtype=bool)
    for i, j in factor.template.correlated_pairs():
        allowed[i, j] = allowed[j, i] = True
    if np.any(cov[~allowed] != 0.0):
        raise DataError(
            f"random_cov[{factor.key!r}] has a covariance between coefficients that the model has "
            "uncorrelated ('||', or separate terms); give 0 there."
        )
    return symmetric_root(cov)
