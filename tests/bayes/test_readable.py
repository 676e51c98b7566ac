"""The model that ``to_pymc`` gives: its density written out with SciPy, its draws, what users do with it."""

import arviz
import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytest
import scipy.stats as st
from prior_density import density
from scipy.special import betaln

import bimixed as bm
from bimixed.bayes.readable import readable_model

P = bm.Prior


@pytest.fixture
def interpreted():
    """Graphs that are evaluated once aren't worth compiling."""
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        yield


def table(n=40):
    rng = np.random.default_rng(1)
    data = pd.DataFrame({name: rng.normal(size=n) for name in ("x", "z", "v", "y")})
    return data.assign(g=rng.integers(0, 4, n), h=rng.integers(0, 3, n), w=rng.uniform(0.5, 2, n))


def memberships(n=40, levels=6):
    rng = np.random.default_rng(2)
    Z = np.zeros((n, levels))
    for row in Z[1:]:
        row[rng.choice(levels, 2, replace=False)] = rng.uniform(0.2, 0.8, 2)
    exog = np.column_stack([np.ones(n), rng.normal(size=n)])
    return bm.ModelSpec.from_arrays(rng.normal(size=n), exog, exog_vc={"m": Z})


FAMILIES = {
    "x": P("student_t", nu=4, mu=1, sigma=2),
    "sd_g[Intercept]": P("half_student_t", nu=5, sigma=2),
    "sd_g[x]": P("exponential", rate=2),
    "sd_g[z]": P("gamma", alpha=2, beta=3),
    "sd_h": P("uniform", lower=0, upper=9),
    "sigma": P("half_normal", sigma=3),
}
MODELS = {
    "correlated": lambda: bm.ModelSpec(
        "y ~ x + z + (x + z | g)", table(), priors={"corr_g": P("lkj", eta=1.7)}
    ),
    "uncorrelated": lambda: bm.ModelSpec("y ~ x + (x || g)", table()),
    "two blocks": lambda: bm.ModelSpec(
        "y ~ 1 + (x | g) + (0 + z + v | g)", table(), priors={"corr_g": P("lkj", eta=0.8)}
    ),
    "block and single": lambda: bm.ModelSpec("y ~ 1 + (0 + z | g) + (x | g)", table()),
    "families": lambda: bm.ModelSpec("y ~ x + (x + z | g) + (1 | h)", table(), priors=FAMILIES),
    "weights and offset": lambda: bm.ModelSpec(
        "y ~ x + (x | g)", table(), weights="w", offset="v", priors={"fixef": P("flat")}
    ),
    "no fixed effects": lambda: bm.ModelSpec("y ~ 0 + (x | g)", table()),
    "component": memberships,
    "crossed": lambda: bm.ModelSpec("y ~ x + (x | g) + (1 | h)", table(), priors={"sd": P("flat")}),
}


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_joint_density(name, centered):
    """Tolerance 1e-8: PyMC's exponential keeps the constant log 2 in single precision (2e-9)."""
    spec = MODELS[name]()
    design, priors = spec.design, spec.priors
    model = readable_model(design, priors, {f.key: centered for f in design.factors})
    at = point(design, np.random.default_rng(3))
    values = {}
    for variable in model.free_RVs:
        value, transform = model.rvs_to_values[variable], model.rvs_to_transforms[variable]
        raw = variable_at(variable.name, design, at)
        values[value.name] = (
            raw if transform is None else transform.forward(raw, *variable.owner.inputs).eval()
        )
    found = model.compile_logp(jacobian=False)(values)
    assert float(found) == pytest.approx(by_hand(design, priors, at, centered), abs=1e-8)
    # what it reports at this point
    names = [v.name for v in model.deterministics]
    report = model.compile_fn(
        model.replace_rvs_by_values([model[n] for n in names]),
        inputs=model.value_vars, on_unused_input="ignore",
    )  # fmt: skip
    for reported, value in zip(names, report(values), strict=True):
        np.testing.assert_allclose(value, variable_at(reported, design, at), rtol=1e-12, atol=1e-12)


