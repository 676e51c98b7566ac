"""Models given as arrays: the same fits as by formula, and designs that no formula has."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from dense import dense_fit
from reference.statsmodels_components import data

import bimixed as bm
from bimixed.crossproducts import cross_products
from bimixed.likelihood.objective import relative_factors


class VCSpec:
    """The shape of statsmodels' class: lists by component and then by group, groups sorted."""

    def __init__(self, names, colnames, mats):
        self.names, self.colnames, self.mats = names, colnames, mats


def arrays():
    d = data()
    return d, np.column_stack([np.ones(len(d)), d["x"]])


def by_group(d, make):
    return {g: make(part) for g, part in d.groupby("g")}


def indicators(part):
    return pd.get_dummies(part["c"]).to_numpy(float)


def test_random_intercept_by_default_and_slopes():
    d, X = arrays()
    fit = bm.ModelSpec.from_arrays(d["y"], X, d["g"]).fit()
    same = bm.ModelSpec("y ~ x + (1 | g)", d).fit()
    assert fit.loglik == pytest.approx(same.loglik, abs=1e-9)
    fit = bm.ModelSpec.from_arrays(d["y"].to_numpy(), X, d["g"].to_numpy(), exog_re=X).fit()
    same = bm.ModelSpec("y ~ x + (x | g)", d).fit()
    assert fit.loglik == pytest.approx(same.loglik, abs=1e-9)
    assert fit.fixef.index.tolist() == ["Intercept", "x1"]
    assert fit.varcorr["name"].tolist() == ["Intercept", "z1", ""]


def test_names_come_from_frames_or_arguments():
    d, X = arrays()
    frame = pd.DataFrame(X, columns=["one", "dose"])
    spec = bm.ModelSpec.from_arrays(d["y"], frame, d["g"].rename("school"))
    assert spec.fixed == ("one", "dose")
    assert spec.random[0].key == "school"
    spec = bm.ModelSpec.from_arrays(d["y"], X, d["g"], exog_re=X, fixef_names=["a", "b"], re_names=["u", "v"])
    assert spec.fixed == ("a", "b")
    assert spec.design.factors[0].names == ("u", "v")


def test_results_index_like_the_response():
    d, X = arrays()
    y = d["y"].set_axis([f"row {i}" for i in range(len(d))])
    y.iloc[3] = np.nan
    X[5, 1] = np.nan
    fit = bm.ModelSpec.from_arrays(y, X, d["g"].to_numpy()).fit()
    assert fit.nobs == 238
    assert fit.resid.index.tolist() == [f"row {i}" for i in range(len(d)) if i not in (3, 5)]
    assert "2 left out" in str(fit.spec)


@pytest.mark.parametrize("shape", ["dict", "sparse", "spec", "whole", "whole sparse", "frames"])
def test_components_in_every_shape(shape):
    d, X = arrays()
    rows = d.sample(frac=1.0, random_state=0)  # groups need not be contiguous
    X = X[rows.index]
    slopes = by_group(rows, lambda p: indicators(p) * p[["x"]].to_numpy())
    plain = by_group(rows, indicators)
    if shape == "dict":
        given = {"c": plain, "s": slopes}
    elif shape == "sparse":
        given = {"c": {k: sp.csc_matrix(v) for k, v in plain.items()}, "s": slopes}
    elif shape == "frames":
        given = {"c": {k: pd.DataFrame(v, columns=list("pqrs")) for k, v in plain.items()}, "s": slopes}
    elif shape == "spec":
        labels = sorted(plain)
        columns = [[[f"C(c)[{x}]" for x in "pqrs"]] * len(labels)] * 2
        given = VCSpec(["c", "s"], columns, [[plain[g] for g in labels], [slopes[g] for g in labels]])
    else:
        whole = pd.get_dummies(rows["g"].astype(str) + rows["c"]).to_numpy(float)
        given = {"c": whole, "s": whole * rows[["x"]].to_numpy()}
        given = {k: sp.coo_array(v) for k, v in given.items()} if "sparse" in shape else given
    fit = bm.ModelSpec.from_arrays(rows["y"], X, rows["g"], exog_re=np.ones(len(d)), exog_vc=given).fit()
    same = bm.ModelSpec("y ~ x + (1 | g) + (1 | g:c) + (0 + x | g:c)", d).fit()
    assert fit.loglik == pytest.approx(same.loglik, abs=1e-8)
    if shape == "frames":
        assert fit.ranef["c"].index[:2].tolist() == ["0:p", "0:q"]


