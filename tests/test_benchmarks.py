"""The benchmarks' own code: what is stopped is told in words, and the page says what the numbers say."""

import importlib
import json
import sys
from pathlib import Path

import arviz
import numpy as np
import pytest
import xarray

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """Modules of the folder, which is no package."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def entry(median, loglik=-10.0, rows=180, **more):
    first = {"first": 2 * median, "seconds": [median], "median": median}
    return {"version": "1", "python": "3", "loading": 0.3, "rows": rows, "mib": rows / 1e4, "wall": 1.0} | (
        first | {"loglik": loglik} | more
    )


def results(**rows):
    made = {
        name: {"title": name, "formula": "y ~ (1 | g)", "date": "2026-01-01", "busy": 0.0, "tools": tools}
        for name, tools in rows.items()
    }
    setting = {"limit": 300.0, "gib": 16.0, "patience": 120.0}
    return {"machine": {"cores": 2, "system": "Linux"}, "setting": setting, "rows": made}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.000512, "0.512 ms"),
        (0.0123456, "12.3 ms"),
        (0.99996, "1.00 s"),
        (1.5, "1.50 s"),
        (123.4, "123 s"),
    ],
)
def test_durations_have_three_digits(load, seconds, text):
    assert load("report").duration(seconds) == text


@pytest.mark.parametrize(
    ("code", "limit", "gib", "reason"),
    [
        ("import time; print('{\"rows\": 1}', flush=True); time.sleep(60)", 0.2, 16.0, "no answer in 0.2 s"),
        ("import time; hold = bytearray(300 << 20); time.sleep(60)", 60.0, 0.2, "more than 0.2 GiB"),
        ("raise MemoryError", 60.0, 16.0, "out of memory"),
        ("raise ValueError('no /home/me/file at https://where.it/is')", 60.0, 16.0, "ValueError: no … at …"),
        ("import sys; sys.exit(3)", 60.0, 16.0, "ended with status 3"),
    ],
)
def test_a_process_without_an_answer_has_a_reason(load, code, limit, gib, reason):
    if "GiB" in reason and not Path("/proc/self/status").exists():
        pytest.skip("the system doesn't tell")
    assert load("bench").run([sys.executable, "-c", code], limit, gib)["failure"] == reason


def test_a_stopped_process_leaves_its_first_answer(load, monkeypatch):
    bench = load("bench")
    monkeypatch.setattr(bench, "PATIENCE", 0.1)
    code = 'import time; print(\'{"rows": 1}\\n{"first": 2.0}\', flush=True); time.sleep(60)'
    assert bench.run([sys.executable, "-c", code], 0.2, 16.0) == {"rows": 1, "first": 2.0}


def test_one_workload_is_timed(load, tmp_path):
    bench = load("bench")
    asked = bench.Bench(("sleepstudy",), ("bimixed",), "", "", 300.0, 16.0, 2, tmp_path / "r.json", tmp_path)
    found = bench.row(asked, "sleepstudy", {})["tools"]["bimixed"]
    assert len(found["seconds"]) == 2
    assert found["loglik"] == pytest.approx(-871.8141, abs=1e-3)


def test_a_rung_above_a_failure_is_not_tried(load, tmp_path):
    bench = load("bench")
    asked = bench.Bench((), ("bimixed",), "", "", 300.0, 16.0, 1, tmp_path / "r.json", tmp_path)
    lost = {("bimixed", "nested"): "no answer in 300 s with 1e5 rows"}
    found = bench.row(asked, "nested-1e6", lost)["tools"]["bimixed"]
    assert found["failure"] == "not tried: no answer in 300 s with 1e5 rows"


def test_the_page_says_what_the_numbers_say(load, tmp_path):
    rows = {
        "sleepstudy": {
            "bimixed": entry(0.004, loglik_ml=-9.0),
            "glmm": entry(0.001),
            "mixedlm": entry(0.0005, loglik=-10.5),
            "gpboost": {"version": "1", "failure": "no correlated intercepts and slopes", "wall": 1.0},
            "lme4": entry(0.01),
        },
        "nested": {"bimixed": entry(0.004, loglik_ml=-9.0), "gpboost": entry(0.008, loglik=-9.0)},
    }
    for power in (5, 6, 7):
        rows[f"nested-1e{power}"] = {"bimixed": entry(10.0 ** (power - 6), rows=10**power)}
    page = tmp_path / "page.md"
    load("report").write(results(**rows), page)
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert (
        "fastest on 1 of 2: nested. It was slower than a peer on sleepstudy (4.00 times glmm's time)" in text
    )
    assert "our 4.00 ms is 0.400 times lme4's 10.0 ms, 8.00 times mixedlm's 0.500 ms and 4.00 times" in text
    assert "0.500 ms (stopped short)" in text
    assert "Below ours by more than 0.01: mixedlm on sleepstudy (0.500)." in text
    assert "gpboost: no correlated intercepts and slopes (sleepstudy)" in text
    assert "| bimixed | – | – | 1.00 | 1.00 | – | – |" in text


def test_the_picture_is_made_and_rows_of_another_machine_are_not_kept(load, tmp_path):
    bench = load("bench")
    path = tmp_path / "r.json"
    asked = bench.Bench(("nested",), ("bimixed",), "", "", 300.0, 16.0, 1, path, tmp_path)
    bench.save(asked, {"sleepstudy": results(sleepstudy={"bimixed": entry(0.004)})["rows"]["sleepstudy"]})
    bench.report(asked)
    assert (tmp_path / "images" / "benchmarks.png").stat().st_size > 1000
    assert list(bench.kept(asked)) == ["sleepstudy"]
    old = json.loads(path.read_text(encoding="utf-8")) | {"machine": {"cores": 999}}
    path.write_text(json.dumps(old), encoding="utf-8")
    assert bench.kept(asked) == {}


def draws_entry(median, ess, rhat=1.002, **more):
    told = {"ess": ess, "rhat": rhat, "divergences": 0, "scalars": 9}
    return {key: value for key, value in entry(median).items() if key != "loglik"} | told | more


def test_the_page_tells_of_posteriors(load, tmp_path):
    bambi = draws_entry(4.0, 800.0, fresh=8.0, version="0.21.0 (nutpie 0.16.11)")
    rows = {
        "posterior-radon": {
            "bimixed_nuts": draws_entry(0.5, 2000.0, fresh=2.0, form="marginal"),
            "bimixed_importance": {
                key: value for key, value in draws_entry(0.25, 3000.0, pareto_k=0.2).items() if key != "rhat"
            },
            "bambi_nutpie": bambi,
            "bambi_pymc": {"version": "0.21.0", "failure": "no answer in 300 s", "wall": 300.0},
        },
        "posterior-crossed": {
            "bimixed_nuts": draws_entry(2.0, 1000.0),
            "bambi_nutpie": draws_entry(20.0, 50.0, 1.08),
        },
        "posterior-short": {"bimixed_nuts": draws_entry(1.0, 900.0, rows=10_000, further=0.5)},
        "posterior-long": {"bimixed_nuts": draws_entry(3.0, 900.0, rows=1_000_000, further=0.55)},
    }
    page = tmp_path / "page.md"
    load("report").write(results(**rows), page)
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert "| bimixed, NUTS (marginal) | 500 ms | 2.00 s | 2,000 | 1.0020 | 0 | 4,000 |" in text
    assert "| bimixed, importance | 250 ms | – | 3,000 | k = 0.20 | 0 | 12,000 |" in text
    assert "| bambi + PyMC | no answer in 300 s |" in text
    assert "| radon | 0.125 | 0.250 | 20.0 |" in text
    assert "| crossed | 0.100 | – | 200 |" in text
    assert "ESS of at least 400: bambi + nutpie on crossed." in text
    assert (
        "take 500 ms with 10,000 rows and 550 ms with 1,000,000 in the same 1,000 groups: 1.10 times" in text
    )


def test_posteriors_are_no_rows_of_the_likelihood(load, tmp_path):
    rows = {
        "nested": {"bimixed": entry(0.004)},
        "posterior-nested": {"bimixed_nuts": draws_entry(2.0, 900.0)},
    }
    pages = []
    for names in (["nested"], ["nested", "posterior-nested"]):
        load("report").write(results(**{name: rows[name] for name in names}), tmp_path / "page.md")
        pages.append((tmp_path / "page.md").read_text(encoding="utf-8"))
    alone, both = pages
    before, _, after = both.partition("## Posteriors")
    assert after
    assert alone.startswith(before)


def test_each_work_goes_to_tools_that_can(load, tmp_path):
    bench = load("bench")
    asked = bench.Bench((), bench.TOOLS, "", "", 300.0, 16.0, 1, tmp_path / "r.json", tmp_path)
    assert bench.tools_of(asked, "movers") == ["bimixed"]
    assert bench.tools_of(asked, "posterior-crossed") == ["bimixed_nuts"]
    assert set(bench.POSTERIOR_TOOLS) == set(load("workloads").POSTERIORS)
    line = bench.command(asked, "bimixed_nuts", "posterior-long", tmp_path)
    assert "--further" in line
    assert "--ml" not in line


def test_every_scalar_of_a_posterior_counts(load):
    rng = np.random.default_rng(1)
    good, slow = rng.normal(size=(2, 4, 500))
    for i in range(1, 500):
        slow[:, i] += 0.9 * slow[:, i - 1]
    pair = np.stack([np.ones((4, 500)), good], axis=2)
    posterior = xarray.Dataset(
        {"corr": (("chain", "draw", "k"), pair), "ranef": (("chain", "draw", "g"), slow[:, :, None])}
    )
    told = load("posteriors").convergence(
        {"posterior": posterior, "sample_stats": {"diverging": np.arange(2000).reshape(4, 500) < 3}}
    )
    assert told["scalars"] == 2
    assert told["ess"] == pytest.approx(arviz.ess(slow, method="bulk", chain_axis=0, draw_axis=1))
    assert told["rhat"] == pytest.approx(arviz.rhat(slow, chain_axis=0, draw_axis=1))
    assert told["divergences"] == 3


def test_the_page_of_inference_times_is_made_of_its_results(load):
    study = load("inference_times")
    found = json.loads((FOLDER / "inference_times.json").read_text())
    assert (FOLDER.parent / "docs" / "inference_times.md").read_text() == study.page(found)
    without = study.page({name: part for name, part in found.items() if name != "R"})
    assert "lme4 1" not in without and "| |" in without
