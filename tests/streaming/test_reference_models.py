"""Every linear mixed model of the lme4 reference file from sources: the fit of rows in memory.

The rows are shuffled and cut at random, and the kinds of sources take turns, so that every kind sees many
models. Tolerances: sums are the same numbers added in another order, so that log-likelihoods agree to 1e-10
of themselves, and estimates to 1e-4 of their standard errors or better, since where the search of a flat
criterion ends depends on rounding.
"""

import itertools

import numpy as np
import pytest
from lme4_fits import FITS, data_set, fitted

import bimixed as bm

duckdb = pytest.importorskip("duckdb")
pyarrow_dataset = pytest.importorskip("pyarrow.dataset")
polars = pytest.importorskip("polars")
dask_frame = pytest.importorskip("dask.dataframe")

KINDS = ["frames", "parquet", "iterator", "arrow", "polars", "duckdb", "dask"]


def chunks(data, seed):
    """Rows in another order, cut at random places; some frames may be empty."""
    rng = np.random.default_rng(seed)
    shuffled = data.sample(frac=1.0, random_state=seed)
    cuts = np.sort(rng.integers(0, len(data) + 1, 4))
    return [shuffled.iloc[a:b] for a, b in itertools.pairwise([0, *cuts, len(data)])]


def source(kind, data, seed, folder):
    frames = chunks(data, seed)
    if kind == "frames":
        return frames
    if kind == "iterator":
        return iter(frames)
    if kind == "dask":
        return dask_frame.from_pandas(data, npartitions=3)
    for i, frame in enumerate(frames):
        frame.to_parquet(folder / f"{i}.parquet", index=False)
    if kind == "arrow":
        return pyarrow_dataset.dataset(folder)
    if kind == "polars":
        return polars.scan_parquet(folder / "*.parquet")
    if kind == "duckdb":
        return bm.scan_duckdb(duckdb.connect(), f"SELECT * FROM '{folder}/*.parquet'")
    return bm.scan_parquet(folder)


def test_every_kind_sees_many_models():
    assert len(FITS) // len(KINDS) >= 9


@pytest.mark.parametrize(("number", "fit_id"), list(enumerate(FITS)), ids=list(FITS))
def test_a_model_from_a_source_is_that_of_rows_in_memory(number, fit_id, tmp_path):
    fit = FITS[fit_id]
    data = data_set(fit_id.split("/", maxsplit=1)[0])
    formula = fit.get("formula_python") or fit["formula"]
    given = {"weights": fit.get("weights"), "offset": fit.get("offset"), "context": {"np": np}}
    rows = source(KINDS[number % len(KINDS)], data, number, tmp_path)
    if "poly(" in formula:  # orthogonal to all rows, which no pass can make
        with pytest.raises(bm.DataError, match="made from all rows at once"):
            bm.ModelSpec(formula, rows, **given)
        return
    spec = bm.ModelSpec(formula, rows, **given)
    ours, reference = spec.fit(method=fit["method"].lower()), fitted(fit_id)
    assert ours.nobs == reference.nobs
    assert ours.loglik == pytest.approx(reference.loglik, rel=1e-10)
    assert spec.design.dropped == reference.design.dropped
    assert list(ours.fixef.index) == list(reference.fixef.index)
    difference = (ours.fixef["estimate"] - reference.fixef["estimate"]) / reference.fixef["std_error"]
    assert difference.abs().dropna().max() < 1e-4
    for key, effects in reference.ranef.items():
        assert ours.ranef[key].index.equals(effects.index)
        np.testing.assert_allclose(ours.ranef[key], effects, atol=1e-4 * reference.sigma)
