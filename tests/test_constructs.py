"""Every construct of the documentation against lme4's log-likelihood, and through new data.

Reference: ``tests/reference/constructs_lme4.json``, written by ``docs/tables/constructs.py``. lme4 (bobyqa,
rhoend 1e-9) stops within 1e-5 of the maximum.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import bimixed as bm

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "docs" / "tables"))

import constructs  # noqa: E402

LME4 = json.loads((HERE / "reference" / "constructs_lme4.json").read_text())
WITH_BARS = [c for c in constructs.CONSTRUCTS if c.formula is not None]


@pytest.mark.parametrize("construct", WITH_BARS, ids=lambda c: c.title)
def test_the_likelihood_is_that_of_lme4(construct):
    if construct.title not in LME4:
        pytest.skip("lme4 can't say it")
    found = constructs.try_bimixed(construct, constructs.columns_for(construct.title, constructs.table()))
    reference = LME4[construct.title]["loglik"]
    assert found["loglik"] == pytest.approx(reference, abs=1e-5)


@pytest.mark.parametrize("construct", WITH_BARS, ids=lambda c: c.title)
def test_new_rows_go_through_the_same_encoding(construct):
    """Any three rows are predicted as they were fitted: states are remembered, not computed anew."""
    data = constructs.columns_for(construct.title, constructs.table())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BimixedWarning)
        fit = bm.ModelSpec(construct.formula, data).fit()
    rows = data.iloc[[200, 17, 55]]
    response = construct.formula.split("~")[0].strip()
    without = rows.drop(columns=[c for c in ("y", "p") if c in response or c == response])
    np.testing.assert_allclose(fit.predict(without)["estimate"], fit.fitted[rows.index], rtol=1e-9)


def test_the_page_has_every_construct():
    page = (HERE.parent / "docs" / "constructs.md").read_text(encoding="utf-8")
    for construct in constructs.CONSTRUCTS:
        line = next(line for line in page.splitlines() if line.startswith(f"| {construct.title}:"))
        ours = line.replace("\\|", "").split(" | ")[1].strip()
        assert ours == "yes", line
