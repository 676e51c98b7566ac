"""Any string is a formula or an error of ours, in no time; what is read prints back to the same terms."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bimixed as bm
from bimixed.formula import parse_formula

PIECES = [
    *["x", "f", "g", "y", "1", "0", "2", "`a b`", "I(x**2)", "log(x)", "C(f)", "poly(x, 2)", "offset(x)"],
    *[" + ", " + ", " - ", " * ", ":", " / ", " ** ", " ^ ", " | ", " || ", " ~ ", "(", ")", "(1 | g)"],
    *[".", ",", "'", '"', "`", "[", "]", "{", "}", "%in%", "=", "é", "\n", "@", "!", "&", "<", "lambda"],
]
TERMS = ["x", "z", "x:z", "f", "I(x**2)", "log(x)", "`a b`", "C(f, contr.sum)", "poly(x, 2)", "(x + z)**2"]
LEFT = ["1", "x", "1 + x", "0 + x", "0 + f", "x + z", "scale(x)", "`a b`"]
GROUPS = ["g", "g:h", "g/h", "g/h/k", "g:h:k", "`a b`", "C(g)", "round(x)", "`a b`:g", "(g/h):k", "t.dt.year"]


def terms(formula):
    random = [(t.lhs, t.group, t.correlated) for t in formula.random]
    return formula.response, formula.fixed, formula.offsets, random


def table():
    rng = np.random.default_rng(0)
    n = 40
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "f": rng.choice(["u", "v"], n),
            "g": rng.integers(0, 5, n),
            "a b": rng.integers(0, 4, n),
        }
    )


DATA = table()


@settings(max_examples=600, deadline=None)
@given(
    middle=st.lists(st.sampled_from(PIECES), max_size=9).map("".join),
    frame=st.sampled_from(["{}", "y ~ {} + (1 | g)", "y ~ x + ({} | g)", "y ~ x + (1 | {})"]),
)
@pytest.mark.filterwarnings("ignore")
def test_pieces_in_any_order_give_a_model_or_an_error_of_ours(middle, frame):
    text = frame.format(middle)
    began = time.perf_counter()
    try:
        parsed = parse_formula(text)
        assert terms(parse_formula(str(parsed))) == terms(parsed)
        bm.ModelSpec(text, DATA)
    except bm.BimixedError as error:
        assert len(str(error)) > 20
    assert time.perf_counter() - began < 10.0


@settings(max_examples=400, deadline=None)
@given(text=st.text(max_size=30), wrap=st.booleans())
@pytest.mark.filterwarnings("ignore")
def test_any_text_gives_a_model_or_an_error_of_ours(text, wrap):
    try:
        spec = bm.ModelSpec(f"y ~ {text} + (1 | nowhere)" if wrap else text, DATA)
    except bm.BimixedError as error:
        assert len(str(error)) > 20
    else:  # a text that happens to be a model of these columns
        assert not wrap
        assert spec.design.n == 40


@pytest.mark.parametrize(
    "text",
    [
        "y ~ " + "(" * 3000 + "x" + ")" * 3000 + " + (1 | nowhere)",
        "y ~ I(" + "(" * 3000 + "x" + ")" * 3000 + ") + (1 | g)",
        "y ~ (x + f + g)**20 + (1 | g)",
        "y ~ x**99999999999 + (1 | g)",
        "y ~ " + "*".join(["x", "f", "g"] * 10) + " + (1 | g)",
        "y ~ (1 | " + "(" * 3000 + "g" + ")" * 3000 + ")",
        "y ~ (1 | " + "/".join(["g"] * 2000) + ")",
        "y ~ " + "-" * 2000 + "x + (1 | g)",
    ],
    ids=range(8),
)
def test_formulas_that_would_take_for_ever_are_refused(text):
    began = time.perf_counter()
    with pytest.raises(bm.BimixedError):
        bm.ModelSpec(text, DATA)
    assert time.perf_counter() - began < 5.0


@settings(max_examples=200, deadline=None)
@given(
    fixed=st.lists(st.sampled_from(TERMS), max_size=4),
    random=st.lists(
        st.tuples(st.sampled_from(LEFT), st.sampled_from(["|", "||"]), st.sampled_from(GROUPS)),
        min_size=1,
        max_size=3,
    ),
    offset=st.booleans(),
    spaces=st.sampled_from(["", " ", "  ", "\n  "]),
)
def test_a_formula_prints_back_and_parses_to_the_same_terms(fixed, random, offset, spaces):
    parts = [*fixed, *(f"({left} {bar} {group})" for left, bar, group in random)]
    parts += ["offset(log(x))"] if offset else []
    text = f"log(y) ~ {f'{spaces}+{spaces}'.join(parts)}"
    once = parse_formula(text)
    again = parse_formula(str(once))
    assert terms(again) == terms(once)
    assert str(again) == str(once)
    assert {left for left, _, _ in random} == {t.lhs for t in once.random}
