"""The page ``docs/benchmarks.md`` from ``results.json``; sentences about numbers are made of the numbers."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from posterior_report import is_posterior, posterior_section
from wording import Row, answered, digits, duration, enumerate_words, mib, quietness, table, wall

NAMES = {
    "bimixed": "bimixed",
    "glmm": "glmm",
    "lme_python": "lme-python",
    "mixedlm": "mixedlm",
    "gpboost": "gpboost",
    "gpboost_cholesky": "gpboost, Cholesky",
    "statsmodels": "statsmodels",
    "lme4": "lme4",
}
OURS = "bimixed"
SAME = 0.01
"""Log-likelihoods nearer than this are of the same fit."""
APPROXIMATE = "gpboost"
"""Its log-likelihood of several groups is a stochastic approximation, so a difference needn't be a stop."""
FAILURES = ("no answer in", "more than", "out of memory", "not tried")
RUNGS = {"intercept": "one group", "nested": "nested", "crossed": "crossed"}


def difference(row: Row, tool: str) -> float | None:
    """Its log-likelihood less ours, by the criterion that it maximises; None where either is not there."""
    found = answered(row)
    if tool not in found or OURS not in found:
        return None
    ours = found[OURS].get("loglik_ml" if tool.startswith("gpboost") else "loglik")
    theirs = found[tool]["loglik"]
    return None if ours is None or theirs is None else theirs - ours


def same(row: Row, tool: str) -> bool:
    gap = difference(row, tool)
    return gap is not None and abs(gap) <= SAME


def fastest(row: Row) -> tuple[str, float] | None:
    """The peer that answered first with the same log-likelihood, and our time over its."""
    found = answered(row)
    peers = [tool for tool in found if tool != OURS and same(row, tool)]
    if not peers:
        return None
    best = min(peers, key=lambda tool: found[tool]["median"])
    return best, found[OURS]["median"] / found[best]["median"]


def is_ladder(name: str) -> bool:
    return "-1e" in name


def columns(rows: dict[str, Row]) -> list[str]:
    """Tools that are in any of the rows, in the order of ``NAMES``."""
    return [tool for tool in NAMES if any(tool in row["tools"] for row in rows.values())]


def time_cell(row: Row, tool: str) -> str:
    entry = row["tools"].get(tool)
    if entry is None:
        return "not run"
    if "failure" in entry:
        short = str(entry["failure"]).split(":")[0]
        return short if short.startswith(FAILURES) else "see below"
    gap = difference(row, tool)
    if gap is None or abs(gap) <= SAME:
        return duration(entry["median"])
    remark = "approximate" if tool == APPROXIMATE else "stopped short" if gap < 0 else "further than ours"
    return f"{duration(entry['median'])} ({remark})"


def ratio_cell(row: Row) -> str:
    best = fastest(row)
    return f"{digits(best[1])} ({NAMES[best[0]]})" if best else "no peer"


def seconds_section(rows: dict[str, Row]) -> str:
    tools = columns(rows)
    body = [[name, *(time_cell(row, tool) for tool in tools), ratio_cell(row)] for name, row in rows.items()]
    head = ["work", *(NAMES[tool] for tool in tools), "ours / fastest peer"]
    return "\n\n".join(["## Seconds", table(head, body), *summary(rows), *failures(rows)])


def summary(rows: dict[str, Row]) -> list[str]:
    """Who was first, and the ratios on sleepstudy."""
    ranked = {name: best for name, row in rows.items() if (best := fastest(row))}
    lines = []
    if ranked:
        ahead = [name for name, (_, ratio) in ranked.items() if ratio < 1]
        behind = [
            f"{name} ({digits(ratio)} times {NAMES[peer]}'s time)"
            for name, (peer, ratio) in ranked.items()
            if ratio >= 1
        ]
        lines.append(
            "The last column is our time over that of the fastest peer whose log-likelihood is ours within "
            f"{SAME}; below 1 bimixed is faster. It was the fastest on {len(ahead)} of {len(ranked)}"
            + (f": {enumerate_words(ahead)}." if ahead else ".")
            + (f" It was slower than a peer on {enumerate_words(behind)}." if behind else "")
        )
    if "sleepstudy" in rows and OURS in answered(rows["sleepstudy"]):
        found = answered(rows["sleepstudy"])
        ours = found[OURS]["median"]
        ratios = [
            f"{digits(ours / found[tool]['median'])} times {NAMES[tool]}'s {duration(found[tool]['median'])}"
            for tool in ("lme4", "mixedlm", "glmm")
            if tool in found
        ]
        if ratios:
            lines.append(f"On sleepstudy our {duration(ours)} is {enumerate_words(ratios)}.")
    return lines


