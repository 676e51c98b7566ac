"""Random effects with their uncertainty, and linear combinations of fixed and random effects."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bimixed.covariance import Array
from bimixed.design import Design, RandomFactor
from bimixed.exceptions import DataError, UnavailableError
from bimixed.results import MixedModelResult
from bimixed.results.normal import quantile
from bimixed.results.tables import check_level
from bimixed.results.uncertainty import Draws, NormalApproximation, equal_tails
from bimixed.shortening import listed


def covariances(fit: MixedModelResult, group: str, given_fixef: bool) -> Array:
    """Covariance of the effects of each level, (L, K, K); NaN where a variance isn't identified."""
    factor, uncertainty = fit.design.factor(group), fit.uncertainty
    if isinstance(uncertainty, Draws):
        away = uncertainty.ranef[factor.key] - uncertainty.ranef[factor.key].mean(axis=0)
        return np.asarray(np.einsum("dlj,dlk->ljk", away, away) / (len(away) - 1))
    assert isinstance(uncertainty, NormalApproximation)
    if given_fixef or fit.design.wide is None:
        cov = uncertainty.joint.ranef_cov(factor.key, given_fixef)
    else:
        cov = _by_combinations(uncertainty, factor, len(fit.design.kept))
    unknown = np.isnan(np.diag(uncertainty.random_cov[factor.key]))
    cov[:, unknown], cov[:, :, unknown] = np.nan, np.nan
    part = fit.estimates.undetermined.get(factor.key)
    if part is not None:
        without = part.spreads
        cov[without[:, :, None] | without[:, None, :]] = np.nan
    return cov


def _by_combinations(uncertainty: NormalApproximation, factor: RandomFactor, rank: int) -> Array:
    """Covariances from variances of effects and of sums of two: what absorbed effects add is among them."""
    L, K = factor.n_levels, factor.n_coefficients
    every = np.arange(L) * K
    nothing = np.zeros((L, rank))

    def variance(*which: int) -> Array:
        places = np.concatenate([every + k for k in which])
        Z = sp.csr_array(
            (np.ones(len(places)), (np.tile(np.arange(L), len(which)), places)), shape=(L, L * K)
        )
        return uncertainty.linear_variance.of_combinations(nothing, {factor.key: Z})

    own = np.stack([variance(k) for k in range(K)], axis=1)
    cov = np.zeros((L, K, K))
    for j in range(K):
        cov[:, j, j] = own[:, j]
        for k in range(j):
            cov[:, j, k] = cov[:, k, j] = 0.5 * (variance(j, k) - own[:, j] - own[:, k])
    return cov


def ranef_cov(fit: MixedModelResult, group: str, given_fixef: bool) -> pd.DataFrame:
    """See :meth:`MixedModelResult.ranef_cov`."""
    cov, names = covariances(fit, group, given_fixef), list(fit.design.factor(group).names)
    return pd.DataFrame(cov.reshape(-1, len(names)), _effects(fit.design, group), names)


def ranef_table(fit: MixedModelResult, group: str, level: float, given_fixef: bool) -> pd.DataFrame:
    """See :meth:`MixedModelResult.ranef_table`."""
    check_level(level)
    key = fit.design.factor(group).key
    estimate = fit.estimates.ranef[key]
    variance = np.einsum("lkk->lk", covariances(fit, group, given_fixef))
    std_error = np.sqrt(variance.clip(min=0.0))
    if isinstance(fit.uncertainty, Draws):
        interval = equal_tails(fit.uncertainty.ranef[key], level)
        lower, upper = interval.lower, interval.upper
    else:
        half = quantile(0.5 + level / 2.0) * std_error
        lower, upper = estimate - half, estimate + half
    columns = {"estimate": estimate, "std_error": std_error, "lower": lower, "upper": upper}
    table = pd.DataFrame({name: values.ravel() for name, values in columns.items()})
    labels = _effects(fit.design, group).to_frame(index=False).set_axis(["level", "coefficient"], axis=1)
    return pd.concat([labels, table], axis=1)


def _effects(design: Design, group: str) -> pd.MultiIndex:
    factor = design.factor(group)
    return pd.MultiIndex.from_product([factor.levels, factor.names], names=[factor.key, "coefficient"])


