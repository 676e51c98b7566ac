"""Every tool on every workload, one after the other; ``make bench`` runs it.

Each pair of tool and workload is a process of its own (``run_one.py``, ``run_one.R``) in the interpreter that
has the tool, stopped where it gives no first answer in the time limit or holds more memory than allowed. A
row, one workload by all tools, is measured in one go and written to ``results.json`` when it is complete; the
report (``report.py``) and its picture (``picture.py``) are made from that file alone.
"""

import argparse
import csv
import datetime
import fnmatch
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from picture import draw
from report import write
from run_one import PATIENCE
from workloads import POSTERIORS, WORKS, Work

HERE = Path(__file__).parent
LIKELIHOOD = (
    "bimixed",
    "glmm",
    "lme_python",
    "mixedlm",
    "gpboost",
    "gpboost_cholesky",
    "statsmodels",
    "lme4",
)
OURS = ("bimixed", "bimixed_nuts", "bimixed_importance")
TOOLS = (*LIKELIHOOD, "bimixed_nuts", "bimixed_importance", "bambi_nutpie", "bambi_pymc")
LADDER_TOOLS = ("bimixed", "glmm", "mixedlm")
LME4_WORKS = ("sleepstudy", "nested", "crossed", "insteval", "skewed")
POSTERIOR_TOOLS = {
    "posterior-radon": ("bimixed_nuts", "bimixed_importance", "bambi_nutpie", "bambi_pymc"),
    "posterior-sleepstudy": ("bimixed_nuts", "bimixed_importance", "bambi_nutpie"),
    "posterior-nested": ("bimixed_nuts", "bambi_nutpie"),
    "posterior-crossed": ("bimixed_nuts", "bambi_nutpie"),
    "posterior-insteval": ("bimixed_importance",),
    "posterior-short": ("bimixed_nuts",),
    "posterior-long": ("bimixed_nuts",),
}
FRESH = ("posterior-radon", "posterior-sleepstudy")
"""Works that are also timed from the start of a process, when whatever tools keep on disk is there."""
FURTHER = ("posterior-short", "posterior-long")
"""Works of which we tell what more draws take."""
POSTERIOR_LIMIT, POSTERIOR_PATIENCE = 300.0, 400.0
"""Seconds to a first answer, and of all calls; sampling takes longer than fitting."""
SETUP = 300.0
"""Seconds to load the tool and make the data, before the clock of the limit starts."""
POLL = 0.05
EXHAUSTED = re.compile(
    r"MemoryError|Unable to allocate|memory allocation of|bad_alloc|annot allocate|out of memory", re.I
)


@dataclass(frozen=True)
class Bench:
    """What a run was asked for.

    Attributes
    ----------
    works, tools : tuple of str
    peers, r : str
        The interpreters; empty where there is none.
    limit : float
        Seconds to a first answer.
    gib : float
        Memory that one process may hold.
    repeats : int or None
        Calls after the first; None takes each workload's own number.
    results, docs : Path
    """

    works: tuple[str, ...]
    tools: tuple[str, ...]
    peers: str
    r: str
    limit: float
    gib: float
    repeats: int | None
    results: Path
    docs: Path


def tools_of(bench: Bench, work: str) -> list[str]:
    """Tools of one row, ours first."""
    able = POSTERIOR_TOOLS.get(work, LADDER_TOOLS if "-1e" in work else LIKELIHOOD)
    return [
        tool
        for tool in able
        if tool in bench.tools
        and (tool in OURS or (work in LME4_WORKS if tool == "lme4" else bool(bench.peers)))
    ]


def command(bench: Bench, tool: str, name: str, tables: Path) -> list[str]:
    """The line that times one tool on one workload; writes the table that R reads."""
    work = WORKS[name]
    repeats = str(work.repeats if bench.repeats is None else bench.repeats)
    if tool == "lme4":
        table = tables / f"{name}.csv"
        data = work.data()
        data.to_csv(table, index=False, quoting=csv.QUOTE_NONNUMERIC)
        text = ",".join(data.select_dtypes(exclude="number").columns)
        return [bench.r, str(HERE / "run_one.R"), str(table), work.formula, text, repeats, str(PATIENCE)]
    python = sys.executable if tool in OURS else bench.peers
    line = [python, str(HERE / "run_one.py"), tool, name, "--repeats", repeats]
    if name in POSTERIORS:
        further = ["--further"] if name in FURTHER else []
        return [*line, "--patience", str(POSTERIOR_PATIENCE), *further]
    more = ["--ml"] if tool in OURS and any("gpboost" in other for other in tools_of(bench, name)) else []
    return [*line, *more]


