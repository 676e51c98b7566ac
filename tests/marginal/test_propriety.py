"""Flat priors whose posterior has no finite integral are refused; those that have one aren't.

With L levels, one intercept with a flat prior and a flat sd the integrand falls like τ^−(L − 1): finite from
three levels on (Gelman 2006, section 2.2).
"""

import warnings

import numpy as np
import pandas as pd
import pytest

import bimixed as bm
from bimixed.posteriors import Request

P = bm.Prior
FLAT = P("flat")


def specified(levels, formula="y ~ 1 + (1 | g)", **priors):
    rng = np.random.default_rng(levels)
    g = np.repeat(np.arange(levels), 8)
    x = rng.normal(size=len(g))
    data = pd.DataFrame({"y": rng.normal(size=levels)[g] + rng.normal(size=len(g)), "g": g, "x": x})
    data["z"] = rng.normal(size=levels)[g]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.exceptions.IdentificationWarning)
        return bm.ModelSpec(formula, data, priors=priors)


def noted(spec):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BimixedWarning)
        return Request(spec.design, spec.priors).check_flat_scales()


check = noted


@pytest.mark.parametrize("levels", [3, 4, 12])
def test_flat_sds_of_three_levels_or_more(levels):
    check(specified(levels, Intercept=FLAT, sd=FLAT))
    check(specified(levels, sd=FLAT, sigma=FLAT))


@pytest.mark.parametrize("levels", [2])
def test_flat_sds_of_two_levels_beside_a_flat_intercept(levels):
    with pytest.raises(
        bm.exceptions.PriorError, match=r"improper: a flat prior of sd_g\[Intercept\].*2 levels"
    ):
        check(specified(levels, Intercept=FLAT, sd=FLAT))
    check(specified(levels, sd=FLAT))  # a proper intercept leaves both levels to the sd: τ^−2
    check(specified(levels, Intercept=FLAT, sd=P("half_normal", sigma=3)))


def test_a_fixed_effect_between_levels_takes_one():
    with pytest.raises(bm.exceptions.PriorError, match="improper"):
        check(specified(3, "y ~ z + (1 | g)", fixef=FLAT, sd=FLAT))
    check(specified(4, "y ~ z + (1 | g)", fixef=FLAT, sd=FLAT))


def test_flat_correlated_slopes():
    with pytest.raises(bm.exceptions.PriorError, match="improper"):
        check(specified(2, "y ~ x + (x | g)", fixef=FLAT, sd=FLAT))
    check(specified(8, "y ~ x + (x | g)", fixef=FLAT, sd=FLAT))


@pytest.mark.parametrize("form", ["hierarchical", "marginal"])
def test_fits_refuse(form):
    spec = specified(2, Intercept=FLAT, sd=FLAT)
    with pytest.raises(bm.exceptions.PriorError, match="half_student_t"):
        spec.fit("nuts", form=form, progress=False)
    with pytest.raises(bm.exceptions.PriorError, match="improper"):
        spec.fit("importance", progress=False)


def test_a_flat_sd_beside_a_prior_that_is_not_integrable():
    heavy = P("student_t", nu=4, mu=0, sigma=1)
    check(specified(2, fixef=heavy, sd=FLAT))
    with pytest.raises(bm.exceptions.PriorError, match="improper"):
        check(specified(2, "y ~ z + (1 | g)", fixef=FLAT, sd=FLAT, sigma=P("exponential", rate=1)))


@pytest.mark.parametrize(("levels", "moment"), [(3, "mean"), (4, "sd"), (5, None)])
def test_moments_that_do_not_exist_are_told(levels, moment):
    """∫ τ^k τ^−(L − 1) dτ is finite for k < L − 2: a mean from four levels on, an sd from five."""
    notes = noted(specified(levels, Intercept=FLAT, sd=FLAT))
    if moment is None:
        assert notes == []
    else:
        assert len(notes) == 1
        assert f"sd_g[Intercept] has no finite {moment}:" in notes[0]


def test_a_flat_sigma_hides_no_pair_that_is_improper():
    """Two sds of three levels beside two flat fixed effects, which σ with its many rows would outweigh."""
    flat = {"fixef": FLAT, "sd": FLAT}
    with pytest.raises(bm.exceptions.PriorError, match=r"sd_g\[Intercept\] and of sd_g\[z\]"):
        check(specified(4, "y ~ z + (z | g)", **flat))
    with pytest.raises(bm.exceptions.PriorError, match="improper"):
        check(specified(4, "y ~ z + (z | g)", sigma=FLAT, **flat))
