"""Small random designs for tests of the algebra, and ways to send them where large ones go."""

import contextlib

import numpy as np
import pandas as pd
import pytest

from bimixed import pairs, schur, trailing_rows
from bimixed.likelihood import small


def data(seed, n):
    rng = np.random.default_rng(seed)
    levels = {"a": 5, "b": 3, "c": 2, "i": 7, "j": 4}
    table = pd.DataFrame({name: rng.integers(0, k, n) for name, k in levels.items()})
    table["x"] = rng.normal(size=n) * 3 + 1
    table["z"] = rng.normal(size=n)
    table["y"] = rng.normal(size=n) + 10
    w = rng.uniform(0.2, 5.0, n)
    table["w"] = w / np.exp(np.mean(np.log(w)))  # the geometric mean that cross-products work with
    table["o"] = rng.normal(size=n)
    return table


def theta_of(cp, seed, singular):
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=sum(t.n_theta for t in cp.templates))
    if singular == "some":
        theta[rng.random(len(theta)) < 0.4] = 0.0
    elif singular == "all":
        theta[:] = 0.0
    elif singular == "wide":
        theta *= 10.0 ** rng.uniform(-4, 2, len(theta))
    return theta


@contextlib.contextmanager
def forced(route):
    """Small designs by the way that large ones go."""
    with pytest.MonkeyPatch.context() as patch:
        if route in ("compiled", "columns", "sparse"):
            patch.setattr(pairs, "COMPILED", 0)
            patch.setattr(pairs, "DENSE_SHARE", 2.0)
            patch.setattr(small, "LARGE", 0)
            patch.setattr(trailing_rows, "DENSE_TABLE", 0)
        if route == "columns":
            patch.setattr(pairs, "IN_CACHE", 0)
        if route == "sparse":
            patch.setattr(schur, "DENSE_WIDTH", 0)
            patch.setattr(schur, "FILLED", 10.0)
            patch.setattr(schur, "MOSTLY", 10.0)
        yield
