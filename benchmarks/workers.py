"""``--workers`` of the studies: who carries out their replications."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HELP = (
    "a number of processes; joblib (all cores); dask (processes of Dask's on this machine); or the address "
    "of a Dask scheduler, tcp://host:8786, whose workers have bimixed, and benchmarks on their PYTHONPATH"
)


@contextmanager
def hired(asked: str) -> Iterator[Any]:
    """What ``workers=`` of bimixed takes; a Dask client is closed at the end.

    Raises
    ------
    SystemExit
        If it is neither.
    """
    if asked.isdecimal() and int(asked):
        yield int(asked)
    elif asked == "joblib":
        yield asked
    elif asked == "dask" or "://" in asked:
        from distributed import Client

        local = {"threads_per_worker": 1, "dashboard_address": ":0"}
        with Client(**local) if asked == "dask" else Client(asked) as client:
            yield client
    else:
        raise SystemExit(f"--workers is {asked!r}; give {HELP}.")
