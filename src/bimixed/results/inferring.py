"""Tables, tests and intervals of a result; what takes more than arrays is done in `inference/`."""

from typing import TYPE_CHECKING, Any, Literal, cast

import pandas as pd

from bimixed.exceptions import DataError
from bimixed.results import tables
from bimixed.results.fixef_tests import FixefTests
from bimixed.results.records import Likelihood
from bimixed.results.refitting import Refitting
from bimixed.results.uncertainty import NormalApproximation, Uncertainty
from bimixed.vocabulary import explains_methods, refuse_unknown, spelled
from bimixed.vocabulary.values import LIMITS

if TYPE_CHECKING:
    from bimixed.inference.hypotheses import HypothesisTest
    from bimixed.inference.singularity import SingularityExplanation
    from bimixed.results.result import MixedModelResult

Ddf = Literal["satterthwaite", "kenward-roger", "residual", "normal"]


@explains_methods
class Inferring(Refitting):
    """What a result says about the parameters; part of :class:`MixedModelResult`."""

    uncertainty: Uncertainty
    likelihood: Likelihood | None

    def coef_table(self, ddf: Ddf | None = None, level: float = 0.95) -> pd.DataFrame:
        """Fixed effects with tests and limits.

        Parameters
        ----------
        ddf : {"satterthwaite", "kenward-roger", "residual", "normal"}, optional
            Degrees of freedom of Student's t: Satterthwaite's (as in lmerTest); Kenward and Roger's, with
            their standard errors (1997; REML fits only); rows less coefficients; or none, that is the
            normal distribution. Default Satterthwaite's, or "normal" in models too wide for it (more than
            6,000 random effects beside those of the largest group, or a fixed factor of very many levels).
            ``table.attrs["ddf"]`` has the name.
        level : float

        Returns
        -------
        pandas.DataFrame
            ``estimate``, ``std_error``, ``df``, ``statistic``, ``p_value``, ``lower``, ``upper``;
            for draws ``df``, ``statistic`` and ``p_value`` are NaN and the limits equal tails.

        Raises
        ------
        UnavailableError
            If these degrees of freedom aren't to be had for the model.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()
        >>> fit.coef_table("kenward-roger")[["std_error", "df", "statistic"]].round(3)
        Kenward-Roger  std_error    df  statistic
        coefficient
        Intercept          6.825  17.0     36.838
        Days               1.546  17.0      6.771
        """
        return tables.coefficient_table(
            self.design, self.estimates, self.uncertainty, level, self._fixef_tests(ddf)
        )

    def test(self, hypothesis: Any, ddf: Ddf | None = None, level: float = 0.95) -> "HypothesisTest":
        """Test linear hypotheses about the fixed effects, each by itself and all together.

        Parameters
        ----------
        hypothesis : str, list of str, (k, coefficients) array or DataFrame
            Text such as ``"floor = 0, days:sex[T.M] = 0"`` or ``"a - 2 * b = 1"`` with names of
            coefficients, or rows L of Lβ = 0 (columns of a DataFrame are names).
        ddf : str, optional
            As in :meth:`coef_table`; several hypotheses by Fai and Cornelius (1996) or Kenward and Roger
            (1997).
        level : float
            Of the limits.

        Returns
        -------
        HypothesisTest
            ``F``, ``num_df``, ``den_df``, ``p_value``, ``ddf`` and ``table``; of draws the posterior of
            each combination.

        Raises
        ------
        FormulaError
            Where the text names no coefficient or can't be read.
        DataError
            If a matrix has another shape, or hypotheses contradict each other.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()
        >>> found = fit.test("Days = 10")
        >>> round(found.F, 4), round(found.den_df, 2), round(found.p_value, 4)
        (0.0914, 17.0, 0.7661)
        """
        from bimixed.inference.hypotheses import linear_test

        return linear_test(self, hypothesis, ddf, level)

    def anova(self, ddf: Ddf | None = None, type: Literal[1, 2, 3] = 3) -> pd.DataFrame:
        """F tests of the terms of the fixed part.

        Parameters
        ----------
        ddf : str, optional
            As in :meth:`coef_table`.
        type : {1, 2, 3}
            1: each term given the earlier ones; 2: given all that don't contain it; 3: contrasts between
            means of equally weighted cells, as in SAS and lmerTest, whatever the coding of the factors
            (a main effect beside an interaction is averaged over the other factor; beside an interaction
            with a covariate it is that at the covariate's 0).

        Returns
        -------
        pandas.DataFrame
            Index ``term``; ``num_df``, ``den_df``, ``F``, ``p_value``. ``attrs`` has ``ddf`` and ``type``.

        Raises
        ------
        UnavailableError
            For draws.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()
        >>> fit.anova().round(3)
        Satterthwaite, type 3  num_df  den_df       F  p_value
        term
        Days                      1.0    17.0  45.853      0.0
        """
        from bimixed.inference.anova import anova_table

        return anova_table(self.design, self._fixef_tests(ddf), type)

    def _fixef_tests(self, ddf: str | None) -> FixefTests | None:
        """None for draws."""
        if not isinstance(self.uncertainty, NormalApproximation):
            return None
        return FixefTests.of(self.design, self.estimates, self.uncertainty.small_sample, ddf)

    def conf_int(
        self,
        level: float = 0.95,
        method: Literal["wald", "profile", "bootstrap"] = "wald",
        *,
        ddf: Ddf | None = None,
        n: int = 1000,
        random_seed: int | None = None,
        workers: Any = 1,
        **unknown: Any,
    ) -> pd.DataFrame:
        """Limits for fixed effects, sds, correlations and sigma.

        Parameters
        ----------
        level : float
        method : {"wald", "profile", "bootstrap"}
            Of likelihood fits. "wald": fixed effects as in :meth:`coef_table`; sds on the log scale and
            correlations on Fisher's z by the normal distribution (delta method; NaN at the boundary).
            "profile": the profile likelihood, which :func:`bimixed.profile` explains (of a REML fit, fixed
            effects by ML). "bootstrap": percentiles of a parametric bootstrap (:func:`bimixed.bootstrap`
            has other kinds). Draws give equal tails whatever the method.
        ddf : str, optional
            Of Wald limits, as in :meth:`coef_table`; "normal" for lme4's.
        n, random_seed : int
            Of the bootstrap.
        workers : int, "joblib", "dask", distributed.Client or executor
            Of profile and bootstrap, as :func:`bimixed.bootstrap` takes them.

        Returns
        -------
        pandas.DataFrame
            ``lower``, ``upper``; rows named like coefficients, ``sd_<group>[<coefficient>]``,
            ``corr_<group>[<a>,<b>]`` and ``sigma``.
        """
        refuse_unknown("conf_int", unknown, ("level", "method", "ddf", "n", "random_seed", "workers"))
        method = spelled(method, ("wald", "profile", "bootstrap"), LIMITS)
        if method not in ("wald", "profile", "bootstrap"):
            raise DataError(f"method is {method!r}; choose 'wald', 'profile' or 'bootstrap'.")
        tables.check_level(level)
        if method == "bootstrap" and self.likelihood is not None:
            from bimixed.inference.bootstrap import bootstrap

            own = cast("MixedModelResult", self)
            return bootstrap(own, n, random_seed=random_seed, workers=workers).conf_int(level)
        if method == "profile" and self.likelihood is not None:
            from bimixed.inference.profile import interval_table

            return interval_table(self, level, workers)
        return tables.interval_table(
            self.design, self.estimates, self.uncertainty, level, self._fixef_tests(ddf)
        )

    def variance_table(self) -> pd.DataFrame:
        """Variance parameters with standard errors, each on its own scale.

        Returns
        -------
        pandas.DataFrame
            ``estimate`` and ``std_error``. Rows: ``var_<group>[<coefficient>]`` and
            ``cov_<group>[<a>,<b>]`` (variances and covariances), ``var_residual``,
            ``sd_<group>[<coefficient>]``, ``corr_<group>[<a>,<b>]``, ``sigma``. For likelihood fits by the
            delta method from the information on θ and log σ² (NaN at the boundary), for draws posterior
            means and sds.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff")).fit()
        >>> fit.variance_table().round(1)
                              estimate  std_error
        parameter
        var_Batch[Intercept]    1764.1     1432.8
        var_residual            2451.2      707.6
        sd_Batch[Intercept]       42.0       17.1
        sigma                     49.5        7.1
        """
        return tables.variance_table(self.uncertainty)

    def all_optimizers(self) -> Any:
        """Fit the same model by every optimiser, from the same start, to see whether they agree.

        Returns
        -------
        OptimizerAgreement
            ``table`` by optimiser (``loglik``, ``difference`` of parameters, ``seconds``, ``converged``) and
            ``verdict``, a sentence. SciPy's optimisers are each followed by Newton steps, as in ``fit``.

        Raises
        ------
        UnavailableError
            For draws.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff")).fit()
        >>> fit.all_optimizers().verdict
        'They agree: the same log-likelihood and the same parameters, as far as these can be known.'
        """
        from bimixed.inference.optimizers import all_optimizers

        return all_optimizers(cast("MixedModelResult", self))

    def explain_singular(
        self,
        *,
        profile: bool = True,
        posterior: bool = True,
        level: float = 0.95,
        near: float = 0.1,
        random_seed: int | None = None,
        progress: bool = True,
    ) -> "SingularityExplanation":
        """Which directions of the random effects have no variance, how sure that is, and what to do.

        Parameters
        ----------
        profile : bool
            Profile the sd of each direction, for its upper limit.
        posterior : bool
            Sample the posterior (importance sampling, which compiles at its first use) for the probability
            that the sd is near 0, beside that under the priors.
        level : float
            Of the profile limit.
        near : float
            An sd is near 0 where what the direction alone adds to the response is below this share of sigma.
        random_seed : int, optional
        progress : bool

        Returns
        -------
        SingularityExplanation
            ``table`` (directions), ``simpler`` (models without one, tested), ``suggestion`` (the formula of a
            regular one, found step by step: fewest lost directions, then AIC), ``fixef`` (what changes).
            Of a regular fit it says so.

        Raises
        ------
        UnavailableError
            For draws.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2")).fit()
        >>> why = fit.explain_singular(posterior=False, random_seed=1)
        >>> why.suggestion, round(why.directions[0].upper, 2)
        ('Yield ~ 1', 2.51)
        """
        from bimixed.inference.singularity import explain_singular

        return explain_singular(
            cast("MixedModelResult", self),
            profile=profile,
            posterior=posterior,
            level=level,
            near=near,
            random_seed=random_seed,
            progress=progress,
        )

    def to_marginaleffects(self) -> Any:
        """The fixed part as a model of the Python package marginaleffects, which has to be installed.

        Returns
        -------
        marginaleffects.classes.ModelAbstract
            For its ``predictions``, ``comparisons``, ``slopes``, ``hypotheses`` and the like. Estimates are
            those of new levels or of the population (no random effects); standard errors count the fixed
            effects' covariance (of draws: the posterior's), limits are by the normal distribution.
            ``eps_vcov=1e-3`` gives standard errors of slopes to all digits, since predictions are linear in
            the coefficients; its own step leaves two or three.

        Raises
        ------
        UnavailableError
            Where marginaleffects, or a polars that it works with, isn't installed.
        DataError
            For models given as arrays, and those with a fixed factor of very many levels.
        """
        from bimixed.inference.marginaleffects import to_marginaleffects

        return to_marginaleffects(cast("MixedModelResult", self))
