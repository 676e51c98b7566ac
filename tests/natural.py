"""Small data, and the deviance in sds, correlations and sigma by n × n matrices.

Its least value with one of them held is found by SciPy, without any slopes.
"""

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from bimixed.design import Design


def small_data(seed, n=48):
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"x": rng.normal(size=n) + 1, "z": rng.normal(size=n), "w": rng.uniform(0.3, 3, n)})
    data["g"], data["k"] = [f"g{i % 8}" for i in range(n)], [f"k{i}" for i in rng.integers(0, 5, n)]
    data["o"] = rng.normal(size=n)
    a, b, c = rng.normal(size=(3, 8))
    g, k = data["g"].str[1:].astype(int), data["k"].str[1:].astype(int)
    data["y"] = a[g] + (0.6 * a + 0.8 * b)[g] * data["x"] + 0.7 * c[g] * data["z"] + rng.normal(size=5)[k]
    data["y"] += 0.7 * rng.normal(size=n) / np.sqrt(data["w"]) + data["o"]
    return data


CASES = {
    "slope": ("y ~ x + (x | g)", "ml", {}),
    "slope by REML": ("y ~ x + (x | g)", "reml", {}),
    "weights and offset": ("y ~ x + (x || g)", "reml", {"weights": "w", "offset": "o"}),
    "crossed": ("y ~ x + z + (x | g) + (1 | k)", "ml", {"weights": "w"}),
    "three coefficients": ("y ~ x + (x + z | g)", "reml", {}),
}


def deviance(
    design: Design, dense_Z: list[np.ndarray], cov: list[np.ndarray], sigma: float, reml: bool, held=None
) -> float:
    """−2 log-likelihood; cov by place, absolute; held is (column of X, value) of a fixed coefficient."""
    y = design.y if design.offset is None else design.y - design.offset
    X, n = design.X_kept, design.n
    if held is not None:
        column = int(np.searchsorted(design.kept, held[0]))
        y, X = y - X[:, column] * held[1], np.delete(X, column, axis=1)
    V = sigma**2 * np.diag(np.ones(n) if design.weights is None else 1 / design.weights)
    for f, Z, own in zip(design.factors, dense_Z, cov, strict=True):
        V = V + Z @ np.kron(np.eye(f.n_levels), own) @ Z.T
    L = np.linalg.cholesky(V)
    A = np.linalg.solve(L, np.column_stack([X, y]))
    R = np.linalg.qr(A, mode="r")
    r2 = R[-1, -1] ** 2
    p = X.shape[1] if reml else 0
    value = 2 * np.log(np.diag(L)).sum() + r2 + (n - p) * np.log(2 * np.pi)
    return value + (2 * np.log(np.abs(np.diag(R)[:-1])).sum() if reml else 0.0)


def layout(design: Design, first):
    """Coordinates of each block, an order of its coefficients that begins with those of ``first``."""
    blocks = []
    for place, f in enumerate(design.factors):
        for block in f.template.sub_blocks():
            order = list(range(block.start, block.stop))
            if first is not None and first[0] == place and first[1][0] in order:
                order = [*first[1], *(k for k in order if k not in first[1])]
            blocks.append((place, order))
    return blocks


def covariances(design: Design, blocks, x):
    """cov by place from logarithms of sds and Fisher's z of (partial) correlations; what x doesn't use."""
    cov = [np.zeros((f.n_coefficients, f.n_coefficients)) for f in design.factors]
    for place, order in blocks:
        k = len(order)
        sd, x = np.exp(x[:k]), x[k:]
        L = np.eye(k)
        for i in range(1, k):
            r, x = np.tanh(x[:i]), x[i:]
            left = 1.0
            for j in range(i):
                L[i, j] = r[j] * np.sqrt(left)
                left -= L[i, j] ** 2
            L[i, i] = np.sqrt(left)
        root = sd[:, None] * L
        cov[place][np.ix_(order, order)] = root @ root.T
    return cov, x


def places(design: Design, blocks, name: str) -> int:
    """Which coordinate the parameter is."""
    here = 0
    for place, order in blocks:
        f = design.factors[place]
        names = [f"sd_{f.key}[{f.names[k]}]" for k in order]
        if name in names:
            return here + names.index(name)
        here += len(order)
        if len(order) > 1 and name.startswith("corr_"):
            pairs = {f"corr_{f.key}[{f.names[i]},{f.names[j]}]" for i, j in (order[:2], order[1::-1])}
            if name in pairs:
                return here
        here += len(order) * (len(order) - 1) // 2
    return here  # sigma


def meant(design: Design, name: str):
    """Place of the factor, and the coefficients that an sd or a correlation is about."""
    for place, f in enumerate(design.factors):
        for i in range(f.n_coefficients):
            if name == f"sd_{f.key}[{f.names[i]}]":
                return place, [i]
            for j in range(f.n_coefficients):
                if name == f"corr_{f.key}[{f.names[i]},{f.names[j]}]":
                    return place, [i, j]
    return None


def least(fit, name: str, value: float, reml: bool, starts: int = 1) -> float:
    """The least deviance with one parameter at a value, by SciPy's BFGS on differences."""
    design = fit.design
    blocks = layout(design, meant(design, name))
    held = (design.names.index(name), value) if name in design.names else None
    n = sum(len(order) * (len(order) + 1) // 2 for _, order in blocks) + 1
    fixed = None if held else places(design, blocks, name)
    free = [i for i in range(n) if i != fixed]
    inside = np.zeros(n)
    if fixed is not None:
        with np.errstate(divide="ignore"):
            inside[fixed] = np.arctanh(value) if name.startswith("corr_") else np.log(value)

    def at(z):
        x = inside.copy()
        x[free] = z
        if np.abs(x).max() > 20:
            return 1e10
        cov, rest = covariances(design, blocks, x)
        return deviance(design, dense_Z, cov, np.exp(rest[0]), reml, held)

    dense_Z = [Z.toarray() for Z in design.Z.values()]
    rng = np.random.default_rng(1)
    start = np.zeros(n)
    start[-1] = np.log(fit.sigma)
    best = np.inf
    for k in range(starts):
        z = start[free] + 0.5 * k * rng.normal(size=len(free))
        for _ in range(2):
            z = minimize(at, z, method="BFGS", options={"gtol": 1e-5}).x
        best = min(best, at(z))
    return best
