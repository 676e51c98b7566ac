"""The PyMC model's density and prior against formulas written out with SciPy."""

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import scipy.stats as st
from prior_density import density

import bimixed as bm
from bimixed.bayes.model import build_model, correlation_factor
from bimixed.design import build_design
from bimixed.formula import parse_formula
from bimixed.priors import Prior, Priors, resolve_priors


def table():
    rng = np.random.default_rng(1)
    n = 30
    data = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n), "g": rng.integers(0, 4, n)})
    data["h"] = rng.integers(0, 3, n)
    data["y"] = rng.normal(size=n) + data["x"]
    data["w"] = rng.uniform(0.5, 2, n)
    return data


GIVEN = {
    "x": Prior("student_t", nu=4, mu=1, sigma=2),
    "sd_g[x]": Prior("exponential", rate=2),
    "sd_g[z]": Prior("gamma", alpha=2, beta=3),
    "sd_h": Prior("uniform", lower=0, upper=9),
    "sigma": Prior("half_normal", sigma=3),
    "corr_g": Prior("lkj", eta=1.7),
}


@pytest.mark.parametrize("centered", [True, False])
def test_density_of_the_hierarchical_model(centered):
    """Every family, a correlated triple of coefficients, a crossed factor, weights and an offset.

    Tolerance 1e-8: PyMC's exponential keeps the constant log 2 in single precision (2e-9).
    """
    data = table()
    design = build_design(
        parse_formula("y ~ x + z + (x + z | g) + (0 + x || h)"), data, weights="w", offset="z"
    )
    priors = resolve_priors(design, GIVEN)
    model = build_model(design, priors, {"g": centered, "h": centered})
    rng = np.random.default_rng(2)
    free = {v.name: v for v in model.free_RVs}
    point = {}
    for name, variable in free.items():
        shape = tuple(np.asarray(variable.shape.eval()))
        positive = name.startswith(("sd_", "sigma"))
        point[name] = rng.uniform(0.2, 1.5, shape) if positive else rng.normal(size=shape) * 0.7
        if name.startswith("partial_corr"):
            point[name] = rng.uniform(0.2, 0.8, shape)
    logp = model.compile_fn(model.logp(jacobian=False), inputs=model.value_vars, mode="FAST_COMPILE")
    values = {}
    for name, variable in free.items():
        value_var = model.rvs_to_values[variable]
        transform = model.rvs_to_transforms[variable]
        raw = point[name]
        if transform is not None:
            raw = transform.forward(raw, *variable.owner.inputs).eval()
        values[value_var.name] = raw
    found = float(logp(values))
    assert found == pytest.approx(by_hand(design, priors, point, centered), abs=1e-8)


def test_density_with_signed_sds():
    """Non-centred half-normal and half-t sds are |s| of a symmetric s, and signs move to the effects."""
    design = build_design(parse_formula("y ~ x + (x | g)"), table())
    given = {"sd_g[x]": Prior("half_student_t", nu=5, sigma=2), "corr_g": Prior("lkj", eta=1.5)}
    priors = resolve_priors(design, {**given, "fixef": Prior("student_t", nu=3, mu=0, sigma=5)})
    model = build_model(design, priors, {"g": False})
    rng = np.random.default_rng(3)
    s, z, unit = np.array([-0.7, 0.4]), rng.normal(size=(4, 2)), 0.7
    beta, sigma = np.array([0.3, -0.2]), 1.3
    values = {
        "fixef": beta, "sigma_log__": np.log(sigma), "signed_sd_g[0]": s[0], "signed_sd_g[1]": s[1],
        "z_g[0]": z[:, 0], "z_g[1]": z[:, 1],
        "partial_corr_g_unit_logodds__": np.log([unit / (1 - unit)]),
    }  # fmt: skip
    logp = model.compile_fn(model.logp(jacobian=False), inputs=model.value_vars, mode="FAST_COMPILE")
    found = float(logp({v.name: values[v.name] for v in model.value_vars}))
    scale = [priors[f"sd_g[{c}]"].parameters for c in ("Intercept", "x")]
    rho = 2 * unit - 1
    total = st.t.logpdf(beta, 3, 0, 5).sum() + density(priors["sigma"], sigma)
    total += sum(st.t.logpdf(v, p["nu"], 0, p["sigma"]) for v, p in zip(s, scale, strict=True))
    total += st.beta.logpdf(unit, 1.5, 1.5) + st.norm.logpdf(z).sum()
    u = (z @ np.linalg.cholesky([[1, rho], [rho, 1]]).T) * s
    mu = design.X @ beta + (design.factors[0].values * u[design.factors[0].codes]).sum(axis=1)
    total += st.norm.logpdf(design.y, mu, sigma).sum()
    assert found == pytest.approx(total, abs=1e-8)
    # what is reported: positive sds, and the correlation with the signs
    names = ["sd_g", "corr_g", "ranef_g"]
    report = model.compile_fn(
        model.replace_rvs_by_values([model[n] for n in names]),
        inputs=model.value_vars, mode="FAST_COMPILE", on_unused_input="ignore",
    )  # fmt: skip
    sd, corr, ranef = report({v.name: values[v.name] for v in model.value_vars})
    np.testing.assert_allclose(sd, np.abs(s))
    assert corr[0, 1] == pytest.approx(-rho)
    np.testing.assert_allclose(ranef, u, rtol=1e-7)


