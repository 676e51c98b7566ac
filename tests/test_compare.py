import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

import bimixed as bm
from bimixed.compare import Comparison, own_estimates
from bimixed.ml_bias import MLBias
from bimixed.model_differences import only_in
from bimixed.overlaps import Marginal, of_drawn, of_wald, overlap


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


def test_different_rows_are_refused(radon_reml):
    data = bm.load_dataset("radon")
    fewer = bm.ModelSpec(radon_reml.formula, data.iloc[10:]).fit()
    with pytest.raises(bm.BimixedError, match=r"different rows or responses \(919 and 909 rows\)"):
        bm.compare(radon_reml, fewer)
    with pytest.raises(bm.BimixedError, match="takes results"):
        bm.compare(radon_reml, data)
    with pytest.raises(bm.BimixedError, match="names must be 2 different strings"):
        bm.compare(radon_reml, radon_reml, names=["a", "a"])
    nothing = bm.ModelSpec("log_radon ~ 0 + (0 + log_uranium | floor)", data).fit()
    with pytest.raises(bm.BimixedError, match="no parameter in common"):
        bm.compare(radon_reml, nothing)
    assert bm.compare(radon_reml, radon_reml).names == ("reml_1", "reml_2")


def test_formulas_that_share_terms(radon_reml, radon_nuts):
    data = bm.load_dataset("radon")
    small = bm.ModelSpec("log_radon ~ floor + (1 | county)", data).fit("ml")
    comparison = bm.compare(small, radon_reml, radon_nuts)
    assert comparison.fixef.index.tolist() == ["Intercept", "floor", "log_uranium"]
    assert np.isnan(comparison.fixef.loc["log_uranium", "estimate_ml"])
    assert comparison.fixef.loc["floor", "difference_ml"] == pytest.approx(
        radon_nuts.fixef.loc["floor", "estimate"] - small.fixef.loc["floor", "estimate"]
    )
    told = comparison.agreement
    assert set(told["result"]) == {"ml", "reml"}
    of_small = told[told["result"] == "ml"]
    assert "log_uranium" not in of_small.index and "sd_county[floor]" not in of_small.index
    assert (of_small["verdict"] != "suspicious").all()
    assert (
        of_small.loc["sigma", "verdict"] == "agrees" or "the models differ" in of_small.loc["sigma", "reason"]
    )
    assert "the models differ" in of_small["reason"].str.cat()
    text = str(comparison)
    assert text.startswith("maximum likelihood, REML and NUTS of 2 models")
    assert "Different models: 'log_uranium' is only in nuts." in text
    shrinkage = comparison.shrinkage["county"]
    assert np.isnan(shrinkage.loc[("ANOKA", "floor"), "estimate_ml"])
    assert shrinkage.loc[("ANOKA", "floor"), "rows"] == 52
    assert shrinkage.index.tolist()[:2] == [("AITKIN", "Intercept"), ("ANOKA", "Intercept")]
    assert comparison.plot().axes
    assert "sd_county[floor]" in comparison.varcorr.index


def test_of_different_models_only_the_difference_is_told():
    names = [f"x{j}" for j in range(2000)]
    first, second = only_in("fixed effects", names, [*names[:-1], "z"])
    assert (first, second) == ("'x1999' is only in the first", "'z' is only in the second")
    (told,) = only_in("fixed effects", names, names[:1])
    assert len(told) < 300


def test_anything_but_results_is_told(radon_reml):
    for call in (
        lambda: bm.compare([radon_reml, radon_reml]),
        lambda: bm.compare(reml=radon_reml, ml=radon_reml),
        lambda: bm.compare(radon_reml),
        bm.compare,
    ):
        with pytest.raises(bm.ArgumentError, match=r"two results or more.*bm\.compare\(a, b\)"):
            call()


