"""F tests of terms against lmerTest 3 (tests/reference/lmertest.R), and their invariances.

Tolerances: F and Kenward-Roger's df 1e-5 relative, Satterthwaite's df 1e-4 (lmerTest's Hessian is numerical).
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lme4_fits import data_set

import bimixed as bm
from bimixed.design.terms import fixed_terms
from bimixed.inference.estimable import type_three_of_gaps
from bimixed.inference.term_hypotheses import type_three

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "lmertest.json").read_text())["tests"]


def table_of(name):
    table = data_set(name).copy()
    if name == "cbpp":
        herd = table["herd"].astype(int)
        table["half"] = np.where(herd % 3 == 0, "c", np.where(table["size"] > 14, "a", "b"))
    return table


NESTED = "incidence ~ half + half:period + size:half + (1 | herd)"
"""lmerTest doesn't see that half is contained in half:period where period has no term of its own, and tests
its columns at the first period; ours is checked by another parametrisation of the same model instead."""
LIKE_LMERTEST = [case for case in REFERENCE if case["formula"] != NESTED or case["type"] == 1]


@pytest.mark.parametrize("case", LIKE_LMERTEST, ids=lambda c: f"{c['formula']}-{c['type']}-{c['ddf']}")
def test_against_lmertest(case):
    fit = bm.ModelSpec(case["formula"], table_of(case["data"])).fit()
    found = fit.anova(case["ddf"], type=case["type"])
    wanted = pd.DataFrame({name: case[name] for name in ("num_df", "den_df", "F", "p")})
    wanted.index = ["".join(sorted(term.split(":"))) for term in case["term"]]
    found.index = ["".join(sorted(term.split(":"))) for term in found.index]
    assert set(found.index) == set(wanted.index)
    found = found.loc[wanted.index]
    np.testing.assert_array_equal(found["num_df"], wanted["num_df"])
    np.testing.assert_allclose(found["F"], wanted["F"], rtol=1e-5)
    np.testing.assert_allclose(found["den_df"], wanted["den_df"], rtol=1e-4)
    np.testing.assert_allclose(found["p_value"], wanted["p"], rtol=1e-3)


def test_type_3_is_the_same_for_every_parametrisation():
    """Within half or crossed with it, in any coding and order: the same cells and slopes."""
    table = table_of("cbpp")
    formulas = [
        NESTED,
        "incidence ~ half * period + half:size + (1 | herd)",
        "incidence ~ C(half, contr.sum) * C(period, contr.helmert) + C(half, contr.sum):size + (1 | herd)",
        "incidence ~ period * half + half:size + (1 | herd)",
    ]
    found = []
    for formula in formulas:
        terms = bm.ModelSpec(formula, table).fit().anova("kenward-roger")["F"]
        (half,) = [F for name, F in terms.items() if "half" in name and ":" not in name]
        found.append(half)
    np.testing.assert_allclose(found, found[0], rtol=1e-6)


def test_codings_and_orders_of_an_unbalanced_design():
    """Sum coding: tests of type 3 are those of the columns themselves, as everywhere in the books."""
    table = table_of("rat_pup")
    treatment = bm.ModelSpec("weight ~ sex * treatment + litsize + (1 | litter)", table).fit().anova()
    summed = bm.ModelSpec(
        "weight ~ litsize + C(treatment, contr.sum) * C(sex, contr.sum) + (1 | litter)", table
    ).fit()
    by_columns = summed.test("C(sex, contr.sum)[S.Female] = 0")
    assert treatment.loc["sex", "F"] == pytest.approx(by_columns.F, rel=1e-6)
    assert treatment.loc["sex", "den_df"] == pytest.approx(by_columns.den_df, rel=1e-5)


EMPTY = json.loads((Path(__file__).parents[1] / "reference" / "empty_cells.json").read_text())["tests"]


def rows_of(case):
    table = table_of("rat_pup").assign(size=lambda d: np.where(d["litsize"] > 13, "large", "small"))
    return table.query(case["rows"].replace("!", "not ").replace("&", " and "))


@pytest.mark.filterwarnings("ignore:Some cells of")
@pytest.mark.parametrize("case", EMPTY, ids=lambda c: f"{c['formula']}-{c['ddf']}")
def test_type_3_of_empty_cells_against_lmertest(case):
    table = rows_of(case)
    coded = "C(sex, contr.sum)", "C(treatment, contr.helmert)"
    other = case["formula"].replace("sex", coded[0]).replace("treatment", coded[1])
    for formula in (case["formula"], other):
        found = bm.ModelSpec(formula, table).fit().anova(case["ddf"])
        np.testing.assert_array_equal(found["num_df"], case["num_df"])
        np.testing.assert_allclose(found["F"], case["F"], rtol=1e-5)
        np.testing.assert_allclose(found["den_df"], case["den_df"], rtol=1e-4)


@pytest.mark.parametrize("case", [c for c in REFERENCE if c["type"] == 3 and c["formula"] != NESTED][::2])
def test_estimable_functions_of_full_cells_are_contrasts_of_equal_weights(case):
    """Two definitions of type 3 that agree where every cell has rows."""
    design = bm.ModelSpec(case["formula"], table_of(case["data"])).design
    terms = fixed_terms(design)
    by_cells, by_means = type_three_of_gaps(design, terms), type_three(design, terms)
    for term in terms:
        L, wanted = (by[term.name] / design.column_sizes for by in (by_cells, by_means))
        sizes = (np.abs(rows).max(axis=1, keepdims=True) for rows in (L, wanted))
        np.testing.assert_allclose(L / next(sizes), wanted / next(sizes), atol=1e-8)


def test_empty_cells_are_told():
    table = rows_of(EMPTY[0])
    fit = bm.ModelSpec("weight ~ sex * treatment + (1 | litter)", table).fit()
    with pytest.warns(bm.IdentificationWarning, match="Some cells of sex:treatment have no rows.*depend on"):
        found = fit.anova()
    assert found.loc["sex:treatment", "num_df"] == 1
    assert np.isfinite(fit.anova(type=2)).all(axis=None)
    by_call = bm.ModelSpec(
        "weight ~ sex * treatment.str.upper() + (1 | litter)", table.astype({"treatment": str})
    )
    with pytest.warns(bm.IdentificationWarning, match="about the coefficients that are left"):
        by_call.fit().anova()


@pytest.mark.parametrize("shift", [0.0, 1e7])
def test_units_of_a_covariate_change_nothing(shift):
    """Rows of a hypothesis are compared in units in which the columns of X are alike."""
    table = table_of("rat_pup")
    far = table.assign(litsize=1e6 * table["litsize"] + shift)
    wanted, found = (
        bm.ModelSpec("weight ~ treatment + litsize + (1 | litter)", d).fit().anova(type=1)
        for d in (table, far)
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_requests_that_make_no_sense():
    fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit("ml")
    with pytest.raises(bm.UnavailableError, match="fit with method='reml'"):
        fit.anova("kenward-roger")
    with pytest.raises(bm.DataError, match="type is 4; choose 1"):
        fit.anova(type=4)
    with pytest.raises(bm.DataError, match="ddf is 'lme4'; choose one of"):
        fit.anova("lme4")
