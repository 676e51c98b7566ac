"""The marginal posterior against densities put together by hand, finite differences, and REML."""

import numpy as np
import pytest
from scipy import optimize, stats
from scipy.linalg import block_diag

import bimixed as bm
from bimixed.marginal.posterior import MarginalPosterior, fixef_prior
from bimixed.marginal.scales import Scale

P = bm.Prior
FAMILIES = {
    "half_normal": (P("half_normal", sigma=2.0), lambda x: stats.halfnorm(scale=2.0).logpdf(x)),
    "half_student_t": (
        P("half_student_t", nu=3, sigma=2.0),
        lambda x: np.log(2.0) + stats.t(3, scale=2.0).logpdf(x),
    ),
    "exponential": (P("exponential", rate=0.7), lambda x: stats.expon(scale=1 / 0.7).logpdf(x)),
    "gamma": (P("gamma", alpha=2.5, beta=0.8), lambda x: stats.gamma(2.5, scale=1 / 0.8).logpdf(x)),
    "uniform": (P("uniform", lower=0.2, upper=4.0), lambda x: stats.uniform(0.2, 3.8).logpdf(x)),
    "flat": (P("flat"), lambda x: 0.0 * x),
}
MODELS = {
    "slope": ("Reaction ~ Days + (Days | Subject)", {}),
    "uncorrelated": ("Reaction ~ Days + (Days || Subject)", {"sd": P("gamma", alpha=2, beta=0.1)}),
    "three": ("Reaction ~ Days + (Days + I(Days**2) | Subject)", {"sigma": P("exponential", rate=0.1)}),
    "weights": ("Reaction ~ Days + (Days | Subject)", {"Days": P("flat")}),
}


def posterior(name):
    formula, priors = MODELS[name]
    data = bm.load_dataset("sleepstudy")
    data["w"] = np.random.default_rng(0).uniform(0.5, 3.0, len(data))
    spec = bm.ModelSpec(formula, data, priors=priors, weights="w" if name == "weights" else None)
    return spec, MarginalPosterior.of(spec.design, spec.priors, fixef_prior(spec.design, spec.priors))


def somewhere(found, seed=0):
    rng = np.random.default_rng(seed)
    z = 0.4 * rng.normal(size=found.coordinates.size)
    for block in found.coordinates.blocks:
        z[block.start : block.start + block.size] += 1.5
    z[-1] += 3.2
    return z


@pytest.mark.parametrize("family", FAMILIES)
def test_priors_of_scales(family):
    """Against SciPy's densities, 1e-12; slopes and Jacobians by differences, 1e-6."""
    prior, expected = FAMILIES[family]
    scale, h = Scale(prior), 1e-6
    for x in (0.3, 1.1, 3.7):
        assert scale.log_density(x)[0] == pytest.approx(expected(x), abs=1e-12)
        difference = (scale.log_density(x + h)[0] - scale.log_density(x - h)[0]) / (2 * h)
        assert scale.log_density(x)[1] == pytest.approx(difference, abs=1e-6)
        z = scale.coordinate(x)
        assert scale.value(z)[0] == pytest.approx(x, rel=1e-12)
        rate = (scale.value(z + h)[0] - scale.value(z - h)[0]) / (2 * h)
        assert scale.value(z)[1] == pytest.approx(rate, rel=1e-6)
        assert scale.log_jacobian(z)[0] == pytest.approx(np.log(rate), abs=1e-6)
        difference = (scale.log_jacobian(z + h)[0] - scale.log_jacobian(z - h)[0]) / (2 * h)
        assert scale.log_jacobian(z)[1] == pytest.approx(difference, abs=1e-6)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("jacobians", [True, False])
def test_slopes_against_differences(name, jacobians):
    _, found = posterior(name)
    for seed in range(3):
        z, h = somewhere(found, seed), 1e-5
        slope = found(z, jacobians)[1]
        steps = h * np.eye(len(z))
        numeric = [(found(z + s, jacobians)[0] - found(z - s, jacobians)[0]) / (2 * h) for s in steps]
        np.testing.assert_allclose(slope, numeric, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "weights"])
