"""Fixed factors of many levels, kept sparse: the same numbers as with a dense matrix.

Tolerance 1e-7 relative: two eliminations of the same equations, each at an optimum known to about 1e-6 of its
standard errors, whose effect on the deviance is 1e-12.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import bimixed as bm
from bimixed.design import wide as wide_columns

FORMULAS = {
    "crossed": "y ~ x + C(f) + (1 | g)",
    "slopes": "y ~ C(f) + x + (x | g)",
    "nested below": "y ~ x + C(f) + (1 | f:h)",
    "chain": "y ~ x + C(f) + (1 | f:h) + (1 | g)",
    "sparse trailing": "y ~ x + C(f) + (1 | pupil)",
    "slope by level": "y ~ x + f:x + (1 | g)",
    "without an intercept": "y ~ 0 + C(f) + z + (1 | g)",
    "alias before": "y ~ of_f + C(f) + x + (1 | g)",
    "alias after": "y ~ x + C(f) + of_f + (1 | g)",
    "interaction": "y ~ x + C(f):C(b) + (1 | g)",
    "deviations": "y ~ C(f, contr.treatment('l7')) + x + (1 | g)",
}


def table(seed=1, n=600, levels=30):
    rng = np.random.default_rng(seed)
    f = rng.integers(0, levels, n)
    data = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "z": rng.normal(size=n) + 5,
            "f": [f"l{i}" for i in f],
            "b": rng.choice(list("uv"), n),
            "g": rng.integers(0, 25, n),
            "h": rng.integers(0, 3, n),
            "pupil": (f * 8 + rng.integers(0, 10, n)) % (8 * levels),
            "w": rng.uniform(0.5, 2.0, n),
            "of_f": np.sin(f.astype(float)),
        }
    )
    data["y"] = 3 + data["x"] + np.cos(f) + rng.normal(size=25)[data["g"]] * (1 + 0.5 * data["x"])
    data["y"] += rng.normal(size=3 * levels)[f * 3 + data["h"]] + rng.normal(size=n)
    return data


def wide(monkeypatch):
    monkeypatch.setattr(wide_columns, "LARGE", 1)
    monkeypatch.setattr(wide_columns, "FEWEST", 10)


def both(monkeypatch, formula, data, method="reml", **kwargs):
    """The fit with a dense matrix, and the one with a sparse one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BimixedWarning)
        dense = bm.ModelSpec(formula, data, **kwargs).fit(method)
        wide(monkeypatch)
        sparse = bm.ModelSpec(formula, data, **kwargs).fit(method)
    assert dense.design.wide is None
    assert sparse.design.wide is not None and sp.issparse(sparse.design.X)
    return dense, sparse


