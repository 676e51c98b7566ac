"""What a specification knows of itself: terms, priors, notices, equation, simulated responses."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, Self

import pandas as pd

from bimixed.description import Description, describe, noticed
from bimixed.design import Design, rows_needed
from bimixed.design.frame import column_names, to_pandas
from bimixed.engines import pymc_model
from bimixed.equation import equation
from bimixed.formula import RandomTerm
from bimixed.prior_draws import sample_prior
from bimixed.priors import Prior, Priors, resolve_priors
from bimixed.results import MixedModelResult
from bimixed.shortening import short_formula
from bimixed.simulation import simulate
from bimixed.vocabulary import explains_methods, refuse_incomplete_simulation, spec_hint

RESULT_FIELDS = tuple(field.name for field in fields(MixedModelResult))


class _Named(type):
    """Answers names that the class doesn't have."""

    def __getattr__(cls, name: str) -> Any:
        hint = spec_hint(name)
        raise AttributeError(f"{cls.__name__} has no {name!r}{'; ' if hint else ''}{hint}.")


@explains_methods
class Specification(metaclass=_Named):
    """A model and its data, frozen; :class:`bimixed.ModelSpec` makes and fits it.

    Attributes
    ----------
    design : Design
        ``y``, ``X`` and the sparse ``Z`` of each term.
    """

    __slots__ = ("_given_priors", "_priors", "_recipe", "design")
    design: Design
    _given_priors: dict[str, Prior]
    _priors: Priors | None
    _recipe: dict[str, Any] | None

    def _settle(
        self, design: Design, priors: Mapping[str, Prior] | None, recipe: dict[str, Any] | None
    ) -> None:
        object.__setattr__(self, "design", design)
        object.__setattr__(self, "_recipe", recipe)
        # defaults wait until a posterior or the user asks for them; given ones are checked at once
        object.__setattr__(self, "_priors", resolve_priors(design, priors) if priors else None)
        object.__setattr__(self, "_given_priors", dict(priors or {}))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("A ModelSpec can't be changed; make a new one.")

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in Specification.__slots__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)

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
    def recipe(self) -> dict[str, Any] | None:
        """Arguments that the specification was made with, by name; None for one made from arrays."""
        return None if self._recipe is None else dict(self._recipe)

    @property
    def given_priors(self) -> dict[str, Prior]:
        """Priors as given, without defaults."""
        return dict(self._given_priors)

    def with_design(self, design: Design, priors: Mapping[str, Prior]) -> Self:
        """A specification of this design, which can't be updated."""
        spec = object.__new__(type(self))
        spec._settle(design, priors, None)
        return spec

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

    def data_column(self, name: str) -> pd.Series | None:
        """A column of the data, in the rows used; None where the data have none of this name.

        Raises
        ------
        UnavailableError
            Of a source, which keeps no rows.
        """
        data = None if self._recipe is None else self._recipe.get("data")
        if not self.design.has_rows:
            raise rows_needed(f"The column {name!r}")
        if data is None or name not in column_names(data):
            return None
        return to_pandas(data, [name])[name][self.design.frame.kept]

    def describe(self) -> Description:
        """Table of the terms, rows used and left out, and what was noticed; ``print(spec)`` shows it."""
        return describe(self.design)

    @property
    def noticed(self) -> tuple[str, ...]:
        """What should be known before fitting, a sentence each."""
        return noticed(self.design)

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

    def simulate(
        self,
        fixef: Any = None,
        random_cov: Any = None,
        sigma: Any = None,
        n: int = 1,
        random_seed: int | None = None,
        **unknown: Any,
    ) -> pd.DataFrame:
        """Responses of the specification's rows from given parameters.

        Parameters
        ----------
        fixef : mapping, table or array
            Fixed effects, ``fit.fixef``, by name or in the order of ``spec.fixed`` without dropped columns.
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
        ArgumentError
            Where one of the three isn't given.

        Examples
        --------
        >>> import bimixed as bm
        >>> spec = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", bm.load_dataset("sleepstudy"))
        >>> spec.simulate({"Intercept": 250, "Days": 10}, {"Subject": 900}, 25, n=3, random_seed=1).shape
        (180, 3)
        """
        refuse_incomplete_simulation(fixef, random_cov, sigma, unknown)
        return simulate(self.design, fixef, random_cov, sigma, n, random_seed)

    def to_pymc(
        self,
        form: Literal["hierarchical", "marginal"] = "hierarchical",
        parameterization: Literal["auto", "centered", "noncentered"] = "auto",
        likelihood: bool = True,
    ) -> Any:
        """The model in PyMC, to read, sample or extend.

        Parameters
        ----------
        form : {"hierarchical", "marginal"}
            "marginal" has the variance parameters alone, and a potential in which fixed and random effects
            are integrated out: no ``fixef``, no ``ranef_<group>``, no ``y``.
        parameterization : {"auto", "centered", "noncentered"}
            As in :meth:`fit`. Draws of a fit suit "centered": PyMC draws what they lack from the prior.
        likelihood : bool
            Whether the response has its distribution. Without it give it one of your own: the linear
            predictor is ``model["mu"]``, the response ``model["response"]``.

        Returns
        -------
        pymc.Model
            Variables ``fixef``, ``sd_<group>``, ``corr_<group>``, ``ranef_<group>``, ``sigma`` and
            the observed ``y``, with named dimensions.

        Raises
        ------
        FitError
            For an unknown form, or a marginal one that fixed effects can't be integrated out of.

        Examples
        --------
        >>> import bimixed as bm
        >>> spec = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", bm.load_dataset("sleepstudy"))
        >>> print(spec.to_pymc(parameterization="noncentered").str_repr())
                    X = Data(<shared>)
        Subject_index = Data(<shared>)
             response = Data(<shared>)
                fixef ~ Normal(<constant>, <constant>)
           sd_Subject ~ HalfStudentT(3, 56.2)
            z_Subject ~ Normal(0, 1)
                sigma ~ HalfStudentT(3, 56.2)
        ranef_Subject = Deterministic(f(z_Subject, sd_Subject))
                    y ~ Normal(f(Subject_index, ranef_Subject, X, fixef), sigma)
        """
        return pymc_model(self.design, self.priors, form, parameterization, likelihood)

    def sample_prior(self, draws: int = 500, random_seed: int | None = None) -> Any:
        """Parameters, random effects and responses drawn from the priors, without any data.

        Parameters
        ----------
        draws : int
        random_seed : int, optional

        Returns
        -------
        xarray.DataTree
            Group ``prior`` with the variables of a posterior, ``prior_predictive`` with the responses ``y``
            (chain × draw × row) and ``observed_data``; one chain. ``arviz.plot_ppc_dist`` takes it with
            ``group="prior_predictive"``.

        Raises
        ------
        PriorError
            Where a prior is flat, which is no distribution.
        FitError
            If ``draws`` or ``random_seed`` is impossible.

        Examples
        --------
        >>> import bimixed as bm
        >>> spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
        >>> tree = spec.sample_prior(draws=1000, random_seed=1)
        >>> tree["prior"]["fixef"].sizes["draw"], tree["prior_predictive"]["y"].sizes["row"]
        (1000, 180)
        """
        return sample_prior(self.design, self.priors, draws, random_seed)

    def __getattr__(self, name: str) -> Any:
        """Only asked for names that a specification doesn't have."""
        of_results = [] if name.startswith("_") else [*dir(MixedModelResult), *RESULT_FIELDS]
        hint = spec_hint(name, of_results)
        raise AttributeError(f"A specification has no {name!r}{'; ' if hint else ''}{hint}.")

    def __str__(self) -> str:
        return str(describe(self.design))

    def _repr_html_(self) -> str:
        return describe(self.design)._repr_html_()

    def __repr__(self) -> str:
        return f"ModelSpec({short_formula(self.formula)!r}, {self.design.n} rows)"
