"""The page of wrong inputs says what the package says, and every message tells what to do."""

import re
import sys
from pathlib import Path

import pytest

import bimixed as bm
from bimixed.vocabulary import _FIT, _PREDICT, _SPECIFICATION

DOCS = Path(__file__).parent.parent / "docs"
sys.path.insert(0, str(DOCS / "tables"))

import wrong_inputs  # noqa: E402

ADVICE = (
    r"put|add|write|did you mean|use|give|correct|leave|remove|read|bring|make|convert|take|fill|in place of"
    r"|comes first|known names"
)


def test_the_page_is_up_to_date():
    assert (DOCS / "errors.md").read_text(encoding="utf-8") == wrong_inputs.page()


@pytest.mark.parametrize("case", wrong_inputs.CASES, ids=lambda case: case[0])
def test_every_message_advises(case):
    assert re.search(ADVICE, wrong_inputs.message(case[2]).lower())


def test_there_are_twenty():
    assert len(wrong_inputs.CASES) >= 20


@pytest.mark.parametrize("name", _SPECIFICATION)
def test_arguments_of_other_packages_are_translated(name):
    with pytest.raises(bm.ArgumentError, match=f"{name}=") as caught:
        bm.ModelSpec("Reaction ~ Days + (1 | Subject)", wrong_inputs.sleep(), **{name: "x"})
    assert "{{" not in str(caught.value)


@pytest.mark.parametrize("name", _FIT)
def test_arguments_of_other_fits_are_translated(name):
    spec = wrong_inputs.fitted().spec
    with pytest.raises(bm.ArgumentError, match=f"{name}="):
        spec.fit(**{name: 5})


@pytest.mark.parametrize("name", _PREDICT)
def test_arguments_of_other_predicts_are_translated(name):
    with pytest.raises(bm.ArgumentError, match=f"{name}="):
        wrong_inputs.fitted().predict(**{name: 5})


def test_a_misspelt_argument_gets_a_suggestion():
    spec = wrong_inputs.fitted().spec
    with pytest.raises(bm.ArgumentError, match=r"Did you mean random_seed=\?"):
        spec.fit("nuts", randm_seed=1)
    with pytest.raises(bm.ArgumentError, match=r"Did you mean priors=\?"):
        bm.ModelSpec("Reaction ~ Days + (1 | Subject)", wrong_inputs.sleep(), prios={})
    with pytest.raises(bm.ArgumentError, match=r"by name: spec\.fit\('nuts'"):
        spec.fit("nuts", 1000)


def test_component_formulas_are_translated_as_well():
    with pytest.raises(bm.ArgumentError, match=r"vc_formula=\{'n': '0 \+ C\(night\)'\}"):
        bm.ModelSpec(
            "Reaction ~ Days", wrong_inputs.sleep(), groups="Subject", vc_formula={"n": "0 + C(night)"}
        )