def held(pid: int) -> float:
    """GiB that a process holds now; 0 where the system doesn't tell."""
    try:
        found = re.search(r"VmRSS:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) / 2**20 if found else 0.0


def watch(process: subprocess.Popen[str], out: Path, limit: float, gib: float, patience: float) -> str:
    """Wait for the end, or say in words why the process had to be stopped.

    The clock of the limit starts when the data are there. After the first answer the process watches itself.
    """
    stages = {
        '"rows"': (limit, f"no answer in {limit:g} s"),
        '"first"': (limit + 2 * patience, "repeats too slow"),
    }
    deadline, late = time.monotonic() + SETUP, f"data not ready in {SETUP:g} s"
    while process.poll() is None:
        time.sleep(POLL)
        for word in [word for word in stages if word in out.read_text()]:
            seconds, late = stages.pop(word)
            deadline = time.monotonic() + seconds
        if held(process.pid) > gib:
            return f"more than {gib:g} GiB"
        if time.monotonic() > deadline:
            return late
    return ""


def run(
    line: list[str], limit: float, gib: float, inherit: bool = True, patience: float | None = None
) -> dict[str, Any]:
    """One process, watched; what it said, and ``failure`` in words where it gave no answer."""
    environment = dict(os.environ)
    if not inherit:
        environment.pop("PYTHONPATH", None)
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        with out.open("w") as to_out, err.open("w") as to_err:
            process = subprocess.Popen(
                line, stdout=to_out, stderr=to_err, text=True, env=environment, start_new_session=True
            )
            try:
                stopped = watch(process, out, limit, gib, patience or PATIENCE)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        said = dict(answers(out.read_text()))
        if "failure" not in said and "missing" not in said and "first" not in said:
            said["failure"] = stopped or why(process.returncode, err.read_text())
    return said


def answers(text: str) -> Iterator[tuple[str, Any]]:
    """The lines of JSON among whatever else a tool prints."""
    for line in text.splitlines():
        if line.startswith('{"') and line.endswith("}"):
            yield from json.loads(line).items()


def why(code: int, errors: str) -> str:
    """A short reason in words, without paths and addresses of this machine."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    if code == -signal.SIGKILL or any(EXHAUSTED.search(line) for line in lines[-5:]):
        return "out of memory"
    if not lines:
        return f"stopped by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    last = re.sub(r"\w+://\S+|(?:/[\w.+-]+){2,}/?", "…", lines[-1])
    return last if len(last) <= 100 else f"{last[:99]}…"


def measure(bench: Bench, tool: str, name: str) -> dict[str, Any]:
    """One tool on one workload: what goes into ``results.json``."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as tables:
        line = command(bench, tool, name, Path(tables))
        setting: dict[str, Any] = {"limit": bench.limit, "gib": bench.gib, "inherit": tool in OURS}
        if name in POSTERIORS:
            setting |= {"limit": POSTERIOR_LIMIT, "patience": POSTERIOR_PATIENCE}
        entry = run(line, **setting)
        if name in FRESH and "first" in entry:
            again = run([*line, "--repeats", "0", "--began", str(time.time())], **setting)
            entry["fresh"] = again.get("fresh")
    if "first" in entry:
        entry["seconds"] = entry.get("seconds", [])
        entry["median"] = statistics.median(entry["seconds"] or [entry["first"]])
    entry["wall"] = time.monotonic() - began
    return {key: tidy(value) for key, value in entry.items()}


def tidy(value: Any) -> Any:
    """Six digits are enough, but for log-likelihoods of a million rows."""
    if isinstance(value, list):
        return [tidy(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if abs(value) < 1000 else round(value, 6)
    return value


def busy() -> float | None:
    """Cores that other processes use now, over a second; None where the system doesn't tell."""

    def read() -> tuple[float, float]:
        ticks = [int(one) for one in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return sum(ticks), ticks[3] + ticks[4]

    if not Path("/proc/stat").exists():
        return None
    (total, idle), _, (total_after, idle_after) = read(), time.sleep(1), read()
    return round((os.cpu_count() or 1) * (1 - (idle_after - idle) / max(total_after - total, 1)), 2)


def row(bench: Bench, name: str, lost: dict[tuple[str, str], str]) -> dict[str, Any]:
    """One workload by all tools.

    ``lost`` remembers which tools ran out of time or memory on a rung of a ladder; higher ones aren't tried.
    """
    work: Work = WORKS[name]
    ladder, _, rung = name.rpartition("-1e")
    before, entries = busy(), {}
    for tool in tools_of(bench, name):
        if reason := lost.get((tool, ladder)):
            entries[tool] = {"failure": f"not tried: {reason}", "wall": 0.0}
            continue
        entry = measure(bench, tool, name)
        if "missing" in entry:
            print(f"{name:20} {tool:18} not installed", flush=True)
            continue
        entries[tool] = entry
        failure = entry.get("failure", "")
        if ladder and re.match("no answer|more than|out of memory", failure):
            lost[tool, ladder] = f"{failure} with 1e{rung} rows"
        told = failure or f"{entry['median']:10.4f} s  first {entry['first']:.4f} s  {entry['mib']:.0f} MiB"
        if "ess" in entry:
            told += f"  ESS {entry['ess']:.0f}"
        print(f"{name:20} {tool:18} {told}", flush=True)
    return {
        "title": work.title,
        "formula": work.formula,
        "date": datetime.date.today().isoformat(),
        "busy": None if before is None else max(before, busy() or 0.0),
        "tools": entries,
    }


def machine() -> dict[str, Any]:
    return {"cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}"}


def kept(bench: Bench) -> dict[str, Any]:
    """Rows of an earlier run that stay: all but those asked for, if this machine is like that one."""
    if not bench.results.exists() or set(bench.works) == set(WORKS):
        return {}
    old = json.loads(bench.results.read_text(encoding="utf-8"))
    if old["machine"] != machine():
        print(f"{bench.results.name} is of another machine: beginning anew")
        return {}
    return dict(old["rows"])


def save(bench: Bench, rows: dict[str, Any]) -> None:
    """Write in the order of the workloads; never a half file."""
    ordered = {name: rows[name] for name in WORKS if name in rows}
    setting = {"limit": bench.limit, "gib": bench.gib, "patience": PATIENCE}
    text = json.dumps(
        {"machine": machine(), "setting": setting, "rows": ordered}, indent=1, ensure_ascii=False
    )
    text = re.sub(r"\[[^\[\]{}]*\]", lambda found: re.sub(r"\s+", " ", found[0]), text)
    fresh = bench.results.with_suffix(".new")
    fresh.write_text(text + "\n", encoding="utf-8")
    fresh.replace(bench.results)


def report(bench: Bench) -> None:
    results = json.loads(bench.results.read_text(encoding="utf-8"))
    (bench.docs / "images").mkdir(parents=True, exist_ok=True)
    draw(results, bench.docs / "images" / "benchmarks.png")
    write(results, bench.docs / "benchmarks.md")


def choose(patterns: list[str] | None, names: tuple[str, ...]) -> tuple[str, ...]:
    """Names that match any of the patterns; all of them where none is given."""
    if patterns is None:
        return names
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise SystemExit(f"{pattern!r} is none of: {', '.join(names)}")
    return tuple(name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns))


def asked() -> tuple[Bench, bool]:
    own = HERE.parent / ".venv-peers" / "bin" / "python"
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", default=str(own) if own.exists() else "", help="Python that has the peers")
    parser.add_argument("--r", default=shutil.which("Rscript") or "", help="Rscript; '' for none")
    parser.add_argument("--works", nargs="+", help="names or patterns ('crossed-*'); the other rows are kept")
    parser.add_argument("--tools", nargs="+", help=f"of {', '.join(TOOLS)}")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds to a first answer (default 300)")
    parser.add_argument("--gib", type=float, default=16.0, help="memory of one process (default 16)")
    parser.add_argument("--repeats", type=int, help="calls after the first (default: each workload's number)")
    parser.add_argument("--results", type=Path, default=HERE / "results.json")
    parser.add_argument("--docs", type=Path, default=HERE.parent / "docs")
    parser.add_argument("--only-report", action="store_true", help="make the page and the picture again")
    given = vars(parser.parse_args())
    only = given.pop("only_report")
    works, tools = choose(given.pop("works"), tuple(WORKS)), choose(given.pop("tools"), TOOLS)
    if not given["r"]:
        tools = tuple(tool for tool in tools if tool != "lme4")
    return Bench(works=works, tools=tools, **given), only


def main() -> None:
    bench, only = asked()
    if not only:
        rows, lost = kept(bench), {}
        for name in bench.works:
            rows[name] = row(bench, name, lost)
            save(bench, rows)
    report(bench)


if __name__ == "__main__":
    main()
