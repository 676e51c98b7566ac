"""The same model from every source: fits of rows in memory are the reference.

Tolerances: sums are the same numbers added in another order, centred about another place, so that criteria
agree to 1e-10 of themselves, and estimates to 1e-7 of their standard errors.
"""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamed_rows import DATA

import bimixed as bm

duckdb = pytest.importorskip("duckdb")
pyarrow_dataset = pytest.importorskip("pyarrow.dataset")
polars = pytest.importorskip("polars")


MODELS = [
    ("y ~ x + (1 | g)", {}),
    ("y ~ x * f + b + i + (x | g)", {}),
    ("y ~ x + f + (x | g/h)", {"weights": "w", "offset": "o"}),
    ("y ~ scale(x) + log(w) + offset(o) + (scale(x) | g)", {}),
    ("y ~ x + (x || g) + (1 | k)", {"weights": "w"}),
    ("y ~ 0 + f + x:z + (0 + f | g)", {"weights": "w"}),
    ("y ~ bs(x, knots=[5.0], lower_bound=-2, upper_bound=12) + C(h, Sum) + (1 | k) + (1 | g:h)", {}),
    ("y ~ x + I(2 * x) + (0 + x | g)", {}),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("parquet")
    for i in range(3):
        DATA.iloc[i::3].to_parquet(path / f"{i}.parquet", index=False)
    return path


def sources(folder):
    pattern = str(folder / "*.parquet")
    connection = duckdb.connect()
    return {
        "parquet": bm.scan_parquet(folder),
        "relation": connection.sql(f"SELECT * FROM '{pattern}'"),
        "query": bm.scan_duckdb(connection, f"SELECT * FROM '{pattern}'"),
        "arrow": pyarrow_dataset.dataset(folder),
        "polars": polars.scan_parquet(pattern),
        "frames": [DATA.iloc[:700], DATA.iloc[700:720], DATA.iloc[720:]],
        "function": lambda: iter([DATA.iloc[:100], DATA.iloc[100:]]),
        "iterator": iter([DATA.iloc[:1000], DATA.iloc[1000:]]),
    }


KINDS = ["parquet", "relation", "query", "arrow", "polars", "frames", "function", "iterator"]


def assert_same(fit, reference):
    assert fit.nobs == reference.nobs
    assert fit.loglik == pytest.approx(reference.loglik, rel=1e-10)
    error = reference.fixef["std_error"]
    difference = (fit.fixef["estimate"] - reference.fixef["estimate"]) / error
    assert difference.abs().max() < 1e-7
    pd.testing.assert_frame_equal(fit.varcorr, reference.varcorr, rtol=1e-6, atol=1e-9)
    for key, effects in reference.ranef.items():
        assert fit.ranef[key].index.equals(effects.index)
        np.testing.assert_allclose(fit.ranef[key], effects, atol=1e-6)
        np.testing.assert_allclose(fit.ranef_sd[key], reference.ranef_sd[key], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("formula", "given"), MODELS, ids=[m[0][:30] for m in MODELS])
def test_every_source_gives_the_fit_of_rows_in_memory(folder, kind, formula, given):
    reference = bm.ModelSpec(formula, DATA, **given)
    spec = bm.ModelSpec(formula, sources(folder)[kind], **given)
    assert spec.fixed == reference.fixed
    assert spec.design.dropped == reference.design.dropped
    assert_same(spec.fit(), reference.fit())
    for name, prior in reference.priors.items():
        assert spec.priors[name].family == prior.family
        for parameter, value in prior.parameters.items():
            assert spec.priors[name].parameters[parameter] == pytest.approx(value, rel=1e-9, abs=1e-9)


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(1, 1499), max_size=6), seed=st.integers(0, 10**6), which=st.integers(0, 7))
def test_chunks_in_any_order_give_the_same_sums(cuts, seed, which):
    formula, given_too = MODELS[which]
    shuffled = DATA.sample(frac=1.0, random_state=seed)
    edges = [0, *sorted(set(cuts)), len(DATA)]
    frames = [shuffled.iloc[a:b] for a, b in itertools.pairwise(edges)]
    fit = bm.ModelSpec(formula, frames, **given_too).fit("ml")
    reference = bm.ModelSpec(formula, DATA, **given_too).fit("ml")
    assert fit.loglik == pytest.approx(reference.loglik, rel=1e-10)
    difference = (fit.fixef["estimate"] - reference.fixef["estimate"]) / reference.fixef["std_error"]
    assert difference.abs().max() < 1e-6  # where the search ends depends on rounding


