"""Posteriors: published ones, those integrated by brute force, and what a result makes of draws.

Monte Carlo error of a posterior mean is sd/√ESS; with ESS ≥ 400, four of them are 0.2 sd.
"""

import os
import pickle
import subprocess
import sys
import warnings

import arviz
import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp

import bimixed as bm
from bimixed.crossproducts import cross_products
from bimixed.likelihood.objective import evaluate
from bimixed.uncentred import uncentred_slopes


def test_published_stan_model(stan_nuts):
    """Means (0.68677, -0.68514, 0.38766) of log_uranium, floor, x_mean, to 0.02."""
    means = stan_nuts.fixef["estimate"]
    assert means["log_uranium"] == pytest.approx(0.68677, abs=0.02)
    assert means["floor"] == pytest.approx(-0.68514, abs=0.02)
    assert means["x_mean"] == pytest.approx(0.38766, abs=0.02)
    assert stan_nuts.diagnostics.converged


def posterior_by_quadrature(spec):
    """Posterior mean of (sd, sigma) of a random-intercept model with flat-like priors, on a grid.

    −2 log p(y | θ, σ) = REML deviance at θ with σ not profiled out: the marginal likelihood with β
    integrated over a flat prior. The spec's normal priors on β are so wide here that they count as flat.
    """
    cp = cross_products(spec.design)
    df = cp.n - cp.p
    sds, sigmas = np.linspace(0.005, 4, 200), np.linspace(0.4, 2.5, 160)
    log_p = np.empty((len(sds), len(sigmas)))
    for i, sd in enumerate(sds):
        for j, sigma in enumerate(sigmas):
            at = evaluate(cp, np.array([sd / sigma]), True)
            r2 = at.sigma2 * df
            profiled = df * (1 + np.log(2 * np.pi * at.sigma2))
            log_p[i, j] = -0.5 * (at.deviance - profiled + 2 * df * np.log(sigma) + r2 / sigma**2)
    for name, grid, axis in (("sd_g[Intercept]", sds, 0), ("sigma", sigmas, 1)):
        rate = spec.priors[name].parameters["rate"]
        log_p -= rate * (grid[:, None] if axis == 0 else grid[None, :])
    p = np.exp(log_p - logsumexp(log_p))
    sd_mean, sigma_mean = p.sum(1) @ sds, p.sum(0) @ sigmas
    sd_sd = np.sqrt(p.sum(1) @ (sds - sd_mean) ** 2)
    return sd_mean, sd_sd, sigma_mean


@pytest.mark.parametrize("parameterization", ["centered", "noncentered"])
def test_variances_against_quadrature(parameterization):
    rng = np.random.default_rng(11)
    g = np.repeat(np.arange(8), 6)
    data = pd.DataFrame({"g": g, "y": 0.8 * rng.normal(size=8)[g] + rng.normal(size=48)})
    spec = bm.ModelSpec(
        "y ~ 1 + (1 | g)",
        data,
        priors={
            "Intercept": bm.Prior("normal", mu=0, sigma=1000),
            "sd": bm.Prior("exponential", rate=1),
            "sigma": bm.Prior("exponential", rate=0.5),
        },
    )
    fit = spec.fit(
        method="nuts", random_seed=2, draws=2000, target_accept=0.95,
        parameterization=parameterization, progress=False,
    )  # fmt: skip
    sd_mean, sd_sd, sigma_mean = posterior_by_quadrature(spec)
    p = fit.uncertainty.variance_parameters()
    draws = np.sqrt(fit.diagnostics.ess_bulk_min)
    error = sd_sd / draws
    assert p.values[0] == pytest.approx(sd_mean, abs=4 * error)
    assert p.values[1] == pytest.approx(sigma_mean, abs=4 * p.std_errors[1] / draws)
    assert p.std_errors[0] == pytest.approx(sd_sd, rel=0.1)


def test_radon_posterior_beside_reml(radon_reml, radon_nuts):
    """Fixed effects within 0.2 posterior sd of REML, and standard errors within a fifth."""
    d = (radon_nuts.fixef["estimate"] - radon_reml.fixef["estimate"]) / radon_nuts.fixef["std_error"]
    assert d.abs().max() < 0.2
    ratio = radon_nuts.fixef["std_error"] / radon_reml.fixef["std_error"]
    assert ratio.between(0.85, 1.25).all()
    assert radon_nuts.diagnostics.ok
    assert radon_nuts.diagnostics.divergences == 0
    assert radon_nuts.diagnostics.rhat_max <= 1.01
    assert min(radon_nuts.diagnostics.ess_bulk_min, radon_nuts.diagnostics.ess_tail_min) >= 400


