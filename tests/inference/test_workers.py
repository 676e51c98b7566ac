"""Work on workers of others: the same digits, interrupts, workers that die, what is missing."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest

import bimixed as bm
from bimixed.design import wide
from bimixed.inference import pools, processes
from bimixed.inference.worker import SentTask

joblib = pytest.importorskip("joblib")
distributed = pytest.importorskip("distributed")

KINDS = ("joblib", "joblib-threads", "joblib-lists", "dask", "threads", "processes")


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2, processes=True, threads_per_worker=1, protocol="tcp://", dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


class Lists(joblib.parallel.ThreadingBackend):
    """A backend that answers for all at once, as joblib's multiprocessing and that of Spark do."""

    supports_return_generator = False


joblib.register_parallel_backend("lists", Lists)


@pytest.fixture
def given(request):
    """Calls a function with the workers of a kind."""

    def call(kind, function):
        if kind.startswith("joblib"):
            backend = {"joblib": "loky", "joblib-threads": "threading"}.get(kind, "lists")
            with joblib.parallel_config(backend, n_jobs=2):
                return function("joblib")
        if kind in ("dask", "client"):
            client = request.getfixturevalue("client")
            return function("dask" if kind == "dask" else client)
        if kind == "threads":
            with ThreadPoolExecutor(2) as pool:
                return function(pool)
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            return function(pool)

    return call


@pytest.fixture(scope="module")
def fit():
    return bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()


def slow(fit):
    time.sleep(0.02)
    return fit.sigma


def by_value(seconds):
    """A statistic that takes long, which travels by value."""

    def statistic(fit):
        import time

        time.sleep(seconds)
        return fit.sigma

    return statistic


# --- the same digits ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_bootstraps_are_the_same_whatever_runs_them(fit, given, kind):
    def both(workers):
        share = 2.0
        together = bm.bootstrap(fit, n=120, random_seed=1, workers=workers)
        alone = bm.bootstrap(
            fit, n=10, random_seed=1, workers=workers, statistic=lambda fit: share * fit.sigma
        )
        return together.replicates, alone.replicates

    for own, there in zip(both(1), given(kind, both), strict=True):
        pd.testing.assert_frame_equal(own, there, check_exact=True)


@pytest.mark.parametrize("kind", ["joblib", "dask", "threads"])
def test_tests_of_variances_and_profiles_are_the_same(fit, given, kind):
    def all_of(workers):
        made = bm.profile(fit, workers=workers)
        test = bm.rlrt(fit, "Subject[Days]", n_sim=70, random_seed=1, workers=workers)
        return made.table, made.conf_int(), made.conf_int(0.9), pd.Series(test.simulated)

    for own, there in zip(all_of(1), given(kind, all_of), strict=True):
        assert own.equals(there)


def test_profiles_in_processes_of_our_own(fit):
    own, there = bm.profile(fit), bm.profile(fit, workers=2)
    assert str(own) == str(there) and own.table.equals(there.table)
    assert there.conf_int().equals(there._known[0.95])
    for name, curve in there.curves.items():
        assert curve.criterion.problem is there.criteria._problem(name)


def simulated(levels):
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(levels), 3)
    y = rng.normal(size=levels)[g] + rng.normal(size=len(g))
    return pd.DataFrame({"y": y, "x": rng.normal(size=len(g)), "g": g})


def test_what_travels_of_a_profile_is_small():
    large = bm.ModelSpec("y ~ x + (1 | g)", simulated(400)).fit()
    made = bm.profile(large, "sigma")
    light = made.criteria.sent("sigma", made.curves["sigma"].criterion)
    # what stands for every level stays behind
    assert len(pickle.dumps(light)) < 1_000
    assert len(pickle.dumps(made.curves["sigma"].criterion)) > 10_000


@pytest.mark.parametrize("workers", [1, ThreadPoolExecutor(2)], ids=["here", "threads"])
def test_parameters_without_a_profile(workers):
    data = simulated(12).assign(twice=lambda d: 2.0 * d["x"])
    fit = bm.ModelSpec("y ~ x + twice + (1 | g)", data).fit("ml")
    with pytest.raises(bm.DataError, match=r"twice has no profile.*dropped"):
        bm.profile(fit, ["x", "twice"], workers=workers)
    made = bm.profile(fit, workers=workers)
    assert [name for name in made.parameters if name not in made.curves] == ["twice"]
    assert any("twice has no profile" in note for note in made.notes)
    assert made.conf_int().isna().any(axis=1)[lambda lacks: lacks].index.tolist() == ["twice"]


