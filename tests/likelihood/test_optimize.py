import numpy as np
import pytest

import bimixed as bm
from bimixed.likelihood.optimize import METHODS, difference_hessian, minimize


def quadratic(centre, curvature):
    def objective(x):
        # even in the first coordinate, as the criterion is in the diagonal of T
        u = np.array([x[0] ** 2, x[1]])
        d = u - centre
        return float(d @ curvature @ d), (2 * curvature @ d) * np.array([2 * x[0], 1.0])

    return objective


def test_interior_optimum():
    report = minimize(
        quadratic(np.array([4.0, -1.0]), np.diag([1.0, 3.0])), np.ones(2), np.array([True, False])
    )
    np.testing.assert_allclose(report.x, [2.0, -1.0], atol=1e-6)
    assert report.converged
    assert not report.at_bound.any()


def test_optimum_at_the_bound():
    report = minimize(
        quadratic(np.array([-4.0, -1.0]), np.diag([1.0, 3.0])), np.ones(2), np.array([True, False])
    )
    np.testing.assert_allclose(report.x, [0.0, -1.0], atol=1e-5)
    assert report.converged


def test_hessian_by_differences():
    curvature = np.array([[2.0, 0.5], [0.5, 1.0]])
    hessian = difference_hessian(lambda x: (0.5 * x @ curvature @ x, curvature @ x), np.ones(2))
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
