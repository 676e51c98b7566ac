"""Fits of one model by all optimisers."""

import numpy as np
import pandas as pd
import pytest

import bimixed as bm
from bimixed.inference.optimizers import _verdict
from bimixed.likelihood.optimize import METHODS


def test_all_of_them_against_fits_by_name():
    spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
    found = spec.fit().all_optimizers()
    assert found.table.index.tolist() == list(METHODS)
    for name in METHODS:
        assert found.table.loc[name, "loglik"] == spec.fit(optimizer=name).loglik
    assert found.table["converged"].all() and found.table["difference"].max() < 1e-4
    assert (found.table["seconds"] > 0).all()
    assert found.verdict.startswith("They agree:") and "They agree:" in str(found)
    assert "trust-constr" in found._repr_html_()


@pytest.mark.parametrize(
    ("loglik", "difference", "said"),
    [
        ([-10.0, -10.0], [0.0, 1e-5], "They agree: the same"),
        ([-10.0, -10.1], [0.0, 0.4], "They don't agree: b end below the best, by up to 0.1"),
        ([-10.0, np.nan], [0.0, np.nan], "can't fit it at all"),
        ([-10.0, -10.0], [0.0, 0.4], "not on the parameters (b)"),
    ],
)
def test_verdicts(loglik, difference, said):
    table = pd.DataFrame({"loglik": loglik, "difference": difference}, index=["a", "b"])

    class Best:
        pass

    best = Best()
    best.loglik = -10.0
    assert said in _verdict(table, best)


def test_a_singular_fit():
    fit = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2")).fit()
    assert fit.all_optimizers().verdict.startswith("They agree")


def test_draws():
    spec = bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff"))
    draws = spec.fit("importance", draws=1000, random_seed=1)
    with pytest.raises(bm.UnavailableError, match="maximised likelihood"):
        draws.all_optimizers()