def test_limits_and_those_given(comparison, radon_reml):
    """Of each result, and a profile's and a bootstrap's beside them."""
    wald = radon_reml.conf_int()
    np.testing.assert_allclose(comparison.fixef["upper_reml"], wald.loc[comparison.fixef.index, "upper"])
    np.testing.assert_allclose(comparison.varcorr["lower_reml"], wald.loc[comparison.varcorr.index, "lower"])
    profile = bm.profile(radon_reml, ["sd_county[Intercept]", "floor"])
    boot = bm.bootstrap(radon_reml, 50, random_seed=1, progress=False)
    wider = bm.compare(radon_reml, comparison.results[1], intervals=[profile, boot])
    assert wider.intervals.loc["floor", "upper_profile"] == profile.conf_int().loc["floor", "upper"]
    assert wider.intervals.loc["sigma", "lower_bootstrap"] == boot.conf_int().loc["sigma", "lower"]
    assert np.isnan(wider.intervals.loc["sigma", "lower_profile"])
    assert "upper_profile" in str(wider) and "upper_profile" not in str(comparison)
    ranef = comparison.ranef["county"]
    assert (ranef["lower_nuts"] < ranef["estimate_nuts"]).all()
    with pytest.raises(bm.BimixedError, match="two of a kind"):
        bm.compare(radon_reml, radon_reml, intervals=[profile, profile])
    with pytest.raises(bm.BimixedError, match="'x' is a int"):
        bm.compare(radon_reml, radon_reml, intervals={"x": 3})


def test_overlap_against_integrals():
    """Normal curves, 2 Φ(−δ/2); draws, and the density that they are from; scales of sds and correlations."""
    from scipy import stats

    one, two = Marginal.normal(0.0, 1.0), Marginal.normal(1.5, 1.0)
    assert overlap(one, two) == pytest.approx(2 * stats.norm.cdf(-0.75), abs=1e-4)
    rng = np.random.default_rng(0)
    sds = rng.lognormal(np.log(2.0), 0.3, 4000)
    assert overlap(of_drawn("sd_g[x]", sds), of_wald("sd_g[x]", 2.0, 0.6)) > 0.97  # Monte Carlo and kernel
    z = rng.normal(0.5, 0.2, 4000)
    r = np.tanh(0.5)
    assert overlap(of_drawn("corr_g[a,b]", np.tanh(z)), of_wald("corr_g[a,b]", r, 0.2 * (1 - r**2))) > 0.97
    assert np.isnan(overlap(of_wald("sigma", 0.0, np.nan), one))
    assert np.isnan(overlap(of_wald("corr_g[a,b]", 1.0, np.nan), one))
    # wide ones: the integral of the densities of the sd itself, and of the correlation
    for name, mine, other in (
        ("sd_g[x]", (0.05, 0.1), (0.06, 0.15)),
        ("corr_g[a,b]", (0.9, 0.6), (-0.9, 0.6)),
    ):
        if name.startswith("sd"):
            x = np.exp(np.linspace(-20, 12, 400_001))
            f, g = (stats.lognorm.pdf(x, error / est, scale=est) for est, error in (mine, other))
        else:
            t = np.linspace(-12, 12, 400_001)
            x, f, g = t, *(stats.norm.pdf(t, np.arctanh(e), s / (1 - e**2)) for e, s in (mine, other))
        wanted = np.trapezoid(np.minimum(f, g), x)
        assert overlap(of_wald(name, *mine), of_wald(name, *other)) == pytest.approx(wanted, abs=5e-3)


def test_other_data_are_told(radon_reml):
    data = bm.load_dataset("radon")
    weighted = bm.ModelSpec(radon_reml.formula, data.assign(w=data["floor"] + 1.0), weights="w").fit()
    comparison = bm.compare(radon_reml, weighted)
    assert "Different models: weights differ." in str(comparison)
    assert (comparison.agreement["verdict"] != "suspicious").all()
    scaled = bm.ModelSpec(radon_reml.formula, data.assign(log_uranium=2.0 * data["log_uranium"])).fit()
    assert "log_uranium has other values" in str(bm.compare(radon_reml, scaled))
    sleep = bm.load_dataset("sleepstudy")
    fits = [
        bm.ModelSpec("Reaction ~ Days + (Days | Subject)", d).fit()
        for d in (sleep, sleep.astype({"Subject": str}))
    ]
    labelled = bm.compare(*fits)
    assert "Subject has other labels" in str(labelled)
    assert labelled.agreement.loc["ranef_Subject", "verdict"] != "agrees"


def test_names_with_spaces(radon_reml):
    ml = radon_reml.spec.fit("ml")
    text = str(bm.compare(radon_reml, ml, radon_reml, names=["by REML", "by ML", "again"]))
    assert "diff/sd by REML" in text


def test_names_that_clash(radon_reml):
    with pytest.raises(bm.BimixedError, match="'sd_a' makes columns called like others"):
        bm.compare(radon_reml, radon_reml, radon_reml, names=["a", "sd_a", "b"])
    with pytest.raises(bm.BimixedError, match="names must be 2 different strings, not 5"):
        bm.compare(radon_reml, radon_reml, names=5)
    with pytest.raises(bm.BimixedError, match="a names a result"):
        bm.compare(radon_reml, radon_reml, names=["a", "b"], intervals={"a": radon_reml.conf_int()})