def failures(rows: dict[str, Row]) -> list[str]:
    """One line for each tool that gave no answer somewhere, with the reasons."""
    lines = []
    for tool in columns(rows):
        reasons: dict[str, list[str]] = {}
        for name, row in rows.items():
            if "failure" in row["tools"].get(tool, {}):
                reasons.setdefault(row["tools"][tool]["failure"], []).append(name)
        if reasons:
            told = (f"{reason} ({', '.join(names)})" for reason, names in reasons.items())
            lines.append(f"- {NAMES[tool]}: {'; '.join(told)}")
    return ["Without an answer:\n\n" + "\n".join(lines)] if lines else []


def memory_section(rows: dict[str, Row]) -> str:
    tools = columns(rows)

    def cell(row: Row, tool: str) -> str:
        entry = row["tools"].get(tool, {})
        return mib(entry) if "mib" in entry else "–"

    body = [[name, *(cell(row, tool) for tool in tools)] for name, row in rows.items()]
    text = (
        "MiB that the first call adds at its peak to the process that holds the data and the tool, "
        "with whatever code the tool loads only then."
    )
    return "\n\n".join(["## Memory", text, table(["work", *(NAMES[tool] for tool in tools)], body)])


def gap_words(row: Row, tool: str) -> str:
    gap = difference(row, tool)
    if gap is None:
        return "–"
    if abs(gap) <= SAME:
        return f"{gap:.0e}" if abs(gap) >= 5e-7 else "0"
    reason = ", approximate" if tool == APPROXIMATE else ", stopped short" if gap < 0 else ""
    return f"{digits(abs(gap))} {'lower' if gap < 0 else 'higher'}{reason}"


def apart(rows: dict[str, Row], tools: list[str], sign: int) -> str:
    """Who is further from ours than ``SAME`` on one side, in words."""
    found = [
        f"{NAMES[tool]} on {name} ({digits(abs(gap))})"
        for name, row in rows.items()
        for tool in tools
        if (gap := difference(row, tool)) is not None and gap * sign > SAME
    ]
    return enumerate_words(found) if found else "none"


def loglik_section(rows: dict[str, Row]) -> str:
    tools = [tool for tool in columns(rows) if tool != OURS]
    body = []
    for name, row in rows.items():
        ours = answered(row).get(OURS)
        told = f"{ours['loglik']:.4f}" if ours and ours["loglik"] is not None else "–"
        body.append([name, told, *(gap_words(row, tool) for tool in tools)])
    text = (
        "Ours, and by how much each peer's differs from it, as a check that all fit the same model. gpboost "
        "has no REML: it is compared with our ML fit. Its default for several groups is iterative and tells "
        "a stochastic approximation of the log-likelihood, which errs both ways. For the others lower means "
        "that the tool stopped before the maximum, and higher that we did."
    )
    said = (
        f"Below ours by more than {SAME}: {apart(rows, tools, -1)}. "
        f"Above ours by more than {SAME}: {apart(rows, tools, 1)}."
    )
    head = ["work", "ours", *(NAMES[tool] for tool in tools)]
    return "\n\n".join(["## Log-likelihoods", text, table(head, body), said])


