"""Places where a specification could silently have become another one."""

import warnings

import numpy as np
import pandas as pd
import pytest

import bimixed as bm


def table():
    rng = np.random.default_rng(0)
    n = 120
    data = pd.DataFrame(
        {
            "g": np.repeat(np.arange(12), 10),
            "x": rng.normal(size=n),
            "z": rng.uniform(1, 3, n),
            "c": rng.choice(list("pqr"), n),
        }
    )
    g = data["g"].to_numpy()
    data["y"] = 1 + data["x"] + 2 * rng.normal(size=12)[g] + rng.normal(size=12)[g] * data["x"]
    return data.assign(y=data["y"] + rng.normal(size=n))


# --- groups given beside the data -----------------------------------------------------------------


def test_a_binned_covariate_as_groups_does_not_replace_the_covariate():
    d = table()
    spec = bm.ModelSpec.from_groups("y ~ x", d, d["x"].round())
    np.testing.assert_array_equal(spec.design.X[:, 1], d["x"])
    assert spec.design.factors[0].key == "groups"
    same = bm.ModelSpec("y ~ x + (1 | round(x))", d).fit()
    assert spec.fit().loglik == pytest.approx(same.loglik, abs=1e-9)
    by_response = bm.ModelSpec.from_groups("y ~ x", d, (d["y"] > 0).astype(int))
    np.testing.assert_array_equal(by_response.design.y, d["y"])


def test_an_array_of_groups_and_another_column_of_that_name():
    d = table().assign(groups=1.0)
    with pytest.raises(bm.FormulaError, match="another name"):
        bm.ModelSpec.from_groups("y ~ x", d, d["g"].to_numpy())
    assert bm.ModelSpec.from_groups("y ~ x", d, d["g"]).design.factors[0].key == "g"


def test_groups_may_be_an_expression_beside_components():
    spec = bm.ModelSpec.from_groups("y ~ x", table(), "C(g)", vc_formula={"v": "0 + C(c)"})
    same = bm.ModelSpec("y ~ x + (1 | g:c)", table())
    assert spec.fit().loglik == pytest.approx(same.fit().loglik, abs=1e-9)


# --- offsets are arithmetic -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("z - x", lambda d: d["z"] - d["x"]),
        ("z + x", lambda d: d["z"] + d["x"]),
        ("2 * z", lambda d: 2 * d["z"]),
        ("z / 2", lambda d: d["z"] / 2),
        ("x**2", lambda d: d["x"] ** 2),
        ("log(z) - log(z**2)", lambda d: -np.log(d["z"])),
    ],
)
def test_offsets_are_python_expressions(expression, value):
    design = bm.ModelSpec(f"y ~ x + offset({expression}) + (1 | g)", table()).design
    np.testing.assert_allclose(design.offset, value(table()))


def test_powers_of_r_in_an_offset_are_refused():
    with pytest.raises(bm.FormulaError, match=r"'\*\*'"):
        bm.ModelSpec("y ~ x + offset(x^2) + (1 | g)", table())


# --- new data of another kind ---------------------------------------------------------------------


def test_numbers_for_a_factor_and_labels_for_a_number_are_refused():
    fit = bm.ModelSpec("y ~ c + x + (1 | g)", table()).fit()
    new = table().iloc[:3]
    with pytest.raises(bm.DataError, match="'c' is numeric in these rows and was a factor"):
        fit.predict(new.assign(c=[1, 2, 3]))
    with pytest.raises(bm.DataError, match="'x' is a factor"):
        fit.predict(new.assign(x=["a", "b", "c"]))


def test_levels_of_components_are_found_whatever_the_labels_look_like():
    d = table()
    days = pd.Timestamp("2026-01-01") + pd.to_timedelta(d["g"], "D") + pd.to_timedelta(d["g"] % 2 * 5, "h")
    for labels in (d["g"].astype(float), days, d["g"].astype("category")):
        data = d.assign(g=labels)
        fit = bm.ModelSpec.from_groups("y ~ x", data, "g", vc_formula={"s": "0 + x + z"}).fit()
        for new in (data, data.iloc[:10], data.assign(g=d["g"]) if labels.dtype == float else data):
            np.testing.assert_allclose(fit.predict(new)["estimate"], fit.fitted[new.index], atol=1e-9)


