"""Factors made from columns of very many values: their own levels count, not the column's values."""

import numpy as np
import pandas as pd
import pytest

import bimixed as bm

pytest.importorskip("duckdb")
dask = pytest.importorskip("dask.dataframe")
polars = pytest.importorskip("polars")

RNG = np.random.default_rng(0)
N = 6000
DATA = pd.DataFrame(
    {
        "g": RNG.integers(0, 20, N),
        "x": RNG.normal(size=N),
        "t": pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 3 * 10**7, N), "s"),
        "name": [f"{letter}{i}" for i, letter in enumerate(RNG.choice(list("abcdef"), N))],
        "y": RNG.normal(size=N),
    }
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("files")
    for i in range(2):
        DATA[3000 * i : 3000 * (i + 1)].to_parquet(path / f"{i}.parquet")
    return path


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ C(t.dt.day_of_week) + (1 | g)",
        "y ~ C(x.round()) + (1 | g)",
        "y ~ pd.cut(x, [-9, -1, 0, 1, 9]) + (1 | g)",
        "y ~ C(name.str[:1], Sum) + (1 | g)",
        "y ~ C(t.dt.month) * C(t.dt.day > 15) + (1 | g)",
        "y ~ C(t.dt.day_of_week) + C(name.str[:1]) + (C(name.str[:1]) | g)",
    ],
)
def test_levels_of_a_derived_factor_are_collected(folder, formula):
    expected = bm.ModelSpec(formula, DATA).fit()
    for source in (
        bm.scan_parquet(folder),
        [DATA[:100], DATA[100:]],
        dask.from_pandas(DATA, npartitions=3),
        polars.from_pandas(DATA).lazy(),
    ):
        fit = bm.ModelSpec(formula, source).fit()
        assert fit.loglik == pytest.approx(expected.loglik, rel=1e-10)
        assert fit.fixef.index.tolist() == expected.fixef.index.tolist()


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("y ~ t + (1 | g)", "'t' holds dates.*date_diff"),
        ("y ~ name + (1 | g)", "'name' has more than 2000 categories"),
        ("y ~ C(name.str[:5]) + (1 | g)", "'name' has more than 2000 categories"),
        ("y ~ log(x) + (1 | g)", r"'log\(x\)' .* is nan in .*positive numbers only"),
        ("y ~ np.sqrt(x) + (1 | g)", r"'np\.sqrt\(x\)' .* is nan in"),
    ],
)
def test_what_a_column_cant_be_is_said_as_of_rows(folder, formula, words):
    for source in (bm.scan_parquet(folder), [DATA]):
        with pytest.raises(bm.DataError, match=words):
            bm.ModelSpec(formula, source)