def test_coefficients_among_many_levels_bring_their_own_problem(monkeypatch):
    monkeypatch.setattr(wide, "LARGE", 1)
    monkeypatch.setattr(wide, "FEWEST", 10)
    data = simulated(40).assign(f=lambda d: np.arange(len(d)) % 12)
    fit = bm.ModelSpec("y ~ x + C(f) + (1 | g)", data).fit()
    assert fit.design.wide is not None
    names = ["C(f)[T.3]", "x", "sd_g[Intercept]"]
    with ThreadPoolExecutor(2) as pool:
        there = bm.profile(fit, names, workers=pool)
    assert there.table.equals(bm.profile(fit, names).table)
    assert there.line("C(f)[T.3]")[0].size


def test_limits_of_the_fit(fit, client):
    limits = fit.conf_int(0.9, method="profile", workers=client)
    pd.testing.assert_frame_equal(limits, fit.conf_int(0.9, method="profile"), check_exact=True)
    own = fit.conf_int(method="bootstrap", n=100, random_seed=1)
    there = fit.conf_int(method="bootstrap", n=100, random_seed=1, workers=client)
    pd.testing.assert_frame_equal(own, there, check_exact=True)


def test_large_tasks_reach_dask_without_a_warning(client):
    task = np.arange(2_500_000.0)  # 20 MB; Dask warns from 10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = processes.work_through(
            lambda piece: float(task[piece].sum()),
            [[1], [2, 3]],
            what="sums",
            workers=client,
            progress=False,
        )
    assert found.results == {0: 1.0, 1: 5.0}


def test_joblib_takes_all_cores_unless_told_otherwise(monkeypatch):
    asked = []
    own = joblib.Parallel

    def parallel(n_jobs, **options):
        asked.append(n_jobs)
        return own(1, **options)

    monkeypatch.setattr(joblib, "Parallel", parallel)
    processes.work_through(sum, [[1]], what="", workers="joblib", progress=False)
    with joblib.parallel_config(n_jobs=3):
        processes.work_through(sum, [[1]], what="", workers="joblib", progress=False)
    assert asked == [-1, 3]


def test_progress_is_shown(fit, given, capfd, monkeypatch):
    monkeypatch.setattr("bimixed.marginal.progress.PATIENCE", 0.0)
    monkeypatch.setattr("bimixed.marginal.progress.EVERY", 0.0)
    given("threads", lambda w: bm.bootstrap(fit, n=150, random_seed=1, workers=w))
    shown = capfd.readouterr().err
    assert "bootstrap: 50 of 150" in shown and "bootstrap: 150 of 150" in shown


# --- interrupts, errors, workers that die -------------------------------------------------------


@pytest.mark.parametrize("kind", ["joblib", "client", "threads", "processes"])
def test_an_interrupt_keeps_what_is_done(fit, given, kind, monkeypatch):
    def interrupting(self, done):
        if done >= 12:
            os.kill(os.getpid(), signal.SIGINT)

    whole = bm.bootstrap(fit, n=40, random_seed=1, statistic=slow).replicates
    monkeypatch.setattr(processes.Progress, "update", interrupting)
    # a shell's background job ignores the signal
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            boot = given(
                kind,
                lambda w: bm.bootstrap(fit, n=400, random_seed=1, statistic=by_value(0.02), workers=w),
            )
    finally:
        signal.signal(signal.SIGINT, handler)
    assert boot.interrupted and 12 <= len(boot.replicates) < 200
    there = boot.replicates.index.intersection(whole.index)
    assert len(there) >= 8
    pd.testing.assert_frame_equal(boot.replicates.loc[there], whole.loc[there], check_exact=True)
    monkeypatch.undo()
    if kind in ("joblib", "client"):  # the same workers go on
        again = given(kind, lambda w: bm.bootstrap(fit, n=60, random_seed=1, workers=w))
        assert len(again.replicates) == 60