def first_section(rows: dict[str, Row]) -> str:
    found = {name: answered(row)[OURS] for name, row in rows.items() if OURS in answered(row)}
    if not found:
        return ""
    loading = float(np.median([entry["loading"] for entry in found.values()]))
    body = [
        [name, duration(entry["first"]), duration(entry["median"]), digits(entry["first"] / entry["median"])]
        for name, entry in found.items()
    ]
    text = (
        f"What the first fit of a process takes. `import bimixed` comes before it, once: {duration(loading)} "
        "where pandas is loaded already."
    )
    return "\n\n".join(["## First call", text, table(["work", "first", "median", "ratio"], body)])


def exponent(points: list[tuple[float, float]]) -> float | None:
    """Slope of log value on log rows, from 1e5 rows on."""
    points = [(rows, value) for rows, value in points if rows >= 1e5 and value > 0]
    if len(points) < 2:
        return None
    x, y = np.log10(np.array(points)).T
    return float(np.polyfit(x, y, 1)[0])


def rungs(rows: dict[str, Row], kind: str, tool: str, field: str) -> list[tuple[float, float]]:
    found = []
    for name, row in rows.items():
        entry = row["tools"].get(tool, {})
        if name.startswith(f"{kind}-1e") and "median" in entry:
            found.append((float(entry["rows"]), float(entry[field])))
    return found


def ladder_section(rows: dict[str, Row]) -> str:
    tools = columns(rows)

    def cell(row: Row, tool: str) -> str:
        entry = row["tools"].get(tool, {})
        return time_cell(row, tool) + (f", {mib(entry)} MiB" if "median" in entry else "")

    body = [[name, *(cell(row, tool) for tool in tools), ratio_cell(row)] for name, row in rows.items()]
    head = ["work", *(NAMES[tool] for tool in tools), "ours / fastest peer"]
    text = (
        "One covariate; groups of 20 rows on average, so that their number grows with the rows; alone, "
        "nested in 100 outer groups, or crossed with 100. Labels are integers. Only the tools in the table "
        "climb."
    )
    return "\n\n".join(["## Ladder", text, table(head, body), *summary(rows), *failures(rows), *grown(rows)])


def grown(rows: dict[str, Row]) -> list[str]:
    """How time and memory grow with the rows, in a table, and ours in words."""
    tools = columns(rows)
    fields = [(kind, field) for kind in RUNGS for field in ("median", "mib")]
    powers = {tool: [exponent(rungs(rows, kind, tool, field)) for kind, field in fields] for tool in tools}
    if all(power is None for line in powers.values() for power in line):
        return []
    head = ["tool", *(f"{word}, {what}" for word in RUNGS.values() for what in ("time", "memory"))]
    body = [
        [NAMES[tool], *("–" if power is None else f"{power:.2f}" for power in line)]
        for tool, line in powers.items()
    ]
    text = "Powers of the number of rows, fitted on log-log axes from 1e5 rows on (1 is proportional):"
    return [text, table(head, body), *climbed(rows)]


def climbed(rows: dict[str, Row]) -> list[str]:
    """How our time grows, in words."""
    powers = {word: exponent(rungs(rows, kind, OURS, "median")) for kind, word in RUNGS.items()}
    told = [f"{power:.2f} ({word})" for word, power in powers.items() if power is not None]
    return [f"Our time grows with the rows to the power {enumerate_words(told)}."] if told else []


def versions(rows: dict[str, Row]) -> str:
    """Tool, version, and what it ran on."""
    found: dict[str, str] = {}
    for row in rows.values():
        for tool, entry in row["tools"].items():
            if "version" in entry:
                found[NAMES[tool].split(",")[0]] = entry["version"] + (
                    f" (R {entry['r']}, {entry['blas']})" if "r" in entry else ""
                )
    pythons = {
        entry["python"] for row in rows.values() for entry in row["tools"].values() if "python" in entry
    }
    tools = ", ".join(f"{name} {version}" for name, version in found.items())
    return f"{tools}; Python {' and '.join(sorted(pythons))}."