def test_overlaps_of_a_comparison(comparison):
    assert (comparison.fixef["overlap"] > 0.9).all()
    assert comparison.varcorr["overlap"].between(0.5, 1.0).all()


@pytest.fixture(scope="module")
def strong():
    """A prior far from the data, with a fifth of the weight and more."""
    data = bm.load_dataset("radon")
    formula = "log_radon ~ floor + (1 | county)"
    prior = {"floor": bm.Prior("normal", mu=0.0, sigma=0.1)}
    specs = [bm.ModelSpec(formula, data), bm.ModelSpec(formula, data, priors=prior)]
    draws = [s.fit("importance", draws=2000, random_seed=1, progress=False) for s in specs]
    return specs[0].fit(), *draws


def test_a_prior_that_moves_an_estimate_is_expected_with_its_weight(strong):
    reml, usual, pulled = strong
    told = bm.compare(reml, pulled).agreement.loc["floor"]
    assert told["verdict"] == "expected" and told["difference_sd"] > 0.5
    s = pulled.fixef.loc["floor", "std_error"]
    most = s**2 / 0.1**2
    least = 0.1**-2 / (0.1**-2 + reml.fixef.loc["floor", "std_error"] ** -2)
    assert f"its prior has {least:.1%} to {most:.1%} of the weight" in told["reason"]
    pulls = [weight * (0.0 - reml.fixef.loc["floor", "estimate"]) / s for weight in (least, most)]
    assert f"moves it by {pulls[0]:+.2f} to {pulls[1]:+.2f} sds" in told["reason"]
    assert pulls[0] - 0.3 < told["difference_sd"] < pulls[1] + 0.3
    both = bm.compare(usual, pulled).agreement.loc["floor"]
    assert both["verdict"] == "expected" and "its priors differ" in both["reason"]
    moved = dataclasses.replace(usual, spec=pulled.spec)  # as if the priors were the same
    assert bm.compare(moved, pulled).agreement.loc["floor", "verdict"] == "suspicious"


def test_figures_behind_verdicts():
    """A singular fit: the mass near 0, and the skewness of what is estimated, from the draws themselves."""
    spec = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2"))
    reml = spec.fit()
    draws = spec.fit("importance", draws=4000, random_seed=1, progress=False)
    told = bm.compare(reml, draws).agreement.loc["sd_Batch[Intercept]"]
    sds = draws.posterior["posterior"]["sd_Batch"].to_numpy().ravel()
    near = np.mean(sds < 0.1 * draws.sigma)
    assert (
        told["verdict"] == "expected"
        and f"{near:.0%} of the posterior lies below 0.1·sigma" in told["reason"]
    )
    few = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff"))
    draws = few.fit("importance", draws=4000, random_seed=1, progress=False)
    told = bm.compare(few.fit(), draws).agreement.loc["sd_Batch[Intercept]"]
    if told["verdict"] == "expected":
        sds = draws.posterior["posterior"]["sd_Batch"].to_numpy().ravel()
        skewness = np.mean(((sds - sds.mean()) / sds.std()) ** 3)
        assert f"skewness {skewness:.1f}, median {np.median(sds):.3g}, mean" in told["reason"]


def test_few_effective_draws_are_told(radon_reml, radon_nuts):
    report = dataclasses.replace(radon_nuts.diagnostics, ess_bulk_min=37.0)
    poor = dataclasses.replace(radon_nuts, diagnostics=report)
    assert bm.compare(radon_reml, poor).verdict.startswith(
        "Mend first, compare later: nuts (37 effective draws)"
    )


def test_summary_and_page(comparison, tmp_path):
    text = str(comparison)
    assert text.startswith("REML and NUTS of log_radon")
    assert "Variance components" in text
    assert "<table" in comparison._repr_html_()
    path = comparison.to_html(tmp_path / "page.html")
    page = path.read_text()
    assert page.count("<h2 ") >= 5
    assert "data:image/svg+xml;base64," in page
    assert "http" not in page
    assert "ST LOUIS" in page
    assert "<td>52</td>" in page  # rows of ANOKA, a whole number
    assert "52.0000" not in page
    assert re.search(r"REML, \d+ ms, ok", text)
    with pytest.raises(bm.DataError, match="no folder"):
        comparison.to_html(tmp_path / "missing" / "page.html")
