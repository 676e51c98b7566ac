"""How to cite what a fit rests on, and how to make it again."""

import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bimixed._version import __version__
from bimixed.priors import Prior
from bimixed.reports import elements as html
from bimixed.results import MixedModelResult
from bimixed.summed import SummedDesign

REFERENCES = {
    "reml": "Patterson, Thompson (1971). Recovery of inter-block information when block sizes are unequal. "
    "Biometrika 58, 545–554.",
    "lme4": "Bates, Mächler, Bolker, Walker (2015). Fitting linear mixed-effects models using lme4. "
    "J. Statistical Software 67(1).",
    "satterthwaite": "Giesbrecht, Burns (1985). Two-stage analysis based on a mixed model. "
    "Biometrics 41, 477–486.",
    "lmertest": "Kuznetsova, Brockhoff, Christensen (2017). lmerTest package: tests in linear mixed effects "
    "models. J. Statistical Software 82(13).",
    "kenward-roger": "Kenward, Roger (1997). Small sample inference for fixed effects from restricted "
    "maximum likelihood. Biometrics 53, 983–997.",
    "henderson": "Henderson (1975). Best linear unbiased estimation and prediction under a selection model. "
    "Biometrics 31, 423–447.",
    "nuts": "Hoffman, Gelman (2014). The No-U-Turn sampler: adaptively setting path lengths in Hamiltonian "
    "Monte Carlo. J. Machine Learning Research 15, 1593–1623.",
    "pymc": "Abril-Pla et al. (2023). PyMC: a modern, and comprehensive probabilistic programming framework "
    "in Python. PeerJ Computer Science 9, e1516.",
    "lkj": "Lewandowski, Kurowicka, Joe (2009). Generating random correlation matrices based on vines and "
    "extended onion method. J. Multivariate Analysis 100, 1989–2001.",
    "rhat": "Vehtari, Gelman, Simpson, Carpenter, Bürkner (2021). Rank-normalization, folding, and "
    "localization: an improved R-hat. Bayesian Analysis 16, 667–718.",
    "psis": "Vehtari, Simpson, Gelman, Yao, Gabry (2024). Pareto smoothed importance sampling. "
    "J. Machine Learning Research 25(72), 1–58.",
    "half-t": "Gelman (2006). Prior distributions for variance parameters in hierarchical models. "
    "Bayesian Analysis 1, 515–534.",
    "r2": "Nakagawa, Johnson, Schielzeth (2017). The coefficient of determination R² and intra-class "
    "correlation coefficient from generalized linear mixed-effects models revisited and expanded. "
    "J. Royal Society Interface 14, 20170213.",
}
USES = {
    "reml": "REML",
    "lme4": "the profiled likelihood of mixed models",
    "satterthwaite": "Satterthwaite's degrees of freedom for mixed models",
    "lmertest": "tests of mixed models with them",
    "kenward-roger": "Kenward and Roger's tests",
    "henderson": "standard errors of random effects",
    "nuts": "the sampler",
    "pymc": "the posterior's model",
    "lkj": "prior of correlations",
    "rhat": "R-hat and effective draws",
    "psis": "importance weights and Pareto k",
    "half-t": "half-t priors of sds",
    "r2": "ICC and R²",
}
_LIBRARIES = ("numpy", "scipy", "pandas", "formulaic")
_ELSEWHERE = ("formula", "data", "context", "checkpoint", "progress")
"""Arguments that stand first in the line, or change nothing of the model."""
_OF_DRAWS = ("pymc", "nutpie", "arviz")


def used(result: MixedModelResult) -> list[str]:
    """Keys of the references of one fit."""
    found: list[str] = []
    if result.posterior is None:
        found += ["reml"] if result.method == "reml" else []
        found.append("lme4")
        if result.design.names:
            ddf = result.coef_table().attrs["ddf"]
            found += {"satterthwaite": ["satterthwaite", "lmertest"], "kenward-roger": ["kenward-roger"]}.get(
                ddf, []
            )
        found.append("henderson")
    else:
        nuts = result.method == "nuts"
        hierarchical = str(result.diagnostics.details.get("form", "")).startswith("hierarchical")
        found += ["nuts", "rhat"] if nuts else ["psis"]
        found += ["pymc"] if hierarchical else []
        families = (
            {prior.family for prior in result.spec.priors.values()} if result.spec is not None else set()
        )
        found += ["lkj"] if "lkj" in families else []
        found += ["half-t"] if "half_student_t" in families else []
    return [*found, "r2"]