def test_component_columns_and_groups_may_have_colons():
    d = table()
    d["g"] = np.where(d["g"] % 2 == 0, "a", "a:b")
    d = d.rename(columns={"z": "b"})
    d["b:x"] = d["b"] * 2
    spec = bm.ModelSpec.from_groups("y ~ x", d, "g", vc_formula={"s": "0 + `b:x` + x + b"})
    assert spec.design.factors[0].n_levels == 6


def test_undefined_values_of_a_component_in_new_data_are_an_error():
    fit = bm.ModelSpec.from_groups("y ~ x", table(), "g", vc_formula={"s": "0 + log(z) + x"}).fit()
    with pytest.raises(bm.DataError, match=r"component 's'.*rows \[0\]"):
        fit.predict(table().iloc[:2].assign(z=[-1.0, 2.0]))


def test_unseen_labels_in_a_general_component_follow_new_levels():
    fit = bm.ModelSpec.from_groups("y ~ x", table(), "g", vc_formula={"s": "0 + C(c) + z"}).fit()
    new = table().iloc[:2].assign(c=["p", "nobody"])
    with pytest.raises(bm.DataError, match="not in the fitted data"):
        fit.predict(new)
    assert len(fit.predict(new, new_levels="population")) == 2


def test_contrasts_and_numbers_in_components():
    with pytest.raises(bm.FormulaError, match="contrasts"):
        bm.ModelSpec.from_groups("y ~ x", table(), "g", vc_formula={"s": "0 + C(c, Sum)"})
    doubled = bm.ModelSpec.from_groups("y ~ x", table(), "g", vc_formula={"s": "0 + I(2 * z)"}).fit()
    scaled = bm.ModelSpec.from_groups("y ~ x", table(), "g", vc_formula={"s": "0 + 2:z"}).fit()
    assert scaled.varcorr["sd"][0] == pytest.approx(doubled.varcorr["sd"][0], rel=1e-5)


# --- arrays ---------------------------------------------------------------------------------------


def test_a_slope_alone_must_be_given_for_new_rows():
    d = table()
    X = np.column_stack([np.ones(120), d["x"]])
    fit = bm.ModelSpec.from_arrays(d["y"], X, d["g"], exog_re=d["x"].to_numpy()).fit()
    with pytest.raises(bm.DataError, match="no 'exog_re'"):
        fit.predict({"exog": X, "groups": d["g"]})
    new = {"exog": X, "groups": d["g"], "exog_re": d["x"]}
    np.testing.assert_allclose(fit.predict(new)["estimate"], fit.fitted)
    with pytest.raises(bm.DataError, match="not numeric"):
        fit.predict({**new, "exog": [["a", "b"]] * 120})


def test_groups_of_a_vcspec_are_sorted_by_label_not_by_category():
    d = table()
    labels = np.array([f"s{i:02d}" for i in range(12)])
    plain = pd.Series(labels[d["g"]])
    ordered = pd.Series(pd.Categorical(plain, categories=labels[::-1]))
    X = np.column_stack([np.ones(120), d["x"]])

    class Spec:
        names = ("s",)
        mats = ([X[d["g"] == g] * (1 + g) for g in range(12)],)
        colnames = ([["a", "b"]] * 12,)

    first = bm.ModelSpec.from_arrays(d["y"], X, plain, exog_vc=Spec()).fit()
    second = bm.ModelSpec.from_arrays(d["y"], X, ordered, exog_vc=Spec()).fit()
    assert first.loglik == second.loglik


def test_a_component_that_is_the_residual_is_refused():
    d = table()
    Q = np.linalg.qr(np.random.default_rng(1).normal(size=(120, 120)))[0]
    with pytest.raises(bm.DataError, match="as the residuals do"):
        bm.ModelSpec.from_arrays(d["y"], np.ones(120), exog_vc={"v": Q})


def test_levels_without_rows_can_be_printed():
    d = table()
    Z = np.zeros((120, 12))
    Z[np.arange(120), d["g"]] = 1
    for empty in (11, 5, 0):
        y = d["y"].where(d["g"] != empty)
        spec = bm.ModelSpec.from_arrays(y, np.ones(120), exog_vc={"v": Z})
        assert "12" in str(spec)
        assert spec.fit().ranef["v"]["Intercept"].iloc[empty] == 0.0


def test_rows_without_a_level_are_not_counted():
    d = table()
    spec = bm.ModelSpec.from_arrays(d["y"], np.ones(120), exog_vc={"v": np.eye(120)[:, :60]})
    assert "60 of 60 levels have one row" in " ".join(spec.noticed)


# --- names ----------------------------------------------------------------------------------------


