"""The page ``docs/calibration.md`` from the study's ranks; its sentences about numbers are made of them."""

import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import bands
from .models import MODELS, model
from .quantities import KINDS, LIKELIHOOD, kind
from .runs import CELLS, LEVELS, NO_INTERVAL, RUNS, SEED
from .study import Outcome

Array = np.ndarray
BINS = 20
"""Bars of the rank histograms."""


@dataclass(frozen=True)
class Verdict:
    """Whether ranks of one quantity are uniform.

    Attributes
    ----------
    run, name : str
    ecdf, histogram : float
        p-values, each adjusted for all points or bars of this quantity.
    """

    run: str
    name: str
    ecdf: float
    histogram: float


def verdicts(found: Outcome, every: bool = False) -> list[Verdict]:
    """Of all quantities of a run; ``every`` counts replications with few effective draws too."""
    ranks = found.ranks if every else found.ranks[found.sampled]
    return [
        Verdict(
            found.run,
            name,
            bands.ecdf_p(ranks[:, q], CELLS),
            bands.histogram_p(ranks[:, q], CELLS, BINS),
        )
        for q, name in enumerate(found.names)
    ]


def title(run: str) -> str:
    own = RUNS[run]
    return model(own.model).title + (f"; {own.title}" if own.title else "")


def outside(found: Iterable[Verdict], by: str) -> list[Verdict]:
    return [v for v in found if getattr(v, by) <= 1.0 - bands.LEVEL]


def run_table(outcomes: dict[str, Outcome], judged: dict[str, list[Verdict]]) -> list[str]:
    lines = [
        "| model | replications | left out | refused | quantities | ECDF outside | histogram outside "
        "| smallest p | median ESS | with divergences | seconds each |",
        "|" + "---|" * 11,
    ]
    for run, o in outcomes.items():
        mine = judged[run]
        lines.append(
            f"| {title(run)} | {len(o.ranks) + o.refused} | {np.sum(~o.sampled)} | {o.refused} | {len(mine)} "
            f"| {len(outside(mine, 'ecdf'))} | {len(outside(mine, 'histogram'))} "
            f"| {min(v.ecdf for v in mine):.2g} | {np.median(o.ess):.0f} "
            f"| {np.mean(o.divergences > 0):.1%} | {o.seconds:.2f} |"
        )
    return lines


def named(found: list[Verdict], by: str) -> str:
    if not found:
        return "none"
    return "; ".join(f"`{v.name}` of {title(v.run)} (p = {getattr(v, by):.2g})" for v in found)


def verdict_text(outcomes: dict[str, Outcome], judged: dict[str, list[Verdict]]) -> list[str]:
    every = [v for mine in judged.values() for v in mine]
    ecdf, histogram = outside(every, "ecdf"), outside(every, "histogram")
    least = min(every, key=lambda v: v.ecdf)
    expected = (1.0 - bands.LEVEL) * len(every)
    bonferroni = min(1.0, least.ecdf * len(every))
    text = [
        f"Outside by the ECDF: {len(ecdf)} of {len(every)} quantities, where {expected:.1f} are expected of "
        f"a correct sampler: {named(ecdf, 'ecdf')}. By the histogram: {len(histogram)}: "
        f"{named(histogram, 'histogram')}.",
        f"The smallest p-value of all, {least.ecdf:.2g} (`{least.name}` of {title(least.run)}), times the "
        f"{len(every)} quantities (Bonferroni) is {bonferroni:.2g}.",
    ]
    for run, o in outcomes.items():
        if np.any(~o.sampled):
            all_of_it = outside(verdicts(o, every=True), "ecdf")
            text.append(
                f"With the {np.sum(~o.sampled)} replications left out of “{title(run)}”, "
                f"{len(all_of_it)} of its quantities would be outside: {named(all_of_it, 'ecdf')}."
            )
    return text


def sensitivity(n: int) -> str:
    shift = bands.found_from(n, CELLS, "shift")
    spread = bands.found_from(n, CELLS, "spread")
    return (
        f"With {n} replications a normal posterior whose mean is off by {shift:.2f} of its sds, or whose sd "
        f"is too large by {spread:.0%}, leaves the band with a probability of 90 %."
    )


