"""All replications on many workers, each kept as it comes; the finished study is one compact file."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import bimixed as bm
from bimixed.inference.processes import arrivals

from .models import model
from .quantities import LIKELIHOOD
from .runs import CELLS, RUNS, SEED, replicate, simulated

Array = np.ndarray
Job = tuple[str, int]
PIECE = 4
"""Replications that a worker does at a time."""


@dataclass(frozen=True)
class Outcome:
    """A run's replications; those that the sampler refused aren't in the arrays.

    Attributes
    ----------
    run : str
    names : tuple of str
        What was ranked.
    ranks, covers : (R, Q) arrays
        Ranks 0, …, 99; how many of the three intervals have the true value.
    reml : (R, Q − 1) array
        That of REML's intervals; no columns where it wasn't asked.
    ess, rhat, divergences : (R,) arrays
    refused : int
    seconds : float
        Of a posterior, in the median.
    """

    run: str
    names: tuple[str, ...]
    ranks: Array
    covers: Array
    reml: Array
    ess: Array
    rhat: Array
    divergences: Array
    refused: int
    seconds: float

    @property
    def sampled(self) -> Array:
        """Which replications have the independent draws that ranks are made of."""
        return self.ess >= CELLS

    @property
    def parameters(self) -> tuple[str, ...]:
        """All but the log-likelihood."""
        return tuple(name for name in self.names if name != LIKELIHOOD)


def setting() -> dict[str, Any]:
    """What results of an interrupted study must share with this one."""
    priors = {run.model: repr(model(run.model).blank().priors) for run in RUNS.values()}
    return {"seed": SEED, "cells": CELLS, "runs": list(RUNS), "priors": priors, "bimixed": bm.__version__}


def carry_out(sizes: dict[str, int], workers: Any, path: Path) -> dict[str, Outcome]:
    """Run what isn't done yet, a line of the file for each replication.

    Parameters
    ----------
    sizes : dict, run → replications
    workers : int, "joblib", distributed.Client or executor
        As :func:`bimixed.bootstrap` takes them.
    path : Path
        Kept when interrupted, and read when the study goes on.
    """
    done = read(path)
    jobs = [(run, i) for run, size in sizes.items() for i in range(size) if (run, i) not in done]
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in [setting(), *done.values()])
        for record in told(answers(jobs, workers), len(jobs)):
            file.write(json.dumps(record) + "\n")
            file.flush()
            done[record["run"], record["number"]] = record
    return {run: outcome(run, [done[run, i] for i in range(size)]) for run, size in sizes.items()}


def read(path: Path) -> dict[Job, dict[str, Any]]:
    """Replications of an interrupted study with the same setting."""
    if not path.exists():
        return {}
    first, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
    if first != json.dumps(setting()):
        return {}
    records = [json.loads(line) for line in lines if line.endswith("}")]  # the last one may be cut off
    return {(record["run"], record["number"]): record for record in records}


def answers(jobs: list[Job], workers: Any) -> Iterator[dict[str, Any]]:
    """In any order; a replication's numbers don't depend on who does it."""
    coming = arrivals(replicates, [jobs[i : i + PIECE] for i in range(0, len(jobs), PIECE)], workers)
    try:
        for _, records in coming:
            yield from records
    finally:
        coming.close()


def replicates(jobs: list[Job]) -> list[dict[str, Any]]:
    """A piece of the work."""
    return [replicate(job) for job in jobs]


def told(records: Iterable[dict[str, Any]], size: int) -> Iterator[dict[str, Any]]:
    """The same, with progress on the terminal."""
    began = time.perf_counter()
    for number, record in enumerate(records, 1):
        yield record
        if number % max(size // 200, 1) == 0 or number == size:
            left = (time.perf_counter() - began) / number * (size - number) / 60
            line = f"\r{number} of {size} replications, {left:.1f} minutes left  "
            print(line, end="" if number < size else "\n", file=sys.stderr, flush=True)


def outcome(run: str, records: list[dict[str, Any]]) -> Outcome:
    """Replications as arrays."""
    names = tuple(simulated(RUNS[run].model, 0)[1])
    kept = [r for r in records if r["ranks"] is not None]
    beside = RUNS[run].beside_reml
    return Outcome(
        run=run,
        names=names,
        ranks=np.array([r["ranks"] for r in kept], np.uint8),
        covers=np.array([r["covers"] for r in kept], np.uint8),
        reml=np.array([r["reml"] for r in kept] if beside else np.empty((len(kept), 0)), np.uint8),
        ess=np.array([min(r["ess"], 60_000.0) for r in kept], np.uint16),
        rhat=np.array([r["rhat"] for r in kept], np.float16),
        divergences=np.array([r["divergences"] for r in kept], np.uint16),
        refused=len(records) - len(kept),
        seconds=float(np.median([r["seconds"] for r in records])),
    )


ARRAYS = ("ranks", "covers", "reml", "ess", "rhat", "divergences", "names", "refused", "seconds")


def save(outcomes: dict[str, Outcome], path: Path) -> None:
    """One file for all runs."""
    arrays = {f"{run}.{name}": np.asarray(getattr(o, name)) for run, o in outcomes.items() for name in ARRAYS}
    np.savez_compressed(path, **arrays)


def load(path: Path) -> dict[str, Outcome]:
    """What was saved."""
    with np.load(path) as file:
        found = {name: file[name] for name in file.files}
    runs = [run for run in RUNS if f"{run}.ranks" in found]
    return {run: _loaded(run, {name: found[f"{run}.{name}"] for name in ARRAYS}) for run in runs}


def _loaded(run: str, values: dict[str, Array]) -> Outcome:
    plain = {
        "names": tuple(values.pop("names").tolist()),
        "refused": int(values.pop("refused")),
        "seconds": float(values.pop("seconds")),
    }
    return Outcome(run=run, **plain, **values)
