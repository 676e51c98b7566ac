"""Lines of panels: other columns at typical values, weights, offsets; which levels and columns are chosen."""

import numpy as np
import pandas as pd
import pytest

import bimixed as bm
from bimixed.inference import panel_lines


def made(seed=3):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(10), rng.integers(3, 9, 10))
    n = len(g)
    data = pd.DataFrame(
        {"g": g, "x": rng.normal(size=n), "u": rng.normal(size=10)[g], "w": rng.uniform(0.5, 2, n)}
    )
    data["f"] = rng.choice(["a", "b"], n)
    data["o"] = 0.3
    b = rng.normal(size=(10, 2))
    data["y"] = (
        b[g, 0] + (1 + b[g, 1]) * data["x"] + data["u"] + (data["f"] == "b") + 0.3 + rng.normal(size=n)
    )
    return data


def drawn(fit, x=None, levels=(0, 4)):
    factor = fit.design.factors[0]
    column = panel_lines.column_of(fit, factor, x)
    return column, panel_lines.lines({"fit": fit}, factor, column, list(levels))


def test_lines_with_weights_offset_and_other_columns():
    data = made()
    fit = bm.ModelSpec("y ~ x + u + f + (x | g)", data, weights="w", offset="o").fit()
    column, found = drawn(fit)
    assert column.name == "x"
    assert found.x.shape == (2, 30)
    beta = fit.fixef["estimate"]
    X = np.column_stack([np.ones(len(data)), data["x"], data["u"], data["f"] == "b"])
    root = np.sqrt(data["w"].to_numpy())[:, None]
    complete = np.linalg.lstsq(root * X, root[:, 0] * (data["y"] - 0.3))[0]
    for i, level in enumerate((0, 4)):
        rows = data[data["g"] == level]
        is_b = float(rows["f"].mode().iloc[0] == "b")
        x = found.x[i]
        new = np.column_stack([np.ones(30), x, np.full(30, rows["u"].iloc[0]), np.full(30, is_b)])
        np.testing.assert_allclose(found.pooled[i], new @ complete + 0.3)
        ranef = fit.ranef["g"].loc[level]
        np.testing.assert_allclose(
            found.partial["fit"][i], new @ beta + 0.3 + ranef["Intercept"] + ranef["x"] * x
        )
        Z = np.column_stack([np.ones(len(rows)), rows["x"]])
        rest = rows["y"] - X[rows.index] @ beta - 0.3
        scale = np.sqrt(rows["w"].to_numpy())
        own = np.linalg.lstsq(scale[:, None] * Z, scale * rest)[0]
        np.testing.assert_allclose(found.own[i], new @ beta + 0.3 + own[0] + own[1] * x)


def test_a_level_that_does_not_determine_its_line_has_none(radon_reml):
    factor = radon_reml.design.factor("county")
    alone = factor.levels.get_loc("MAHNOMEN")  # one house
    _, found = drawn(radon_reml, levels=[alone, factor.levels.get_loc("ST LOUIS")])
    assert np.isnan(found.own[0]).all()
    assert np.isfinite(found.own[1]).all()
    assert np.isfinite(found.partial["fit"]).all()


def test_columns_by_default():
    data = made()

    def name(formula):
        column = panel_lines.column_of(
            fit := bm.ModelSpec(formula, data).fit("ml"), fit.design.factors[0], None
        )
        return None if column is None else column.name

    assert name("y ~ u + x + (x | g)") == "x"
    assert name("y ~ u + x + (1 | g)") == "x"  # u doesn't vary within levels
    assert name("y ~ u + f + (1 | g)") == "f"
    assert name("y ~ u + (1 | g)") is None


def test_factors_along_the_panels():
    data = made()
    fit = bm.ModelSpec("y ~ x + f + (1 | g)", data).fit()
    column, found = drawn(fit, "f")
    assert column.labels == ["a", "b"]
    assert found.x.tolist() == [[0.0, 1.0], [0.0, 1.0]]
    np.testing.assert_allclose(np.diff(found.partial["fit"]), fit.fixef.loc["f[T.b]", "estimate"])


def test_levels_are_taken_evenly_by_size():
    data = made()
    fit = bm.ModelSpec("y ~ x + (1 | g)", data).fit()
    factor = fit.design.factors[0]
    chosen = panel_lines.chosen_levels(fit, factor, None, 4)
    counts = factor.level_counts()
    assert len(set(chosen)) == 4
    assert counts[chosen].tolist() == sorted(counts[chosen])
    assert {counts[chosen][0], counts[chosen][-1]} == {counts.min(), counts.max()}
    assert panel_lines.chosen_levels(fit, factor, [3, 1], 4) == [3, 1]
    assert panel_lines.chosen_levels(fit, factor, 7, 4) == [7]
    with pytest.raises(bm.DataError, match="levels= is empty"):
        panel_lines.chosen_levels(fit, factor, [], 4)
