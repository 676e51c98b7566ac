"""ArviZ's plots take a result's posterior."""

import matplotlib
import matplotlib.pyplot as plt
import pytest

matplotlib.use("agg")
SOME = ["fixef", "sd_county", "sigma"]
ONE = {"county_coefficient": ["Intercept"], "county_coefficient_2": ["floor"]}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("plot", ["trace_dist", "rank", "rank_dist", "forest", "dist"])
def test_parameters(radon_nuts, plot):
    import arviz as az

    drawn = getattr(az, f"plot_{plot}")(radon_nuts.posterior, var_names=SOME)
    figure = drawn.get_viz("figure")
    text = {t.get_text() for ax in figure.axes for t in [ax.title, *ax.texts, ax.yaxis.label, ax.xaxis.label]}
    text |= {t.get_text() for ax in figure.axes for t in ax.get_yticklabels()}
    assert any("log_uranium" in t or "fixef" in t for t in text)


@pytest.mark.parametrize("plot", ["trace_dist", "rank_dist", "forest"])
def test_a_correlation(radon_nuts, plot):
    import arviz as az

    drawn = getattr(az, f"plot_{plot}")(radon_nuts.posterior, var_names=["corr_county"], coords=ONE)
    drawn.get_viz("figure").canvas.draw()


def test_random_effects(radon_nuts):
    import arviz as az

    where = {"county": ["ANOKA", "LAKE"], "county_coefficient": ["floor"]}
    drawn = az.plot_forest(radon_nuts.posterior, var_names=["ranef_county"], coords=where)
    drawn.get_viz("figure").canvas.draw()
