"""Columns that others determine, empty cells, and covariances that Z doesn't show: as of rows in memory.

Criteria agree to 1e-10 of themselves; predictions to 1e-8 of the response's sd, which is what criteria that
differ by rounding leave of estimates.
"""

import warnings

import numpy as np
import pandas as pd
import pytest

import bimixed as bm

pytest.importorskip("duckdb")


def rows(seed):
    rng = np.random.default_rng(seed)
    n = 300
    data = pd.DataFrame(
        {
            "g": rng.integers(0, 20, n),
            "k": rng.integers(0, 6, n),
            "x": rng.normal(size=n) + (300.0 if seed % 2 else 0.0),
            "f": rng.choice(list("abcd"), n),
            "h": rng.choice(list("pqrs"), n),
        }
    )
    data["s1"], data["s2"], data["s3"] = rng.dirichlet([2, 2, 2], n).T
    data["y"] = data["x"] + np.sin(data["g"]) + rng.normal(size=n) + 50.0
    data["t"] = (data["g"] % 2) * 1.0
    data["tr"] = np.where(data["g"] % 2 == 0, "a", "b")
    return data[(data["f"] != "c") | (data["h"] != "q")].assign(h2=data["h"]).reset_index(drop=True)


def routes(data, folder):
    for i, part in enumerate((data[:100], data[100:])):
        part.to_parquet(folder / f"{i}.parquet")
    return bm.scan_parquet(folder), [data[:50], data[50:]]


@pytest.mark.filterwarnings("ignore::bimixed.BimixedWarning")
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "formula",
    [
        "y ~ f * h + (1 | g)",
        "y ~ f * h + (1 | g) + (1 | k)",
        "y ~ 0 + f * h + (1 | g)",
        "y ~ x * f + h2 + h + (1 | g)",
        "y ~ 0 + s1 + s2 + s3 + f + (1 | g)",
        "y ~ 0 + s1 + s2 + s3 + f + x + (1 | g)",
        "y ~ 0 + s1 + f + h + h2 + (x | g)",
    ],
)
def test_the_same_columns_are_dropped_and_the_same_is_estimable(tmp_path, formula, seed):
    data = rows(seed)
    expected = bm.ModelSpec(formula, data).fit("ml")
    predicted = expected.predict(data)["estimate"]
    assert predicted.notna().all()
    for source in routes(data, tmp_path):
        fit = bm.ModelSpec(formula, source).fit("ml")
        assert fit.loglik == pytest.approx(expected.loglik, rel=1e-10)
        assert fit.spec.design.kept.tolist() == expected.spec.design.kept.tolist()
        np.testing.assert_allclose(fit.fixef["estimate"], expected.fixef["estimate"], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(fit.predict(data)["estimate"], predicted, rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore::bimixed.BimixedWarning")
@pytest.mark.parametrize("formula", ["y ~ f * h + (1 | g)", "y ~ 0 + f * h + (1 | g)"])
def test_means_beside_an_empty_cell(tmp_path, formula):
    data = rows(0)
    expected = bm.emmeans(bm.ModelSpec(formula, data).fit(), "h").table
    assert expected["estimate"].notna().sum() == 3
    for source in routes(data, tmp_path):
        found = bm.emmeans(bm.ModelSpec(formula, source).fit(), "h").table
        pd.testing.assert_frame_equal(found, expected, rtol=1e-5)


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize(
    "formula",
    [
        "y ~ t + (t | g)",
        "y ~ tr + (0 + tr | g)",
        "y ~ tr + (tr | g)",
        "y ~ f + (f | f)",
        "y ~ f + (0 + f | f:k)",
    ],
)
def test_covariances_that_z_doesnt_show_are_told_alike(tmp_path, formula, method):
    data, told = rows(0), []
    for source in (data, *routes(data, tmp_path)):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            fit = bm.ModelSpec(formula, source).fit(method)
        told.append((fit.loglik, [str(own.message) for own in seen]))
    for loglik, messages in told[1:]:
        assert loglik == pytest.approx(told[0][0], rel=1e-10)
        assert messages == told[0][1]


@pytest.mark.filterwarnings("ignore::bimixed.BimixedWarning")
@pytest.mark.parametrize(
    "formula", ["y ~ x + (x + x2 | g)", "y ~ x + (x + x2 || g)", "y ~ f + (0 + f + x + x2 | g)"]
)
def test_covariates_of_a_bar_that_determine_each_other(tmp_path, formula):
    data = rows(0).assign(x2=lambda own: 3.0 * own["x"] - 2.0)
    expected = bm.ModelSpec(formula, data).fit()
    for source in routes(data, tmp_path):
        assert bm.ModelSpec(formula, source).fit().loglik == pytest.approx(expected.loglik, rel=1e-10)
