"""Log-likelihoods of variance components by statsmodels, for tests/test_from_groups.py.

Run with statsmodels installed: ``python statsmodels_components.py > statsmodels_components.json``.
The log-likelihood is statsmodels' own, evaluated where its optimiser stopped after tight tolerances; the
variances are what it found there.
"""

import json
import sys
import warnings

import numpy as np
import pandas as pd

MODELS = {
    "random intercept by default": {},
    "intercept and slope": {"re_formula": "~ x"},
    "component alone": {"vc_formula": {"c": "0 + C(c)"}},
    "intercept and component": {"re_formula": "1", "vc_formula": {"c": "0 + C(c)"}},
    "bare label": {"re_formula": "1", "vc_formula": {"c": "0 + c"}},
    "slope by label": {"re_formula": "1", "vc_formula": {"c": "0 + C(c)", "s": "0 + C(c):x"}},
    "one slope": {"re_formula": "1", "vc_formula": {"s": "0 + x"}},
    "two covariates, one variance": {"vc_formula": {"s": "0 + x + z"}},
    "intercept in the component": {"vc_formula": {"s": "x"}},
    "treatment coding in a component": {"re_formula": "1", "vc_formula": {"c": "C(c)"}},
    "two factors, one variance": {"re_formula": "1", "vc_formula": {"both": "0 + C(c) + C(d)"}},
    "factor by factor": {"vc_formula": {"cd": "0 + C(c):C(d)"}},
    "centred within groups": {"re_formula": "1", "vc_formula": {"s": "0 + center(z)"}},
    "spline within groups": {"vc_formula": {"s": "0 + bs(z, df=4)"}},
}
CROSSED = {"vc_formula": {"g": "0 + C(g)", "c": "0 + C(c)"}}


def data():
    """Twelve groups of 20 rows; labels of c start anew in every group."""
    rng = np.random.RandomState(11)
    n = 240
    g = np.repeat(np.arange(12), 20)
    c = np.tile(np.repeat(np.arange(4), 5), 12)
    d = rng.randint(0, 3, n)
    x, z = rng.normal(size=n), rng.uniform(size=n)
    y = (
        1.0
        + 0.5 * x
        + rng.normal(size=12)[g]
        + 0.8 * rng.normal(size=(12, 4))[g, c]
        + 0.6 * rng.normal(size=(12, 4))[g, c] * x
        + rng.normal(size=12)[g] * z
        + 0.5 * rng.normal(size=(12, 3))[g, d]
        + 0.7 * rng.normal(size=n)
    )
    return pd.DataFrame({"y": y, "x": x, "z": z, "g": g, "c": np.array(list("pqrs"))[c], "d": d})


def fit(**kwargs):
    import statsmodels.formula.api as smf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = smf.mixedlm("y ~ x", data(), **kwargs)
        best = None
        for method in ("lbfgs", "bfgs", "powell"):
            result = model.fit(method=method, gtol=1e-10, maxiter=2000)
            if best is None or result.llf > best.llf:
                best = result
        again = model.fit(method="nm", maxiter=20000, start_params=best.params_object)
        best = max((best, again), key=lambda r: r.llf)
    return {"loglik": best.llf, "scale": best.scale, "components": list(best.vcomp)}


if __name__ == "__main__":
    import statsmodels

    fits = {name: fit(groups="g", **kwargs) for name, kwargs in MODELS.items()}
    fits["crossed"] = fit(groups=np.ones(240), **CROSSED)
    json.dump({"statsmodels": statsmodels.__version__, "fits": fits}, sys.stdout, indent=1)