def test_rows_left_out_are_counted_by_column(folder):
    for kind in KINDS:
        spec = bm.ModelSpec("y ~ x + f + (1 | g)", sources(folder)[kind])
        assert "1496 rows, 4 left out with missing values" in str(spec)
        assert dict(spec.design.frame.missing) == {"y": 1, "x": 1, "f": 2}
        with pytest.raises(bm.DataError, match="Missing values"):
            bm.ModelSpec("y ~ x + f + (1 | g)", sources(folder)[kind], na_action="raise")


def test_only_the_columns_used_are_read(folder):
    bad = [DATA.drop(columns="unused"), DATA.assign(unused="text")]
    fit = bm.ModelSpec("y ~ x + (1 | g)", bad).fit()
    assert fit.nobs == 2 * bm.ModelSpec("y ~ x + (1 | g)", DATA).fit().nobs


def test_means_a_thousand_sds_away_cost_no_digits(folder, tmp_path):
    """Moved by a power of 2, so that the data are the same to the last bit."""
    small = DATA.dropna().assign(x=lambda d: np.round(d["x"] * 2**20) / 2**20)
    moved = small.assign(x=small["x"] + 2.0**20)
    moved.iloc[:500].to_parquet(tmp_path / "a.parquet")
    moved.iloc[500:].to_parquet(tmp_path / "b.parquet")
    formula = "y ~ x + (1 | g)"
    one = bm.ModelSpec(formula, small).fit("ml")
    other = bm.ModelSpec(formula, bm.scan_parquet(tmp_path)).fit("ml")
    assert other.loglik == pytest.approx(one.loglik, rel=1e-11)
    assert other.fixef["estimate"]["x"] == pytest.approx(one.fixef["estimate"]["x"], rel=1e-9)


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("y ~ poly(x, 2) + (1 | g)", "poly(x, 2) (the fixed part) is made from all rows at once"),
        ("y ~ bs(x, df=4) + (1 | g)", "bs(x, knots=[...], lower_bound=..., upper_bound=...)"),
        ("y ~ scale(center(x)) + (1 | g)", "a transformation of all rows inside another"),
        ("y ~ I(x - x.mean()) + (1 | g)", "looks at the other rows"),
        ("y ~ x + (1 | nothing)", "No column 'nothing'"),
        ("y ~ x", "no random-effects term"),
        ("f ~ x + (1 | g)", "not numeric"),
    ],
)
def test_what_a_pass_can_t_give_is_refused_with_the_reason(folder, formula, words):
    for source in (bm.scan_parquet(folder), [DATA]):
        with pytest.raises((bm.DataError, bm.FormulaError), match=re.escape(words)):
            bm.ModelSpec(formula, source)


def test_numbers_that_can_t_be_added_are_named(folder, tmp_path):
    bad = DATA.copy()
    bad.loc[20, "x"] = np.inf
    bad.to_parquet(tmp_path / "bad.parquet")
    for source in (bm.scan_parquet(tmp_path), [bad]):
        with pytest.raises(bm.DataError, match=r"'x'.*inf"):
            bm.ModelSpec("y ~ x + (1 | g)", source)
    bad = DATA.assign(w=DATA["w"].where(DATA.index != 30, -1.0))
    bad.to_parquet(tmp_path / "bad.parquet")
    for source in (bm.scan_parquet(tmp_path), [bad]):
        with pytest.raises(bm.DataError, match="weights"):
            bm.ModelSpec("y ~ x + (1 | g)", source, weights="w")


