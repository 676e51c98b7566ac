"""The study of intervals: its page is made of its results, and a replication holds what it should."""

import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
study = import_module("interval_coverage")


def test_the_page_is_made_of_the_results():
    found = json.loads((ROOT / "benchmarks" / "interval_coverage.json").read_text(encoding="utf-8"))
    assert (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8") == study.page(found)


@pytest.mark.filterwarnings("ignore::bimixed.BimixedWarning")
def test_a_replication(monkeypatch):
    monkeypatch.setattr(study, "BOOTSTRAP", 10)
    scenario = study.SCENARIOS["few"]
    held = study.replication(scenario, 1)
    assert held == study.replication(scenario, 1)
    assert {parameter for parameter, _ in held} == {*scenario.truth, "response of a new group"}
    assert 0.5 < held["response of a new group", "REML"] <= 1.0
    assert all(np.isnan(value) or 0.0 <= value <= 1.0 for value in held.values())


@pytest.mark.parametrize("name", study.SCENARIOS)
def test_designs(name):
    table, new = study.SCENARIOS[name].draw(np.random.default_rng(0))
    assert len(new) == study.NEW
    assert not set(table["g"]) & set(new["g"])
