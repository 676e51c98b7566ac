import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

import bimixed as bm
from bimixed.compare import Comparison, _only_in, own_estimates
from bimixed.ml_bias import MLBias


@pytest.fixture(scope="module")
def comparison(radon_reml, radon_nuts):
    return bm.compare(radon_reml, radon_nuts)


def test_tables_side_by_side(comparison, radon_reml, radon_nuts):
    fixed = comparison.fixef
    pd.testing.assert_series_equal(fixed["estimate_reml"], radon_reml.fixef["estimate"], check_names=False)
    pd.testing.assert_series_equal(fixed["std_error_nuts"], radon_nuts.fixef["std_error"], check_names=False)
    np.testing.assert_allclose(
        fixed["difference_sd"],
        (radon_nuts.fixef["estimate"] - radon_reml.fixef["estimate"]) / radon_nuts.fixef["std_error"],
    )
    assert comparison.varcorr.index.tolist() == [
        "sd_county[Intercept]", "sd_county[floor]", "corr_county[Intercept,floor]", "sigma",
    ]  # fmt: skip
    ranef = comparison.ranef["county"]
    assert len(ranef) == 170
    assert ranef.loc[("ANOKA", "floor"), "std_error_reml"] == pytest.approx(
        radon_reml.ranef_sd["county"].loc["ANOKA", "floor"]
    )


def test_units_are_the_posteriors_whatever_the_order(radon_reml, radon_nuts, comparison):
    swapped = bm.compare(radon_nuts, radon_reml)
    np.testing.assert_allclose(swapped.fixef["difference_sd"], comparison.fixef["difference_sd"])


def test_shrinkage_against_least_squares_by_level(comparison, radon_reml):
    data = bm.load_dataset("radon")
    table = comparison.shrinkage["county"]
    beta = radon_reml.fixef["estimate"]
    data["rest"] = (
        data["log_radon"] - beta["Intercept"] - beta["floor"] * data["floor"]
        - beta["log_uranium"] * data["log_uranium"]
    )  # fmt: skip
    for county, rows in data.groupby("county"):
        X = np.column_stack([np.ones(len(rows)), rows["floor"]])
        own = table.loc[county, "own_reml"].to_numpy()
        if np.linalg.matrix_rank(X) < 2:
            assert np.isnan(own).all()
        else:
            np.testing.assert_allclose(own, np.linalg.lstsq(X, rows["rest"], rcond=None)[0], atol=1e-10)
        assert (table.loc[county, "rows"] == len(rows)).all()
    known = table.dropna()
    np.testing.assert_allclose(known["shrinkage_reml"], 1 - known["estimate_reml"] / known["own_reml"])


def test_shrinkage_of_a_balanced_random_intercept_is_the_textbooks():
    """b̂ = own · n τ²/(n τ² + σ²) when every group has n rows."""
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(10), 4)
    data = pd.DataFrame({"g": g, "y": rng.normal(size=10)[g] + rng.normal(size=40)})
    spec = bm.ModelSpec("y ~ 1 + (1 | g)", data)
    reml = spec.fit()
    ratio = reml.varcorr["variance"][0] / reml.sigma**2
    table = bm.compare(reml, spec.fit("ml")).shrinkage["g"]
    np.testing.assert_allclose(table["shrinkage_reml"], 1 / (1 + 4 * ratio), rtol=1e-9)


def test_own_estimates_ignore_units_of_the_covariates():
    data = bm.load_dataset("sleepstudy")
    for scale in (1e-9, 1e9):
        fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", data.assign(Days=data["Days"] * scale)).fit()
        assert not np.isnan(own_estimates(fit, fit.design.factors[0])).any()


def test_verdict_of_two_fits_that_agree(comparison):
    table = comparison.agreement
    assert set(table["verdict"]) <= {"agrees", "expected"}
    assert (table.loc[["Intercept", "floor", "log_uranium"], "verdict"] == "agrees").all()
    assert "posterior sds are" in table.loc["ranef_county", "reason"]
    assert comparison.verdict.startswith("The two fits agree")


