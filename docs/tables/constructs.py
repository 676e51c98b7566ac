"""What each tool can say: tries every construct in every tool, and writes ``docs/constructs.md``.

    python docs/tables/constructs.py --peers PYTHON [--r RSCRIPT]

PYTHON is an interpreter with statsmodels, bambi, glmm and mixedlm installed, RSCRIPT R's with lme4; a tool
that isn't there is left out. Every model is fitted by maximum likelihood and the log-likelihood compared
with lme4's, or, where lme4 can't say the model, with the first tool that can. bambi has no likelihood: its
cell says whether it builds the model, and whether it models the correlations.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
PAGE = HERE.parent / "constructs.md"
LOGLIKS = HERE.parent.parent / "tests" / "reference" / "constructs_lme4.json"
"""lme4's log-likelihoods, for tests."""
TOOLS = ("lme4", "statsmodels", "bambi", "glmm", "mixedlm", "bimixed")
SAME = 1e-3
"""Log-likelihoods that differ by less are the same model; peers stop that far from the maximum."""


@dataclass(frozen=True)
class Construct:
    """A thing that a user wants to say.

    Attributes
    ----------
    title : str
    formula : str or None
        In bimixed, and in the others unless ``other`` has them.
    other : dict
        Tool → its formula, or the keyword arguments of statsmodels' ``mixedlm`` (None: no way to say it).
    ours : dict
        Arguments of ``ModelSpec.from_groups`` instead of a formula with bars.
    """

    title: str
    formula: str | None
    other: dict = field(default_factory=dict)
    ours: dict = field(default_factory=dict)


def sm(formula: str, groups: str | None = "g", **kwargs: object) -> dict:
    return {"formula": formula, "groups": groups, **kwargs}


def both(r: str) -> dict:
    """The same R formula for lme4, glmm and mixedlm."""
    return {"lme4": r, "glmm": r, "mixedlm": r}


