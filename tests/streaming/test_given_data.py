"""What is given as data: files that differ, things that are no source, covariates far from 0.

The reference is the same model of rows in memory; criteria agree to 1e-10 of themselves.
"""

import warnings

import numpy as np
import pandas as pd
import pytest

import bimixed as bm

duckdb = pytest.importorskip("duckdb")
polars = pytest.importorskip("polars")
FORMULA = "y ~ x + (x | g)"
CROSSED = "y ~ x + (1 | g) + (1 | k)"


def rows(seed, n=400):
    rng = np.random.default_rng(seed)
    g, x = rng.integers(0, 20, n), rng.normal(size=n).round(2)
    y = (x + np.sin(g) + rng.normal(size=n)).round(3)
    return pd.DataFrame({"g": g, "x": x, "y": y, "k": rng.integers(0, 7, n), "w": rng.uniform(0.5, 2, n)})


def written(folder, frames):
    for i, frame in enumerate(frames):
        frame.to_parquet(folder / f"{i}.parquet", index=False)
    return bm.scan_parquet(folder)


@pytest.fixture
def unlike(tmp_path):
    """Numbers of several types, a column that a file has nothing in, and one in three types."""
    one, two, three = rows(1), rows(2), rows(3)
    one = one.assign(x=one["x"].round().astype("int16"), t=None, u="text")
    two = two.assign(t="a", u=1.5, g=two["g"].astype("int32"))
    three = three.assign(x=three["x"].astype("float32"), t=["a", "b"] * 200).drop(columns="w")
    frames = [one, two, three.assign(u=2)]
    return frames, written(tmp_path, frames)


@pytest.mark.parametrize("formula", [FORMULA, CROSSED])
def test_numbers_of_several_types_are_one_column(unlike, tmp_path, formula):
    frames, files = unlike
    expected = bm.ModelSpec(formula, pd.concat(frames, ignore_index=True)).fit().loglik
    for source in (files, frames, iter(frames)):
        assert bm.ModelSpec(formula, source).fit().loglik == pytest.approx(expected, rel=1e-10)
    kept = bm.ModelSpec(formula, files, checkpoint=tmp_path / "sums").fit()
    assert kept.loglik == pytest.approx(expected, rel=1e-10)


def test_a_column_that_a_file_has_nothing_in_is_missing_there(unlike):
    frames, files = unlike
    spec = bm.ModelSpec("y ~ t + (1 | g)", files)
    memory = bm.ModelSpec("y ~ t + (1 | g)", pd.concat(frames, ignore_index=True))
    assert spec.design.frame.missing == {"t": 400}
    assert spec.fit().loglik == pytest.approx(memory.fit().loglik, rel=1e-10)


def test_predictions_of_such_files(unlike):
    frames, files = unlike
    fit = bm.ModelSpec(FORMULA, files).fit()
    expected = fit.predict(pd.concat(frames, ignore_index=True))["estimate"].to_numpy()
    np.testing.assert_allclose(fit.predict(files).collect()["estimate"], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("y ~ u + (x | g)", r"Column 'u' is DOUBLE in .*1\.parquet and VARCHAR in .*0\.parquet"),
        ("y ~ w + (x | g)", r"2\.parquet has no column 'w', which .*0\.parquet has"),
    ],
)
def test_columns_that_files_dont_share_are_refused_where_they_are_used(unlike, formula, words):
    with pytest.raises(bm.DataError, match=words):
        bm.ModelSpec(formula, unlike[1])


def test_frames_of_an_iterator_are_named_by_number(unlike):
    with pytest.raises(bm.DataError, match="Column 'u' is DOUBLE in frame 1 and VARCHAR in frame 0"):
        bm.ModelSpec("y ~ u + (x | g)", iter(unlike[0]))


def test_labels_in_a_later_frame_are_named():
    one = rows(1, 2500)
    with pytest.raises(bm.DataError, match=r"'x' .* is a factor \(labels\) in these rows and was numeric"):
        bm.ModelSpec(FORMULA, [one, rows(2).assign(x="a")])


