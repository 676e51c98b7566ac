"""Every figure that the notebooks publish, and whether their stored outputs are those of today's code.

Cells run in one namespace with few draws (``BIMIXED_FAST=1``). Outputs of cells that don't depend on random
draws have to be those stored; the others are compared where they stand beside a published figure.
"""

import importlib
import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
NAMES = sorted(path.stem for path in (FOLDER / "src").glob("*.py"))

CONVERGED = 5e-6
"""Relative distance allowed from lme4's converged values beyond their last digit: both stop at 1e-6 or so."""
STOPPED = {
    ("02_variance_components", "variance of group1"): 2e-3,
    ("02_variance_components", "variance of group2"): 5e-4,
    ("02_variance_components", "residual variance"): 1e-4,
    ("02_variance_components", "variance of g1"): 7e-3,
    ("02_variance_components", "variance of g2"): 0.013,
    ("04_parents_education", "group variance"): 0.012,
    ("04_parents_education", "Intercept, standard error"): 2e-3,
    ("04_parents_education", "covariance"): 1e-3,
    ("04_parents_education", "slope variance"): 5e-4,
    ("04_parents_education", "residual variance"): 1e-4,
    ("04_parents_education", "edu, standard error"): 3e-3,
    ("04_parents_education", "edu, statistic"): 0.18,
}
"""How far from the maximum the published values of mixed models are: where statsmodels stopped."""
WIDER = {
    ("02_variance_components", "REML log-likelihood"): 1e-3,  # crossed: the published fit hadn't converged
    ("04_parents_education", "effect of c0"): 5e-6,
    ("04_parents_education", "effect of c1"): 5e-6,
    ("04_parents_education", "effect of c2"): 5e-6,
    ("06_coming_from", "sd of intercepts"): 1e-3,  # lme4's default tolerance
    ("06_coming_from", "sd of slopes"): 1e-3,
    ("06_coming_from", "slope of subject 308"): 2e-4,
    ("06_coming_from", "profile, sd of intercepts, lower"): 2e-3,  # lme4 interpolates profiles by splines
    ("06_coming_from", "profile, sd of intercepts, upper"): 2e-3,
    ("06_coming_from", "prediction, subject 308, day 0"): 2e-4,
    ("06_coming_from", "Subject Var"): 0.01,  # statsmodels' optimiser
    ("06_coming_from", "Subject x Days Cov"): 1e-2,
    ("06_coming_from", "Days Var"): 1e-3,
    ("06_coming_from", "scale"): 1e-3,
    ("06_coming_from", "random effect of 308, intercept"): 1e-4,
    ("06_coming_from", "random effect of 308, Days"): 1e-4,
}
"""Tolerances of published values that are neither of a converged fit nor have a converged one beside them."""

PUBLISHED = {
    "01_radon": {
        "figures": "-994.6192 0.5279 -0.689 0.071 0.043 0.887 0.528 0.47846",
        "figures_stan": "0.68677 -0.68514 0.38766",
    },
    "02_variance_components": {
        "figures_nested": "-116022.3805 15.8825 3.917 8.742 -0.035 0.149",
        "figures_errors": "0.112 0.063",
        "figures_crossed": "-112684.9688 15.9824 4.282 8.150 -0.251 0.353",
    },
    "04_parents_education": {
        "figures_table": (
            "2.694785 0.232842 2.139165 0.036643 0.932351 0.130717 3.441072 0.001102 0.587859 6.073401 "
            "7.497672 0.084411 0.061318 0.120808 3.412469 0.076190 0.916211 0.131193 3.453472 0.000553 "
            "0.935869 0.129084 1.978708 0.052959 0.911742 0.127269 2.756917 0.005835"
        ),
        "figures_intercepts": (
            "-88.8676 9.865 1.789 0.131 0.038 3.453472 9.427 0.8693 -2.889009 -0.323129 3.212138"
        ),
        "figures_slopes": "-88.5987 9.900 1.912 0.127 0.046 2.756917 10.760 -0.121 0.001 -1 0.8609",
    },
    "06_coming_from": {
        "figures_lme4": (
            "1743.6 -871.8141 24.741 5.922 0.066 25.592 251.405 10.467 1.546 17.000 6.771 23.537 "
            "19.666262 14.3814732 37.7159917 253.6637 345.6107"
        ),
        "figures_statsmodels": (
            "-871.8141 251.405 10.467 6.825 1.546 612.096 9.605 35.072 654.9405 2.25858 9.19897 251.405105"
        ),
        "figures_bambi": "251.2 10.46 27.2 6.48 25.82",
    },
}
"""The figures that have to stand in each notebook's tables, copied from their sources."""


