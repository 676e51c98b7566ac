"""The plain records that a backend hands over."""

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from bimixed.covariance import Array
from bimixed.design import Design, RandomRows
from bimixed.results.undetermined import Undetermined


@dataclass(frozen=True)
class Estimates:
    """Point estimates and their uncertainty as arrays; the same from every backend.

    Attributes
    ----------
    beta : (p,) array
        Fixed effects, all columns of X; NaN where a collinear column was dropped.
    std_errors : (p,) array
        Of the fixed effects.
    vcov_of : callable
        Their covariance (p, p), computed when first asked for.
    random_cov : mapping, group → (K, K) array
        Covariance of the coefficients of a level (absolute, in squared units of the response);
        NaN where it is not identified.
    random_sd : mapping, group → (K,) array
        Their standard deviations; for draws the posterior means of the sds.
    random_corr : mapping, group → (K, K) array
        Their correlations; for draws the posterior means of the correlations.
    sigma : float
        Residual standard deviation.
    ranef : mapping, group → (L, K) array
        Conditional modes, or posterior means.
    ranef_sd : mapping, group → (L, K) array
        Conditional sds given θ and β, or posterior sds.
    residual_variance : float or None
        For draws the posterior mean of σ²; None where it is the square of ``sigma``.
    undetermined : mapping, group → Undetermined
        Covariances that the likelihood doesn't depend on: NaN in ``random_cov``, as are effects that depend
        on them in ``ranef``.
    usable : mapping
        Where there are such, ``cov`` and ``ranef`` by group for one of the covariances that fit as well.
    """

    beta: Array
    std_errors: Array
    vcov_of: Callable[[], Array]
    random_cov: Mapping[str, Array]
    random_sd: Mapping[str, Array]
    random_corr: Mapping[str, Array]
    sigma: float
    ranef: Mapping[str, Array]
    ranef_sd: Mapping[str, Array]
    residual_variance: float | None = None
    undetermined: Mapping[str, Undetermined] = field(default_factory=dict)
    usable: Mapping[str, Mapping[str, Array]] = field(default_factory=dict, repr=False)

    @property
    def usable_cov(self) -> Mapping[str, Array]:
        """``random_cov``, and of covariances that fit equally well one of them."""
        return self.usable.get("cov", self.random_cov)

    @property
    def usable_ranef(self) -> Mapping[str, Array]:
        """``ranef`` given ``usable_cov``: Zb of the rows used doesn't depend on the choice."""
        return self.usable.get("ranef", self.ranef)

    @cached_property
    def vcov(self) -> Array:
        """Covariance of the fixed effects, (p, p)."""
        return self.vcov_of()


@dataclass(frozen=True)
class Likelihood:
    """What only a maximised likelihood has.

    Attributes
    ----------
    loglik : float
        Log-likelihood, restricted for REML (as lme4 defines it).
    n_parameters : int
        Fixed effects, entries of θ, and sigma.
    theta : mapping, group → (m,) array
        Relative covariance parameters (lme4's θ).
    """

    loglik: float
    n_parameters: int
    theta: Mapping[str, Array]


@dataclass(frozen=True)
class Refits:
    """Estimates of many responses of one design.

    Attributes
    ----------
    beta : (R, rank) array
        Fixed effects that are not dropped.
    random_cov : mapping, place of the factor → (R, K, K) array
        Covariance of the coefficients of a level, of weights of geometric mean 1.
    sigma2 : (R,) array
        Residual variance, likewise.
    loglik : (R,) array
    converged : (R,) bool array
    """

    beta: Array
    random_cov: Mapping[int, Array]
    sigma2: Array
    loglik: Array
    converged: NDArray[np.bool_]


