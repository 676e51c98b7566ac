from dataclasses import dataclass

import numpy as np
import pytest

import bimixed as bm
from bimixed.likelihood.optimize import METHODS, difference_hessian, minimize


@dataclass
class Point:
    value: float
    gradient: np.ndarray
    curvature: np.ndarray

    def hessian(self):
        return self.curvature

    def path(self):
        return None


def quartic(centre, curvature):
    """A parabola in (x₀², x₁): even in the first coordinate, as the criterion is in the diagonal of T."""

    def objective(x):
        d = np.array([x[0] ** 2, x[1]]) - centre
        J = np.diag([2 * x[0], 1.0])
        g = 2 * curvature @ d
        return Point(float(d @ curvature @ d), J @ g, 2 * J @ curvature @ J + np.diag([2 * g[0], 0.0]))

    return objective


BOUNDED = np.array([True, False])


@pytest.mark.parametrize("start", [[1.0, 1.0], [30.0, -5.0], [1e-3, 0.0]])
def test_interior_optimum(start):
    report = minimize(quartic(np.array([4.0, -1.0]), np.diag([1.0, 3.0])), np.array(start), BOUNDED)
    np.testing.assert_allclose(report.x, [2.0, -1.0], atol=1e-6)
    assert report.converged
    assert not report.at_bound.any()
    assert report.n_evaluations < 30


def test_optimum_at_the_bound():
    report = minimize(quartic(np.array([-4.0, -1.0]), np.diag([1.0, 3.0])), np.ones(2), BOUNDED)
    np.testing.assert_allclose(report.x, [0.0, -1.0], atol=1e-5)
    assert report.converged
    assert report.at_bound.tolist() == [True, False]


def test_a_wrong_hessian_is_mended_by_what_gradients_show():
    """Half the curvature would make plain Newton steps swing for ever."""
    exact = quartic(np.array([4.0, -1.0]), np.array([[1.0, 0.3], [0.3, 3.0]]))

    def objective(x):
        point = exact(x)
        return Point(point.value, point.gradient, 0.5 * point.curvature)

    report = minimize(objective, np.array([1.5, 0.0]), BOUNDED)
    np.testing.assert_allclose(report.x, [2.0, -1.0], atol=1e-5)
    assert report.converged
    assert report.n_evaluations < 30


def test_hessian_by_differences():
    curvature = np.array([[2.0, 0.5], [0.5, 1.0]])
    hessian = difference_hessian(lambda x: curvature @ x, np.ones(2))
    np.testing.assert_allclose(hessian, curvature, rtol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_every_optimizer_arrives_at_the_same_fit(method):
    spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
    fit = spec.fit(optimizer=method)
    assert fit.loglik == pytest.approx(-871.8141359793, abs=1e-6)
    assert fit.diagnostics.ok


def test_far_and_singular_starts_arrive_too():
    spec = bm.ModelSpec("Reaction ~ Days + (Days | Subject)", bm.load_dataset("sleepstudy"))
    best = spec.fit().loglik
    for start in ([0.0, 0.0, 0.0], [0.0, 0.0, 0.2], [30.0, 0.0, 30.0], [1e-6, 0.0, 1e-6]):
        assert spec.fit(start=start).loglik == pytest.approx(best, abs=1e-7)
    assert spec.fit(start=spec.fit().theta).diagnostics.n_evaluations < 15


EVALUATIONS = {
    ("Reaction ~ Days + (Days | Subject)", "sleepstudy"): 6,
    ("log_radon ~ floor + (floor | county)", "radon"): 10,
    ("y ~ 1 + (1 | group1/group2)", "nested"): 9,
    ("Yield ~ 1 + (1 | Batch)", "dyestuff2"): 12,
}


@pytest.mark.parametrize(("formula", "name"), EVALUATIONS)
def test_few_evaluations_are_needed(formula, name):
    fit = bm.ModelSpec(formula, bm.load_dataset(name)).fit()
    assert fit.diagnostics.converged
    assert fit.diagnostics.n_evaluations <= EVALUATIONS[formula, name]
