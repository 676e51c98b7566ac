"""Everything public of results, specifications and plots, of models of sums: it works, or says what to do."""

import inspect

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from streamed_rows import DATA

import bimixed as bm
from bimixed.compare import own_estimates
from bimixed.inference.residual_checks import residuals_of

mpl.use("Agg")
FORMULA = "y ~ x * f + (x | g)"
FRAMES = [DATA[:700], DATA[700:]]
NEW = DATA.dropna()[:30]
BOTH = {"fitted", "resid", "simulate", "marginal_cov", "residuals_scaled"}
OF_LIKELIHOOD = {
    *("leverage", "influence", "refit", "refit_many", "vcov_robust", "coef_table_robust"),
    *("conditional_aic", "caic", "explain_singular"),
}
OF_DRAWS = {"loo", "posterior_predictive"}
"""What needs rows."""
ARGUMENTS = {
    "coef": ("g",),
    "combine": ({"x": {"x": 1.0}},),
    "marginal_cov": ([0, 1],),
    "rank_levels": ("g", "x"),
    "ranef_cov": ("g",),
    "ranef_table": ("g",),
    "predict": (NEW,),
    "predict_draws": (NEW,),
    "augment": (NEW,),
    "refit": (np.arange(1496.0),),
    "refit_many": (np.ones((1496, 2)),),
    "test": ("x = 1",),
}


@pytest.fixture(scope="module", params=["reml", "importance"])
def fits(request):
    how = {"draws": 1000, "random_seed": 1, "progress": False} if request.param == "importance" else {}
    both = (bm.ModelSpec(FORMULA, data).fit(request.param, **how) for data in (FRAMES, DATA))
    return tuple(both)


def public(thing):
    for name in dir(thing):
        if not name.startswith("_"):
            member = inspect.getattr_static(type(thing), name, None)
            yield name, callable(member) or isinstance(member, classmethod)


def asked(thing, name, is_called, arguments):
    found = getattr(thing, name)
    return found(*arguments.get(name, ())) if is_called else found


def test_every_member_of_a_result_works_or_says_that_rows_are_missing(fits, tmp_path):
    fit, reference = fits
    arguments = ARGUMENTS | {"to_html": (tmp_path / "a.html",), "save": (tmp_path / "a.bimixed",)}
    refused = set()
    for name, is_called in public(fit):
        if name == "to_marginaleffects" or (name == "refit_many" and fit.posterior is not None):
            continue  # needs another package; is for likelihood fits
        try:
            asked(fit, name, is_called, arguments)
        except bm.UnavailableError as error:
            if "keep no rows" in str(error):
                refused.add(name)
            else:  # not of sums, but of this kind of fit: rows in memory don't help
                with pytest.raises(bm.UnavailableError):
                    asked(reference, name, is_called, arguments)
    assert refused == BOTH | (OF_LIKELIHOOD if fit.posterior is None else OF_DRAWS)


def test_texts_are_those_of_rows_in_memory(fits):
    fit, reference = fits

    def lines(text):
        return [line for line in text.split("\n") if "Time:" not in line]

    if fit.posterior is None:
        assert lines(str(fit)) == lines(str(reference))
        for name in ("tidy", "glance", "anova", "r2", "icc"):
            pd.testing.assert_frame_equal(getattr(fit, name)(), getattr(reference, name)(), rtol=1e-6)
    assert "<table" in fit._repr_html_()
    assert "tabular" in bm.table(fit, fit).to_latex()


def test_plots_draw_or_say_that_rows_are_missing(fits):
    fit, _ = fits
    drawn = set()
    for name in ("caterpillar", "density", "forest", "panels", "posterior_predictive", "residuals"):
        try:
            getattr(bm.plots, name)(fit)
            drawn.add(name)
        except bm.UnavailableError as error:
            assert "bm.plots.residuals(fit, data=rows)" in str(error)
        plt.close("all")
    assert drawn == {"caterpillar", "density", "forest"}
    for name in ("shrinkage", "shrinkage_2d", "variances"):
        getattr(bm.plots, name)(fit)
        plt.close("all")


def test_residuals_are_drawn_of_a_sample(fits):
    fit, reference = fits
    for data in (NEW, DATA, FRAMES):
        axes = bm.plots.residuals(fit, data=data)
        n = 30 if data is NEW else 1496
        assert axes.flat[0].figure.get_suptitle() == f"Residuals of {FORMULA}, a sample of {n:,} rows"
        plt.close("all")
    found, whole = residuals_of(fit, DATA), residuals_of(reference)
    sd = 1e-6 if fit.posterior is None else 0.2  # importance sampling turns rounding into other draws
    np.testing.assert_allclose(found.fitted, whole.fitted, atol=sd)
    np.testing.assert_allclose(found.standardized, whole.standardized, atol=sd)
    np.testing.assert_array_equal(found.codes["g"], whole.codes["g"])
    elsewhere = NEW.assign(g=10_000)
    axes = bm.plots.residuals(fit, data=elsewhere)
    assert "None of the rows is of a level of g" in [t.get_text() for t in axes[1, 1].texts]
    plt.close("all")
    with pytest.raises(bm.DataError, match="No column 'y'"):
        bm.plots.residuals(fit, data=NEW.drop(columns="y"))
    with pytest.raises(bm.DataError, match="No row of data= has all of"):
        bm.plots.residuals(fit, data=NEW.assign(x=np.nan))