def test_a_source_shows_itself(unlike):
    frames, files = unlike
    assert repr(files) == "3 Parquet files (0 MB): g, x, y, k, w, t, u"
    assert files.head().shape == (5, 7)
    relation = bm.scan_duckdb(duckdb.connect(), f"SELECT * FROM '{files.files[0]}'")
    assert relation.head(n=3).shape == (3, 7)
    assert repr(relation).endswith(": g, x, y, k, w, t, u")
    pd.testing.assert_frame_equal(files.head(["g", "k"], 2), frames[0][["g", "k"]].head(2))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("data/*.parquet", r"bm\.scan_parquet\('data/\*\.parquet'\)"),
        ("rows.csv", r"pandas\.read_csv\('rows\.csv'\)"),
        ([], "an empty list"),
        (polars.scan_parquet("nowhere/*.parquet"), "polars LazyFrame can't be read"),
        (lambda: iter([]), "frames of a function are none at all"),
    ],
)
def test_what_is_no_source_is_answered(data, words):
    with pytest.raises(bm.BimixedError, match=words):
        bm.ModelSpec(FORMULA, data)


def test_a_function_that_gives_a_used_iterator_is_refused():
    frames = iter([rows(1), rows(2)])
    with pytest.raises(bm.DataError, match="the same iterator each time"):
        bm.ModelSpec(FORMULA, lambda: frames)


def test_files_of_another_kind_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("y,x\n1,2\n")
    with pytest.raises(bm.DataError, match=r"a\.csv isn't a Parquet file\. DuckDB reads others"):
        bm.scan_parquet(tmp_path / "a.csv")


def test_from_groups_says_what_to_write():
    with pytest.raises(bm.DataError, match=r"from_groups takes a table in memory, not 2 frames: .*bars"):
        bm.ModelSpec.from_groups("y ~ x", [rows(1), rows(2)], groups="g")


def test_functions_that_arent_there_are_named():
    with pytest.raises(bm.FormulaError, match="the fixed part, 'rank"):
        bm.ModelSpec("y ~ rank(x) + (1 | g)", [rows(1), rows(2)])


@pytest.mark.parametrize("method", ["resid", "influence", "vcov_robust", "simulate", "caic"])
def test_what_needs_rows_is_called_by_its_name(method):
    fit = bm.ModelSpec(FORMULA, [rows(1), rows(2)]).fit()
    with pytest.raises(bm.UnavailableError, match=f"^{method} needs rows"):
        value = getattr(fit, method)
        value()


def test_shares_of_variance_with_weights(tmp_path):
    frames = [rows(1), rows(2)]
    expected = bm.ModelSpec(FORMULA, pd.concat(frames, ignore_index=True), weights="w").fit()
    for source in (written(tmp_path, frames), frames):
        fit = bm.ModelSpec(FORMULA, source, weights="w").fit()
        pd.testing.assert_frame_equal(fit.icc(), expected.icc(), rtol=1e-6)
        pd.testing.assert_frame_equal(fit.r2(), expected.r2(), rtol=1e-6)


