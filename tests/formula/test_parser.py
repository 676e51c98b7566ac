import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bimixed import FormulaError
from bimixed.formula import parse_formula

TERMS = [
    ("y ~ x + (1 + x | g)", "x", [("1 + x", "g", True)]),
    ("y ~ (1|g)", "1", [("1", "g", True)]),
    ("y ~ x + (x || g)", "x", [("x", "g", False)]),
    ("y ~ 0 + x + (0 + x | g) + z", "0 + x + z", [("0 + x", "g", True)]),
    ("y ~ x - 1 + (1 | a:b)", "x - 1", [("1", "a:b", True)]),
    ("y ~ x + (1 | a/b)", "x", [("1", "a", True), ("1", "a:b", True)]),
    ("y ~ 1 + (x | a/b/c)", "1", [("x", "a", True), ("x", "a:b", True), ("x", "a:b:c", True)]),
    ("y ~ (1 | a) + x*(b + c)**2 + (1 | b)", "x*(b + c)**2", [("1", "a", True), ("1", "b", True)]),
    ("y ~ I(a | b) + (log(x) | `my group`)", "I(a | b)", [("log(x)", "my group", True)]),
    ("y ~ x + -1 + (1 | g)", "x - 1", [("1", "g", True)]),
    ("y ~ x**-1 + (1 | g)", "x**-1", [("1", "g", True)]),
    ('y ~ C(f, contr.treatment("a|b")) + (1 | g)', 'C(f, contr.treatment("a|b"))', [("1", "g", True)]),
    ("y ~ x\n    + (1 | g)", "x", [("1", "g", True)]),
]


@pytest.mark.parametrize(("text", "fixed", "random"), TERMS)
def test_terms(text, fixed, random):
    formula = parse_formula(text)
    assert formula.fixed == fixed
    assert [(t.lhs, t.key, t.correlated) for t in formula.random] == random


@pytest.mark.parametrize(("text", "fixed", "random"), TERMS)
def test_printing_and_parsing_again_gives_the_same_terms(text, fixed, random):
    again = parse_formula(str(parse_formula(text)))
    assert again.fixed == fixed
    assert [(t.lhs, t.key, t.correlated) for t in again.random] == random


def test_offsets_are_taken_out():
    formula = parse_formula("y ~ x + offset(log(n)) + (1 | g) + offset(z)")
    assert formula.offsets == ("log(n)", "z")
    assert formula.fixed == "x"


WRONG = [
    ("y ~ x + (1 | g", 8, "never closed"),
    ("y ~ x + 1 | g)", 13, "closes nothing"),
    ("y ~ x | g", 6, "outside parentheses"),
    ("y ~ x * (1 | g)", 11, "stands by itself"),
    ("y ~ a + (b + (1 | g))", 16, "stands by itself"),
    ("y ~ x - (1 | g)", 8, "added with '+'"),
    ("y ~ (| g)", 4, "left of the bar"),
    ("y ~ (1 | )", 7, "right of the bar"),
    ("y ~ (1 | g | h)", 11, "One bar"),
    ("y ~ (1 | 3)", 9, "A group is a column"),
    ("y ~ (1 | a + b)", 11, "no meaning between groups"),
    ("y ~ (1 | a*b)", 10, "(1 | a:b)"),
    ("y ~ x +", 6, "Nothing follows"),
    ("y ~ ", 4, "Nothing stands right"),
    ("~ x + (1 | g)", 0, "has a response"),
    ("y ~ x ~ z", 6, "has a response"),
    ("y | z ~ x", 2, "can't stand in the response"),
    ("y ~ C('a) + (1 | g)", 6, "quote"),
]


@pytest.mark.parametrize(("text", "position", "cause"), WRONG)
def test_errors_underline_the_place_and_name_the_cause(text, position, cause):
    with pytest.raises(FormulaError, match=re.escape(cause)) as caught:
        parse_formula(text)
    _, shown, marker = str(caught.value).rsplit("\n", 2)
    assert shown == f"    {text}"
    assert marker.index("^") - 4 == position


def test_a_formula_is_a_string():
    with pytest.raises(FormulaError, match="not a int"):
        parse_formula(3)


@given(st.text(alphabet="yxgab ~+-*|():/01`'\\[]{},.", max_size=30))
def test_any_text_gives_terms_or_our_error(text):
    try:
        formula = parse_formula(text)
    except FormulaError:
        return
    assert formula.response
    assert formula.fixed
