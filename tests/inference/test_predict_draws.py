"""Draws of predictions, simulated responses and marginal covariances, against dense matrices."""

import numpy as np
import pandas as pd
import pytest
from dense_rows import DenseRows
from drawn import dyestuff, importance_fit
from henderson import mixed_model_variance

import bimixed as bm


def rows(n=120):
    rng = np.random.default_rng(4)
    table = pd.DataFrame({name: rng.integers(0, size, n) for name, size in (("a", 6), ("b", 3), ("i", 8))})
    table["x"], table["w"], table["o"] = rng.normal(size=n), rng.uniform(0.5, 2.0, n), rng.normal(size=n)
    table["y"] = (
        table["o"]
        + 2 * table["x"]
        + rng.normal(size=6)[table["a"]]
        + rng.normal(size=(6, 3))[table["a"], table["b"]]
        + rng.normal(size=8)[table["i"]]
        + 0.7 * rng.normal(size=8)[table["i"]] * table["x"]
        + rng.normal(size=n)
    )
    return table.set_axis([f"r{i}" for i in range(n)])


def spec(formula="y ~ x + (1 | a/b) + (x | i)"):
    return bm.ModelSpec(formula, rows(), weights="w", offset="o")


def moments_agree(values, mean, cov):
    """Mean and covariance within 5.5 Monte Carlo errors (thousands of numbers are compared)."""
    n, sizes = len(values), np.sqrt(np.outer(np.diag(cov), np.diag(cov)))
    assert (np.abs(values.mean(axis=0) - mean) < 5.5 * np.sqrt(np.diag(cov) / n)).all()
    assert (np.abs(np.cov(values, rowvar=False) - cov) < 5.5 * sizes * np.sqrt(2 / n)).all()


@pytest.mark.parametrize(
    "formula", ["y ~ x + (1 | a/b) + (x | i)", "y ~ x + (x | i)", "y ~ 0 + (1 | a) + (1 | i)"]
)
@pytest.mark.parametrize("kind", ["mean", "response"])
def test_joint_over_rows(formula, kind):
    fit = spec(formula).fit()
    C, X, Z = mixed_model_variance(fit)
    dense = np.hstack([X, Z])[:30]
    cov = dense @ C @ dense.T
    if kind == "response":
        cov = cov + np.diag(fit.sigma**2 / fit.design.weights[:30])
    found = fit.predict_draws(rows().head(30), kind, 8000, random_seed=1)
    assert found.shape == (8000, 30)
    assert found.columns.tolist() == fit.fitted.index[:30].tolist()
    moments_agree(found.to_numpy(), fit.fitted.iloc[:30].to_numpy(), cov)


def test_new_levels_and_chosen_groups():
    fit = spec("y ~ x + (1 | a) + (x | i)").fit()
    new = rows().head(4).assign(i=[0, 77, 77, 78])
    with pytest.raises(bm.DataError, match="77, 78"):
        fit.predict_draws(new)
    C, X, Z = mixed_model_variance(fit)
    Z = np.hstack([Z[:4, :6], np.zeros((4, 16))])
    Z[0, 6:8] = [1.0, new["x"].iloc[0]]
    dense = np.hstack([X[:4], Z])
    own = dense @ C @ dense.T
    z = np.column_stack([np.ones(4), new["x"]])
    of_new = z @ fit.random_cov["i"].to_numpy() @ z.T
    same = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]])
    for new_levels, cov in (("population", own), ("sample", own + same * of_new)):
        found = fit.predict_draws(new, n=8000, new_levels=new_levels, random_seed=2)
        moments_agree(found.to_numpy(), fit.predict(new, new_levels=new_levels)["estimate"].to_numpy(), cov)
    fixed = fit.predict_draws(new, n=8000, random="none", random_seed=2)
    expected = fit.predict(new, random="none")["estimate"].to_numpy()
    moments_agree(fixed.to_numpy(), expected, X[:4] @ fit.vcov.to_numpy() @ X[:4].T)


def test_quantiles_are_the_limits_of_predict():
    """Both backends; the Monte Carlo error of a 2.5 % quantile of 8,000 is 0.03 sds."""
    fit = importance_fit(dyestuff(), 8000)
    new = pd.DataFrame({"Batch": ["A", "Z"]})
    for one in (dyestuff().fit(), fit):
        for kind, interval in (("mean", "confidence"), ("response", "prediction")):
            drawn = one.predict_draws(new, kind, 8000, new_levels="sample", random_seed=1)
            limits = one.predict(new, interval=interval, new_levels="sample", random_seed=2)
            sd = drawn.std().to_numpy()
            # quantiles of new batches have a heavy tail: six batches say little of their variance
            error = np.abs(drawn.quantile([0.025, 0.975]).T.to_numpy() - limits[["lower", "upper"]])
            assert (error.to_numpy() < 0.15 * sd[:, None] + 1e-9).all()