@pytest.mark.parametrize("far", [1e4, 1e6, 1e7, 1e9])
@pytest.mark.parametrize("formula", ["y ~ far + (1 | g)", "y ~ far + (far | g)"])
def test_covariates_far_from_0_are_kept_or_dropped_as_of_rows(tmp_path, far, formula):
    """Beyond 1e7 sds a column can't be told from the constant, by the same tolerance."""
    frames = [own.assign(far=own["x"] + far) for own in (rows(1), rows(2))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = bm.ModelSpec(formula, pd.concat(frames, ignore_index=True))
        for source in (written(tmp_path, frames), frames):
            spec = bm.ModelSpec(formula, source)
            assert spec.design.kept.tolist() == expected.design.kept.tolist()
            # at 1e6 sds the rows themselves lose: centred sums are the better ones
            assert spec.fit().loglik == pytest.approx(expected.fit().loglik, rel=1e-9)


def test_products_far_from_0_are_warned_of(tmp_path):
    frames = [
        own.assign(far=own["x"] + 1e6, f=np.where(own["k"] > 3, "a", "b")) for own in (rows(1), rows(2))
    ]
    with pytest.warns(bm.BimixedWarning, match=r"'far' lies about 1e.06.*I.(far - 1e.06.)"):
        bm.ModelSpec("y ~ far * f + (1 | g)", written(tmp_path, frames))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bm.ModelSpec("y ~ far + f + (1 | g)", frames)
        bm.ModelSpec("y ~ I(far - 1000000) * f + (1 | g)", frames)


@pytest.mark.parametrize("kind", ["memory", "frames"])
def test_levels_that_a_factor_doesnt_name_are_refused(kind):
    """They would count as the reference level."""
    data = rows(1) if kind == "memory" else [rows(1), rows(2)]
    with pytest.raises(bm.DataError, match=r"C\(k, levels=\[0, 1, 2\]\) doesn't name the levels \{3, 4"):
        bm.ModelSpec("y ~ C(k, levels=[0, 1, 2]) + (1 | g)", data)


def test_columns_in_the_names_of_folders(tmp_path):
    """As pandas, Spark and Hive write partitions."""
    data = pd.concat([rows(1).assign(site="north"), rows(2).assign(site="south 2")], ignore_index=True)
    data.to_parquet(tmp_path, partition_cols=["site"], index=False)
    for formula in ("y ~ x + site + (x | g)", "y ~ x + (1 | g:site)"):
        expected = bm.ModelSpec(formula, data).fit().loglik
        for kept in (None, tmp_path.with_name("sums")):
            fit = bm.ModelSpec(formula, bm.scan_parquet(tmp_path), checkpoint=kept).fit()
            assert fit.loglik == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    "name", ["rows[1].parquet", "it's.parquet", "a*.parquet", "what?.parquet", "ü x.parquet"]
)
def test_names_of_files_are_no_patterns(tmp_path, name):
    rows(1).to_parquet(tmp_path / name)
    rows(2, 100).to_parquet(tmp_path / "a2.parquet")
    assert bm.ModelSpec(FORMULA, bm.scan_parquet(tmp_path)).design.n == 500
    if "*" not in name:
        assert bm.ModelSpec(FORMULA, bm.scan_parquet(tmp_path / name)).design.n == 400


def agree(formula, frames, tmp_path=None, **kwargs):
    """Files and lists of frames give the model of the joined rows: criterion, names, levels."""
    expected = bm.ModelSpec(formula, pd.concat(frames, ignore_index=True), **kwargs).fit()
    for source in (frames if tmp_path is None else written(tmp_path, frames), frames, iter(frames)):
        fit = bm.ModelSpec(formula, source, **kwargs).fit()
        assert fit.loglik == pytest.approx(expected.loglik, rel=1e-10)
        assert fit.fixef.index.tolist() == expected.fixef.index.tolist()
        for key, table in expected.ranef.items():
            assert fit.ranef[key].index.tolist() == table.index.tolist()


@pytest.mark.parametrize("formula", [FORMULA, CROSSED])
def test_whole_numbers_keep_all_digits_beside_single_precision(tmp_path, formula):
    """DuckDB's common type of integers and single precision has 24 bits."""
    one, two = rows(1), rows(2)
    large = [one.assign(y=(1e3 * one["y"]).round().astype("int64") + 50_000_001)]
    large.append(two.assign(y=(two["y"] * 1e3 + 5e7).astype("float32")))
    agree(formula, large, tmp_path)
    agree(formula, [one.assign(g=one["g"] + 2**24), two.assign(g=two["g"].astype("float32"))], tmp_path)


