"""statsmodels' vocabulary: the same models, to the same likelihood.

Reference: ``tests/reference/statsmodels_components.json``, statsmodels' log-likelihoods. Its optimiser stops
within 1e-8 of the maximum; 1e-6 is the tolerance, one-sided where ours may be higher.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from reference.statsmodels_components import CROSSED, MODELS, data

import bimixed as bm

REFERENCE = json.loads((Path(__file__).parent / "reference" / "statsmodels_components.json").read_text())[
    "fits"
]


@pytest.mark.parametrize("name", MODELS)
def test_the_likelihood_is_that_of_statsmodels(name):
    fit = bm.ModelSpec.from_groups("y ~ x", data(), "g", **MODELS[name]).fit()
    assert fit.loglik == pytest.approx(REFERENCE[name]["loglik"], abs=1e-6)
    components = sorted(MODELS[name].get("vc_formula", {}))
    found = fit.varcorr.set_index("group")["variance"]
    for key, variance in zip(components, REFERENCE[name]["components"], strict=True):
        # the likelihood is flat at its top: variances agree to about the root of its tolerance
        assert found[key] == pytest.approx(variance, rel=2e-3, abs=1e-3)


def test_one_constant_group_gives_crossed_components():
    fit = bm.ModelSpec.from_groups("y ~ x", data(), np.ones(240), **CROSSED).fit()
    assert fit.loglik == pytest.approx(REFERENCE["crossed"]["loglik"], abs=1e-6)
    assert fit.ngroups == {"g": 12, "c": 4}
    formula = bm.ModelSpec("y ~ x + (1 | g) + (1 | c)", data()).fit()
    assert fit.loglik == pytest.approx(formula.loglik, abs=1e-9)


def test_components_are_terms_with_bars_where_they_can_be():
    given = {"vc_formula": {"c": "0 + C(c)", "s": "0 + C(c):x"}, "re_formula": "1 + z"}
    spec = bm.ModelSpec.from_groups("y ~ x", data(), groups="g", **given)
    assert not any(f.is_mixed for f in spec.design.factors)
    fit = spec.fit()
    same = bm.ModelSpec("y ~ x + (1 + z | g) + (1 | g:c) + (0 + x | g:c)", data()).fit()
    assert fit.loglik == pytest.approx(same.loglik, abs=1e-8)
    assert list(fit.ranef) == ["g", "c", "s"]
    np.testing.assert_allclose(fit.ranef["c"]["Intercept"], same.ranef["g:c"]["Intercept"], atol=1e-5)
    assert fit.ranef["c"].index[0] == "0:p"
    assert fit.varcorr["group"].tolist() == ["g", "g", "c", "s", "Residual"]
    text = str(spec)
    assert "variance component" in text
    assert "correlated random" in text


def test_groups_may_be_an_array_or_series():
    d = data()
    by_name = bm.ModelSpec.from_groups("y ~ x", d, "g").fit()
    by_series = bm.ModelSpec.from_groups("y ~ x", d.drop(columns="g"), d["g"]).fit()
    by_array = bm.ModelSpec.from_groups("y ~ x", d.drop(columns="g"), d["g"].to_numpy()).fit()
    assert by_name.loglik == by_series.loglik == by_array.loglik
    assert list(by_series.ranef) == ["g"]
    assert list(by_array.ranef) == ["groups"]
    new = d.iloc[:5].rename(columns={"g": "groups"})
    pd.testing.assert_frame_equal(by_array.predict(new), by_name.predict(d.iloc[:5]))


@pytest.mark.parametrize("name", MODELS)
def test_new_rows_are_encoded_as_the_fitted_ones_were(name):
    d = data()
    fit = bm.ModelSpec.from_groups("y ~ x", d, "g", **MODELS[name]).fit()
    whole = fit.predict(d)["estimate"]
    np.testing.assert_allclose(whole, fit.fitted, atol=1e-10)
    shuffled = d.sample(frac=1.0, random_state=1)
    np.testing.assert_allclose(fit.predict(shuffled)["estimate"], whole[shuffled.index], atol=1e-10)


def test_transformations_of_a_component_remember_each_group():
    """Ten rows of a group are centred by the mean of the group's twenty fitted rows."""
    d = data()
    fit = bm.ModelSpec.from_groups("y ~ x", d, "g", vc_formula={"s": "0 + bs(z, df=4)"}).fit()
    part = d.iloc[::2]
    np.testing.assert_allclose(fit.predict(part)["estimate"], fit.fitted[part.index], atol=1e-10)