def test_names_with_operators():
    d = table().rename(columns={"z": "b:k"}).assign(**{"my g": table()["g"]})
    same = bm.ModelSpec("y ~ z + (1 | g)", table()).fit().loglik
    for formula in ("y ~ `b:k` + (1 | g)", "y ~ Q('b:k') + (1 | g)", "y ~ `b:k` + (1 | `my g`)"):
        assert bm.ModelSpec(formula, d).fit().loglik == pytest.approx(same, abs=1e-9)
    assert "b:k" in bm.ModelSpec("y ~ . + (1 | g)", d).fixed
    assert bm.ModelSpec("y ~ `b:k` + (1 | Q('my g'))", d).fit().loglik == pytest.approx(same, abs=1e-9)


def test_variables_of_the_caller_do_not_hide_operators_and_columns_are_not_kept():
    C = I = np.ones(3)  # noqa: E741
    x = np.zeros(120)
    spec = bm.ModelSpec("y ~ C(c) + I(x**2) + (1 | g)", table())
    assert spec.design.X[:, -1].any()
    assert "x" not in spec.design.encoding.context
    assert (C == I).all()
    assert not x.any()


def test_a_function_of_the_caller_is_found_by_update_too():
    def halved(v):
        return v / 2

    spec = bm.ModelSpec("y ~ x + (1 | g)", table()).update(". ~ . + halved(z)")
    np.testing.assert_allclose(spec.design.X[:, 2], table()["z"] / 2)


def test_components_are_no_part_of_the_wildcard():
    spec = bm.ModelSpec.from_groups("y ~ .", table(), "g", vc_formula={"v": "0 + C(c)"})
    assert spec.fixed == ("Intercept", "x", "z")


# --- update ---------------------------------------------------------------------------------------


def test_update_of_priors_keeps_the_design():
    columns = {name: table()[name].to_numpy().copy() for name in table()}
    spec = bm.ModelSpec("y ~ x + (1 | g)", columns)
    columns["y"][:] = 0.0
    updated = spec.update(priors={"x": bm.Prior("normal", mu=0, sigma=1)})
    assert updated.design is spec.design
    assert spec.update(". ~ . + z").design.y.any()


def test_a_spec_in_the_words_of_statsmodels_is_updated():
    d = table()
    spec = bm.ModelSpec.from_groups("y ~ x", d, "g", re_formula="1", vc_formula={"v": "0 + C(c)"})
    larger = spec.update(". ~ . + z")
    assert larger.fixed == ("Intercept", "x", "z")
    assert [f.key for f in larger.design.factors] == ["g", "v"]
    assert spec.update(data=d.iloc[:60]).design.n == 60
    with pytest.raises(bm.FormulaError, match="from_arrays"):
        bm.ModelSpec.from_arrays(d["y"], np.ones(120), d["g"]).update(". ~ . + z")


def test_the_old_part_inside_a_term():
    spec = bm.ModelSpec("y ~ x + (1 | g)", table())
    assert spec.update(". ~ . + .:z").fixed == ("Intercept", "x", "x:z")
    assert spec.update(". ~ .*z").fixed == ("Intercept", "x", "z", "x:z")


# --- notices --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ I((x + 1) * x**2) + (1 | g)",
        "y ~ np.log(1 + (x**2)) + (1 | g)",
        "y ~ C(t) + (1 | g)",
        "y ~ x + (1 | g) + (0 + x | h)",
        "y ~ x + (1 | big) + (0 + x | g)",
    ],
)
def test_nothing_false_is_noticed(formula):
    g = table()["g"]
    data = table().assign(h=g + 100, big=g // 2, t=(g % 4).astype(str))
    text = " ".join(bm.ModelSpec(formula, data).noticed)
    assert "can't be told apart" not in text
    assert "is the same model" not in text
    assert "holds numbers as text" not in text
    assert "the column x itself" not in text


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("y ~ x + (1 | g/k)", "same levels"),
        ("y ~ x + (1 | t) + (1 | g:t)", "labels of g occur in several levels of t"),
        ("y ~ x + (t | g)", "'t' holds numbers as text"),
    ],
)
def test_more_is_noticed(formula, words):
    g = table()["g"]
    data = table().assign(k=g % 3, t=(np.arange(120) % 4).astype(str), g="s" + g.astype(str))
    assert words in " ".join(bm.ModelSpec(formula, data).noticed)


