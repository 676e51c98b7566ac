"""What users of statsmodels write, and what they get."""

import inspect
import pickle
import pydoc
import re

import numpy as np
import pandas as pd
import pytest

import bimixed as bm
from bimixed.vocabulary import RESULT_NAMES


@pytest.fixture(scope="module")
def sleep():
    return bm.load_dataset("sleepstudy")


@pytest.fixture(scope="module")
def fit(sleep):
    return bm.ModelSpec.from_groups("Reaction ~ Days", sleep, groups="Subject", re_formula="~Days").fit()


@pytest.fixture(scope="module")
def growth():
    data = bm.load_dataset("orthodont").assign(c=lambda d: d["age"] - 11)
    return bm.ModelSpec("distance ~ c * Sex + (c | Subject)", data).fit()


# --- levels ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [
        lambda fit: fit.conf_int(0.05),
        lambda fit: fit.coef_table("normal", 0.05),
        lambda fit: fit.predict(interval="prediction", level=0.05),
        lambda fit: fit.test("Days = 0", level=0.05),
        lambda fit: fit.ranef_table("Subject", 0.05),
        lambda fit: fit.tidy(conf_int=True, conf_level=0.05),
        lambda fit: bm.table(fit, level=0.05),
    ],
)
def test_a_level_that_is_an_alpha_is_refused(fit, ask):
    with pytest.raises(bm.DataError, match=r"level=0\.05 is an interval of 5 %.*write (conf_)?level=0\.95"):
        ask(fit)


def test_half_is_a_level(fit):
    limits = fit.conf_int(0.5).loc["Days"]
    assert limits["lower"] < fit.fixef.loc["Days", "estimate"] < limits["upper"]


# --- hypotheses --------------------------------------------------------------------------------


def test_rows_of_a_matrix_are_called_by_what_they_say(growth):
    L = np.array([[0, 1, 0, 0], [1, 0, -2, 0.5]])
    found = growth.test(L)
    assert found.hypotheses == ("c = 0", "Intercept - 2*Sex[T.Male] + 0.5*c:Sex[T.Male] = 0")
    again = growth.test(list(found.hypotheses))
    assert pytest.approx(found.F, rel=1e-10) == again.F
    assert growth.test(pd.DataFrame({"c": [-1.0]})).hypotheses == ("-c = 0",)
    assert growth.test(pd.DataFrame({"c": [1.0]}, index=["slope"])).hypotheses == ("slope",)


@pytest.mark.parametrize(
    ("text", "same", "labels"),
    [
        ("(Days = 0), (Intercept = 200)", "Days = 0, Intercept = 200", ("Days = 0", "Intercept = 200")),
        ("((Days + Intercept) = 1)", "Days + Intercept = 1", ("(Days + Intercept) = 1",)),
        ("((Days = 1))", "Days = 1", ("Days = 1",)),
        ("(Days - 1) * 2 = 0", "Days = 1", ("(Days - 1) * 2 = 0",)),
        ("Days = Intercept = 0", "Days = 0, Intercept = 0", ("Days = Intercept", "Intercept = 0")),
        ("Days == 10 = Intercept / 25", "Days = 10, Intercept = 250", ("Days = 10", "10 = Intercept / 25")),
    ],
)
def test_brackets_and_chains_as_patsy_reads_them(fit, text, same, labels):
    """patsy 1.0's linear_constraint: 'a = b = 0' is a = b and b = 0."""
    found = fit.test(text)
    assert found.hypotheses == labels
    assert pytest.approx(fit.test(same).F, rel=1e-9) == found.F


@pytest.mark.parametrize(
    "text", ["(Days = 0", "(Days = 0) + 1", "((Days = 0), Days = 1", "Days = = 0", "0 = 0"]
)
def test_what_cant_be_read_is_still_underlined(fit, text):
    with pytest.raises(bm.FormulaError, match=r"\^"):
        fit.test(text)


def test_tests_print_no_minus_zero_and_no_p_of_zero(fit):
    text = str(fit.test("Days = 0"))
    assert "-0.0" not in text
    assert "<0.0001" in text
    assert not np.signbit(fit.test("Days = 0").table["value"]).any()


