"""Whether two sets of cross-products are of one model, and how they differ."""

from typing import TYPE_CHECKING

from bimixed.exceptions import DataError

if TYPE_CHECKING:
    from bimixed.moments import MomentFactor, Moments


def require_same_model(first: "Moments", second: "Moments") -> None:
    """Refuse to add what isn't of one model.

    Raises
    ------
    DataError
        Naming what differs.
    """
    if first.states != second.states:
        raise DataError(
            "The two cross-products are of transformations that depend on the data, such as scale() or "
            "poly(), and each table gave its own. Transform with given numbers instead: I((x - 5) / 2)."
        )
    if first.names != second.names:
        mine, theirs = set(first.names), set(second.names)
        odd = sorted(mine ^ theirs) or list(second.names)
        raise DataError(
            f"The two cross-products have different columns ({', '.join(odd[:5])}). Specify both tables with "
            "the same formula; each table needs every category of the factors among the fixed effects."
        )
    _require_same_groups([f.key for f in first.factors], [f.key for f in second.factors])
    for f, g in zip(first.factors, second.factors, strict=True):
        if f.names != g.names or f.template.sub_blocks() != g.template.sub_blocks():
            raise DataError(
                f"The two cross-products differ in the random effects of {f.key!r}: the first has "
                f"{_coefficients(f)}, the second {_coefficients(g)}. Specify both tables with the same "
                "formula; each table needs every category of the factors inside the bars."
            )


def _require_same_groups(mine: list[str], theirs: list[str]) -> None:
    if mine == theirs:
        return
    if sorted(mine) == sorted(theirs):
        raise DataError(
            f"The two cross-products have their groups in another order: {', '.join(mine)} and "
            f"{', '.join(theirs)}. Write the random effects of both tables in one order."
        )
    raise DataError(
        f"The two cross-products have different groups of random effects: the first {', '.join(mine)}, the "
        f"second {', '.join(theirs)}. Specify both tables with the same formula."
    )


def _coefficients(factor: "MomentFactor") -> str:
    """Names of the coefficients, and which are correlated."""
    blocks = [factor.names[block] for block in factor.template.sub_blocks()]
    said = [f"{', '.join(names)}{' (correlated)' if len(names) > 1 else ''}" for names in blocks]
    apart = len(blocks) > 1 and len(blocks) == len(factor.names)
    return " and ".join(said) + (" (uncorrelated)" if apart else "")