def test_a_mixed_component_in_the_span_of_the_fixed_effects_is_noticed():
    d = table()
    X = np.column_stack([np.ones(120), d["x"], d["z"]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spec = bm.ModelSpec.from_arrays(d["y"], X, d["g"], exog_re=np.ones(120), exog_vc={"v": X[:, 1:]})
        assert "both fixed and random" in " ".join(spec.noticed)
        assert np.isnan(spec.fit().varcorr["variance"][1])


# --- what a first user tried ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ I(x - x.mean()) + (1 | g)",
        "y ~ x.rank() + (1 | g)",
        "y ~ z + (I(x - np.mean(x)) | g)",
        "y ~ outside['x'] + (1 | g)",
    ],
)
def test_functions_that_look_at_other_rows_can_not_be_predicted(formula):
    data = table()
    fit = bm.ModelSpec(formula, data, context={"outside": data, "np": np}).fit()
    assert np.isfinite(fit.loglik)
    with pytest.raises(bm.DataError, match=r"can't be encoded for new data.*center\(x\)"):
        fit.predict(data.iloc[[0]])


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ center(x) + scale(z) + poly(x, 2) + (scale(x) | g)",
        "y ~ np.sqrt(z) + I(x > 0) + bs(x, df=4) + (1 | g)",
    ],
)
def test_functions_that_remember_can_be_predicted(formula):
    data = table()
    fit = bm.ModelSpec(formula, data).fit()
    np.testing.assert_allclose(fit.predict(data.iloc[[5]])["estimate"], fit.fitted.iloc[[5]], rtol=1e-9)


def test_series_of_other_rows_are_refused():
    d = table()
    shuffled = d.sample(frac=1.0, random_state=0)
    X = np.column_stack([np.ones(120), d["x"]])
    calls = [
        lambda: bm.ModelSpec("y ~ x + (1 | g)", d, weights=shuffled["z"]),
        lambda: bm.ModelSpec("y ~ x + (1 | g)", d, offset=shuffled["z"]),
        lambda: bm.ModelSpec.from_groups("y ~ x", d, groups=shuffled["g"].rename("other")),
        lambda: bm.ModelSpec.from_arrays(shuffled["y"], X, d["g"]),
    ]
    for call in calls:
        with pytest.raises(bm.DataError, match="index is not that of the data"):
            call()
    assert bm.ModelSpec("y ~ x + (1 | g)", d, weights=d["z"]).design.weights is not None


def test_labels_of_another_type_are_no_new_groups():
    fit = bm.ModelSpec("y ~ x + (1 | g)", table()).fit()
    new = table().iloc[:3].astype({"g": str})
    for how in ("error", "population", "sample"):
        with pytest.raises(bm.DataError, match="of another type in the new data: '0' was 0"):
            fit.predict(new, new_levels=how)


WRONG = {
    "y ~ sqrt(z) + (1 | g)": "np.sqrt",
    "y ~ x - mean(x) + (1 | g)": "takes out 'mean\\(x\\)'",
    "y ~ x*z - x:zz + (1 | g)": "takes out 'x:zz'",
    "y ~ 2*x + (1 | g)": r"I\(2 \* x\)",
    "y ~ (c == 'p') + (1 | g)": r"I\(f == 'a'\)",
    "y ~ x (1 | g)": r"A '\+' is missing",
    "y ~ poly(x, 2, raw=TRUE) + (1 | g)": "True and False",
    "d$y ~ x + (1 | g)": "without their table",
    "y = x + (1 | g)": "not '='",
    "y <- x + (1 | g)": "'~'",
    ". ~ x + (1 | g)": "name the response",
    "y ~ x + (1 | factor(c))": r"C\(x\)",
    "y ~ x + (1 | as.factor(c))": r"C\(x\)",
    "y ~ x %in% c + (1 | g)": "'a:b'",
    "y ~ x + diag(x | g)": "Structured covariances",
    "y ~ `1` + (1 | g)": "rename it",
}


@pytest.mark.parametrize("formula", WRONG)
def test_habits_of_other_languages_are_answered(formula):
    with pytest.raises(bm.FormulaError, match=WRONG[formula]):
        bm.ModelSpec(formula, table())


def test_terms_that_are_there_may_be_taken_out():
    assert bm.ModelSpec("y ~ x*z - x:z + (1 | g)", table()).fixed == ("Intercept", "x", "z")
    assert bm.ModelSpec("y ~ . - c + (z - 1 | g)", table()).fixed == ("Intercept", "x", "z")


def test_contrasts_beside_an_intercept_are_those_of_statsmodels():
    spec = bm.ModelSpec.from_groups("y ~ x", table(), "g", vc_formula={"s": "C(c, Sum)"})
    assert spec.design.factors[0].is_mixed