def test_a_factor_is_no_coefficient(growth):
    with pytest.raises(bm.FormulaError, match=r"'Sex' is no coefficient.*Sex\[T\.Male\].*fit\.anova\(\)"):
        growth.test("Sex = 0")
    with pytest.raises(bm.FormulaError, match=r"bm\.rlrt\("):
        growth.test("sd_Subject[c] = 0")


# --- names -------------------------------------------------------------------------------------

NEEDS_DRAWS = {"posterior"}


def _as_here(code, path):
    """A hint with the names of the sleep study."""
    for given, own in (("(group", "('Subject'"), ("'g'", "'Subject'"), ("sd_g[", "sd_Subject[")):
        code = code.replace(given, own)
    return code.replace("new_data", "sleep").replace("(path)", f"({str(path)!r})").replace("n=1000", "n=2")


@pytest.mark.parametrize("name", sorted(set(RESULT_NAMES)))
def test_names_of_results_lead_to_ours(fit, sleep, name, tmp_path):
    with pytest.raises(AttributeError, match=re.escape(f"write fit.{RESULT_NAMES[name]}")):
        getattr(fit, name)
    if RESULT_NAMES[name] not in NEEDS_DRAWS:
        found = eval(_as_here(f"fit.{RESULT_NAMES[name]}", tmp_path / "x.csv"), {"fit": fit, "sleep": sleep})
        assert found is not None or (tmp_path / "x.csv").exists()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("profile_re", "bm.profile(fit, 'sd_g[Intercept]')"),
        ("k_fe", "len(fit.fixef)"),
        ("k_vc", "len(fit.varcorr) - 1"),
        ("reml", "fit.method == 'reml'"),
        ("cov_re_unscaled", "fit.random_cov['g'] / fit.sigma ** 2"),
        ("resid_pearson", "fit.resid / fit.sigma"),
        ("use_t", "fit.coef_table().attrs['ddf']"),
    ],
)
def test_sentences_about_results_hold_code_that_runs(fit, name, code):
    with pytest.raises(AttributeError, match=re.escape(code)):
        getattr(fit, name)
    assert eval(_as_here(code, ""), {"fit": fit, "bm": bm}) is not None


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("exog", lambda spec: spec.design.X),
        ("endog", lambda spec: spec.design.y),
        ("exog_names", lambda spec: ("Intercept", "Days")),
        ("n_groups", lambda spec: {"Subject": 18}),
        ("group_labels", lambda spec: spec.design.factors[0].levels),
        ("k_fe", lambda spec: 2),
        ("data", lambda spec: bm.load_dataset("sleepstudy")),
    ],
)
def test_names_of_models_lead_to_ours(fit, name, same):
    spec = fit.spec
    with pytest.raises(AttributeError, match="write ") as caught:
        getattr(spec, name)
    code = str(caught.value).split("write ")[1].removesuffix(".")
    found = eval(_as_here(code, ""), {"spec": spec})
    assert np.array_equal(found, same(spec)) or found == same(spec)


@pytest.mark.parametrize("name", ["loglike", "score", "fit_regularized"])
def test_what_models_dont_do_is_said(fit, name):
    with pytest.raises(AttributeError, match=f"'{name}'; "):
        getattr(fit.spec, name)


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (bm.MixedModelResult.summary, "tables", "fit.coef_table() and fit.varcorr"),
        (bm.MixedModelResult.summary, "as_latex", "bm.table(fit).to_latex()"),
        (bm.MixedModelResult.summary, "as_html", "fit.to_html(path)"),
        (bm.MixedModelResult.summary, "as_text", "str(fit.summary())"),
        (lambda fit: fit.test("Days = 0"), "pvalue", "test.p_value"),
        (bm.table, "to_csv", ".table.to_csv(path)"),
        (lambda fit: bm.bootstrap(fit, 3, random_seed=1, progress=False), "draws", "boot.replicates"),
    ],
)
def test_names_of_other_objects_are_answered(fit, make, name, words):
    with pytest.raises(AttributeError, match=re.escape(words)):
        getattr(make(fit), name)
    assert not hasattr(make(fit), "_ipython_display_")