def test_draws_of_a_posterior_are_its_own():
    fit = importance_fit(dyestuff(), 400)
    draws = fit.posterior["posterior"]
    mean = draws["fixef"].values.reshape(-1, 1) + draws["ranef_Batch"].values.reshape(-1, 6)
    found = fit.predict_draws(pd.DataFrame({"Batch": list("ABCDEF")}), n=1000)
    np.testing.assert_allclose(found, mean)
    some = fit.predict_draws(pd.DataFrame({"Batch": list("ABCDEF")}), n=3)
    np.testing.assert_allclose(some, mean[[0, 200, 399]])


def test_a_wide_fixed_factor_and_chunks(monkeypatch):
    """Absorbed fixed effects are drawn with the others; a small chunk draws a few at a time."""
    monkeypatch.setattr("bimixed.design.wide.LARGE", 1)
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"f": np.repeat([f"f{i:03d}" for i in range(150)], 4), "g": rng.integers(0, 9, 600)})
    data["y"] = rng.normal(size=9)[data["g"]] + rng.normal(size=600)
    fit = bm.ModelSpec("y ~ 0 + f + (1 | g)", data).fit()
    assert fit.refitter.problem.cp.basis.absorbed is not None
    monkeypatch.setattr("bimixed.inference.prediction_draws.CHUNK", 9 * 700)
    found = fit.predict_draws(data.head(12), n=8000, random_seed=3)
    limits = fit.predict(data.head(12), interval="confidence", level=0.6826894921370859)
    sd = (limits["upper"] - limits["lower"]) / 2
    np.testing.assert_allclose(found.std(), sd, rtol=5.5 / np.sqrt(2 * 8000))
    assert (abs(found.mean() - limits["estimate"]) < 5 * sd / np.sqrt(8000)).all()
    C, *_ = mixed_model_variance(fit)
    cov = np.hstack([np.eye(3), np.zeros((3, 147)), np.ones((3, 1)), np.zeros((3, 8))])
    cov = cov @ C @ cov.T
    same = data.iloc[[0, 4, 8]].assign(g=0)
    moments_agree(
        fit.predict_draws(same, n=8000, random_seed=4).to_numpy(),
        fit.predict(same)["estimate"].to_numpy(),
        cov,
    )
    one = ("g", 0, "Intercept")
    combined = fit.combine({"f": {fit.fixef.index[0]: 1, one: 1}})
    np.testing.assert_allclose(combined["std_error"] ** 2, cov[0, 0], rtol=1e-8)


def test_intervals_of_new_groups_cover():
    """200 data sets of 40 groups, a new group in each.

    The estimated variances are taken as known, which costs about 1 % of 95: t on 39 degrees of freedom
    instead of the normal distribution. Four Monte Carlo errors of 0.0155.
    """
    rng = np.random.default_rng(6)
    data = pd.DataFrame({"g": np.repeat(np.arange(40), 4), "x": np.tile([-1.0, 0.0, 1.0, 2.0], 40)})
    made = bm.ModelSpec("y ~ x + (x | g)", data.assign(y=rng.normal(size=160)))
    cov = np.array([[1.0, 0.3], [0.3, 0.5]])
    ys = made.simulate([1.0, 2.0], {"g": cov}, 1.0, n=200, random_seed=7).to_numpy()
    new = pd.DataFrame({"g": [99, 99], "x": [0.0, 2.0]})
    z = np.array([[1.0, 0.0], [1.0, 2.0]])
    first, inside, mean_inside = made.fit(), 0, 0
    for y in ys.T:
        fit = first.refit(y)
        drawn = fit.predict_draws(new, "response", 500, new_levels="sample", random_seed=1)
        truth = [1.0, 5.0] + z @ rng.multivariate_normal([0.0, 0.0], cov) + rng.normal(size=2)
        change = (drawn[1] - drawn[0]).quantile([0.025, 0.975]).to_numpy()  # rows of a new group share it
        inside += change[0] < truth[1] - truth[0] < change[1]
        limits = drawn[1].quantile([0.025, 0.975]).to_numpy()
        mean_inside += limits[0] < truth[1] < limits[1]
    for count in (inside, mean_inside):
        assert abs(count / 200 - 0.94) < 4 * np.sqrt(0.95 * 0.05 / 200)


@pytest.mark.parametrize("random", ["new", "conditional"])
def test_simulated_responses_have_the_models_moments(random):
    fit = spec("y ~ x + (1 | a) + (x | i)").fit()
    dense = DenseRows(fit)
    y = fit.simulate(8000, random_seed=1, random=random)
    assert y.index.equals(fit.fitted.index)
    if random == "new":
        moments_agree(
            y.to_numpy().T, fit.predict(random="none")["estimate"].to_numpy(), fit.sigma**2 * dense.V
        )
    else:
        moments_agree(y.to_numpy().T, fit.fitted.to_numpy(), np.diag(fit.sigma**2 / dense.weights))
    assert len(fit.refit_many(y.iloc[:, :3])) == 3


