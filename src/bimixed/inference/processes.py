"""Long lists of independent pieces of work, in this process, in several, or on workers of others.

Refits are thousands of small steps of Python, which threads can't run beside each other. Processes are new
interpreters, not forks (which may deadlock beside threads), and don't import the caller's script again, so
that nothing has to be guarded there. Functions travel by value. BLAS has one thread wherever a piece is done,
so that its numbers are the same. Workers of others (joblib, Dask, executors) are in ``pools``.
"""

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from bimixed.dense import threads_for
from bimixed.exceptions import ArgumentError, FitError, WorkerError
from bimixed.inference.pools import Workers, through
from bimixed.marginal.progress import Progress

START = "from bimixed.inference.worker import main; main()"


Arrivals = Generator[tuple[int, Any], None, None]
"""Places of pieces and their results, in any order."""


@dataclass(frozen=True)
class Done:
    """What became of a list of pieces.

    Attributes
    ----------
    results : dict
        By place of the piece, in order; all of them, unless interrupted or stopped.
    interrupted : bool
    stopped : WorkerError or None
        Of workers that ended before.
    """

    results: dict[int, Any]
    interrupted: bool
    stopped: WorkerError | None = None

    def handed[T](self, made: T, told: str) -> T:
        """What was made of the results; where workers stopped it is ``partial`` of their error.

        Raises
        ------
        WorkerError
        """
        if self.stopped is None:
            return made
        if not self.results:
            raise self.stopped
        error = WorkerError(f"{self.stopped} What is done is kept, {told}: see the error's partial.")
        error.partial = made
        raise error from self.stopped.__cause__

    def require_some(self, message: str) -> None:
        """Raise what stopped the workers, or a FitError with this message, where nothing is done."""
        if not self.results:
            raise self.stopped or FitError(message)


def work_through(
    task: Callable[[Any], Any],
    pieces: Sequence[Sequence[Any]],
    *,
    what: str,
    workers: Workers,
    progress: bool,
    one_thread: bool = True,
) -> Done:
    """``task`` of each piece; an interrupt, or the end of the workers, leaves what is done.

    Parameters
    ----------
    task : callable
        Of one piece; its result depends on nothing else.
    pieces : sequence of sequences
        The line of progress counts their entries.
    what : str
        Told there.
    workers : int, "joblib", distributed.Client or executor
        1 for this process.
    progress : bool
    one_thread : bool
        Whether BLAS has one thread in this process too, for the same digits anywhere.

    Raises
    ------
    ArgumentError
        If the task can't be sent to another process.
    """
    results: dict[int, Any] = {}
    coming = arrivals(task, pieces, workers, one_thread)
    interrupted, stopped = False, None
    try:
        with Progress(sum(map(len, pieces)), what, progress) as shown:
            count = 0
            for place, result in coming:
                results[place] = result
                count += len(pieces[place])
                shown.update(count)
    except KeyboardInterrupt:
        interrupted = True  # what is done is kept; the caller says so
    except WorkerError as error:
        stopped = error
    finally:
        coming.close()
    return Done(dict(sorted(results.items())), interrupted, stopped)


def arrivals(
    task: Callable[[Any], Any], pieces: Sequence[Any], workers: Workers, one_thread: bool = True
) -> Arrivals:
    """As :func:`work_through`, results as they come; to be closed."""
    if not isinstance(workers, Integral):
        return _on_others(task, pieces, workers)
    if workers == 1 or len(pieces) == 1:
        return _here(task, pieces, one_thread)
    return _elsewhere(task, pieces, int(workers))


def _here(task: Callable[[Any], Any], pieces: Sequence[Any], one_thread: bool) -> Arrivals:
    with threads_for(0) if one_thread else nullcontext():
        for place, piece in enumerate(pieces):
            yield place, task(piece)


def _on_others(task: Callable[[Any], Any], pieces: Sequence[Any], workers: Any) -> Arrivals:
    answers = through(workers, _pickled(task), pieces)
    try:
        for place, good, result in answers:
            if not good:
                raise result
            yield place, result
    finally:
        answers.close()


def _elsewhere(task: Callable[[Any], Any], pieces: Sequence[Any], workers: int) -> Arrivals:
    sent = _pickled(task)
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for place in range(len(pieces)):
        waiting.put(place)
    arrived: queue.SimpleQueue[tuple[int, bool, Any]] = queue.SimpleQueue()
    processes = [_started() for _ in range(min(workers, len(pieces)))]
    threads = [
        threading.Thread(target=_serve, args=(process, sent, pieces, waiting, arrived), daemon=True)
        for process in processes
    ]
    try:
        for thread in threads:
            thread.start()
        for _ in pieces:
            place, good, result = arrived.get()
            if not good:
                raise result
            yield place, result
    finally:
        for process in processes:
            process.terminate()
        for process, thread in zip(processes, threads, strict=True):
            process.wait()
            thread.join()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _pickled(task: Callable[[Any], Any]) -> bytes:
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(task))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ArgumentError(
            f"The statistic can't be sent to other processes ({error}). Use workers=1, or a function that "
            "refers to nothing but what can be pickled."
        ) from error


def _started() -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-c", START],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )


def _serve(
    process: subprocess.Popen[bytes],
    sent: bytes,
    pieces: Sequence[Any],
    waiting: "queue.SimpleQueue[int]",
    arrived: "queue.SimpleQueue[tuple[int, bool, Any]]",
) -> None:
    """Give a process one piece after the other; a thread for each process."""
    if process.stdin is None or process.stdout is None:
        raise AssertionError("a process without pipes")
    place = -1
    try:
        process.stdin.write(sent)
        while True:
            try:
                place = waiting.get_nowait()
            except queue.Empty:
                process.stdin.flush()
                return
            pickle.dump(pieces[place], process.stdin)
            process.stdin.flush()
            arrived.put((place, *pickle.load(process.stdout)))
    except (OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
        arrived.put((place, False, _died(process, error)))


def _died(process: subprocess.Popen[bytes], error: Exception) -> WorkerError:
    code = process.poll()
    ended = "" if code is None else f" with status {code}"
    return WorkerError(
        f"A worker process ended{ended} before its work was done ({type(error).__name__}); what it said "
        "stands above. Where memory is short use fewer workers."
    )
