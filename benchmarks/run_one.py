"""Time one tool on one workload, in the interpreter that has the tool; prints a line of JSON.

    python run_one.py TOOL WORK

A call goes from the data frame to the fitted object, formula and labels included. The first call is reported
apart. Memory is the peak of the process above what it held with the data and the tool loaded.
"""

import gc
import json
import resource
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import pandas as pd
from workloads import WORKS


def bimixed(formula: str, data: pd.DataFrame) -> tuple[Callable[[], Any], Callable[[Any], float]]:
    import bimixed as bm

    return lambda: bm.ModelSpec(formula, data).fit("reml"), lambda fit: fit.loglik


def glmm(formula: str, data: pd.DataFrame) -> tuple[Callable[[], Any], Callable[[Any], float]]:
    import glmm as tool

    return lambda: tool.fit(data, formula, reml=True), lambda fit: fit.loglik


def mixedlm(formula: str, data: pd.DataFrame) -> tuple[Callable[[], Any], Callable[[Any], float]]:
    import mixedlm as tool

    return lambda: tool.lmer(formula, data, REML=True), lambda fit: fit.logLik().value


def lme_python(formula: str, data: pd.DataFrame) -> tuple[Callable[[], Any], Callable[[Any], float]]:
    import lme_python as tool
    import polars

    frame = polars.from_pandas(data)
    return lambda: tool.lmer(formula, frame, reml=True), lambda fit: fit.log_likelihood


def gpboost(formula: str, data: pd.DataFrame) -> tuple[Callable[[], Any], Callable[[Any], float]]:
    """No formulas: the call makes the arrays that the formula asks for."""
    import re

    import gpboost as tool

    response, right = formula.split("~")
    bars = re.findall(r"\(([^()|]*)\|([^()]*)\)", right)
    fixed = [t.strip() for t in re.sub(r"\([^()]*\)", "", right).split("+") if t.strip() not in ("", "1")]

    def call() -> Any:
        columns = [data[name.strip()] for _, group in bars for name in [group] if ":" not in name]
        for _, group in bars:
            if ":" in group:
                a, b = (part.strip() for part in group.split(":"))
                columns.append(data[a].astype(str) + ":" + data[b].astype(str))
        groups = pd.concat(columns, axis=1)
        slope = [inner.strip() for inner, _ in bars if inner.strip() != "1"]
        extra: dict[str, Any] = {}
        if slope:
            extra = {"group_rand_coef_data": data[slope], "ind_effect_group_rand_coef": [1]}
        model = tool.GPModel(group_data=groups.to_numpy(), likelihood="gaussian", **extra)
        X = pd.concat([pd.Series(1.0, data.index, name="one"), data[fixed]], axis=1)
        model.fit(y=data[response.strip()].to_numpy(), X=X.to_numpy(float))
        return model

    return call, lambda fit: -fit.get_current_neg_log_likelihood()


def statsmodels(formula: str, data: pd.DataFrame) -> tuple[Callable[[], Any], Callable[[Any], float]]:
    import statsmodels.formula.api as smf

    kwargs = {
        "Reaction ~ Days + (Days | Subject)": ("Reaction ~ Days", "Subject", {"re_formula": "~Days"}),
        "y ~ 1 + (1 | a) + (1 | a:b)": ("y ~ 1", "a", {"re_formula": "1", "vc_formula": {"b": "0 + C(b)"}}),
        "y ~ x + (x | g)": ("y ~ x", "g", {"re_formula": "~x"}),
        "y ~ x + (1 | g)": ("y ~ x", "g", {}),
    }
    if formula == "y ~ 1 + (1 | a) + (1 | b)":
        both = {"a": "0 + C(a)", "b": "0 + C(b)"}
        one = data.assign(one=1)
        call = lambda: smf.mixedlm("y ~ 1", one, groups="one", vc_formula=both).fit()  # noqa: E731
        return call, lambda fit: fit.llf
    fixed, groups, more = kwargs[formula]
    return lambda: smf.mixedlm(fixed, data, groups=data[groups], **more).fit(), lambda fit: fit.llf


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(tool: str, name: str) -> None:
    warnings.simplefilter("ignore")
    work = WORKS[name]
    data = work.data()
    call, loglik = globals()[tool](work.formula, data)
    gc.collect()
    before = peak()
    began = time.perf_counter()
    fit = call()
    first = time.perf_counter() - began
    grown = peak() - before
    seconds = []
    repeats = work.repeats if first < 60 else 1
    for _ in range(repeats):
        del fit
        began = time.perf_counter()
        fit = call()
        seconds.append(time.perf_counter() - began)
    value = float(loglik(fit))
    print(json.dumps({"first": first, "seconds": seconds, "loglik": value, "kib": grown, "base": before}))


if __name__ == "__main__":
    main(*sys.argv[1:])
