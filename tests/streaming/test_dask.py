"""A cluster of two processes over TCP: only sums travel, and a worker that dies changes nothing.

Tolerance 1e-10 on criteria: the same sums in another order.
"""

import os
import signal

import numpy as np
import pandas as pd
import pytest

import bimixed as bm

dd = pytest.importorskip("dask.dataframe")
distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, protocol="tcp://", dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def table(n=4000):
    rng = np.random.default_rng(2)
    data = pd.DataFrame(
        {
            "x": rng.normal(5, 1, n),
            "f": rng.choice(list("uvw"), n),
            "g": rng.integers(0, 60, n),
            "k": rng.integers(0, 20, n).astype(str),
            "w": rng.uniform(0.2, 3.0, n),
        }
    )
    data["y"] = data["x"] + rng.normal(size=60)[data["g"]] + rng.normal(size=n)
    data.loc[[3, 8], "x"] = np.nan
    return data


DATA = table()
MODELS = [
    ("y ~ x * f + (x | g)", {}),
    ("y ~ scale(x) + (1 | g) + (1 | k)", {"weights": "w"}),
    ("y ~ x + (1 | g/f)", {"offset": "w"}),
]


@pytest.mark.parametrize(("formula", "given"), MODELS)
def test_partitions_give_the_fit_of_rows_in_memory(client, formula, given):
    frame = dd.from_pandas(DATA, npartitions=20)
    fit = bm.ModelSpec(formula, frame, **given).fit()
    reference = bm.ModelSpec(formula, DATA, **given).fit()
    assert fit.nobs == reference.nobs == len(DATA) - 2
    assert fit.loglik == pytest.approx(reference.loglik, rel=1e-10)
    difference = (fit.fixef["estimate"] - reference.fixef["estimate"]) / reference.fixef["std_error"]
    assert difference.abs().max() < 1e-6
    for key in reference.ranef:
        assert fit.ranef[key].index.equals(reference.ranef[key].index)


def slowly(part):
    """A partition that takes a while, so that a worker can die in the middle."""
    import time

    time.sleep(0.15)
    return part


def test_a_killed_worker_changes_nothing(client):
    frame = dd.from_pandas(DATA, npartitions=40).map_partitions(slowly, meta=DATA.head(0))
    expected = bm.ModelSpec("y ~ x + (x | g)", DATA).fit()
    pids = client.run(os.getpid)
    loop = client.loop.asyncio_loop
    loop.call_soon_threadsafe(loop.call_later, 1.0, os.kill, next(iter(pids.values())), signal.SIGKILL)
    fit = bm.ModelSpec("y ~ x + (x | g)", frame).fit()
    client.wait_for_workers(2, timeout=30)
    assert set(client.run(os.getpid).values()) != set(pids.values())  # the nanny has started another
    assert fit.loglik == pytest.approx(expected.loglik, rel=1e-10)


def test_errors_of_partitions_are_ours(client):
    bad = DATA.copy()
    bad.loc[2500, "x"] = np.inf
    with pytest.raises(bm.DataError, match=r"'x'.*inf"):
        bm.ModelSpec("y ~ x + (x | g)", dd.from_pandas(bad, npartitions=4))

    def broken(part):
        raise RuntimeError("the disk is gone")

    frame = dd.from_pandas(DATA, npartitions=4).map_partitions(broken, meta=DATA.head(0))
    with pytest.raises(bm.DataError, match="the disk is gone"):
        bm.ModelSpec("y ~ x + (x | g)", frame)


def test_without_a_cluster_threads_do_it():
    frame = dd.from_pandas(DATA, npartitions=3)
    fit = bm.ModelSpec("y ~ x + (1 | g)", frame).fit()
    assert fit.loglik == pytest.approx(bm.ModelSpec("y ~ x + (1 | g)", DATA).fit().loglik, rel=1e-10)
