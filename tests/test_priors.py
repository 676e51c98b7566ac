import re
import warnings

import numpy as np
import pandas as pd
import pytest

import bimixed as bm
from bimixed.marginal.posterior import fixef_prior
from bimixed.marginal.scales import Coordinates
from bimixed.priors import conditional_sds


def table():
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"x": rng.normal(5, 2, 60), "g": np.repeat(list("abcdef"), 10)})
    return data.assign(y=rng.normal(30, 4, 60), z=rng.normal(size=60))


def priors_of(formula, **given):
    return bm.ModelSpec(formula, table(), priors=given or None).priors


def test_defaults_are_in_the_datas_units():
    data, priors = table(), priors_of("y ~ x + (x | g)")
    s_y, s_x, m_x = data["y"].std(ddof=0), data["x"].std(ddof=0), data["x"].mean()
    assert priors["x"] == bm.Prior("normal", mu=0, sigma=2.5 * s_y / s_x)
    wide = np.sqrt(1 + (m_x / s_x) ** 2)
    assert priors["Intercept"].parameters["mu"] == pytest.approx(data["y"].mean())
    assert priors["Intercept"].parameters["sigma"] == pytest.approx(2.5 * s_y * wide)
    assert priors["sd_g[Intercept]"].parameters["sigma"] == pytest.approx(s_y * wide)
    assert priors["sd_g[x]"].parameters["sigma"] == pytest.approx(s_y / s_x)
    assert priors["corr_g"] == bm.Prior("lkj", eta=2)
    assert priors["sigma"].parameters == {"nu": 3.0, "sigma": pytest.approx(s_y)}


def test_units_of_the_response_scale_the_priors():
    a = priors_of("y ~ x + (x | g)")
    b = bm.ModelSpec("y ~ x + (x | g)", table().assign(y=table()["y"] * 1e3)).priors
    for name in a:
        if name != "corr_g":
            assert b[name].parameters["sigma"] == pytest.approx(1e3 * a[name].parameters["sigma"])


def test_cell_means_are_centred_on_the_mean():
    prior = priors_of("y ~ 0 + g + (0 + x | g)")["g[a]"]
    assert prior.parameters["mu"] == pytest.approx(table()["y"].mean())
    through = priors_of("y ~ 0 + x + (1 | g)")["x"]
    assert through.parameters["mu"] == 0.0
    assert 2 * through.parameters["sigma"] * table()["x"].mean() > table()["y"].mean()


def test_sds_given_the_other_columns_by_brute_force():
    rng = np.random.default_rng(1)
    X = np.column_stack([np.ones(40), rng.normal(5, 2, 40), rng.normal(size=40)])
    X = np.column_stack([X, X[:, 1] * X[:, 2]])
    for j, sd in enumerate(conditional_sds(X)):
        others = np.delete(X, j, axis=1)
        rest = X[:, j] - others @ np.linalg.lstsq(others, X[:, j], rcond=None)[0]
        assert sd == pytest.approx(np.sqrt(np.mean(rest**2)), rel=1e-9)
    dependent = np.column_stack([np.ones(40), 2 * np.ones(40)])
    np.testing.assert_allclose(conditional_sds(dependent), [1, 2])


@pytest.mark.parametrize("shift", [0.0, 2000.0])
def test_slopes_have_the_same_prior_wherever_zero_lies(shift):
    base = table().assign(year=table()["x"], h=np.tile([1, 2, 3], 20))
    moved = base.assign(year=base["year"] + shift)
    for formula, name in [("y ~ g * year", "g[T.b]:year"), ("y ~ 0 + g + year", "year")]:
        prior = bm.ModelSpec(f"{formula} + (1 | h)", moved).priors[name]
        expected = bm.ModelSpec(f"{formula} + (1 | h)", base).priors[name]
        assert prior.parameters["sigma"] == pytest.approx(expected.parameters["sigma"], rel=1e-5)
        assert prior.parameters["mu"] == 0.0


def test_names_of_parameters_are_reserved():
    with pytest.raises(bm.PriorError, match="rename the column"):
        bm.ModelSpec("y ~ sigma + (1 | g)", table().assign(sigma=table()["x"])).priors


