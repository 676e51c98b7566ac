"""Pooling: least squares of formulas with the group's levels in the fixed part, and the published table."""

import numpy as np
import pandas as pd
import pytest

import bimixed as bm
from bimixed.least_squares import least_squares, with_levels

PUBLISHED = {
    "complete pooling": (2.694785, 0.232842, 2.139165, 0.036643),
    "fixed intercepts": (0.932351, 0.130717, 3.441072, 0.001102),
    "level means": (0.587859, 6.073401, 7.497672, 0.084411),
    "separate regressions": (0.061318, 0.120808, 3.412469, 0.076190),
    "random intercepts": (0.916211, 0.131193, 3.45376, None),  # statsmodels' p-values are normal
    "fixed slopes": (0.935869, 0.129084, 1.978708, 0.052959),
    "random intercepts and slopes": (0.911742, 0.127269, 2.9289, None),
}


@pytest.fixture(scope="module")
def edu():
    return bm.pooling(bm.ModelSpec("score ~ edu + (edu | classroom)", bm.load_dataset("score_parentedu")))


def test_the_published_table(edu):
    assert edu.models.index.tolist() == list(PUBLISHED)
    assert (edu.group, edu.coefficient) == ("classroom", "edu")
    for name, (rmse, estimate, statistic, p_value) in PUBLISHED.items():
        row = edu.models.loc[name]
        mixed = name.startswith("random")
        assert row["rmse"] == pytest.approx(rmse, abs=2e-6 if mixed else 6e-7)
        assert row["estimate"] == pytest.approx(estimate, abs=2e-6 if mixed else 6e-7)  # statsmodels stopped
        assert row["statistic"] == pytest.approx(statistic, abs=5e-5 if mixed else 6e-7)
        if p_value is not None:
            assert row["p_value"] == pytest.approx(p_value, abs=6e-7)
    text = str(edu)
    assert "edu by models of score ~ edu + (edu | classroom)" in text and "df by Satterthwaite" in text
    assert "separate regressions" in edu._repr_html_()


def simulated(weights=None):
    rng = np.random.default_rng(2)
    g = rng.integers(0, 14, 150)
    table = pd.DataFrame(
        {"g": [f"g{i:02d}" for i in g], "x": rng.normal(size=150) + g, "z": rng.normal(size=14)[g]}
    )
    table["t"], table["w"], table["o"] = (
        rng.normal(size=150),
        rng.uniform(0.5, 2.0, 150),
        rng.normal(size=150),
    )
    table["y"] = table["o"] + 2.0 * rng.normal(size=14)[g] + table["x"] * (1.0 + 0.3 * rng.normal(size=14)[g])
    table["y"] += rng.normal(size=150) / np.sqrt(table["w"])
    return pd.concat([table, table.iloc[[0]].assign(g="lone")], ignore_index=True)


@pytest.mark.parametrize("options", [{}, {"weights": "w", "offset": "o"}])
def test_models_without_random_effects_are_those_of_formulas(options):
    table = simulated()
    made = bm.pooling(bm.ModelSpec("y ~ x + z + t + (1 + x | g)", table, **options))
    for name, fixed in (
        ("complete pooling", "x + z + t"),
        ("fixed intercepts", "x + t + g"),
        ("fixed slopes", "t + g * x"),
    ):
        design = bm.ModelSpec(f"y ~ {fixed} + (1 | g)", table, **options).design
        root = np.sqrt(table["w"]) if options else np.ones(len(table))
        y = (table["y"] - (table["o"] if options else 0.0)) * root
        X = design.X[:, design.kept] * np.asarray(root)[:, None]
        beta, rss, *_ = np.linalg.lstsq(X, y)
        df = len(y) - X.shape[1]
        errors = np.sqrt(rss.item() / df * np.diag(np.linalg.inv(X.T @ X)))
        j = [design.names[k] for k in design.kept].index("x")
        row = made.models.loc[name]
        found = row[["rmse", "estimate", "std_error", "df"]]
        np.testing.assert_allclose(found, (np.sqrt(rss.item() / df), beta[j], errors[j], df), rtol=1e-8)
        assert least_squares(design).df == df


