"""MixedRegressor: scikit-learn's checks, its cross-validation, and the same numbers as a specification."""

import pickle

import numpy as np
import pandas as pd
import pytest

import bimixed as bm

try:
    from sklearn.base import clone
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils.estimator_checks import check_estimator
except ImportError:
    pytest.skip("scikit-learn is not installed", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore::bimixed.BimixedWarning")

SLEEP = bm.load_dataset("sleepstudy")
X, Y = SLEEP[["Days", "Subject"]], SLEEP["Reaction"]
RADON = bm.load_dataset("radon")


def three_groups(X):
    """Three groups by digits of the first predictor, since scikit-learn's data have none."""
    values = np.asarray(X, dtype=float)[:, 0]
    return (np.floor(values * 1000) % 3).astype(str)


EXACT = (
    "the check's response is a predictor, which leaves no residual variance to split between groups and rows"
)
EXPECTED = {
    "check_sample_weights_shape": EXACT,
    "check_sample_weights_not_overwritten": EXACT,
    "check_regressors_no_decision_function": EXACT,
    "check_sample_weight_equivalence_on_dense_data": (
        f"precision weights: a repeated row tells about its group twice; and {EXACT}"
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("groups", [None, three_groups])
def test_scikit_learns_checks(groups):
    """With groups all but those that don't apply, which fail as they should."""
    done = check_estimator(bm.MixedRegressor(groups=groups), on_fail=None, on_skip=None)
    failed = {check["check_name"]: check["exception"] for check in done if check["status"] == "failed"}
    assert sorted(failed) == (sorted(EXPECTED) if groups else [])
    assert all(isinstance(error, bm.FitError) and "exactly" in str(error) for error in failed.values())
    assert sum(check["status"] == "passed" for check in done) >= 50


def test_predictions_are_those_of_the_specification():
    model = bm.MixedRegressor(groups="Subject", slopes=["Days"]).fit(X, Y)
    fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", SLEEP).fit()
    np.testing.assert_allclose(model.predict(X), fit.fitted, rtol=1e-10)
    assert model.intercept_ == pytest.approx(fit.fixef.loc["Intercept", "estimate"], rel=1e-10)
    np.testing.assert_allclose(model.coef_, fit.fixef.loc[["Days"], "estimate"], rtol=1e-10)
    assert model.coef_names_.tolist() == ["Days"]
    assert model.result_.loglik == pytest.approx(fit.loglik, rel=1e-12)
    new = pd.DataFrame({"Days": [0, 4], "Subject": [999, 308]})
    expected = [model.intercept_, fit.predict(new[1:])["estimate"].iloc[0]]
    np.testing.assert_allclose(model.predict(new), expected, rtol=1e-10)


def test_arrays_have_groups_by_position():
    values = np.column_stack([SLEEP["Subject"].astype(float), SLEEP["Days"]])
    named = bm.MixedRegressor(groups="Subject", slopes=["Days"]).fit(X, Y)
    for groups, slopes in [(0, [1]), (-2, [-1]), ([0], (1,))]:
        model = bm.MixedRegressor(groups=groups, slopes=slopes).fit(values, Y)
        np.testing.assert_allclose(model.predict(values), named.predict(X), rtol=1e-10)
    texts = np.column_stack([SLEEP["Subject"].astype(str), SLEEP["Days"]]).astype(object)
    model = bm.MixedRegressor(groups=0, slopes=[1]).fit(texts, Y)
    np.testing.assert_allclose(model.predict(texts), named.predict(X), rtol=1e-10)
    by_function = bm.MixedRegressor(groups=lambda X: np.asarray(X)[:, 0] // 10).fit(values, Y)
    assert by_function.result_.ngroups == {"group": 7}
    assert by_function.coef_names_.tolist() == ["x0", "x1"]


def test_several_groups_are_crossed_and_names_may_be_odd():
    data = bm.load_dataset("insteval").head(3000)
    table = data[["service", "d", "s"]].rename(columns={"service": "a service?", "d": "the `d`"})
    model = bm.MixedRegressor(groups=["the `d`", "s"]).fit(table, data["y"])
    fit = bm.ModelSpec("y ~ service + (1 | d) + (1 | s)", data).fit()
    np.testing.assert_allclose(model.predict(table), fit.fitted, rtol=1e-8)
    assert model.coef_names_.tolist() == ["a service?"]


def test_a_formula_in_place_of_columns():
    data = RADON.assign(kind=np.where(RADON["floor"] == 1, "first", "basement"))
    features = data[["kind", "log_uranium", "county"]]
    model = bm.MixedRegressor(formula="kind * scale(log_uranium) + (1 | county)").fit(
        features, data["log_radon"]
    )
    fit = bm.ModelSpec("log_radon ~ kind * scale(log_uranium) + (1 | county)", data).fit()
    np.testing.assert_allclose(model.predict(features), fit.fitted, rtol=1e-10)
    pl = pytest.importorskip("polars")
    other = clone(model).fit(pl.from_pandas(features), data["log_radon"])
    np.testing.assert_allclose(other.predict(pl.from_pandas(features[:9])), fit.fitted[:9], rtol=1e-10)


def test_weights_are_precisions_and_rows_of_weight_0_are_left_out():
    weights = np.random.default_rng(1).uniform(0.5, 2.0, len(SLEEP))
    weights[::7] = 0.0
    model = bm.MixedRegressor(groups="Subject").fit(X, Y, sample_weight=weights)
    used = weights > 0
    fit = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", SLEEP[used], weights=weights[used]).fit()
    np.testing.assert_allclose(model.predict(X[used]), fit.fitted, rtol=1e-10)


def test_without_groups_it_is_least_squares():
    features = RADON[["floor", "log_uranium"]]
    weights = np.random.default_rng(2).uniform(0.0, 2.0, len(RADON))
    for intercept in (True, False):
        ours = bm.MixedRegressor(fit_intercept=intercept).fit(features, RADON["log_radon"], weights)
        theirs = LinearRegression(fit_intercept=intercept).fit(features, RADON["log_radon"], weights)
        np.testing.assert_allclose(ours.predict(features), theirs.predict(features), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9)
    assert ours.result_ is None


def test_cross_validation_over_groups_predicts_new_groups():
    folds = GroupKFold(6)
    model = bm.MixedRegressor(groups="Subject", slopes=["Days"])
    scoring = "neg_mean_squared_error"
    got = cross_val_score(model, X, Y, groups=X["Subject"], cv=folds, scoring=scoring)
    by_hand = []
    for train, test in folds.split(X, Y, X["Subject"]):
        beta = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", SLEEP.iloc[train]).fit().fixef["estimate"]
        away = Y.iloc[test] - beta["Intercept"] - beta["Days"] * SLEEP["Days"].iloc[test]
        by_hand.append(-np.mean(away**2))
    np.testing.assert_allclose(got, by_hand, rtol=1e-8)
    rows = cross_val_score(model, X, Y, cv=KFold(6, shuffle=True, random_state=1), scoring=scoring)
    assert rows.mean() > got.mean()  # rows of known people are predicted better


def test_pipelines_and_grids():
    features = RADON[["floor", "log_uranium", "county"]]
    scaled = ColumnTransformer(
        [("scale", StandardScaler(), ["log_uranium"])],
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    pipe = make_pipeline(scaled, bm.MixedRegressor(groups="county"))
    grid = GridSearchCV(
        pipe,
        {"mixedregressor__method": ["reml", "ml"], "mixedregressor__slopes": [(), ("floor",)]},
        cv=GroupKFold(3),
    ).fit(features, RADON["log_radon"], groups=RADON["county"])
    assert len(grid.cv_results_["params"]) == 4
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()
    plain = bm.MixedRegressor(groups="county").fit(features, RADON["log_radon"])
    pipe.fit(features, RADON["log_radon"])
    np.testing.assert_allclose(pipe.predict(features), plain.predict(features), rtol=1e-9)


def test_copies_and_pickles():
    model = bm.MixedRegressor(groups="Subject", priors={"Days": bm.Prior("normal", mu=0, sigma=9)}).fit(X, Y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert not hasattr(clone(model), "coef_")
    assert clone(model).get_params()["groups"] == "Subject"


def test_draws():
    how = {"groups": "Subject", "method": "importance", "fit_options": {"draws": 400}}
    one, two = (bm.MixedRegressor(**how, random_state=seed).fit(X, Y) for seed in (1, 1))
    np.testing.assert_array_equal(one.predict(X), two.predict(X))
    assert len(one.result_.uncertainty.sigma) == 400


def test_requests_that_make_no_sense():
    with pytest.raises(
        bm.DataError, match="groups names 'subject', which is no column of X; X has 'Days', 'Subj"
    ):
        bm.MixedRegressor(groups="subject").fit(X, Y)
    with pytest.raises(bm.DataError, match="X has no names; give positions"):
        bm.MixedRegressor(groups="Subject").fit(X.to_numpy(), Y)
    with pytest.raises(bm.DataError, match="groups has column 2, but X has 2 columns"):
        bm.MixedRegressor(groups=2).fit(X, Y)
    with pytest.raises(bm.DataError, match="formula stands for groups= and slopes="):
        bm.MixedRegressor("Subject", formula="Days + (1 | Subject)").fit(X, Y)
    with pytest.raises(bm.DataError, match="needs X with column names"):
        bm.MixedRegressor(formula="x0 + (1 | x1)").fit(X.to_numpy(), Y)
    with pytest.raises(bm.DataError, match="give groups= too"):
        bm.MixedRegressor(slopes=["Days"]).fit(X[["Days"]], Y)
    with pytest.raises(bm.DataError, match="Missing values in 1 of 180 rows: Days"):
        holes = X.assign(Days=X["Days"].where(X.index > X.index[0]))
        bm.MixedRegressor(formula="Days + (1 | Subject)").fit(holes, Y)
    with pytest.raises(bm.DataError, match="'Subject' have missing labels"):
        bm.MixedRegressor(groups="Subject").fit(X.assign(Subject=X["Subject"].where(X["Days"] > 0)), Y)
    with pytest.raises(ValueError, match="could not convert string to float"):
        bm.MixedRegressor(groups="Subject").fit(X.assign(Days="a"), Y)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"formula": "Days + (1 | Subject)", "fit_intercept": False}, "whether there is an intercept"),
        ({"groups": "Subject", "slopes": ["Subject"]}, "slopes names a column of groups"),
        ({"groups": "Subject", "slopes": "Days"}, "slopes is 'Days'; give a list"),
        ({"groups": 1.0}, "groups has 1.0, which is neither a name nor a position"),
    ],
)
def test_options_that_make_no_sense(options, words):
    with pytest.raises(bm.DataError, match=words):
        bm.MixedRegressor(**options).fit(X, Y)
