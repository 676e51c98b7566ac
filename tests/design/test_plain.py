"""Numeric columns made directly are formulaic's."""

import formulaic
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bimixed as bm
from bimixed.design.matrices import Part, build_parts
from bimixed.design.plain import PlainSpec

OPERATORS = [" + ", " * ", ":", " - ", " / "]


def table(n=30):
    rng = np.random.default_rng(0)
    data = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "my c"])
    return data.assign(i=rng.integers(0, 9, n), f=rng.choice(["u", "v"], n), flag=rng.random(n) > 0.5)


@settings(max_examples=150, deadline=None)
@given(
    names=st.lists(st.sampled_from(["a", "b", "i", "`my c`", "1", "0"]), min_size=1, max_size=5),
    operators=st.lists(st.sampled_from(OPERATORS), min_size=5, max_size=5),
    power=st.booleans(),
)
def test_columns_and_names_are_those_of_formulaic(names, operators, power):
    text = names[0] + "".join(o + n for o, n in zip(operators, names[1:], strict=False))
    text = f"({text})**2" if power else text
    try:
        part = build_parts({"part": Part(f"0 + {text}", "here")}, table(), {})["part"]
    except bm.BimixedError:  # a term taken out that isn't there, a number as a term
        return
    theirs = formulaic.Formula(part=f"0 + {text}").part.get_model_matrix(table(), output="numpy")
    assert isinstance(part.spec, PlainSpec)
    assert part.names == tuple(theirs.model_spec.column_names)
    np.testing.assert_allclose(part.values, np.asarray(theirs, dtype=float).reshape(30, -1), rtol=1e-15)


@pytest.mark.parametrize("text", ["a + f", "flag", "C(i)", "log(i + 1)", "2:a", "I(a)", "f:a", "scale(a)"])
def test_everything_else_is_left_to_formulaic(text):
    part = build_parts({"part": Part(text, "here")}, table(), {})["part"]
    assert not isinstance(part.spec, PlainSpec)
