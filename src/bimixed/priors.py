"""Priors: records, weakly informative defaults in the data's units, and which one wins. No PyMC.

Defaults, with s_y the sd of the response (offset subtracted), m_x and s_x mean and sd of a covariate:

- a coefficient: normal(0, 2.5 s_y/s_x);
- the intercept: normal(mean of y, 2.5 s_y √(1 + Σ (m_x/s_x)²)); the root makes it as wide for
  uncentred covariates as it is for centred ones, since it acts on the coefficient as named;
- a coefficient of a model without intercept: normal(0, 2.5 √(s_y² + mean(y)²)/rms(x));
- an sd of a random coefficient: half_student_t(3, s_y/s_z), that of an intercept widened likewise;
- correlations: lkj(2), weakly towards 0;
- sigma: half_student_t(3, s_y).
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bimixed.covariance import Array
from bimixed.design import Design, RandomFactor
from bimixed.exceptions import PriorError

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
        (improper; over the positive numbers for sds).
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

    def __init__(self, family: str, **parameters: float):
        if family not in _PARAMETERS:
            close = difflib.get_close_matches(str(family).lower(), _PARAMETERS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise PriorError(f"Unknown prior {family!r}.{hint} There are {', '.join(_PARAMETERS)}.")
        wanted = _PARAMETERS[family]
        if set(parameters) != set(wanted):
            raise PriorError(
                f"A {family} prior takes {', '.join(wanted) or 'no parameters'}; "
                f"given: {', '.join(parameters) or 'none'}."
            )
        values = {name: _number(family, name, parameters[name]) for name in wanted}
        if family == "uniform" and values["lower"] >= values["upper"]:
            raise PriorError("A uniform prior needs lower < upper.")
        object.__setattr__(self, "family", family)
        object.__setattr__(self, "parameters", values)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("A Prior can't be changed; make a new one.")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Prior):
            return NotImplemented
        return self.family == other.family and self.parameters == other.parameters

    def __hash__(self) -> int:
        return hash((self.family, tuple(self.parameters.items())))

    def __repr__(self) -> str:
        shown = [f"{name}={value:.5g}" for name, value in self.parameters.items()]
        return f"Prior({', '.join([repr(self.family), *shown])})"


def _number(family: str, name: str, value: float) -> float:
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
        return "\n".join(
            f"{name:<{width}}  {prior!r}{'' if name in self.given else '  (default)'}"
            for name, prior in self.of.items()
        )


def sd_name(key: str, coefficient: str) -> str:
    """Full name of a random coefficient's sd."""
    return f"sd_{key}[{coefficient}]"


def resolve_priors(design: Design, given: Mapping[str, Prior] | None) -> Priors:
    """Settle the prior of every parameter: the most specific one given, else the default.

    Raises
    ------
    PriorError
        For a key that names nothing, or a family that doesn't suit the parameter.
    """
    given = dict(given or {})
    ladder = _ladder(design)
    known = {key for keys in ladder.values() for key in keys}
    for key, prior in given.items():
        if not isinstance(prior, Prior):
            raise PriorError(
                f"The prior of {key!r} is of type {type(prior).__name__}; "
                "give a bimixed.Prior, such as bm.Prior('normal', mu=0, sigma=1)."
            )
        if key not in known:
            close = difflib.get_close_matches(key, known, n=2)
            hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
            raise PriorError(
                f"priors has {key!r}, which names nothing in this model.{hint} "
                f"Known names: {', '.join(sorted(known))}."
            )
    defaults = default_priors(design)
    chosen: dict[str, Prior] = {}
    named: set[str] = set()
    for name, keys in ladder.items():
        setting = next((k for k in keys if k in given), None)
        chosen[name] = defaults[name] if setting is None else given[setting]
        if setting is not None:
            named.add(name)
            _check_role(name, setting, chosen[name])
    return Priors(chosen, frozenset(named))


def _ladder(design: Design) -> dict[str, tuple[str, ...]]:
    """Full name of each parameter → keys that may set its prior, the most specific first."""
    ladder: dict[str, tuple[str, ...]] = {design.names[j]: (design.names[j], "fixef") for j in design.kept}
    for f in design.factors:
        for name in f.names:
            full = sd_name(f.key, name)
            ladder[full] = (full, f"sd_{f.key}", "sd")
        if f.template.correlated_pairs():
            ladder[f"corr_{f.key}"] = (f"corr_{f.key}",)
    return {**ladder, "sigma": ("sigma",)}


def _check_role(name: str, key: str, prior: Prior) -> None:
    if name.startswith("corr_"):
        allowed: tuple[str, ...] = ("lkj",)
    elif name.startswith("sd_") or name == "sigma":
        allowed = _OF_SCALES
    else:
        allowed = _OF_COEFFICIENTS
    if prior.family not in allowed:
        raise PriorError(f"A {prior.family} prior doesn't suit {key!r}; choose one of {', '.join(allowed)}.")
    if allowed is _OF_SCALES and prior.family == "uniform" and prior.parameters["lower"] < 0:
        raise PriorError(f"{key!r} is a standard deviation; its uniform prior can't go below 0.")


def default_priors(design: Design) -> dict[str, Prior]:
    """Weakly informative priors scaled by the data; the rules stand at the head of this module."""
    y = design.y if design.offset is None else design.y - design.offset
    s_y, m_y = float(np.std(y)), float(np.mean(y))
    priors: dict[str, Prior] = {}
    X = design.X_kept
    names = [design.names[j] for j in design.kept]
    has_intercept = "Intercept" in names
    ratio = _mean_to_sd(X)
    for name, column in zip(names, X.T, strict=True):
        sd = float(np.std(column))
        if name == "Intercept":
            scale = 2.5 * s_y * float(np.sqrt(1.0 + np.sum(ratio**2)))
            priors[name] = Prior("normal", mu=m_y, sigma=scale)
        elif has_intercept and sd > 0:
            priors[name] = Prior("normal", mu=0.0, sigma=2.5 * s_y / sd)
        else:
            rms = float(np.sqrt(np.mean(column**2)))
            priors[name] = Prior("normal", mu=0.0, sigma=2.5 * float(np.hypot(s_y, m_y)) / rms)
    for factor in design.factors:
        for name, scale in zip(factor.names, _sd_scales(factor, s_y), strict=True):
            priors[sd_name(factor.key, name)] = Prior("half_student_t", nu=3, sigma=float(scale))
        if factor.template.correlated_pairs():
            priors[f"corr_{factor.key}"] = Prior("lkj", eta=2)
    weight = 1.0 if design.weights is None else float(np.sqrt(np.mean(design.weights)))
    priors["sigma"] = Prior("half_student_t", nu=3, sigma=s_y * weight)
    return priors


def _mean_to_sd(columns: Array) -> Array:
    """|mean|/sd of the columns that vary, 0 of the others."""
    sd = columns.std(axis=0)
    varies = sd > 1e-12 * np.sqrt(np.mean(columns**2, axis=0))
    return np.where(varies, np.abs(columns.mean(axis=0)) / np.where(varies, sd, 1.0), 0.0)


def _sd_scales(factor: RandomFactor, s_y: float) -> Array:
    sd = factor.values.std(axis=0)
    rms = factor.scales()
    rms = np.where(rms > 0, rms, 1.0)
    varies = sd > 1e-12 * rms
    widened = np.sqrt(1.0 + np.sum(_mean_to_sd(factor.values) ** 2))
    return np.asarray(np.where(varies, s_y / np.where(varies, sd, 1.0), s_y * widened / rms))