CALLS = {
    "a number of draws": (lambda s, f: s.fit("nuts", draws=10.5), bm.FitError, "whole number"),
    "no cores": (lambda s, f: s.fit("nuts", cores=0), bm.FitError, "cores is 0"),
    "one row of scalars": (lambda s, f: f.predict({"x": 1.0, "g": 1}), bm.DataError, "single value"),
    "no rows": (lambda s, f: f.predict(table().iloc[:0]), bm.DataError, "no rows"),
    "random": (lambda s, f: f.predict(random=None), bm.DataError, "'all', 'none'"),
    "two groups": (
        lambda s, f: bm.ModelSpec.from_groups("y ~ x", table(), table()[["g", "c"]]),
        bm.FormulaError,
        "one column's name",
    ),
    "a list of priors": (
        lambda s, f: bm.ModelSpec("y ~ x + (1 | g)", table(), priors=[1]),
        bm.PriorError,
        "priors is a list",
    ),
    "labels of lists": (
        lambda s, f: bm.ModelSpec("y ~ x + (1 | id)", table().assign(id=[[1]] * 120)),
        bm.DataError,
        "can't be labels",
    ),
    "a prior by position": (lambda s, f: bm.Prior("normal", 0, 1), bm.PriorError, "mu=0, sigma=1"),
    "no data": (lambda s, f: bm.ModelSpec("y ~ x + (1 | g)"), bm.ArgumentError, "formula and data"),
    "no groups": (
        lambda s, f: bm.ModelSpec.from_groups("y ~ x", table(), re_formula="~ x"),
        bm.ArgumentError,
        "needs groups, a column's name or a label for each row: write "
        "ModelSpec.from_groups('y ~ x', data, groups='g', re_formula='~ x').",
    ),
    "no groups, but bars": (
        lambda s, f: bm.ModelSpec.from_groups("y ~ x + (1 | g)", table()),
        bm.ArgumentError,
        "ModelSpec('y ~ x + (1 | g)', data)",
    ),
    "lme4's optimisers": (
        lambda s, f: s.fit(control={"optimizer": "bobyqa"}),
        bm.ArgumentError,
        "spec.fit('reml', optimizer='L-BFGS-B')",
    ),
    "quiet fits": (lambda s, f: s.fit(disp=False), bm.ArgumentError, "Leave it out for a quiet fit"),
    "another spelling": (lambda s, f: s.fit(optimizer="lbfgs"), bm.FitError, "Did you mean 'L-BFGS-B'?"),
    "another case": (lambda s, f: s.fit(optimizer="l-bfgs-b"), bm.FitError, "Did you mean 'L-BFGS-B'?"),
    "another type": (lambda s, f: s.fit(optimizer=None), bm.FitError, "Unknown optimizer None; choose one"),
    "re_formula by position": (
        lambda s, f: bm.ModelSpec.from_groups("y ~ x", table(), "g", "~ x"),
        bm.ArgumentError,
        "re_formula='~ x'",
    ),
    "weights in update": (lambda s, f: s.update(weights="z"), bm.ArgumentError, "arguments of ModelSpec"),
    "seed": (
        lambda s, f: s.simulate([1, 1], {"g": 1.0}, 1.0, seed=1),
        bm.ArgumentError,
        "random_seed",
    ),
    "alpha": (lambda s, f: f.conf_int(alpha=0.1), bm.ArgumentError, "level="),
    "groups beside bars": (
        lambda s, f: bm.ModelSpec("y ~ x + (1 | g)", table(), groups="g"),
        bm.ArgumentError,
        "in bars already",
    ),
    "text as response": (
        lambda s, f: bm.ModelSpec.from_arrays(table()["y"].astype(str), np.ones(120), table()["g"]),
        bm.DataError,
        "not numeric",
    ),
    "groups without a part": (
        lambda s, f: bm.ModelSpec.from_arrays(
            table()["y"], np.ones(120), table()["g"], exog_vc={"v": np.eye(120)[:, :60]}
        ),
        bm.DataError,
        "groups has no part",
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_calls_that_make_no_sense_are_explained(case):
    call, error, words = CALLS[case]
    spec = bm.ModelSpec("y ~ x + (1 | g)", table())
    with pytest.raises(error) as caught:
        call(spec, spec.fit())
    assert words in str(caught.value)


def test_names_of_other_packages_are_answered():
    fit = bm.ModelSpec("y ~ x + (1 | g)", table()).fit()
    for name, ours in [("params", "fixef"), ("llf", "loglik"), ("random_effects", "ranef")]:
        with pytest.raises(AttributeError, match=ours):
            getattr(fit, name)
    for name in ("lmer", "fit"):
        with pytest.raises(AttributeError, match=r"ModelSpec\('y ~ x \+ \(1 \| g\)', data\)\.fit\(\)"):
            getattr(bm, name)
    assert not hasattr(fit, "nothing")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("VarCorr", "write fit.varcorr"),
        ("confint", "write fit.conf_int()"),
        ("isSingular", "write fit.diagnostics.singular"),
        ("bootMer", "write bm.bootstrap(fit, n=1000, random_seed=1)"),
        ("deviance", "write -2 * fit.loglik"),
        ("f_test", "fit.test"),
        ("profile", "write bm.profile(fit)"),
        ("plot", "bm.compare(fit, other).plot()"),
    ],
)
def test_names_of_lme4_are_answered(name, line):
    spec = bm.ModelSpec("y ~ x + (1 | g)", table())
    with pytest.raises(AttributeError) as caught:
        getattr(spec.fit(), name)
    assert f"A result has no '{name}'; " in str(caught.value)
    assert line in str(caught.value)
    with pytest.raises(AttributeError) as caught:
        getattr(spec, name)
    assert "fit first, fit = spec.fit(); " in str(caught.value)
    assert line in str(caught.value)


