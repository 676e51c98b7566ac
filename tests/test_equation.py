"""The model in LaTeX: balanced, and every line can be set."""

import matplotlib
import numpy as np
import pytest
from matplotlib import mathtext

import bimixed as bm

FORMULAS = [
    "log_radon ~ floor + log_uranium + (1 + floor | county)",
    "log_radon ~ poly(floor, 1) + C(floor) + (1 | county)",
    "log_radon ~ 0 + floor + (floor || county) + offset(log_uranium)",
    "log_radon ~ county + (1 | floor:county)",
    "log_radon ~ floor * log_uranium + (floor * log_uranium | county)",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_lines_can_be_set(formula):
    """Matplotlib's own TeX parser reads each line; matrices, which it doesn't know, are checked apart."""
    matplotlib.use("Agg")
    text = bm.ModelSpec(formula, bm.load_dataset("radon")).equation()
    assert text.startswith("\\begin{aligned}\n")
    assert text.endswith("\n\\end{aligned}")
    assert text.count("{") == text.count("}")
    assert text.count("\\begin{pmatrix}") == text.count("\\end{pmatrix}")
    for line in text.split("\n")[1:-1]:
        if "pmatrix" not in line:
            plain = line.removesuffix(" \\\\").replace("&", "").replace("\\boldsymbol", "\\mathbf")
            mathtext.MathTextParser("path").parse(f"${plain}$")


def test_terms_of_the_radon_model():
    lines = bm.ModelSpec(FORMULAS[0], bm.load_dataset("radon")).equation().split("\n")
    county = r"\mathrm{county}"
    assert lines[1].startswith(r"\mathrm{log\_radon}_i &= \beta_{0} + \beta_{1}\,\mathrm{floor}_i")
    assert rf"u_{{0,\,{{{county}[i]}}}} + u_{{1,\,{{{county}[i]}}}}\,\mathrm{{floor}}_i" in lines[1]
    assert rf"\rho_{{{county},01}} \sigma_{{{county},0}} \sigma_{{{county},1}}" in lines[2]
    assert r"j = 1, \dots, 85" in lines[2]
    assert lines[3] == r"\varepsilon_i &\sim \mathcal{N}(0,\, \sigma^2), \quad i = 1, \dots, 919"


def test_weights_and_components():
    data = bm.load_dataset("sleepstudy").assign(w=2.0)
    text = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", data, weights="w").equation()
    assert r"\sigma^2 / w_i" in text
    Z = np.abs(np.random.default_rng(0).normal(size=(180, 9)))
    spec = bm.ModelSpec.from_arrays(data["Reaction"], np.ones((180, 1)), exog_vc={"m": Z})
    assert r"\sum_{j} z^{\mathrm{m}}_{ij}\, u_j" in spec.equation()