def test_level_means():
    table = simulated()
    made = bm.pooling(bm.ModelSpec("y ~ x + z + t + (1 | g)", table))
    means = table.groupby("g")[["y", "x", "z", "t"]].mean()
    X = np.column_stack([np.ones(len(means)), means[["x", "z", "t"]]])
    assert made.models.loc["level means", "estimate"] == pytest.approx(np.linalg.lstsq(X, means["y"])[0][1])
    assert made.models.index.tolist() == [
        "complete pooling",
        "fixed intercepts",
        "level means",
        "random intercepts",
    ]


def test_levels(edu):
    """By hand: each classroom's line, and the mixed model's coefficients."""
    levels = edu.levels.xs("edu", level="coefficient")
    for name, part in bm.load_dataset("score_parentedu").groupby("classroom"):
        assert levels.loc[name, "no_pooling"] == pytest.approx(np.polyfit(part["edu"], part["score"], 1)[0])
    np.testing.assert_allclose(levels["partial_pooling"], edu.partial.coef("classroom")["edu"])
    assert levels["complete_pooling"].unique().round(6).tolist() == [0.232842]
    population = edu.partial.fixef.loc["edu", "estimate"]
    wanted = 1 - (levels["partial_pooling"] - population) / (levels["no_pooling"] - population)
    np.testing.assert_allclose(levels["shrinkage"], wanted)
    pair = {("k", "edu"): {"edu": 1.0, ("classroom", "c1", "edu"): 1.0}}
    combined = edu.partial.combine(pair)
    assert levels.loc["c1", "partial_pooling_se"] == pytest.approx(combined["std_error"].iloc[0])


def test_a_level_that_can_not_tell_its_slope():
    made = bm.pooling(bm.ModelSpec("y ~ x + z + (1 + x | g)", simulated()))
    lone = made.levels.loc["lone"]
    assert lone["no_pooling"].isna().all() and lone["partial_pooling"].notna().all()
    assert made.models.loc["separate regressions", "df"] == 13  # 14 slopes


def test_draws_and_pictures(edu):
    spec = bm.ModelSpec("y ~ x + z + (1 + x | g)", simulated())
    made = bm.pooling(spec, method="importance", draws=1000, random_seed=1, progress=False)
    row = made.models.loc["random intercepts and slopes"]
    assert np.isnan(row["p_value"]) and row["estimate"] == made.partial.fixef.loc["x", "estimate"]
    assert made.results["random intercepts"].formula == "y ~ x + z + (1 | g)"
    ax = edu.plot()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["c0 (20)", "c1 (20)", "c2 (20)"]
    low, high = ax.get_xlim()
    shown = edu.levels.xs("edu", level="coefficient")[["no_pooling", "partial_pooling", "complete_pooling"]]
    assert low < shown.min().min() and shown.max().max() < high
    with pytest.raises(bm.DataError, match="'age' doesn't vary"):
        bm.plots.pooling(edu, "age")


def test_bad_requests():
    table = simulated()
    with pytest.raises(bm.DataError, match="has groups g, z2; say which one: group='g'"):
        bm.pooling(
            bm.ModelSpec("y ~ x + (1 | g) + (1 | z2)", table.assign(z2=lambda d: (d["t"] > 0).astype(str)))
        )
    spec = bm.ModelSpec("y ~ x + (1 | g)", table)
    with pytest.raises(bm.DataError, match="no group 'h'"):
        bm.pooling(spec, group="h")
    with pytest.raises(bm.DataError, match="'age' is no fixed effect"):
        bm.pooling(spec, coefficient="age")
    with pytest.raises(bm.DataError, match="has no intercept"):
        bm.pooling(bm.ModelSpec("y ~ x + (0 + x | g)", table))
    with pytest.raises(bm.DataError, match="pooling takes a ModelSpec"):
        bm.pooling(spec.fit())


def test_coefficients_that_levels_take_up():
    """Beside intercepts of each level only differences of means can be told."""
    table = simulated().assign(f=lambda d: np.where(d["t"] > 0, "a", "b"))
    with pytest.raises(bm.DataError, match="Intercept of 'g' has no fixed effect of the same name"):
        bm.pooling(bm.ModelSpec("y ~ 0 + f + (1 | g)", table), coefficient="f[a]")
    design = bm.ModelSpec("y ~ 0 + f + (1 | g)", table).design
    beside, _ = with_levels(design, design.factors[0], [0])
    assert np.isnan(beside.beta).all()