def test_names_of_results_belong_to_fits():
    spec = bm.ModelSpec("y ~ x + (1 | g)", table())
    for name in ("predict", "summary", "fixef", "diagnostics"):
        with pytest.raises(AttributeError, match=rf"fit = spec\.fit\(\); write fit\.{name}\."):
            getattr(spec, name)
    with pytest.raises(AttributeError, match=r"has no 'nothing'\.$"):
        _ = spec.nothing
    for owner in (spec, bm.ModelSpec):
        with pytest.raises(
            AttributeError, match=r"write ModelSpec\.from_groups\('y ~ x', data, groups='g'\)"
        ):
            _ = owner.from_formula
        assert not hasattr(owner, "nothing")


def test_masked_values_are_missing():
    d = table()
    y = np.ma.masked_array(d["y"].to_numpy(), mask=np.arange(120) < 3)
    assert bm.ModelSpec.from_arrays(y, np.ones(120), d["g"]).design.n == 117


def test_dirty_numbers_are_noticed():
    d = table()
    text = d["x"].round(3).astype(str)
    for dirty in (text.where(d.index > 3, "?"), text.str.replace(".", ",")):
        noticed = " ".join(bm.ModelSpec("y ~ x + (1 | g)", d.assign(x=dirty)).noticed)
        assert "Column 'x' is text with" in noticed
        assert "to_numeric" in noticed
    assert bm.ModelSpec("y ~ c + (1 | g)", d).noticed == ()


def test_no_intercept_in_re_formula_beside_components():
    given = {"vc_formula": {"g": "0 + C(g)", "c": "0 + C(c)"}}
    first = bm.ModelSpec.from_groups("y ~ x", table(), np.ones(120), **given).fit()
    second = bm.ModelSpec.from_groups("y ~ x", table(), np.ones(120), re_formula="0", **given).fit()
    assert first.loglik == second.loglik


def test_more_messages():
    d = table()
    fit = bm.ModelSpec("y ~ I(x > 0) + (1 | g)", d).fit()
    calls = [
        (lambda: bm.ModelSpec.from_groups("y ~ x", d, "g/c"), "names one column"),
        (lambda: bm.ModelSpec("y ~ x + (1 | g)", d.set_index("g")), "reset_index"),
        (lambda: bm.ModelSpec("y ~ x + (x0 | g)", d.assign(x0=0.0)), "0 in every row"),
        (lambda: bm.ModelSpec("y ~ x + (1 | g)", d.assign(y=2 * d["x"] + d["g"])).fit(), "exactly"),
        (lambda: fit.predict(d.rename(columns={"x": "u"})), "No column 'x'"),
    ]
    for call, words in calls:
        with pytest.raises(bm.BimixedError, match=words):
            call()
    levels = bm.ModelSpec("y ~ C(k) + (1 | g)", d.assign(k=d["g"] % 4)).fit()
    with pytest.raises(bm.DataError, match=r"\{7\}"):
        levels.predict(d.iloc[:1].assign(k=7))
