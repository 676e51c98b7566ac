import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bimixed as bm


@pytest.fixture(scope="module")
def sleep():
    return bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))


def test_a_result_is_frozen_and_its_tables_are_copies(sleep):
    fit = sleep.fit()
    with pytest.raises(dataclasses.FrozenInstanceError):
        fit.method = "ml"
    for table in (fit.fixef, fit.ranef["Subject"], fit.vcov, fit.random_cov["Subject"]):
        table.iloc[:] = 0.0
    fit.theta["Subject"][:] = 0.0
    assert fit.fixef["estimate"]["Days"] == pytest.approx(10.467286, abs=1e-5)
    assert (fit.ranef["Subject"].to_numpy() != 0).all()
    assert (fit.random_cov["Subject"].to_numpy() != 0).all()
    assert fit.vcov.loc["Days", "Days"] > 0
    assert (fit.theta["Subject"] != 0).all()


def test_a_second_fit_changes_nothing_of_the_first(sleep):
    reml = sleep.fit("reml")
    before = (reml.loglik, reml.sigma, reml.fixef.copy())
    sleep.fit("ml")
    assert (reml.loglik, reml.sigma) == before[:2]
    pd.testing.assert_frame_equal(reml.fixef, before[2])
    assert reml.spec is sleep


def test_the_index_is_the_callers():
    data = bm.load_dataset("sleepstudy").set_axis(np.repeat(np.arange(90), 2), axis=0)
    data.iloc[5, 0] = np.nan
    fit = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", data).fit()
    assert fit.fitted.index.tolist() == [i for k, i in enumerate(data.index) if k != 5]
    assert fit.nobs == 179
    assert "1 left out" in str(fit)


def test_coef_adds_fixed_and_random(sleep):
    fit = sleep.fit()
    expected = fit.ranef["Subject"] + fit.fixef["estimate"]
    pd.testing.assert_frame_equal(fit.coef("Subject"), expected)
    other = bm.ModelSpec("Reaction ~ 1 + (0 + Days | Subject)", bm.load_dataset("sleepstudy")).fit()
    assert other.coef("Subject").columns.tolist() == ["Intercept", "Days"]
    with pytest.raises(bm.DataError, match="no group 'county'"):
        fit.coef("county")


def test_tables(sleep):
    fit = sleep.fit()
    assert fit.varcorr.columns.tolist() == ["group", "name", "variance", "sd"]
    assert fit.varcorr.iloc[-1]["group"] == "Residual"
    assert fit.varcorr.iloc[-1]["name"] == ""
    np.testing.assert_allclose(fit.varcorr["sd"] ** 2, fit.varcorr["variance"])
    table = fit.coef_table(ddf="normal", level=0.9)
    assert table.columns.tolist() == [
        "estimate", "std_error", "df", "statistic", "p_value", "lower", "upper",
    ]  # fmt: skip
    assert np.isinf(table["df"]).all()
    assert fit.conf_int().index.tolist() == [
        "Intercept", "Days", "sd_Subject[Intercept]", "sd_Subject[Days]",
        "corr_Subject[Intercept,Days]", "sigma",
    ]  # fmt: skip
    assert fit.ngroups == {"Subject": 18}
    assert fit.random_corr["Subject"].loc["Intercept", "Days"] == pytest.approx(0.06555, abs=1e-4)


def test_requests_that_are_not_there_say_so(sleep):
    fit = sleep.fit()
    with pytest.raises(bm.DataError, match="choose one of 'satterthwaite', 'kenward-roger'"):
        fit.coef_table(ddf="lme4")
    with pytest.raises(bm.DataError, match="'wald'"):
        fit.conf_int(method="score")
    with pytest.raises(bm.UnavailableError, match="aic"):
        fit.loo()


def test_summary_in_text_and_html(sleep):
    fit = sleep.fit()
    assert str(fit).split("\n")[0] == "REML fit of Reaction ~ Days + (Days | Subject)"
    html = fit._repr_html_()
    assert "<table" in html
    assert "REML fit of Reaction ~ Days + (Days | Subject)" in html
    assert "sd_" not in html or "<script" not in html


