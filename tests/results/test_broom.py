"""tidy, glance and augment against broom.mixed's printed example, and against the tables they come from."""

import numpy as np
import pandas as pd
import pytest
from drawn import dyestuff, importance_fit

import bimixed as bm

FORMULA = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def sleep():
    return bm.ModelSpec(FORMULA, bm.load_dataset("sleepstudy")).fit()


@pytest.fixture(scope="module")
def drawn():
    return importance_fit(dyestuff(), 2000)


def test_tidy_gives_what_broom_mixed_gives_for_lme4(sleep):
    """tidy(lmer(Reaction ~ Days + (Days | Subject), sleepstudy)), as printed; statistics have 3 digits."""
    fixed = sleep.tidy()
    assert list(fixed) == ["effect", "term", "estimate", "std_error", "statistic", "df", "p_value"]
    printed = [[251.405, 6.825, 36.838], [10.467, 1.546, 6.771]]
    np.testing.assert_allclose(fixed[["estimate", "std_error", "statistic"]], printed, atol=6e-4)
    parameters = sleep.tidy("ran_pars")
    assert list(parameters) == ["effect", "group", "term", "estimate", "std_error"]
    names = ["sd__Intercept", "sd__Days", "cor__Intercept.Days", "sd__Observation"]
    assert parameters["term"].tolist() == names
    assert parameters["group"].tolist() == ["Subject"] * 3 + ["Residual"]
    np.testing.assert_allclose(parameters["estimate"], [24.741, 5.922, 0.0656, 25.592], atol=6e-4)
    row = sleep.glance().iloc[0]
    names = ["nobs", "sigma", "loglik", "aic", "bic", "reml_crit", "df_residual"]
    printed = [180, 25.592, -871.814, 1755.628, 1774.786, 1743.628, 174]
    np.testing.assert_allclose(row[names].astype(float), printed, atol=6e-4)


def test_terms_of_several_groups_keep_their_own_figures():
    """Each sd beside its name, whatever order the parameters are kept in."""
    data = bm.load_dataset("sleepstudy").assign(Pair=lambda d: d["Days"] % 5)
    fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject) + (1 | Pair)", data).fit("ml")
    got = fit.tidy("ran_pars", conf_int=True).set_index(["group", "term"])
    for group, name, _, sd in fit.varcorr.itertuples(index=False):
        term = "sd__" + (name or "Observation")
        assert got.loc[(group, term), "estimate"] == pytest.approx(sd, rel=1e-12)
    limits = fit.conf_int().loc["sd_Subject[Days]"]
    assert got.loc[("Subject", "sd__Days"), ["conf_low", "conf_high"]].tolist() == limits.tolist()
    correlation = fit.random_corr["Subject"].loc["Intercept", "Days"]
    assert got.loc[("Subject", "cor__Intercept.Days"), "estimate"] == pytest.approx(correlation, rel=1e-12)


def test_limits_are_those_of_conf_int(sleep):
    both = sleep.tidy(["fixed", "ran_pars"], conf_int=True, conf_level=0.8, conf_method="profile")
    limits = sleep.conf_int(0.8, "profile")
    sds = ["sd_Subject[Intercept]", "sd_Subject[Days]", "corr_Subject[Intercept,Days]", "sigma"]
    wanted = limits.loc[["Intercept", "Days", *sds]]
    np.testing.assert_array_equal(both[["conf_low", "conf_high"]], wanted)
    other = sleep.tidy(conf_int=True, ddf="kenward-roger")
    np.testing.assert_array_equal(other["conf_low"], sleep.coef_table("kenward-roger")["lower"])


def test_random_effects_have_one_row_for_each_level_and_coefficient(sleep):
    values = sleep.tidy("ran_vals", conf_int=True)
    assert len(values) == 36
    assert values["level"].tolist() == np.repeat(sleep.ranef["Subject"].index, 2).tolist()
    np.testing.assert_array_equal(values["estimate"], sleep.ranef["Subject"].to_numpy().ravel())
    np.testing.assert_allclose(values["std_error"], sleep.ranef_sd["Subject"].to_numpy().ravel(), rtol=1e-10)
    half = 1.959963984540054 * values["std_error"]
    np.testing.assert_allclose(values["conf_high"], values["estimate"] + half, rtol=1e-12)
    assert "conf_low" not in sleep.tidy("ran_vals")


