"""How NumPyro's chains run side by side: by threads on a processor, by JAX on accelerators."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from bimixed.marginal.progress import Progress

Chain = Callable[[Any], Any]
"""From the key and start of a chain, as a tree of arrays, to its draws."""


def chain_method(chains: int, cores: int, progress: bool) -> Any:
    """What NumPyro takes as ``chain_method``.

    On a processor every chain is a call of the same compiled program, so that ``cores`` changes no number;
    NumPyro's own ways compile another program each, whose draws differ in the last digits and soon in all.
    """
    import jax

    if jax.default_backend() != "cpu":
        return "parallel" if jax.local_device_count() >= chains else "vectorized"
    return by_threads(cores, progress)


def by_threads(workers: int, progress: bool) -> Callable[[Chain], Chain]:
    """Like ``jax.vmap`` over chains, but one after the other, ``workers`` at a time.

    JAX can't be interrupted within a chain: after an interrupt those that run are finished, the others
    left out.
    """

    def transform(run: Chain) -> Chain:
        import jax

        compiled = jax.jit(run)

        def one(starts: Any, i: int) -> Any:
            return jax.device_get(compiled(jax.tree.map(lambda array: array[i], starts)))

        def all_of(starts: Any) -> Any:
            n = len(jax.tree.leaves(starts)[0])
            with ThreadPoolExecutor(workers) as pool, Progress(n, "chains", progress) as shown:
                waiting = [pool.submit(one, starts, i) for i in range(n)]
                try:
                    for done, future in enumerate(waiting, start=1):
                        future.result()
                        shown.update(done)
                except KeyboardInterrupt:
                    waiting = [future for future in waiting if not future.cancel()]
                drawn = [future.result() for future in waiting]
            return jax.tree.map(lambda *arrays: np.stack(arrays), *drawn)

        return all_of

    return transform
