"""Time one tool on one workload, in the interpreter that has the tool; prints lines of JSON.

    python run_one.py TOOL WORK

A call goes from the data frame to the fitted object, formula and labels included. The first call is reported
apart. Memory is what the first call adds at its peak to the process that holds the data and the tool. Each
line adds to the ones before, so that a process that is stopped leaves what it has.
"""

import argparse
import ctypes
import gc
import importlib.metadata
import json
import math
import re
import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from posteriors import bambi_nutpie, bambi_pymc, bimixed_importance, bimixed_nuts, further_draws
from workloads import WORKS

Call = Callable[[], Any]
Loglik = Callable[[Any], float]

PACKAGES = {
    "gpboost_cholesky": ("gpboost",),
    "bimixed_nuts": ("bimixed",),
    "bimixed_importance": ("bimixed",),
    "bambi_nutpie": ("bambi", "nutpie", "pymc"),
    "bambi_pymc": ("bambi", "pymc"),
}
"""Where they aren't called as the tool is; the first is imported."""
PATIENCE = 120.0
"""Seconds that all calls together may take; no repeat begins that would pass it."""


class Refused(Exception):
    """The tool has no way to say the model."""


def bimixed(formula: str, data: pd.DataFrame) -> tuple[Call, Loglik]:
    import bimixed as bm

    return lambda: bm.ModelSpec(formula, data).fit("reml"), lambda fit: fit.loglik


def glmm(formula: str, data: pd.DataFrame) -> tuple[Call, Loglik]:
    import glmm as tool

    return lambda: tool.fit(data, formula, reml=True), lambda fit: fit.loglik


def mixedlm(formula: str, data: pd.DataFrame) -> tuple[Call, Loglik]:
    from mixedlm import lmer

    return lambda: lmer(formula, data, REML=True), lambda fit: fit.logLik().value


def lme_python(formula: str, data: pd.DataFrame) -> tuple[Call, Loglik]:
    """Its own kind of data frame is polars', so the conversion is outside the call."""
    import lme_python as tool
    import polars

    frame = polars.from_pandas(data)
    return lambda: tool.lmer(formula, frame, reml=True), lambda fit: fit.log_likelihood


def read(formula: str) -> tuple[str, list[str], list[tuple[str, list[str]]]]:
    """Response, covariates, and (inside, columns of the group) of each bar, for tools without lme4's bars."""
    response, right = (side.strip() for side in formula.split("~"))
    bars = re.findall(r"\(([^()|]*)\|([^()]*)\)", right)
    fixed = [term.strip() for term in re.sub(r"\([^()]*\)", "", right).split("+")]
    groups = [(inside.strip(), [name.strip() for name in group.split(":")]) for inside, group in bars]
    return response, [term for term in fixed if term not in ("", "1")], groups


def gpboost(formula: str, data: pd.DataFrame, method: str = "default") -> tuple[Call, Loglik]:
    """No formulas: the call makes the arrays that the formula asks for. There is no REML: this is ML."""
    import gpboost as tool

    response, fixed, bars = read(formula)
    if any(inside != "1" for inside, _ in bars):
        raise Refused("no correlated intercepts and slopes")

    def call() -> Any:
        groups = pd.DataFrame(
            {
                ":".join(names): data[names[0]] if len(names) == 1 else data.groupby(names).ngroup()
                for _, names in bars
            }
        )
        model = tool.GPModel(group_data=groups, likelihood="gaussian", matrix_inversion_method=method)
        X = data[fixed].assign(Intercept=1.0).to_numpy(float)
        model.fit(y=data[response].to_numpy(float), X=X)
        return model

    return call, lambda fit: -fit.get_current_neg_log_likelihood()


def gpboost_cholesky(formula: str, data: pd.DataFrame) -> tuple[Call, Loglik]:
    """Exact; the default of several groups is iterative and its log-likelihood a stochastic approximation."""
    return gpboost(formula, data, "cholesky")


