"""The front door: a formula and data become a frozen specification, which both engines can fit."""

import inspect
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from bimixed.description import Description, describe
from bimixed.design import Design, array_design, build_design, notices
from bimixed.equation import equation
from bimixed.exceptions import BimixedWarning, FitError, FormulaError
from bimixed.formula import RandomTerm, groups_formula, parse_formula, update_formula
from bimixed.likelihood.fit import fit_likelihood
from bimixed.priors import Prior, Priors, known_names, resolve_priors
from bimixed.results import Estimates, MixedModelResult
from bimixed.simulation import simulate
from bimixed.vocabulary import refuse_foreign_arrays, refuse_foreign_fit, refuse_foreign_specification

METHODS = ("reml", "ml", "nuts")


class ModelSpec:
    """A linear mixed model and its data.

    Parameters
    ----------
    formula : str
        lme4's notation, everything formulaic knows in the fixed part and inside the bars:
        ``(x | g)`` correlated intercept and slope, ``(x || g)`` uncorrelated, ``(0 + x | g)`` no
        intercept, ``(1 | a/b)`` for ``(1 | a) + (1 | a:b)``, ``(1 | a:b)``, ``offset(x)``. Unlike
        lme4, ``(f || g)`` with a factor f gives uncorrelated coefficients.
    data : table
        pandas, polars, pyarrow, or a dict of columns, in long format. Never changed.
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

    __slots__ = ("_given_priors", "_priors", "_recipe", "design")
    design: Design
    _given_priors: dict[str, Prior]
    _priors: Priors | None
    _recipe: dict[str, Any] | None

    def __init__(
        self,
        formula: str,
        data: Any,
        *,
        priors: Mapping[str, Prior] | None = None,
        weights: Any = None,
        offset: Any = None,
        na_action: Literal["drop", "raise"] = "drop",
        context: Mapping[str, Any] | None = None,
        **unknown: Any,
    ):
        refuse_foreign_specification(formula, data, unknown)
        if context is None:
            context = _caller_names()
        recipe = {
            "formula": formula,
            "data": _shallow(data),
            "weights": weights,
            "offset": offset,
            "na_action": na_action,
            "context": context,
        }
        design = build_design(
            parse_formula(formula),
            data,
            weights=weights,
            offset=offset,
            na_action=na_action,
            context=context,
        )
        self._settle(design, priors, recipe)

    def _settle(
        self, design: Design, priors: Mapping[str, Prior] | None, recipe: dict[str, Any] | None
    ) -> None:
        object.__setattr__(self, "design", design)
        object.__setattr__(self, "_recipe", recipe)
        object.__setattr__(self, "_given_priors", dict(priors or {}))
        # defaults wait until a posterior or the user asks for them; given ones are checked at once
        object.__setattr__(self, "_priors", resolve_priors(design, priors) if priors else None)

    @classmethod
    def from_groups(
        cls,
        formula: str,
        data: Any,
        groups: Any,
        *,
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
        refuse_foreign_specification(formula, data, unknown)
        if context is None:
            context = _caller_names()
        parsed, extra = groups_formula(formula, groups, re_formula, vc_formula)
        design = build_design(
            parsed, data, weights=weights, offset=offset, na_action=na_action, context=context, extra=extra
        )
        return _from_design(cls, design, priors)

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
        return _from_design(cls, design, priors)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("A ModelSpec can't be changed; make a new one.")

    @property
    def priors(self) -> Priors:
        """The prior of every parameter, by full name; those not given are weakly informative.

        Raises
        ------
        PriorError
            If a coefficient has the name of another parameter, such as ``sigma``.
        """
        resolved = self._priors
        if resolved is None:
            resolved = resolve_priors(self.design, self._given_priors)
            object.__setattr__(self, "_priors", resolved)
        return resolved

    @property
    def formula(self) -> str:
        """The formula as written."""
        return self.design.formula.text

    @property
    def fixed(self) -> tuple[str, ...]:
        """Names of the fixed-effects columns, dropped collinear ones included."""
        return self.design.names

    @property
    def random(self) -> tuple[RandomTerm, ...]:
        """The random-effects terms."""
        return self.design.formula.random

    def fit(
        self,
        method: Literal["reml", "ml", "nuts"] = "reml",
        *positional: Any,
        optimizer: str = "auto",
        start: Any = None,
        draws: int = 1000,
        tune: int = 1000,
        chains: int = 4,
        random_seed: int | None = None,
        form: Literal["auto", "hierarchical"] = "auto",
        parameterization: Literal["auto", "centered", "noncentered"] = "auto",
        sampler: Literal["auto", "nutpie", "pymc"] = "auto",
        target_accept: float | None = None,
        cores: int | None = None,
        progress: bool | None = None,
        **unknown: Any,
    ) -> MixedModelResult:
        """Fit the model.

        Parameters
        ----------
        method : {"reml", "ml", "nuts"}
            Restricted or full maximum likelihood, or draws from the posterior.
        optimizer : str
            Likelihood: "auto" (L-BFGS-B), "L-BFGS-B", "TNC", "SLSQP" or "trust-constr"; each is
            followed by Newton steps.
        start : array or mapping, optional
            Likelihood: θ to start from, ``result.theta`` or its arrays one after the other.
        draws, tune, chains : int
            NUTS: kept and warm-up draws of each chain, and number of chains.
        random_seed : int, optional
            NUTS: the same seed gives the same draws.
        form : {"auto", "hierarchical"}
            NUTS: which form of the posterior is sampled; "auto" is hierarchical.
        parameterization : {"auto", "centered", "noncentered"}
            NUTS: "auto" chooses for each group by how much REML shrinks its levels.
        sampler : {"auto", "nutpie", "pymc"}
            NUTS: "auto" is nutpie.
        target_accept : float, optional
            NUTS: higher is slower and diverges less; default 0.95.
        cores : int, optional
            NUTS: chains that run at the same time.
        progress : bool, optional
            Default: shown for NUTS, not for likelihood fits.

        Returns
        -------
        MixedModelResult

        Raises
        ------
        FitError
            If the request makes no sense or there is nothing to estimate variances from.
        """
        refuse_foreign_fit(positional, unknown)
        engine = _known_method(method)
        given = {"optimizer": optimizer, "start": start, "draws": draws, "tune": tune}
        given |= {"chains": chains, "parameterization": parameterization, "sampler": sampler}
        _refuse_foreign(engine, {**given, "form": form, "target_accept": target_accept})
        if engine == "nuts":
            if form not in ("auto", "hierarchical"):
                raise FitError(f"form is {form!r}; choose 'auto' or 'hierarchical'.")
            from bimixed.bayes.fit import fit_nuts

            result = fit_nuts(
                self.design,
                self.priors,
                reml=self._reml_hint(parameterization),
                draws=draws,
                tune=tune,
                chains=chains,
                random_seed=random_seed,
                parameterization=parameterization,
                sampler=sampler,
                target_accept=target_accept,
                cores=cores,
                progress=progress is not False,
            )
        else:
            if isinstance(start, Mapping):
                start = np.concatenate([start[f.key] for f in self.design.factors])
            result = fit_likelihood(
                self.design,
                reml=engine == "reml",
                optimizer=optimizer,
                start=start,
                progress=bool(progress),
            )
        return replace(result, spec=self)

    def to_pymc(
        self,
        form: Literal["hierarchical"] = "hierarchical",
        parameterization: Literal["auto", "centered", "noncentered"] = "auto",
    ) -> Any:
        """The model in PyMC, to sample or extend.

        Parameters
        ----------
        form : {"hierarchical"}
        parameterization : {"auto", "centered", "noncentered"}
            As in :meth:`fit`.

        Returns
        -------
        pymc.Model
            Variables ``fixef``, ``sd_<group>``, ``corr_<group>``, ``ranef_<group>``, ``sigma`` and
            the observed ``y``, with named dimensions.
        """
        if form != "hierarchical":
            raise FitError(f"form is {form!r}; only 'hierarchical' is available in this version.")
        from bimixed.bayes.model import build_model
        from bimixed.bayes.parameterization import choose

        centered = choose(self.design, parameterization, self._reml_hint(parameterization))
        return build_model(self.design, self.priors, centered)

    def _reml_hint(self, parameterization: str) -> Estimates | None:
        """A quick REML fit, to see how much is known of each level; its warnings are not ours."""
        if parameterization != "auto":
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BimixedWarning)
            return fit_likelihood(self.design, reml=True).estimates

    def describe(self) -> Description:
        """Table of the terms, rows used and left out, and what was noticed; ``print(spec)`` shows it."""
        return describe(self.design)

    @property
    def noticed(self) -> tuple[str, ...]:
        """What should be known before fitting, a sentence each."""
        return notices(self.design)

    def equation(self) -> str:
        r"""The model in LaTeX, an ``aligned`` environment.

        Examples
        --------
        >>> import bimixed as bm
        >>> spec = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", bm.load_dataset("sleepstudy"))
        >>> r"u_{\mathrm{Subject}[i]} + \varepsilon_i" in spec.equation()
        True
        """
        return equation(self.design)

    def update(
        self,
        formula: str | None = None,
        data: Any = None,
        priors: Mapping[str, Prior] | None = None,
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
        merged = {**self._given_priors, **(priors or {})}
        recipe = self._recipe
        if recipe is None:
            if formula is not None or data is not None:
                raise FormulaError(
                    "update can change formula and data of a spec that was made from a formula with bars; "
                    "make a new one with from_groups or from_arrays."
                )
            return _from_design(type(self), self.design, merged)
        if formula is not None:
            formula = update_formula(parse_formula(recipe["formula"]), formula)
            # priors of coefficients that are gone would name nothing
            probe = ModelSpec(
                **{**recipe, "formula": formula, "data": recipe["data"] if data is None else data}
            )
            known = known_names(probe.design)
            merged = {k: v for k, v in merged.items() if k in known or k in (priors or {})}
        changes = {"formula": formula, "data": data}
        return ModelSpec(**{**recipe, **{k: v for k, v in changes.items() if v is not None}}, priors=merged)

    def simulate(
        self,
        fixef: Any,
        random_cov: Any,
        sigma: float,
        n: int = 1,
        random_seed: int | None = None,
    ) -> pd.DataFrame:
        """Responses of the specification's rows from given parameters.

        Parameters
        ----------
        fixef : mapping or array
            Fixed effects, by name or in the order of ``spec.fixed`` without dropped columns.
        random_cov : mapping
            Group → (K, K) covariance matrix of its coefficients, or one variance; absolute, not
            relative to sigma.
        sigma : float
            Residual sd (of a row with weight 1).
        n : int
            Number of simulated responses.
        random_seed : int, optional

        Returns
        -------
        pandas.DataFrame
            Observations × n, index of the rows used.

        Raises
        ------
        DataError
            Where a parameter is missing, unknown or impossible.

        Examples
        --------
        >>> import bimixed as bm
        >>> spec = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", bm.load_dataset("sleepstudy"))
        >>> spec.simulate({"Intercept": 250, "Days": 10}, {"Subject": 900}, 25, n=3, random_seed=1).shape
        (180, 3)
        """
        return simulate(self.design, fixef, random_cov, sigma, n, random_seed)

    def __str__(self) -> str:
        return str(describe(self.design))

    def _repr_html_(self) -> str:
        return describe(self.design)._repr_html_()

    def __repr__(self) -> str:
        return f"ModelSpec({self.formula!r}, {self.design.n} rows)"


def _refuse_foreign(method: str, given: Mapping[str, Any]) -> None:
    """Arguments of the other engine would change nothing; say so."""
    defaults = inspect.signature(ModelSpec.fit).parameters
    for name, value in given.items():
        theirs = ("reml", "ml") if name in ("optimizer", "start") else ("nuts",)
        if method not in theirs and value is not defaults[name].default and value != defaults[name].default:
            raise FitError(
                f"{name}= has no meaning for method={method!r} (only for {' and '.join(theirs)}); "
                "leave it out."
            )


def _known_method(method: object) -> str:
    if not isinstance(method, str):
        raise FitError(
            f"method is a {type(method).__name__}; it is one of {', '.join(METHODS)}. "
            "Data belong to ModelSpec(formula, data)."
        )
    if method.lower() not in METHODS:
        raise FitError(f"Unknown method {method!r}; choose one of {', '.join(METHODS)}.")
    return method.lower()


def _from_design(cls: type[ModelSpec], design: Design, priors: Mapping[str, Prior] | None) -> ModelSpec:
    spec = object.__new__(cls)
    spec._settle(design, priors, None)
    return spec


def _shallow(data: Any) -> Any:
    """The same columns in a table of its own, so that columns set later by the caller are not seen."""
    if isinstance(data, pd.DataFrame):
        return data.copy(deep=False)
    return dict(data) if isinstance(data, Mapping) else data


def _caller_names() -> dict[str, Any]:
    """Variables of the first frame outside this package."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("bimixed."):
        frame = frame.f_back
    if frame is None:
        return {}
    return {**frame.f_globals, **frame.f_locals}
