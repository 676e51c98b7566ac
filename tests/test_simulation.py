"""Simulated responses have the moments that were asked for."""

import numpy as np
import pandas as pd
import pytest

import bimixed as bm


def spec(**kwargs):
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"g": np.arange(24) % 6, "x": rng.normal(size=24), "w": rng.uniform(0.5, 2, 24)})
    data["y"] = rng.normal(size=24)
    return bm.ModelSpec("y ~ x + (x | g)", data.set_axis([f"r{i}" for i in range(24)]), **kwargs)


COV = np.array([[2.0, -0.6], [-0.6, 0.5]])


@pytest.mark.parametrize("weights", [None, "w"])
def test_mean_and_covariance(weights):
    """20,000 replicates: a covariance of size V has a standard error of about V·√2/141; five of them."""
    s = spec(weights=weights, offset=np.full(24, 3.0))
    y = s.simulate({"Intercept": 1.0, "x": 2.0}, {"g": COV}, 0.7, n=20_000, random_seed=1)
    assert y.shape == (24, 20_000)
    assert y.index.tolist() == [f"r{i}" for i in range(24)]
    design = s.design
    mean = design.X @ [1.0, 2.0] + 3.0
    Z = design.Z["g"].toarray()
    V = Z @ np.kron(np.eye(6), COV) @ Z.T
    V += 0.49 * np.diag(1.0 / (np.ones(24) if weights is None else design.weights))
    sizes = np.sqrt(np.outer(np.diag(V), np.diag(V)))
    assert (np.abs(y.mean(axis=1) - mean) < 5 * np.sqrt(np.diag(V) / 20_000)).all()
    assert (np.abs(np.cov(y.to_numpy()) - V) < 5 * sizes * np.sqrt(2 / 20_000)).all()


def test_a_general_component_is_simulated():
    Z = np.abs(np.random.default_rng(1).normal(size=(30, 4)))
    s = bm.ModelSpec.from_arrays(np.arange(30.0), np.ones(30), exog_vc={"m": Z})
    y = s.simulate([0.0], {"m": 2.0}, 0.0, n=20_000, random_seed=2).to_numpy()
    V = 2.0 * Z @ Z.T
    assert (np.abs(np.cov(y) - V) < 5 * np.sqrt(2 / 20_000) * np.sqrt(np.outer(np.diag(V), np.diag(V)))).all()


def test_a_fit_of_simulated_data_finds_the_parameters_again():
    data = bm.load_dataset("sleepstudy")
    s = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", data)
    first = s.fit()
    y = s.simulate(first.fixef, first.random_cov, first.sigma, n=200, random_seed=3)
    slopes = [s.update(data=data.assign(Reaction=y[i])).fit().fixef["estimate"]["Days"] for i in range(60)]
    error = np.std(slopes) / np.sqrt(60)
    assert abs(np.mean(slopes) - first.fixef["estimate"]["Days"]) < 4 * error
    assert np.std(slopes) == pytest.approx(first.fixef["std_error"]["Days"], rel=0.35)


def test_the_seed_decides():
    s = spec()
    arguments = {"fixef": [1.0, 2.0], "random_cov": {"g": COV}, "sigma": 1.0}
    first = s.simulate(**arguments, n=3, random_seed=4)
    pd.testing.assert_frame_equal(first, s.simulate(**arguments, n=3, random_seed=4))
    assert not first.equals(s.simulate(**arguments, n=3, random_seed=5))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fixef": {"Intercept": 1.0}}, "misses 'x'"),
        ({"fixef": {"Intercept": 1.0, "x": 1.0, "z": 1.0}}, "has 'z'"),
        ({"fixef": [1.0]}, "2 finite values"),
        ({"random_cov": {"h": 1.0}}, "each of ['g']"),
        ({"random_cov": {"g": [[1.0, 2.0], [2.0, 1.0]]}}, "negative eigenvalue"),
        ({"random_cov": {"g": 1.0}}, "2 × 2"),
        ({"random_cov": {"g": np.full((2, 2), np.nan)}}, "NaN for the variance of Intercept, x: a fit"),
        ({"random_cov": {"g": [[1.0, np.nan], [np.nan, 1.0]]}}, "NaN for the covariance"),
        ({"random_cov": {"g": [[1.0, np.inf], [np.inf, 1.0]]}}, "2 × 2"),
        ({"sigma": -1.0}, "sigma is -1"),
        ({"n": 0}, "n is 0"),
    ],
)
def test_impossible_parameters_are_explained(change, words):
    arguments = {"fixef": [1.0, 2.0], "random_cov": {"g": COV}, "sigma": 1.0} | change
    with pytest.raises(bm.DataError) as caught:
        spec().simulate(**arguments)
    assert words in str(caught.value)
