"""The sentence that answers an argument which a function doesn't have."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from bimixed.exceptions import ArgumentError


def advice(name: str, value: Any, translations: Mapping[str, str], known: tuple[str, ...], where: str) -> str:
    """What to write in place of an argument, or which arguments there are."""
    if name in translations:
        return f"{where} has no {name}=. {translations[name].format(name=name, value=value)}"
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {close[0]}=?" if close else ""
    return f"{where} has no argument {name}=.{hint} It takes {', '.join(known) or 'none: leave it out'}."


def refuse_unknown(where: str, unknown: Iterable[str], known: tuple[str, ...]) -> None:
    """Explain arguments that a function doesn't have.

    Raises
    ------
    ArgumentError
    """
    for name in unknown:
        raise ArgumentError(advice(name, None, _OTHERS, known, where))


_OTHERS = {
    "seed": "Write random_seed=.",
    "nsim": "Write n=.",
    "alpha": "Write level=0.95 for alpha=0.05.",
    "weights": "Weights and offset are arguments of ModelSpec; make a new specification.",
    "offset": "Weights and offset are arguments of ModelSpec; make a new specification.",
}
