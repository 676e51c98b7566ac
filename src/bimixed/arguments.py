"""Checks of arguments that several functions share."""

from numbers import Integral

import numpy as np

from bimixed.exceptions import FitError


def check_count(name: str, value: object, least: int = 1) -> None:
    """Refuse what is no whole number of at least ``least``.

    Raises
    ------
    FitError
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise FitError(f"{name} is {value!r}; it must be a whole number of at least {least}.")


def check_seed(random_seed: object) -> None:
    """Refuse what is no seed.

    Raises
    ------
    FitError
    """
    whole = isinstance(random_seed, int | np.integer) and not isinstance(random_seed, bool)
    if random_seed is not None and not (whole and 0 <= random_seed < 2**63):  # type: ignore[operator]
        raise FitError(f"random_seed is {random_seed!r}; give a whole number from 0, or None.")