def cite_section(results: tuple[MixedModelResult, ...]) -> html.Section:
    """References of the methods that these fits used."""
    keys = dict.fromkeys(key for result in results for key in used(result))
    lines = [f"{REFERENCES[key]} ({USES[key]})" for key in keys]
    own = f"bimixed {__version__}: the package itself, with its version."
    return html.Section("cite", "How to cite the methods", [html.bullets([own, *lines])])


def again_section(named: Mapping[str, MixedModelResult]) -> html.Section:
    """Code and versions."""
    results = tuple(named.values())
    parts = [html.code(code_of(named))]
    unseeded = [n for n, r in named.items() if r.posterior is not None and "random_seed" not in r.arguments]
    if unseeded:
        parts.append(
            html.paragraph(
                f"No random_seed is known of {' and '.join(unseeded)}: another run gives other draws, which "
                "differ by Monte Carlo error."
            )
        )
    parts.append(html.facts(versions(any(r.posterior is not None for r in results))))
    return html.Section("again", "How to make it again", parts)


def versions(draws: bool) -> list[tuple[str, str]]:
    """Of this package, Python, and the libraries that a fit uses."""
    found = [("bimixed", __version__), ("Python", sys.version.split()[0])]
    for name in (*_LIBRARIES, *(_OF_DRAWS if draws else ())):
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            found.append((name, "unknown"))
    return found


def code_of(named: Mapping[str, MixedModelResult]) -> str:
    """Python that fits the same models, and compares them where there are several.

    Fits of one specification share a line.
    """
    lines, specs = ["import bimixed as bm", ""], dict[str, str]()
    for result in named.values():
        call = _specification(result)
        if call not in specs:
            specs[call] = "spec" if not specs else f"spec_{len(specs) + 1}"
            shape = f"data = ...  # {_data_of(result)}"
            lines += [shape] if len(specs) == 1 and "data" in call else []
            lines.append(f"{specs[call]} = {call}")
    fits = []
    for i, (name, result) in enumerate(named.items()):
        variable = "fit" if len(named) == 1 else _variable(name, i)
        fits.append(variable)
        given = "".join(f", {key}={value!r}" for key, value in result.arguments.items())
        lines.append(f'{variable} = {specs[_specification(result)]}.fit("{result.method}"{given})')
    if len(named) > 1:
        default = list(named) == [result.method for result in named.values()]
        names = "" if default else f", names={list(named)!r}"
        lines.append(f"comparison = bm.compare({', '.join(fits)}{names})")
    return "\n".join(lines)


def _data_of(result: MixedModelResult) -> str:
    design = result.design
    if isinstance(design, SummedDesign):
        return f"your source, such as bm.scan_parquet(...): {design.counts.n_total} rows"
    return f"your table: {len(design.frame.kept)} rows"


def _variable(name: str, i: int) -> str:
    return name if name.isidentifier() else f"fit_{i + 1}"


def _specification(result: MixedModelResult) -> str:
    recipe: dict[str, Any] | None = getattr(result.spec, "recipe", None)
    if recipe is None:
        return "bm.ModelSpec.from_arrays(endog, exog, groups)  # the arrays of the fit"
    maker = "bm.ModelSpec.from_groups" if "groups" in recipe else "bm.ModelSpec"
    given = []
    for name, value in recipe.items():
        if name in _ELSEWHERE or value is None or (name, value) == ("na_action", "drop"):
            continue
        plain = isinstance(value, str | dict)
        given.append(f"{name}={value!r}" if plain else f"{name}={name}")
    priors = result.spec.given_priors
    if priors and result.posterior is not None:
        written = ", ".join(f"{key!r}: {_prior(prior)}" for key, prior in priors.items())
        given.append(f"priors={{{written}}}")
    return f"{maker}({', '.join([repr(recipe['formula']), 'data', *given])})"


def _prior(prior: Prior) -> str:
    numbers = "".join(f", {name}={float(value)!r}" for name, value in prior.parameters.items())
    return f"bm.Prior({prior.family!r}{numbers})"
