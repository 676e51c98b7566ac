"""The page of measured times and memory."""

import textwrap
from typing import Any

import numpy as np

CUBIC = ("Cholesky factors of the items' matrix", "its inverses")
"""Parts of the profile that grow with the third power of the items."""


def page(found: dict[str, Any]) -> str:
    """Markdown of the results."""
    parts = [_INTRODUCTION]
    for section, names in (
        (_ladder, ("ladder",)),
        (_posterior, ("posterior",)),
        (_ratings, ("ratings",)),
        (_sizes, ("sizes",)),
        (_all_items, ("ratings", "sizes")),
        (_cluster, ("cluster",)),
        (_arithmetic, ("ladder", "cluster")),
    ):
        if all(name in found for name in names):
            parts.append(section(*(found[name] for name in names)))
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

100 million rows, 100,000 groups, one pass ({found["pass"]:.1f} s). NUTS (4 chains of 1,000 draws after
1,000, default priors): {found["nuts"]:.0f} s, least effective sample size {found["ess"]:,.0f}, largest
R-hat {found["rhat"]:.3f}. Importance sampling (4,000 draws): {found["importance"]:.0f} s, Pareto k
{found["pareto_k"]:.2f}. Peak memory {found["peak"]:.2f} GiB, both posteriors and their draws of 200,000
random effects included, which are thinned evenly (all draws of variances and fixed effects are kept)."""


def _ratings(found: dict[str, Any]) -> str:
    levels = found["levels"]
    minutes = found["seconds"] / 60
    parts = "\n".join(f"| {name} | {seconds:.0f} |" for name, seconds in found["profile"])
    return f"""## Crossed: ratings of items by users

{found["nobs"]:,} ratings of {levels["item"]:,} items by {levels["user"]:,} users, with heavy tails,
`rating ~ 1 + (1 | user) + (1 | item)` by REML: {found["seconds"]:,.0f} s ({minutes:.0f} minutes; the pass
{found["pass"]:.0f} s of it, {found["evaluations"]} evaluations), peak memory {found["peak"]:.2f} GiB.
(MixedModels.jl reports 1,213 s and 5 GiB for MovieLens' 32 million ratings, on 8 threads of a
workstation.)

Where the time goes:

| | seconds |
|---|---:|
{parts}"""


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
        size, seconds = own["levels"]["item"], own["seconds"]
        rows.append(f"| {size:,} | {seconds:.0f} | {own['evaluations']} | {own['peak']:.2f} GiB |")
    return "\n".join(rows)


def _all_items(ratings: dict[str, Any], found: dict[str, Any]) -> str:
    items, times = zip(*((own["levels"]["item"], own["seconds"]) for own in found.values()), strict=True)
    memory = [own["peak"] for own in found.values()]
    beyond = (memory[-1] - memory[0]) * 2**30 / (items[-1] ** 2 - items[0] ** 2)
    exponent = np.log(times[-1] / times[-2]) / np.log(items[-1] / items[-2])
    need = 84_000
    spent = dict(ratings["profile"])
    cubic = sum(seconds for name, seconds in spent.items() if name in CUBIC)
    hours = cubic * (need / ratings["levels"]["item"]) ** 3 / 3600
    return f"""Memory grows by {beyond:.0f} bytes for each pair of items ({beyond / 8:.1f} dense matrices),
time from the last size but one with the power {exponent:.1f} and towards 3. For all {need:,} items of
MovieLens that is {beyond * need**2 / 2**30:,.0f} GiB; factors and inverses, which took {cubic:.0f} s for
{ratings["levels"]["item"]:,} items and grow with the third power, would take {hours:.0f} hours on 2
cores, the rest (products of the pairs that each user has rated) about as long as above: a machine with
that memory and some tens of cores, or fewer items."""


def _cluster(found: dict[str, Any]) -> str:
    ratio = found["workers_1"] / found["workers_2"]
    return f"""## Dask

10 million rows on a `distributed.LocalCluster` over TCP: {found["workers_1"]:.1f} s with one worker
process, {found["workers_2"]:.1f} s with two ({ratio:.2f} times as fast, on 2 cores which the scheduler
shares). The log-likelihood differs from that of DuckDB's sums by {found["difference"]:.0e} of itself."""


def _arithmetic(ladder: dict[str, Any], cluster: dict[str, Any]) -> str:
    names = list(ladder)
    small, large = ladder[names[-2]], ladder[names[-1]]
    per_row = (large["pass"] - small["pass"]) / (float(names[-1]) - float(names[-2]))
    by_dask = cluster["workers_1"] / 1e7
    bytes_per_row = large["bytes"] / float(names[-1])
    everything = bytes_per_row * 1e10 / 2**30
    sums = 8 * (2 * 4 + 3 + 2)  # Z'[1, X, y], Z'Z and counts of a level with two coefficients
    mib = sums * 1e5 / 2**20
    return f"""## Ten billion rows

A row costs {per_row * 1e9:.0f} ns of 2 cores here and {bytes_per_row:.0f} bytes of Parquet. 1e10 rows are
{everything:,.0f} GiB: on this machine, by DuckDB, {per_row * 1e10 / 60:.0f} minutes and the memory of the
last row of the first table, if the disk reads {bytes_per_row / per_row / 2**20:,.0f} MB a second. On a
cluster a Dask worker process needs {by_dask * 1e6:.2f} µs a row: 64 of them read {everything / 64:.1f}
GiB each and add for about {by_dask * 1e10 / 64:.0f} s, holding a partition and its sums. What travels are
sums: {sums} bytes for each group with an intercept and a slope, {mib:.0f} MiB for 100,000 groups, from
each partition to a tree in which eight are added at a time: {np.ceil(np.log(64) / np.log(8)):.0f} levels
above 64 partitions, four above 4,096, at most 8 × {mib:.0f} MiB in one place. The rest is the fit of the
sums, which no number of rows makes longer."""