def test_ragged_groups_may_have_any_number_of_columns():
    """Each group has its own number of subgroups, and one has none."""
    rng = np.random.default_rng(5)
    sizes = [3, 1, 4, 2, 0, 5, 2, 3]
    g = np.repeat(np.arange(8), 30)
    sub = np.concatenate([rng.integers(0, max(k, 1), 30) for k in sizes])
    y = rng.normal(size=8)[g] + rng.normal(size=(8, 5))[g, sub] + 0.5 * rng.normal(size=240)
    matrices = {k: (sub[g == k][:, None] == np.arange(size)).astype(float) for k, size in enumerate(sizes)}
    spec = bm.ModelSpec.from_arrays(y, np.ones(240), g, exog_re=np.ones(240), exog_vc={"sub": matrices})
    assert spec.design.factors[1].n_levels == sum(sizes)
    fit = spec.fit()
    cp = cross_products(spec.design)
    theta = np.concatenate(list(fit.theta.values()))
    dense = dense_fit(spec.design, relative_factors(cp, theta), True)
    assert fit.loglik == pytest.approx(-0.5 * dense.deviance, abs=1e-8)


def multiple_membership():
    """Patients seen by one to three nurses, with weights that add up to 1."""
    rng = np.random.default_rng(8)
    n, q = 300, 25
    Z = np.zeros((n, q))
    for i in range(n):
        members = rng.choice(q, rng.integers(1, 4), replace=False)
        Z[i, members] = rng.dirichlet(np.ones(len(members)))
    u = 1.5 * rng.normal(size=q)
    x = rng.normal(size=n)
    y = 2.0 + x + Z @ u + 0.5 * rng.normal(size=n)
    return y, np.column_stack([np.ones(n), x]), sp.csr_array(Z), u


def test_multiple_membership_is_recovered():
    y, X, Z, u = multiple_membership()
    fit = bm.ModelSpec.from_arrays(y, X, exog_vc={"nurse": Z}).fit()
    assert fit.diagnostics.ok
    assert fit.varcorr["sd"][0] == pytest.approx(1.5, rel=0.4)
    assert np.corrcoef(fit.ranef["nurse"]["nurse"], u)[0, 1] > 0.9
    assert fit.ranef["nurse"].shape == (25, 1)
    # conditional modes, their sds and intervals against the dense formulas
    cp = cross_products(fit.design)
    dense = dense_fit(fit.design, relative_factors(cp, fit.theta["nurse"]), True)
    np.testing.assert_allclose(fit.ranef["nurse"].to_numpy(), dense.b[0], atol=1e-8)
    np.testing.assert_allclose(
        fit.ranef_sd["nurse"]["nurse"], np.sqrt(np.diag(dense.conditional_cov)), rtol=1e-8
    )


def test_prediction_variances_of_a_general_component_against_henderson():
    y, X, Z, _ = multiple_membership()
    fit = bm.ModelSpec.from_arrays(y, X, exog_vc={"nurse": Z}).fit()
    new = {"exog": X[:6] * 1.5, "exog_vc": {"nurse": Z[10:16]}}
    table = fit.predict(new, interval="confidence")
    # joint covariance of (β̂, b̂ − b): inverse of Henderson's matrix
    D = np.hstack([X, Z.toarray()])
    precision = D.T @ D / fit.sigma**2
    precision[2:, 2:] += np.eye(25) / fit.varcorr["variance"][0]
    rows = np.hstack([new["exog"], Z[10:16].toarray()])
    variance = np.einsum("ij,jk,ik->i", rows, np.linalg.inv(precision), rows)
    half = (table["upper"] - table["lower"]) / 2
    np.testing.assert_allclose(half, 1.959963984540054 * np.sqrt(variance), rtol=1e-7)
    estimate = new["exog"] @ fit.fixef["estimate"] + Z[10:16] @ fit.ranef["nurse"]["nurse"]
    np.testing.assert_allclose(table["estimate"], estimate)


