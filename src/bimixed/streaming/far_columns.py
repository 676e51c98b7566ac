"""Columns of which sums keep too few digits: far from 0 in products, or nearly made of others."""

from collections.abc import Mapping

from bimixed.design.matrices import EncodedPart
from bimixed.exceptions import BimixedWarning, warn
from bimixed.fixed_coordinates import FixedCoordinates
from bimixed.summed import RowCounts, SummedDesign

FAR = 2.5e4
"""Means in ranges, about 1e5 in sds: the log-likelihood is then known to about 1e-9 of itself."""

NEAR = 1e-5
"""Own part of a column below which sums know the log-likelihood to less than about eight digits."""


def warn_of_near_columns(design: SummedDesign) -> None:
    """Say which column the others nearly determine, more nearly than sums of products can tell."""
    own = FixedCoordinates.of(design.moments).own_part(design.kept)
    if len(own) and own.min() < NEAR:
        name = design.names[int(design.kept[int(own.argmin())])]
        warn(
            f"The other columns determine {name!r} but for {own.min():.1g} of its length, and sums of "
            "products "
            "lose the digits of such a column. Leave it out, take the difference of the columns for it, or "
            "centre by a number what lies far from 0; without an intercept, name a factor first.",
            BimixedWarning,
        )


def warn_of_far_columns(parts: Mapping[str, EncodedPart], counts: RowCounts) -> None:
    """Say which covariate to centre, where one stands in a product; alone it is centred here."""
    products = [term for part in parts.values() for term in part.part.parsed if len(term.factors) > 1]
    for term in products:
        for name in (str(factor.expr) for factor in term.factors):  # of transformations no mean is known
            extent = counts.ranges.get(name, 0.0)
            if extent > 0.0 and abs(counts.means[name]) > FAR * extent:
                mean = f"{counts.means[name]:.6g}"
                warn(
                    f"{name!r} lies about {mean}, over a range of {extent:.3g}, and stands in the product "
                    f"{term}: sums of such products lose digits. Centre it by a number, I({name} - {mean}).",
                    BimixedWarning,
                )
                return
