"""Priors: records, weakly informative defaults in the data's units, and which one wins. No PyMC.

Defaults, with s_y the sd of the response (offset subtracted). The size of a coefficient is judged by
what is left of its column beside the others: with s_j the sd of column j *given the other columns* (the
root mean square of its least-squares residual), a change of one s_j that moves the response by one s_y.

- a coefficient: normal(μ_j, 2.5 s_y/s_j); μ is what gives every row the mean of y, so the mean for an
  intercept or for cell means and 0 for slopes. An uncentred covariate widens the intercept's prior, and
  that of an interaction's parts, by itself;
- where no combination of the columns is constant: normal(0, 2.5 √(s_y² + mean(y)²)/s_j);
- an sd of a random coefficient: half_student_t(3, s_y/s_j), s_j among the columns of its group;
- correlations: lkj(2), weakly towards 0;
- sigma: half_student_t(3, s_y).
"""

import difflib
import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bimixed.covariance import Array
from bimixed.design import Design, RandomFactor
from bimixed.exceptions import BimixedWarning, PriorError, warn
from bimixed.prior_names import FAMILIES, HYPERPRIOR, PARAMETERS, group_hint
from bimixed.shortening import MANY, lines_in_part, listed
from bimixed.vocabulary import letters, spelled

_PARAMETERS: dict[str, tuple[str, ...]] = {
    "normal": ("mu", "sigma"),
    "student_t": ("nu", "mu", "sigma"),
    "half_normal": ("sigma",),
    "half_student_t": ("nu", "sigma"),
    "exponential": ("rate",),
    "gamma": ("alpha", "beta"),
    "uniform": ("lower", "upper"),
    "lkj": ("eta",),
    "flat": (),
}
_REAL = ("mu", "lower", "upper")
_OF_COEFFICIENTS = tuple(f for f in _PARAMETERS if f != "lkj")
_OF_SCALES = ("half_normal", "half_student_t", "exponential", "gamma", "uniform", "flat")


class Prior:
    """A prior distribution by name.

    Parameters
    ----------
    family : str
        "normal" (mu, sigma), "student_t" (nu, mu, sigma), "half_normal" (sigma), "half_student_t"
        (nu, sigma), "exponential" (rate), "gamma" (alpha, beta: shape and rate), "uniform" (lower,
        upper), "lkj" (eta; correlation matrices, Lewandowski, Kurowicka and Joe 2009), "flat"
        (improper; over the positive numbers for sds). "HalfNormal" and the like are read as these.
    **parameters : float
        sigma is a standard deviation or scale, never a variance or precision.

    Raises
    ------
    PriorError
        For an unknown family, and for missing, unknown or impossible parameters.

    Examples
    --------
    >>> Prior("normal", mu=0, sigma=2.5)
    Prior('normal', mu=0, sigma=2.5)
    """

    __slots__ = ("family", "parameters")
    family: str
    parameters: dict[str, float]

    def __init__(self, family: str, *positional: float, **parameters: float):
        family = spelled(family, _PARAMETERS)
        if family not in _PARAMETERS:
            close = difflib.get_close_matches(str(family).lower(), _PARAMETERS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            hint = f" {FAMILIES[letters(family)]}" if letters(family) in FAMILIES else hint
            raise PriorError(f"Unknown prior {family!r}.{hint} There are {', '.join(_PARAMETERS)}.")
        if positional:
            several = len(positional) == len(_PARAMETERS[family])
            shown = map(str, positional) if several else ["..."] * len(_PARAMETERS[family])
            named = [f"{name}={value}" for name, value in zip(_PARAMETERS[family], shown, strict=True)]
            raise PriorError(
                f"Parameters of a prior are given by name: Prior({', '.join([repr(family), *named])})."
            )
        wanted = _PARAMETERS[family]
        if set(parameters) != set(wanted):
            advice = "".join(PARAMETERS.get(name, "") for name in parameters if name not in wanted)
            raise PriorError(
                f"The prior {family!r} takes {', '.join(wanted) or 'no parameters'}; given: "
                f"{', '.join(parameters) or 'none'}.{advice}"
            )
        values = {name: _number(family, name, parameters[name]) for name in wanted}
        if family == "uniform" and values["lower"] >= values["upper"]:
            raise PriorError("A uniform prior needs lower < upper.")
        object.__setattr__(self, "family", family)
        object.__setattr__(self, "parameters", values)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("A Prior can't be changed; make a new one.")

    def __reduce__(self) -> tuple[object, ...]:
        return _made_again, (self.family, self.parameters)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Prior):
            return NotImplemented
        return self.family == other.family and self.parameters == other.parameters

    def __hash__(self) -> int:
        return hash((self.family, tuple(self.parameters.items())))

    def __repr__(self) -> str:
        shown = [f"{name}={value:.5g}" for name, value in self.parameters.items()]
        return f"Prior({', '.join([repr(self.family), *shown])})"


