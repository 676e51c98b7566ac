"""Results for other programs: flat tables, files, Markdown and LaTeX."""

from collections.abc import Iterable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from bimixed.results import broom
from bimixed.results.sources import augment_source, refuse_for_tables, source_of
from bimixed.vocabulary import explains_methods

if TYPE_CHECKING:
    from bimixed.results.result import MixedModelResult


@explains_methods
class Exporting:
    """How a result leaves the package; part of :class:`MixedModelResult`."""

    def tidy(
        self,
        effects: str | Sequence[str] = "fixed",
        *,
        conf_int: bool = False,
        conf_level: float = 0.95,
        conf_method: broom.ConfMethod = "wald",
        ddf: Any = None,
        n: int = 1000,
        random_seed: int | None = None,
    ) -> pd.DataFrame:
        """A row for each term, as R's broom.mixed gives it.

        Parameters
        ----------
        effects : {"fixed", "ran_pars", "ran_vals"} or list of them
            Fixed effects; standard deviations and correlations; or the random effects themselves.
        conf_int : bool
            Add ``conf_low`` and ``conf_high``.
        conf_level : float
        conf_method : {"wald", "profile", "bootstrap"}
            Of likelihood fits, as in :meth:`conf_int`; random effects have normal limits. Draws give equal
            tails.
        ddf : str, optional
            As in :meth:`coef_table`.
        n, random_seed : int
            Of the bootstrap.

        Returns
        -------
        pandas.DataFrame
            Broom's names with ``_`` for ``.``: ``effect``, ``group`` (not of fixed effects), ``level`` (of
            random effects), ``term``, ``estimate``, ``std_error`` (broom: std.error), ``statistic``, ``df``,
            ``p_value`` (p.value; these three of fixed effects, NaN for draws), ``conf_low``, ``conf_high``
            (conf.low, conf.high).

            Terms of variance parameters are ``sd__<coefficient>``, ``cor__<a>.<b>`` and ``sd__Observation``
            of the group ``Residual``, absolute. Their standard errors are those of :meth:`variance_table`.
            Those of random effects are given the fixed effects (lme4's condVar, as in broom), for draws
            posterior sds. ``Intercept`` is broom's ``(Intercept)``.

        Raises
        ------
        DataError
            For unknown effects, or an impossible level.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()
        >>> fit.tidy("ran_pars")[["group", "term", "estimate"]].round(3)
              group                 term  estimate
        0   Subject        sd__Intercept    24.740
        1   Subject             sd__Days     5.922
        2   Subject  cor__Intercept.Days     0.066
        3  Residual      sd__Observation    25.592
        """
        return broom.tidy(
            self._exported, effects, conf_int, conf_level, conf_method, ddf=ddf, n=n, random_seed=random_seed
        )

    def glance(self, *, loo: bool = False) -> pd.DataFrame:
        """One row about the whole fit, as R's broom.mixed gives it.

        Parameters
        ----------
        loo : bool
            Of draws: add ``elpd_loo``, ``elpd_loo_se`` and ``p_loo`` of :meth:`loo`, which takes a while.

        Returns
        -------
        pandas.DataFrame
            ``method``, ``nobs``, ``sigma``, ``loglik`` (broom: logLik), ``aic``, ``bic`` (AIC, BIC),
            ``reml_crit`` (REMLcrit, −2 loglik of REML fits), ``deviance`` (that of ML fits), ``df_model``
            (number of parameters), ``df_residual`` (df.residual: rows less parameters, as lme4 counts).
            The same columns for every method, NaN where it has no such thing, so that ``pandas.concat``
            puts fits below each other.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()
        >>> fit.glance()[["nobs", "sigma", "reml_crit", "df_residual"]].round(2)
           nobs  sigma  reml_crit  df_residual
        0   180  25.59    1743.63        174.0
        """
        return broom.glance(self._exported, loo)

    def augment(
        self,
        new_data: Any = None,
        *,
        prefix: str = "",
        influence: bool = True,
        path: str | PathLike[str] | None = None,
    ) -> Any:
        """The rows with what the fit says about each, as R's broom.mixed gives it.

        Parameters
        ----------
        new_data : table or source, optional
            Rows to predict, with all their columns; new levels have the population's effect. Default: the
            rows used, with the columns that the model uses. A source is read chunk by chunk, and gives what
            it gives to :meth:`predict`.
        prefix : str
            Before the new columns' names; ``"."`` gives broom's.
        influence : bool
            Of the rows used and likelihood fits: add ``hat`` and ``cooksd``, which takes longest.
        path : str or path, optional
            Of a source: the Parquet file to write, as in :meth:`predict`.

        Returns
        -------
        pandas.DataFrame
            A new table, with ``fitted`` (random effects included; posterior mean for draws), ``fixed``
            (offset and fixed effects alone), ``resid`` (response less fitted, where the data have the
            response) and, of the rows used, ``hat`` (as :attr:`leverage`) and ``cooksd`` (Cook's distance of
            the fixed effects, by leaving the row out, as :meth:`influence` has it; lme4's is another one).

        Raises
        ------
        DataError
            Where the data have a column of such a name already.

        Examples
        --------
        >>> import bimixed as bm
        >>> fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()
        >>> fit.augment().head(2).round(2)
           Reaction  Days  Subject  fitted  resid   fixed   hat  cooksd
        0    249.56     0      308  253.66  -4.10  251.41  0.23     0.0
        1    258.70     1      308  273.33 -14.63  261.87  0.17     0.0
        """
        source = source_of(new_data)
        if source is not None:
            return augment_source(self._exported, source, prefix, path)
        refuse_for_tables(path)
        return broom.augment(self._exported, new_data, prefix, influence)

    def save(self, path: str | PathLike[str], *, columns: Iterable[str] = ()) -> None:
        """Write the result to a file, for :func:`bimixed.load` in another process.

        The file is a zip archive of one JSON document and plain numpy arrays: formula, the columns of the
        data that the model uses (all their rows), weights, offset and priors as given, and the parameters
        found or the draws. Of a model of a source it has the sums, and a few thousand rows with
        every category, in place of the data. It takes the place of an older one only when it is complete.

        Parameters
        ----------
        path : str or path
            Any name; it is taken as it is.
        columns : sequence of str
            Further columns of the data to keep, for ``spec.update`` or clusters of :meth:`vcov_robust`.

        Raises
        ------
        DataError
            Where a column holds objects that are neither text, numbers nor pandas' dates.
        UnavailableError
            For refits, which have no specification.

        Examples
        --------
        >>> import bimixed as bm, pathlib, tempfile
        >>> fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff")).fit()
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "dyestuff.bimixed"
        >>> fit.save(path)
        >>> bm.load(path).varcorr.equals(fit.varcorr)
        True
        """
        from bimixed.saving import save

        save(self._exported, path, columns)

    def to_markdown(self, **how: Any) -> str:
        """A table of fixed effects, sds, correlations and fit for Markdown; several: :func:`bimixed.table`.

        Parameters
        ----------
        **how
            Of :func:`bimixed.table`.
        """
        from bimixed.side_by_side import table

        return table(self._exported, **how).to_markdown()

    def to_latex(self, caption: str | None = None, label: str | None = None, **how: Any) -> str:
        """The same for LaTeX (package booktabs).

        Parameters
        ----------
        caption, label : str, optional
        **how
            Of :func:`bimixed.table`.
        """
        from bimixed.side_by_side import table

        return table(self._exported, **how).to_latex(caption, label)

    @property
    def _exported(self) -> "MixedModelResult":
        return cast("MixedModelResult", self)