def test_the_p_value_of_one_comparison(sleep, fit):
    one = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", sleep).fit()
    none = bm.ModelSpec("Reaction ~ 1 + (1 | Subject)", sleep).fit()
    found = bm.lrtest(one, fit)
    assert found.p_value == found.table["p_value"].iloc[1]
    with pytest.raises(bm.UnavailableError, match=r"table\['p_value'\]"):
        bm.lrtest(none, one, fit).p_value
    with pytest.raises(AttributeError, match=r"write test\.p_value"):
        found.pvalue


# --- arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda fit: fit.test("Days = 0", use_f=False), "test has no use_f=. Write ddf='normal'"),
        (lambda fit: fit.anova(typ=2), "anova has no typ=. Write type=1, 2 or 3"),
        (lambda fit: fit.anova(test="Chisq"), "fit.anova('normal') is the χ²"),
        (lambda fit: fit.coef_table(alpha=0.05), "Write level=0.95 for alpha=0.05."),
        (lambda fit: fit.summary(alpha=0.05), "fit.coef_table('normal', level=0.9)"),
        (lambda fit: fit.summary(ddf="normal"), "fit.coef_table('normal', level=0.9)"),
        (lambda fit: fit.summary("normal"), "summary takes no arguments"),
        (lambda fit: fit.anova("normal", 3, 1), "takes ddf, type in this order"),
        (lambda fit: bm.profile(fit, vtype="re"), "bm.profile(fit, 'sd_g[Intercept]')"),
        (lambda fit: bm.bootstrap(fit, B=20), "bootstrap has no B=. Write n="),
        (lambda fit: bm.table(fit, stars=True), "uncertainty='interval'"),
        (lambda fit: fit.vcov_robust(clustr="Subject"), "Did you mean cluster=?"),
        (lambda fit: bm.lrtest(fit, fit, methd="ml"), "Did you mean method=?"),
        (lambda fit: bm.MixedRegressor(groups="g", reml=False), "method='ml' for reml=False"),
        (lambda fit: bm.MixedRegressor(groups="g", re_formula="~x"), "slopes=['x']"),
        (lambda fit: bm.MixedRegressor(groups="g").fit([[1]], [1], groups=[1]), "Groups are a column of X"),
        (lambda fit: fit.spec.fit(cov_type="cluster"), "fit.vcov_robust()"),
        (lambda fit: fit.spec.fit(weights=[1]), "ModelSpec(formula, data, weights=...).fit()"),
        (lambda fit: fit.spec.fit(free=1), "(x || g)"),
    ],
)
def test_arguments_of_methods_are_answered(fit, call, words):
    with pytest.raises(bm.ArgumentError, match=re.escape(words)) as caught:
        call(fit)
    assert "{" not in str(caught.value)


def test_help_shows_what_functions_take(fit):
    assert list(inspect.signature(fit.anova).parameters) == ["ddf", "type"]
    assert list(inspect.signature(bm.MixedRegressor).parameters)[:2] == ["groups", "slopes"]
    text = pydoc.render_doc(bm.profile)
    assert "parameters: " in text
    assert "P.args" not in text


def test_arrays_say_what_they_do_with_missing_values(sleep):
    with pytest.raises(bm.ArgumentError, match="left out and counted"):
        bm.ModelSpec.from_arrays(sleep["Reaction"], sleep[["Days"]], sleep["Subject"], missing="drop")


@pytest.mark.parametrize("method", ["lbfgs", "Nelder-Mead", ["lbfgs"], ["powell", "bfgs"]])
def test_optimisers_as_methods_are_answered(fit, method):
    with pytest.raises(bm.FitError, match=r"method= is the optimiser: leave it out.*optimizer='L-BFGS-B'"):
        fit.spec.fit(method=method)


@pytest.mark.parametrize("optimizer", ["powell", "bfgs", "cg", "bobyqa"])
def test_optimisers_that_arent_here_are_left_out(fit, optimizer):
    with pytest.raises(bm.FitError, match="leave optimizer out"):
        fit.spec.fit(optimizer=optimizer)


