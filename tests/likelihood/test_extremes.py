"""Responses far from 0 and of any size, variances close to 0, and many groups."""

import warnings

import numpy as np
import pandas as pd
import pytest

import bimixed as bm

STRUCTURES = {
    "slope": "y ~ x + (x | g)",
    "nested": "y ~ x + (1 | g/h)",
    "crossed": "y ~ x + f + (1 | g) + (1 | k)",
    "crossed slopes": "y ~ x + (1 | g) + (x | k)",
}


def table(seed=0, n=300):
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "f": rng.choice(list("uvw"), n),
            "g": rng.integers(0, 20, n),
            "h": rng.integers(0, 4, n),
            "k": rng.integers(0, 9, n),
        }
    )
    data["y"] = data["x"] + rng.normal(size=20)[data["g"]] + rng.normal(size=9)[data["k"]] * (1 + data["x"])
    data["y"] += 0.7 * rng.normal(size=80)[data["g"] * 4 + data["h"]] + rng.normal(size=n)
    return data


def fit(formula, data, method="reml"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BimixedWarning)
        return bm.ModelSpec(formula, data).fit(method)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("power", [-8, -4, 4, 8])
@pytest.mark.parametrize("far", [0.0, 1e4, 1e8])
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_scale_and_offset_of_the_response(structure, power, far, method):
    """The fit of s(y + far) is that of y.

    Tolerance 1e-8; adding 1e4 or 1e8 to the response leaves it 12 or 8 digits of its own, so that the data
    themselves differ by 1e-12 or 1e-8 of an sd.
    """
    data = table()
    unit = 10.0**power
    base, moved = fit(STRUCTURES[structure], data, method), None
    moved = fit(STRUCTURES[structure], data.assign(y=(data["y"] + far) * unit), method)
    tolerance = 1e-8 + 1e-15 * far * 100
    for key, theta in base.theta.items():
        np.testing.assert_allclose(moved.theta[key], theta, atol=100 * tolerance * (1 + np.abs(theta).max()))
    assert moved.sigma / unit == pytest.approx(base.sigma, rel=100 * tolerance)
    np.testing.assert_allclose(moved.fixef["std_error"] / unit, base.fixef["std_error"], rtol=100 * tolerance)
    expected = base.fixef["estimate"] + far * (base.fixef.index == "Intercept")
    error = (moved.fixef["estimate"] / unit - expected).abs() / base.fixef["std_error"]
    assert error.max() < 100 * tolerance + 1e-15 * far
    df = base.nobs - (len(base.fixef) if method == "reml" else 0)
    assert moved.loglik + df * np.log(unit) == pytest.approx(base.loglik, abs=1e-7 + 1e-14 * far)
    assert moved.diagnostics.converged


@pytest.mark.parametrize("sd", [0.0, 1e-9, 1e-6, 1e-4, 1e-2, 1.0])
def test_between_group_coefficients_near_a_zero_variance(sd):
    """They are generalised least squares at the estimated variance, however small that is.

    statsmodels returns exactly 0 for them where the variance falls below 1e-10 (its issue 10239). Tolerance
    1e-8 and ten roundings of cross-products, over what is left of these between groups, σ²/(nτ²).
    """
    rng = np.random.default_rng(7)
    m, n = 40, 12
    g = np.repeat(np.arange(m), n)
    treated = (np.arange(m) % 2)[g]
    x = rng.normal(size=m * n)
    e = rng.normal(size=(m, n))
    e -= e.mean(axis=1, keepdims=True) * (sd < 1)  # less variation between groups than chance
    y = 5.0 + 2.0 * treated + 0.5 * x + sd * rng.normal(size=m)[g] + 1e-3 * e.ravel()
    data = pd.DataFrame({"y": y, "treated": treated, "x": x, "g": g})
    ours = fit("y ~ treated + x + (1 | g)", data)
    assert (
        abs(ours.fixef.loc["treated", "estimate"] - 2.0) < 4 * ours.fixef.loc["treated", "std_error"] + 1e-3
    )
    tau2, sigma2 = ours.random_cov["g"].iloc[0, 0], ours.sigma**2
    X = np.column_stack([np.ones(m * n), treated, x])
    # V⁻¹ of compound symmetry in closed form
    shrink = tau2 / (sigma2 + n * tau2)

    def inverse(M):
        sums = np.add.reduceat(M, np.arange(0, m * n, n), axis=0)
        return (M - shrink * np.repeat(sums, n, axis=0)) / sigma2

    information = X.T @ inverse(X)
    beta = np.linalg.solve(information, X.T @ inverse(y[:, None]))[:, 0]
    tolerance = 1e-8 + 1e-15 * n * tau2 / sigma2
    np.testing.assert_allclose(ours.fixef["estimate"], beta, rtol=tolerance)
    se = np.sqrt(np.diag(np.linalg.inv(information)))
    np.testing.assert_allclose(ours.fixef["std_error"], se, rtol=tolerance)