def test_the_most_specific_prior_wins():
    n1, n2 = bm.Prior("normal", mu=1, sigma=1), bm.Prior("normal", mu=2, sigma=1)
    h = [bm.Prior("half_normal", sigma=s) for s in (1, 2, 3)]
    with pytest.warns(bm.BimixedWarning, match="'sd' sets nothing"):
        priors = priors_of(
            "y ~ x + z + (x + z | g)",
            fixef=n1, x=n2, sd=h[0], sd_g=h[1], **{"sd_g[x]": h[2]},
        )  # fmt: skip
    assert (priors["Intercept"], priors["x"], priors["z"]) == (n1, n2, n1)
    assert (priors["sd_g[Intercept]"], priors["sd_g[x]"]) == (h[1], h[2])
    assert priors.given == {"Intercept", "x", "z"} | {f"sd_g[{c}]" for c in ("Intercept", "x", "z")}
    assert "(default)" in repr(priors)
    assert priors_of("y ~ x + (1 | g)", sd=h[0])["sd_g[Intercept]"] == h[0]


def test_uncorrelated_terms_have_no_correlation_prior():
    assert "corr_g" not in priors_of("y ~ x + (x || g)")
    assert "corr_g" not in priors_of("y ~ x + (1 | g) + (0 + x | g)")


def test_priors_are_values():
    a = bm.Prior("normal", mu=0, sigma=2)
    assert a == bm.Prior("normal", mu=0.0, sigma=2.0)
    assert hash(a) == hash(bm.Prior("normal", mu=0, sigma=2))
    assert repr(a) == "Prior('normal', mu=0, sigma=2)"
    with pytest.raises(AttributeError):
        a.family = "flat"


def test_a_prior_that_sets_nothing_is_told():
    n, h = bm.Prior("normal", mu=0, sigma=1), bm.Prior("half_normal", sigma=1)
    with pytest.warns(bm.BimixedWarning, match=r"'fixef' sets nothing: Intercept, x have a more specific"):
        priors_of("y ~ x + (1 | g)", fixef=n, Intercept=n, x=n)
    with pytest.warns(bm.BimixedWarning, match=r"'sd' sets nothing: sd_g\[Intercept\] has a more specific"):
        priors_of("y ~ x + (1 | g)", sd=h, sd_g=h)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        priors_of("y ~ x + (x | g)", fixef=n, x=n, sd=h, **{"sd_g[x]": h})


def test_a_dropped_column_has_no_prior():
    data = table().assign(twice=lambda d: 2 * d["x"])
    with pytest.raises(bm.PriorError, match="'twice', a column that earlier ones determine"):
        bm.ModelSpec("y ~ x + twice + (1 | g)", data, priors={"twice": bm.Prior("normal", mu=0, sigma=1)})