def test_a_summary_tells_that_likelihoods_have_no_priors(sleep):
    given = sleep.update(priors={"Days": bm.Prior("normal", mu=0, sigma=20)})
    assert "The priors given don't enter REML: spec.fit('nuts') uses them." in str(given.fit())
    assert "The priors given don't enter maximum likelihood" in str(given.fit("ml"))
    drawn = given.fit("importance", draws=1000, random_seed=1, progress=False)
    assert "priors given" not in str(drawn) + str(sleep.fit())
    with pytest.raises(bm.DataError, match=r"fit.predict_draws\(new_data, 'response'\)"):
        drawn.posterior_predictive(pd.DataFrame({"Days": [3]}))


def test_an_argument_of_another_method_names_it(sleep):
    with pytest.raises(bm.FitError, match=r"write spec.fit\('nuts', draws=600\)"):
        sleep.fit(draws=600)
    with pytest.raises(bm.FitError, match=r"write spec.fit\('reml', start=...\)"):
        sleep.fit("nuts", start=[1.0, 0.0, 1.0])


def test_correlations_that_are_rounding_print_as_0(sleep):
    fit = sleep.fit()
    for value, printed in ((-8.81e-14, "0.0000"), (4e-5, "0.0000"), (-6e-5, "-6.000e-05"), (0.07, "0.0700")):
        corr = {"Subject": np.array([[1.0, value], [value, 1.0]])}
        text = str(dataclasses.replace(fit, estimates=dataclasses.replace(fit.estimates, random_corr=corr)))
        row = next(line for line in text.split("\n") if line.endswith(printed) and "Days" in line)
        assert row.split()[-1] == printed


def test_extreme_variance_ratios():
    """A group sd 1000 times the residual one: estimates against the closed form for balanced data.

    With n rows in each of m groups the REML estimates are MSW and (MSB − MSW)/n.
    """
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(30), 5)
    y = 1000 * rng.normal(size=30)[g] + rng.normal(size=150)
    table = pd.DataFrame({"y": y, "g": g})
    fit = bm.ModelSpec("y ~ 1 + (1 | g)", table).fit()
    means = table.groupby("g")["y"].mean()
    msw = ((y - means.to_numpy()[g]) ** 2).sum() / 120
    msb = 5 * ((means - y.mean()) ** 2).sum() / 29
    assert fit.sigma**2 == pytest.approx(msw, rel=1e-6)
    assert fit.random_cov["g"].iloc[0, 0] == pytest.approx((msb - msw) / 5, rel=1e-6)
    assert fit.diagnostics.ok


@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1e3, 1e8])
def test_units_of_the_response_change_only_units(sleep, scale):
    data = bm.load_dataset("sleepstudy")
    base = sleep.fit()
    fit = bm.ModelSpec(
        "Reaction ~ Days + (Days | Subject)", data.assign(Reaction=data["Reaction"] * scale)
    ).fit()
    np.testing.assert_allclose(fit.theta["Subject"], base.theta["Subject"], rtol=1e-5)
    np.testing.assert_allclose(fit.fixef / scale, base.fixef, rtol=1e-5)
    assert fit.diagnostics.ok


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_of_a_covariate_change_only_units(sleep, scale):
    data = bm.load_dataset("sleepstudy")
    fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", data.assign(Days=data["Days"] * scale)).fit()
    base = sleep.fit()
    assert fit.loglik == pytest.approx(base.loglik - np.log(scale), abs=1e-6)
    assert fit.varcorr["sd"][1] * scale == pytest.approx(base.varcorr["sd"][1], rel=1e-5)
    assert fit.diagnostics.ok


def test_diagnostics_show_what_applies(sleep, radon_nuts):
    reml = repr(sleep.fit().diagnostics)
    assert reml.startswith("Diagnostics: ok\n  converged      True\n  singular       False\n")
    assert "elimination    by_level={'Subject': 18}" in reml
    assert "None" not in reml
    assert "rhat" not in reml
    nuts = repr(radon_nuts.diagnostics)
    assert "rhat_max" in nuts
    assert "None" not in nuts
    assert "singular" not in nuts.split("*")[0]
    assert "evaluations" not in nuts
    for diagnostics, text in ((sleep.fit().diagnostics, reml), (radon_nuts.diagnostics, nuts)):
        assert text.count("\n* ") == len(diagnostics.messages)


def test_the_readme_explains_the_elimination():
    """Every key that a fit of any structure tells."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    data = bm.load_dataset("sleepstudy")
    for formula in ("Reaction ~ Days + (1 | Subject)", "Reaction ~ Days + (1 | Subject) + (1 | Days)"):
        for key in bm.ModelSpec(formula, data).fit().diagnostics.details["elimination"]:
            assert f"| `{key}` |" in readme