def point(design, rng):
    """Some value of every parameter, by its name in the draws."""
    at = {"sigma": rng.uniform(0.5, 1.5), "fixef": rng.normal(size=len(design.kept))}
    for f in design.factors:
        K = f.n_coefficients
        L = np.eye(K)
        for block in f.template.sub_blocks():
            own = np.tril(rng.normal(size=(K, K))[block, block], -1) + np.eye(block.stop - block.start)
            L[block, block] = own / np.linalg.norm(own, axis=1, keepdims=True)
        sd = rng.uniform(0.2, 1.5, K)
        z = rng.normal(size=(f.n_levels, K))
        at |= {f"chol_corr_{f.key}": L, f"corr_{f.key}": L @ L.T, f"sd_{f.key}": sd, f"z_{f.key}": z}
        at[f"ranef_{f.key}"] = sd * (z @ L.T)
    return at


def variable_at(name, design, at):
    """Of the model's variable; ``name[label]`` and ``chol_corr_<group>_<block>`` are parts."""
    if name in at:
        return at[name]
    whole, _, label = name.rstrip("]").partition("[")
    if whole == "fixef":
        return at["fixef"][[design.names[j] for j in design.kept].index(label)]
    if name.startswith("chol_corr_"):
        whole, _, number = name.rpartition("_")
        of = next(f for f in design.factors if whole.endswith(f"_{f.key}"))
        block = [b for b in of.template.sub_blocks() if b.stop - b.start > 1][int(number) - 1]
        return at[whole][block, block]
    of = next(f for f in design.factors if whole.endswith(f"_{f.key}"))
    return at[whole][of.names.index(label)]


def lkj(L, eta):
    """Log-density of the Cholesky factor L of an LKJ(η) matrix R, over its entries below the diagonal.

    That of R is det(R)^(η−1) over the constant of Lewandowski, Kurowicka and Joe (2009, equation 16). Row
    i of R is linear in row i of L given the rows above, with diagonal L_jj: |∂R/∂L| = Π_j L_jj^(d−j).
    """
    d = len(L)
    left = d - np.arange(1, d)
    half = eta + (left - 1) / 2
    constant = np.sum((2 * eta - 2 + left) * left) * np.log(2) + np.sum(left * betaln(half, half))
    diagonal = np.log(np.diag(L))
    return 2 * (eta - 1) * diagonal.sum() - constant + (d - np.arange(1, d + 1)) @ diagonal


def by_hand(design, priors, at, centered):
    """Of the effects where they are centred, else of the standard normals that they are made of."""
    names = [design.names[j] for j in design.kept]
    total = density(priors["sigma"], at["sigma"])
    total += sum(density(priors[n], b) for n, b in zip(names, at["fixef"], strict=True))
    mu = design.X_kept @ at["fixef"] + (0.0 if design.offset is None else design.offset)
    for f in design.factors:
        sd, L, effects = (at[f"{kind}_{f.key}"] for kind in ("sd", "chol_corr", "ranef"))
        total += sum(density(priors[f"sd_{f.key}[{n}]"], s) for n, s in zip(f.names, sd, strict=True))
        for block in f.template.sub_blocks():
            if block.stop - block.start > 1:
                total += lkj(L[block, block], priors[f"corr_{f.key}"].parameters["eta"])
        cov = np.outer(sd, sd) * (L @ L.T)
        total += st.multivariate_normal.logpdf(effects, np.zeros(len(sd)), cov).sum()
        if not centered:
            total += f.n_levels * 0.5 * np.linalg.slogdet(cov)[1]
        mu = mu + f.matrix() @ effects.ravel()
    weights = 1.0 if design.weights is None else design.weights
    return total + st.norm.logpdf(design.y, mu, at["sigma"] / np.sqrt(weights)).sum()


@pytest.mark.usefixtures("interpreted")
def test_correlations_have_the_lkj_marginals():
    """Each correlation of LKJ(η) is 2·Beta(a, a) − 1 with a = η − 1 + d/2 (Lewandowski et al. 2009).

    Kolmogorov-Smirnov over 2,000 seeded draws of d = 3; p-values stay above 1e-3.
    """
    spec = MODELS["correlated"]()
    model = readable_model(spec.design, spec.priors, {"g": False})
    draws = pm.draw(model["corr_g"], draws=2000, random_seed=7, mode="FAST_COMPILE")
    a = 1.7 - 1 + 3 / 2
    for i, j in ((1, 0), (2, 0), (2, 1)):
        assert st.kstest((draws[:, i, j] + 1) / 2, st.beta(a, a).cdf).pvalue > 1e-3


