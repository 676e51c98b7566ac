"""Draws from priors against scipy's distributions, brute-force correlation matrices and dense covariances.

Seeds are fixed. Kolmogorov-Smirnov p-values above 1e-3, and means within five Monte Carlo errors, let a
correct sampler through but for a chance of about 1 in 1000 when a seed is changed.
"""

import numpy as np
import pandas as pd
import pytest
import xarray
from scipy import stats

import bimixed as bm
from bimixed.prior_draws import draw_parameters
from bimixed.prior_marginals import marginals

P = bm.Prior
FAMILIES = {
    P("normal", mu=3, sigma=2): stats.norm(3, 2),
    P("student_t", nu=4, mu=-1, sigma=0.5): stats.t(4, -1, 0.5),
    P("half_normal", sigma=2): stats.halfnorm(0, 2),
    P("exponential", rate=4): stats.expon(0, 0.25),
    P("gamma", alpha=2.5, beta=3): stats.gamma(2.5, scale=1 / 3),
    P("uniform", lower=-1, upper=5): stats.uniform(-1, 6),
}


def table(n=24, seed=5):
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"x": rng.normal(2, 1, n), "z": rng.normal(size=n), "o": rng.normal(size=n) * 9})
    return data.assign(
        g=np.arange(n) % 4, h=np.arange(n) // 8, w=rng.uniform(0.3, 3, n), y=rng.normal(10, 3, n)
    )


def moments_are(draws, mean, cov, errors=5.0):
    """Mean and covariance of (draws, m) within Monte Carlo error of what they should be."""
    away = draws - mean
    products = away[:, :, None] * away[:, None, :]
    for found, expected in ((draws, mean), (products, cov)):
        error = found.std(axis=0) / np.sqrt(len(draws))
        assert (np.abs(found.mean(axis=0) - expected) <= errors * error + 1e-12).all()


@pytest.mark.parametrize("prior", FAMILIES, ids=lambda p: p.family)
def test_every_family_of_coefficients(prior):
    spec = bm.ModelSpec("y ~ 1 + (1 | g)", table(), priors={"Intercept": prior})
    drawn = spec.sample_prior(draws=4000, random_seed=3)["prior"]["fixef"].to_numpy().ravel()
    assert stats.kstest(drawn, FAMILIES[prior].cdf).pvalue > 1e-3
    [own, *_] = marginals(spec.design, spec.priors)
    x = FAMILIES[prior].ppf([0.01, 0.4, 0.99])
    np.testing.assert_allclose(own.distribution.pdf(x), FAMILIES[prior].pdf(x))
    assert own.sd == pytest.approx(FAMILIES[prior].std())


def test_half_student_t():
    prior = P("half_student_t", nu=4, sigma=3)
    spec = bm.ModelSpec("y ~ 1 + (1 | g)", table(), priors={"sigma": prior})
    drawn = spec.sample_prior(draws=4000, random_seed=3)["prior"]["sigma"].to_numpy().ravel()
    whole = np.abs(stats.t(4, 0, 3).rvs(200_000, random_state=4))
    assert stats.ks_2samp(drawn, whole).pvalue > 1e-3
    own = marginals(spec.design, spec.priors)[-1]
    x = np.linspace(0, 3000, 400_000)  # beyond is less than 1e-4 of the variance
    step = x[1] - x[0]
    density = own.distribution.pdf(x)
    mean = np.sum(x * density) * step
    assert np.sum(density) * step == pytest.approx(1.0, abs=step)
    assert own.sd == pytest.approx(np.sqrt(np.sum((x - mean) ** 2 * density) * step), rel=1e-3)
    np.testing.assert_allclose(own.distribution.cdf(own.distribution.ppf([0.1, 0.9])), [0.1, 0.9])
    np.testing.assert_allclose(own.log_density(x[1:5]), np.log(density[1:5]))
    assert own.distribution.cdf(-1.0) == own.distribution.pdf(-1.0) == 0.0
    heavier = spec.update(priors={"sigma": P("half_student_t", nu=2, sigma=1)})
    assert marginals(heavier.design, heavier.priors)[-1].sd == np.inf


