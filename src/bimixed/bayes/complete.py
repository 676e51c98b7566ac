"""What an interrupt of chains leaves."""

from typing import Any

import numpy as np

from bimixed.exceptions import FitError

FEWEST = 4
"""Draws of a chain below which an interrupted run is worth nothing."""


def complete_draws(tree: Any, variable: str) -> Any:
    """After an interrupt: the draws that chains have in common, judged by one variable.

    Chains that hardly began are left out where more draws remain without them.

    Raises
    ------
    FitError
        If there are hardly any.
    """
    values = np.asarray(tree["posterior"][variable])
    values = values.reshape(*values.shape[:2], -1)[:, :, 0]
    finished = np.isfinite(values).sum(axis=1)
    longest = np.argsort(-finished, kind="stable")
    common = finished[longest]
    if not len(common) or common[0] < FEWEST:
        raise too_few()
    kept = int(np.argmax(common * np.arange(1, len(common) + 1)))
    complete = int(common[kept])
    if kept + 1 < len(common) or complete < values.shape[1]:
        tree = tree.isel(chain=np.sort(longest[: kept + 1]), draw=slice(0, complete))
    for group in tree.children:
        tree[group] = tree[group].to_dataset().assign_coords(chain=np.arange(kept + 1))
    return tree


def too_few() -> FitError:
    """What is said when an interrupt leaves nothing."""
    return FitError(
        "Sampling was stopped before any chain had a few draws after warm-up; nothing is kept. "
        "Let it run longer, or ask for fewer tune= steps."
    )
