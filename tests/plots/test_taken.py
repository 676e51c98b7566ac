"""What plots take, and what they say of anything else."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import bimixed as bm

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def spec():
    return bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))


@pytest.fixture(scope="module")
def fit(spec):
    return spec.fit()


@pytest.fixture(scope="module")
def draws(spec):
    return spec.fit("importance", draws=500, random_seed=1, progress=False)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_results_lists_dicts_and_comparisons(spec, fit):
    ml = spec.fit("ml")
    assert legend(bm.plots.forest(fit)) == ["REML"]
    assert legend(bm.plots.forest([fit, ml])) == ["REML", "ML"]
    assert legend(bm.plots.forest({"one": fit, "other": ml})) == ["one", "other"]
    assert legend(bm.plots.forest(bm.compare(fit, ml))) == ["REML", "ML"]
    assert legend(bm.plots.forest([fit, ml, fit])) == ["REML 1", "ML", "REML 2"]


def test_nine_results_have_a_colour_and_a_marker_each(fit):
    ax = bm.plots.forest({f"fit {i}": fit for i in range(9)})
    looks = {(line.get_color(), line.get_marker()) for line in ax.lines if line.get_linestyle() == "None"}
    assert len(looks) >= 7
    assert len(legend(ax)) == 9


def test_results_of_different_models(fit):
    other = bm.ModelSpec("Reaction ~ 1 + (1 | Subject)", bm.load_dataset("sleepstudy")).fit()
    ax = bm.plots.forest([other, fit], "variance")
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == [
        "sd_Subject[Intercept]",
        "sd_Subject[Days]",
        "corr_Subject[Intercept,Days]",
        "sigma",
    ]
    with pytest.raises(bm.DataError, match=r"no coefficient 'Days'"):
        bm.plots.shrinkage([fit, other], coefficient="Days")


def test_what_is_no_result(spec, fit):
    plots = ("shrinkage", "shrinkage_2d", "caterpillar", "forest", "density", "panels", "variances")
    for plot in (*plots, "residuals", "influence", "posterior_predictive"):
        draw = getattr(bm.plots, plot)
        with pytest.raises(bm.DataError, match=r"this is a ModelSpec. Fit it first"):
            draw(spec)
        with pytest.raises(bm.DataError, match="this is a int"):
            draw([fit, 3])
        with pytest.raises(bm.DataError, match="the list is empty"):
            draw([])
    for plot in ("residuals", "influence", "posterior_predictive"):
        with pytest.raises(bm.DataError, match="draws one result, and was given 2"):
            getattr(bm.plots, plot)([fit, fit])


def test_a_second_result_in_the_place_of_another_argument(fit):
    for plot in ("shrinkage", "caterpillar", "forest", "panels", "shrinkage_2d"):
        with pytest.raises(bm.DataError, match=rf"in a list: bm.plots.{plot}\(\[one, other\]\)"):
            getattr(bm.plots, plot)(fit, fit)


def test_groups_coefficients_and_levels_that_are_not_there(fit):
    for plot in ("shrinkage", "shrinkage_2d", "caterpillar", "panels", "residuals"):
        with pytest.raises(bm.DataError, match="no group 'School'; its groups are 'Subject'"):
            getattr(bm.plots, plot)(fit, "School")
    for plot in ("shrinkage", "caterpillar", "residuals"):
        with pytest.raises(bm.DataError, match="no coefficient 'Age'; it has Intercept, Days"):
            getattr(bm.plots, plot)(fit, coefficient="Age")
    with pytest.raises(bm.DataError, match="no level 1; it has 308"):
        bm.plots.panels(fit, levels=[308, 1])
    with pytest.raises(bm.DataError, match="doesn't use a column 'Age'; x= is one of"):
        bm.plots.panels(fit, x="Age")
    with pytest.raises(bm.DataError, match="n is 0"):
        bm.plots.panels(fit, n=0)
    with pytest.raises(bm.DataError, match="two different ones of Intercept, Days"):
        bm.plots.shrinkage_2d(fit, coefficients=["Days", "Days"])
    with pytest.raises(bm.DataError, match="level is 2"):
        bm.plots.shrinkage_2d(fit, levels=[2])


def test_one_coefficient_has_no_second_dimension():
    fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff")).fit()
    with pytest.raises(bm.DataError, match=r"has one coefficient, Intercept.*bm.plots.shrinkage draws one"):
        bm.plots.shrinkage_2d(fit)


def test_other_levels():
    data = bm.load_dataset("dyestuff")
    one = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", data).fit()
    other = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", data[data["Batch"] != "A"]).fit()
    with pytest.raises(bm.DataError, match="REML 2 has other levels of 'Batch' than REML 1"):
        bm.plots.caterpillar([one, other])


def test_draws_where_a_likelihood_is_needed(draws):
    with pytest.raises(bm.UnavailableError, match=r"needs a likelihood fit.*arviz.plot_khat\(fit.loo\(\)\)"):
        bm.plots.influence(draws)


def test_parameters_and_measures(fit, draws):
    with pytest.raises(bm.DataError, match="has a parameter 'Age'; the first has Intercept, Days"):
        bm.plots.density([fit, draws], "Age")
    with pytest.raises(bm.DataError, match="2 are asked for"):
        bm.plots.density(fit, ["Days", "sigma"], ax=plt.figure().subplots())
    with pytest.raises(bm.DataError, match="parameters= is empty"):
        bm.plots.density(fit, [])
    with pytest.raises(bm.DataError, match=r"fit\.influence has cooks_distance, leverage"):
        bm.plots.influence(fit, measure="cook")
    with pytest.raises(bm.DataError, match="'new' or 'conditional'"):
        bm.plots.posterior_predictive(fit, random="all")
    with pytest.raises(bm.DataError, match="not a MixedModelResult"):
        bm.plots.means(fit)


def test_means_along_what_is_not_there():
    fit = bm.ModelSpec("distance ~ age * Sex + (age | Subject)", bm.load_dataset("orthodont")).fit()
    with pytest.raises(bm.DataError, match="no 'age'; x= is one of Sex"):
        bm.plots.means(bm.emmeans(fit, "Sex"), x="age")
    with pytest.raises(bm.DataError, match="one slope only"):
        bm.plots.means(bm.emtrends(fit, None, var="age"))


def test_profiles_that_do_not_reach(fit):
    profile = bm.profile(fit, ["Days", "sigma"])
    with pytest.raises(bm.DataError, match="'Intercept' has no profile here"):
        bm.plots.profile_pairs(profile, ["Days", "Intercept"])
    with pytest.raises(bm.DataError, match="two parameters at least"):
        bm.plots.profile_pairs(profile, ["Days"])
    with pytest.raises(bm.DataError, match=r"0\.965 at most"):
        bm.plots.profile_pairs(profile, levels=[0.99])


def test_models_given_as_arrays():
    rng = np.random.default_rng(1)
    X, g = np.column_stack([np.ones(40), rng.normal(size=40)]), np.arange(40) % 8
    fit = bm.ModelSpec.from_arrays(rng.normal(size=40) + rng.normal(size=8)[g], X, g).fit()
    bm.plots.residuals(fit)
    bm.plots.caterpillar(fit)
    with pytest.raises(bm.UnavailableError, match="specify it by a formula"):
        bm.plots.panels(fit)


def test_rows_that_combine_levels():
    rng = np.random.default_rng(1)
    Z = rng.normal(size=(40, 5))
    y = Z @ rng.normal(size=5) + rng.normal(size=40)
    groups = np.zeros(40)
    spec = bm.ModelSpec.from_arrays(y, np.ones((40, 1)), groups, exog_vc={"spline": {0.0: Z}})
    fit = spec.fit()
    key = fit.design.factors[-1].key
    ax = bm.plots.shrinkage(fit, key)
    assert "no level's rows determine" in ax.get_title(loc="left")
    axes = bm.plots.residuals(fit, key)
    assert "Rows combine levels" in axes[1, 1].texts[0].get_text()
    with pytest.raises(bm.DataError, match="no panel could show the rows of one"):
        bm.plots.panels(fit, key)


def test_axes_that_are_given_are_used(fit):
    for plot in ("shrinkage", "shrinkage_2d", "caterpillar", "forest", "influence", "variances",
                 "posterior_predictive"):  # fmt: skip
        ax = plt.figure().subplots()
        assert getattr(bm.plots, plot)(fit, ax=ax) is ax
    ax = plt.figure().subplots()
    assert bm.plots.density(fit, "Days", ax=ax) is ax


def test_a_variance_that_is_not_identified():
    spec = bm.ModelSpec("Yield ~ Batch + (1 | Batch)", bm.load_dataset("dyestuff"))
    with pytest.warns(bm.IdentificationWarning):
        fit = spec.fit()
    with pytest.raises(bm.UnavailableError, match="a variance isn't identified"):
        bm.plots.variances(fit)
    with pytest.raises(bm.UnavailableError, match="not identified"):
        bm.plots.posterior_predictive(fit)
    with pytest.raises(bm.UnavailableError, match="nothing is known of its effects"):
        bm.plots.caterpillar(fit)
    bm.plots.shrinkage(fit).figure.canvas.draw()
    bm.plots.residuals(fit)[0, 0].figure.canvas.draw()
    bm.plots.density(fit)[0, 0].figure.canvas.draw()


def test_index_of_the_data_names_rows(fit):
    data = bm.load_dataset("sleepstudy").set_index(pd.Index([f"row {i}" for i in range(180)]))
    named = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", data).fit()
    ax = bm.plots.influence(named)
    largest = named.influence()["cooks_distance"].idxmax()
    assert ax.texts[0].get_text() == largest
