"""Pictures of priors: every curve, line and label must be there and inside its axes."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import bimixed as bm

matplotlib.use("agg")
P = bm.Prior


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def texts(ax):
    return [t.get_text() for t in ax.texts]


def reml_lines(ax):
    """Vertical lines."""
    return [
        line.get_xdata()[0]
        for line in ax.lines
        if len(line.get_xdata()) == 2 and np.ptp(line.get_xdata()) == 0
    ]


def test_a_panel_for_each_parameter_and_the_response(radon_spec, radon_reml):
    axes = bm.plots.prior(radon_spec)
    names = [ax.get_title() for ax in axes[:-1]]
    assert names == radon_reml.conf_int().index.tolist()
    estimates = [*radon_reml.fixef["estimate"], *radon_reml.uncertainty.variance_parameters().values]
    for ax, estimate in zip(axes, estimates, strict=False):
        assert reml_lines(ax) == [pytest.approx(estimate)]
        x0, x1 = ax.get_xlim()
        assert x0 < estimate < x1
        curve = ax.lines[0].get_ydata()
        assert 0.0 < curve.max() < ax.get_ylim()[1]
        assert ax.get_xlabel().endswith(", default")
    assert [ax.get_title() for ax in bm.plots.prior(radon_reml)[:-1]] == names
    assert "sigma=0.8970" in axes[3].get_xlabel() or "sigma=0.897" in axes[3].get_xlabel()
    assert "log_radon" in axes[-1].get_xlabel()
    x0, x1 = axes[-1].get_xlim()
    assert x0 <= radon_spec.design.y.min()
    assert radon_spec.design.y.max() <= x1
    assert len(axes[-1].patches) == 4
    axes[0].figure.canvas.draw()


def test_given_priors_far_from_the_data():
    priors = {"Days": P("normal", mu=0, sigma=0.1), "sd": P("half_normal", sigma=0.01)}
    spec = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", bm.load_dataset("sleepstudy"), priors=priors)
    axes = bm.plots.prior(spec)
    slope, sd = axes[1], axes[2]
    assert slope.get_xlabel() == "normal(mu=0, sigma=0.1)"
    assert slope.get_xlim()[1] > 12.0
    assert slope.lines[0].get_ydata().max() == pytest.approx(1 / (0.1 * np.sqrt(2 * np.pi)), rel=1e-3)
    assert sd.lines[0].get_ydata().max() == pytest.approx(2 / (0.01 * np.sqrt(2 * np.pi)), rel=1e-3)
    assert "prior, given" in [t.get_text() for t in slope.figure.legends[0].get_texts()]


def test_of_many_parameters_some_are_drawn():
    rng = np.random.default_rng(0)
    data = pd.DataFrame(rng.normal(size=(80, 31)), columns=[f"x{i}" for i in range(30)] + ["y"])
    formula = "y ~ " + " + ".join(f"x{i}" for i in range(30)) + " + (x1 | g)"
    spec = bm.ModelSpec(formula, data.assign(g=np.arange(80) % 8))
    axes = bm.plots.prior(spec)
    names = [ax.get_title() for ax in axes[:-1]]
    assert len(names) == 24
    assert names[-4:] == ["sd_g[Intercept]", "sd_g[x1]", "corr_g[Intercept,x1]", "sigma"]
    assert "24 of 35 parameters" in axes[0].figure.get_suptitle()
    chosen = bm.plots.prior(spec, ["x29", "sigma"])
    assert [ax.get_title() for ax in chosen[:-1]] == ["x29", "sigma"]
    with pytest.raises(bm.DataError, match="no parameter 'x30'"):
        bm.plots.prior(spec, ["x30"])


def test_what_reml_does_not_identify_has_no_line():
    spec = bm.ModelSpec("Yield ~ Batch + (1 | Batch)", bm.load_dataset("dyestuff"))
    [sd, sigma, _] = bm.plots.prior(spec, ["sd_Batch[Intercept]", "sigma"])
    assert reml_lines(sd) == []
    assert texts(sd) == ["no estimate"]
    assert len(reml_lines(sigma)) == 1


def test_flat_priors_and_those_without_bound():
    priors = {"sd": P("flat"), "sigma": P("gamma", alpha=0.5, beta=0.01), "Days": P("flat")}
    spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"), priors=priors)
    axes = bm.plots.prior(spec)
    by_name = {ax.get_title(): ax for ax in axes[:-1]}
    assert by_name["Days"].get_xlabel() == "flat()"
    assert (by_name["Days"].lines[0].get_ydata() == 1.0).all()
    assert by_name["sd_Subject[Days]"].lines[0].get_xdata().min() == 0.0
    assert np.isfinite(by_name["sigma"].lines[0].get_ydata()).all()
    assert "no prior predictive" in texts(axes[-1])[0]
    axes[0].figure.canvas.draw()


def test_a_posterior_that_has_no_reml_fit():
    """As many fixed effects as rows."""
    data = pd.DataFrame({"y": [1.0, 2.0, 4.0, 7.0], "x": list("abcd"), "g": [0, 0, 1, 1]})
    axes = bm.plots.prior(bm.ModelSpec("y ~ x + (1 | g)", data))
    assert all(reml_lines(ax) == [] for ax in axes[:-1])
