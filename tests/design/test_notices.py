"""What is noticed before fitting, and what is not."""

import warnings

import numpy as np
import pandas as pd
import pytest

import bimixed as bm


def table(n=240):
    rng = np.random.default_rng(0)
    school = np.repeat(np.arange(12), n // 12)
    data = pd.DataFrame(
        {
            "y": rng.normal(size=n) + rng.normal(size=12)[school],
            "x": rng.normal(size=n),
            "school": [f"s{i:02d}" for i in school],
            "room": np.tile(np.repeat(np.arange(1, 5), 5), 12),
            "rater": rng.choice(list("abcdefg"), n),
            "size": np.repeat(rng.normal(size=12), n // 12),
            "age": rng.integers(6, 11, n).astype(str),
            "income": rng.normal(size=n) * 1e7,
        }
    )
    return data.assign(unique_room=data["school"] + "/" + data["room"].astype(str))


NOTICED = {
    "collinear": ("y ~ x + I(2*x) + (1 | school)", ["Dropped", "I(2 * x)"]),
    "slope constant within groups": (
        "y ~ size + (size | school)",
        ["random slope size does not vary within any level of school", "leave it out of (size | school)"],
    ),
    "fixed and random": (
        "y ~ school + (1 | school)",
        ["school is both fixed and random", "can't identify the variance of Intercept"],
    ),
    "nested given as crossed": (
        "y ~ x + (1 | school) + (1 | unique_room)",
        ["Every level of unique_room lies in one level of school", "'(1 | school/unique_room)'"],
    ),
    "labels that may restart": (
        "y ~ x + (1 | school) + (1 | room)",
        ["crossed", "labels of room start anew in every level of school", "'(1 | school/room)'"],
    ),
    "crossed given as nested": (
        "y ~ x + (1 | school/rater)",
        ["7 labels of rater occur in several levels of school", "'(1 | school) + (1 | rater)'"],
    ),
    "one group under two names": (
        "y ~ x + (1 | school) + (1 | size)",
        ["same levels under two names", "Remove one"],
    ),
    "few levels": ("y ~ x + (1 | room)", ["room has 4 levels", "poorly known"]),
    "groups of one": ("y ~ x + (1 | income_group)", ["of 150 levels have one row"]),
    "different scales": ("y ~ x + income + (1 | school)", ["income has sd", "scaled internally"]),
    "numbers as text": ("y ~ age + (1 | school)", ["'age' holds numbers as text", "5 levels", "to_numeric"]),
    "a power in the formula": ("y ~ x**2 + (1 | school)", ["'x**2' is the column x itself", "I(x**2)"]),
}


@pytest.mark.parametrize("case", NOTICED)
def test_noticed(case):
    formula, words = NOTICED[case]
    data = table().assign(income_group=np.minimum(np.arange(240), 149))
    spec = bm.ModelSpec(formula, data)
    text = " ".join(spec.noticed)
    for word in words:
        assert word in text
    assert words[0] in " ".join(str(spec).split())
    assert "<li>" in spec._repr_html_()


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ x + (x | school)",
        "y ~ size + (1 | school)",
        "y ~ x + (1 | school/room)",
        "y ~ x + (1 | school) + (1 | rater)",
        "y ~ x + I(x**2) + poly(size, 2) + (1 | school)",
        "y ~ (x + size)**2 + (1 | school)",
        "y ~ room + (1 | school)",
    ],
)
def test_ordinary_models_have_nothing_to_be_told(formula):
    assert bm.ModelSpec(formula, table()).noticed == ()


def test_noticing_changes_nothing_and_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spec = bm.ModelSpec("y ~ x + (1 | school) + (1 | unique_room)", table())
        _ = spec.noticed
    nested = bm.ModelSpec("y ~ x + (1 | school/unique_room)", table())
    assert spec.fit().loglik == pytest.approx(nested.fit().loglik, abs=1e-8)


def test_what_the_span_says_is_what_the_fit_finds():
    """The notice and the REML fit judge by the same condition."""
    data = table()
    for formula, identified in [("y ~ school + (1 | school)", False), ("y ~ x + (1 | school)", True)]:
        spec = bm.ModelSpec(formula, data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            variance = spec.fit().varcorr["variance"][0]
        assert np.isfinite(variance) == identified
        assert any("both fixed and random" in note for note in spec.noticed) != identified


def test_more_coefficients_than_rows_of_any_group_is_warned_of():
    data = table().assign(pair=np.repeat(np.arange(120), 2))
    with pytest.warns(bm.IdentificationWarning, match="no level has more than 2 rows"):
        bm.ModelSpec("y ~ x + (x | pair)", data)


def test_one_row_per_level_is_refused_unless_something_tells_the_variances_apart():
    data = table().assign(row=np.arange(240), se2=np.linspace(0.5, 2, 240))
    with pytest.raises(bm.DataError, match="one row per level"):
        bm.ModelSpec("y ~ x + (1 | row)", data)
    # precision weights that differ do (a meta-analysis)
    with pytest.warns(bm.IdentificationWarning):
        bm.ModelSpec("y ~ x + (1 | row)", data, weights="se2")
