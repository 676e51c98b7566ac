"""Data that trip up sums: first rows that aren't like the others, labels, categories, sizes, overflow.

The reference is the fit of rows in memory; tolerances as in test_sources.py.
"""

import numpy as np
import pandas as pd
import pytest

import bimixed as bm
from bimixed.streaming import sql

pytest.importorskip("duckdb")
polars = pytest.importorskip("polars")
pyarrow = pytest.importorskip("pyarrow")


def table(n=900, seed=4):
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "x": rng.normal(5, 1, n),
            "z": rng.normal(size=n),
            "i": rng.integers(1, 9, n),
            "f": rng.choice(list("uvw"), n),
            "h": rng.choice(list("pqrs"), n),
            "g": rng.integers(0, 30, n),
        }
    )
    data["y"] = data["x"] + rng.normal(size=30)[data["g"]] + (data["f"] == "v") + rng.normal(size=n)
    return data


DATA = table()


def parquet(folder, *frames):
    folder.mkdir(exist_ok=True)
    for i, frame in enumerate(frames):
        frame.to_parquet(folder / f"{i}.parquet", index=False)
    return bm.scan_parquet(folder)


def assert_same(formula, data, source, **given):
    reference = bm.ModelSpec(formula, data, **given).fit()
    fit = bm.ModelSpec(formula, source() if callable(source) else source, **given).fit()
    assert fit.nobs == reference.nobs
    assert fit.loglik == pytest.approx(reference.loglik, rel=1e-10)
    assert list(fit.fixef.index) == list(reference.fixef.index)
    difference = (fit.fixef["estimate"] - reference.fixef["estimate"]) / reference.fixef["std_error"]
    assert difference.abs().dropna().max() < 1e-6
    for key, effects in reference.ranef.items():
        assert fit.ranef[key].index.equals(effects.index)
    return fit, reference


@pytest.fixture(params=["by DuckDB", "by chunks"])
def way(request, monkeypatch):
    """Both ways of adding up."""
    if request.param == "by chunks":
        monkeypatch.setattr(sql.CellQuery, "of", staticmethod(lambda encoder, schema: None))


@pytest.mark.parametrize("call", ["center(i)", "scale(i)", "standardize(i)", "scale(i, ddof=0)"])
def test_what_is_constant_in_the_first_rows_is_scaled_by_all(tmp_path, call):
    data = pd.concat([DATA] * 4, ignore_index=True).assign(i=lambda d: 2001 + np.arange(len(d)) // 2500)
    fit, reference = assert_same(f"y ~ {call} + (1 | g)", data, parquet(tmp_path / "d", data))
    new = data.iloc[::300]
    pd.testing.assert_frame_equal(fit.predict(new), reference.predict(new), rtol=1e-7)


@pytest.mark.parametrize(
    "call", ["scale(x, center=3.0)", "scale(x, scale=3.0)", "scale(x, 2, m)", "scale(x, center=False)"]
)
def test_numbers_given_to_scale_stay(tmp_path, call):
    assert_same(f"y ~ {call} + (1 | g)", DATA, parquet(tmp_path / "d", DATA), context={"m": 2.5})


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("y ~ bs(i, df=4) + (1 | g)", "bs.i, df=4. .the fixed part. is made from all rows"),
        ("y ~ bs(i, knots=[3]) + (1 | g)", "is made from all rows"),
        ("y ~ cr(x, knots=[4, 5], lower_bound=0, upper_bound=9, constraints='center') + (1 | g)", "all rows"),
        ("y ~ scale(x, center=x.mean()) + (1 | g)", "computes what it takes off"),
        ("y ~ z + (1 | np.floor(center(x)))", "group .* is made from all rows"),
        ("y ~ z + (1 | pd.qcut(x, 4).astype(str))", "group .* is made from all rows"),
    ],
)
def test_first_rows_that_are_alike_hide_nothing(formula, words):
    """With i in cycles, quantiles and bounds are the same in any half of the first rows."""
    data = DATA.assign(i=np.arange(len(DATA)) % 9)
    with pytest.raises(bm.DataError, match=words):
        bm.ModelSpec(formula, [data], context={"np": np, "pd": pd})


