"""What makes a group impossible, or nearly impossible, to estimate: said before anything is fitted."""

import numpy as np

from bimixed.covariance import Array
from bimixed.design.frame import shown_label
from bimixed.design.random_effects import RandomFactor
from bimixed.exceptions import DataError, IdentificationWarning, warn


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
    if factor.is_mixed:
        return
    equal_weights = weights is None or np.ptp(weights) == 0
    if levels == n and equal_weights and (np.ptp(factor.values**2, axis=0) == 0).any():
        raise DataError(
            f"Group {factor.key!r} of {source} has as many levels as there are rows ({n}): one row per "
            "level, so that its variance and the residual variance can't be told apart. Use a coarser "
            "group, or remove the term. If the data are wide (one row per subject, its measurements in "
            f"several columns), make them long first: data.melt(id_vars=[{factor.group!r}], var_name='time', "
            "value_name='y')."
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
