"""The page of wrong inputs says what the package says, and every message tells what to do."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import bimixed as bm
from bimixed.vocabulary.asking import _PREDICT
from bimixed.vocabulary.fitting import _FIT, _REFIT
from bimixed.vocabulary.specifying import _SPECIFICATION

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


@pytest.mark.parametrize("name", _REFIT)
@pytest.mark.parametrize("where", ["refit", "refit_many"])
def test_arguments_of_bootstraps_are_translated(where, name):
    with pytest.raises(bm.ArgumentError, match=f"{where} has no {name}=") as caught:
        getattr(wrong_inputs.fitted(), where)(**{name: 5})
    assert "{" not in str(caught.value)


def test_bootstraps_are_told_what_simulates():
    fit = wrong_inputs.fitted()
    with pytest.raises(bm.ArgumentError, match=r"refit_many\(spec\.simulate\(.*random_seed=7\)\)"):
        fit.refit_many(random_seed=7)
    with pytest.raises(AttributeError, match=re.escape("write bm.bootstrap(")) as caught:
        fit.bootMer
    written = str(caught.value).split("write ")[1].removesuffix(".").replace("n=1000", "n=2")
    assert len(eval(written, {"fit": fit, "bm": bm}).replicates) == 2
    for name in ("simulate", "bootMer"):
        with pytest.raises(AttributeError, match="write "):
            getattr(bm, name)
    with pytest.raises(bm.ArgumentError, match=r"random_cov and sigma.*fit\.random_cov, fit\.sigma"):
        fit.spec.simulate(fit, n=3)


def test_responses_that_are_none_are_told():
    fit = wrong_inputs.fitted()
    y = fit.spec.design.y
    for bad in ("text", fit, {"a": 1}, list("abc")):
        with pytest.raises(bm.DataError, match=r"y is a .* give 180 finite values"):
            fit.refit(bad)
    with pytest.raises(bm.DataError, match=r"responses is a generator .* 180 rows"):
        fit.refit_many(y for _ in range(3))
    with pytest.raises(bm.DataError, match=r"responses\.T"):
        fit.refit_many([y, y])
    with pytest.raises(bm.DataError, match="use refit_many"):
        fit.refit(np.column_stack([y, y]))
    for call in (fit.refit, fit.refit_many):
        with pytest.raises(bm.ArgumentError, match="write fit"):
            call()


def test_starts_that_are_no_theta_are_told():
    fit = wrong_inputs.fitted()
    spec = fit.spec
    cases = [
        (fit, r"start=fit\.theta"),
        ({"x": [1.0]}, "misses 'Subject'"),
        ({}, "misses 'Subject'"),
        ({**fit.theta, "x": [1.0]}, "'x', which is no group"),
        ({"Subject": [1.0, 2.0]}, "give 1 values"),
        ({"Subject": "a"}, r"start\['Subject'\] is a str"),
        ("a", "start is a str"),
        (spec, r"result\.theta"),
        (1.0, r"result\.theta"),
    ]
    for start, words in cases:
        with pytest.raises(bm.FitError, match=words):
            spec.fit(start=start)
    assert spec.fit(start={"Subject": 1.0}).loglik == pytest.approx(fit.loglik, abs=1e-8)


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