def test_against_a_density_by_hand(name):
    """Dense normal density, LKJ as det(R)^(η − 1), Jacobian by differences; constants cancel between points.

    Tolerance 1e-6: the Jacobian's differences.
    """
    spec, found = posterior(name)
    design, priors = spec.design, spec.priors
    (factor,) = design.factors
    pairs = factor.template.correlated_pairs()

    def natural(z):
        (L,) = found.coordinates.factors(z)
        cov = L @ L.T
        sd = np.sqrt(np.diag(cov))
        return np.array([*sd, *(cov[i, j] / sd[i] / sd[j] for i, j in pairs), np.exp(z[-1])])

    def by_hand(z):
        (L,), sigma = found.coordinates.factors(z), np.exp(z[-1])
        sd = np.sqrt(np.diag(L @ L.T))
        Z, X = factor.matrix().toarray(), design.X_kept
        prior_sd = np.array([priors[n].parameters["sigma"] for n in design.names])
        mean = np.array([priors[n].parameters["mu"] for n in design.names])
        cov = sigma**2 * np.eye(design.n) + Z @ block_diag(*[L @ L.T] * factor.n_levels) @ Z.T
        value = stats.multivariate_normal(X @ mean, cov + (X * prior_sd**2) @ X.T).logpdf(design.y)
        value += sum(
            Scale(priors[f"sd_Subject[{n}]"]).log_density(s)[0] for n, s in zip(factor.names, sd, strict=True)
        )
        value += Scale(priors["sigma"]).log_density(sigma)[0]
        if pairs:
            eta = priors["corr_Subject"].parameters["eta"]
            value += (eta - 1.0) * np.linalg.slogdet(L / sd[:, None] @ (L / sd[:, None]).T)[1]
        h = 1e-5 * np.eye(len(z))
        jacobian = np.array([(natural(z + s) - natural(z - s)) / 2e-5 for s in h])
        return value + np.linalg.slogdet(jacobian)[1]

    points = [somewhere(found, seed) for seed in range(4)]
    ours = np.array([found(z)[0] for z in points])
    theirs = np.array([by_hand(z) for z in points])
    np.testing.assert_allclose(np.diff(ours), np.diff(theirs), atol=1e-6 * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("formula", "data"),
    [
        ("Reaction ~ Days + (Days | Subject)", "sleepstudy"),
        ("Yield ~ 1 + (1 | Batch)", "dyestuff"),
        ("distance ~ age * Sex + (1 | Subject)", "orthodont"),
    ],
)
def test_the_mode_under_flat_priors_is_reml(formula, data):
    """Flat priors, lkj(1), no Jacobians: log-likelihood to 1e-8 and sds to 1e-6, where the search ends."""
    keys = {"sd": P("flat"), "sigma": P("flat"), "fixef": P("flat")}
    if "Days |" in formula:
        keys["corr_Subject"] = P("lkj", eta=1)
    spec = bm.ModelSpec(formula, bm.load_dataset(data), priors=keys)
    reml = spec.fit()
    found = MarginalPosterior.of(spec.design, spec.priors, fixef_prior(spec.design, spec.priors))
    coordinates = found.coordinates

    def loglik(z):
        value, slope = found(z, jacobians=False)
        prior, prior_slope = coordinates.log_prior(z, jacobians=False)
        return -(value - prior), -(slope - prior_slope)

    start = np.zeros(coordinates.size)
    start[-1] = np.log(reml.sigma) + 0.3
    for block in coordinates.blocks:
        start[block.start : block.start + block.size] = np.log(reml.sigma) - 0.5
    best = optimize.minimize(loglik, start, jac=True, method="BFGS", options={"gtol": 1e-7})
    assert -best.fun == pytest.approx(reml.loglik, abs=1e-8)
    (L,) = coordinates.factors(best.x)
    (cov,) = (reml.random_cov[key] for key in reml.random_cov)
    np.testing.assert_allclose(np.sqrt(np.diag(L @ L.T)), np.sqrt(np.diag(cov)), rtol=1e-5)
    assert np.exp(best.x[-1]) == pytest.approx(reml.sigma, rel=1e-6)
