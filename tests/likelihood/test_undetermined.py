"""Covariances that no structure of Z shows, beside dense derivatives of V and the models without them."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.linalg

import bimixed as bm
from bimixed.covariance import lower_factor
from bimixed.likelihood.most_regular import most_regular
from bimixed.likelihood.setup import set_up


def cells(seed=1, levels=30, kinds=3, within=0):
    """Levels of g that are of one kind each, but the first ones of two or more."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(levels), 4)
    kind = (g % kinds).astype(int)
    for level in range(within):
        rows = np.flatnonzero(g == level)
        kind[rows[2:]] = (level + 1) % kinds if level % kinds != kinds - 1 else kind[rows[2:]]
    x = rng.normal(size=len(g))
    y = (
        rng.normal(size=(levels, kinds))[g, kind]
        + 0.5 * x * rng.normal(size=levels)[g]
        + rng.normal(size=len(g))
    )
    return pd.DataFrame(
        {
            "g": g,
            "f": np.array(list("abcdefgh"))[kind],
            "x": x,
            "two": (g % 2).astype(float),
            "size": rng.normal(size=levels)[g],
            "h": rng.integers(0, 7, len(g)),
            "w": rng.uniform(0.5, 2.0, len(g)),
            "y": y,
        }
    )


def wide(seed=2):
    """One row per level, and two of some."""
    rng = np.random.default_rng(seed)
    g = np.concatenate([np.arange(40), np.arange(5)])
    x = rng.normal(size=45)
    return pd.DataFrame({"g": g, "x": x, "two": (x > 0).astype(float), "y": rng.normal(size=45)})


CASES = {
    "a category per level": ("y ~ f + (0 + f | g)", cells()),
    "dummies beside an intercept": ("y ~ f + (f | g)", cells()),
    "some levels of two categories": ("y ~ f + (0 + f | g)", cells(within=6)),
    "dummies, some levels of two": ("y ~ f + (f | g)", cells(within=6)),
    "a slope as well": ("y ~ f + (0 + f + x | g)", cells()),
    "slopes of each category": ("y ~ x + (0 + f:x | g)", cells()),
    "crossed with another group": ("y ~ x + (0 + f | g) + (x | h)", cells()),
    "trailing": ("y ~ x + (1 | g) + (f | h)", cells()),
    "two values per level": ("y ~ two + (two | g)", cells()),
    "many values, constant within": ("y ~ size + (size | g)", cells()),
    "intercept and categories apart": ("y ~ f + (1 | g) + (0 + f || g)", cells()),
    "two blocks": ("y ~ f + (0 + f | g) + (0 + x | g)", cells()),
    "the same column twice": ("y ~ x + (0 + x + I(2 * x) | g)", cells()),
    "slopes": ("y ~ x + (x | g)", cells()),
    "one row per level": ("y ~ x + (x | g)", wide()),
    "a square, one row per level": ("y ~ x + (x + I(x**2) | g)", wide()),
    "two values, one row per level": ("y ~ two + (two | g)", wide()),
    "far from 0": ("y ~ f + (f + x | g)", cells().assign(x=lambda d: d["x"] + 2000.0)),
}


def derivative(factor):
    """∂ vec(Z_l H Z_l') of all levels by the entries of H with size-1 covariates, a column for each entry."""
    rows, cols = factor.template.positions
    values, columns = factor.values / factor.scales(), []
    for a, b in zip(rows, cols, strict=True):
        E = np.zeros((factor.n_coefficients,) * 2)
        E[a, b] = E[b, a] = 1.0
        of_levels = [values[factor.codes == level] for level in range(factor.n_levels)]
        columns.append(np.concatenate([(Z @ E @ Z.T).ravel() for Z in of_levels]))
    return np.column_stack(columns), rows, cols


def dense_null(factor):
    """An orthonormal basis of the entries that change no V, (entries, m)."""
    J, rows, cols = derivative(factor)
    return scipy.linalg.null_space(J, rcond=1e-9), rows, cols


def parts_of(spec, **how):
    return set_up(spec.design, False, **how).undetermined


