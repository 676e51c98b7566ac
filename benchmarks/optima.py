"""Whose optimum is higher? Many models by bimixed, lme4 and statsmodels, each with its defaults.

    python optima.py --peers PYTHON [--r Rscript]

The page ``docs/optima.md`` is made from the answers. A difference counts from 1e-6 in the (restricted)
log-likelihood on; statsmodels gets the models that it can say: one grouping factor, or a nested one.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
COUNTS = 1e-6
"""Differences of log-likelihoods from here on count."""
BUNDLED = (
    ("sleepstudy", "Reaction ~ Days + (Days | Subject)", ["Subject"]),
    ("sleepstudy", "Reaction ~ Days + (Days || Subject)", ["Subject"]),
    ("sleepstudy", "Reaction ~ 1 + (1 | Subject)", ["Subject"]),
    ("dyestuff", "Yield ~ 1 + (1 | Batch)", ["Batch"]),
    ("dyestuff2", "Yield ~ 1 + (1 | Batch)", ["Batch"]),
    ("orthodont", "distance ~ age * Sex + (age | Subject)", ["Subject", "Sex"]),
    ("orthodont", "distance ~ age + (1 | Subject)", ["Subject", "Sex"]),
    ("rat_pup", "weight ~ treatment + sex + litsize + (1 | litter)", ["treatment", "sex", "litter"]),
    ("radon", "log_radon ~ floor + log_uranium + (1 + floor | county)", ["county"]),
    ("radon", "log_radon ~ floor + log_uranium + (1 | county)", ["county"]),
    ("nested", "y ~ 1 + (1 | group1) + (1 | group1:group2)", ["group1", "group2"]),
    ("crossed", "y ~ 1 + (1 | group1) + (1 | group2)", ["group1", "group2"]),
)
SIMULATED = (
    "y ~ x + (1 | g)",
    "y ~ x + (x | g)",
    "y ~ x + z + (x + z | g)",
    "y ~ x + (x || g)",
    "y ~ x + (1 | g) + (1 | g:h)",
    "y ~ x + (1 | g) + (1 | k)",
    "y ~ x + (x | g) + (1 | k)",
    "y ~ x + (x | g) + (z | k)",
)
SEEDS = 40
SHOWN = 12
"""Differences that the page lists for each tool."""


def simulated(seed: int) -> pd.DataFrame:
    """Crossed and nested groups; variances from none to large, correlations up to ±1."""
    rng = np.random.default_rng(seed)
    n, groups, others = int(rng.integers(80, 500)), int(rng.integers(6, 30)), int(rng.integers(5, 15))
    data = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "z": rng.normal(rng.choice([0.0, 5.0]), 1.0, n),
            "g": rng.integers(0, groups, n),
            "h": rng.integers(0, 3, n),
            "k": rng.integers(0, others, n),
        }
    )
    sd = rng.choice([0.0, 0.05, 0.3, 1.0, 3.0], 5)
    rho = rng.choice([-1.0, -0.5, 0.0, 0.9])
    a, b = rng.normal(size=(2, groups))
    slope = rho * a + np.sqrt(1.0 - rho**2) * b
    y = 1.0 + 0.5 * data["x"] + sd[0] * a[data["g"]] + sd[1] * slope[data["g"]] * data["x"]
    y += (
        sd[2] * rng.normal(size=3 * groups)[data["g"] * 3 + data["h"]]
        + sd[3] * rng.normal(size=others)[data["k"]]
    )
    y += sd[4] * rng.normal(size=others)[data["k"]] * data["z"] + rng.normal(size=n)
    return data.assign(
        y=y, g="g" + data["g"].astype(str), h="h" + data["h"].astype(str), k="k" + data["k"].astype(str)
    )


def models(folder: Path) -> list[dict[str, Any]]:
    """The models, their tables written to the folder."""
    import bimixed as bm

    found = []
    for name, formula, text in BUNDLED:
        table = bm.load_dataset(name)
        table = table.assign(**{column: table[column].astype(str) for column in text})
        path = folder / f"{name}.csv"
        table.to_csv(path, index=False)
        found += [
            {"data": name, "formula": formula, "text": text, "path": str(path), "reml": r}
            for r in (True, False)
        ]
    for seed in range(SEEDS):
        path = folder / f"seed{seed}.csv"
        simulated(seed).to_csv(path, index=False)
        for i, formula in enumerate(SIMULATED):
            reml = (seed + i) % 3 > 0
            found.append(
                {
                    "data": f"seed {seed}",
                    "formula": formula,
                    "text": ["g", "h", "k"],
                    "path": str(path),
                    "reml": reml,
                }
            )
    return found


def table_of(model: dict[str, Any]) -> pd.DataFrame:
    return pd.read_csv(model["path"], dtype=dict.fromkeys(model["text"], str))


def by_bimixed(wanted: list[dict[str, Any]]) -> list[float | None]:
    import bimixed as bm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BimixedWarning)
        return [
            bm.ModelSpec(m["formula"], table_of(m)).fit("reml" if m["reml"] else "ml").loglik for m in wanted
        ]


def by_statsmodels(wanted: list[dict[str, Any]]) -> Iterator[float | None]:
    from statsmodels.formula.api import mixedlm

    for model in wanted:
        fixed = re.split(r" \+ \(", model["formula"])[0]
        bars = re.findall(r"\(([^|]*)\| ([^)]*)\)", model["formula"])
        groups = [group.strip() for _, group in bars]
        nested = len(groups) == 2 and groups[1].startswith(f"{groups[0]}:")
        large = model["data"] == "nested"  # hours
        if "||" in model["formula"] or (len(groups) == 2 and not nested) or large:
            yield None
            continue
        inner = groups[-1].removeprefix(f"{groups[0]}:")
        extra = {"vc_formula": {"inner": f"0 + C({inner})"}} if nested else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                fit = mixedlm(fixed, table_of(model), groups=groups[0], re_formula=bars[0][0], **extra).fit(
                    reml=model["reml"]
                )
                yield float(fit.llf) if np.isfinite(fit.llf) else None
            except (np.linalg.LinAlgError, ValueError):
                yield None


def run(command: list[str], wanted: list[dict[str, Any]], folder: Path) -> list[float | None]:
    """Another interpreter's answers, one on each line."""
    listed = pd.DataFrame(wanted).assign(text=lambda t: t["text"].map(",".join))
    listed.to_csv(folder / "models.csv", index=False)
    (folder / "models.json").write_text(json.dumps(wanted))
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=True)
    return [None if line == "NA" else float(line) for line in done.stdout.split()]