@pytest.mark.parametrize("values", [["1", "2", "d"], ["01", "1", "2"], ["007", "8", "9"]])
def test_names_of_folders_that_read_as_several_types_are_text(tmp_path, values):
    frames = [rows(1).assign(s=value, y=rows(1)["y"] + i) for i, value in enumerate(values)]
    for value, frame in zip(values, frames, strict=True):
        (tmp_path / f"s={value}").mkdir()
        frame.drop(columns="s").to_parquet(tmp_path / f"s={value}" / "a.parquet")
    expected = bm.ModelSpec("y ~ s + (1 | g)", pd.concat(frames, ignore_index=True)).fit()
    fit = bm.ModelSpec("y ~ s + (1 | g)", bm.scan_parquet(tmp_path)).fit()
    assert fit.loglik == pytest.approx(expected.loglik, rel=1e-10)
    assert fit.fixef.index.tolist() == expected.fixef.index.tolist()


@pytest.mark.parametrize("formula", ["y ~ x + (1 | c)", "y ~ x + c + (1 | g)", "y ~ C(c) + (x | g)"])
@pytest.mark.parametrize("kind", ["numbers", "whole", "text", "text later", "the same"])
def test_categories_of_each_piece_are_labels_unless_all_are_alike(tmp_path, formula, kind):
    """As pandas.concat has it; a category that the first piece didn't list is a level of its own."""
    one, two = rows(1, 2500), rows(2)
    first, second = one["k"] % 2, two["k"] % 4
    if kind == "numbers":
        first, second = first.astype(float), second.astype(float)
    if kind.startswith("text") or kind == "the same":
        first, second = (own.map({0: "u", 1: "v", 2: "w", 3: "a"}) for own in (first, second))
    if kind == "the same":
        dtype = pd.CategoricalDtype(["v", "u", "w", "a"])
    else:
        dtype = pd.CategoricalDtype(sorted(first.unique(), reverse=True))
    other = second.astype(dtype if kind == "the same" else "str" if kind == "text later" else "category")
    agree(formula, [one.assign(c=first.astype(dtype)), two.assign(c=other)], tmp_path)


@pytest.mark.parametrize(
    "formula", ["y ~ C(d) + (1 | g)", "y ~ C(k):C(d) + (1 | g)", "y ~ x + (1 | d) + (1 | g)"]
)
def test_days_are_labels_as_pandas_reads_them(tmp_path, formula):
    frames = [
        own.assign(d=(pd.Timestamp("2020-01-01") + pd.to_timedelta(own["k"] % 3, "D")).dt.date)
        for own in (rows(1), rows(2))
    ]
    agree(formula, frames, tmp_path)


def test_products_that_cant_be_squared_are_refused_wherever_they_are(tmp_path):
    data = rows(1, 3000).assign(z=1.0)
    data.loc[2500, ["x", "z"]] = 1e60
    for source in (data, written(tmp_path, [data]), [data]):
        with pytest.raises(bm.DataError, match=r"x:z.* is 1e\+120 .*Change its units"):
            bm.ModelSpec("y ~ x:z + (1 | g)", source)


def test_a_constant_response_is_refused_whatever_is_taken_off(tmp_path):
    data = rows(1).assign(y=3.0)
    for source in (data, written(tmp_path, [data]), [data]):
        with pytest.raises(bm.DataError, match="'y' is constant"):
            bm.ModelSpec(FORMULA, source, offset="w")
    far = rows(1).assign(y=rows(1)["y"] + 1e12)
    assert bm.ModelSpec(FORMULA, [far]).fit().nobs == 400


def test_whole_labels_are_whole_beside_missing_ones(tmp_path):
    frames = [own.assign(i=own["k"].where(own["x"] > -1).astype("Int16")) for own in (rows(1), rows(2))]
    for source in (written(tmp_path, frames), frames):
        fit = bm.ModelSpec("y ~ C(i) + (1 | g:i)", source).fit()
        assert fit.fixef.index[1] == "C(i)[T.1]"
        assert fit.ranef["g:i"].index[0] == "0:0"


