"""Long lists of independent pieces of work, by threads: LAPACK and compiled loops run beside each other."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bimixed.marginal.progress import Progress


def each(
    function: Callable[[Any], Any], items: Sequence[Any], *, what: str, workers: int | None, progress: bool
) -> list[Any]:
    """``function`` of each item, in order; an interrupt returns those that are done, without gaps.

    Parameters
    ----------
    function : callable
        Of one item; the result doesn't depend on which others are done.
    items : sequence
    what : str
        Told in the line of progress.
    workers : int or None
        Threads; default as many as there are cores.
    progress : bool
    """
    done: list[Any] = []
    pool = ThreadPoolExecutor(workers or os.cpu_count())
    try:
        with Progress(len(items), what, progress) as shown:
            for result in pool.map(function, items):
                done.append(result)
                shown.update(len(done))
    except KeyboardInterrupt:
        pass  # what is done is kept; the caller decides whether it is enough
    finally:
        pool.shutdown(cancel_futures=True)
    return done
