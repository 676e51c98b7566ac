"""The numbers that pictures show are those of the results."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import FancyArrowPatch

import bimixed as bm

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def data():
    return bm.load_dataset("sleepstudy")


@pytest.fixture(scope="module")
def spec(data):
    return bm.ModelSpec("Reaction ~ Days + (Days | Subject)", data)


@pytest.fixture(scope="module")
def fit(spec):
    return spec.fit()


@pytest.fixture(scope="module")
def draws(spec):
    return spec.fit("importance", draws=2000, random_seed=1, progress=False)


@pytest.fixture(scope="module")
def own(data):
    """Least squares of each subject."""
    return pd.DataFrame(
        {s: np.polyfit(d["Days"], d["Reaction"], 1)[::-1] for s, d in data.groupby("Subject", observed=True)},
        index=["Intercept", "Days"],
    ).T


def markers(ax, marker):
    return [line.get_xydata() for line in ax.lines if line.get_marker() == marker and len(line.get_xydata())]


def arrow_ends(ax):
    return np.array([p._posA_posB for p in ax.patches if isinstance(p, FancyArrowPatch)])


def test_arrows_lead_from_least_squares_to_each_backend(fit, draws, own):
    """The group's columns are those of the fixed part, so that a subject's own line is its regression."""
    ax = bm.plots.shrinkage_2d([fit, draws])
    away = (own - fit.fixef["estimate"]).to_numpy()
    ends = arrow_ends(ax)
    assert ends.shape == (36, 2, 2)
    np.testing.assert_allclose(ends[:18, 0], away, atol=1e-7)
    np.testing.assert_allclose(ends[18:, 0], away, atol=1e-7)
    np.testing.assert_allclose(ends[:18, 1], fit.ranef["Subject"])
    np.testing.assert_allclose(ends[18:, 1], draws.ranef["Subject"])


def test_ellipses_hold_their_share(fit):
    ax = bm.plots.shrinkage_2d(fit, levels=[0.5, 0.95])
    cov = fit.random_cov["Subject"].to_numpy()
    curves = [line.get_xydata() for line in ax.lines if len(line.get_xdata()) == 181]
    for curve, level in zip(curves, (0.5, 0.95), strict=True):
        distance = np.einsum("ij,jk,ik->i", curve, np.linalg.inv(cov), curve)
        np.testing.assert_allclose(distance, -2.0 * np.log(1.0 - level))  # χ² with 2 degrees of freedom
    rng = np.random.default_rng(1)
    effects = rng.multivariate_normal([0, 0], cov, 20_000)
    inside = np.einsum("ij,jk,ik->i", effects, np.linalg.inv(cov), effects) < distance[0]
    assert abs(inside.mean() - 0.95) < 0.006  # four standard errors


def test_a_singular_covariance_gives_a_line():
    rng = np.random.default_rng(5)
    g, x = np.repeat(np.arange(6), 8), rng.normal(size=48)
    y = rng.normal(size=6)[g] * (1 + x) + 0.3 * rng.normal(size=48)
    fit = bm.ModelSpec("y ~ x + (x | g)", pd.DataFrame({"y": y, "x": x, "g": g})).fit()
    assert fit.diagnostics.singular
    ax = bm.plots.shrinkage_2d(fit)
    curve = next(line.get_xydata() for line in ax.lines if len(line.get_xdata()) == 181)
    assert np.linalg.svd(curve, compute_uv=False)[1] < 1e-3 * np.abs(curve).max()


def test_shrinkage_of_one_result(fit, own):
    ax = bm.plots.shrinkage(fit, "Subject", "Days")
    order = fit.ranef["Subject"]["Days"].sort_values()
    [points] = markers(ax, "o")
    np.testing.assert_allclose(points[:, 1], order)
    assert [t.get_text() for t in ax.get_xticklabels()] == [str(s) for s in order.index]
    ends = arrow_ends(ax)
    np.testing.assert_allclose(ends[:, 0, 1], (own["Days"] - fit.fixef.loc["Days", "estimate"])[order.index])
    assert "Reaction per Days" in ax.get_ylabel()


def test_caterpillar(fit, draws):
    ax = bm.plots.caterpillar([fit, draws], coefficient="Days", level=0.8)
    first = fit.ranef_table("Subject", 0.8).query("coefficient == 'Days'").sort_values("estimate")
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert names == [str(s) for s in first["level"]]
    lines, of_draws = (np.array(c.get_segments()) for c in ax.collections)
    np.testing.assert_allclose(lines[:, :, 0], first[["lower", "upper"]])
    other = draws.ranef_table("Subject", 0.8).query("coefficient == 'Days'").set_index("level")
    np.testing.assert_allclose(of_draws[:, :, 0], other.loc[first["level"], ["lower", "upper"]])


def test_of_many_levels_those_apart_from_0_are_in_colour():
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(500), 4)
    data = pd.DataFrame({"g": g, "y": rng.normal(size=500)[g] + rng.normal(size=2000)})
    fit = bm.ModelSpec("y ~ 1 + (1 | g)", data).fit()
    ax = bm.plots.caterpillar(fit)
    table = fit.ranef_table("g")
    apart = int(((table["lower"] > 0) | (table["upper"] < 0)).sum())
    grey, coloured = ax.collections
    assert len(coloured.get_segments()) == apart > 50
    assert len(grey.get_segments()) == 500 - apart
    assert "500 levels of g" in ax.get_ylabel()


def test_forest_of_four(data, spec, fit, draws):
    other = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", data)
    fits = {"a": fit, "b": draws, "c": spec.fit("ml"), "d": other.fit()}
    ax = bm.plots.forest(fits, "variance")
    points = [
        line.get_xydata()
        for line in ax.lines
        if line.get_linestyle() == "None" and line.get_marker() in "oDs^"
    ]
    assert len(points) == 4
    for result, xy in zip(fits.values(), points, strict=True):
        known = result.uncertainty.variance_parameters()
        own = dict(zip(known.names, known.values, strict=True))
        names = [t.get_text() for t in ax.get_yticklabels()]
        np.testing.assert_allclose(xy[:, 0], [own.get(name, np.nan) for name in names])
    heights = np.array([xy[:, 1] for xy in points])
    assert (np.diff(heights, axis=0) < 0).all()  # one below the other
    assert np.ptp(heights, axis=0).max() < 0.9


def test_densities_stand_over_each_other(fit, draws):
    profile = bm.profile(fit, ["sd_Subject[Days]"])
    bootstrap = bm.bootstrap(fit, 100, random_seed=1, progress=False)
    axes = bm.plots.density([fit, draws], "sd_Subject[Days]", profile=profile, bootstrap=bootstrap)
    ax = axes[0, 0]
    upright = [line for line in ax.lines if len(line.get_xdata()) == 2]
    assert upright[0].get_xdata()[0] == pytest.approx(fit.varcorr["sd"][1])
    curves = [line.get_xydata() for line in ax.lines if len(line.get_xdata()) > 2]
    assert len(curves) == 4
    for curve in curves:
        assert np.trapezoid(curve[:, 1], curve[:, 0]) == pytest.approx(1.0, abs=0.02)
    texts = [t.get_text() for t in ax.figure.legends[0].get_texts()]
    assert texts == ["REML, estimate and Wald", "importance, posterior", "profile", "bootstrap"]


def test_at_the_boundary_the_mass_is_told():
    fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2")).fit()
    axes = bm.plots.density(fit, "sd_Batch[Intercept]", profile=bm.profile(fit))
    assert axes[0, 0].get_xlabel() == "Yield\nprofile: 50% at 0"


def test_panels_show_regressions_of_each_subject(data, fit, own):
    axes = bm.plots.panels(fit, levels=[308, 335])
    pooled = np.polyfit(data["Days"], data["Reaction"], 1)
    for ax, subject in zip(axes.flat, (308, 335), strict=False):
        rows = data[data["Subject"] == data["Subject"].dtype.categories.dtype.type(subject)]
        points, complete, alone, partial = ax.lines
        np.testing.assert_allclose(points.get_xydata(), rows[["Days", "Reaction"]])
        days = complete.get_xdata()
        np.testing.assert_allclose(complete.get_ydata(), np.polyval(pooled, days))
        line = own.loc[rows["Subject"].iloc[0]]
        np.testing.assert_allclose(alone.get_ydata(), line["Intercept"] + line["Days"] * days)
        coef = fit.coef("Subject").loc[rows["Subject"].iloc[0]]
        np.testing.assert_allclose(partial.get_ydata(), coef["Intercept"] + coef["Days"] * days)


def test_panels_of_many_go_from_few_rows_to_many(radon_reml):
    axes = bm.plots.panels(radon_reml, n=7)
    shown = [ax for ax in axes.flat if ax.get_visible()]
    counts = [int(ax.get_title(loc="left").rsplit("(", 1)[1][:-1]) for ax in shown]
    sizes = radon_reml.spec.data_column("county").value_counts()
    assert counts == sorted(counts)
    assert (counts[0], counts[-1], len(counts)) == (sizes.min(), sizes.max(), 7)
    assert [len(ax.lines[0].get_xdata()) for ax in shown] == counts


def test_influence(fit):
    table = fit.influence("Subject")["cooks_distance"].sort_values()
    ax = bm.plots.influence(fit, "Subject")
    [points] = markers(ax, "o")
    np.testing.assert_allclose(points[:, 0], table)
    assert [t.get_text() for t in ax.get_yticklabels()] == [str(s) for s in table.index]
    [rows] = markers(bm.plots.influence(fit), "o")
    np.testing.assert_allclose(rows[:, 1], fit.influence()["cooks_distance"])


def test_residuals(fit, data):
    axes = bm.plots.residuals(fit, coefficient="Days")
    scaled = (data["Reaction"] - fit.fitted) / fit.sigma
    np.testing.assert_allclose(axes[0, 0].lines[1].get_xydata(), np.column_stack([fit.fitted, scaled]))
    np.testing.assert_allclose(axes[0, 1].lines[1].get_ydata(), np.sort(scaled))
    assert len(axes[1, 0].lines[1].get_ydata()) == 18
    assert "Days of Subject" in axes[1, 0].get_ylabel()


def test_predictive_of_draws_and_estimates(fit, draws):
    for result, words in ((fit, "the estimates"), (draws, "the posterior")):
        ax = bm.plots.posterior_predictive(result, n=30, random_seed=2)
        assert words in ax.get_title(loc="left")
        assert len(ax.lines) == 31
        for line in ax.lines:
            assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(1.0, abs=1e-4)
        observed = ax.lines[-1].get_xydata()
        mean = np.trapezoid(observed[:, 0] * observed[:, 1], observed[:, 0])
        assert mean == pytest.approx(fit.design.y.mean(), rel=1e-3)


def test_predictive_of_few_values_counts_them():
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(20), 10)
    y = np.clip(np.round(3 + rng.normal(size=20)[g] + rng.normal(size=200)), 1, 5)
    fit = bm.ModelSpec("y ~ 1 + (1 | g)", pd.DataFrame({"y": y, "g": g})).fit()
    ax = bm.plots.posterior_predictive(fit, n=20, random_seed=1)
    bars = {round(p.get_x() + p.get_width() / 2): p.get_height() for p in ax.patches}
    assert min(bars) < 1
    assert max(bars) > 5  # responses beyond those possible are shown
    for value in range(1, 6):
        assert bars[value] == pytest.approx(np.mean(y == value))
    assert sum(bars.values()) == pytest.approx(1.0)
    made = fit.simulate(20, 1).to_numpy()
    [middle] = markers(ax, "o")
    expected = np.median([np.mean((made[:, j] > 1.5) & (made[:, j] <= 2.5)) for j in range(20)])
    assert dict(middle)[2.0] == pytest.approx(expected)


def test_parts_of_the_variance(fit, draws):
    ax = bm.plots.variances([fit, draws])
    r2 = fit.r2()["estimate"]
    widths = np.array([[bar.get_width() for bar in part] for part in ax.containers])
    np.testing.assert_allclose(widths.sum(axis=0), 1.0)
    np.testing.assert_allclose(
        widths[:, 0], [r2["marginal"], r2["conditional"] - r2["marginal"], 1 - r2["conditional"]]
    )
    np.testing.assert_allclose(widths[0, 1], draws.r2().loc["marginal", "estimate"])


def test_means_and_slopes():
    fit = bm.ModelSpec("distance ~ age * Sex + (age | Subject)", bm.load_dataset("orthodont")).fit()
    means = bm.emmeans(fit, "age", by="Sex", at={"age": [8, 14]})
    ax = bm.plots.means(means)
    for line, (_, own) in zip((c.lines[0] for c in ax.containers), means.table.groupby("Sex"), strict=True):
        np.testing.assert_allclose(line.get_xydata()[:, 1], own["estimate"])
        np.testing.assert_allclose(line.get_xydata()[:, 0], own["age"], atol=0.5)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("age", "mean of distance")
    ax = bm.plots.means(means, x="Sex")
    assert [t.get_text() for t in ax.get_xticklabels()] == ["Female", "Male"]
    ax = bm.plots.means(bm.emtrends(fit, "Sex", var="age"))
    assert ax.get_ylabel() == "slope (distance per age)"
    assert ax.get_legend() is None
    [segments] = [c.get_segments() for c in ax.collections]
    table = bm.emtrends(fit, "Sex", var="age").table
    np.testing.assert_allclose(np.array(segments)[:, :, 1], table[["lower", "upper"]])


def test_pairs_cross_at_the_estimates(spec):
    profile = bm.profile(spec.fit("ml"), ["Days", "sd_Subject[Days]", "sigma"])
    axes = bm.plots.profile_pairs(profile, levels=[0.8])
    assert axes.shape == (3, 3)
    below = axes[1, 0]
    contour = below.lines[0].get_xydata()
    assert (below.get_xlim()[0] < contour[:, 0]).all()
    assert (contour[:, 1] < below.get_ylim()[1]).all()
    assert below.lines[-1].get_xydata()[0] == pytest.approx(profile.estimates[["Days", "sd_Subject[Days]"]])
    assert axes[-1, 2].get_xlabel() == "sigma\n(ML)"


def test_pairs_of_different_criteria_are_left_empty(fit):
    axes = bm.plots.profile_pairs(bm.profile(fit, ["Days", "sigma"]))
    assert [t.get_text() for t in axes[1, 0].texts] == ["REML and ML"]
    assert not axes[1, 0].lines
