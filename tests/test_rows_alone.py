"""Predictions of rows don't depend on the rows beside them: each alone, a subset, and all give the same."""

import numpy as np
import pandas as pd
import pytest

import bimixed as bm

RNG = np.random.default_rng(6)
N = 300
DATA = pd.DataFrame(
    {
        "g": RNG.integers(0, 20, N),
        "i": RNG.integers(0, 4, N),
        "x": RNG.normal(size=N),
        "f": RNG.choice(list("abc"), N),
        "h": RNG.choice(list("uvw"), N),
    }
)
DATA["y"] = (
    RNG.normal(size=20)[DATA["g"]]
    + (DATA["f"] == "b") * RNG.normal(size=20)[DATA["g"]] * 2
    + RNG.normal(size=N)
)
FORMULAS = [
    "y ~ f + (f | g)",
    "y ~ f + (0 + f | g)",
    "y ~ 0 + f + (0 + f | g)",
    "y ~ 0 + f + (0 + f || g)",
    "y ~ x + (0 + f | g) + (0 + f | i)",
    "y ~ x * f + (x + f | g)",
    "y ~ f + (f | g) + (f | i)",
    "y ~ C(f, Sum) + (C(f, Sum) | g)",
    "y ~ f * h + (f | g)",
    "y ~ scale(x) + (scale(x) | g)",
    "y ~ bs(x, df=4) + (bs(x, df=4) || g)",
    "y ~ f + (1 | g) + (1 | f:g)",
]


@pytest.mark.filterwarnings("ignore::bimixed.BimixedWarning")
@pytest.mark.parametrize("formula", FORMULAS)
def test_rows_are_predicted_alike_whatever_is_beside_them(formula, tmp_path):
    """A factor in two parts of a formula once took the categories of the new rows in the second one."""
    fit = bm.ModelSpec(formula, DATA).fit()
    fit.save(tmp_path / "fit.bimixed")
    parts = [DATA[DATA["f"] == "b"], DATA[DATA["f"] != "a"], DATA[:1], DATA[7:8]]
    for model in (fit, bm.load(tmp_path / "fit.bimixed")):
        first = [model.predict(part)["estimate"] for part in parts]
        whole = model.predict(DATA)["estimate"]
        for part, found in zip(parts, first, strict=True):
            np.testing.assert_allclose(found, whole.loc[part.index], rtol=0, atol=1e-10)
    np.testing.assert_allclose(whole, fit.fitted, rtol=0, atol=1e-8)
