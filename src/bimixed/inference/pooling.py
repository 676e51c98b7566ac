"""No pooling, complete pooling and partial pooling of one group's levels beside each other."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from bimixed.covariance import Array
from bimixed.design import Design, RandomFactor
from bimixed.exceptions import BimixedWarning, DataError, UnavailableError
from bimixed.inference.rlrt import without
from bimixed.least_squares import LeastSquares, least_squares, of_level_means, of_levels, with_levels
from bimixed.priors import carry_over
from bimixed.results import MixedModelResult
from bimixed.results.student import two_sided_t
from bimixed.results.summary import METHODS, Summary
from bimixed.shortening import listed, short_formula
from bimixed.spec import ModelSpec, spec_of_design
from bimixed.vocabulary import explains_arguments, explains_methods

COLUMNS = ("rmse", "estimate", "std_error", "statistic", "df", "p_value")


@explains_methods
@dataclass(frozen=True, repr=False, eq=False)
class Pooling:
    """One coefficient by models that share nothing, everything, or something between levels.

    Attributes
    ----------
    group : str
    coefficient : str
    models : pandas.DataFrame
        Index ``model``: "complete pooling" (one line), "fixed intercepts", "level means", "separate
        regressions" (the mean of the levels' coefficients, rmse their sd), "random intercepts", "fixed
        slopes" (the coefficient of the first level), "random intercepts and slopes"; where the spec has
        them. Columns ``rmse``, the residual root mean square √(SSE/(n − p)) with p fixed coefficients,
        ``estimate``, ``std_error``, ``statistic``, ``df``, ``p_value``.
    results : dict of str, MixedModelResult
        The mixed models among these.
    """

    group: str
    coefficient: str
    models: pd.DataFrame
    results: Mapping[str, MixedModelResult]

    @property
    def partial(self) -> MixedModelResult:
        """The fit of the spec."""
        return list(self.results.values())[-1]

    @cached_property
    def levels(self) -> pd.DataFrame:
        """Coefficients of each level: one row per level and random coefficient.

        Columns ``rows``; ``no_pooling``, least squares of the level's rows alone, other covariates at their
        coefficients in the partial-pooling fit (NaN where its rows can't tell); ``no_pooling_se``;
        ``complete_pooling``, one line for all; ``partial_pooling``, fixed plus random effect;
        ``partial_pooling_se``, its standard error, which counts that of the fixed effect (posterior sd
        for draws); ``shrinkage``, 1 − (partial − population)/(no pooling − population), 0 for none and 1 for
        complete.
        """
        fit = self.partial
        design, factor = fit.design, fit.design.factor(self.group)
        names = list(factor.names)
        own = of_levels(design, factor, list(range(len(names))), _rest(fit, factor))
        one_line = least_squares(design)
        beta = dict(zip(design.names, one_line.beta, strict=True))
        population = {str(name): float(b) for name, b in fit.fixef["estimate"].dropna().items()}
        index = pd.MultiIndex.from_product([factor.levels, names], names=[factor.key, "coefficient"])
        of_population = np.tile([population.get(name, 0.0) for name in names], factor.n_levels)
        partial = of_population + fit.estimates.ranef[factor.key].ravel()
        combined = fit.combine({pair: _effect(factor.key, pair, population) for pair in index}, 0.95)
        no_pooling = own.beta.ravel()
        with np.errstate(divide="ignore", invalid="ignore"):
            shrinkage = 1.0 - (partial - of_population) / (no_pooling - of_population)
        return pd.DataFrame(
            {
                "rows": np.repeat(factor.level_counts(), len(names)),
                "no_pooling": no_pooling,
                "no_pooling_se": own.std_errors.ravel(),
                "complete_pooling": np.tile([beta.get(name, 0.0) for name in names], factor.n_levels),
                "partial_pooling": partial,
                "partial_pooling_se": combined["std_error"].to_numpy(),
                "shrinkage": shrinkage,
            },
            index=index,
        )

    def summary(self) -> Summary:
        """The models as text (``print``) and as a table in notebooks."""
        fit = self.partial
        facts = (("Rows", str(fit.nobs)), ("Group", f"{self.group} ({fit.ngroups[self.group]} levels)"))
        by = METHODS[fit.method] + (", df by Satterthwaite" if fit.posterior is None else "")
        notes = (
            f"Mixed models by {by}. "
            "rmse: residual root mean square with n − p degrees of freedom, p the fixed coefficients.",
            "pooling.levels has the three estimates of each level, pooling.plot() shows them.",
        )
        title = f"{self.coefficient} by models of {short_formula(fit.formula)}"
        return Summary(title, facts, (("Models", self.models),), notes, ("pooling.models",))

    def plot(self) -> Any:
        """The levels' three estimates. Returns matplotlib axes."""
        from bimixed.plots import pooling

        return pooling(self)

    def __str__(self) -> str:
        return str(self.summary())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()


@explains_arguments
def pooling(
    spec: ModelSpec,
    *,
    group: str | None = None,
    coefficient: str | None = None,
    method: str = "reml",
    **options: Any,
) -> Pooling:
    """Lay no pooling, complete pooling and partial pooling of a group's levels beside each other.

    Parameters
    ----------
    spec : ModelSpec
        With a random intercept of the group, and a random slope where slopes are to be compared.
    group : str, optional
        Default the only one. Random effects of other groups stand in the mixed models alone.
    coefficient : str, optional
        Which one ``models`` is about; default the first random slope that has a fixed effect, else the first
        fixed effect after the intercept, else the intercept.
    method : str
        Of the mixed models, with its options, as in ``spec.fit``.

    Returns
    -------
    Pooling

    Raises
    ------
    DataError
        Where there is no such group or coefficient.
    UnavailableError
        For a fixed factor of very many levels, and groups of which rows combine levels.

    Notes
    -----
    Gelman and Hill (2007), chapter 12, has the terms. Weights count in all models; of "level means" each
    level counts alike.

    Examples
    --------
    >>> import bimixed as bm
    >>> spec = bm.ModelSpec("score ~ edu + (edu | classroom)", bm.load_dataset("score_parentedu"))
    >>> bm.pooling(spec).models["rmse"].round(3).loc[["complete pooling", "fixed intercepts"]]
    model
    complete pooling    2.695
    fixed intercepts    0.932
    Name: rmse, dtype: float64
    """
    if not isinstance(spec, ModelSpec):
        raise DataError(
            f"pooling takes a ModelSpec, not a {type(spec).__name__}: bm.pooling(spec), or fit.spec."
        )
    factor = _group(spec.design, group)
    name = _coefficient(spec.design, factor, coefficient)
    place = list(factor.names).index(name) if name in factor.names else None
    results = _mixed(spec, factor, method, options)
    rows = [*_least_squares(spec.design, factor, name, place, list(results.values())[-1])]
    for label, fit in results.items():
        at = 5 if label == "random intercepts" else 6
        rows.append((at, label, *_mixed_row(fit, name)))
    rows.sort(key=lambda row: row[0])
    models = pd.DataFrame([row[1:] for row in rows], columns=["model", *COLUMNS]).set_index("model")
    return Pooling(factor.key, name, models, results)


def _group(design: Design, group: str | None) -> RandomFactor:
    keys = [factor.key for factor in design.factors]
    if group is None and len(keys) > 1:
        raise DataError(f"The model has groups {listed(keys)}; say which one: group={keys[0]!r}.")
    factor = design.factor(keys[0] if group is None else group)
    if factor.is_mixed:
        raise UnavailableError(
            f"Rows combine levels of {factor.key!r}, so that no level has rows of its own to be fitted alone."
        )
    if design.wide is not None:
        raise UnavailableError(
            "Beside a fixed factor of very many levels there are no models without pooling; leave it out."
        )
    if "Intercept" not in factor.names:
        raise DataError(
            f"{listed(list(factor.sources))} has no intercept, so that levels aren't compared by models that "
            "share nothing; write (1 + x | g)."
        )
    strange = [name for name in factor.names if name not in design.names]
    if strange:
        raise DataError(
            f"{listed(strange)} of {factor.key!r} has no fixed effect of the same name, so that there is no "
            "population's coefficient to be pulled to: add it to the fixed part (for arrays: re_names)."
        )
    return factor


def _coefficient(design: Design, factor: RandomFactor, given: str | None) -> str:
    names = list(design.names)
    if not names:
        raise DataError("The model has no fixed effect, and so no population that levels are pulled to.")
    if given is not None:
        if given not in names:
            raise DataError(f"{given!r} is no fixed effect of the model; there are {listed(names)}.")
        return given
    slopes = [name for name in factor.names if name in names and name != "Intercept"]
    others = [name for name in names if name != "Intercept"]
    return [*slopes, *others, "Intercept"][0]


def _mixed(
    spec: ModelSpec, factor: RandomFactor, method: str, options: Mapping[str, Any]
) -> dict[str, MixedModelResult]:
    """Fits with the group's intercepts alone, and of the spec."""
    slopes = [k for k, name in enumerate(factor.names) if name != "Intercept"]
    if not slopes:
        return {"random intercepts": spec.fit(method, **options)}  # type: ignore[arg-type]
    place = [f.key for f in spec.design.factors].index(factor.key)
    design = _intercepts_only(spec.design, factor, without(spec.design, place, slopes))
    small = spec_of_design(type(spec), design, carry_over(design, spec._given_priors, {}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BimixedWarning)  # those of the spec itself are told
        intercepts = small.fit(method, **options)  # type: ignore[arg-type]
    return {
        "random intercepts": intercepts,
        "random intercepts and slopes": spec.fit(method, **options),  # type: ignore[arg-type]
    }


def _intercepts_only(design: Design, factor: RandomFactor, small: Design) -> Design:
    """With a formula and sources that say so."""
    source = f"(1 | {factor.group or factor.key})"
    factors = tuple(replace(f, sources=(source,)) if f.key == factor.key else f for f in small.factors)
    own = [term for term in design.formula.random if term.key == factor.key]
    if not own:
        return replace(small, factors=factors)
    first = replace(own[0], lhs="1", correlated=True, source=source)
    terms = tuple(first if term is own[0] else term for term in design.formula.random if term not in own[1:])
    formula = replace(design.formula, random=terms)
    return replace(small, factors=factors, formula=replace(formula, text=str(formula)))


def _least_squares(
    design: Design, factor: RandomFactor, name: str, place: int | None, fit: MixedModelResult
) -> Iterator[tuple[Any, ...]]:
    """Rows of the models without random effects."""
    j = design.names.index(name)
    intercept = list(factor.names).index("Intercept")
    yield 0, "complete pooling", *_row(least_squares(design), j)
    fixed, first = with_levels(design, factor, [intercept])
    yield 1, "fixed intercepts", *(_row(first, 0) if name == "Intercept" else _row(fixed, j))
    means = of_level_means(design, factor)
    if not np.isnan(means.beta[j]):
        yield 2, "level means", *_row(means, j)
    if place is None:
        return
    every = list(range(factor.n_coefficients))
    own = of_levels(design, factor, every, _rest(fit, factor)).beta[:, place]
    own = own[~np.isnan(own)]
    if len(own) > 1:
        sd = float(own.std(ddof=1))
        spread = LeastSquares(np.array([own.mean()]), np.array([sd / np.sqrt(len(own))]), len(own) - 1, sd)
        yield 3, "separate regressions", *_row(spread, 0)
    if factor.n_coefficients > 1:
        _, first = with_levels(design, factor, every)
        yield 6, "fixed slopes", *_row(first, place)


def _row(found: LeastSquares, j: int) -> tuple[float, ...]:
    estimate, error = float(found.beta[j]), float(found.std_errors[j])
    statistic = estimate / error if error > 0.0 else np.nan
    p_value = float(two_sided_t(np.array([statistic]), np.array([float(found.df)]))[0])
    return found.rmse, estimate, error, statistic, float(found.df), p_value


def _mixed_row(fit: MixedModelResult, name: str) -> tuple[float, ...]:
    row = fit.coef_table().loc[name]
    rmse = float(np.sqrt(_sse(fit) / (fit.nobs - len(fit.design.kept))))
    return rmse, *(float(row[column]) for column in COLUMNS[1:])


def _sse(fit: MixedModelResult) -> float:
    weights = 1.0 if fit.design.weights is None else fit.design.weights
    return float(np.sum(weights * fit.resid.to_numpy() ** 2))


def _rest(fit: MixedModelResult, factor: RandomFactor) -> Array:
    """The response less the offset and what covariates other than the group's random ones say."""
    design = fit.design
    beta = np.nan_to_num(fit.estimates.beta)
    beta[[j for j, name in enumerate(design.names) if name in factor.names]] = 0.0
    return design.y - design.X @ beta - (0.0 if design.offset is None else design.offset)


def _effect(key: str, pair: tuple[Any, str], population: Mapping[str, float]) -> dict[Any, float]:
    level, name = pair
    own: dict[Any, float] = {(key, level, name): 1.0}
    return own | ({name: 1.0} if name in population else {})