def test_draws_are_those_of_the_posterior():
    """Means of everything within five Monte Carlo errors of importance sampling's: 40 numbers."""
    spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
    with spec.to_pymc():
        tree = pm.sample(1000, chains=2, random_seed=1, progressbar=False, quiet=True)
    exact = spec.fit("importance", random_seed=2, progress=False)
    ours, other = tree["posterior"], exact.posterior["posterior"]
    assert set(other.data_vars) < set(ours.data_vars)
    for name, values in other.data_vars.items():
        assert ours[name].dims == values.dims
        ess = arviz.ess(ours[name])
        error = values.std(("chain", "draw")) * np.sqrt(1 / ess + 1 / exact.diagnostics.ess_bulk_min)
        difference = abs(ours[name].mean(("chain", "draw")) - values.mean(("chain", "draw")))
        assert (difference <= 5 * error.fillna(0) + 1e-12).all(), name


def test_names_and_dimensions():
    spec = bm.ModelSpec("log_radon ~ floor + (1 + floor | county)", bm.load_dataset("radon"))
    model = spec.to_pymc()
    pair = ("county_coefficient", "county_coefficient_2")
    assert model.named_vars_to_dims == {
        "X": ("row", "coefficient"),
        "fixef": ("coefficient",),
        "sd_county": ("county_coefficient",),
        "chol_corr_county": pair,
        "corr_county": pair,
        "z_county": ("county", "county_coefficient"),
        "ranef_county": ("county", "county_coefficient"),
        "county_index": ("row",),
        "Z_county": ("row", "county_coefficient"),
        "response": ("row",),
        "y": ("row",),
    }
    assert list(model.coords["coefficient"]) == ["Intercept", "floor"]
    assert model.coords["county"][0] == "AITKIN"
    assert {v.name for v in model.observed_RVs} == {"y"}
    assert {v.name for v in model.deterministics} == {"corr_county", "ranef_county"}


def test_the_model_is_fresh_each_time_and_the_spec_unchanged():
    spec = bm.ModelSpec("log_radon ~ floor + (1 | county)", bm.load_dataset("radon"))
    priors = dict(spec.priors)
    first, second = spec.to_pymc(), spec.to_pymc()
    assert first is not second
    assert dict(spec.priors) == priors


def test_auto_centres_groups_that_the_data_resolve():
    def centered(spec, **kwargs):
        return not any(v.name.startswith("z_") for v in spec.to_pymc(**kwargs).free_RVs)

    rng = np.random.default_rng(0)
    for levels, rows, expected in ((30, 20, True), (30, 2, False), (10, 20, False)):
        g = np.repeat(np.arange(levels), rows)
        data = pd.DataFrame({"g": g, "y": rng.normal(size=levels)[g] + rng.normal(size=len(g))})
        assert centered(bm.ModelSpec("y ~ 1 + (1 | g)", data)) == expected
    radon = bm.ModelSpec("log_radon ~ floor + log_uranium + (1 | county)", bm.load_dataset("radon"))
    assert not centered(radon)
    assert centered(radon, parameterization="centered")


def test_wrong_requests():
    radon = bm.ModelSpec("log_radon ~ floor + (1 | county)", bm.load_dataset("radon"))
    with pytest.raises(bm.FitError, match="parameterization"):
        radon.to_pymc(parameterization="centred")
    with pytest.raises(bm.FitError, match="form"):
        radon.to_pymc(form="marginalised")
    with pytest.raises(bm.FitError, match="nothing without it"):
        radon.to_pymc(form="marginal", likelihood=False)


@pytest.mark.usefixtures("interpreted")
def test_another_likelihood():
    """Student's t in the place of the normal distribution changes the density by just that."""
    spec = MODELS["weights and offset"]()
    normal, bare = spec.to_pymc(), spec.to_pymc(likelihood=False)
    assert not bare.observed_RVs
    with bare:
        sigma = bare["sigma"] / np.sqrt(bare["weights"])
        pm.StudentT("y", nu=np.array(4.0), mu=bare["mu"], sigma=sigma, observed=bare["response"], dims="row")
    at = normal.initial_point(random_seed=1)
    at["z_g"] = np.random.default_rng(1).normal(size=at["z_g"].shape)
    linear = bare.replace_rvs_by_values([bare["mu"]])
    mu = bare.compile_fn(linear, inputs=bare.value_vars, on_unused_input="ignore")(at)[0]
    scale = np.exp(at["sigma_log__"]) / np.sqrt(spec.design.weights)
    change = st.t.logpdf(spec.design.y, 4, mu, scale) - st.norm.logpdf(spec.design.y, mu, scale)
    assert bare.compile_logp()(at) - normal.compile_logp()(at) == pytest.approx(change.sum(), abs=1e-8)


