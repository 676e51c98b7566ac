"""The published results that this package has to reproduce.

Log-likelihoods, least squares and residual errors to the last printed digit; variances of mixed models
against their converged values, since the published ones are where an optimiser stopped.
"""

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import scipy.stats

import bimixed as bm


@cache
def simulations():
    """Nested and then crossed variance components from one legacy generator."""
    rng = np.random.RandomState(3123)
    g1 = np.kron(np.arange(200), np.ones(200, int))
    u1 = 2 * rng.normal(size=200)
    g2 = np.kron(np.ones(200, int), np.kron(np.arange(20), np.ones(10, int)))
    u2 = 3 * rng.normal(size=4000)
    e = 4 * rng.normal(size=40000)
    nested = pd.DataFrame({"y": u1[g1] + np.kron(u2, np.ones(10)) + e, "group1": g1, "group2": g2})
    levels = np.kron(np.arange(100), np.ones(400, int))
    a = levels[rng.permutation(40000)]
    ua = 2 * rng.normal(size=100)
    b = levels[rng.permutation(40000)]
    ub = 3 * rng.normal(size=100)
    e = 4 * rng.normal(size=40000)
    crossed = pd.DataFrame({"y": ua[a] + ub[b] + e, "group1": a, "group2": b})
    return nested, crossed


# --- 1. radon ------------------------------------------------------------------------------


