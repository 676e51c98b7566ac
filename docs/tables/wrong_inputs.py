"""Wrong inputs of the kind that beginners make, and what each gets: writes ``docs/errors.md``.

Run ``python docs/tables/wrong_inputs.py`` after changing a message; a test compares.
"""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import bimixed as bm

PAGE = Path(__file__).parent.parent / "errors.md"


def sleep() -> pd.DataFrame:
    """sleepstudy with a few columns more."""
    data = bm.load_dataset("sleepstudy")[["Reaction", "Days", "Subject"]]
    rng = np.random.default_rng(0)
    return data.assign(
        sex=np.where(data["Subject"].astype(str) < "335", "f", "m"),
        date=pd.Timestamp("2026-01-01") + pd.to_timedelta(data["Days"], "D"),
        night=rng.integers(1, 4, len(data)),
        lab="A",
        w=np.where(data["Days"] == 0, 0.0, 1.0),
    )


def wide() -> pd.DataFrame:
    """One row per subject."""
    table = sleep().pivot(index="Subject", columns="Days", values="Reaction").add_prefix("day")
    return table.reset_index()


def fitted() -> bm.MixedModelResult:
    return bm.ModelSpec("Reaction ~ Days + sex + (1 | Subject)", sleep()).fit()


CASES: list[tuple[str, str, Callable[[], object]]] = [
    (
        "the bar without parentheses",
        'ModelSpec("Reaction ~ Days | Subject", data)',
        lambda: bm.ModelSpec("Reaction ~ Days | Subject", sleep()),
    ),
    (
        "no random effects",
        'ModelSpec("Reaction ~ Days", data)',
        lambda: bm.ModelSpec("Reaction ~ Days", sleep()),
    ),
    (
        "a parenthesis left open",
        'ModelSpec("Reaction ~ Days + (1 | Subject", data)',
        lambda: bm.ModelSpec("Reaction ~ Days + (1 | Subject", sleep()),
    ),
    (
        "a misspelt column",
        'ModelSpec("Reaction ~ days + (1 | Subject)", data)',
        lambda: bm.ModelSpec("Reaction ~ days + (1 | Subject)", sleep()),
    ),
    (
        "two groups in one bar",
        'ModelSpec("Reaction ~ Days + (1 | Subject + night)", data)',
        lambda: bm.ModelSpec("Reaction ~ Days + (1 | Subject + night)", sleep()),
    ),
    (
        "R's power",
        'ModelSpec("Reaction ~ Days + I(Days^2) + (1 | Subject)", data)',
        lambda: bm.ModelSpec("Reaction ~ Days + I(Days^2) + (1 | Subject)", sleep()),
    ),
    (
        "arithmetic on the left",
        'ModelSpec("Reaction^2 ~ Days + (1 | Subject)", data)',
        lambda: bm.ModelSpec("Reaction^2 ~ Days + (1 | Subject)", sleep()),
    ),
    (
        "a logarithm of 0",
        'ModelSpec("Reaction ~ log(Days) + (1 | Subject)", data)',
        lambda: bm.ModelSpec("Reaction ~ log(Days) + (1 | Subject)", sleep()),
    ),
    (
        "R's factor()",
        'ModelSpec("Reaction ~ factor(night) + (1 | Subject)", data)',
        lambda: bm.ModelSpec("Reaction ~ factor(night) + (1 | Subject)", sleep()),
    ),
    (
        "a date as covariate",
        'ModelSpec("Reaction ~ date + (1 | Subject)", data)',
        lambda: bm.ModelSpec("Reaction ~ date + (1 | Subject)", sleep()),
    ),
    (
        "the same coefficient twice",
        'ModelSpec("Reaction ~ Days + (1 | Subject) + (Days | Subject)", data)',
        lambda: bm.ModelSpec("Reaction ~ Days + (1 | Subject) + (Days | Subject)", sleep()),
    ),
    (
        "text as response",
        'ModelSpec("sex ~ Days + (1 | Subject)", data)',
        lambda: bm.ModelSpec("sex ~ Days + (1 | Subject)", sleep()),
    ),
    (
        "the response on both sides",
        'ModelSpec("Reaction ~ Reaction + (1 | Subject)", data)',
        lambda: bm.ModelSpec("Reaction ~ Reaction + (1 | Subject)", sleep()),
    ),
    (
        "measurements in several columns",
        'ModelSpec("cbind(day0, day1, day2) ~ 1 + (1 | Subject)", wide)',
        lambda: bm.ModelSpec("cbind(day0, day1, day2) ~ 1 + (1 | Subject)", wide()),
    ),
    (
        "one row per subject",
        'ModelSpec("day9 ~ day0 + (1 | Subject)", wide)',
        lambda: bm.ModelSpec("day9 ~ day0 + (1 | Subject)", wide()),
    ),
    (
        "a group of one level",
        'ModelSpec("Reaction ~ Days + (1 | lab)", data)',
        lambda: bm.ModelSpec("Reaction ~ Days + (1 | lab)", sleep()),
    ),
    (
        "weights of 0",
        'ModelSpec("Reaction ~ Days + (1 | Subject)", data, weights="w")',
        lambda: bm.ModelSpec("Reaction ~ Days + (1 | Subject)", sleep(), weights="w"),
    ),
    (
        "a file name as data",
        'ModelSpec("Reaction ~ Days + (1 | Subject)", "sleep.csv")',
        lambda: bm.ModelSpec("Reaction ~ Days + (1 | Subject)", "sleep.csv"),
    ),
    (
        "data before the formula",
        'ModelSpec(data, "Reaction ~ Days + (1 | Subject)")',
        lambda: bm.ModelSpec(sleep(), "Reaction ~ Days + (1 | Subject)"),  # type: ignore[arg-type]
    ),
    (
        "statsmodels' arguments",
        'ModelSpec("Reaction ~ Days", data, groups="Subject", re_formula="~Days")',
        lambda: bm.ModelSpec("Reaction ~ Days", sleep(), groups="Subject", re_formula="~Days"),
    ),
    (
        "bambi's arguments",
        'ModelSpec("Reaction ~ Days + (1 | Subject)", data, family="gaussian")',
        lambda: bm.ModelSpec("Reaction ~ Days + (1 | Subject)", sleep(), family="gaussian"),
    ),
    (
        "statsmodels' fit",
        "spec.fit(reml=False)",
        lambda: fitted().spec.fit(reml=False),
    ),
    (
        "a prior of nothing",
        'ModelSpec("Reaction ~ Days + (1 | Subject)", data, priors={"days": Prior("normal", mu=0, sigma=1)})',
        lambda: bm.ModelSpec(
            "Reaction ~ Days + (1 | Subject)", sleep(), priors={"days": bm.Prior("normal", mu=0, sigma=1)}
        ),
    ),
    (
        "a new level of a fixed factor",
        'fit.predict(data.assign(sex="x"))',
        lambda: fitted().predict(sleep().assign(sex="x")),
    ),
    (
        "a new group",
        'fit.predict(data.assign(Subject="999"))',
        lambda: fitted().predict(sleep().assign(Subject="999")),
    ),
    (
        "a missing label in new data",
        "fit.predict(data.assign(Subject=None))",
        lambda: fitted().predict(sleep().assign(Subject=None)),
    ),
    (
        "brms' argument of predict",
        "fit.predict(data, allow_new_levels=True)",
        lambda: fitted().predict(sleep(), allow_new_levels=True),
    ),
]


def message(call: Callable[[], object]) -> str:
    """What a wrong call says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call()
        except bm.BimixedError as error:
            return str(error)
    raise AssertionError("the call was accepted")


def page() -> str:
    """The table as Markdown."""
    lines = [
        "# Wrong inputs and what they say",
        "",
        "Every error of bimixed names the place, the cause and what to do. These are the common ones, on the",
        "sleepstudy data; the page is written by `docs/tables/wrong_inputs.py`, and a test keeps it true.",
        "",
    ]
    for title, code, call in CASES:
        lines += [f"**{title[0].upper()}{title[1:]}**: `{code}`", "", "```text", message(call), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
