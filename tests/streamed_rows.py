"""Rows of every kind of column, with missing values, that tests of sources share."""

import numpy as np
import pandas as pd


def table(n=1500, seed=0):
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "x": rng.normal(5, 1, n),
            "z": rng.normal(size=n),
            "i": rng.integers(0, 9, n),
            "f": rng.choice(list("uvw"), n),
            "b": rng.random(n) < 0.4,
            "g": rng.integers(0, 40, n),
            "h": rng.choice(list("pqrs"), n),
            "k": rng.integers(0, 30, n).astype(str),
            "w": rng.uniform(0.1, 4.0, n),
            "o": rng.normal(size=n),
            "unused": rng.normal(size=n),
        }
    )
    effects = rng.normal(size=40)[data["g"]] + rng.normal(size=30)[data["k"].astype(int)]
    data["y"] = data["x"] + effects + rng.normal(size=n)
    data.loc[5, "x"] = np.nan
    data.loc[[7, 8], "f"] = None
    data.loc[9, "y"] = np.nan
    return data


DATA = table()
