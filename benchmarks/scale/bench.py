"""Models of data in Parquet: time and memory, beside a DuckDB query that sums the same products by group.

``make bench-scale`` simulates the data once and writes ``docs/scale_times.md``. Every measurement is a
process of its own, whose peak memory is that of the operating system.
"""

import argparse
import cProfile
import json
import os
import pstats
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "scale_times.md"
RESULTS = HERE / "results.json"
LADDER = ("1e6", "1e7", "1e8")
GROUPS = "1e5"
FORMULA = "y ~ x + (x | g)"


def peak() -> float:
    """Largest resident memory of this process so far, in GiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 2**20
    return float("nan")


def query(folder: str) -> dict[str, Any]:
    """The yardstick."""
    import duckdb

    connection = duckdb.connect()
    began = time.perf_counter()
    sums = "count(*), sum(x), sum(x * x), sum(y), sum(x * y), sum(y * y)"
    found = connection.sql(f"SELECT g, {sums} FROM '{folder}/*.parquet' GROUP BY g").df()
    return {"seconds": time.perf_counter() - began, "groups": len(found), "peak": peak()}


def likelihood(folder: str) -> dict[str, Any]:
    """One pass and REML."""
    import bimixed as bm

    began = time.perf_counter()
    spec = bm.ModelSpec(FORMULA, bm.scan_parquet(folder), progress=False)
    read = time.perf_counter() - began
    fit = spec.fit()
    seconds = time.perf_counter() - began
    table = fit.conf_int()
    return {
        "pass": read,
        "reml": seconds - read,
        "seconds": seconds,
        "peak": peak(),
        "nobs": fit.nobs,
        "estimates": fit.conf_int().iloc[:, 0].index.tolist(),
        "limits": table.to_numpy().tolist(),
    }


def posterior(folder: str) -> dict[str, Any]:
    """One pass, and 4 chains of 1,000 draws."""
    import bimixed as bm

    began = time.perf_counter()
    spec = bm.ModelSpec(FORMULA, bm.scan_parquet(folder), progress=False)
    read = time.perf_counter() - began
    fit = spec.fit("nuts", random_seed=1, progress=False)
    nuts = time.perf_counter() - began - read
    again = time.perf_counter()
    other = spec.fit("importance", random_seed=1, progress=False)
    return {
        "pass": read,
        "nuts": nuts,
        "importance": time.perf_counter() - again,
        "ess": fit.diagnostics.ess_bulk_min,
        "rhat": fit.diagnostics.rhat_max,
        "pareto_k": other.diagnostics.pareto_k,
        "sd": fit.varcorr["sd"].tolist(),
        "sd_importance": other.varcorr["sd"].tolist(),
        "peak": peak(),
    }


def ratings(folder: str) -> dict[str, Any]:
    """The crossed model, and where its time goes."""
    import bimixed as bm

    profiler = cProfile.Profile()
    began = time.perf_counter()
    spec = bm.ModelSpec("rating ~ 1 + (1 | user) + (1 | item)", bm.scan_parquet(folder), progress=False)
    read = time.perf_counter() - began
    fit = profiler.runcall(spec.fit)
    seconds = time.perf_counter() - began
    return {
        "profile": shares(profiler, read, seconds),
        "pass": read,
        "seconds": seconds,
        "peak": peak(),
        "nobs": fit.nobs,
        "levels": fit.ngroups,
        "evaluations": fit.diagnostics.n_evaluations,
        "sd": fit.varcorr["sd"].tolist(),
    }


PLACES = {
    "subtract_gram": "elimination of users: products of pairs of items",
    "weighted_inner": "derivatives: inverse at the pairs that occur",
    "product": "conditional variances of users",
    "cholesky": "Cholesky factors of the items' matrix",
    "inverse_of": "its inverses",
}


def shares(profiler: cProfile.Profile, read: float, seconds: float) -> list[tuple[str, float]]:
    """Seconds of the parts that take most."""
    found = dict.fromkeys(PLACES.values(), 0.0)
    for (path, _, name), (_, _, own, _, _) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        if (
            name in PLACES
            and path.endswith(("pairs.py", "dense.py"))
            and (name != "product" or "pairs" in path)
        ):
            found[PLACES[name]] += own
    rest = seconds - read - sum(found.values())
    return [("reading and adding up", read), *found.items(), ("everything else", rest)]


def cluster(folder: str) -> dict[str, Any]:
    """Dask: two worker processes over TCP on the loopback, beside one process."""
    import dask.dataframe as dd
    from distributed import Client, LocalCluster

    import bimixed as bm

    out: dict[str, Any] = {}
    for workers in (1, 2):
        with (
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                protocol="tcp://",
                dashboard_address=None,
            ) as own,
            Client(own),
        ):
            frame = dd.read_parquet(folder)
            bm.ModelSpec(FORMULA, frame.partitions[0])  # workers have imported what they need
            began = time.perf_counter()
            fit = bm.ModelSpec(FORMULA, frame).fit()
            out[f"workers_{workers}"] = time.perf_counter() - began
            out["loglik"] = fit.loglik
    one = bm.ModelSpec(FORMULA, bm.scan_parquet(folder), progress=False).fit()
    out["difference"] = abs(out["loglik"] - one.loglik) / abs(one.loglik)
    return out


TASKS: dict[str, Callable[[str], dict[str, Any]]] = {
    task.__name__: task for task in (query, likelihood, posterior, ratings, cluster)
}


def measured(task: str, folder: Path) -> dict[str, Any]:
    """A task in a process of its own."""
    command = [sys.executable, __file__, "--task", task, str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(task, folder.name, {k: round(v, 3) for k, v in found.items() if isinstance(v, float)}, flush=True)
    return found


def simulated(what: str, folder: Path, **sizes: str) -> Path:
    """The data, made once."""
    if not list(folder.glob("*.parquet")):
        options = [part for name, value in sizes.items() for part in (f"--{name}", value)]
        subprocess.run([sys.executable, str(HERE / "simulate.py"), what, str(folder), *options], check=True)
    return folder


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", nargs=2)
    parser.add_argument("--data", type=Path, default=Path("out/scale"))
    parser.add_argument("--parts", nargs="*", default=["ladder", "posterior", "ratings", "sizes", "cluster"])
    parser.add_argument("--page-only", action="store_true")
    given = parser.parse_args()
    if given.task:
        print(json.dumps(TASKS[given.task[0]](given.task[1])))
        return
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not given.page_only:
        for part in given.parts:
            found[part] = PARTS[part](given.data)
            RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    from page import page

    PAGE.write_text(page(found))


def ladder(data: Path) -> dict[str, Any]:
    """Both, at each size, the query before and after."""
    out = {}
    for rows in LADDER:
        folder = simulated("slopes", data / f"slopes_{rows}", rows=rows, groups=GROUPS)
        before, own, after = (measured(task, folder) for task in ("query", "likelihood", "query"))
        size = sum(path.stat().st_size for path in folder.glob("*.parquet"))
        out[rows] = {"query": min(before["seconds"], after["seconds"]), **own, "bytes": size}
    return out


def largest(data: Path) -> dict[str, Any]:
    """Draws from the posterior of the largest."""
    return measured(
        "posterior", simulated("slopes", data / f"slopes_{LADDER[-1]}", rows=LADDER[-1], groups=GROUPS)
    )


def all_ratings(data: Path) -> dict[str, Any]:
    """The crossed fit."""
    return measured(
        "ratings", simulated("ratings", data / "ratings", rows="32e6", users="200000", items="16000")
    )


def sizes(data: Path) -> dict[str, Any]:
    """Crossed fits with fewer items, for the arithmetic of more."""
    out = {}
    for items in ("2000", "4000", "8000"):
        folder = simulated("ratings", data / f"ratings_{items}", rows="4e6", users="25000", items=items)
        out[items] = measured("ratings", folder)
    return out


def of_dask(data: Path) -> dict[str, Any]:
    """A cluster on this machine."""
    return measured("cluster", simulated("slopes", data / "slopes_1e7", rows="1e7", groups=GROUPS))


PARTS = {"ladder": ladder, "posterior": largest, "ratings": all_ratings, "sizes": sizes, "cluster": of_dask}


if __name__ == "__main__":
    main()
