"""How often intervals of every kind hold the true value, in small, unbalanced and crossed designs.

Data are simulated from fixed parameters; each replication has its own seed, so that the figures are the same
whoever does the work. ``make calibration`` runs it after the study of posteriors and writes
``docs/coverage.md``.
"""

import argparse
import json
import os
import sys
import textwrap
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from workers import HELP, hired

import bimixed as bm
from bimixed.inference.processes import arrivals

HERE = Path(__file__).parent
SEED, LEVEL = 20_261_121, 0.95
NEW = 200
"""New rows whose responses are predicted, per replication."""
BOOTSTRAP = 200
"""Replicates of a bootstrap."""
PREDICTIONS = 100
"""Replicates of a bootstrap of predictions."""
PIECE = 10
"""Replications of a task."""
Held = dict[tuple[str, str], float]
"""(Parameter, kind of interval) → share of limits that hold the true value, NaN where there are none."""


@dataclass(frozen=True)
class Scenario:
    """A design and its true parameters.

    Attributes
    ----------
    title : str
    formula : str
    truth : dict
        By name of the parameter.
    draw : callable
        rng → the table, and rows of new levels of g.
    """

    title: str
    formula: str
    truth: dict[str, float]
    draw: Callable[[np.random.Generator], tuple[pd.DataFrame, pd.DataFrame]]