def test_the_posterior_is_a_datatree_with_named_variables(radon_nuts):
    posterior = radon_nuts.posterior["posterior"]
    assert set(posterior.data_vars) == {"fixef", "sd_county", "corr_county", "sigma", "ranef_county"}
    assert posterior["fixef"].dims == ("chain", "draw", "coefficient")
    assert posterior["ranef_county"].dims == ("chain", "draw", "county", "county_coefficient")
    assert posterior.sizes["chain"] == 4
    assert posterior.sizes["draw"] == 1000
    assert posterior["fixef"].sel(coefficient="floor").mean() == pytest.approx(
        radon_nuts.fixef.loc["floor", "estimate"]
    )


def test_tables_of_draws(radon_nuts):
    posterior = radon_nuts.posterior["posterior"]
    floor = posterior["fixef"].sel(coefficient="floor").to_numpy().ravel()
    assert radon_nuts.fixef.loc["floor", "std_error"] == pytest.approx(floor.std(ddof=1))
    np.testing.assert_allclose(radon_nuts.conf_int(0.9).loc["floor"], np.quantile(floor, [0.05, 0.95]))
    sd = posterior["sd_county"].sel(county_coefficient="floor").to_numpy().ravel()
    assert radon_nuts.varcorr["sd"][1] == pytest.approx(sd.mean())
    assert radon_nuts.varcorr["variance"][1] == pytest.approx((sd**2).mean())
    table = radon_nuts.coef_table()
    assert table[["df", "statistic", "p_value"]].isna().all().all()
    effect = posterior["ranef_county"].sel(county="ANOKA", county_coefficient="floor")
    assert radon_nuts.ranef["county"].loc["ANOKA", "floor"] == pytest.approx(float(effect.mean()))
    assert radon_nuts.ranef_sd["county"].loc["ANOKA", "floor"] == pytest.approx(effect.to_numpy().std(ddof=1))


def test_a_maximised_likelihood_is_refused(radon_nuts):
    for name in ("loglik", "aic", "bic", "df_model", "theta"):
        with pytest.raises(bm.UnavailableError, match=r"loo\(\)"):
            getattr(radon_nuts, name)


def test_loo_by_observation_and_group(radon_nuts):
    """The elpd by the usual weights, given all parameters, where their k is below 0.5: 906 of 919 rows.

    Tolerances are of the usual weights' Monte Carlo error with 4000 draws of 175 parameters: 0.04 in the
    worst of these rows, 0.1 in their sum.
    """
    found = radon_nuts.loo()
    posterior = radon_nuts.posterior["posterior"]
    mu = radon_nuts.uncertainty.linear_predictor(radon_nuts._training, np.random.default_rng(0))
    sd = radon_nuts.uncertainty.sigma[:, None]
    density = -0.5 * ((radon_nuts.design.y - mu) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)
    tree = {"posterior": {"sigma": posterior["sigma"]}, "log_likelihood": {"y": density.reshape(4, 1000, -1)}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        given_all = arviz.loo(arviz.from_dict(tree), pointwise=True)
    assert found.pareto_k.max() < 0.5 < given_all.pareto_k.max()
    fine = given_all.pareto_k.values < 0.5
    difference = found.elpd_i.values - given_all.elpd_i.values
    assert abs(difference[fine].sum()) < 0.4
    assert np.abs(difference[fine]).max() < 0.15
    assert found.p == pytest.approx(given_all.p, abs=0.3)
    by_county = radon_nuts.loo("group")
    assert by_county.pareto_k.max() < 0.7
    assert by_county.elpd_i.sel(county="ST LOUIS") < by_county.elpd_i.sel(county="AITKIN")
    assert by_county.elpd_i.shape == (85,)
    again = pickle.loads(pickle.dumps(radon_nuts))
    np.testing.assert_array_equal(again.loo("county").elpd_i, by_county.elpd_i)


def test_loo_given_coefficients_that_can_not_be_integrated_out():
    """Student's t with many degrees of freedom is nearly normal: the same elpd within Monte Carlo error.

    Given draws of the coefficient too, weights vary more; elpds of single rows differ by about 0.02.
    """
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(8), 6)
    data = pd.DataFrame({"g": g, "x": rng.normal(size=48)})
    data["y"] = 1.0 + 0.5 * data["x"] + 0.8 * rng.normal(size=8)[g] + rng.normal(size=48)
    kwargs = {"method": "nuts", "random_seed": 2, "progress": False}
    found = []
    for prior in (bm.Prior("normal", mu=0, sigma=2), bm.Prior("student_t", nu=1000, mu=0, sigma=2)):
        spec = bm.ModelSpec("y ~ x + (1 | g)", data, priors={"fixef": prior})
        found.append(spec.fit(**kwargs).loo())
    np.testing.assert_allclose(found[1].elpd_i, found[0].elpd_i, atol=0.1)
    assert found[1].elpd == pytest.approx(found[0].elpd, abs=0.3)
    assert found[1].p == pytest.approx(found[0].p, abs=0.3)
    table = arviz.compare({"normal": found[0], "t": found[1]}, round_to="none")
    assert table["dse"].max() < 0.2


