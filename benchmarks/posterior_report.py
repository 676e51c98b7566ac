"""The section on posteriors of ``docs/benchmarks.md``."""

from wording import Entry, Row, answered, digits, duration, enumerate_words, mib, quietness, table, wall

NAMES = {
    "bimixed_nuts": "bimixed, NUTS",
    "bimixed_importance": "bimixed, importance",
    "bambi_nutpie": "bambi + nutpie",
    "bambi_pymc": "bambi + PyMC",
}
OURS, PEER = "bimixed_nuts", "bambi_nutpie"
PREFIX = "posterior-"
SHORT, LONG = "posterior-short", "posterior-long"
RHAT, ESS = 1.01, 400.0
"""Beyond these a posterior isn't called converged."""
TEXT = """Measured {when}, {versions}; it took {wall}. {quiet}

4 chains of 1,000 draws after 1,000 of warm-up on all cores (importance sampling: 4,000 independent
draws, of InstEval 1,000), each tool with its default priors. bambi has no correlated random effects:
where a formula asks for a correlation it samples the smaller model without. A call goes from the data
frame to draws of every parameter and random effect: model, compilation, sampling. Seconds are medians
of the calls after the first in a process; a fresh process is timed from its start to its first
posterior, imports included and making the data not, with whatever tools keep on disk from an earlier
process. A process without a posterior in 5 minutes is stopped. ESS is the smallest bulk effective
sample size and R-hat the largest, over every scalar of the posterior, random effects included, both by
ArviZ; importance sampling has its own effective number, and Pareto's k, trusted up to 0.7, in place of
R-hat."""


def is_posterior(name: str) -> bool:
    return name.startswith(PREFIX)


def posterior_section(rows: dict[str, Row]) -> str:
    """Tables and sentences on all works whose posterior was sampled."""
    parts = [setting(rows), figures(rows), *ratios(rows), *unconverged(rows), *growth(rows)]
    return "\n\n".join(["## Posteriors", *parts])


def setting(rows: dict[str, Row]) -> str:
    entries = [(tool, entry) for row in rows.values() for tool, entry in row["tools"].items()]
    versions = {
        NAMES[tool].replace(" + ", ",").split(",")[0]: entry["version"]
        for tool, entry in sorted(entries, key=lambda one: len(one[1].get("version", "")))
        if "version" in entry
    }  # the longest, which names all that bambi uses
    dates = sorted({row["date"] for row in rows.values()})
    return TEXT.format(
        when=dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}",
        versions=enumerate_words(f"{name} {version}" for name, version in versions.items()),
        wall=wall(sum(entry["wall"] for _, entry in entries)),
        quiet=quietness({short(name): row for name, row in rows.items()}),
    )


def short(name: str) -> str:
    return name.removeprefix(PREFIX)


def figures(rows: dict[str, Row]) -> str:
    """A line for each tool on each work."""
    body = []
    for name, row in rows.items():
        formula = row["formula"].replace("|", "\\|")
        size = max((entry.get("rows", 0) for entry in row["tools"].values()), default=0)
        body.append([f"**{short(name)}**, {size:,} rows, `{formula}`", *[""] * 7])
        for tool, entry in row["tools"].items():
            form = f" ({entry['form']})" if "form" in entry else ""
            body.append([f"{NAMES[tool]}{form}", *cells(entry)])
    head = ["work", "seconds", "fresh process", "ESS", "R-hat", "divergences", "ESS per second", "MiB"]
    return table(head, body)


def cells(entry: Entry) -> list[str]:
    if "median" not in entry:
        return [str(entry["failure"]), *["–"] * 6]
    fresh = entry.get("fresh")
    shape = f"k = {entry['pareto_k']:.2f}" if "pareto_k" in entry else "–"
    return [
        duration(entry["median"]),
        "–" if fresh is None else duration(fresh),
        f"{entry['ess']:,.0f}",
        f"{entry['rhat']:.4f}" if "rhat" in entry else shape,
        str(entry.get("divergences", "–")),
        digits(per_second(entry)),
        mib(entry),
    ]


def per_second(entry: Entry) -> float:
    return float(entry["ess"] / entry["median"])


def ratios(rows: dict[str, Row]) -> list[str]:
    """Ours over bambi with nutpie."""
    body = []
    for name, row in rows.items():
        found = answered(row)
        if OURS not in found or PEER not in found:
            continue
        ours, theirs = found[OURS], found[PEER]
        both_fresh = ours.get("fresh") and theirs.get("fresh")
        body.append(
            [
                short(name),
                digits(ours["median"] / theirs["median"]),
                digits(ours["fresh"] / theirs["fresh"]) if both_fresh else "–",
                digits(per_second(ours) / per_second(theirs)),
            ]
        )
    if not body:
        return []
    head = [f"{NAMES[OURS]} / {NAMES[PEER]}", "seconds", "fresh process", "ESS per second"]
    return [table(head, body)]


def unconverged(rows: dict[str, Row]) -> list[str]:
    told = [
        f"{NAMES[tool]} on {short(name)}"
        for name, row in rows.items()
        for tool, entry in answered(row).items()
        if entry["ess"] < ESS or entry.get("rhat", 1.0) > RHAT
    ]
    limits = f"R-hat of at most {RHAT} and ESS of at least {ESS:.0f}"
    return [f"Not converged by {limits}: {enumerate_words(told)}." if told else f"All reach {limits}."]


def growth(rows: dict[str, Row]) -> list[str]:
    """What more draws take with a hundred times the rows."""
    found = [answered(rows[name]).get(OURS, {}) for name in (SHORT, LONG) if name in rows]
    if len(found) < 2 or not all(entry.get("further") for entry in found):
        return []
    few, many = found
    return [
        f"1,000 more draws of each chain take {duration(few['further'])} with {few['rows']:,} rows and "
        f"{duration(many['further'])} with {many['rows']:,} in the same 1,000 groups: "
        f"{digits(many['further'] / few['further'])} times as long."
    ]
