"""Pictures that would show an empty or clipped axis: what is drawn is counted and must lie inside."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from pictures import faults

import bimixed as bm

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def comparison(radon_reml, radon_nuts):
    return bm.compare(radon_reml, radon_nuts)


def drawn(ax):
    ax.figure.canvas.draw()
    return ax.get_xlim(), ax.get_ylim()


@pytest.mark.parametrize("coefficient", ["Intercept", "floor"])
def test_shrinkage(comparison, coefficient):
    ax = bm.plots.shrinkage(comparison, "county", coefficient)
    (x0, x1), (y0, y1) = drawn(ax)
    points = [line.get_xydata() for line in ax.lines if len(line.get_xdata()) == 85]
    assert len(points) == 2
    for xy in points:
        assert (x0 < xy[:, 0]).all() and (xy[:, 0] < x1).all()
        assert (y0 < xy[:, 1]).all() and (xy[:, 1] < y1).all()
    estimates = np.sort(comparison.shrinkage["county"].xs(coefficient, level=1)["estimate_reml"])
    np.testing.assert_allclose(points[0][:, 1], estimates)
    assert coefficient in ax.get_ylabel()
    assert "85 levels of county" in ax.get_xlabel()
    assert len(ax.get_legend().get_texts()) == 3


def test_levels_are_named_where_they_fit():
    spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
    ax = bm.plots.shrinkage(bm.compare(spec.fit(), spec.fit("ml")))
    assert ax.get_xticklabels()[0].get_text().isdigit()
    assert len(ax.get_xticks()) == 18


@pytest.mark.parametrize("which", ["fixed", "variance"])
def test_forest(comparison, which):
    ax = bm.plots.forest(comparison, which)
    (x0, x1), (y0, y1) = drawn(ax)
    table = comparison.fixef if which == "fixed" else comparison.varcorr
    assert [t.get_text() for t in ax.get_yticklabels()] == table.index.tolist()
    limits = comparison.results[1].conf_int().loc[table.index]
    assert x0 < limits["lower"].min() and limits["upper"].max() < x1
    assert y0 < 0 and y1 > len(table) - 1


def test_figure_of_a_comparison(comparison):
    figure = comparison.plot()
    assert len(figure.axes) == 4
    assert faults(figure.axes) == []


def test_singular_and_unidentified_fits_can_be_drawn():
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": np.repeat(np.arange(6), 5), "y": rng.normal(size=30)})
    data["y"] -= data.groupby("g")["y"].transform("mean")
    spec = bm.ModelSpec("y ~ 1 + (1 | g)", data)
    comparison = bm.compare(spec.fit(), spec.fit("ml"))
    comparison.plot().canvas.draw()
    assert "singular" in comparison.verdict
    radon = bm.ModelSpec("log_radon ~ floor + county + (1 | county)", bm.load_dataset("radon"))
    with pytest.warns(bm.IdentificationWarning):
        fits = radon.fit(), radon.fit("ml")
    bm.compare(*fits).plot().canvas.draw()


def test_wrong_requests(comparison):
    with pytest.raises(bm.DataError, match="no group"):
        bm.plots.shrinkage(comparison, "state")
    with pytest.raises(bm.DataError, match="no coefficient"):
        bm.plots.shrinkage(comparison, "county", "basement")
    with pytest.raises(bm.DataError, match="which"):
        bm.plots.forest(comparison, "all")


def test_profile():
    spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
    made = bm.profile(spec.fit(), ["Days", "sd_Subject[Days]", "sigma", "corr_Subject[Intercept,Days]"])
    axes = made.plot(levels=(0.95,))
    assert axes.shape == (2, 3)
    assert [ax.get_visible() for ax in axes.flat] == [True] * 4 + [False] * 2
    for ax, name in zip(axes.flat, made.parameters, strict=False):
        (x0, x1), (y0, y1) = drawn(ax)
        points = made.table.query("parameter == @name")
        curve = ax.lines[0].get_xydata()
        assert (np.diff(curve, axis=0) > -1e-9).all()
        assert x0 < points["value"].min() and points["value"].max() < x1
        assert y0 < points["zeta"].min() and points["zeta"].max() < y1
        assert made.criterion[name] in ax.get_title(loc="left")
        upright = [line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1]
        for limit in made.conf_int().loc[name]:
            assert np.isclose(upright, limit).any()
    with pytest.raises(bm.DataError, match="'Intercept' has no profile here"):
        made.plot(["Intercept"])


def test_dollars_in_names_begin_no_formula(tmp_path):
    data = bm.load_dataset("sleepstudy").rename(columns={"Days": "$x_1$ days", "Subject": "who$"})
    fit = bm.ModelSpec("Reaction ~ `$x_1$ days` + (`$x_1$ days` | `who$`)", data).fit()
    for ax in (bm.plots.forest(fit), bm.plots.caterpillar(fit)):
        axes = np.ravel(ax)
        texts = [text for one in axes for text in one.findobj(lambda a: hasattr(a, "get_parse_math"))]
        written = [text for text in texts if "$" in text.get_text()]
        assert written
        assert not any(text.get_parse_math() for text in written)
        axes[0].figure.savefig(tmp_path / "picture.png")