def test_a_spline_basis_is_a_smooth():
    """A penalised spline: a random effect for each truncated line, one variance."""
    rng = np.random.default_rng(2)
    t = np.sort(rng.uniform(size=200))
    y = np.sin(6 * t) + 0.1 * rng.normal(size=200)
    knots = np.linspace(0.05, 0.95, 20)
    basis = np.maximum(t[:, None] - knots, 0.0)
    fit = bm.ModelSpec.from_arrays(y, np.column_stack([np.ones(200), t]), exog_vc={"smooth": basis}).fit()
    assert np.sqrt(np.mean((fit.fitted - np.sin(6 * t)) ** 2)) < 0.05
    # ridge regression with the same ratio of variances gives the same curve
    D = np.column_stack([np.ones(200), t, basis])
    ridge = np.diag(np.r_[0, 0, np.full(20, fit.sigma**2 / fit.varcorr["variance"][0])])
    np.testing.assert_allclose(fit.fitted, D @ np.linalg.solve(D.T @ D + ridge, D.T @ y), atol=1e-7)


def test_new_data_are_a_dict_of_arrays():
    d, X = arrays()
    fit = bm.ModelSpec.from_arrays(d["y"], X, d["g"], exog_re=X).fit()
    same = bm.ModelSpec("y ~ x + (x | g)", d).fit()
    new = {"exog": X[:4], "groups": d["g"][:4], "exog_re": X[:4]}
    np.testing.assert_allclose(fit.predict(new)["estimate"], same.predict(d.iloc[:4])["estimate"], atol=1e-6)
    np.testing.assert_allclose(
        fit.predict({"exog": X[:4]}, random="none")["estimate"],
        same.predict(d.iloc[:4], random="none")["estimate"],
        atol=1e-6,
    )
    for wrong, words in [
        (d, "a dict of arrays"),
        ({"exog": X[:4]}, "no 'groups'"),
        ({"exog": X[:4, :1], "groups": d["g"][:4]}, "shape (4, 1)"),
        ({"exog": X[:4], "groups": d["g"][:4]}, "no 'exog_re'"),
        ({"exog": X[:4], "groups": [0, 1, 2, 99], "exog_re": X[:4]}, "not in the fitted data: 99"),
    ]:
        with pytest.raises(bm.BimixedError) as caught:
            fit.predict(wrong)
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"exog": np.ones((7, 2))}, ["exog has shape (7, 2)", "240 rows"]),
        ({"groups": np.ones(7)}, ["groups has shape (7,)"]),
        ({"groups": None}, ["no random effects", "exog_vc"]),
        ({"exog_vc": {"c": {0: np.ones((20, 1))}}}, ["exog_vc['c']", "no matrix for group 1"]),
        ({"exog_vc": {"c": {g: np.ones((20, 1)) for g in range(13)}}}, ["a group 12 without rows"]),
        ({"exog_vc": {"c": {g: np.ones((9, 1)) for g in range(12)}}}, ["shape (9, 1)", "20 rows"]),
        ({"exog_vc": {"c": np.zeros((240, 2))}}, ["0 everywhere"]),
        ({"exog_vc": [np.ones((240, 2))]}, ["exog_vc is a list"]),
        ({"exog_vc": {"c": np.full((240, 2), np.nan)}}, ["missing or infinite"]),
        ({"fixef_names": ["only one"]}, ["fixef_names has 1", "2 columns"]),
        ({"fixef_names": ["a", "a"]}, ["called 'a'"]),
        ({"endog": np.array(["a"] * 240)}, ["endog is not numeric"]),
        ({"endog": np.ones(240)}, ["endog is constant"]),
        ({"weights": np.zeros(240)}, ["weights are zero"]),
        ({"data": 1}, ["no argument data="]),
        ({"re_formula": "1"}, ["no re_formula="]),
    ],
)
def test_wrong_arrays_are_explained(change, words):
    d, X = arrays()
    arguments = {"endog": d["y"], "exog": X, "groups": d["g"]} | change
    with pytest.raises(bm.BimixedError) as caught:
        bm.ModelSpec.from_arrays(**arguments)
    for word in words:
        assert word in str(caught.value)


def test_the_callers_arrays_are_not_changed():
    d, X = arrays()
    before = X.copy()
    Z = sp.csr_array(X)
    spec = bm.ModelSpec.from_arrays(d["y"], X, d["g"], exog_re=X, exog_vc={"z": Z})
    spec.design.X[:] = 0.0
    np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(Z.toarray(), before)