@pytest.mark.parametrize("formula", FORMULAS.values(), ids=FORMULAS)
@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("weights", [None, "w"])
def test_the_same_fit(monkeypatch, formula, method, weights):
    data = table()
    dense, sparse = both(monkeypatch, formula, data, method, weights=weights)
    assert sparse.design.names == dense.design.names
    np.testing.assert_array_equal(sparse.design.kept, dense.design.kept)
    assert sparse.loglik == pytest.approx(dense.loglik, abs=1e-8)
    assert sparse.sigma == pytest.approx(dense.sigma, rel=1e-6)
    np.testing.assert_allclose(sparse.fixef["estimate"], dense.fixef["estimate"], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(sparse.fixef["std_error"], dense.fixef["std_error"], rtol=1e-6)
    np.testing.assert_allclose(sparse.vcov, dense.vcov, rtol=1e-5, atol=1e-8)
    for key in dense.random_cov:
        np.testing.assert_allclose(sparse.random_cov[key], dense.random_cov[key], rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(sparse.ranef[key], dense.ranef[key], atol=1e-6)
        np.testing.assert_allclose(
            sparse.estimates.ranef_sd[key], dense.estimates.ranef_sd[key], rtol=1e-6, atol=1e-9
        )
    np.testing.assert_allclose(
        sparse.conf_int(ddf="normal"), dense.conf_int(ddf="normal"), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(sparse.predict(), dense.predict(), atol=1e-6)


@pytest.mark.parametrize("formula", [FORMULAS["chain"], FORMULAS["sparse trailing"], FORMULAS["slopes"]])
@pytest.mark.parametrize("random", ["all", "none"])
def test_the_same_intervals(monkeypatch, formula, random):
    data = table()
    dense, sparse = both(monkeypatch, formula, data)
    new = data.iloc[::7].drop(columns="y")
    for kind in ("confidence", "prediction"):
        pd.testing.assert_frame_equal(
            sparse.predict(new, interval=kind, random=random),
            dense.predict(new, interval=kind, random=random),
            rtol=1e-6,
        )


def test_the_same_refits(monkeypatch):
    data = table()
    dense, sparse = both(monkeypatch, "y ~ x + C(f) + (x | g)", data)
    again = data["y"] + np.random.default_rng(3).normal(size=len(data))
    np.testing.assert_allclose(sparse.refit(again).fixef, dense.refit(again).fixef, rtol=1e-5, atol=1e-6)
    many = np.column_stack([again, data["y"]])
    pd.testing.assert_frame_equal(sparse.refit_many(many), dense.refit_many(many), rtol=1e-5, atol=1e-6)


def test_a_response_far_from_0(monkeypatch):
    """A constant is in the span of the dummies: the fit of y + 1e8 is that of y, to the digits of y + 1e8."""
    data = table()
    _, near = both(monkeypatch, "y ~ 0 + C(f) + x + (1 | g)", data)
    far = bm.ModelSpec("y ~ 0 + C(f) + x + (1 | g)", data.assign(y=data["y"] + 1e8)).fit()
    assert far.loglik == pytest.approx(near.loglik, abs=1e-3)
    np.testing.assert_allclose(far.fixef["std_error"], near.fixef["std_error"], rtol=1e-5)


def test_an_unidentified_variance(monkeypatch):
    dense, sparse = both(monkeypatch, "y ~ x + C(f) + (x | f)", table())
    assert sparse.loglik == pytest.approx(dense.loglik, abs=1e-8)
    np.testing.assert_array_equal(np.isnan(sparse.random_cov["f"]), np.isnan(dense.random_cov["f"]))
    assert sparse.diagnostics.messages == dense.diagnostics.messages
    assert sparse.fixef.loc["x", "std_error"] == pytest.approx(dense.fixef.loc["x", "std_error"], rel=1e-6)


@pytest.mark.parametrize(
    "terms", ["of_f + C(f)", "C(f) + of_f + z", "z + C(f) + I(2*z + of_f)", "0 + z + f:z"]
)
def test_dependent_columns_are_those_of_the_dense_rule(terms):
    from bimixed.design.fixed import independent_columns

    data = table(levels=200, n=3000)
    X = bm.ModelSpec(f"y ~ {terms} + (1 | g)", data).design.X
    _, kept, found = wide_columns.split_columns(sp.csr_array(X))
    assert found is not None and found.n_columns >= 198
    np.testing.assert_array_equal(kept, independent_columns(X))


@pytest.mark.parametrize("formula", ["y ~ C(f)*C(b) + (1 | g)", "y ~ x + C(f):C(b) + (1 | g)"])
def test_an_empty_cell(formula):
    """A column that is 0 throughout drops alone, in sizes where R isn't Householder's."""
    data = table(levels=150, n=40_000)
    data.loc[(data["f"] == "l5") & (data["b"] == "v"), "b"] = "u"
    spec = bm.ModelSpec(formula, data)
    assert spec.design.wide is not None
    assert len(spec.design.kept) == len(spec.design.names) - 1
    X = spec.design.X[:, spec.design.kept]
    assert np.linalg.matrix_rank((X.T @ X).toarray()) == len(spec.design.kept)


def test_five_thousand_levels():
    """No n × p matrix: 60,000 × 5,000 numbers would be 2.2 GiB."""
    import tracemalloc

    rng = np.random.default_rng(0)
    n, levels = 60_000, 5_000
    f = rng.integers(0, levels, n)
    data = pd.DataFrame({"x": rng.normal(size=n), "f": f.astype(str), "g": rng.integers(0, 300, n)})
    data["y"] = (
        2 * data["x"] + rng.normal(size=levels)[f] + rng.normal(size=300)[data["g"]] + rng.normal(size=n)
    )
    tracemalloc.start()
    fit = bm.ModelSpec("y ~ x + f + (1 | g)", data).fit()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**29
    assert fit.diagnostics.ok
    assert len(fit.fixef) == levels + 1
    assert abs(fit.fixef.loc["x", "estimate"] - 2) < 4 * fit.fixef.loc["x", "std_error"]
    assert fit.sigma == pytest.approx(1.0, abs=4 / np.sqrt(2 * n))


def test_what_a_wide_factor_rules_out(monkeypatch):
    wide(monkeypatch)
    spec = bm.ModelSpec("y ~ x + C(f) + (1 | g)", table())
    with pytest.raises(bm.PriorError, match="random effect"):
        spec.fit("nuts", draws=10)
    with pytest.raises(bm.DataError, match="random effect"):
        bm.cross_products(spec)
    assert "C(f)" in str(spec)


def test_sparse_exog(monkeypatch):
    data = table()
    X = bm.ModelSpec("y ~ x + C(f) + (1 | g)", data).design.X
    missing = X.copy()
    missing[[3, 50], 1] = np.nan
    for exog in (X, missing):
        dense = bm.ModelSpec.from_arrays(data["y"], exog, data["g"]).fit()
        with monkeypatch.context() as patched:
            wide(patched)
            spec = bm.ModelSpec.from_arrays(data["y"], sp.csr_array(exog), data["g"])
        assert spec.design.wide is not None
        sparse = spec.fit()
        assert sparse.design.names == dense.design.names
        assert sparse.loglik == pytest.approx(dense.loglik, abs=1e-8)
        new = {"exog": sp.csr_array(X[:9]), "groups": data["g"].to_numpy()[:9]}
        np.testing.assert_allclose(sparse.predict(new), dense.predict(new | {"exog": X[:9]}), atol=1e-6)
    with pytest.raises(bm.DataError, match="infinite"):
        wide(monkeypatch)
        bm.ModelSpec.from_arrays(data["y"], sp.csr_array(np.where(X == 1.0, np.inf, X)), data["g"])
