"""A design made ready for its likelihood: coordinates, cross-products, and what these can't identify."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bimixed.crossproducts import Preparation, prepare
from bimixed.design import Design
from bimixed.fixed_basis import root_weights
from bimixed.likelihood.coordinates import Coordinates, coordinates
from bimixed.likelihood.identification import taken_by_wide, unidentified_coefficients
from bimixed.likelihood.undetermined import undetermined_parts
from bimixed.results.undetermined import Undetermined


@dataclass(frozen=True)
class Setup:
    """Everything that doesn't depend on the response.

    Attributes
    ----------
    coordinates : Coordinates
    preparation : Preparation
        Of the design in these coordinates.
    unidentified : mapping
        Place of the factor → coefficients whose variance REML can't know.
    undetermined : mapping
        Place of the factor → its covariances that the likelihood doesn't depend on.
    """

    coordinates: Coordinates
    preparation: Preparation
    unidentified: Mapping[int, list[int]]
    undetermined: Mapping[int, Undetermined] = field(default_factory=dict)


def set_up(design: Design, reml: bool) -> Setup:
    """Make a design ready.

    Raises
    ------
    FitError
        If the fixed effects use up every row.
    """
    _, root = root_weights(design)
    own = coordinates(design, root, {})
    preparation = prepare(own.design(design))
    unidentified = unidentified_coefficients(preparation.empty, own, taken_by_wide(design)) if reml else {}
    if any(design.factors[place].n_coefficients > 1 for place in unidentified):
        # coefficients that are left out may not be mixed with others
        own = coordinates(design, root, unidentified)
        preparation = prepare(own.design(design))
    undetermined = undetermined_parts(design, preparation.empty, own, unidentified)
    return Setup(own, preparation, unidentified, undetermined)
