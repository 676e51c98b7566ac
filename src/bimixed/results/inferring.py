"""Tables, tests and intervals of a result; what takes more than arrays is done in `inference/`."""

from typing import Any, Literal

import pandas as pd

from bimixed.exceptions import DataError
from bimixed.results import tables
from bimixed.results.records import Likelihood
from bimixed.results.refitting import Refitting
from bimixed.results.uncertainty import Uncertainty
from bimixed.vocabulary import refuse_unknown


class Inferring(Refitting):
    """What a result says about the parameters; part of :class:`MixedModelResult`."""

    uncertainty: Uncertainty
    likelihood: Likelihood | None

    def coef_table(self, ddf: Literal["normal"] = "normal", level: float = 0.95) -> pd.DataFrame:
        """Fixed effects with tests and limits.

        Parameters
        ----------
        ddf : {"normal"}
            Reference distribution: the normal one, that is infinite degrees of freedom.
        level : float

        Returns
        -------
        pandas.DataFrame
            ``estimate``, ``std_error``, ``df``, ``statistic``, ``p_value``, ``lower``, ``upper``;
            for draws ``df``, ``statistic`` and ``p_value`` are NaN and the limits equal tails.
        """
        if ddf != "normal":
            raise DataError(f"ddf is {ddf!r}; only 'normal' is available in this version.")
        return tables.coefficient_table(
            self.design, self.estimates, self.uncertainty, level, self.likelihood is not None
        )

    def conf_int(self, level: float = 0.95, method: Literal["wald"] = "wald", **unknown: Any) -> pd.DataFrame:
        """Limits for fixed effects, sds, correlations and sigma.

        Parameters
        ----------
        level : float
        method : {"wald"}
            For likelihood fits the normal approximation: fixed effects on their own scale, sds on
            the log scale, correlations on Fisher's z (delta method; NaN at the boundary). Draws
            give equal tails whatever the method.

        Returns
        -------
        pandas.DataFrame
            ``lower``, ``upper``; rows named like coefficients, ``sd_<group>[<coefficient>]``,
            ``corr_<group>[<a>,<b>]`` and ``sigma``.
        """
        refuse_unknown("conf_int", unknown, ("level", "method"))
        if method != "wald":
            raise DataError(f"method is {method!r}; only 'wald' is available in this version.")
        return tables.interval_table(self.design, self.uncertainty, level)

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