NOTHING = dict.fromkeys(("lme4", "glmm", "mixedlm", "bambi"))
CONSTRUCTS = [
    Construct("random intercept", "y ~ x + (1 | g)", {"statsmodels": sm("y ~ x")}),
    Construct(
        "correlated intercept and slope", "y ~ x + (x | g)", {"statsmodels": sm("y ~ x", re_formula="~x")}
    ),
    Construct(
        "uncorrelated intercept and slope",
        "y ~ x + (x || g)",
        {"statsmodels": sm("y ~ x", re_formula="1", vc_formula={"x": "0 + x"})},
    ),
    Construct(
        "slope without intercept", "y ~ x + (0 + x | g)", {"statsmodels": sm("y ~ x", re_formula="0 + x")}
    ),
    Construct(
        "several terms of one group",
        "y ~ x + (1 | g) + (0 + x | g)",
        {"statsmodels": sm("y ~ x", re_formula="1", vc_formula={"x": "0 + x"})},
    ),
    Construct(
        "nested, a/b",
        "y ~ x + (1 | g/h)",
        {"statsmodels": sm("y ~ x", re_formula="1", vc_formula={"h": "0 + C(h)"})},
    ),
    Construct(
        "crossed",
        "y ~ x + (1 | g) + (1 | h)",
        {"statsmodels": sm("y ~ x", groups=None, vc_formula={"g": "0 + C(g)", "h": "0 + C(h)"})},
    ),
    Construct(
        "three groups interacting, a:b:c",
        "y ~ x + (1 | g:h:f)",
        {"statsmodels": sm("y ~ x", groups=None, vc_formula={"c": "0 + C(g):C(h):C(f)"})},
    ),
    Construct(
        "slopes of a factor, (f \\| g)", "y ~ x + (f | g)", {"statsmodels": sm("y ~ x", re_formula="~f")}
    ),
    Construct(
        "cell means, (0 + f \\| g)", "y ~ x + (0 + f | g)", {"statsmodels": sm("y ~ x", re_formula="0 + f")}
    ),
    Construct(
        "uncorrelated slopes of a factor, (f \\|\\| g)",
        "y ~ x + (f || g)",
        {
            "lme4": "y ~ x + (1 | g) + (0 + fb | g) + (0 + fc | g)",
            "statsmodels": sm(
                "y ~ x",
                re_formula="1",
                vc_formula={"b": "0 + I((f == 'b') * 1.0)", "c": "0 + I((f == 'c') * 1.0)"},
            ),
        },
    ),
    Construct(
        "contrasts, C(f, Sum)",
        "y ~ C(f, Sum) + (1 | g)",
        {"lme4": "y ~ C(f, contr.sum) + (1 | g)", "statsmodels": sm("y ~ C(f, Sum)")},
    ),
    Construct(
        "C() of integers",
        "y ~ C(k) + (1 | g)",
        {**both("y ~ factor(k) + (1 | g)"), "statsmodels": sm("y ~ C(k)")},
    ),
    Construct("poly(x, 2)", "y ~ poly(x, 2) + (1 | g)", {"statsmodels": sm("y ~ poly(x, 2)")}),
    Construct(
        "spline, bs(x, df=4)",
        "y ~ bs(x, df=4) + (1 | g)",
        {**both("y ~ splines::bs(x, df=4) + (1 | g)"), "statsmodels": sm("y ~ bs(x, df=4)")},
    ),
    Construct(
        "scale(), also in the bar",
        "y ~ scale(x) + (scale(x) | g)",
        {"statsmodels": sm("y ~ scale(x)", re_formula="~scale(x)")},
    ),
    Construct(
        "log(), also in the bar",
        "y ~ log(p) + (log(p) | g)",
        {"statsmodels": sm("y ~ np.log(p)", re_formula="~np.log(p)")},
    ),
    Construct("a function on the left, log(p)", "log(p) ~ x + (1 | g)", {"statsmodels": sm("np.log(p) ~ x")}),
    Construct(
        "I(x**2)",
        "y ~ x + I(x**2) + (1 | g)",
        {**both("y ~ x + I(x^2) + (1 | g)"), "statsmodels": sm("y ~ x + I(x**2)")},
    ),
    Construct(
        "(a + b)**2",
        "y ~ (x + z)**2 + (1 | g)",
        {**both("y ~ (x + z)^2 + (1 | g)"), "statsmodels": sm("y ~ (x + z)**2")},
    ),
    Construct("interactions, x * f", "y ~ x * f + (1 | g)", {"statsmodels": sm("y ~ x * f")}),
    Construct("a / b in the fixed part", "y ~ f / x + (1 | g)", {"statsmodels": sm("y ~ f / x")}),
    Construct("no fixed intercept", "y ~ 0 + f + (1 | g)", {"statsmodels": sm("y ~ 0 + f")}),
    Construct(
        "all columns, .",
        "y ~ . + (1 | g)",
        {**both("y ~ . - g + (1 | g)"), "statsmodels": None},
    ),
    Construct("offset()", "y ~ x + offset(z) + (1 | g)", {"statsmodels": None}),
    Construct("a boolean predictor", "y ~ flag + (1 | g)", {"statsmodels": sm("y ~ flag")}),
    Construct(
        "a column with a space",
        "y ~ `my x` + (1 | g)",
        {**both("y ~ `my x` + (1 | g)"), "statsmodels": sm("y ~ Q('my x')")},
    ),
    Construct("integers as groups", "y ~ x + (1 | k)", {"statsmodels": sm("y ~ x", groups="k")}),
    Construct("booleans as groups", "y ~ x + (1 | flag)", {"statsmodels": sm("y ~ x", groups="flag")}),
    Construct(
        "an expression as group",
        "y ~ x + (1 | round(z))",
        {"statsmodels": sm("y ~ x", groups=None, vc_formula={"r": "0 + C(np.round(z))"})},
    ),
    Construct(
        "several covariates, one variance",
        None,
        {**NOTHING, "statsmodels": sm("y ~ x", re_formula="1", vc_formula={"s": "0 + x + z"})},
        {"re_formula": "1", "vc_formula": {"s": "0 + x + z"}},
    ),
    Construct(
        "a spline as variance component",
        None,
        {**NOTHING, "statsmodels": sm("y ~ x", groups=None, vc_formula={"s": "0 + bs(z, df=8)"})},
        {"groups": None, "vc_formula": {"s": "0 + bs(z, df=8)"}},
    ),
    Construct(
        "multiple membership",
        None,
        {**NOTHING, "statsmodels": sm("y ~ x", groups=None, vc_formula={"m": "0 + m1 + m2 + m3 + m4 + m5"})},
        {"groups": None, "vc_formula": {"m": "0 + m1 + m2 + m3 + m4 + m5"}},
    ),
]


