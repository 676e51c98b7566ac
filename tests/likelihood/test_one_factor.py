"""One grouping factor by sums over levels: the same numbers as by general elimination, one fit or many.

Tolerance 1e-9 relative: two orders of summation of the same double precision numbers, where T⁻¹ costs up to
the square of its norm, 1e4.
"""

import numpy as np
import pytest
from designs import data, forced, theta_of

from bimixed.crossproducts import cross_products
from bimixed.design import build_design
from bimixed.formula import parse_formula
from bimixed.likelihood.information import average_information
from bimixed.likelihood.objective import evaluate, gradient, relative_factors
from bimixed.likelihood.one_factor import evaluate_one_factor, has_one_factor

STRUCTURES = {
    "intercept": "y ~ x + (1 | a)",
    "slope": "y ~ x + z + (x | a)",
    "three": "y ~ x + (x + z | i)",
    "blocks": "y ~ x + (x || a) + (0 + z | a)",
    "no fixed effects": "y ~ 0 + (x | a)",
}


def close(first, second):
    second = np.asarray(second)
    np.testing.assert_allclose(first, second, atol=1e-9 * (1.0 + np.abs(second).max(initial=0.0)))


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("route", ["plain", "compiled"])
@pytest.mark.parametrize("singular", ["none", "some", "all"])
@pytest.mark.parametrize("reml", [True, False])
def test_the_same_as_general_elimination(structure, route, singular, reml):
    design = build_design(parse_formula(STRUCTURES[structure]), data(7, 110), weights="w", offset="o")
    cp = cross_products(design)
    assert has_one_factor(cp)
    for seed in range(4):
        theta = theta_of(cp, seed, singular)
        at = evaluate(cp, theta, reml)
        slopes = gradient(cp, at, reml)
        with forced(route):
            point = evaluate_one_factor(cp, relative_factors(cp, theta)[0], reml)
            in_theta = point.average_information()
            in_H = point.average_information(of_H=True)
        close(point.deviance, at.deviance)
        close(point.sigma2, at.sigma2)
        close(point.gamma, at.gamma)
        close(point.H_slope, slopes.H[0])
        close(point.theta_slope, slopes.theta)
        close(point.r2_theta, slopes.r2_theta)
        close(point.modes, at.ranef[0])
        close(point.conditional, slopes.inverse.P[0])
        close(in_theta, average_information(cp, at, slopes, reml))
        close(in_H, average_information(cp, at, slopes, reml, of_H=True))


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("reml", [True, False])
def test_many_at_once_are_the_same_as_one_by_one(structure, reml):
    design = build_design(parse_formula(STRUCTURES[structure]), data(8, 110))
    cp = cross_products(design)
    thetas = [theta_of(cp, seed, "none") for seed in range(5)]
    T = np.array([relative_factors(cp, theta)[0] for theta in thetas])
    right = np.stack([cp.chain[0].ZR] * 5), np.stack([cp.RR] * 5)
    many = evaluate_one_factor(cp, T, reml, right)
    information = many.average_information()
    for k in range(5):
        one = evaluate_one_factor(cp, T[k], reml)
        close(many.deviance[k], one.deviance)
        close(many.theta_slope[k], one.theta_slope)
        close(information[k], one.average_information())