@pytest.mark.parametrize("eta", [0.7, 1.0, 3.5])
def test_correlations_have_the_lkj_marginals(eta):
    priors = {"corr_g": P("lkj", eta=eta), "sd": P("uniform", lower=1, upper=2)}
    spec = bm.ModelSpec("y ~ x + z + (x + z + o | g)", table(), priors=priors)
    R = spec.sample_prior(draws=4000, random_seed=1)["prior"]["corr_g"].to_numpy()[0]
    expected = stats.beta(eta - 1 + 4 / 2, eta - 1 + 4 / 2, loc=-1, scale=2)
    for i, j in zip(*np.triu_indices(4, 1), strict=True):
        assert stats.kstest(R[:, i, j], expected.cdf).pvalue > 1e-3
    np.testing.assert_allclose(R, R.transpose(0, 2, 1))
    np.testing.assert_allclose(np.diagonal(R, axis1=1, axis2=2), 1.0)
    assert np.linalg.eigvalsh(R).min() > -1e-12
    found = [m for m in marginals(spec.design, spec.priors) if m.size]
    assert [m.name for m in found][:2] == ["corr_g[Intercept,x]", "corr_g[Intercept,z]"]
    assert found[0].sd == pytest.approx(expected.std())


def test_correlations_together_have_the_lkj_density():
    """Means of det R and r₁₂r₁₃r₂₃ beside uniform matrices that are weighted by det^(η − 1)."""
    eta, rng = 2.5, np.random.default_rng(2)
    spec = bm.ModelSpec("y ~ x + z + (x + z | g)", table(), priors={"corr_g": P("lkj", eta=eta)})
    R = spec.sample_prior(draws=20_000, random_seed=2)["prior"]["corr_g"].to_numpy()[0]
    r = rng.uniform(-1, 1, (400_000, 3))
    det = 1 + 2 * r.prod(axis=1) - (r**2).sum(axis=1)
    r, det = r[det > 0], det[det > 0]
    for drawn, brute in (
        (np.linalg.det(R), det),
        (R[:, 0, 1] * R[:, 0, 2] * R[:, 1, 2], r.prod(axis=1)),
    ):
        weight = det ** (eta - 1)
        expected = np.average(brute, weights=weight)
        error = np.sqrt(
            drawn.var() / len(drawn) + np.sum((weight * (brute - expected)) ** 2) / weight.sum() ** 2
        )
        assert abs(drawn.mean() - expected) < 5 * error


