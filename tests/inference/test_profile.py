"""Profiles against lme4's limits, against dense brute force, and against fits of smaller models.

Tolerances. A point of ours is within 1e-9 of its least deviance; brute force by BFGS on differences stops
within 1e-5 above it. lme4's limits are interpolated by splines, to 1e-4 of the interval's width.
"""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from drawn import dyestuff, importance_fit
from natural import CASES, least, small_data
from scipy.stats import chi2
from test_lme4 import FITS, fitted

import bimixed as bm
from bimixed.design import wide
from bimixed.inference import profile as profiles
from bimixed.inference import tracing
from bimixed.inference.criteria import Criteria, Profiled

CUTOFF = np.sqrt(chi2.ppf(0.95, 1))
REFERENCE = [i for i, fit in FITS.items() if fit.get("profile_ci")]


def ours(name):
    """lme4's name of a parameter → ours."""
    name = name.replace("(Intercept)", "Intercept").replace("SexMale", "Sex[T.Male]")
    kind, _, rest = name.partition("_")
    if kind == "sd":
        coefficient, group = rest.split("|")
        return f"sd_{group}[{coefficient}]"
    if kind == "cor":
        pair, group = rest.split("|")
        second, first = pair.split(".")
        return f"corr_{group}[{first},{second}]"
    return name


@pytest.mark.parametrize("fit_id", REFERENCE)
def test_limits_of_lme4(fit_id):
    theirs, fit = FITS[fit_id]["profile_ci"], fitted(fit_id)
    made = bm.profile(fit)
    for level, suffix in ((0.95, ""), (0.90, "90")):
        expected = np.column_stack([theirs[f"lower{suffix}"], theirs[f"upper{suffix}"]])
        found = made.conf_int(level).loc[[ours(name) for name in theirs["names"]]].to_numpy()
        width = expected[:, 1] - expected[:, 0]
        np.testing.assert_array_less(np.abs(found - expected) / width[:, None], 1e-4)


def test_the_reference_has_profiles_of_seven_fits():
    assert len(REFERENCE) == 7


@pytest.mark.parametrize("case", CASES)
def test_points_by_brute_force(case):
    """A point of every parameter, at about a limit of 70 %, sides in turn."""
    formula, method, extra = CASES[case]
    fit = bm.ModelSpec(formula, small_data(9), **extra).fit(method)
    made = bm.profile(fit)
    assert not made.notes or all("bound" in note for note in made.notes)
    for name, zeta in zip(made.parameters, (-1.04, 1.04) * 6, strict=False):
        reml = made.criterion[name] == "REML"
        assert reml == (method == "reml" and name not in fit.design.names)
        points = made.table.query("parameter == @name").set_index("zeta")
        place = np.abs(points.index - zeta).argmin()
        value, found = points["value"].iloc[place], points["deviance"].iloc[place]
        if {"s": value > 0.0, "c": abs(value) < 1.0}.get(name[0], True):
            brute = least(fit, name, value, reml)
            assert brute - 1e-5 < found < brute + 1e-7, (name, value)


def test_zeta_at_the_limits_is_the_quantile():
    formula, method, extra = CASES["slope"]
    fit = bm.ModelSpec(formula, small_data(9), **extra).fit(method)
    limits = fit.conf_int(method="profile")
    checked = 0
    for name, (lower, upper) in limits.iterrows():
        for limit in (lower, upper):
            if (name.startswith("sd_") and limit == 0.0) or (name.startswith("corr_") and abs(limit) == 1.0):
                continue
            rise = least(fit, name, limit, reml=False) + 2 * fit.loglik
            assert rise == pytest.approx(CUTOFF**2, abs=1e-5), name
            checked += 1
    assert checked >= 8


