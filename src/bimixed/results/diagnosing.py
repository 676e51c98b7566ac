"""What a result says about variance explained, single rows and groups; done in `inference/`."""

from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from bimixed.results.inferring import Inferring
from bimixed.vocabulary import explains_methods

if TYPE_CHECKING:
    from bimixed.inference.conditional_aic import ConditionalAic
    from bimixed.results.result import MixedModelResult


@explains_methods
class Diagnosing(Inferring):
    """Diagnostics of a result; part of :class:`MixedModelResult`."""

    @property
    def _whole(self) -> "MixedModelResult":
        return cast("MixedModelResult", self)

    def icc(self, by_group: bool = False, level: float = 0.95) -> pd.DataFrame:
        """Intraclass correlation: the random effects' share of the variance of a row.

        Variances are averages over the rows used: z'Σz of the random effects, so that slopes count (Johnson
        2014), and σ²/w of the residual where there are weights, σ² otherwise.

        Parameters
        ----------
        by_group : bool
            Each group's share of the variance that the fixed effects leave; the shares add up to the
            adjusted ICC.
        level : float
            Of the limits that draws have.

        Returns
        -------
        pandas.DataFrame
            Rows ``adjusted`` (of the variance given the fixed effects) and ``unadjusted`` (of all variance,
            that of Xβ between the rows included), or one for each group; columns ``estimate`` and, for draws,
            whose estimate is the posterior mean, ``lower`` and ``upper``. NaN where a variance isn't
            identified. Proportions, the definitions of Nakagawa, Johnson and Schielzeth (2017).

        Raises
        ------
        DataError
            If ``level`` is no probability.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()
        >>> fit.icc().round(4)
                    estimate
        icc
        adjusted      0.7217
        unadjusted    0.5206
        """
        from bimixed.inference.variance_shares import icc

        return icc(self._whole, by_group, level)

    def r2(self, level: float = 0.95) -> pd.DataFrame:
        """Nakagawa's R², conditional and marginal.

        Parameters
        ----------
        level : float
            Of the limits that draws have.

        Returns
        -------
        pandas.DataFrame
            Rows ``conditional`` (share of fixed and random effects in the variance of a row) and ``marginal``
            (of the fixed effects alone); columns and variances as those of :meth:`icc`.

        Raises
        ------
        DataError
            If ``level`` is no probability.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()
        >>> fit.r2().round(4)
                     estimate
        r2
        conditional    0.7992
        marginal       0.2787
        """
        from bimixed.inference.variance_shares import r2

        return r2(self._whole, level)

    @property
    def caic(self) -> float:
        """Conditional AIC, with the estimation of the variances counted: ``conditional_aic().caic``."""
        return self.conditional_aic().caic

    def conditional_aic(self) -> "ConditionalAic":
        """Akaike's criterion for predictions of the groups at hand, given their random effects.

        −2 log p(y | β̂, b̂, σ̂) + 2 df with df = Σ ∂ŷ_i/∂y_i + 1: the trace of the hat matrix (Vaida and
        Blanchard 2005), what ŷ changes with the estimated variances (Greven and Kneib 2010), and 1 for σ.
        ``aic`` is the one for new groups.

        Returns
        -------
        ConditionalAic
            ``caic``, ``loglik`` (conditional), ``df``, and ``df_given_variances``, without the second part.

        Raises
        ------
        UnavailableError
            For draws; compare ``loo()``.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", bm.load_dataset("sleepstudy")).fit("ml")
        >>> found = fit.conditional_aic()
        >>> round(found.caic, 2), round(found.df_given_variances, 2), round(found.df, 2)
        (1767.01, 18.83, 18.97)
        """
        from bimixed.inference.conditional_aic import conditional_aic

        return conditional_aic(self._whole)

    @property
    def leverage(self) -> pd.DataFrame:
        """Leverage of each row: what a unit of its response adds to its fitted value, given the variances.

        Columns ``leverage`` (the diagonal of the hat matrix of ŷ, random effects included), ``fixed`` (its
        part that goes through the fixed effects, which adds up to their number) and ``random`` (the rest);
        index of the rows used. Likelihood fits only.
        """
        from bimixed.inference.influence import leverage

        return leverage(self._whole)

    def influence(self, group: Any = None, *, variances: str = "fixed") -> pd.DataFrame:
        """What the fixed effects owe to single rows, or to the rows of a group, without refitting.

        Rows are left out with the variance parameters (relative to σ²) as estimated from all of them, for
        which everything is exact, or after one step towards those of the other rows.

        Parameters
        ----------
        group : str or (nobs,) array, optional
            Leave out the rows of one of its levels at a time: a grouping factor of the model, a column of the
            data, or a label for each row used. Default: single rows. Crossed groups take a solve for each row
            or each effect that a level has to do with, whichever are fewer.
        variances : {"fixed", "newton"}
            "newton" takes one Newton step of the variance parameters for each left-out level (groups only);
            that is a pass over the other rows, and close to a refit.

        Returns
        -------
        pandas.DataFrame
            Index of the rows used, or of the group's levels.

            - ``n_rows``: rows of the level (groups only).
            - ``cooks_distance``: (β̂ − β̂_(S))' Var(β̂)⁻¹ (β̂ − β̂_(S)) / p (Cook 1977).
            - ``leverage``: as :attr:`leverage`; for groups the mean of the rows (Demidenko and Stukel 2005).
            - ``sigma``: residual sd without these rows.
            - ``dfbeta[<coefficient>]``: estimate less that without these rows.
            - ``dfbetas[<coefficient>]``: the same in standard errors of the fit without these rows.

            NaN where the other rows don't determine a fixed effect. Coefficients of a factor with hundreds of
            levels are left out, of Cook's distance too.

        Raises
        ------
        UnavailableError
            For draws; look at ``loo()``. For models without fixed effects.
        DataError
            If ``group`` is neither a group of the model nor a column of its data, or ``variances`` unknown.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()
        >>> fit.influence("Subject")["cooks_distance"].nlargest(2).round(3)
        Subject
        309    0.149
        335    0.129
        Name: cooks_distance, dtype: float64
        """
        from bimixed.inference.influence import influence

        return influence(self._whole, group, variances)

    def vcov_robust(self, cluster: Any = None, kind: str = "CR2") -> pd.DataFrame:
        """Cluster-robust (sandwich) covariance of the fixed effects, as R's clubSandwich has it.

        It holds though the covariance within clusters is another than modelled; the estimates stay those of
        the model.

        Parameters
        ----------
        cluster : str or (nobs,) array, optional
            Independent units: a group of the model, a column of the data, or a label for each row used.
            Each level of every group belongs to one of them. Default: the group that the others are nested
            in.
        kind : {"CR2", "CR1", "CR1S", "CR0"}
            CR0 is the plain sandwich (Liang and Zeger 1986), too small for few clusters; CR1 and CR1S
            multiply it by m/(m − 1) and m(n − 1)/((m − 1)(n − p)), m clusters and n rows; CR2 is unbiased
            where the model holds (Bell and McCaffrey 2002; Pustejovsky and Tipton 2018). CR2 makes a matrix
            of the rows of one cluster at a time.

        Returns
        -------
        pandas.DataFrame
            As ``vcov``.

        Raises
        ------
        DataError
            Where clusters cut through a level of a group, there is one cluster only, or ``kind`` is unknown.
        UnavailableError
            For draws, and models without fixed effects or with a fixed factor of very many levels.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", bm.load_dataset("sleepstudy")).fit()
        >>> fit.vcov_robust().round(2)
                     Intercept  Days
        coefficient
        Intercept        46.57 -1.45
        Days             -1.45  2.39
        """
        from bimixed.inference.robust import vcov_robust

        return vcov_robust(self._whole, cluster, kind)

    def coef_table_robust(self, cluster: Any = None, kind: str = "CR2", level: float = 0.95) -> pd.DataFrame:
        """Fixed effects with cluster-robust standard errors, t tests and limits.

        Parameters
        ----------
        cluster, kind
            As :meth:`vcov_robust`.
        level : float

        Returns
        -------
        pandas.DataFrame
            Columns of :meth:`coef_table`. ``df``: Satterthwaite's for CR2, under the fitted model
            (Pustejovsky and Tipton 2018), the number of clusters less 1 for the others.

        Raises
        ------
        DataError, UnavailableError
            As :meth:`vcov_robust`.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", bm.load_dataset("sleepstudy")).fit()
        >>> fit.coef_table_robust()[["estimate", "std_error", "df"]].round(2)
                     estimate  std_error    df
        coefficient
        Intercept      251.41       6.82  17.0
        Days            10.47       1.55  17.0
        """
        from bimixed.inference.robust import coef_table_robust

        return coef_table_robust(self._whole, cluster, kind, level)

    def residuals_scaled(
        self, n: int = 1000, random_seed: int | None = None, random: str = "new"
    ) -> pd.Series:
        """Residuals by simulation: the place of each response among those that the model makes.

        Uniform in [0, 1] where the model holds, whatever the weights and groups: look at their histogram, and
        plot them against fitted values, covariates and groups. Likelihood fits simulate from the estimates,
        draws from the posterior (their parameters have seen the response, so that the residuals are a little
        too central where there are few rows per parameter).

        Parameters
        ----------
        n : int
            Simulated responses; for draws at most as many as there are.
        random_seed : int, optional
        random : {"new", "conditional"}
            Random effects drawn anew, which tests them too; residuals of one level then depend on each other
            (each is uniform, but they tend to be high or low together). Or those of the fit, for the residual
            distribution alone.

        Returns
        -------
        pandas.Series
            On the index of the rows used: ranks among n + 1, made continuous by uniform numbers (Dunn and
            Smyth 1996).

        Raises
        ------
        DataError, FitError
            For an unknown ``random``, an impossible ``n`` or ``random_seed``.
        UnavailableError
            Where a variance isn't identified, for new random effects.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()
        >>> scaled = fit.residuals_scaled(random_seed=1)
        >>> bool(scaled.between(0, 1).all()), bool(abs(scaled.mean() - 0.5) < 0.1)
        (True, True)
        """
        from bimixed.inference.scaled_residuals import residuals_scaled

        return residuals_scaled(self._whole, n, random_seed, random)