def coverage(codes: Array) -> tuple[list[float], float]:
    """Shares of intervals with the true value at each level, of those that there are, and share of none."""
    there = codes != NO_INTERVAL
    shares = [float(np.mean(codes[there] >= len(LEVELS) - i)) for i in range(len(LEVELS))]
    return shares, float(np.mean(~there))


def coverage_row(label: str, outcomes: Iterable[Outcome], wanted: Callable[[str], bool]) -> str:
    posterior, reml = [], []
    for o in outcomes:
        columns = [q for q, name in enumerate(o.parameters) if wanted(name)]
        posterior.append(o.covers[o.sampled][:, columns].ravel())
        reml.append(o.reml[o.sampled][:, columns].ravel())
    ours, _ = coverage(np.concatenate(posterior))
    theirs, none = coverage(np.concatenate(reml))
    cells = [*(f"{share:.1%}" for share in [*ours, *theirs]), f"{none:.1%}" if none else "–"]
    return f"| {label} | {' | '.join(cells)} |"


def coverage_table(outcomes: dict[str, Outcome]) -> list[str]:
    beside = [o for o in outcomes.values() if o.reml.shape[1]]
    levels = [f"{level:.0%}" for level in LEVELS]
    heads = [*(f"posterior {level}" for level in levels), *(f"REML {level}" for level in levels)]
    lines = [f"| | {' | '.join(heads)} | REML has none |", "|" + "---|" * (2 + len(heads))]
    for what in KINDS:
        if what != LIKELIHOOD:
            lines.append(
                coverage_row(f"**{what}**, all models", beside, lambda name, w=what: kind(name) == w)
            )
    for o in beside:
        for name in o.parameters:
            if kind(name) in ("sd", "correlation"):
                lines.append(coverage_row(f"`{name}`, {title(o.run)}", [o], lambda n, own=name: n == own))
    return lines


def coverage_error(outcomes: dict[str, Outcome]) -> str:
    n = min(int(o.sampled.sum()) for o in outcomes.values() if o.reml.shape[1])
    errors = [f"{np.sqrt(level * (1.0 - level) / n):.1%} at {level:.0%}" for level in LEVELS]
    return f"Monte Carlo standard errors of a single quantity's share: {', '.join(errors)}."


def model_table() -> list[str]:
    lines = ["| model | formula | rows | levels | priors |", "|---|---|---|---|---|"]
    for name in MODELS:
        spec = model(name).blank()
        levels = ", ".join(f"{f.key} {f.n_levels}" for f in spec.design.factors)
        priors = "; ".join(f"`{key}` {in_words(prior)}" for key, prior in spec.priors.items())
        formula = spec.formula.replace("|", "\\|")
        lines.append(f"| {model(name).title} | `{formula}` | {spec.design.n} | {levels} | {priors} |")
    return lines


def in_words(prior: object) -> str:
    values = ", ".join(f"{value:g}" for value in prior.parameters.values())
    return f"{prior.family}({values})"


