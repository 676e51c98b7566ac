"""The pictures of a page: a list of what is drawn, and how it is told to those who don't see it."""

from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bimixed import plots
from bimixed.design import Design
from bimixed.exceptions import BimixedError
from bimixed.plots.embedded import embedded
from bimixed.reports import elements as html
from bimixed.results import MixedModelResult
from bimixed.shortening import MANY

if TYPE_CHECKING:
    from bimixed.compare import Comparison

MOST = 6
"""Random coefficients that have pictures of their own."""
WITHOUT_ROWS = (
    "The model was made from sums over a source, which keep no rows. Pictures of rows aren't here: data with "
    "fitted lines, residuals, responses that the fit makes. "
    "bm.plots.residuals(fit, data=bm.sample_rows(source, 10_000)) draws residuals of a sample."
)
SMALLEST = 0.72
"""Share of its width that a picture keeps on narrow screens, where it scrolls."""


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes
    ----------
    draw : callable
        Returns a figure, axes or an array of axes.
    alt : str
        What is on it, for those who don't see it.
    caption : str
        How to read it.
    """

    draw: Callable[[], Any]
    alt: str
    caption: str


def of_result(fit: MixedModelResult) -> Iterator[Picture]:
    """Estimates, levels, data with fitted lines, residuals, and what the fit would make."""
    design = fit.design
    yield from _forests(fit, design.names, fit.uncertainty.variance_parameters().names)
    for key, name in _coefficients(design)[:MOST]:
        yield Picture(
            partial(plots.caterpillar, fit, key, name),
            f"Deviations of {name} by level of {key}, in order, with 95 % intervals.",
            f"{name} by {key}: deviations from the population, with 95 % intervals. A level whose interval "
            "leaves 0 out differs from the average level.",
        )
    yield from _pairs(fit)
    if design.has_rows and fit.spec is not None and fit.spec.recipe is not None and _has_covariate(design):
        group = design.factors[0].key
        yield Picture(
            partial(plots.panels, fit, group),
            f"Data and fitted lines of up to 12 levels of {group}, a panel each.",
            f"Levels of {group} from few rows to many: each on its own (no pooling, dotted), all rows as "
            "one (complete pooling, thin), and the fit, which lies between them.",
        )
    if fit.posterior is not None:
        yield Picture(
            partial(plots.density, fit),
            "Posterior densities of fixed effects, sds and correlations.",
            "Posterior density of each parameter, 24 at most.",
        )
    if not design.has_rows:
        return
    yield Picture(
        partial(plots.residuals, fit),
        "Four panels: residuals against fitted values, normal quantiles of residuals and of random effects, "
        "and residuals by level.",
        "Residuals divided by their sd. They should lie without a pattern around 0, and near the lines of "
        "normal quantiles.",
    )
    yield Picture(
        partial(plots.posterior_predictive, fit),
        "The observed response, and 50 sets of responses made by the fit.",
        "Responses that the fit makes, and those observed: where they differ, the model misses something.",
    )


def of_comparison(comparison: "Comparison") -> Iterator[Picture]:
    """Estimates of all results beside each other, shrinkage, and densities where there are draws."""
    results = comparison.results
    yield from _forests(comparison, comparison.fixef.index, comparison.varcorr.index)
    for key, name in _coefficients(*(result.design for result in results))[:MOST]:
        have = {
            own: result
            for own, result in zip(comparison.names, results, strict=True)
            if (key, name) in _coefficients(result.design)
        }
        yield Picture(
            partial(plots.shrinkage, have, key, name),
            f"Each level's own estimate of {name}, and where partial pooling by {key} moves it.",
            f"{name} by {key}: hollow circles are levels on their own (no pooling), 0 is the population "
            "(complete pooling). The fewer rows a level has, the nearer to 0 the results are.",
        )
    if any(result.posterior is not None for result in results):
        yield Picture(
            partial(plots.density, comparison),
            "Posterior densities, with estimates and Wald curves of likelihood fits over them.",
            "Posterior density of each parameter, 24 at most, and what a likelihood fit says of it.",
        )


def pictures_section(found: Iterable[Picture], *designs: Design) -> html.Section:
    """Drawn, or the reason why not in words."""
    parts = [_figure(picture) for picture in found]
    left = len(_coefficients(*designs)) - MOST
    if left > 0:
        parts.append(html.paragraph(f"{left} more random coefficients have no picture here."))
    if not all(design.has_rows for design in designs):
        parts.append(html.paragraph(WITHOUT_ROWS, "soft"))
    return html.Section("pictures", "Pictures", parts)


def _figure(picture: Picture) -> str:
    try:
        drawn = embedded(picture.draw)
    except BimixedError as reason:
        return html.paragraph(f"Not drawn: {picture.caption} {reason}", "soft")
    least = round(SMALLEST * drawn.width)
    return (
        f'<figure><div class="scroll" tabindex="0" role="region" aria-label="Picture">'
        f'<img src="{drawn.source}" alt="{html.text(picture.alt)}" width="{drawn.width}" '
        f'height="{drawn.height}" style="max-width:{drawn.width}px;min-width:{least}px"></div>'
        f"<figcaption>{html.text(picture.caption)}</figcaption></figure>"
    )


def _forests(fits: Any, fixed: Sized, variances: Sized) -> Iterator[Picture]:
    kinds: list[tuple[Any, str, Sized]] = [
        ("fixed", "Fixed effects", fixed),
        ("variance", "Standard deviations, correlations and sigma", variances),
    ]
    for which, told, names in kinds:
        if len(names):
            some = f" of the first {MANY} of {len(names)}" if len(names) > MANY else ""
            yield Picture(
                partial(plots.forest, fits, which),
                f"{told}: estimates with 95 % intervals{some}.",
                f"{told}: estimates with 95 % intervals{some}. Sections above have the figures.",
            )


def _pairs(fit: MixedModelResult) -> Iterator[Picture]:
    for factor in fit.design.factors:
        if factor.n_coefficients > 1 and not factor.is_mixed:
            first, second = factor.names[:2]
            yield Picture(
                partial(plots.shrinkage_2d, fit, factor.key),
                f"{first} and {second} of each level of {factor.key}: arrows from its own estimate to the "
                "partially pooled one, and ellipses of the estimated covariance.",
                f"{first} and {second} by {factor.key}: levels on their own (hollow) and after pooling. The "
                "ellipses hold half and 95 % of the effects that the fit expects.",
            )
            return


def _coefficients(*designs: Design) -> list[tuple[str, str]]:
    """Group and name of every random coefficient whose levels have rows of their own."""
    factors = [f for design in designs for f in design.factors if not f.is_mixed]
    return list(dict.fromkeys((f.key, name) for f in factors for name in f.names))


def _has_covariate(design: Design) -> bool:
    """Whether there is anything but intercepts to draw data against."""
    own = bool(design.factors) and not design.factors[0].is_mixed
    return own and any(name != "Intercept" for name in design.names)