def setting_section(results: dict[str, Any]) -> str:
    rows, setting, machine = results["rows"], results["setting"], results["machine"]
    dates = sorted({row["date"] for row in rows.values()})
    took = sum(entry["wall"] for row in rows.values() for entry in row["tools"].values())
    calls = sorted({len(entry["seconds"]) for row in rows.values() for entry in answered(row).values()})
    quiet = quietness(rows)
    return METHOD.format(
        when=dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}",
        cores=machine["cores"],
        system=machine["system"],
        versions=versions(rows),
        wall=wall(took),
        quiet=quiet,
        calls=f"{calls[0]} to {calls[-1]}" if len(calls) > 1 else "".join(map(str, calls)) or "no",
        **setting,
    )


def works_section(rows: dict[str, Row]) -> str:
    body = []
    for name, row in rows.items():
        size = max((entry.get("rows", 0) for entry in row["tools"].values()), default=0)
        formula = shortened(row["formula"]).replace("|", "\\|")
        body.append([name, row["title"], f"`{formula}`", f"{size:,}"])
    return "\n\n".join(["## Works", table(["work", "what", "formula", "rows"], body, 3)])


METHOD = """Measured {when} on {cores} cores ({system}). {versions} The whole run took {wall}. {quiet}

A call goes from the data frame, with labels of groups as strings unless said, to the fitted object; reading
the formula is part of it. It is REML with each tool's defaults, except gpboost, which has maximum
likelihood only and no correlated intercepts and slopes; it stands twice, with its default and with its
Cholesky factorisation. lme-python is handed a polars data frame, gpboost arrays that the call makes from
the columns, statsmodels the same model in its own words, the others what we get. Every tool and work is a
process of its own, one after the other, all tools of a row together; threads are as each tool sets them.

Times are medians of the calls after the first in that process ({calls} calls, as many as the work asks for
and as fit in {patience:g} s; where none fits, the first call). A process without a first answer in
{limit:g} s, not counting the data, or with more than {gib:g} GiB is stopped. Only ratios carry over to
another machine."""
HOW = """## Again on your machine

    make bench

makes the environment `.venv-peers` from `benchmarks/peers.txt`, runs everything and writes this page, its
picture and `benchmarks/results.json`. lme4 takes part where `Rscript` and lme4 are installed (Debian:
`r-cran-lme4`; with R's reference BLAS it is slower than with `libopenblas0-pthread`). Parts of it, later:

    .venv/bin/python benchmarks/bench.py --works sleepstudy 'crossed-*' --tools bimixed glmm
    .venv/bin/python benchmarks/bench.py --only-report"""


def write(results: dict[str, Any], page: Path) -> None:
    """Write the page."""
    posteriors = {name: row for name, row in results["rows"].items() if is_posterior(name)}
    likelihood = {name: row for name, row in results["rows"].items() if name not in posteriors}
    works = {name: row for name, row in likelihood.items() if not is_ladder(name)}
    ladder = {name: row for name, row in likelihood.items() if is_ladder(name)}
    picture = (
        "![Time of every tool on every workload, and time against the number of rows](images/benchmarks.png)"
    )
    parts = [
        "# Benchmarks",
        "<!-- Made by benchmarks/report.py from benchmarks/results.json; changes here are lost. -->",
        picture if any(map(answered, likelihood.values())) else "",
        setting_section(results | {"rows": likelihood}) if likelihood else "",
        *(
            section(works)
            for section in (works_section, seconds_section, memory_section, loglik_section, first_section)
            if works
        ),
        *([ladder_section(ladder)] if ladder else []),
        *([posterior_section(posteriors)] if posteriors else []),
        HOW,
    ]
    blocks = "\n\n".join(part for part in parts if part).split("\n\n")
    page.write_text("\n\n".join(map(wrapped, blocks)) + "\n", encoding="utf-8")


def shortened(formula: str) -> str:
    """A formula of hundreds of terms without most of them."""
    terms = formula.split(" + ")
    return formula if len(terms) <= 12 else " + ".join([*terms[:3], "…", *terms[-2:]])


def wrapped(block: str) -> str:
    """Prose in lines; tables, headings, lists and code as they are."""
    if block.startswith(("|", "#", "<", "!", "- ", " ")):
        return block
    return textwrap.fill(block, 110, break_long_words=False, break_on_hyphens=False)