@pytest.mark.parametrize("kind", ["joblib", "processes"])
def test_a_worker_that_dies_is_told_and_what_is_done_is_kept(fit, given, kind):
    here, wanted = os.getpid(), bm.bootstrap(fit, n=8, random_seed=1, statistic=slow).replicates

    def deadly(fit):
        import os
        import time

        time.sleep(0.02)
        if os.getpid() != here and fit.sigma > 28.0:
            os._exit(3)
        return fit.sigma

    with pytest.raises(bm.WorkerError, match=r"workers stopped.*fewer.*of 200 replicates") as caught:
        given(kind, lambda w: bm.bootstrap(fit, n=200, random_seed=1, statistic=deadly, workers=w))
    kept = caught.value.partial
    assert kept.interrupted and kept.replicates["statistic"].max() <= 28.0
    there = kept.replicates.index.intersection(wanted.index)
    pd.testing.assert_frame_equal(kept.replicates.loc[there], wanted.loc[there], check_exact=True)


def test_a_process_of_our_own_that_dies(fit):
    here = os.getpid()

    def deadly(fit):
        import os
        import time

        time.sleep(0.02)
        if os.getpid() != here and fit.sigma > 28.0:
            os._exit(3)
        return fit.sigma

    with pytest.raises(bm.WorkerError, match=r"worker process ended.*of 200 replicates") as caught:
        bm.bootstrap(fit, n=200, random_seed=1, statistic=deadly, workers=2)
    assert caught.value.partial.interrupted


def test_dask_gives_the_work_of_a_killed_worker_to_others(fit, client, monkeypatch):
    statistic, killed = by_value(0.03), []
    wanted = bm.bootstrap(fit, n=80, random_seed=1, statistic=slow).replicates

    def killing(self, done):
        if not killed and done >= 12:
            killed.append(next(iter(client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(processes.Progress, "update", killing)
    boot = bm.bootstrap(fit, n=80, random_seed=1, statistic=statistic, workers=client)
    assert killed and not boot.interrupted
    pd.testing.assert_frame_equal(boot.replicates, wanted, check_exact=True)


def test_a_piece_that_kills_every_worker_of_dask(fit):
    def deadly(fit):
        import os
        import time

        time.sleep(0.02)
        if os.environ.get("BIMIXED_TEST_WORKER") and fit.sigma > 28.0:
            os._exit(3)
        return fit.sigma

    import dask

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            dashboard_address=":0",
            env={"BIMIXED_TEST_WORKER": "1"},
            silence_logs=100,
        ) as cluster,
        distributed.Client(cluster) as own,
        pytest.raises(bm.WorkerError, match="KilledWorker"),
    ):
        bm.bootstrap(fit, n=60, random_seed=1, statistic=deadly, workers=own)


def test_a_cluster_without_workers_is_told(monkeypatch):
    monkeypatch.setattr(pools, "PATIENCE", 0.2)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as own,
    ):
        add = threading.Timer(1.5, cluster.scale, [1])
        add.start()
        with pytest.warns(bm.BimixedWarning, match="no worker"):
            found = processes.work_through(sum, [[1, 2]], what="", workers=own, progress=False)
    assert found.results == {0: 3}


def test_a_cluster_that_goes_away(fit, monkeypatch):
    closing = []

    def close(self, done):
        if done >= 12 and not closing:
            closing.append(threading.Thread(target=cluster.close))
            closing[0].start()

    monkeypatch.setattr(processes.Progress, "update", close)
    with (
        distributed.LocalCluster(
            n_workers=1, processes=False, dashboard_address=":0", silence_logs=100
        ) as cluster,
        distributed.Client(cluster) as own,
    ):
        with pytest.raises(bm.WorkerError, match=r"of 4000 replicates") as caught:
            bm.bootstrap(fit, n=4000, random_seed=1, statistic=slow, workers=own)
        closing[0].join()
    assert 12 <= len(caught.value.partial.replicates) < 4000


def test_errors_of_the_work_arrive_as_they_are(given):
    def wrong(piece):
        raise bm.DataError(f"no {piece[0]}")

    for kind in ("joblib", "client", "threads"):
        with pytest.raises(bm.DataError, match="no 7"):
            given(
                kind,
                lambda w: processes.work_through(wrong, [[7]], what="", workers=w, progress=False),
            )


