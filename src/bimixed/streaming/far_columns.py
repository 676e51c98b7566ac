"""Covariates so far from 0 that sums of their products lose digits."""

from collections.abc import Mapping

from bimixed.design.matrices import EncodedPart
from bimixed.exceptions import BimixedWarning, warn
from bimixed.summed import RowCounts

FAR = 2.5e4
"""Means in ranges, about 1e5 in sds: the log-likelihood is then known to about 1e-9 of itself."""


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
