"""Data for the benchmarks of scale, written to Parquet in parts that fit into memory.

python benchmarks/scale/simulate.py slopes FOLDER --rows 1e8 --groups 1e5
python benchmarks/scale/simulate.py ratings FOLDER --rows 32e6 --users 200000 --items 16000
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PART = 5_000_000
"""Rows of a file."""
TRUTH = {"Intercept": 5.0, "x": 0.3, "sd": (2.0, 0.5), "corr": 0.6, "sigma": 3.0}
RATINGS = {"Intercept": 3.5, "sd_user": 0.45, "sd_item": 0.5, "sigma": 0.85}


def slopes(folder: Path, rows: int, groups: int, seed: int = 1) -> None:
    """Random intercepts and slopes; x lies five sds from 0."""
    sd, corr = np.array(TRUTH["sd"]), TRUTH["corr"]
    factor = np.linalg.cholesky([[1.0, corr], [corr, 1.0]]) * sd[:, None]
    effects = np.random.default_rng(seed).standard_normal((groups, 2)) @ factor.T
    for i, n in enumerate(parts(rows)):
        rng = np.random.default_rng([seed, i + 1])
        g = rng.integers(0, groups, n).astype(np.int32)
        x = rng.normal(10.0, 2.0, n)
        y = TRUTH["Intercept"] + TRUTH["x"] * x + effects[g, 0] + effects[g, 1] * x
        y += rng.normal(0.0, TRUTH["sigma"], n)
        write(folder, i, {"g": g, "x": x, "y": y})


def ratings(folder: Path, rows: int, users: int, items: int, seed: int = 1) -> None:
    """Ratings of items by users, each pair once; activity and popularity have heavy tails.

    Of the shape of MovieLens: the median user has rated about 70 items and the most active thousands; a tenth
    of the items has most of the ratings.
    """
    rng = np.random.default_rng(seed)
    popularity = (np.arange(1, items + 1) + 20.0) ** -1.05
    popularity /= popularity.sum()
    activity = np.clip(rng.lognormal(np.log(70.0), 1.15, users), 20, items / 3)
    activity *= rows / activity.sum()
    of_user = rng.normal(0.0, RATINGS["sd_user"], users)
    of_item = rng.normal(0.0, RATINGS["sd_item"], items)
    cumulative = np.cumsum(popularity)
    step = max(1, int(users * PART / rows))
    for i, first in enumerate(range(0, users, step)):
        own = np.arange(first, min(first + step, users))
        counts = np.clip(activity[own], 1, items / 2).round().astype(int)
        pairs = distinct_pairs(own, counts, cumulative, rng)
        rng.shuffle(pairs)
        user, item = pairs // items, pairs % items
        y = RATINGS["Intercept"] + of_user[user] + of_item[item]
        y = np.clip(np.round(2.0 * (y + rng.normal(0.0, RATINGS["sigma"], len(y)))) / 2.0, 0.5, 5.0)
        columns = {"user": user.astype(np.int32), "item": item.astype(np.int32), "rating": y}
        write(folder, i, columns)


def distinct_pairs(
    users: np.ndarray, counts: np.ndarray, cumulative: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Numbers user · items + item, so many different items for each user."""
    items = len(cumulative)
    found = np.zeros(0, dtype=np.int64)
    missing = counts.copy()
    for _ in range(8):  # heavy users come across popular items twice
        drawn = np.searchsorted(cumulative, rng.random(int(missing.sum())))
        more = np.repeat(users, missing).astype(np.int64) * items + np.minimum(drawn, items - 1)
        found = np.unique(np.concatenate([found, more]))
        missing = counts - np.bincount(found // items - users[0], minlength=len(users))
        missing = np.maximum(missing, 0)
    return found


def parts(rows: int) -> list[int]:
    """Rows of each file."""
    return [min(PART, rows - first) for first in range(0, rows, PART)]


def write(folder: Path, number: int, columns: dict[str, np.ndarray]) -> None:
    """One file."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / f"part-{number:04}.parquet")


def main() -> None:
    """Simulate what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("slopes", "ratings"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=float, default=1e6)
    parser.add_argument("--groups", type=float, default=1e5)
    parser.add_argument("--users", type=float, default=200_000)
    parser.add_argument("--items", type=float, default=16_000)
    given = parser.parse_args()
    if given.what == "slopes":
        slopes(given.folder, int(given.rows), int(given.groups))
    else:
        ratings(given.folder, int(given.rows), int(given.users), int(given.items))


if __name__ == "__main__":
    main()