def test_several_effects_stand_below_each_other_with_unique_rows(sleep):
    everything = sleep.tidy(["fixed", "ran_pars", "ran_vals"], conf_int=True)
    assert everything["effect"].value_counts().to_dict() == {"fixed": 2, "ran_pars": 4, "ran_vals": 36}
    assert list(everything)[:4] == ["effect", "group", "level", "term"]
    assert everything.index.is_unique  # which pandas' Styler needs


def test_draws_have_the_same_columns(sleep, drawn):
    for effects in ("fixed", "ran_pars", "ran_vals"):
        ours, theirs = (fit.tidy(effects, conf_int=True) for fit in (drawn, sleep))
        assert list(ours) == list(theirs)
    assert drawn.tidy()["p_value"].isna().all()
    sigma = drawn.posterior["posterior"]["sigma"].to_numpy().ravel()
    last = drawn.tidy("ran_pars", conf_int=True, conf_level=0.5).iloc[-1]
    assert last["estimate"] == pytest.approx(sigma.mean(), rel=1e-12)
    np.testing.assert_allclose(
        last[["conf_low", "conf_high"]].astype(float), np.quantile(sigma, [0.25, 0.75])
    )
    assert list(drawn.glance()) == list(sleep.glance())
    assert np.isnan(drawn.glance()["aic"][0])
    assert drawn.glance(loo=True)["elpd_loo"][0] == pytest.approx(float(drawn.loo().elpd))


def test_glances_stand_below_each_other(sleep):
    ml = sleep.spec.fit("ml")
    table = pd.concat([sleep.glance(), ml.glance()], ignore_index=True)
    assert table["deviance"].isna().tolist() == [True, False]
    assert table["reml_crit"].isna().tolist() == [False, True]
    assert table["deviance"][1] == pytest.approx(-2 * ml.loglik)


def test_augment_says_about_each_row_what_the_fit_says():
    data = bm.load_dataset("sleepstudy").set_index(pd.Index(range(1000, 1180)))
    data.loc[1003, "Days"] = np.nan
    fit = bm.ModelSpec(FORMULA, data).fit()
    table = fit.augment()
    assert list(table) == ["Reaction", "Days", "Subject", "fitted", "resid", "fixed", "hat", "cooksd"]
    assert table.index.equals(fit.fitted.index)
    np.testing.assert_allclose(table["Reaction"], table["fitted"] + table["resid"], rtol=1e-14)
    beta = fit.fixef["estimate"]
    np.testing.assert_allclose(table["fixed"], beta["Intercept"] + beta["Days"] * table["Days"], rtol=1e-12)
    np.testing.assert_array_equal(table["cooksd"], fit.influence()["cooks_distance"])
    assert "hat" not in fit.augment(influence=False)


def test_augment_of_new_rows_keeps_their_columns(sleep, drawn):
    new = pd.DataFrame({"Subject": [308, 999], "Days": [1, 2], "note": ["a", "b"]}, index=["x", "y"])
    table = sleep.augment(new, prefix=".")
    assert list(table) == ["Subject", "Days", "note", ".fitted", ".fixed"]
    assert table.loc["y", ".fitted"] == table.loc["y", ".fixed"]
    assert table.loc["x", ".fitted"] != table.loc["x", ".fixed"]
    assert list(new) == ["Subject", "Days", "note"]
    assert list(drawn.augment()) == ["Yield", "Batch", "fitted", "resid", "fixed"]
    with pytest.raises(bm.DataError, match="column 'fitted' already; rename it, or give prefix="):
        sleep.augment(sleep.augment())


def test_augment_of_models_given_as_arrays():
    data = bm.load_dataset("sleepstudy")
    X = np.column_stack([np.ones(len(data)), data["Days"]])
    fit = bm.ModelSpec.from_arrays(data["Reaction"], X, data["Subject"], exog_re=X).fit()
    table = fit.augment(influence=False)
    np.testing.assert_allclose(table["endog"], table["fitted"] + table["resid"], rtol=1e-14)
    new = fit.augment({"exog": X[:3], "groups": data["Subject"][:3], "exog_re": X[:3]})
    np.testing.assert_allclose(new["fitted"], table["fitted"][:3], rtol=1e-12)


def test_wrong_requests_are_refused(sleep):
    with pytest.raises(bm.DataError, match="effects is 'random'; choose 'fixed', 'ran_pars', 'ran_vals'"):
        sleep.tidy("random")
    with pytest.raises(bm.DataError, match="effects is 5; choose"):
        sleep.tidy(5)
    with pytest.raises(bm.DataError, match="effects is empty"):
        sleep.tidy([])
    with pytest.raises(bm.DataError, match="level is 95"):
        sleep.tidy(conf_level=95)