def page(
    wanted: list[dict[str, Any]], ours: list[float | None], others: dict[str, list[float | None]]
) -> str:
    """The page's text."""
    intro = (
        f"{len(wanted)} models, on the bundled data and on {SEEDS} simulated tables whose variances run from "
        "none to large and whose correlations to ±1, fitted by REML or maximum likelihood with every tool's "
        "defaults. A higher (restricted) log-likelihood is a better optimum; differences count from 1e-6 on. "
        "statsmodels gets the models that it can say. `benchmarks/optima.py` makes this page, `make optima` "
        "runs it."
    )
    lines = [
        "# Optima",
        "",
        *textwrap.wrap(intro, 110),
        "",
        "| tool | models | same | lower than bimixed | by more than 1e-4 | by more than 0.01 | higher |",
        "|---|---|---|---|---|---|---|",
    ]
    rows: list[str] = []
    for tool, theirs in others.items():
        worst: list[tuple[float, str]] = []
        gaps = np.array([a - b for a, b in zip(ours, theirs, strict=True) if b is not None])
        counts = [(gaps > limit).sum() for limit in (COUNTS, 1e-4, 1e-2)]
        same, higher = (np.abs(gaps) <= COUNTS).sum(), (gaps < -COUNTS).sum()
        lines.append(
            f"| {tool} | {len(gaps)} | {same} | {counts[0]} | {counts[1]} | {counts[2]} | {higher} |"
        )
        for model, a, b in zip(wanted, ours, theirs, strict=True):
            if b is not None and abs(a - b) > 1e-4:
                row = f"| {tool} | {model['data']} | `{model['formula'].replace('|', chr(92) + '|')}` "
                row += f"| {'REML' if model['reml'] else 'ML'} | {a:.6f} | {b:.6f} | {a - b:.2g} |"
                worst.append((a - b, row))
        rows += [row for _, row in sorted(worst, reverse=True)[:SHOWN]]
    lines += [
        "",
        "The largest differences of each:",
        "",
        "| tool | data | model | by | bimixed | tool's | difference |",
        "|" + "---|" * 7,
    ]
    lines += rows
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="Python that has statsmodels")
    parser.add_argument("--r", default="", help="Rscript that has lme4")
    parser.add_argument("--statsmodels", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.statsmodels:
        for value in by_statsmodels(json.loads((Path(asked.statsmodels) / "models.json").read_text())):
            print("NA" if value is None else repr(value), flush=True)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wanted = models(folder)
        ours = by_bimixed(wanted)
        others = {}
        if asked.r:
            others["lme4"] = run([asked.r, str(HERE / "optima.R")], wanted, folder)
        if asked.peers:
            others["statsmodels"] = run([asked.peers, __file__, "--statsmodels"], wanted, folder)
    (HERE.parent / "docs" / "optima.md").write_text(page(wanted, ours, others))
    higher = [
        1
        for theirs in others.values()
        for a, b in zip(ours, theirs, strict=True)
        if b is not None and a < b - COUNTS
    ]
    sys.exit(f"{len(higher)} optima of others are higher" if higher else None)


if __name__ == "__main__":
    main()