def test_simulations_of_draws_have_the_variance_of_their_parameters():
    """The predictive variance is the mean variance and the variance of the mean; 5 Monte Carlo errors.

    The variance of a batch has a heavy tail: its error is taken from the draws.
    """
    fit = importance_fit(dyestuff(), 4000)
    draws = fit.posterior["posterior"]
    y = fit.simulate(12_000, random_seed=2).to_numpy()
    assert y.shape == (30, 12_000)
    sd, sigma = draws["sd_Batch"].values.ravel(), draws["sigma"].values.ravel()
    between, each = sd**2, sigma**2
    expected = between.mean() + each.mean() + draws["fixef"].values.var()
    error = np.sqrt(((y[0] - y[0].mean()) ** 2).var() / 12_000)
    assert abs(y[0].var() - expected) < 5 * error
    conditional = fit.simulate(12_000, random_seed=2, random="conditional").to_numpy()
    mean = draws["fixef"].values.ravel() + draws["ranef_Batch"].values.reshape(-1, 6)[:, 0]
    assert conditional[0].var() == pytest.approx(each.mean() + mean.var(), rel=0.1)


def test_marginal_covariance():
    fit = spec().fit()
    V = fit.sigma**2 * DenseRows(fit).V
    labels = ["r7", "r3", "r50", "r51"]
    found = fit.marginal_cov(labels)
    assert found.index.tolist() == found.columns.tolist() == labels
    np.testing.assert_allclose(found, V[np.ix_([7, 3, 50, 51], [7, 3, 50, 51])], rtol=1e-10)
    pd.testing.assert_frame_equal(found, fit.marginal_cov([7, 3, 50, 51], positions=True))
    np.testing.assert_allclose(fit.marginal_cov(slice(None), positions=True), V, rtol=1e-10, atol=1e-12)
    first = rows()["a"] == 0
    assert fit.marginal_cov(rows().index[first]).equals(fit.marginal_cov(first.to_numpy(), positions=True))
    twice = bm.ModelSpec("y ~ x + (1 | a)", rows().set_axis(np.arange(120) % 60)).fit()
    assert twice.marginal_cov([5, 2]).index.tolist() == [5, 5, 2, 2]
    draws = importance_fit(dyestuff(), 500)
    posterior = draws.posterior["posterior"]
    between = float((posterior["sd_Batch"] ** 2).mean())
    own = between + float((posterior["sigma"] ** 2).mean())
    np.testing.assert_allclose(
        draws.marginal_cov([0, 1, 5]), [[own, between, 0], [between, own, 0], [0, 0, own]]
    )


def test_the_seed_decides():
    for fit in (spec().fit(), importance_fit(dyestuff(), 200)):
        for make in (
            lambda seed, fit=fit: fit.predict_draws(kind="response", n=4, random_seed=seed),
            lambda seed, fit=fit: fit.simulate(3, random_seed=seed),
        ):
            pd.testing.assert_frame_equal(make(1), make(1))
            assert not make(1).equals(make(2))


def test_wrong_requests():
    fit = spec().fit()
    wrong = [
        (lambda: fit.predict_draws(kind="epred"), "'mean'"),
        (lambda: fit.predict_draws(n=0), "n is 0"),
        (lambda: fit.predict_draws(random_seed="a"), "random_seed"),
        (lambda: fit.predict_draws(random=["zzz"]), "no group"),
        (lambda: fit.predict_draws(new_levels="ignore"), "new_levels"),
        (lambda: fit.predict_draws(rows().drop(columns="w"), "response"), "column of weights"),
        (lambda: fit.predict_draws(rows().drop(columns="x")), "No column 'x'"),
        (lambda: fit.simulate(0), "n is 0"),
        (lambda: fit.simulate(random="old"), "random is 'old'"),
        (lambda: fit.simulate(random_seed=1.5), "random_seed"),
        (lambda: fit.marginal_cov("r1"), "list of labels"),
        (lambda: fit.marginal_cov([]), "list of labels"),
        (lambda: fit.marginal_cov(["q"]), "'q'"),
        (lambda: fit.marginal_cov([500], positions=True), "from 0 to 119"),
        (lambda: fit.marginal_cov([], positions=True), "positions"),
        (lambda: fit.marginal_cov(np.zeros(20_000, dtype=int), positions=True), "at most 10,000"),
    ]
    for request, words in wrong:
        with pytest.raises(bm.BimixedError) as caught:
            request()
        assert words in str(caught.value)


def test_variances_that_are_not_identified():
    data = rows().assign(j=lambda d: d["a"])
    with pytest.warns(bm.IdentificationWarning):
        fit = bm.ModelSpec("y ~ x + (1 | a) + (1 | j)", data).fit()
    new = data.head(2).assign(a=99, j=99)
    for request in (
        fit.simulate,
        lambda: fit.marginal_cov(["r1"]),
        lambda: fit.predict_draws(new, new_levels="sample"),
    ):
        with pytest.raises(bm.UnavailableError, match="not identified"):
            request()
    assert fit.simulate(2, random="conditional").notna().all(axis=None)
