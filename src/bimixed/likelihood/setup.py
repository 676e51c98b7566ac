"""A design made ready for its likelihood: coordinates, cross-products, and what these can't identify."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bimixed.crossproducts import CrossProducts, Preparation, prepare
from bimixed.design import Design, rows_needed
from bimixed.fixed_basis import root_weights
from bimixed.fixed_coordinates import gram_root
from bimixed.likelihood.coordinates import Coordinates, coordinates, of_values
from bimixed.likelihood.identification import taken_by_wide, unidentified_coefficients
from bimixed.likelihood.undetermined import undetermined_parts
from bimixed.results.undetermined import Undetermined
from bimixed.summed import SummedDesign


@dataclass(frozen=True)
class Setup:
    """Everything that doesn't depend on the response.

    Attributes
    ----------
    coordinates : Coordinates
    unidentified : mapping
        Place of the factor → coefficients whose variance REML can't know.
    of_rows : Preparation or None
        Of the design in these coordinates.
    of_sums : CrossProducts or None
        Where there are no rows, the cross-products themselves.
    undetermined : mapping
        Place of the factor → its covariances that the likelihood doesn't depend on.
    """

    coordinates: Coordinates
    unidentified: Mapping[int, list[int]]
    of_rows: Preparation | None
    of_sums: CrossProducts | None = None
    undetermined: Mapping[int, Undetermined] = field(default_factory=dict)

    @property
    def preparation(self) -> Preparation:
        """What another response needs.

        Raises
        ------
        UnavailableError
            Without rows.
        """
        if self.of_rows is None:
            raise rows_needed("A fit of another response")
        return self.of_rows

    @property
    def weight_scale(self) -> float:
        """Geometric mean of the weights."""
        return self.preparation.weight_scale if self.of_sums is None else self.of_sums.weight_scale

    def cross_products(self, design: Design) -> CrossProducts:
        """Those of a design's own response."""
        return self.preparation.with_response(design.y) if self.of_sums is None else self.of_sums


def set_up(design: Design, reml: bool) -> Setup:
    """Make a design ready.

    Raises
    ------
    FitError
        If the fixed effects use up every row.
    """
    if isinstance(design, SummedDesign):
        return _of_sums(design, reml)
    _, root = root_weights(design)
    own = coordinates(design, root, {})
    preparation = prepare(own.design(design))
    unidentified = unidentified_coefficients(preparation.empty, own, taken_by_wide(design)) if reml else {}
    if any(design.factors[place].n_coefficients > 1 for place in unidentified):
        # coefficients that are left out may not be mixed with others
        own = coordinates(design, root, unidentified)
        preparation = prepare(own.design(design))
    undetermined = undetermined_parts(design, preparation.empty, own, unidentified)
    return Setup(own, unidentified, preparation, None, undetermined)


def _of_sums(design: SummedDesign, reml: bool) -> Setup:
    own = _summed_coordinates(design, {})
    cp = design.cross_products(own.M)
    unidentified = unidentified_coefficients(cp, own, {}) if reml else {}
    if any(design.factors[place].n_coefficients > 1 for place in unidentified):
        own = _summed_coordinates(design, unidentified)
        cp = design.cross_products(own.M)
    undetermined = undetermined_parts(design, cp, own, unidentified)
    return Setup(own, unidentified, None, cp, undetermined)


def _summed_coordinates(design: SummedDesign, left_out: Mapping[int, Sequence[int]]) -> Coordinates:
    """Coordinates that suit the covariates, as :func:`coordinates` finds them from rows."""
    moments, made = design.moments, []
    scale = float(np.exp(moments.log_weights / moments.n))
    for place, factor in enumerate(moments.factors):
        if factor.names == ("Intercept",) and not design.has_weights:
            made.append((np.eye(1), np.ones(1), np.ones(1)))
            continue
        gram = moments.centred_products(place).sum(axis=0)
        values = gram_root(gram / scale) @ factor.uncentred()
        made.append(of_values(values, moments.n, factor.template, left_out.get(place, [])))
    return Coordinates(*(tuple(part) for part in zip(*made, strict=True)))