def test_arrays_beside_a_source_are_refused(folder):
    with pytest.raises(bm.DataError, match="weights is a ndarray; a source has no order of rows"):
        bm.ModelSpec("y ~ x + (1 | g)", bm.scan_parquet(folder), weights=np.ones(1500))
    with pytest.raises(bm.DataError, match="checkpoint= is for sources"):
        bm.ModelSpec("y ~ x + (1 | g)", DATA, checkpoint="here")


def test_what_needs_rows_says_so(folder):
    fit = bm.ModelSpec("y ~ x + (1 | g)", bm.scan_parquet(folder)).fit()
    for ask in (
        lambda: fit.fitted,
        lambda: fit.resid,
        fit.influence,
        lambda: bm.plots.residuals(fit),
        lambda: fit.simulate(1),
        lambda: fit.refit(np.arange(float(fit.nobs))),
        fit.residuals_scaled,
        fit.spec.to_pymc,
    ):
        with pytest.raises(bm.UnavailableError, match="keep no rows"):
            ask()


def test_inference_is_that_of_rows_in_memory(folder):
    formula = "y ~ x * f + i + (x | g)"
    fit, reference = (bm.ModelSpec(formula, data).fit() for data in (bm.scan_parquet(folder), DATA))
    for ddf in ("satterthwaite", "kenward-roger"):
        pd.testing.assert_frame_equal(fit.anova(ddf), reference.anova(ddf), rtol=1e-6)
    for kind in (1, 2):
        pd.testing.assert_frame_equal(fit.anova(type=kind), reference.anova(type=kind), rtol=1e-6)
    pd.testing.assert_frame_equal(fit.conf_int(), reference.conf_int(), rtol=1e-6, atol=1e-7)
    pd.testing.assert_frame_equal(
        fit.conf_int(method="profile"), reference.conf_int(method="profile"), rtol=1e-5
    )
    pd.testing.assert_frame_equal(bm.emmeans(fit, "f").table, bm.emmeans(reference, "f").table, rtol=1e-6)
    pd.testing.assert_frame_equal(
        bm.emtrends(fit, "f", var="x").table, bm.emtrends(reference, "f", var="x").table, rtol=1e-6
    )
    pd.testing.assert_frame_equal(bm.drop1(fit).table, bm.drop1(reference).table, rtol=1e-6)
    pd.testing.assert_frame_equal(fit.r2(), reference.r2(), rtol=1e-7)
    new = DATA.dropna().head(20)
    pd.testing.assert_frame_equal(
        fit.predict(new, interval="prediction"), reference.predict(new, interval="prediction"), rtol=1e-7
    )


def test_posteriors_of_sums_are_those_of_rows(folder):
    """The same mode and random numbers; resampling turns rounding into other draws here and there."""
    formula = "y ~ x + (1 | g)"
    fit, reference = (
        bm.ModelSpec(formula, data).fit("importance", draws=500, random_seed=1, progress=False)
        for data in (bm.scan_parquet(folder), DATA)
    )
    assert (
        abs(fit.fixef["estimate"] - reference.fixef["estimate"]) < 0.1 * reference.fixef["std_error"]
    ).all()
    np.testing.assert_allclose(fit.varcorr["sd"], reference.varcorr["sd"], rtol=0.02)
    nuts = bm.ModelSpec(formula, bm.scan_parquet(folder)).fit(
        "nuts", random_seed=1, draws=300, tune=300, progress=False
    )
    reml = bm.ModelSpec(formula, bm.scan_parquet(folder)).fit()
    comparison = bm.compare(reml, nuts)
    assert "fits agree" in str(comparison)
    own = bm.compare(
        bm.ModelSpec("y ~ x + (x | g)", DATA).fit(), bm.ModelSpec("y ~ x + (x | g)", [DATA]).fit()
    )
    shrunk = own.shrinkage["g"]
    np.testing.assert_allclose(shrunk.iloc[:, 1], shrunk.iloc[:, 4], atol=1e-6)
    assert (comparison.fixef["difference_sd"].abs() < 0.3).all()
