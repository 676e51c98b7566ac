"""Tests of variances at their boundary, by simulation of the null distribution."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import SeedSequence

from bimixed.arguments import check_count, check_seed
from bimixed.covariance import Array, CovarianceTemplate
from bimixed.crossproducts import Preparation
from bimixed.design import Design, LevelRows, RandomFactor
from bimixed.exceptions import DataError, FitError
from bimixed.inference.by_ml import engine
from bimixed.inference.pools import Workers, usable
from bimixed.inference.processes import work_through
from bimixed.inference.resampling import Parametric
from bimixed.inference.spectral import Spectrum
from bimixed.likelihood.fit import Refitter, fit_likelihood
from bimixed.likelihood.points import At
from bimixed.likelihood.undetermined import undetermined_message
from bimixed.marginal.progress import Progress
from bimixed.results import MixedModelResult
from bimixed.results.summary import Summary
from bimixed.shortening import listed
from bimixed.vocabulary import explains_arguments

TIE = 1e-7
"""Statistics below this are 0 but for rounding."""
PIECE = 50
"""Responses that are drawn and fitted together."""
EXACT_DRAWS, BOOTSTRAP_DRAWS = 10_000, 1_000


@dataclass(frozen=True, repr=False, eq=False)
class VarianceTest:
    """Test of one or more variances that are 0 under the null hypothesis.

    Attributes
    ----------
    tested : tuple of str
        The sds, named as in ``conf_int``.
    statistic : float
        −2 × the difference of the log-likelihoods, restricted ones for REML fits.
    p_value : float
        (1 + number of simulated statistics at least as large) / (1 + number of simulated ones).
    std_error : float
        Monte Carlo standard error of the p-value.
    method : str
        "exact" (simulation of the finite-sample distribution) or "bootstrap" (parametric, under the null).
    likelihood : str
        "reml" or "ml".
    simulated : (n,) array
        Statistics under the null hypothesis.
    n_failed : int
        Simulated responses that couldn't be fitted; they don't count.
    interrupted : bool
        Whether fewer were simulated than asked for.
    """

    tested: tuple[str, ...]
    statistic: float
    p_value: float
    std_error: float
    method: str
    likelihood: str
    simulated: Array
    n_failed: int = 0
    interrupted: bool = False

    def summary(self) -> Summary:
        """The test as text (``print``) and in notebooks."""
        kind = "Restricted likelihood-ratio" if self.likelihood == "reml" else "Likelihood-ratio"
        how = {
            "exact": "exact finite-sample distribution, by simulation of its spectral form",
            "bootstrap": "parametric bootstrap under the null model",
        }
        notes = []
        if 0 < self.p_value * (len(self.simulated) + 1) < 1.5:
            notes.append("No simulated statistic is as large: so many give no smaller p-value.")
        if self.n_failed:
            notes.append(f"{self.n_failed} simulated responses couldn't be fitted and don't count.")
        if self.interrupted:
            notes.append("Interrupted: fewer were simulated than asked for.")
        return Summary(
            title=f"{kind} test of {listed(self.tested)} = 0",
            facts=(
                ("Statistic", f"{self.statistic:.4f}"),
                ("p-value", f"{self.p_value:.4f} (Monte Carlo error {self.std_error:.4f})"),
                ("Reference", f"{how[self.method]}, {len(self.simulated)} draws"),
            ),
            sections=(),
            notes=tuple(notes),
            whole=(),
        )

    def __str__(self) -> str:
        return str(self.summary())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()


@explains_arguments
def rlrt(
    fit: MixedModelResult,
    term: str | None = None,
    *,
    n_sim: int | None = None,
    random_seed: int | None = None,
    workers: Workers = 1,
    progress: bool = True,
) -> VarianceTest:
    """Test whether a variance is 0, which lies at its boundary.

    Parameters
    ----------
    fit : MixedModelResult
        REML fits are tested by the restricted likelihood ratio, ML fits by the likelihood ratio; the null
        model has the same fixed effects.
    term : str, optional
        What is left out under the null hypothesis: a coefficient, ``"Subject[Days]"`` (or
        ``"sd_Subject[Days]"``), with its covariances; a group, ``"Subject"``, with all of its coefficients;
        or a term as written, ``"(0 + Days | Subject)"``. Not needed where the model has one random
        coefficient.
    n_sim : int, optional
        Simulated statistics; default 10,000 of the exact distribution, 1,000 of the bootstrap.
    random_seed : int, optional
        The same seed gives the same p-value, whatever the workers.
    workers : int, "joblib", "dask", distributed.Client or executor
        For the bootstrap, as :func:`bimixed.bootstrap` takes them.
    progress : bool
        A line on standard error where it takes long.

    Returns
    -------
    VarianceTest
        Where the model has one random coefficient alone, from the exact finite-sample distribution
        (Crainiceanu and Ruppert 2004), which takes milliseconds; else by parametric bootstrap: responses are
        drawn from the fitted null model, and both models are fitted to each.

    Raises
    ------
    DataError
        If the model has no such term.
    FitError
        If its variance isn't identified.
    UnavailableError
        For draws.
    WorkerError
        If workers end before all is done; its ``partial`` is a test by what is.

    Examples
    --------
    >>> import bimixed as bm
    >>> fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff")).fit()
    >>> test = bm.rlrt(fit, random_seed=1)
    >>> test.method, round(test.statistic, 2), bool(test.p_value < 0.01)
    ('exact', 6.37, True)
    """
    large = engine(fit, "A test of a variance")
    check_seed(random_seed)
    workers = usable(workers)
    if n_sim is not None:
        check_count("n_sim", n_sim)
    place, which = _coefficients(fit.design, term)
    f = fit.design.factors[place]
    tested = tuple(f"sd_{f.key}[{f.names[k]}]" for k in which)
    part = fit.estimates.undetermined.get(f.key)
    if part is not None and len(which) < f.n_coefficients and np.diag(part.entries)[list(which)].any():
        raise FitError(f"{listed(tested)} has no estimate (NaN). {undetermined_message(f, part)}")
    if np.isnan(np.diag(fit.estimates.usable_cov[f.key])[list(which)]).any():
        raise FitError(
            f"{listed(tested)} isn't identified (NaN): the fixed effects take up all of it, and there is "
            "nothing to test. Leave it out of the model, or the fixed effects that it repeats."
        )
    seeds = SeedSequence(random_seed)
    spectrum = None
    if len(fit.design.factors) == 1 and f.n_coefficients == 1:
        spectrum = Spectrum.of(large.problem.cp, large.problem.reml)
    if spectrum is not None:
        at_zero = large.problem(np.zeros(1)).value
        with Progress(n_sim or EXACT_DRAWS, "simulated", progress) as shown:
            simulated = spectrum.simulate(n_sim or EXACT_DRAWS, np.random.default_rng(seeds), shown.update)
        return _judged(tested, -2.0 * fit.loglik, at_zero, simulated, "exact", fit.method)
    ratios, at_zero = _under_null(fit, large, place, which)
    children = seeds.spawn(n_sim or BOOTSTRAP_DRAWS)
    pieces = [children[i : i + PIECE] for i in range(0, len(children), PIECE)]
    done = work_through(ratios, pieces, what="refits", workers=workers, progress=progress)
    done.require_some("Interrupted before anything was simulated; there is no p-value.")
    simulated = np.concatenate(list(done.results.values()))
    short = len(simulated) < len(children)
    made = _judged(tested, -2.0 * fit.loglik, at_zero, simulated, "bootstrap", fit.method, interrupted=short)
    return done.handed(made, f"{len(simulated)} of {len(children)} statistics")


def _judged(
    tested: tuple[str, ...],
    deviance: float,
    at_zero: float,
    simulated: Array,
    method: str,
    likelihood: str,
    interrupted: bool = False,
) -> VarianceTest:
    good = simulated[~np.isnan(simulated)]
    if not len(good):
        raise FitError("None of the simulated responses could be fitted; there is no p-value.")
    statistic = at_zero - deviance
    statistic = 0.0 if statistic < TIE else statistic
    n = len(good) + 1
    p = 1.0 if statistic == 0.0 else (1 + int((good >= statistic).sum())) / n
    return VarianceTest(
        tested=tested,
        statistic=statistic,
        p_value=p,
        std_error=float(np.sqrt(p * (1.0 - p) / n)),
        method=method,
        likelihood=likelihood,
        simulated=good,
        n_failed=len(simulated) - len(good),
        interrupted=interrupted,
    )


def _coefficients(design: Design, term: Any) -> tuple[int, tuple[int, ...]]:
    """Place of the factor and its coefficients that a term names.

    Raises
    ------
    DataError
    """
    names = _names(design)
    if term is None:
        if sum(f.n_coefficients for f in design.factors) == 1:
            return 0, (0,)
        raise DataError(f"The model has several variances; say which to test: {listed(_shown(design))}.")
    if not isinstance(term, str) or "".join(term.split()) not in names:
        raise DataError(f"The model has no random term {term!r}; choose one of {listed(_shown(design))}.")
    found = names["".join(term.split())]
    if len(found) > 1:
        raise DataError(
            f"{term!r} stands for terms of several groups; choose one of {listed(_shown(design))}."
        )
    return found[0]


def _shown(design: Design) -> list[str]:
    return [f"{f.key}[{name}]" for f in design.factors for name in f.names]


def _names(design: Design) -> dict[str, list[tuple[int, tuple[int, ...]]]]:
    """Everything that a term may be called, blanks left out."""
    names: dict[str, list[tuple[int, tuple[int, ...]]]] = {}

    def add(name: str, place: int, which: Sequence[int]) -> None:
        found = names.setdefault("".join(name.split()), [])
        if (place, tuple(which)) not in found:
            found.append((place, tuple(which)))

    for place, f in enumerate(design.factors):
        add(f.key, place, range(f.n_coefficients))
        for k, name in enumerate(f.names):
            add(f"{f.key}[{name}]", place, [k])
            add(f"sd_{f.key}[{name}]", place, [k])
        start = 0
        for source, (size, _) in zip(f.sources, f.template.blocks, strict=False):
            add(source, place, range(start, start + size))
            start += size
    return names


def without(design: Design, place: int, which: Sequence[int]) -> Design:
    """A design without some random coefficients of a factor."""
    f = design.factors[place]
    left = [k for k in range(f.n_coefficients) if k not in which]
    others = design.factors[:place], design.factors[place + 1 :]
    if not left:
        return replace(design, factors=(*others[0], *others[1]))
    return replace(design, factors=(*others[0], _narrowed(f, left), *others[1]))


def _narrowed(f: RandomFactor, left: Sequence[int]) -> RandomFactor:
    blocks, start = [], 0
    for size, correlated in f.template.blocks:
        kept = sum(start <= k < start + size for k in left)
        start += size
        if kept:
            blocks.append((kept, correlated))
    rows = f.level_rows
    return replace(
        f,
        rows=LevelRows(rows.codes, np.ascontiguousarray(rows.values[:, left]), rows.n_levels, rows.labels),
        names=tuple(f.names[k] for k in left),
        template=CovarianceTemplate(tuple(blocks)),
    )


@dataclass(frozen=True)
class NoRandomEffects:
    """The likelihood without random effects, of any response.

    Attributes
    ----------
    prepared : Preparation
    df : int
    constant : float
        The deviance less df · log(residual sum of squares).
    """

    prepared: Preparation
    df: int
    constant: float

    def logliks(self, responses: Array) -> Array:
        """(R,), of responses (n, R)."""
        design = self.prepared.design
        y = responses if design.offset is None else responses - design.offset[:, None]
        rss = np.array([self.prepared.fixed.response(one)[0].rss for one in y.T])
        return -0.5 * (self.constant + self.df * np.log(rss))


@dataclass(frozen=True)
class Ratios:
    """Statistics of responses drawn under the null model."""

    draw: Parametric
    large: Refitter
    small: Refitter | NoRandomEffects

    def __call__(self, seeds: Sequence[SeedSequence]) -> Array:
        """A statistic for each seed, NaN where a response couldn't be fitted."""
        y = self.draw(seeds)
        small = self.small.many(y).loglik if isinstance(self.small, Refitter) else self.small.logliks(y)
        return np.maximum(2.0 * (self.large.many(y).loglik - small), 0.0)