def test_verdicts_rules():
    from bimixed.verdicts import _fixed, _variance

    assert _fixed(0.1)[0] == "agrees"
    assert _fixed(-0.8)[0] == "suspicious"
    assert _variance("sd", 0.8, 1.0, True, 1.0) == (
        "expected", "the posterior of an sd is skewed: its mean lies above its mode",
    )  # fmt: skip
    assert _variance("sd", -0.8, 1.0, True, 1.0)[0] == "suspicious"
    assert _variance("sd", 3.0, 0.0, True, 1.0)[0] == "expected"
    assert _variance("sd", 3.0, 1.0, True, 1.0)[0] == "suspicious"
    assert _variance("corr", 0.9, -1.0, True, 1.0)[0] == "expected"
    assert _variance("corr", 0.1, 0.3, True, 1.0)[0] == "agrees"
    assert _variance("sd", 1.0, np.nan, True, 1.0)[0] == "expected"
    assert _variance("sd", 0.9, 1.0, False, 1.0)[0] == "suspicious"


def _simulated(p, relative_sd, seed, n=300, levels=20):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(levels), n // levels)
    X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    y = relative_sd * rng.normal(size=levels)[g] + rng.normal(size=n)
    return bm.ModelSpec.from_arrays(y, X, g)


@pytest.mark.parametrize("order", [("reml", "ml"), ("ml", "reml")])
def test_what_ml_loses_by_the_fixed_effects_is_expected(order):
    spec = _simulated(100, 1.0, 0)
    fits = {method: spec.fit(method) for method in order}
    comparison = bm.compare(*fits.values())
    sigma = comparison.agreement.loc["sigma"]
    assert abs(sigma["difference_sd"]) > 2
    assert sigma["verdict"] == "expected"
    assert "ML doesn't count the 100 fixed effects" in sigma["reason"]
    assert "√((n − p)/n) = 0.816" in sigma["reason"]
    assert comparison.verdict.startswith("The two fits agree")
    # the wrong direction, and another size
    swapped = [
        dataclasses.replace(fits[m], method=other) for m, other in zip(order, order[::-1], strict=True)
    ]
    assert bm.compare(*swapped).agreement.loc["sigma", "verdict"] == "suspicious"
    half = fits["ml"].refit(0.5 * spec.design.y)
    other = Comparison(tuple(half if m == "ml" else fits[m] for m in order), order)
    assert (other.agreement.loc[["sigma", "sd_groups[Intercept]"], "verdict"] == "suspicious").all()


@pytest.mark.parametrize("order", [("reml", "ml"), ("ml", "reml")])
def test_what_ml_loses_of_sds_is_expected(order):
    dyestuff = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff"))
    comparison = bm.compare(*(dyestuff.fit(method) for method in order))
    told = comparison.agreement.loc["sd_Batch[Intercept]"]
    assert told["verdict"] == "expected" or abs(told["difference_sd"]) < 0.3
    assert (comparison.agreement["verdict"] != "suspicious").all()
    # ML's sd is 0 where REML's is not: one of them has no standard error
    spec = _simulated(1, 0.4, 29, n=24, levels=4)
    fits = {method: spec.fit(method) for method in order}
    assert fits["reml"].varcorr["sd"][0] > 0.2
    assert fits["ml"].varcorr["sd"][0] == 0.0
    comparison = bm.compare(*fits.values())
    told = comparison.agreement.loc["sd_groups[Intercept]"]
    assert told["verdict"] == "expected"
    assert "so its sds are smaller" in told["reason"]
    assert "nan" not in str(comparison)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("sleepstudy", "Reaction ~ Days + (Days | Subject)"),
        ("orthodont", "distance ~ age * Sex + (age | Subject)"),
        ("rat_pup", "weight ~ treatment * sex + litsize + (1 | litter)"),
        ("score_parentedu", "score ~ edu + (1 | classroom)"),
    ],
)
def test_reml_and_ml_of_known_data_agree(name, formula):
    spec = bm.ModelSpec(formula, bm.load_dataset(name))
    for comparison in (bm.compare(spec.fit(), spec.fit("ml")), bm.compare(spec.fit("ml"), spec.fit())):
        assert (comparison.agreement["verdict"] != "suspicious").all()