def statsmodels(formula: str, data: pd.DataFrame) -> tuple[Call, Loglik]:
    """One group with slopes, or variance components in the outer group, or in one group of all rows."""
    import statsmodels.formula.api as smf

    response, fixed, bars = read(formula)
    text = f"{response} ~ {' + '.join(fixed or ['1'])}"
    inside, outer = bars[0]
    components = bars[1:]
    if any(one != "1" for one, _ in components):
        raise Refused("no correlated slopes in several groups")
    nested = [data.groupby(names)[outer[0]].nunique().max() == 1 for _, names in components]
    if len(outer) > 1 or not all(nested):
        data, outer, inside, components = data.assign(all_rows=1), ["all_rows"], "0", bars
    more: dict[str, Any] = {} if inside in ("0", "1") else {"re_formula": f"~{inside}"}
    if components:
        # Of a:b inside the group a only b is left to tell apart.
        parts = [[name for name in names if name != outer[0]] for _, names in components]
        codes = {":".join(names): " : ".join(f"C({name})" for name in names) for names in parts}
        more["vc_formula"] = {name: f"0 + {code}" for name, code in codes.items()}
    if components and inside == "1":
        more["re_formula"] = "1"
    return lambda: smf.mixedlm(text, data, groups=outer[0], **more).fit(), lambda fit: fit.llf


TOOLS = {
    tool.__name__: tool
    for tool in (
        *(bimixed, glmm, lme_python, mixedlm, gpboost, gpboost_cholesky, statsmodels),
        *(bimixed_nuts, bimixed_importance, bambi_nutpie, bambi_pymc),
    )
}


def memory(field: str) -> float:
    """MiB of this process: VmRSS is what it holds, VmHWM its peak. Without /proc both are the peak."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(rf"{field}:\s*(\d+)", status.read_text())[1]) / 1024  # type: ignore[index]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def forget_peak() -> None:
    """Give free memory back, and let the peak be what is held now."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def timed(call: Call) -> tuple[float, Any]:
    began = time.perf_counter()
    fit = call()
    return time.perf_counter() - began, fit


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def repeat(call: Call, times: int, patience: float, spent: float) -> list[float]:
    """Seconds of more calls, as many as ``times`` and as ``patience`` allow."""
    seconds: list[float] = []
    longest = spent
    while len(seconds) < times and spent + longest <= patience:
        seconds.append(timed(call)[0])
        spent += seconds[-1]
        longest = max(seconds)
    return seconds


def version_of(packages: tuple[str, ...]) -> str:
    """Of the first one, and in brackets of those that it was asked to use."""
    first, *others = map(importlib.metadata.version, packages)
    used = ", ".join(f"{name} {version}" for name, version in zip(packages[1:], others, strict=True))
    return f"{first} ({used})" if used else first


def in_numbers(told: Any) -> dict[str, Any]:
    """A log-likelihood, or what there is to say about draws."""
    if isinstance(told, dict):
        return told
    return {"loglik": float(told) if math.isfinite(told) else None}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tool")
    parser.add_argument("work")
    parser.add_argument("--repeats", type=int, help="calls after the first; default: the workload's")
    parser.add_argument("--patience", type=float, default=PATIENCE)
    parser.add_argument("--ml", action="store_true", help="tell our ML log-likelihood too (untimed)")
    parser.add_argument("--began", type=float, help="when this process was started (time.time())")
    parser.add_argument("--further", action="store_true", help="tell what more draws take")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    packages, work = PACKAGES.get(asked.tool, (asked.tool,)), WORKS[asked.work]
    try:
        loading, _ = timed(lambda: __import__(packages[0]))
    except ImportError:
        return say(missing=packages[0])
    making, data = timed(work.data)
    say(version=version_of(packages), python=sys.version.split()[0], loading=loading)
    try:
        call, told = TOOLS[asked.tool](work.formula, data)
        forget_peak()
        held = memory("VmRSS")
        say(rows=len(data))
        first, fit = timed(call)
        grown = memory("VmHWM") - held
        if asked.began:
            say(fresh=time.time() - asked.began - making)
        say(first=first, mib=grown, **in_numbers(told(fit)))
        del fit
        say(
            seconds=repeat(
                call, work.repeats if asked.repeats is None else asked.repeats, asked.patience, first
            )
        )
        if asked.ml:
            import bimixed as bm

            say(loglik_ml=bm.ModelSpec(work.formula, data).fit("ml").loglik)
        if asked.further:
            say(further=further_draws(work.formula, data))
    except Refused as reason:
        say(failure=str(reason))


if __name__ == "__main__":
    main()