def test_batches_of_pyarrow_are_frames(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    dataset = pytest.importorskip("pyarrow.dataset")
    table = pyarrow.Table.from_pandas(rows(1))
    written(tmp_path, [rows(1)])
    expected = bm.ModelSpec(FORMULA, rows(1)).fit().loglik
    batches = [table.to_reader(), iter(table.to_batches(50)), dataset.dataset(tmp_path).to_batches()]
    for source in batches:
        assert bm.ModelSpec(FORMULA, source).fit().loglik == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ("s3://bucket/*.parquet", r"remote address.*read_parquet\('s3://bucket/\*\.parquet'\)"),
        (None, "takes paths, not a NoneType"),
        ([5], "takes paths, not a int"),
        ("nowhere.parquet", "There is no Parquet file 'nowhere.parquet'"),
    ],
)
def test_what_is_no_path_is_answered(paths, words):
    with pytest.raises(bm.DataError, match=words):
        bm.scan_parquet(paths)


def test_paths_as_data_are_answered(tmp_path):
    written(tmp_path, [rows(1)])
    for data in (tmp_path, str(tmp_path), [tmp_path / "0.parquet"]):
        with pytest.raises(bm.DataError, match=r"bm\.scan_parquet"):
            bm.ModelSpec(FORMULA, data)
    url = f"file://{tmp_path / '0.parquet'}"
    assert bm.scan_parquet(url).head(n=2).shape == (2, 5)
    with pytest.raises(bm.DataError, match="written as Parquet"):
        bm.ModelSpec(FORMULA, rows(1)).fit().predict(bm.scan_parquet(tmp_path), path=tmp_path / "a.csv")


def test_the_garbled_one_of_many_files_is_named(tmp_path):
    written(tmp_path, [rows(i) for i in range(4)])
    path = tmp_path / "2.parquet"
    content = bytearray(path.read_bytes())
    content[100:4000] = bytes(own ^ 255 for own in content[100:4000])
    path.write_bytes(bytes(content))
    with pytest.raises(bm.DataError, match=r"2\.parquet.* can't be read.*checkpoint="):
        bm.ModelSpec(FORMULA, bm.scan_parquet(tmp_path))
    with pytest.raises(bm.DataError, match="can't be read") as error:
        bm.ModelSpec(FORMULA, duckdb.sql(f"SELECT * FROM '{tmp_path}/*.parquet'"))
    assert "checkpoint" not in str(error.value)


def test_rows_of_files_that_differ_are_shown_and_drawn(unlike):
    """Numbers and text of a column that nothing uses are text there."""
    files = unlike[1]
    assert files.schema["u"] == "VARCHAR"
    assert files.sample(1000, random_seed=1).shape == (1000, 7)
    assert set(files.sample(1200, random_seed=1)["u"]) == {"text", "1.5", "2"}
    assert files.head(n=3)["u"].tolist() == ["text"] * 3


def test_times_of_several_units_are_one_column(tmp_path):
    one, two = (
        own.assign(t=pd.Timestamp("2020-01-01") + pd.to_timedelta(own["k"], "D"))
        for own in (rows(1), rows(2))
    )
    frames = [
        one.assign(t=one["t"].astype("datetime64[ns]")),
        two.assign(t=two["t"].astype("datetime64[us]")),
    ]
    agree("y ~ C(t.dt.day_of_week) + (1 | g)", frames, tmp_path)
    agree("y ~ x + (1 | t)", frames, tmp_path)