def test_executors_that_are_shut_down_or_break(fit):
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(bm.WorkerError, match=r"workers stopped.*after shutdown") as caught:
        bm.bootstrap(fit, n=10, random_seed=1, workers=pool)
    assert caught.value.partial is None

    class Cancels:
        def submit(self, function, *arguments):
            future = Future()
            future.cancel()
            return future

    with pytest.raises(bm.WorkerError, match="CancelledError"):
        bm.profile(fit, workers=Cancels())


def test_profiles_that_were_done_are_kept(fit):
    class Breaks:
        left = 2

        def submit(self, function, *arguments):
            future = Future()
            if self.left:
                future.set_result(function(*arguments))
            else:
                future.set_exception(OSError("the machine is gone"))
            self.left -= self.left > 0
            return future

    with pytest.raises(bm.WorkerError, match=r"machine is gone.*2 of 6 parameters") as caught:
        bm.profile(fit, workers=Breaks())
    assert list(caught.value.partial.curves) == ["Intercept", "Days"]
    assert caught.value.partial.conf_int().notna().all(axis=1).sum() == 2
    with pytest.raises(bm.WorkerError) as caught:
        bm.rlrt(fit, "Subject[Days]", n_sim=150, random_seed=1, workers=Breaks())
    assert len(caught.value.partial.simulated) == 100 and caught.value.partial.interrupted


def test_another_version_on_a_worker():
    good, error = SentTask(pickle.dumps(sum), "0.0.0")(pickle.dumps([1]))
    assert not good and "0.0.0" in str(error) and bm.__version__ in str(error)


# --- threads ------------------------------------------------------------------------------------


def test_each_thread_has_a_copy_of_the_task():
    class Marked:
        def __call__(self, piece):
            time.sleep(0.05)
            return id(self), threading.get_ident()

    with ThreadPoolExecutor(3) as pool:
        done = processes.work_through(
            Marked(), [[k] for k in range(9)], what="", workers=pool, progress=False
        )
    pairs = set(done.results.values())
    assert len(pairs) == len({copy for copy, _ in pairs}) == len({thread for _, thread in pairs}) > 1


def test_warnings_are_given_again_after_work_in_threads():
    data = bm.load_dataset("dyestuff2")
    fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", data).fit()
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        bm.bootstrap(fit, n=80, random_seed=1, statistic=slow, workers=pool)
    assert warnings.filters == before


# --- arguments and what isn't installed ---------------------------------------------------------


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, None, "loky", ThreadPoolExecutor, object()])
def test_workers_that_make_no_sense(fit, workers):
    for call in (bm.bootstrap, bm.profile):
        with pytest.raises(bm.FitError, match="workers is"):
            call(fit, workers=workers)
    with pytest.raises(bm.FitError, match="workers is"):
        bm.rlrt(fit, "Subject[Days]", workers=workers)


def test_no_client(fit, monkeypatch):
    def none(allow_global=True):
        raise ValueError("No clients found")

    monkeypatch.setattr(distributed.Client, "current", none)
    with pytest.raises(bm.FitError, match=r"distributed\.Client\(\)"):
        bm.bootstrap(fit, workers="dask")


def test_an_asynchronous_client(fit, client):
    class Asynchronous(distributed.Client):
        def __init__(self):
            pass

        asynchronous = True

        def __del__(self):
            pass

    with pytest.raises(bm.FitError, match="asynchronous"):
        bm.bootstrap(fit, workers=Asynchronous())


@pytest.mark.parametrize(("module", "kind"), [("joblib", "joblib"), ("distributed", "dask")])
def test_what_is_missing_is_named(fit, module, kind, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(bm.UnavailableError, match=r"pip install 'bimixed\[scale\]'"):
        bm.bootstrap(fit, workers=kind)


def test_neither_is_imported_before_it_is_asked_for():
    code = "import sys, bimixed; assert not {'joblib', 'distributed', 'dask'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_usable_is_the_current_client(client):
    assert pools.usable("dask") is client and pools.usable(np.int64(2)) == 2
