import numpy as np
import pandas as pd
import pytest

from bimixed import DataError
from bimixed.design import build_design
from bimixed.formula import parse_formula


def table(n=24):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "f": np.tile(["p", "q", "r"], n // 3),
            "g": np.repeat(["b", "a", "c", "d"], n // 4),
            "h": np.tile([1, 2], n // 2),
        },
        index=np.arange(100, 100 + n),
    )


def design(text, data=None, **kwargs):
    return build_design(parse_formula(text), table() if data is None else data, **kwargs)


def test_formulaic_builds_the_fixed_part_and_the_inside_of_bars():
    d = design("y ~ poly(x, 2) + f + (0 + f | g)")
    assert d.names == ("Intercept", "poly(x, 2)[1]", "poly(x, 2)[2]", "f[T.q]", "f[T.r]")
    assert d.factors[0].names == ("f[p]", "f[q]", "f[r]")
    assert design("y ~ 1 + (f | g)").factors[0].names == ("Intercept", "f[T.q]", "f[T.r]")
    assert design("y ~ 1 + (np.abs(x) || g)", context={"np": np}).factors[0].names[1] == "np.abs(x)"


def test_random_design_has_the_values_at_the_levels_columns():
    d = design("y ~ x + (x | g)")
    dense = d.Z["g"].toarray()
    data = table()
    for row in range(len(data)):
        level = ["a", "b", "c", "d"].index(data["g"].iloc[row])
        expected = np.zeros(8)
        expected[2 * level : 2 * level + 2] = [1.0, data["x"].iloc[row]]
        np.testing.assert_array_equal(dense[row], expected)


def test_nested_groups_are_named_and_sorted():
    d = design("y ~ 1 + (1 | g/h)")
    assert [f.key for f in d.factors] == ["g", "g:h"]
    assert d.factors[1].levels.tolist() == [f"{g}:{h}" for g in "abcd" for h in (1, 2)]


def test_unused_categories_are_no_levels():
    data = table()
    data["g"] = pd.Categorical(data["g"], categories=["z", "d", "c", "b", "a"])
    assert design("y ~ 1 + (1 | g)", data).factors[0].levels.tolist() == ["d", "c", "b", "a"]


def test_terms_of_one_group_are_one_factor():
    d = design("y ~ x + (1 | g) + (0 + x | g)")
    assert len(d.factors) == 1
    assert d.factors[0].template.blocks == ((1, True), (1, True))


def test_missing_rows_are_dropped_and_counted():
    data = table()
    data.loc[101, "x"] = np.nan
    data.loc[105, "g"] = None
    d = design("y ~ x + (1 | g)", data, weights=np.r_[np.nan, np.ones(23)])
    assert d.n == 21
    assert d.frame.n_dropped == 3
    assert d.index.tolist() == [i for i in range(100, 124) if i not in (100, 101, 105)]


def test_offsets_add_up():
    data = table()
    d = design("y ~ 1 + offset(x) + (1 | g)", data, offset=np.full(24, 2.0))
    np.testing.assert_allclose(d.offset, data["x"] + 2.0)


def test_callers_data_are_not_changed():
    data = table()
    before = data.copy(deep=True)
    d = design("y ~ x + (1 | g)", data)
    d.y[:] = 0.0
    d.X[:] = 0.0
    pd.testing.assert_frame_equal(data, before)


@pytest.mark.parametrize("convert", ["dict", "polars", "pyarrow", "nullable"])
def test_tables_of_every_kind_give_the_same_design(convert):
    data = table()
    reference = design("y ~ x + f + (x | g) + (1 | h)", data)
    if convert == "dict":
        other = {name: data[name].to_numpy() for name in data}
    elif convert == "nullable":
        other = data.convert_dtypes()
    else:
        module = pytest.importorskip(convert)
        plain = data.reset_index(drop=True)
        other = module.from_pandas(plain) if convert == "polars" else module.Table.from_pandas(plain)
    d = design("y ~ x + f + (x | g) + (1 | h)", other)
    np.testing.assert_array_equal(d.X, reference.X)
    np.testing.assert_array_equal(d.y, reference.y)
    assert d.names == reference.names
    for mine, theirs in zip(d.factors, reference.factors, strict=True):
        assert list(mine.levels) == list(theirs.levels)
        np.testing.assert_array_equal(mine.codes, theirs.codes)


def test_new_rows_are_encoded_as_the_fitted_ones_were():
    d = design("y ~ scale(x) + f + (scale(x) | g/h)")
    data = table()
    new = data.iloc[[20, 3, 7]]
    rows = d.encode(new, ("g", "g:h"))
    np.testing.assert_allclose(rows.X, d.X[[20, 3, 7]])
    for f in d.factors:
        np.testing.assert_array_equal(rows.random[f.key].codes, f.codes[[20, 3, 7]])
        np.testing.assert_allclose(rows.random[f.key].values, f.values[[20, 3, 7]])
    assert rows.index.tolist() == new.index.tolist()
    unseen = d.encode(new.assign(h=[1, 9, 2]), ("g:h",))
    assert (unseen.random["g:h"].codes < 0).tolist() == [False, True, False]


def test_unseen_levels_of_fixed_factors_and_missing_labels_are_errors():
    d = design("y ~ f + (1 | g)")
    with pytest.raises(DataError, match="'z'"):
        d.encode(table().assign(f="z"), ("g",))
    with pytest.raises(DataError, match="missing in rows"):
        d.encode(table().assign(g=None), ("g",))
    with pytest.raises(DataError, match="No column 'f'"):
        d.encode(table().drop(columns="f"), ("g",))
