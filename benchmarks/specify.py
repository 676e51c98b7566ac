"""Cost of a specification: against pandas' factorize plus formulaic's model matrix, time and memory.

One million rows, three covariates, a string group of 100,000 levels. Run ``python benchmarks/specify.py``.
"""

import statistics
import time
import tracemalloc

import formulaic
import numpy as np
import pandas as pd

import bimixed as bm

ROWS, LEVELS, REPEATS = 1_000_000, 100_000, 7
FIXED = "a + b + c"


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    data = pd.DataFrame(rng.normal(size=(ROWS, 4)), columns=["y", "a", "b", "c"])
    return data.assign(g=rng.integers(0, LEVELS, ROWS).astype(str))


def baseline(data: pd.DataFrame) -> None:
    """What any specification of this model has to do."""
    pd.factorize(data["g"], sort=True)
    formulaic.Formula(f"y ~ {FIXED}").get_model_matrix(data, output="numpy")


def specify(data: pd.DataFrame) -> None:
    bm.ModelSpec(f"y ~ {FIXED} + (1 | g)", data)


def seconds(work, data) -> list[float]:  # type: ignore[no-untyped-def]
    found = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work(data)
        found.append(time.perf_counter() - began)
    return found


def peak(work, data) -> float:  # type: ignore[no-untyped-def]
    tracemalloc.start()
    work(data)
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return float(size)


if __name__ == "__main__":
    data = table()
    specify(data)
    baseline(data)
    ours, theirs = (statistics.median(seconds(work, data)) for work in (specify, baseline))
    columns = data[["y", "a", "b", "c"]].memory_usage(index=False).sum()
    print(
        f"specification       {ours:.3f} s   peak {peak(specify, data) / columns:.2f} × the numeric columns"
    )
    print(f"factorize + matrix  {theirs:.3f} s   peak {peak(baseline, data) / columns:.2f} ×")
    print(f"ratio               {ours / theirs:.2f}")
