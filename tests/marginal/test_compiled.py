"""The compiled density against the same formulas in numpy and differences; draws against moments."""

import numpy as np
import pandas as pd
import pytest

import bimixed as bm
from bimixed.marginal.compiled import FILLED_UP, CompiledPosterior, is_compiled
from bimixed.marginal.density import draw_effects
from bimixed.marginal.posterior import MarginalPosterior, fixef_prior
from bimixed.marginal.scales import TURNING

P = bm.Prior


def table(rows=400, seed=3):
    rng = np.random.default_rng(seed)
    g, h, k = rng.integers(0, 9, rows), rng.integers(0, 14, rows), rng.integers(0, 3, rows)
    x = rng.standard_normal(rows)
    m = rng.integers(0, 5, rows)
    y = rng.standard_normal(rows) + x + 0.5 * rng.standard_normal(9)[g] * x
    inner = [f"{a}:{b}" for a, b in zip(g, k, strict=True)]
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h, "gk": inner, "m": m, "w": rng.uniform(0.5, 2, rows)})


MODELS = {
    "intercept": ("y ~ x + (1 | g)", {}),
    "no fixed effect": ("y ~ 0 + (1 | g)", {}),
    "slope": ("y ~ x + (x | g)", {"x": P("flat")}),
    "three": (
        "y ~ x + (x + I(x**2) | g)",
        {"sd": P("exponential", rate=2.0), "fixef": P("normal", mu=1, sigma=0.2)},
    ),
    "uncorrelated": (
        "y ~ x + (x || g)",
        {"sd_g[x]": P("gamma", alpha=2, beta=3), "sigma": P("uniform", lower=0.1, upper=9)},
    ),
    "nested": ("y ~ x + (x | g) + (1 | gk)", {"sd_gk": P("uniform", lower=0, upper=4)}),
    "two crossed": ("y ~ x + (1 | g) + (1 | h)", {"sd": P("half_normal", sigma=1.0)}),
    "crossed slopes": ("y ~ x + (x | g) + (x | h)", {"sd": P("flat")}),
    "all": ("y ~ x + (x | g) + (x | gk) + (x | h) + (1 | m)", {}),
}


def compiled(name, rows=400, turning=True):
    formula, priors = MODELS[name]
    spec = bm.ModelSpec(formula, table(rows), priors=priors, weights="w")
    fixef = fixef_prior(spec.design, spec.priors)
    found = MarginalPosterior.of(spec.design, spec.priors, fixef, 1.0 if turning else None)
    assert is_compiled(found.cp)
    return found, CompiledPosterior.of(found)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("rows", [50, 400])
@pytest.mark.filterwarnings("ignore::bimixed.exceptions.IdentificationWarning")
def test_density_and_slope_against_numpy(name, rows):
    """Values to 1e-9, slopes to 1e-8 of the largest: both sum the same numbers in another order.

    50 rows leave couplings sparse, 400 fill them up.
    """
    rng = np.random.default_rng(1)
    for turning in (True, False):
        found, fast = compiled(name, rows, turning)
        for scale in (0.3, 1.0):
            z = scale * rng.standard_normal(found.coordinates.size)
            value, slope = fast(z)
            expected, expected_slope = found(z)
            assert value == pytest.approx(expected, abs=1e-9 * max(1.0, abs(expected)))
            np.testing.assert_allclose(slope, expected_slope, atol=1e-8 * np.abs(expected_slope).max())


def test_both_ways_of_coupling_are_tested():
    for rows, filled in ((50, False), (400, True)):
        found, _ = compiled("two crossed", rows)
        pairs = found.cp.chain[0].pairs
        assert (len(pairs) >= FILLED_UP * pairs.n_rows * pairs.n_columns) == filled


@pytest.mark.parametrize("name", ["slope", "all"])
def test_whitened_coordinates_and_their_slope(name):
    rng = np.random.default_rng(2)
    found, fast = compiled(name)
    m = found.coordinates.size
    centre, root = 0.3 * rng.standard_normal(m), 0.3 * rng.standard_normal((m, m))
    white = fast.whitened(centre, root)
    w, h = rng.standard_normal(m), 1e-5
    assert white(w)[0] == pytest.approx(fast(centre + root @ w)[0], abs=1e-9)
    numeric = [(white(w + s)[0] - white(w - s)[0]) / (2 * h) for s in h * np.eye(m)]
    np.testing.assert_allclose(white(w)[1], numeric, rtol=1e-5, atol=1e-4)


def test_where_nothing_is_left_the_density_is_none():
    _, fast = compiled("slope")
    for z in ([800.0, 0, 0, 0], [0, 0, 0, -800.0], [np.nan, 0, 0, 0]):
        value, slope = fast(np.array(z))
        assert value == -np.inf
        assert not slope.any()


def test_turning_coordinates_have_images():
    found, fast = compiled("slope")
    assert found.coordinates.blocks[0].scales[0].prior.family in TURNING
    z = np.array([0.8, -0.4, 0.6, 0.1])
    value = fast(z)[0]
    for image in found.coordinates.images:
        assert fast(z * image)[0] == pytest.approx(value, abs=1e-9)
    upright = found.coordinates.upright(z[None])[0]
    assert (upright[:2] > 0).all()
    L, M = found.coordinates.factors(z)[0], found.coordinates.factors(upright)[0]
    np.testing.assert_allclose(np.abs(L @ L.T), np.abs(M @ M.T), rtol=1e-12)
    assert fast(upright)[0] == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("name", ["three", "all", "no fixed effect"])
def test_draws_of_effects_have_the_moments_of_those_by_numpy(name):
    """20,000 draws of each: means within 5 of their errors, which 60 numbers exceed once in 30,000 runs."""
    found, fast = compiled(name)
    z = 0.3 * np.random.default_rng(4).standard_normal(found.coordinates.size)
    n = 20_000
    beta, effects = fast.draw_effects(np.tile(z, (n, 1)), np.random.default_rng(5))
    beta2, effects2 = draw_effects(found.point(z)[0], n, np.random.default_rng(6))
    pairs = [(beta, beta2), *((effects[j].reshape(n, -1), effects2[j].reshape(n, -1)) for j in effects)]
    for a, b in pairs:
        error = np.sqrt((a.var(axis=0) + b.var(axis=0)) / n)
        assert (np.abs(a.mean(axis=0) - b.mean(axis=0)) < 5 * error).all()
        np.testing.assert_allclose(a.std(axis=0), b.std(axis=0), rtol=5 / np.sqrt(n))
    joined, joined2 = (np.concatenate(side, axis=1) for side in zip(*pairs, strict=True))
    gap = np.cov(joined.T) - np.cov(joined2.T)
    size = np.sqrt(np.outer(np.diag(np.cov(joined.T)), np.diag(np.cov(joined.T))))
    assert np.abs(gap / size).max() < 6 * np.sqrt(2.0 / n)
