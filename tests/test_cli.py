"""The command line: what it prints, writes and exits with."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bimixed as bm
from bimixed import cli
from bimixed.table_files import read_table

MODEL = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture
def sleep(tmp_path, monkeypatch):
    """sleepstudy in a folder of its own, and its fit."""
    monkeypatch.chdir(tmp_path)
    data = bm.load_dataset("sleepstudy")
    data.to_csv("sleep.csv", index=False)
    return data


@pytest.fixture(scope="module")
def fit():
    return bm.ModelSpec(MODEL, bm.load_dataset("sleepstudy")).fit()


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def test_a_fit_is_printed(sleep, fit, capsys):
    assert run("fit", "sleep.csv", MODEL) == 0
    shown = capsys.readouterr()
    without_time = [line for line in str(fit).split("\n") if not line.startswith("Time")]
    assert [
        line for line in shown.out.rstrip("\n").split("\n") if not line.startswith("Time")
    ] == without_time
    assert shown.err == ""


def test_json_has_every_digit(sleep, fit, capsys):
    assert run("fit", "sleep.csv", MODEL, "--json", "-", "--level", 0.9) == 0
    found = json.loads(capsys.readouterr().out)
    (record,) = found["fits"]
    assert [row["estimate"] for row in record["fixef"]] == fit.fixef["estimate"].tolist()
    assert record["loglik"] == fit.loglik
    limits = pd.DataFrame(record["conf_int"]).set_index("parameter")
    pd.testing.assert_frame_equal(limits, fit.conf_int(0.9), check_exact=True)
    assert record["diagnostics"]["converged"] is True
    assert record["diagnostics"]["rhat_max"] is None


def test_csv_is_one_table(sleep, fit, capsys):
    assert (
        run("fit", "sleep.csv", MODEL, "--method", "reml", "--method", "ml", "--csv", "all.csv", "--quiet")
        == 0
    )
    assert capsys.readouterr().out == ""
    table = pd.read_csv("all.csv")
    assert table["method"].unique().tolist() == ["reml", "ml"]
    mine = table[(table["method"] == "reml") & (table["effect"] == "ran_vals")]
    np.testing.assert_allclose(mine["estimate"], fit.ranef["Subject"].to_numpy().ravel(), rtol=1e-12)
    assert len(mine) == 36


def test_two_methods_are_compared(sleep, capsys):
    code = run("fit", "sleep.csv", MODEL, "--method", "reml", "--method", "ml", "--report", "page.html")
    assert code == 0
    shown = capsys.readouterr().out
    assert "REML fit of" in shown and "REML and maximum likelihood of" in shown
    assert "<h1>reml, ml: <code>Reaction" in Path("page.html").read_text(encoding="utf-8")


def test_options_go_to_the_methods_that_have_them(sleep, capsys):
    arguments = [
        "fit",
        "sleep.csv",
        "Reaction ~ Days + (1 | Subject)",
        "--method",
        "reml",
        "--method",
        "importance",
    ]
    arguments += ["--draws", "300", "--random-seed", "1", "--prior", "sd_Subject=exponential(rate=0.02)"]
    assert run(*arguments, "--json", "-") == 0
    reml, draws = json.loads(capsys.readouterr().out)["fits"]
    assert reml["arguments"] == {} and draws["arguments"] == {"draws": 300, "random_seed": 1}
    spec = bm.ModelSpec(
        "Reaction ~ Days + (1 | Subject)", sleep, priors={"sd_Subject": bm.Prior("exponential", rate=0.02)}
    )
    with pytest.warns(bm.ConvergenceWarning):
        again = spec.fit("importance", draws=300, random_seed=1)
    assert [row["estimate"] for row in draws["fixef"]] == again.fixef["estimate"].tolist()


def test_saved_fits_predict_and_have_pages(sleep, fit, capsys):
    assert run("fit", "sleep.csv", MODEL, "--save", "fit.bimixed", "--quiet") == 0
    new = pd.DataFrame({"Days": [3.0, 12.0], "Subject": [308, 999]})
    new.to_csv("new.tsv", sep="\t", index=False)
    arguments = ["predict", "fit.bimixed", "new.tsv", "--new-levels", "sample", "--interval", "prediction"]
    assert run(*arguments) == 0
    lines = capsys.readouterr().out.split("\n")
    assert lines[0] == "row,estimate,lower,upper"
    found = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:3]])
    expected = fit.predict(new, new_levels="sample", interval="prediction")
    np.testing.assert_allclose(found[:, 1:], expected.to_numpy(), rtol=1e-9)
    assert run("predict", "fit.bimixed", "--random", "none", "--out", "all.csv") == 0
    np.testing.assert_allclose(pd.read_csv("all.csv")["estimate"], fit.predict(random="none")["estimate"])
    assert run("report", "fit.bimixed", "page.html") == 0
    assert "REML fit of" in Path("page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["fit", "none.csv", MODEL], "There is no file 'none.csv'"),
        (["fit", "sleep.csv", "Reaction ~ Dys + (1 | Subject)"], "Did you mean 'Days'"),
        (["fit", "sleep.csv", "Reaction ~ (Days"], "Days"),
        (["fit", "sleep.csv", MODEL, "--draws", "9"], "--draws has no meaning for --method reml"),
        (["fit", "sleep.csv", MODEL, "--json", "-", "--csv", "-"], "can't both go to stdout"),
        (["fit", "sleep.csv", MODEL, "--report", "no/page.html"], "There is no folder 'no'"),
        (["fit", "sleep.csv", MODEL, "--save", "f", "--method", "ml", "--method", "reml"], "one --method"),
        (["fit", "sleep.csv", MODEL, "--prior", "sigma=1"], "isn't a prior"),
        (["fit", "sleep.csv", MODEL, "--prior", "sigma=half_normal(1)"], "write '1' as a name and a number"),
        (["fit", "sleep.csv", MODEL, "--json", "."], "can't be written"),
        (["fit", "odd.dat", MODEL], "ends neither in"),
        (["fit", "binary.csv", MODEL], "can't be read as CSV in UTF-8"),
        (["fit", "semicolons.csv", MODEL], "semicolons between columns"),
        (["fit", "binary.parquet", MODEL], "can't be read as Parquet"),
        (["predict", "sleep.csv"], "sleep.csv"),
    ],
)
def test_errors_are_one_message(sleep, capsys, arguments, told):
    (sleep.iloc[:0]).to_csv("odd.dat")
    with open("binary.csv", "wb") as file:
        file.write(bytes(range(256)))
    with open("binary.parquet", "wb") as file:
        file.write(b"PAR1 not really")
    sleep.to_csv("semicolons.csv", sep=";", index=False)
    assert run(*arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == "" or "--json" in arguments
    errors = shown.err.split("bimixed: error: ")
    assert len(errors) == 2 and told in errors[1]
    assert "Traceback" not in shown.err


def test_wrong_options_are_told_by_argparse(sleep, capsys):
    with pytest.raises(SystemExit) as stopped:
        run("fit", "sleep.csv", MODEL, "--method", "lasso")
    assert stopped.value.code == 2
    assert "invalid choice: 'lasso'" in capsys.readouterr().err


def test_a_fit_that_has_not_converged_exits_with_3(sleep, capsys):
    arguments = ["fit", "sleep.csv", MODEL, "--method", "nuts", "--draws", "20", "--tune", "20"]
    assert run(*arguments, "--chains", "2", "--random-seed", "1", "--json", "draws.json") == 3
    shown = capsys.readouterr()
    assert "bimixed: warning: Not converged" in shown.err
    assert json.loads(Path("draws.json").read_text())["fits"][0]["diagnostics"]["converged"] is False


def test_strict_counts_singular_fits(tmp_path, capsys):
    bm.load_dataset("dyestuff2").to_csv(tmp_path / "d.csv", index=False)
    arguments = ["fit", tmp_path / "d.csv", "Yield ~ 1 + (1 | Batch)", "--quiet"]
    assert run(*arguments) == 0
    assert run(*arguments, "--strict") == 3


def test_weights_offset_and_missing_values(sleep, capsys):
    data = sleep.assign(w=np.linspace(1, 2, 180), o=np.arange(180.0))
    data.loc[3, "Reaction"] = np.nan
    data.to_csv("w.csv.gz", index=False)
    assert run("fit", "w.csv.gz", MODEL, "--weights", "w", "--offset", "o", "--json", "-") == 0
    record = json.loads(capsys.readouterr().out)["fits"][0]
    expected = bm.ModelSpec(MODEL, data, weights="w", offset="o").fit()
    assert record["loglik"] == pytest.approx(expected.loglik, rel=1e-12)
    assert (record["nobs"], record["left_out"]) == (179, 1)
    assert run("fit", "w.csv.gz", MODEL, "--na-action", "raise") == 2


def test_parquet_by_whichever_reader_there_is(sleep, monkeypatch):
    pytest.importorskip("pyarrow")
    polars = pytest.importorskip("polars")
    sleep = sleep.astype({"Subject": "int64"})
    sleep.to_parquet("sleep.parquet")
    pd.testing.assert_frame_equal(read_table("sleep.parquet"), sleep)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyarrow" else found(name))
    assert isinstance(read_table("sleep.parquet"), polars.DataFrame)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(bm.DataError, match="pip install pyarrow"):
        read_table("sleep.parquet")


def test_names_of_the_command_line_are_no_columns(sleep, capsys):
    """A formula sees columns and formulaic's functions, nothing of this package."""
    assert run("fit", "sleep.csv", "Reaction ~ given + (1 | Subject)") == 2
    assert "No column 'given'" in capsys.readouterr().err
    assert run("fit", "sleep.csv", "np.log(Reaction) ~ Days + (1 | Subject)") == 0


def test_as_a_process_with_a_pipe(sleep):
    command = [sys.executable, "-m", "bimixed", "fit", "-", MODEL, "--csv", "-"]
    with open("sleep.csv", "rb") as file:
        shown = subprocess.run(command, stdin=file, capture_output=True, check=False)
    assert shown.returncode == 0 and shown.stderr == b""
    assert len(shown.stdout.split(b"\n")) == 1 + 2 + 4 + 36 + 1


@pytest.mark.parametrize("command", [[], ["fit"], ["predict"], ["report"]])
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(*command, "--help")
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    if command in ([], ["fit"]):
        assert "examples:" in shown and "exit codes:" in shown
