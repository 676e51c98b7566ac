"""Random effects left out one by one, and backward elimination, as by lmerTest (tests/reference/step.R)."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lme4_fits import data_set

import bimixed as bm

MODELS = json.loads((Path(__file__).parents[1] / "reference" / "step.json").read_text())["models"]


@pytest.fixture(scope="module")
def tables():
    made = {name: data_set(name) for name in ("rat_pup", "Orthodont", "cbpp", "sleepstudy")}
    made["radon"] = bm.load_dataset("radon")
    made["sleepstudy"] = made["sleepstudy"].assign(odd=lambda d: np.where(d["Days"] % 2, "yes", "no"))
    made["cbpp"] = made["cbpp"].astype({"period": str, "herd": str})
    return made


@pytest.fixture(params=MODELS, ids=lambda m: m["formula"])
def model(request):
    return request.param


def unlabelled(term):
    """lmerTest names the cells of a factor by the factor."""
    return re.sub(r"^.* in \(0 ", "cells in (0 ", term)


@pytest.mark.filterwarnings("ignore::bimixed.BimixedWarning")  # cbpp and one sleepstudy are singular
def test_ranova_against_lmertest(tables, model):
    fit = bm.ModelSpec(model["formula"], tables[model["data"]]).fit()
    table, wanted = bm.ranova(fit).table, model["ranova"]
    assert table.index.tolist() == [unlabelled(term) for term in wanted["term"]]
    np.testing.assert_allclose(table["loglik"], wanted["loglik"], atol=2e-6)  # lme4's optimum is that good
    np.testing.assert_allclose(table["chisq"].iloc[1:], wanted["LRT"][1:], atol=5e-6)
    assert table["df"].iloc[1:].tolist() == wanted["df"][1:]


@pytest.mark.filterwarnings("ignore::bimixed.BimixedWarning")
def test_step_against_lmertest(tables, model):
    if model["data"] == "cbpp":
        pytest.skip("lmerTest goes on without random effects there")
    fit = bm.ModelSpec(model["formula"], tables[model["data"]]).fit()
    # radon's slope: p = 0.131 by lmerTest's χ²(2), 0.088 by the mixture
    steps = bm.step(fit, alpha_random=0.05 if model["data"] == "radon" else 0.1)
    assert set(steps.fit.spec.design.names) == names_of(model["model"], tables[model["data"]])
    random = steps.table[steps.table["part"] == "random"]
    wanted = model["random"]
    assert random["eliminated"].tolist() == wanted["eliminated"][1:]
    np.testing.assert_allclose(random["statistic"], wanted["LRT"][1:], atol=5e-6)
    fixed = steps.table[steps.table["part"] == "fixed"]
    wanted = pd.DataFrame(model["fixed"], index=np.atleast_1d(model["fixed"]["term"]))
    order = wanted["eliminated"].to_numpy()
    went = np.where(order > 0, order + (random["eliminated"] > 0).sum(), 0)
    assert dict(zip(wanted.index, went, strict=True)) == fixed["eliminated"].to_dict()
    # df to 1e-4: lmerTest's derivatives are by differences
    found = fixed.loc[wanted.index, ["num_df", "den_df", "statistic", "p_value"]].astype(float)
    np.testing.assert_allclose(found, wanted[["num_df", "den_df", "F", "p"]], rtol=1e-4)


def names_of(formula, table):
    return set(bm.ModelSpec(formula, table).design.names)


def test_cells_and_intercept_are_one_model(tables):
    """(0 + f | g) and (f | g) are the same model, and so are the tests of what they have beside (1 | g)."""
    cells, contrasts = (
        bm.ranova(bm.ModelSpec(f"Reaction ~ odd + ({lhs} | Subject)", tables["sleepstudy"]).fit()).table
        for lhs in ("0 + odd", "odd")
    )
    np.testing.assert_allclose(cells["loglik"], contrasts["loglik"], atol=1e-7)
    assert cells["reference"].tolist()[1:] == contrasts["reference"].tolist()[1:] == ["½χ²(1) + ½χ²(2)"]


@pytest.fixture(scope="module")
def simulated():
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(30), 8)
    table = pd.DataFrame({"my x": rng.normal(size=240), "z": rng.normal(size=240), "g": g.astype(str)})
    table["f"] = rng.choice(["a", "b"], 240)
    table["y"] = np.exp(0.5 * table["my x"] + 0.3 * rng.normal(size=30)[g] + 0.2 * rng.normal(size=240))
    return table


def test_formulas_are_written_out(simulated):
    """Names with spaces, functions, offsets and a transformed response survive."""
    formula = "np.log(y) ~ 0 + `my x` * f + poly(z, 2) + offset(0.1 * z) + (1 + z || g)"
    table = simulated.assign(y=simulated["y"] * np.exp(0.1 * simulated["z"]))
    steps = bm.step(bm.ModelSpec(formula, table).fit("ml"), keep="f", ddf="normal", alpha_fixed=0.01)
    assert steps.fit.formula == "np.log(y) ~ 0 + `my x` + f + offset(0.1 * z) + (1 || g)"
    assert steps.fit.method == "ml"
    assert steps.table["reference"].str.contains("normal").any()


def test_keep(simulated):
    fit = bm.ModelSpec("y ~ z + f + (1 + z | g)", simulated).fit()
    everything = bm.step(fit, keep=["z", "f", "(1 + z | g)"])
    assert (everything.table["eliminated"] == 0).all()
    assert everything.fit.formula == fit.formula
    with pytest.raises(bm.DataError, match=r"keep names w, which is no term; there are .*\(1 \+ z \| g\)"):
        bm.step(fit, keep=["w"])


def test_bad_requests(simulated):
    arrays = bm.ModelSpec.from_arrays(simulated["y"], simulated[["z"]], simulated["g"]).fit()
    with pytest.raises(bm.UnavailableError, match=r"bm\.ranova\(fit\) and bm\.drop1\(fit\)"):
        bm.step(arrays)
    assert bm.ranova(arrays).table.index.size == 2
    fit = bm.ModelSpec("y ~ z + (1 | g)", simulated).fit()
    with pytest.raises(bm.DataError, match="alpha_fixed is 5"):
        bm.step(fit, alpha_fixed=5)
    holes = simulated.assign(z=simulated["z"].where(simulated.index > 3))
    with pytest.raises(bm.DataError, match=r"Without z the model has 240 rows in place of 236.*dropna"):
        bm.step(bm.ModelSpec("y ~ f + z + (1 | g)", holes).fit(), alpha_fixed=0.001)


@pytest.mark.filterwarnings("ignore::bimixed.BimixedWarning")
def test_variance_without_identification(simulated):
    """It isn't tested, and doesn't go by itself: the model's message says what to do."""
    fit = bm.ModelSpec("y ~ f + (1 | g) + (1 | f)", simulated).fit()
    row = bm.ranova(fit).table.loc["(1 | f)"]
    assert np.isnan(row["p_value"]) and row["df"] == 0.0
    assert "remove (1 | f)" in str(bm.step(fit))