def _made_again(family: str, parameters: dict[str, float]) -> Prior:
    return Prior(family, **parameters)


def _number(family: str, name: str, value: float) -> float:
    if isinstance(value, Prior):
        raise PriorError(f"{name} of a {family} prior is {HYPERPRIOR.format(prior=value)}.")
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise PriorError(f"{name} of a {family} prior must be a number, not {value!r}.") from error
    if not np.isfinite(number) or (name not in _REAL and number <= 0):
        kind = "finite" if name in _REAL else "positive and finite"
        raise PriorError(f"{name} of a {family} prior must be {kind}, not {number:g}.")
    return number


@dataclass(frozen=True, repr=False)
class Priors(Mapping[str, Prior]):
    """The prior of every parameter of a model, by the parameter's full name.

    A mapping: coefficients by name, ``sd_<group>[<coefficient>]``, ``corr_<group>``, ``sigma``.

    Attributes
    ----------
    of : dict
        Full name → Prior.
    given : frozenset of str
        Names whose prior the user gave; the others are defaults.
    """

    of: Mapping[str, Prior]
    given: frozenset[str]

    def __getitem__(self, name: str) -> Prior:
        return self.of[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.of)

    def __len__(self) -> int:
        return len(self.of)

    def __repr__(self) -> str:
        width = max(map(len, self.of))
        lines = [
            f"{name:<{width}}  {prior!r}{'' if name in self.given else '  (default)'}"
            for name, prior in self.of.items()
        ]
        told = [] if len(lines) <= MANY else ["spec.priors['name'] has each, dict(spec.priors) all"]
        return "\n".join([*lines_in_part(lines), *told])

    def _repr_html_(self) -> str:
        body = []
        for name in lines_in_part(list(self.of)):
            cells = ["", ""]
            if name in self.of:
                cells = [repr(self.of[name]), "given" if name in self.given else "default"]
            shown = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
            body.append(f"<tr><th>{html.escape(name)}</th>{shown}</tr>")
        table = f'<table class="bimixed-table"><tbody>{"".join(body)}</tbody></table>'
        return f'<div class="bimixed"><h3>Priors</h3>{table}</div>'


def sd_name(key: str, coefficient: str) -> str:
    """Full name of a random coefficient's sd."""
    return f"sd_{key}[{coefficient}]"


def safe_name(key: str) -> str:
    """A group's name inside variable names, where '/' is not allowed, and nutpie splits lists at ','."""
    return key.replace("/", "_").replace(",", "_")


