"""Models with hundreds of coefficients are printed in part, others in whole."""

import numpy as np
import pytest

import bimixed as bm
from bimixed.shortening import MANY, listed, short_formula


def many(p):
    rng = np.random.default_rng(p)
    X = np.column_stack([np.ones(900), rng.normal(size=(900, p - 1))])
    groups = rng.integers(0, 30, 900)
    y = rng.normal(size=30)[groups] + rng.normal(size=900)
    return bm.ModelSpec.from_arrays(y, X, groups)


@pytest.fixture(scope="module")
def large():
    return many(301)


def test_sixty_coefficients_are_shown_in_whole():
    spec = many(MANY)
    fit = spec.fit()
    for text in (str(fit), fit._repr_html_(), str(bm.compare(fit, spec.fit("ml")))):
        assert all(f"x{j}" in text for j in range(1, MANY))
        assert "left out" not in text
    assert str(spec).split("\n")[0] == spec.formula == fit.formula


def test_of_hundreds_the_first_and_last_are_shown(large):
    fit = large.fit()
    comparison = bm.compare(fit, large.fit("ml"))
    for text, whole in (
        (str(fit), "fit.coef_table()"),
        (fit._repr_html_(), "fit.coef_table()"),
        (str(comparison), "comparison.fixef"),
        (comparison._repr_html_(), "comparison.fixef"),
    ):
        assert f"271 of 301 rows are left out; {whole} has all." in text
        assert len(text.split("\n")) < (600 if text.startswith("<") else 60)
        assert "x19" in text
        assert "x300" in text
        assert "x150" not in text
    assert "fit.formula has all of it" in str(fit)
    assert len(fit.formula) > 2000


def test_specifications_of_hundreds_are_short(large):
    for text in (str(large), large._repr_html_(), repr(large)):
        assert len(text) < 1200
        assert "(Intercept | groups)" in text
    assert "301 columns of fixed effects: spec.fixed has their names" in str(large)
    assert "spec.formula has all of it" in str(large)


def test_the_page_of_hundreds_shows_what_doesn_t_agree(large, tmp_path):
    comparison = bm.compare(large.fit(), large.fit("ml"))
    page = comparison.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    odd = int((comparison.agreement["verdict"] != "agrees").sum())
    rows = len(comparison.agreement)
    assert f"{rows - odd} of {rows} rows agree and aren&#x27;t shown; comparison.agreement has all." in page
    assert '<th scope="row">x150</th>' not in page
    assert '<th scope="row">sigma</th>' in page


def test_priors_of_hundreds_are_printed_in_part(large):
    text = str(large.priors)
    assert len(text.split("\n")) == 17
    assert "… (288 more) …" in text
    assert "sd_groups[Intercept]  Prior" in text
    assert text.split("\n")[-2].startswith("sigma ")
    assert "dict(spec.priors) all" in text
    assert len(dict(large.priors)) == 303
    some = many(20)
    assert "more" not in str(some.priors)
    assert len(str(some.priors).split("\n")) == 22


def test_the_picture_of_thousands_is_of_a_size(large, tmp_path):
    fit = large.fit()
    comparison = bm.compare(fit, large.fit("ml"))
    figure = comparison.plot()
    assert figure.get_size_inches()[1] < 40
    (forest,) = [ax for ax in figure.axes if ax.get_title("left").startswith("Fixed effects")]
    labels = [label.get_text() for label in forest.get_yticklabels()]
    assert labels == fit.fixef.index[:MANY].tolist()
    assert "the first 60 of 301; comparison.fixef has all" in forest.get_title("left")
    page = comparison.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Fixed effects: estimates with 95 % intervals of the first 60 of 301" in page


def test_dropped_columns_are_counted():
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(200), rng.normal(size=(200, 2))])
    X = np.column_stack([X, X[:, 1:] @ rng.normal(size=(2, 80))])
    spec = bm.ModelSpec.from_arrays(rng.normal(size=200), X, rng.integers(0, 9, 200))
    notes = next(note for note in spec.fit().summary().notes if note.startswith("Dropped"))
    assert "(65 more)" in notes


def test_formulas_are_cut_between_terms():
    assert short_formula("y ~ f + (x | g)") == "y ~ f + (x | g)"
    text = "y ~ " + " + ".join(f"I(a + x{j})" for j in range(200)) + " + (1 + x | g) + (1 | h)"
    short = short_formula(text)
    assert short.startswith("y ~ I(a + x0) + ")
    assert short.endswith(" + I(a + x199) + (1 + x | g) + (1 | h)")
    assert "(187 more)" in short
    assert short.count("+") < 40
    assert listed("ab") == "a, b"