@pytest.mark.parametrize("kind", ["parquet", "frames", "iterator", "arrow", "enum"])
def test_categories_keep_their_order(tmp_path, kind):
    """Also where the first rows show one of them only, and one is never used."""
    data = pd.concat([DATA] * 3, ignore_index=True).sort_values("f", kind="stable", ignore_index=True)
    data = data.assign(
        f=pd.Categorical(data["f"], categories=["w", "never", "v", "u"]),
        g=pd.Categorical("g" + data["g"].astype(str), categories=[f"g{k}" for k in range(31)]),
    )
    frames = [data.iloc[:1100], data.iloc[1100:]]
    as_enum = polars.from_pandas(data).with_columns(
        polars.col("f").cast(polars.String).cast(polars.Enum(["w", "never", "v", "u"])),
        polars.col("g").cast(polars.String).cast(polars.Enum([f"g{k}" for k in range(31)])),
    )
    source = {
        "parquet": lambda: parquet(tmp_path / "d", *frames),
        "frames": lambda: frames,
        "iterator": lambda: iter(frames),
        "arrow": lambda: pyarrow.dataset.dataset(pyarrow.Table.from_pandas(data)),
        "enum": as_enum.lazy,
    }[kind]
    fit, _ = assert_same("y ~ x * f + (1 | g)", data, source)
    assert "f[T.w]" not in fit.fixef.index


@pytest.mark.parametrize("kind", ["frames", "iterator", "arrow"])
def test_categories_of_numbers_are_no_slope(kind):
    data = DATA.assign(i=pd.Categorical(DATA["i"], categories=[3, 1, 2, 8, 7, 6, 5, 4]))
    source = {
        "frames": lambda: [data[:400], data[400:]],
        "iterator": lambda: iter([data[:400], data[400:]]),
        "arrow": lambda: pyarrow.dataset.dataset(pyarrow.Table.from_pandas(data)),
    }[kind]
    fit, _ = assert_same("y ~ i + x + (1 | g)", data, source)
    assert "i[T.4]" in fit.fixef.index
    assert_same("y ~ x + (1 | i)", data, source)


@pytest.mark.usefixtures("way")
def test_groups_that_are_nan_are_missing(tmp_path):
    lazy = polars.from_pandas(DATA.assign(g=DATA["g"].astype(float)))
    lazy = lazy.with_columns(
        g=polars.when(polars.col("i") == 2).then(float("nan")).otherwise(polars.col("g"))
    )
    fit, _ = assert_same("y ~ x + (1 | g)", lazy.to_pandas(), lazy.lazy)
    assert fit.spec.design.frame.missing["g"] == int((DATA["i"] == 2).sum())


@pytest.mark.usefixtures("way")
def test_labels_beyond_two_to_the_53_stay_apart(tmp_path):
    big = DATA.assign(g=(DATA["g"].astype("int64") + 2**60).astype("Int64"))
    big.loc[::7, "g"] = pd.NA
    fit, _ = assert_same("y ~ x + (1 | g)", big, parquet(tmp_path / "d", big))
    assert len(fit.ranef["g"]) == 30


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", ["int8", "int64"])
def test_products_of_integers_do_not_overflow(tmp_path, kind):
    """Beside a factor, where formulaic makes the columns; floats are the reference."""
    size = {"int8": 15, "int64": 10**10}[kind]
    whole = DATA.assign(i=(DATA["i"] * size).astype(kind), j=(DATA["g"] % 8 * size).astype(kind))
    real = whole.astype({"i": float, "j": float})
    formula = "y ~ f + i:j + (1 | g)"
    in_memory, reference = (bm.ModelSpec(formula, data).fit() for data in (whole, real))
    assert in_memory.loglik == pytest.approx(reference.loglik, rel=1e-12)
    assert_same(formula, real, parquet(tmp_path / "d", whole))


@pytest.mark.parametrize("first", [DATA[:0], DATA[:50].assign(x=np.nan)])
def test_a_first_file_without_complete_rows(tmp_path, first):
    both = pd.concat([first, DATA])
    assert_same("y ~ x + f + (1 | g)", both, parquet(tmp_path / "d", first, DATA))
    assert_same("y ~ x + f + (1 | g)", both, lambda: iter([first, DATA]))


def test_frames_of_an_iterator_may_differ_in_type():
    """As those of read_csv do, where integers miss values."""
    frames = [DATA[:300], DATA[300:].assign(i=lambda d: d["i"].where(d.index != 400))]
    assert_same("y ~ C(i) + x + (1 | g)", pd.concat(frames), lambda: iter(frames))