@pytest.fixture(scope="module")
def cells():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module("cells")


@pytest.fixture(scope="module")
def ran(cells):
    """Names and texts that a notebook leaves when run with few draws."""
    return cache(lambda name: cells.run(FOLDER / "src" / f"{name}.py", fast=True))


def stored(name):
    return json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]


def stored_text(cell):
    """What is printed and the plain text of the last value; pictures have none."""
    found = []
    for output in cell["outputs"]:
        data = output.get("data", {})
        if "image/png" not in data:
            found.append("".join(output.get("text", data.get("text/plain", ""))))
    return "".join(found)


NUMBER = re.compile(r"(?<![\w.])[-+]?\d+\.?\d*(?:e[-+]?\d+)?(?![\w])")


def same(fresh, kept):
    """Equal but for white space and rounding: two units of the last digit, and where an optimiser stops.

    That is 2e-5 relative for estimates, and 1e-7 for log-likelihoods and other numbers above 1,000.
    """
    words = [re.sub(r"[\s\\]+", " ", NUMBER.sub("#", text)).strip() for text in (fresh, kept)]
    if words[0] != words[1]:
        return False
    pairs = zip(NUMBER.findall(fresh), NUMBER.findall(kept), strict=True)
    return all(abs(float(a) - float(b)) <= allowed(a, b) for a, b in pairs)


def allowed(a, b):
    """The distance of two printed numbers that ``same`` allows."""
    size = abs(float(b))
    return 2 * max(unit(a), unit(b)) + (2e-5 if size < 1000 else 1e-7) * size


def unit(number):
    """One in the last printed place; of whole numbers nothing."""
    mantissa, _, exponent = number.partition("e")
    _, point, decimals = mantissa.partition(".")
    return 10.0 ** (int(exponent or 0) - len(decimals)) if point else 0.0


def test_same_notices_words_and_numbers():
    assert same("edu  0.1312\n", "edu 0.1313")
    assert not same("edu 0.1312", "edu 0.1322")
    assert not same("edu 0.1312", "age 0.1312")
    assert not same("60 rows", "61 rows")
    assert not same("3.918139", "3.918439")
    assert not same("log-lik. -116022.380515", "log-lik. -116022.480515")
    assert same("x 1.234e-07", "x 1.235e-07")


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_built_from_its_source(name, cells):
    source = cells.read(FOLDER / "src" / f"{name}.py")
    built = [
        (c["cell_type"], "".join(c["source"]), tuple(c["metadata"].get("tags", ()))) for c in stored(name)
    ]
    assert built == [(c.kind, c.source, c.tags) for c in source], "run make notebooks"


@pytest.mark.parametrize("name", NAMES)
def test_stored_outputs_are_todays(name, ran):
    _, texts = ran(name)
    code = [cell for cell in stored(name) if cell["cell_type"] == "code"]
    stale = [
        "".join(cell["source"])
        for cell, text in zip(code, texts, strict=True)
        if "draws" not in cell["metadata"].get("tags", ()) and not same(text, stored_text(cell))
    ]
    assert not stale, "run make notebooks"


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_fit_to_be_kept(name):
    path = FOLDER / f"{name}.ipynb"
    assert path.stat().st_size < 400_000
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(?:home|root|tmp|Users|work)/|site-packages|ipykernel_| at 0x[0-9a-f]+", text)
    assert not re.search(r'"output_type": "error"|"stderr"', text)
    assert not re.search(r"Time:|\b[\d.]+ ms\b, ", text)


