"""``. ~ . + x`` and its kin."""

import pytest

from bimixed.exceptions import FormulaError
from bimixed.formula import parse_formula, update_formula

OLD = "y ~ x + z + (x | g) + (1 | h) + offset(o)"
CASES = {
    ". ~ . + w": "y ~ x + z + w + offset(o) + (x | g) + (1 | h)",
    "log(.) ~ .": "log(y) ~ x + z + offset(o) + (x | g) + (1 | h)",
    ". ~ . - z": "y ~ x + offset(o) + (x | g) + (1 | h)",
    ". ~ . - z - x": "y ~ 1 + offset(o) + (x | g) + (1 | h)",
    ". ~ . - x + w - z": "y ~ w + offset(o) + (x | g) + (1 | h)",
    ". ~ . - w": "y ~ x + z - w + offset(o) + (x | g) + (1 | h)",
    ". ~ . - 1": "y ~ x + z - 1 + offset(o) + (x | g) + (1 | h)",
    ". ~ . - (1 | h)": "y ~ x + z + offset(o) + (x | g)",
    ". ~ . - (x|g) + (1|g)": "y ~ x + z + offset(o) + (1 | h) + (1 | g)",
    "w ~ 1 + (1 | g)": "w ~ 1 + (1 | g)",
    ". ~ 0 + x + (1 | g)": "y ~ 0 + x + (1 | g)",
    ". ~ . + .:w": "y ~ x + z + (x + z):w + offset(o) + (x | g) + (1 | h)",
    ". ~ .*w": "y ~ (x + z)*w + offset(o) + (x | g) + (1 | h)",
    ". ~ . - offset(o)": "y ~ x + z + (x | g) + (1 | h)",
    ". ~ . + offset(w)": "y ~ x + z + offset(o) + offset(w) + (x | g) + (1 | h)",
}


@pytest.mark.parametrize("text", CASES)
def test_updated(text):
    updated = update_formula(parse_formula(OLD), text)
    assert updated == CASES[text]
    parse_formula(updated)


@pytest.mark.parametrize(
    ("fixed", "term", "updated"),
    [
        ("x + firm", "x", "firm"),
        ("x + x:z + z", "x", "x:z + z"),
        ("x + x:z + z", "x:z", "x + z"),
        ("x + C(f, Sum) + `a b`", "C(f, Sum)", "x + `a b`"),
        ("x + C(f, Sum) + `a b`", "`a b`", "x + C(f, Sum)"),
        ("0 + x + z", "x", "0 + z"),
        ("1 + x", "1", "1 + x - 1"),
        # terms that may hold the one taken out, or a difference
        ("x + x*z", "x", "x + x*z - x"),
        ("x + (x + z)", "x", "x + (x + z) - x"),
        ("x + z - 1", "x", "x + z - 1 - x"),
        ("x + .", "x", "x + . - x"),
        ("x + x:(1 + z)", "x", "x + x:(1 + z) - x"),
    ],
)
def test_terms_are_taken_out_of_the_text_where_that_is_all(fixed, term, updated):
    old = parse_formula(f"y ~ {fixed} + (1 | g)")
    assert update_formula(old, f". ~ . - {term}") == f"y ~ {updated} + (1 | g)"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (". ~ . - (1 | k)", "no term (1 | k)"),
        (". ~ . + (. | g)", "'.' inside a bar"),
        (". ~ . +", "Nothing follows"),
        (". + x", "both sides, '.' for the old response: write '. ~ . + x'"),
        ("~ . - x", "write '. ~ . - x'"),
    ],
)
def test_wrong_updates(text, cause):
    with pytest.raises(FormulaError) as caught:
        update_formula(parse_formula(OLD), text)
    assert cause in str(caught.value)
