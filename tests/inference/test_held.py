"""Slopes of the constrained criteria against differences, at ordinary and singular points."""

from dataclasses import replace

import numpy as np
import pytest
from natural import CASES, small_data

import bimixed as bm
from bimixed.inference.criteria import Criteria, Profiled


def differences(function, q):
    """Central differences of the deviance."""
    out = np.empty(len(q))
    for i in range(len(q)):
        h = np.zeros(len(q))
        h[i] = 1e-5
        out[i] = (function(q + h)[0] - function(q - h)[0]) / 2e-5
    return out


@pytest.mark.parametrize("case", [*CASES, "nested"])
@pytest.mark.parametrize("where", ["optimum", "elsewhere", "singular"])
def test_slopes(case, where):
    """Tolerance: rounding of 1e-12 of a deviance of about 150, over a step of 2e-5."""
    formula, method, extra = CASES.get(case, ("y ~ x + (x | g) + (1 | g:k)", "ml", {}))
    fit = bm.ModelSpec(formula, small_data(5), **extra).fit(method)
    criteria, rng = Criteria(fit), np.random.default_rng(2)
    checked = 0
    for name in criteria.names:
        made = criteria.of(name)
        if not isinstance(made, Profiled):
            continue
        q = made.criterion.start
        value, slopes = made.criterion(q)
        assert value == pytest.approx(made.base, abs=1e-9)
        if where != "optimum":
            q = q + 0.3 * rng.normal(size=len(q))
        if where == "singular":
            for column in made.criterion.columns:
                q[column] = 0.0
        value, slopes = made.criterion(q)
        np.testing.assert_allclose(slopes, differences(made.criterion, q), atol=2e-4, rtol=1e-5)
        checked += 1
    assert checked >= 4


@pytest.mark.parametrize("lost", [0, 1])
def test_a_row_without_length_finds_its_best_direction(lost):
    """The other rows keep their covariance, the correlation is held, and some length is lower."""
    fit = bm.ModelSpec("y ~ x + (x + z | g)", small_data(9)).fit("ml")
    made = Criteria(fit).of("corr_g[Intercept,x]")
    made = replace(made, criterion=replace(made.criterion, collapsed=()))
    rng, found = np.random.default_rng(3), 0
    for _ in range(10):
        q = made.criterion.start + 0.3 * rng.normal(size=len(made.criterion.start))
        q[lost - 3] = -25.0
        value = made.criterion(q)[0]
        trials = made.criterion.alternatives(q)
        for trial in trials:
            assert trial[-1] == q[-1]
            gone = trial.copy()
            gone[lost - 3] = -25.0
            assert made.criterion(gone)[0] == pytest.approx(value, abs=1e-7)
        if trials:
            found += 1
            assert min(made.criterion(trial)[0] for trial in trials) < value - 1e-4
    assert found > 4
    assert made.criterion.alternatives(made.criterion.start) == []