def test_text_that_is_nowhere_doesnt_make_text_of_numbers(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows(1).to_parquet(tmp_path / "0.parquet", index=False)
    table = pyarrow.Table.from_pandas(rows(2), preserve_index=False)
    nothing = pyarrow.array([None] * 400, pyarrow.string())
    parquet.write_table(table.set_column(1, "x", nothing), tmp_path / "1.parquet")
    with pytest.raises(
        bm.DataError, match=r"Column 'x' is VARCHAR in .*1\.parquet and DOUBLE in .*0\.parquet"
    ):
        bm.ModelSpec(FORMULA, bm.scan_parquet(tmp_path))


@pytest.mark.parametrize("kind", ["other order", "other type", "one is ordered"])
@pytest.mark.parametrize("formula", ["y ~ q + (1 | g)", "y ~ x + (1 | q) + (1 | g)"])
def test_categories_are_alike_as_pandas_has_it(tmp_path, formula, kind):
    """Of numbers in frames alone: Parquet files hold the numbers."""
    one, two = rows(1), rows(2)
    dtypes = {
        "other order": ([3, 1, 2, 0], [0, 1, 2, 3], False),
        "other type": ([0, 1, 2, 3], [0.0, 1.0, 2.0, 3.0], False),
        "one is ordered": ([3, 1, 2, 0], [3, 1, 2, 0], True),
    }
    first, second, ordered = dtypes[kind]
    frames = [
        one.assign(q=pd.Categorical(one["k"] % 4, categories=first)),
        two.assign(q=pd.Categorical(two["k"] % 4, categories=second, ordered=ordered)),
    ]
    agree(formula, frames)
    if kind != "other type":
        names = {0: "u", 1: "v", 2: "w", 3: "a"}
        agree(formula, [own.assign(q=own["q"].cat.rename_categories(names)) for own in frames], tmp_path)


def test_a_folder_of_nothing_is_missing(tmp_path):
    frames = [rows(i).assign(s=value) for i, value in enumerate([1.0, np.nan, 3.0, 4.0])]
    for name, frame in zip(["1", "__HIVE_DEFAULT_PARTITION__", "3", "4"], frames, strict=True):
        (tmp_path / f"s={name}").mkdir()
        frame.drop(columns="s").to_parquet(tmp_path / f"s={name}" / "a.parquet")
    expected = bm.ModelSpec("y ~ s + (1 | g)", pd.concat(frames, ignore_index=True))
    for kept in (None, tmp_path.with_name("kept")):
        spec = bm.ModelSpec("y ~ s + (1 | g)", bm.scan_parquet(tmp_path), checkpoint=kept)
        assert spec.design.frame.missing == {"s": 400}
        assert spec.fit().loglik == pytest.approx(expected.fit().loglik, rel=1e-10)


def test_files_beside_folders_of_labels_are_read(tmp_path):
    for name in ("1", "b"):
        (tmp_path / f"s={name}").mkdir()
        rows(1).to_parquet(tmp_path / f"s={name}" / "a.parquet")
    rows(2).to_parquet(tmp_path / "c.parquet")
    files = bm.scan_parquet(tmp_path)
    assert bm.ModelSpec(FORMULA, files).fit().nobs == 1200
    assert files.head(n=1000).shape == (1000, 6)
    with pytest.raises(bm.DataError, match=r"c\.parquet has no column 's'"):
        bm.ModelSpec("y ~ s + (1 | g)", files)


def test_times_keep_their_digits(tmp_path):
    one, two = rows(1), rows(2)
    start = pd.Timestamp("2020-01-01").as_unit("ns")
    frames = [
        one.assign(t=start + pd.to_timedelta(one["k"], "ns")),
        two.assign(t=(start + pd.to_timedelta(two["k"], "s")).astype("datetime64[us]")),
    ]
    agree("y ~ x + (1 | t)", frames, tmp_path)


def test_a_base_that_the_first_rows_dont_have(tmp_path):
    frames = [own.assign(f=name) for own, name in ((rows(1, 3000), "a"), (rows(2), "b"), (rows(3), "z"))]
    agree("y ~ C(f, Treatment('z')) + (1 | g)", frames, tmp_path)


def test_columns_that_others_nearly_determine_are_warned_of():
    frames = [own.assign(q=own["x"] + 1e-6 * own["w"]) for own in (rows(1), rows(2))]
    with pytest.warns(bm.BimixedWarning, match="but for .* of its length"):
        bm.ModelSpec("y ~ x + q + (1 | g)", frames)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bm.ModelSpec("y ~ x + I(q - x) + (1 | g)", frames)
