"""Data of the benchmarks: the same for every tool, made from seeds with numpy and pandas alone.

Group labels are strings, as they come from a file. ``RAW`` holds the data sets that have a source.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

RAW = Path(__file__).parent.parent / "src" / "bimixed" / "datasets"


@dataclass(frozen=True)
class Work:
    """One model on one data set.

    Attributes
    ----------
    title : str
    formula : str
        In lme4's language.
    data : callable
        Makes the table.
    repeats : int
    """

    title: str
    formula: str
    data: Callable[[], pd.DataFrame]
    repeats: int = 5


def labels(prefix: str, codes: np.ndarray) -> pd.Series:
    return pd.Series(codes).astype(str).radd(prefix)


def sleepstudy() -> pd.DataFrame:
    return pd.read_csv(RAW / "sleepstudy.csv", dtype={"Subject": str})


def radon() -> pd.DataFrame:
    return pd.read_csv(RAW / "radon.csv")


def insteval() -> pd.DataFrame:
    data = pd.read_csv(RAW / "insteval.csv.gz")
    return data.assign(**{name: data[name].astype(str) for name in ("s", "d", "dept")})


def nested() -> pd.DataFrame:
    """200 groups of 20 subgroups of 10 rows, no covariates."""
    rng = np.random.default_rng(1)
    a, b = np.repeat(np.arange(200), 200), np.repeat(np.arange(4000), 10)
    y = 2 * rng.normal(size=200)[a] + 3 * rng.normal(size=4000)[b] + 4 * rng.normal(size=40_000)
    return pd.DataFrame({"y": y, "a": labels("a", a), "b": labels("b", b % 20)})


def crossed() -> pd.DataFrame:
    """100 × 100 levels, 40,000 rows."""
    rng = np.random.default_rng(2)
    a, b = (rng.permutation(np.repeat(np.arange(100), 400)) for _ in range(2))
    y = 2 * rng.normal(size=100)[a] + 3 * rng.normal(size=100)[b] + 4 * rng.normal(size=40_000)
    return pd.DataFrame({"y": y, "a": labels("a", a), "b": labels("b", b)})


def skewed() -> pd.DataFrame:
    """Ratings: 20,000 users, 2,000 items of Zipf popularity."""
    rng = np.random.default_rng(3)
    n, users, items = 300_000, 20_000, 2_000
    popularity = 1.0 / np.arange(1, items + 1)
    user = rng.integers(0, users, n)
    item = rng.choice(items, n, p=popularity / popularity.sum())
    x = rng.normal(size=n)
    y = 0.5 * x + rng.normal(size=users)[user] + 0.7 * rng.normal(size=items)[item] + 2 * rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "user": labels("u", user), "item": labels("i", item)})


def slopes() -> pd.DataFrame:
    """500,000 rows in 125,066 groups, intercept and slope correlated."""
    rng = np.random.default_rng(4)
    n, groups = 500_000, 125_066
    g = np.concatenate([np.arange(groups), rng.integers(0, groups, n - groups)])
    x = rng.normal(size=n)
    u = rng.normal(size=(groups, 2)) @ np.array([[1.0, 0.3], [0.0, 0.6]])
    y = 1 + 0.5 * x + u[g, 0] + u[g, 1] * x + rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "g": labels("g", g)})


def movers() -> pd.DataFrame:
    """1,000,000 rows: 200,000 pupils in 20,000 schools for five years; 5 % change school once."""
    rng = np.random.default_rng(5)
    pupils, schools, years = 200_000, 20_000, 5
    pupil, year = np.repeat(np.arange(pupils), years), np.tile(np.arange(years), pupils)
    first = rng.integers(0, schools, pupils)
    second = np.where(rng.random(pupils) < 0.05, rng.integers(0, schools, pupils), first)
    change = rng.integers(1, years, pupils)
    school = np.where(year < change[pupil], first[pupil], second[pupil])
    y = 0.2 * year + rng.normal(size=pupils)[pupil] + 0.5 * rng.normal(size=schools)[school]
    y += rng.normal(size=len(y))
    return pd.DataFrame({"y": y, "year": year, "pupil": labels("p", pupil), "school": labels("s", school)})


def many() -> pd.DataFrame:
    """30,000 rows, 500 covariates."""
    rng = np.random.default_rng(6)
    n, groups = 30_000, 1_000
    g = rng.integers(0, groups, n)
    x = rng.normal(size=(n, COVARIATES))
    y = x[:, :5].sum(axis=1) + rng.normal(size=groups)[g] + rng.normal(size=n)
    data = pd.DataFrame(x, columns=[f"x{i}" for i in range(COVARIATES)])
    return data.assign(y=y, g=labels("g", g))


def wide() -> pd.DataFrame:
    """100,000 rows, a fixed factor of 5,000 levels and 300 random intercepts, crossed."""
    rng = np.random.default_rng(7)
    n, firms, years = 100_000, 5_000, 300
    firm, year = rng.integers(0, firms, n), rng.integers(0, years, n)
    x = rng.normal(size=n)
    y = 0.5 * x + rng.normal(size=firms)[firm] + rng.normal(size=years)[year] + rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "firm": labels("f", firm), "year": labels("t", year)})


def ladder(kind: str, n: int) -> Callable[[], pd.DataFrame]:
    """n rows with integer labels; the levels of g grow with n, those of h don't."""

    def make() -> pd.DataFrame:
        rng = np.random.default_rng(n)
        x = rng.normal(size=n)
        g = rng.integers(0, n // 20, n)
        y = 1 + 0.5 * x + rng.normal(size=n // 20)[g] + rng.normal(size=n)
        data = {"y": y, "x": x, "g": g}
        if kind == "nested":
            data["h"] = g % 100
            data["y"] = y + rng.normal(size=100)[data["h"]]
        if kind == "crossed":
            data["h"] = rng.integers(0, 100, n)
            data["y"] = y + rng.normal(size=100)[data["h"]]
        return pd.DataFrame(data)

    return make


def thousand(n: int) -> Callable[[], pd.DataFrame]:
    """n rows in 1,000 groups of equal size, intercept and slope correlated."""

    def make() -> pd.DataFrame:
        rng = np.random.default_rng(8)
        g, x = np.arange(n) % 1000, rng.normal(size=n)
        u = rng.normal(size=(1000, 2)) @ np.array([[1.0, 0.3], [0.0, 0.6]])
        y = 1 + 0.5 * x + u[g, 0] + u[g, 1] * x + rng.normal(size=n)
        return pd.DataFrame({"y": y, "x": x, "g": labels("g", g)})

    return make


COVARIATES = 500
LADDER_FORMULAS = {
    "intercept": "y ~ x + (1 | g)",
    "nested": "y ~ x + (1 | h) + (1 | g)",
    "crossed": "y ~ x + (1 | g) + (1 | h)",
}
WORKS = {
    "sleepstudy": Work("sleepstudy, correlated slope", "Reaction ~ Days + (Days | Subject)", sleepstudy, 51),
    "nested": Work("nested simulation", "y ~ 1 + (1 | a) + (1 | a:b)", nested, 11),
    "crossed": Work("crossed simulation", "y ~ 1 + (1 | a) + (1 | b)", crossed, 11),
    "insteval": Work(
        "InstEval, three crossed", "y ~ service + (1 | s) + (1 | d) + (1 | dept:service)", insteval
    ),
    "skewed": Work("ratings, 20,000 × 2,000, Zipf", "y ~ x + (1 | user) + (1 | item)", skewed),
    "slopes": Work("125,066 groups with slopes", "y ~ x + (x | g)", slopes),
    "movers": Work("pupils who change school", "y ~ year + (1 | pupil) + (1 | school)", movers),
    "many": Work("500 covariates", f"y ~ {' + '.join(f'x{i}' for i in range(COVARIATES))} + (1 | g)", many),
    "wide": Work("a fixed factor of 5,000 levels", "y ~ x + firm + (1 | year)", wide),
}
for _kind, _formula in LADDER_FORMULAS.items():
    for _power in (4, 5, 6, 7):
        _title = f"{_kind}, 1e{_power} rows"
        WORKS[f"{_kind}-1e{_power}"] = Work(
            _title, _formula, ladder(_kind, 10**_power), 5 if _power < 7 else 3
        )
POSTERIORS = {
    "posterior-radon": Work(
        "radon, correlated slope", "log_radon ~ floor + log_uranium + (1 + floor | county)", radon, 3
    ),
    "posterior-sleepstudy": replace(WORKS["sleepstudy"], repeats=5),
    "posterior-nested": replace(WORKS["nested"], repeats=1),
    "posterior-crossed": replace(WORKS["crossed"], repeats=3),
    "posterior-insteval": replace(WORKS["insteval"], repeats=1),
    "posterior-short": Work("1,000 groups with slopes, short", "y ~ x + (x | g)", thousand(10_000), 3),
    "posterior-long": Work("1,000 groups with slopes, long", "y ~ x + (x | g)", thousand(1_000_000), 3),
}
"""Works whose posterior is sampled."""
WORKS |= POSTERIORS
