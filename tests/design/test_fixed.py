import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bimixed.design.fixed import independent_columns


def test_of_collinear_columns_the_later_goes():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 50))
    X = np.column_stack([np.ones(50), a, 2 * a + 3, b, a - b, np.zeros(50)])
    assert independent_columns(X).tolist() == [0, 1, 3]


def test_units_of_the_columns_do_not_matter():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(50, 4)) * np.array([1e-9, 1.0, 1e9, 1e-3])
    assert independent_columns(X).tolist() == [0, 1, 2, 3]


def test_nearly_collinear_columns_follow_the_tolerance():
    rng = np.random.default_rng(2)
    a, noise = rng.normal(size=(2, 200))
    for size, kept in [(1e-5, [0, 1]), (1e-9, [0])]:
        assert independent_columns(np.column_stack([a, a + size * noise])).tolist() == kept


def test_more_columns_than_rows():
    assert len(independent_columns(np.random.default_rng(3).normal(size=(3, 6)))) == 3
    assert independent_columns(np.zeros((3, 0))).tolist() == []


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(0, 4))
def test_kept_columns_span_all_and_have_full_rank(seed, rank, extra):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(20, rank))
    X = np.column_stack([base, base @ rng.normal(size=(rank, extra))])
    kept = independent_columns(X)
    assert kept.tolist() == list(range(rank))