def test_predictions_of_draws(radon_nuts, radon_reml):
    data = bm.load_dataset("radon")
    new = data.head(3).assign(county=["AITKIN", "NOWHERE", "NOWHERE"])
    kwargs = {"new_levels": "sample", "interval": "prediction", "random_seed": 1}
    mine = radon_nuts.predict(new, **kwargs)
    theirs = radon_reml.predict(new, **kwargs)
    # the two agree to a tenth of the half-width
    half = (theirs["upper"] - theirs["lower"]) / 2
    assert ((mine - theirs).abs().max(axis=1) < 0.1 * half).all()
    pd.testing.assert_frame_equal(mine, radon_nuts.predict(new, **kwargs))
    np.testing.assert_allclose(radon_nuts.predict()["estimate"], radon_nuts.fitted)
    population = radon_nuts.predict(new, new_levels="population", interval="confidence")
    sample = radon_nuts.predict(new, new_levels="sample", interval="confidence", random_seed=1)
    width = lambda t: t["upper"] - t["lower"]  # noqa: E731
    assert (width(sample).iloc[1:] > width(population).iloc[1:]).all()


def test_the_seed_decides_whatever_the_cores(stan_nuts):
    spec = stan_nuts.spec
    kwargs = {"method": "nuts", "draws": 50, "tune": 100, "chains": 2, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)
        one = spec.fit(random_seed=5, cores=1, **kwargs)
        two = spec.fit(random_seed=5, cores=2, **kwargs)
        other = spec.fit(random_seed=6, cores=2, **kwargs)
    pd.testing.assert_frame_equal(one.fixef, two.fixef)
    assert not np.allclose(one.fixef, other.fixef)
    assert not one.diagnostics.ok
    assert any("Ask for more" in m for m in one.diagnostics.messages)


def test_wrong_requests(radon_spec):
    with pytest.raises(bm.FitError, match="sampler"):
        radon_spec.fit("nuts", sampler="stan", progress=False)
    with pytest.raises(bm.FitError, match="form is 'centred'; choose one of auto, marginal"):
        radon_spec.fit("nuts", form="centred")
    with pytest.raises(bm.FitError, match="sampler='pymc' belongs to the hierarchical form"):
        radon_spec.fit("nuts", form="marginal", sampler="pymc")
    with pytest.raises(bm.FitError, match="draws"):
        radon_spec.fit("nuts", draws=0)
    with pytest.raises(bm.FitError, match="probability"):
        radon_spec.fit("nuts", target_accept=2)
    with pytest.raises(bm.FitError, match="random_seed"):
        radon_spec.fit("nuts", random_seed="a")
    with pytest.raises(bm.FitError, match="only for reml and ml"):
        radon_spec.fit("nuts", optimizer="TNC")
    with pytest.raises(bm.FitError, match="only for nuts and importance"):
        radon_spec.fit("reml", draws=100)
    with pytest.raises(bm.FitError, match="only for nuts"):
        radon_spec.fit("importance", tune=100)


def test_the_same_draws_with_a_cold_and_a_warm_cache(tmp_path):
    """Kernels from a cache must give the very numbers that freshly compiled ones give."""
    code = (
        "import bimixed as bm, hashlib, numpy as np, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "spec = bm.ModelSpec('Reaction ~ Days + (1 | Subject)', bm.load_dataset('sleepstudy'))\n"
        "fit = spec.fit('nuts', random_seed=1, draws=200, tune=200, chains=2, progress=False)\n"
        "sigma = np.asarray(fit.posterior['posterior']['sigma'])\n"
        "print(hashlib.sha256(sigma.tobytes()).hexdigest())\n"
    )
    flags = f"base_compiledir={tmp_path / 'pytensor'}"
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "numba"), "PYTENSOR_FLAGS": flags}
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1] != ""


def test_uncentred_random_slopes_are_told():
    data = bm.load_dataset("sleepstudy").assign(year=lambda d: d["Days"] + 2010)
    said = uncentred_slopes(bm.ModelSpec("Reaction ~ year + (year | Subject)", data).design)
    assert len(said) == 1
    assert "Centre it: I(year - 2014" in said[0] or "Centre it: I(year - 2015" in said[0]
    for fine in ("(Days | Subject)", "(year || Subject)", "(0 + year | Subject)"):
        assert not uncentred_slopes(bm.ModelSpec(f"Reaction ~ year + {fine}", data).design)


def test_correlations_of_draws_are_posterior_means(radon_nuts):
    corr = radon_nuts.posterior["posterior"]["corr_county"].mean(("chain", "draw"))
    np.testing.assert_allclose(radon_nuts.random_corr["county"], corr)
    parameters = radon_nuts.uncertainty.variance_parameters()
    assert parameters.values[2] == pytest.approx(float(corr[0, 1]))