FORMULAS = {
    "slopes": "y ~ x + (x | g)",
    "blocks": "y ~ x + z + (1 + x | g) + (0 + z | g)",
    "crossed, uncorrelated": "y ~ 0 + x + (x || g) + (1 | h)",
    "no fixed effects": "y ~ 0 + (x | g)",
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", FORMULAS)
def test_responses_have_the_dense_moments(name, weighted):
    """Mean Xm + o, covariance XSX' + Z E[H] Z' + E[σ²] W⁻¹; correlations are 0 on average."""
    data = table()
    given = {
        "fixef": P("normal", mu=1, sigma=0.7),
        "sd": P("uniform", lower=0.5, upper=1.5),
        "sigma": P("gamma", alpha=9, beta=9),
    }
    if name == "no fixed effects":
        del given["fixef"]
    also = {"weights": "w", "offset": "o"} if weighted else {}
    spec = bm.ModelSpec(FORMULAS[name], data, priors=given, **also)
    y = spec.sample_prior(draws=4000, random_seed=8)["prior_predictive"]["y"].to_numpy()[0]
    X = spec.design.X
    mean = X.sum(axis=1) + (data["o"] if weighted else 0.0)
    second = stats.uniform(0.5, 1).var() + 1.0
    cov = 0.49 * X @ X.T + second * sum(Z.toarray() @ Z.toarray().T for Z in spec.design.Z.values())
    residual = stats.gamma(9, scale=1 / 9).var() + 1.0
    cov += np.diag(residual / (data["w"] if weighted else np.ones(len(data))))
    moments_are(y, np.asarray(mean), cov)


def test_random_effects_are_those_of_their_parameters():
    """The covariance over 4,000 levels is that of the draw, to five standard errors of the largest sds."""
    data = table(12_000).assign(g=np.arange(12_000) % 4000)
    spec = bm.ModelSpec("y ~ x + (x | g)", data, priors={"sd": P("uniform", lower=1, upper=9)})
    drawn = draw_parameters(spec.design, spec.priors, 20, np.random.default_rng(4))
    for sd, R, b in zip(drawn.sd["g"], drawn.corr["g"], drawn.ranef["g"], strict=True):
        error = 5 * np.sqrt(2 / 4000) * np.outer(sd, sd)
        assert (np.abs(b.T @ b / 4000 - np.outer(sd, sd) * R) < error).all()


def test_rows_that_combine_levels():
    rng = np.random.default_rng(0)
    member = rng.dirichlet(np.ones(5), 20)
    priors = {
        "fixef": P("normal", mu=0, sigma=0.5),
        "sd": P("half_normal", sigma=2),
        "sigma": P("half_normal", sigma=0.3),
    }
    spec = bm.ModelSpec.from_arrays(
        rng.normal(size=20), np.ones((20, 1)), exog_vc={"member": member}, priors=priors
    )
    y = spec.sample_prior(draws=4000, random_seed=1)["prior_predictive"]["y"].to_numpy()[0]
    moments_are(y, np.zeros(20), 0.25 + 4.0 * member @ member.T + 0.09 * np.eye(20))


def test_dropped_columns_have_no_draws():
    data = table().assign(twice=lambda d: 2 * d["x"])
    priors = {"fixef": P("normal", mu=1, sigma=1e-9), "sd": P("half_normal", sigma=1e-9)}
    spec = bm.ModelSpec("y ~ x + twice + z + (1 | g)", data, priors={**priors, "sigma": priors["sd"]})
    tree = spec.sample_prior(draws=50, random_seed=1)
    assert tree["prior"]["coefficient"].to_numpy().tolist() == ["Intercept", "x", "z"]
    expected = np.tile(1 + data["x"] + data["z"], (50, 1))
    np.testing.assert_allclose(tree["prior_predictive"]["y"][0], expected, atol=1e-6)


def test_names_and_dimensions_are_those_of_a_posterior(radon_nuts):
    posterior = radon_nuts.posterior["posterior"]
    tree = radon_nuts.spec.sample_prior(draws=7, random_seed=1)
    assert isinstance(tree, xarray.DataTree)
    assert set(tree["prior"].data_vars) == set(posterior.data_vars)
    for name, variable in posterior.data_vars.items():
        mine = tree["prior"][name]
        assert mine.dims == variable.dims
        for dim in variable.dims[2:]:
            assert mine[dim].to_numpy().tolist() == variable[dim].to_numpy().tolist()
    assert tree["prior"].sizes["chain"] == 1
    assert tree["prior"].sizes["draw"] == 7
    y = tree["prior_predictive"]["y"]
    assert y.dims == ("chain", "draw", "row")
    np.testing.assert_array_equal(tree["observed_data"]["y"], radon_nuts.design.y)
    predictive = radon_nuts.posterior_predictive(n=8, random_seed=1)["posterior_predictive"]
    assert predictive["row"].to_numpy().tolist() == y["row"].to_numpy().tolist()


@pytest.mark.parametrize("formula", [*FORMULAS.values(), "y ~ x + (1 | h/g)"])
def test_names_and_dimensions_are_those_of_the_model(formula):
    spec = bm.ModelSpec(formula, table())
    model, prior = spec.to_pymc(parameterization="centered"), spec.sample_prior(draws=3)["prior"]
    for name, dims in prior.data_vars.items():
        assert tuple(model.named_vars_to_dims.get(name, ())) == dims.dims[2:]
    reported = ("fixef", "sd_", "corr_", "ranef_", "sigma")
    theirs = {v for v in model.named_vars if v.startswith(reported) and "[" not in v}
    assert {v for v in theirs if not v.endswith("__")} == set(prior.data_vars)
    for dim, labels in prior.coords.items():
        if dim in model.coords:
            assert list(model.coords[dim]) == labels.to_numpy().tolist()


def test_the_seed_decides():
    spec = bm.ModelSpec("y ~ x + (x | g)", table())
    one, two, other = (spec.sample_prior(draws=20, random_seed=s) for s in (1, 1, 2))
    assert one.identical(two)
    assert not np.allclose(one["prior"]["sigma"], other["prior"]["sigma"])


def test_flat_priors_can_not_be_drawn():
    spec = bm.ModelSpec("y ~ x + (x | g)", table(), priors={"x": P("flat"), "sd": P("flat")})
    with pytest.raises(
        bm.PriorError, match=r"flat prior of x, sd_g\[Intercept\], sd_g\[x\].*update\(priors={'x'"
    ):
        spec.sample_prior()


@pytest.mark.parametrize(
    "wrong", [{"draws": 0}, {"draws": 2.5}, {"draws": True}, {"random_seed": "a"}, {"random_seed": -1}]
)
def test_wrong_requests(wrong):
    with pytest.raises(bm.FitError, match=next(iter(wrong))):
        bm.ModelSpec("y ~ x + (x | g)", table()).sample_prior(**wrong)


def test_arviz_reads_the_tree():
    import arviz

    tree = bm.ModelSpec("y ~ x + (x | g)", table()).sample_prior(draws=100, random_seed=1)
    summary = arviz.summary(tree, group="prior", var_names=["fixef", "sigma"], kind="stats")
    assert list(summary.index) == ["fixef[Intercept]", "fixef[x]", "sigma"]