@pytest.mark.usefixtures("interpreted")
def test_data_can_be_changed():
    """Rows of another table: the mean of y at a point is what ``predict`` adds up."""
    spec = MODELS["crossed"]()
    model = spec.to_pymc()
    new = table(7).assign(x=np.arange(7.0))
    rows = spec.design.encode(new, ("g", "h"))
    with model:
        pm.set_data(
            {
                "X": rows.X,
                "g_index": rows.random["g"].codes,
                "Z_g": rows.random["g"].values,
                "h_index": rows.random["h"].codes,
                "response": np.zeros(7),
            },
            coords={"row": np.arange(7)},
        )
    at = point(spec.design, np.random.default_rng(5))
    given = {model[name]: at[name] for name in ("fixef", "ranef_g", "ranef_h", "sigma")}
    mean, shape = model["y"].owner.inputs[-2], model["y"].shape
    expected = rows.X @ at["fixef"] + sum(rows.random[g].times(at[f"ranef_{g}"]) for g in ("g", "h"))
    np.testing.assert_allclose(mean.eval(given, on_unused_input="ignore"), expected, rtol=1e-12)
    assert shape.eval(given, on_unused_input="ignore") == 7


def test_it_can_be_drawn_as_a_graph():
    from pymc.model_graph import ModelGraph

    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        edges = set(ModelGraph(MODELS["crossed"]().to_pymc(parameterization="noncentered")).edges())
    assert {("ranef_g", "z_g"), ("ranef_g", "sd_g"), ("ranef_g", "chol_corr_g"), ("y", "ranef_g")} <= edges
    assert {("y", "fixef"), ("y", "sigma"), ("y", "ranef_h"), ("response", "y")} <= edges
    assert ("y", "z_g") not in edges


@pytest.mark.parametrize("name", ["X", "response", "weights", "a,b"])
def test_groups_called_like_data(name):
    data = table().rename(columns={"g": name})
    spec = bm.ModelSpec(f"y ~ x + (x | `{name}`)", data, weights="w" if "w" in data else None)
    with spec.to_pymc():
        tree = pm.sample(draws=5, tune=5, chains=1, cores=1, progressbar=False, quiet=True, random_seed=1)
    key = name.replace(",", "_")
    assert tree["posterior"][f"ranef_{key}"].dims[2:] == (key, f"{key}_coefficient")


@pytest.mark.parametrize("name", ["sigma", "fixef"])
def test_groups_called_like_parameters_are_refused(name):
    with pytest.raises(
        bm.PriorError, match=f"called '{name}', but draws have '{name}' already; rename the column"
    ):
        bm.ModelSpec(f"y ~ x + (x | {name})", table().rename(columns={"g": name})).to_pymc()


def test_nutpie_samples_a_block_beside_another_term():
    with bm.ModelSpec("y ~ 1 + (0 + z | g) + (x | g)", table()).to_pymc():
        tree = pm.sample(draws=5, tune=5, chains=1, cores=1, progressbar=False, quiet=True, random_seed=1)
    assert tree["posterior"]["corr_g"].shape == (1, 5, 3, 3)


@pytest.mark.filterwarnings("ignore:The following trace variables were implicitly frozen")
def test_predictive_draws_of_a_fit_take_the_centred_model(interpreted):
    """E(y | effects drawn) near the fitted values; a noncentred model's z aren't among a fit's draws."""
    spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
    fit = spec.fit("importance", draws=1000, random_seed=1, progress=False)
    draws = fit.posterior["posterior"].to_dataset().isel(draw=slice(0, 100))
    away = {}
    for how in ("centered", "noncentered"):
        drawn = pm.sample_posterior_predictive(
            draws,
            model=spec.to_pymc(parameterization=how),
            var_names=["y"],
            random_seed=1,
            progressbar=False,
        )
        mean = drawn["posterior_predictive"]["y"].mean(("chain", "draw")).to_numpy()
        away[how] = np.sqrt(np.mean((mean - fit.fitted.to_numpy()) ** 2))
    assert away["centered"] < 1.5 * fit.sigma / np.sqrt(50)  # 100 draws, whose effects vary less than σ
    assert away["noncentered"] > fit.sigma