def test_residuals_of_weighted_fits_count_the_weights():
    fit, reference = (bm.ModelSpec("y ~ x + (1 | g)", data, weights="w").fit() for data in (FRAMES, DATA))
    found, whole = residuals_of(fit, DATA), residuals_of(reference)
    np.testing.assert_allclose(found.standardized, whole.standardized, atol=1e-6)


@pytest.mark.parametrize("how", [{}, {"weights": "w", "offset": "o"}])
def test_own_estimates_of_levels_are_those_of_rows(how):
    """Of moved covariates too, and NaN for levels whose rows don't tell."""
    data = DATA.assign(x=DATA["x"] + 100.0)
    data.loc[data["g"] == 3, "x"] = 101.0
    formula = "y ~ x + (x | g) + (0 + f | k)"
    fit, reference = (bm.ModelSpec(formula, rows, **how).fit() for rows in ([data[:700], data[700:]], data))
    for one, other in zip(fit.design.factors, reference.design.factors, strict=True):
        found, wanted = own_estimates(fit, one), own_estimates(reference, other)
        assert 0 < np.isnan(wanted).sum() < wanted.size or one.key == "k"
        np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
        # the intercept is 100 covariates away from the data, and estimates differ by 1e-7 errors
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_comparisons_and_pages_are_made_of_sums(tmp_path):
    fit, reference = (bm.ModelSpec(FORMULA, data).fit() for data in (FRAMES, DATA))
    ml, other = (bm.ModelSpec(FORMULA, data).fit("ml") for data in (FRAMES, DATA))
    one, two = bm.compare(fit, ml), bm.compare(reference, other)
    pd.testing.assert_frame_equal(one.fixef, two.fixef, rtol=1e-6, atol=1e-6)
    assert "Shrinkage" in str(one)
    for result, path in ((fit, "fit.html"), (one, "comparison.html")):
        text = result.to_html(tmp_path / path).read_text(encoding="utf-8")
        assert "Pictures of rows aren&#x27;t here" in text or "Pictures of rows aren't here" in text
        assert "Not drawn" not in text
        assert "your source, such as bm.scan_parquet(...): 1500 rows" in text


def test_every_member_of_a_specification_works_or_says_that_rows_are_missing():
    spec = bm.ModelSpec(FORMULA, FRAMES)
    arguments = {
        "simulate": (spec.fit().fixef, {"g": np.eye(2)}, 1.0),
        "data_column": ("x",),
        "with_design": (spec.design, {}),
    }
    refused = set()
    for name, is_called in public(spec):
        if name in ("from_groups", "from_arrays", "fit"):
            continue
        try:
            asked(spec, name, is_called, arguments)
        except bm.UnavailableError as error:
            assert "keep no rows" in str(error)
            refused.add(name)
    assert refused == {"simulate", "data_column", "to_pymc", "sample_prior"}


def test_specifications_of_sources_are_updated():
    spec = bm.ModelSpec("y ~ x + (1 | g)", FRAMES, progress=False)
    reference = bm.ModelSpec("y ~ x + z + (1 | g)", DATA).fit().loglik
    assert spec.update(". ~ . + z").fit().loglik == pytest.approx(reference, rel=1e-10)
    assert spec.update(". ~ . + z", data=DATA).fit().loglik == pytest.approx(reference, rel=1e-12)
    assert spec.update(". ~ . + z", data=[DATA]).fit().loglik == pytest.approx(reference, rel=1e-10)
    assert spec.update(priors={"x": bm.Prior("normal", mu=0, sigma=1)}).priors["x"].parameters["sigma"] == 1


def test_likelihood_ratios_are_those_of_rows_in_memory():
    """Nesting is told by names; tests of variances have the same mixtures."""
    data = bm.load_dataset("sleepstudy")
    pairs = [
        ("Reaction ~ 1 + (Days | Subject)", "Reaction ~ Days + (Days | Subject)"),
        ("Reaction ~ Days + (1 | Subject)", "Reaction ~ Days + (Days | Subject)"),
        ("Reaction ~ Days + (Days || Subject)", "Reaction ~ Days + (Days | Subject)"),
    ]
    for formulas in pairs:
        mine, theirs = ([bm.ModelSpec(f, d).fit() for f in formulas] for d in ([data[:90], data[90:]], data))
        pd.testing.assert_frame_equal(bm.lrtest(*mine).table, bm.lrtest(*theirs).table, rtol=1e-7)
    with pytest.raises(bm.DataError, match="not nested"):
        bm.lrtest(
            bm.ModelSpec("Reaction ~ Days + (1 | Subject)", [data]).fit("ml"),
            bm.ModelSpec("Reaction ~ I(Days**2) + (Days | Subject)", [data]).fit("ml"),
        )
    with pytest.raises(bm.DataError, match="different responses"):
        bm.lrtest(
            bm.ModelSpec("log(Reaction) ~ Days + (1 | Subject)", [data]).fit(),
            bm.ModelSpec("Reaction ~ Days + (Days | Subject)", [data]).fit(),
        )
