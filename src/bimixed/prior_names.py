"""Priors as other packages name them: families, parameters, and the parameters that have them."""

import re
from collections.abc import Iterable

FAMILIES = {
    "halfcauchy": "It is Prior('half_student_t', nu=1, sigma=...).",
    "cauchy": "It is Prior('student_t', nu=1, mu=..., sigma=...).",
    "t": "It is Prior('student_t', nu=..., mu=..., sigma=...).",
    "halft": "It is Prior('half_student_t', nu=..., sigma=...).",
    **dict.fromkeys(("lkjcorr", "lkjcholeskycov", "lkjcholesky"), "It is Prior('lkj', eta=...)."),
    **dict.fromkeys(
        ("inversegamma", "invgamma", "inversewishart"),
        "Priors are of sds here, not of variances: 'half_normal', 'half_student_t' or 'gamma'.",
    ),
    "laplace": "For long tails take Prior('student_t', nu=3, mu=..., sigma=...).",
    "wishart": "A covariance has priors of its sds, 'sd_<group>', and of its correlations, 'corr_<group>'.",
}
"""Families elsewhere, in small letters → ours."""
PARAMETERS = {
    "mean": " mean is called mu.",
    "loc": " loc is called mu.",
    "sd": " sd is called sigma.",
    "scale": " scale is called sigma.",
    "df": " df is called nu.",
    "lam": " lam is called rate.",
}
HYPERPRIOR = (
    "a Prior: priors have none of their own here. That of the sd of a group's effects, bambi's "
    "Prior('Normal', sigma=Prior(...)), is priors={{'sd_<group>': {prior!r}}}"
)


def group_hint(key: str, known: Iterable[str]) -> str:
    """What bambi's ``1|group`` and ``1|group_sigma`` are; "" for other keys."""
    found = re.fullmatch(r"\s*(\S.*?)\s*\|\s*(.+?)(_sigma)?\s*", key)
    if found is None:
        return ""
    coefficient, group = found.group(1), found.group(2)
    name = f"sd_{group}[{'Intercept' if coefficient == '1' else coefficient}]"
    if name not in known:
        return " The sds of random effects are called 'sd_<group>[<coefficient>]'."
    return f" The sd of these effects is {name!r}, and its prior is a Prior('half_normal', sigma=...)."
