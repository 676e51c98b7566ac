"""Profiles of parameters as pieces of work that may be done elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bimixed.exceptions import DataError
from bimixed.inference.criteria import Criteria, Unprofiled
from bimixed.inference.curve import Curve, trace
from bimixed.results.normal import quantile


@dataclass(frozen=True)
class Traced:
    """What came of a parameter.

    Attributes
    ----------
    curve : Curve or Unprofiled
        Its criterion as :meth:`Criteria.sent` leaves it.
    limits : (lower, upper) or None
        Of the level asked for.
    """

    curve: Curve | Unprofiled
    limits: tuple[float, float] | None = None

    def here(self, name: str, criteria: Criteria) -> Curve | Unprofiled:
        """The curve with its whole criterion."""
        if isinstance(self.curve, Unprofiled):
            return self.curve
        return replace(self.curve, criterion=criteria.received(name, self.curve.criterion))


@dataclass(frozen=True)
class Tracing:
    """Traces the profiles of some parameters.

    Attributes
    ----------
    criteria : Criteria
    cutoff : float
        Of |ζ|, which every profile goes beyond.
    named : bool
        Whether the parameters were asked for by name, so that each has to have a profile.
    level : float or None
        Of limits that are computed at once.
    """

    criteria: Criteria
    cutoff: float
    named: bool
    level: float | None

    def __call__(self, names: Sequence[str]) -> list[Traced]:
        """In their order.

        Raises
        ------
        DataError
            For a name without a profile.
        """
        return [self._one(name) for name in names]

    def _one(self, name: str) -> Traced:
        made = self.criteria.of(name)
        if isinstance(made, Unprofiled):
            if self.named:
                raise DataError(f"{name} has no profile: {made.why}")
            return Traced(made)
        curve = trace(made.criterion, made.base, self.cutoff)
        found = None if self.level is None else limits(curve, quantile(0.5 + self.level / 2.0))
        return Traced(replace(curve, criterion=self.criteria.sent(name, made.criterion)), found)


def limits(curve: Curve, cutoff: float) -> tuple[float, float]:
    """The parameter where |ζ| is the cutoff, lower and upper."""
    lower, upper = sorted(curve.criterion.value(curve.limit(side, cutoff)) for side in (-1, 1))
    return lower, upper
