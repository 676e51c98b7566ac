"""The model of a fit with n × n matrices, given its variances: what the diagnostics are checked against."""

import numpy as np


class DenseRows:
    """V in units of σ², X without dropped columns, y less the offset."""

    def __init__(self, fit):
        design = fit.design
        self.fit, self.names = fit, [design.names[j] for j in design.kept]
        self.X = np.asarray(design.X_kept.toarray() if hasattr(design.X_kept, "toarray") else design.X_kept)
        self.y = design.y if design.offset is None else design.y - design.offset
        weights = np.ones(design.n) if design.weights is None else design.weights
        self.V = np.diag(1 / weights)
        for f in design.factors:
            H = np.asarray(fit.random_cov[f.key]) / fit.sigma**2
            Z = f.matrix().toarray()
            self.V += Z @ np.kron(np.eye(f.n_levels), H) @ Z.T
        self.weights = weights

    def gls(self, rows=slice(None)):
        """β̂, (X'V⁻¹X)⁻¹, r² of some rows."""
        X, y, V = self.X[rows], self.y[rows], self.V[rows][:, rows]
        C = np.linalg.inv(X.T @ np.linalg.solve(V, X))
        beta = C @ X.T @ np.linalg.solve(V, y)
        r = y - X @ beta
        return beta, C, r @ np.linalg.solve(V, r)

    def without(self, members):
        """β̂, standard errors and σ of the other rows."""
        keep = np.setdiff1d(np.arange(len(self.y)), members)
        beta, C, r2 = self.gls(keep)
        sigma2 = r2 / (len(keep) - (len(beta) if self.fit.method == "reml" else 0))
        return beta, np.sqrt(sigma2 * np.diag(C)), np.sqrt(sigma2)

    @property
    def hats(self):
        """Hat matrix of ŷ, and its fixed part."""
        Vi = np.linalg.inv(self.V)
        C = np.linalg.inv(self.X.T @ Vi @ self.X)
        fixed = self.X @ C @ self.X.T @ Vi
        W = np.diag(self.weights)
        return np.eye(len(self.y)) - np.linalg.inv(W) @ Vi @ (np.eye(len(self.y)) - fixed), fixed
