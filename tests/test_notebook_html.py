"""Everything that a notebook may end a cell with has HTML, whose elements are closed and names escaped."""

from html.parser import HTMLParser

import pytest
from odd_names import COVARIATE, FORMULA, GROUP, odd_data

import bimixed as bm

NO_RESULTS = {"MixedRegressor", "Prior"}
"""Public classes that notebooks show in their own way, or that are one line."""


class Balanced(HTMLParser):
    """Fails where an element isn't closed by its own tag, or isn't one that tables and texts need."""

    KNOWN = frozenset(
        ["div", "h3", "h4", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "p", "code"]
    )

    def __init__(self):
        super().__init__()
        self.open, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        assert tag in self.KNOWN, tag
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def words(page):
    reader = Balanced()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader.text


@pytest.fixture(scope="module")
def odd():
    data = odd_data()
    data["sex <i>"] = ["f <b>" if int(v.split("(")[1][:3]) % 2 else "m" for v in data[GROUP]]
    return bm.ModelSpec(FORMULA.replace("~ ", "~ `sex <i>` + "), data)


@pytest.fixture(scope="module")
def objects(odd):
    fit = odd.fit("ml")
    small = odd.update(f". ~ . - (`{COVARIATE}` | `{GROUP}`) + (1 | `{GROUP}`)").fit("ml")
    return {
        "ModelSpec": odd,
        "MixedModelResult": fit,
        "Priors": odd.priors,
        "Diagnostics": fit.diagnostics,
        "Comparison": bm.compare(fit, odd.fit()),
        "MarginalMeans": bm.emmeans(fit, "sex <i>"),
        "HypothesisTest": fit.test([[0.0] * (len(odd.fixed) - 1) + [1.0]]),
        "LikelihoodRatioTest": bm.lrtest(small, fit),
        "VarianceTest": bm.rlrt(small, GROUP),
        "Profile": bm.profile(small, ["sigma"], progress=False),
        "Bootstrap": bm.bootstrap(small, n=20, random_seed=1, progress=False),
        "DropOne": bm.drop1(fit),
        "Elimination": bm.step(fit),
        "PriorCheck": bm.prior_check(odd.fit("importance", draws=2000, random_seed=1)),
        "ConditionalAic": fit.conditional_aic(),
        "Moments": bm.cross_products(odd),
        "Pooling": bm.pooling(odd),
        "ResultTable": bm.table(fit),
        "LazyPredictions": fit.predict([odd.recipe["data"]]),
        "SingularityExplanation": bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2"))
        .fit()
        .explain_singular(),
    }


def test_every_public_class_of_results_is_here(objects):
    public = {name for name in bm.__all__ if isinstance(getattr(bm, name, None), type)}
    results = {name for name in public if not issubclass(getattr(bm, name), BaseException)} - NO_RESULTS
    assert results <= objects.keys()
    for name, shown in objects.items():
        assert type(shown).__name__ == name


def test_html_is_whole_and_names_are_text(objects):
    of_odd_names = 0
    for name, shown in objects.items():
        page = shown._repr_html_()
        told = words(page)
        assert len(told) > 20, name
        of_odd_names += COVARIATE in told or GROUP in told
    assert of_odd_names >= 10


def test_figures_of_the_text_are_in_the_html(objects):
    means = objects["MarginalMeans"]
    assert f"{means.table['estimate'].iloc[0]:.3f}" in words(means._repr_html_())
    test = objects["HypothesisTest"]
    assert f"F({test.num_df:.0f}, {test.den_df:.2f}) = {test.F:.4f}" in words(test._repr_html_())
    assert f"{objects['ConditionalAic'].caic:.4f}" in words(objects["ConditionalAic"]._repr_html_())
    limits = objects["Profile"].conf_int().loc["sigma"]
    assert f"{limits['lower']:.4f}" in words(objects["Profile"]._repr_html_())
    assert "half_student_t" in words(objects["Priors"]._repr_html_())
    draws = objects["Diagnostics"]._repr_html_()
    assert "converged" in words(draws)
