"""Marginal means, or slopes, with intervals."""

from typing import TYPE_CHECKING, Any

import numpy as np

from bimixed.exceptions import DataError
from bimixed.plots.style import COLOURS, STYLES, head, look, new_axes, plain_text, response_of, tidy_axes
from bimixed.vocabulary import explains_arguments

if TYPE_CHECKING:
    from bimixed.inference.marginal_means import MarginalMeans


@explains_arguments
@plain_text
def means(means: "MarginalMeans", x: str | None = None, ax: Any = None) -> Any:
    """Draw estimates with intervals by the levels of a factor; a line for each combination of the others.

    Parameters
    ----------
    means : MarginalMeans
        Of ``bm.emmeans`` or ``bm.emtrends``.
    x : str, optional
        Factor, or covariate with several values, along the axis. Default: the first.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    DataError
        For anything but marginal means, or a factor that they don't have.

    Examples
    --------
    >>> import bimixed as bm
    >>> fit = bm.ModelSpec("distance ~ age * Sex + (age | Subject)", bm.load_dataset("orthodont")).fit()
    >>> ax = bm.plots.means(bm.emmeans(fit, "age", by="Sex", at={"age": [8, 11, 14]}))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['Sex: Female', 'Sex: Male']
    """
    x = _along(means, x)
    table = means.table
    others = [name for name in means.levels.columns if name != x]
    places, labels = _places(table[x])
    ax = new_axes(ax, figsize=(max(4.5, min(10.0, 1.2 * len(set(places)))), 4))
    groups = list(table.groupby(others, sort=False, observed=True)) if others else [((), table)]
    between = float(np.diff(np.unique(places)).min()) if len(set(places)) > 1 else 1.0
    apart = min(0.06, 0.5 / len(groups)) * between
    for i, (key, own) in enumerate(groups):
        at = places[table.index.get_indexer(own.index)]
        order = np.argsort(at)
        shift = (i - 0.5 * (len(groups) - 1)) * apart
        name = ", ".join(f"{o}: {k}" for o, k in zip(others, key, strict=True)) if others else None
        _line(ax, at[order] + shift, own.iloc[order], i, name, bool(others) or labels is None)
    if labels is not None:
        turned = sum(map(len, labels)) > 12 * ax.get_window_extent().width / ax.figure.dpi
        ax.set_xticks(range(len(labels)), labels, rotation=90 if turned else 0)
        ax.set_xlim(-0.5, len(labels) - 0.5)
    else:
        ax.set_xticks(np.unique(places))
    ax.set_xlabel(x)
    of = response_of(means.design)
    ax.set_ylabel(f"mean of {of}" if means.what == "mean" else f"slope ({of} per {means.what})")
    title = "Marginal means" if means.what == "mean" else f"Slopes of {means.what}"
    missing = int(table["estimate"].isna().sum())
    note = f"\n{missing} can't be estimated: cells without rows" if missing else ""
    head(ax, f"{title}, {means.level:.0%} intervals{note}")
    tidy_axes(ax)
    return ax


def _along(means: "MarginalMeans", x: str | None) -> str:
    from bimixed.inference.marginal_means import MarginalMeans

    if not isinstance(means, MarginalMeans):
        raise DataError(
            f"plots.means takes what bm.emmeans or bm.emtrends gives, not a {type(means).__name__}."
        )
    names = list(means.levels.columns)
    if x is not None and x not in names:
        raise DataError(f"The means have no {x!r}; x= is one of {', '.join(names) or 'none'}.")
    if not names:
        raise DataError(f"There is one slope only, without levels to draw it by:\n{means}")
    return names[0] if x is None else x


def _line(ax: Any, at: Any, own: Any, i: int, name: str | None, joined: bool) -> None:
    if joined:
        style = {"color": COLOURS[i % len(COLOURS)], "linestyle": STYLES[i % len(STYLES)]}
        ax.plot(at, own["estimate"], linewidth=1.2, **style)
    error = np.nan_to_num([own["estimate"] - own["lower"], own["upper"] - own["estimate"]])
    ax.errorbar(
        at, own["estimate"], yerr=error, linestyle="none", markersize=6, capsize=3, label=name, **look(i)
    )


def _places(values: Any) -> tuple[Any, list[str] | None]:
    """Where each row stands, and the names of places unless they are numbers."""
    if values.dtype.kind in "iuf":
        return values.to_numpy(dtype=np.float64), None
    labels = list(dict.fromkeys(values.tolist()))
    return np.array([labels.index(v) for v in values.tolist()], dtype=np.float64), [str(v) for v in labels]
