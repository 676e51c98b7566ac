"""ArviZ's own tables of our draws have the numbers at the right names."""

import warnings

import arviz
import numpy as np
import pytest

import bimixed as bm


@pytest.mark.parametrize("form", ["marginal", "hierarchical"])
def test_summary_of_arviz(form):
    """ArviZ 1.3 mixes up rows of variables with several dimensions that come after those with fewer."""
    spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = spec.fit("nuts", form=form, draws=50, tune=100, random_seed=1, progress=False)
        table = arviz.summary(fit.posterior, round_to=6)["mean"].astype(float)
    for level in (308, 337, 372):
        for name in ("Intercept", "Days"):
            ours = fit.ranef["Subject"].loc[level, name]
            assert table[f"ranef_Subject[{level}, {name}]"] == pytest.approx(ours, abs=1e-4)
    assert table["fixef[Days]"] == pytest.approx(fit.fixef.loc["Days", "estimate"], abs=1e-4)
    assert table["sd_Subject[Days]"] == pytest.approx(fit.varcorr["sd"][1], abs=1e-4)


def test_the_residual_variance_of_draws_is_a_mean_of_variances():
    spec = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff"))
    fit = spec.fit("importance", random_seed=1, progress=False)
    sigma = fit.posterior["posterior"]["sigma"].to_numpy()
    assert fit.varcorr["variance"].iloc[-1] == pytest.approx(np.mean(sigma**2))
    table = fit.variance_table()["estimate"]
    assert fit.varcorr["variance"].iloc[-1] == pytest.approx(table["var_residual"])
    assert fit.sigma == pytest.approx(sigma.mean())
