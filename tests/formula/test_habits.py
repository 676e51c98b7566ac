"""Spellings of R and of other packages, answered with ours."""

import re

import numpy as np
import pytest

import bimixed as bm


@pytest.mark.parametrize(
    ("fixed", "said"),
    [
        ("ns(Days, df=5)", "The same natural cubic splines are cr(Days, df=5, constraints='center')."),
        ("ns(Days, 3)", "cr(Days, df=3, constraints='center')."),
        ("ns(Days, knots=[2])", "ns(x, df=4) of R is cr(x, df=4, constraints='center')."),
        ("C(Subject, ref='308')", "write C(Subject, contr.treatment('308'))."),
        ("C(Subject, base=308)", "write C(Subject, contr.treatment(308))."),
        ("Days, REML=FALSE", ".fit('ml') for REML=FALSE."),
        ("Days, data=sleep, REML = True", ".fit('ml') for REML=FALSE."),
    ],
)
def test_spellings_of_r(fixed, said):
    with pytest.raises(bm.FormulaError, match=re.escape(said)):
        bm.ModelSpec(f"Reaction ~ {fixed} + (1 | Subject)", bm.load_dataset("sleepstudy"))


def test_the_splines_named_are_those_of_ns():
    """A cubic spline with knots at the same quantiles, linear beyond the ends: ns's columns and a constant.

    Its basis by the truncated powers of Hastie, Tibshirani and Friedman (2009, equation 5.4).
    """
    rng = np.random.default_rng(1)
    x = rng.normal(size=60)
    knots = np.quantile(x, np.linspace(0, 1, 5))

    def d(k):
        return (np.clip(x - knots[k], 0, None) ** 3 - np.clip(x - knots[-1], 0, None) ** 3) / (
            knots[-1] - knots[k]
        )

    natural = np.column_stack([np.ones(60), x, *(d(k) - d(3) for k in range(3))])
    data = {"y": rng.normal(size=60), "x": x, "g": np.repeat(np.arange(6), 10)}
    X = bm.ModelSpec("y ~ cr(x, df=4, constraints='center') + (1 | g)", data).design.X
    assert X.shape == (60, 5) and np.linalg.matrix_rank(X) == 5
    left = natural - X @ np.linalg.lstsq(X, natural, rcond=None)[0]
    assert np.abs(left).max() < 1e-9 * np.abs(natural).max()