def test_the_loss_of_a_balanced_design_is_the_textbooks():
    """τ² of REML is (MSB − MSW)/m, of ML ((1 − 1/L) MSB − MSW)/m."""
    spec = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff"))
    bias = MLBias(spec.fit(), spec.fit("ml"))
    (factor,) = bias.reml.design.factors
    reml, ml = (float(v[0]) for v in bias._variances(factor))
    loss = bias._used(factor, 0) / factor.n_levels * reml / bias._reliability(factor, 0).mean()
    assert loss == pytest.approx(reml - ml, rel=1e-6)


def test_trouble_of_one_fit_is_told(radon_reml, radon_nuts):
    bad = dataclasses.replace(
        radon_nuts,
        diagnostics=dataclasses.replace(
            radon_nuts.diagnostics, ok=False, converged=False, messages=("Not converged: …",)
        ),
    )
    comparison = bm.compare(radon_reml, bad)
    assert comparison.verdict.startswith("Mend first")
    assert "Not converged" in str(comparison)


def test_different_models_are_refused(radon_reml):
    data = bm.load_dataset("radon")
    other = bm.ModelSpec("log_radon ~ floor + (1 | county)", data).fit()
    with pytest.raises(bm.BimixedError, match="different models: 'log_uranium' is only in the first"):
        bm.compare(radon_reml, other)
    fewer = bm.ModelSpec(radon_reml.formula, data.iloc[10:]).fit()
    with pytest.raises(bm.BimixedError, match="rows"):
        bm.compare(radon_reml, fewer)
    with pytest.raises(bm.BimixedError, match="takes results"):
        bm.compare(radon_reml, data)
    with pytest.raises(bm.BimixedError, match="names"):
        bm.compare(radon_reml, radon_reml, names=["a", "a"])
    assert bm.compare(radon_reml, radon_reml).names == ("reml_1", "reml_2")


def test_of_different_models_only_the_difference_is_told(radon_reml):
    names = [f"x{j}" for j in range(2000)]
    first, second = _only_in("fixed effects", names, [*names[:-1], "z"])
    assert (first, second) == ("'x1999' is only in the first", "'z' is only in the second")
    (told,) = _only_in("fixed effects", names, names[:1])
    assert len(told) < 300
    data = bm.load_dataset("radon")
    spec = bm.ModelSpec("log_radon ~ floor + log_uranium + (1 | county)", data)
    with pytest.raises(bm.BimixedError) as caught:
        bm.compare(radon_reml, spec.fit())
    words = "'(1 + floor | county)' is only in the first; '(1 | county)' is only in the second. Compare fits"
    assert words in str(caught.value)
    assert "Nested models are judged by loglik and aic, for draws by loo()." in str(caught.value)
    with pytest.raises(bm.BimixedError, match=r"Nested .* loglik and aic \(of fits by 'ml'"):
        bm.compare(spec.fit(), spec.update(". ~ . - log_uranium").fit())
    with pytest.raises(bm.BimixedError, match="Others are judged by aic"):
        bm.compare(spec.fit(), spec.update(". ~ 1 + (1 + floor | county)").fit())
    with pytest.raises(bm.BimixedError, match="fixed effects in another order"):
        bm.compare(spec.fit(), spec.update("log_radon ~ log_uranium + floor + (1 | county)").fit())


def test_anything_but_two_results_is_told(radon_reml):
    for call in (
        lambda: bm.compare([radon_reml, radon_reml]),
        lambda: bm.compare(reml=radon_reml, ml=radon_reml),
        lambda: bm.compare(radon_reml),
        lambda: bm.compare(radon_reml, radon_reml, radon_reml),
        bm.compare,
    ):
        with pytest.raises(bm.ArgumentError, match=r"two results.*bm\.compare\(a, b\)"):
            call()


def test_summary_and_page(comparison, tmp_path):
    text = str(comparison)
    assert text.startswith("REML and NUTS of log_radon")
    assert "Variance components" in text
    assert "<table" in comparison._repr_html_()
    path = comparison.to_html(tmp_path / "page.html")
    page = path.read_text()
    assert page.count("<h2>") >= 5
    assert "data:image/png;base64," in page
    assert "http" not in page.split("base64,")[0]
    assert "ST LOUIS" in page
    assert "<td>52</td>" in page  # rows of ANOKA, a whole number
    assert "52.0000" not in page
    assert re.search(r"REML, \d+ ms, ok", text)
    with pytest.raises(bm.DataError, match="no folder"):
        comparison.to_html(tmp_path / "missing" / "page.html")