INTRO = """
Simulation-based calibration (Talts, Betancourt, Simpson, Vehtari and Gelman 2018): parameters are drawn from
the prior, a response is simulated with them, the model is fitted to it under the same prior, and the true
value is ranked among 99 nearly independent draws of its posterior. If prior, simulation and sampler belong
to one model, ranks are uniform on 0, …, 99. All priors are numbers and none is scaled by the data, because
the parameters would else be drawn from another prior than the fit has.
"""
METHOD = f"""
Ranked are every fixed effect, sd and correlation, sigma, random effects of the first and the last level of
each factor, and the log-likelihood log p(y | β, b, σ), which sees what ranks of the parameters alone miss,
such as draws that ignore the data (Modrák et al. 2025). Posteriors are by `method="nuts", form="marginal"`
with 4 × (300 + 250) draws, of which every tenth counts, unless the table says otherwise; the hierarchical
form has its defaults, every fortieth draw counts, and one compiled model takes all responses. The band keeps
the whole ECDF of a quantity's ranks with a probability of 99 % (Säilynoja, Bürkner and Vehtari 2022),
computed exactly, and likewise all {BINS} bars of its histogram. About one quantity in a hundred is outside
by chance; those of a model are dependent, so that several may be at once.
"""
LEFT_OUT = f"""
Left out are replications where the smallest bulk ESS of all scalars is below {CELLS}, too small for 99
independent draws; refused ones are those where importance sampling raises its error (Pareto k above 0.7), or
where sigma is drawn so near 0 that a fit takes the response for one computed from predictors and groups.
All depend on the response and the sampler's own randomness, not on the true values given the response, so
that they bias no rank. One seed, {SEED}, decides everything, whatever the number of processes.
"""
COVERAGE = """
Shares of intervals with the true value in them: equal-tailed intervals of the draws, and REML's Wald
intervals (`conf_int`; for random effects the conditional mode ± z conditional sds) of the same simulated
responses. In the mean over the prior, which is what is simulated here, those of a posterior are exact; REML
knows no prior. At the boundary REML has no interval for sds and correlations: its shares are of the
intervals that there are, and the last column tells how often there is none. With an sd of 0 the interval of
a random effect is the point 0, which counts as a miss.
"""
PRIORS = """
Parameters of priors are in the order of `bm.Prior`: normal(mean, sd), half_student_t(nu, scale),
exponential(rate), gamma(shape, rate), uniform(lower, upper). The nested model has precision weights.
"""


REFERENCES = (
    """Modrák, Moon, Kim, Bürkner, Huurre, Faltejsková, Gelman, Vehtari (2025). Simulation-based calibration
    checking for Bayesian computation: the choice of test quantities shapes sensitivity. *Bayesian Analysis*
    20, 461–488.""",
    """Säilynoja, Bürkner, Vehtari (2022). Graphical test for discrete uniformity and its applications in
    goodness-of-fit evaluation and multiple sample comparison. *Statistics and Computing* 32, 32.""",
    """Talts, Betancourt, Simpson, Vehtari, Gelman (2018). Validating Bayesian inference algorithms with
    simulation-based calibration. arXiv:1804.06788.""",
)


def text(outcomes: dict[str, Outcome]) -> str:
    """All of it."""
    judged = {run: verdicts(o) for run, o in outcomes.items()}
    usual = max(int(o.sampled.sum()) for o in outcomes.values())
    parts: list[list[str]] = [
        ["# Calibration"],
        wrapped(INTRO),
        ["`make calibration` runs the study; `benchmarks/calibration/` has its code and all ranks."],
        ["![ECDF of ranks less the uniform one, with 99 % bands](images/calibration.png)"],
        wrapped(METHOD),
        run_table(outcomes, judged),
        *(wrapped(sentence) for sentence in verdict_text(outcomes, judged)),
        wrapped(sensitivity(usual)),
        wrapped(LEFT_OUT),
        ["![Histograms of ranks with 99 % bands](images/calibration_ranks.png)"],
        ["## Coverage"],
        wrapped(COVERAGE),
        wrapped(coverage_error(outcomes)),
        coverage_table(outcomes),
        ["## Models"],
        wrapped(PRIORS),
        model_table(),
        ["## References"],
        [line for reference in REFERENCES for line in item(reference)],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def wrapped(sentences: str) -> list[str]:
    return textwrap.wrap(" ".join(sentences.split()), 110, break_long_words=False, break_on_hyphens=False)


def item(sentences: str) -> list[str]:
    return textwrap.wrap(
        f"- {' '.join(sentences.split())}", 110, subsequent_indent="  ", break_on_hyphens=False
    )


def write(outcomes: dict[str, Outcome], path: Path) -> None:
    """The page and its pictures beside it."""
    from .picture import draw_ecdfs, draw_histograms

    images = path.parent / "images"
    images.mkdir(exist_ok=True)
    draw_ecdfs(outcomes, images / "calibration.png")
    draw_histograms(outcomes, images / "calibration_ranks.png")
    path.write_text(text(outcomes), encoding="utf-8")