def table() -> pd.DataFrame:
    """Data that every construct can be tried on."""
    rng = np.random.default_rng(20)
    n = 300
    g = rng.integers(0, 12, n)
    h = rng.integers(0, 5, n)
    x, z = rng.normal(size=n), rng.uniform(0, 6, n)
    f = rng.choice(list("abc"), n)
    flag = rng.random(n) > 0.5
    members = rng.dirichlet(np.full(5, 0.4), n)
    y = 1 + x + (f == "b") + 0.5 * flag + rng.normal(size=12)[g] + 0.7 * rng.normal(size=12)[g] * x
    y += 0.8 * rng.normal(size=(12, 5))[g, h] + rng.normal(size=5)[h] + np.sin(z) + rng.normal(size=n)
    y += 0.6 * rng.normal(size=(12, 3))[g, np.searchsorted(list("abc"), f)]
    y += 1.5 * members @ rng.normal(size=5)
    data = pd.DataFrame({"y": y, "x": x, "z": z, "f": f, "flag": flag, "k": g % 7, "my x": x + z})
    data["p"] = np.exp(0.2 * y + 0.3 * rng.normal(size=n))
    data["g"] = np.array([f"g{i:02d}" for i in range(12)])[g]
    data["h"] = np.array(list("pqrst"))[h]
    data["fb"], data["fc"] = (f == "b") * 1.0, (f == "c") * 1.0
    return data.assign(**{f"m{i + 1}": members[:, i] for i in range(5)})


def columns_for(title: str, data: pd.DataFrame) -> pd.DataFrame:
    """``.`` means few columns here, so that every tool can take them."""
    return data[["y", "x", "z", "f", "g"]] if title.startswith("all columns") else data


# --- trying ----------------------------------------------------------------------------------------


def try_bimixed(construct: Construct, data: pd.DataFrame) -> dict:
    import bimixed as bm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if construct.formula is None:
            groups = construct.ours.get("groups", "g")
            rest = {k: v for k, v in construct.ours.items() if k != "groups"}
            spec = bm.ModelSpec.from_groups(
                "y ~ x", data, np.ones(len(data)) if groups is None else groups, **rest
            )
        else:
            spec = bm.ModelSpec(construct.formula, data)
        return {"loglik": spec.fit("ml").loglik}


def attempt(tool: str, given: object, data: pd.DataFrame) -> dict:
    """One construct in one peer: {"loglik": …}, {"built": …} or {"error": …}."""
    if tool == "statsmodels":
        import statsmodels.formula.api as smf

        given = dict(given)  # type: ignore[call-overload]
        groups = given.pop("groups")
        groups = np.ones(len(data)) if groups is None else groups
        model = smf.mixedlm(data=data, groups=groups, **given)
        results = [model.fit(reml=False, method=m) for m in ("lbfgs", "bfgs", "powell")]
        return {"loglik": max(float(r.llf) for r in results if math.isfinite(r.llf))}
    if tool == "glmm":
        import glmm

        return {"loglik": float(glmm.fit(data, given, reml=False).loglik)}
    if tool == "mixedlm":
        import mixedlm

        return {"loglik": float(mixedlm.lmer(given, data, REML=False).logLik().value)}
    import bambi

    model = bambi.Model(given, data)
    model.build()
    correlated = any("lkj" in type(v.owner.op).__name__.lower() for v in model.backend.model.free_RVs)
    return {"built": "with correlations" if correlated else "without correlations"}


def run_peers(tool: str, jobs: list[dict], data: Path) -> list[dict]:
    """What the peers' interpreter does."""
    frame = pd.read_pickle(data)
    found = []
    for job in jobs:
        if job["given"] is None:
            found.append({"error": "no way to say it"})
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found.append(attempt(tool, job["given"], columns_for(job["title"], frame)))
        except BaseException as error:  # whatever a peer raises is what its user would see
            text = " ".join(str(error).split())
            found.append({"error": f"{type(error).__name__}: {text}"[:160]})
    return found


R_CODE = r"""
suppressMessages(library(lme4))
args <- commandArgs(TRUE)
data <- read.csv(args[1], check.names = FALSE, stringsAsFactors = TRUE); data$flag <- data$flag == "True"
lines <- readLines(args[2])
for (line in lines) {
  parts <- strsplit(line, "\t")[[1]]
  if (parts[2] == "NONE") { cat("error\tno way to say it\n"); next }
  d <- if (startsWith(parts[1], "all columns")) data[c("y", "x", "z", "f", "g")] else data
  out <- tryCatch(suppressWarnings(suppressMessages({
    m <- lmer(as.formula(parts[2]), d, REML = FALSE,
      control = lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9, maxfun = 1e5)))
    paste0("loglik\t", sprintf("%.10f", as.numeric(logLik(m))))
  })), error = function(e) paste0("error\t", gsub("\\s+", " ", conditionMessage(e))))
  cat(out, "\n", sep = "")
}
"""


