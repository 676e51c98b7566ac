"""What a result says about variance explained, single rows and groups; done in `inference/`."""

from typing import TYPE_CHECKING, cast

import pandas as pd

from bimixed.results.inferring import Inferring

if TYPE_CHECKING:
    from bimixed.results.result import MixedModelResult


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