def test_125066_groups():
    """The size of statsmodels' issue 9097: two factors, a number, 125,066 random intercepts."""
    rng = np.random.default_rng(9)
    n, groups = 400_000, 125_066
    g = np.concatenate([np.arange(groups), rng.integers(0, groups, n - groups)])
    data = pd.DataFrame(
        {
            "a": rng.choice(list("pqr"), n),
            "b": rng.choice(["no", "yes"], n),
            "x": rng.normal(size=n),
            "unit": g,
        }
    )
    truth = {"Intercept": 1.0, "a[T.q]": 0.2, "a[T.r]": -0.3, "b[T.yes]": 0.5, "x": 0.1}
    data["y"] = 1.0 + data["a"].map({"p": 0.0, "q": 0.2, "r": -0.3}) + 0.5 * (data["b"] == "yes")
    data["y"] += 0.1 * data["x"] + 0.8 * rng.normal(size=groups)[g] + 1.2 * rng.normal(size=n)
    ours = bm.ModelSpec("y ~ a + b + x + (1 | unit)", data).fit()
    assert ours.diagnostics.ok
    assert ours.ngroups == {"unit": groups}
    z = (ours.fixef["estimate"] - pd.Series(truth)) / ours.fixef["std_error"]
    assert z.abs().max() < 4
    table = ours.variance_table()
    for name, value in {"sd_unit[Intercept]": 0.8, "sigma": 1.2}.items():
        row = table.loc[name]
        assert abs(row["estimate"] - value) < 4 * row["std_error"]


@pytest.mark.parametrize("power", [-6, -3, 0, 3, 5, 7])
@pytest.mark.parametrize("term", ["(x | g)", "(x || g)", "(1 | g) + (1 | h)"])
def test_far_starts_arrive_or_say_so(power, term):
    rng = np.random.default_rng(1)
    data = pd.DataFrame(
        {
            "g": np.repeat(np.arange(12), 10),
            "h": np.tile(np.arange(10), 12),
            "x": rng.normal(size=120),
            "y": rng.normal(size=120),
        }
    )
    data["y"] += rng.normal(size=12)[data["g"]]
    spec = bm.ModelSpec(f"y ~ x + {term}", data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BimixedWarning)
        best = spec.fit()
        for seed in range(4):
            size = np.random.default_rng(seed).uniform(0.1, 1.0, len(np.concatenate([*best.theta.values()])))
            size[seed % len(size)] *= 10.0**power
            try:
                found = spec.fit(start=size)
            except bm.FitError:
                continue
            if found.diagnostics.converged:
                assert found.loglik == pytest.approx(best.loglik, abs=1e-6)


@pytest.mark.parametrize("term", ["(1 | g)", "(x | g)", "(1 | g) + (1 | h)"])
def test_exact_fits_are_refused(term):
    g, h = np.repeat(np.arange(8), 10), np.tile(np.arange(10), 8)
    x = np.random.default_rng(0).normal(size=80)
    y = {"(1 | g)": g**2.0, "(x | g)": g + x * g**2, "(1 | g) + (1 | h)": g + h**2.0}[term] + 2 * x
    data = pd.DataFrame({"y": y, "x": x, "g": g, "h": h})
    with pytest.raises(bm.FitError, match="exactly"):
        bm.ModelSpec(f"y ~ x + {term}", data).fit()