def resolve_priors(design: Design, given: Mapping[str, Prior] | None) -> Priors:
    """Settle the prior of every parameter: the most specific one given, else the default.

    Raises
    ------
    PriorError
        For a key that names nothing, or a family that doesn't suit the parameter.

    Warns
    -----
    BimixedWarning
        For a key that sets nothing, because each of its parameters has a prior of its own.
    """
    if given is not None and not isinstance(given, Mapping):
        raise PriorError(
            f"priors is a {type(given).__name__}; give a dict of name and prior, "
            "{'x': bm.Prior('normal', mu=0, sigma=1)}."
        )
    given = dict(given or {})
    ladder = _ladder(design)
    _check_dimensions(design)
    known = {key for keys in ladder.values() for key in keys}
    for key, prior in given.items():
        if not isinstance(prior, Prior):
            raise PriorError(
                f"The prior of {key!r} is of type {type(prior).__name__}; "
                "give a bimixed.Prior, such as bm.Prior('normal', mu=0, sigma=1)."
            )
        if key in design.dropped:
            raise PriorError(
                f"priors has {key!r}, a column that earlier ones determine: it is left out and has no "
                "coefficient. Leave out its prior, or one of those columns."
            )
        if key not in known:
            close = difflib.get_close_matches(key, known, n=2)
            hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
            if key.startswith(("corr", "cor", "lkj")):
                hint = _correlations_hint(known)
            hint = group_hint(key, known) or hint
            raise PriorError(
                f"priors has {key!r}, which names nothing in this model.{hint} "
                f"Known names: {', '.join(sorted(known))}."
            )
    defaults = default_priors(design)
    chosen: dict[str, Prior] = {}
    named: set[str] = set()
    used: set[str] = set()
    for name, keys in ladder.items():
        setting = next((k for k in keys if k in given), None)
        chosen[name] = defaults[name] if setting is None else given[setting]
        if setting is not None:
            named.add(name)
            used.add(setting)
            _check_role(name, setting, chosen[name])
    for key in [key for key in given if key not in used]:
        own = [name for name, keys in ladder.items() if key in keys]
        warn(
            f"The prior of {key!r} sets nothing: {listed(own)} {'has' if len(own) == 1 else 'have'} a more "
            "specific one. Leave it out.",
            BimixedWarning,
        )
    return Priors(chosen, frozenset(named))


def carry_over(design: Design, old: Mapping[str, Prior], new: Mapping[str, Prior]) -> dict[str, Prior]:
    """Priors given for another model that mean something in this one, and the new ones.

    Warns
    -----
    BimixedWarning
        Of those that don't.
    """
    known = {key for keys in _ladder(design).values() for key in keys}
    gone = [key for key in old if key not in known and key not in new]
    if gone:
        warn(f"The new model has no {listed(gone)}; the prior given for it is left out.", BimixedWarning)
    return {key: prior for key, prior in {**old, **new}.items() if key not in gone}


def _correlations_hint(known: set[str]) -> str:
    """What to write for correlations."""
    own = sorted(name for name in known if name.startswith("corr_"))
    if not own:
        return " No random coefficients of this model are correlated, so that there is none to have a prior."
    return f" Correlations of a group have one prior: {' or '.join(map(repr, own))}."


def _ladder(design: Design) -> dict[str, tuple[str, ...]]:
    """Full name of each parameter → keys that may set its prior, the most specific first."""
    ladder: dict[str, tuple[str, ...]] = {design.names[j]: (design.names[j], "fixef") for j in design.kept}
    reserved = ("sigma", "fixef", "sd")
    for name in ladder:
        if name in reserved or name.startswith(("sd_", "corr_")):
            raise PriorError(
                f"A coefficient is called {name!r}, which is also the name of another parameter; "
                "rename the column."
            )
    for f in design.factors:
        for name in f.names:
            full = sd_name(f.key, name)
            ladder[full] = (full, f"sd_{f.key}", "sd")
        if f.template.correlated_pairs():
            ladder[f"corr_{f.key}"] = (f"corr_{f.key}",)
    return {**ladder, "sigma": ("sigma",)}


MODEL_NAMES = ("fixef", "sigma", "y", "mu")
"""Variables of posteriors and PyMC models, which can't be names of dimensions."""


def _check_dimensions(design: Design) -> None:
    """Draws have a dimension for each group and its coefficients."""
    taken = {"chain", "draw", "row", "coefficient", *MODEL_NAMES}
    for f in design.factors:
        key = safe_name(f.key)
        own = {key, f"{key}_coefficient", f"{key}_coefficient_2"}
        if own & taken:
            raise PriorError(
                f"A group is called {f.key!r}, but draws have {min(own & taken)!r} already; "
                "rename the column."
            )
        taken |= own


