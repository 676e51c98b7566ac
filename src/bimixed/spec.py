"""The front door: a formula and data become a frozen specification, which both engines can fit."""

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, Literal

from bimixed.context import caller_names, shallow
from bimixed.design import Design, array_design, build_design, column_names, group_column
from bimixed.engines import fit_design
from bimixed.exceptions import DataError, FormulaError, UnavailableError
from bimixed.formula import groups_formula, parse_formula, update_formula
from bimixed.given import columns_of, refuse_source, source_of
from bimixed.priors import Prior, carry_over
from bimixed.results import MixedModelResult
from bimixed.specification import Specification
from bimixed.vocabulary import (
    refuse_foreign_arrays,
    refuse_foreign_fit,
    refuse_foreign_specification,
    refuse_missing_groups,
    refuse_unknown,
)


class ModelSpec(Specification):
    """A linear mixed model and its data.

    Parameters
    ----------
    formula : str
        lme4's notation, everything formulaic knows in the fixed part and inside the bars:
        ``(x | g)`` correlated intercept and slope, ``(x || g)`` uncorrelated, ``(0 + x | g)`` no
        intercept, ``(1 | a/b)`` for ``(1 | a) + (1 | a:b)``, ``(1 | a:b)``, ``offset(x)``. Unlike
        lme4, ``(f || g)`` with a factor f gives uncorrelated coefficients.
    data : table or source
        pandas, polars, pyarrow, or a dict of columns, in long format. Never changed. Or data that stay where
        they are: :func:`scan_parquet`, a relation of DuckDB, an Arrow dataset, a polars LazyFrame, a Dask
        DataFrame, a list of frames, a function that gives an iterator of frames, or an iterator.
    priors : dict of Prior, optional
        For ``method="nuts"``; keys ``"Intercept"``, ``"<coefficient>"``, ``"fixef"``, ``"sd"``,
        ``"sd_<group>"``, ``"sd_<group>[<coefficient>]"``, ``"corr_<group>"``, ``"sigma"``. The most
        specific wins; the others get the defaults that ``spec.priors`` shows.
    weights : str or array, optional
        Precision weights, Var(e_i) = sigma²/w_i.
    offset : str or array, optional
        Added to the linear predictor with coefficient 1.
    na_action : {"drop", "raise"}
        What to do with rows where a column of the formula is missing.
    context : mapping, optional
        Names that the formula may use beside columns; default the caller's variables.
    checkpoint : path, optional
        For a source: folder that keeps the sums of each piece of it, so that a run that stopped goes on.
    progress : bool, optional
        For a source: show what is read; default after a few seconds, on a terminal.

    Raises
    ------
    FormulaError, DataError, PriorError
        Naming the place, the cause and the remedy.

    Examples
    --------
    >>> import bimixed as bm
    >>> spec = bm.ModelSpec("log_radon ~ floor + (1 + floor | county)", bm.load_dataset("radon"))
    >>> print(spec)
    log_radon ~ floor + (1 + floor | county)
    919 rows
    kind               group   columns           levels  parameters
    fixed                      Intercept, floor                   2
    correlated random  county  Intercept, floor      85           3
    """

    __slots__ = ()

    def __init__(
        self,
        formula: str = "",
        data: Any = None,
        *positional: Any,
        priors: Mapping[str, Prior] | None = None,
        weights: Any = None,
        offset: Any = None,
        na_action: Literal["drop", "raise"] = "drop",
        context: Mapping[str, Any] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        progress: bool | None = None,
        **unknown: Any,
    ):
        source = source_of(data)
        refuse_foreign_specification(formula, data, unknown, positional)
        if context is None:
            context = caller_names(formula, columns=column_names(data) if source is None else source.columns)
        data = shallow(data) if source is None else source
        recipe = {
            "formula": formula,
            "data": data,
            "weights": weights,
            "offset": offset,
            "na_action": na_action,
            "context": context,
        }
        build: Any = build_design
        if source is not None:
            from bimixed.streaming import summed_design

            recipe |= {"checkpoint": checkpoint, "progress": progress}
            build = partial(summed_design, checkpoint=checkpoint, progress=progress)
        elif checkpoint is not None:
            raise DataError("checkpoint= is for sources that are read in pieces; data in memory need none.")
        design = build(
            parse_formula(formula),
            data,
            weights=weights,
            offset=offset,
            na_action=na_action,
            context=context,
        )
        self._settle(design, priors, recipe)

    @classmethod
    def from_groups(
        cls,
        formula: str = "",
        data: Any = None,
        groups: Any = None,
        *positional: Any,
        re_formula: str | None = None,
        vc_formula: Mapping[str, str] | None = None,
        priors: Mapping[str, Prior] | None = None,
        weights: Any = None,
        offset: Any = None,
        na_action: Literal["drop", "raise"] = "drop",
        context: Mapping[str, Any] | None = None,
        **unknown: Any,
    ) -> "ModelSpec":
        """A model in the vocabulary of statsmodels' ``MixedLM.from_formula``.

        Parameters
        ----------
        formula : str
            Response and fixed effects, ``"y ~ x"``.
        data : table
        groups : str or array
            The grouping column, or a label for each row. One constant label makes the components
            crossed instead of nested.
        re_formula : str, optional
            Random coefficients of each group, correlated: ``"1 + x"``, ``"~ x"``, ``"0 + x"``. Default:
            a random intercept, unless there are variance components.
        vc_formula : dict, optional
            Name of a component → its formula: every column has its own effect, independent of the
            others and with one common variance, in every group anew: ``{"classroom":
            "0 + C(classroom)", "score": "0 + C(classroom):score"}``. As in statsmodels, what a
            transformation or contrast sees are the rows of one group.
        priors, weights, offset, na_action, context
            As in :class:`ModelSpec`.

        Returns
        -------
        ModelSpec

        Raises
        ------
        FormulaError, DataError, PriorError
            Naming the place, the cause and the remedy.

        Examples
        --------
        >>> import bimixed as bm
        >>> spec = bm.ModelSpec.from_groups(
        ...     "Reaction ~ Days", bm.load_dataset("sleepstudy"), groups="Subject", re_formula="~ Days")
        >>> round(spec.fit("reml").loglik, 3)
        -871.814
        """
        refuse_foreign_specification(formula, data, unknown, positional, "from_groups")
        refuse_source(
            data, "from_groups", "write the random effects as bars, ModelSpec('y ~ x + (1 | g)', data)"
        )
        refuse_missing_groups(formula, groups, {"re_formula": re_formula, "vc_formula": vc_formula})
        if context is None:
            context = caller_names(formula, re_formula, vc_formula, columns=column_names(data))
        data = shallow(data)
        name, extra = group_column(groups, data)
        parsed = groups_formula(formula, name, re_formula, vc_formula)
        design = build_design(
            parsed, data, weights=weights, offset=offset, na_action=na_action, context=context, extra=extra
        )
        recipe = {
            "formula": formula,
            "data": data,
            "groups": groups,
            "re_formula": re_formula,
            "vc_formula": vc_formula,
            "weights": weights,
            "offset": offset,
            "na_action": na_action,
            "context": context,
        }
        return spec_of_design(cls, design, priors, recipe)

    @classmethod
    def from_arrays(
        cls,
        endog: Any,
        exog: Any,
        groups: Any = None,
        *,
        exog_re: Any = None,
        exog_vc: Any = None,
        fixef_names: Sequence[str] | None = None,
        re_names: Sequence[str] | None = None,
        weights: Any = None,
        offset: Any = None,
        priors: Mapping[str, Prior] | None = None,
        **unknown: Any,
    ) -> "ModelSpec":
        """A model given as arrays, in the vocabulary of statsmodels' ``MixedLM``.

        Parameters
        ----------
        endog : (n,) array
            Response.
        exog : (n, p) array or DataFrame
            Columns of the fixed effects, the intercept's included.
        groups : (n,) array, optional
            Label of each row; without it all rows are one group.
        exog_re : (n, K) array or DataFrame, optional
            Columns of the random coefficients of each group, correlated. Default: a random intercept,
            unless there are variance components.
        exog_vc : dict or object, optional
            Variance components: the columns of each have independent effects with one common
            variance. ``{name: {group label: matrix}}`` with a matrix for the rows of each group, in
            their order, whose number of columns may differ; ``{name: matrix}`` for all rows; or an
            object with ``names``, ``colnames`` and ``mats`` as statsmodels' ``VCSpec``. Matrices are
            dense or scipy sparse and may hold anything: indicators, weights of a multiple
            membership, a spline basis.
        fixef_names, re_names : sequence of str, optional
            Names of the columns; default those of a DataFrame, else ``Intercept`` for ones and
            ``x1, x2, …``, ``z1, z2, …``.
        weights, offset : (n,) array, optional
            Precision weights, and what is added to the linear predictor.
        priors : dict of Prior, optional

        Returns
        -------
        ModelSpec
            Rows with a missing value are left out and counted. New data for ``predict`` are a dict
            of arrays with the names of these arguments.

        Raises
        ------
        DataError, PriorError
            Naming the argument, the cause and the remedy.

        Examples
        --------
        >>> import bimixed as bm
        >>> import numpy as np
        >>> data = bm.load_dataset("sleepstudy")
        >>> exog = np.column_stack([np.ones(len(data)), data["Days"]])
        >>> spec = bm.ModelSpec.from_arrays(data["Reaction"], exog, data["Subject"], exog_re=exog)
        >>> round(spec.fit("reml").loglik, 3)
        -871.814
        """
        refuse_foreign_arrays(unknown)
        design = array_design(
            endog,
            exog,
            groups,
            exog_re=exog_re,
            exog_vc=exog_vc,
            fixef_names=fixef_names,
            re_names=re_names,
            weights=weights,
            offset=offset,
        )
        return spec_of_design(cls, design, priors)

    def fit(
        self,
        method: Literal["reml", "ml", "nuts", "importance"] = "reml",
        *positional: Any,
        optimizer: str = "auto",
        start: Any = None,
        draws: int | None = None,
        tune: int = 1000,
        chains: int = 4,
        random_seed: int | None = None,
        form: Literal["auto", "marginal", "hierarchical"] = "auto",
        parameterization: Literal["auto", "centered", "noncentered"] = "auto",
        sampler: Literal["auto", "nutpie", "pymc", "numpyro"] = "auto",
        target_accept: float | None = None,
        cores: int | None = None,
        progress: bool | None = None,
        **unknown: Any,
    ) -> MixedModelResult:
        """Fit the model.

        Parameters
        ----------
        method : {"reml", "ml", "nuts", "importance"}
            Restricted or full maximum likelihood, or draws from the posterior: by NUTS, or independent
            ones by importance sampling, for few variance parameters.
        optimizer : str
            Likelihood: "auto" (Newton steps with the average information), or "L-BFGS-B", "TNC",
            "SLSQP" or "trust-constr", which are followed by Newton steps.
        start : array or mapping, optional
            Likelihood: θ to start from, ``result.theta`` or its arrays one after the other.
        draws, tune, chains : int
            NUTS: kept and warm-up draws of each chain (1000 each), and number of chains. Importance
            sampling: draws in all (4000).
        random_seed : int, optional
            Draws: the same seed gives the same ones.
        form : {"auto", "marginal", "hierarchical"}
            NUTS: "marginal" samples the variance parameters, with fixed and random effects integrated
            out and drawn exactly afterwards, which takes normal or flat priors of the fixed effects;
            "hierarchical" samples everything; "auto" is the cheaper one. The posterior is the same.
        parameterization : {"auto", "centered", "noncentered"}
            NUTS: "auto" chooses for each group by how much REML shrinks its levels.
        sampler : {"auto", "nutpie", "pymc", "numpyro"}
            NUTS: "auto" is nutpie; PyMC's own and NumPyro, if installed, sample the hierarchical form.
        target_accept : float, optional
            NUTS: higher is slower and diverges less; default 0.9 for the marginal form, else 0.95.
        cores : int, optional
            NUTS: chains that run at the same time.
        progress : bool, optional
            Default: shown for draws, not for likelihood fits.

        Returns
        -------
        MixedModelResult

        Raises
        ------
        FitError
            If the request makes no sense or there is nothing to estimate variances from.
        """
        refuse_foreign_fit(positional, unknown)
        arguments = {
            "optimizer": optimizer,
            "start": start,
            "draws": draws,
            "tune": tune,
            "chains": chains,
            "random_seed": random_seed,
            "form": form,
            "parameterization": parameterization,
            "sampler": sampler,
            "target_accept": target_accept,
            "cores": cores,
            "progress": progress,
        }
        result = fit_design(self.design, lambda: self.priors, method, arguments, _fit_defaults())
        return replace(result, spec=self)

    def update(
        self,
        formula: str | None = None,
        data: Any = None,
        priors: Mapping[str, Prior] | None = None,
        **unknown: Any,
    ) -> "ModelSpec":
        """A new specification with some parts changed.

        Parameters
        ----------
        formula : str, optional
            ``.`` stands for the old part: ``". ~ . + x"``, ``"log(.) ~ ."``, ``". ~ . - (1 | g)"``.
        data : table, optional
        priors : dict of Prior, optional
            Added to those given before; the same key replaces.

        Returns
        -------
        ModelSpec

        Raises
        ------
        FormulaError, DataError, PriorError

        Examples
        --------
        >>> import bimixed as bm
        >>> spec = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", bm.load_dataset("sleepstudy"))
        >>> spec.update(". ~ . - (1 | Subject) + (Days | Subject)").formula
        'Reaction ~ Days + (Days | Subject)'
        """
        refuse_unknown("update", unknown, ("formula", "data", "priors"))
        if formula is None and data is None:
            merged = {**self._given_priors, **(priors or {})}
            return spec_of_design(type(self), self.design, merged, self._recipe)
        if self._recipe is None:
            raise FormulaError(
                "update can change formula and data of a spec that was made from a formula; make a new one "
                "with from_arrays."
            )
        recipe = dict(self._recipe)
        if data is not None:
            recipe["data"] = data
            if source_of(data) is None:
                recipe = {name: own for name, own in recipe.items() if name not in OF_SOURCES}
        elif recipe["data"] is None:
            raise UnavailableError(
                "A loaded model of a source has its sums, not the source: give it again, "
                "spec.update(formula, data=bm.scan_parquet(...))."
            )
        if formula is not None:
            names = caller_names(formula, columns=columns_of(recipe["data"]))
            recipe["context"] = {**recipe["context"], **names}
            recipe["formula"] = update_formula(parse_formula(recipe["formula"]), formula)
        updated = ModelSpec.from_groups(**recipe) if "groups" in recipe else ModelSpec(**recipe)
        kept = carry_over(updated.design, self._given_priors, priors or {})
        return spec_of_design(type(self), updated.design, kept, updated._recipe)


def spec_of_design(
    cls: type[ModelSpec],
    design: Design,
    priors: Mapping[str, Prior] | None,
    recipe: dict[str, Any] | None = None,
) -> ModelSpec:
    spec = object.__new__(cls)
    spec._settle(design, priors, recipe)
    return spec


OF_SOURCES = ("checkpoint", "progress")
"""Arguments that only sources have."""


@cache
def _fit_defaults() -> dict[str, Any]:
    """Default of every argument of :meth:`ModelSpec.fit`."""
    return {name: p.default for name, p in inspect.signature(ModelSpec.fit).parameters.items()}
