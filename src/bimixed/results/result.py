"""The one result type: estimates, report and uncertainty, as tables on request."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from bimixed.arguments import check_seed
from bimixed.covariance import Array
from bimixed.design import Design
from bimixed.exceptions import DataError, UnavailableError
from bimixed.results import summary as texts
from bimixed.results import tables
from bimixed.results.exporting import Exporting
from bimixed.results.loo import LeftOut, leave_one_out
from bimixed.results.predicting import Predicting
from bimixed.results.predictive import predictive_tree
from bimixed.results.records import Diagnostics, Estimates, Likelihood, Refitter
from bimixed.results.rows import (
    NewLevels,
    PredictionRows,
    check_limits,
    check_new_levels,
    check_weights,
    linear_predictor,
    prediction_rows,
    without_undetermined,
)
from bimixed.results.sources import predict_source, refuse_for_tables, source_of
from bimixed.results.uncertainty import Draws, Uncertainty
from bimixed.vocabulary import explains_methods, refuse_foreign_predict, result_hint


@explains_methods
@dataclass(frozen=True, repr=False)
class MixedModelResult(Exporting, Predicting):
    """A fitted linear mixed model, the same type for every method.

    Made by :meth:`bimixed.ModelSpec.fit`. Estimates are maximum likelihood or REML estimates for the
    likelihood methods, posterior means for draws; standard errors are those of normal theory given
    the variance parameters, or posterior standard deviations. Every table is a fresh copy.

    Attributes
    ----------
    method : str
        "reml", "ml" or "nuts".
    spec : ModelSpec
        The specification that was fitted; fitting never changes it.
    diagnostics : Diagnostics
        Whether the fit can be trusted, and what to do if not.
    posterior : xarray.DataTree or None
        Draws, for the methods that make them: variables ``fixef``, ``sd_<group>``,
        ``corr_<group>``, ``sigma``, ``ranef_<group>``.
    arguments : mapping
        Arguments of the fit other than defaults, such as ``random_seed``.

    Examples
    --------
    >>> import bimixed as bm
    >>> spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
    >>> fit = spec.fit(method="reml")
    >>> fit.fixef.round(2)
                 estimate  std_error
    coefficient
    Intercept      251.41       6.82
    Days            10.47       1.55
    """

    method: str
    spec: Any
    design: Design
    estimates: Estimates
    diagnostics: Diagnostics
    uncertainty: Uncertainty
    likelihood: Likelihood | None = None
    posterior: Any = None
    refitter: Refitter | None = field(default=None, repr=False)
    left_out: LeftOut | None = field(default=None, repr=False)
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)

    # --- what was fitted -------------------------------------------------------------------

    @property
    def formula(self) -> str:
        """The formula as written."""
        return self.design.formula.text

    @property
    def nobs(self) -> int:
        """Number of rows used."""
        return self.design.n

    @property
    def ngroups(self) -> dict[str, int]:
        """Number of levels of each group."""
        return {f.key: f.n_levels for f in self.design.factors}

    # --- estimates -------------------------------------------------------------------------

    @property
    def fixef(self) -> pd.DataFrame:
        """Fixed effects: ``estimate``, ``std_error`` (NaN for dropped collinear columns)."""
        return tables.fixef_table(self.design, self.estimates)

    @property
    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of the fixed effects."""
        return tables.vcov_table(self.design, self.estimates)

    @property
    def varcorr(self) -> pd.DataFrame:
        """Variance components: ``group``, ``name``, ``variance``, ``sd``; last the residual.

        For draws ``variance`` is the posterior mean of the variance and ``sd`` that of the sd, so
        that one is not the square of the other.
        """
        return tables.varcorr_table(self.design, self.estimates)

    @property
    def random_cov(self) -> dict[str, pd.DataFrame]:
        """Covariance of the random coefficients of a level, by group (K × K, absolute)."""
        return tables.covariance_tables(self.design, self.estimates)

    @property
    def random_corr(self) -> dict[str, pd.DataFrame]:
        """Correlation of the random coefficients, by group; for draws the posterior means."""
        return tables.correlation_tables(self.design, self.estimates)

    @property
    def sigma(self) -> float:
        """Residual standard deviation."""
        return self.estimates.sigma

    @property
    def ranef(self) -> dict[str, pd.DataFrame]:
        """Random effects by group (levels × coefficients): conditional modes or posterior means."""
        return tables.ranef_tables(self.design, dict(self.estimates.ranef))

    @property
    def ranef_sd(self) -> dict[str, pd.DataFrame]:
        """Standard deviations of the random effects, shaped like ``ranef``.

        For likelihood fits conditional on the estimated variances *and* fixed effects, as lme4's
        ``condVar``; for draws posterior sds, which count both uncertainties and so are larger.
        """
        return tables.ranef_tables(self.design, dict(self.estimates.ranef_sd))

    def coef(self, group: str) -> pd.DataFrame:
        """Fixed plus random coefficients of each level of a group (levels × coefficients)."""
        factor = self.design.factor(group)
        fixed = dict(zip(self.design.names, self.estimates.beta, strict=True))
        columns = list(dict.fromkeys([*self.design.names, *factor.names]))
        table = pd.DataFrame(
            {name: fixed.get(name, 0.0) for name in columns},
            index=factor.levels.rename(group),
        ).astype(float)
        table[list(factor.names)] += self.estimates.ranef[group]
        return table

    @property
    def theta(self) -> dict[str, Array]:
        """Relative covariance parameters by group, lme4's θ (likelihood fits)."""
        return {key: value.copy() for key, value in self._likelihood("theta").theta.items()}

    # --- likelihood ------------------------------------------------------------------------

    @property
    def loglik(self) -> float:
        """Maximised log-likelihood; restricted, as lme4 defines it, for REML."""
        return self._likelihood("loglik").loglik

    @property
    def df_model(self) -> int:
        """Number of parameters: fixed effects, covariance parameters, and sigma."""
        return self._likelihood("df_model").n_parameters

    @property
    def aic(self) -> float:
        """Akaike's criterion, −2 loglik + 2 df_model (of the REML criterion for REML fits)."""
        return -2.0 * self._likelihood("aic").loglik + 2.0 * self.df_model

    @property
    def bic(self) -> float:
        """Schwarz's criterion, −2 loglik + log(nobs) df_model."""
        return -2.0 * self._likelihood("bic").loglik + math.log(self.nobs) * self.df_model

    def _likelihood(self, name: str) -> Likelihood:
        if self.likelihood is None:
            raise UnavailableError(
                f"{name} belongs to a maximised likelihood; draws from a posterior have none. "
                "For the fit to new data use loo(), for a likelihood fit with method='ml'."
            )
        return self.likelihood

    def loo(self, unit: str = "observation") -> Any:
        """Leave-one-out cross-validation of the posterior by Pareto-smoothed importance sampling.

        Fixed and random effects are integrated out in closed form: only the variance parameters are draws,
        with weights 1/p(y_i | y_−i, θ, σ), so that rows alone in their group are no difficulty, nor are
        whole groups (Vehtari, Mononen, Tolvanen, Sivula and Winther 2016; Merkle, Furr and Rabe-Hesketh
        2019). Fixed effects whose priors are neither normal nor flat can't be integrated out: they are draws,
        too.

        Parameters
        ----------
        unit : str
            What is left out at a time and predicted from the rest: "observation", "group" for all rows of a
            level of the model's only group, or the name of one of its groups.

        Returns
        -------
        arviz ELPDData
            ``elpd_i`` and ``pareto_k`` by row or level; ``p``, the effective number of parameters, which
            counts random effects. Densities are those of the formula's left side.
            ``arviz.compare({"a": one.loo(), "b": other.loo()})`` compares fits of the same rows.
            ``n_samples`` tells how many draws were used: all, or for large data as many, evenly spaced, as
            take about a minute, but 300 at least.

        Raises
        ------
        UnavailableError
            For likelihood fits, naming ``aic``; with fewer than 100 draws; for groups of which rows combine
            levels, or have to do with thousands of other effects; where flat priors leave a coefficient
            unknown without a unit.
        DataError
            For a unit that the model doesn't have.

        Warns
        -----
        ConvergenceWarning
            Where a ``pareto_k`` is above 0.7: that unit's elpd isn't to be trusted.
        """
        if not isinstance(self.uncertainty, Draws) or self.left_out is None:
            raise UnavailableError(
                "loo() needs draws: fit with method='nuts' or 'importance', or compare likelihood fits by "
                "aic."
            )
        return leave_one_out(
            self.uncertainty, self.left_out, self.design, unit, self.diagnostics.ess_bulk_min
        )

    def posterior_predictive(self, n: int = 1000, random_seed: int | None = None) -> Any:
        """New responses of the rows used, drawn from the posterior, for ArviZ's checks.

        Parameters
        ----------
        n : int
            Draws of the posterior to use, taken evenly from each chain; at most those there are.
        random_seed : int, optional

        Returns
        -------
        xarray.DataTree
            Group ``posterior_predictive`` with ``y`` (chain × draw × row), ``observed_data``, and of the same
            draws ``posterior`` and ``log_likelihood`` (given the random effects): what
            ``arviz.plot_ppc_dist`` and ``arviz.plot_loo_pit`` take.

        Raises
        ------
        UnavailableError
            For likelihood fits.
        FitError
            If ``n`` or ``random_seed`` is impossible.
        DataError
            If it is given data.
        """
        if not isinstance(self.uncertainty, Draws):
            raise UnavailableError(
                "posterior_predictive needs draws; fit with method='nuts' or 'importance', or simulate from "
                "the estimates: spec.simulate(fit.fixef, fit.random_cov, fit.sigma, n=1000)."
            )
        if isinstance(n, Mapping) or hasattr(n, "columns"):
            raise DataError(
                "posterior_predictive is of the rows used, and n a number of draws. For other rows write "
                "fit.predict_draws(new_data, 'response')."
            )
        posterior = self.posterior["posterior"].to_dataset()
        return predictive_tree(self.design, self.uncertainty, self._training, posterior, n, random_seed)

    # --- rows ------------------------------------------------------------------------------

    @cached_property
    def _training(self) -> PredictionRows:
        return prediction_rows(self.design, None, "all", "error")

    @property
    def fitted(self) -> pd.Series:
        """Fitted values, random effects and offset included, on the index of the rows used."""
        return pd.Series(self._linear_predictor(self._training), self.design.index, name="fitted")

    @property
    def resid(self) -> pd.Series:
        """Response minus fitted values (not divided by anything)."""
        fitted = self._linear_predictor(self._training)
        return pd.Series(self.design.y - fitted, self.design.index, name="resid")

    def _linear_predictor(self, rows: PredictionRows) -> Array:
        return linear_predictor(rows, self.estimates.beta, self.estimates.usable_ranef)

    def predict(
        self,
        new_data: Any = None,
        *,
        random: str | list[str] = "all",
        new_levels: NewLevels = "error",
        interval: Literal["confidence", "prediction"] | None = None,
        level: float = 0.95,
        random_seed: int | None = None,
        variances: Literal["fixed", "bootstrap"] = "fixed",
        n: int = 1000,
        keep: Sequence[str] | None = None,
        path: str | PathLike[str] | None = None,
        **unknown: Any,
    ) -> Any:
        """Predict the response for new rows, or for those fitted.

        Parameters
        ----------
        new_data : table or source, optional
            With the columns of the formula (not the response). Default: the rows used in the fit. A source,
            everything but a table in memory that :class:`ModelSpec` takes, is predicted chunk by chunk.
        random : "all", "none" or list of groups
            Whose random effects count.
        new_levels : {"error", "population", "sample"}
            What a level that was not in the fit means: refuse; an effect of 0; or an effect of 0
            whose variance counts in the interval (rows of the same new level share it).
        interval : {"confidence", "prediction"}, optional
            Limits for the expected response, or for a new response. They count the uncertainty of
            fixed and random effects together, for likelihood fits given the estimated variances
            (Henderson 1975), for draws that of the variances too. With ``random="none"`` they count
            fixed effects and residual only, and no variance between groups: the interval of a new
            level is that of ``new_levels="sample"``.
        level : float
        random_seed : int, optional
            Of the noise that intervals of draws need, and of the bootstrap.
        variances : {"fixed", "bootstrap"}
            Of likelihood fits: limits given the estimated variances; or limits that count their estimation,
            which matters for few groups, by ``n`` refits of data simulated from the fit: prediction errors
            over their standard errors take the place of normal numbers (Chatterjee, Lahiri and Li 2008).
        n : int
            Refits of the bootstrap.
        keep : list of str, optional
            Of a source: its columns that are copied beside the predictions, such as an id.
        path : str or path, optional
            Of a source: write a Parquet file, which takes the place of an older one when it is complete; of a
            Dask DataFrame a new folder, a file for each partition.

        Returns
        -------
        pandas.DataFrame
            ``estimate`` and, with an interval, ``lower`` and ``upper``; index of ``new_data``.

            Of a source the same columns, after those kept, in the order in which it gives its rows: with
            ``path`` what ``bm.scan_parquet(path)`` gives; of a Dask DataFrame another one, with its index;
            else predictions that are made when asked for: iterating gives frames, ``.to_parquet(path)`` a
            file, ``.collect()`` a DataFrame. Rows that miss a value are NaN there, and counted in a warning.
            Random numbers depend on the seed and the place of the row, not on the size of chunks; a new
            level's effect is drawn again in each block of rows.

        Raises
        ------
        DataError
            Where a column is missing or a level is new and may not be.
        UnavailableError
            For a bootstrap of a source.
        """
        refuse_foreign_predict(unknown)
        check_new_levels(new_levels)
        check_limits(interval, variances)
        if interval is not None:
            tables.check_level(level)
            check_seed(random_seed)
        source = source_of(new_data)
        if source is not None:
            how = {"random": random, "new_levels": new_levels, "interval": interval, "level": level}
            return predict_source(self, source, how | {"variances": variances}, random_seed, keep, path)
        refuse_for_tables(path, keep)
        rows = self._training if new_data is None and random == "all" else None
        if rows is None:
            rows = prediction_rows(self.design, new_data, random, new_levels)
        if new_data is not None:
            rows = without_undetermined(rows, self.estimates.undetermined)
        estimate = self._linear_predictor(rows)
        table = pd.DataFrame({"estimate": estimate}, index=rows.rows.index)
        if interval is None:
            return table
        if interval == "prediction":
            check_weights(self.design, rows)
        if variances == "bootstrap":
            from bimixed.inference.prediction_bootstrap import bootstrap_limits

            limits = bootstrap_limits(self, rows, interval, level, n, random_seed)
        else:
            limits = self.uncertainty.prediction_interval(rows, estimate, interval, level, random_seed)
        return table.assign(lower=limits.lower, upper=limits.upper)

    def __getattr__(self, name: str) -> Any:
        """Only asked for names that a result doesn't have."""
        hint = result_hint(name)
        raise AttributeError(f"A result has no {name!r}{'; ' if hint else ''}{hint.rstrip('.')}.")

    # --- printing --------------------------------------------------------------------------

    def summary(self) -> texts.Summary:
        """The result as text (``print``) and as a table in notebooks."""
        return texts.summarize(self)

    def to_html(self, path: str | Path) -> Path:
        """Write one self-contained page: model, data, tables, pictures, what to watch, how to cite it.

        Parameters
        ----------
        path : str or Path
            Overwritten if it exists.

        Returns
        -------
        pathlib.Path
            Of the file written.

        Raises
        ------
        DataError
            Where there is no such folder, or nothing can be written to it.
        """
        from bimixed.reports import result_page, write_page

        return write_page(result_page(self), path)

    def __str__(self) -> str:
        return str(self.summary())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()
