"""MathML of equations: every structure is read, and has the letters of the LaTeX."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

import bimixed as bm
from bimixed.equation import equation
from bimixed.reports.mathml import mathml


def parsed(design):
    return ElementTree.fromstring(mathml(equation(design)))


def words(root):
    return "".join(root.itertext())


DATA = {
    "a_b": [1.0, 2.0, 3.0, 5.0, 4.0, 7.0, 8.0, 6.0],
    "x y": [0.0, 1.0, 0.0, 1.0, 2.0, 1.0, 0.0, 3.0],
    "g": list("aabbccdd"),
    "h": list("abababab"),
    "w": [1.0, 2.0] * 4,
    "f": list("pqrspqrs"),
    "k": list("ppqqpprr"),
}


def test_an_intercept_by_hand():
    spec = bm.ModelSpec("a_b ~ 1 + (1 | g)", DATA)
    root = parsed(spec.design)
    rows = root.findall("mtable/mtr")
    assert [words(row) for row in rows] == [
        "a_bi=β0+ug[i]+εi",
        "uj∼𝒩(0,σg2),j=1,…,4",
        "εi∼𝒩(0,σ2),i=1,…,8",
    ]
    assert all(len(row.findall("mtd")) == 2 for row in rows)
    below, above = rows[1].find(".//msubsup")[1:]
    assert (words(below), words(above)) == ("g", "2")


@pytest.mark.parametrize(
    "formula",
    [
        "a_b ~ `x y` + (`x y` | g)",
        "a_b ~ `x y` + (`x y` || g) + (1 | h)",
        "a_b ~ `x y` + (0 + f | g)",
        "a_b ~ 0 + (1 | g) + (1 | k)",
        "a_b ~ offset(w) + (1 | g)",
        "I(a_b**2) ~ f + (1 | g)",
    ],
)
@pytest.mark.filterwarnings("ignore::bimixed.IdentificationWarning")
def test_every_letter_of_the_latex_is_there(formula):
    design = bm.ModelSpec(formula, DATA).design
    latex = equation(design)
    shown = words(parsed(design))
    for command, letter in {r"\beta": "β", r"\rho": "ρ", r"\varepsilon": "ε", r"\sim ": "∼"}.items():
        assert shown.count(letter) == len(re.findall(re.escape(command) + r"(?![a-z])", latex)), letter
    assert not re.search(r"[\\{}&]", shown)
    matrices = latex.count(r"\begin{pmatrix}")
    assert len(parsed(design).findall(".//mtable[@class='matrix']")) == matrices


def test_names_are_set_as_they_are():
    names = ["x<y", 'a"&b', "50%", "a{b}", "p$q#r", "u^v", "s~t", "ä_β"]
    rng = np.random.default_rng(1)
    X = np.column_stack([np.ones(40), rng.normal(size=(40, len(names)))])
    groups = np.repeat(np.arange(8), 5)
    spec = bm.ModelSpec.from_arrays(rng.normal(size=40), X, groups, fixef_names=["Intercept", *names])
    shown = words(parsed(spec.design)).replace("\u00a0", " ")
    assert all(name in shown for name in names)


def test_many_columns_are_a_product():
    rng = np.random.default_rng(2)
    X = np.column_stack([np.ones(60), rng.normal(size=(60, 30))])
    design = bm.ModelSpec.from_arrays(rng.normal(size=60), X, np.repeat(np.arange(6), 10)).design
    assert "𝐱i⊤𝛃" in words(parsed(design))


def test_other_latex_is_an_error():
    with pytest.raises(KeyError):
        mathml(r"\begin{aligned} \alpha \end{aligned}")