def test_an_update_tells_which_priors_go():
    n, h = bm.Prior("normal", mu=0, sigma=1), bm.Prior("half_normal", sigma=1)
    spec = bm.ModelSpec("y ~ x + z + (x | g)", table(), priors={"x": n, "z": n, "sd_g[x]": h})
    with pytest.warns(bm.BimixedWarning, match=r"has no x, sd_g\[x\]; the prior given for it is left out"):
        smaller = spec.update("y ~ z + (1 | g)")
    assert smaller.priors.given == {"z"}
    with pytest.warns(bm.BimixedWarning, match="has no z"):
        spec.update(data=table().assign(z=lambda d: 3 * d["x"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert spec.update(". ~ . + I(x**2)").priors["x"] == n


@pytest.mark.parametrize("name", ["row", "chain", "draw", "coefficient"])
def test_groups_are_not_called_like_dimensions_of_draws(name):
    spec = bm.ModelSpec(f"y ~ x + (1 | {name})", table().rename(columns={"g": name}))
    spec.update(". ~ . + z").fit()  # likelihood fits have none
    with pytest.raises(bm.PriorError, match=f"group is called '{name}'.*rename the column"):
        spec.sample_prior()


def test_groups_do_not_take_the_dimension_of_anothers_coefficients():
    data = table().assign(g_coefficient=np.arange(60) % 7)
    with pytest.raises(bm.PriorError, match="draws have 'g_coefficient' already"):
        bm.ModelSpec("y ~ x + (1 | g) + (1 | g_coefficient)", data).priors


@pytest.mark.parametrize("formula", ["y ~ x + (x | g)", "y ~ g + (1 | g)", "y ~ x + (x || g) + offset(z)"])
def test_every_prior_counts_in_the_marginal_posterior(formula):
    """Whatever is given for one parameter changes the density, unidentified variances included."""
    spec = bm.ModelSpec(formula, table())

    def log_prior(priors):
        fixef = fixef_prior(spec.design, priors)
        coordinates = Coordinates.of(spec.design, priors)
        z = np.linspace(-0.4, 0.5, coordinates.size)
        beta = -0.5 * np.sum((fixef.mean - 0.3) ** 2 * fixef.precision) - 0.5 * fixef.log_det
        return beta + coordinates.log_prior(z)[0]

    before = log_prior(spec.priors)
    for name in spec.priors:
        kind = bm.Prior("half_normal", sigma=0.7)
        if name.startswith("corr_"):
            kind = bm.Prior("lkj", eta=4)
        elif not name.startswith("sd_") and name != "sigma":
            kind = bm.Prior("normal", mu=0.1, sigma=0.2)
        assert abs(log_prior(spec.update(priors={name: kind}).priors) - before) > 1e-3


@pytest.mark.parametrize(
    ("family", "given", "hint"),
    [
        ("half_cauchy", {"beta": 1}, "half_student_t', nu=1"),
        ("normal", {"mean": 0, "sd": 1}, "mean is called mu. sd is called sigma."),
        ("HalfCauchy", {"beta": 1}, "half_student_t', nu=1"),
        ("InverseGamma", {"alpha": 1, "beta": 1}, "Priors are of sds here, not of variances"),
        ("Laplace", {"mu": 0, "b": 1}, "Prior('student_t', nu=3"),
        ("LKJCholeskyCov", {"eta": 1}, "Prior('lkj', eta=...)"),
        (
            "Normal",
            {"mu": 0, "sigma": bm.Prior("HalfNormal", sigma=2)},
            "priors={'sd_<group>': Prior('half_normal', sigma=2)}",
        ),
    ],
)
def test_names_of_other_packages(family, given, hint):
    with pytest.raises(bm.exceptions.PriorError, match=re.escape(hint)):
        bm.Prior(family, **given)


@pytest.mark.parametrize("family", ["HalfStudentT", "halfstudentt", "half-student-t", "Half_Student_T"])
def test_families_in_other_spellings(family):
    assert bm.Prior(family, nu=3, sigma=1) == bm.Prior("half_student_t", nu=3, sigma=1)


def test_positional_parameters_are_named():
    with pytest.raises(bm.PriorError, match=re.escape("Prior('normal', mu=0, sigma=1).")):
        bm.Prior("Normal", 0, 1)
    with pytest.raises(bm.PriorError, match=re.escape("Prior('normal', mu=..., sigma=...).")):
        bm.Prior("normal", 0)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("1|Subject", "The sd of these effects is 'sd_Subject[Intercept]'"),
        ("Days|Subject_sigma", "The sd of these effects is 'sd_Subject[Days]'"),
        ("x | Subject", "called 'sd_<group>[<coefficient>]'"),
    ],
)
def test_names_of_bambi_are_translated(key, said):
    data = bm.load_dataset("sleepstudy")
    priors = {key: bm.Prior("half_normal", sigma=1)}
    with pytest.raises(bm.PriorError, match=re.escape(said)):
        bm.ModelSpec("Reaction ~ Days + (Days | Subject)", data, priors=priors)


def test_correlations_have_one_prior_by_group():
    data = bm.load_dataset("sleepstudy")
    for formula, priors, said in (
        (
            "(Days | Subject)",
            {"corr_Subject[Intercept,Days]": bm.Prior("lkj", eta=2)},
            "one prior: 'corr_Subj",
        ),
        ("(Days || Subject)", {"corr": bm.Prior("lkj", eta=2)}, "No random coefficients of this model"),
        ("(Days | Subject)", {"sd": bm.Prior("normal", mu=0, sigma=1)}, "values are positive: 'half_normal'"),
    ):
        with pytest.raises(bm.exceptions.PriorError, match=said):
            print(bm.ModelSpec(f"Reaction ~ Days + {formula}", data, priors=priors).priors)
