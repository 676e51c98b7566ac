"""The page of measured times and memory."""

import textwrap
from typing import Any

import numpy as np


def page(found: dict[str, Any]) -> str:
    """Markdown of the results."""
    parts = [_INTRODUCTION]
    for name, section in (
        ("ladder", _ladder),
        ("posterior", _posterior),
        ("ratings", _ratings),
        ("sizes", _sizes),
        ("cluster", _cluster),
    ):
        if name in found:
            parts.append(section(found[name]))
    if "ladder" in found:
        parts.append(_arithmetic(found["ladder"]))
    return "\n\n".join(map(_filled, parts)) + "\n"


def _filled(text: str) -> str:
    """Paragraphs in lines of one length; tables and headings as they are."""
    blocks = [
        block if block.startswith(("#", "|")) else textwrap.fill(block, 118, break_long_words=False)
        for block in text.split("\n\n")
    ]
    return "\n\n".join(blocks)


_INTRODUCTION = """# Times and memory of data in Parquet

`make bench-scale` writes this page: data simulated to Parquet (`benchmarks/scale/simulate.py`), every
measurement in a process of its own, on 2 cores. Peak memory is the largest resident set of that process,
libraries included."""


def _ladder(found: dict[str, Any]) -> str:
    rows = [
        "## A random intercept and slope, 100,000 groups",
        "`y ~ x + (x | g)`. The query is DuckDB's, which sums the same five products and counts rows by "
        "group, and does nothing else; the better of one before and one after.",
        "| rows | Parquet | query | pass | REML | both / query | peak memory |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    rows[1:2] = ["", rows[1], ""]
    for n, own in found.items():
        ratio = own["seconds"] / own["query"]
        rows.append(
            f"| {float(n):,.0f} | {own['bytes'] / 2**20:,.0f} MB | {own['query']:.2f} s | {own['pass']:.2f} "
            f"s | {own['reml']:.2f} s | {ratio:.2f} | {own['peak']:.2f} GiB |"
        )
    sizes = np.log10([float(n) for n in found])
    times = np.log10([own["pass"] for own in found.values()])
    queries = np.log10([own["query"] for own in found.values()])
    if len(sizes) > 1:
        steps = [f"{b:.2f}" for b in np.diff(times) / np.diff(sizes)]
        theirs = [f"{b:.2f}" for b in np.diff(queries) / np.diff(sizes)]
        rows += [
            "",
            f"Exponents of the pass from size to size: {', '.join(steps)} (the query: {', '.join(theirs)}). "
            "REML and its report work on the sums, and take the same time for any number of rows.",
        ]
    return "\n".join(rows)


def _posterior(found: dict[str, Any]) -> str:
    return f"""## Posteriors from the same sums

100 million rows, 100,000 groups, one pass ({found["pass"]:.1f} s). NUTS (4 chains of 1,000 draws
after 1,000, default priors):
{found["nuts"]:.0f} s, least effective sample size {found["ess"]:.0f}, largest R-hat
{found["rhat"]:.3f}. Importance sampling (4,000
draws): {found["importance"]:.0f} s, Pareto k {found["pareto_k"]:.2f}. Peak memory
{found["peak"]:.2f} GiB, the draws of 200,000 random
effects included, of which every eighth is kept."""


def _ratings(found: dict[str, Any]) -> str:
    levels = found["levels"]
    minutes = found["seconds"] / 60
    return f"""## Crossed: ratings of items by users

{found["nobs"]:,} ratings of {levels["item"]:,} items by {levels["user"]:,} users, with heavy tails,
`rating ~ 1 + (1 | user) + (1 | item)` by
REML: {found["seconds"]:,.0f} s ({minutes:.0f} minutes; the pass {found["pass"]:.0f} s of it,
{found["evaluations"]} evaluations), peak memory
{found["peak"]:.2f} GiB. (MixedModels.jl reports 1,213 s and 5 GiB for MovieLens' 32 million
ratings, on 8 threads of a
workstation.)

Where the time goes:

| | seconds |
|---|---:|
{chr(10).join(f"| {name} | {seconds:.0f} |" for name, seconds in found["profile"])}"""


def _sizes(found: dict[str, Any]) -> str:
    rows = [
        "## More items",
        "",
        "4 million ratings by 25,000 users:",
        "",
        "| items | seconds | evaluations | peak memory |",
        "|---:|---:|---:|---:|",
    ]
    for own in found.values():
        rows.append(
            f"| {own['levels']['item']:,} | {own['seconds']:.0f} | {own['evaluations']} | {own['peak']:.2f} "
            "GiB |"
        )
    items, times = zip(*((own["levels"]["item"], own["seconds"]) for own in found.values()), strict=True)
    memory = [own["peak"] for own in found.values()]
    beyond = (memory[-1] - memory[0]) * 2**30 / (items[-1] ** 2 - items[0] ** 2)
    exponent = np.log(times[-1] / times[-2]) / np.log(items[-1] / items[-2])
    need = 84_000
    rows += [
        "",
        f"Memory grows by {beyond:.0f} bytes for each pair of items ({beyond / 8:.1f} dense matrices), time "
        f"from the last size but one with the power {exponent:.1f} and towards 3. All {need:,} items of "
        f"MovieLens would need about {beyond * need**2 / 2**30:,.0f} GiB, and {(need / items[-1]) ** 3:,.0f} "
        "times the arithmetic of the last row: a machine with that memory and some tens of cores, or fewer "
        "items.",
    ]
    return "\n".join(rows)


def _cluster(found: dict[str, Any]) -> str:
    ratio = found["workers_1"] / found["workers_2"]
    return f"""## Dask

10 million rows on a `distributed.LocalCluster` over TCP: {found["workers_1"]:.1f} s with one worker
process, {found["workers_2"]:.1f} s with two
({ratio:.2f} times as fast, on 2 cores which the scheduler shares). The log-likelihood differs from
that of DuckDB's sums by
{found["difference"]:.0e} of itself."""


def _arithmetic(found: dict[str, Any]) -> str:
    names = list(found)
    small, large = found[names[-2]], found[names[-1]]
    per_row = (large["pass"] - small["pass"]) / (float(names[-1]) - float(names[-2]))
    bytes_per_row = large["bytes"] / float(names[-1])
    sums = 8 * (2 * 4 + 3 + 2)  # Z'[1, X, y], Z'Z and counts of a level with two coefficients
    return f"""## Ten billion rows on a cluster

A row costs {per_row * 1e9:.0f} ns on 2 cores here and {bytes_per_row:.0f} bytes of Parquet. 1e10
rows are {bytes_per_row * 1e10 / 2**30:,.0f} GiB: on 32
workers of 2 cores {bytes_per_row * 1e10 / 32 / 2**30:.0f} GiB each, read and added in about
{per_row * 1e10 / 32:.0f} s. What travels are sums:
{sums} bytes for each group with an intercept and a slope, {sums * 1e5 / 2**20:.0f} MiB for 100,000
groups, from each partition to a tree in
which eight are added at a time: two levels above 32 workers, at most 8 × {sums * 1e5 / 2**20:.0f}
MiB in one place. The rest is the fit of
the sums, which no number of rows makes longer."""