def held_at(fit, name, c):
    """The least deviance at c, in the coordinate of the criterion."""
    made = Criteria(fit).of(name)
    assert isinstance(made, Profiled)
    curve = tracing.trace(made.criterion, made.base, 3.0)
    near = min(curve.points, key=lambda point: abs(point.c - c)).minimum
    from bimixed.inference.following import follow, minimize_given

    return minimize_given(made.criterion, follow(near, c), near.hessian).value


@pytest.mark.parametrize("method", ["ml", "reml"])
@pytest.mark.parametrize("extra", [{}, {"weights": "w"}])
def test_smaller_models_lie_on_the_profiles(method, extra):
    """No correlation is ``||``, no sd is a model without the term; by ML no coefficient is one without it."""
    data = small_data(7)
    fit = bm.ModelSpec("y ~ x + (x | g) + (1 | k)", data, **extra).fit(method)

    def smaller(formula):
        return -2 * bm.ModelSpec(formula, data, **extra).fit(method).loglik

    assert held_at(fit, "corr_g[Intercept,x]", 0.0) == pytest.approx(
        smaller("y ~ x + (x || g) + (1 | k)"), abs=1e-7
    )
    assert held_at(fit, "sd_k[Intercept]", 0.0) == pytest.approx(smaller("y ~ x + (x | g)"), abs=1e-7)
    assert held_at(fit, "sd_g[x]", 0.0) == pytest.approx(smaller("y ~ x + (1 | g) + (1 | k)"), abs=1e-7)
    if method == "ml":
        table = fit.fixef.loc["x"]
        c = -table["estimate"] / table["std_error"]
        assert held_at(fit, "x", c) == pytest.approx(smaller("y ~ 1 + (x | g) + (1 | k)"), abs=1e-7)


def test_a_variance_that_leaves_zero_on_the_way():
    """Rooms have no variance beside schools, and all of theirs once schools have none."""
    rng = np.random.default_rng(0)
    n = 240
    data = pd.DataFrame({"school": np.repeat([f"s{i}" for i in range(12)], 20)})
    data["room"] = [f"r{i % 4}" for i in range(n)]
    data["y"] = np.repeat(rng.normal(size=12), 20) * 0.6 + rng.normal(size=n)
    fit = bm.ModelSpec("y ~ 1 + (1 | school) + (1 | school:room)", data).fit("ml")
    assert fit.random_cov["school:room"].iloc[0, 0] == 0.0
    alone = bm.ModelSpec("y ~ 1 + (1 | school:room)", data).fit("ml")
    assert alone.random_cov["school:room"].iloc[0, 0] > 0.0
    found = held_at(fit, "sd_school[Intercept]", 0.0)
    assert found == pytest.approx(-2 * alone.loglik, abs=1e-7)
    none = bm.ModelSpec("y ~ 1 + (1 | school)", data).fit("ml")
    assert held_at(fit, "sd_school:room[Intercept]", 0.0) == pytest.approx(-2 * none.loglik, abs=1e-7)


def test_zeta_rises_evenly_and_beyond_the_99_percent_quantile():
    made = bm.profile(fitted("sleepstudy/full:ML"))
    assert list(made.table.columns) == ["parameter", "value", "zeta", "deviance", "criterion"]
    for name, points in made.table.groupby("parameter"):
        assert (np.diff(points["value"]) > 0).all() and (np.diff(points["zeta"]) > 0).all(), name
        assert points["zeta"].iloc[0] <= -2.5758 and points["zeta"].iloc[-1] >= 2.5758
        assert np.diff(points["zeta"]).max() < 0.8 and np.diff(points["zeta"]).min() > 0.3
        assert (points["zeta"] == 0.0).sum() == 1
    deviance = made.table["deviance"] + 2 * fitted("sleepstudy/full:ML").loglik
    np.testing.assert_allclose(deviance, made.table["zeta"] ** 2, atol=1e-8)


