"""Predictions of sources against those of the same rows in memory."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from streamed_rows import DATA

import bimixed as bm

duckdb = pytest.importorskip("duckdb")
pyarrow_dataset = pytest.importorskip("pyarrow.dataset")
polars = pytest.importorskip("polars")
dask = pytest.importorskip("dask.dataframe")

FORMULA = "y ~ x * f + (x | g)"
KINDS = ["parquet", "relation", "arrow", "polars", "frames", "function", "iterator", "dask"]
EXACT = {"check_names": False, "rtol": 1e-12, "atol": 1e-12}  # the same sums in blocks of other sizes


@pytest.fixture(scope="module")
def rows():
    """Whole numbers with gaps, which arrive as floats in some chunks; new groups; missing values."""
    data = DATA.assign(id=np.arange(len(DATA)), t=DATA["h"])
    data["n"] = pd.array(data["g"], dtype="Int64")
    data.loc[1200:, "n"] = pd.NA
    data.loc[data.index[-3:], "g"] = 1000
    return data


@pytest.fixture(scope="module")
def folder(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows")
    for i in range(3):
        rows.iloc[500 * i : 500 * (i + 1)].to_parquet(path / f"{i}.parquet", index=False)
    return path


@pytest.fixture(scope="module")
def reml():
    return bm.ModelSpec(FORMULA, [DATA]).fit()


@pytest.fixture(scope="module")
def drawn():
    return bm.ModelSpec(FORMULA, [DATA]).fit("importance", draws=1000, random_seed=1, progress=False)


def sources(folder, rows):
    pattern = str(folder / "*.parquet")
    return {
        "parquet": bm.scan_parquet(folder),
        "relation": duckdb.connect().sql(f"SELECT * FROM '{pattern}' ORDER BY id"),
        "arrow": pyarrow_dataset.dataset(folder),
        "polars": polars.scan_parquet(pattern),
        "frames": [rows[:7], rows[7:900], rows[900:]],
        "function": lambda: iter([rows[:901], rows[901:]]),
        "iterator": iter([rows[:1], rows[1:]]),
        "dask": dask.from_pandas(rows, npartitions=4),
    }


def collected(found):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BimixedWarning)
        return (found.compute() if hasattr(found, "compute") else found.collect()).reset_index(drop=True)


def expected(fit, rows, wanted=("x", "f", "g"), **how):
    known = rows[list(wanted)].notna().all(axis=1)
    return fit.predict(rows[known], **how).reindex(rows.index)


@pytest.mark.parametrize("kind", KINDS)
def test_every_source_is_predicted_as_rows_in_memory(kind, folder, rows, reml):
    how = {"interval": "prediction", "new_levels": "sample", "level": 0.8}
    found = reml.predict(sources(folder, rows)[kind], keep=["id", "n"], **how)
    assert list(found.columns) == ["id", "n", "estimate", "lower", "upper"]
    table = collected(found)
    pd.testing.assert_frame_equal(table[["estimate", "lower", "upper"]], expected(reml, rows, **how), **EXACT)
    assert table["id"].tolist() == rows["id"].tolist()
    assert table["n"].isna().sum() == 300


@pytest.mark.parametrize("kind", KINDS)
def test_files_hold_what_predict_gives_with_the_source_s_types(kind, folder, rows, reml, tmp_path):
    path = tmp_path / "out.parquet"
    how = {"interval": "confidence", "new_levels": "population"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BimixedWarning)
        source = reml.predict(sources(folder, rows)[kind], keep=["n", "t"], path=path, **how)
    assert {"n": source.schema["n"], "t": source.schema["t"]} == {"n": "BIGINT", "t": "VARCHAR"}
    table = pd.concat(p for piece in source.pieces() for p in piece.frames(source.columns))
    table = table.reset_index(drop=True)
    pd.testing.assert_frame_equal(table[["estimate", "lower", "upper"]], expected(reml, rows, **how), **EXACT)
    assert table["n"].sum() == rows["n"].sum()
    assert table["t"].tolist() == rows["t"].tolist()
    assert [one.name for one in tmp_path.iterdir()] == ["out.parquet"]  # nothing half done beside it


def test_fits_of_rows_in_memory_predict_sources(folder, rows):
    fit = bm.ModelSpec(FORMULA, DATA).fit()
    found = collected(fit.predict(bm.scan_parquet(folder), random="none"))
    pd.testing.assert_frame_equal(found, expected(fit, rows, ("x", "f"), random="none"), **EXACT)


def test_limits_of_draws_don_t_depend_on_chunks(folder, rows, drawn, monkeypatch):
    """Blocks of 200 rows whatever the frames are; another seed or another block has other noise."""
    monkeypatch.setattr("bimixed.streaming.predictors.NUMBERS", 200 * 1000)
    how = {"interval": "prediction", "new_levels": "sample"}
    one, other = (
        collected(drawn.predict(frames, random_seed=5, **how))
        for frames in ([rows], [rows[:33], rows[33:34], rows[34:]])
    )
    pd.testing.assert_frame_equal(one, other)
    again = collected(drawn.predict([rows], random_seed=6, **how))
    assert (again["lower"] - one["lower"]).abs().max() > 1e-3
    same = pd.concat([rows[:200], rows[:200]])
    twice = collected(drawn.predict([same], random_seed=5, **how))
    assert not np.allclose(twice["lower"][:200], twice["lower"][200:], atol=1e-6, equal_nan=True)
    exact = expected(drawn, rows, random_seed=1, **how)
    np.testing.assert_allclose(one["estimate"], exact["estimate"], rtol=1e-12)
    # quantiles at 2.5 % of 1000 draws have a standard error of about 0.08 sds of 1.3
    assert (one["lower"] - exact["lower"]).abs().max() < 0.6
    assert (one["lower"] - exact["lower"]).abs().mean() < 0.15


def test_without_a_seed_a_prediction_is_the_same_each_time_it_is_read(rows, drawn):
    lazy = drawn.predict([rows[:50]], interval="prediction")
    pd.testing.assert_frame_equal(collected(lazy), collected(lazy))


def test_missing_values_are_nan_and_counted(folder, rows, reml):
    lazy = reml.predict(bm.scan_parquet(folder), new_levels="population")
    assert lazy.notes == ()
    told = "3 of 1,500 rows have NaN, because a value is missing (x 1, f 2)."
    with pytest.warns(bm.BimixedWarning, match=re.escape(told)):
        found = lazy.collect()
    assert found.index[found["estimate"].isna()].tolist() == [5, 7, 8]
    assert lazy.notes == (told,)
    assert told in repr(lazy)
    assert "3 Parquet files" in lazy._repr_html_()


def test_whole_numbers_with_gaps_are_the_labels_they_were(folder, rows):
    """A column with missing values comes as floats."""
    fit = bm.ModelSpec("y ~ x + (1 | n)", rows.dropna().astype({"n": "int64"})).fit()
    found = collected(fit.predict(bm.scan_parquet(folder)))
    reference = fit.predict(rows.dropna(subset=["x", "n"]).astype({"n": "int64"})).reindex(rows.index)
    pd.testing.assert_frame_equal(found, reference, **EXACT)


def test_errors_name_the_piece_and_what_to_do(folder, rows, reml, tmp_path):
    source = bm.scan_parquet(folder)
    path = tmp_path / "out.parquet"
    with pytest.raises(bm.DataError, match=r"2\.parquet, rows from 0: Group 'g' has levels .* 1000"):
        reml.predict(source, path=path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(bm.DataError, match="No column 'nothing'"):
        reml.predict(source, keep=["nothing"])
    with pytest.raises(bm.DataError, match=r"No column 'x'.*fixed part"):
        reml.predict([rows.drop(columns="x")])
    with pytest.raises(bm.DataError, match="keep= names 'estimate'"):
        reml.predict([rows.assign(estimate=1.0)], keep="estimate")
    with pytest.raises(bm.DataError, match="one of the files that are read"):
        reml.predict(source, path=folder / "1.parquet")
    with pytest.raises(bm.DataError, match="which isn't there"):
        reml.predict(source, path=tmp_path / "no" / "out.parquet")
    with pytest.raises(bm.DataError, match="path= is for sources"):
        reml.predict(rows, path=path)
    with pytest.raises(bm.DataError, match="random names 'k'"):
        reml.predict(source, random=["k"])
    with pytest.raises(bm.UnavailableError, match="sample_rows"):
        reml.predict(source, interval="confidence", variances="bootstrap")
    with pytest.raises(bm.UnavailableError, match="sample_rows"):
        reml.predict_draws(source)
    of_arrays = bm.ModelSpec.from_arrays(rows["z"], np.ones((1500, 1)), rows["g"]).fit()
    with pytest.raises(bm.DataError, match="given as arrays"):
        of_arrays.predict(source)


def test_new_responses_of_weighted_fits_need_weights(rows):
    fit = bm.ModelSpec("y ~ x + (1 | g)", [DATA], weights="w").fit()
    with pytest.raises(bm.DataError, match="the column 'w'"):
        fit.predict([rows.drop(columns="w")], interval="prediction")
    found = collected(fit.predict([rows], interval="prediction", new_levels="sample"))
    wanted = expected(fit, rows, ("x", "g", "w"), interval="prediction", new_levels="sample")
    pd.testing.assert_frame_equal(found, wanted, **EXACT)


def test_columns_that_change_their_type_are_refused_in_files(rows, reml, tmp_path):
    pieces = [rows[:500], rows[500:].assign(id=["text"] * 1000)]
    with pytest.raises(bm.DataError, match="change their type"):
        reml.predict(pieces, keep="id", new_levels="population", path=tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_predictions_isn_t_written_over(rows, reml, tmp_path):
    frame = dask.from_pandas(rows, npartitions=2)
    without = int(rows[["x", "f", "g"]].isna().any(axis=1).sum())
    with pytest.warns(bm.BimixedWarning, match=f"^{without} of 1,500 rows have NaN"):
        reml.predict(frame, new_levels="population", path=tmp_path / "out")
    with pytest.raises(bm.DataError, match="is there already"):
        reml.predict(frame, new_levels="population", path=tmp_path / "out")


@pytest.mark.parametrize("kind", KINDS)
def test_augmented_sources_are_augmented_tables(kind, folder, rows, reml):
    found = collected(reml.augment(sources(folder, rows)[kind], prefix="."))
    assert list(found) == [*rows.columns, ".fitted", ".resid", ".fixed"]
    known = rows[["x", "f"]].notna().all(axis=1)
    reference = reml.augment(rows[known], prefix=".").reindex(rows.index)
    for name in (".fitted", ".resid", ".fixed"):
        np.testing.assert_allclose(found[name], reference[name], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found[".resid"], rows["y"] - found[".fitted"], rtol=1e-12)
    assert found[".resid"].isna().sum() == 4  # one more than fitted values: a response is missing
    with pytest.raises(bm.DataError, match="column 'fitted' already"):
        reml.augment([rows.assign(fitted=0.0)])


def test_sources_without_the_response_have_no_residuals(rows, reml):
    assert "resid" not in reml.augment([rows.drop(columns="y")]).columns
    assert "resid" not in reml.augment(rows.dropna().drop(columns="y"))


def test_samples_are_rows_of_the_source_and_depend_on_the_seed_alone(folder, rows):
    for kind, source in sources(folder, rows).items():
        seeds = (1, 1, 2) if kind != "iterator" else (1,)
        found = [bm.sample_rows(source, 200, random_seed=seed) for seed in seeds]
        ids = [set(table["id"]) for table in found]
        assert all(len(own) == 200 for own in ids), kind
        assert list(found[0].columns) == list(rows.columns)
        if len(ids) == 3:
            assert ids[0] == ids[1], kind
            assert ids[0] != ids[2], kind
    cuts = ([rows[:700], rows[700:]], [rows[:1], rows[1:2], rows[2:]])
    one, other = (bm.sample_rows(frames, 100, random_seed=3) for frames in cuts)
    pd.testing.assert_frame_equal(one, other)
    assert len(bm.sample_rows([rows], 10_000)) == 1500
    for source in ([rows[:700], rows[700:]], dask.from_pandas(rows, npartitions=13)):
        drawn = [bm.sample_rows(source, 300, random_seed=seed)["id"] for seed in range(20)]
        # 6000 of 1500: every row is drawn 4 times on the average, sd 1.8; thirds 2000 times, sd 29
        thirds = np.bincount(np.concatenate(drawn) // 500)
        assert (abs(thirds - 2000) < 150).all()
        assert np.bincount(np.concatenate(drawn)).max() < 15
    with pytest.raises(bm.DataError, match=r"data\.sample\(n\)"):
        bm.sample_rows(rows, 10)
    with pytest.raises(bm.FitError, match="whole number"):
        bm.sample_rows([rows], 0)
