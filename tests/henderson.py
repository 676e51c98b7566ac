"""Henderson's mixed-model equations with dense matrices: what predictions are checked against."""

import numpy as np
import scipy.linalg

from bimixed.covariance import symmetric_root


def mixed_model_variance(result):
    """Covariance of (β̂ − β, b̂ − b) given the variances, and X and Z.

    The inverse of the equations, in coordinates u of b = Λu that know variances of 0.
    """
    d = result.design
    X, W = np.asarray(d.X_kept.toarray() if hasattr(d.X_kept, "toarray") else d.X_kept), np.eye(d.n)
    if d.weights is not None:
        W = np.diag(d.weights)
    Z = np.hstack([f.matrix().toarray() for f in d.factors])
    roots = [symmetric_root(result.random_cov[f.key].to_numpy() / result.sigma**2) for f in d.factors]
    L = scipy.linalg.block_diag(
        *[np.kron(np.eye(f.n_levels), root) for f, root in zip(d.factors, roots, strict=True)]
    )
    ZL = Z @ L
    M = np.block([[X.T @ W @ X, X.T @ W @ ZL], [ZL.T @ W @ X, ZL.T @ W @ ZL + np.eye(len(L))]])
    scale = scipy.linalg.block_diag(np.eye(X.shape[1]), L)
    return result.sigma**2 * scale @ np.linalg.inv(M) @ scale.T, X, Z


def given_fixef(result):
    """Covariance of b given y, β and the variances: that of the normal distribution above, given β."""
    C, X, _ = mixed_model_variance(result)
    p = X.shape[1]
    return C[p:, p:] - (C[p:, :p] @ np.linalg.solve(C[:p, :p], C[:p, p:]) if p else 0.0)