def test_levels_beyond_what_was_followed():
    fit = fitted("sleepstudy/ri:ML")
    near, far = bm.profile(fit), profiles.profiled(fit, None, 0.9999, False)
    np.testing.assert_allclose(near.conf_int(0.9995), far.conf_int(0.9995), rtol=1e-7)


def test_limits_in_other_units():
    data = bm.load_dataset("sleepstudy")
    one = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", data).fit().conf_int(method="profile")
    other = data.assign(y=data["Reaction"] * 1e5, hours=data["Days"] * 24)
    two = bm.ModelSpec("y ~ hours + (hours | Subject)", other).fit().conf_int(method="profile")
    factor = np.array([1e5, 1e5 / 24, 1e5, 1e5 / 24, 1.0, 1e5])
    np.testing.assert_allclose(two, one.to_numpy() * factor[:, None], rtol=1e-6)


def test_another_origin_of_the_slope():
    """The slope's sd and sigma don't depend on where its covariate is 0."""
    data = bm.load_dataset("sleepstudy")
    one = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", data).fit()
    two = bm.ModelSpec("Reaction ~ year + (year | Subject)", data.assign(year=data["Days"] + 300)).fit()
    names = ["sd_Subject[Days]", "sigma", "Days"]
    near = bm.profile(one, names).conf_int()
    far = bm.profile(two).conf_int()
    np.testing.assert_allclose(far.loc[["sd_Subject[year]", "sigma", "year"]], near, rtol=1e-5)
    assert far.loc["corr_Subject[Intercept,year]", "upper"] < -0.99


# --- the boundary ----------------------------------------------------------------------------


def test_an_sd_estimated_as_0():
    made = bm.profile(bm.ModelSpec("Yield ~ 1 + (1 | Batch)", bm.load_dataset("dyestuff2")).fit("ml"))
    points = made.table.query("parameter == 'sd_Batch[Intercept]'")
    assert points["value"].iloc[0] == 0.0 and points["zeta"].iloc[0] == 0.0
    assert (points["zeta"].iloc[1:] > 0).all()
    limits = made.conf_int().loc["sd_Batch[Intercept]"]
    assert limits["lower"] == 0.0 < limits["upper"]
    assert any("estimated at its bound 0" in note for note in made.notes)
    assert "estimated at its bound 0" in str(made)


def test_an_interval_that_ends_at_0_only_when_it_is_wide():
    made = bm.profile(fitted("Dyestuff/ri:ML"), "sd_Batch[Intercept]")
    assert made.conf_int(0.95)["lower"].item() > 0.0
    assert made.conf_int(0.99)["lower"].item() == 0.0
    (note,) = made.notes
    assert "limit of intervals of more than 98 %" in note


def singular_slope():
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": np.repeat(np.arange(12), 8), "x": np.tile(np.linspace(-1, 1, 8), 12)})
    u = rng.normal(size=12)
    data["y"] = u[data["g"]] * (1 + data["x"]) + rng.normal(size=96)
    return data


def test_a_correlation_of_1_has_no_profile_but_its_sds_do():
    fit = bm.ModelSpec("y ~ x + (x | g)", singular_slope()).fit("ml")
    assert fit.random_corr["g"].iloc[0, 1] == pytest.approx(1.0)
    made = bm.profile(fit)
    limits = made.conf_int()
    assert limits.loc["corr_g[Intercept,x]"].isna().all()
    assert limits.drop(index="corr_g[Intercept,x]").notna().all(axis=None)
    assert "corr_g[Intercept,x] has no profile" in str(made)
    with pytest.raises(bm.DataError, match=r"estimated at its bound \+1.*'\|\|' for '\|'"):
        bm.profile(fit, "corr_g[Intercept,x]")
    for name, place in (("sd_g[Intercept]", 1), ("sd_g[x]", -2), ("x", 1)):
        points = made.table.query("parameter == @name")
        found, value = points["deviance"].iloc[place], points["value"].iloc[place]
        brute = least(fit, name, value, False, starts=2)  # the correlation is nearly 1
        assert brute - 1e-4 < found < brute + 1e-7, (name, value)


