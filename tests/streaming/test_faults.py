"""Damaged files, full disks, runs that stop: an error that names the place, and no work lost."""

import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest

import bimixed as bm
from bimixed.streaming import checkpoint as checkpoints
from bimixed.streaming.sql import CellQuery

pytest.importorskip("duckdb")
FORMULA = "y ~ x + (x | g)"


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(3)
    for i in range(4):
        g = rng.integers(0, 30, 500)
        x = rng.normal(3, 1, 500)
        frame = pd.DataFrame({"g": g, "x": x, "y": x + np.sin(g) + rng.normal(size=500), "k": g % 7})
        frame.to_parquet(tmp_path / f"part{i}.parquet", index=False)
    return tmp_path


def test_a_truncated_file_is_named(folder):
    path = folder / "part2.parquet"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(bm.DataError, match=r"part2\.parquet.* can't be read"):
        bm.ModelSpec(FORMULA, bm.scan_parquet(folder))


def test_a_file_damaged_inside_is_named(folder, tmp_path):
    path = folder / "part3.parquet"
    content = bytearray(path.read_bytes())
    content[40:2000] = bytes(1960)
    path.write_bytes(bytes(content))
    with pytest.raises(bm.DataError, match=r"part3\.parquet"):
        bm.ModelSpec(FORMULA, bm.scan_parquet(folder), checkpoint=tmp_path / "sums")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.drop(columns="x"), r"part1\.parquet has no column 'x'"),
        (lambda d: d.assign(x=d["x"].astype(str)), r"Column 'x' is VARCHAR in .*part1\.parquet and DOUBLE"),
    ],
)
def test_a_changed_schema_is_named(folder, change, words):
    path = folder / "part1.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)
    with pytest.raises(bm.DataError, match=words):
        bm.ModelSpec(FORMULA, bm.scan_parquet(folder))


@pytest.mark.parametrize("formula", [FORMULA, "y ~ x + (1 | g) + (1 | k)"])
def test_what_is_done_is_not_done_again(folder, tmp_path, monkeypatch, formula):
    kept = tmp_path / "sums"
    path = folder / "part3.parquet"
    good = path.read_bytes()
    path.write_bytes(good[:40] + bytes(1960) + good[2000:])
    source = bm.scan_parquet(folder)
    with pytest.raises(bm.DataError, match=r"part3\.parquet.*checkpoint"):
        bm.ModelSpec(formula, source, checkpoint=kept)
    assert len(list(kept.glob("*.sums"))) == 3
    path.write_bytes(good)
    read = []
    own, by_chunks = CellQuery.sums, type(source.pieces()[0]).frames
    monkeypatch.setattr(CellQuery, "sums", lambda self, piece: read.append(piece.name) or own(self, piece))
    monkeypatch.setattr(
        type(source.pieces()[0]),
        "frames",
        lambda self, columns: read.append(self.name) or by_chunks(self, columns),
    )
    fit = bm.ModelSpec(formula, bm.scan_parquet(folder), checkpoint=kept).fit()
    assert read == [str(path)]
    expected = bm.ModelSpec(formula, bm.scan_parquet(folder)).fit()
    assert fit.loglik == pytest.approx(expected.loglik, rel=1e-12)
    pd.testing.assert_frame_equal(fit.ranef["g"], expected.ranef["g"], atol=1e-8)
    read.clear()
    path.write_bytes(good)  # another time of writing is another file
    bm.ModelSpec(formula, bm.scan_parquet(folder), checkpoint=kept)
    assert read == [str(path)]
    read.clear()
    bm.ModelSpec(formula.replace("x +", "1 +"), bm.scan_parquet(folder), checkpoint=kept)
    assert len(read) == 4  # another model has sums of its own


def test_a_full_disk_is_said(folder, tmp_path, monkeypatch):
    def full(self, path, document):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.Writer, "write", full)
    with pytest.raises(
        bm.DataError, match=r"part0\.parquet couldn't be written to checkpoint .*No space left"
    ):
        bm.ModelSpec(FORMULA, bm.scan_parquet(folder), checkpoint=tmp_path / "sums")