def degenerate():
    spec = bm.ModelSpec("log_radon ~ floor + county + (1 | county)", bm.load_dataset("radon"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.IdentificationWarning)
        return spec.fit()


def test_degenerate_radon_model_is_recognised():
    fit = degenerate()
    assert fit.loglik == pytest.approx(-994.6192, abs=5e-5)
    assert fit.sigma**2 == pytest.approx(0.5279, abs=5e-5)
    assert fit.fixef.loc["floor", "estimate"] == pytest.approx(-0.689, abs=5e-4)
    assert fit.fixef.loc["floor", "std_error"] == pytest.approx(0.071, abs=5e-4)
    assert fit.fixef.loc["county[T.ANOKA]", "estimate"] == pytest.approx(0.043, abs=5e-4)
    assert fit.fixef.loc["Intercept", "estimate"] == pytest.approx(0.887, abs=5e-4)
    assert (fit.resid**2).mean() == pytest.approx(0.47846, abs=5e-6)


def test_degenerate_radon_model_is_explained():
    fit = degenerate()
    assert np.isnan(fit.varcorr["variance"][0])
    assert np.isnan(fit.random_cov["county"].iloc[0, 0])
    assert not fit.diagnostics.ok
    (message,) = fit.diagnostics.messages
    assert "variance of county" in message
    assert "not identified" in message
    assert "fixed effects already determine every level" in message
    # standard errors that depend on the variance are not known either
    assert np.isnan(fit.fixef.loc["county[T.ANOKA]", "std_error"])
    assert "not identified" in str(fit)


def test_the_unidentified_likelihood_is_flat():
    """By brute force: the restricted likelihood is the same for every variance of county."""
    from bimixed.crossproducts import cross_products
    from bimixed.likelihood.objective import evaluate

    cp = cross_products(degenerate().design)
    values = [evaluate(cp, np.array([t]), True).deviance for t in (0.0, 0.5, 1.0, 5.0)]
    np.testing.assert_allclose(values, -2 * degenerate().loglik, atol=1e-7)


# --- 2 and 3. simulations --------------------------------------------------------------------


def test_nested_variance_components():
    fit = bm.ModelSpec("y ~ 1 + (1 | group1/group2)", simulations()[0]).fit()
    assert fit.loglik == pytest.approx(-116022.3805, abs=1e-4)
    assert fit.fixef.loc["Intercept", "estimate"] == pytest.approx(-0.035, abs=5e-4)
    assert fit.fixef.loc["Intercept", "std_error"] == pytest.approx(0.149, abs=5e-4)
    expected = {"group1": 3.91814, "group1:group2": 8.74218, "Residual": 15.88256}
    variances = fit.varcorr.set_index("group")["variance"]
    for group, value in expected.items():
        assert variances[group] == pytest.approx(value, abs=1e-5 * value)


def test_crossed_variance_components():
    fit = bm.ModelSpec("y ~ 1 + (1 | group1) + (1 | group2)", simulations()[1]).fit()
    assert fit.loglik == pytest.approx(-112684.9688, abs=1e-3)
    assert fit.fixef.loc["Intercept", "estimate"] == pytest.approx(-0.251, abs=5e-4)
    assert fit.fixef.loc["Intercept", "std_error"] == pytest.approx(0.353, abs=5e-4)
    expected = {"group1": 4.27581, "group2": 8.16194, "Residual": 15.98237}
    variances = fit.varcorr.set_index("group")["variance"]
    for group, value in expected.items():
        assert variances[group] == pytest.approx(value, abs=1e-5 * value)


# --- 5. score by parents' education ----------------------------------------------------------


def score():
    return bm.load_dataset("score_parentedu")


def rmse(resid, n, p):
    return np.sqrt((np.asarray(resid) ** 2).sum() / (n - p))


def least_squares(X, y):
    """Coefficients, residual RMSE, t statistics and p-values of ordinary least squares."""
    beta, *_ = np.linalg.lstsq(X, y, rcond=None)
    n, p = X.shape
    s = rmse(y - X @ beta, n, p)
    t = beta / (s * np.sqrt(np.diag(np.linalg.inv(X.T @ X))))
    return beta, s, t, 2 * scipy.stats.t.sf(np.abs(t), n - p)


def test_fixed_models_through_our_design():
    """One line, classroom intercepts, classroom × edu: our fixed part with least squares."""
    cases = {
        "edu": (2.694785, 0.232842, 2.139165, 0.036643),
        "edu + classroom": (0.932351, 0.130717, 3.441072, 0.001102),
        "edu * classroom": (0.935869, 0.129084, 1.978708, 0.052959),
    }
    data = score()
    for fixed, (s, coefficient, statistic, p_value) in cases.items():
        design = bm.ModelSpec(f"score ~ {fixed} + (1 | classroom)", data).design
        beta, error, t, p = least_squares(design.X, design.y)
        j = design.names.index("edu")
        found = (error, beta[j], t[j], p[j])
        np.testing.assert_allclose(found, (s, coefficient, statistic, p_value), atol=6e-7)


def test_classroom_means_and_slopes():
    data = score()
    means = data.groupby("classroom")[["edu", "score"]].mean()
    X = np.column_stack([np.ones(3), means["edu"]])
    beta, s, t, p = least_squares(X, means["score"].to_numpy())
    np.testing.assert_allclose((s, beta[1], t[1], p[1]), (0.587859, 6.073401, 7.497672, 0.084411), atol=6e-7)
    slopes = np.array([np.polyfit(d["edu"], d["score"], 1)[0] for _, d in data.groupby("classroom")])
    test = scipy.stats.ttest_1samp(slopes, 0)
    found = (slopes.std(ddof=1), slopes.mean(), test.statistic, test.pvalue)
    np.testing.assert_allclose(found, (0.061318, 0.120808, 3.412469, 0.076190), atol=6e-7)


def test_random_intercept():
    fit = bm.ModelSpec("score ~ edu + (1 | classroom)", score()).fit()
    row = fit.coef_table(ddf="normal").loc["edu"]
    assert fit.loglik == pytest.approx(-88.8676, abs=5e-5)
    assert rmse(fit.resid, 60, 2) == pytest.approx(0.916211, abs=1e-6)
    assert row["estimate"] == pytest.approx(0.131193, abs=1e-6)
    assert row["statistic"] == pytest.approx(3.45376, abs=1e-4)  # converged
    assert row["p_value"] == pytest.approx(0.000553, abs=1e-6)
    assert fit.sigma**2 == pytest.approx(0.8693, abs=5e-5)
    assert fit.varcorr["variance"][0] == pytest.approx(9.427, abs=2e-3)  # 9.4280 converged
    # published -2.889009, -0.323129, 3.212138: where statsmodels stopped
    np.testing.assert_allclose(
        fit.ranef["classroom"]["Intercept"], [-2.889009, -0.323129, 3.212138], atol=5e-6
    )


def test_random_intercept_and_slope():
    fit = bm.ModelSpec("score ~ edu + (edu | classroom)", score()).fit()
    row = fit.coef_table(ddf="normal").loc["edu"]
    assert fit.loglik == pytest.approx(-88.5987, abs=5e-5)
    assert rmse(fit.resid, 60, 2) == pytest.approx(0.911742, abs=2e-6)
    assert row["estimate"] == pytest.approx(0.127, abs=5e-4)
    assert row["std_error"] == pytest.approx(0.04345, abs=5e-6)
    assert row["statistic"] == pytest.approx(2.9289, abs=5e-5)
    assert fit.sigma**2 == pytest.approx(0.8609, abs=1e-4)
    cov = fit.random_cov["classroom"].to_numpy()
    assert cov[0, 0] == pytest.approx(10.771, abs=5e-4)
    assert cov[0, 1] == pytest.approx(-0.121, abs=1e-3)
    assert cov[1, 1] == pytest.approx(0.001, abs=5e-4)
    assert fit.random_corr["classroom"].iloc[0, 1] == pytest.approx(-1.0, abs=1e-9)
    assert fit.diagnostics.singular
    assert len(fit.diagnostics.messages) == 1


# --- 2, 3 and 4 in statsmodels' vocabulary -----------------------------------------------------


def by_label(groups, columns):
    """A matrix of indicators for the rows of each group."""
    table = pd.DataFrame({"g": groups, "c": columns})
    return {
        g: (part["c"].to_numpy()[:, None] == np.unique(part["c"])).astype(float)
        for g, part in table.groupby("g")
    }


@pytest.mark.parametrize("route", ["formula", "arrays", "ragged"])
def test_nested_components_by_every_route(route):
    nested, _ = simulations()
    expected = bm.ModelSpec("y ~ 1 + (1 | group1/group2)", nested).fit().loglik
    assert expected == pytest.approx(-116022.3805, abs=5e-5)
    if route == "ragged":  # every group loses its own number of subgroups
        nested = nested[nested["group2"] >= nested["group1"] % 7]
        expected = bm.ModelSpec("y ~ 1 + (1 | group1/group2)", nested).fit().loglik
    if route == "formula":
        spec = bm.ModelSpec.from_groups(
            "y ~ 1", nested, groups="group1", re_formula="1", vc_formula={"group2": "0 + C(group2)"}
        )
    else:
        ones = np.ones(len(nested))
        matrices = by_label(nested["group1"], nested["group2"])
        if route == "ragged":
            assert len({m.shape[1] for m in matrices.values()}) == 7
        spec = bm.ModelSpec.from_arrays(
            nested["y"], ones, nested["group1"], exog_re=ones, exog_vc={"group2": matrices}
        )
    fit = spec.fit()
    assert fit.loglik == pytest.approx(expected, abs=1e-6)
    if route != "ragged":
        variances = fit.varcorr.set_index("group")["variance"]
        assert variances["group1"] == pytest.approx(3.91814, abs=2e-5)
        assert variances["group2"] == pytest.approx(8.74218, abs=2e-5)


@pytest.mark.parametrize("route", ["formula", "arrays", "sparse"])
def test_crossed_components_by_every_route(route):
    _, crossed = simulations()
    expected = bm.ModelSpec("y ~ 1 + (1 | group1) + (1 | group2)", crossed).fit()
    assert expected.loglik == pytest.approx(-112684.9688, abs=1e-3)
    if route == "formula":
        components = {"g1": "0 + C(group1)", "g2": "0 + C(group2)"}
        spec = bm.ModelSpec.from_groups("y ~ 1", crossed, np.ones(len(crossed)), vc_formula=components)
    else:
        ones = np.ones(len(crossed))
        matrices = {f"g{i}": by_label(ones, crossed[f"group{i}"]) for i in (1, 2)}
        if route == "sparse":
            matrices = {name: scipy.sparse.csr_array(m[1.0]) for name, m in matrices.items()}
        spec = bm.ModelSpec.from_arrays(crossed["y"], ones, ones, exog_vc=matrices)
    fit = spec.fit()
    assert fit.loglik == pytest.approx(expected.loglik, abs=1e-6)
    variances = fit.varcorr.set_index("group")["variance"]
    assert variances["g1"] == pytest.approx(4.27581, abs=2e-5)
    assert variances["g2"] == pytest.approx(8.16194, abs=2e-5)


def schools():
    """The recipe of section 4, seeded."""
    rng = np.random.default_rng(4)
    groups = np.kron(np.arange(100), np.ones(16, int))
    classroom = np.tile(np.kron(np.arange(4), np.ones(4, int)), 100)
    X, Z, prior_test = rng.normal(size=(1600, 3)), rng.normal(size=(1600, 2)), rng.normal(size=1600)
    y = X @ [0.0, 1.0, -2.0] + np.sum(rng.normal(size=(100, 2))[groups] * Z, axis=1)
    y += np.sqrt(2) * rng.normal(size=(100, 4))[groups, classroom]
    y += np.sqrt(5) * rng.normal(size=(100, 4))[groups, classroom] * prior_test + rng.normal(size=1600)
    columns = {"y": y, "x1": X[:, 0], "x2": X[:, 1], "x3": X[:, 2], "z1": Z[:, 0], "z2": Z[:, 1]}
    return pd.DataFrame({**columns, "prior_test": prior_test, "groups": groups, "classroom": classroom})


def test_schools_three_ways():
    data = schools()
    by_groups = bm.ModelSpec.from_groups(
        "y ~ x1 + x2 + x3",
        data,
        groups="groups",
        re_formula="0 + z1 + z2",
        vc_formula={"classroom": "0 + C(classroom)", "prior_test": "0 + C(classroom):prior_test"},
    ).fit()
    by_formula = bm.ModelSpec(
        "y ~ x1+x2+x3 + (0+z1+z2|groups) + (1|groups:classroom) + (0+prior_test|groups:classroom)", data
    ).fit()
    indicators = by_label(data["groups"], data["classroom"])
    scores = {g: m * data.loc[data["groups"] == g, ["prior_test"]].to_numpy() for g, m in indicators.items()}
    by_arrays = bm.ModelSpec.from_arrays(
        data["y"],
        np.column_stack([np.ones(1600), data[["x1", "x2", "x3"]]]),
        data["groups"],
        exog_re=data[["z1", "z2"]],
        exog_vc={"classroom": indicators, "prior_test": scores},
    ).fit()
    assert by_groups.loglik == pytest.approx(by_formula.loglik, abs=1e-6)
    assert by_arrays.loglik == pytest.approx(by_formula.loglik, abs=1e-6)
    np.testing.assert_allclose(by_arrays.varcorr["variance"], by_groups.varcorr["variance"], rtol=1e-4)
    # the truth within three standard errors
    limits = by_groups.conf_int(level=0.997)
    truth = {"x1": 0.0, "x2": 1.0, "x3": -2.0, "sd_classroom[Intercept]": np.sqrt(2), "sigma": 1.0}
    truth |= {"sd_prior_test[prior_test]": np.sqrt(5), "sd_groups[z1]": 1.0, "sd_groups[z2]": 1.0}
    for name, value in truth.items():
        assert limits.loc[name, "lower"] < value < limits.loc[name, "upper"], name