def test_a_correlation_with_an_sd_of_0():
    data = singular_slope().assign(y=lambda d: np.random.default_rng(14).normal(size=96))
    fit = bm.ModelSpec("y ~ x + (x | g)", data).fit()
    assert fit.random_cov["g"].to_numpy().diagonal().min() == 0.0
    with pytest.raises(bm.DataError, match="so that there is no correlation"):
        bm.profile(fit, ["corr_g[Intercept,x]"])
    limits = bm.profile(fit).conf_int()
    assert (limits.loc[["sd_g[Intercept]", "sd_g[x]"], "lower"] == 0.0).all()
    assert np.isfinite(limits.loc[["sd_g[Intercept]", "sd_g[x]"], "upper"]).all()


def test_what_isnt_identified():
    data = small_data(2).assign(x2=lambda d: 2 * d["x"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.IdentificationWarning)
        fit = bm.ModelSpec("y ~ g + (1 | g) + (1 | k)", data).fit()
    made = bm.profile(fit, None)
    assert made.conf_int().loc["sd_g[Intercept]"].isna().all()
    assert made.conf_int().loc["sd_k[Intercept]"].notna().all()
    with pytest.raises(bm.DataError, match="don't identify it"):
        bm.profile(fit, "sd_g[Intercept]")
    dropped = bm.ModelSpec("y ~ x + x2 + (1 | g)", data).fit("ml")
    with pytest.raises(bm.DataError, match="was dropped"):
        bm.profile(dropped, "x2")
    assert bm.profile(dropped).conf_int().loc["x2"].isna().all()


# --- methods, errors, interrupts --------------------------------------------------------------


def test_fixed_effects_of_a_reml_fit_are_profiled_by_ml():
    spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
    reml, ml = bm.profile(spec.fit("reml")), bm.profile(spec.fit("ml"))
    fixed = ["Intercept", "Days"]
    np.testing.assert_allclose(reml.conf_int().loc[fixed], ml.conf_int().loc[fixed], rtol=1e-8)
    assert (reml.criterion[fixed] == "ML").all() and (reml.criterion.drop(fixed) == "REML").all()
    assert (ml.criterion == "ML").all()
    assert "Fixed effects are profiled by ML, from a refit" in str(reml)
    assert "refit" not in str(ml)
    wider = reml.conf_int().loc["sd_Subject[Days]"] > ml.conf_int().loc["sd_Subject[Days]"]
    assert wider.all()
    table = spec.fit().conf_int(method="profile")
    np.testing.assert_allclose(table, reml.conf_int(), rtol=1e-6)
    assert table.attrs["criterion"]["Days"] == "ML"
    assert table.index.equals(spec.fit().conf_int().index)


def test_a_coefficient_of_a_factor_with_many_levels(monkeypatch):
    rng = np.random.default_rng(1)
    data = pd.DataFrame(
        {"f": rng.integers(0, 15, 300), "g": rng.integers(0, 20, 300), "x": rng.normal(size=300)}
    )
    data["y"] = np.cos(data["f"]) + data["x"] + rng.normal(size=20)[data["g"]] + rng.normal(size=300)
    names = ["C(f)[T.3]", "x", "sd_g[Intercept]"]
    spec = bm.ModelSpec("y ~ x + C(f) + (1 | g)", data)
    dense = bm.profile(spec.fit(), names).conf_int()
    monkeypatch.setattr(wide, "LARGE", 1)
    monkeypatch.setattr(wide, "FEWEST", 10)
    fit = bm.ModelSpec("y ~ x + C(f) + (1 | g)", data).fit()
    assert fit.design.wide is not None
    np.testing.assert_allclose(bm.profile(fit, names).conf_int(), dense, rtol=1e-6)


def test_draws_and_wrong_names_are_refused():
    spec = bm.ModelSpec("Reaction ~ Days + (1 | Subject)", bm.load_dataset("sleepstudy"))
    draws = importance_fit(dyestuff(), 400)
    with pytest.raises(bm.UnavailableError, match=r"conf_int\(\)"):
        bm.profile(draws)
    pd.testing.assert_frame_equal(draws.conf_int(method="profile"), draws.conf_int())
    fit = spec.fit()
    with pytest.raises(bm.DataError, match=r"'days' is no parameter.*sd_Subject\[Intercept\], sigma"):
        bm.profile(fit, "days")
    with pytest.raises(bm.DataError, match="No parameter is named"):
        bm.profile(fit, [])
    with pytest.raises(bm.DataError, match=r"the result of spec\.fit\(\)"):
        bm.profile(spec)
    with pytest.raises(bm.DataError, match="probability"):
        bm.profile(fit, "sigma").conf_int(95)
    with pytest.raises(bm.DataError, match="choose 'wald', 'profile' or 'bootstrap'"):
        fit.conf_int(method="score")


def test_a_fit_that_stopped_short_is_told_and_the_start_helps():
    fit = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy")).fit("ml")
    theta = fit.refitter.theta * np.array([1.3, 1.0, 0.8])
    short = replace(fit, refitter=replace(fit.refitter, theta=theta))
    with pytest.warns(bm.ConvergenceWarning, match="deviance is lower than the fit's") as told:
        made = bm.profile(short, "sd_Subject[Days]")
    assert not made.table["zeta"].isna().any()
    start = [float(v) for v in str(told[0].message).split("start=[")[1].split("]")[0].split(", ")]
    problem = fit.refitter.problem
    again = fit.spec.fit("ml", start=start)
    assert again.loglik == pytest.approx(fit.loglik, abs=1e-9)
    own = fit.refitter.setup.coordinates.own_factors([np.array([[start[0], 0.0], [start[1], start[2]]])])
    assert problem(problem.theta_of(own)).value < problem(problem.coordinates(theta)).value - 0.01


def test_an_interrupt_keeps_what_is_done(monkeypatch):
    calls, trace = [], tracing.trace

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return trace(*args)

    monkeypatch.setattr(tracing, "trace", interrupted)
    with pytest.warns(bm.ConvergenceWarning, match="of 6 parameters 2 have a profile"):
        made = bm.profile(fitted("sleepstudy/full:ML"))
    assert list(made.curves) == ["Intercept", "Days"]
    assert made.conf_int().notna().all(axis=1).sum() == 2
    assert set(made.table["parameter"]) == {"Intercept", "Days"}


def test_no_correlation_is_worse_than_no_sd():
    """Holding a correlation includes an sd next to 0, whatever the way from the optimum passes by."""
    rng = np.random.default_rng(6)
    data = pd.DataFrame({"g": np.repeat(np.arange(10), 6), "x": rng.normal(size=60) + 4})
    u, v = rng.normal(size=(2, 10))
    data["y"] = 0.5 * u[data["g"]] + 0.3 * v[data["g"]] * data["x"] + rng.normal(size=60)
    fit = bm.ModelSpec("y ~ x + (x | g)", data).fit("ml")
    made = bm.profile(fit)
    name = "corr_g[Intercept,x]"
    assert name in made.curves
    smaller = (
        bm.ModelSpec("y ~ x + (0 + x | g)", data).fit("ml"),
        bm.ModelSpec("y ~ x + (1 | g)", data).fit("ml"),
    )
    ceiling = min(-2 * one.loglik for one in smaller)
    deviance = made.table.query("parameter == @name")["deviance"]
    assert deviance.max() == pytest.approx(ceiling, abs=1e-6)
    assert ceiling + 2 * fit.loglik < CUTOFF**2
    assert made.conf_int().loc[name].tolist() == [-1.0, 1.0]