def tolerance(name, figure, printed):
    return WIDER.get((name, figure), 0.5 * unit(printed) + 1e-9)


@pytest.mark.parametrize("name, table", [(n, t) for n, tables in PUBLISHED.items() for t in tables])
def test_every_published_figure_is_shown(name, table, ran):
    frame = ran(name)[0][table]
    column = next(c for c in ("published", "lme4", "statsmodels", "bambi") if c in frame)
    assert sorted(frame[column]) == sorted(PUBLISHED[name][table].split())


LIKELIHOOD = [
    (name, table)
    for name, tables in PUBLISHED.items()
    for table in tables
    if table not in ("figures_stan", "figures_bambi", "figures_errors", "figures_table")
]


@pytest.mark.parametrize("name, table", LIKELIHOOD)
def test_published_figures(name, table, ran):
    """To half a unit of the last digit; where an optimiser stopped early, against the converged value too."""
    frame = ran(name)[0][table]
    column = next(c for c in ("published", "lme4", "statsmodels") if c in frame)
    assert "bimixed" in frame
    for figure, row in frame.iterrows():
        ours, printed = row["bimixed"], row[column]
        if (name, figure) == ("01_radon", "variance of county"):
            assert np.isnan(ours)  # not identified; 0.528 is the starting value times the residual variance
            continue
        converged = row.get("converged", "")
        if converged:
            limit = 0.5 * unit(converged) + CONVERGED * abs(float(converged))
            assert ours == pytest.approx(float(converged), abs=limit), figure
            assert ours == pytest.approx(float(printed), abs=STOPPED[name, figure]), figure
        else:
            assert ours == pytest.approx(float(printed), abs=tolerance(name, figure, printed)), figure


def test_unidentified_variance_is_told(ran):
    names, texts = ran("01_radon")
    (message,) = names["unidentified"].diagnostics.messages
    assert "variance of county" in message
    assert "not identified" in message
    assert any("not identified" in text for text in texts)


@pytest.mark.parametrize("where", ["fresh", "stored"])
def test_stan(where, ran):
    """Posterior means to 0.02: 2,000 published draws and ours, a few hundred effective ones when run fast."""
    table = (
        ran("01_radon")[0]["figures_stan"] if where == "fresh" else stored_table("01_radon", "figures_stan")
    )
    for _, row in table.iterrows():
        assert float(row["bimixed"]) == pytest.approx(float(row["published"]), abs=0.02)


def stored_table(name, table):
    """A table of figures from the text of the cell that ends with its name."""
    cell = next(c for c in stored(name) if "".join(c["source"]).endswith(f"\n{table}"))
    lines = stored_text(cell).split("\n")
    rows = [re.split(r"\s{2,}|\s(?=-?\d)", line.strip()) for line in lines[1:]]
    rows = [row for row in rows if len(row) > 1]
    heads = re.split(r"\s{2,}", lines[0].strip())
    return pd.DataFrame([row[1:] for row in rows], columns=heads, index=[row[0] for row in rows])


def test_standard_errors_of_variances(ran):
    """statsmodels' by ratios to the residual variance; ours on the variance's own scale, by mean squares."""
    table = ran("02_variance_components")[0]["figures_errors"]
    np.testing.assert_allclose(table["sd × se of ratio"], table["published"].astype(float), atol=5e-4)
    np.testing.assert_allclose(table["bimixed"], table["by mean squares"], rtol=1e-5)


