import numpy as np
import pandas as pd
import pytest

import bimixed as bm


def test_a_spec_is_frozen():
    spec = bm.ModelSpec("log_radon ~ floor + (1 | county)", bm.load_dataset("radon"))
    with pytest.raises(AttributeError):
        spec.design = None
    assert spec.fixed == ("Intercept", "floor")
    assert [t.key for t in spec.random] == ["county"]


def test_printing_shows_terms_rows_and_what_was_dropped():
    data = bm.load_dataset("sleepstudy").assign(w=2.0)
    data.loc[0, "Reaction"] = np.nan
    text = str(bm.ModelSpec("Reaction ~ Days + I(2 * Days) + (Days || Subject)", data, weights="w"))
    assert "179 rows, 1 left out" in text
    assert "Dropped, because earlier columns determine them: I(2 * Days)" in text
    assert "weights: w" in text
    assert "variance component" in text


def shifted(x):
    return x + 1.0


def test_the_callers_names_can_be_used():
    local = 3.0
    data = bm.load_dataset("sleepstudy")
    spec = bm.ModelSpec("Reaction ~ shifted(Days) + I(Days * local) + (1 | Subject)", data)
    np.testing.assert_allclose(spec.design.X[:, 1], data["Days"] + 1)
    np.testing.assert_allclose(spec.design.X[:, 2], data["Days"] * local)
    with pytest.raises(bm.DataError, match="'local'"):
        bm.ModelSpec("Reaction ~ I(Days * local) + (1 | Subject)", data, context={})


def test_row_order_and_labels_of_groups_change_nothing():
    data = bm.load_dataset("sleepstudy")
    base = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", data).fit()
    shuffled = data.sample(frac=1, random_state=1)
    shuffled["Subject"] = "s" + shuffled["Subject"].astype(str).str[::-1]
    fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", shuffled).fit()
    assert fit.loglik == pytest.approx(base.loglik, abs=1e-8)
    np.testing.assert_allclose(fit.fixef, base.fixef, rtol=1e-6)
    back = fit.ranef["Subject"].rename(index=lambda s: s[:0:-1]).sort_index()
    np.testing.assert_allclose(back, base.ranef["Subject"], rtol=1e-4)
    assert fit.fitted.index.equals(shuffled.index)
    assert isinstance(fit.fitted, pd.Series)
