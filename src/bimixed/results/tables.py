"""Labelled tables of a result: arrays in, data frames out."""

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.exceptions import DataError
from bimixed.results.fixef_tests import Combinations, FixefTests, named_after
from bimixed.results.records import Estimates
from bimixed.results.student import t_quantile, two_sided_t
from bimixed.results.uncertainty import Draws, Uncertainty

LEAST_LEVEL = 0.5
"""Of intervals: what is lower is taken for an alpha."""


def fixef_table(design: Design, estimates: Estimates) -> pd.DataFrame:
    return pd.DataFrame(
        {"estimate": estimates.beta, "std_error": estimates.std_errors},
        index=pd.Index(design.names, name="coefficient"),
    )


def vcov_table(design: Design, estimates: Estimates) -> pd.DataFrame:
    names = pd.Index(design.names, name="coefficient")
    return pd.DataFrame(estimates.vcov.copy(), index=names, columns=names.rename(None))


def varcorr_table(design: Design, estimates: Estimates) -> pd.DataFrame:
    rows = [
        (f.key, name, estimates.random_cov[f.key][k, k], estimates.random_sd[f.key][k])
        for f in design.factors
        for k, name in enumerate(f.names)
    ]
    variance = estimates.sigma**2 if estimates.residual_variance is None else estimates.residual_variance
    rows.append(("Residual", "", variance, estimates.sigma))
    return pd.DataFrame(rows, columns=["group", "name", "variance", "sd"])


class UnknownGroup(DataError, KeyError):
    """A key that is no group; caught as KeyError too."""

    __str__ = Exception.__str__


class GroupTables(dict[str, pd.DataFrame]):
    """A dict of tables by group, which tells its groups to those who look for another key."""

    def __missing__(self, key: object) -> pd.DataFrame:
        groups = ", ".join(map(repr, self)) or "none"
        for group, table in self.items():
            if table.index.name == group and key in table.index:
                raise UnknownGroup(
                    f"{key!r} is a level of {group!r}; the keys are groups. Write [{group!r}].loc[{key!r}]."
                )
        raise UnknownGroup(f"The model has no group {key!r}; write a key of these: {groups}.")


def covariance_tables(design: Design, estimates: Estimates) -> dict[str, pd.DataFrame]:
    return GroupTables(
        {
            f.key: pd.DataFrame(estimates.random_cov[f.key].copy(), index=f.names, columns=f.names)
            for f in design.factors
        }
    )


def correlation_tables(design: Design, estimates: Estimates) -> dict[str, pd.DataFrame]:
    return GroupTables(
        {
            f.key: pd.DataFrame(estimates.random_corr[f.key].copy(), index=f.names, columns=f.names)
            for f in design.factors
        }
    )


def ranef_tables(design: Design, values: dict[str, Array]) -> dict[str, pd.DataFrame]:
    return GroupTables(
        {
            f.key: pd.DataFrame(values[f.key].copy(), index=f.levels.rename(f.key), columns=list(f.names))
            for f in design.factors
        }
    )


def coefficient_table(
    design: Design, estimates: Estimates, uncertainty: Uncertainty, level: float, tests: FixefTests | None
) -> pd.DataFrame:
    """Wald table by the tests' approximation, whose name is in ``attrs``; draws have no statistic."""
    check_level(level)
    table = fixef_table(design, estimates)
    if tests is None:
        assert isinstance(uncertainty, Draws)
        interval = uncertainty.fixef_interval(level)
        nothing = dict.fromkeys(("df", "statistic", "p_value"), np.nan)
        table = table.assign(**nothing, lower=interval.lower, upper=interval.upper)
        return named_after("posterior", table)
    found = tests.rows(np.eye(len(design.names)))
    table = combination_table(found, level, table.index).fillna({"estimate": table["estimate"]})
    return named_after(tests.ddf, table)


def combination_table(found: Combinations, level: float, index: pd.Index) -> pd.DataFrame:
    """``estimate``, ``std_error``, ``df``, ``statistic``, ``p_value``, ``lower``, ``upper``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = found.estimate / found.std_error
    half = t_quantile(0.5 + level / 2.0, found.df) * found.std_error
    return pd.DataFrame(
        {
            "estimate": found.estimate,
            "std_error": found.std_error,
            "df": found.df,
            "statistic": statistic,
            "p_value": two_sided_t(statistic, found.df),
            "lower": found.estimate - half,
            "upper": found.estimate + half,
        },
        index=index,
    )


def interval_table(
    design: Design, estimates: Estimates, uncertainty: Uncertainty, level: float, tests: FixefTests | None
) -> pd.DataFrame:
    """Limits of every parameter: fixed effects, sds, correlations, sigma."""
    fixed = coefficient_table(design, estimates, uncertainty, level, tests)
    names = uncertainty.variance_parameters().names
    variances = uncertainty.variance_interval(level)
    return pd.DataFrame(
        {
            "lower": np.concatenate([fixed["lower"], variances.lower]),
            "upper": np.concatenate([fixed["upper"], variances.upper]),
        },
        index=pd.Index([*design.names, *names], name="parameter"),
    )


def check_level(level: float, name: str = "level", least: float = LEAST_LEVEL) -> None:
    """Refuse what is no probability of an interval; small ones are an alpha.

    Raises
    ------
    DataError
    """
    if not isinstance(level, (int, float, np.number)) or not 0.0 < level < 1.0:
        hint = " Write other arguments by name: method='profile', say." if isinstance(level, str) else ""
        raise DataError(f"{name} is {level!r}; it is a probability such as 0.95.{hint}")
    if level < least:
        raise DataError(
            f"{name}={level:g} is an interval of {100 * level:g} %; for alpha={level:g} write "
            f"{name}={1 - level:g}. Levels below {least:g} aren't taken."
        )


def variance_table(uncertainty: Uncertainty) -> pd.DataFrame:
    """Variance parameters with standard errors, variances first."""
    parts = [uncertainty.covariance_parameters(), uncertainty.variance_parameters()]
    return pd.DataFrame(
        {
            "estimate": np.concatenate([part.values for part in parts]),
            "std_error": np.concatenate([part.std_errors for part in parts]),
        },
        index=pd.Index([name for part in parts for name in part.names], name="parameter"),
    )