@pytest.mark.filterwarnings("ignore::bimixed.IdentificationWarning")
@pytest.mark.parametrize(("formula", "data"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("weights", [None, "w"], ids=["plain", "weights"])
def test_null_space_is_that_of_the_dense_derivative(formula, data, weights):
    data = data.assign(w=np.random.default_rng(3).uniform(0.5, 2.0, len(data)))
    spec = bm.ModelSpec(formula, data, weights=weights)
    found = parts_of(spec)
    for place, factor in enumerate(spec.design.factors):
        null, rows, cols = dense_null(factor)
        assert (found[place].dimension if place in found else 0) == null.shape[1]
        if place in found:
            entries = np.zeros((factor.n_coefficients,) * 2, dtype=bool)
            entries[rows, cols] = entries[cols, rows] = np.abs(null).max(axis=1) > 1e-6
            np.testing.assert_array_equal(found[place].entries, entries)


def test_the_cases_have_null_spaces_and_none():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.IdentificationWarning)
        sizes = {name: len(parts_of(bm.ModelSpec(*case))) for name, case in CASES.items()}
    without = {
        "trailing",
        "many values, constant within",
        "slopes",
        "one row per level",
        "a square, one row per level",
        "two values, one row per level",  # levels with two rows have both
    }
    assert {name for name, size in sizes.items() if not size} == without


@pytest.mark.filterwarnings("ignore::bimixed.IdentificationWarning")
@pytest.mark.parametrize(
    "name", ["a category per level", "dummies beside an intercept", "far from 0", "a slope as well"]
)
def test_effects_and_new_rows_that_depend_on_it(name):
    """Conditional expectations H Z'V⁻¹r at H and along each null direction, from n × n matrices."""
    spec = bm.ModelSpec(*CASES[name])
    factor, part = spec.design.factors[0], parts_of(spec)[0]
    null, rows, cols = dense_null(factor)
    K, scale = factor.n_coefficients, factor.scales()
    rng = np.random.default_rng(4)
    half = rng.normal(size=(K, K)) / scale[:, None]
    H = half @ half.T
    Z = factor.matrix().toarray()
    r = rng.normal(size=len(Z))

    def expectations(H):
        V = np.eye(len(Z)) + Z @ np.kron(np.eye(factor.n_levels), H) @ Z.T
        return (np.linalg.solve(V, r) @ Z).reshape(-1, K) @ H

    moved = np.zeros((factor.n_levels, K), dtype=bool)
    new = factor.values[:50].copy()
    new[25:] = 0.5 * (new[25:] + factor.values[rng.integers(0, len(Z), 25)])  # halves of two kinds
    variance = np.zeros(50, dtype=bool)
    for direction in null.T:
        D = np.zeros((K, K))
        D[rows, cols] = D[cols, rows] = direction
        D = 0.1 * D / np.outer(scale, scale)
        moved |= np.abs(expectations(H + D) - expectations(H)) * scale > 1e-7
        variance |= np.abs(np.einsum("ik,kl,il->i", new, D, new)) > 1e-7
    np.testing.assert_array_equal(part.effects, moved)
    unseen = bm.design.LevelRows(np.full(50, -1), new, factor.n_levels)
    np.testing.assert_array_equal(part.row_spreads(unseen), variance)
    assert variance.any()
    assert not part.rows(factor.rows).any()
    assert not part.row_spreads(factor.rows).any()


@pytest.fixture(scope="module")
def rat_pup():
    data, fits = bm.load_dataset("rat_pup"), {}
    for bar in ("0 + treatment |", "0 + treatment ||", "treatment |", "1 |"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bm.IdentificationWarning)
            fits[bar] = bm.ModelSpec(f"weight ~ treatment + ({bar} litter)", data).fit()
    return fits


def test_fit_is_that_without_correlations(rat_pup):
    """The likelihoods are the same function; searches end within 1e-10 of the optimum, parameters to 1e-5."""
    cells, apart, dummies = (rat_pup[bar] for bar in ("0 + treatment |", "0 + treatment ||", "treatment |"))
    for fit in (cells, dummies):
        assert fit.loglik == pytest.approx(apart.loglik, abs=1e-6)
        assert (fit.df_model, fit.aic) == (7, pytest.approx(apart.aic, abs=1e-6))
        assert fit.bic == pytest.approx(apart.bic, abs=1e-6)
        np.testing.assert_allclose(fit.fitted, apart.fitted, atol=1e-5)
        np.testing.assert_allclose(fit.resid, apart.resid, atol=1e-5)
        np.testing.assert_allclose(fit.fixef, apart.fixef, rtol=1e-5)
        for ddf in ("satterthwaite", "kenward-roger"):
            np.testing.assert_allclose(fit.coef_table(ddf=ddf), apart.coef_table(ddf=ddf), rtol=1e-4)
        assert fit.conditional_aic().df == pytest.approx(apart.conditional_aic().df, rel=1e-5)
        np.testing.assert_allclose(fit.icc(), apart.icc(), rtol=1e-5)
        rows = np.arange(60)
        np.testing.assert_allclose(
            fit.marginal_cov(rows, positions=True), apart.marginal_cov(rows, positions=True), atol=1e-5
        )
    np.testing.assert_allclose(cells.varcorr["sd"], apart.varcorr["sd"], rtol=1e-5)
    known = [name for name in apart.variance_table().index if name in cells.variance_table().index]
    np.testing.assert_allclose(
        cells.variance_table().loc[known], apart.variance_table().loc[known], rtol=1e-4
    )
    assert dummies.varcorr["sd"][0] == pytest.approx(apart.varcorr["sd"][0], rel=1e-5)
    se = [fit.variance_table()["std_error"].iloc[0] for fit in (dummies, apart)]
    assert se[0] == pytest.approx(se[1], rel=1e-4)


def test_what_has_no_estimate_is_nan(rat_pup):
    fit = rat_pup["0 + treatment |"]
    off = ~np.eye(3, dtype=bool)
    assert np.isnan(fit.random_cov["litter"].to_numpy()[off]).all()
    assert np.isnan(fit.random_corr["litter"].to_numpy()[off]).all()
    assert np.isfinite(fit.varcorr["sd"]).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tidy = fit.tidy("ran_pars", conf_int=True)
        limits = fit.conf_int()
    for table in (fit.variance_table(), limits):
        correlations = table.index.str.startswith(("corr", "cov"))
        assert correlations.sum() in (3, 6)
        assert table[correlations].isna().all(axis=None)
        assert table[~correlations].notna().all(axis=None)
    assert tidy["estimate"].isna().sum() == 3
    assert (fit.ranef["litter"].notna().sum(axis=1) == 1).all()
    assert (fit.ranef_sd["litter"].isna() == fit.ranef["litter"].isna()).all(axis=None)
    assert np.isnan(fit.ranef_cov("litter")).to_numpy().sum() == 27 * 8
    table = fit.ranef_table("litter")
    assert table["estimate"].isna().equals(table["std_error"].isna())
    dummies = rat_pup["treatment |"]
    np.testing.assert_array_equal(dummies.varcorr["sd"].isna(), [False, True, True, False])
    assert dummies.ranef["litter"]["Intercept"].notna().sum() == 10  # the litters of the reference
    assert dummies.coef("litter")["treatment[T.High]"].isna().all()


def test_the_message_says_why_and_what_to_write(rat_pup):
    data = bm.load_dataset("rat_pup")
    spec = bm.ModelSpec("weight ~ treatment + (0 + treatment | litter)", data)
    with pytest.warns(bm.IdentificationWarning) as told:
        fit = spec.fit()
    assert len(told) == 1
    assert not fit.diagnostics.ok
    assert fit.diagnostics.singular is False
    assert fit.diagnostics.messages == (str(told[0].message),)
    assert spec.noticed == fit.diagnostics.messages
    for part in (
        "No level of litter has rows of two of treatment[Control], treatment[High], treatment[Low]",
        "don't enter the likelihood",
        "3 parameters fewer",
        "write (0 + treatment || litter)",
    ):
        assert part in fit.diagnostics.messages[0]
    (message,) = rat_pup["treatment |"].diagnostics.messages
    for part in (
        "treatment is constant within every level of litter",
        "variances of treatment[T.High], treatment[T.Low]",
        "(0 + treatment || litter)",
        "(1 | litter)",
    ):
        assert part in message
    assert rat_pup["0 + treatment ||"].diagnostics.ok
    for bar in ("0 + treatment |", "treatment |"):
        assert rat_pup[bar].diagnostics.messages[0] in rat_pup[bar].explain_singular(progress=False).notes


def test_tests_count_what_the_data_tell(rat_pup):
    small, cells, apart = (rat_pup[bar] for bar in ("1 |", "0 + treatment |", "0 + treatment ||"))
    for fit in (cells, rat_pup["treatment |"]):
        test = bm.lrtest(small, fit).table
        assert test["df"].iloc[1] == 2
        assert bm.ranova(fit).table["df"].iloc[1] == 2
        assert "boundary" not in str(bm.ranova(fit))  # variances that differ lie at none
        with pytest.warns(bm.IdentificationWarning):
            dropped = bm.drop1(fit).table
        assert dropped["df"].iloc[1] == 2
        assert dropped["n_parameters"].iloc[0] == 7
    with pytest.raises(bm.DataError, match="don't enter its likelihood"):
        bm.lrtest(cells, apart)


def test_profiles_and_bootstrap(rat_pup):
    cells, apart = rat_pup["0 + treatment |"], rat_pup["0 + treatment ||"]
    name = "sd_litter[treatment[Low]]"
    limits = [bm.profile(fit, name, progress=False).conf_int() for fit in (cells, apart)]
    np.testing.assert_allclose(*limits, rtol=1e-4)
    with pytest.raises(bm.DataError, match="No level of litter has rows of two"):
        bm.profile(cells, "corr_litter[treatment[Control],treatment[Low]]", progress=False)
    draws = [bm.bootstrap(fit, n=20, random_seed=1, progress=False).replicates for fit in (cells, apart)]
    np.testing.assert_allclose(draws[0][draws[1].columns], draws[1], rtol=2e-4, atol=2e-5)
    assert draws[0].filter(like="corr_").isna().all(axis=None)


def test_a_term_is_tested_as_a_whole(rat_pup):
    dummies = rat_pup["treatment |"]
    with pytest.raises(bm.FitError, match="treatment is constant within every level"):
        bm.rlrt(dummies, "sd_litter[treatment[T.Low]]", progress=False)
    test = bm.rlrt(dummies, "(treatment | litter)", n_sim=3, random_seed=1, progress=False)
    apart = bm.rlrt(
        rat_pup["0 + treatment ||"], "(0 + treatment || litter)", n_sim=3, random_seed=1, progress=False
    )
    assert test.statistic == pytest.approx(apart.statistic, abs=1e-6)


def test_pictures_and_pages(rat_pup, tmp_path):
    fit = rat_pup["0 + treatment |"]
    drawn = bm.plots.caterpillar(fit, "litter", "treatment[Low]")
    assert len(drawn.get_yticks()) == 10  # the litters of that treatment
    with pytest.raises(bm.UnavailableError, match=r"both 'treatment.Control.' and 'treatment.High.'"):
        bm.plots.shrinkage_2d(fit, "litter")
    with pytest.raises(bm.UnavailableError, match="of any level of 'litter'"):
        bm.plots.shrinkage(rat_pup["treatment |"], "litter", "treatment[T.Low]")
    assert "No level of litter has rows of two" in fit.to_html(tmp_path / "fit.html").read_text(
        encoding="utf-8"
    )


def test_predictions(rat_pup):
    new = pd.DataFrame({"treatment": ["Control", "High", "Low"], "litter": [1, 1, 99]})
    cells, apart = rat_pup["0 + treatment |"], rat_pup["0 + treatment ||"]
    with pytest.warns(bm.IdentificationWarning, match="1 of 3 rows have no estimate"):
        found = cells.predict(new, new_levels="sample", interval="prediction")
    expected = apart.predict(new, new_levels="sample", interval="prediction")
    assert found.iloc[1].isna().all()
    np.testing.assert_allclose(found.iloc[[0, 2]], expected.iloc[[0, 2]], rtol=1e-5)
    with pytest.warns(bm.IdentificationWarning):
        draws = cells.predict_draws(new, n=5, new_levels="sample", random_seed=1)
    assert draws.isna().any().tolist() == [False, True, False]
    np.testing.assert_allclose(
        cells.predict(new[:1], random="none"), apart.predict(new[:1], random="none"), rtol=1e-6
    )
    # sums are told where their parts aren't
    dummies, sums = (
        rat_pup["treatment |"],
        {("litter", 27, "Intercept"): 1, ("litter", 27, "treatment[T.High]"): 1},
    )
    both = dummies.combine({"sum": sums, "part": {("litter", 27, "Intercept"): 1}})
    own = apart.combine({"sum": {("litter", 27, "treatment[High]"): 1}})
    np.testing.assert_allclose(both.loc["sum"], own.loc["sum"], rtol=1e-4)
    assert both.loc["part"].isna().all()
    with pytest.raises(bm.UnavailableError, match="Of 17 of the 27 levels"):
        cells.rank_levels("litter", coefficient="treatment[Control]")


def test_a_variance_of_a_new_row_that_is_not_determined():
    data = cells()
    with pytest.warns(bm.IdentificationWarning):
        fit = bm.ModelSpec("y ~ two + (two | g)", data).fit()
    new = pd.DataFrame({"two": [0.0, 0.5, 1.0], "g": [99, 99, 99]})
    with pytest.warns(bm.IdentificationWarning, match="1 of 3 rows have no limits"):
        found = fit.predict(new, new_levels="sample", interval="confidence")
    assert found["estimate"].notna().all()
    assert found["upper"].isna().tolist() == [False, True, False]


def test_the_covariance_used_is_the_completion():
    """Pairs that never meet are independent given the others: the entry of H⁻¹ is 0 (Dempster 1972)."""
    rng = np.random.default_rng(5)
    pairs = np.array(["ab", "bc"])[np.arange(60) % 2]
    g = np.repeat(np.arange(60), 6)
    f = np.array([pairs[level][i % 2] for level in range(60) for i in range(6)])
    H = np.array([[1.0, 0.6, 0.3], [0.6, 1.0, 0.5], [0.3, 0.5, 1.0]])
    b = rng.standard_normal((60, 3)) @ np.linalg.cholesky(H).T
    y = b[g, np.searchsorted(["a", "b", "c"], f)] + rng.normal(size=360)
    spec = bm.ModelSpec("y ~ f + (0 + f | g)", pd.DataFrame({"y": y, "f": f, "g": g}))
    with pytest.warns(bm.IdentificationWarning, match="without the other correlations too"):
        fit = spec.fit()
    cov = fit.random_cov["g"].to_numpy()
    np.testing.assert_array_equal(
        np.isnan(cov), [[False, False, True], [False, False, False], [True, False, False]]
    )
    used = fit.estimates.usable_cov["g"]
    np.testing.assert_allclose(used[0, 2], used[0, 1] * used[1, 2] / used[1, 1], rtol=1e-6)
    assert fit.variance_table()["std_error"].isna().sum() == 2
    for start in rng.normal(size=(3, 6)):
        with pytest.warns(bm.IdentificationWarning):
            other = spec.fit(start=start)
        np.testing.assert_allclose(other.theta["g"], fit.theta["g"], atol=1e-4)


def test_singular_only_where_all_covariances_are():
    """A variance that is 0 whatever the covariances are is told; a correlation that may be ±1 isn't."""
    rng = np.random.default_rng(6)
    g = np.repeat(np.arange(60), 5)
    kind = g % 3
    noise = rng.normal(size=300)
    for level in np.unique(g[kind == 2]):  # less between these levels than chance
        noise[g == level] -= noise[g == level].mean()
    y = np.where(kind < 2, rng.normal(size=60)[g], 0.0) + noise
    data = pd.DataFrame({"y": y, "f": np.array(list("abc"))[kind], "g": g})
    with pytest.warns(bm.IdentificationWarning):
        fit = bm.ModelSpec("y ~ 1 + (0 + f | g)", data).fit()
    assert fit.diagnostics.singular
    assert "'f[c]' between levels of g is 0" in fit.diagnostics.messages[1]
    apart = bm.ModelSpec("y ~ 1 + (0 + f || g)", data).fit()
    assert fit.aic == pytest.approx(apart.aic, abs=1e-6)
    np.testing.assert_allclose(fit.varcorr["sd"], apart.varcorr["sd"], rtol=1e-4, atol=1e-5)
    with pytest.warns(bm.IdentificationWarning):
        many = (
            bm.ModelSpec("y ~ 1 + (0 + f | g)", data)
            .fit()
            .refit_many(y[:, None] + 0.1 * rng.normal(size=(300, 4)))
        )
    assert many["singular"].all()
    with pytest.warns(bm.IdentificationWarning):
        (lost,) = fit.explain_singular(profile=False, posterior=False, progress=False).directions
    assert (lost.label, lost.reference) == ("f[c]", "½χ²(0) + ½χ²(1)")  # its covariances are no parameters


def test_most_regular_from_a_singular_start():
    part = parts_of(bm.ModelSpec(*CASES["a category per level"]))[0]
    v = np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(most_regular(np.outer(v, v), part), np.diag(v**2), atol=1e-8)
    H = np.outer(v, v) * np.array([1.0, 1.0, 0.0])[:, None] * np.array([1.0, 1.0, 0.0])
    np.testing.assert_allclose(most_regular(H, part), np.diag([1.0, 4.0, 0.0]), atol=1e-8)
    assert lower_factor(most_regular(H, part))[2, 2] < 1e-4


def test_the_posterior_of_such_a_correlation_is_its_prior():
    """LKJ correlations are independent of the sds; 4,000 draws on both sides, quartiles to 0.06."""
    spec = bm.ModelSpec("distance ~ age + (0 + Sex | Subject)", bm.load_dataset("orthodont"))
    with pytest.warns(bm.ConvergenceWarning, match="prior alone"):
        fit = spec.fit("importance", draws=4000, random_seed=1, progress=False)
    assert any(
        "the posterior of their correlations is the prior alone" in m for m in fit.diagnostics.messages
    )
    cov = fit.uncertainty.random_cov["Subject"]
    after = cov[:, 0, 1] / np.sqrt(cov[:, 0, 0] * cov[:, 1, 1])
    before = np.asarray(spec.sample_prior(4000, 2)["prior"]["corr_Subject"]).reshape(-1, 2, 2)[:, 0, 1]
    np.testing.assert_allclose(
        np.quantile(after, [0.25, 0.5, 0.75]), np.quantile(before, [0.25, 0.5, 0.75]), atol=0.06
    )


def test_usual_designs_have_none():
    for formula, name in (
        ("Reaction ~ Days + (Days | Subject)", "sleepstudy"),
        ("distance ~ age * Sex + (age | Subject)", "orthodont"),
        ("log_radon ~ floor + (floor | county)", "radon"),
    ):
        spec = bm.ModelSpec(formula, bm.load_dataset(name))
        assert parts_of(spec) == {}
        assert spec.fit().diagnostics.ok


def test_saved_and_loaded(tmp_path, rat_pup):
    fit = rat_pup["0 + treatment |"]
    fit.save(tmp_path / "fit.zip")
    back = bm.load(tmp_path / "fit.zip")
    assert back.aic == pytest.approx(fit.aic, abs=1e-9)
    pd.testing.assert_frame_equal(back.ranef["litter"], fit.ranef["litter"])
    pd.testing.assert_frame_equal(back.variance_table(), fit.variance_table(), rtol=1e-6)


def test_levels_whose_covariates_are_0():
    """Their effects are 0 whatever the variances are; the sds of these, and limits, are what isn't known."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(40), 4)
    x = np.where(g < 30, rng.normal(size=160), 0.0)
    data = pd.DataFrame({"g": g, "x": x, "z": np.where(g % 2, x, -x)})
    data["y"] = rng.normal(size=40)[g] * x + rng.normal(size=160)
    with pytest.warns(bm.IdentificationWarning):
        fit = bm.ModelSpec("y ~ 1 + (0 + x + z || g)", data).fit()
    assert fit.estimates.undetermined["g"].dimension == 1
    assert (fit.ranef["g"].loc[35] == 0.0).all()
    assert fit.ranef_sd["g"].isna().all(axis=None)
    assert fit.ranef_cov("g").isna().all(axis=None)
    new = pd.DataFrame({"g": [35, 35, 1, 1], "x": [1.0, 0.0, 1.0, 0.5], "z": [0.0, 0.0, -1.0, 0.5]})
    with pytest.warns(bm.IdentificationWarning):
        table = fit.predict(new, interval="confidence")
    assert table["estimate"].isna().tolist() == [False, False, True, False]
    assert table["lower"].isna().tolist() == [True, False, True, False]
    told = fit.combine(
        {"level 35": {("g", 35, "x"): 1.0}, "level 1": {("g", 1, "x"): 1.0, ("g", 1, "z"): 1.0}}
    )
    assert told["std_error"].isna().tolist() == [True, False]