def by_hand(design, priors, point, centered):
    beta = np.array([point[f"fixef[{n}]"] for n in design.names])
    total = sum(density(priors[n], b) for n, b in zip(design.names, beta, strict=True))
    sd_g = np.array([point[f"sd_g[{n}]"] for n in ("Intercept", "x", "z")])
    for name, s in zip(("Intercept", "x", "z"), sd_g, strict=True):
        total += density(priors[f"sd_g[{name}]"], s)
    sd_h = np.atleast_1d(point["sd_h"])
    total += np.sum(density(priors["sd_h[x]"], sd_h))
    sigma = point["sigma"]
    total += density(priors["sigma"], sigma)
    # LKJ by partial correlations: Betas with η + (d − 1 − i)/2, i conditioned on i − 1 others
    eta, unit = GIVEN["corr_g"].parameters["eta"], point["partial_corr_g_unit"]
    b = np.array([eta + 0.5, eta + 0.5, eta])  # pairs (2,1), (3,1), (3,2 | 1)
    total += st.beta.logpdf(unit, b, b).sum()
    p = 2 * unit - 1
    rho = np.eye(3)
    rho[0, 1] = rho[1, 0] = p[0]
    rho[0, 2] = rho[2, 0] = p[1]
    rho[1, 2] = rho[2, 1] = p[2] * np.sqrt((1 - p[0] ** 2) * (1 - p[1] ** 2)) + p[0] * p[1]
    cov = np.outer(sd_g, sd_g) * rho
    if centered:
        # drawn around the fixed effects of the same names
        u_g = np.column_stack([point[f"u_g[{k}]"] for k in range(3)]) - beta
        u_h = point["u_h[0]"]
        total += st.multivariate_normal.logpdf(u_g, np.zeros(3), cov).sum()
        total += st.norm.logpdf(u_h, 0, sd_h[0]).sum()
    else:
        z = np.column_stack([point[f"z_g[{k}]"] for k in range(3)])
        u_g = z @ np.linalg.cholesky(cov).T
        u_h = point["z_h[0]"] * sd_h[0]
        total += st.norm.logpdf(z).sum() + st.norm.logpdf(point["z_h[0]"]).sum()
    g, h = design.factors
    mu = design.offset + design.X @ beta
    mu = mu + (g.values * u_g[g.codes]).sum(axis=1) + h.values[:, 0] * u_h[h.codes]
    return total + st.norm.logpdf(design.y, mu, sigma / np.sqrt(design.weights)).sum()


@pytest.mark.parametrize(("d", "eta"), [(2, 1.0), (2, 3.0), (3, 2.0), (4, 0.8)])
def test_correlations_have_the_lkj_marginals(d, eta):
    """Each correlation of LKJ(η) is 2·Beta(a, a) − 1 with a = η − 1 + d/2 (Lewandowski et al. 2009).

    Kolmogorov-Smirnov over 4,000 seeded draws; the six p-values of d = 4 stay above 1e-3.
    """
    names = tuple("abcdef"[:d])
    data = table().assign(**{n: np.random.default_rng(3).normal(size=30) for n in names})
    design = build_design(parse_formula(f"y ~ 1 + (0 + {' + '.join(names)} | g)"), data)
    with pm.Model(coords={"g_coefficient": names}) as model:
        of = {"corr_g": Prior("lkj", eta=eta)}
        correlation_factor(model, design.factors[0], "g", Priors(of, frozenset()))
        draws = pm.draw(model["corr_g"], draws=4000, random_seed=7)
    np.testing.assert_allclose(np.diagonal(draws, axis1=1, axis2=2), 1.0, atol=1e-12)
    a = eta - 1 + d / 2
    for i in range(d):
        for j in range(i):
            p = st.kstest((draws[:, i, j] + 1) / 2, st.beta(a, a).cdf).pvalue
            assert p > 1e-3


def test_named_dims_and_coords():
    spec = bm.ModelSpec("log_radon ~ floor + (1 + floor | county)", bm.load_dataset("radon"))
    model = build_model(spec.design, spec.priors, {"county": False})
    dims = model.named_vars_to_dims
    assert dims["fixef"] == ("coefficient",)
    assert dims["sd_county"] == ("county_coefficient",)
    assert dims["corr_county"] == ("county_coefficient", "county_coefficient_2")
    assert dims["ranef_county"] == ("county", "county_coefficient")
    assert list(model.coords["coefficient"]) == ["Intercept", "floor"]
    assert model.coords["county"][0] == "AITKIN"
    assert len(model.coords["county"]) == 85
    assert {v.name for v in model.observed_RVs} == {"y"}


def test_what_is_sampled_for_each_parameterization():
    spec = bm.ModelSpec("log_radon ~ floor + (1 | county)", bm.load_dataset("radon"))
    for centered, name in ((True, "u_county[0]"), (False, "z_county[0]")):
        model = build_model(spec.design, spec.priors, {"county": centered})
        assert name in {v.name for v in model.free_RVs}


@pytest.mark.parametrize("members", [2, 20])
def test_rows_that_combine_levels(members):
    """The linear predictor is Zb, however many levels a row has."""
    rng = np.random.default_rng(members)
    Z = np.zeros((40, 25))
    for row in Z:
        row[rng.choice(25, rng.integers(0, members + 1), replace=False)] = rng.normal()
    Z[0] = 0.0
    spec = bm.ModelSpec.from_arrays(rng.normal(size=40), np.ones((40, 1)), exog_vc={"m": Z})
    for centered in (True, False):
        model = build_model(spec.design, spec.priors, {"m": centered})
        effects, intercept = rng.normal(size=(25, 1)), 0.7
        mean = model["y"].owner.inputs[-2]
        given = {model["ranef_m"]: effects, model["fixef"]: np.array([intercept])}
        np.testing.assert_allclose(mean.eval(given), intercept + Z @ effects[:, 0], atol=1e-12)