def _check_role(name: str, key: str, prior: Prior) -> None:
    if name.startswith("corr_"):
        allowed: tuple[str, ...] = ("lkj",)
    elif name.startswith("sd_") or name == "sigma":
        allowed = _OF_SCALES
    else:
        allowed = _OF_COEFFICIENTS
    if prior.family not in allowed:
        half = f"half_{prior.family}"
        hint = f" Its values are positive: {half!r}." if half in allowed else ""
        raise PriorError(
            f"The prior {prior.family!r} doesn't suit {key!r}; choose one of {', '.join(allowed)}.{hint}"
        )
    if allowed is _OF_SCALES and prior.family == "uniform" and prior.parameters["lower"] < 0:
        raise PriorError(f"{key!r} is a standard deviation; its uniform prior can't go below 0.")


def default_priors(design: Design) -> dict[str, Prior]:
    """Weakly informative priors scaled by the data; the rules stand at the head of this module.

    Raises
    ------
    PriorError
        If a fixed factor has so many levels that its columns are kept sparse.
    """
    if design.wide is not None:
        raise PriorError(
            f"A fixed factor has {design.wide.n_columns} columns here, too many for a posterior of each. Fit "
            "by 'reml' or 'ml', or make it a random effect, (1 | factor), whose levels share one variance."
        )
    m_y, s_y = design.response_scale
    priors: dict[str, Prior] = {}
    X = np.asarray(design.like_X)[:, design.kept]
    mean, constant = _constant_in(X, design.like_ones, m_y, design.like_precision)
    spread = s_y if constant else float(np.hypot(s_y, m_y))
    for j, mu, s_j in zip(design.kept, mean, conditional_sds(X), strict=True):
        priors[design.names[j]] = Prior("normal", mu=float(mu), sigma=2.5 * spread / float(s_j))
    for factor in design.factors:
        for name, scale in zip(factor.names, random_scales(factor), strict=True):
            priors[sd_name(factor.key, name)] = Prior("half_student_t", nu=3, sigma=s_y / float(scale))
        if factor.template.correlated_pairs():
            priors[f"corr_{factor.key}"] = Prior("lkj", eta=2)
    priors["sigma"] = Prior("half_student_t", nu=3, sigma=s_y * float(np.sqrt(design.mean_weight)))
    return priors


def _constant_in(X: Array, one: Array, value: float, precision: float) -> tuple[Array, bool]:
    """Coefficients that give every row this value, and whether there are any; else zeros."""
    if X.shape[1] == 0:
        return np.zeros(0), False
    size = np.sqrt(np.mean(X**2, axis=0))
    ones = np.linalg.lstsq(X / size, one, rcond=None)[0]
    if np.abs(X / size @ ones - one).max() > precision:
        return np.zeros(X.shape[1]), False
    ones[np.abs(ones) < precision] = 0.0
    return value * ones / size, True


def random_scales(factor: RandomFactor) -> Array:
    """What a unit of each random coefficient adds to a row beside the others, (K,)."""
    return factor.scales() if factor.is_mixed else conditional_sds(factor.like_values)


def conditional_sds(columns: Array) -> Array:
    """Root mean square of what the other columns leave of each, (k,).

    1/√(n [(X'X)⁻¹]_jj)⁻¹ written with the singular values; columns that others determine entirely get
    their root mean square.
    """
    n, k = columns.shape
    if k == 0:
        return np.zeros(0)
    size = np.sqrt(np.mean(columns**2, axis=0))
    size = np.where(size > 0, size, 1.0)
    _, singular, right = np.linalg.svd(columns / size / np.sqrt(n), full_matrices=False)
    large = singular > 1e-10 * singular[0]
    if not large.all():
        return np.asarray(size)
    return np.asarray(size / np.sqrt(np.sum((right.T / singular) ** 2, axis=1)))