def run_r(rscript: str, jobs: list[dict], folder: Path, data: pd.DataFrame) -> list[dict]:
    data.to_csv(folder / "data.csv", index=False)
    (folder / "code.R").write_text(R_CODE)
    (folder / "jobs.tsv").write_text("".join(f"{j['title']}\t{j['given'] or 'NONE'}\n" for j in jobs))
    command = [rscript, str(folder / "code.R"), str(folder / "data.csv"), str(folder / "jobs.tsv")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found = [line.split("\t", 1) for line in lines if "\t" in line]
    return [{kind: float(value) if kind == "loglik" else value} for kind, value in found]


def try_all(peers: str | None, rscript: str | None) -> dict[str, list[dict]]:
    """Tool → what came of each construct."""
    data = table()
    results: dict[str, list[dict]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data.to_pickle(folder / "data.pkl")
        for tool in TOOLS[:-1]:
            jobs = [{"title": c.title, "given": c.other.get(tool, c.formula)} for c in CONSTRUCTS]
            if tool == "lme4":
                if rscript is not None:
                    results[tool] = run_r(rscript, jobs, folder, data)
            elif peers is not None:
                (folder / "jobs.json").write_text(json.dumps(jobs))
                out = folder / "found.json"
                subprocess.run(
                    [peers, __file__, "--tool", tool, "--jobs", str(folder / "jobs.json"), "--out", str(out)],
                    check=True,
                    capture_output=True,
                    env={
                        "PYTHONWARNINGS": "ignore",
                        "PATH": "/usr/bin:/bin",
                        "DATA": str(folder / "data.pkl"),
                    },
                )
                results[tool] = json.loads(out.read_text())
    results["bimixed"] = [try_bimixed(c, columns_for(c.title, data)) for c in CONSTRUCTS]
    return results


# --- the page --------------------------------------------------------------------------------------


def page(results: dict[str, list[dict]]) -> str:
    tools = [tool for tool in TOOLS if tool in results]
    lines = [
        "# What each tool can say",
        "",
        "Made by `docs/tables/constructs.py`, which fits every line in every tool by maximum likelihood.",
        "**yes**: the same log-likelihood; a number: how far below the best one the tool stopped, or another",
        "model; **no**: an error, or no way to say it. bambi has no likelihood; its cell says whether it",
        "builds the model, and whether with the correlations of its random effects.",
        "",
        f"| construct | bimixed | {' | '.join(tools[:-1])} |",
        f"|---|---|{'---|' * (len(tools) - 1)}",
    ]
    notes: list[str] = []
    for i, construct in enumerate(CONSTRUCTS):
        found = {tool: results[tool][i] for tool in tools}
        reference = agreed([found[tool]["loglik"] for tool in tools if "loglik" in found[tool]])
        said = construct.formula or ", ".join(f"{k}={v!r}" for k, v in construct.ours.items())
        correlated = bool(re.search(r"\((0 \+ f|f|x|scale\(x\)|log\(p\)) \| g\)", construct.formula or ""))
        cells = [cell(found[tool], reference, correlated) for tool in ("bimixed", *tools[:-1])]
        shown = said.replace("|", "\\|")
        code = f"`` {shown} ``" if "`" in shown else f"`{shown}`"
        lines.append(f"| {construct.title}: {code} | {' | '.join(cells)} |")
        for tool in tools:
            if "error" in found[tool] and found[tool]["error"] != "no way to say it":
                message = found[tool]["error"].replace("|", "\\|").replace("<", "&lt;")
                notes.append(f"- {tool}, {construct.title}: {message}")
    lines += ["", "What the tools said where they refused:", "", *notes]
    return "\n".join(lines) + "\n"


def agreed(logliks: list[float]) -> float:
    """The highest log-likelihood that two tools share, else the highest."""
    shared = [v for v in logliks if sum(abs(v - w) < SAME for w in logliks) > 1]
    return max(shared or logliks)


def cell(found: dict, reference: float, correlated: bool) -> str:
    if "built" in found:
        return f"built, {found['built']}" if correlated else "built"
    if "error" in found:
        return "no"
    difference = found["loglik"] - reference
    return "yes" if abs(difference) < SAME else f"{difference:+.3g}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers")
    parser.add_argument("--r")
    parser.add_argument("--tool")
    parser.add_argument("--jobs")
    parser.add_argument("--out")
    given = parser.parse_args()
    if given.tool:
        found = run_peers(given.tool, json.loads(Path(given.jobs).read_text()), Path(os.environ["DATA"]))
        Path(given.out).write_text(json.dumps(found))
        return
    results = try_all(given.peers, given.r)
    PAGE.write_text(page(results), encoding="utf-8")
    if "lme4" in results:
        kept = {c.title: r for c, r in zip(CONSTRUCTS, results["lme4"], strict=True) if "loglik" in r}
        LOGLIKS.write_text(json.dumps(kept, indent=1) + "\n")
    sys.stdout.write(page(results))


if __name__ == "__main__":
    main()
