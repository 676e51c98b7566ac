"""Cross-products of parts add up to those of the whole.

Tolerance 1e-10 relative on what the likelihood gives: the sums differ in their order only, and centred
columns lose nothing to their means.
"""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bimixed as bm
from bimixed.assembly import assemble
from bimixed.crossproducts import cross_products as direct
from bimixed.likelihood.objective import evaluate, gradient

FORMULAS = [
    "y ~ x + (1 | g)",
    "y ~ x + f + (x | g)",
    "y ~ x + (x | g/h)",
    "y ~ x + (x | g) + (1 | k) + (z | m)",
    "y ~ 0 + x + (x || g)",
    "y ~ x + I(2 * x) + (1 | k) + (1 | g)",
    "y ~ 0 + f + x + (1 | m)",
]


def table(seed, n=160):
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "x": rng.normal(5, 1, n),
            "z": rng.normal(size=n),
            "f": pd.Categorical(rng.choice(list("uvw"), n), categories=list("uvw")),
            "g": rng.integers(0, 8, n),
            "h": rng.choice(list("pq"), n),
            "k": rng.integers(0, 6, n).astype(str),
            "m": rng.integers(0, 5, n),
            "w": rng.uniform(0.1, 4.0, n),
            "o": rng.normal(size=n),
        }
    )
    data["y"] = data["x"] + rng.normal(size=8)[data["g"]] + rng.normal(size=n)
    return data


def spec_of(formula, data, weighted):
    kwargs = {"weights": "w", "offset": "o"} if weighted else {}
    return bm.ModelSpec(formula, data, **kwargs)


@pytest.mark.parametrize("formula", FORMULAS)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), weighted=st.booleans(), cuts=st.lists(st.integers(30, 130), max_size=3))
def test_parts_add_up_to_the_whole(formula, seed, weighted, cuts):
    data = table(seed).sample(frac=1.0, random_state=seed)
    edges = [0, *sorted({c // 30 * 30 for c in cuts}), len(data)]
    parts = [data.iloc[a:b] for a, b in itertools.pairwise(edges)]
    parts = [part for part in parts if len(part) > 20]
    whole = spec_of(formula, pd.concat(parts), weighted)
    total = None
    for part in parts:
        own = bm.cross_products(spec_of(formula, part, weighted))
        total = own if total is None else total + own
    cp, kept = assemble(total)
    reference = direct(whole.design)
    np.testing.assert_array_equal(kept, whole.design.kept)
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=sum(t.n_theta for t in reference.templates))
    for reml in (True, False):
        ours, theirs = evaluate(cp, theta, reml), evaluate(reference, theta, reml)
        assert ours.deviance == pytest.approx(theirs.deviance, rel=1e-10, abs=1e-8)
        assert ours.sigma2 == pytest.approx(theirs.sigma2, rel=1e-10)
        np.testing.assert_allclose(
            cp.basis.coefficients(ours.gamma, ours.ranef),
            reference.basis.coefficients(theirs.gamma, theirs.ranef),
            rtol=1e-8,
            atol=1e-9,
        )
        slopes, expected = gradient(cp, ours, reml), gradient(reference, theirs, reml)
        np.testing.assert_allclose(slopes.theta, expected.theta, rtol=1e-7, atol=1e-7)
        for place, factor in enumerate(whole.design.factors):
            labels = total.factors[place].levels
            assert set(labels) == set(factor.levels)
            order = labels.get_indexer(factor.levels)
            np.testing.assert_allclose(ours.ranef[place][order], theirs.ranef[place], atol=1e-8)


def test_far_away_means_cost_no_digits():
    """Two halves whose responses lie 1e8 from 0, and apart from each other by a thousand sds."""
    data = table(1)
    moved = data.assign(y=data["y"] + 1e8, x=data["x"] + 1e6)
    first, second = moved.iloc[:80], moved.iloc[80:]
    formula = "y ~ x + (1 | g)"
    total = bm.cross_products(bm.ModelSpec(formula, first)) + bm.cross_products(bm.ModelSpec(formula, second))
    cp, _ = assemble(total)
    plain = direct(bm.ModelSpec(formula, data).design)
    theta = np.array([0.8])
    # the data themselves have 8 digits less than those that weren't moved
    assert evaluate(cp, theta, True).deviance == pytest.approx(
        evaluate(plain, theta, True).deviance, abs=1e-5
    )


def test_order_of_addition_changes_nothing():
    data = table(2)
    formula = "y ~ x + (x | g) + (1 | k)"
    a, b, c = (bm.cross_products(bm.ModelSpec(formula, data.iloc[i::3])) for i in range(3))
    one, other = assemble(a + b + c)[0], assemble(c + (b + a))[0]
    theta = np.array([0.5, 0.1, 0.4, 0.7])
    assert evaluate(one, theta, True).deviance == pytest.approx(
        evaluate(other, theta, True).deviance, rel=1e-13
    )


def test_models_that_differ_are_told():
    data = table(3)
    a = bm.cross_products(bm.ModelSpec("y ~ x + (1 | g)", data))
    with pytest.raises(bm.DataError, match="z"):
        a + bm.cross_products(bm.ModelSpec("y ~ z + (1 | g)", data))
    with pytest.raises(bm.DataError, match="random effects"):
        a + bm.cross_products(bm.ModelSpec("y ~ x + (1 | k)", data))
    with pytest.raises(TypeError):
        a + 1


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("(x | g)", "(x || g)", "Intercept, x (correlated), the second Intercept and x (uncorrelated)"),
        ("(x | g)", "(1 | g)", "of 'g': the first has Intercept, x (correlated), the second Intercept."),
        ("(x | g)", "(0 + x | g)", "the second x."),
        ("(1 | g) + (1 | k)", "(1 | k) + (1 | g)", "another order: g, k and k, g"),
        ("(1 | g)", "(1 | k)", "the first g, the second k"),
        ("(1 | g)", "(1 | g) + (1 | k)", "the first g, the second g, k"),
    ],
)
def test_what_differs_is_told(first, second, words):
    data = table(3)
    a, b = (bm.cross_products(bm.ModelSpec(f"y ~ x + {bars}", data)) for bars in (first, second))
    with pytest.raises(bm.DataError, match=re.escape(words)):
        a + b


