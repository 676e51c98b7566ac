"""What a checkpoint takes for the same function: nothing that computes something else."""

import collections
import dataclasses
import functools
import os
import subprocess
import sys
import types

import numpy as np
import pandas as pd
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


class Slots:
    __slots__ = ("q",)

    def __init__(self, q):
        self.q = q


class Wrapper:
    def __init__(self, q):
        functools.update_wrapper(self, partial)
        self.q = q


@dataclasses.dataclass
class Data:
    q: int


def with_attribute(q):
    def part(x):
        return x // part.q

    part.q = q
    return part


def module(q):
    made = types.ModuleType("made")
    made.q = q
    return made


MADE = {
    "slots": Slots,
    "wrapper": Wrapper,
    "dataclass": Data,
    "attribute of a function": with_attribute,
    "module": module,
    "default of a mapping": lambda q: collections.defaultdict((lambda: 1.0) if q == 2 else (lambda: 9.0)),
    "kind of a mapping": lambda q: {"a": 1} if q == 2 else collections.Counter(a=1),
    "days": lambda q: pd.Series(pd.to_datetime(["2020-01-01"]) + pd.to_timedelta(q, "D")).unique(),
    "offset": lambda q: pd.DateOffset(n=q),
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
    assert digest(pd.cut) == digest(pd.cut) != digest(pd.qcut)


def test_digests_are_the_same_in_every_process():
    code = (
        "from bimixed.streaming.digests import digest\n"
        "class A:\n    def part(self, x):\n        return x.isin({'a', 'b', 'c'})\n"
        "print(digest(A()), digest(lambda x: x in {'a', 'b'}), digest({'u', 'v', 'w'}))"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1]


def test_what_nothing_is_known_of_is_never_the_same():
    assert digest(i for i in ()) != digest(i for i in ())
