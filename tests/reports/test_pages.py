"""What pages say: figures of the tables, names as text, references of what was used, code that runs."""

import html
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import bimixed as bm
from bimixed.reports.elements import table, text
from bimixed.reports.pages import result_page
from bimixed.reports.sources import REFERENCES, USES, code_of, used

VOID = {"meta", "img"}


class Balanced(HTMLParser):
    """Fails where an element isn't closed by its own tag."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag == "mspace"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", ["reml", "nuts", "both", "singular", "odd"])
def test_elements_are_balanced_and_nothing_comes_from_elsewhere(pages, name):
    reader = Balanced()
    reader.feed(pages[name])
    assert reader.open == []
    assert not reader.seen & {"script", "link", "iframe", "object", "b", "i"}
    assert not re.search(r"https?:|url\(|@import", pages[name])
    assert "{" not in re.sub(r"<(style|pre).*?</\1>|data:[^\"]*", "", pages[name], flags=re.S)


def test_figures_are_those_of_the_result(pages, radon_reml):
    page = pages["reml"]
    for value in radon_reml.coef_table()["estimate"]:
        assert f"<td>{value:.4f}</td>" in page
    limits = radon_reml.conf_int().loc["sd_county[floor]"]
    row = re.search(r'<th scope="row">sd_county\[floor\]</th>(.*?)</tr>', page).group(1)
    assert f"<td>{limits['lower']:.4f}</td><td>{limits['upper']:.4f}</td>" in row
    counts = bm.load_dataset("radon")["county"].value_counts()
    county = re.search(r'<th scope="row">county</th>(.*?)</tr>', page[page.index("fewest rows") :]).group(1)
    found = [float(cell) for cell in re.findall(r"<td>(.*?)</td>", county)]
    assert found == [85, counts.min(), counts.median(), counts.max()]


def test_extremes_are_the_highest_and_lowest(pages, radon_reml):
    order = radon_reml.ranef["county"]["floor"].sort_values(ascending=False, kind="stable")
    part = pages["reml"][pages["reml"].index("floor: deviations from the population") :]
    shown = re.findall(r'<tr><th scope="row">(.*?)</th>', part)[:11]
    assert shown == [*order.index[:5], "…", *order.index[-5:]]


def test_what_was_left_out_is_told(pages):
    assert (
        "1, because a value is missing, by column: re &quot;act&quot; &lt;b&gt;&amp;amp;&lt;/b&gt; 1"
        in (pages["odd"])
    )


def test_diagnostics_say_what_to_do(pages, singular, few_draws):
    assert "converged to a boundary" in pages["singular"]
    for message in (*singular.diagnostics.messages, *few_draws.diagnostics.messages):
        assert html.escape(message) in pages["singular"] + pages["nuts"]
    assert "chains agree up to 1.01" in pages["nuts"]
    assert "No Wald limits for sd_Batch[Intercept]" in pages["singular"]
    assert 'class="lead"' in pages["reml"] and 'class="lead warn"' in pages["singular"]


def test_references_are_of_what_was_used(radon_reml, few_draws, odd):
    assert used(radon_reml) == ["reml", "lme4", "satterthwaite", "lmertest", "henderson", "r2"]
    assert {"nuts", "rhat", "lkj", "half-t"} <= set(used(few_draws))
    assert "reml" not in used(odd)
    assert REFERENCES.keys() == USES.keys()


def test_the_code_makes_the_same_fit(few_draws, radon_reml):
    code = code_of({"reml": radon_reml, "nuts": few_draws})
    assert "random_seed=1" in code and "draws=100" in code
    assert "919 rows" in code
    names = {}
    runnable = code.replace("data = ...", 'data = bm.load_dataset("radon")').replace(
        'spec.fit("nuts"', "list((spec"
    )
    runnable = "\n".join(line for line in runnable.split("\n") if not line.startswith(("nuts", "comparison")))
    exec(runnable, names)
    assert names["reml"].loglik == radon_reml.loglik


def test_the_code_has_weights_priors_and_options():
    data = bm.load_dataset("sleepstudy").assign(w=1.5)
    prior = bm.Prior("normal", mu=10, sigma=0.1234567891)
    spec = bm.ModelSpec(
        "Reaction ~ Days + (1 | Subject)", data, weights="w", na_action="raise", priors={"Days": prior}
    )
    fit = spec.fit("importance", draws=500, random_seed=3)
    names = {"data": data}
    code = code_of({"importance": fit}).replace("data = ...", "")
    exec(code, names)
    again = names["fit"]
    assert again.spec.given_priors == {"Days": prior}
    np.testing.assert_array_equal(again.posterior["posterior"]["fixef"], fit.posterior["posterior"]["fixef"])
    assert "No random_seed is known" not in result_page(fit)
    assert "No random_seed is known of importance" in result_page(spec.fit("importance", draws=500))


def test_statsmodels_vocabulary_keeps_its_call():
    data = bm.load_dataset("sleepstudy")
    spec = bm.ModelSpec.from_groups("Reaction ~ Days", data, groups="Subject", re_formula="~ Days")
    names = {"data": data}
    exec(code_of({"reml": spec.fit()}).replace("data = ...", ""), names)
    assert names["fit"].formula == spec.formula


def test_arrays_and_refits_have_pages(radon_reml, tmp_path):
    rng = np.random.default_rng(1)
    X = np.column_stack([np.ones(60), rng.normal(size=60)])
    fit = bm.ModelSpec.from_arrays(rng.normal(size=60), X, np.repeat(np.arange(12), 5)).fit()
    assert "from_arrays" in fit.to_html(tmp_path / "arrays.html").read_text(encoding="utf-8")
    refitted = radon_reml.refit(radon_reml.design.y[::-1])
    assert "log_radon" in refitted.to_html(tmp_path / "refit.html").read_text(encoding="utf-8")


def test_a_page_is_the_same_text_again(singular):
    first = result_page(singular)
    assert first == result_page(singular)


def test_the_callers_figures_and_style_stay(singular):
    import matplotlib.pyplot as plt

    figure = plt.figure()
    with plt.style.context("dark_background"):
        page = result_page(singular)
        assert plt.get_fignums() == [figure.number]
    assert page == result_page(singular)
    plt.close(figure)


def test_control_characters_and_half_pairs_are_replaced():
    assert text("a\x00b\ud800c<") == "a\ufffdb\ufffdc&lt;"


def test_numbers_stand_right_and_texts_left():
    import pandas as pd

    frame = pd.DataFrame({"n": ["5", "12.5 %"], "t": ["5", "a"]}, index=pd.Index(["u", "v"], name="i"))
    shown = table(frame)
    assert '<th scope="col">n</th><th scope="col" class="text">t</th>' in shown
    assert '<td>12.5 %</td><td class="text">a</td>' in shown


def test_a_page_needs_a_folder(singular, tmp_path):
    with pytest.raises(bm.DataError, match="no folder"):
        singular.to_html(tmp_path / "missing" / "page.html")
    with pytest.raises(bm.DataError, match="can't be written"):
        singular.to_html(tmp_path)
