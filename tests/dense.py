"""Brute force with n × n matrices: the independent check of the blocked algebra."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from bimixed.design import Design


@dataclass(frozen=True)
class DenseFit:
    """Criterion and everything that follows from V, by the textbook formulas."""

    deviance: float
    sigma2: float
    beta: np.ndarray
    vcov: np.ndarray
    b: list[np.ndarray]
    conditional_cov: np.ndarray
    ZVZ: np.ndarray


def dense_fit(design: Design, T: list[np.ndarray], reml: bool) -> DenseFit:
    y = design.y if design.offset is None else design.y - design.offset
    n, X = len(y), design.X_kept
    W = np.eye(n) if design.weights is None else np.diag(design.weights)
    Z = np.hstack([f.matrix().toarray() for f in design.factors])
    H = scipy.linalg.block_diag(
        *[np.kron(np.eye(f.n_levels), t @ t.T) for f, t in zip(design.factors, T, strict=True)]
    )
    V = np.linalg.inv(W) + Z @ H @ Z.T
    Vi = np.linalg.inv(V)
    C = X.T @ Vi @ X
    beta = np.linalg.solve(C, X.T @ Vi @ y) if X.shape[1] else np.zeros(0)
    r = y - X @ beta
    r2 = r @ Vi @ r
    df = n - X.shape[1] if reml else n
    deviance = np.linalg.slogdet(V)[1] + df * (1 + np.log(2 * np.pi * r2 / df))
    if reml and X.shape[1]:
        deviance += np.linalg.slogdet(C)[1]
    b = H @ Z.T @ Vi @ r
    splits = np.cumsum([f.n_levels * f.n_coefficients for f in design.factors])[:-1]
    shapes = [(f.n_levels, f.n_coefficients) for f in design.factors]
    # Henderson's form: H − H Z'V⁻¹Z H would lose digits where H is large
    Lambda = scipy.linalg.block_diag(
        *[np.kron(np.eye(f.n_levels), t) for f, t in zip(design.factors, T, strict=True)]
    )
    M = Lambda.T @ Z.T @ W @ Z @ Lambda + np.eye(len(Lambda))
    return DenseFit(
        deviance=deviance,
        sigma2=r2 / df,
        beta=beta,
        vcov=r2 / df * np.linalg.inv(C) if X.shape[1] else np.zeros((0, 0)),
        b=[part.reshape(s) for part, s in zip(np.split(b, splits), shapes, strict=True)],
        conditional_cov=r2 / df * Lambda @ np.linalg.solve(M, Lambda.T),
        ZVZ=Z.T @ Vi @ Z,
    )
