"""Standard errors of variance parameters against a brute-force Hessian of the full deviance."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

import bimixed as bm
from bimixed.crossproducts import cross_products
from bimixed.likelihood.objective import evaluate


def full_deviance(cp, theta, log_s2, df):
    at = evaluate(cp, theta, True)
    r2 = at.sigma2 * df
    profiled = df * (1 + np.log(2 * np.pi * at.sigma2))
    return at.deviance - profiled + df * (np.log(2 * np.pi) + log_s2) + r2 / np.exp(log_s2)


def brute_force(fit, names_of):
    """Covariance of the named natural parameters, by differences of differences."""
    cp = cross_products(fit.design)
    df = cp.n - cp.p
    x = np.append(np.concatenate(list(fit.theta.values())), 2 * np.log(fit.sigma))
    m, h = len(x), 1e-3
    hessian = np.empty((m, m))
    step = h * np.eye(m)
    dev = lambda v: full_deviance(cp, v[:-1], v[-1], df)  # noqa: E731
    for i in range(m):
        for j in range(m):
            a, b = step[i], step[j]
            hessian[i, j] = (dev(x + a + b) - dev(x + a - b) - dev(x - a + b) + dev(x - a - b)) / (4 * h * h)
    cov = 2 * np.linalg.inv(hessian)
    J = np.array([(names_of(x + 1e-6 * e) - names_of(x - 1e-6 * e)) / 2e-6 for e in np.eye(m)]).T
    return np.sqrt(np.diag(J @ cov @ J.T))


def test_slope_model():
    """Tolerance 1e-3: what second differences with a step of 1e-3 are good for."""
    fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()

    def natural(x):
        a, b, c, log_s2 = x
        s = np.exp(log_s2 / 2)
        return np.array([s * a, s * np.hypot(b, c), b / np.hypot(b, c), s])

    parameters = fit.uncertainty.variance_parameters()
    assert parameters.names == (
        "sd_Subject[Intercept]",
        "sd_Subject[Days]",
        "corr_Subject[Intercept,Days]",
        "sigma",
    )
    np.testing.assert_allclose(parameters.std_errors, brute_force(fit, natural), rtol=1e-3)

    def squares(x):
        a, b, c, log_s2 = x
        return np.exp(log_s2) * np.array([a**2, b**2 + c**2, a * b, 1.0])

    entries = fit.uncertainty.covariance_parameters()
    assert entries.names == (
        "var_Subject[Intercept]",
        "var_Subject[Days]",
        "cov_Subject[Intercept,Days]",
        "var_residual",
    )
    cov = fit.random_cov["Subject"].to_numpy()
    np.testing.assert_allclose(entries.values, [cov[0, 0], cov[1, 1], cov[0, 1], fit.sigma**2])
    np.testing.assert_allclose(entries.std_errors, brute_force(fit, squares), rtol=1e-3)


def test_variances_of_balanced_data_in_closed_form():
    """One-way layout: MSB and MSW are independent, Var(MS) = 2 MS²/df, σ_b² = (MSB − MSW)/n.

    The observed information of REML has that covariance exactly. Tolerance 1e-6: differences of the gradient.
    """
    data = bm.load_dataset("dyestuff")
    fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", data).fit()
    means = data.groupby("Batch", observed=True)["Yield"].mean()
    n, m = len(data) // len(means), len(means)
    msb = n * means.var(ddof=1)
    msw = ((data["Yield"] - means.loc[data["Batch"]].to_numpy()) ** 2).sum() / (m * (n - 1))
    var_b, var_w = 2 * msb**2 / (m - 1), 2 * msw**2 / (m * (n - 1))
    table = fit.variance_table()
    se = np.sqrt([(var_b + var_w) / n**2, var_w])
    found = table.loc[["var_Batch[Intercept]", "var_residual"], "std_error"]
    np.testing.assert_allclose(found, se, rtol=1e-6)


def test_crossed_terms():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"a": rng.integers(0, 12, 400), "b": rng.integers(0, 9, 400)})
    table["y"] = rng.normal(size=12)[table["a"]] + rng.normal(size=9)[table["b"]] + rng.normal(size=400)
    fit = bm.ModelSpec("y ~ 1 + (1 | a) + (1 | b)", table).fit()

    def natural(x):
        s = np.exp(x[-1] / 2)
        return np.array([s * x[0], s * x[1], s])

    errors = fit.uncertainty.variance_parameters().std_errors
    np.testing.assert_allclose(errors, brute_force(fit, natural), rtol=1e-3)


def test_intervals_are_on_the_log_and_fisher_scales():
    fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit()
    p = fit.uncertainty.variance_parameters()
    limits = fit.conf_int(0.9).iloc[2:]
    z = ndtri(0.95)
    sd = np.exp(np.log(p.values[0]) + np.array([-1, 1]) * z * p.std_errors[0] / p.values[0])
    np.testing.assert_allclose(limits.iloc[0], sd, rtol=1e-10)
    rho = p.values[2]
    corr = np.tanh(np.arctanh(rho) + np.array([-1, 1]) * z * p.std_errors[2] / (1 - rho**2))
    np.testing.assert_allclose(limits.iloc[2], corr, rtol=1e-10)


def test_no_interval_at_the_boundary():
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"g": np.repeat(np.arange(6), 5), "y": rng.normal(size=30)})
    table["y"] -= table.groupby("g")["y"].transform("mean")
    fit = bm.ModelSpec("y ~ 1 + (1 | g)", table).fit()
    assert fit.varcorr["sd"][0] == pytest.approx(0.0, abs=1e-4 * fit.sigma)
    assert fit.conf_int().loc["sd_g[Intercept]"].isna().all()
    assert fit.conf_int().loc["sigma"].notna().all()