def test_routes_of_variance_components(ran):
    names, _ = ran("02_variance_components")
    for table in ("routes_nested", "routes_crossed"):
        frame = names[table]
        assert list(frame) == ["components", "bars", "arrays"]
        for column in frame:
            assert frame.loc["log-likelihood", column] == pytest.approx(
                frame.loc["log-likelihood", "bars"], abs=1e-6
            )
            np.testing.assert_allclose(frame[column], frame["bars"], rtol=1e-4)


def test_schools(ran):
    """Three routes give one log-likelihood to 1e-6; each truth lies within its limits of 95 %."""
    names, _ = ran("03_schools")
    assert list(names["routes"].index) == ["groups", "bars", "arrays"]
    np.testing.assert_allclose(names["routes"], names["routes"]["bars"], atol=1e-6, rtol=0)
    table = names["against_truth"]
    assert table["truth"].tolist() == [0, 1, -2, 1, 1, 0, 2**0.5, 5**0.5, 1]
    assert ((table["lower"] < table["truth"]) & (table["truth"] < table["upper"])).all()


def test_seven_models(ran):
    """Least squares to the last digit; statistics of mixed models are where statsmodels stopped."""
    table = ran("04_parents_education")[0]["figures_table"]
    for (model, what), row in table.iterrows():
        limit = 6e-7
        if model.startswith("random"):
            limit = 2e-6
            if what in ("statistic", "p_value"):
                limit = {"random intercepts": 4e-4}.get(model, {"statistic": 0.18, "p_value": 3e-3}[what])
        assert row["bimixed"] == pytest.approx(float(row["published"]), abs=limit), (model, what)
    intercepts = table.loc[("random intercepts", "p_value"), "bimixed"]
    assert intercepts == pytest.approx(0.000553, abs=2e-6)  # normal; converged statistic 3.45376
    slopes = table.loc[("random intercepts and slopes", "statistic"), "bimixed"]
    assert slopes == pytest.approx(2.9289, abs=5e-5)  # converged


def test_singular_fit_is_told(ran):
    slopes = ran("04_parents_education")[0]["slopes"]
    assert slopes.diagnostics.singular
    assert len(slopes.diagnostics.messages) == 1


def test_marginal_covariance(ran):
    """Z Σ Z' + σ² I by hand, and the known variances of sleepstudy on days 0 and 9."""
    names, texts = ran("05_longitudinal")
    np.testing.assert_allclose(names["covariance"], names["by_hand"], rtol=1e-10)
    assert "True" in "".join(texts)
    cov = names["reml"].marginal_cov([0, 9]).to_numpy()
    # 612.10, 9.60, 35.07 and 654.94 by lme4
    expected = [612.10 + 654.94, 612.10 + 9 * 9.60, 612.10 + 18 * 9.60 + 81 * 35.07 + 654.94]
    np.testing.assert_allclose([cov[0, 0], cov[0, 1], cov[1, 1]], expected, rtol=1e-4)


def test_bambi(ran):
    """Means and sds: four Monte Carlo errors are a tenth of an sd at an effective size of 1,600."""
    table = ran("06_coming_from")[0]["figures_bambi"]
    sd = table["sd, bambi"].astype(float)
    assert (np.abs(table["bimixed"] - table["bambi"].astype(float)) < 0.1 * sd + 0.05).all()
    np.testing.assert_allclose(table["sd, bimixed"], sd, rtol=0.1)


def test_differences_are_judged(ran):
    names, texts = ran("07_when_they_differ")
    text = "\n".join(texts)
    assert names["reml_dyestuff"].varcorr["variance"].iloc[0] == 0.0
    assert re.search(r"sd_Batch\[Intercept\] \(\+1\.\d+\), expected", text)
    assert re.search(r"sd_Subject\[Days\] \(-4\.\d+\), suspicious", text)
    assert "prior and data conflict" in text
    assert {"lower_profile", "lower_bootstrap"} <= set(names["comparison"].intervals)