def test_one_model_written_in_two_ways_adds_up():
    data = table(3)
    formulas = ("y ~ x + (x || g)", "y ~ x + (1 | g) + (0 + x | g)")
    a, b = (bm.cross_products(bm.ModelSpec(f, data.iloc[i::2])) for i, f in enumerate(formulas))
    whole = direct(bm.ModelSpec(formulas[0], data).design)
    theta = np.array([0.7, 0.3])
    for total in (a + b, b + a):
        assert evaluate(assemble(total)[0], theta, True).deviance == pytest.approx(
            evaluate(whole, theta, True).deviance, rel=1e-11
        )


def test_memberships_add_up():
    rng = np.random.default_rng(4)
    Z = rng.dirichlet(np.ones(5) * 0.4, 120).round(2)
    X = np.column_stack([np.ones(120), rng.normal(size=120)])
    y = X @ [1, 2] + Z @ rng.normal(size=5) + rng.normal(size=120)

    def spec(rows):
        return bm.ModelSpec.from_arrays(y[rows], X[rows], exog_vc={"m": Z[rows]})

    total = bm.cross_products(spec(slice(0, 70))) + bm.cross_products(spec(slice(70, None)))
    cp, _ = assemble(total)
    reference = direct(spec(slice(None)).design)
    theta = np.array([0.6])
    assert evaluate(cp, theta, True).deviance == pytest.approx(
        evaluate(reference, theta, True).deviance, rel=1e-11
    )


def test_sums_and_what_can_t_be_added():
    data = table(5)
    parts = [bm.cross_products(bm.ModelSpec("y ~ x + (1 | g)", data.iloc[i::2])) for i in range(2)]
    assert sum(parts).n == len(data)
    with pytest.raises(bm.DataError, match="ModelSpec"):
        bm.cross_products(data)
    scaled = [bm.cross_products(bm.ModelSpec("y ~ scale(x) + (1 | g)", data.iloc[i::2])) for i in range(2)]
    with pytest.raises(bm.DataError, match="depend on the data"):
        scaled[0] + scaled[1]
