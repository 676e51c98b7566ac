"""Values of arguments in the spelling of other packages."""

from collections.abc import Iterable, Mapping
from typing import Any

DDF = {
    **dict.fromkeys(("kr", "kenwardrogers"), "kenward-roger"),
    **dict.fromkeys(("satterth", "sat"), "satterthwaite"),
    **dict.fromkeys(("asymptotic", "asymp", "wald", "z"), "normal"),
}
"""Degrees of freedom as lmerTest and emmeans name them → ours."""
LIMITS = {"boot": "bootstrap"}
"""Methods of R's confint → ours."""
TYPES = {"1": 1, "i": 1, "2": 2, "ii": 2, "3": 3, "iii": 3}
"""Types of tests as text."""


def letters(name: object) -> str:
    """A name without its case and what isn't a letter.

    Examples
    --------
    >>> letters("Half_StudentT")
    'halfstudentt'
    """
    return "".join(char for char in str(name).lower() if char.isalpha())


def spelled(given: Any, choices: Iterable[str], others: Mapping[str, str] | None = None) -> Any:
    """The choice that a spelling stands for, else what was given.

    Examples
    --------
    >>> spelled("Kenward-Roger", ["kenward-roger"]), spelled("KR", ["kenward-roger"], DDF), spelled(3, [])
    ('kenward-roger', 'kenward-roger', 3)
    """
    if not isinstance(given, str):
        return given
    return {**(others or {}), **{letters(name): name for name in choices}}.get(letters(given), given)