@pytest.mark.parametrize("terms", ["(t | g)", "(t | g) + (1 | k)", "(1 | g) + (t | k)", "(t + u | g/h)"])
@pytest.mark.parametrize("far", [1e2, 1e4, 1e6])
def test_covariates_far_from_zero(terms, far):
    """Random slopes of a covariate far from 0 give the fit of the covariate centred.

    Adding ``far`` leaves a covariate of sd 1 16 digits less those of ``far``; roundings, up to 1e-16 × far,
    move the deviance by as much times n. An optimum is known to 1e-6 of its standard errors.
    """
    data = table(n=400)
    data["u"] = np.random.default_rng(2).normal(size=400)
    data["x"] = (data["x"] + far) - far  # rounded likewise
    rounding = 1e-15 * far * len(data)
    base = fit(f"y ~ t + u + {terms}", data.assign(t=data["x"]))
    moved = fit(f"y ~ t + u + {terms}", data.assign(t=data["x"] + far))
    assert moved.loglik == pytest.approx(base.loglik, abs=1e-8 + rounding)
    assert moved.diagnostics.ok == base.diagnostics.ok
    close = {"rtol": 1e-5 + rounding, "atol": 1e-6}
    np.testing.assert_allclose(moved.fixef.iloc[1:, :2], base.fixef.iloc[1:, :2], **close)
    np.testing.assert_allclose(moved.predict(), base.predict(), atol=1e-5)
    for key, H in base.random_cov.items():
        shift = np.eye(len(H))
        if "t" in H:
            shift[0, list(H).index("t")] = -far
        expected = shift @ H @ shift.T
        np.testing.assert_allclose(moved.random_cov[key], expected, rtol=1e-5 + rounding)
        np.testing.assert_allclose(
            moved.ranef[key].to_numpy(), base.ranef[key].to_numpy() @ shift.T, rtol=1e-4, atol=1e-5 * far
        )
    mine, theirs = moved.conf_int(), base.conf_int()
    slopes = [name for name in theirs.index if name.startswith("sd_") and "Intercept" not in name]
    np.testing.assert_allclose(mine.loc[slopes], theirs.loc[slopes], rtol=1e-4)


def test_standard_errors_far_from_zero_follow_from_the_centred_fit():
    """Delta method by hand: the variance at x = 0 is linear in the entries of the centred covariance."""
    data = bm.load_dataset("sleepstudy")
    far = 1e5
    base = fit("Reaction ~ Days + (Days | Subject)", data)
    moved = fit("Reaction ~ Days + (Days | Subject)", data.assign(Days=data["Days"] + far))
    variances = base.uncertainty.variance_scales
    cov, _, _ = variances._covariance()

    def log_sd_and_z(theta, log_s2):
        T = np.array([[theta[0], 0.0], [theta[1], theta[2]]])
        shifted = np.array([[1.0, -far], [0.0, 1.0]]) @ variances.coordinates.M[0] @ T
        sd = np.linalg.norm(shifted, axis=1)
        det = np.prod(np.diag(variances.coordinates.M[0]) * np.diag(T))
        sine = abs(det) / sd.prod()  # sin² = det/(product of variances)
        z = np.log((1.0 + np.sqrt(1.0 - sine**2)) / sine)
        return np.array([*(np.log(sd) + 0.5 * log_s2), -z, 0.5 * log_s2])

    J = np.empty((4, 4))
    for i in range(4):
        h = 1e-5 * np.eye(4)[i]
        point = np.append(variances.theta, 0.0)
        up, down = point + h, point - h
        J[:, i] = (log_sd_and_z(up[:3], up[3]) - log_sd_and_z(down[:3], down[3])) / 2e-5
    expected = np.sqrt(np.diag(J @ cov @ J.T))
    found = moved.uncertainty.variance_scales()
    assert found.values[2] < -1.0 + 1e-9
    np.testing.assert_allclose(found.transformed_se, expected, rtol=1e-4)


@pytest.mark.parametrize("column", ["y", "x"])
def test_numbers_that_cannot_be_squared_are_refused(column):
    data = table()
    for size in (1e80, 1e300):
        with pytest.raises(bm.DataError, match=rf"{column}.*Change its units"):
            bm.ModelSpec("y ~ x + (x | g)", data.assign(**{column: data[column] * size}))
    with pytest.raises(bm.FitError, match="Change its units"):
        bm.ModelSpec("y ~ x + (x | g)", data.assign(y=data["y"] * 1e-90)).fit()
    exog = np.column_stack([np.ones(len(data)), data["x"] * 1e90])
    with pytest.raises(bm.DataError, match=r"exog.*Change its units"):
        bm.ModelSpec.from_arrays(data["y"], exog, data["g"])


def test_a_covariate_that_its_rounding_hides_is_told():
    data = table()
    with pytest.warns(bm.IdentificationWarning, match=r"Centre the covariates"):
        ours = bm.ModelSpec("y ~ x + (t | g)", data.assign(t=data["x"] + 1e11)).fit()
    assert not ours.diagnostics.ok


def test_a_trailing_part_that_no_machine_holds_is_refused(monkeypatch):
    from bimixed import schur

    monkeypatch.setattr(schur, "COPIES", 1e9)
    monkeypatch.setattr(schur, "DENSE_WIDTH", 0)
    with pytest.raises(bm.FitError, match="GiB"):
        bm.ModelSpec("y ~ x + (1 | g) + (1 | k)", table()).fit()