def test_labels_of_two_types_are_refused():
    mixed = [DATA[:300], DATA[300:].assign(g=DATA["g"].astype(str))]
    with pytest.raises(bm.DataError, match="'g' mixes labels of different types"):
        bm.ModelSpec("y ~ x + (1 | g)", mixed)
    with pytest.raises(bm.DataError, match="'i' mixes labels of different types"):
        bm.ModelSpec("y ~ C(i) + (1 | g)", [DATA[:300], DATA[300:].assign(i="1")])


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("size", [1e-60, 1e15, 1e30, 1e60])
def test_units_change_nothing(tmp_path, size):
    data = DATA.assign(x=DATA["x"] * size)
    assert_same("y ~ x + (x | g)", data, parquet(tmp_path / "d", data))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("formula", ["y ~ 0 + f + (1 | g)", "y ~ 0 + f + x + (x | g)", "y ~ x + (1 | g)"])
def test_responses_far_from_0_with_or_without_an_intercept(tmp_path, formula):
    """Moved by a power of 2, data rounded before, so that the rows are the same to the last bit."""
    small = DATA.assign(y=np.round(DATA["y"] * 2**20) / 2**20)
    far = small.assign(y=small["y"] + 2.0**26, x=small["x"] + 0.0)
    one = bm.ModelSpec(formula, small).fit()
    other = bm.ModelSpec(formula, parquet(tmp_path / "d", far)).fit()
    assert other.loglik == pytest.approx(one.loglik, rel=1e-10)


def test_dependent_columns_are_dropped_by_the_rounding_of_their_products(tmp_path):
    """Natural splines add up to 1; their bases are badly conditioned."""
    formula = "y ~ cr(x, knots=[4, 5], lower_bound=-2, upper_bound=12) + (1 | g)"
    fit, reference = assert_same(formula, DATA, [DATA])
    assert len(fit.spec.design.dropped) == len(reference.spec.design.dropped) == 1
    far = DATA.assign(x=DATA["x"] + 1e4)  # nearly dependent ones are kept
    assert bm.ModelSpec("y ~ x * f + (1 | g)", [far]).design.dropped == ()


def test_means_of_covariates_that_stand_in_products_alone(tmp_path):
    fit, reference = assert_same("y ~ f + x:z + (1 | g)", DATA, parquet(tmp_path / "d", DATA))
    pd.testing.assert_frame_equal(bm.emmeans(fit, "f").table, bm.emmeans(reference, "f").table, rtol=1e-6)


def test_checkpoints_are_of_what_a_formula_uses(tmp_path):
    source, kept = parquet(tmp_path / "d", DATA), tmp_path / "sums"
    limit = [4.0]

    def build(value, function):
        given = {"checkpoint": kept, "context": {"c": value, "part": function}}
        return bm.ModelSpec("y ~ I(x * c) + (1 | part(x))", source, **given)

    def above(x):
        return x // limit[0]

    builds = [build(1.0, above), build(2.0, above), build(1.0, lambda x: x // 3)]
    limit[0] = 2.0
    builds.append(build(1.0, above))
    assert len(list(kept.glob("*.sums"))) == 4
    assert len({len(spec.design.factors[0].levels) for spec in builds}) > 1
    build(1.0, above)
    assert len(list(kept.glob("*.sums"))) == 4


def test_what_takes_up_the_residuals_is_refused_as_in_memory():
    rng = np.random.default_rng(1)
    data = pd.DataFrame(
        {"g": np.repeat(range(40), 2), "x": np.tile([0.0, 1.0], 40), "y": rng.normal(size=80)}
    )
    one = data.assign(g=range(80), x=rng.normal(size=80))
    for rows in (data, [data]):
        with pytest.raises(bm.DataError, match="the covariance of the coefficients can be anything"):
            bm.ModelSpec("y ~ x + (x | g)", rows)
    for rows in (one, [one]):
        with pytest.raises(bm.DataError, match="as many levels as there are rows"):
            bm.ModelSpec("y ~ x + (x | g)", rows)
    uneven = data.assign(w=rng.uniform(1, 3, 80))
    bm.ModelSpec("y ~ x + (x | g)", [uneven], weights="w")


def test_responses_too_small_for_products_are_refused():
    for rows in (DATA.assign(y=DATA["y"] * 1e-100), [DATA.assign(y=DATA["y"] * 1e-100)]):
        with pytest.raises(bm.FitError, match="Change its units"):
            bm.ModelSpec("y ~ x + (1 | g)", rows).fit()
