"""Degrees of freedom, adjusted standard errors and p-values against lmerTest and pbkrtest.

Tolerances. Satterthwaite's df 1e-4 relative (the reference's own precision is 1e-6, and near a boundary its
numerical Hessian loses some); Kenward-Roger's df, F and standard errors 1e-5 relative; p-values accordingly.
"""

import numpy as np
import pytest
from lme4_fits import FITS, fitted

REML = [i for i, fit in FITS.items() if fit.get("tests", {}).get("satterthwaite")]
KENWARD = [i for i, fit in FITS.items() if fit.get("tests", {}).get("kenward_roger")]


@pytest.mark.parametrize("fit_id", REML)
def test_satterthwaite(fit_id):
    wanted = FITS[fit_id]["tests"]["satterthwaite"]
    table = fitted(fit_id).coef_table("satterthwaite").dropna()
    np.testing.assert_allclose(table["df"], wanted["df"], rtol=1e-4)
    np.testing.assert_allclose(table["statistic"], wanted["t"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(table["p_value"], wanted["p"], rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("fit_id", KENWARD)
def test_kenward_roger(fit_id):
    wanted = FITS[fit_id]["tests"]["kenward_roger"]
    table = fitted(fit_id).coef_table("kenward-roger").dropna()
    np.testing.assert_allclose(table["df"], wanted["df"], rtol=1e-5)
    np.testing.assert_allclose(table["std_error"], wanted["se_adjusted"], rtol=1e-5)
    np.testing.assert_allclose(table["statistic"] ** 2, wanted["F"], rtol=1e-5, atol=1e-8)