@pytest.mark.parametrize("formula", ["0 + C(c)", "0 + x + z", "0 + C(c) + C(d)", "0 + center(z)"])
def test_an_unseen_group_follows_new_levels(formula):
    d = data()
    fit = bm.ModelSpec.from_groups("y ~ x", d, "g", vc_formula={"s": formula}).fit()
    new = d.iloc[:4].assign(g=[0, 0, 99, 99])
    with pytest.raises(bm.BimixedError, match="not in the fitted data: 99"):
        fit.predict(new)
    population = fit.predict(new, new_levels="population", interval="prediction")
    sampled = fit.predict(new, new_levels="sample", interval="prediction")
    np.testing.assert_allclose(
        population["estimate"].iloc[2:], fit.predict(new, random="none")["estimate"].iloc[2:]
    )
    width = (sampled["upper"] - sampled["lower"]).to_numpy()
    narrow = (population["upper"] - population["lower"]).to_numpy()
    assert np.allclose(width[:2], narrow[:2])
    if fit.varcorr["sd"][0] > 0:
        assert (width[2:] > narrow[2:]).all()


def test_the_interval_of_an_unseen_level_counts_its_whole_design():
    d = data()
    fit = bm.ModelSpec.from_groups("y ~ x", d, "g", vc_formula={"s": "0 + x + z"}).fit()
    new = d.iloc[:3].assign(g=77)
    with_new = fit.predict(new, new_levels="sample", interval="confidence")
    without = fit.predict(new, new_levels="population", interval="confidence")
    added = ((with_new["upper"] - with_new["lower"]) ** 2 - (without["upper"] - without["lower"]) ** 2) / (
        4 * 1.959963984540054**2
    )
    expected = fit.varcorr["variance"][0] * (new["x"] ** 2 + new["z"] ** 2)
    np.testing.assert_allclose(added, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"groups": "g", "vc_formula": ["0 + C(c)"]}, ["vc_formula is a list", "{'classroom'"]),
        ({"groups": "g", "vc_formula": {"c": "(1 | c)"}}, ["vc_formula['c']", "without bars"]),
        ({"groups": "g", "vc_formula": {"c": ""}}, ["vc_formula['c']", "'0 + C(classroom)'"]),
        ({"groups": "g", "re_formula": "y ~ x"}, ["'~'"]),
        ({"groups": ["g", "c"]}, ["one column's name", "(1 | a) + (1 | b)"]),
        ({"groups": "nope"}, ["No column 'nope'"]),
        ({"groups": "g", "re_formula": "1", "vc_formula": {"g": "0 + x"}}, ["'g'", "another name"]),
        ({"groups": np.ones(7)}, ["7 values for 240 rows"]),
        ({"groups": "g", "vc_formula": {"c": "0 + C(nope)"}}, ["No column 'nope'", "component 'c'"]),
        ({"groups": "g", "vc_formula": {"c": "0 + log(x - 100)"}}, ["component 'c'", "rows"]),
        ({"groups": np.ones(240)}, ["single level"]),
    ],
)
def test_wrong_arguments_are_explained(arguments, words):
    with pytest.raises(bm.BimixedError) as caught:
        bm.ModelSpec.from_groups("y ~ x", data(), **arguments)
    for word in words:
        assert word in str(caught.value)


def test_a_formula_with_bars_belongs_to_model_spec():
    with pytest.raises(bm.FormulaError, match="write a formula with"):
        bm.ModelSpec.from_groups("y ~ x + (1 | g)", data(), "g")