def few(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Six groups of eight rows; x varies within groups, z between them."""
    return _grouped(rng, np.repeat(np.arange(6), 8), slope=0.0)


def unbalanced(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sixteen groups of 2 to 24 rows with their own slopes."""
    return _grouped(rng, np.repeat(np.arange(16), np.linspace(2, 24, 16).astype(int)), slope=0.7)


def _grouped(rng: np.random.Generator, g: np.ndarray, slope: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    G = int(g.max()) + 1
    z, effects = rng.normal(size=G + NEW), rng.normal(size=(G + NEW, 2)) * [1.0, slope]
    g = np.concatenate([g, G + np.arange(NEW)])
    x = rng.normal(size=len(g))
    y = 1.0 + 0.5 * x + 0.5 * z[g] + effects[g, 0] + effects[g, 1] * x + rng.normal(size=len(g))
    table = pd.DataFrame({"y": y, "x": x, "z": z[g], "g": [f"g{i:03d}" for i in g]})
    return table[:-NEW], table[-NEW:]


def crossed(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ten by twelve levels, a third of the cells empty."""
    a, b = (part.ravel() for part in np.meshgrid(np.arange(10), np.arange(12)))
    kept = rng.random(len(a)) > 1 / 3
    a = np.concatenate([a[kept], 10 + np.arange(NEW)])
    b = np.concatenate([b[kept], rng.integers(0, 12, NEW)])
    of_a, of_b = rng.normal(size=10 + NEW), 0.7 * rng.normal(size=12)
    x, z = rng.normal(size=len(a)), rng.normal(size=10 + NEW)[a]
    y = 1.0 + 0.5 * x + 0.5 * z + of_a[a] + of_b[b] + rng.normal(size=len(a))
    table = pd.DataFrame(
        {"y": y, "x": x, "z": z, "g": [f"g{i:03d}" for i in a], "h": [f"h{i:02d}" for i in b]}
    )
    return table[:-NEW], table[-NEW:]


FIXEF = {"Intercept": 1.0, "x": 0.5, "z": 0.5}
SCENARIOS = {
    "few": Scenario(
        "6 groups of 8 rows",
        "y ~ x + z + (1 | g)",
        FIXEF | {"sd_g[Intercept]": 1.0, "sigma": 1.0},
        few,
    ),
    "unbalanced": Scenario(
        "16 groups of 2 to 24 rows, with slopes",
        "y ~ x + z + (1 + x | g)",
        FIXEF | {"sd_g[Intercept]": 1.0, "sd_g[x]": 0.7, "corr_g[Intercept,x]": 0.0, "sigma": 1.0},
        unbalanced,
    ),
    "crossed": Scenario(
        "10 × 12 crossed levels, a third of the cells empty",
        "y ~ x + z + (1 | g) + (1 | h)",
        FIXEF | {"sd_g[Intercept]": 1.0, "sd_h[Intercept]": 0.7, "sigma": 1.0},
        crossed,
    ),
}


def replication(scenario: Scenario, seed: int) -> Held:
    """All intervals of one simulated table."""
    rng = np.random.default_rng([SEED, seed])
    table, new = scenario.draw(rng)
    spec = bm.ModelSpec(scenario.formula, table)
    fit = spec.fit()
    out: Held = {}

    def hold(kind: str, limits: pd.DataFrame) -> None:
        for name, value in scenario.truth.items():
            if name in limits.index:
                lower, upper = limits.loc[name, ["lower", "upper"]]
                known = np.isfinite(lower) and np.isfinite(upper)
                out[name, kind] = float(lower <= value <= upper) if known else np.nan

    for ddf in ("normal", "residual", "satterthwaite", "kenward-roger"):
        hold(ddf, fit.coef_table(ddf))
    if scenario.formula.count("|") == 1:
        hold("CR2", fit.coef_table_robust())
    hold("wald", fit.conf_int().drop(index=list(FIXEF)))
    hold("profile", fit.conf_int(method="profile"))
    boot = bm.bootstrap(fit, BOOTSTRAP, random_seed=seed, progress=False, std_errors=True)
    for kind in ("percentile", "basic", "studentized"):
        hold(f"bootstrap, {kind}", boot.conf_int(kind=kind))
    draws = spec.fit("importance", draws=2000, random_seed=seed, progress=False)
    hold("posterior", draws.conf_int())
    asked = {"new_levels": "sample", "interval": "prediction", "random_seed": seed}
    for kind, predicted in (
        ("REML", fit.predict(new, **asked)),
        ("REML, bootstrap", fit.predict(new, **asked, variances="bootstrap", n=PREDICTIONS)),
        ("posterior", draws.predict(new, **asked)),
    ):
        inside = (predicted["lower"] <= new["y"]) & (new["y"] <= predicted["upper"])
        out["response of a new group", kind] = float(inside.mean())
    return out


def piece(name: str, first: int, last: int) -> list[list[Any]]:
    """Some replications, as JSON takes them; a fit that is refused is told by its error."""
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BimixedWarning)  # singular fits are part of the study
        for seed in range(first, last):
            try:
                held = replication(SCENARIOS[name], seed)
            except bm.FitError as error:
                held = {("refused", str(error)[:60]): 1.0}
            rows.append([[*key, value] for key, value in held.items()])
    return rows


def all_of(asked: tuple[str, int, int]) -> list[list[Any]]:
    """A :func:`piece`."""
    return piece(*asked)


def carry_out(replications: int, workers: Any, pieces: Path) -> dict[str, dict[str, list[float]]]:
    """By scenario and "parameter|kind": number, sum and sum of squares of the shares, and missing ones.

    Finished pieces are kept in a file, a line each, and aren't done again after an interrupt.
    """
    firsts = range(0, replications, PIECE)
    tasks = {(name, first): min(first + PIECE, replications) for first in firsts for name in SCENARIOS}
    done: dict[tuple[str, int], list[Any]] = {}
    if pieces.exists():
        for line in pieces.read_text(encoding="utf-8").splitlines():
            name, first, last, rows = json.loads(line)
            if tasks.get((name, first)) == last:
                done[name, first] = rows
    left = [(*key, last) for key, last in tasks.items() if key not in done]
    coming = arrivals(all_of, left, workers)
    try:
        with pieces.open("a", encoding="utf-8") as kept:
            for place, rows in coming:
                name, first, last = left[place]
                done[name, first] = rows
                kept.write(json.dumps([name, first, last, rows]) + "\n")
                kept.flush()
                print(f"\r{len(done)} of {len(tasks)} pieces", end="", file=sys.stderr, flush=True)
    finally:
        coming.close()
    print(file=sys.stderr)
    return {name: _sums(rows for key, rows in sorted(done.items()) if key[0] == name) for name in SCENARIOS}


def _sums(pieces: Iterable[list[Any]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(lambda: [0.0] * 4)
    for row in (row for rows in pieces for row in rows):
        for parameter, kind, value in row:
            sums = found[f"{parameter}|{kind}"]
            if np.isnan(value):
                sums[3] += 1.0
            else:
                sums[0], sums[1], sums[2] = sums[0] + 1.0, sums[1] + value, sums[2] + value**2
    return dict(sorted(found.items()))


def page(found: dict[str, Any]) -> str:
    """``docs/coverage.md``; every number is made from the results."""
    parts = [
        "# Coverage of intervals",
        textwrap.fill(
            f"Made by `make calibration`. {found['replications']} simulated data sets of each design; the "
            f"share, in per cent, of {LEVEL:.0%} intervals that hold the true value, with its Monte Carlo "
            "standard error. Fixed effects by REML's Wald intervals with each kind of degrees of freedom; "
            "CR2 is the cluster-robust sandwich; of profiles fixed effects are by ML; bootstraps are "
            f"parametric with {BOOTSTRAP} replicates ({PREDICTIONS} for predictions); posteriors are under "
            "the default priors, by importance sampling. "
            "`z` varies between groups only. Where limits are missing (a variance estimated as 0 has no Wald "
            "interval) the share is of the others, and the number missing stands in brackets.",
            110,
        ),
    ]
    for name, scenario in SCENARIOS.items():
        parts += [f"## {scenario.title}", f"`{scenario.formula}`", _table(found["held"][name], scenario)]
        parts += list(_refused(found["held"][name]))
    return "\n\n".join(parts) + "\n"


def _table(held: dict[str, list[float]], scenario: Scenario) -> str:
    keys = [tuple(key.split("|")) for key in held if not key.startswith("refused")]
    names = [*scenario.truth, *sorted({p for p, _ in keys} - set(scenario.truth))]
    kinds = list(dict.fromkeys(k for _, k in keys))
    order = ["normal", "residual", "satterthwaite", "kenward-roger", "CR2", "wald", "profile"]
    order += [f"bootstrap, {kind}" for kind in ("percentile", "basic", "studentized")]
    order += ["REML", "REML, bootstrap", "posterior"]
    kinds.sort(key=order.index)
    lines = [f"| | {' | '.join(names)} |", f"| --- |{' ---: |' * len(names)}"]
    lines += [f"| {kind} | {' | '.join(_cell(held.get(f'{n}|{kind}')) for n in names)} |" for kind in kinds]
    return "\n".join(lines)


def _cell(sums: list[float] | None) -> str:
    if sums is None or sums[0] == 0.0:
        return ""
    n, total, squares, missing = sums
    share = total / n
    error = np.sqrt(max(squares / n - share**2, 0.0) / n)
    gone = f" ({missing:.0f})" if missing else ""
    return f"{100 * share:.1f} ± {100 * error:.1f}{gone}"


def _refused(held: dict[str, list[float]]) -> Iterator[str]:
    for key, sums in held.items():
        if key.startswith("refused|"):
            yield f"{sums[0]:.0f} data sets left out: {key.split('|', 1)[1]} …"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replications", type=int, default=1000)
    parser.add_argument("--workers", default=str(os.cpu_count() or 1), help=HELP)
    parser.add_argument("--results", type=Path, default=HERE / "interval_coverage.json")
    parser.add_argument("--page", type=Path, default=HERE.parent / "docs" / "coverage.md")
    parser.add_argument("--page-only", action="store_true", help="from the results that there are")
    asked = parser.parse_args()
    if not asked.page_only:
        pieces = asked.results.with_suffix(".pieces")
        with hired(asked.workers) as workers:
            held = carry_out(asked.replications, workers, pieces)
        text = json.dumps({"replications": asked.replications, "held": held}, indent=1)
        asked.results.write_text(text + "\n", encoding="utf-8")
        pieces.unlink()
    found = json.loads(asked.results.read_text(encoding="utf-8"))
    asked.page.write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
