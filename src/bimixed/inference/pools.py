"""Workers of others that work through pieces: joblib's, Dask's, and those of executors.

They get what our own processes get, a pickled task and its pieces, so that the digits are the same.
"""

import asyncio
import pickle
import queue
import sys
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from numbers import Integral
from typing import Any, Protocol

from bimixed._version import __version__
from bimixed.arguments import check_count
from bimixed.exceptions import BimixedWarning, FitError, UnavailableError, WorkerError, warn
from bimixed.inference.worker import SentTask, answer

Answers = Generator[tuple[int, bool, Any], None, None]
"""Place of a piece, whether it went well, and its result or error."""
ROUND = 4
"""Pieces for each worker in a round, of joblib's backends that answer for all at once."""
PATIENCE = 10.0
"""Seconds without an answer after which Dask's workers are looked for."""
CHOICES = "a number of processes, 'joblib', 'dask', a distributed.Client or an executor"


class Submits(Protocol):
    """An executor, as in ``concurrent.futures``, or a ``distributed.Client``."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any: ...


Workers = int | str | Submits
"""Who does the work: so many processes, "joblib", "dask", a ``distributed.Client`` or an executor."""


def usable(workers: Any) -> Workers:
    """What ``workers=`` stands for: the argument itself, but "dask" is the current client.

    Raises
    ------
    FitError
        If it is nothing that can work.
    UnavailableError
        If joblib or Dask isn't installed.
    """
    if isinstance(workers, Integral) or workers is None or isinstance(workers, float):
        check_count("workers", workers)
        return int(workers)  # type: ignore[arg-type]
    if isinstance(workers, str) and workers == "joblib":
        _joblib()
        return workers
    if isinstance(workers, str) and workers == "dask":
        workers = _current_client()
    if isinstance(workers, str | type) or not callable(getattr(workers, "submit", None)):
        raise FitError(f"workers is {workers!r}; give {CHOICES} (anything with submit).")
    if _is_client(workers) and workers.asynchronous:
        raise FitError("workers is an asynchronous Dask client; give one made without asynchronous=True.")
    made: Workers = workers
    return made


def through(workers: str | Submits, task: bytes, pieces: Sequence[Any]) -> Answers:
    """Answers as they come. Closing it cancels what hasn't begun.

    Parameters
    ----------
    workers : "joblib", distributed.Client or executor
    task : bytes
    pieces : sequence

    Raises
    ------
    WorkerError
        If they stop before all is done.
    """
    sent = SentTask(task, __version__)
    packed = [pickle.dumps(piece) for piece in pieces]
    if isinstance(workers, str):
        return _by_joblib(sent, packed)
    if _is_client(workers):
        return _by_dask(workers, sent, packed)
    return _by_executor(workers.submit, sent, packed, _cancel_each, lambda: None)


def _by_executor(
    submit: Callable[..., Any],
    sent: Any,
    pieces: list[bytes],
    cancel: Callable[[list[Any]], None],
    waited: Callable[[], None],
) -> Answers:
    """``waited`` is called while nothing comes."""
    arrived: queue.SimpleQueue[Any] = queue.SimpleQueue()
    waiting: set[Any] = set()
    try:
        for place, piece in enumerate(pieces):
            try:
                future = submit(answer, sent, piece, place)
                future.add_done_callback(arrived.put)
            except Exception as error:
                raise _stopped(error) from error
            waiting.add(future)
        while waiting:
            try:
                future = arrived.get(timeout=PATIENCE)
            except queue.Empty:
                waited()
                continue
            waiting.discard(future)
            yield _result(future)
    finally:
        cancel(list(waiting))


def _cancel_each(futures: list[Any]) -> None:
    for future in futures:
        future.cancel()


def _result(future: Any) -> tuple[int, bool, Any]:
    try:
        found: tuple[int, bool, Any] = future.result()
    # what a piece raises is among the answers; this is about who does it
    except (Exception, asyncio.CancelledError) as error:
        raise _stopped(error) from error
    return found


def _by_dask(client: Any, sent: SentTask, pieces: list[bytes]) -> Answers:
    """The task is made by a task of Dask's, which makes it again where a worker with it is lost."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
        shared = client.submit(SentTask, sent.pickled, sent.version, pure=False)

    def submit(*arguments: Any) -> Any:
        return client.submit(*arguments, pure=False)

    def cancel(futures: list[Any]) -> None:
        if client.status == "running":
            client.cancel(futures)

    def waited() -> None:
        if client.status == "running" and not client.nthreads():
            warn(
                "Dask has no worker; the work waits for one. An interrupt keeps what is done.", BimixedWarning
            )

    yield from _by_executor(submit, shared, pieces, cancel, waited)


def _by_joblib(sent: SentTask, pieces: list[bytes]) -> Answers:
    joblib = _joblib()
    backend, n_jobs = joblib.parallel.get_active_backend()
    n_jobs = -1 if n_jobs is None else n_jobs  # joblib's own default is one process
    at_once = getattr(backend, "supports_return_generator", False) or backend.effective_n_jobs(n_jobs) == 1
    size = len(pieces) if at_once else ROUND * backend.effective_n_jobs(n_jobs)
    for first in range(0, len(pieces), size):
        asked = enumerate(pieces[first : first + size], first)
        parallel = joblib.Parallel(
            n_jobs, batch_size=1, return_as="generator_unordered" if at_once else "list"
        )
        yield from _of_joblib(parallel, (joblib.delayed(answer)(sent, piece, i) for i, piece in asked))


def _of_joblib(parallel: Any, asked: Iterable[Any]) -> Answers:
    answers: Any = iter(())
    try:
        answers = iter(parallel(asked))
        while True:
            try:
                found = next(answers)
            except StopIteration:
                return
            yield found
    except GeneratorExit:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*tasks (have been|which were)", UserWarning)
            answers.close()
        raise
    except Exception as error:
        raise _stopped(error) from error


def _stopped(error: BaseException) -> WorkerError:
    said = " ".join(str(error).split())
    return WorkerError(
        f"The workers stopped before their work was done ({type(error).__name__}: {said}). Where one has "
        "ended, memory may be short: use fewer, or larger ones. bimixed has to be installed on each."
    )


def _is_client(workers: Any) -> bool:
    distributed = sys.modules.get("distributed")
    return distributed is not None and isinstance(workers, distributed.Client)


def _current_client() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise UnavailableError(
            "workers='dask' needs Dask's scheduler: python -m pip install 'bimixed[scale]' installs it."
        ) from error
    try:
        return distributed.Client.current()
    except ValueError as error:
        raise FitError(
            "workers='dask' takes the current Dask client, and there is none. Start one before, "
            "client = distributed.Client(), with the address of a scheduler where there is a cluster."
        ) from error


def _joblib() -> Any:
    try:
        import joblib
    except ImportError as error:
        raise UnavailableError(
            "workers='joblib' needs joblib: python -m pip install 'bimixed[scale]' installs it."
        ) from error
    return joblib
