"""Every linear mixed model of the lme4 reference file, by formula.

Tolerances. The reference fits are polished to 1e-13 in the deviance, so the gap is ours: log-likelihood
1e-7; fixed effects and their standard errors 1e-4 of a standard error; sds 1e-4 relative (an sd of 0:
1e-4 sigma); the published requirements of this package. θ is compared where it is unique.
"""

import numpy as np
import pytest
from lme4_fits import FITS, fitted

NOT_COVERED: dict[str, str] = {}
"""id → reason, for fits that this version can't do yet; none."""


covered = pytest.mark.parametrize("fit_id", [i for i in FITS if i not in NOT_COVERED])


def test_every_reference_fit_is_covered_or_listed_with_its_reason():
    assert len(FITS) == 65
    assert all(NOT_COVERED.values())


@covered
def test_log_likelihood_and_information_criteria(fit_id):
    fit, ours = FITS[fit_id], fitted(fit_id)
    assert ours.loglik == pytest.approx(fit["logLik"], rel=0.0, abs=1e-7)
    assert ours.df_model == fit["df_logLik"]
    assert ours.aic == pytest.approx(fit["AIC"], rel=0.0, abs=2e-7)
    assert ours.bic == pytest.approx(fit["BIC"], rel=0.0, abs=2e-7)
    assert ours.nobs == fit["n"]


@covered
def test_fixed_effects(fit_id):
    fit, ours = FITS[fit_id], fitted(fit_id)
    table = ours.fixef.dropna()
    se = np.array(fit["fixef"]["se"])
    assert len(table) == len(se)
    np.testing.assert_array_less(np.abs(table["estimate"] - fit["fixef"]["estimate"]), 1e-4 * se)
    np.testing.assert_array_less(np.abs(table["std_error"] - se), 1e-4 * se)
    vcov = ours.vcov.dropna(how="all").dropna(axis=1, how="all").to_numpy()
    allowed = 2e-4 * np.outer(se, se)
    np.testing.assert_array_less(np.abs(vcov - np.array(fit["fixef"]["vcov"])), allowed)


@covered
def test_dropped_columns(fit_id):
    fit, ours = FITS[fit_id], fitted(fit_id)
    n_dropped = len(fit["dropped_columns"] or [])
    assert len(ours.design.dropped) == n_dropped
    assert ours.fixef["estimate"].isna().sum() == n_dropped


def reference_cov(fit: dict) -> dict[str, np.ndarray]:
    """Covariance by our key; lme4 splits '||' into several terms of one group."""
    parts: dict[str, list[np.ndarray]] = {}
    for term in fit["varcorr"]:
        cov = np.atleast_2d(np.array(term["cov"], dtype=float))
        parts.setdefault(term["group"], []).append(cov)
    joined = {}
    for group, blocks in parts.items():
        size = sum(len(b) for b in blocks)
        cov, start = np.zeros((size, size)), 0
        for block in blocks:
            cov[start : start + len(block), start : start + len(block)] = block
            start += len(block)
        joined[group] = cov
    return joined


@covered
def test_variance_components(fit_id):
    fit, ours = FITS[fit_id], fitted(fit_id)
    assert ours.sigma == pytest.approx(fit["sigma"], rel=1e-4)
    assert set(ours.random_cov) == set(reference_cov(fit))
    for group, cov in reference_cov(fit).items():
        sd = np.sqrt(np.diag(cov))
        mine = ours.random_cov[group].to_numpy()
        my_sd = np.sqrt(np.diag(mine))
        allowed = np.where(sd < 1e-6 * fit["sigma"], 1e-4 * fit["sigma"], 1e-4 * sd)
        np.testing.assert_array_less(np.abs(my_sd - sd), allowed)
        # a covariance to the accuracy of its two sds
        size = np.maximum(sd, 1e-4 * fit["sigma"])
        np.testing.assert_array_less(np.abs(mine - cov), 1e-3 * np.outer(size, size))


@covered
def test_singular_fits_are_told(fit_id):
    fit, ours = FITS[fit_id], fitted(fit_id)
    assert ours.diagnostics.converged
    assert ours.diagnostics.singular == fit["isSingular"]
    assert ours.diagnostics.ok == (not fit["isSingular"])


@covered
def test_random_effects_and_conditional_sds(fit_id):
    fit, ours = FITS[fit_id], fitted(fit_id)
    for reference in fit["ranef"]:
        table = ours.ranef[reference["group"]]
        sds = ours.ranef_sd[reference["group"]]
        levels = [str(level) for level in reference["levels"]]
        padded = {str(level).lstrip("0") or "0": i for i, level in enumerate(table.index)}
        exact = {str(level): i for i, level in enumerate(table.index)}
        if ":" in reference["group"]:
            padded = {
                ":".join(part.lstrip("0") or "0" for part in str(level).split(":")): i
                for i, level in enumerate(table.index)
            }
        rows = [exact.get(level, padded.get(level)) for level in levels]
        assert None not in rows
        scale = np.maximum(sds.to_numpy()[rows], 1e-3 * ours.sigma)
        modes = np.array(reference["mode"], dtype=float).reshape(len(levels), -1)
        # both depend on θ, whose sds agree to 1e-4: 1e-3 of the conditional sd
        np.testing.assert_array_less(np.abs(table.to_numpy()[rows] - modes), 1e-3 * scale)
        if reference["cond_sd"] is not None:  # the reference leaves it out for InstEval
            cond = np.array(reference["cond_sd"], dtype=float).reshape(len(levels), -1)
            np.testing.assert_array_less(np.abs(sds.to_numpy()[rows] - cond), 1e-3 * scale)


@covered
def test_fitted_values(fit_id):
    fit, ours = FITS[fit_id], fitted(fit_id)
    np.testing.assert_allclose(ours.fitted[:5], fit["fitted_first5"], rtol=0, atol=1e-3 * ours.sigma)
    marginal = ours.predict(random="none")["estimate"]
    np.testing.assert_allclose(marginal[:5], fit["marginal_fitted_first5"], rtol=0, atol=1e-4 * ours.sigma)
    np.testing.assert_allclose(ours.fitted + ours.resid, ours.design.y)


@pytest.mark.parametrize("fit_id", [i for i, fit in FITS.items() if fit.get("wald_ci")])
def test_wald_intervals(fit_id):
    fit, ours = FITS[fit_id], fitted(fit_id)
    table = ours.conf_int(ddf="normal").dropna().iloc[: len(fit["fixef"]["se"])]
    se = np.array(fit["fixef"]["se"])
    wald = fit["wald_ci"]
    np.testing.assert_array_less(np.abs(table["lower"] - np.array(wald["lower"])), 3e-4 * se)
    np.testing.assert_array_less(np.abs(table["upper"] - np.array(wald["upper"])), 3e-4 * se)