# --- groups ------------------------------------------------------------------------------------


@pytest.mark.parametrize("attribute", ["ranef", "ranef_sd", "random_cov", "random_corr"])
def test_tables_by_group_name_their_groups(fit, attribute):
    tables = getattr(fit, attribute)
    assert isinstance(tables, dict)
    assert list(tables) == ["Subject"]
    assert tables.get("Group") is None
    for error in (KeyError, bm.DataError):
        with pytest.raises(error, match=r"^The model has no group 'Group'; write a key of these: 'Subject'"):
            tables["Group"]
    assert pickle.loads(pickle.dumps(tables))["Subject"].equals(tables["Subject"])


def test_a_level_is_no_key(sleep):
    numbers = sleep.assign(Subject=sleep["Subject"].astype(int))
    fit = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", numbers).fit()
    with pytest.raises(KeyError, match=r"308 is a level of 'Subject'.*\['Subject'\]\.loc\[308\]"):
        fit.ranef[308]


def test_labels_beside_the_data_are_wanted_of_new_data(sleep):
    labels = pd.factorize(sleep["Subject"])[0]
    fit = bm.ModelSpec.from_groups("Reaction ~ Days", sleep, groups=labels).fit()
    with pytest.raises(bm.DataError, match=r"No column 'groups'.*beside the data: add them to the new data"):
        fit.predict(sleep.head(2))
    assert len(fit.predict(sleep.head(2).assign(groups=labels[:2]))) == 2


def test_missing_new_data_without_random_effects(fit):
    with pytest.raises(bm.DataError, match=r"rows \[1\]") as caught:
        fit.predict({"Days": [1, np.nan]}, random="none")
    assert "random='none'" not in str(caught.value)
    with pytest.raises(bm.DataError, match="random='none'"):
        fit.predict({"Days": [1, 2], "Subject": ["308", None]})


def test_wide_data_are_no_matter_of_crossed_levels(sleep):
    with pytest.raises(bm.DataError, match="as many levels as there are rows") as caught:
        bm.ModelSpec.from_groups("Reaction ~ Days", sleep, "Subject", vc_formula={"a": "0 + C(Days)"})
    assert "melt" not in str(caught.value)


def test_random_formulas_are_told_by_their_own_text(sleep):
    with pytest.raises(bm.FormulaError, match=r"re_formula has col.*\n\n    Days\|Subject\n        \^"):
        bm.ModelSpec.from_groups("Reaction ~ Days", sleep, "Subject", re_formula="Days|Subject")
    with pytest.raises(bm.FormulaError, match=r"re_formula is a DataFrame; give a formula"):
        bm.ModelSpec.from_groups("Reaction ~ Days", sleep, "Subject", re_formula=sleep[["Days"]])


# --- tables and estimator ----------------------------------------------------------------------


def test_tables_of_lists_and_dicts(fit):
    assert str(bm.table([fit, fit], names=["a", "b"])) == str(bm.table(fit, fit, names=["a", "b"]))
    assert str(bm.table({"a": fit, "b": fit})) == str(bm.table(fit, fit, names=["a", "b"]))
    for nothing in ([], {}, [fit, 1], fit.spec):
        with pytest.raises(bm.ArgumentError, match="a list of them, or a dict"):
            bm.table(nothing)


def test_latex_goes_to_a_file_by_hand(fit):
    with pytest.raises(bm.ArgumentError, match=r"Path\('out/t\.tex'\)\.write_text"):
        bm.table(fit).to_latex("out/t.tex")
    assert r"\caption{A table}" in bm.table(fit).to_latex("A table")


def test_no_adjustment_is_none(growth):
    means = bm.emmeans(growth, "Sex", by="c", at={"c": [0]})
    assert means.contrasts(adjust=None).equals(means.contrasts(adjust="none"))
    assert means.contrasts(adjust=None).attrs["adjust"] == "none"
    assert means.contrasts().attrs["adjust"] == "tukey"