def _under_null(
    fit: MixedModelResult, large: Refitter, place: int, which: tuple[int, ...]
) -> tuple[Ratios, float]:
    """Draws of the statistic under the null model, and that model's deviance."""
    design, reml = without(fit.design, place, which), large.problem.reml
    if design.factors:
        null = fit_likelihood(design, reml=reml, optimizer=large.optimizer)
        return Ratios(Parametric.of(null), large, engine(null, "")), -2.0 * null.loglik
    problem, prepared = large.problem, large.setup.preparation
    here, basis, df = problem(np.zeros(int(problem.free.sum()))), problem.cp.basis, problem.cp.df(reml)
    if not isinstance(here, At):
        raise FitError("The likelihood without random effects can't be computed; centre the covariates.")
    small = NoRandomEffects(prepared, df, here.value - df * float(np.log(basis.rss)))
    mean = np.asarray(design.X_kept @ basis.coefficients(here.gamma, here.modes))
    mean = mean if design.offset is None else mean + design.offset
    # sigma of weights as given; they have a geometric mean of 1 in the basis
    sigma = np.sqrt(basis.rss / df * large.weight_scale)
    sds = np.full(design.n, sigma) if design.weights is None else sigma / np.sqrt(design.weights)
    return Ratios(Parametric(design, mean, (), sds), large, small), here.value
