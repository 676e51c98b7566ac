"""Small models, of all kinds of terms and priors. Every prior is a number: none may be scaled by the data."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

import bimixed as bm
from bimixed import ModelSpec, Prior

Array = np.ndarray
NORMAL = {"Intercept": Prior("normal", mu=1, sigma=2), "x": Prior("normal", mu=0, sigma=1)}


@dataclass(frozen=True)
class Model:
    """A design that takes any response.

    Attributes
    ----------
    title : str
    n : int
        Rows.
    make : callable
        Response (n,) and priors → specification.
    priors : dict
    """

    title: str
    n: int
    make: Callable[[Array, dict[str, Prior]], ModelSpec]
    priors: dict[str, Prior]

    def spec(self, y: Array) -> ModelSpec:
        """The specification of this response.

        Raises
        ------
        ValueError
            If a prior is left to the data.
        """
        made = self.make(y, self.priors)
        left = set(made.priors) - made.priors.given
        if left:
            names = ", ".join(sorted(left))
            raise ValueError(f"{self.title}: the prior of {names} would be scaled by the data.")
        return made

    def blank(self) -> ModelSpec:
        """With a response that means nothing, to draw from the prior."""
        return self.spec(np.arange(float(self.n)))


def by_formula(
    title: str, formula: str, data: pd.DataFrame, priors: dict[str, Prior], weights: str | None = None
) -> Model:
    def make(y: Array, priors: dict[str, Prior]) -> ModelSpec:
        return bm.ModelSpec(formula, data.assign(y=y), priors=priors, weights=weights)

    return Model(title, len(data), make, priors)


def labels(letter: str, codes: Array) -> Array:
    """Text that sorts as the codes do."""
    return np.array([f"{letter}{code:02d}" for code in codes])


def random_intercept() -> Model:
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(14), np.arange(1, 15))  # a row of the first level, 14 of the last
    data = pd.DataFrame({"x": rng.normal(1.0, 1.0, len(g)), "g": labels("g", g)})
    priors = {
        **NORMAL,
        "sd_g": Prior("half_student_t", nu=3, sigma=1),
        "sigma": Prior("half_normal", sigma=1.5),
    }
    return by_formula("random intercept, unbalanced", "y ~ x + (1 | g)", data, priors)


def slope() -> Model:
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(22), rng.integers(2, 9, 22))
    data = pd.DataFrame({"x": rng.normal(0.5, 1.0, len(g)), "g": labels("g", g)})
    priors = {
        **NORMAL,
        "sd_g[Intercept]": Prior("half_normal", sigma=1.5),
        "sd_g[x]": Prior("exponential", rate=2),
        "corr_g": Prior("lkj", eta=1.5),
        "sigma": Prior("half_student_t", nu=4, sigma=1),
    }
    return by_formula("correlated intercept and slope", "y ~ x + (x | g)", data, priors)


def crossed() -> Model:
    rng = np.random.default_rng(3)
    a, b = (part.ravel() for part in np.meshgrid(np.arange(12), np.arange(8), indexing="ij"))
    rows = np.sort(rng.choice(96, 84, replace=False))
    data = pd.DataFrame({"x": rng.normal(size=84), "a": labels("a", a[rows]), "b": labels("b", b[rows])})
    priors = {
        **NORMAL,
        "sd_a": Prior("gamma", alpha=2, beta=2),
        "sd_b": Prior("uniform", lower=0, upper=2),
        "sigma": Prior("exponential", rate=1),
    }
    return by_formula("two crossed factors", "y ~ x + (1 | a) + (1 | b)", data, priors)


def nested() -> Model:
    rng = np.random.default_rng(4)
    a, b = np.repeat(np.arange(9), 9), np.tile(np.repeat(np.arange(3), 3), 9)
    weight = rng.gamma(2.0, 0.5, 81)
    data = pd.DataFrame({"x": rng.normal(size=81), "a": labels("a", a), "b": labels("b", b), "w": weight})
    priors = {
        **NORMAL,
        "sd_a": Prior("half_student_t", nu=4, sigma=1),
        "sd_a:b": Prior("half_normal", sigma=0.7),
        "sigma": Prior("gamma", alpha=3, beta=3),
    }
    return by_formula("nested factors, weights", "y ~ x + (1 | a/b)", data, priors, weights="w")


def membership() -> Model:
    rng = np.random.default_rng(5)
    n, clubs = 90, 10
    shares = np.zeros((n, clubs))
    for row in shares:
        mine = rng.choice(clubs, rng.integers(1, 4), replace=False)
        row[mine] = 1.0 / len(mine)
    exog = np.column_stack([np.ones(n), rng.normal(size=n)])
    groups = labels("g", np.arange(n) % 5)
    priors = {
        **NORMAL,
        "sd_groups": Prior("half_normal", sigma=0.15),
        "sd_club": Prior("exponential", rate=1),
        "sigma": Prior("half_student_t", nu=3, sigma=1),
    }

    def make(y: Array, priors: dict[str, Prior]) -> ModelSpec:
        return ModelSpec.from_arrays(
            y,
            exog,
            groups,
            exog_re=np.ones((n, 1)),
            exog_vc={"club": shares},
            fixef_names=["Intercept", "x"],
            re_names=["Intercept"],
            priors=priors,
        )

    return Model("multiple membership, and 5 levels with a small sd", n, make, priors)


def three() -> Model:
    rng = np.random.default_rng(6)
    g = np.repeat(np.arange(15), 7)
    data = pd.DataFrame({"x": rng.normal(size=105), "z": rng.normal(size=105), "g": labels("g", g)})
    data["o"] = 3.0 * rng.normal(size=105)
    priors = {
        **NORMAL,
        "z": Prior("normal", mu=-1, sigma=1),
        "sd_g": Prior("half_normal", sigma=1),
        "sd_g[z]": Prior("gamma", alpha=3, beta=4),
        "corr_g": Prior("lkj", eta=2),
        "sigma": Prior("half_normal", sigma=1),
    }
    formula = "y ~ x + z + offset(o) + (x + z | g)"
    return by_formula("three correlated coefficients, an offset", formula, data, priors)


MODELS: dict[str, Callable[[], Model]] = {
    "intercept": random_intercept,
    "slope": slope,
    "crossed": crossed,
    "nested": nested,
    "membership": membership,
    "three": three,
}


@cache
def model(name: str) -> Model:
    """The model of this name."""
    return MODELS[name]()
