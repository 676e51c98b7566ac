"""What a result says about levels of its groups and about responses; done in `inference/`."""

from typing import Any, Literal

import pandas as pd

from bimixed.results.diagnosing import Diagnosing
from bimixed.results.rows import NewLevels
from bimixed.vocabulary import explains_methods


@explains_methods
class Predicting(Diagnosing):
    """Random effects and predictions of a result; part of :class:`MixedModelResult`."""

    def ranef_cov(self, group: str, given_fixef: bool = True) -> pd.DataFrame:
        """Covariance of the random coefficients of each level.

        Parameters
        ----------
        group : str
        given_fixef : bool
            Of likelihood fits: given the estimated variances *and* fixed effects, as lme4's ``condVar`` and
            ``ranef_sd``; or, False, Var(b̂ − b) given the variances alone, which counts the uncertainty of
            the fixed effects too (Henderson 1975). Draws give the posterior covariance, which counts all.

        Returns
        -------
        pandas.DataFrame
            K rows for each level (index: level, coefficient), K columns; in squared units of the response.
            ``table.loc[level]`` is one level's matrix. NaN where a variance isn't identified.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()
        >>> fit.ranef_cov("Subject").loc[308].round(2)
                     Intercept   Days
        coefficient
        Intercept       145.71 -21.44
        Days            -21.44   5.31
        """
        from bimixed.inference.random_effects import ranef_cov

        return ranef_cov(self._whole, group, given_fixef)

    def ranef_table(self, group: str, level: float = 0.95, given_fixef: bool = False) -> pd.DataFrame:
        """Random effects of a group with standard errors and limits.

        Parameters
        ----------
        group : str
        level : float
        given_fixef : bool
            As in :meth:`ranef_cov`, but False by default: standard errors of likelihood fits are roots of
            Var(b̂ − b) given the estimated variances, and so are larger than ``ranef_sd``. Those of draws are
            posterior sds.

        Returns
        -------
        pandas.DataFrame
            A row for each level and coefficient: ``level``, ``coefficient``, ``estimate``, ``std_error``,
            ``lower``, ``upper``: normal limits for likelihood fits, equal tails for draws.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()
        >>> fit.ranef_table("Subject").head(2).round(2)
           level coefficient  estimate  std_error  lower  upper
        0    308   Intercept      2.26      13.10 -23.42  27.93
        1    308        Days      9.20       2.64   4.03  14.37
        """
        from bimixed.inference.random_effects import ranef_table

        return ranef_table(self._whole, group, level, given_fixef)

    def combine(self, combinations: Any, level: float = 0.95) -> pd.DataFrame:
        """Linear combinations of fixed and random effects, any levels together.

        Parameters
        ----------
        combinations : dict
            Name → {effect: weight}. A fixed effect is its name, a random one (group, level, coefficient).
        level : float

        Returns
        -------
        pandas.DataFrame
            Index ``combination``; ``estimate``, ``std_error``, ``lower``, ``upper``. For likelihood fits the
            standard error is the root of Var(k'(β̂ − β) + l'(b̂ − b)) given the estimated variances (Henderson
            1975); draws give posterior means, sds and equal tails.

        Raises
        ------
        DataError
            For an effect that the model doesn't have, or that has no estimate.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()
        >>> one, other = ("Subject", 308, "Days"), ("Subject", 309, "Days")
        >>> fit.combine({"slope of 308": {"Days": 1, one: 1}, "308 - 309": {one: 1, other: -1}}).round(2)
                      estimate  std_error  lower  upper
        combination
        slope of 308     19.67       2.34  15.09  24.25
        308 - 309        17.82       3.26  11.43  24.21
        """
        from bimixed.inference.random_effects import combine

        return combine(self._whole, combinations, level)

    def rank_levels(
        self,
        group: str,
        coefficient: str | dict[str, float] | None = None,
        *,
        top: int = 1,
        best: Literal["largest", "smallest"] = "largest",
        n: int = 4000,
        level: float = 0.95,
        random_seed: int | None = None,
    ) -> pd.DataFrame:
        """Ranks of a group's levels, with their uncertainty.

        The order of the estimates hides how little may be known of it; expected ranks shrink towards the
        middle with it (Laird and Louis 1989).

        Parameters
        ----------
        group : str
        coefficient : str or dict, optional
            What is ranked: one of the group's coefficients, or weights of them, such as
            ``{"Intercept": 1, "Days": 9}`` for values at day 9. Not needed where there is one only.
        top : int
            Of ``p_top``.
        best : {"largest", "smallest"}
            What rank 1 is.
        n : int
            Simulations of a likelihood fit, from the joint normal distribution of all levels' effects given
            the data and the estimated variances. All draws of a posterior are used.
        level : float
        random_seed : int, optional

        Returns
        -------
        pandas.DataFrame
            Index of the levels, sorted by ``expected_rank``; ``estimate``, ``rank_sd``, ``lower`` and
            ``upper`` (limits of the rank, equal tails), ``p_best`` and ``p_top``: probabilities of rank 1,
            and of a rank of ``top`` at most. Ties (a variance of 0) are broken at random.

        Raises
        ------
        DataError
            If ``coefficient`` is missing or isn't the group's.
        UnavailableError
            Where its variance isn't identified.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()
        >>> ranks = fit.rank_levels("Subject", "Days", top=3, random_seed=1)
        >>> ranks[["expected_rank", "lower", "upper", "p_top"]].head(2).round(1)
                 expected_rank  lower  upper  p_top
        Subject
        308                1.8      1      4    0.9
        337                2.1      1      5    0.9
        """
        from bimixed.inference.ranking import rank_levels

        return rank_levels(self._whole, group, coefficient, top, best, n, level, random_seed)

    def predict_draws(
        self,
        new_data: Any = None,
        kind: Literal["mean", "response"] = "mean",
        n: int = 1000,
        *,
        random: str | list[str] = "all",
        new_levels: NewLevels = "error",
        random_seed: int | None = None,
    ) -> pd.DataFrame:
        """Draws of predictions, joint over rows: any function of several rows gets its uncertainty.

        Parameters
        ----------
        new_data : table, optional
            As in :meth:`predict`. Default: the rows used.
        kind : {"mean", "response"}
            Expected responses given the random effects, or new responses.
        n : int
            Draws; of a posterior at most those there are, evenly spaced.
        random, new_levels
            As in :meth:`predict`; an effect of a new level is drawn with "sample", 0 with "population".
        random_seed : int, optional

        Returns
        -------
        pandas.DataFrame
            Draws × rows; columns are the index of ``new_data``. For likelihood fits from the normal
            distribution of fixed and random effects given the data and the estimated variances, so that means
            and quantiles are those of :meth:`predict`; for draws from the posterior.

        Raises
        ------
        DataError, FitError
            As :meth:`predict`, or if ``kind``, ``n`` or ``random_seed`` is impossible.

        Examples
        --------
        >>> import bimixed as bm
        >>> import pandas as pd
        >>> fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()
        >>> rows = pd.DataFrame({"Days": [0, 9], "Subject": [1, 1]})  # a subject not seen before
        >>> found = fit.predict_draws(rows, "response", 4000, new_levels="sample", random_seed=1)
        >>> slower = (found[1] > found[0]).mean()  # probability that day 9 is slower than day 0
        >>> bool(0.9 < slower < 0.99)
        True
        """
        from bimixed.inference.prediction_draws import predict_draws

        return predict_draws(self._whole, new_data, kind, n, random, new_levels, random_seed)

    def simulate(
        self, n: int = 1, random_seed: int | None = None, random: Literal["new", "conditional"] = "new"
    ) -> pd.DataFrame:
        """Responses that the fitted model makes, of the rows used.

        Parameters
        ----------
        n : int
        random_seed : int, optional
        random : {"new", "conditional"}
            Random effects drawn anew, or those of the fit.

        Returns
        -------
        pandas.DataFrame
            Observations × n, on the index of the rows used, weights and offset counted: what
            :meth:`refit_many` takes. Likelihood fits simulate from the estimates, whose uncertainty doesn't
            count (as lme4's ``simulate``); each response of draws has other parameters of the posterior.

        Raises
        ------
        DataError, FitError
            For an unknown ``random``, an impossible ``n`` or ``random_seed``.
        UnavailableError
            Where a variance isn't identified, for new random effects.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff")).fit()
        >>> fit.simulate(3, random_seed=1).shape
        (30, 3)
        """
        from bimixed.inference.simulated import simulate

        return simulate(self._whole, n, random_seed, random)

    def marginal_cov(self, rows: Any, positions: bool = False) -> pd.DataFrame:
        """Covariance of the responses of chosen rows given X, over random effects and residuals.

        Parameters
        ----------
        rows : list or Index
            Labels of the index of the rows used, all rows that have them; with ``positions`` positions, a
            slice, or a mask.
        positions : bool

        Returns
        -------
        pandas.DataFrame
            Rows × rows, squared units of the response: Z Σ Z' + σ²/w; posterior means for draws.

        Raises
        ------
        DataError
            For rows that aren't there, or more than 10,000.
        UnavailableError
            Where a variance isn't identified.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()
        >>> fit.marginal_cov([0, 9]).round(0)
                0       9
        0  1267.0   699.0
        9   699.0  4281.0
        """
        from bimixed.inference.marginal_covariance import marginal_cov

        return marginal_cov(self._whole, rows, positions)