def test_variances_are_profiled_as_sds(fit):
    with pytest.raises(bm.DataError, match=r"square the limits of 'sd_Subject\[Days\]'"):
        bm.profile(fit, "var_Subject[Days]")
    with pytest.raises(bm.DataError, match="square the limits of 'sigma'"):
        bm.profile(fit, "var_residual")


@pytest.mark.parametrize("formula", ["Days + (Days | Subject)", "~ Days + (Days | Subject)"])
def test_the_estimator_takes_right_sides(sleep, fit, formula):
    X, y = sleep[["Days", "Subject"]], sleep["Reaction"]
    found = bm.MixedRegressor(formula=formula).fit(X, y)
    np.testing.assert_allclose(found.coef_, fit.fixef["estimate"].iloc[1:], rtol=1e-8)


def test_the_estimator_says_what_its_columns_are(sleep):
    X, y = sleep[["Days", "Subject"]].assign(sex="m"), sleep["Reaction"]
    with pytest.raises(bm.DataError, match=r"right side only, 'Days \+ \(1\|Subject\)'"):
        bm.MixedRegressor(formula="Reaction ~ Days + (1|Subject)").fit(X, y)
    with pytest.raises(bm.DataError, match=r"'sex' can't be read as numbers.*formula='sex \+ \(1 \| g\)'"):
        bm.MixedRegressor(groups="Subject").fit(X, y)


@pytest.mark.parametrize(("call", "ddof"), [("scale", 1), ("standardize", 0)])
def test_what_scales_divide_by(sleep, call, ddof):
    X = bm.ModelSpec(f"Reaction ~ {call}(Days) + (1 | Subject)", sleep).design.X
    assert np.std(X[:, 1], ddof=ddof) == pytest.approx(1.0, abs=1e-12)


def test_wald_tests_of_terms_are_f_times_its_df(fit):
    """t² of the only coefficient of the term, by normal theory."""
    found = fit.anova("normal").loc["Days"]
    z = fit.coef_table("normal").loc["Days", "statistic"]
    assert found["F"] * found["num_df"] == pytest.approx(z**2, rel=1e-10)


def test_inequalities_in_brackets(fit):
    with pytest.raises(bm.FormulaError, match="write 'Days = 5'"):
        fit.test("(Days > 5), (Intercept = 0)")
    with pytest.raises(bm.FormulaError, match=r"write 'Days = \(5\)'"):
        fit.test("Days < (5)")


# --- every function, and only arguments that it has --------------------------------------------


def everything_public(fit):
    """Functions, plots, and methods of printed objects."""
    spec = fit.spec
    yield from (getattr(bm.plots, name) for name in bm.plots.__all__)
    yield from (bm.load, bm.load_dataset, bm.lrtest, bm.bootstrap, bm.profile, bm.drop1, bm.table, bm.pooling)
    means = bm.emmeans(fit, [])
    for one in (fit, spec, means, bm.table(fit), bm.compare(fit, fit), bm.pooling(spec)):
        for name in dir(type(one)):
            if not name.startswith("_") and inspect.isfunction(inspect.getattr_static(type(one), name)):
                yield getattr(one, name)


def test_every_public_function_answers(fit):
    missing = []
    for function in everything_public(fit):
        try:
            function(nonsense=1)
        except bm.ArgumentError as error:
            assert "nonsense" in str(error)
        except TypeError as error:
            if "missing" not in str(error):  # Python looks for positional arguments first
                missing.append((function.__qualname__, str(error)))
    assert missing == []


@pytest.mark.parametrize(
    ("ask", "never"),
    [
        (lambda fit: fit.anova(alpha=0.1), "level="),
        (lambda fit: bm.plots.residuals(fit, alpha=0.5), "level="),
        (lambda fit: bm.drop1(fit, seed=1), "random_seed="),
        (lambda fit: fit.anova(nsim=100), "n="),
    ],
)
def test_no_advice_to_write_an_argument_that_isn_t_there(fit, ask, never):
    with pytest.raises(bm.ArgumentError) as caught:
        ask(fit)
    assert f"Write {never}" not in str(caught.value)