def combine(fit: MixedModelResult, combinations: Any, level: float) -> pd.DataFrame:
    """See :meth:`MixedModelResult.combine`."""
    check_level(level)
    if not isinstance(combinations, Mapping) or not combinations:
        raise DataError(
            "combine takes a dict, name → {effect: weight}; a fixed effect is its name, a random one "
            "(group, level, coefficient)."
        )
    X, Z = _rows(fit, combinations)
    index = pd.Index(list(combinations), name="combination", tupleize_cols=False)
    kept = fit.design.kept
    if isinstance(fit.uncertainty, Draws):
        draws = fit.uncertainty.complete
        values = draws.beta[:, kept] @ X.T
        for key, own in Z.items():
            values = values + np.asarray(own @ draws.ranef[key].reshape(len(values), -1).T).T
        interval = equal_tails(values, level)
        estimate, std_error = values.mean(axis=0), values.std(axis=0, ddof=1)
        lower, upper = interval.lower, interval.upper
    else:
        assert isinstance(fit.uncertainty, NormalApproximation)
        estimate = X @ fit.estimates.beta[kept]
        effects = fit.estimates.usable_ranef
        estimate = estimate + sum(own @ effects[key].ravel() for key, own in Z.items())
        std_error = np.sqrt(fit.uncertainty.linear_variance.of_combinations(X, Z))
        for key, part in fit.estimates.undetermined.items():
            without = part.combinations(Z[key]) if key in Z else np.zeros(len(X), dtype=bool)
            estimate, std_error = (np.where(without, np.nan, own) for own in (estimate, std_error))
        half = quantile(0.5 + level / 2.0) * std_error
        lower, upper = estimate - half, estimate + half
    return pd.DataFrame(
        {"estimate": estimate, "std_error": std_error, "lower": lower, "upper": upper}, index=index
    )


def _rows(fit: MixedModelResult, combinations: Mapping[Any, Any]) -> tuple[Array, dict[str, sp.csr_array]]:
    """Weights of the independent fixed effects, (m, rank), and of each group's effects, (m, L·K)."""
    design, m = fit.design, len(combinations)
    X = np.zeros((m, len(design.names)))
    Z = {f.key: sp.lil_array((m, f.n_levels * f.n_coefficients)) for f in design.factors}
    for i, (name, weights) in enumerate(combinations.items()):
        if not isinstance(weights, Mapping) or not weights:
            raise DataError(f"Combination {name!r} is {weights!r}; give a dict, effect → weight.")
        for effect, weight in weights.items():
            value = _number(name, effect, weight)
            if isinstance(effect, str):
                X[i, _fixed(fit, effect)] += value
            else:
                key, column = _random(fit, effect)
                Z[key][i, column] += value
    return X[:, design.kept], {key: sp.csr_array(own) for key, own in Z.items() if own.nnz}


def _number(name: Any, effect: Any, weight: Any) -> float:
    try:
        value = float(weight)
    except (TypeError, ValueError):
        value = np.nan
    if not np.isfinite(value):
        raise DataError(f"The weight of {effect!r} in combination {name!r} is {weight!r}; give a number.")
    return value


def _fixed(fit: MixedModelResult, name: str) -> int:
    names = fit.design.names
    if name not in names:
        raise DataError(
            f"{name!r} is no fixed effect of the model ({listed(list(names))}); a random effect is "
            "(group, level, coefficient)."
        )
    j = list(names).index(name)
    if np.isnan(fit.estimates.std_errors[j]):
        raise DataError(
            f"{name!r} has no estimate: it was dropped because earlier columns determine it, or its "
            "variance isn't known. Leave it out of the combination."
        )
    return j


def _random(fit: MixedModelResult, effect: Any) -> tuple[str, int]:
    """Group and column of one random effect."""
    if not isinstance(effect, tuple) or len(effect) != 3:
        raise DataError(
            f"{effect!r} is no effect: a fixed one is its name, a random one (group, level, coefficient)."
        )
    group, label, coefficient = effect
    factor = fit.design.factor(group)
    if not np.ndim(label) == 0:
        raise DataError(
            f"The level of group {group!r} is given as {label!r}; levels of several columns are one text, "
            f"such as {factor.levels[0]!r}."
        )
    found = np.flatnonzero(factor.levels == label)
    if not len(found):
        shown = ", ".join(map(repr, factor.levels[:5].tolist()))
        raise DataError(
            f"Group {group!r} has no level {label!r}; its levels are {shown}"
            f"{', …' if len(factor.levels) > 5 else ''}. For levels that were not in the fit use predict."
        )
    k = coefficient_place(fit, group, coefficient)
    return factor.key, int(found[0]) * factor.n_coefficients + k


def coefficient_place(fit: MixedModelResult, group: str, coefficient: Any) -> int:
    """Which coefficient of a group's levels.

    Raises
    ------
    DataError
        If it isn't one.
    UnavailableError
        If its variance isn't identified.
    """
    factor = fit.design.factor(group)
    if coefficient not in factor.names:
        fixed = (
            " It has a fixed effect only: rank the levels' predictions, fit.predict_draws(new_data)."
            if coefficient in fit.design.names
            else ""
        )
        raise DataError(
            f"{coefficient!r} doesn't vary between levels of {group!r} as a random coefficient; choose from "
            f"{listed(factor.names)}.{fixed}"
        )
    k = factor.names.index(coefficient)
    if np.isnan(fit.estimates.usable_cov[factor.key][k, k]):
        raise UnavailableError(
            f"The variance of {coefficient!r} between levels of {group!r} is not identified (see "
            "fit.diagnostics), so that nothing is known of its effects; leave it out of the model."
        )
    return k
