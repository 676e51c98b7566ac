"""Times of profile, bootstrap and Kenward and Roger's method, beside lme4's where R is found.

``make bench`` runs it after the other benchmarks and writes ``docs/inference_times.md``.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

import bimixed as bm

HERE = Path(__file__).parent
N, GROUPS = 20_000, 2_000
"""Of the table for Kenward and Roger's method."""
RADON = "log_radon ~ floor + log_uranium + (1 + floor | county)"


def best(call: Callable[[], Any], n: int) -> float:
    """The least of n times, in seconds."""
    times = []
    for _ in range(n):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def many_groups() -> pd.DataFrame:
    """20,000 rows in 2,000 groups with their own slopes."""
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(GROUPS), N // GROUPS)
    x = rng.normal(size=N)
    effects = rng.normal(size=(GROUPS, 2)) * [1.0, 0.5]
    y = 1.0 + 0.5 * x + effects[g, 0] + effects[g, 1] * x + rng.normal(size=N)
    return pd.DataFrame({"y": y, "x": x, "g": g})


def ours() -> dict[str, float]:
    """Seconds, and bytes at the most."""
    sleep = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
    radon = bm.ModelSpec(RADON, bm.load_dataset("radon"))
    out = {"profile": best(lambda: bm.profile(sleep.fit("ml")), 3)}
    for method in ("reml", "ml"):
        fit = radon.fit(method)  # type: ignore[arg-type]
        found = bm.bootstrap(fit, 1000, random_seed=1, workers=2, progress=False)
        out[f"singular_{method}"] = found.n_singular
        out[f"bootstrap_{method}"] = best(
            lambda fit=fit: bm.bootstrap(fit, 1000, random_seed=1, workers=2, progress=False), 2
        )
    out["bootstrap_200"] = best(lambda: bm.bootstrap(radon.fit(), 200, random_seed=1, progress=False), 2)
    out["kenward_roger_sleep"] = best(lambda: sleep.fit().coef_table("kenward-roger"), 5) - best(sleep.fit, 5)
    spec = bm.ModelSpec("y ~ x + (1 + x | g)", many_groups())
    spec.fit()  # compiled loops are loaded once
    out["fit"] = best(spec.fit, 5)
    fits = [spec.fit() for _ in range(3)]
    out["kenward_roger"] = best(lambda: fits.pop().coef_table("kenward-roger"), 3)
    tracemalloc.start()
    fit = spec.fit()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    fit.coef_table("kenward-roger")
    out["kenward_roger_bytes"] = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return out


def by_r(rscript: str) -> dict[str, Any]:
    """What R needs for the same, as inference_times.R says."""
    with TemporaryDirectory() as folder:
        for name in ("sleepstudy", "radon"):
            bm.load_dataset(name).to_csv(Path(folder) / f"{name}.csv", index=False)
        shown = subprocess.run(
            [rscript, str(HERE / "inference_times.R"), folder], capture_output=True, text=True, check=True
        )
    return dict(json.loads(shown.stdout))


def page(found: dict[str, Any]) -> str:
    """``docs/inference_times.md``; every number is made from the results."""
    mine, r = found["bimixed"], found.get("R")
    lines = ["# Times of inference", ""]
    intro = (
        f"Made by `make bench`, in one run on a machine with {found['cores']} cores. Seconds, the best of "
        "several; 1,000 refits with 2 workers, the start of the processes included."
    )
    lines += [textwrap.fill(intro, 110), "", "| | bimixed | lme4 | ratio |", "| --- | ---: | ---: | ---: |"]

    def row(what: str, seconds: float, theirs: float | None) -> None:
        other = f"{theirs:.3g} s" if theirs else ""
        ratio = f"{seconds / theirs:.2g}" if theirs else ""
        lines.append(f"| {what} | {seconds:.3g} s | {other} | {ratio} |")

    row("Fit and profile of all parameters, sleepstudy", mine["profile"], r and r["profile"])
    row("200 bootstrap refits, radon, one process", mine["bootstrap_200"], r and r["bootstrap_200"])
    for method in ("reml", "ml"):
        singular = mine[f"singular_{method}"]
        what = f"1,000 bootstrap refits, radon by {method.upper()} ({singular} of them singular)"
        row(what, mine[f"bootstrap_{method}"], None)
    kenward = r and r.get("kenward_roger")
    row("Kenward and Roger's covariance, sleepstudy (pbkrtest)", mine["kenward_roger_sleep"], kenward)
    row(f"Fit of {N:,} rows × {GROUPS:,} groups with a slope", mine["fit"], None)
    row("Kenward and Roger's table of it", mine["kenward_roger"], None)
    lines += [
        "",
        textwrap.fill(
            f"Kenward and Roger's method takes {mine['kenward_roger'] / mine['fit']:.2g} times as long as "
            f"that fit, and {mine['kenward_roger_bytes'] / 1e6:.1f} MB at the most (an n × n matrix has "
            f"{8 * N**2 / 1e6:,.0f} MB).",
            110,
        ),
    ]
    if r:
        lines += ["", f"{r['R']}, lme4 {r['lme4']}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=HERE / "inference_times.json")
    parser.add_argument("--page", type=Path, default=HERE.parent / "docs" / "inference_times.md")
    parser.add_argument("--page-only", action="store_true", help="from the results that there are")
    asked = parser.parse_args()
    if not asked.page_only:
        found: dict[str, Any] = {"cores": os.cpu_count(), "bimixed": ours()}
        rscript = shutil.which("Rscript")
        if rscript is None:
            print("No Rscript found: without lme4.", file=sys.stderr)
        else:
            found["R"] = by_r(rscript)
        asked.results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    asked.page.write_text(page(json.loads(asked.results.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
