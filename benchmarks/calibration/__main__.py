"""Run the study and make its page: ``python -m calibration`` in the folder of benchmarks."""

import argparse
import os
import sys
from pathlib import Path

from workers import HELP, hired

from bimixed import WorkerError

from .page import write
from .runs import RUNS
from .study import carry_out, load, save

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(prog="calibration", description=__doc__)
    parser.add_argument("--workers", default=str(os.cpu_count() or 1), help=HELP)
    parser.add_argument("--replications", type=int, help="of each run, in place of its own number")
    parser.add_argument("--results", type=Path, default=HERE / "ranks.npz")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "calibration.md")
    parser.add_argument("--partial", type=Path, default=ROOT / "out" / "calibration.jsonl")
    parser.add_argument("--page-only", action="store_true", help="from the results that there are")
    asked = parser.parse_args()
    if not asked.page_only:
        sizes = {run: asked.replications or own.replications for run, own in RUNS.items()}
        asked.partial.parent.mkdir(parents=True, exist_ok=True)
        try:
            with hired(asked.workers) as workers:
                save(carry_out(sizes, workers, asked.partial), asked.results)
        except (KeyboardInterrupt, WorkerError) as error:
            why = str(error) or "Stopped."
            sys.exit(f"\n{why} What is done is kept in {asked.partial}; the same command goes on from there.")
        asked.partial.unlink()
    write(load(asked.results), asked.page)


if __name__ == "__main__":
    main()