def test_a_damaged_checkpoint_is_said(folder, tmp_path):
    kept = tmp_path / "sums"
    bm.ModelSpec(FORMULA, bm.scan_parquet(folder), checkpoint=kept)
    first = sorted(kept.glob("*.sums"))[0]
    first.write_bytes(first.read_bytes()[:-50])
    with pytest.raises(bm.DataError, match=first.name):
        bm.ModelSpec(FORMULA, bm.scan_parquet(folder), checkpoint=kept)


def test_an_interrupt_keeps_the_pieces_that_are_done(folder, tmp_path):
    """Ctrl-C between two pieces of a process of its own."""
    code = f"""
        import bimixed as bm, signal
        from bimixed.streaming.sql import CellQuery
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which background jobs ignore
        own, seen = CellQuery.sums, []
        def sums(self, piece):
            seen.append(piece)
            if len(seen) == 3:
                signal.raise_signal(signal.SIGINT)
            return own(self, piece)
        CellQuery.sums = sums
        bm.ModelSpec({FORMULA!r}, bm.scan_parquet({str(folder)!r}), checkpoint={str(tmp_path / "sums")!r})
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "KeyboardInterrupt" in ended.stderr
    assert "The sums of 2 of 4 pieces are kept" in ended.stderr
    assert len(list((tmp_path / "sums").glob("*.sums"))) == 2
    assert not list((tmp_path / "sums").glob("*.part"))
    fit = bm.ModelSpec(FORMULA, bm.scan_parquet(folder), checkpoint=tmp_path / "sums").fit()
    assert fit.nobs == 2000


def test_sums_survive_a_checkpoint_to_the_last_digit(folder, tmp_path):
    formula = "y ~ scale(x) + (x | g/k)"
    first = bm.ModelSpec(formula, bm.scan_parquet(folder), checkpoint=tmp_path / "sums").fit()
    second = bm.ModelSpec(formula, bm.scan_parquet(folder), checkpoint=tmp_path / "sums").fit()
    assert second.loglik == first.loglik
    pd.testing.assert_frame_equal(second.fixef, first.fixef, rtol=0.0)


def test_progress_is_told_by_rows_and_bytes(folder, capsys):
    bm.ModelSpec(FORMULA, bm.scan_parquet(folder), progress=True)
    told = capsys.readouterr().err
    assert "2,000 rows (100% of" in told
    assert "piece 4/4" in told


def test_progress_tells_what_an_earlier_run_did(folder, tmp_path, capsys):
    bm.ModelSpec(FORMULA, bm.scan_parquet(folder), checkpoint=tmp_path / "sums")
    bm.ModelSpec(FORMULA, bm.scan_parquet(folder), checkpoint=tmp_path / "sums", progress=True)
    assert "piece 4/4, 4 from the checkpoint" in capsys.readouterr().err


def test_a_checkpoint_is_of_files(folder):
    frames = [pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))]
    with pytest.raises(bm.DataError, match="come as 4 frames don't"):
        bm.ModelSpec(FORMULA, frames, checkpoint="here")


@pytest.mark.parametrize("formula", [FORMULA, "y ~ x + (1 | g) + (1 | k)"])
def test_values_that_cant_be_added_are_placed(folder, formula):
    path = folder / "part2.parquet"
    frame = pd.read_parquet(path)
    frame.loc[[3, 8], "x"] = np.nan, np.inf
    frame.to_parquet(path, index=False)
    with pytest.raises(bm.DataError, match=r"part2\.parquet: .*'x'.*inf") as error:
        bm.ModelSpec(formula, bm.scan_parquet(folder))
    assert formula == FORMULA or "row(s): 8" in str(error.value)  # of the file, missing rows counted


def test_weights_that_arent_positive_are_placed(folder):
    path = folder / "part1.parquet"
    pd.read_parquet(path).assign(w=0.0).to_parquet(path, index=False)
    for other in (0, 2, 3):
        pd.read_parquet(folder / f"part{other}.parquet").assign(w=1.0).to_parquet(
            folder / f"part{other}.parquet", index=False
        )
    with pytest.raises(bm.DataError, match=r"part1\.parquet: weights"):
        bm.ModelSpec(FORMULA, bm.scan_parquet(folder), weights="w")
