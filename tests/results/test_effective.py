"""R-hat and effective sample sizes against ArviZ's, scalar by scalar: the same definitions, to 1e-9.

Fewer than fifty draws have sums of correlations of indicators that are 0 but for rounding, where the sequence
ends one step earlier or later.
"""

import arviz
import numpy as np
import pytest

from bimixed.results.effective import BLOCK, efficiency


def chains(kind, n=400, count=4, scalars=5, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, n, scalars))
    if kind == "slow":
        for t in range(1, n):
            x[:, t] = 0.97 * x[:, t - 1] + 0.24 * x[:, t]
    if kind == "anticorrelated":
        for t in range(1, n):
            x[:, t] -= 0.6 * x[:, t - 1]
    if kind == "apart":
        x += 0.3 * np.arange(count)[:, None, None]
    if kind == "scales":
        x *= np.array([1.0, 3.0, 0.5, 1.0])[:count, None, None]
    if kind == "tied":
        x = np.round(x, 1)
    if kind == "stuck":
        x[:, n // 2 :] = x[:, n // 2 : n // 2 + 1]
    if kind == "trend":
        x += np.linspace(-3, 3, n)[None, :, None]
    return x


@pytest.mark.parametrize(
    "kind", ["plain", "slow", "anticorrelated", "apart", "scales", "tied", "stuck", "trend"]
)
@pytest.mark.parametrize("n", [51, 202, 400])
def test_against_arviz(kind, n):
    x = chains(kind, n)
    ours = efficiency(x)
    axes = {"chain_axis": 0, "draw_axis": 1}
    np.testing.assert_allclose(ours.rhat, arviz.rhat(x, **axes), rtol=1e-9)
    np.testing.assert_allclose(ours.bulk, arviz.ess(x, method="bulk", **axes), rtol=1e-9)
    np.testing.assert_allclose(ours.tail, arviz.ess(x, method="tail", prob=(0.05, 0.95), **axes), rtol=1e-9)


def test_one_chain_has_no_rhat_and_its_own_ess():
    x = chains("slow", count=1)
    ours = efficiency(x)
    assert np.isnan(ours.rhat).all()
    np.testing.assert_allclose(ours.bulk, arviz.ess(x, method="bulk", chain_axis=0, draw_axis=1), rtol=1e-9)


def test_blocks_change_nothing():
    x = chains("slow", scalars=2 * BLOCK + 3)
    whole, part = efficiency(x), efficiency(x[:, :, BLOCK + 1 : BLOCK + 4])
    np.testing.assert_array_equal(whole.bulk[BLOCK + 1 : BLOCK + 4], part.bulk)
    np.testing.assert_array_equal(whole.rhat[BLOCK + 1 : BLOCK + 4], part.rhat)


def test_a_scalar_that_never_moves_counts_as_known():
    x = np.ones((4, 100, 1))
    assert efficiency(x).bulk[0] == 400
