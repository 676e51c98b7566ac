"""Fits of sources in files: what is loaded does what the fit did, without the source."""

import numpy as np
import pandas as pd
import pytest
from streamed_rows import DATA

import bimixed as bm

FRAMES = [DATA[:900], DATA[900:]]
NEW = DATA.dropna()[:200]
MODELS = [
    ("y ~ x * f + b + i + (x | g)", {}),
    ("y ~ x + f + (x | g/h)", {"weights": "w", "offset": "o"}),
    ("y ~ scale(x) + log(w) + center(z) + offset(o) + (scale(x) | g)", {}),
    ("y ~ bs(x, knots=[5.0], lower_bound=-2, upper_bound=12) + C(h, Sum) + (1 | k) + (1 | g:h)", {}),
    ("y ~ . + (x || g)", {"weights": "w"}),
    ("y ~ x + I(2 * x) + (0 + x | g)", {}),
]


@pytest.mark.parametrize(("formula", "how"), MODELS, ids=[m[0][:30] for m in MODELS])
def test_loaded_fits_are_the_same_to_the_last_digit(formula, how, tmp_path):
    fit = bm.ModelSpec(formula, FRAMES, **how).fit()
    fit.save(tmp_path / "one")
    loaded = bm.load(tmp_path / "one")
    assert str(loaded) == str(fit)
    assert loaded.loglik == fit.loglik
    pd.testing.assert_frame_equal(loaded.conf_int(), fit.conf_int(), rtol=0, atol=0)
    for found, wanted in zip(
        *(one.predict(NEW, interval="prediction").to_numpy() for one in (loaded, fit)), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)
    loaded.save(tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_means_of_all_rows_are_kept_not_those_of_the_first():
    """Rows sorted by x: those that the outline is made from have other means."""
    data = DATA.sort_values("x", na_position="first")
    data = pd.concat([data] * 3)  # more than the outline's
    fit = bm.ModelSpec("y ~ scale(x) + (1 | g)", [data[:2500], data[2500:]]).fit()
    reference = bm.ModelSpec("y ~ scale(x) + (1 | g)", data).fit()
    np.testing.assert_allclose(fit.predict(NEW)["estimate"], reference.predict(NEW)["estimate"], rtol=1e-8)


def test_posteriors_are_kept(tmp_path):
    fit = bm.ModelSpec("y ~ x + (x | g)", FRAMES).fit("importance", draws=800, random_seed=1, progress=False)
    fit.save(tmp_path / "fit")
    loaded = bm.load(tmp_path / "fit")
    pd.testing.assert_frame_equal(loaded.varcorr, fit.varcorr, rtol=0, atol=0)
    how = {"interval": "prediction", "random_seed": 1}
    pd.testing.assert_frame_equal(loaded.predict(NEW, **how), fit.predict(NEW, **how), rtol=0, atol=0)


def test_the_source_isn_t_in_the_file_and_is_asked_for(tmp_path):
    fit = bm.ModelSpec("y ~ x + (1 | g)", FRAMES).fit()
    fit.save(tmp_path / "fit")
    loaded = bm.load(tmp_path / "fit")
    with pytest.raises(bm.UnavailableError, match="give it again"):
        loaded.spec.update(". ~ . + z")
    again = loaded.spec.update(". ~ . + z", data=FRAMES).fit()
    assert again.loglik == bm.ModelSpec("y ~ x + z + (1 | g)", FRAMES).fit().loglik
    assert loaded.spec.fit("ml").loglik == fit.spec.fit("ml").loglik
    with pytest.raises(bm.UnavailableError, match="keep no rows"):
        loaded.fitted
    with pytest.raises(bm.UnavailableError, match="columns="):
        fit.save(tmp_path / "other", columns=["z"])


def test_functions_in_formulas_are_given_again_or_trusted(tmp_path):
    def halved(x):
        return x / 2

    fit = bm.ModelSpec("y ~ halved(x) + (1 | g)", FRAMES).fit()
    fit.save(tmp_path / "fit")
    with pytest.raises(bm.DataError, match=r"context=\{"):
        bm.load(tmp_path / "fit")
    assert bm.load(tmp_path / "fit", context={"halved": halved}).loglik == fit.loglik
    with pytest.raises(bm.DataError, match="fitted values that are up to"):
        bm.load(tmp_path / "fit", context={"halved": lambda x: x / 3})
