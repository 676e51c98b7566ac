"""What a plot is given: a result, several of them, or a comparison."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from bimixed.design import RandomFactor
from bimixed.exceptions import DataError, UnavailableError
from bimixed.plots.style import label
from bimixed.results import MixedModelResult
from bimixed.results.uncertainty import Draws
from bimixed.shortening import listed


def results_of(fits: Any) -> dict[str, MixedModelResult]:
    """Results by the name that legends have.

    Parameters
    ----------
    fits : MixedModelResult, list, dict or Comparison
        Results in a list are called by their methods, those in a dict by its keys.

    Raises
    ------
    DataError
        For anything else.
    """
    if isinstance(fits, MixedModelResult):
        return {label(fits.method): fits}
    if isinstance(fits, Mapping):
        named = [(str(name), fit) for name, fit in fits.items()]
    elif isinstance(fits, list | tuple):
        named = [(label(getattr(fit, "method", "")), fit) for fit in fits]
    elif isinstance(getattr(fits, "results", None), tuple) and hasattr(fits, "names"):
        named = [(label(name), fit) for name, fit in zip(fits.names, fits.results, strict=True)]
    else:
        raise _no_result(fits)
    for _, fit in named:
        if not isinstance(fit, MixedModelResult):
            raise _no_result(fit)
    if not named:
        raise DataError("There is no result to draw: the list is empty.")
    often, seen = Counter(name for name, _ in named), Counter[str]()
    found = {}
    for name, fit in named:
        seen[name] += 1
        found[f"{name} {seen[name]}" if often[name] > 1 else name] = fit
    return found


def one_result(fit: Any, plot: str) -> MixedModelResult:
    """The only result of a plot that draws one.

    Raises
    ------
    DataError
        For several, or none.
    """
    found = results_of(fit)
    if len(found) > 1:
        raise DataError(f"plots.{plot} draws one result, and was given {len(found)} ({listed(found)}).")
    return next(iter(found.values()))


def _no_result(given: Any) -> DataError:
    instead = " Fit it first: spec.fit()." if hasattr(given, "fit") else ""
    return DataError(
        "Plots take a result of spec.fit(), a list or a dict of results, or a Comparison; this is a "
        f"{type(given).__name__}.{instead}"
    )


def refuse_result(value: Any, argument: str, plot: str) -> None:
    """A second result in the place of another argument.

    Raises
    ------
    DataError
        Telling how several results are given.
    """
    if isinstance(value, MixedModelResult):
        raise DataError(
            f"{argument} is a result; give several results in a list: bm.plots.{plot}([one, other])."
        )


def factor_of(results: Mapping[str, MixedModelResult], group: str | None, plot: str) -> RandomFactor:
    """The grouping factor that is meant, the first one by default; the same levels in every result.

    Raises
    ------
    DataError
        If there is no such group, or results have different levels.
    """
    refuse_result(group, "group", plot)
    first, *others = results.values()
    if not first.design.factors:
        raise DataError(f"The model {first.formula} has no groups; plots.{plot} draws their levels.")
    factor = first.design.factors[0] if group is None else first.design.factor(group)
    for result, name in zip(others, list(results)[1:], strict=True):
        if not result.design.factor(factor.key).levels.equals(factor.levels):
            raise DataError(
                f"{name} has other levels of {factor.key!r} than {next(iter(results))}; draw them one by one."
            )
    return factor


def coefficient_of(factor: RandomFactor, coefficient: str | None) -> str:
    """The coefficient that is meant, the group's first by default.

    Raises
    ------
    DataError
        If the group has none of this name.
    """
    name = factor.names[0] if coefficient is None else coefficient
    if name not in factor.names:
        raise DataError(
            f"Group {factor.key!r} has no coefficient {name!r}; it has {', '.join(factor.names)}."
        )
    return name


def draws_of(fit: MixedModelResult) -> Draws | None:
    """The draws of a result that has some."""
    return fit.uncertainty if isinstance(fit.uncertainty, Draws) else None


def likelihood_fit(fit: MixedModelResult, plot: str, instead: str) -> MixedModelResult:
    """The result, where it is of a likelihood.

    Raises
    ------
    UnavailableError
        For draws, telling what to do.
    """
    if fit.likelihood is None:
        raise UnavailableError(f"plots.{plot} needs a likelihood fit, spec.fit('reml') or 'ml'; {instead}")
    return fit
