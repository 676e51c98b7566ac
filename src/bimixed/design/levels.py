"""What makes a group impossible, or nearly impossible, to estimate: said before anything is fitted."""

import numpy as np
import scipy.sparse as sp

from bimixed.covariance import Array
from bimixed.design.frame import shown_label
from bimixed.design.random_effects import RandomFactor
from bimixed.design.rows import MixedRows
from bimixed.exceptions import DataError, IdentificationWarning, warn


def _like_residuals(Z: sp.csr_array) -> bool:
    """Whether ZZ' is a multiple of the identity: whether a random vector is an eigenvector."""
    v = np.random.default_rng(0).standard_normal(Z.shape[0])
    moved = Z @ (Z.T @ v)
    scale = float(moved @ v) / float(v @ v)
    return bool(np.linalg.norm(moved - scale * v) <= 1e-8 * scale * np.linalg.norm(v))


def _takes_up_residuals(factor: RandomFactor) -> bool:
    """Whether some covariance of the coefficients gives every level's rows the residuals' covariance, I."""
    K, counts = factor.n_coefficients, np.bincount(factor.codes, minlength=factor.n_levels)
    if K < 2 or len(factor.template.sub_blocks()) > 1 or (counts != K).any():
        return False
    Z = factor.values[np.argsort(factor.codes, kind="stable")].reshape(-1, K, K)
    try:
        inverse = np.linalg.inv(Z[0])
    except np.linalg.LinAlgError:
        return False
    W = Z @ inverse  # with Cov(b) = Z₀⁻¹Z₀⁻ᵀ, Cov(Zb) is WW'
    return bool(np.abs(W @ W.mT - np.eye(K)).max() < 1e-8)


def _wide(group: str) -> str:
    return (
        " If the data are wide (one row per subject, its measurements in several columns), make them long "
        f"first: data.melt(id_vars=[{group!r}], var_name='time', value_name='y')."
    )


def check_levels(factor: RandomFactor, n: int, weights: Array | None = None) -> None:
    """Refuse a variance that no data of this shape can give, and warn of a doubtful one.

    Raises
    ------
    DataError
        For a single level, and for one row per level beside a residual.
    """
    source, levels = factor.sources[0], factor.n_levels
    if levels == 1:
        raise DataError(
            f"Group {factor.key!r} of {source} has a single level ({shown_label(factor.levels[0])}); "
            "a variance between groups needs at least two, and is poorly known with fewer than "
            "five or six. Remove the term or use another column."
        )
    equal_weights = weights is None or np.ptp(weights) == 0
    if isinstance(factor.rows, MixedRows):
        if equal_weights and levels >= n and _like_residuals(factor.rows.Z):
            raise DataError(
                f"The design of {source} gives every row the same variance and no two rows a covariance, as "
                "the residuals do, so that the two can't be told apart. Leave the component out."
            )
        return
    zero = [name for name, column in zip(factor.names, factor.values.T, strict=True) if not column.any()]
    if zero:
        raise DataError(
            f"The covariate {zero[0]!r} of {source} is 0 in every row used, so that its random coefficient "
            "has no effect. Leave it out of the bar."
        )
    if levels == n and equal_weights and (np.ptp(factor.values**2, axis=0) == 0).any():
        raise DataError(
            f"Group {factor.key!r} of {source} has as many levels as there are rows ({n}): one row per "
            "level, so that its variance and the residual variance can't be told apart. Use a coarser "
            f"group, or remove the term.{'' if ':' in factor.group else _wide(factor.group)}"
        )
    if equal_weights and _takes_up_residuals(factor):
        raise DataError(
            f"{source} has {factor.n_coefficients} coefficients, and every level of {factor.key} as many "
            "rows with the same covariates: the covariance of the coefficients can be anything that the "
            "residuals could, so that the two can't be told apart. Use fewer coefficients, '||' for '|', or "
            "a number in place of categories (a covariate read as text is a factor)."
        )
    if levels * factor.n_coefficients >= n:
        most = int(factor.level_counts().max())
        everywhere = f" (no level has more than {most} rows)" if most <= factor.n_coefficients else ""
        warn(
            f"{source} has {levels} levels × {factor.n_coefficients} coefficients for {n} rows"
            f"{everywhere}: the covariance of the coefficients and the residual variance can hardly be "
            "told apart. Use fewer coefficients, or '||' in place of '|'.",
            IdentificationWarning,
        )
