"""Arguments of what other packages ask of a fit: predictions, means, comparisons."""

from collections.abc import Mapping
from typing import Any

from bimixed.exceptions import ArgumentError
from bimixed.vocabulary.advice import advice

PREDICT = (
    *("new_data", "random", "new_levels", "interval", "level", "random_seed", "variances", "n"),
    *("keep", "path"),
)
EMMEANS = ("fit", "factor", "by", "at", "ddf", "level")
CONTRASTS = ("method", "adjust", "reference", "interaction")


def refuse_foreign_predict(unknown: Mapping[str, Any]) -> None:
    """Explain arguments of other packages' predict."""
    for name, value in unknown.items():
        raise ArgumentError(advice(name, value, _PREDICT, PREDICT, "predict"))


def refuse_foreign_means(where: str, unknown: Mapping[str, Any]) -> None:
    """Explain arguments of R's emmeans."""
    known = {"emmeans": EMMEANS, "emtrends": (*EMMEANS, "var"), "contrasts": CONTRASTS}[where]
    for name, value in unknown.items():
        raise ArgumentError(advice(name, value, _MEANS, known, where))


def refuse_foreign_compare(results: tuple[Any, ...], unknown: Mapping[str, Any]) -> None:
    """Explain a comparison of anything but results, one after the other."""
    if unknown:
        given = ", ".join(f"{name}=" for name in unknown)
        raise ArgumentError(
            f"compare has no {given}. It takes two results or more, one after the other: bm.compare(a, b), "
            "or bm.compare(a, b, names=['first', 'second'])."
        )
    if len(results) < 2:
        kinds = [
            f"a {type(one).__name__}" if isinstance(one, list | tuple | dict) else "one" for one in results
        ]
        what = kinds[0] if kinds else "none"
        raise ArgumentError(
            f"compare takes two results or more, one after the other, not {what}: bm.compare(a, b), or "
            "bm.compare(*results) for a list."
        )


_MEANS = {
    "specs": "Name the factors: bm.emmeans(fit, 'treatment', by='sex').",
    "ref": "Write reference={value!r}, the level.",
    "type": "Means are in the units of the formula's response; transform the estimate and the limits.",
    "weights": "Cells have equal weights; for others take a custom contrast, {{'mean': [0.2, 0.8]}}.",
    "vcov": "For cluster-robust standard errors see fit.coef_table_robust() and fit.vcov_robust().",
    "cov_reduce": "Covariates are at their means; choose values by at={{'x': [10, 60]}}.",
    "mode": "Write ddf='kenward-roger' or 'satterthwaite'.",
    "lmer_df": "Write ddf='kenward-roger' or 'satterthwaite'.",
    "simple": "Write by=: emmeans(fit, 'a', by='b').contrasts() are the simple effects of a.",
    "infer": "Leave it out: the table always has limits and tests.",
}
_PREDICT = {
    "exog": "Write fit.predict(new_data, random='none')['estimate'] for the population, as statsmodels does, "
    "or fit.predict(new_data)['estimate'] with the groups' effects; new_data has the formula's columns.",
    "transform": "Leave it out: new_data are always a table of the formula's columns.",
    "data": "Write fit.predict(new_data).",
    "newdata": "Write fit.predict(new_data).",
    "re_form": "Write fit.predict(new_data, random='none') for the population (re.form = NA), "
    "random='all' (the default) for the groups.",
    "re_formula": "Write fit.predict(new_data, random='none') for the population, 'all' for the groups.",
    "include_group_specific": "Write fit.predict(new_data, random='all') for True, random='none' for False "
    "(given: {value}).",
    "allow_new_levels": "Write fit.predict(new_data, new_levels='population'), or 'sample' to count a new "
    "level's variance in intervals.",
    "sample_new_groups": "Write fit.predict(new_data, new_levels='sample').",
    "kind": "Write interval='confidence' for the mean and interval='prediction' for a new response.",
    **dict.fromkeys(
        ("se_fit", "se"),
        "Write fit.predict(new_data, interval='confidence'): of likelihood fits the limits of level=0.95 are "
        "1.96 standard errors from the estimate.",
    ),
    "alpha": "Write fit.predict(new_data, interval='confidence', level=1 - alpha) (alpha given: {value}).",
}
