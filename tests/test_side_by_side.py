"""Tables for papers: every figure is the result's, and Markdown and LaTeX are read back as written."""

import re

import numpy as np
import pytest
from drawn import dyestuff, importance_fit

import bimixed as bm
from bimixed.results.markup import latex_text, markdown_text
from bimixed.side_by_side import estimate_text

ODD = "_y|<b>&%$#{}~^\\*`"


@pytest.fixture(scope="module")
def fits():
    data = bm.load_dataset("sleepstudy")
    reml = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", data).fit()
    return reml, bm.ModelSpec("Reaction ~ Days + I(Days**2) + (1 | Subject)", data).fit("ml")


def numbers(cell):
    return [float(text) for text in re.findall(r"-?\d+\.?\d*", cell.replace("$-$", "-"))]


def markdown_rows(text):
    lines = [line for line in text.split("\n") if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1  # aligned
    return {
        cells[0].replace("\\", ""): cells[1:]
        for cells in ([c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines)
    }


def latex_rows(text):
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [line.removesuffix(r" \\").split(" & ") for line in body.split("\n") if " & " in line]
    return {cells[0]: cells[1:] for cells in rows}


@pytest.mark.parametrize("rows_of", ["markdown", "latex"])
def test_every_figure_is_that_of_the_result(fits, rows_of):
    made = bm.table(*fits, digits=4)
    rows = markdown_rows(made.to_markdown()) if rows_of == "markdown" else latex_rows(made.to_latex())
    for place, fit in enumerate(fits):
        for name, row in fit.fixef.iterrows():
            got = numbers(rows[name][place])
            np.testing.assert_allclose(got, row, rtol=6e-4)
        table = fit.variance_table()
        for name, group, term in [("sd_Subject[Intercept]", "Subject", "Intercept"), ("sigma", None, None)]:
            got = numbers(rows[f"{group}: {term}" if group else "Residual"][place])
            np.testing.assert_allclose(got, table.loc[name], rtol=6e-4)
        assert rows["AIC"][place] == f"{fit.aic:.2f}"
        assert rows["Observations"][place] == "180"
    assert numbers(rows["REML log-likelihood"][0]) == [pytest.approx(fits[0].loglik, abs=0.006)]
    assert rows["REML log-likelihood"][1] == rows["Log-likelihood"][0] == ""
    correlation = numbers(rows["Subject: Intercept, Days"][0])[0]
    assert correlation == pytest.approx(fits[0].random_corr["Subject"].iloc[0, 1], abs=6e-5)
    assert rows["I(Days ** 2)"][0] == ""


def test_limits_in_brackets_and_draws():
    fit = importance_fit(dyestuff(), 1000)
    made = bm.table(fit, dyestuff().fit(), uncertainty="interval", level=0.8)
    rows = markdown_rows(made.to_markdown())
    limits = fit.conf_int(0.8)
    got = numbers(rows["Batch: Intercept"][0])[1:]
    np.testing.assert_allclose(got, limits.loc["sd_Batch[Intercept]"], rtol=1e-2)
    assert "limits of 80 % (draws: equal tails)" in made.notes[0]
    assert rows["AIC"][0] == ""
    assert made.table.columns.tolist() == ["Importance sampling", "REML"]


def test_a_variance_of_0_has_no_standard_error():
    fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2")).fit()
    assert markdown_rows(fit.to_markdown())["Batch: Intercept"] == ["0"]


def test_heads_are_methods_or_names(fits):
    reml = fits[0]
    assert bm.table(reml, reml).table.columns.tolist() == ["(1) REML", "(2) REML"]
    assert bm.table(*fits, names=["a", "b"]).table.columns.tolist() == ["a", "b"]
    for names in (["a"], ["a", "a"]):
        with pytest.raises(bm.DataError, match="a name of its own"):
            bm.table(*fits, names=names)
    for names in (5, "ab"):
        with pytest.raises(bm.DataError, match="give a list with a name for each result"):
            bm.table(*fits, names=names)
    for digits in (0, -1, 1.5):
        with pytest.raises(bm.FitError, match=r"digits is .*; it must be a whole number of at least 1"):
            bm.table(*fits, digits=digits)
    with pytest.raises(bm.ArgumentError, match="takes results"):
        bm.table()
    with pytest.raises(bm.ArgumentError, match="takes results"):
        bm.table(fits[0].fixef)
    with pytest.raises(bm.DataError, match="uncertainty is 'se'"):
        bm.table(*fits, uncertainty="se")


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (251.405, 6.8246, "251.41 (6.82)"),
        (123456.7, 4321.0, "123457 (4321)"),
        (-0.00123456, 0.000456789, "-0.001235 (0.000457)"),
        (0.0, 1.0, "0.00 (1.00)"),
        (3.14159, np.nan, "3.142"),
        (np.nan, 1.0, ""),
    ],
)
def test_digits_follow_the_standard_error(value, error, text):
    assert estimate_text(value, error, None, 3) == text


def test_signs_of_the_markup_are_text(fits):
    data = bm.load_dataset("sleepstudy").rename(columns={"Days": ODD})
    fit = bm.ModelSpec.from_arrays(
        data["Reaction"],
        np.column_stack([np.ones(180), data[ODD]]),
        data["Subject"],
        fixef_names=["one", ODD],
    ).fit()
    text = fit.to_markdown()
    row = next(line for line in text.split("\n") if "y\\|" in line)
    assert len(re.split(r"(?<!\\)\|", row)) == 4
    assert markdown_text("a_b _c I(x**2)") == r"a_b \_c I(x\*\*2)"
    latex = fit.to_latex(caption="50 % of y_1", label="tab:one")
    assert r"\caption{50 \% of y\_1}" in latex
    assert r"\label{tab:one}" in latex
    assert latex_text("x_1 -2.5 a-b") == r"x\_1 $-$2.5 a-b"
    bare = re.sub(
        r"\\([&%$#_{}]|text\w+\{\})", "", latex[latex.index("\\midrule") : latex.index("\\bottomrule")]
    )
    for line in bare.split("\n"):
        assert line.count("&") in (0, 1)
        assert not set("%#_~^") & set(line)


def test_notebook_html_is_well_formed_and_escaped(fits):
    from xml.etree import ElementTree

    tree = ElementTree.fromstring(bm.table(*fits)._repr_html_())
    rows = tree.findall(".//tr")
    cells = {row[0].text: [cell.text for cell in row[1:]] for row in rows}
    assert cells["Intercept"] == bm.table(*fits).table.loc[("Fixed effects", "Intercept")].tolist()
    assert cells["Intercept"][0] == "251.41 (6.82)"
    assert str(bm.table(*fits)) == bm.table(*fits).to_markdown()
