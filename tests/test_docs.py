"""Every Python block of the README and the guides runs as typed, one after the other."""

import re
import shlex
import warnings
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest

import bimixed as bm
from bimixed.cli import main

ROOT = Path(__file__).parent.parent
PAGES = [
    "README.md",
    "docs/specification.md",
    "docs/inference.md",
    "docs/interoperation.md",
    "docs/plots.md",
    "docs/reports.md",
]
OPTIONAL = {"docs/interoperation.md": "sklearn"}
"""What a page needs that bimixed doesn't."""


@pytest.mark.parametrize("page", PAGES)
def test_blocks_run(page, tmp_path, monkeypatch):
    if page in OPTIONAL:
        pytest.importorskip(OPTIONAL[page])
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    assert len(blocks) >= 3
    names = {"__name__": "page"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for block in blocks:
            exec(compile(block, page, "exec"), names)
            plt.close("all")


def test_commands_run(tmp_path, monkeypatch):
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    bm.load_dataset("radon").to_csv("radon.csv", index=False)
    text = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
    commands = "".join(re.findall(r"```bash\n(.*?)```", text, flags=re.S)).splitlines()
    assert len(commands) >= 5
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "bimixed"
        assert main(arguments) == 0, command


OTHERS = [
    "docs/errors.md",
    "docs/constructs.md",
    "docs/architecture.md",
    "docs/benchmarks.md",
    "docs/optima.md",
    "docs/calibration.md",
]


@pytest.mark.parametrize("page", [*PAGES, *OTHERS])
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), target
