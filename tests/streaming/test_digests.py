"""What a checkpoint takes for the same function: nothing that computes something else."""

import functools

import numpy as np
import pytest

from bimixed.streaming.digests import digest


def partial(q):
    return functools.partial(lambda x, q: x // q, q=q)


def instance(q):
    class Part:
        def __call__(self, x):
            return x // 2 if q else x // 3

    return Part()


def holding(q):
    class Part:
        def __init__(self):
            self.q = q

        def __call__(self, x):
            return x // self.q

    return Part()


def cached(q):
    @functools.lru_cache
    def part(x):
        return x + 1 if q == 2 else x - 1

    return part if q == 2 else functools.lru_cache(lambda x: x)


MADE = {
    "partial": partial,
    "mapping of functions": lambda q: {"a": (lambda x: x) if q == 2 else (lambda x: x + 1)},
    "class": lambda q: instance(q == 2),
    "attribute": holding,
    "vectorized": lambda q: np.vectorize((lambda x: x * 2) if q == 2 else (lambda x: x * 3)),
    "cached": cached,
    "closure": lambda q: lambda x: x // q,
    "default": lambda q: lambda x, k=q: x // k,
    "list": lambda q: [1, q],
    "set": lambda q: {1, 3, q},
    "array": lambda q: np.array([1.0, q]),
}


@pytest.mark.parametrize("kind", MADE)
def test_what_computes_something_else_has_another_digest(kind):
    assert digest(MADE[kind](2)) != digest(MADE[kind](8))
    assert digest(MADE[kind](2)) == digest(MADE[kind](2))


def test_libraries_are_told_by_name_and_version():
    assert digest(np) == digest(np)
    assert digest(np.log) != digest(np.exp)


def test_what_nothing_is_known_of_is_never_the_same():
    assert digest(i for i in ()) != digest(i for i in ())