@dataclass(frozen=True, repr=False)
class Diagnostics:
    """How a fit went; printed without what the method doesn't have.

    Attributes
    ----------
    ok : bool
        Nothing to worry about: converged, not singular, everything identified.
    converged : bool
    singular : bool
        Whether a direction of the random effects has no variance (None for draws).
    messages : tuple of str
        What was noticed, and what to do about it.
    seconds : float
        Wall time of the fit.
    n_evaluations : int or None
        Evaluations of the likelihood and its gradient.
    rhat_max, ess_bulk_min, ess_tail_min : float or None
        Over every scalar of the posterior, random effects included.
    divergences : int or None
    pareto_k : float or None
        Of importance sampling.
    details : mapping
        More of the method's own. Likelihood fits: ``elimination``, a mapping that tells how the random
        effects are eliminated (``by_level``, ``trailing``, ``trailing_columns``, ``couplings``,
        ``factor_entries``, ``core_columns``, ``compiled``; the README explains them). Draws: ``form``
        and ``parameterization`` of each group.

    Examples
    --------
    >>> import bimixed as bm
    >>> fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2")).fit()
    >>> fit.diagnostics  # doctest: +ELLIPSIS
    Diagnostics: see the messages
      converged      True
      singular       True
      n_evaluations  ...
      seconds        ...
      elimination    by_level={'Batch': 6}, trailing='none', compiled=False
    * Singular fit: the estimated variance of 'Intercept' between levels of Batch is 0 (the data show no
      more variation between them than chance). ...
    """

    ok: bool
    converged: bool
    singular: bool | None
    messages: tuple[str, ...]
    seconds: float
    n_evaluations: int | None = None
    rhat_max: float | None = None
    ess_bulk_min: float | None = None
    ess_tail_min: float | None = None
    divergences: int | None = None
    pareto_k: float | None = None
    details: Mapping[str, object] = field(default_factory=dict)

    def __repr__(self) -> str:
        shown = self._facts()
        width = max(map(len, shown))
        lines = [f"  {name:<{width}}  {value}" for name, value in shown.items()]
        messages = [textwrap.fill(f"* {message}", 100, subsequent_indent="  ") for message in self.messages]
        return "\n".join([self._state(), *lines, *messages])

    def _repr_html_(self) -> str:
        from bimixed.results.summary import Summary

        return Summary(self._state(), tuple(self._facts().items()), (), self.messages, ())._repr_html_()

    def _state(self) -> str:
        state = "ok" if self.ok else "see the messages" if self.messages else "not ok"
        return f"Diagnostics: {state}"

    def _facts(self) -> dict[str, str]:
        names = ("converged", "singular", "n_evaluations", *_OF_DRAWS, "seconds")
        facts = {name: getattr(self, name) for name in names}
        shown = {name: _shown(value) for name, value in facts.items() if value is not None}
        return shown | {name: _shown(value) for name, value in self.details.items()}


_OF_DRAWS = ("rhat_max", "ess_bulk_min", "ess_tail_min", "divergences", "pareto_k")


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={part!r}" for key, part in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Interval:
    """Lower and upper limits, arrays of equal shape."""

    lower: Array
    upper: Array


@dataclass(frozen=True)
class VarianceScales:
    """Estimates of the variance parameters on scales where a normal approximation serves.

    Attributes
    ----------
    names : tuple of str
        ``sd_<group>[<coefficient>]``, ``corr_<group>[<a>,<b>]``, and last ``sigma``.
    kinds : tuple of str
        "sd" (log scale) or "corr" (Fisher's z).
    values : (m,) array
        On the natural scale.
    transformed_se : (m,) array
        Standard errors on the transformed scale, NaN where undefined (at the boundary).
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    values: Array
    transformed_se: Array


@dataclass(frozen=True)
class VarianceParameters:
    """Variance parameters on their own scales: names, values (m,) and standard errors (m,)."""

    names: tuple[str, ...]
    values: Array
    std_errors: Array


class Refitter(Protocol):
    """Fits of the same design to other responses."""

    @property
    def weight_scale(self) -> float:
        """Geometric mean of the weights."""
        ...

    def one(self, design: Design) -> Any:
        """A whole result."""
        ...

    def many(self, responses: Array) -> Refits:
        """The estimates alone, for (n, R) responses."""
        ...


class VarianceScalesOf(Protocol):
    """Gives the variance parameters when they are first needed."""

    def __call__(self) -> VarianceScales: ...

    def entries(self) -> VarianceParameters:
        """Variances and covariances on their own scale."""
        ...


@dataclass(frozen=True)
class FTest:
    """An F statistic and its degrees of freedom; ``den_df`` may be infinite."""

    num_df: int
    den_df: float
    statistic: float


class SmallSampleOf(Protocol):
    """Degrees of freedom of tests of fixed effects; rows of L are on the independent columns of X."""

    def check(self, kenward_roger: bool = False) -> None:
        """Raise UnavailableError where there are none."""
        ...

    def covariance_of(self, L: Array, adjusted: bool) -> Array | None:
        """Covariance of Lβ̂ with the digits of the orthogonal basis, (k, k); None where there is none."""
        ...

    def satterthwaite(self, L: Array) -> Array:
        """Degrees of freedom of each row's estimate, (k,)."""
        ...

    def adjusted_covariance(self) -> Array:
        """Kenward and Roger's covariance of the estimates, (rank, rank)."""
        ...

    def kenward_roger(self, L: Array, differences: Array) -> FTest:
        """Kenward and Roger's F test of Lβ, which differs from the hypothesis by ``differences``."""
        ...


class LinearVariance(Protocol):
    """Variance of Xβ̂ + Zb̂ as a predictor of Xβ + Zb, given the variance parameters, (m,)."""

    def __call__(self, X: Array, known: Mapping[str, RandomRows]) -> Array:
        """Of rows; X is (m, rank), and known has the levels of the groups that count."""
        ...

    def of_combinations(self, X: Array, Z: Mapping[str, sp.csr_array]) -> Array:
        """Of any combinations of effects; Z is (m, L·K) for each group, those that are missing 0."""
        ...


class JointOf(Protocol):
    """Fixed and random effects together given the variance parameters, a normal distribution."""

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Array, dict[str, Array]]:
        """Draws of the independent fixed effects, (n, rank), and of each group's effects, (n, L, K)."""
        ...

    def ranef_cov(self, key: str, given_fixef: bool) -> Array:
        """Covariance of each level's effects, (L, K, K): of b given β and y, or of b̂ − b."""
        ...
