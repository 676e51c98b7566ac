"""Every plot of every kind of model, looked at by machine: nothing empty, cut off, or over something else.

Models: radon (many groups, some with one row), sleepstudy, Dyestuff2 (singular), InstEval (large, crossed)
and one with two slopes.
"""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from pictures import faults

import bimixed as bm

matplotlib.use("agg")
MODELS = ("radon", "sleepstudy", "dyestuff2", "insteval", "two slopes")
SMALL = ("radon", "sleepstudy", "dyestuff2", "two slopes")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def two_slopes():
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(40), 12)
    x, z = rng.normal(size=(2, 480))
    b = rng.multivariate_normal(np.zeros(3), [[1, 0.4, 0.1], [0.4, 0.5, 0], [0.1, 0, 0.3]], 40)
    y = 2 + x + 0.5 * z + b[g, 0] + b[g, 1] * x + b[g, 2] * z + rng.normal(size=480)
    return pd.DataFrame({"y": y, "x": x, "z": z, "g": g})


@pytest.fixture(scope="module")
def specs():
    data = {name: bm.load_dataset(name) for name in ("radon", "sleepstudy", "dyestuff2", "insteval")}
    formulas = {
        "radon": "log_radon ~ floor + log_uranium + (1 + floor | county)",
        "sleepstudy": "Reaction ~ Days + (Days | Subject)",
        "dyestuff2": "Yield ~ 1 + (1 | Batch)",
        "insteval": "y ~ service + (1 | s) + (1 | d)",
        "two slopes": "y ~ x + z + (x + z | g)",
    }
    data["two slopes"] = two_slopes()
    return {name: bm.ModelSpec(formula, data[name]) for name, formula in formulas.items()}


@pytest.fixture(scope="module")
def reml(specs):
    return {name: spec.fit() for name, spec in specs.items()}


@pytest.fixture(scope="module")
def both(specs, reml):
    """Beside each REML fit draws of the posterior; of the large one ML."""
    fits = {n: [reml[n], specs[n].fit("importance", random_seed=1, progress=False)] for n in SMALL}
    return fits | {"insteval": [reml["insteval"], specs["insteval"].fit("ml")]}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("plot", ["shrinkage", "caterpillar", "variances"])
def test_of_one_and_of_both(plot, model, reml, both):
    draw = getattr(bm.plots, plot)
    for fits in (reml[model], both[model]):
        assert faults(draw(fits)) == []


@pytest.mark.parametrize("model", SMALL)
def test_forests(model, reml, both):
    for fits in (reml[model], both[model]):
        assert faults(bm.plots.forest(fits)) == []


@pytest.mark.parametrize("model", MODELS)
def test_variance_parameters(model, both):
    assert faults(bm.plots.forest(both[model], "variance")) == []


@pytest.mark.parametrize("model", ["radon", "sleepstudy", "two slopes"])
def test_two_dimensions(model, reml, both):
    assert faults(bm.plots.shrinkage_2d(both[model])) == []
    assert faults(bm.plots.shrinkage_2d(reml[model])) == []


@pytest.mark.parametrize("model", MODELS)
def test_panels(model, both):
    assert faults(bm.plots.panels(both[model]), shared_labels=True) == []


@pytest.mark.parametrize("model", MODELS)
def test_densities(model, both):
    assert faults(bm.plots.density(both[model]), shared_labels=True) == []


@pytest.mark.parametrize("model", MODELS)
def test_residuals(model, both):
    """Of the singular model those of draws, too: there are random effects then."""
    for fit in both[model] if model == "dyestuff2" else both[model][:1]:
        assert faults(bm.plots.residuals(fit)) == []


@pytest.mark.parametrize("model", SMALL)
def test_influence(model, reml):
    assert faults(bm.plots.influence(reml[model])) == []
    group = reml[model].design.factors[0].key
    assert faults(bm.plots.influence(reml[model], group)) == []


@pytest.mark.parametrize("model", MODELS)
def test_predictive(model, both):
    for fit in both[model]:
        assert faults(bm.plots.posterior_predictive(fit, n=20)) == []


@pytest.mark.parametrize("model", ["sleepstudy", "dyestuff2"])
def test_profiles(model, reml):
    key = reml[model].design.factors[0].key
    profile = bm.profile(reml[model], ["Intercept", f"sd_{key}[Intercept]", "sigma"])
    assert faults(bm.plots.profile(profile), shared_labels=True) == []
    assert faults(bm.plots.profile_pairs(profile), shared_labels=True) == []


def test_means():
    fit = bm.ModelSpec("weight ~ treatment * sex + litsize + (1 | litter)", bm.load_dataset("rat_pup")).fit()
    for asked in (bm.emmeans(fit, ["treatment", "sex"]), bm.emmeans(fit, "sex"),
                  bm.emtrends(fit, "sex", var="litsize")):  # fmt: skip
        assert faults(bm.plots.means(asked)) == []


def test_long_names():
    names = [f"Department of Applied Mathematics {i}" for i in range(9)]
    rng = np.random.default_rng(1)
    g, x = np.repeat(np.arange(9), 10), rng.normal(size=90)
    y = 3 * rng.normal(size=9)[g] + rng.normal(size=9)[g] * x + rng.normal(size=90)
    data = pd.DataFrame({"score of the test": y, "x": x, "a long name of a group": np.array(names)[g]})
    fit = bm.ModelSpec("`score of the test` ~ x + (x | `a long name of a group`)", data).fit()
    for plot in ("shrinkage", "shrinkage_2d", "caterpillar", "residuals", "influence"):
        assert faults(getattr(bm.plots, plot)(fit)) == [], plot
    assert faults(bm.plots.panels(fit), shared_labels=True) == []
    assert faults(bm.plots.influence(fit, fit.design.factors[0].key)) == []
    assert faults(bm.plots.forest(fit, "variance")) == []


class TestTheFaultsThemselves:
    """A picture with a fault has one."""

    def made(self, **labels):
        ax = plt.figure(layout="constrained").subplots()
        ax.plot([0, 1, 2], [1, 3, 2], "o", markersize=15)
        ax.set(xlabel="x", ylabel="y", **labels)
        return ax

    def test_a_good_one_has_none(self):
        assert faults(self.made(title="a title")) == []

    def test_empty(self):
        ax = plt.figure(layout="constrained").subplots()
        ax.set(xlabel="x", ylabel="y")
        assert faults(ax) == ["axes 0: empty"]

    def test_clipped(self):
        ax = self.made()
        ax.set_ylim(0, 2.5)
        assert faults(ax) == ["axes 0: 1 of 3 points of a line lie outside"]

    def test_without_a_name(self):
        ax = self.made()
        ax.set_ylabel("")
        assert faults(ax) == ["axes 0: no name of y"]

    def test_crowded_labels(self):
        ax = self.made()
        ax.set_xticks([0, 0.05, 2], ["first label", "second label", "third"])
        assert faults(ax) == ["axes 0: labels of x overlap"]

    def test_a_legend_over_the_data(self):
        ax = self.made()
        ax.legend(["points"], loc="center")
        assert faults(ax) == ["axes 0: the legend is over the data"]

    def test_a_title_cut_off(self):
        ax = self.made()
        ax.set_title("a title " * 30, loc="left")
        assert "is cut off" in faults(ax)[0]

    def test_texts_over_each_other(self):
        ax = self.made()
        ax.text(1, 2, "one text")
        ax.text(1.02, 2.02, "another")
        assert faults(ax) == ["axes 0: 'one text' is over 'another'"]
